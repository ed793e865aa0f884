"""Transaction reports: check digits, the 65 fields, faults, exclusions."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from capital_books import accounts, day, instruments
from hypothesis import assume, given
from hypothesis import strategies as st

from streaming.risk import rulebook
from streaming.risk.capital import mifid
from streaming.risk.reference import AccountKind, Kind, Right, Style

RULES = rulebook.load().at(date(2026, 11, 1))
FIRM, CLIENT, BROKER = "5493001KJTIIGC8Y1R12", "HWUPKR0MPOU8FGXBT394", "INR2EJN1ERAN0W5ZP974"
ENTITY = mifid.Entity(FIRM, FIRM, True, "IE")
TIME = int(np.datetime64("2026-11-16T14:30:00.000123", "us").astype(int))

STOCK = {"id": "AAPL", "isin": "US0378331005"}
OPTION = {"id": "AAPL C 150", "kind": Kind.OPTION, "underlying": 0, "right": Right.CALL, "strike": 150.5,
          "style": Style.AMERICAN, "expiry": day("2026-12-18")}  # fmt: skip
INDEX_PUT = OPTION | {"id": "SPX P", "underlying": 3, "right": Right.PUT, "style": Style.EUROPEAN}
INDEX = {"id": "SPX", "kind": Kind.INDEX, "isin": "US78378X1072"}
REFERENCE = instruments(STOCK, OPTION, {"id": "NOISIN"}, INDEX, INDEX_PUT)
TRADE = {"reference": "t-0001", "account": 0, "instrument": 0, "buy": True, "quantity": 100, "price": 150_250_000,
         "time": TIME, "venue": "XNAS", "counterparty_lei": BROKER}  # fmt: skip


def extract(*changes, scope=None, **keywords):
    owners = accounts(AccountKind.CUSTOMER, AccountKind.HOUSE)
    owners.lei[:] = [CLIENT, FIRM]
    rows = [{"reference": f"T{i}"} | change for i, change in enumerate(changes)]
    table = pa.Table.from_pylist([TRADE | row for row in rows], schema=None)
    for name in {name for row in rows for name in row} - set(table.column_names):
        table = table.append_column(name, pa.array([row.get(name) for row in rows]))
    inside = np.ones(len(REFERENCE), dtype=bool) if scope is None else scope
    return mifid.transaction_reports(
        table, owners, REFERENCE, inside, ENTITY, RULES, trade_day="2026-11-16", **keywords
    )


def fields(report_table, row=0):
    """Non-blank fields by number."""
    values = [column[row] for column in report_table.to_pydict().values()]
    return {number: value for number, value in enumerate(values, start=1) if value}


@pytest.mark.parametrize("lei", [FIRM, CLIENT, BROKER, "529900T8BM49AURSDO55"])
def test_public_legal_entity_identifiers_are_valid(lei):
    assert mifid.lei_is_valid(lei)


@pytest.mark.parametrize(
    "lei", ["", "5493001KJTIIGC8Y1R13", FIRM.lower(), FIRM[:-1], FIRM + "0", "5493001KJTIIGC8YR112"]
)
def test_changed_legal_entity_identifiers_are_not(lei):
    assert not mifid.lei_is_valid(lei)


@given(st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_one_wrong_character_of_its_kind_never_passes_as_an_identifier(position, character):
    assume(character.isdigit() == FIRM[position].isdigit())  # a letter counts as two digits: mod 97 may miss a swap
    changed = FIRM[:position] + character + FIRM[position + 1 :]
    assert mifid.lei_is_valid(changed) == (changed == FIRM)


@pytest.mark.parametrize("isin", ["US0378331005", "AU0000XVGZA3", "GB0002634946", "US5949181045", "US78378X1072"])
def test_public_securities_identifiers_are_valid(isin):
    assert mifid.isin_is_valid(isin)


@pytest.mark.parametrize("isin", ["", "US0373831005", "US0378331004", "us0378331005", "US037833100", "12AB78331005"])
def test_changed_securities_identifiers_are_not(isin):
    assert not mifid.isin_is_valid(isin)


def test_market_codes_need_their_shape_and_must_be_in_use():
    assert mifid.mic_is_valid("XNAS", RULES)
    assert mifid.mic_is_valid("XOFF", RULES)
    assert not mifid.mic_is_valid("xnas", RULES)
    assert not mifid.mic_is_valid("XNASD", RULES)
    assert not mifid.mic_is_valid("QQQQ", RULES)


def test_a_client_purchase_fills_these_fields_and_no_other():
    found = extract({"reference": "t-0001"})
    assert found.faults == ()
    assert found.reports.num_columns == 65
    assert fields(found.reports) == {
        1: "NEWT", 2: "T0001", 4: FIRM, 5: "true", 6: FIRM, 7: CLIENT, 8: "IE", 16: BROKER, 25: "false",
        28: "2026-11-16T14:30:00.000123Z", 29: "AOTC", 30: "100", 33: "150.25", 34: "USD", 36: "XNAS", 37: "IE",
        41: "US0378331005", 59: "NORE", 65: "false",
    }  # fmt: skip


def test_a_house_short_sale_deals_on_own_account():
    found = extract(
        {"account": 1, "buy": False, "short_sale": True, "decision_maker": "IE19800101ANNA#", "executor": "ALGO7"}
    )
    assert [(fault.field, fault.found) for fault in found.faults] == [(57, "IE19800101ANNA#")]
    found = extract({"account": 1, "buy": False, "short_sale": True, "decision_maker": "ALGO1", "executor": "ALGO7"})
    chosen = fields(found.reports)
    assert (chosen[7], chosen[16], chosen[29], chosen[62]) == (BROKER, FIRM, "DEAL", "SESH")
    assert (chosen[57], chosen[58], chosen[59], chosen[60]) == ("ALGO1", "IE", "ALGO7", "IE")


@pytest.mark.parametrize(("short", "code"), [(True, "SESH"), (False, "SELL"), (None, "UNDI")])
def test_short_selling_indicator_of_a_sale(short, code):
    assert fields(extract({"buy": False, "short_sale": short}).reports)[62] == code


def test_an_option_without_own_identifier_is_described_by_its_underlying():
    chosen = fields(extract({"instrument": 1, "venue": "XOFF"}).reports)
    assert {number: chosen.get(number) for number in (41, 43, 46, 47, 50, 51, 53, 55, 56, 62, 37)} == {
        41: None, 43: "OCASPS", 46: "100", 47: "US0378331005", 50: "CALL", 51: "150.5", 53: "AMER", 55: "2026-12-18",
        56: "PHYS", 62: None, 37: None,
    }  # fmt: skip


def test_an_index_option_settles_in_cash_and_names_its_index():
    chosen = fields(extract({"instrument": 4}).reports)
    assert (chosen[43], chosen[48], chosen[50], chosen[53], chosen[56]) == ("OPEICS", "SPX", "PUTO", "EURO", "CASH")


def test_out_of_scope_and_unidentified_instruments_are_excluded_and_counted():
    scope = np.array([True, False, True, True, True])
    found = extract({}, {"instrument": 1}, {"instrument": 2}, {"instrument": 2}, scope=scope)
    assert found.reports.num_rows == 1
    assert found.excluded == {"instrument outside EU and UK scope": 1, "instrument without ISIN": 2}


def test_a_cancelled_trade_is_reported_as_such_and_may_repeat_its_reference():
    found = extract({"reference": "X1"}, {"reference": "X1", "cancelled": True})
    assert found.reports.column("report status").to_pylist() == ["NEWT", "CANC"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"counterparty_lei": "INR2EJN1ERAN0W5ZP975"}, 16),
        ({"venue": "NOPE"}, 36),
        ({"quantity": 0}, 30),
        ({"price": -1}, 33),
        ({"capacity": "AGNT"}, 29),
        ({"executor": "John the trader"}, 59),
        ({"reference": "A" * 53}, 2),
        ({"reference": "--"}, 2),
    ],
)
def test_a_fault_holds_the_trade_back_and_names_field_and_finding(change, field):
    found = extract({}, change)
    assert found.reports.num_rows == 1
    assert [fault.field for fault in found.faults] == [field]
    assert found.faults[0].expected
    assert found.faults[0].name == RULES.parameter("mifid.rts22.fields").value[field - 1]


def test_a_client_without_identifier_is_a_fault():
    owners = accounts(AccountKind.CUSTOMER)
    table = pa.Table.from_pylist([TRADE])
    inside = np.ones(len(REFERENCE), dtype=bool)
    found = mifid.transaction_reports(table, owners, REFERENCE, inside, ENTITY, RULES, trade_day="2026-11-16")
    assert [(fault.field, fault.found) for fault in found.faults] == [(7, "")]


def test_a_reference_used_twice_is_a_fault():
    found = extract({"reference": "a-1"}, {"reference": "A1"})
    assert [(fault.field, fault.expected) for fault in found.faults] == [(2, "a reference used once")]


@pytest.mark.parametrize(
    ("trade_day", "holidays", "due"),
    [("2026-11-16", (), "2026-11-17"), ("2026-11-20", (), "2026-11-23"), ("2026-12-24", ("2026-12-25",), "2026-12-28")],
)
def test_reports_are_due_the_next_working_day(trade_day, holidays, due):
    table = pa.Table.from_pylist([TRADE])
    owners = accounts(AccountKind.HOUSE)
    inside = np.zeros(len(REFERENCE), dtype=bool)
    found = mifid.transaction_reports(
        table, owners, REFERENCE, inside, ENTITY, RULES, trade_day=trade_day, holidays=holidays
    )
    assert found.due == due
    assert found.reports.num_rows == 0
    assert found.reports.num_columns == 65


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="venue"):
        mifid.transaction_reports(
            pa.Table.from_pylist([TRADE]).drop_columns(["venue"]), accounts(AccountKind.HOUSE), REFERENCE,
            np.ones(5, dtype=bool), ENTITY, RULES, trade_day="2026-11-16",
        )  # fmt: skip
