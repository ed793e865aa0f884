"""Who carries the VaR: standalone, component, marginal and incremental, by any parts of a book.

A part is a row of P&L vectors (an account, a strategy, an underlying, a position); the book is the sum of its parts.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from streaming.risk.money import MICRO
from streaming.risk.rulebook import Rules
from streaming.risk.var.tail import tail_count, tails


@dataclass(frozen=True, slots=True)
class Attribution:
    """A book's VaR by part. Micros by part, except where said."""

    diversified: int
    """VaR of the book."""
    standalone: np.ndarray
    component: np.ndarray
    """Sums exactly to ``diversified``."""
    smoothed: np.ndarray
    """The component averaged over neighbouring scenarios: steadier from day to day, the same sum."""
    marginal: np.ndarray
    """ppm of exposure."""
    incremental: np.ndarray


def attribute(parts: np.ndarray, exposure: np.ndarray, confidence: int, rules: Rules) -> Attribution:
    """Every view of the VaR of a book by its parts [part, scenario]; ``exposure`` in micros by part, signed."""
    found = component(parts, confidence)
    return Attribution(
        diversified(parts, confidence),
        standalone(parts, confidence),
        found,
        component(parts, confidence, int(rules.value("var.component.neighbours"))),
        marginal(found, exposure),
        incremental(parts, confidence),
    )


def standalone(parts: np.ndarray, confidence: int) -> np.ndarray:
    """VaR of each part by itself, micros. Their sum less :func:`diversified` is the diversification benefit, which may
    be negative: VaR is not sub-additive."""
    return tails(parts, confidence)[0]


def diversified(parts: np.ndarray, confidence: int) -> int:
    """VaR of the whole book, micros."""
    return int(tails(parts.sum(axis=0, keepdims=True), confidence)[0][0])


def component(parts: np.ndarray, confidence: int, neighbours: int = 0) -> np.ndarray:
    """Each part's contribution in micros; the contributions sum exactly to the book's VaR.

    A part's loss in the k-th worst scenario; with ``neighbours`` its average over the scenarios ranked k-n to k+n (as
    far as there are that many), scaled to the VaR and rounded by largest remainders. Equal losses rank by scenario
    number. Where the neighbourhood's loss has not the VaR's sign, the k-th scenario alone is used.
    """
    total = parts.sum(axis=0)
    k, _ = tail_count(parts.shape[1], confidence)
    order = np.argsort(total, kind="stable")
    at_var = -parts[:, order[k - 1]]
    around = order[max(0, k - 1 - neighbours) : k + neighbours]
    smoothed = [-sum(int(v) for v in row) for row in parts[:, around]]
    var, base = int(at_var.sum()), sum(smoothed)
    if neighbours == 0 or var * base <= 0:
        return at_var
    return _shared(var, smoothed, base)


def marginal(contribution: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """VaR per unit of exposure, ppm: component / exposure (micros), half to even; 0 without exposure."""
    safe = np.where(exposure == 0, 1, exposure)
    return np.where(exposure == 0, 0, np.rint(contribution / safe * MICRO)).astype(np.int64)


def incremental(parts: np.ndarray, confidence: int) -> np.ndarray:
    """Change of the book's VaR that each part brings, micros: VaR of all less VaR without the part."""
    total = parts.sum(axis=0)
    without = tails(total[None, :] - parts, confidence)[0]
    return diversified(parts, confidence) - without


def _shared(amount: int, shares: list[int], total: int) -> np.ndarray:
    """``amount`` in proportion to ``shares`` (summing to ``total``), exact: largest remainders, ties to lower rows."""
    exact = [Fraction(amount * share, total) for share in shares]
    floors = [value.numerator // value.denominator for value in exact]
    rest = amount - sum(floors)
    order = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    for i in order[:rest]:
        floors[i] += 1
    return np.array(floors, dtype=np.int64)
