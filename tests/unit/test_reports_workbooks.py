"""The three workbooks of a cut: what they say, how they look, and that equal input gives equal bytes."""

import hashlib
import time
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import time_machine
from openpyxl import load_workbook
from report_cuts import NASTY, NET, Size, all_tables, day_end, net_capital, seal

import reports
from reports import Context, book
from reports.stress import zone_colour
from streaming.cuts import SealedCut

CENT = Decimal("0.01")
NAMES = ("stress", "capital", "margin")


def certificate(cut: SealedCut, equal: bool = True) -> dict:
    manifest = cut.manifest
    tables = {
        name: {"live": entry["digest"], "replayed": entry["digest"] if equal else "", "equal": equal}
        for name, entry in manifest["tables"].items()
    }
    return {
        "cut": manifest["cut"],
        "version": manifest["version"],
        "equal": equal,
        "replayed_from": "the beginning of the log",
        "tables": tables,
        "states": {},
        "differences": [],
    }


def check(passed: bool, severity: str = "critical", **more: object) -> dict:
    plain = {"check": "prices are fresh", "suite": "prices", "severity": severity, "passed": passed, "expected": "0"}
    rest = {"observed": 0, "unexpected_count": 0, "owner": "market data lead", "next_step": "=ask the feed"}
    return {**plain, **rest, **more}


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> SealedCut:
    return day_end(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def context(cut) -> Context:
    return Context(certificate(cut), [check(True)], generated=["Trades are generated from a seed."])


@pytest.fixture(scope="module")
def written(cut, context, tmp_path_factory) -> dict[str, Path]:
    return reports.build(cut, tmp_path_factory.mktemp("out"), context)


def opened(written: dict[str, Path], name: str):
    return load_workbook(written[name])


def named(workbook, name: str):
    """The value of a defined name."""
    ((sheet, cell),) = workbook.defined_names[name].destinations
    return workbook[sheet][cell.replace("$", "")].value


def rows_of(sheet) -> list[list]:
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


@pytest.mark.parametrize("name", NAMES)
def test_opens_on_a_summary_with_dates_certificate_and_status(written, name):
    workbook = opened(written, name)
    assert workbook.active.title == workbook.sheetnames[0] == "Summary"
    shown = {row[0]: (row[1], row[5]) for row in rows_of(workbook["Summary"]) if row[0]}
    assert shown["Business date"][0] == datetime(2020, 3, 16)
    assert shown["Rule date"][0] == datetime(2026, 11, 1)
    assert shown["Certificate: live equals replay"] == ("EQUAL", "● OK")
    assert shown["Status"][0] == "DRAFT"
    assert shown["As of"][0] == "2020-03-16 20:30:00 UTC"


def test_margin_figures_equal_a_plain_loop_over_the_sealed_rows(cut, written):
    rows = cut.table("margin").to_pylist()
    workbook = opened(written, "margin")
    deficits = [-row["excess"] for row in rows if row["excess"] < 0]
    assert deficits, "the cut of this test has accounts in deficit"
    assert Decimal(str(named(workbook, "margin_deficit"))) == sum(deficits).quantize(CENT, ROUND_HALF_UP)
    assert named(workbook, "margin_deficit_accounts") == len(deficits)
    assert Decimal(str(named(workbook, "margin_equity"))) == sum(row["equity"] for row in rows).quantize(CENT)
    worst = max(rows, key=lambda row: row["peak_deficit"])
    assert named(workbook, "margin_peak_account") == worst["account"]
    assert named(workbook, "margin_peak_price_set") == worst["peak_price_set"]


def test_calls_are_shown_by_kind_and_due_date(cut, written):
    calls = cut.table("calls").to_pylist()
    total = sum(row["amount"] for row in calls)
    shown = {row[0]: row[1] for row in rows_of(opened(written, "margin")["Summary"])}
    assert Decimal(str(shown["Calls: maintenance, due 2020-03-20"])) == total.quantize(CENT)


def test_the_bridge_prints_a_rounding_line_where_rounded_items_do_not_add_up(written):
    shown = {row[0]: row[1] for row in rows_of(opened(written, "capital")["Bridge"])}
    steps = ("Ownership equity", "Subordinated loans", "Non-allowable assets", "Charges and deductions", "Haircuts")
    printed = [Decimal(str(shown[step])) for step in (*steps, "Undue concentration")]
    net = Decimal(net_capital()).scaleb(-6).quantize(CENT, ROUND_HALF_UP)
    assert sum(printed) != net, "the amounts of this test are chosen so"
    assert Decimal(str(shown["Net capital"])) == net
    assert sum(printed) + Decimal(str(shown["Rounding"])) == net


def test_statement_lines_are_rounded_once_and_not_supplied_is_not_zero(written):
    shown = {row[0]: row[2] for row in rows_of(opened(written, "capital")["Reserve customer"])}
    assert shown["on_deposit"] == "n/a"
    assert shown["i1"] == 1_000_000
    shown = {row[0]: row[2] for row in rows_of(opened(written, "capital")["Net capital"])}
    exact = Decimal(NET["haircut.equity"]).scaleb(-6)
    assert Decimal(str(shown["haircut.equity"])) == exact.quantize(CENT, ROUND_HALF_UP)


def test_the_worst_scenario_is_the_one_with_the_largest_loss_and_grid_cells_are_no_scenarios(cut, written):
    rows = [row for row in cut.table("stress_firm").to_pylist() if not row["scenario"].startswith("GRID/")]
    worst = max(rows, key=lambda row: row["loss"])
    workbook = opened(written, "stress")
    assert named(workbook, "stress_worst_scenario") == worst["scenario"]
    assert Decimal(str(named(workbook, "stress_worst_loss"))) == worst["loss"].quantize(CENT)


def test_the_heat_map_shows_every_grid_cell_once(cut, written):
    sheet = opened(written, "stress")["Heat map"]
    table = rows_of(sheet)[2:]
    vols = [text.split("%")[0] for text in table[0][1:]]
    shown = {
        (row[0].rstrip("%"), vol): Decimal(str(value))
        for row in table[1:]
        for vol, value in zip(vols, row[1:], strict=True)
    }
    sealed = {row["scenario"]: row["loss"] for row in cut.table("stress_totals").to_pylist()}
    assert len(shown) == sum(name.startswith("GRID/") for name in sealed)
    for (spot, vol), value in shown.items():
        assert value == sealed[f"GRID/{spot}%/{vol}%"].quantize(CENT)


@pytest.mark.parametrize("name", NAMES)
def test_every_check_passes_on_a_consistent_cut(written, name):
    rows = rows_of(opened(written, name)["Checks"])[3:]
    results = [row[6] for row in rows if row[0]]
    assert len(results) > 10
    assert set(results) == {"● pass"}, [row for row in rows if row[6] != "● pass"]


def test_a_total_that_does_not_reconcile_fails_its_check(tmp_path):
    tables = all_tables(Size())
    equity = tables["exposure"]["equity"].to_pylist()
    broken = [equity[0] + CENT, *equity[1:]]
    at = tables["exposure"].schema.get_field_index("equity")
    tables["exposure"] = tables["exposure"].set_column(
        at, tables["exposure"].schema.field(at), pa.array(broken, pa.decimal128(18, 6))
    )
    cut = seal(tmp_path / "store", tables)
    written = reports.build(cut, tmp_path / "out", Context())
    row = next(
        r for r in rows_of(opened(written, "margin")["Checks"]) if r[1] == "Accounts: equity = equity of exposure"
    )
    assert row[6] == "■ FAIL"
    assert Decimal(str(row[5])) == -CENT


def test_detail_sheets_hold_the_sealed_values_exactly(cut, written):
    sheet = opened(written, "margin")["Accounts"]
    names = cut.table("margin").column_names
    for shown, sealed in zip(
        sheet.iter_rows(min_row=4, values_only=True), cut.table("margin").to_pylist(), strict=True
    ):
        for name, value in zip(names, shown, strict=True):
            if isinstance(sealed[name], Decimal):
                assert Decimal(str(value)) == sealed[name], name
            else:
                assert (value or "") == sealed[name], name


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_holds_a_formula_an_error_or_nan(written, name):
    for sheet in opened(written, name).worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", f"{sheet.title}!{cell.coordinate}: {cell.value}"
                assert cell.data_type != "e", f"{sheet.title}!{cell.coordinate}: {cell.value}"
                assert str(cell.value).lower() not in ("nan", "inf", "-inf")
                assert cell.value != "None"


def test_dangerous_text_is_kept_as_text_and_marked_so(cut, written):
    sheet = opened(written, "margin")["Quarantine"]
    details = [row[5] for row in sheet.iter_rows(min_row=4)]
    assert [cell.value for cell in details] == list(NASTY[:3])
    assert all(cell.data_type == "s" and cell.quotePrefix for cell in details)
    steps = [row[8] for row in opened(written, "margin")["Checks"].iter_rows(min_row=4)]
    assert not any(cell.data_type == "f" for cell in steps)


@pytest.mark.parametrize("name", NAMES)
def test_every_sheet_is_set_up_for_reading_and_printing(written, name):
    workbook = opened(written, name)
    for sheet in workbook.worksheets:
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.page_setup.fitToWidth == 1
        assert sheet.page_setup.fitToHeight == 0
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert "&P" in sheet.oddFooter.right.text
        assert "&N" in sheet.oddFooter.right.text
        assert sheet.sheet_state == "visible"
        assert not sheet.merged_cells.ranges
    for sheet in (workbook["Accounts"] if name != "capital" else workbook["Notices"], workbook["Prices"]):
        assert sheet.freeze_panes == "B4"
        assert sheet.print_title_rows == "$1:$3"
        assert sheet.auto_filter.ref.startswith("A3:")


def test_headers_say_the_unit_and_missing_values_have_one_look(written):
    sheet = opened(written, "margin")["Instruments"]
    heads = [cell.value for cell in sheet[3]]
    assert "Market cap (USD)" in heads
    cell = sheet.cell(4, heads.index("Market cap (USD)") + 1)
    assert (cell.value, cell.style) == ("n/a", "Missing")
    expiry = sheet.cell(4, heads.index("Expiry") + 1)
    assert (expiry.value, expiry.style) == ("n/a", "Missing")
    assert opened(written, "margin")["Accounts"].cell(4, 6).style == "Money"
    assert sheet.cell(4, 1).style == "Input text"


def test_columns_are_wide_enough_for_their_largest_number(written):
    sheet = opened(written, "margin")["Accounts"]
    for column in sheet.iter_cols(min_row=4):
        shown = max(len(f"{cell.value:,.2f}") for cell in column) if column[0].style == "Money" else 0
        assert sheet.column_dimensions[column[0].column_letter].width > shown


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_has_native_charts_over_cells(written, name):
    charts = opened(written, name)["Summary"]._charts
    assert len(charts) >= 3
    for chart in charts:
        assert "Chart data" in chart.series[0].val.numRef.f


def test_about_lists_every_table_digest_and_links_every_sheet(cut, written):
    workbook = opened(written, "margin")
    sheet = workbook["About"]
    text = {cell.value for row in sheet.iter_rows() for cell in row}
    for entry in cut.manifest["tables"].values():
        assert entry["digest"] in text
    links = {cell.value: cell.hyperlink.location for row in sheet.iter_rows() for cell in row if cell.hyperlink}
    assert set(links) == set(workbook.sheetnames)
    assert links["Day path"] == "'Day path'!A1"
    assert "Trades are generated from a seed." in text


@pytest.mark.parametrize(("sheet", "columns"), [("Limits", ("Status",)), ("Limit breaches", ("Status", "Worst"))])
def test_how_a_limit_stands_is_coloured_and_said_in_words(written, sheet, columns):
    page = load_workbook(written["margin"])[sheet]
    titles = {cell.value: cell.column_letter for cell in page[book.HEADER_ROW]}
    rules = {str(place.sqref): place.rules for place in page.conditional_formatting}
    for column in columns:
        letter = titles[column]
        colours = {
            rule.formula[0].strip('"'): rule.dxf.fill.bgColor.rgb
            for rule in rules[f"{letter}{book.FIRST_ROW}:{letter}{page.max_row}"]
        }
        assert {"RED", "AMBER", "GREEN", "NOT_EVALUATED"} == set(colours)
        assert len(set(colours.values())) == 4
        words = {page[f"{letter}{row}"].value for row in range(book.FIRST_ROW, page.max_row + 1)}
        assert words <= set(colours)
        assert "RED" in words


def test_a_certificate_of_another_cut_certifies_nothing(cut, tmp_path):
    other = {**certificate(cut), "cut": "2020-03-13/eod"}
    written = reports.build(cut, tmp_path, Context(other))
    shown = {row[0]: (row[1], row[5]) for row in rows_of(opened(written, "margin")["Summary"])}
    assert shown["Certificate: live equals replay"] == ("UNEQUAL", "■ BREACH")


def test_a_certificate_of_other_digests_certifies_nothing(cut, tmp_path):
    other = certificate(cut)
    other["tables"]["margin"]["live"] = other["tables"]["margin"]["replayed"] = "00" * 32
    written = reports.build(cut, tmp_path, Context(other))
    shown = {row[0]: row[1] for row in rows_of(opened(written, "margin")["Summary"])}
    assert shown["Certificate: live equals replay"] == "UNEQUAL"


def test_a_failed_critical_check_turns_the_summary_red_and_names_its_next_step(cut, tmp_path):
    failed = check(False, check="one price per instrument", observed=float("nan"), next_step="send a correction")
    written = reports.build(cut, tmp_path, Context(certificate(cut), [failed]))
    workbook = opened(written, "stress")
    shown = {row[0]: (row[1], row[5]) for row in rows_of(workbook["Summary"])}
    assert shown["Checks"] == ("1 of 1 failed", "■ BREACH")
    row = next(row for row in rows_of(workbook["Checks"]) if row[1] == "prices: one price per instrument")
    assert row[4] == "n/a"
    assert row[6:] == ["■ FAIL", "market data lead", "send a correction"]


def test_the_change_from_the_previous_day_is_shown_beside_each_figure(cut, context, tmp_path):
    before = day_end(tmp_path / "before", Size(seed=8), cut="2020-03-13/eod")
    written = reports.build(cut, tmp_path / "out", context, before)
    row = next(row for row in rows_of(opened(written, "margin")["Summary"]) if row[0] == "Equity of all accounts")
    now, then = (pc.sum(day.table("margin")["equity"]).as_py() for day in (cut, before))
    assert [Decimal(str(value)) for value in (row[1], row[3], row[4])] == [
        value.quantize(CENT, ROUND_HALF_UP) for value in (now, then, now - then)
    ]


def test_tables_that_a_cut_lacks_are_said_to_be_not_computed(tmp_path):
    tables = all_tables(Size())
    kept = ("accounts", "instruments", "prices", "margin", "stress", "stress_underlying")
    cut = seal(tmp_path / "store", {name: tables[name] for name in kept})
    written = reports.build(cut, tmp_path / "out", Context())
    assert set(written) == set(NAMES)
    sheet = opened(written, "capital")["Notices"]
    assert sheet["A3"].value == "Not computed at this cut."
    shown = {row[0]: (row[1], row[6]) for row in rows_of(opened(written, "capital")["Summary"])}
    assert shown["Net capital"] == ("n/a", "not computed at this cut")


def test_an_empty_cut_still_gives_three_workbooks(tmp_path):
    tables = {name: rows.slice(0, 0) for name, rows in all_tables(Size()).items()}
    written = reports.build(seal(tmp_path / "store", tables), tmp_path / "out", Context())
    assert named(opened(written, "margin"), "margin_accounts") == 0


def test_more_rows_than_a_sheet_holds_go_on_the_next_sheet(cut, context, tmp_path, monkeypatch):
    monkeypatch.setattr(book, "ROOM", 5)
    written = reports.build(cut, tmp_path, context)
    workbook = opened(written, "margin")
    parts = [name for name in workbook.sheetnames if name == "Accounts" or name.startswith("Accounts (")]
    assert parts == ["Accounts", "Accounts (2)", "Accounts (3)"]
    shown = [row[0] for name in parts for row in workbook[name].iter_rows(min_row=4, values_only=True)]
    assert shown == cut.table("margin")["account"].to_pylist()


def digests(written: dict[str, Path]) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in written.items()}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
def test_the_same_cut_gives_the_same_bytes_on_any_day_in_any_time_zone(
    cut, context, written, tmp_path, zone, monkeypatch
):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with time_machine.travel(datetime(2031, 7, 4, 23, 59), tick=True):
            assert datetime.now().year == 2031
            again = reports.build(cut, tmp_path, context)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert digests(again) == digests(written)
    maps = [path.with_suffix(".cells.json").read_bytes() for path in (again["margin"], written["margin"])]
    assert maps[0] == maps[1]


