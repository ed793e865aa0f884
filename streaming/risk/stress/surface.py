"""The spot x volatility surface of every account and underlying, and its worst cells (stress testing, section 5)."""

from dataclasses import dataclass

import numpy as np

from streaming.risk.market import Valuation
from streaming.risk.reference import Instruments
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios.grid import Grid
from streaming.risk.stress.book import Book, alone


@dataclass(frozen=True, slots=True)
class Surface:
    """One row per account and underlying, sorted; a cell is a joint move of the spot and of all its volatilities."""

    account: np.ndarray
    underlying: np.ndarray
    loss: np.ndarray
    """int64 micros [pair, spot, vol]; positive = loss; exactly 0 where nothing moves."""
    worst: np.ndarray
    """int64 micros [pair]: largest loss anywhere; 0 when every cell gains."""
    worst_cell: np.ndarray
    """[pair, 2]: position of the worst cell on the spot and vol axes (the first in axis order among equals)."""
    inner: np.ndarray
    """int64 micros [pair]: largest loss inside the inner spot range (+/-15%)."""
    inner_cell: np.ndarray


def surface(book: Book, instruments: Instruments, valuation: Valuation, grid: Grid, rules: Rules) -> Surface:
    """The surface from a valuation whose scenarios include all of the grid's."""
    column = {name: number for number, name in enumerate(valuation.scenarios)}
    missing = [s.id for s in grid.scenarios if s.id not in column]
    if missing:
        raise ValueError(f"surface: expected every grid cell in the valuation, found {missing[0]} missing")
    cells = np.array([column[s.id] for s in grid.scenarios])
    found = alone(book, instruments.underlying, valuation, cells)
    loss = found.loss.reshape(len(found.account), *grid.shape)
    near = np.abs(grid.spot) <= rules.ppm("stress.grid.inner")
    worst, worst_cell = _worst(loss, np.arange(len(grid.spot)))
    inner, inner_cell = _worst(loss[:, near], np.flatnonzero(near))
    return Surface(found.account, found.part, loss, worst, worst_cell, inner, inner_cell)


def _worst(loss: np.ndarray, spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = loss.reshape(len(loss), loss.shape[1] * loss.shape[2])
    if flat.shape[1] == 0 or len(flat) == 0:
        return np.zeros(len(loss), dtype=np.int64), np.zeros((len(loss), 2), dtype=np.int64)
    at = flat.argmax(axis=1)
    cell = np.column_stack((spots[at // loss.shape[2]], at % loss.shape[2]))
    return np.maximum(0, flat[np.arange(len(flat)), at]), cell
