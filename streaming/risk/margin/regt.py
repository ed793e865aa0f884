"""Regulation T and FINRA 4210(c), (f) for all accounts at one price set: the columnar entry point.

    result = regulation_t(holdings, cash, instruments, accounts, prices, as_of_day, rules)
    result.accounts.maintenance_excess      # one row per account code
    result.treatments                       # which legs were margined as what: sums exactly to the account columns

Requirements include the market value of short options ("premium included"), as 4210 states them. Equity already
contains that value as a liability, so excess compares equity with the *net* requirement, which leaves it out once.
Every amount is converted to the reporting currency row by row, rounded once; account columns are sums of those rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numba import njit

from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.margin import account as accounting
from streaming.risk.margin import pairing, stock
from streaming.risk.margin.account import SmaActivity
from streaming.risk.margin.pairing import Legs, Rows, Stock
from streaming.risk.margin.positions import (
    Positions,
    Reason,
    debt_requirement,
    is_cash_settled_european,
    prepare,
)  # fmt: skip
from streaming.risk.margin.programme import SOLVED
from streaming.risk.margin.strategies import Strategy
from streaming.risk.margin.terms import Terms, terms_of
from streaming.risk.market import PriceSet, cash_value, conversion
from streaming.risk.money import LIMIT, MoneyOverflowError, fraction
from streaming.risk.reference import Accounts, Instruments, MarginType, Style
from streaming.risk.rulebook import Rules

_BOOK_FAULTS = int(Reason.UNDERLYING_PRICE | Reason.UNKNOWN_CLASS | Reason.MISSING_LEVERAGE)
"""Reasons on an option that leave its book nothing but spreads, whose loss does not depend on the underlying."""


@dataclass(frozen=True, slots=True)
class AccountMargin:
    """One row per account code; int64 micros of the reporting currency, requirements and calls positive."""

    cash: np.ndarray
    """Signed, all currencies converted; short-sale proceeds inside."""
    lmv: np.ndarray
    """Long market value: stock, debt and options."""
    smv: np.ndarray
    """Absolute short market value: stock, debt and options."""
    short_option_value: np.ndarray
    """The part of ``smv`` in options: inside the requirements, and already taken off equity."""
    equity: np.ndarray
    """Net equity: cash + lmv - smv."""
    margin_equity: np.ndarray
    """Equity with long stock under an in-the-money short call at the call's strike."""
    initial: np.ndarray
    initial_net: np.ndarray
    """``initial`` less ``short_option_value``: what margin equity is compared with."""
    maintenance: np.ndarray
    maintenance_net: np.ndarray
    reg_t_excess: np.ndarray
    """Margin equity - initial_net, signed."""
    maintenance_excess: np.ndarray
    """Margin equity - maintenance_net, signed."""
    minimum_equity: np.ndarray
    """4210(b): needed for new positions and withdrawals; 0 in cash accounts."""
    sma: np.ndarray
    """Special memorandum account; 0 outside Regulation T."""
    buying_power: np.ndarray
    """Long margin equity that the SMA buys."""
    reg_t_call: np.ndarray
    """Deficiency created by today's transactions; 0 outside Regulation T."""
    maintenance_call: np.ndarray


@dataclass(frozen=True, slots=True)
class Treatments:
    """One row per chosen treatment, sorted by account and underlying; amounts in reporting-currency micros.

    The legs of row i are ``leg_start[i]:leg_start[i + 1]``; per account ``maintenance`` and ``initial`` sum exactly to
    the account's, and every share and contract is in exactly one row.
    """

    account: np.ndarray
    underlying: np.ndarray
    strategy: np.ndarray
    """:class:`Strategy` values."""
    maintenance: np.ndarray
    initial: np.ndarray
    premium: np.ndarray
    """Market value of the row's short options."""
    cap: np.ndarray
    """What margin equity loses by the cap on covered stock."""
    leg_start: np.ndarray
    leg_position: np.ndarray
    """Row of :attr:`MarginResult.positions`."""
    leg_quantity: np.ndarray

    def __len__(self) -> int:
        return len(self.account)


@dataclass(frozen=True, slots=True)
class MarginResult:
    """Regulation T margin of a price set under a rulebook at a rule date."""

    price_set: str
    rulebook_version: str
    accounts: AccountMargin
    treatments: Treatments
    positions: Positions
    """The holdings in canonical order with what each was charged at; ``reason`` lists the exceptions."""


