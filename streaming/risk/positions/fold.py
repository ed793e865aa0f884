"""The average-cost fold: a day's events of each (account, instrument) into its position, exactly.

All amounts are int64 micros of the instrument's currency, quantities whole signed units. The cost basis is signed like
the quantity (a short's cost is minus its proceeds). Closing part of a position releases its pro-rata cost, rounded half
away from zero; closing all of it releases all, so nothing is ever left behind.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from streaming.risk.money import share_kernel

OPEN, TRADE, SPLIT, DIVIDEND, EXPIRE, DELIVER = range(6)
"""Event kinds. OPEN adds a position with its cost; TRADE and DELIVER have a price; EXPIRE closes an option."""

QUANTITY, COST, OPEN_QUANTITY, OPEN_COST, REALISED, FEES, DIVIDENDS, FLOW, BOUGHT, SOLD = range(10)
"""Columns of the measures. FLOW is the signed cash effect of the day's events, fees included; REALISED, FEES,
DIVIDENDS, FLOW, BOUGHT and SOLD (units) are the business day's; OPEN_* is the position the day began with."""
MEASURES = 10

QUANTITY_LIMIT = 3_000_000_000
_AMOUNT_LIMIT = 8.0e18


class FoldEvents(NamedTuple):
    """Event columns, sorted by key and then by place."""

    row: np.ndarray
    """Which row of the measures the event belongs to; ascending."""
    kind: np.ndarray
    quantity: np.ndarray
    """OPEN, TRADE, DELIVER: signed units."""
    price: np.ndarray
    """Micros per unit: price; OPEN: unused; DIVIDEND: amount per unit; EXPIRE: settlement value per unit of underlying;
    SPLIT: price paid for fractions."""
    amount: np.ndarray
    """Micros. TRADE: fee; OPEN: signed cost; SPLIT: numerator."""
    denominator: np.ndarray
    multiplier: np.ndarray


@njit(cache=True)
def fold(measures: np.ndarray, events: FoldEvents, expired: np.ndarray) -> np.ndarray:
    """Apply the events in order to ``measures`` ([rows, MEASURES], changed in place).

    Writes the signed quantity that each EXPIRE event closed into ``expired`` and returns, per event, whether it was
    refused because a sum would leave the 64-bit range (it is then without effect).
    """
    refused = np.zeros(len(events.row), np.bool_)
    for i in range(len(events.row)):
        m = measures[events.row[i]]
        kind, quantity, price = events.kind[i], events.quantity[i], events.price[i]
        multiplier = events.multiplier[i]
        if kind == OPEN:
            if _too_much(m[COST], events.amount[i]) or abs(m[QUANTITY] + quantity) > QUANTITY_LIMIT:
                refused[i] = True
                continue
            m[QUANTITY] += quantity
            m[COST] += events.amount[i]
            m[OPEN_QUANTITY] += quantity
            m[OPEN_COST] += events.amount[i]
        elif kind in (TRADE, DELIVER):
            gross = float(quantity) * float(price) * float(multiplier)
            too_large = abs(gross) > _AMOUNT_LIMIT / 8 or abs(m[FLOW]) > _AMOUNT_LIMIT / 2
            if too_large or abs(float(m[COST])) > _AMOUNT_LIMIT / 2 or abs(m[QUANTITY] + quantity) > QUANTITY_LIMIT:
                refused[i] = True
                continue
            amount = quantity * price * multiplier
            m[FLOW] -= amount + events.amount[i]
            m[FEES] += events.amount[i]
            if quantity > 0:
                m[BOUGHT] += quantity
            else:
                m[SOLD] -= quantity
            _trade(m, quantity, price * multiplier)
        elif kind == SPLIT:
            _split(m, events.amount[i], events.denominator[i], price * multiplier)
        elif kind == DIVIDEND:
            if abs(float(m[QUANTITY]) * float(price)) > _AMOUNT_LIMIT / 8:
                refused[i] = True
                continue
            paid = m[QUANTITY] * price
            m[DIVIDENDS] += paid
            m[FLOW] += paid
        elif kind == EXPIRE:
            expired[i] = m[QUANTITY]
            received = m[QUANTITY] * price * multiplier
            m[FLOW] += received
            m[REALISED] += received - m[COST]
            m[QUANTITY] = 0
            m[COST] = 0
    return refused


@njit(cache=True, inline="always")
def _too_much(total: int, more: int) -> bool:
    return abs(float(total) + float(more)) > _AMOUNT_LIMIT


@njit(cache=True, inline="always")
def _trade(m: np.ndarray, quantity: int, value: int) -> None:
    """Buy (or sell) ``quantity`` at ``value`` per unit: release cost of what it closes, add cost of what it opens."""
    held = m[QUANTITY]
    if held != 0 and (held > 0) != (quantity > 0):
        size = abs(held)
        closed = min(size, abs(quantity))
        released = share_kernel(m[COST], closed, size)
        proceeds = closed * value if held > 0 else -closed * value
        m[REALISED] += proceeds - released
        m[COST] -= released
        step = closed if quantity > 0 else -closed
        m[QUANTITY] += step
        quantity -= step
    m[QUANTITY] += quantity
    m[COST] += quantity * value


@njit(cache=True, inline="always")
def _split(m: np.ndarray, numerator: int, denominator: int, price: int) -> None:
    """New units for old; the fraction of a unit is paid in cash at ``price`` and its share of the cost is released."""
    size = abs(m[QUANTITY]) * numerator
    whole, part = size // denominator, size % denominator
    if part:
        released = share_kernel(m[COST], part, size)  # part < denominator <= 1000: the products stay small
        paid = (price * part + denominator // 2) // denominator
        if m[QUANTITY] < 0:
            paid = -paid
        m[FLOW] += paid
        m[REALISED] += paid - released
        m[COST] -= released
    m[QUANTITY] = whole if m[QUANTITY] >= 0 else -whole
