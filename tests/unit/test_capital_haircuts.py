"""Haircuts by class and undue concentration, 15c3-1(c)(2)(vi): worked numbers."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.capital import concentration, haircuts
from streaming.risk.capital.marking import marks
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO
from streaming.risk.reference import Kind
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))


def held(stocks, price_set, quantities, traits=None, costs=None):
    ready = marks(stocks, price_set)
    which = haircuts.classes(stocks, ready, traits, RULES)
    rate = haircuts.rates(stocks, which, kit.MONDAY, RULES)
    cost = np.array(costs or [0] * len(stocks), dtype=np.int64) * MICRO
    return haircuts.inventory(np.array(quantities, dtype=np.int64), cost, ready, which, rate)


def charges(*args, **kwargs):
    position = held(*args, **kwargs)
    return {item.code: item.value / MICRO for item in haircuts.lines(position, args[0].id, RULES)}


@pytest.mark.parametrize(
    ("long_mv", "short_mv", "expected"),
    [
        (100, 0, 15),
        (0, 100, 15),
        (100, 25, 15),  # the lesser side is free up to a quarter of the greater
        (100, 26, 15.15),
        (100, 60, 20.25),
        (60, 100, 20.25),
        (100, 100, 26.25),
        (0, 0, 0),
    ],
)
def test_equity_haircut_is_15_percent_of_the_greater_side_and_of_the_lesser_above_a_quarter(
    long_mv, short_mv, expected
):
    assert haircuts.equity(long_mv * MICRO, short_mv * MICRO, RULES) == round(expected * MICRO)


def test_long_and_short_of_different_stocks_enter_the_two_sides_of_j():
    stocks = kit.instruments({"id": "AAA"}, {"id": "BBB"})
    assert charges(stocks, kit.prices(10, 20), [100, -40])["haircut.equity"] == 0.15 * 1000 + 0.15 * (800 - 250)


def test_a_security_with_two_market_makers_takes_40_percent_and_with_three_stays_in_j():
    stocks = kit.instruments({"id": "AAA"}, {"id": "BBB"})
    found = charges(stocks, kit.prices(10, 10), [100, 100], kit.traits(2, makers={0: 2, 1: 3}))
    assert found["haircut.limited_market"] == 400
    assert found["haircut.equity"] == 150


def test_missing_price_is_charged_in_full_at_cost_and_stale_price_in_full_at_market():
    stocks = kit.instruments({"id": "AAA"}, {"id": "BBB"}, {"id": "CCC"})
    price_set = kit.prices(None, 10, 10, status={1: PriceStatus.STALE})
    found = charges(stocks, price_set, [100, -50, 10], costs=[1234, 0, 0])
    assert found["haircut.no_ready_market"] == 1234 + 500
    assert found["haircut.equity"] == 15


def test_missing_multiplier_is_charged_in_full_at_cost():
    stocks = kit.instruments({"id": "AAA", "multiplier": 0})
    assert charges(stocks, kit.prices(10), [100], costs=[777])["haircut.no_ready_market"] == 777


@pytest.mark.parametrize(
    ("maturity", "percent"),
    [
        ("2027-02-15", 0),
        ("2027-02-16", 0.5),  # three months to the day is no longer under three months
        ("2027-05-16", 0.75),
        ("2027-08-16", 1),
        ("2027-11-16", 1.5),
        ("2028-11-16", 2),
        ("2029-11-16", 3),
        ("2031-11-16", 4),
        ("2036-11-16", 4.5),
        ("2041-11-16", 5),
        ("2046-11-16", 5.5),
        ("2051-11-16", 6),
    ],
)
def test_governments_are_charged_by_maturity(maturity, percent):
    bills = kit.instruments({"id": "UST", "kind": Kind.TREASURY, "expiry": kit.day(maturity)})
    assert charges(bills, kit.prices(1), [10_000])["haircut.government"] == 10_000 * percent / 100


@pytest.mark.parametrize(
    ("maturity", "percent"),
    [("2027-11-15", 2), ("2027-11-16", 3), ("2028-11-16", 5), ("2029-11-16", 6), ("2031-11-16", 7),
     ("2036-11-16", 7.5), ("2041-11-16", 8), ("2046-11-16", 8.5), ("2051-11-16", 9)],
)  # fmt: skip
def test_investment_grade_debt_is_charged_by_maturity(maturity, percent):
    bonds = kit.instruments({"id": "BND", "kind": Kind.BOND, "expiry": kit.day(maturity)})
    found = charges(bonds, kit.prices(1), [10_000], kit.traits(1, grade={0}))
    assert found["haircut.debt"] == 10_000 * percent / 100


def test_debt_of_unknown_rating_takes_15_percent():
    bonds = kit.instruments({"id": "BND", "kind": Kind.BOND, "expiry": kit.day("2027-11-15")})
    found = charges(bonds, kit.prices(1), [10_000])
    assert found["haircut.debt"] == 0
    assert found["haircut.equity"] == 1500


def test_governments_net_within_a_category_and_other_debt_takes_the_greater_side():
    ten_years = kit.day("2035-01-01")
    both = kit.instruments(
        *({"id": name, "kind": Kind.TREASURY, "expiry": ten_years} for name in ("T1", "T2")),
        *({"id": name, "kind": Kind.BOND, "expiry": ten_years} for name in ("B1", "B2")),
    )
    found = charges(both, kit.prices(1, 1, 1, 1), [1000, -600, 1000, -600], kit.traits(4, grade={2, 3}))
    assert found["haircut.government"] == 16
    assert found["haircut.debt"] == 70


def test_money_market_fund_takes_2_percent_and_a_held_index_100():
    stocks = kit.instruments({"id": "MMF", "kind": Kind.FUND}, {"id": "IDX", "kind": Kind.INDEX})
    found = charges(stocks, kit.prices(1, 5), [1000, 10])
    assert found["haircut.fund"] == 20
    assert found["haircut.no_ready_market"] == 50


def test_months_end_on_the_last_day_of_a_shorter_month():
    assert haircuts.add_months(kit.day("2026-11-30"), 3) == kit.day("2027-02-28")
    assert haircuts.add_months(kit.day("2027-11-30"), 3) == kit.day("2028-02-29")
    assert haircuts.add_months(kit.day("2026-12-31"), 12) == kit.day("2027-12-31")


@pytest.mark.parametrize(
    ("tentative", "position", "lot", "threshold", "charge"),
    [
        (1_000_000, 300_000, 0, 100_000, 30_000),
        (1_000_000, 100_000, 0, 100_000, 0),  # at the threshold nothing is charged
        (50_000, 30_000, 0, 10_000, 3_000),
        (50_000, 30_000, 25_000, 25_000, 750),
        (-5_000_000, 30_000, 0, 10_000, 3_000),  # 10% of a negative tentative net capital is nothing
    ],
)
def test_equity_concentration(tentative, position, lot, threshold, charge):
    found = concentration.equity(tentative * MICRO, position * MICRO, lot * MICRO, RULES)
    assert (found.threshold, found.charge) == (threshold * MICRO, charge * MICRO)


def concentrated(stocks, price_set, quantities, tentative, traits=None):
    position = held(stocks, price_set, quantities, traits)
    cut = kit.cut(price_set)
    return concentration.lines(position, tentative * MICRO, stocks, marks(stocks, price_set), traits, cut, RULES)


def test_long_and_short_of_one_issuer_are_charged_separately():
    stocks = kit.instruments({"id": "AAA", "issuer": "Acme"}, {"id": "AAB", "issuer": "Acme"}, {"id": "BBB"})
    equities, _ = concentrated(stocks, kit.prices(10, 10, 10), [10_000, -5_000, 1_000], 200_000)
    assert dict(zip(equities.rows.key, equities.rows.amount / MICRO)) == {"Acme long": 12_000, "Acme short": 4_500}
    assert equities.value == 16_500 * MICRO


def test_two_securities_of_one_issuer_on_one_side_are_one_position():
    stocks = kit.instruments({"id": "AAA", "issuer": "Acme"}, {"id": "AAB", "issuer": "Acme"})
    equities, _ = concentrated(stocks, kit.prices(10, 10), [1_500, 1_500], 200_000)
    assert equities.value == round(0.15 * (30_000 - 20_000) * MICRO)


def test_debt_concentration_is_half_the_normal_rate_above_25000():
    bonds = kit.instruments({"id": "BND", "kind": Kind.BOND, "expiry": kit.day("2035-01-01")})
    _, debt = concentrated(bonds, kit.prices(1), [100_000], 100_000, kit.traits(1, grade={0}))
    assert debt.value == round(0.5 * 0.07 * 75_000 * MICRO)


def test_governments_are_exempt_from_concentration():
    bills = kit.instruments({"id": "UST", "kind": Kind.TREASURY, "expiry": kit.day("2035-01-01")})
    assert sum(item.value for item in concentrated(bills, kit.prices(1), [10**7], 100_000)) == 0


def test_an_underwritten_security_is_charged_after_eleven_business_days():
    stocks = kit.instruments({"id": "AAA"})
    eleven, twelve = kit.day("2026-10-30"), kit.day("2026-10-29")  # business days before Monday 16 November
    within, _ = concentrated(stocks, kit.prices(10), [10_000], 100_000, kit.traits(1, underwritten={0: eleven}))
    after, _ = concentrated(stocks, kit.prices(10), [10_000], 100_000, kit.traits(1, underwritten={0: twelve}))
    assert (within.value, after.value) == (0, 13_500 * MICRO)


def test_a_short_in_an_underwritten_security_is_charged_at_once():
    stocks = kit.instruments({"id": "AAA"})
    short, _ = concentrated(stocks, kit.prices(10), [-10_000], 100_000, kit.traits(1, underwritten={0: kit.MONDAY}))
    assert short.value == 13_500 * MICRO
