"""What stock and debt require: initial (12 CFR 220.12) and maintenance (FINRA 4210(c), (e)), per position.

Prices in micros per unit, values in micros, rates in ppm; quantities here are unsigned, the side is in the name.
A requirement is what must stand on top of the position's own value or sale proceeds, and is positive.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numba import njit

from streaming.risk.margin.terms import Terms
from streaming.risk.money import MICRO, fraction, fraction_kernel, micros
from streaming.risk.reference import Instruments, UnderlyingClass, one_of
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class EquityRates:
    """Per instrument, ppm of market value."""

    long: np.ndarray
    short: np.ndarray
    initial_long: np.ndarray
    """Regulation T's rate or the maintenance rate, whichever is higher (220.12(a))."""
    initial_short: np.ndarray
    """Regulation T's rate on top of the proceeds; the maintenance requirement is compared per position."""


def leverage_factor(underlying_class: np.ndarray, leverage: np.ndarray) -> np.ndarray:
    """Absolute leverage factor in ppm, at least 1x, and 1x for what is not a leveraged fund (Notice 09-53)."""
    leveraged = one_of(underlying_class, UnderlyingClass.LEVERAGED, UnderlyingClass.LEVERAGED_BROAD)
    return np.where(leveraged, np.maximum(np.abs(leverage), MICRO), MICRO).astype(np.int64)


def leveraged_rate(rate: int, factor: np.ndarray, cap: int) -> np.ndarray:
    """``min(rate x factor, cap)`` in ppm: the maintenance rate of a leveraged fund (Notice 09-53)."""
    return np.minimum(fraction(factor, rate), cap)


def equity_rates(instruments: Instruments, known: np.ndarray, terms: Terms) -> EquityRates:
    """Rates of every instrument as stock. ``known`` is False where a reference is missing: charged in full."""
    factor = leverage_factor(instruments.underlying_class, instruments.leverage)
    marginable = instruments.marginable.astype(bool)
    long = leveraged_rate(terms.long_rate, factor, terms.leverage_cap)
    long = np.where(marginable, long, terms.non_margin_rate)
    short = leveraged_rate(terms.short_rate, factor, terms.leverage_cap)
    initial_long = np.where(marginable, terms.initial_long, terms.initial_non_margin)
    charge = terms.conservative_rate
    return EquityRates(
        np.where(known, long, charge).astype(np.int64),
        np.where(known, short, charge).astype(np.int64),
        np.where(known, np.maximum(initial_long, long), charge).astype(np.int64),
        np.where(known, terms.initial_short, charge).astype(np.int64),
    )


@njit(cache=True)
def short_maintenance(price: int, shares: int, rate: int, terms: Terms) -> int:
    """Maintenance of ``shares`` sold short at market ``price``; ``rate`` for 5.00 and above (4210(c)(2), (3))."""
    value = price * shares
    if price < terms.short_low_price:
        return max(terms.short_low_floor * shares, fraction_kernel(value, terms.short_low_rate))
    return max(terms.short_floor * shares, fraction_kernel(value, rate))


@njit(cache=True)
def short_maintenances(price, shares, rate, terms):
    """:func:`short_maintenance` of every row of equally long columns."""
    need = np.empty(len(price), dtype=np.int64)
    for i in range(len(price)):
        need[i] = short_maintenance(price[i], shares[i], rate[i], terms)
    return need


@njit(cache=True)
def short_initial(price: int, shares: int, initial_rate: int, maintenance: int) -> int:
    """Initial requirement of a short on top of the proceeds: Regulation T's or FINRA's if higher (220.12(c))."""
    return max(fraction_kernel(price * shares, initial_rate), maintenance)


@njit(cache=True)
def box_maintenance(price: int, shares: int, terms: Terms) -> int:
    """Short against the box: a share of the long market value for long and short together (4210(e)(1))."""
    return fraction_kernel(price * shares, terms.box_rate)


def first_transaction_deposit(cost: int, rules: Rules) -> int:
    """Deposit for a first long purchase: half the cost, at least 2,000 dollars, never more than the cost (4210(b))."""
    minimum = min(rules.micros("regt.minimum_equity"), cost)
    return max(int(fraction(cost, rules.ppm("regt.initial.long_equity"))), minimum)


def treasury_rate(days_to_maturity: np.ndarray, rules: Rules) -> np.ndarray:
    """ppm of market value by remaining life; a maturity that is exactly so many years belongs to the lower row."""
    rows = cast(list[dict[str, str]], rules.parameter("regt.maintenance.treasury").value)
    ends = [_days(int(row["years"])) for row in rows[:-1]]
    rates = np.array([micros(row["rate"]) for row in rows])
    return rates[np.searchsorted(ends, days_to_maturity, side="left")]


def debt_maintenance(
    value: np.ndarray, principal: np.ndarray, investment_grade: np.ndarray, rules: Rules
) -> np.ndarray:
    """Requirement of listed non-government debt on unsigned ``value`` and ``principal`` in micros (4210(e)(2))."""
    grade = fraction(value, rules.ppm("regt.maintenance.investment_grade_debt"))
    other = np.maximum(
        fraction(value, rules.ppm("regt.maintenance.other_debt")),
        fraction(principal, rules.ppm("regt.maintenance.other_debt_principal")),
    )
    return np.where(investment_grade, grade, other)


def _days(years: int) -> int:
    """Days in so many years, counting leap days at their mean rate and giving the part day to the holder."""
    return -(-years * 1461 // 4)
