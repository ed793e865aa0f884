"""From a cell of a workbook to the sealed rows it shows, and from a sealed row to the cells that show it.

Beside ``margin.xlsx`` lies ``margin.cells.json``. A detail sheet is one entry (table, first row, column letters: the
sheet's rows are the table's, in key order, or those listed); any other cell that shows sealed values has its
:class:`reports.sources.Source`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.sources import Source, Tables, read, selected, source_of
from streaming.cuts import SealedCut
from streaming.schema.sealed import TABLES

_CELL = re.compile(r"\$?([A-Z]{1,3})\$?([1-9]\d*)")


class CellError(LookupError):
    """The cell shows no sealed value, or is none; the message says what was expected."""


@dataclass(frozen=True)
class CellSource:
    """What one cell shows."""

    table: str
    column: str
    how: str
    """``cell``, ``sum``, ``count``, ``max`` or ``min``."""
    negated: bool
    keys: tuple[Mapping[str, object], ...]
    """The keys of the sealed rows it is made of."""
    value: object
    """Exactly as sealed or summed; the sheet's Summary rounds amounts to 0.01."""
    decided_by: tuple[str, ...]
    """The columns of those rows that it hangs on."""


def cells_path(workbook: Path) -> Path:
    """Where the map of a workbook's cells lies."""
    return workbook.with_suffix(".cells.json")


def encode_cells(document: Mapping) -> bytes:
    """The map as it is stored: the same map gives the same bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load_cells(workbook: Path) -> dict:
    """The map that lies beside a workbook."""
    path = cells_path(workbook)
    if not path.exists():
        raise CellError(f"{workbook}: expected {path.name} beside it, found none")
    return json.loads(path.read_bytes())


def cell_source(document: Mapping, sheet: str, cell: str, cut: SealedCut | Tables) -> CellSource:
    """What a cell shows: ``cell_source(load_cells(path), "Accounts", "G17", cut)``; ``Tables`` saves reading again."""
    tables = cut if isinstance(cut, Tables) else Tables(cut)
    _same_cut(document, tables.cut)
    place = document["sheets"].get(sheet)
    where = f"{document['workbook']} {sheet}!{cell}"
    match = _CELL.fullmatch(cell.upper())
    if match is None:
        raise CellError(f"{where}: expected a cell such as G17")
    if place is None:
        raise CellError(f"{where}: expected one of {', '.join(sorted(document['sheets']))}")
    letter, number = match[1], int(match[2])
    if "cells" in place:
        found = place["cells"].get(f"{letter}{number}")
        if found is None:
            raise CellError(f"{where}: shows no sealed value")
        source = source_of(found)
        rows = selected(tables, source)
        if source.how in ("max", "min"):
            rows = selected(tables, _holder(source, read(tables, source)))
    else:
        row = _sealed_row(place, number)
        if row is None or letter not in place["columns"]:
            raise CellError(f"{where}: shows no sealed value")
        source, rows = Source(place["table"], place["columns"][letter]), np.array([row])
    sealed = tables.get(source.table)
    assert sealed is not None
    keys = tuple({name: sealed[name][int(row)].as_py() for name in TABLES[source.table].key} for row in rows)
    value = read(tables, source) if "cells" in place else sealed[source.column][int(rows[0])].as_py()
    return CellSource(source.table, source.column, source.how, source.negate, keys, value, source.decided_by)


def cells_of(document: Mapping, cut: SealedCut | Tables, table: str, key: Mapping[str, object]) -> list[str]:
    """Every cell of a workbook that shows a sealed row or counts or adds it: ``Accounts!G17``."""
    tables = cut if isinstance(cut, Tables) else Tables(cut)
    _same_cut(document, tables.cut)
    names = TABLES[table].key
    if set(key) != set(names):
        raise CellError(f"table {table}: expected the key {', '.join(names)}, found {', '.join(key)}")
    rows = selected(tables, Source(table, names[0], "count", tuple((name, "=", str(key[name])) for name in names)))
    if not len(rows):
        return []
    row = int(rows[0])
    found = []
    for sheet, place in document["sheets"].items():
        if "cells" in place:
            for cell, entry in place["cells"].items():
                if entry["table"] == table and row in selected(tables, source_of(entry)):
                    found.append(f"{sheet}!{cell}")
        elif place["table"] == table:
            number = _sheet_row(place, row)
            if number is not None:
                found += [f"{sheet}!{letter}{number}" for letter in place["columns"]]
    return found


Changes = Mapping[str, Mapping[tuple, frozenset[str]]]
"""Table -> key of a changed row -> its changed columns."""


def cells_touched(document: Mapping, tables: Tables, otherwise: Tables, changes: Changes) -> list[str]:
    """The cells of a workbook that would show something else with the tables of ``otherwise``.

    ``changes``: the rows in which the two differ. Rows that only ``otherwise`` has stand in no cell.
    """
    _same_cut(document, tables.cut)
    rows = {table: _row_numbers(tables, table) for table in changes}
    found = []
    for sheet, place in document["sheets"].items():
        if "cells" in place:
            for cell, entry in place["cells"].items():
                source = source_of(entry)
                if source.table in changes and read(tables, source) != read(otherwise, source):
                    found.append(f"{sheet}!{cell}")
        elif place["table"] in changes:
            for key, columns in changes[place["table"]].items():
                row = rows[place["table"]].get(key)
                number = None if row is None else _sheet_row(place, row)
                if number is not None:
                    shown = place["columns"].items()
                    found += [f"{sheet}!{at}{number}" for at, name in shown if name in columns]
    return found


def _row_numbers(tables: Tables, table: str) -> dict[tuple, int]:
    rows = tables.get(table)
    if rows is None:
        return {}
    columns = [rows[name].to_pylist() for name in TABLES[table].key]
    return {key: number for number, key in enumerate(zip(*columns, strict=True))}


def _holder(source: Source, value: object) -> Source:
    """The rows that hold an extreme."""
    sealed = -value if source.negate else value  # type: ignore[operator]
    return Source(source.table, source.column, "count", (*source.where, (source.column, "=", str(sealed))))


def _sealed_row(place: Mapping, number: int) -> int | None:
    at = number - place["first_row"]
    if not 0 <= at < place["count"]:
        return None
    return place["rows"][at] if "rows" in place else place["first"] + at


def _sheet_row(place: Mapping, row: int) -> int | None:
    if "rows" in place:
        return place["first_row"] + place["rows"].index(row) if row in place["rows"] else None
    at = row - place["first"]
    return place["first_row"] + at if 0 <= at < place["count"] else None


def _same_cut(document: Mapping, cut: SealedCut) -> None:
    found = (cut.manifest["cut"], cut.manifest["version"])
    if (document["cut"], document["version"]) != found:
        expected = f"cut {document['cut']} v{document['version']}"
        raise CellError(f"{document['workbook']}: expected {expected}, found {found[0]} v{found[1]}")
