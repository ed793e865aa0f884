"""Cash dividends as yields, against the escrowed model and finite differences."""

from dataclasses import replace

import numpy as np
import pytest

from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.dividends import MOST_PAID, equivalent_yield
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Right, Style

SPOT = np.array([100.0])


def contracts(style: Style, count: int = 60, amount: float = 0.6) -> Contracts:
    """Seeded options up to two years long on one stock that pays quarterly."""
    random = np.random.default_rng(5)
    times = np.arange(0.12, 2.1, 0.25)
    return Contracts(
        random.choice([Right.CALL, Right.PUT], count),
        np.full(count, style),
        random.uniform(70, 130, count),
        random.uniform(0.05, 2, count),
        random.uniform(0, 0.05, count),
        np.zeros(count),
        np.zeros(count, np.int64),
        Dividends(np.array([0, len(times)]), times, np.full(len(times), amount)),
    )


def by_yield(some: Contracts) -> Contracts:
    return replace(some, dividends=None, carry_yield=equivalent_yield(some, SPOT))


def test_one_dividend_of_two_on_a_hundred_in_a_year():
    one = Contracts([1], [1], [100.0], [1.0], [0.0], [0.0], [0], Dividends([0, 1], [0.5], [2.0]))
    assert equivalent_yield(one, SPOT)[0] == pytest.approx(-np.log(0.98), rel=1e-15)


def test_a_european_value_is_that_of_the_escrowed_model():
    some = contracts(Style.EUROPEAN)
    vol = np.linspace(0.15, 0.6, len(some))
    values = revalue(by_yield(some), SPOT[:, None], vol)
    assert np.abs(values - revalue(some, SPOT[:, None], vol)).max() < 1e-12


def test_an_american_value_is_near_finite_differences_and_much_nearer_than_without_dividends():
    some = contracts(Style.AMERICAN)
    vol = np.linspace(0.15, 0.6, len(some))
    exact = revalue(some, SPOT[:, None], vol)
    apart = np.abs(revalue(by_yield(some), SPOT[:, None], vol) - exact)
    without = np.abs(revalue(replace(some, dividends=None), SPOT[:, None], vol) - exact)
    assert apart.max() < 0.5
    assert apart.mean() < without.mean() / 10


def test_what_pays_nothing_before_expiry_has_expired_or_has_no_spot_has_no_yield():
    some = Contracts([1, 1, 1], [1, 1, 1], [100.0] * 3, [0.1, 0.0, 1.0], [0.0] * 3, [0.0] * 3, [0, 0, 1],
                     Dividends([0, 1, 2], [0.5, 0.5], [2.0, 2.0]))  # fmt: skip
    assert equivalent_yield(some, np.array([100.0, 0.0])).tolist() == [0.0, 0.0, 0.0]


def test_dividends_worth_more_than_the_spot_are_clipped():
    some = contracts(Style.EUROPEAN, amount=80.0)
    paying = some.expiry > 0.12
    assert np.allclose(
        (-np.expm1(-equivalent_yield(some, SPOT) * some.expiry))[paying & (some.expiry > 0.5)], MOST_PAID
    )
