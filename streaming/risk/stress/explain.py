"""Delta-gamma-vega beside the full revaluation, with the residual: an explanation, never the loss itself."""

from dataclasses import dataclass

import numpy as np

from streaming.risk.market import Valuation
from streaming.risk.money import MICRO, round_model
from streaming.risk.reference import Instruments, Kind
from streaming.risk.scenarios.mapping import ShockTable
from streaming.risk.stress.book import Book, grouped_pnl, unit_pnl

GAMMA_UNITS = 1e12
"""Valuation.gamma counts changes of delta in 1e-12."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """P&L in micros [group, scenario]: ``delta + gamma + vega + residual = total`` exactly."""

    delta: np.ndarray
    gamma: np.ndarray
    vega: np.ndarray
    residual: np.ndarray
    total: np.ndarray


def taylor(
    instruments: Instruments, valuation: Valuation, table: ShockTable, price: np.ndarray, days_to_expiry: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Delta, gamma and vega P&L per unit: int64 micros [instrument, scenario], rounded once each.

    ``table`` must be the one the valuation was made with; ``days_to_expiry`` by instrument code (0 for others).
    """
    move = table.spots(price)[table.row_of] - (price[table.instrument] / MICRO)[table.row_of][:, None]
    option = instruments.kind == Kind.OPTION
    move[~option] = (table.values(price) / MICRO)[table.row_of[~option]] - (price[~option] / MICRO)[:, None]
    delta = np.where(option, valuation.delta / MICRO, 1.0)[:, None]
    gamma = np.where(option, valuation.gamma / GAMMA_UNITS, 0.0)[:, None]
    vega = np.where(option, valuation.vega / MICRO, 0.0)[:, None]
    vol_move = table.vols(valuation.vol, days_to_expiry) - (valuation.vol / MICRO)[:, None]
    return round_model(delta * move), round_model(0.5 * gamma * move * move), round_model(vega * vol_move)


def explain(
    book: Book,
    group: np.ndarray,
    groups: int,
    instruments: Instruments,
    valuation: Valuation,
    table: ShockTable,
    price: np.ndarray,
    days_to_expiry: np.ndarray,
) -> Explanation:
    """The terms of :func:`taylor` summed over ``group`` (one entry a position), and what they leave unexplained."""
    names, terms = ("delta", "gamma", "vega"), taylor(instruments, valuation, table, price, days_to_expiry)
    parts = [grouped_pnl(book, group, groups, term, f"stress {name} P&L") for name, term in zip(names, terms)]
    total = grouped_pnl(book, group, groups, unit_pnl(valuation), "stress P&L")
    return Explanation(parts[0], parts[1], parts[2], residual=total - sum(parts), total=total)
