"""The lowest legal maintenance of one account's positions in one underlying: which legs are margined together.

A *book* is the stock and the option series of one account and underlying. Its legal treatments (margin_regt_4210.md,
sections 3 to 5) are the columns of a small integer programme that maximises the saving against margining every leg
alone; :mod:`programme` solves it exactly.

* Every pair or triple of hedged stock, every straddle and every European long box is one column that consumes its legs.
* Spreads: any set of legs that meets the conditions of 4210(f)(2)(A) is one spread, and two sets that share a latest
  short expiry may be joined, which never raises the maximum loss (the minimum of a sum is at least the sum of the
  minima). So one set per (style, multiplier, earliest long expiry) is enough: a column per eligible leg and a column
  for the set's loss, which is at least the loss at every strike. With equal calls and equal puts the value is flat
  below the lowest and above the highest strike, so the strikes are all the points that matter.
* Every leg and share is consumed at most once; what is left is margined alone.

Quantities, prices and requirements are exact integers (micros); the programme's floats only choose.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from streaming.risk.margin import hedged
from streaming.risk.margin.options import straddle_margin
from streaming.risk.margin.programme import SOLVED, maximise_large, maximise_small
from streaming.risk.margin.stock import box_maintenance, short_initial, short_maintenance
from streaming.risk.margin.strategies import Strategy
from streaming.risk.margin.terms import Terms
from streaming.risk.money import fraction_kernel

COVER, HEDGE, STRADDLES, SPREADS = 1, 2, 4, 8
"""What a book may be margined as: covered calls; other hedged stock and the box; straddles; spreads."""

_BOX, _COVERED_CALL, _COVERED_PUT = (
    int(Strategy.SHORT_AGAINST_BOX),
    int(Strategy.COVERED_CALL),
    int(Strategy.COVERED_PUT),
)
_PROTECTIVE_PUT, _PROTECTIVE_CALL = int(Strategy.PROTECTIVE_PUT), int(Strategy.PROTECTIVE_CALL)
_CONVERSION, _REVERSE, _COLLAR = int(Strategy.CONVERSION), int(Strategy.REVERSE_CONVERSION), int(Strategy.COLLAR)
_STRADDLE, _SPREAD, _LONG_BOX = int(Strategy.STRADDLE), int(Strategy.SPREAD), int(Strategy.LONG_BOX)
_LOSS = -1
"""Kind of the column that holds a spread set's loss."""

(
    RIGHT,
    STRIKE,
    EXPIRY,
    STYLE,
    MULTIPLIER,
    QUANTITY,
    PREMIUM,
    MARGIN,
    CHARGE,
    ALONE,
    PAIRABLE,
    BOXABLE,
    AMERICAN,
) = range(13)
"""Columns of a book's legs as one matrix, the fields of :class:`Legs` in order: what the kernels take."""


class Legs(NamedTuple):
    """The option series of one book, in canonical order; int64 and bool arrays, amounts in micros per contract."""

    right: np.ndarray
    strike: np.ndarray
    expiry: np.ndarray
    """Ordered key: of two options with one date the AM-settled expires first."""
    style: np.ndarray
    multiplier: np.ndarray
    quantity: np.ndarray
    premium: np.ndarray
    """Market value."""
    margin: np.ndarray
    """Uncovered requirement of a short besides its premium."""
    charge: np.ndarray
    """Requirement of a long alone."""
    alone: np.ndarray
    """:class:`Strategy` of the leg by itself."""
    pairable: np.ndarray
    """False where the leg may not be margined with others: no reliable price, expired."""
    boxable: np.ndarray
    """European and cash-settled: a long box may carry loan value."""
    american: np.ndarray

    def matrix(self) -> np.ndarray:
        """int64 [leg, field], the form that the kernels take."""
        return np.column_stack([column.astype(np.int64) for column in self])


class Stock(NamedTuple):
    """The stock of one book. ``long`` and ``short`` are unsigned shares; rates in ppm, prices in micros."""

    price: int
    long: int
    short: int
    long_rate: int
    short_rate: int
    initial_long: int
    initial_short: int
    sale_price: int
    """Average price at which the short was sold; 0 = unknown."""
    alone_long: int
    alone_short: int
    """:class:`Strategy` of the stock by itself."""
    allowed: int
    """Sum of ``COVER``, ``HEDGE``, ``STRADDLES``, ``SPREADS``."""


