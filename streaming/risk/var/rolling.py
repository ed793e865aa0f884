"""VaR day by day through a history: each day's forecast from the window before it, ready for the backtest."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from streaming.risk.money import MICRO, round_model
from streaming.risk.rulebook import Rules
from streaming.risk.var.history import Returns
from streaming.risk.var.tail import age_weights, tails, weighted_tail
from streaming.risk.var.volatility import ewma

Method = Literal["historical", "filtered", "age-weighted"]


@dataclass(frozen=True, slots=True)
class Series:
    """Forecast and outcome of each day; row i of everything belongs to ``dates[i]``."""

    dates: np.ndarray
    """int32 days since 1970-01-01."""
    pnl: np.ndarray
    """int64 micros: P&L of the static book on the day."""
    var: np.ndarray
    """int64 micros: from the ``window`` days before it."""
    es: np.ndarray
    """int64 micros"""
    exceptions: np.ndarray
    """bool: loss strictly above VaR."""
    method: str
    window: int
    confidence: int


def var_series(
    history: Returns, exposure: np.ndarray, window: int, confidence: int, rules: Rules, method: Method = "historical"
) -> Series:
    """A book of fixed exposures (int64 micros by symbol) held every day of the history.

    ``filtered``: each symbol's returns are scaled from their day's EWMA volatility to the forecast of the day;
    ``age-weighted``: weights fall by ``var.age.lambda`` a day.
    """
    days = len(history.dates)
    if days <= window or len(exposure) != len(history.symbols):
        raise ValueError(
            f"VaR series: expected more than {window} dates and {len(history.symbols)} exposures, "
            f"found {days} and {len(exposure)}"
        )
    pnl = _pnl(history.moves, exposure)
    samples = _filtered(history.moves, exposure, window, rules) if method == "filtered" else _windows(pnl, window)
    if method == "age-weighted":
        var, es = _age_weighted(samples, confidence, float(rules.value("var.age.lambda")))
    else:
        var, es = tails(samples, confidence)
    outcome = pnl[window:]
    return Series(history.dates[window:], outcome, var, es, -outcome > var, method, window, confidence)


def _pnl(moves: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """P&L of each day: every symbol's share is rounded once, then the sum is exact."""
    return round_model(moves * (exposure / MICRO)).sum(axis=1)


def _windows(pnl: np.ndarray, window: int) -> np.ndarray:
    """[forecast day, scenario]: the ``window`` days before each day that has as many."""
    return np.lib.stride_tricks.sliding_window_view(pnl[:-1], window)


def _filtered(moves: np.ndarray, exposure: np.ndarray, window: int, rules: Rules) -> np.ndarray:
    sigma = ewma(moves, float(rules.value("var.ewma.lambda")), int(rules.value("var.ewma.seed_days")))
    then = sigma[:-1]
    standard = np.where(then > 0.0, moves / np.where(then > 0.0, then, 1.0), 0.0)
    samples = np.empty((len(moves) - window, window), dtype=np.int64)
    for row, day in enumerate(range(window, len(moves))):
        scale = sigma[day] * (exposure / MICRO)
        samples[row] = round_model(np.einsum("ts,s->t", standard[day - window : day], scale))
    return samples


def _age_weighted(samples: np.ndarray, confidence: int, decay: float) -> tuple[np.ndarray, np.ndarray]:
    weights = age_weights(samples.shape[1], decay)
    found = [weighted_tail(-row, weights, confidence) for row in samples]
    return round_model(np.array([t.var for t in found]) / MICRO), round_model(np.array([t.es for t in found]) / MICRO)