def regulation_t(
    holdings: Holdings,
    cash: CashBalances,
    instruments: Instruments,
    accounts: Accounts,
    prices: PriceSet,
    as_of_day: int,
    rules: Rules,
    fx: Mapping[str, int] | None = None,
    *,
    activity: SmaActivity | None = None,
    investment_grade: np.ndarray | None = None,
    combine: np.ndarray | None = None,
) -> MarginResult:
    """Initial and maintenance requirement, equity, excess, SMA and calls of every account.

    ``as_of_day`` in days since 1970-01-01; ``fx`` in reporting-currency micros per unit (the price set's when None);
    ``activity`` the day's SMA entries (none: no Regulation T call arises); ``investment_grade`` True per instrument
    for debt known to be so (unknown debt is charged as other listed debt); ``combine`` True per account whose positions
    are combined into strategies (None: all), the others' are margined each for itself. Cash accounts are charged 100%;
    portfolio accounts are computed as if they were strategy-based, for comparison. What is in a currency without a rate
    is charged in full: positions at the largest known rate, credit balances by counting as nothing.
    """
    terms = terms_of(rules)
    rates = prices.fx if fx is None else fx
    rate, rated = conversion(instruments.currency, rates)
    positions = prepare(holdings, instruments, accounts, prices, as_of_day, rules, terms, rated)
    grade = np.zeros(len(instruments), dtype=bool) if investment_grade is None else investment_grade
    debt = debt_requirement(positions, instruments, grade, as_of_day, rules)
    native = _treat(positions, instruments, debt, terms, combine)
    treatments = _converted(native, rate[positions.instrument[native.leg_position[native.leg_start[:-1]]]])
    margin = _account_columns(positions, treatments, cash, accounts, rate[positions.instrument], rates, rules, activity)
    return MarginResult(prices.id, rules.version, margin, treatments, positions)


class Books(NamedTuple):
    """Option series and stock of every account and underlying with options; columns of equal length per field."""

    first_leg: np.ndarray
    """Leg offsets, one more than there are books."""
    legs: np.ndarray
    """[leg, field of :class:`Legs`]."""
    leg_row: np.ndarray
    """Position row of each leg."""
    stock: np.ndarray
    """[book, field of :class:`Stock`]."""
    long_row: np.ndarray
    short_row: np.ndarray
    """Position row of the stock, -1 = none."""


def _treat(
    positions: Positions, instruments: Instruments, debt: np.ndarray, terms: Terms, combine: np.ndarray | None
) -> Treatments:
    """Treatments in native currency: books with options are paired, everything else is margined alone."""
    known = positions.reason == 0
    rates = _stock_rates(positions, instruments, terms)
    book = _book_numbers(positions)
    books = _books(positions, instruments, rates, book, combine)
    paired = [_direct(positions, book < 0, known, rates, debt, terms)]
    paired.append(_pair_books(positions, books, terms))
    merged = Treatments(
        **{name: np.concatenate([getattr(part, name) for part in paired]) for name in _ROW_FIELDS + _LEG_FIELDS},
        leg_start=_start(np.concatenate([np.diff(part.leg_start) for part in paired])),
    )
    start, take = _taken(merged.leg_start, order := np.lexsort((merged.underlying, merged.account)))
    columns = {name: getattr(merged, name)[order] for name in _ROW_FIELDS}
    return Treatments(
        **columns,
        leg_start=start,
        leg_position=merged.leg_position[take],
        leg_quantity=merged.leg_quantity[take],
    )


_ROW_FIELDS = ("account", "underlying", "strategy", "maintenance", "initial", "premium", "cap")
_LEG_FIELDS = ("leg_position", "leg_quantity")


def _start(sizes: np.ndarray) -> np.ndarray:
    """Offsets of rows with so many legs."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _taken(start: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the chosen rows, and which legs are theirs."""
    sizes = np.diff(start)[rows]
    chosen = _start(sizes)
    return chosen, np.repeat(start[:-1][rows] - chosen[:-1], sizes) + np.arange(chosen[-1])


def _converted(rows: Treatments, rate: np.ndarray) -> Treatments:
    """Amounts in the reporting currency, each rounded once."""
    amounts = ("maintenance", "initial", "premium", "cap")
    return replace(rows, **{name: fraction(getattr(rows, name), rate) for name in amounts})