class Columns(NamedTuple):
    """The treatments on offer: kind, up to four legs (call, put, ... or leg, set), saving per unit in micros."""

    kind: np.ndarray
    legs: np.ndarray
    saving: np.ndarray


class Rows(NamedTuple):
    """Chosen treatments; amounts in micros. ``leg_start[i]:leg_start[i+1]`` are the legs of row i.

    ``leg`` is the option's position in its book, -1 long stock, -2 short stock; ``leg_quantity`` is signed.
    """

    strategy: np.ndarray
    maintenance: np.ndarray
    initial: np.ndarray
    premium: np.ndarray
    """Market value of the short options, which is inside the requirement or applied to it."""
    cap: np.ndarray
    """What margin equity loses: long stock above the strike of the call that covers it."""
    leg_start: np.ndarray
    leg: np.ndarray
    leg_quantity: np.ndarray


LONG_SHARES, SHORT_SHARES = -1, -2


@njit(cache=True)
def uncovered(legs, i):
    """Whole requirement of one uncovered short contract."""
    return legs[i, PREMIUM] + legs[i, MARGIN]


@njit(cache=True)
def treatments(legs, stock: Stock, sets, terms: Terms, columns: Columns) -> int:
    """Fill ``columns`` with every treatment that can save; returns their number (counts only, with no room)."""
    count = 0
    n = len(legs)
    if stock.long > 0 and stock.short > 0 and stock.allowed & HEDGE:
        plain = fraction_kernel(stock.price, stock.long_rate) + short_maintenance(
            stock.price, 1, stock.short_rate, terms
        )
        count = _offer(columns, count, _BOX, -1, -1, -1, -1, plain - box_maintenance(stock.price, 1, terms))
    for i in range(n):
        if legs[i, PAIRABLE]:
            count = _offer_hedges(legs, stock, i, terms, columns, count)
    if stock.allowed & STRADDLES:
        for i in range(n):
            for j in range(n):
                if _both(legs, i, j, -1, -1) and legs[i, RIGHT] > 0 > legs[j, RIGHT] and _same_unit(legs, i, j):
                    apart = uncovered(legs, i) + uncovered(legs, j)
                    count = _offer(columns, count, _STRADDLE, i, j, -1, -1, apart - _straddle(legs, i, j))
    if stock.allowed & SPREADS:
        count = _offer_long_boxes(legs, terms, columns, count)
        for s in range(len(sets)):
            for i in range(n):
                if in_set(legs, i, sets[s]):
                    saving = uncovered(legs, i) if legs[i, QUANTITY] < 0 else legs[i, CHARGE] - legs[i, PREMIUM]
                    count = _put(columns, count, _SPREAD, i, s, -1, -1, saving)
            count = _put(columns, count, _LOSS, -1, s, -1, -1, -1)
    return count


@njit(cache=True)
def _put(columns, count, kind, a, b, c, d, saving):
    if count < len(columns.kind):
        columns.kind[count], columns.saving[count] = kind, saving
        columns.legs[count, 0], columns.legs[count, 1] = a, b
        columns.legs[count, 2], columns.legs[count, 3] = c, d
    return count + 1


@njit(cache=True)
def _offer(columns, count, kind, a, b, c, d, saving):
    return _put(columns, count, kind, a, b, c, d, saving) if saving > 0 else count


@njit(cache=True)
def _both(legs, i, j, side_i, side_j):
    return legs[i, PAIRABLE] and legs[j, PAIRABLE] and legs[i, QUANTITY] * side_i > 0 and legs[j, QUANTITY] * side_j > 0


@njit(cache=True)
def _same_unit(legs, i, j):
    return legs[i, MULTIPLIER] == legs[j, MULTIPLIER]


@njit(cache=True)
def _straddle(legs, i, j):
    return straddle_margin(legs[i, MARGIN], legs[i, PREMIUM], legs[j, MARGIN], legs[j, PREMIUM])