def test_another_cut_gives_other_bytes(context, written, tmp_path):
    other = day_end(tmp_path / "store", Size(seed=9))
    again = reports.build(other, tmp_path / "out", context)
    assert not set(digests(again).values()) & set(digests(written).values())


def test_headroom_through_the_day_comes_from_the_earlier_cuts_given(cut, tmp_path):
    earlier = tuple(day_end(tmp_path / "store", cut=f"2020-03-16/{name}") for name in ("1000", "1030"))
    written = reports.build(cut, tmp_path / "out", Context(earlier=earlier))
    rows = rows_of(opened(written, "capital")["Chart data"])
    start = next(k for k, row in enumerate(rows) if row[0] == "Headroom through the day (USD)")
    assert rows[start + 1][1:4] == ["To the minimum (USD)", "To 120% (USD)", "To 5% of debits (USD)"]
    assert [row[0] for row in rows[start + 2 : start + 5]] == ["1000", "1030", "eod"]
    room = {row["code"]: row["headroom"] for row in cut.table("notices").to_pylist()}
    assert Decimal(str(rows[start + 4][2])) == room["minimum_120pct"]


def test_without_a_previous_day_its_columns_stay_empty(written):
    rows = rows_of(opened(written, "margin")["Summary"])
    (row,) = [row for row in rows if row[0] == "Equity of all accounts"]
    assert row[3:5] == [None, None]


