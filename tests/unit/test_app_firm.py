"""The capital application on a small firm: any number of shards, reconciliations, planted faults, what is carried."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streaming.apps import views
from streaming.apps.firm import FirmApp, FirmState
from streaming.apps.firm_options import scan_table
from streaming.engine.canonical import decode, encode, table_digest
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.money import MICRO
from streaming.risk.rulebook import load
from streaming.schema import results
from streaming.schema.sealed import TABLES
from tests.unit.capital_books import day
from tests.unit.firm_books import EQUITY, FEE, POSITIONS, PREVIOUS, PRICE, STOCKS, stretch


def sealed(**wanted) -> dict[str, pa.Table]:
    app, cut = FirmApp(), stretch(**wanted)
    state, rows = app.apply(app.empty(0, wanted.get("shards", 1)), cut)
    assert rows == {}
    return dict(app.seal(state, cut.last))


def by(table: pa.Table, key: str, column: str) -> dict:
    return dict(zip(table[key].to_pylist(), table[column].to_pylist(), strict=True))


def failing(tables: dict[str, pa.Table]) -> list[dict]:
    checks = tables["checks"]
    zero = pa.scalar(0, checks["difference"].type)
    return checks.filter(pc.not_equal(checks["difference"], zero)).to_pylist()


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return sealed()


@pytest.mark.parametrize("shards", [2, 4])
def test_the_number_of_shards_changes_no_cent(tables, shards):
    again = sealed(shards=shards)
    assert {name: table_digest(TABLES[name], rows) for name, rows in again.items()} == {
        name: table_digest(TABLES[name], rows) for name, rows in tables.items()
    }


def test_every_reconciliation_compares_something_and_balances(tables):
    assert set(tables["checks"]["check"].to_pylist()) == {
        "stock_record", "option_clearing", "cash_to_ledger", "trading_cash", "client_quantity_to_firm",
        "client_cash_to_firm", "market_value_to_price_set", "margin_lines_to_account", "ledger_sign",
    }  # fmt: skip
    assert failing(tables) == []


def test_a_hundred_shares_too_many_at_the_depository_are_named():
    found = failing(sealed(extra=100))
    assert [(row["check"], row["key"], abs(row["difference"])) for row in found] == [("stock_record", "AAA", 100)]


def test_a_bank_balance_a_dollar_short_is_named():
    (found,) = failing(sealed(cash_off=-1))
    assert (found["check"], found["key"], found["difference"]) == ("cash_to_ledger", "USD", 1)


def test_a_difference_makes_the_books_not_current():
    assert not by(sealed()["notices"], "code", "fires")["books_not_current"]
    assert by(sealed(extra=100)["notices"], "code", "fires")["books_not_current"]


def test_the_days_result_is_a_part_of_equity(tables):
    own = sum(
        (begun + bought) * PRICE[i] - begun * PREVIOUS[i] - bought * PREVIOUS[i] - (FEE if bought else 0)
        for a, i, begun, bought in POSITIONS
        if a == 0
    )
    # one client trade is in EUR: its fee converts at 1.1
    fees = sum(FEE * (1.1 if i == 2 else 1) for a, i, _, bought in POSITIONS if a != 0 and bought)
    assert float(by(tables["headlines"], "name", "value")["equity"]) == pytest.approx(EQUITY + own + fees, abs=1e-6)


def test_lines_add_up_from_their_rows(tables):
    below: dict[tuple[str, int], int] = {}
    for row in tables["capital_inputs"].to_pylist():
        key = row["statement"], row["line"]
        below[key] = below.get(key, 0) + row["amount"]
    lines = {(row["statement"], row["line"]): row["amount"] for row in tables["capital_lines"].to_pylist()}
    assert below
    assert all(lines[key] == amount for key, amount in below.items())


def test_net_capital_follows_from_its_lines(tables):
    lines = [row for row in tables["capital_lines"].to_pylist() if row["statement"] == "net_capital"]
    amounts = {row["code"]: row["amount"] or 0 for row in lines}
    totals = {"tentative", "haircuts", "net_capital"}
    plus = {"ownership_equity", "subordinated_loans"}
    computed = sum(v if code in plus else -v for code, v in amounts.items() if code not in totals)
    assert amounts["net_capital"] == computed == by(tables["headlines"], "name", "value")["net_capital"]


def test_an_input_that_nobody_supplied_is_null_and_not_zero(tables):
    lines = {row["code"]: row for row in tables["capital_lines"].to_pylist() if row["statement"] == "net_capital"}
    assert lines["subordinated_loans"]["amount"] is None
    assert lines["subordinated_loans"]["formula"] == "not supplied"
    assert lines["deduction.aged_fails"]["amount"] == 0


def test_the_firms_stress_takes_shortfalls_by_client_and_leaves_the_house_out(tables):
    (row,) = tables["stress_firm"].to_pylist()
    assert (row["loss"], row["house_loss"]) == (183, 100)
    assert (row["client_shortfall"], row["clients_short"]) == (105, 3)
    assert (row["largest_client"], row["largest_shortfall"]) == ("C5", 60)


def test_a_deficiency_keeps_its_day_and_its_call_from_end_of_day_to_end_of_day():
    app = FirmApp()
    state, _ = app.apply(app.empty(0, 1), stretch(cut="2020-03-16/1000"))
    assert state.carry.deficient.num_rows == 0, "a cut in between carries nothing"
    state, _ = app.apply(state, stretch())
    assert state.carry.deficient.to_pylist() == [{"account": 1, "amount": 20_000 * MICRO, "since": day("2020-03-16")}]
    assert state.carry.calls.to_pylist() == [{"account": 1, "amount": 20_000 * MICRO, "since": day("2020-03-16")}]
    assert state.carry.deposits["kind"].to_pylist() == [0, 1]


def test_the_state_survives_its_encoding():
    app = FirmApp()
    state, _ = app.apply(app.empty(0, 1), stretch())
    again = decode(encode(state), FirmState)
    assert encode(again) == encode(state)
    assert again.carry.open_deposits() == state.carry.open_deposits()
    app.apply(again, stretch())


def test_only_the_series_of_the_house_are_priced_at_the_broker_dealers_points():
    cut, rules = stretch(), load().at(date(2026, 11, 1))
    market, groups = views.market(cut, len(STOCKS)), views.groups_view()(STOCKS, rules)
    vol, rates = np.full(len(STOCKS), 400_000), results.RATES.empty_table()

    def scan(house: list[int]) -> np.ndarray:
        return scan_table(np.array(house), STOCKS, market, groups, rates, vol, cut.last, rules).scan

    held, not_held = scan([0, 0, 0, -5, 0])[3], scan([5, 0, 0, 0, 0])[3]
    assert (not_held == MISSING_VALUE).all()
    assert (np.diff(held) < 0).all(), "a call is worth the less, the lower the point"
    assert scan([0, 0, 0, -5, 0])[0, [0, -1]].tolist() == [PRICE[0] * 1_150_000, PRICE[0] * 850_000]


def test_without_prices_nothing_is_computed_and_nothing_breaks():
    app, cut = FirmApp(), stretch()
    frames = {name: found for name, found in cut.frames.items() if name != "price_sets"}
    bare = type(cut)(cut.first, cut.last, cut.versions, {}, frames, cut.after)
    state, _ = app.apply(app.empty(0, 1), bare)
    assert all(table.num_rows == 0 for table in app.seal(state, bare.last).values())