@njit(cache=True)
def stock_alone(stock: Stock, shares, long, terms: Terms):
    """Maintenance of so many plain shares."""
    if long:
        return fraction_kernel(stock.price * shares, stock.long_rate)
    return short_maintenance(stock.price, shares, stock.short_rate, terms)


@njit(cache=True)
def hedge_maintenance(kind, legs, stock, i, j, terms):
    """Maintenance of one contract's worth of hedged stock, without the long options' value (``i``, ``j``: its legs)."""
    shares = legs[i, MULTIPLIER]
    value, exercise = stock.price * shares, legs[i, STRIKE] * shares
    if kind == _COVERED_CALL:
        return hedged.covered_call(value, exercise, stock.long_rate)
    if kind == _COVERED_PUT:
        return hedged.covered_put(value, exercise, stock_alone(stock, shares, False, terms))
    if kind == _PROTECTIVE_PUT:
        return hedged.protective_put(value, exercise, stock_alone(stock, shares, True, terms), terms.hedge_rate)
    if kind == _PROTECTIVE_CALL:
        return hedged.protective_call(value, exercise, stock_alone(stock, shares, False, terms), terms.hedge_rate)
    if kind == _CONVERSION:
        return hedged.conversion(exercise, terms.hedge_rate)
    if kind == _REVERSE:
        return hedged.reverse_conversion(value, exercise, terms.hedge_rate)
    return hedged.collar(value, exercise, legs[j, STRIKE] * shares, stock.long_rate, terms.hedge_rate)


@njit(cache=True)
def _offer_hedges(legs, stock, i, terms, columns, count):
    """The hedged-stock treatments whose first leg is ``i``: the long option where there is one, else the short."""
    shares = legs[i, MULTIPLIER]
    is_long, is_call = legs[i, QUANTITY] > 0, legs[i, RIGHT] > 0
    if not is_long:
        if is_call and stock.long >= shares and stock.allowed & COVER:
            saving = uncovered(legs, i) + stock_alone(stock, shares, True, terms)
            saving -= hedge_maintenance(_COVERED_CALL, legs, stock, i, -1, terms)
            return _offer(columns, count, _COVERED_CALL, i, -1, -1, -1, saving)
        if not is_call and stock.short >= shares and stock.allowed & HEDGE:
            saving = uncovered(legs, i) + stock_alone(stock, shares, False, terms)
            saving -= hedge_maintenance(_COVERED_PUT, legs, stock, i, -1, terms)
            return _offer(columns, count, _COVERED_PUT, i, -1, -1, -1, saving)
        return count
    held = stock.short if is_call else stock.long
    if held < shares or not stock.allowed & HEDGE:
        return count
    paid = legs[i, CHARGE] - legs[i, PREMIUM] + stock_alone(stock, shares, not is_call, terms)
    kind = _PROTECTIVE_CALL if is_call else _PROTECTIVE_PUT
    count = _offer(columns, count, kind, i, -1, -1, -1, paid - hedge_maintenance(kind, legs, stock, i, -1, terms))
    for j in range(len(legs)):
        opposite = _both(legs, i, j, 1, -1) and legs[j, RIGHT] == -legs[i, RIGHT] and _same_unit(legs, i, j)
        if not opposite or legs[i, EXPIRY] != legs[j, EXPIRY]:
            continue
        if legs[i, STRIKE] == legs[j, STRIKE]:
            kind = _REVERSE if is_call else _CONVERSION
        elif not is_call and legs[j, STRIKE] > legs[i, STRIKE]:
            kind = _COLLAR
        else:
            continue
        saving = paid + uncovered(legs, j) - hedge_maintenance(kind, legs, stock, i, j, terms)
        count = _offer(columns, count, kind, i, j, -1, -1, saving)
    return count


@njit(cache=True)
def _offer_long_boxes(legs, terms, columns, count):
    """European cash-settled long boxes: long call and short put low, short call and long put high."""
    n = len(legs)
    for a in range(n):
        if not (legs[a, PAIRABLE] and legs[a, BOXABLE] and legs[a, QUANTITY] > 0 and legs[a, RIGHT] > 0):
            continue
        for b in range(n):
            if not (_same_terms(legs, a, b, -1, 1) and legs[b, STRIKE] > legs[a, STRIKE]):
                continue
            for c in range(n):
                if not (_same_terms(legs, a, c, -1, -1) and legs[c, STRIKE] == legs[a, STRIKE]):
                    continue
                for d in range(n):
                    if _same_terms(legs, a, d, 1, -1) and legs[d, STRIKE] == legs[b, STRIKE]:
                        saving = legs[a, CHARGE] + legs[d, CHARGE] + uncovered(legs, b) + uncovered(legs, c)
                        saving -= long_box(legs, a, b, c, terms)
                        count = _offer(columns, count, _LONG_BOX, a, b, c, d, saving)
    return count


