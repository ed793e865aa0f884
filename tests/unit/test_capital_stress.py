"""Capital under stress: the full recomputation, and the shock that first breaks a test."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.capital import computation
from streaming.risk.capital.computation import Ledger
from streaming.risk.capital.inputs import Elections, Line, Location
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))
STOCKS = kit.instruments({"id": "AAA"})
SHARDS = [
    kit.book(
        STOCKS,
        kit.accounts(AccountKind.CUSTOMER, AccountKind.HOUSE),
        kit.holdings((0, 0, 10_000), (1, 0, 2_000)),
        kit.cash((0, -700_000), (1, 0)),
    )
]
LEDGER = Ledger(
    sheet=kit.sheet((Line.OWNERSHIP_EQUITY, 2_000_000), (Line.SUBORDINATED_LOAN, 0)),
    record=kit.record((0, Location.LOANED, -1_000, 100_000)),
)
CUT = kit.cut(kit.prices(100))


def at(shock_ppm):
    prices = kit.prices(100 * (1 + shock_ppm / MICRO))
    return computation.under_stress(SHARDS, LEDGER, CUT, prices, None, Elections(), RULES)


def values(found):
    return {item.code: item.value / MICRO for item in found.net_capital.lines if item.supplied}


def test_no_shock_changes_nothing():
    part = computation.merged_part(SHARDS, CUT.prices, RULES)
    base = computation.compute(part, STOCKS, SHARDS[0].accounts, LEDGER, CUT, Elections(), RULES)
    same = at(0)
    assert same.net_capital.net == base.net_capital.net
    assert same.customer.deposit == base.customer.deposit


def test_a_fall_hits_equity_collateral_haircuts_and_the_reserve_in_full():
    found = at(-400_000)
    after = values(found)
    assert after["ownership_equity"] == 2_000_000 - 80_000  # the firm's 2,000 shares lose 40 each
    assert after["non_allowable.unsecured_debits"] == 100_000  # 10,000 shares at 60 against 700,000
    assert after["haircut.equity"] == 0.15 * 120_000
    assert next(i for i in found.customer.items if i.code == "i10").explained.inputs["unsecured"] == 100_000 * MICRO


def test_a_rise_makes_a_stock_loan_deficit():
    assert values(at(100_000))["deduction.stock_loan"] == 10_000


def test_profit_of_the_scenario_is_a_row_of_its_own():
    line = at(-400_000).net_capital.lines[0]
    assert dict(zip(line.rows.key, line.rows.amount // MICRO)) == {
        "L000": 2_000_000,
        "scenario profit or loss": -80_000,
    }


def test_reverse_stress_finds_the_first_shock_that_fires():
    code, resolution = "minimum_120pct", 100
    found = computation.reverse_stress(at, code, [-100_000 * step for step in range(1, 10)], resolution)
    assert found.test.fires
    assert found.capital.net_capital.net < 1_800_000 * MICRO
    gentler = next(t for t in at(found.shock + resolution).tests if t.code == code)
    assert not gentler.fires


def test_reverse_stress_that_never_fires_is_none():
    assert computation.reverse_stress(at, "below_minimum", [-1_000, -2_000], 100) is None


def test_reverse_stress_whose_first_shock_fires_returns_it():
    assert computation.reverse_stress(at, "minimum_120pct", [-900_000], 100).shock == -900_000


def test_reverse_stress_names_an_unknown_test():
    with pytest.raises(ValueError, match="expected one of .*below_minimum.*, found 'nonsense'"):
        computation.reverse_stress(at, "nonsense", [-1], 1)


def test_firm_without_a_balance_sheet_stays_not_supplied_under_stress():
    found = computation.under_stress(SHARDS, Ledger(), CUT, kit.prices(60), None, Elections(), RULES)
    assert "ownership_equity" in found.net_capital.missing


def test_stress_leaves_the_inputs_as_they_were():
    before = LEDGER.sheet.amount.copy()
    at(-500_000)
    assert np.array_equal(LEDGER.sheet.amount, before)
