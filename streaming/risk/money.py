"""Exact money: fixed-point numbers held as 64-bit integers.

Amounts and prices are counted in *micros* (1e-6 of the currency unit), quantities in whole units, fractions of value
("rates") in parts per million. Whole quantity times micro price is an exact micro amount, so sums and products of
business numbers never round; a fraction of an amount is rounded once, half away from zero, onto the micro grid.
Scalars and numpy columns are both accepted; numba kernels use the ``*_kernel`` twins.
"""

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
from numba import int64, njit, vectorize

MICRO = 1_000_000
"""Micros in one currency unit, and parts per million in the rate 1."""

LIMIT = 9_000_000_000_000_000_000
"""Largest magnitude an amount may take (about 9 trillion currency units)."""


class MoneyOverflowError(ArithmeticError):
    """A sum or product would leave the 64-bit range; the message names the quantity."""


def micros(value: Decimal | int | str) -> int:
    """Exact decimal to micros, rounded half away from zero beyond the sixth decimal."""
    return int((Decimal(value) * MICRO).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def decimal(amount: int) -> Decimal:
    """Micros to an exact decimal with six places."""
    return Decimal(int(amount)).scaleb(-6)


def cents(amount: int) -> Decimal:
    """Micros to a decimal rounded half away from zero to 0.01: the rounding of a reported line (done once)."""
    return decimal(amount).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def round_model(values: np.ndarray | float) -> np.ndarray:
    """Model values (float64, currency units) onto the micro grid, half away from zero: where a model is left."""
    scaled = np.asarray(values, dtype=np.float64) * MICRO
    if not np.all(np.abs(scaled) < float(LIMIT)):  # also catches NaN
        raise MoneyOverflowError("model value: expected finite and below 9e12 currency units")
    return (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(np.int64)


@njit(cache=True, inline="always")
def fraction_kernel(amount: int, rate_ppm: int) -> int:
    """``amount x rate`` rounded half away from zero; exact while rate is at most 9e12 ppm and the result fits."""
    magnitude = amount if amount >= 0 else -amount
    rate = rate_ppm if rate_ppm >= 0 else -rate_ppm
    whole = (magnitude // 1_000_000) * rate
    part = ((magnitude % 1_000_000) * rate + 500_000) // 1_000_000
    result = whole + part
    return result if (amount >= 0) == (rate_ppm >= 0) else -result


@vectorize([int64(int64, int64)], cache=True)
def fraction(amount, rate_ppm):
    """``amount x rate`` on the micro grid, half away from zero. Amount in micros, rate in ppm; scalar or column."""
    return fraction_kernel(amount, rate_ppm)


@njit(cache=True, inline="always")
def share_kernel(amount: int, part: int, whole: int) -> int:
    """``amount x part / whole`` rounded half away from zero, 0 <= part <= whole <= 3e9: pro-rata cost."""
    magnitude = amount if amount >= 0 else -amount
    result = (magnitude // whole) * part + ((magnitude % whole) * part + whole // 2) // whole
    return result if amount >= 0 else -result


def checked_sum(values: np.ndarray, what: str) -> int:
    """Exact sum of a micro column, or :class:`MoneyOverflowError` naming ``what``."""
    if np.abs(values.astype(np.float64)).sum() >= float(LIMIT):
        raise MoneyOverflowError(f"{what}: the sum leaves the range of 9e12 currency units")
    return int(values.sum())
