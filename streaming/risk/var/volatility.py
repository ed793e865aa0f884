"""Conditional volatility of returns, and returns brought to today's volatility (volatility-filtered history)."""

import numpy as np
from numba import njit


def ewma(moves: np.ndarray, decay: float, seed_days: int) -> np.ndarray:
    """Daily volatility float64 [day + 1, symbol]: row t is the forecast *for* day t from the days before it.

    sigma_t^2 = decay sigma_{t-1}^2 + (1 - decay) r_{t-1}^2, started at the mean square of the first ``seed_days``
    returns (RiskMetrics, 1996). The last row is the forecast for the day after the history.
    """
    if not 0.0 < decay < 1.0:
        raise ValueError(f"decay: expected between 0 and 1, found {decay}")
    if len(moves) == 0:
        raise ValueError("volatility: expected at least one return, found none")
    return _ewma(np.ascontiguousarray(moves, dtype=np.float64), decay, min(seed_days, len(moves)))


def filtered(moves: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Returns scaled by sigma_now / sigma_then (``sigma`` from :func:`ewma`); a symbol that never moved stays at 0."""
    then = sigma[:-1]
    return moves * np.where(then > 0.0, sigma[-1] / np.where(then > 0.0, then, 1.0), 1.0)


def realised(moves: np.ndarray) -> np.ndarray:
    """Root mean square of daily returns by symbol (no mean is taken off: over a day it is noise)."""
    return np.sqrt(np.einsum("ts,ts->s", moves, moves) / len(moves))


@njit(cache=True, nogil=True)
def _ewma(moves, decay, seed_days):
    days, symbols = moves.shape
    sigma = np.empty((days + 1, symbols))
    for s in range(symbols):
        variance = 0.0
        for t in range(seed_days):
            variance += moves[t, s] * moves[t, s]
        variance /= seed_days
        for t in range(days):
            sigma[t, s] = np.sqrt(variance)
            variance = decay * variance + (1.0 - decay) * moves[t, s] * moves[t, s]
        sigma[days, s] = np.sqrt(variance)
    return sigma
