"""Speed and accuracy of the option pricer beside QuantLib, a hand-written loop and numpy, on one core.

Run: ``python tests/benchmarks/bench_pricing.py``. Times are processor time, so a busy machine does not distort ratios.
Accuracy is checked first, and printed beside every speed: largest error per share on strikes of 100.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import QuantLib as ql  # noqa: N813
from numba import njit
from scipy.special import ndtr

from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.finite_difference import DividendModel
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Style

REQUIRED = 0.005
TODAY, DAYS = ql.Date(2, 1, 2026), ql.Actual365Fixed()


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Least processor time of ``work``, compiled and warm."""
    work()
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def book(count: int, style: Style, seed: int = 1) -> tuple[Contracts, np.ndarray]:
    """Options on one underlying near 100, a month to three years, and their volatilities of 5% to 200%."""
    rng = np.random.default_rng(seed)
    contracts = Contracts(
        rng.choice([1, -1], count), np.full(count, style), np.full(count, 100.0), rng.integers(30, 1096, count) / 365.0,
        rng.uniform(0.0, 0.1, count), rng.uniform(0.0, 0.1, count), np.zeros(count),
    )  # fmt: skip
    return contracts, np.exp(rng.uniform(np.log(0.05), np.log(2.0), count))


@njit(error_model="numpy")
def hand_written(right, strike, rate, carry, vol, expiry, spot, out):
    """What one writes first: the formula, option by option and scenario by scenario, with the library's erfc."""
    for i in range(strike.size):
        for s in range(spot.size):
            width = vol[i, s] * math.sqrt(expiry[i])
            d1 = (math.log(spot[s] / strike[i]) + (rate[i] - carry[i]) * expiry[i]) / width + 0.5 * width
            asset = spot[s] * math.exp(-carry[i] * expiry[i]) * 0.5 * math.erfc(-right[i] * d1 * 0.7071067811865476)
            cash = (
                strike[i]
                * math.exp(-rate[i] * expiry[i])
                * 0.5
                * math.erfc(-right[i] * (d1 - width) * 0.7071067811865476)
            )
            out[i, s] = right[i] * (asset - cash)


def with_numpy(contracts: Contracts, spot: np.ndarray, vol: np.ndarray) -> np.ndarray:
    """The formula in whole arrays."""
    right, strike, expiry = contracts.right[:, None], contracts.strike[:, None], contracts.expiry[:, None]
    rate, carry = contracts.rate[:, None], contracts.carry_yield[:, None]
    width = vol * np.sqrt(expiry)
    d1 = (np.log(spot / strike) + (rate - carry) * expiry) / width + 0.5 * width
    return right * (
        spot * np.exp(-carry * expiry) * ndtr(right * d1) - strike * np.exp(-rate * expiry) * ndtr(right * (d1 - width))
    )


def european(count: int, spots: int, vols: int) -> None:
    contracts, vol = book(count, Style.EUROPEAN)
    grid_spot = np.repeat(np.linspace(80.0, 120.0, spots), vols)
    grid_vol = np.ascontiguousarray(vol[:, None] + np.tile(np.linspace(0.0, 0.2, vols), spots)[None, :])
    one = len(contracts) * len(grid_spot)
    out = np.empty((count, len(grid_spot)))
    columns = (contracts.right * 1.0, contracts.strike, contracts.rate, contracts.carry_yield)
    reference = with_numpy(contracts, grid_spot, grid_vol)
    rows = {
        "revalue": lambda: revalue(contracts, grid_spot[None, :], grid_vol if vols > 1 else vol, threads=1),
        "numba loop": lambda: hand_written(*columns, grid_vol, contracts.expiry, grid_spot, out) or out,
        "numpy ndtr": lambda: with_numpy(contracts, grid_spot, grid_vol),
    }
    print(f"European, {count:,} options x {spots} spots x {vols} vols")
    base = seconds(rows["numba loop"])
    for name, work in rows.items():
        error = np.abs(work() - reference).max()
        assert error < 1e-9
        taken = seconds(work)
        print(f"  {name:28s} {one / taken / 1e6:8.2f} million/s  {base / taken:6.2f} x loop   error {error:.1e}")


