"""Funding in resolution, client portability, critical functions."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from streaming.risk import rulebook
from streaming.risk.capital import resolution
from streaming.risk.capital.resolution import Obstacle
from streaming.risk.money import MICRO

RULES = rulebook.load().at(date(2026, 11, 1))
NOTHING = resolution.FundingInputs(0, 0, 0, 0, (), (), 0, 0, 0, {}, 0, 0)


def path(**inputs):
    """Inputs in dollars."""
    scaled = {}
    for name, value in inputs.items():
        if isinstance(value, tuple):
            scaled[name] = tuple((due, amount * MICRO) for due, amount in value)
        elif isinstance(value, dict):
            scaled[name] = {kind: amount * MICRO for kind, amount in value.items()}
        else:
            scaled[name] = value * MICRO
    return resolution.funding_path(replace(NOTHING, **scaled), RULES)


def dollars(column):
    return [float(value) / MICRO for value in column]


def test_the_horizon_is_that_of_the_plan():
    assert path().days.tolist() == [0, 1, 2, 5, 10, 30]


def test_free_credits_leave_along_the_run_off_curve_linear_between_its_points():
    assert dollars(path(free_credits=1000).outflows["client free credits withdrawn"]) == [0, 200, 275, 500, 560, 800]


def test_short_proceeds_and_debits_run_off_a_tenth_a_day():
    found = path(short_proceeds=100, debits=200)
    assert dollars(found.outflows["short proceeds returned"]) == [0, 10, 20, 50, 100, 100]
    assert dollars(found.inflows["client debits repaid"]) == [0, 20, 40, 100, 200, 200]


def test_clearing_margin_is_value_at_risk_and_a_quarter_from_the_first_day():
    assert dollars(path(cleared_var=80).outflows["clearing-house margin"]) == [100] * 6


def test_overnight_funding_goes_on_day_one_and_term_funding_at_maturity():
    found = path(overnight_funding=50, term_funding=((3, 7), (30, 20), (90, 1000)))
    assert dollars(found.outflows["overnight funding not rolled"]) == [0, 50, 50, 50, 50, 50]
    assert dollars(found.outflows["term funding matured"]) == [0, 0, 0, 7, 7, 27]


def test_the_matched_book_unwinds_on_both_sides_alike():
    assert dollars(path(matched_book=((2, 500),)).gap) == [0] * 6


def test_costs_accrue_and_reduce_capital():
    found = path(annual_cost=365, capital=1000)
    assert dollars(found.outflows["operational cost"]) == [0, 1, 2, 5, 10, 30]
    assert dollars(found.outflows["wind-down cost"])[-1] == pytest.approx(0.05 * 365)
    assert dollars(found.capital)[-1] == pytest.approx(1000 - 30 - 18.25)


def test_liquid_assets_count_after_haircut_from_day_one_and_an_unknown_class_for_nothing():
    found = path(liquid_assets={"treasury": 100, "paintings": 50}, capital=1000)
    assert dollars(found.inflows["liquid assets after haircut"]) == [0, 98, 98, 98, 98, 98]
    assert dollars(found.capital)[1] == 1000 - 52


def test_the_reserve_account_pays_only_what_customers_withdraw():
    found = path(free_credits=1000, reserve_account=300, cash=5)
    assert dollars(found.inflows["reserve account"]) == [0, 200, 275, 300, 300, 300]
    assert dollars(found.gap) == [5, 5, 5, -195, -255, -495]
    assert (found.minimum, found.minimum_day, found.need) == (-495 * MICRO, 30, 495 * MICRO)


def test_the_worst_day_may_lie_in_between():
    found = path(overnight_funding=100, debits=1000, cash=10)
    assert dollars(found.gap) == [10, 10, 110, 410, 910, 910]
    squeezed = path(overnight_funding=250, debits=1000, cash=10)
    assert (squeezed.minimum, squeezed.minimum_day) == (-140 * MICRO, 1)


def test_a_firm_with_enough_liquidity_has_no_need():
    assert path(cash=100, free_credits=100).need == 0


def test_accounts_that_can_be_ported_and_what_stands_against_the_others():
    columns = [[100, 0, 0, 50], [-5, 0, 0, 0], [70, 1, 0, 0], [30, 0, 2, 0], [20, 0, 0, 0]]
    accounts = resolution.PortingAccounts(*(np.array(column) * MICRO for column in zip(*columns)))
    found = resolution.portability(accounts, reserve_surplus=0)
    assert found.obstacle.tolist() == [
        Obstacle.NONE, Obstacle.NEGATIVE_EQUITY, Obstacle.UNMET_CALL, Obstacle.NOT_SEGREGATED, Obstacle.NONE,
    ]  # fmt: skip
    assert (found.accounts, found.value) == (2, 120 * MICRO)
    short = resolution.portability(accounts, reserve_surplus=-1)
    assert (short.accounts, short.value) == (1, 20 * MICRO)
    assert short.blocked["reserve short"] == (1, 100 * MICRO)
    assert sum(count for count, _ in short.blocked.values()) + short.accounts == 5


def test_critical_functions_that_end_with_the_firm_are_listed_longest_first():
    functions = (
        resolution.CriticalFunction("clearing access", "clearing house", False, 20),
        resolution.CriticalFunction("custodian accounts", "custodian", True, 90),
        resolution.CriticalFunction("market data", "vendor", False, 5),
        resolution.CriticalFunction("staff", "firm", False, 60),
    )
    assert [item.name for item in resolution.unsupported(functions, 10)] == ["staff", "clearing access"]
