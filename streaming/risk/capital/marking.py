"""Market value of quantities under a price set, in the reporting currency."""

from dataclasses import dataclass

import numpy as np

from streaming.risk import money
from streaming.risk.market import PriceSet, PriceStatus, conversion
from streaming.risk.reference import Instruments


@dataclass(frozen=True, slots=True)
class Marks:
    """Prices ready for use; row number = instrument code."""

    unit: np.ndarray
    """int64 micros of the instrument's currency per share or contract; 0 where nothing is known."""
    rate: np.ndarray
    """Reporting-currency micros per unit of the instrument's currency."""
    priced: np.ndarray
    """True where the price set has a price and the multiplier is known."""
    ready: np.ndarray
    """Priced, and not stale: what may count as having a ready market."""

    def value(self, instrument: np.ndarray, quantity: np.ndarray, fallback: np.ndarray | None = None) -> np.ndarray:
        """Signed value, int64 micros of the reporting currency.

        Without a price: the previous close; without that the magnitude of ``fallback`` (cost or contract money, in the
        instrument's currency) with the sign of the quantity.
        """
        unit = self.unit[instrument]
        if np.any(np.abs(unit.astype(np.float64) * quantity) >= float(money.LIMIT)):
            raise money.MoneyOverflowError("market value: a position leaves the range of 9e12 currency units")
        local = unit * quantity
        if fallback is not None:
            local = np.where(unit == 0, np.abs(fallback) * np.sign(quantity), local)
        return np.asarray(money.fraction(local, self.rate[instrument]), dtype=np.int64)


def marks(instruments: Instruments, prices: PriceSet) -> Marks:
    """The marks of a price set. What lacks a price, a multiplier or an exchange rate is not ``priced``."""
    rate, known_rate = rates(instruments.currency, prices)
    priced = (prices.status != PriceStatus.MISSING) & (prices.price > 0) & (instruments.multiplier > 0) & known_rate
    known = np.where(prices.price > 0, prices.price, prices.previous_close)
    unit = known.astype(np.int64) * np.maximum(instruments.multiplier, 0).astype(np.int64)
    ready = priced & (prices.status != PriceStatus.STALE)
    return Marks(unit, rate, priced, ready)


def rates(currency: np.ndarray, prices: PriceSet) -> tuple[np.ndarray, np.ndarray]:
    """Each row's reporting-currency rate, int64 micros, and whether it is known; if not: the largest known rate."""
    return conversion(currency, prices.fx)