def quantlib_american(
    contracts: Contracts, vol: np.ndarray, spots: np.ndarray, engine: Callable
) -> tuple[np.ndarray, float]:
    """Values [option, spot] and the processor time spent in pricing (set-up of each option is not counted)."""
    ql.Settings.instance().evaluationDate = TODAY
    out, spent = np.empty((len(contracts), len(spots))), 0.0
    for i in range(len(contracts)):
        quote = ql.SimpleQuote(100.0)
        levels = (contracts.carry_yield[i], contracts.rate[i])
        flat = [ql.YieldTermStructureHandle(ql.FlatForward(TODAY, float(level), DAYS)) for level in levels]
        surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), float(vol[i]), DAYS))
        process = ql.BlackScholesMertonProcess(ql.QuoteHandle(quote), *flat, surface)
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if contracts.right[i] > 0 else ql.Option.Put, 100.0)
        expiry = TODAY + int(round(contracts.expiry[i] * 365.0))
        option = ql.VanillaOption(payoff, ql.AmericanExercise(TODAY, expiry))
        option.setPricingEngine(engine(process))
        start = time.process_time()
        for s, spot in enumerate(spots):
            quote.setValue(float(spot))
            out[i, s] = option.NPV()
        spent += time.process_time() - start
    return out, spent


def american(count: int) -> None:
    """Ten spots, each option at its own volatility: one boundary per option, as in a ten by ten grid per volatility."""
    contracts, vol = book(count, Style.AMERICAN)
    spots = np.linspace(80.0, 120.0, 10)
    schemes = ql.QdFpAmericanEngine.highPrecisionScheme(), ql.QdFpAmericanEngine.fastScheme()
    (reference, _), (values, fast) = (
        quantlib_american(contracts, vol, spots, lambda p, scheme=scheme: ql.QdFpAmericanEngine(p, scheme))
        for scheme in schemes
    )
    print(f"American, {count:,} options x 10 spots; error against QuantLib's high-precision scheme")
    fast_error = np.abs(values - reference).max()
    ours = revalue(contracts, spots[None, :], vol, threads=1)
    our_error = np.abs(ours - reference).max()
    assert our_error < REQUIRED
    taken = seconds(lambda: revalue(contracts, spots[None, :], vol, threads=1))
    grid = np.repeat(spots, 10)
    grid_vol = vol[:, None] + np.tile(np.linspace(0.0, 0.09, 10), 10)[None, :]
    grid_taken = seconds(lambda: revalue(contracts, grid[None, :], grid_vol, threads=1))
    usual, fast_usual = (np.quantile(np.abs(found - reference), 0.99) for found in (ours, values))
    rows = [
        ("QuantLib QdFp fast", values.size / fast, 1.0, fast_error, fast_usual),
        ("revalue, 10 spots", values.size / taken, fast / taken, our_error, usual),
        ("revalue, 10 spots x 10 vols", 10 * values.size / grid_taken, 10 * fast / grid_taken, our_error, usual),
    ]
    for name, speed, ratio, error, most in rows:
        print(f"  {name:28s} {speed / 1e3:8.0f} thousand/s {ratio:6.1f} x fast   error {error:.1e}, 99% {most:.1e}")


def with_dividends(count: int) -> None:
    contracts, vol = book(count, Style.AMERICAN, seed=2)
    vol = np.minimum(vol, 0.8)
    schedule = Dividends(np.array([0, 4]), np.array([0.05, 0.3, 0.55, 0.8]), np.full(4, 0.6))
    contracts = Contracts(
        contracts.right, contracts.style, contracts.strike, contracts.expiry, contracts.rate, np.zeros(count),
        contracts.underlying, schedule,
    )  # fmt: skip
    spots = np.linspace(80.0, 120.0, 10)[None, :]
    print(f"American with four cash dividends, {count} options x 10 spots")
    for model in DividendModel:
        taken = seconds(lambda m=model: revalue(contracts, spots, vol, dividend_model=m, threads=1), 1)
        print(f"  finite differences {model.name.lower():10s} {count * 10 / taken / 1e3:7.1f} thousand/s")


if __name__ == "__main__":
    european(20_000, 11, 1)
    european(2_000, 10, 10)
    european(2_000, 500, 1)
    american(300)
    with_dividends(50)
