"""What accounts hold, as columns: the common input of exposure, stress, VaR, margin and capital."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Holdings:
    """Open positions, one row per account and instrument, sorted by (account, instrument); no zero quantity."""

    account: np.ndarray
    """int32 account codes."""
    instrument: np.ndarray
    """int32 instrument codes."""
    quantity: np.ndarray
    """int64, signed: shares, contracts, or units of face value."""
    cost: np.ndarray
    """int64 micros of the instrument's currency: signed cost basis of the open quantity."""

    def __len__(self) -> int:
        return len(self.account)


@dataclass(frozen=True, slots=True)
class CashBalances:
    """Trade-date cash, one row per account and currency, sorted; short-sale proceeds are inside."""

    account: np.ndarray
    currency: np.ndarray
    """Text, ISO 4217."""
    amount: np.ndarray
    """int64 micros, signed: positive = the firm owes the account."""
    settled: np.ndarray
    """int64 micros: the part that has settled."""
    short_proceeds: np.ndarray
    """int64 micros: the credit of open short sales inside ``amount`` (>= 0)."""