@njit(cache=True)
def _same_terms(legs, a, x, side, right):
    return (
        legs[x, PAIRABLE]
        and legs[x, BOXABLE]
        and legs[x, QUANTITY] * side > 0
        and legs[x, RIGHT] == right
        and legs[x, EXPIRY] == legs[a, EXPIRY]
        and legs[x, MULTIPLIER] == legs[a, MULTIPLIER]
    )


@njit(cache=True)
def long_box(legs, a, b, c, terms):
    """Requirement of one long box with loan value: half of the strike interval, and the short premiums applied."""
    interval = (legs[b, STRIKE] - legs[a, STRIKE]) * legs[a, MULTIPLIER]
    return fraction_kernel(interval, terms.long_box_rate) + legs[b, PREMIUM] + legs[c, PREMIUM]


@njit(cache=True)
def spread_sets(legs):
    """The legs (row numbers of the earliest long) that open a spread set: one per style, multiplier and long expiry.

    A later expiry adds a set only when a short expires after the previous one: otherwise the earlier set, which has
    every long of the later and the same shorts, can do all that the later can.
    """
    n = len(legs)
    opens = np.empty(n, dtype=np.int64)
    count = 0
    for i in range(n):
        if not (legs[i, PAIRABLE] and legs[i, QUANTITY] > 0):
            continue
        first, previous = True, np.iinfo(np.int64).min
        for k in range(n):
            if k != i and legs[k, PAIRABLE] and legs[k, QUANTITY] > 0 and _same_family(legs, i, k):
                if legs[k, EXPIRY] == legs[i, EXPIRY] and k < i:
                    first = False
                if legs[k, EXPIRY] < legs[i, EXPIRY]:
                    previous = max(previous, legs[k, EXPIRY])
        useful = False
        for k in range(n):
            short = legs[k, PAIRABLE] and legs[k, QUANTITY] < 0 and _same_family(legs, i, k)
            if short and previous < legs[k, EXPIRY] <= legs[i, EXPIRY]:
                useful = True
        if first and useful:
            opens[count] = i
            count += 1
    return opens[:count]


@njit(cache=True)
def _same_family(legs, i, k):
    return legs[i, STYLE] == legs[k, STYLE] and legs[i, MULTIPLIER] == legs[k, MULTIPLIER]


@njit(cache=True)
def in_set(legs, i, opening):
    """True when leg ``i`` may join the set of ``opening``: every short expires at or before every long."""
    if not (legs[i, PAIRABLE] and _same_family(legs, i, opening)):
        return False
    return (
        legs[i, EXPIRY] >= legs[opening, EXPIRY] if legs[i, QUANTITY] > 0 else legs[i, EXPIRY] <= legs[opening, EXPIRY]
    )


@njit(cache=True)
def intrinsic(right, strike, price):
    """Intrinsic value per unit of an option at an underlying price."""
    return max(price - strike, 0) if right > 0 else max(strike - price, 0)


@njit(cache=True)
def spread_loss(right, strike, quantity, multiplier):
    """Maximum potential loss of a spread (4210(f)(2)(H)(i)): the worst sum of intrinsic values over all strikes, >= 0.

    Zero and a point above the highest strike are looked at as well, so a set that is short puts on balance is right.
    """
    worst = np.int64(0)
    n = len(right)
    for k in range(n + 2):
        price = strike[k] if k < n else (np.int64(0) if k == n else strike.max() + 1)
        value = np.int64(0)
        for i in range(n):
            value += quantity[i] * intrinsic(right[i], strike[i], price)
        worst = min(worst, value)
    return -worst * multiplier


