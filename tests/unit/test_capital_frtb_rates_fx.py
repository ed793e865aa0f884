"""Interest-rate and currency delta charges."""

from dataclasses import replace
from datetime import date
from math import exp, sqrt

import numpy as np
import pytest
from capital_books import day, holdings, instruments, prices

from streaming.risk import rulebook
from streaming.risk.capital import debt_rates, frtb
from streaming.risk.capital.frtb_rates_fx import BASIS, INFLATION, currency_delta, rate_delta
from streaming.risk.money import MICRO
from streaming.risk.reference import NO_DATE, Kind

RULES = rulebook.load().at(date(2026, 11, 1))


def rates(*rows, reporting="USD"):
    currency, curve, tenor, amount = (list(column) for column in zip(*rows))
    return rate_delta(currency, curve, tenor, np.array(amount) * MICRO, RULES, reporting)


@pytest.mark.parametrize(("tenor", "weight"), [(0, 0.017), (1, 0.017), (2, 0.016), (3, 0.013), (4, 0.012), (9, 0.011)])
def test_one_sensitivity_is_charged_the_weight_of_its_tenor(tenor, weight):
    assert rates(("TRY", "ois", tenor, 1000)).total[1] == pytest.approx(1000 * weight)


@pytest.mark.parametrize(
    ("currency", "reporting", "divisor"), [("EUR", "USD", sqrt(2)), ("TRY", "USD", 1), ("TRY", "TRY", sqrt(2))]
)
def test_liquid_and_reporting_currencies_are_divided_by_the_root_of_two(currency, reporting, divisor):
    assert rates((currency, "ois", 2, 1000), reporting=reporting).total[1] == pytest.approx(16 / divisor)


def test_distant_tenors_keep_at_least_forty_percent():
    expected = sqrt(17**2 + 11**2 + 2 * max(exp(-0.03 * 29.75 / 0.25), 0.4) * 17 * 11)
    assert rates(("TRY", "ois", 0, 1000), ("TRY", "ois", 9, 1000)).total[1] == pytest.approx(expected)


def test_two_curves_of_one_currency_almost_offset():
    assert rates(("TRY", "ois", 2, 1000), ("TRY", "3m", 2, -1000)).total[1] == pytest.approx(16 * sqrt(2 - 2 * 0.999))


def test_inflation_moves_with_rates_and_basis_with_nothing():
    flat = rates(("TRY", INFLATION, 0, 1000), ("TRY", "ois", 2, 1000)).total[1]
    assert flat == pytest.approx(sqrt(16**2 * (2 + 2 * 0.4)))
    assert rates(("TRY", BASIS, 0, 1000), ("TRY", "ois", 2, 1000)).total[1] == pytest.approx(16 * sqrt(2))


def test_currencies_correlate_by_half_and_are_named():
    charge = rates(("TRY", "ois", 2, 1000), ("ZAR", "ois", 2, 1000))
    assert charge.total[1] == pytest.approx(16 * sqrt(3))
    assert charge.bucket.tolist() == ["TRY", "ZAR"]


def test_an_unknown_tenor_is_refused():
    with pytest.raises(ValueError, match="expected 0 to 9"):
        rates(("USD", "ois", 10, 1))


def test_currency_weight_of_liquid_and_other_pairs_and_none_for_the_reporting_currency():
    charge = currency_delta(["EUR", "PLN", "USD", "PLN"], np.array([100, 60, 1000, 40]) * MICRO, RULES, "USD")
    liquid, other = 15 / sqrt(2), 15
    assert charge.bucket.tolist() == ["EUR", "PLN"]
    np.testing.assert_allclose(charge.position[1], [liquid, other])
    assert charge.total[1] == pytest.approx(sqrt(liquid**2 + other**2 + 2 * 0.6 * liquid * other))


def test_a_book_in_the_reporting_currency_only_has_no_currency_charge():
    assert currency_delta(["USD"], np.array([5 * MICRO]), RULES, "USD").total.tolist() == [0, 0, 0]


def test_rate_sensitivities_between_tenors_are_split_and_add_up():
    tenor, part = frtb.allocate_tenor(np.array([7.0, 40.0]), np.array([1001, 5]), "frtb.girr.tenors", RULES)
    assert tenor.tolist() == [[5, 6], [8, 9]]
    assert part.sum(axis=1).tolist() == [1001, 5]
    assert part[0].tolist() == [601, 400]


def test_a_bill_loses_its_maturity_times_its_value_per_unit_of_rate():
    by_tenor = debt_rates.unit_rate_sensitivity(0.98, 0.0, 0.5, RULES)
    assert by_tenor[1] == pytest.approx(-0.98 * 0.5, rel=1e-4)
    assert np.count_nonzero(by_tenor) == 1


def test_a_coupon_bond_falls_as_its_price_does_one_basis_point_higher():
    coupon, years, rate = 0.04, 7.25, 0.03
    times = np.arange(years, 0, -0.5)
    flows = np.where(times == years, 1 + coupon / 2, coupon / 2)

    def price(bumped):
        return float((flows * np.exp(-bumped * times)).sum())

    by_tenor = debt_rates.unit_rate_sensitivity(price(rate), coupon, years, RULES)
    assert by_tenor.sum() == pytest.approx((price(rate + 1e-4) - price(rate)) / 1e-4, rel=1e-9)
    assert (by_tenor[:7] < 0).all()
    assert np.abs(by_tenor[5:7]).sum() > 0.9 * np.abs(by_tenor).sum()  # between five and ten years


def test_debt_positions_become_rows_by_tenor_and_what_has_no_price_or_maturity_is_named():
    bill = {"id": "BILL", "kind": Kind.TREASURY, "expiry": day("2027-05-17")}
    debt = instruments({"id": "S"}, bill, bill | {"id": "LOST"}, bill | {"id": "PERPETUAL", "expiry": NO_DATE})
    market = replace(prices(10, 0.98, None, 1.0), time=day("2026-11-16") * 86_400_000_000)
    book = holdings((0, 0, 5), (0, 1, 1_000_000), (1, 1, -250_000), (1, 2, 9, 8), (1, 3, 9))
    rows = debt_rates.debt_rate_rows(book, debt, market, RULES)
    assert rows.exceptions.instrument.tolist() == [2, 3]
    assert rows.exceptions.charge.tolist() == [8 * MICRO, 9 * MICRO]
    assert set(rows.curve.tolist()) == {"government"}
    years = 182 / 365
    assert rows.amount.sum() / MICRO == pytest.approx(-750_000 * 0.98 * years, rel=1e-4)
    charge = rate_delta(rows.currency, rows.curve, rows.tenor, rows.amount, RULES, "USD")
    assert charge.total[1] == pytest.approx(0.017 / sqrt(2) * 750_000 * 0.98 * years, rel=1e-3)


def test_a_price_that_no_yield_explains_is_left_out():
    assert debt_rates.unit_rate_sensitivity(50.0, 0.0, 0.5, RULES) is None
