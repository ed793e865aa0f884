"""Where a reported figure comes from, and reading it from there.

A figure is never computed by a report: it is a :class:`Source`, a sealed cell or the sum, count or extreme of sealed
cells, and its value is whatever reading the source gives. So the place of a number and the number cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.cuts import SealedCut
from streaming.schema.sealed import TABLES

_COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "starts": pc.starts_with,
}
_CENT = Decimal("0.01")


def cents(value: Decimal) -> Decimal:
    """An amount at the reported line: rounded half away from zero to 0.01, once."""
    return value.quantize(_CENT, rounding=ROUND_HALF_UP)


class Tables:
    """The tables of one cut, each read once; None where the cut has none of that name.

    ``instead`` puts other rows in the place of some tables: the same cut, had something been otherwise.
    """

    def __init__(self, cut: SealedCut, instead: Mapping[str, pa.Table] | None = None):
        self.cut = cut
        self._read: dict[str, pa.Table] = dict(instead or {})

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.cut.tables)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def get(self, name: str) -> pa.Table | None:
        """The rows of a table, sorted by its key."""
        if name not in self.names:
            return None
        if name not in self._read:
            self._read[name] = self.cut.table(name).combine_chunks()
        return self._read[name]


@dataclass(frozen=True)
class Source:
    """A sealed cell, or the sum, count or extreme of sealed cells.

    ``where`` selects rows of the table by (column, comparison, value as text); ``how`` is ``cell`` (the first selected
    row, in the order of ``by``), ``sum``, ``count``, ``max`` or ``min``; ``negate`` turns the sign, so that a deficit
    is shown as a positive number.
    """

    table: str
    column: str
    how: str = "cell"
    where: tuple[tuple[str, str, str], ...] = ()
    by: str = ""
    """Column whose smallest value comes first; with a leading ``-`` the largest."""
    negate: bool = False

    @property
    def decided_by(self) -> tuple[str, ...]:
        """The columns that its value hangs on: its own, those that select, the one that orders."""
        named = (self.column, *(column for column, _, _ in self.where), self.by.lstrip("-"))
        return tuple(dict.fromkeys(name for name in named if name))

    def document(self) -> dict[str, object]:
        """As JSON, defaults left out."""
        found = ((name, getattr(self, name)) for name in _FIELDS)
        return {name: value for name, value in found if value not in ("", (), False) and (name, value) != _PLAIN}


_FIELDS = tuple(item.name for item in fields(Source))
_PLAIN = ("how", "cell")


def source_of(document: Mapping) -> Source:
    """The source that a document of :meth:`Source.document` describes."""
    where = tuple((str(column), str(compare), str(value)) for column, compare, value in document.get("where", ()))
    return Source(**{**document, "where": where})


def at(table: str, column: str, **key: object) -> Source:
    """One cell by its key."""
    return Source(table, column, where=tuple((name, "=", str(value)) for name, value in key.items()))


def selected(tables: Tables, source: Source) -> np.ndarray:
    """Row numbers (of the sealed table, in key order) that the source reads."""
    rows = tables.get(source.table)
    if rows is None:
        return np.empty(0, np.int64)
    chosen = np.ones(rows.num_rows, bool)
    for column, compare, value in source.where:
        typed = value if compare == "starts" else _typed(value, rows.schema.field(column).type)
        chosen &= pc.fill_null(_COMPARE[compare](rows[column], typed), False).to_numpy()
    found = np.flatnonzero(chosen)
    if source.by:
        order = "descending" if source.by.startswith("-") else "ascending"
        picked = rows.select([source.by.lstrip("-")]).take(found)
        keys = picked.append_column("row", pa.array(found))
        found = found[pc.sort_indices(keys, [(keys.column_names[0], order), ("row", "ascending")]).to_numpy()]
    return found[:1] if source.how == "cell" else found


def _typed(value: str, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_boolean(kind):
        return pa.scalar(value == "True")
    if pa.types.is_decimal(kind):
        return pa.scalar(Decimal(value), kind)
    return pa.scalar(value).cast(kind)


def read(tables: Tables, source: Source):
    """The value of a source; None where the table, the column, the row or the value is missing.

    Sums are exact and of an empty selection zero.
    """
    rows = tables.get(source.table)
    if rows is None or source.column not in rows.column_names:
        return None
    chosen = selected(tables, source)
    if source.how == "count":
        return len(chosen)
    values = rows[source.column].take(pa.array(chosen))
    if source.how == "cell":
        value = values[0].as_py() if len(values) else None
    elif source.how == "sum":
        value = pc.sum(values, min_count=0).as_py()
    else:
        value = {"max": pc.max, "min": pc.min}[source.how](values).as_py()
    return -value if source.negate and value is not None else value


def unit_of(source: Source) -> str:
    """The unit of what a source reads, from the schema."""
    if source.how == "count":
        return "rows"
    return next(column.unit for column in TABLES[source.table].columns if column.name == source.column)
