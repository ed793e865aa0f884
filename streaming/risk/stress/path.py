"""A scenario path with a static book: margin calls and cash quarter by quarter (stress testing, section 3)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class PathResult:
    """Micros [client, quarter]."""

    equity: np.ndarray
    """After the quarter's loss and the calls met so far, this quarter's included."""
    call: np.ndarray
    """Margin call at the quarter's end, >= 0."""
    met: np.ndarray
    """The part of the call paid from the client's free cash, >= 0."""
    cash: np.ndarray
    """Free cash left to the client."""
    unmet: np.ndarray
    """The part of the call that nothing pays, >= 0."""


def run_path(equity: np.ndarray, cash: np.ndarray, loss: np.ndarray, requirement: np.ndarray) -> PathResult:
    """Play a path. ``loss`` is cumulative from today [client, quarter], ``requirement`` the margin of that quarter.

    ``equity`` and ``cash`` (free cash outside the account) are today's, in micros by client. A call is the shortfall
    of equity against requirement; a met call is equity from then on, excess is left in the account.
    """
    shape = loss.shape
    found = PathResult(*(np.zeros(shape, dtype=np.int64) for _ in range(5)))
    left, paid = np.maximum(0, cash).astype(np.int64), np.zeros(shape[0], dtype=np.int64)
    for quarter in range(shape[1]):
        before = equity - loss[:, quarter] + paid
        call = np.maximum(0, requirement[:, quarter] - before)
        met = np.minimum(call, left)
        left, paid = left - met, paid + met
        found.equity[:, quarter], found.call[:, quarter] = before + met, call
        found.met[:, quarter], found.cash[:, quarter], found.unmet[:, quarter] = met, left, call - met
    return found