def _stock_rates(positions: Positions, instruments: Instruments, terms: Terms) -> stock.EquityRates:
    """Rates per position row as stock; full value where something is wrong and in cash accounts."""
    every = stock.equity_rates(instruments, np.ones(len(instruments), dtype=bool), terms)
    full = np.where(positions.reason != 0, terms.conservative_rate, terms.cash_rate)
    plain = (positions.reason == 0) & ~positions.is_cash_account
    return stock.EquityRates(
        *(
            np.where(plain, getattr(every, name)[positions.instrument], full).astype(np.int64)
            for name in ("long", "short", "initial_long", "initial_short")
        )
    )


def _book_numbers(positions: Positions) -> np.ndarray:
    """Number of the book that each row belongs to; -1 for a row that is margined alone without a search."""
    key = positions.account * (int(positions.underlying.max(initial=0)) + 1) + positions.underlying
    member = positions.is_option | positions.is_stock
    with_options = np.unique(key[positions.is_option])
    boxed = np.unique(key[_boxed(positions, positions.is_stock)])
    wanted = np.union1d(with_options, boxed)
    number = np.searchsorted(wanted, key)
    number = np.minimum(number, max(len(wanted) - 1, 0))
    found = member & (len(wanted) > 0)
    if len(wanted):
        found &= wanted[number] == key
    return np.where(found, number, -1)


def _boxed(positions: Positions, rows: np.ndarray) -> np.ndarray:
    """True for the rows of ``rows`` whose account holds the same stock both long and short."""
    mask = rows & positions.is_stock
    key = positions.account * (int(positions.instrument.max(initial=0)) + 1) + positions.instrument
    both = np.intersect1d(key[mask & (positions.quantity > 0)], key[mask & (positions.quantity < 0)])
    return mask & np.isin(key, both)


def _direct(
    positions: Positions, rows: np.ndarray, known: np.ndarray, rates: stock.EquityRates, debt: np.ndarray, terms: Terms
) -> Treatments:
    """Rows margined alone: stock in accounts without options on it, debt, funds, and what cannot be held."""
    at = np.flatnonzero(rows)
    size, price = np.abs(positions.quantity[at]), positions.mark[at] * positions.multiplier[at]
    long = positions.quantity[at] > 0
    value = np.abs(positions.value[at])
    short_need = stock.short_maintenances(price, size, rates.short[at], terms)
    need = np.where(long, fraction(value, rates.long[at]), short_need)
    initial = np.maximum(need, fraction(value, np.where(long, rates.initial_long[at], rates.initial_short[at])))
    is_debt = (positions.alone[at] == Strategy.DEBT) & known[at]
    need, initial = np.where(is_debt, debt[at], need), np.where(is_debt, debt[at], initial)
    return Treatments(
        positions.account[at], positions.underlying[at], positions.alone[at], need, initial,
        np.zeros(len(at), np.int64), np.zeros(len(at), np.int64),
        np.arange(len(at) + 1), at, positions.quantity[at],
    )  # fmt: skip


def _books(
    positions: Positions,
    instruments: Instruments,
    rates: stock.EquityRates,
    book: np.ndarray,
    combine: np.ndarray | None,
) -> Books:
    at = np.flatnonzero((book >= 0) & positions.is_option)
    count = int(book.max(initial=-1)) + 1
    code = positions.instrument[at]
    legs = Legs(
        right=instruments.right[code].astype(np.int64),
        strike=instruments.strike[code].astype(np.int64),
        expiry=positions.expiry_key[at],
        style=instruments.style[code].astype(np.int64),
        multiplier=positions.multiplier[at],
        quantity=positions.quantity[at],
        premium=positions.mark[at] * positions.multiplier[at],
        margin=positions.margin[at],
        charge=positions.charge[at],
        alone=positions.alone[at],
        pairable=positions.pairable[at],
        boxable=is_cash_settled_european(instruments, positions)[at],
        american=instruments.style[code] == Style.AMERICAN,
    )
    first_leg = np.searchsorted(book[at], np.arange(count + 1))
    shares = np.flatnonzero((book >= 0) & positions.is_stock)
    long_row, short_row = np.full(count, -1), np.full(count, -1)
    table = np.zeros((count, len(Stock._fields)), dtype=np.int64)
    field = {name: i for i, name in enumerate(Stock._fields)}
    for rows, into, name in (
        (shares[positions.quantity[shares] > 0], long_row, "long"),
        (shares[positions.quantity[shares] < 0], short_row, "short"),
    ):
        owner = book[rows]
        into[owner] = rows
        table[owner, field[name]] = np.abs(positions.quantity[rows])
        table[owner, field["price"]] = positions.mark[rows]
        table[owner, field[f"{name}_rate"]] = getattr(rates, name)[rows]
        table[owner, field[f"initial_{name}"]] = getattr(rates, f"initial_{name}")[rows]
        table[owner, field[f"alone_{name}"]] = positions.alone[rows]
        if name == "short":
            table[owner, field["sale_price"]] = np.abs(positions.cost[rows]) // np.abs(positions.quantity[rows])
    table[:, field["allowed"]] = _allowed(positions, book, count, combine)
    return Books(first_leg, legs.matrix(), at, table, long_row, short_row)


