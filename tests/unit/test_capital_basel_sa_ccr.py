"""Counterparty exposure of equity options (SA-CCR)."""

from dataclasses import replace
from datetime import date
from math import exp, log, sqrt

import numpy as np
import pytest
from capital_books import day, holdings, instruments, prices
from scipy.stats import norm

from streaming.risk import rulebook
from streaming.risk.capital import sa_ccr
from streaming.risk.money import MICRO
from streaming.risk.reference import Kind, Right, UnderlyingClass

RULES = rulebook.load().at(date(2026, 11, 1))


def trades(*rows):
    """(entity, index, call, units, price, strike, years)."""
    entity, *columns = zip(*rows)
    return sa_ccr.OptionTrades(np.array(entity, dtype=object), *(np.array(column) for column in columns))


def delta(call, bought, price=100.0, strike=95.0, years=0.5, volatility=1.2):
    arguments = (np.array(value) for value in (call, bought, price, strike, years, volatility))
    return float(sa_ccr.supervisory_delta(*arguments))


def test_supervisory_delta_of_the_four_positions():
    d1 = (log(100 / 95) + 0.5 * 1.2**2 * 0.5) / (1.2 * sqrt(0.5))
    assert delta(True, True) == pytest.approx(norm.cdf(d1))
    assert delta(True, False) == pytest.approx(-norm.cdf(d1))
    assert delta(False, True) == pytest.approx(-norm.cdf(-d1))
    assert delta(False, False) == pytest.approx(norm.cdf(-d1))


@pytest.mark.parametrize(("price", "expected"), [(101.0, 1.0), (99.0, 0.0), (0.0, 0.0)])
def test_at_expiry_and_without_a_price_the_delta_is_its_limit(price, expected):
    assert delta(True, True, price=price, strike=100.0, years=0.0) == expected
    assert np.isfinite(delta(True, True, price=100.0, strike=100.0, years=0.0))


@pytest.mark.parametrize(
    ("years", "factor"), [(0.5, sqrt(0.5)), (3.0, 1.0), (0.0, sqrt(10 / 250)), (0.01, sqrt(10 / 250))]
)
def test_maturity_factor_is_capped_at_a_year_and_floored_at_ten_business_days(years, factor):
    assert sa_ccr.maturity_factor(np.array([years]), RULES)[0] == pytest.approx(factor)


def test_a_margined_set_depends_on_the_margin_period_only():
    agreement = sa_ccr.MarginAgreement(0, 0, 0, period=10 / 250)
    assert sa_ccr.maturity_factor(np.array([0.1, 5.0]), RULES, agreement).tolist() == [1.5 * sqrt(10 / 250)] * 2


def test_one_name_charges_its_factor_times_effective_notional():
    add_on = sa_ccr.equity_add_on(trades(("X", False, True, 1000, 100.0, 95.0, 0.5)), RULES)
    assert add_on == pytest.approx(0.32 * delta(True, True) * 1000 * 100 * sqrt(0.5))


def test_names_share_half_and_indices_four_fifths_of_the_systematic_factor():
    book = trades(("X", False, True, 1000, 100.0, 95.0, 0.5), ("I", True, False, 500, 200.0, 210.0, 2.0))
    a = 0.32 * delta(True, True) * 100_000 * sqrt(0.5)
    b = 0.20 * delta(False, True, 200.0, 210.0, 2.0, 0.75) * 100_000
    expected = sqrt((0.5 * a + 0.8 * b) ** 2 + (1 - 0.25) * a * a + (1 - 0.64) * b * b)
    assert sa_ccr.equity_add_on(book, RULES) == pytest.approx(expected)


def test_long_and_short_options_of_one_name_offset_fully_and_order_changes_no_bit():
    rows = [
        ("X", False, True, units, 100.0, strike, 0.3)
        for units, strike in ((10, 90.0), (-10, 90.0), (7, 110.0), (-3, 80.0))
    ]
    assert sa_ccr.equity_add_on(trades(*rows), RULES) == sa_ccr.equity_add_on(trades(*rows[::-1]), RULES)
    assert sa_ccr.equity_add_on(trades(*rows[:2]), RULES) == 0


def test_exposure_of_an_unmargined_set_with_and_without_excess_collateral():
    owed = sa_ccr.exposure_at_default(50.0, 20.0, 100.0, RULES)
    assert (owed.replacement_cost, owed.multiplier) == (30.0, 1.0)
    assert owed.exposure == pytest.approx(1.4 * 130)
    assert owed.micros == 182 * MICRO
    over = sa_ccr.exposure_at_default(-50.0, 20.0, 100.0, RULES)
    assert over.replacement_cost == 0
    assert over.multiplier == pytest.approx(0.05 + 0.95 * exp(-70 / (2 * 0.95 * 100)))


def test_replacement_cost_of_a_margined_set_covers_the_largest_exposure_without_a_call():
    agreement = sa_ccr.MarginAgreement(threshold=10.0, minimum_transfer=2.0, independent_amount=4.0, period=0.04)
    assert sa_ccr.exposure_at_default(5.0, 5.0, 1.0, RULES, agreement).replacement_cost == 8.0
    secured = sa_ccr.MarginAgreement(0.0, 0.0, independent_amount=50.0, period=0.04)
    assert sa_ccr.exposure_at_default(-5.0, 0.0, 1.0, RULES, secured).replacement_cost == 0.0


def test_without_add_on_only_the_replacement_cost_counts():
    none = sa_ccr.exposure_at_default(-10.0, 0.0, 0.0, RULES)
    assert (none.multiplier, none.exposure) == (1.0, 0.0)


def test_far_overcollateralised_exposure_stays_at_the_floor():
    assert sa_ccr.exposure_at_default(0.0, 1e9, 1.0, RULES).multiplier == pytest.approx(0.05)


def test_option_exposure_joins_add_on_value_and_collateral():
    book = trades(("X", False, False, -1000, 100.0, 95.0, 0.5))
    whole = sa_ccr.option_exposure(book, -300.0, 0.0, RULES)
    assert whole == sa_ccr.exposure_at_default(-300.0, 0.0, sa_ccr.equity_add_on(book, RULES), RULES)


def test_options_among_holdings_become_trades_and_incomplete_ones_are_named():
    today = day("2026-11-16")
    option = {"kind": Kind.OPTION, "underlying": 0, "right": Right.PUT, "strike": 95, "expiry": today + 73}
    index = {"id": "I", "kind": Kind.INDEX, "underlying_class": UnderlyingClass.BROAD_INDEX}
    book = instruments(
        {"id": "X", "issuer": "X INC"}, {"id": "XP"} | option, index,
        {"id": "IC"} | option | {"underlying": 2, "right": Right.CALL}, {"id": "Q"} | option | {"multiplier": 0},
    )  # fmt: skip
    market = replace(prices(100, 3, None, 4, 5), time=today * 86_400_000_000)
    held = holdings((0, 0, 50), (0, 1, -2), (0, 3, 7), (0, 4, 1))
    found, incomplete = sa_ccr.option_trades(held, book, market)
    assert found.entity.tolist() == ["X INC", "I", "X INC"]
    assert found.index.tolist() == [False, True, False]
    assert found.call.tolist() == [False, True, False]
    assert found.units.tolist() == [-200, 700, 1]
    assert found.price.tolist() == [100.0, 95.0, 100.0]
    assert found.years.tolist() == [0.2] * 3
    assert incomplete.tolist() == [3, 4]
    assert sa_ccr.equity_add_on(found, RULES) > 0
