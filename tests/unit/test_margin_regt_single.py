"""Worked numbers of stock, debt and single options (margin_regt_4210.md, sections 2, 3, 4.1 to 4.3)."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from streaming.risk.margin import options, stock
from streaming.risk.margin.strategies import Strategy
from streaming.risk.margin.terms import PARAMETERS, Terms
from streaming.risk.money import MICRO, micros
from streaming.risk.reference import UnderlyingClass
from tests.unit.margin_regt_books import RULES, TERMS, Leg, pair, requirement, strategies


@pytest.mark.parametrize(
    ("price", "shares", "expected"),
    [
        ("0", 100, 250),  # nothing is worth less than 2.50 a share
        ("1.00", 100, 250),
        ("2.50", 100, 250),
        ("4.99", 100, 499),
        ("5.00", 100, 500),  # the 30% row, floor of 5.00
        ("16.66", 100, 500),
        ("16.67", 100, Decimal("500.10")),
        ("100.00", 100, 3000),
        ("100.00", 7, 210),  # an odd lot
    ],
)
def test_short_stock_at_every_price_tier(price, shares, expected):
    assert stock.short_maintenance(micros(price), shares, TERMS.short_rate, TERMS) == micros(expected)


@pytest.mark.parametrize(
    ("group", "leverage", "long", "short"),
    [
        (UnderlyingClass.EQUITY, 1, "0.25", "0.30"),
        (UnderlyingClass.EQUITY, 3, "0.25", "0.30"),  # a factor on what is no leveraged fund has no meaning
        (UnderlyingClass.LEVERAGED, 2, "0.50", "0.60"),
        (UnderlyingClass.LEVERAGED, -2, "0.50", "0.60"),  # inverse funds by the absolute factor
        (UnderlyingClass.LEVERAGED, -1, "0.25", "0.30"),
        (UnderlyingClass.LEVERAGED_BROAD, 3, "0.75", "0.90"),
        (UnderlyingClass.LEVERAGED_BROAD, 4, "1", "1"),  # capped
    ],
)
def test_leveraged_funds_scale_the_rates_up_to_the_whole_value(group, leverage, long, short):
    factor = stock.leverage_factor(np.array([group]), np.array([leverage * MICRO]))
    assert stock.leveraged_rate(TERMS.long_rate, factor, TERMS.leverage_cap)[0] == micros(long)
    assert stock.leveraged_rate(TERMS.short_rate, factor, TERMS.leverage_cap)[0] == micros(short)


@pytest.mark.parametrize(("cost", "deposit"), [(1200, 1200), (2000, 2000), (3000, 2000), (4000, 2000), (5000, 2500)])
def test_the_first_transaction_needs_two_thousand_but_never_more_than_the_cost(cost, deposit):
    assert stock.first_transaction_deposit(micros(cost), RULES) == micros(deposit)


def test_short_initial_is_the_higher_of_regulation_t_and_maintenance():
    assert stock.short_initial(micros(40), 100, TERMS.initial_short, micros(1200)) == micros(2000)
    assert stock.short_initial(micros(6), 100, TERMS.initial_short, micros(500)) == micros(500)


def test_short_against_the_box_requires_five_percent_of_the_long_value():
    rows = pair(100, [], 300, short_shares=200)
    assert strategies(rows) == [Strategy.LONG_STOCK, Strategy.SHORT_AGAINST_BOX]
    assert requirement(rows) == 0.05 * 200 * 100 + 0.25 * 100 * 100


@pytest.mark.parametrize(
    ("days", "rate"), [(0, 1), (366, 1), (367, 2), (1096, 2), (1827, 3), (3653, 4), (7305, 5), (7306, 6)]
)
def test_treasuries_by_remaining_life(days, rate):
    assert stock.treasury_rate(np.array([days]), RULES)[0] == rate * MICRO // 100


def test_debt_by_grade_and_the_share_of_principal():
    value, principal = np.array([micros(900), micros(200)]), np.array([micros(1000), micros(1000)])
    assert stock.debt_maintenance(value, principal, np.array([True, False]), RULES).tolist() == [micros(90), micros(70)]
    assert stock.debt_maintenance(value, principal, np.array([False, True]), RULES).tolist() == [
        micros(180),
        micros(20),
    ]


@pytest.mark.parametrize(
    ("leg", "spot", "broad", "expected"),
    [
        (Leg("C", 120, -1, 8.4), 128.5, False, 3410),  # in the money
        (Leg("C", 30, -1, 0.05), 26.38, False, 268.8),  # the 10% minimum of the underlying
        (Leg("P", 80, -1, 2), 95, False, 1000),  # the 10% minimum of the strike
        (Leg("P", 430, -1, 7.8), 433.35, True, 6945.25),  # broad index at 15%
        (Leg("C", 100, -3, 4), 100, False, 3 * 2400),
        (Leg("P", 50, -1, 0), 0, False, 500),  # an underlying at zero: the minimum of the strike
        (Leg("C", 100, -1, 4, multiplier=150), 100, False, 3600),  # adjusted contract: its own multiplier
    ],
)
def test_uncovered_options_with_their_premium(leg, spot, broad, expected):
    rows = pair(spot, [leg], broad=broad)
    assert requirement(rows) == pytest.approx(expected, abs=1e-6)
    assert rows.premium.sum() == -leg.quantity * leg.multiplier * micros(str(leg.price))


@pytest.mark.parametrize(
    ("group", "leverage", "expected"),
    [
        (UnderlyingClass.EQUITY, 1, ("0.20", "0.10")),
        (UnderlyingClass.NARROW_INDEX, 1, ("0.20", "0.10")),
        (UnderlyingClass.BROAD_INDEX, 1, ("0.15", "0.10")),
        (UnderlyingClass.BROAD_INDEX_HIGH_CAP, 1, ("0.15", "0.10")),
        (UnderlyingClass.LEVERAGED, 3, ("0.60", "0.30")),
        (UnderlyingClass.LEVERAGED_BROAD, -2, ("0.30", "0.20")),
        (UnderlyingClass.NONE, 1, ("1", "1")),
    ],
)
def test_uncovered_rates_by_class_and_leverage(group, leverage, expected):
    rates = options.uncovered_rates(np.array([group]), np.array([leverage * MICRO]), np.array([True]), TERMS)
    assert tuple(int(rate[0]) for rate in rates) == tuple(micros(rate) for rate in expected)


def test_an_unknown_class_is_charged_in_full():
    rates = options.uncovered_rates(np.array([0]), np.array([MICRO]), np.array([False]), TERMS)
    assert [int(rate[0]) for rate in rates] == [MICRO, MICRO]


@pytest.mark.parametrize(
    ("call", "put", "spot", "expected"),
    [
        (Leg("C", 90, -1, 7), Leg("P", 90, -1, 3.7), 92.63, 2922.6),  # call side sets it, plus the put's value
        (Leg("C", 45, -1, 1.35), Leg("P", 45, -1, 2.85), 43.34, 1286.8),
        (Leg("C", 100, -2, 5), Leg("P", 100, -2, 5), 100, 2 * 3000),  # a tie: both sides are the same
    ],
)
def test_straddle_takes_the_greater_side_plus_the_other_premium(call, put, spot, expected):
    rows = pair(spot, [call, put])
    assert strategies(rows) == [Strategy.STRADDLE]
    assert requirement(rows) == pytest.approx(expected)


def test_the_straddle_compares_whole_requirements_and_ties_take_the_larger_sum():
    assert options.straddle_margin(10, 50, 40, 15) == 10 + 50 + 15  # 60 against 55: the first side sets it
    assert options.straddle_margin(10, 50, 45, 15) == 45 + 15 + 50  # a tie at 60: the larger of 75 and 110
    assert options.straddle_margin(45, 15, 10, 50) == 45 + 15 + 50


@pytest.mark.parametrize(
    ("as_of", "expiry", "long_term"),
    [
        ("2026-03-20", "2026-12-20", False),  # nine months to the day
        ("2026-03-20", "2026-12-21", True),
        ("2026-05-31", "2027-02-28", False),  # a shorter month ends on its last day
        ("2026-05-31", "2027-03-01", True),
    ],
)
def test_nine_calendar_months_divide_long_options(as_of, expiry, long_term):
    days = [(date.fromisoformat(text) - date(1970, 1, 1)).days for text in (as_of, expiry)]
    assert options.is_long_term(days[0], np.array([days[1]]), 9)[0] == long_term


def test_long_options_are_paid_in_full_and_long_term_ones_have_a_quarter_of_loan_value():
    assert requirement(pair(78, [Leg("C", 80, 2, 12)])) == 2400
    assert requirement(pair(78, [Leg("C", 80, 2, 12, long_term=True)])) == 1800


def test_every_term_has_its_parameter():
    assert tuple(PARAMETERS) == Terms._fields
