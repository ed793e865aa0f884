"""Holdings made ready for margin: a price to charge at, what is wrong with it, and each leg's own requirement.

One row per holding. Where a price, multiplier or reference is missing or stale the row keeps the best known price
(previous close, then the cost basis; an option on an unpriced underlying is looked at at its strike), is charged in
full and carries the reason.
"""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from streaming.risk.holdings import Holdings
from streaming.risk.margin import options, stock
from streaming.risk.margin.strategies import Strategy
from streaming.risk.margin.terms import Terms
from streaming.risk.market import PriceSet, PriceStatus
from streaming.risk.money import LIMIT, MICRO, MoneyOverflowError, fraction
from streaming.risk.reference import NO_DATE, Accounts, Instruments, Kind, MarginType, Style, UnderlyingClass, one_of
from streaming.risk.rulebook import Rules


class Reason(IntFlag):
    """Why a position is charged in full."""

    MISSING_PRICE = 1
    STALE_PRICE = 2
    NEGATIVE_PRICE = 4
    UNDERLYING_PRICE = 8
    """The underlying has no reliable price, or is unknown."""
    MISSING_MULTIPLIER = 16
    UNKNOWN_CLASS = 32
    MISSING_LEVERAGE = 64
    EXPIRED = 128
    MISSING_EXPIRY = 256
    NOT_HELD = 512
    """An index, or another thing that accounts cannot hold."""
    NOT_PERMITTED = 1024
    """Short in a cash account."""
    MISSING_STRIKE = 2048
    MISSING_RATE = 4096
    """Its currency has no rate into the reporting currency."""


_LEG_FAULTS = (
    Reason.MISSING_PRICE
    | Reason.STALE_PRICE
    | Reason.NEGATIVE_PRICE
    | Reason.MISSING_MULTIPLIER
    | Reason.EXPIRED
    | Reason.MISSING_EXPIRY
    | Reason.MISSING_STRIKE
    | Reason.MISSING_RATE
)
"""Reasons that keep an option from being margined with other legs."""


@dataclass(frozen=True, slots=True)
class Positions:
    """One row per holding, in canonical order; int64 micros of the instrument's currency unless stated."""

    account: np.ndarray
    instrument: np.ndarray
    underlying: np.ndarray
    quantity: np.ndarray
    multiplier: np.ndarray
    mark: np.ndarray
    """Price charged at, per unit."""
    value: np.ndarray
    """Signed market value."""
    spot: np.ndarray
    """Price of the underlying charged at."""
    cost: np.ndarray
    reason: np.ndarray
    """:class:`Reason` bits; 0 = nothing wrong."""
    is_option: np.ndarray
    is_stock: np.ndarray
    """Stock or fund share that options on it can hedge."""
    is_cash_account: np.ndarray
    expiry_key: np.ndarray
    """Ordered: an AM-settled option expires before a PM-settled one of its date."""
    pairable: np.ndarray
    margin: np.ndarray
    """Short options, per contract: requirement besides the premium."""
    charge: np.ndarray
    """Long options, per contract: requirement alone."""
    alone: np.ndarray
    """:class:`Strategy` of the row by itself."""

    def __len__(self) -> int:
        return len(self.account)


