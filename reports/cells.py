"""Rows of a table as the XML of a worksheet: whole columns at a time, exact decimals, text that stays text.

openpyxl builds every sheet; the rows of detail sheets, which may be millions of cells, are put into the finished sheet.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from openpyxl.utils import get_column_letter

from reports.looks import MISSING, NO, YES

CHUNK_ROWS = 1 << 15
"""Rows written at a time: bounds memory, changes no byte."""
TEXT_LIMIT = 32_767
"""Characters a cell can hold."""
_CUT = " … (cut)"
_EPOCH_DAYS = 25_569
"""1970-01-01 as a serial day of the workbook's calendar."""
_DAY_US = 86_400_000_000
_PLAIN_SCALE = 6
"""Up to this scale Arrow never writes a decimal with an exponent, so its zeros behind the point can go."""
_CONTROL = "[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff]"
_ESCAPE_LIKE = "_(x[0-9A-Fa-f]{4}_)"
_SPECIAL = re.compile(f"{_CONTROL}|{_ESCAPE_LIKE}")
FORMULA_START = "^[=+\\-@\t\r\n\x00-\x1f]"
"""Text that a spreadsheet could take for a formula: it is stored as text and marked so."""


@dataclass(frozen=True, slots=True)
class CellColumn:
    """How one column of a table is written: style numbers of the workbook."""

    values: pa.ChunkedArray
    style: int
    quoted: int
    """Style of text that could be taken for a formula."""
    missing: int
    minus_one_missing: bool = False


def safe_text(value: str) -> str:
    """Text as a cell stores it: control characters as ``_xHHHH_`` (ECMA-376), cut at a cell's limit."""
    if len(value) <= TEXT_LIMIT // 7 and not _SPECIAL.search(value):
        return value
    return _escaped(pa.array([value]))[0].as_py()


def formula_safe(rows: pa.Table) -> pa.Table:
    """Rows for a format that knows no text cells (CSV): text that could be taken for a formula begins with an
    apostrophe, which a spreadsheet does not show. Everything else stays as it is."""
    columns = []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if pa.types.is_string(field.type):
            risky = pc.match_substring_regex(column, FORMULA_START)
            column = pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _escaped(values: pa.Array) -> pa.Array:
    longest = pc.max(pc.utf8_length(values)).as_py() or 0
    if longest > TEXT_LIMIT // 7:  # an escape makes seven characters of one
        values = _limited(values)
    if pc.any(pc.match_substring_regex(values, _ESCAPE_LIKE)).as_py():
        values = pc.replace_substring_regex(values, _ESCAPE_LIKE, "_x005F_\\1")
    if pc.any(pc.match_substring_regex(values, _CONTROL)).as_py():
        values = pa.array(["".join(map(_control, text)) if text is not None else None for text in values.to_pylist()])
    return values


def _limited(values: pa.Array) -> pa.Array:
    kept = TEXT_LIMIT // 7 - len(_CUT)
    short = pc.binary_join_element_wise(pc.utf8_slice_codeunits(values, 0, kept), _CUT, "")
    return pc.if_else(pc.greater(pc.utf8_length(values), TEXT_LIMIT // 7), short, values)


def _control(character: str) -> str:
    code = ord(character)
    bad = (code < 0x20 and character not in "\t\n") or code in (0xFFFE, 0xFFFF)
    return f"_x{code:04X}_" if bad else character


def rows_xml(columns: Sequence[CellColumn], rows: int, first_row: int) -> Iterator[bytes]:
    """``<row>`` elements for rows 0 to ``rows`` of the columns, the first in sheet row ``first_row``."""
    for start in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - start)
        numbers = pc.cast(pa.array(range(first_row + start, first_row + start + count), pa.int64()), pa.string())
        parts = [
            _cells(column, column.values.slice(start, count).combine_chunks(), get_column_letter(place + 1), numbers)
            for place, column in enumerate(columns)
        ]
        lines = pc.binary_join_element_wise('<row r="', numbers, '">', *parts, "</row>", "")
        yield _bytes(lines)


def _bytes(lines: pa.Array) -> bytes:
    """The strings of an array one after the other: its data buffer."""
    lines = lines if isinstance(lines, pa.Array) else lines.combine_chunks()
    lines = pc.cast(lines, pa.large_string())
    offsets = lines.buffers()[1].to_pybytes()
    first = int.from_bytes(offsets[8 * lines.offset : 8 * lines.offset + 8], "little")
    last = int.from_bytes(offsets[8 * (lines.offset + len(lines)) : 8 * (lines.offset + len(lines)) + 8], "little")
    return lines.buffers()[2][first:last].to_pybytes() if last > first else b""


def _cells(column: CellColumn, values: pa.Array, letter: str, numbers: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_boolean(kind):
        values, kind = pc.if_else(values, YES, NO), pa.string()
    if column.minus_one_missing:
        values = pc.if_else(pc.equal(values, -1), pa.scalar(None, kind), values)
    head = f'<c r="{letter}'
    if pa.types.is_string(kind):
        safe = _xml(_escaped(values))
        style = pc.if_else(pc.match_substring_regex(values, FORMULA_START), str(column.quoted), str(column.style))
        shown = pc.binary_join_element_wise(
            head, numbers, '" s="', style, '" t="inlineStr"><is><t xml:space="preserve">', safe, "</t></is></c>", ""
        )
    else:
        shown = pc.binary_join_element_wise(head, numbers, f'" s="{column.style}"><v>', _number(values), "</v></c>", "")
    if not values.null_count:
        return shown
    missing = f'" s="{column.missing}" t="inlineStr"><is><t>{MISSING}</t></is></c>'
    return pc.if_else(pc.is_null(values), pc.binary_join_element_wise(head, numbers, missing, ""), shown)


def _number(values: pa.Array) -> pa.Array:
    """Exact decimal text of a number; dates and times as serial days."""
    kind = values.type
    if pa.types.is_decimal(kind):
        text = pc.cast(values, pa.string())
        if kind.scale > _PLAIN_SCALE:
            return text
        return pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
    if pa.types.is_date(kind):
        return pc.cast(pc.add(pc.cast(values, pa.int32()), _EPOCH_DAYS), pa.string())
    if pa.types.is_timestamp(kind):
        days = pc.divide(pc.cast(pc.cast(values, pa.int64()), pa.float64()), float(_DAY_US))
        return pc.cast(pc.add(days, float(_EPOCH_DAYS)), pa.string())
    if not pa.types.is_integer(kind):
        raise TypeError(f"a sheet's column: expected exact numbers, text, flags or dates, found {kind}")
    return pc.cast(values, pa.string())


def _xml(values: pa.Array) -> pa.Array:
    for plain, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        values = pc.replace_substring(values, plain, escape)
    return values


def width_of(values: pa.ChunkedArray, numeric: bool, decimals: int) -> int:
    """Characters that the widest value of a column takes when it is shown."""
    if not len(values) or values.null_count == len(values):
        return len(MISSING)
    kind = values.type
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        largest = max(abs(pc.min(values).as_py()), abs(pc.max(values).as_py()))
        return len(f"{largest:,.{decimals}f}") + 1  # the sign
    if pa.types.is_timestamp(kind):
        return len("2026-01-01 00:00:00.000")
    if pa.types.is_date(kind):
        return len("2026-01-01")
    if pa.types.is_string(kind):
        return pc.max(pc.utf8_length(values)).as_py()
    return len(YES)