@njit(cache=True)
def build(legs, stock: Stock, terms: Terms):
    """The integer programme of a book: its columns and spread sets, and whole A and b and scaled c of the programme.

    Rows: a capacity per leg, the long and the short shares, and per spread set the balance of calls and of puts (two
    inequalities each) and one row per strike. A set's loss is counted in steps of its strike grid, so it is whole too.
    """
    sets = spread_sets(legs) if stock.allowed & SPREADS else np.empty(0, dtype=np.int64)
    none = Columns(np.empty(0, np.int64), np.empty((0, 4), np.int64), np.empty(0, np.int64))
    count = treatments(legs, stock, sets, terms, none)
    columns = Columns(np.empty(count, np.int64), np.empty((count, 4), np.int64), np.empty(count, np.int64))
    treatments(legs, stock, sets, terms, columns)
    n = len(legs)
    top, grid = np.empty(len(sets) + 1, np.int64), np.empty(len(sets), np.int64)
    top[0] = n + 2
    for s in range(len(sets)):
        strikes = _set_strikes(legs, sets[s])
        grid[s] = _step(strikes, strikes[0])
        top[s + 1] = top[s] + 4 + len(strikes)
    A, b = np.zeros((top[-1], count), np.int64), np.zeros(top[-1], np.int64)
    lot = _step(legs[:, MULTIPLIER], 0) if count and columns.kind[0] != _BOX else 1
    b[:n] = np.abs(legs[:, QUANTITY])
    b[n], b[n + 1] = stock.long // lot, stock.short // lot
    scale = 1.0  # the objective is counted in the largest saving
    c = np.empty(count)
    for v in range(count):
        c[v] = columns.saving[v]
        kind, first, s = columns.kind[v], columns.legs[v, 0], columns.legs[v, 1]
        if kind == _LOSS:
            c[v] = -float(grid[s] * legs[sets[s], MULTIPLIER])
            A[top[s] + 4 : top[s + 1], v] = -1
        elif kind == _SPREAD:
            _spread_column(A, legs, first, _set_strikes(legs, sets[s]), grid[s], v, top[s])
        elif kind == _BOX:
            A[n, v] = A[n + 1, v] = 1
        else:
            for k in range(4):
                if columns.legs[v, k] >= 0:
                    A[columns.legs[v, k], v] = 1
            if kind in (_COVERED_PUT, _PROTECTIVE_CALL, _REVERSE):
                A[n + 1, v] = legs[first, MULTIPLIER] // lot
            elif kind not in (_STRADDLE, _LONG_BOX):
                A[n, v] = legs[first, MULTIPLIER] // lot
        scale = max(scale, abs(c[v]))
    return columns, sets, A, b, c / scale


@njit(cache=True)
def _set_strikes(legs, opening):
    """The distinct strikes of a spread set, ascending."""
    member = np.zeros(len(legs), dtype=np.bool_)
    for i in range(len(legs)):
        member[i] = in_set(legs, i, opening)
    return np.unique(legs[member, STRIKE])


@njit(cache=True)
def _step(values, base):
    """Greatest common divisor of the distances of ``values`` from ``base``; 1 when there are none."""
    step = np.int64(0)
    for value in values:
        a, b = step, abs(value - base)
        while b:
            a, b = b, a % b
        step = a
    return max(step, 1)


