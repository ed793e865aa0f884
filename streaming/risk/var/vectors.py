"""P&L vectors of the book: one full-revaluation P&L per scenario, for every account, strategy and underlying.

All vectors are exact int64 micros, so the levels add up to the firm and one position's change is an exact update of
four rows instead of a new run.
"""

from dataclasses import dataclass

import numpy as np

from streaming.risk.money import LIMIT, MICRO, MoneyOverflowError, fraction
from streaming.risk.reference import Accounts, Instruments
from streaming.risk.stress.book import Book, Groups, grouped_pnl, groups, regrouped


@dataclass(frozen=True, slots=True)
class Vectors:
    """P&L [row, scenario] in micros of the reporting currency, positive = gain."""

    account: np.ndarray
    """[account code, scenario]"""
    strategies: Groups
    strategy: np.ndarray
    underlyings: np.ndarray
    """Sorted instrument codes: the rows of ``underlying``."""
    underlying: np.ndarray
    firm: np.ndarray
    """[1, scenario]"""

    def apply(self, change: "Change") -> None:
        """Write a change into the vectors, in place: the caller owns them as running state."""
        self.account[change.account] = change.rows[0]
        self.strategy[change.strategy] = change.rows[1]
        self.underlying[change.underlying] = change.rows[2]
        self.firm[0] = change.rows[3]


@dataclass(frozen=True, slots=True)
class Change:
    """The vectors that one position's change touches, as they are after it."""

    account: int
    strategy: int
    underlying: int
    """Row of ``Vectors.underlying``."""
    rows: np.ndarray
    """int64 micros [4, scenario]: account, strategy, underlying, firm."""


def vectors(book: Book, accounts: Accounts, instruments: Instruments, pnl: np.ndarray) -> Vectors:
    """Vectors of the whole book from P&L per unit [instrument, scenario] (int64 micros)."""
    account = grouped_pnl(book, book.account, len(accounts), pnl, "P&L vector by account")
    strategies = groups(accounts.strategy)
    codes, compact = np.unique(instruments.underlying, return_inverse=True)
    underlying = grouped_pnl(book, compact[book.instrument], len(codes), pnl, "P&L vector by underlying")
    firm = grouped_pnl(book, np.zeros(len(book), dtype=np.int64), 1, pnl, "P&L vector of the firm")
    strategy = regrouped(account, strategies.of, len(strategies.names))
    return Vectors(account, strategies, strategy, codes, underlying, firm)


def changed(
    before: Vectors, account: int, underlying: int, units: int, fx: int, pnl: np.ndarray, units_before: int = 0
) -> Change:
    """The vectors after a position goes from ``units_before`` to ``units``.

    ``pnl`` is the instrument's P&L per unit [scenario]; ``underlying`` its underlying's instrument code; ``fx``
    reporting-currency micros per unit of its currency. Rounding is per position, as in a full run: the same bits.
    """
    row = int(np.searchsorted(before.underlyings, underlying))
    if row == len(before.underlyings) or before.underlyings[row] != underlying:
        raise ValueError(f"P&L vectors: expected an underlying of the book, found code {underlying}")
    if max(abs(units), abs(units_before)) * float(np.abs(pnl).max(initial=0)) * max(1.0, fx / MICRO) >= float(LIMIT):
        raise MoneyOverflowError("P&L vector of one position: leaves the range of 9e12 currency units")
    strategy = int(before.strategies.of[account])
    step = fraction(pnl * units, fx) - fraction(pnl * units_before, fx)
    rows = np.stack((before.account[account], before.strategy[strategy], before.underlying[row], before.firm[0])) + step
    return Change(account, strategy, row, rows)
