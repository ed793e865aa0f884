"""From cells to sealed rows and back: what the map says a cell shows is what stands in it."""

import random
from decimal import ROUND_HALF_UP, Decimal

import pytest
from openpyxl import load_workbook
from openpyxl.utils import coordinate_to_tuple
from report_cuts import Size, day_end

import reports
from reports import Context
from reports.provenance import CellError, cell_source, cells_of, load_cells
from reports.sources import Tables

CENT = Decimal("0.01")
SAMPLE = 200


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    return day_end(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def written(cut, tmp_path_factory):
    return reports.build(cut, tmp_path_factory.mktemp("out"), Context())


def mapped_cells(document) -> list[tuple[str, str]]:
    """Every (sheet, cell) of a map."""
    found = []
    for sheet, place in document["sheets"].items():
        found += [(sheet, cell) for cell in place.get("cells", ())]
        rows = range(place["first_row"], place["first_row"] + place["count"]) if "columns" in place else ()
        found += [(sheet, f"{letter}{row}") for row in rows for letter in place["columns"]]
    return found


def same(shown: object, sealed: object, rounded: bool) -> bool:
    if isinstance(sealed, Decimal):
        value = sealed.quantize(CENT, ROUND_HALF_UP)
        return Decimal(str(shown)) in ((value, sealed) if rounded else (sealed,))
    if sealed is None or sealed == -1:
        return shown in ("n/a", sealed)
    if isinstance(sealed, bool):
        return shown == ("yes" if sealed else "no")
    if isinstance(sealed, int):
        return shown == sealed
    return str(shown or "")[:10] == str(sealed)[:10]


@pytest.mark.parametrize("name", ["stress", "capital", "margin"])
def test_random_cells_show_what_their_source_gives(cut, written, name):
    document, workbook, tables = load_cells(written[name]), load_workbook(written[name]), Tables(cut)
    cells = mapped_cells(document)
    for sheet, cell in random.Random(5).sample(cells, min(SAMPLE, len(cells))):
        source = cell_source(document, sheet, cell, tables)
        shown = workbook[sheet][cell].value
        assert same(shown, source.value, "cells" in document["sheets"][sheet]), (sheet, cell, shown, source)


@pytest.mark.parametrize("name", ["stress", "capital", "margin"])
def test_every_reported_figure_is_what_its_source_gives(cut, written, name):
    document, workbook, tables = load_cells(written[name]), load_workbook(written[name]), Tables(cut)
    for sheet in ("Summary", "Chart data"):
        for cell in document["sheets"][sheet]["cells"]:
            source = cell_source(document, sheet, cell, tables)
            assert same(workbook[sheet][cell].value, source.value, True), (sheet, cell, source)


def test_a_detail_cell_names_its_table_key_and_column(cut, written):
    document = load_cells(written["margin"])
    row = cut.table("margin").to_pylist()[3]
    source = cell_source(document, "Accounts", "F7", cut)
    assert (source.table, source.column, source.keys) == ("margin", "equity", ({"account": row["account"]},))
    assert source.value == row["equity"]


def test_a_sum_names_the_rows_it_adds_up(cut, written):
    document, workbook = load_cells(written["margin"]), load_workbook(written["margin"])
    ((sheet, cell),) = workbook.defined_names["margin_deficit"].destinations
    source = cell_source(document, sheet, cell.replace("$", ""), cut)
    short = [row["account"] for row in cut.table("margin").to_pylist() if row["excess"] < 0]
    assert (source.how, source.negated) == ("sum", True)
    assert [key["account"] for key in source.keys] == short


def test_a_sealed_row_leads_to_every_cell_that_shows_it(cut, written):
    document = load_cells(written["margin"])
    rows = cut.table("margin").to_pylist()
    at = next(k for k, row in enumerate(rows) if row["excess"] < 0)
    found = cells_of(document, cut, "margin", {"account": rows[at]["account"]})
    assert f"Accounts!A{at + 4}" in found
    workbook = load_workbook(written["margin"])
    ((sheet, cell),) = workbook.defined_names["margin_deficit"].destinations
    assert f"{sheet}!{cell.replace('$', '')}" in found
    for place in found:
        sheet, _, cell = place.partition("!")
        assert {"account": rows[at]["account"]} in cell_source(document, sheet, cell, cut).keys
    assert cells_of(document, cut, "margin", {"account": "nobody"}) == []


def test_rows_of_a_selection_are_traced_to_their_own_place(cut, written):
    document, workbook = load_cells(written["margin"]), load_workbook(written["margin"])
    sheet = workbook["Price exceptions"]
    for row in sheet.iter_rows(min_row=4):
        source = cell_source(document, "Price exceptions", row[0].coordinate, cut)
        assert source.keys == ({"instrument": row[0].value},)
        assert coordinate_to_tuple(row[0].coordinate)[1] == 1


@pytest.mark.parametrize("cell", ["A1", "Z4", "A99999", "nonsense"])
def test_cells_that_show_no_sealed_value_are_refused_by_name(cut, written, cell):
    with pytest.raises(CellError, match=rf"margin\.xlsx Accounts!{cell}"):
        cell_source(load_cells(written["margin"]), "Accounts", cell, cut)


def test_a_map_is_not_read_against_another_cut(written, tmp_path):
    other = day_end(tmp_path, Size(seed=3), version=2)
    with pytest.raises(CellError, match="expected cut 2020-03-16/eod v1, found 2020-03-16/eod v2"):
        cell_source(load_cells(written["margin"]), "Accounts", "A4", other)


def test_a_workbook_without_its_map_is_said_so(tmp_path):
    with pytest.raises(CellError, match=r"expected margin\.cells\.json beside it"):
        load_cells(tmp_path / "margin.xlsx")
