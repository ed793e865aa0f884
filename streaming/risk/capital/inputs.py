"""What capital is computed from besides the client accounts: the firm's balance sheet, its stock record, its calendar.

Everything is a column table; amounts are int64 micros of the reporting currency, dates are days since 1970-01-01. A
table that is ``None``, and a balance-sheet line without a row, is *not supplied*, which is not zero: state a zero as a
row of amount 0.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np

from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.market import PriceSet
from streaming.risk.reference import AccountKind, Accounts, Instruments, one_of


class Line(StrEnum):
    """Lines of the firm's balance sheet that are not found from accounts or from the stock record."""

    OWNERSHIP_EQUITY = "ownership_equity"
    """GAAP equity; the only line that may be negative."""
    SUBORDINATED_LOAN = "subordinated_loan"
    """Allowable under appendix D."""
    CASH = "cash"
    RECEIVABLE = "receivable"
    """``secured`` is the collateral held; what exceeds it is allowable only from brokers, clearing agencies, banks."""
    DIVIDEND_RECEIVABLE = "dividend_receivable"
    FIXED_ASSET = "fixed_asset"
    PREPAID = "prepaid"
    MEMBERSHIP = "membership"
    """Exchange memberships, at cost."""
    UNMARKETABLE_INVESTMENT = "unmarketable_investment"
    OPERATIONAL = "operational"
    """Other operational debits: suspense, unresolved differences in cash, claims."""
    CONTRACTUAL_COMMITMENT = "contractual_commitment"
    """Market value of open underwriting commitments."""
    CLEARING_DEPOSIT = "clearing_deposit"
    RESERVE_DEPOSIT = "reserve_deposit"
    """Balance of the special reserve bank account, of ``account_kind`` CUSTOMER or PAB."""
    OPTION_MARGIN = "option_margin"
    """Margin at the options clearing house for short options of ``account_kind``."""
    SECURITY_FUTURES_MARGIN = "security_futures_margin"
    TREASURY_MARGIN = "treasury_margin"
    """Margin on Treasury positions at a qualified clearing agency, Note H."""
    BORROWED_UNSECURED = "borrowed_unsecured"
    BORROWED_SECURED = "borrowed_secured"
    """Secured by the firm's own securities. Loans on customers' securities are PLEDGED rows of the stock record."""
    REPO_PAYABLE = "repo_payable"
    """Excluding governments."""
    REVERSE_REPO = "reverse_repo"
    """Market value of the securities, excluding governments."""
    PAYABLE = "payable"
    """Accounts payable and accruals."""
    SUSPENSE_CREDIT = "suspense_credit"
    """Credits in suspense accounts of ``account_kind``."""


class Party(IntEnum):
    """Who the counterparty of an item is."""

    OTHER = 0
    BROKER_DEALER = 1
    CLEARING_AGENCY = 2
    BANK = 3
    AFFILIATE = 4


@dataclass(frozen=True, slots=True)
class BalanceSheet:
    """The firm's ledger items, one row each. Amounts are positive in the sense of their line."""

    line: np.ndarray
    """Text, a :class:`Line`."""
    reference: np.ndarray
    """Text: the item's name in the ledger."""
    amount: np.ndarray
    secured: np.ndarray
    """Market value of the collateral held against a receivable."""
    since: np.ndarray
    """Day on which the item arose."""
    party: np.ndarray
    """:class:`Party`."""
    account_kind: np.ndarray
    """For whom the firm holds the item: an AccountKind."""
    _order: np.ndarray = field(init=False, repr=False, compare=False)
    """All rows in the order of their references."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_order", np.lexsort((self.amount, self.reference)))
        unknown = sorted(set(self.line.tolist()) - set(Line))
        if unknown:
            raise ValueError(f"balance sheet: expected one of {sorted(Line)}, found {unknown}")
        negative = (self.amount < 0) & (self.line != Line.OWNERSHIP_EQUITY)
        if negative.any():
            where = self.reference[negative][0]
            raise ValueError(f"balance sheet {where}: expected an amount >= 0, found {self.amount[negative][0]}")

    def rows(self, line: Line) -> np.ndarray:
        """Row numbers of a line, in the order of their references (so the order of arrival changes nothing)."""
        return self._order[self.line[self._order] == line]


class Location(IntEnum):
    """Where the street side of a position lies. The sign of the quantity follows from it."""

    BOX = 0
    DEPOSITORY = 1
    SEGREGATED = 2
    LOANED = 3
    BORROWED = 4
    PLEDGED = 5
    FAIL_TO_DELIVER = 6
    FAIL_TO_RECEIVE = 7
    TRANSFER = 8
    DIFFERENCE = 9
    """Count difference: negative = short (fewer securities found than the record says), positive = long."""
    DIVIDEND_RECEIVABLE = 10
    """Stock dividends and splits not yet received."""
    SUSPENSE = 11


LONG_SIDE = frozenset({Location.BORROWED, Location.FAIL_TO_DELIVER})
"""Locations whose quantity is positive; DIFFERENCE and SUSPENSE may be either, all others are negative."""
EITHER_SIDE = frozenset({Location.DIFFERENCE, Location.SUSPENSE})


class Sale(IntEnum):
    """What a fail to deliver comes from, for Reg SHO 204."""

    NONE = 0
    SHORT = 1
    LONG = 2
    MARKET_MAKER = 3
    DEEMED_OWNED = 4
    """Owned but not yet deliverable, for example restricted stock."""


@dataclass(frozen=True, slots=True)
class StockRecord:
    """The street side of the stock record, one row per item.

    Signed so that by security accounts + house + street = 0: securities held somewhere (box, depository, segregated,
    pledged, loaned, to be received) are negative, securities owed to the firm against money (borrowed, failed to
    deliver) positive.
    """

    instrument: np.ndarray
    location: np.ndarray
    """:class:`Location`."""
    quantity: np.ndarray
    amount: np.ndarray
    """Contract money >= 0: cash collateral of a borrow or loan, price of a fail, bank loan of a pledge; else 0."""
    since: np.ndarray
    """Day since which the item is open (settlement date of a fail)."""
    account_kind: np.ndarray
    """For whom, an AccountKind, where the item has an origin (fails, transfers, suspense)."""
    sale: np.ndarray
    """:class:`Sale` of a fail to deliver."""
    counterparty: np.ndarray
    """Text."""
    reference: np.ndarray
    """Text: the item's id."""
    _order: np.ndarray = field(init=False, repr=False, compare=False)
    """All rows in the order of their references."""

    def __post_init__(self) -> None:
        order = np.lexsort((self.quantity, self.instrument, self.reference))
        object.__setattr__(self, "_order", order)
        for location in Location:
            if location in EITHER_SIDE:
                continue
            wrong = (self.location == location) & (
                (self.quantity < 0) if location in LONG_SIDE else (self.quantity > 0)
            )
            if wrong.any():
                sign = ">= 0" if location in LONG_SIDE else "<= 0"
                raise ValueError(
                    f"stock record {self.reference[wrong][0]} ({location.name}): expected a quantity {sign}, "
                    f"found {self.quantity[wrong][0]}"
                )
        if (self.amount < 0).any():
            where = self.reference[self.amount < 0][0]
            raise ValueError(f"stock record {where}: expected an amount >= 0, found {self.amount.min()}")

    def rows(self, *locations: Location) -> np.ndarray:
        """Row numbers at the locations, in the order of their references."""
        return self._order[one_of(self.location[self._order], *locations)]


