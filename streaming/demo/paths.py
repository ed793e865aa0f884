"""Intraday paths: Brownian bridges from the real previous close to the real close, a second apart."""

from dataclasses import dataclass

import numpy as np

from streaming.demo.history import Closes
from streaming.demo.session import SECOND, Session
from streaming.demo.spec import DaySpec, stream
from streaming.demo.universe import LEVERAGE, LEVERAGED, Universe

_COMMON = 0.7
"""Correlation of each stock's bridge with the index's."""
_INTRADAY = 0.6
"""Part of the daily volatility that the bridge around the straight line gets."""
_TRADING_DAYS = 252


@dataclass(frozen=True, slots=True)
class Paths:
    """True prices of the underlyings, [underlying, second of the session], float64."""

    open: int
    level: np.ndarray

    def at(self, underlying: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The price at each instant; before the open the first, after the close the last."""
        second = np.clip((time - self.open) // SECOND, 0, self.level.shape[1] - 1)
        return self.level[underlying, second]


def build(spec: DaySpec, day: Session, universe: Universe, history: Closes) -> Paths:
    """The paths of a spec; the last second is exactly the real close."""
    steps = (day.close - day.open) // SECOND
    time = np.arange(steps + 1) / steps
    market = _bridge(spec, "SPX", time)
    daily = history.volatility() / np.sqrt(_TRADING_DAYS) * _INTRADAY
    level = np.empty((universe.underlyings, steps + 1))
    for row, symbol in enumerate(history.symbols):
        own = market if row == len(history.symbols) - 1 else _bridge(spec, symbol, time)
        mixed = own if own is market else _COMMON * market + np.sqrt(1 - _COMMON**2) * own
        line = np.log(universe.previous[row]) * (1 - time) + np.log(universe.close[row]) * time
        level[row] = np.exp(line + min(daily[row], 0.05) * mixed)
    index = len(history.symbols) - 1
    fund = universe.row(LEVERAGED)
    level[fund] = np.maximum(
        0.01, universe.previous[fund] * (1 + LEVERAGE * (level[index] / universe.previous[index] - 1))
    )
    level[:, -1] = universe.close
    return Paths(day.open, level)


def _bridge(spec: DaySpec, symbol: str, time: np.ndarray) -> np.ndarray:
    """A standard Brownian bridge on [0, 1]."""
    steps = len(time) - 1
    walk = np.concatenate([[0.0], np.cumsum(stream(spec.seed, "path", symbol).standard_normal(steps))]) / np.sqrt(steps)
    return walk - time * walk[-1]
