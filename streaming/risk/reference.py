"""Reference data as columns: instruments and accounts, addressed by *code*.

A code is a dense integer: the order in which the reference stream first named the instrument or account. All apps see
the same stream, so all agree on the codes. Rows of every other table point here; ids (text) appear only at the edges.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import pyarrow as pa


class Kind(IntEnum):
    """What an instrument is."""

    STOCK = 0
    ETF = 1
    INDEX = 2
    """Not held itself; underlying of cash-settled options."""
    OPTION = 3
    TREASURY = 4
    BOND = 5
    FUND = 6
    """Money-market fund."""


def one_of(codes: np.ndarray, *wanted: IntEnum) -> np.ndarray:
    """bool per code: whether it is one of a few values; much faster than ``np.isin`` for those."""
    found = codes == int(wanted[0])
    for value in wanted[1:]:
        found |= codes == int(value)
    return found


class UnderlyingClass(IntEnum):
    """The class that option and scan percentages depend on (FINRA 4210(f)(2), (g)(2))."""

    EQUITY = 0
    NARROW_INDEX = 1
    BROAD_INDEX = 2
    BROAD_INDEX_HIGH_CAP = 3
    LEVERAGED = 4
    """Leveraged fund, see ``leverage``."""
    LEVERAGED_BROAD = 5
    NONE = 6


class Right(IntEnum):
    """An option's right."""

    NONE = 0
    CALL = 1
    PUT = -1


class Style(IntEnum):
    """When an option may be exercised."""

    NONE = 0
    EUROPEAN = 1
    AMERICAN = 2


class AccountKind(IntEnum):
    """Whose account it is, for the customer-protection formulas."""

    CUSTOMER = 0
    PAB = 1
    """Proprietary account of another broker-dealer."""
    HOUSE = 2
    """The firm's own positions."""
    NON_CUSTOMER = 3
    """Officers, partners and affiliates."""


class MarginType(IntEnum):
    """Under which regime an account's margin is computed."""

    CASH = 0
    REG_T = 1
    PORTFOLIO = 2


@dataclass(frozen=True, slots=True)
class Instruments:
    """Instrument columns; row number = instrument code.

    Amounts in micros of ``currency``; rates in ppm; dates as days since 1970-01-01 (``NO_DATE`` = none).
    A value of -1 in ``adv``, ``market_cap`` or ``shares_outstanding`` means unknown, 0 in ``multiplier`` missing.
    """

    id: np.ndarray
    """Text. Options: the 21-character OCC symbol."""
    kind: np.ndarray
    underlying: np.ndarray
    """Code of the underlying; its own code when there is none."""
    currency: np.ndarray
    multiplier: np.ndarray
    """Units of the underlying per contract, 1 for stock; 0 = missing."""
    right: np.ndarray
    strike: np.ndarray
    expiry: np.ndarray
    """Expiry of an option, maturity of a debt instrument."""
    style: np.ndarray
    am_settled: np.ndarray
    """True where the settlement price is the opening one (such an option expires before a PM-settled of that date)."""
    underlying_class: np.ndarray
    leverage: np.ndarray
    """Signed factor in ppm of a leveraged fund (1x = 1,000,000)."""
    sector: np.ndarray
    issuer: np.ndarray
    adv: np.ndarray
    """Average daily volume, units."""
    shares_outstanding: np.ndarray
    market_cap: np.ndarray
    beta: np.ndarray
    """To the index, ppm; ``UNKNOWN_BETA`` = not known."""
    borrow_fee: np.ndarray
    """Per year, ppm."""
    dividend_yield: np.ndarray
    """Per year, continuously compounded, ppm."""
    marginable: np.ndarray
    product_group: np.ndarray
    """Portfolio-margin product group, empty when it stands alone."""
    isin: np.ndarray
    coupon: np.ndarray
    """Per year, ppm, for debt."""

    def __len__(self) -> int:
        return len(self.id)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Instruments":
        return cls(**{name: _column(table, name) for name in _names(cls)})


@dataclass(frozen=True, slots=True)
class Accounts:
    """Account columns; row number = account code."""

    id: np.ndarray
    client: np.ndarray
    """The beneficial owner: several accounts may share one."""
    kind: np.ndarray
    margin_type: np.ndarray
    strategy: np.ndarray
    prime_broker: np.ndarray
    """True where trades may be executed away (1994 staff letter; 4210(g) minimum of 500,000 dollars)."""
    currency: np.ndarray
    lei: np.ndarray
    country: np.ndarray

    def __len__(self) -> int:
        return len(self.id)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Accounts":
        return cls(**{name: _column(table, name) for name in _names(cls)})


NO_DATE = -1
UNKNOWN_BETA = np.iinfo(np.int64).min


def _names(cls: type) -> list[str]:
    return [item.name for item in fields(cls)]


def _column(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).combine_chunks().to_numpy(zero_copy_only=False)