@dataclass(frozen=True, slots=True)
class MarginDeficiencies:
    """Accounts whose equity is below their maintenance requirement."""

    account: np.ndarray
    amount: np.ndarray
    """Requirement less equity, > 0."""
    since: np.ndarray
    """Day on which the deficiency arose."""


@dataclass(frozen=True, slots=True)
class MarginCalls:
    """Calls issued and not yet met; an account may have several."""

    account: np.ndarray
    amount: np.ndarray
    issued: np.ndarray


@dataclass(frozen=True, slots=True)
class OpenDeposit:
    """What the last reserve computation of a kind of account requires in the bank, and when it is due."""

    kind: AccountKind
    required: int
    due: int
    """Microseconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the haircut class of a security depends on beyond its kind; row number = instrument code."""

    market_makers: np.ndarray
    """Number of market makers; -1 = not known (a ready market is assumed for what has a price)."""
    investment_grade: np.ndarray
    """False also where the rating is not known: the security then takes the higher rate of (J)."""
    underwritten: np.ndarray
    """Day on which the firm acquired it in an underwriting; NO_DATE = not."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The business calendar, ascending."""

    day: np.ndarray
    open: np.ndarray
    """Microseconds since 1970-01-01 UTC."""

    def age(self, since: np.ndarray | int, as_of: int) -> np.ndarray:
        """Business days elapsed: sessions after ``since`` up to and including ``as_of``; never negative."""
        end = int(np.searchsorted(self.day, as_of, side="right"))
        return np.maximum(end - np.searchsorted(self.day, since, side="right"), 0)

    def after(self, day: int, count: int) -> int:
        """Index of the ``count``-th session after ``day``."""
        index = int(np.searchsorted(self.day, day, side="right")) + count - 1
        if index >= len(self.day):
            raise ValueError(f"sessions: expected {count} sessions after day {day}, found the end of the calendar")
        return index


class Method(StrEnum):
    """How the requirement and the reserve are computed."""

    ALTERNATIVE = "alternative"
    BASIC = "basic"
    """Aggregate indebtedness."""


class OptionMethod(StrEnum):
    """How proprietary options are charged."""

    THEORETICAL = "theoretical"
    STRATEGY = "strategy"


class Frequency(StrEnum):
    """How often the reserve is computed."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Elections:
    """What the firm has chosen or is."""

    method: Method = Method.ALTERNATIVE
    options: OptionMethod = OptionMethod.THEORETICAL
    frequency: Frequency = Frequency.DAILY
    market_maker: bool = False
    prime_broker: bool = True
    first_year: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """Accounts, holdings and cash of a shard (or of all) with the reference data they point to."""

    instruments: Instruments
    accounts: Accounts
    holdings: Holdings
    cash: CashBalances


@dataclass(frozen=True, slots=True)
class Cut:
    """When capital is computed, and at which prices."""

    as_of: int
    sessions: Sessions
    prices: PriceSet
    after_close: bool = True
    """False before the close of ``as_of``."""