def _allowed(positions: Positions, book: np.ndarray, count: int, combine: np.ndarray | None) -> np.ndarray:
    """What each book may be margined as: all; spreads only where the underlying is unsure; covers in cash accounts;
    nothing together in accounts outside ``combine``."""
    member = book >= 0
    unsure = np.where(positions.is_option, positions.reason & _BOOK_FAULTS, positions.reason) != 0
    allowed = np.full(count, pairing.COVER | pairing.HEDGE | pairing.STRADDLES | pairing.SPREADS)
    allowed[book[member & unsure]] = pairing.SPREADS
    in_cash = np.zeros(count, dtype=bool)
    in_cash[book[member & positions.is_cash_account]] = True
    allowed = np.where(in_cash, allowed & pairing.COVER, allowed)
    if combine is not None:
        allowed[book[member & ~combine[positions.account]]] = 0
    return allowed


def _pair_books(positions: Positions, books: Books, terms: Terms) -> Treatments:
    """The chosen treatments of every book; books beyond the small solver go to the large one."""
    count = len(books.long_row)
    rows, book, large = _pair_all(books.first_leg, books.legs, books.stock, np.arange(count), terms)
    if len(large):
        keep = ~np.isin(book, large)
        parts = [(book[keep], _selected(rows, np.flatnonzero(keep)))]
        for number in large:
            found = pairing.pair_large(*_one_book(books, int(number)), terms)
            parts.append((np.full(len(found.strategy), number), found))
        book = np.concatenate([number for number, _ in parts])
        rows = _joined([part for _, part in parts])
    sizes = np.diff(rows.leg_start)
    of_leg = np.repeat(book, sizes)
    position = np.where(
        rows.leg >= 0,
        books.leg_row[np.minimum(books.first_leg[of_leg] + np.maximum(rows.leg, 0), max(len(books.leg_row) - 1, 0))]
        if len(books.leg_row)
        else -1,
        np.where(rows.leg == pairing.LONG_SHARES, books.long_row[of_leg], books.short_row[of_leg]),
    )
    head = position[rows.leg_start[:-1]]
    return Treatments(
        positions.account[head], positions.underlying[head], rows.strategy, rows.maintenance, rows.initial,
        rows.premium, rows.cap, rows.leg_start, position, rows.leg_quantity,
    )  # fmt: skip


def _one_book(books: Books, number: int) -> tuple[np.ndarray, Stock]:
    part = slice(books.first_leg[number], books.first_leg[number + 1])
    return books.legs[part], Stock(*(int(v) for v in books.stock[number]))


def _selected(rows: Rows, keep: np.ndarray) -> Rows:
    start, take = _taken(rows.leg_start, keep)
    columns = {name: getattr(rows, name)[keep] for name in Rows._fields[:5]}
    return Rows(**columns, leg_start=start, leg=rows.leg[take], leg_quantity=rows.leg_quantity[take])


def _joined(parts: list[Rows]) -> Rows:
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Rows._fields}
    columns["leg_start"] = _start(np.concatenate([np.diff(part.leg_start) for part in parts]))
    return Rows(**columns)


