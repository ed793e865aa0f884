"""A volatility smile per expiry that admits neither butterfly nor calendar arbitrage.

Total variance w = vol^2 T over log-moneyness k = ln(strike / forward), in the extended SSVI form of Hendriks and
Martini (2019): ``w(k) = (theta + rho psi k + sqrt((psi k + theta rho)^2 + theta^2 (1 - rho^2))) / 2``, with three
numbers per expiry: theta (variance at the money), rho (skew) and psi (slope). Sufficient conditions, kept by
construction in the fit:

* butterfly (Gatheral and Jacquier 2014): psi (1 + |rho|) < 4 and psi^2 (1 + |rho|) <= 4 theta;
* calendar, against the expiry before: theta and psi (1 +- rho) do not fall, psi / theta does not rise.

``arbitrage`` checks the result without these conditions, from the densities and the order of the variances themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from streaming.risk.pricing.implied import VolStatus

_MOST_SKEW = 0.97
_SLOPE_LIMIT = 3.999
"""Just inside the bound of psi (1 + |rho|)."""
_LEAST_THETA = 1e-8
_STARTS = ((-0.5, 0.5), (0.3, 0.5))
"""Starting points of the fit: skew, and place of the slope between its bounds."""


@dataclass(frozen=True, slots=True)
class Smile:
    """One expiry's total variance over log-moneyness."""

    expiry: float
    """Years, above 0."""
    forward: float
    theta: float
    rho: float
    psi: float

    def variance(self, k: np.ndarray) -> np.ndarray:
        """Total variance at log-moneyness ``k``."""
        return _variance(np.asarray(k, dtype=np.float64), self.theta, self.rho, self.psi)

    def vol(self, strike: np.ndarray) -> np.ndarray:
        """Volatility per year at ``strike``."""
        k = np.log(np.asarray(strike, dtype=np.float64) / self.forward)
        return np.sqrt(self.variance(k) / self.expiry)


@dataclass(frozen=True, slots=True)
class Violation:
    """Where a set of smiles admits arbitrage, and by how much."""

    kind: str
    """``butterfly`` (a negative density) or ``calendar`` (variance below the earlier expiry's)."""
    expiry: float
    log_moneyness: float
    amount: float


def _variance(k: np.ndarray, theta: float, rho: float, psi: float) -> np.ndarray:
    shifted = psi * k + theta * rho
    return 0.5 * (theta + rho * psi * k + np.sqrt(shifted * shifted + theta * theta * (1.0 - rho * rho)))


def _slope_bounds(theta: float, rho: float, before: Smile | None) -> tuple[float, float]:
    """Smallest and largest psi that neither condition forbids; empty where the first exceeds the second."""
    high = min(_SLOPE_LIMIT / (1.0 + abs(rho)), 2.0 * np.sqrt(theta / (1.0 + abs(rho))))
    if before is None:
        return 0.0, high
    low = before.psi * max((1.0 + before.rho) / (1.0 + rho), (1.0 - before.rho) / (1.0 - rho))
    return low, min(high, theta * before.psi / before.theta)


def fit_smile(
    strike: np.ndarray, vol: np.ndarray, forward: float, expiry: float, before: Smile | None = None,
    weight: np.ndarray | None = None,
) -> Smile:  # fmt: skip
    """Least-squares smile through the usable quotes of one expiry; ``before`` is the smile of the expiry before it.

    ``weight``: per quote, for instance its vega; None = equal. Deterministic. Raises ValueError without any quote.
    """
    k, w = np.log(np.asarray(strike, dtype=np.float64) / forward), np.asarray(vol, dtype=np.float64) ** 2 * expiry
    if len(k) == 0 or not (forward > 0.0 and expiry > 0.0):
        raise ValueError(f"smile: expected quotes, forward and T above 0, found {len(k)}, {forward} and {expiry}")
    scale = np.sqrt(np.ones(len(k)) if weight is None else np.asarray(weight) / np.max(weight)) / max(
        np.median(w), _LEAST_THETA
    )
    least = before.theta if before is not None else _LEAST_THETA

    def smile(x: np.ndarray) -> tuple[Smile, float]:
        theta, rho = least + float(np.exp(x[0])), _MOST_SKEW * float(np.tanh(x[1]))
        low, high = _slope_bounds(theta, rho, before)
        inside = 0.5 * (1.0 + float(np.tanh(x[2])))
        psi = float(low + (high - low) * inside if high > low else high)
        return Smile(expiry, forward, theta, rho, psi), max(low - high, 0.0)

    def residual(x: np.ndarray) -> np.ndarray:
        candidate, excess = smile(x)
        return np.append((candidate.variance(k) - w) * scale, excess / max(np.median(w), _LEAST_THETA))

    at_money = max(float(np.interp(0.0, *_sorted(k, w))) - least, 0.01 * least, _LEAST_THETA)
    best, best_cost = None, np.inf
    for rho, inside in _STARTS if before is None else ((before.rho, 0.5), *_STARTS):
        start = np.array([np.log(at_money), np.arctanh(rho / _MOST_SKEW), np.arctanh(2.0 * inside - 1.0)])
        found = least_squares(residual, start, method="trf", max_nfev=100, xtol=1e-9, ftol=1e-9, gtol=1e-9)
        candidate, excess = smile(found.x)
        if excess == 0.0 and found.cost < best_cost:
            best, best_cost = candidate, found.cost
    if best is None:  # no skew but the earlier one's is sure to fit: keep it
        theta = least + at_money
        low, high = _slope_bounds(theta, before.rho, before) if before else (0.0, 0.0)
        best = Smile(expiry, forward, theta, before.rho if before else 0.0, min(low, high))
    return best


