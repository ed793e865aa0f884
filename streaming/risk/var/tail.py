"""VaR and expected shortfall of a sample, exactly (VaR and backtest, section 1). Losses are positive.

Confidence is an integer in ppm (99% = 990,000), so ``N (1 - c)`` is a rational number and no binary rounding decides
which loss is the k-th worst: k = ceil(N (1 - c)); for 500 scenarios at 99% the fifth, for 250 the third.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from streaming.risk.money import MICRO, MoneyOverflowError

_REACHED = 1e-9
"""Cumulative weights within this of 1 - c have reached it (the rounding that the order statistic asks for)."""


class NotAvailableError(ValueError):
    """Too few scenarios for the confidence: the measure is not available and never extrapolated."""


@dataclass(frozen=True, slots=True)
class Tail:
    """VaR and expected shortfall of one loss sample, in the unit of the losses, unrounded."""

    var: Fraction | int | float
    es: Fraction | int | float
    worst: int = 0
    """k: VaR is the k-th largest loss (0 where the definition has no order statistic)."""


def tail_count(scenarios: int, confidence: int) -> tuple[int, Fraction]:
    """(k, m): the rank of the VaR loss, and m = N (1 - c), how many scenarios the tail holds.

    :class:`NotAvailableError` when the tail holds less than one scenario.
    """
    if not 0 < confidence < MICRO:
        raise ValueError(f"confidence: expected between 0 and 1, found {confidence / MICRO}")
    m = Fraction(scenarios * (MICRO - confidence), MICRO)
    if m < 1:
        needed = -(-MICRO // (MICRO - confidence))
        raise NotAvailableError(
            f"confidence {confidence / MICRO:.4%}: expected at least {needed} scenarios, found {scenarios}"
        )
    return -(-m.numerator // m.denominator), m


def tail(losses: np.ndarray | Sequence[int | Fraction], confidence: int, scenarios: int | None = None) -> Tail:
    """Order-statistic VaR and discrete expected shortfall of equally likely losses.

    ES = (the k-1 largest losses + (m - (k-1)) x the k-th) / m. Integer losses give exact fractions. ``scenarios`` is
    the sample's size when only its worst losses are given.
    """
    size = len(losses) if scenarios is None else scenarios
    k, m = tail_count(size, confidence)
    if len(losses) < k or len(losses) > size:
        raise NotAvailableError(f"losses: expected from {k} to {size} of {size} scenarios, found {len(losses)}")
    worst = sorted((_exact(v) for v in losses), reverse=True)[:k]
    es = (sum(worst[:-1]) + (m - (k - 1)) * worst[-1]) / m
    return Tail(worst[-1], es, k)


def interpolated_var(losses: np.ndarray, confidence: int) -> float:
    """VaR by linear interpolation between order statistics (numpy's ``linear``): only where a report asks for it."""
    tail_count(len(losses), confidence)
    return float(np.quantile(np.asarray(losses, dtype=np.float64), confidence / MICRO, method="linear"))


def tails(pnl: np.ndarray, confidence: int) -> tuple[np.ndarray, np.ndarray]:
    """(VaR, ES) in micros of every row of ``pnl`` [row, scenario] (int64 micros, signed), ES rounded once.

    VaR may be negative when all P&L is positive: it is shown, not floored.
    """
    k, m = tail_count(pnl.shape[1], confidence)
    worst = np.sort(np.partition(pnl, k - 1, axis=1)[:, :k], axis=1)
    var = -worst[:, -1]
    es = np.array([_rounded((-sum(map(int, row[:-1])) + (m - (k - 1)) * -int(row[-1])) / m) for row in worst])
    return var, es.astype(np.int64).reshape(len(var))


def weighted_tail(losses: np.ndarray, weights: np.ndarray, confidence: int) -> Tail:
    """VaR and ES when scenarios have weights (which sum to 1 over the whole sample, given or not).

    From the largest loss down until the cumulative weight reaches 1 - c: that loss is VaR; ES fills the tail to exactly
    1 - c with it. Equal losses keep their order; their weights add up to the same tail either way.
    """
    order = np.argsort(-np.asarray(losses), kind="stable")
    ordered, cumulative = np.asarray(losses)[order], np.cumsum(np.asarray(weights, dtype=np.float64)[order])
    p = (MICRO - confidence) / MICRO
    reached = np.flatnonzero(cumulative >= p - _REACHED * p)
    if len(reached) == 0:
        raise NotAvailableError(f"losses: expected weight of at least {p:.4%}, found {cumulative[-1]:.4%}")
    at = int(reached[0])
    before = cumulative[at - 1] if at else 0.0
    inside = np.diff(cumulative[:at], prepend=0.0)
    es = (float(np.sum(inside * ordered[:at])) + (p - before) * float(ordered[at])) / p
    return Tail(float(ordered[at]), es)


def age_weights(scenarios: int, decay: float) -> np.ndarray:
    """Weights by age, oldest scenario first: proportional to ``decay ** (n - i)``, summing to 1."""
    if not 0.0 < decay <= 1.0:
        raise ValueError(f"decay: expected above 0 and at most 1, found {decay}")
    weights = decay ** np.arange(scenarios - 1, -1, -1, dtype=np.float64)
    total = scenarios if decay == 1.0 else (1.0 - decay**scenarios) / (1.0 - decay)
    return weights / total


def discrete_tail(losses: Sequence[Fraction], probabilities: Sequence[Fraction], confidence: int) -> Tail:
    """VaR and ES of a discrete distribution: VaR is the smallest loss with P(L > loss) <= 1 - c."""
    if not losses or len(losses) != len(probabilities) or any(p < 0 for p in probabilities):
        raise ValueError("distribution: expected losses, each with a probability of at least 0")
    if abs(float(sum(probabilities)) - 1.0) > _REACHED:
        raise ValueError(f"distribution: expected probabilities that sum to 1, found {float(sum(probabilities))}")
    p = Fraction(MICRO - confidence, MICRO)
    beyond, inside = Fraction(0), Fraction(0)
    for loss in sorted(set(losses), reverse=True):
        here = sum((q for x, q in zip(losses, probabilities) if x == loss), Fraction(0))
        if beyond + here > p:
            return Tail(loss, (inside + (p - beyond) * loss) / p)
        beyond, inside = beyond + here, inside + here * loss
    return Tail(min(losses), inside / p)


def convolved(
    losses: Sequence[Fraction], probabilities: Sequence[Fraction]
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """The distribution of the sum of two independent copies."""
    found: dict[Fraction, Fraction] = {}
    for x, p in zip(losses, probabilities):
        for y, q in zip(losses, probabilities):
            found[x + y] = found.get(x + y, Fraction(0)) + p * q
    return tuple(found), tuple(found.values())


def _exact(value) -> Fraction | int:
    return int(value) if isinstance(value, (int, np.integer)) else Fraction(value)


def _rounded(value: Fraction) -> int:
    """Half away from zero."""
    magnitude = (abs(value) * 2 + 1) // 2
    if magnitude >= np.iinfo(np.int64).max:
        raise MoneyOverflowError("expected shortfall: leaves the range of 9e12 currency units")
    return int(magnitude) if value >= 0 else -int(magnitude)
