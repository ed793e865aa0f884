"""Historical VaR and expected shortfall of P&L vectors, at the rulebook's confidences and horizons."""

from dataclasses import dataclass

import numpy as np

from streaming.risk.money import MICRO, round_model
from streaming.risk.rulebook import Rules
from streaming.risk.var.horizon import square_root_of_time
from streaming.risk.var.tail import NotAvailableError, tails, weighted_tail


@dataclass(frozen=True, slots=True)
class Measures:
    """VaR and ES in micros [row, confidence, horizon]; 0 where ``available`` says that there is none."""

    var: np.ndarray
    es: np.ndarray
    confidences: tuple[int, ...]
    """ppm"""
    horizons: tuple[int, ...]
    """Days; beyond one by the square root of time."""
    available: np.ndarray
    """bool [confidence]: False when the sample is too small for it."""
    negative: np.ndarray
    """bool [row, confidence]: the VaR is a gain; shown as it is."""
    scenarios: int
    method: str


def measures(pnl: np.ndarray, rules: Rules, method: str = "historical, order statistic") -> Measures:
    """Measures of every row of P&L vectors [row, scenario] (int64 micros)."""
    confidences = tuple(int(v * MICRO) for v in rules.values("var.confidence"))
    horizons = tuple(int(v) for v in rules.values("var.horizon"))
    shape = (len(pnl), len(confidences), len(horizons))
    var, es = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    available = np.ones(len(confidences), dtype=bool)
    for c, confidence in enumerate(confidences):
        try:
            one_var, one_es = tails(pnl, confidence)
        except NotAvailableError:
            available[c] = False
            continue
        for h, horizon in enumerate(horizons):
            var[:, c, h] = one_var if horizon == 1 else square_root_of_time(one_var, horizon)
            es[:, c, h] = one_es if horizon == 1 else square_root_of_time(one_es, horizon)
    return Measures(var, es, confidences, horizons, available, var[:, :, 0] < 0, pnl.shape[1], method)


def weighted_measures(pnl: np.ndarray, weights: np.ndarray, confidence: int) -> tuple[np.ndarray, np.ndarray]:
    """(VaR, ES) in micros of every row under scenario weights (age-weighted history), each rounded once."""
    found = [weighted_tail(-row, weights, confidence) for row in pnl]
    return round_model(np.array([t.var for t in found]) / MICRO), round_model(np.array([t.es for t in found]) / MICRO)
