"""Price of a fixed-coupon bond after a shift of its yield: full revaluation for the debt of a stressed book."""

from math import ceil

import numpy as np
from scipy.optimize import brentq

_YEAR = 365.0
_PERIODS = 2
"""Coupons a year: US Treasuries and corporates pay half-yearly."""
_YIELDS = (-0.9, 10.0)


def price_factor(price: float, coupon: float, years: float, shift: float, floor: float) -> float:
    """New price / old price when the bond's yield moves by ``shift`` and stays above ``floor``.

    ``price`` per 1.00 of face, ``coupon`` and yields per year (yield continuously compounded), ``years`` to maturity.
    1.0 for no shift, for a matured bond, and for a price that no yield explains.
    """
    if shift == 0.0 or years <= 0.0 or price <= 0.0:
        return 1.0
    times = years - np.arange(ceil(years * _PERIODS)) / _PERIODS
    flows = np.full(len(times), coupon / _PERIODS)
    flows[0] += 1.0

    def value(rate: float) -> float:
        return float(np.sum(flows * np.exp(-rate * times)))

    if not value(_YIELDS[1]) < price < value(_YIELDS[0]):
        return 1.0
    now = brentq(lambda rate: value(rate) - price, *_YIELDS, xtol=1e-13)
    return value(max(now + shift, min(now, floor))) / value(now)


def years_to(maturity: int, day: int) -> float:
    """Years between two dates given in days since 1970-01-01."""
    return (maturity - day) / _YEAR
