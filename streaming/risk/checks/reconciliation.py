"""Reconciliation: do the books agree with each other? Each check gives expected, found and difference by key.

All numbers are exact; a check balances when every difference is zero. Rows are in the order of their keys. A check over
nothing has no rows, which the gate must treat as a failure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from streaming.risk.capital.inputs import Book, StockRecord
from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.market import PriceSet, PriceStatus
from streaming.risk.reference import Instruments, Kind


@dataclass(frozen=True, slots=True)
class Check:
    """The rows of one or more checks, columns of equal length."""

    check: np.ndarray
    """Text: the check's name."""
    key: np.ndarray
    """Text: the security, currency, or instrument."""
    expected: np.ndarray
    """int64: units of a quantity, micros of money."""
    found: np.ndarray
    unit: np.ndarray
    """Text: ``quantity`` or ``micros CCY``."""

    @property
    def difference(self) -> np.ndarray:
        """Found less expected."""
        return self.found - self.expected

    @property
    def failing(self) -> np.ndarray:
        """Row numbers that do not balance."""
        return np.flatnonzero(self.difference)


def together(checks: Sequence[Check]) -> Check:
    """Several checks as one table."""
    return Check(**{item.name: np.concatenate([getattr(c, item.name) for c in checks]) for item in fields(Check)})


def stock_record(shards: Sequence[Holdings], record: StockRecord, instruments: Instruments) -> Check:
    """Long = short by security: what accounts are long and the street owes, against shorts and locations.

    Expected is the long side (positive quantities), found the short side (negative ones, unsigned). Options are not in
    the stock record: the clearing house holds them.
    """
    code = np.concatenate([*(held.instrument for held in shards), record.instrument])
    quantity = np.concatenate([*(held.quantity for held in shards), record.quantity])
    long, short = np.zeros(len(instruments), dtype=np.int64), np.zeros(len(instruments), dtype=np.int64)
    np.add.at(long, code, np.maximum(quantity, 0))
    np.add.at(short, code, np.maximum(-quantity, 0))
    seen = np.unique(code[instruments.kind[code] != Kind.OPTION])
    return _check("stock_record", instruments.id[seen], long[seen], short[seen], "quantity")


def cash_to_ledger(shards: Sequence[CashBalances], ledger: Mapping[str, int]) -> Check:
    """Trade-date cash of all accounts by currency (found) against the ledger's control balance (expected), micros."""
    found = _cash_totals(shards)
    names = sorted(set(found) | set(ledger))
    return _check(
        "cash_to_ledger",
        np.array(names, dtype=object),
        np.array([ledger.get(name, 0) for name in names], dtype=np.int64),
        np.array([found.get(name, 0) for name in names], dtype=np.int64),
        [f"micros {name}" for name in names],
    )


def clients_to_firm(shards: Sequence[Book], firm_quantity: np.ndarray, firm_cash: Mapping[str, int]) -> Check:
    """Client totals against the firm's totals: signed quantity by security, cash by currency.

    Expected are the sums over the shards' accounts, found what the firm app holds after aggregation.
    """
    instruments = shards[0].instruments
    total = np.zeros(len(instruments), dtype=np.int64)
    for book in shards:
        np.add.at(total, book.holdings.instrument, book.holdings.quantity)
    seen = np.flatnonzero((total != 0) | (firm_quantity != 0))
    cash = _cash_totals([book.cash for book in shards])
    names = sorted(set(cash) | set(firm_cash))
    return together(
        [
            _check("client_quantity_to_firm", instruments.id[seen], total[seen], firm_quantity[seen], "quantity"),
            _check(
                "client_cash_to_firm",
                np.array(names, dtype=object),
                np.array([cash.get(name, 0) for name in names], dtype=np.int64),
                np.array([firm_cash.get(name, 0) for name in names], dtype=np.int64),
                [f"micros {name}" for name in names],
            ),
        ]
    )


def market_value(shards: Sequence[Holdings], reported: np.ndarray, instruments: Instruments, prices: PriceSet) -> Check:
    """Net market value by security: quantity x multiplier x the price set's price (expected) against ``reported``.

    ``reported`` is by instrument, micros of the instrument's currency: the sum of the market values that the position
    rows carry. A security without a price has an expected value of 0 and is listed by :func:`unpriced`.
    """
    total = np.zeros(len(instruments), dtype=np.int64)
    for held in shards:
        np.add.at(total, held.instrument, held.quantity)
    held_anywhere = np.unique(np.concatenate([held.instrument for held in shards]))
    seen = np.union1d(held_anywhere, np.flatnonzero(reported)).astype(np.int64)
    expected = total[seen] * instruments.multiplier[seen].astype(np.int64) * prices.price[seen]
    unit = [f"micros {currency}" for currency in instruments.currency[seen].tolist()]
    return _check("market_value_to_price_set", instruments.id[seen], expected, reported[seen], unit)


def unpriced(shards: Sequence[Holdings], instruments: Instruments, prices: PriceSet) -> Check:
    """Every held instrument has a price: expected 1, found 0 where it is missing."""
    seen = np.unique(np.concatenate([held.instrument for held in shards]))
    found = (prices.status[seen] != PriceStatus.MISSING).astype(np.int64)
    return _check("held_instrument_has_price", instruments.id[seen], np.ones_like(found), found, "prices")


def _cash_totals(shards: Sequence[CashBalances]) -> dict[str, int]:
    """Exact sums by currency."""
    totals: dict[str, int] = {}
    for cash in shards:
        names, where = np.unique(cash.currency.astype(str), return_inverse=True)
        sums = np.zeros(len(names), dtype=np.int64)
        np.add.at(sums, where, cash.amount)
        for name, amount in zip(names.tolist(), sums.tolist(), strict=True):
            totals[name] = totals.get(name, 0) + amount
    return totals


def _check(name: str, key: np.ndarray, expected: np.ndarray, found: np.ndarray, unit: str | list[str]) -> Check:
    order = np.argsort(key.astype(str), kind="stable")
    units = np.array([unit] * len(key) if isinstance(unit, str) else unit, dtype=object)
    names = np.full(len(key), name, dtype=object)
    return Check(names, key[order].astype(object), expected[order], found[order], units[order])
