"""What single options, straddles and strangles require (FINRA 4210(f)(2)(D) to (F)), per contract.

Amounts in micros, rates in ppm. A short option's requirement includes its market value (the premium); the *net*
requirement, after the proceeds or market value are applied, is the requirement less that value.
"""

import numpy as np
from numba import njit

from streaming.risk.margin.stock import leverage_factor
from streaming.risk.margin.terms import Terms
from streaming.risk.money import fraction, fraction_kernel
from streaming.risk.reference import UnderlyingClass, one_of

_BROAD = (UnderlyingClass.BROAD_INDEX, UnderlyingClass.BROAD_INDEX_HIGH_CAP, UnderlyingClass.LEVERAGED_BROAD)


def uncovered_rates(
    underlying_class: np.ndarray, leverage: np.ndarray, known: np.ndarray, terms: Terms
) -> tuple[np.ndarray, np.ndarray]:
    """Rates (a, b) of the uncovered formula by underlying: a of its value, b the minimum; both scaled by leverage."""
    factor = leverage_factor(underlying_class, leverage)
    main = np.where(one_of(underlying_class, *_BROAD), terms.uncovered_broad, terms.uncovered_equity)
    known = known & (underlying_class != UnderlyingClass.NONE)
    charge = terms.conservative_rate
    main = np.where(known, fraction(factor, main), charge)
    least = np.where(known, fraction(factor, terms.uncovered_minimum), charge)
    return main.astype(np.int64), least.astype(np.int64)


@njit(cache=True)
def uncovered_margin(right: int, underlying: int, exercise: int, rate: int, minimum: int) -> int:
    """``max(a x U - OTM, b x base)``: the requirement of an uncovered short option besides its premium.

    ``underlying`` = price x multiplier, ``exercise`` = strike x multiplier; base is the underlying's value for a call
    and the exercise value for a put.
    """
    out_of_the_money = max(exercise - underlying, 0) if right > 0 else max(underlying - exercise, 0)
    base = underlying if right > 0 else exercise
    return max(fraction_kernel(underlying, rate) - out_of_the_money, fraction_kernel(base, minimum))


@njit(cache=True)
def uncovered_margins(right, underlying, exercise, rate, minimum):
    """:func:`uncovered_margin` of every row of equally long columns."""
    margins = np.empty(len(right), dtype=np.int64)
    for i in range(len(right)):
        margins[i] = uncovered_margin(right[i], underlying[i], exercise[i], rate[i], minimum[i])
    return margins


@njit(cache=True)
def straddle_dominates(margin: int, premium: int, other_margin: int, other_premium: int) -> bool:
    """True when the first short option's whole requirement sets that of the pair; ties take the larger sum."""
    whole, other = margin + premium, other_margin + other_premium
    return margin >= other_margin if whole == other else whole > other


@njit(cache=True)
def straddle_margin(margin: int, premium: int, other_margin: int, other_premium: int) -> int:
    """Greater of the two uncovered requirements plus the market value of the other option (4210(f)(2)(F))."""
    larger = margin if straddle_dominates(margin, premium, other_margin, other_premium) else other_margin
    return larger + premium + other_premium


def is_long_term(as_of_day: int, expiry: np.ndarray, months: int) -> np.ndarray:
    """True where more than ``months`` calendar months remain from ``as_of_day`` (days since 1970-01-01)."""
    day = np.datetime64(as_of_day, "D")
    month = day.astype("datetime64[M]")
    later = month + months
    days_in_later = ((later + 1).astype("datetime64[D]") - later.astype("datetime64[D]")).astype(int)
    offset = min(int((day - month.astype("datetime64[D]")).astype(int)), int(days_in_later) - 1)
    limit = int((later.astype("datetime64[D]") + offset).astype(int))
    return expiry > limit