@njit(cache=True)
def _spread_column(A, legs, i, strikes, grid, v, top):
    """Rows of one leg in its set: its capacity, calls balance, puts balance, its part of the loss at every strike."""
    side = 1 if legs[i, QUANTITY] > 0 else -1
    balance = top if legs[i, RIGHT] > 0 else top + 2
    A[i, v] = 1
    A[balance, v], A[balance + 1, v] = side, -side
    for k in range(len(strikes)):
        A[top + 4 + k, v] = -side * (intrinsic(legs[i, RIGHT], legs[i, STRIKE], strikes[k]) // grid)


@njit(cache=True)
def _emit(rows, start, strategy, maintenance, initial, premium, cap, legs_of_row, quantities):
    """Append one row with its legs to the growing arrays; ``start`` = (rows used, legs used)."""
    used, legs_used = start
    rows.strategy[used] = strategy
    rows.maintenance[used], rows.initial[used] = maintenance, initial
    rows.premium[used], rows.cap[used] = premium, cap
    for k in range(len(legs_of_row)):
        rows.leg[legs_used + k], rows.leg_quantity[legs_used + k] = legs_of_row[k], quantities[k]
    rows.leg_start[used + 1] = legs_used + len(legs_of_row)
    return used + 1, legs_used + len(legs_of_row)


@njit(cache=True)
def charge(legs, stock: Stock, terms: Terms, columns: Columns, sets, x) -> Rows:
    """The chosen treatments as rows with exact requirements; legs and shares not in ``x`` are margined alone."""
    n, count = len(legs), len(x)
    size = count + n + 2
    rows = Rows(
        np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64),
        np.empty(size, np.int64), np.zeros(size + 1, np.int64),
        np.empty(5 * size, np.int64), np.empty(5 * size, np.int64),
    )  # fmt: skip
    at = (0, 0)
    left = np.abs(legs[:, QUANTITY])
    shares = np.array([stock.long, stock.short])
    for v in range(count):
        units = x[v]
        kind = columns.kind[v]
        if kind == _LOSS:
            at = _charge_set(legs, columns, x, sets, columns.legs[v, 1], left, rows, at)
        elif units > 0 and kind != _SPREAD:
            at = _charge_treatment(legs, stock, terms, kind, columns.legs[v], units, left, shares, rows, at)
    for i in range(n):
        if left[i] > 0:
            quantity = left[i] if legs[i, QUANTITY] > 0 else -left[i]
            need = left[i] * (legs[i, CHARGE] if quantity > 0 else uncovered(legs, i))
            premium = 0 if quantity > 0 else left[i] * legs[i, PREMIUM]
            at = _emit(rows, at, legs[i, ALONE], need, need, premium, 0, np.array([i]), np.array([quantity]))
    if shares[0] > 0:
        need = stock_alone(stock, shares[0], True, terms)
        initial = max(need, fraction_kernel(stock.price * shares[0], stock.initial_long))
        one = np.array([LONG_SHARES])
        at = _emit(rows, at, stock.alone_long, need, initial, 0, 0, one, np.array([shares[0]]))
    if shares[1] > 0:
        need = stock_alone(stock, shares[1], False, terms)
        initial = short_initial(stock.price, shares[1], stock.initial_short, need)
        one = np.array([SHORT_SHARES])
        at = _emit(rows, at, stock.alone_short, need, initial, 0, 0, one, np.array([-shares[1]]))
    used, legs_used = at
    return Rows(
        rows.strategy[:used], rows.maintenance[:used], rows.initial[:used], rows.premium[:used], rows.cap[:used],
        rows.leg_start[: used + 1], rows.leg[:legs_used], rows.leg_quantity[:legs_used],
    )  # fmt: skip


@njit(cache=True)
def _charge_set(legs, columns, x, sets, s, left, rows, at):
    """The row of one spread set, when it holds anything."""
    n, size = len(legs), 0
    members, quantities = np.empty(n, np.int64), np.empty(n, np.int64)
    for v in range(len(x)):
        units = x[v]
        if columns.kind[v] == _SPREAD and columns.legs[v, 1] == s and units > 0:
            i = columns.legs[v, 0]
            members[size], quantities[size] = i, units if legs[i, QUANTITY] > 0 else -units
            left[i] -= units
            size += 1
    if size == 0:
        return at
    members, quantities = members[:size], quantities[:size]
    need = spread_loss(legs[members, RIGHT], legs[members, STRIKE], quantities, legs[members[0], MULTIPLIER])
    premium = 0
    for k in range(size):
        if quantities[k] > 0:
            need += quantities[k] * legs[members[k], PREMIUM]
        else:
            premium -= quantities[k] * legs[members[k], PREMIUM]
    return _emit(rows, at, _SPREAD, need, need, premium, 0, members, quantities)


