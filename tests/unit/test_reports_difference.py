"""The Difference of two versions: every changed cell once, and parts that add up to the change."""

from decimal import Decimal

import pyarrow as pa
from openpyxl import load_workbook
from report_cuts import Size, all_tables, seal

import reports

CENT = Decimal("0.01")


def with_column(table: pa.Table, name: str, values: list) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))


def versions(folder, change):
    """Version 1 of an invented cut, and version 2 after ``change`` of its tables."""
    tables = all_tables(Size())
    first = seal(folder, tables)
    return first, seal(folder, change(dict(tables)), version=2)


def test_equal_versions_do_not_differ(tmp_path):
    first, second = versions(tmp_path, lambda tables: tables)
    assert reports.difference(first, second).num_rows == 0


def test_each_changed_cell_is_listed_with_old_new_and_change(tmp_path):
    def change(tables):
        equity = tables["margin"]["equity"].to_pylist()
        tables["margin"] = with_column(tables["margin"], "equity", [equity[0] + CENT, *equity[1:]])
        tables["prices"] = with_column(
            tables["prices"], "status", ["stale", *tables["prices"]["status"].to_pylist()[1:]]
        )
        return tables

    first, second = versions(tmp_path, change)
    found = reports.difference(first, second).to_pylist()
    old = first.table("margin").to_pylist()[0]
    assert [(row["table"], row["column"]) for row in found] == [("margin", "equity"), ("prices", "status")]
    assert found[0]["key"] == f"account={old['account']}"
    assert (found[0]["old"], found[0]["new"], found[0]["change"]) == (old["equity"], old["equity"] + CENT, CENT)
    assert (found[1]["old_text"], found[1]["new_text"], found[1]["change"]) == ("good", "stale", None)


def test_rows_that_came_or_went_count_from_and_to_zero_so_that_parts_add_up(tmp_path):
    def change(tables):
        tables["calls"] = tables["calls"].slice(1)
        tables["cash"] = tables["cash"].slice(0, 5)
        return tables

    first, second = versions(tmp_path, change)
    found = [row for row in reports.difference(first, second).to_pylist() if row["column"] == "amount"]
    for table in ("calls", "cash"):
        total = sum(row["change"] for row in found if row["table"] == table)
        before, after = (sum(cut.table(table)["amount"].to_pylist()) for cut in (first, second))
        assert total == after - before


def test_a_table_that_only_one_version_has_is_listed_in_full(tmp_path):
    def change(tables):
        del tables["limits"]
        return tables

    first, second = versions(tmp_path, change)
    found = reports.difference(first, second).to_pylist()
    assert {row["table"] for row in found} == {"limits"}
    assert {row["key"] for row in found} == {
        "metric=margin_deficit, level=firm, name=a",
        "metric=margin_deficit, level=firm, name=b",
    }


def test_the_workbook_lists_what_differs(tmp_path):
    def change(tables):
        amount = tables["cash"]["amount"].to_pylist()
        tables["cash"] = with_column(tables["cash"], "amount", [value + CENT for value in amount])
        return tables

    first, second = versions(tmp_path / "store", change)
    changes = reports.difference_workbook(first, second, tmp_path / "difference.xlsx")
    workbook = load_workbook(tmp_path / "difference.xlsx")
    assert workbook.sheetnames == ["Summary", "Difference"]
    shown = list(workbook["Difference"].iter_rows(min_row=4, values_only=True))
    assert len(shown) == changes.num_rows == first.table("cash").num_rows
    assert {Decimal(str(row[6])) for row in shown} == {CENT}
    again = tmp_path / "again.xlsx"
    reports.difference_workbook(first, second, again)
    assert again.read_bytes() == (tmp_path / "difference.xlsx").read_bytes()