def prepare(
    holdings: Holdings, instruments: Instruments, accounts: Accounts, prices: PriceSet, as_of_day: int, rules: Rules,
    terms: Terms, rated: np.ndarray,
) -> Positions:  # fmt: skip
    """Rows in canonical order (account, underlying, terms of the option), so that input order cannot matter.

    ``rated``: per instrument, whether its currency has a rate.
    """
    order = _canonical_order(holdings, instruments)
    account, code = holdings.account[order].astype(np.int64), holdings.instrument[order].astype(np.int64)
    quantity, cost = holdings.quantity[order].astype(np.int64), holdings.cost[order].astype(np.int64)
    kind = instruments.kind[code]
    is_option = kind == Kind.OPTION
    standard = int(rules.value("regt.option.standard_multiplier"))
    multiplier = instruments.multiplier[code].astype(np.int64)
    reason = np.where(multiplier <= 0, int(Reason.MISSING_MULTIPLIER), 0).astype(np.int64)
    reason |= np.where(rated[code], 0, int(Reason.MISSING_RATE))
    multiplier = np.where(multiplier > 0, multiplier, np.where(is_option, standard, 1))
    underlying, linked = _underlying(instruments, code, is_option)
    mark, fault = _mark(code, prices, cost, quantity, multiplier)
    reason |= fault
    strike = instruments.strike[code].astype(np.int64)
    spot, unsure = _spot(underlying, linked, prices, strike, mark, is_option)
    reason |= np.where(is_option & unsure, int(Reason.UNDERLYING_PRICE), 0)
    reason |= _reference_faults(instruments, code, underlying, is_option, kind, strike, as_of_day)
    is_cash = accounts.margin_type[account] == MarginType.CASH
    reason |= np.where(is_cash & (quantity < 0) & ~is_option, int(Reason.NOT_PERMITTED), 0)
    _check_range(quantity, mark, multiplier, "market value")
    _check_range(quantity, np.maximum(spot, strike), np.where(is_option, multiplier, 1), "value of the underlying")
    margin, charge, alone = _option_terms(
        instruments, code, underlying, spot, strike, mark, multiplier, reason, is_cash, as_of_day, rules, terms
    )
    is_stock = one_of(kind, Kind.STOCK, Kind.ETF)
    alone = np.where((quantity < 0) & (alone < Strategy.CASH_ACCOUNT), int(Strategy.UNCOVERED), alone)
    alone = np.where(is_option, alone, _stock_label(kind, quantity, reason, is_cash))
    key = 2 * instruments.expiry[code].astype(np.int64) + np.where(instruments.am_settled[code].astype(bool), 0, 1)
    return Positions(
        account, code, underlying, quantity, multiplier, mark, quantity * mark * multiplier, spot, cost, reason,
        is_option, is_stock, is_cash, key, is_option & (reason & int(_LEG_FAULTS) == 0), margin, charge, alone,
    )  # fmt: skip


def _canonical_order(holdings: Holdings, instruments: Instruments) -> np.ndarray:
    code = holdings.instrument
    is_option = instruments.kind[code] == Kind.OPTION
    owner = np.where(is_option, instruments.underlying[code], code)
    keys = (
        holdings.cost, holdings.quantity, code, instruments.style[code], instruments.multiplier[code],
        instruments.right[code], instruments.strike[code], instruments.am_settled[code], instruments.expiry[code],
        is_option, owner, holdings.account,
    )  # fmt: skip
    return np.lexsort(keys)


