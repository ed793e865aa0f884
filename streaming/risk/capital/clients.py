"""What the accounts of a cut contribute to capital and reserve, as parts that add up over shards.

A part has one row per account (accounts lie in exactly one shard) and dense sums by account kind and instrument, so
merging parts is concatenation and exact addition: the number of shards never changes a cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from streaming.risk import money
from streaming.risk.capital.inputs import Book
from streaming.risk.capital.marking import Marks, rates
from streaming.risk.market import PriceSet
from streaming.risk.reference import AccountKind, Kind, MarginType
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class AccountRows:
    """One row per client account with holdings or cash, sorted by account. Micros of the reporting currency."""

    account: np.ndarray
    kind: np.ndarray
    margin: np.ndarray
    """Settled margin balance with shorts marked to market: positive = free credit, negative = debit."""
    short_credit: np.ndarray
    """Short balance marked to market, >= 0: an "other" credit, never free credit."""
    collateral: np.ndarray
    """What secures a debit: marginable longs at market plus net long options; what has no price counts nothing."""
    deficit: np.ndarray
    """Trade-date debit not covered by the collateral, >= 0: unsecured."""
    long_value: np.ndarray
    """Long securities other than options, at market."""
    pledgeable: np.ndarray
    """ppm of the account's long securities that the firm may use: up to 140% of the debit."""
    unpriced: np.ndarray
    """Number of positions without a usable price."""

    @property
    def debit(self) -> np.ndarray:
        return np.maximum(-self.margin, 0)

    @property
    def secured_debit(self) -> np.ndarray:
        """The debit less what is unsecured."""
        return np.maximum(self.debit - self.deficit, 0)


@dataclass(frozen=True, slots=True)
class SecuritySums:
    """Sums over accounts, int64 [AccountKind, instrument]."""

    long: np.ndarray
    """Quantity of long positions other than options."""
    short: np.ndarray
    """Quantity of short positions other than options, >= 0."""
    net: np.ndarray
    """Signed quantity, options included."""
    cost: np.ndarray
    """Signed cost basis, in the instrument's currency."""
    fully_paid: np.ndarray
    """Quantity in cash accounts that the firm may not use."""
    excess_margin: np.ndarray
    """Quantity in margin accounts that the firm may not use."""
    counted: np.ndarray
    """Market value of collateral, per account counted up to 140% of its debit (Note E(1))."""


@dataclass(frozen=True, slots=True)
class Part:
    """One shard's contribution, or the whole."""

    accounts: AccountRows
    securities: SecuritySums


def part(book: Book, marks: Marks, prices: PriceSet, rules: Rules) -> Part:
    """The contribution of the accounts in ``book``. Raises MoneyOverflowError where their sums leave 64 bits."""
    cash = _cash(book, prices)
    value = marks.value(book.holdings.instrument, book.holdings.quantity, book.holdings.cost)
    money.checked_sum(value, "market value of the holdings")  # by magnitude: no sum below can then overflow
    money.checked_sum(cash["amount"], "cash of the accounts")
    rows = _accounts(book, marks, value, cash, rules)
    return Part(rows, _securities(book, value, rows))


def merge(parts: Sequence[Part]) -> Part:
    """The parts of all shards as one; their order changes nothing."""
    order = np.argsort(np.concatenate([p.accounts.account for p in parts]), kind="stable")
    merged = {
        item.name: np.concatenate([getattr(p.accounts, item.name) for p in parts])[order]
        for item in fields(AccountRows)
    }
    if (np.diff(merged["account"]) == 0).any():
        raise ValueError("merge: expected each account in one part, found one in two")
    sums = {item.name: sum(getattr(p.securities, item.name) for p in parts) for item in fields(SecuritySums)}
    return Part(AccountRows(**merged), SecuritySums(**sums))


