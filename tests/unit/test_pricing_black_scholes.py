"""European values and greeks against worked numbers, parity, finite differences and QuantLib."""

from dataclasses import fields

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from numpy.testing import assert_allclose
from scipy.special import ndtr

from streaming.risk.pricing import black_scholes
from streaming.risk.pricing.normal import cdf_kernel, exp_kernel

PARITY = 1e-10
ORACLE = 1e-9


def options(count: int, seed: int) -> tuple[np.ndarray, ...]:
    """right, spot, strike, rate, yield, vol, expiry of random options."""
    rng = np.random.default_rng(seed)
    return (
        rng.choice([1.0, -1.0], count), 100.0 * np.exp(rng.normal(0.0, 0.4, count)), np.full(count, 100.0),
        rng.uniform(-0.03, 0.12, count), rng.uniform(-0.03, 0.3, count),
        np.exp(rng.uniform(np.log(0.05), np.log(2.0), count)), rng.integers(1, 1096, count) / 365.0,
    )  # fmt: skip


def test_the_rules_illustration_gives_about_2_46():
    assert black_scholes.value(1, 50.0, 52.0, 0.03, 0.01, 0.25, 0.4) == pytest.approx(2.46, abs=0.005)


def test_normal_distribution_and_exponential_are_exact_to_double_precision():
    x = np.linspace(-40.0, 40.0, 20_001)
    assert_allclose([cdf_kernel(value) for value in x], ndtr(x), rtol=0, atol=4e-16)
    exponents = np.linspace(-700.0, 700.0, 5_001)
    assert_allclose([exp_kernel(value) for value in exponents], np.exp(exponents), rtol=5e-16)


def test_put_call_parity_holds_to_1e_10():
    _, spot, strike, rate, carry, vol, expiry = options(5_000, 1)
    call = black_scholes.value(1, spot, strike, rate, carry, vol, expiry)
    put = black_scholes.value(-1, spot, strike, rate, carry, vol, expiry)
    forward = spot * np.exp(-carry * expiry) - strike * np.exp(-rate * expiry)
    assert_allclose(call - put, forward, rtol=0, atol=PARITY)


def test_values_and_greeks_agree_with_quantlib_on_3400_random_options():
    columns = options(3_400, 2)
    found = black_scholes.greeks(*columns)
    expected = np.array([_quantlib(*row) for row in zip(*columns)]).T
    for name, row in zip(("value", "delta", "gamma", "vega", "theta", "rho", "dividend_rho"), expected):
        assert_allclose(getattr(found, name), row, rtol=ORACLE, atol=ORACLE, err_msg=name)
    assert_allclose(black_scholes.value(*columns), found.value, rtol=1e-13, atol=1e-13)


def _quantlib(right, spot, strike, rate, carry, vol, expiry) -> tuple[float, ...]:
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if right > 0 else ql.Option.Put, strike)
    grow, discount = np.exp((rate - carry) * expiry), np.exp(-rate * expiry)
    calculator = ql.BlackCalculator(payoff, spot * grow, vol * np.sqrt(expiry), discount)
    return (
        calculator.value(), calculator.delta(spot), calculator.gamma(spot), calculator.vega(expiry),
        calculator.theta(spot, expiry), calculator.rho(expiry), calculator.dividendRho(expiry),
    )  # fmt: skip


@pytest.mark.parametrize(("name", "argument", "step", "sign"), [
    ("delta", 1, 1e-3, 1.0), ("vega", 5, 1e-5, 1.0), ("rho", 3, 1e-5, 1.0), ("dividend_rho", 4, 1e-5, 1.0),
    ("theta", 6, 1e-6, -1.0),
])  # fmt: skip
def test_greek_matches_the_bumped_value(name, argument, step, sign):
    columns = options(500, 3)
    found = getattr(black_scholes.greeks(*columns), name)
    bumped = []
    for direction in (1.0, -1.0):
        moved = list(columns)
        moved[argument] = moved[argument] + direction * step
        bumped.append(black_scholes.value(*moved))
    assert_allclose(found, sign * (bumped[0] - bumped[1]) / (2.0 * step), rtol=2e-4, atol=2e-4)


def test_gamma_matches_the_bumped_delta():
    right, spot, *rest = options(500, 4)
    up, down = (black_scholes.greeks(right, spot + move, *rest).delta for move in (1e-4, -1e-4))
    assert_allclose(black_scholes.greeks(right, spot, *rest).gamma, (up - down) / 2e-4, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("right", "spot", "vol", "expiry", "expected"), [
    (1, 110.0, 0.0, 1.0, 110.0 * np.exp(-0.01) - 100.0 * np.exp(-0.05)),
    (-1, 110.0, 0.0, 1.0, 0.0),
    (1, 110.0, 0.3, 0.0, 10.0),
    (-1, 90.0, 0.3, 0.0, 10.0),
    (-1, 90.0, 0.3, -1.0, 10.0),
    (1, 0.0, 0.3, 1.0, 0.0),
    (-1, 0.0, 0.3, 1.0, 100.0 * np.exp(-0.05)),
    (1, 100.0, 1e6, 1.0, 100.0 * np.exp(-0.01)),
    (-1, 100.0, 1e6, 1.0, 100.0 * np.exp(-0.05)),
    (1, 100.0, 0.0, 0.0, 0.0),
])  # fmt: skip
def test_degenerate_inputs_have_their_limits(right, spot, vol, expiry, expected):
    assert black_scholes.value(right, spot, 100.0, 0.05, 0.01, vol, expiry) == pytest.approx(expected, abs=1e-9)
    greeks = black_scholes.greeks(right, spot, 100.0, 0.05, 0.01, vol, expiry)
    assert all(np.isfinite(getattr(greeks, item.name)).all() for item in fields(greeks))
    assert np.isfinite(greeks.elasticity(np.float64(spot)))


def test_elasticity_is_delta_times_spot_over_value():
    greeks = black_scholes.greeks(1, 50.0, 52.0, 0.03, 0.01, 0.25, 0.4)
    assert greeks.elasticity(50.0) == pytest.approx(float(greeks.delta) * 50.0 / float(greeks.value))