def _sorted(k: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(k, kind="stable")
    return k[order], w[order]


def fit_smiles(
    expiry: np.ndarray, forward: np.ndarray, strike: np.ndarray, vol: np.ndarray, usable: np.ndarray
) -> tuple[list[Smile], np.ndarray]:
    """Smiles of one underlying, by rising expiry, through its usable quotes; row per option.

    ``forward[option]`` is that of its expiry. Returns the smiles and, per option, the place of its smile. An expiry
    without a usable quote takes the smile before it with variance in proportion to time, or the one after it.
    """
    times, place = np.unique(np.asarray(expiry, dtype=np.float64), return_inverse=True)
    smiles: list[Smile | None] = [None] * len(times)
    before: Smile | None = None
    for i, time in enumerate(times):
        rows = np.flatnonzero((place == i) & usable)
        if len(rows) and time > 0.0:
            before = smiles[i] = fit_smile(strike[rows], vol[rows], float(forward[rows[0]]), float(time), before)
    known = [smile for smile in smiles if smile is not None]
    if not known:
        raise ValueError("smiles: expected at least one usable quote, found none")
    for i, time in enumerate(times):
        if smiles[i] is None:
            smiles[i] = _between(known, float(time), float(forward[np.flatnonzero(place == i)[0]]))
    return [smile for smile in smiles if smile is not None], place


def _between(known: Sequence[Smile], time: float, forward: float) -> Smile:
    """A smile for an expiry without quotes: theta and psi interpolated in time, which keeps both conditions."""
    earlier = [smile for smile in known if smile.expiry < time]
    later = [smile for smile in known if smile.expiry > time]
    if earlier and later:
        a, b = earlier[-1], later[0]
        share = (time - a.expiry) / (b.expiry - a.expiry)
        theta, psi = a.theta + share * (b.theta - a.theta), a.psi + share * (b.psi - a.psi)
        skew = a.rho * a.psi + share * (b.rho * b.psi - a.rho * a.psi)
        return Smile(time, forward, theta, skew / psi if psi > 0.0 else 0.0, psi)
    if earlier:
        last = earlier[-1]
        return Smile(time, forward, last.theta * time / last.expiry, last.rho, last.psi)
    first = later[0]
    share = max(time, 0.0) / first.expiry
    return Smile(max(time, _LEAST_THETA), forward, max(first.theta * share, _LEAST_THETA), first.rho, first.psi * share)


def complete(
    expiry: np.ndarray, forward: np.ndarray, strike: np.ndarray, vol: np.ndarray, status: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Volatilities and ``VolStatus`` of one underlying with unusable quotes filled from the smiles and flagged FITTED.

    Implied volatilities stay as they are; expired options and an underlying without any usable quote are left alone.
    """
    usable = status == VolStatus.IMPLIED
    wanted = ~usable & (status != VolStatus.EXPIRED)
    vol, status = np.array(vol, dtype=np.float64), np.array(status)
    if not (usable.any() and wanted.any()):
        return vol, status
    alive = status != VolStatus.EXPIRED
    rows = np.flatnonzero(alive)
    smiles, place = fit_smiles(expiry[rows], forward[rows], strike[rows], vol[rows], usable[rows])
    for i, row in enumerate(rows):
        if wanted[row]:
            vol[row], status[row] = smiles[place[i]].vol(strike[row]), VolStatus.FITTED
    return vol, status


def arbitrage(smiles: Sequence[Smile], k: np.ndarray | None = None, tolerance: float = 1e-10) -> list[Violation]:
    """Violations of a set of smiles of one underlying on the log-moneyness grid ``k``; empty = none.

    Butterfly: Durrleman's g(k) = (1 - k w'/2w)^2 - w'^2/4 (1/w + 1/4) + w''/2 is the density up to a positive factor.
    Calendar: total variance at a log-moneyness does not fall from one expiry to the next.
    """
    grid = np.linspace(-2.0, 2.0, 401) if k is None else np.asarray(k, dtype=np.float64)
    found: list[Violation] = []
    ordered = sorted(smiles, key=lambda smile: smile.expiry)
    for smile in ordered:
        density = density_sign(smile, grid)
        found += [
            Violation("butterfly", smile.expiry, float(grid[i]), float(-density[i]))
            for i in np.flatnonzero(density < -tolerance)
        ]
    for early, late in zip(ordered, ordered[1:], strict=False):
        fall = early.variance(grid) - late.variance(grid)
        found += [
            Violation("calendar", late.expiry, float(grid[i]), float(fall[i])) for i in np.flatnonzero(fall > tolerance)
        ]
    return found


def density_sign(smile: Smile, k: np.ndarray) -> np.ndarray:
    """Durrleman's g at ``k``: negative exactly where the implied density is."""
    root = np.sqrt((smile.psi * k + smile.theta * smile.rho) ** 2 + smile.theta**2 * (1.0 - smile.rho**2))
    w = smile.variance(k)
    first = 0.5 * smile.psi * (smile.rho + (smile.psi * k + smile.theta * smile.rho) / root)
    second = 0.5 * smile.psi**2 * smile.theta**2 * (1.0 - smile.rho**2) / root**3
    return (1.0 - 0.5 * k * first / w) ** 2 - 0.25 * first * first * (1.0 / w + 0.25) + 0.5 * second