def _cash(book: Book, prices: PriceSet) -> dict[str, np.ndarray]:
    """Cash by account in the reporting currency, dense by account code."""
    rate, _ = rates(book.cash.currency, prices)
    dense = {}
    for name in ("amount", "settled", "short_proceeds"):
        dense[name] = np.zeros(len(book.accounts), dtype=np.int64)
        np.add.at(dense[name], book.cash.account, money.fraction(getattr(book.cash, name), rate))
    return dense


def _accounts(book: Book, marks: Marks, value: np.ndarray, cash: dict[str, np.ndarray], rules: Rules) -> AccountRows:
    held = book.holdings
    option = book.instruments.kind[held.instrument] == Kind.OPTION
    priced = marks.priced[held.instrument]
    counts = np.where(priced | (value < 0), value, 0)  # a long without a price secures nothing
    secures = ~option & (counts > 0) & book.instruments.marginable[held.instrument].astype(bool)

    def by_account(amounts: np.ndarray, where: np.ndarray) -> np.ndarray:
        dense = np.zeros(len(book.accounts), dtype=np.int64)
        np.add.at(dense, held.account[where], amounts[where])
        return dense

    short = -by_account(counts, ~option & (counts < 0))
    long_value = by_account(counts, ~option & (counts > 0))
    collateral = by_account(counts, secures | option)
    # Proceeds of a short sale that has not settled are in the trade-date cash only: the mark of that part is no debit.
    unsettled = np.minimum(cash["short_proceeds"], np.maximum(cash["amount"] - cash["settled"], 0))
    short_credit = np.maximum(short - unsettled, 0)
    margin = cash["settled"] - short_credit
    present = np.unique(np.concatenate([held.account, book.cash.account]))
    return AccountRows(
        account=present.astype(np.int32),
        kind=book.accounts.kind[present].astype(np.int8),
        margin=margin[present],
        short_credit=short_credit[present],
        collateral=np.maximum(collateral, 0)[present],
        deficit=np.maximum(short - cash["amount"] - collateral, 0)[present],
        long_value=long_value[present],
        pledgeable=_pledgeable(np.maximum(-margin, 0)[present], long_value[present], rules),
        unpriced=by_account(np.ones(len(held), dtype=np.int64), ~priced)[present],
    )


def _pledgeable(debit: np.ndarray, long_value: np.ndarray, rules: Rules) -> np.ndarray:
    """ppm of an account's longs worth up to 140% of its debit, rounded down: the customer keeps the odd part."""
    allowed = money.fraction(debit, rules.ppm("reserve.segregation.margin_multiple"))
    exact = [
        min(money.MICRO, limit * money.MICRO // worth) if worth else 0
        for limit, worth in zip(allowed.tolist(), long_value.tolist(), strict=True)
    ]
    return np.array(exact, dtype=np.int64)


def _securities(book: Book, value: np.ndarray, rows: AccountRows) -> SecuritySums:
    held = book.holdings
    kind = book.accounts.kind[held.account]
    security = book.instruments.kind[held.instrument] != Kind.OPTION
    usable = rows.pledgeable[np.searchsorted(rows.account, held.account)]
    owned = np.where(security, np.maximum(held.quantity, 0), 0)
    locked = owned - owned * usable // money.MICRO
    cash_account = book.accounts.margin_type[held.account] == MarginType.CASH
    shape = (len(AccountKind), len(book.instruments))

    def dense(amounts: np.ndarray) -> np.ndarray:
        sums = np.zeros(shape, dtype=np.int64)
        np.add.at(sums, (kind, held.instrument), amounts)
        return sums

    return SecuritySums(
        long=dense(owned),
        short=dense(np.where(security, np.maximum(-held.quantity, 0), 0)),
        net=dense(held.quantity),
        cost=dense(held.cost),
        fully_paid=dense(np.where(cash_account, locked, 0)),
        excess_margin=dense(np.where(cash_account, 0, locked)),
        counted=dense(np.where(owned > 0, money.fraction(np.maximum(value, 0), usable), 0)),
    )