@njit(cache=True, nogil=True)
def _pair_all(first_leg, legs, stocks, numbers, terms):
    """Pair the books of ``numbers``: (rows, book of each row, books that need the large solver)."""
    found = []
    large = []
    size = legs_size = 0
    for number in numbers:
        a, b = first_leg[number], first_leg[number + 1]
        s = stocks[number]
        shares = Stock(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10])
        rows, status = pairing.pair_small(legs[a:b], shares, terms)
        if status != SOLVED:
            large.append(number)
        found.append(rows)
        size += len(rows.strategy)
        legs_size += len(rows.leg)
    columns = np.empty((5, size), np.int64)
    start = np.zeros(size + 1, np.int64)
    leg, quantity, owner = np.empty(legs_size, np.int64), np.empty(legs_size, np.int64), np.empty(size, np.int64)
    at = leg_at = 0
    for k in range(len(found)):
        rows = found[k]
        n, m = len(rows.strategy), len(rows.leg)
        columns[0, at : at + n], columns[1, at : at + n] = rows.strategy, rows.maintenance
        columns[2, at : at + n], columns[3, at : at + n] = rows.initial, rows.premium
        columns[4, at : at + n] = rows.cap
        start[at + 1 : at + n + 1] = rows.leg_start[1:] + leg_at
        leg[leg_at : leg_at + m], quantity[leg_at : leg_at + m] = rows.leg, rows.leg_quantity
        owner[at : at + n] = numbers[k]
        at, leg_at = at + n, leg_at + m
    rows = Rows(columns[0], columns[1], columns[2], columns[3], columns[4], start, leg, quantity)
    return rows, owner, np.array(large, dtype=np.int64)


def _account_columns(
    positions: Positions, rows: Treatments, cash: CashBalances, accounts: Accounts, rate: np.ndarray,
    fx: Mapping[str, int], rules: Rules, activity: SmaActivity | None,
) -> AccountMargin:  # fmt: skip
    count = len(accounts)
    value = fraction(positions.value, rate)
    balance = _sum(cash.account, cash_value(cash.amount, cash.currency, fx), count, "cash")
    lmv = _sum(positions.account, np.maximum(value, 0), count, "long market value")
    smv = _sum(positions.account, np.maximum(-value, 0), count, "short market value")
    premium = _sum(rows.account, rows.premium, count, "short option value")
    equity = balance + lmv - smv
    margin_equity = equity - _sum(rows.account, rows.cap, count, "cap on covered stock")
    initial = _sum(rows.account, rows.initial, count, "initial requirement")
    maintenance = _sum(rows.account, rows.maintenance, count, "maintenance requirement")
    reg_t_excess = margin_equity - (initial - premium)
    maintenance_excess = margin_equity - (maintenance - premium)
    under_reg_t = accounts.margin_type == MarginType.REG_T
    previous = np.zeros(count, np.int64) if activity is None else activity.previous
    entries = np.zeros(count, np.int64) if activity is None else activity.entries
    call = np.zeros(count, np.int64) if activity is None else accounting.reg_t_call(previous, entries, reg_t_excess)
    sma = np.where(under_reg_t, accounting.sma(previous, entries, reg_t_excess), 0)
    minimum = accounting.minimum_equity(lmv, smv, rules)
    return AccountMargin(
        cash=balance,
        lmv=lmv,
        smv=smv,
        short_option_value=premium,
        equity=equity,
        margin_equity=margin_equity,
        initial=initial,
        initial_net=initial - premium,
        maintenance=maintenance,
        maintenance_net=maintenance - premium,
        reg_t_excess=reg_t_excess,
        maintenance_excess=maintenance_excess,
        minimum_equity=np.where(accounts.margin_type == MarginType.CASH, 0, minimum),
        sma=sma,
        buying_power=accounting.buying_power(sma, rules.ppm("regt.initial.long_equity")),
        reg_t_call=np.where(under_reg_t, call, 0),
        maintenance_call=accounting.maintenance_call(maintenance_excess),
    )


def _sum(account: np.ndarray, amount: np.ndarray, count: int, what: str) -> np.ndarray:
    """Exact sums per account code; leaving the range is an error that names the account."""
    size = np.bincount(account, weights=np.abs(amount.astype(np.float64)), minlength=count)
    if size.max(initial=0.0) >= LIMIT:
        raise MoneyOverflowError(f"{what} of account {int(size.argmax())}: the sum leaves the range of micros")
    total = np.zeros(count, dtype=np.int64)
    np.add.at(total, account, amount)
    return total