@pytest.mark.parametrize(
    ("zone", "colour"),
    [("green: 4", "green"), ("yellow: 5", "amber"), ("red: 10", "red"), ("insufficient window: 0", "none")],
)
def test_the_zone_of_var_has_its_colour(zone, colour):
    assert zone_colour(zone) == colour


def test_the_var_of_the_summary_is_the_firms_one_day_historical(tmp_path):
    tables = all_tables(Size())
    named = ["historical, order statistic"] * tables["var"].num_rows
    at = tables["var"].schema.get_field_index("method")
    tables["var"] = tables["var"].set_column(at, tables["var"].schema.field(at), pa.array(named))
    written = reports.build(seal(tmp_path / "store", tables), tmp_path / "out", Context())
    shown = {row[0]: row[1] for row in rows_of(opened(written, "stress")["Summary"])}
    rows = [row for row in tables["var"].to_pylist() if row["level"] == "firm" and row["horizon_days"] == 1]
    (expected,) = [row["var"] for row in rows if row["confidence"] == Decimal("0.99")]
    assert Decimal(str(shown["VaR, one day, 99%, historical"])) == expected.quantize(CENT, ROUND_HALF_UP)


def test_shortfalls_are_of_clients_whose_accounts_stand_for_one_another(tmp_path):
    tables = all_tables(Size())
    worst = max(tables["stress_firm"].to_pylist(), key=lambda row: (row["loss"], row["scenario"]))["scenario"]
    owner = {row["id"]: row["client"] for row in tables["accounts"].to_pylist() if row["kind"] != "house"}
    left: dict[str, Decimal] = {}
    for row in tables["stress"].to_pylist():
        if row["scenario"] == worst and row["account"] in owner:
            client = owner[row["account"]]
            left[client] = left.get(client, Decimal(0)) + row["equity_after"]
    short = sorted((amount, client) for client, amount in left.items() if amount < 0)
    written = reports.build(seal(tmp_path / "store", tables), tmp_path / "out", Context())
    rows = rows_of(opened(written, "stress")["Chart data"])
    start = next(k for k, row in enumerate(rows) if str(row[0]).startswith("Largest client shortfalls in"))
    shown = [row[0] for row in rows[start + 2 : start + 2 + len(short)]]
    assert shown == [client for _, client in short]
