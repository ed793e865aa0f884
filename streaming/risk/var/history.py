"""A history of daily closes as columns, and the returns in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

import numpy as np
import pyarrow as pa

from streaming.risk.money import micros


class HistoryError(ValueError):
    """A price history that cannot be used: where, what was expected, what was found."""


@dataclass(frozen=True, slots=True)
class PriceHistory:
    """Closes by date and symbol, adjusted for splits and dividends on the same basis as today's positions."""

    dates: np.ndarray
    """int32 days since 1970-01-01, strictly increasing."""
    symbols: tuple[str, ...]
    close: np.ndarray
    """int64 micros [date, symbol]; 0 = no close on that date."""

    def __post_init__(self) -> None:
        if self.close.shape != (len(self.dates), len(self.symbols)):
            raise HistoryError(
                f"history: expected {len(self.dates)} dates x {len(self.symbols)} symbols, found {self.close.shape}"
            )
        if len(set(self.symbols)) != len(self.symbols):
            raise HistoryError("history: expected each symbol once")
        unordered = np.flatnonzero(np.diff(self.dates) <= 0)
        if len(unordered):
            raise HistoryError(f"history: expected increasing dates, found {iso(self.dates[unordered[0] + 1])}")
        if np.any(self.close < 0):
            row, column = np.argwhere(self.close < 0)[0]
            raise HistoryError(
                f"history {self.symbols[column]} {iso(self.dates[row])}: expected a positive close, "
                f"found {self.close[row, column]} micros"
            )

    @classmethod
    def from_table(cls, table: pa.Table, date_column: str = "Date") -> "PriceHistory":
        """A wide table, one row a date and one numeric column a symbol; null or zero = no close."""
        symbols = tuple(name for name in table.column_names if name != date_column)
        if date_column not in table.column_names or not symbols:
            raise HistoryError(f"history: expected a column {date_column} and symbols, found {table.column_names}")
        dates = table.column(date_column).cast(pa.date32()).cast(pa.int32()).to_numpy()
        columns = [_micros(table.column(name), name) for name in symbols]
        order = np.argsort(dates, kind="stable")
        return cls(dates[order], symbols, np.column_stack(columns)[order])

    def column(self, symbol: str) -> int:
        """The column of ``symbol``; :class:`HistoryError` when it is not loaded."""
        if symbol not in self.symbols:
            raise HistoryError(f"history: expected {symbol} among {len(self.symbols)} symbols, found none")
        return self.symbols.index(symbol)

    def row(self, day: int) -> int | None:
        """The row of a date, None when the history has no such date."""
        at = int(np.searchsorted(self.dates, day))
        return at if at < len(self.dates) and self.dates[at] == day else None

    def select(self, symbols: Sequence[str]) -> "PriceHistory":
        """The history of some symbols, in the order given."""
        columns = [self.column(symbol) for symbol in symbols]
        return PriceHistory(self.dates, tuple(symbols), self.close[:, columns])

    def between(self, first: date, last: date) -> "PriceHistory":
        """The dates from ``first`` to ``last``, both inclusive."""
        kept = (self.dates >= days(first)) & (self.dates <= days(last))
        return PriceHistory(self.dates[kept], self.symbols, self.close[kept])


@dataclass(frozen=True, slots=True)
class Returns:
    """One-period moves of every symbol over the same dates."""

    dates: np.ndarray
    """int32 days since 1970-01-01: the end of each move."""
    symbols: tuple[str, ...]
    moves: np.ndarray
    """float64 [date, symbol]: 0.01 = up 1% (relative), or the log return."""
    dropped: np.ndarray
    """Dates left out for every symbol because one of them had no move."""
    stale: np.ndarray
    """int64 [symbol]: how many kept moves are exactly zero (a repeated close)."""


def returns(history: PriceHistory, kind: Literal["relative", "log"] = "relative", horizon: int = 1) -> Returns:
    """Moves over ``horizon`` dates (overlapping above one). A date without every symbol's move is dropped for all."""
    if horizon < 1 or len(history.dates) <= horizon:
        raise HistoryError(f"history: expected more than {horizon} dates, found {len(history.dates)}")
    later, earlier = history.close[horizon:], history.close[:-horizon]
    whole = np.all((later > 0) & (earlier > 0), axis=1)
    ratio = later[whole] / earlier[whole]
    moves = ratio - 1.0 if kind == "relative" else np.log(ratio)
    ends = history.dates[horizon:]
    return Returns(ends[whole], history.symbols, moves, ends[~whole], np.count_nonzero(moves == 0.0, axis=0))


def days(day: date) -> int:
    """A date as days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def iso(day: int) -> str:
    """Days since 1970-01-01 as an ISO date."""
    return str(np.datetime64(int(day), "D"))


def _micros(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Closes on the micro grid; each float is read as the shortest decimal that means it."""
    values = column.to_pylist()
    bad = next((v for v in values if v is not None and not (isinstance(v, (int, float, Decimal)) and v == v)), None)
    if bad is not None:
        raise HistoryError(f"history {name}: expected numbers, found {bad!r}")
    return np.array([0 if v is None else micros(Decimal(str(v))) for v in values], dtype=np.int64)
