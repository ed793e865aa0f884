"""What changed between two versions of a cut: every cell with old, new and change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from reports.archive import replace_file
from reports.book import Book, Page
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
PARTS = Table(
    "parts",
    ("table", "key", "column", "cause"),
    (
        *CHANGES.columns[:4],
        Column("cause", TEXT, text="the event, or what else made it"),
        *CHANGES.columns[4:],
    ),
    "Every change by its causes, one after the other; the parts of a cell add up to its change exactly.",
)
_OLD, _NEW = "old@", "new@"
Tables_ = Mapping[str, pa.Table]
"""Table by name."""


def difference(first: SealedCut, second: SealedCut) -> pa.Table:
    """The changed cells of two versions of one cut (or of two cuts), rows as in :data:`CHANGES`.

    A table that only one of them has counts as empty in the other. The changes of a column add up exactly to the
    change of its total.
    """
    before, after = Tables(first), Tables(second)
    unequal = []
    for name in sorted(before.names | after.names):
        same = first.manifest["tables"].get(name, {}).get("digest")
        if same is None or same != second.manifest["tables"].get(name, {}).get("digest"):
            unequal.append(name)
    sides = [{name: rows for name in unequal if (rows := cut.get(name)) is not None} for cut in (before, after)]
    return difference_of(sides[0], sides[1])


def difference_of(before: Tables_, after: Tables_) -> pa.Table:
    """The changed cells of two sets of sealed tables, rows as in :data:`CHANGES`."""
    parts = []
    for name in sorted({*before, *after}):
        schema = TABLES[name]
        empty = schema.arrow.empty_table()
        old, new = before.get(name, empty), after.get(name, empty)
        if not old.equals(new):
            parts += _table_changes(schema, old, new)
    return _sorted(CHANGES, parts)


def attributed(worlds: Sequence[tuple[str, Tables_]]) -> pa.Table:
    """What each cause changed, rows as in :data:`PARTS`: the difference from each set of tables to the next.

    ``worlds`` begin with the old tables, whose cause is not looked at, and end with the new ones. So the parts of a
    cell add up to its change whatever lies between; a cause is what its step added, given those before it.
    """
    parts = []
    for (_, before), (cause, after) in zip(worlds[:-1], worlds[1:], strict=True):
        rows = difference_of(before, after)
        parts.append(rows.add_column(4, "cause", pa.array([cause] * rows.num_rows, TEXT)).cast(PARTS.arrow))
    return _sorted(PARTS, parts)


def _sorted(schema: Table, parts: Sequence[pa.Table]) -> pa.Table:
    if not parts:
        return schema.arrow.empty_table()
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in schema.key]).combine_chunks()


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


CAUSED = Table(
    "difference",
    CHANGES.key,
    (*CHANGES.columns, Column("causes", TEXT, text="each with what it added", required=False)),
    CHANGES.text,
)


def with_causes(changes: pa.Table, parts: pa.Table) -> pa.Table:
    """The changes with their causes in words, rows as in :data:`CAUSED`."""
    told: dict[tuple, list[str]] = {}
    names = [*CHANGES.key, "cause", "change", "new_text"]
    for *key, cause, change, text in zip(*(parts[name].to_pylist() for name in names), strict=True):
        moved = f"{change.normalize():+f}" if change is not None else text if text is not None else "none"
        told.setdefault(tuple(key), []).append(f"{cause}: {moved}")
    keys = zip(*(changes[name].to_pylist() for name in CHANGES.key), strict=True)
    causes = pa.array(["; ".join(told.get(key, ())) or None for key in keys], TEXT)
    return changes.append_column("causes", causes).cast(CAUSED.arrow)


def difference_workbook(first: SealedCut, second: SealedCut, path: Path, parts: pa.Table | None = None) -> pa.Table:
    """Write the Difference workbook of two versions and return the changes it lists; with ``parts`` also why."""
    changes = difference(first, second)
    old, new = first.manifest, second.manifest
    book = Book("difference", "Difference", Tables(second))
    page = book.page(
        "Summary", "Result", f"Changes from {old['cut']} v{old['version']} to {new['cut']} v{new['version']}."
    )
    page.widths(26, 28, 16, 26, 22, 46)
    if parts is not None:
        _by_cause(page, parts)
    page.head(["Table", "Column", "Changed cells", "Change (unit of the column)", "Unit", ""])
    page.freeze(filtered=5 if parts is None else 0)
    groups = changes.group_by(["table", "column", "unit"]).aggregate([("key", "count"), ("change", "sum")])
    for row in groups.sort_by([("table", "ascending"), ("column", "ascending")]).to_pylist():
        page.line(
            [row["table"], row["column"], row["key_count"], row["change_sum"], row["unit"]],
            ["Text", "Text", "Whole", "Money", "Unit"],
        )
    if not changes.num_rows:
        page.line(["No cell differs."])
    if parts is None:
        book.listing("Difference", CHANGES, changes, "Result", CHANGES.text)
    else:
        book.listing("Difference", CAUSED, with_causes(changes, parts), "Result", CAUSED.text)
        book.listing("Parts", PARTS, parts, "Result", PARTS.text)
    replace_file(path, book.content())
    return changes


_KEY_FIGURES = (
    ("margin", "equity"),
    ("margin", "requirement"),
    ("margin", "excess"),
    ("margin_house", "effective_requirement"),
    ("headlines", "value"),
)
"""What the Summary explains by cause."""


def _by_cause(page: Page, parts: pa.Table) -> None:
    """The key figures: a line per cause, and the sum."""
    page.head(["Figure", "Row", "", "Change (unit of the column)", "Unit", "Cause"])
    for table, column in _KEY_FIGURES:
        chosen = pc.and_(pc.equal(parts["table"], table), pc.equal(parts["column"], column))
        rows = parts.filter(chosen)
        names = ["key", "unit", "cause"] if table == "headlines" else ["unit", "cause"]
        for row in rows.group_by(names, use_threads=False).aggregate([("change", "sum")]).to_pylist():
            figure = f"{table}.{column}"
            page.line(
                [figure, row.get("key", "all rows"), "", row["change_sum"], row["unit"], row["cause"]],
                ["Text", "Wrapped text", "Text", "Money", "Unit", "Wrapped text"],
            )
    page.row += 1
