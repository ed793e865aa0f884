"""The real daily closes that the day is built on (see ``data/README.md`` for source and licence)."""

import csv
import gzip
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files

import numpy as np

from streaming.risk.money import MICRO

INDEX = "SPX"
SOURCE = "skfolio dataset, adjusted"
_EWMA_DECAY = 0.94  # RiskMetrics, daily
_BETA_DAYS = 250
_TRADING_DAYS = 252


@dataclass(frozen=True, slots=True)
class Closes:
    """Official closes by date (rows) and symbol (columns), int64 micros; the index is the last symbol."""

    dates: tuple[date, ...]
    symbols: tuple[str, ...]
    micros: np.ndarray

    def until(self, day: date) -> "Closes":
        """The dates before ``day``; :class:`ValueError` when ``day`` is not there or has less than a year before it."""
        if day not in self.dates:
            raise ValueError(f"date {day}: expected a date of the closes, {self.dates[0]} to {self.dates[-1]}")
        count = self.dates.index(day)
        if count <= _BETA_DAYS:
            raise ValueError(f"date {day}: expected more than {_BETA_DAYS} closes before it, found {count}")
        return Closes(self.dates[:count], self.symbols, self.micros[:count])

    def on(self, day: date) -> np.ndarray:
        """The closes of one date, micros by symbol."""
        return self.micros[self.dates.index(day)]

    def returns(self, days: int) -> np.ndarray:
        """The newest log returns, [days, symbols]."""
        return np.diff(np.log(self.micros[-days - 1 :].astype(np.float64)), axis=0)

    def volatility(self) -> np.ndarray:
        """Exponentially weighted realised volatility per year by symbol, as of the last date."""
        returns = self.returns(_BETA_DAYS)
        weights = _EWMA_DECAY ** np.arange(len(returns))[::-1]
        return np.sqrt((weights[:, None] * returns**2).sum(axis=0) / weights.sum() * _TRADING_DAYS)

    def beta(self) -> np.ndarray:
        """Slope of each symbol's daily returns on the index's over a year."""
        returns = self.returns(_BETA_DAYS)
        centred = returns - returns.mean(axis=0)
        return (centred * centred[:, -1:]).sum(axis=0) / (centred[:, -1] ** 2).sum()


def _rows(name: str) -> list[list[str]]:
    raw = files("streaming.demo").joinpath("data", name).read_bytes()
    return list(csv.reader(gzip.decompress(raw).decode().splitlines()))


def _micros(texts: list[str]) -> list[int]:
    return [round(float(text) * MICRO) for text in texts]


@lru_cache(maxsize=1)
def closes() -> Closes:
    """Every close of the twenty stocks and the index."""
    stocks, index = _rows("us_equities_daily_close.csv.gz"), _rows("sp500_index_daily_close.csv.gz")
    if [row[0] for row in stocks[1:]] != [row[0] for row in index[1:]]:
        raise ValueError("closes: expected the stocks' dates and the index's to be the same")
    micros = np.array([_micros(s[1:] + i[1:]) for s, i in zip(stocks[1:], index[1:])], dtype=np.int64)
    dates = tuple(date.fromisoformat(row[0]) for row in stocks[1:])
    return Closes(dates, (*stocks[0][1:], INDEX), micros)


@lru_cache(maxsize=1)
def vix() -> dict[date, float]:
    """The volatility index's closes as fractions per year, where the file reaches."""
    rows = _rows("vix_daily_close.csv.gz")[1:]
    return {datetime.strptime(day, "%m/%d/%Y").date(): float(value) / 100 for day, value in rows if value != "."}