@njit(cache=True)
def _charge_treatment(legs, stock, terms, kind, chosen, units, left, shares, rows, at):
    """The row of one treatment other than a spread: hedged stock, straddle, long box, box."""
    if kind == _BOX:
        shares[0] -= units
        shares[1] -= units
        need = box_maintenance(stock.price, units, terms)
        members, quantities = np.array([LONG_SHARES, SHORT_SHARES]), np.array([units, -units])
        return _emit(rows, at, kind, need, need, 0, 0, members, quantities)
    size = 0
    members, quantities = np.empty(5, np.int64), np.empty(5, np.int64)
    premium = paid = 0
    for k in range(4):
        i = chosen[k]
        if i >= 0:
            members[size], quantities[size] = i, units if legs[i, QUANTITY] > 0 else -units
            premium += legs[i, PREMIUM] if legs[i, QUANTITY] < 0 else 0
            paid += legs[i, PREMIUM] if legs[i, QUANTITY] > 0 else 0
            left[i] -= units
            size += 1
    i, j = chosen[0], chosen[1]
    cap = 0
    if kind == _STRADDLE:
        need = initial = _straddle(legs, i, j)
    elif kind == _LONG_BOX:
        need = initial = long_box(legs, i, j, chosen[2], terms)
    else:
        need = hedge_maintenance(kind, legs, stock, i, j, terms) + paid
        per = legs[i, MULTIPLIER]
        short = kind in (_COVERED_PUT, _PROTECTIVE_CALL, _REVERSE)
        members[size], quantities[size] = (SHORT_SHARES, -units * per) if short else (LONG_SHARES, units * per)
        size += 1
        shares[1 if short else 0] -= units * per
        initial = _hedge_initial(legs, stock, terms, kind, i, need, paid)
        call = i if kind == _COVERED_CALL else j
        if kind in (_COVERED_CALL, _CONVERSION, _COLLAR):
            value = stock.price * per
            cap = value - hedged.capped_value(value, legs[call, STRIKE] * per)
    return _emit(
        rows, at, kind, units * need, units * initial, units * premium, units * cap, members[:size], quantities[:size]
    )


@njit(cache=True)
def _hedge_initial(legs, stock, terms, kind, i, need, paid):
    """Initial requirement of one contract's worth of hedged stock: the stock's own, and long options in full."""
    shares = legs[i, MULTIPLIER]
    if kind in (_COVERED_PUT, _PROTECTIVE_CALL, _REVERSE):
        rate = stock.initial_short
        if kind != _COVERED_PUT and legs[i, AMERICAN] and legs[i, STRIKE] <= stock.sale_price:
            rate = min(rate, terms.initial_short_with_call)
        put = max(legs[i, STRIKE] - stock.price, 0) * shares if kind == _COVERED_PUT else 0
        return max(need, fraction_kernel(stock.price * shares, rate) + paid + put)
    return max(need, fraction_kernel(stock.price * shares, stock.initial_long) + paid)


@njit(cache=True)
def simple(legs, stock: Stock) -> bool:
    """True when nothing can be margined together: no short option, nor stock that a long option could hedge."""
    if stock.long > 0 and stock.short > 0:
        return False
    n = len(legs)
    if n == 0:
        return True
    shorts = 0
    for i in range(n):
        if legs[i, QUANTITY] < 0:
            shorts += 1
    held = stock.long > 0 or stock.short > 0
    return (shorts == 0 or n == 1) and not held


@njit(cache=True)
def pair_small(legs, stock: Stock, terms: Terms):
    """(rows, status): the book's lowest legal maintenance, when it fits the small tableau."""
    columns = Columns(np.empty(0, np.int64), np.empty((0, 4), np.int64), np.empty(0, np.int64))
    sets, x, status = np.empty(0, np.int64), np.empty(0, np.int64), SOLVED
    if not simple(legs, stock):
        columns, sets, A, b, c = build(legs, stock, terms)
        x, status = maximise_small(A, b, c)
    return charge(legs, stock, terms, columns, sets, x), status


def pair(legs: Legs, stock: Stock, terms: Terms) -> Rows:
    """The lowest legal maintenance of one book, as rows of chosen treatments that consume every leg exactly once."""
    matrix = legs.matrix()
    rows, status = pair_small(matrix, stock, terms)
    return rows if status == SOLVED else pair_large(matrix, stock, terms)


def pair_large(legs: np.ndarray, stock: Stock, terms: Terms) -> Rows:
    """The same for a book beyond the small solver."""
    columns, sets, A, b, c = build(legs, stock, terms)
    return charge(legs, stock, terms, columns, sets, maximise_large(A, b, c))
