"""One consistent picture of the market: a price set, and each instrument's model values under it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from streaming.risk.money import MICRO, fraction


class PriceStatus(IntEnum):
    """How a price came into the set."""

    GOOD = 0
    LAST_GOOD = 1
    """The newest quote was crossed or one-sided; the last good mid stands, within the age limit."""
    STALE = 2
    """Older than the age limit: used, charged conservatively, listed."""
    MISSING = 3
    """No price at all: ``price`` is 0 and must be charged conservatively, never valued at zero silently."""


@dataclass(frozen=True, slots=True)
class PriceSet:
    """One price per instrument, row number = instrument code; micros per unit, in the instrument's currency."""

    id: str
    time: int
    """Microseconds since 1970-01-01 UTC: the snapshot instant."""
    price: np.ndarray
    status: np.ndarray
    age: np.ndarray
    """Microseconds since the price's event time; -1 when missing."""
    previous_close: np.ndarray
    """Micros; 0 where unknown."""
    fx: dict[str, int]
    """Reporting-currency micros per currency unit."""


def conversion(currency: np.ndarray, fx: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Reporting-currency micros per unit for each row's currency, and whether it is known; if not: the largest known
    rate, for what has to be charged all the same."""
    rate = np.full(len(currency), max((MICRO, *fx.values())), dtype=np.int64)
    known = np.zeros(len(currency), dtype=bool)
    for name in set(currency.tolist()) & fx.keys():  # few currencies: a comparison each is cheaper than sorting texts
        mine = currency == name
        rate[mine], known[mine] = fx[name], True
    return rate, known


def cash_value(amount: np.ndarray, currency: np.ndarray, fx: Mapping[str, int]) -> np.ndarray:
    """Signed balances in micros of the reporting currency. Without a rate a credit is charged in full and so counts as
    nothing, and a debit counts at the largest known rate."""
    rate, known = conversion(currency, fx)
    return fraction(np.where(known, amount, np.minimum(amount, 0)), rate)


@dataclass(frozen=True, slots=True)
class Valuation:
    """Model values of every instrument of a price set, rounded once to micros per unit of the underlying.

    ``baseline`` is the model value with today's inputs, so a shock of nothing changes nothing. ``shocked[i, s]`` is
    the model value of instrument i in scenario s; a position's P&L is (shocked - baseline) x multiplier x quantity.
    For a stock the baseline is its price.
    """

    price_set: str
    scenarios: tuple[str, ...]
    baseline: np.ndarray
    shocked: np.ndarray
    delta: np.ndarray
    """ppm: change per 1.00 of spot."""
    gamma: np.ndarray
    """1e-12 units: change of delta (as a fraction) per 1.00 of spot, times 1e12."""
    vega: np.ndarray
    """Micros per 1.00 of volatility."""
    vol: np.ndarray
    """Implied volatility per year, ppm; 0 where it has no meaning."""
    scan: np.ndarray
    """[instrument, 10]: model values at the ten portfolio-margin points (largest up ... largest down)."""
