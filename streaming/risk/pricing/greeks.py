"""Sensitivities of options in columns: closed form for Europeans, by bump for Americans (option_pricing.md 3).

Base and bumps of an American value come from the same call of ``revalue`` and so from the same method; the spot bumps
share one exercise boundary with the base.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from streaming.risk.pricing import black_scholes
from streaming.risk.pricing.black_scholes import DAYS_PER_YEAR, Greeks
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.finite_difference import DividendModel
from streaming.risk.pricing.revalue import escrowed, revalue
from streaming.risk.reference import Style
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class Bumps:
    """Sizes of the bumps of American greeks."""

    spot: float
    """Fraction of spot."""
    vol: float
    years: float
    rate: float

    @classmethod
    def of(cls, rules: Rules) -> "Bumps":
        spot, vol, days, rate = (float(rules.value(f"pricing.bump.{name}")) for name in ("spot", "vol", "days", "rate"))
        return cls(spot, vol, days / DAYS_PER_YEAR, rate)


def greeks(
    contracts: Contracts,
    spot: np.ndarray,
    vol: np.ndarray,
    bumps: Bumps,
    *,
    dividend_model: DividendModel = DividendModel.ESCROWED,
    threads: int | None = None,
) -> Greeks:
    """Value and greeks, one row per contract, for ``spot[underlying]`` and ``vol[contract]``.

    Per 1.00 of spot, of volatility, of the rate and of the yield, theta per year; per unit of the underlying.
    """
    spot, vol = np.asarray(spot, dtype=np.float64), np.asarray(vol, dtype=np.float64)
    out = Greeks(*(np.zeros(len(contracts)) for _ in fields(Greeks)))
    for style, compute in ((Style.EUROPEAN, _closed_form), (Style.AMERICAN, _bumped)):
        rows = np.flatnonzero(contracts.style == style)
        if len(rows):
            part = compute(contracts.take(rows), spot, vol[rows], bumps, dividend_model, threads)
            for item in fields(Greeks):
                getattr(out, item.name)[rows] = getattr(part, item.name)
    return out


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """What follows a position through the day; one row per contract, per unit of the underlying."""

    delta: np.ndarray
    """Per 1.00 of spot."""
    gamma: np.ndarray
    """Delta per 1.00 of spot."""
    vega: np.ndarray
    """Per 1.00 of volatility."""


def sensitivities(
    contracts: Contracts,
    spot: np.ndarray,
    vol: np.ndarray,
    bumps: Bumps,
    *,
    dividend_model: DividendModel = DividendModel.ESCROWED,
    threads: int | None = None,
) -> Sensitivities:
    """Delta, gamma and vega as in :func:`greeks`, without the dearer others."""
    spot, vol = np.asarray(spot, dtype=np.float64), np.asarray(vol, dtype=np.float64)
    out = Sensitivities(*(np.zeros(len(contracts)) for _ in fields(Sensitivities)))
    european = np.flatnonzero(contracts.style == Style.EUROPEAN)
    american = np.flatnonzero(contracts.style == Style.AMERICAN)
    if len(european):
        closed = _closed_form(contracts.take(european), spot, vol[european], bumps, dividend_model, threads)
        for item in fields(Sensitivities):
            getattr(out, item.name)[european] = getattr(closed, item.name)
    if len(american):
        values = _spot_and_vol_bumps(
            contracts.take(american), spot, vol[american], bumps, dividend_model=dividend_model, threads=threads
        )
        out.delta[american], out.gamma[american], out.vega[american] = values[1:]
    return out


def _closed_form(contracts: Contracts, spot, vol, bumps, dividend_model, threads) -> Greeks:
    """Europeans on the spot less the present value of the cash dividends, which itself moves with rate and time."""
    escrow, escrow_years = escrowed(contracts)
    risky = np.maximum(spot[contracts.underlying] - escrow, 0.0)
    plain = black_scholes.greeks(
        contracts.right, risky, contracts.strike, contracts.rate, contracts.carry_yield, vol, contracts.expiry
    )
    theta = plain.theta - plain.delta * contracts.rate * escrow
    return replace(plain, theta=theta, rho=plain.rho + plain.delta * escrow_years)


def _spot_and_vol_bumps(contracts: Contracts, spot, vol, bumps: Bumps, **options) -> tuple[np.ndarray, ...]:
    """Value, delta, gamma and vega by central differences of ``revalue``; the spot bumps share the base's boundary."""
    step = bumps.spot * spot
    spots = np.stack([spot, spot + step, spot - step, spot, spot], axis=1)
    low = np.maximum(vol - bumps.vol, 0.0)
    vols = np.stack([vol, vol, vol, vol + bumps.vol, low], axis=1)
    value, up, down, vol_up, vol_down = revalue(contracts, spots, vols, **options).T
    width = step[contracts.underlying]
    safe = np.where(width == 0.0, 1.0, width)
    delta = np.where(width == 0.0, 0.0, (up - down) / (2.0 * safe))
    gamma = np.where(width == 0.0, 0.0, (up - 2.0 * value + down) / (safe * safe))
    return value, delta, gamma, (vol_up - vol_down) / (vol + bumps.vol - low)


def _bumped(contracts: Contracts, spot, vol, bumps: Bumps, dividend_model, threads) -> Greeks:
    """Central differences of ``revalue``; theta forward by one day, at most to expiry."""
    options = {"dividend_model": dividend_model, "threads": threads}
    value, delta, gamma, vega = _spot_and_vol_bumps(contracts, spot, vol, bumps, **options)
    shifts = np.array([bumps.rate, -bumps.rate])
    rate_up, rate_down = revalue(contracts, np.stack([spot, spot], axis=1), vol, shifts, **options).T
    days = np.minimum(bumps.years, np.maximum(contracts.expiry, 0.0))
    later = revalue(_aged(contracts, days, bumps.years), spot[:, None], vol, **options)[:, 0]
    yields = [
        revalue(
            replace(contracts, carry_yield=contracts.carry_yield + sign * bumps.rate), spot[:, None], vol, **options
        )[:, 0]
        for sign in (1.0, -1.0)
    ]
    return Greeks(
        value=value,
        delta=delta,
        gamma=gamma,
        vega=vega,
        theta=np.where(days == 0.0, 0.0, (later - value) / np.where(days == 0.0, 1.0, days)),
        rho=(rate_up - rate_down) / (2.0 * bumps.rate),
        dividend_rho=(yields[0] - yields[1]) / (2.0 * bumps.rate),
    )


def _aged(contracts: Contracts, days: np.ndarray, whole: float) -> Contracts:
    """The contracts one bump of time later, on the same spot: a dividend within it is still to come."""
    dividends = contracts.dividends
    if dividends is not None:
        soon = np.nextafter(0.0, 1.0)
        dividends = replace(
            dividends, time=np.where(dividends.time > 0.0, np.maximum(dividends.time - whole, soon), 0.0)
        )
    return replace(contracts, expiry=contracts.expiry - days, dividends=dividends)
