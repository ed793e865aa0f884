"""Books for the Regulation T tests: legs and stock of one account and underlying, written in dollars."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from streaming.risk.margin import options, pairing
from streaming.risk.margin.pairing import Legs, Rows, Stock
from streaming.risk.margin.strategies import Strategy
from streaming.risk.margin.terms import terms_of
from streaming.risk.money import MICRO
from streaming.risk.rulebook import load

RULES = load().at(date(2026, 11, 2))
TERMS = terms_of(RULES)
AMERICAN, EUROPEAN = 2, 1


@dataclass(frozen=True)
class Leg:
    """One option series; prices in dollars, ``expiry`` an ordered key."""

    cp: str
    strike: float
    quantity: int
    price: float
    expiry: int = 1
    style: int = AMERICAN
    multiplier: int = 100
    long_term: bool = False
    cash_settled: bool = False


def dollars(amount: float) -> int:
    """Dollars in micros."""
    return round(amount * MICRO)


def book(
    spot: float, legs: list[Leg], shares: int = 0, *, short_shares: int = 0, broad: bool = False, allowed: int = 15
) -> tuple[Legs, Stock]:
    """The arguments of the pairing: signed ``shares``, or long ``shares`` and ``short_shares`` for a box."""

    def column(values, kind=np.int64):
        return np.array(list(values), dtype=kind)

    right = column(1 if leg.cp == "C" else -1 for leg in legs)
    strike = column(dollars(leg.strike) for leg in legs)
    multiplier = column(leg.multiplier for leg in legs)
    quantity = column(leg.quantity for leg in legs)
    premium = column(dollars(leg.price) for leg in legs) * multiplier
    rate = TERMS.uncovered_broad if broad else TERMS.uncovered_equity
    count = len(legs)
    value, least = dollars(spot) * multiplier, np.full(count, TERMS.uncovered_minimum)
    margin = options.uncovered_margins(right, value, strike * multiplier, np.full(count, rate), least)
    charge = column(p * 3 // 4 if leg.long_term else p for p, leg in zip(premium.tolist(), legs, strict=True))
    label = np.where(quantity < 0, int(Strategy.UNCOVERED), int(Strategy.LONG_OPTION))
    style = column(leg.style for leg in legs)
    columns = Legs(
        right, strike, column(leg.expiry for leg in legs), style, multiplier, quantity, premium, margin, charge, label,
        np.ones(count, dtype=bool), column((leg.cash_settled for leg in legs), bool), style == AMERICAN,
    )  # fmt: skip
    stock = Stock(
        price=dollars(spot), long=max(shares, 0), short=max(-shares, 0) + short_shares,
        long_rate=TERMS.long_rate, short_rate=TERMS.short_rate,
        initial_long=TERMS.initial_long, initial_short=TERMS.initial_short, sale_price=dollars(spot),
        alone_long=int(Strategy.LONG_STOCK), alone_short=int(Strategy.SHORT_STOCK), allowed=allowed,
    )  # fmt: skip
    return columns, stock


def pair(spot: float, legs: list[Leg], shares: int = 0, **how) -> Rows:
    """The optimal pairing of a book."""
    return pairing.pair(*book(spot, legs, shares, **how), TERMS)


def requirement(rows: Rows) -> float:
    """Maintenance in dollars."""
    return int(rows.maintenance.sum()) / MICRO


def strategies(rows: Rows) -> list[Strategy]:
    """The treatments chosen, sorted."""
    return sorted(Strategy(int(code)) for code in rows.strategy)