def _underlying(instruments: Instruments, code: np.ndarray, is_option: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Underlying's code, and whether it is a known instrument other than the option itself."""
    underlying = np.where(is_option, instruments.underlying[code], code).astype(np.int64)
    linked = (underlying >= 0) & (underlying < len(instruments)) & (~is_option | (underlying != code))
    return np.where(linked, underlying, code), linked


def _mark(code, prices: PriceSet, cost, quantity, multiplier) -> tuple[np.ndarray, np.ndarray]:
    """Price to charge at and its fault bits: the set's price, else the previous close, else the cost basis."""
    price, status, close = prices.price[code], prices.status[code], prices.previous_close[code]
    missing = status == PriceStatus.MISSING
    negative = ~missing & (price < 0)
    basis = np.abs(cost) // np.maximum(np.abs(quantity) * multiplier, 1)
    mark = np.where(missing | negative, np.where(close > 0, close, basis), price).astype(np.int64)
    fault = np.where(missing, int(Reason.MISSING_PRICE), 0) | np.where(negative, int(Reason.NEGATIVE_PRICE), 0)
    return mark, fault | np.where(status == PriceStatus.STALE, int(Reason.STALE_PRICE), 0)


def _spot(underlying, linked, prices: PriceSet, strike, mark, is_option) -> tuple[np.ndarray, np.ndarray]:
    """Underlying's price to charge at, and whether it is unsure (missing, stale, negative, unknown underlying)."""
    price, status, close = prices.price[underlying], prices.status[underlying], prices.previous_close[underlying]
    absent = ~linked | (status == PriceStatus.MISSING) | (price < 0)
    spot = np.where(absent, np.where(linked & (close > 0), close, strike), price)
    return np.where(is_option, spot, mark).astype(np.int64), absent | (status == PriceStatus.STALE)


def _reference_faults(
    instruments: Instruments, code, underlying, is_option, kind, strike, as_of_day: int
) -> np.ndarray:
    """Fault bits of the reference: class, leverage, expiry, strike, and things that cannot be held."""
    group = instruments.underlying_class[underlying]
    leveraged = one_of(group, UnderlyingClass.LEVERAGED, UnderlyingClass.LEVERAGED_BROAD)
    equity_like = is_option | one_of(kind, Kind.STOCK, Kind.ETF)
    expiry = instruments.expiry[code]
    debt = one_of(kind, Kind.TREASURY, Kind.BOND)
    bits = np.where(equity_like & (group == UnderlyingClass.NONE), int(Reason.UNKNOWN_CLASS), 0)
    bits |= np.where(equity_like & leveraged & (instruments.leverage[underlying] == 0), int(Reason.MISSING_LEVERAGE), 0)
    bits |= np.where((is_option | debt) & (expiry == NO_DATE), int(Reason.MISSING_EXPIRY), 0)
    bits |= np.where((is_option | debt) & (expiry != NO_DATE) & (expiry < as_of_day), int(Reason.EXPIRED), 0)
    bits |= np.where(is_option & ((strike <= 0) | (instruments.right[code] == 0)), int(Reason.MISSING_STRIKE), 0)
    return bits | np.where(kind == Kind.INDEX, int(Reason.NOT_HELD), 0)


def _option_terms(
    instruments: Instruments, code, underlying, spot, strike, mark, multiplier, reason, is_cash, as_of_day: int,
    rules: Rules, terms: Terms,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(margin of a short, charge of a long, label) per contract, as if every row were an option."""
    conservative = reason != 0
    rate, least = options.uncovered_rates(
        instruments.underlying_class[underlying], instruments.leverage[underlying], ~conservative, terms
    )
    right = instruments.right[code].astype(np.int64)
    worth, exercise = spot * multiplier, strike * multiplier
    margin = options.uncovered_margins(right, worth, exercise, rate, least)
    base = np.where(right > 0, worth, exercise)
    base = np.where(right == 0, np.maximum(worth, exercise), base)
    margin = np.where(conservative, fraction(base, terms.conservative_rate), margin)
    premium = mark * multiplier
    # In a cash account the exercise value secures a put, proceeds included; a call is covered or charged in full.
    secured = fraction(base, terms.cash_rate)
    secured = np.where(right < 0, np.maximum(secured - premium, 0), secured)
    margin = np.where(is_cash & ~conservative, secured, margin)
    months = int(rules.value("regt.option.long_life_months"))
    long_term = options.is_long_term(as_of_day, instruments.expiry[code], months) & ~conservative & ~is_cash
    charge_rate = np.where(long_term, terms.long_term_rate, terms.long_option_rate)
    charge = fraction(premium, np.where(conservative, terms.conservative_rate, charge_rate))
    label = np.where(long_term, int(Strategy.LONG_TERM_OPTION), int(Strategy.LONG_OPTION))
    label = np.where(is_cash, int(Strategy.CASH_ACCOUNT), label)
    return margin, charge, np.where(conservative, int(Strategy.CONSERVATIVE), label).astype(np.int64)


def _stock_label(kind, quantity, reason, is_cash) -> np.ndarray:
    label = np.where(quantity > 0, int(Strategy.LONG_STOCK), int(Strategy.SHORT_STOCK))
    label = np.where(one_of(kind, Kind.TREASURY, Kind.BOND), int(Strategy.DEBT), label)
    label = np.where(is_cash, int(Strategy.CASH_ACCOUNT), label)
    return np.where(reason != 0, int(Strategy.CONSERVATIVE), label)


def _check_range(quantity, price, multiplier, what: str) -> None:
    size = np.abs(quantity.astype(np.float64)) * np.abs(price.astype(np.float64)) * multiplier
    if len(size) and size.max() >= LIMIT:
        row = int(size.argmax())
        raise MoneyOverflowError(
            f"{what} of position {row}: expected below {LIMIT // MICRO} currency units, found {size[row] / MICRO:.0f}"
        )


def debt_requirement(
    positions: Positions, instruments: Instruments, investment_grade: np.ndarray, as_of_day: int, rules: Rules
) -> np.ndarray:
    """Requirement per row as if every row were debt: Treasuries by remaining life, other debt by grade (4210(e)(2))."""
    code, value = positions.instrument, np.abs(positions.value)
    life = np.maximum(instruments.expiry[code] - as_of_day, 0)
    principal = np.abs(positions.quantity) * positions.multiplier * MICRO
    treasury = fraction(value, stock.treasury_rate(life, rules))
    other = stock.debt_maintenance(value, principal, investment_grade[code], rules)
    other = np.where(instruments.marginable[code].astype(bool), other, value)
    return np.where(instruments.kind[code] == Kind.TREASURY, treasury, other)


def is_cash_settled_european(instruments: Instruments, positions: Positions) -> np.ndarray:
    """True for European options on an index, which settle in cash: a long box of them may carry loan value."""
    european = instruments.style[positions.instrument] == Style.EUROPEAN
    return positions.is_option & european & (instruments.kind[positions.underlying] == Kind.INDEX)
