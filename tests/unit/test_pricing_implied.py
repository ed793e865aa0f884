"""Implied volatilities, forwards from parity, and smiles without arbitrage."""

from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streaming.risk import rulebook
from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.implied import Bracket, VolStatus, implied_vols, implied_yield, parity_forward
from streaming.risk.pricing.revalue import revalue
from streaming.risk.pricing.smile import Smile, arbitrage, complete, density_sign, fit_smile, fit_smiles
from streaming.risk.reference import Style

BRACKET = Bracket.of(rulebook.load().at(date(2026, 11, 20)))


def chain(style: Style, count: int, seed: int, dividends: Dividends | None = None) -> tuple[Contracts, np.ndarray]:
    rng = np.random.default_rng(seed)
    contracts = Contracts(
        rng.choice([1, -1], count), np.full(count, style), 100.0 * np.exp(rng.normal(0.0, 0.1, count)),
        rng.uniform(0.1, 2.0, count), np.full(count, 0.04), rng.uniform(0.0, 0.04, count), np.zeros(count), dividends,
    )  # fmt: skip
    return contracts, rng.uniform(0.15, 0.9, count)


@pytest.mark.parametrize(("style", "dividends", "count"), [
    (Style.EUROPEAN, None, 300), (Style.AMERICAN, None, 300), (Style.AMERICAN, Dividends([0, 1], [0.3], [1.0]), 8),
])  # fmt: skip
def test_value_at_the_implied_volatility_is_the_mid_within_1e_8(style, dividends, count):
    contracts, vol = chain(style, count, 1, dividends)
    spot = np.array([[100.0]])
    mid = revalue(contracts, spot, vol)[:, 0]
    found, status = implied_vols(contracts, spot[:, 0], mid - 0.0, mid + 0.0, BRACKET)
    usable = status == VolStatus.IMPLIED
    assert usable.mean() > 0.9
    assert set(status[~usable]) <= {VolStatus.NO_TIME_VALUE}
    assert_allclose(revalue(contracts, spot, found)[usable, 0], mid[usable], rtol=0, atol=1e-8)
    assert_allclose(found[usable], vol[usable], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("bid", "ask", "expiry", "status"), [
    (0.0, 5.0, 1.0, VolStatus.ONE_SIDED),
    (5.0, 0.0, 1.0, VolStatus.ONE_SIDED),
    (5.0, 4.0, 1.0, VolStatus.CROSSED),
    (9.0, 10.0, 1.0, VolStatus.NO_TIME_VALUE),
    (110.0, 130.0, 1.0, VolStatus.TOO_DEAR),
    (12.0, 13.0, 0.0, VolStatus.EXPIRED),
    (14.0, 15.0, 1.0, VolStatus.IMPLIED),
])  # fmt: skip
def test_unusable_quote_is_flagged_and_gives_no_volatility(bid, ask, expiry, status):
    contracts = Contracts([1], [Style.AMERICAN], [100.0], [expiry], [0.03], [0.0], [0])
    vol, found = implied_vols(contracts, np.array([110.0]), np.array([bid]), np.array([ask]), BRACKET)
    assert found[0] == status
    assert (vol[0] > 0.0) == (status == VolStatus.IMPLIED)


def test_parity_forward_is_the_median_near_the_money_and_ignores_the_wings():
    strike, rate, expiry, forward = np.array([60.0, 95.0, 100.0, 105.0, 140.0]), 0.04, 0.5, 101.0
    gap = np.exp(-rate * expiry) * (forward - strike)
    call, put = 20.0 + gap, np.full(5, 20.0)
    call[[0, 4]] += 30.0
    call[3] += 0.7
    assert parity_forward(strike, call, put, 100.0, rate, expiry, 0.1) == pytest.approx(forward)
    assert implied_yield(forward, 100.0, rate, expiry) == pytest.approx(rate - np.log(1.01) / 0.5)
    assert parity_forward(strike, call, put, 1_000.0, rate, expiry, 0.1) == 0.0


def surface(seed: int):
    """A noisy skewed surface of five expiries: expiry, forward, strike, volatility."""
    rng = np.random.default_rng(seed)
    expiry = np.repeat([0.05, 0.15, 0.4, 1.0, 2.0], 15)
    strike, forward = np.tile(np.linspace(65.0, 135.0, 15), 5), 100.0 * np.exp(0.03 * expiry)
    k = np.log(strike / forward)
    vol = np.sqrt(0.04 + 0.05 * np.abs(k) ** 1.5 / np.sqrt(expiry + 0.1)) - 0.1 * k * np.exp(-expiry)
    return expiry, forward, strike, vol + rng.normal(0.0, 0.004, len(vol))


