"""Properties of the option values over the whole range of inputs, and the freedom from order and threads."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.finite_difference import DividendModel
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Style

STRIKES = np.linspace(60.0, 150.0, 37)
METHOD_NOISE = 2e-3
"""Accuracy of an American value per 100 of strike; differences of neighbours may carry it."""
ROUNDING = 1e-9

markets = st.fixed_dictionaries({
    "spot": st.floats(50.0, 200.0), "rate": st.floats(-0.02, 0.12), "carry": st.floats(-0.02, 0.3),
    "vol": st.floats(0.05, 2.0), "expiry": st.floats(1 / 365, 3.0),
})  # fmt: skip
rights = st.sampled_from([1, -1])


def chain(market, right, style, strikes=STRIKES, scale=1.0, **changes) -> np.ndarray:
    """Values of one underlying's strikes."""
    market = {**market, **changes}
    rows = len(strikes)
    contracts = Contracts(
        np.full(rows, right), np.full(rows, style), strikes * scale, np.full(rows, market["expiry"]),
        np.full(rows, market["rate"]), np.full(rows, market["carry"]), np.zeros(rows),
    )  # fmt: skip
    return revalue(contracts, np.array([[market["spot"] * scale]]), np.full(rows, market["vol"]), threads=1)[:, 0]


@given(markets, rights, st.sampled_from(list(Style)[1:]))
@settings(max_examples=60, deadline=None)
def test_values_are_monotone_and_convex_in_strike(market, right, style):
    values, noise = chain(market, right, style), ROUNDING if style == Style.EUROPEAN else METHOD_NOISE
    steps = np.diff(values)
    assert np.all(-right * steps >= -noise)
    assert np.all(np.diff(steps) >= -2.0 * noise)


@given(markets, rights)
@settings(max_examples=60, deadline=None)
def test_american_is_at_least_european_and_intrinsic(market, right):
    american, european = (chain(market, right, style) for style in (Style.AMERICAN, Style.EUROPEAN))
    assert np.all(american >= european - ROUNDING)
    assert np.all(american >= right * (market["spot"] - STRIKES) - ROUNDING)


@given(markets, rights)
@settings(max_examples=40, deadline=None)
def test_american_value_does_not_fall_with_time_to_expiry(market, right):
    shorter = chain(market, right, Style.AMERICAN)
    longer = chain(market, right, Style.AMERICAN, expiry=market["expiry"] * 1.3)
    assert np.all(longer >= shorter - METHOD_NOISE)


@given(markets, rights, st.sampled_from(list(Style)[1:]))
@settings(max_examples=40, deadline=None)
def test_scaling_spot_and_strike_by_100_scales_the_value(market, right, style):
    assert_allclose(chain(market, right, style, scale=100.0), 100.0 * chain(market, right, style), rtol=1e-9, atol=1e-7)


@given(markets)
@settings(max_examples=60, deadline=None)
def test_put_call_parity_holds_for_europeans(market):
    gap = chain(market, 1, Style.EUROPEAN) - chain(market, -1, Style.EUROPEAN)
    forward = market["spot"] * np.exp(-market["carry"] * market["expiry"]) - STRIKES * np.exp(
        -market["rate"] * market["expiry"]
    )
    assert_allclose(gap, forward, rtol=0, atol=1e-10)


@given(markets, rights, st.sampled_from(list(DividendModel)), st.floats(0.1, 30.0), st.floats(0.01, 0.99))
@settings(max_examples=12, deadline=None)
def test_cash_dividend_lowers_calls_and_raises_puts(market, right, model, amount, when):
    schedule = Dividends([0, 1], [when * market["expiry"]], [amount])
    values = []
    for dividends in (schedule, None):
        contracts = Contracts(
            [right], [Style.AMERICAN], [100.0], [market["expiry"]], [market["rate"]], [market["carry"]], [0], dividends
        )
        values.append(
            revalue(contracts, np.array([[market["spot"]]]), np.array([market["vol"]]), dividend_model=model)[0, 0]
        )
    tolerance = 0.01  # two methods, each within 0.005
    assert (values[0] - values[1]) * right <= tolerance


def book(seed: int) -> tuple[Contracts, np.ndarray, np.ndarray, np.ndarray]:
    """A mixed book on three underlyings, one with dividends, and scenarios that move spot, volatility and rate."""
    rng, rows, scenarios = np.random.default_rng(seed), 300, 12
    contracts = Contracts(
        rng.choice([1, -1], rows), rng.choice([1, 2], rows), 100.0 * np.exp(rng.normal(0, 0.2, rows)),
        rng.uniform(0.0, 1.5, rows),        rng.uniform(-0.01, 0.06, rows), rng.uniform(-0.01, 0.1, rows),
        rng.choice([0, 1, 2], rows, p=[0.48, 0.48, 0.04]),
        Dividends([0, 0, 0, 2], [0.1, 0.6], [1.0, 1.5]),
    )  # fmt: skip
    spot = 100.0 * np.exp(rng.normal(0, 0.1, (3, scenarios)))
    vol = rng.uniform(0.1, 0.6, rows)[:, None] + np.tile([0.0, 0.05, 0.1], 4)[None, :]
    return contracts, spot, vol, np.repeat([0.0, 0.01], 6)


@given(st.integers(0, 1_000))
@settings(max_examples=3, deadline=None)
def test_order_threads_and_company_change_no_bit(seed):
    contracts, spot, vol, shift = book(seed)
    values = revalue(contracts, spot, vol, shift, threads=1)
    assert np.isfinite(values).all()
    assert_array_equal(values, revalue(contracts, spot, vol, shift, threads=4))
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(contracts)), rng.permutation(spot.shape[1])
    shuffled = revalue(contracts.take(rows), spot[:, columns], vol[rows][:, columns], shift[columns])
    assert_array_equal(shuffled, values[rows][:, columns])
    few, one = rows[:7], columns[:1]
    assert_array_equal(revalue(contracts.take(few), spot[:, one], vol[few][:, one], shift[one]), values[few][:, one])
