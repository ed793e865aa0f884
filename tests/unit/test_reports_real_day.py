"""The workbooks of a day that the applications themselves sealed: every line finds its figure, every check passes."""

import pytest
from openpyxl import load_workbook

import reports
from reports.summary import NOT_COMPUTED
from tests.unit.traced_day import sealed_day

NEEDS_MORE = {
    # a year of closes
    "Exceptions of the newest window", "Zone", "VaR, one day, 99%, historical", "Expected shortfall, one day, 99%",
    "Expected shortfall, one day, 97.5%", "Proxied share of gross exposure",
    # reserve bank accounts in the ledger, and debits of customers
    "Customer reserve bank account", "Customer reserve to deposit", "PAB reserve bank account",
    "PAB reserve to deposit", "Net capital, % of aggregate debits",
    # stock loan and repo items in the ledger
    "Headroom to 2,500%: loaned and repo", "Headroom to 2,500%: borrowed and reverse repo",
    # a segregation record
    "Segregation deficits", "Hypothecation: headroom",
}  # fmt: skip
"""Lines that this small day cannot fill."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    _, cut = sealed_day(folder)
    return reports.build(cut, folder / "books", reports.Context())


@pytest.mark.parametrize("name", ["stress", "capital", "margin"])
def test_every_line_of_the_summary_finds_its_figure(written, name):
    rows = load_workbook(written[name])["Summary"].iter_rows(values_only=True)
    lacking = {row[0] for row in rows if row[6] == NOT_COMPUTED}
    assert lacking <= NEEDS_MORE, lacking - NEEDS_MORE


@pytest.mark.parametrize("name", ["stress", "capital", "margin"])
def test_every_check_of_a_workbook_passes(written, name):
    rows = load_workbook(written[name])["Checks"].iter_rows(min_row=4, values_only=True)
    wrong = [row for row in rows if row[0] in ("workbook", "rows") and "FAIL" in str(row[6])]
    assert wrong == []


@pytest.mark.parametrize("name", ["stress", "capital", "margin"])
def test_the_parameters_in_force_stand_behind_the_summary(written, name):
    rows = load_workbook(written[name])["Parameters"].iter_rows(min_row=4, values_only=True)
    found = {row[0]: row for row in rows}
    assert "regt.maintenance.long_equity" in found
    assert {row[8] for row in found.values()} == {"V", "K", "H"}