def test_smile_recovers_its_own_form():
    true = Smile(0.5, 100.0, 0.03, -0.4, 0.25)
    strike = np.linspace(60.0, 150.0, 25)
    fitted = fit_smile(strike, true.vol(strike), 100.0, 0.5)
    assert_allclose(fitted.vol(strike), true.vol(strike), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_fitted_smiles_admit_no_arbitrage_and_stay_near_the_quotes(seed):
    expiry, forward, strike, vol = surface(seed)
    smiles, place = fit_smiles(expiry, forward, strike, vol, np.ones(len(vol), dtype=bool))
    assert arbitrage(smiles) == []
    fitted = np.array([smiles[p].vol(s) for p, s in zip(place, strike)])
    assert np.sqrt(np.mean((fitted - vol) ** 2)) < 0.008


def test_quotes_that_break_the_calendar_still_give_smiles_without_arbitrage():
    expiry, forward, strike, vol = surface(0)
    vol = np.where(expiry > 0.3, 0.5 * vol, vol)
    assert arbitrage(fit_smiles(expiry, forward, strike, vol, np.ones(len(vol), dtype=bool))[0]) == []


def test_arbitrage_is_found_where_there_is_some():
    steep = Smile(1.0, 100.0, 0.04, -0.9, 3.9)
    assert {item.kind for item in arbitrage([steep])} == {"butterfly"}
    falling = [Smile(1.0, 100.0, 0.04, -0.3, 0.2), Smile(2.0, 100.0, 0.03, -0.3, 0.15)]
    assert {item.kind for item in arbitrage(falling)} == {"calendar"}


def test_density_sign_agrees_with_the_second_difference_of_call_prices():
    smile = Smile(1.0, 100.0, 0.05, -0.6, 0.35)
    strike, step = np.linspace(60.0, 160.0, 51), 0.01
    contracts = lambda shift: Contracts(  # noqa: E731
        np.ones(51), np.full(51, Style.EUROPEAN), strike + shift, np.ones(51), np.zeros(51), np.zeros(51), np.zeros(51)
    )
    low, middle, high = (
        revalue(contracts(shift), np.array([[100.0]]), smile.vol(strike + shift))[:, 0] for shift in (-step, 0.0, step)
    )
    density = (low - 2.0 * middle + high) / step**2
    k = np.log(strike / 100.0)
    w = smile.variance(k)
    minus = -k / np.sqrt(w) - 0.5 * np.sqrt(w)
    normal = np.exp(-0.5 * minus**2) / np.sqrt(2.0 * np.pi)
    assert_allclose(density, density_sign(smile, k) * normal / (strike * np.sqrt(w)), rtol=0, atol=1e-6)


def test_unusable_quotes_are_filled_from_the_smile_and_flagged():
    expiry, forward, strike, vol = surface(1)
    status = np.zeros(len(vol), dtype=np.int8)
    status[[3, 20, 40]] = VolStatus.CROSSED
    status[60:] = VolStatus.ONE_SIDED
    status[0] = VolStatus.EXPIRED
    filled, flags = complete(expiry, forward, strike, np.where(status == VolStatus.IMPLIED, vol, 0.0), status)
    assert np.all(flags[[3, 20, 40, *range(60, 75)]] == VolStatus.FITTED)
    assert flags[0] == VolStatus.EXPIRED
    kept = status == VolStatus.IMPLIED
    assert_allclose(filled[kept], vol[kept], rtol=0, atol=0)
    assert_allclose(filled[[3, 20, 40]], vol[[3, 20, 40]], rtol=0, atol=0.03)
    assert np.all(filled[60:] > 0.05)


def test_underlying_without_any_usable_quote_is_left_alone():
    expiry, forward, strike, vol = surface(2)
    status = np.full(len(vol), VolStatus.CROSSED, dtype=np.int8)
    filled, flags = complete(expiry, forward, strike, np.zeros(len(vol)), status)
    assert np.all(filled == 0.0)
    assert np.all(flags == VolStatus.CROSSED)
