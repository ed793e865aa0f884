"""What changed between two versions of a cut: every cell with old, new and change."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from reports.archive import replace_file
from reports.book import Book
from reports.sources import Tables
from streaming.cuts import SealedCut
from streaming.schema.model import TEXT, Column, Table
from streaming.schema.sealed import TABLES

_NUMBER = pa.decimal128(37, 12)
"""Holds every sealed number; a difference of two needs one digit more, which Arrow still has."""
CHANGES = Table(
    "difference",
    ("table", "key", "column"),
    (
        Column("table", TEXT),
        Column("key", TEXT, text="columns and values of the row's key"),
        Column("column", TEXT, text="empty where a whole row came or went"),
        Column("unit", TEXT),
        Column("old", _NUMBER, "unit of the column", required=False),
        Column("new", _NUMBER, "unit of the column", required=False),
        Column(
            "change",
            _NUMBER,
            "unit of the column",
            "new less old; a row that came or went counts from or to zero",
            required=False,
        ),
        Column("old_text", TEXT, text="where the column is no number", required=False),
        Column("new_text", TEXT, required=False),
    ),
    "Every cell that differs between two versions of a cut.",
)
"""Not a sealed table: the difference of two."""
_OLD, _NEW = "old@", "new@"


def difference(first: SealedCut, second: SealedCut) -> pa.Table:
    """The changed cells of two versions of one cut (or of two cuts), rows as in :data:`CHANGES`.

    A table that only one of them has counts as empty in the other. The changes of a column add up exactly to the
    change of its total.
    """
    before, after = Tables(first), Tables(second)
    parts = []
    for name in sorted(before.names | after.names):
        schema = TABLES[name]
        same = first.manifest["tables"].get(name, {}).get("digest")
        if same is not None and same == second.manifest["tables"].get(name, {}).get("digest"):
            continue
        empty = schema.arrow.empty_table()
        old, new = before.get(name), after.get(name)
        parts += _table_changes(schema, empty if old is None else old, empty if new is None else new)
    if not parts:
        return CHANGES.arrow.empty_table()
    found = pa.concat_tables(parts)
    return found.sort_by([(name, "ascending") for name in CHANGES.key]).combine_chunks()


@dataclass(frozen=True)
class Joined:
    """Two versions of one table side by side, by key."""

    schema: Table
    rows: pa.Table
    came: pa.Array
    """bool by row: only the new version has it."""
    went: pa.Array

    @classmethod
    def of(cls, schema: Table, old: pa.Table, new: pa.Table) -> "Joined":
        key = list(schema.key)
        values = [column.name for column in schema.business if column.name not in key]
        sides = []
        for rows, mark in ((old, _OLD), (new, _NEW)):
            named = rows.select([*key, *values]).rename_columns([*key, *(mark + name for name in values)])
            sides.append(named.append_column(mark, pa.array([True] * rows.num_rows, pa.bool_())))
        joined = sides[0].join(sides[1], key, join_type="full outer").combine_chunks()
        came, went = (pc.is_null(joined[mark]).combine_chunks() for mark in (_OLD, _NEW))
        return cls(schema, joined, came, went)

    @property
    def values(self) -> list[Column]:
        """The columns that are compared."""
        return [column for column in self.schema.business if column.name not in self.schema.key]

    def pair(self, column: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Old and new values of a column."""
        return self.rows[_OLD + column], self.rows[_NEW + column]

    def differs(self, column: str) -> pa.Array:
        """bool by row; True in every column of a row that came or went."""
        left, right = self.pair(column)
        unequal = pc.fill_null(pc.not_equal(left, right), pc.xor(pc.is_null(left), pc.is_null(right)))
        return pc.or_(unequal.combine_chunks(), pc.or_(self.came, self.went))


def changed_cells(schema: Table, old: pa.Table, new: pa.Table) -> dict[tuple, frozenset[str]]:
    """Key of every row that differs, with its changed columns; all of them where the row came or went."""
    joined = Joined.of(schema, old, new)
    keys = [joined.rows[name] for name in schema.key]
    found: dict[tuple, set[str]] = {}
    whole = pc.or_(joined.came, joined.went)
    masks = [(name, whole) for name in schema.key]
    for name, mask in (*masks, *((column.name, joined.differs(column.name)) for column in joined.values)):
        for key in zip(*(column.filter(mask).to_pylist() for column in keys), strict=True):
            found.setdefault(key, set()).add(name)
    return {key: frozenset(columns) for key, columns in found.items()}


def _table_changes(schema: Table, old: pa.Table, new: pa.Table) -> list[pa.Table]:
    joined = Joined.of(schema, old, new)
    names = [pc.binary_join_element_wise(name, pc.cast(joined.rows[name], pa.string()), "=") for name in schema.key]
    text = pc.binary_join_element_wise(*names, ", ")
    found = []
    for column in joined.values:
        found.append(_rows(schema.name, column, text, *joined.pair(column.name), joined.differs(column.name)))
    if not joined.values:
        blank = Column("", TEXT)
        left, right = (pc.if_else(gone, "none", "row") for gone in (joined.came, joined.went))
        found.append(_rows(schema.name, blank, text, left, right, pc.or_(joined.came, joined.went)))
    return [rows for rows in found if rows.num_rows]


def _rows(table: str, column: Column, key, left, right, chosen) -> pa.Table:
    key, left, right = (values.filter(chosen) for values in (key, left, right))
    n = len(key)
    numeric = pa.types.is_decimal(column.type) or pa.types.is_integer(column.type)
    lost = pa.nulls(n, _NUMBER)
    if numeric:
        left, right = pc.cast(left, _NUMBER), pc.cast(right, _NUMBER)
        zero = pa.scalar(0, _NUMBER)
        change = pc.cast(pc.subtract(pc.fill_null(right, zero), pc.fill_null(left, zero)), _NUMBER)
        numbers, texts = (left, right, change), (pa.nulls(n, TEXT), pa.nulls(n, TEXT))
    else:
        numbers, texts = (lost, lost, lost), (pc.cast(left, TEXT), pc.cast(right, TEXT))
    plain = [pa.array([value] * n, TEXT) for value in (table, column.name, column.unit)]
    columns = [plain[0], key, plain[1], plain[2], *numbers, *texts]
    return pa.Table.from_arrays(
        [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array for array in columns],
        schema=CHANGES.arrow,
    )


def difference_workbook(first: SealedCut, second: SealedCut, path: Path) -> pa.Table:
    """Write the Difference workbook of two versions and return the changes it lists."""
    changes = difference(first, second)
    old, new = first.manifest, second.manifest
    book = Book("difference", "Difference", Tables(second))
    page = book.page(
        "Summary", "Result", f"Changes from {old['cut']} v{old['version']} to {new['cut']} v{new['version']}."
    )
    page.widths(26, 28, 16, 26, 14)
    page.head(["Table", "Column", "Changed cells", "Change (unit of the column)", "Unit"])
    page.freeze(filtered=5)
    groups = changes.group_by(["table", "column", "unit"]).aggregate([("key", "count"), ("change", "sum")])
    for row in groups.sort_by([("table", "ascending"), ("column", "ascending")]).to_pylist():
        page.line(
            [row["table"], row["column"], row["key_count"], row["change_sum"], row["unit"]],
            ["Text", "Text", "Whole", "Money", "Unit"],
        )
    if not changes.num_rows:
        page.line(["No cell differs."])
    book.listing("Difference", CHANGES, changes, "Result", CHANGES.text)
    replace_file(path, book.content())
    return changes
