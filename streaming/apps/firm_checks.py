"""The firm's reconciliations at a cut: the same thing by two routes, expected against found."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from streaming.apps.book import CASH_KINDS
from streaming.apps.firm_inputs import Ids, Records, codes, numbers
from streaming.apps.tables import build
from streaming.engine.canonical import decimal_to_int64
from streaming.risk.capital.clients import Part
from streaming.risk.capital.inputs import Book, Line, Location, StockRecord
from streaming.risk.checks import reconciliation
from streaming.risk.checks.reconciliation import Check, together
from streaming.risk.holdings import Holdings
from streaming.risk.market import PriceSet
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Instruments, Kind
from streaming.schema import sealed

ASSETS = frozenset(
    {Line.CASH, Line.RECEIVABLE, Line.DIVIDEND_RECEIVABLE, Line.FIXED_ASSET, Line.PREPAID, Line.MEMBERSHIP,
     Line.UNMARKETABLE_INVESTMENT, Line.OPERATIONAL, Line.CLEARING_DEPOSIT, Line.RESERVE_DEPOSIT, Line.OPTION_MARGIN,
     Line.SECURITY_FUTURES_MARGIN, Line.TREASURY_MARGIN, Line.REVERSE_REPO}
)  # fmt: skip
"""Ledger lines that are assets; the others are liabilities and equity. A contractual commitment is neither."""
_NOT_A_BALANCE = Line.CONTRACTUAL_COMMITMENT
_PAID = (Location.BORROWED, Location.FAIL_TO_DELIVER)
"""Locations against which the firm has given money; against the others it has taken money."""
_TRADING = -1


def reconcile(
    books: Sequence[Book],
    part: Part,
    record: StockRecord | None,
    records: Records,
    rows: Mapping[str, Sequence[pa.Table]],
    ids: Ids,
    prices: PriceSet,
) -> Check:
    """All checks of a cut. ``rows``: sealed tables by name, one per shard."""
    instruments = books[0].instruments
    holdings = [book.holdings for book in books]
    money = {name: int(amount) for name, amount in _cash_by_currency(rows["cash"]).items()}
    found = [
        reconciliation.clients_to_firm(books, part.securities.net.sum(axis=0), money),
        reconciliation.market_value(holdings, _reported(rows["pnl"], ids, len(instruments)), instruments, prices),
        trading_cash(rows["positions"], records),
        margin_lines(rows["margin"], rows["margin_lines"]),
    ]
    if record is not None:
        found += [
            reconciliation.stock_record(holdings, record, instruments),
            options(holdings, records, instruments),
        ]
    if records.ledger.num_rows:
        found += [cash_to_ledger(books, records, rows["positions"], ids, prices), ledger_signs(records)]
    return together(found)


def sealed_checks(found: Check) -> pa.Table:
    """The rows of the sealed table; quantities as they are, money in its currency."""
    factor = np.where(found.unit == "quantity", MICRO, 1).astype(np.int64)
    columns = {"expected": found.expected * factor, "found": found.found * factor}
    texts = {name: pa.array(getattr(found, name).tolist(), pa.string()) for name in ("check", "key")}
    return build(sealed.CHECKS, {**texts, **columns, "difference": columns["found"] - columns["expected"]})


def options(holdings: Sequence[Holdings], records: Records, instruments: Instruments) -> Check:
    """By option series: what accounts hold net (expected) is what the clearing house and open settlements show."""
    held, clearer = np.zeros(len(instruments), np.int64), np.zeros(len(instruments), np.int64)
    listed = np.zeros(len(instruments), bool)
    for shard in holdings:
        np.add.at(held, shard.instrument, shard.quantity)
        listed[shard.instrument] = True
    for table in (records.items, records.settlements):
        code, quantity = numbers(table, "instrument", "quantity")
        np.add.at(clearer, code, quantity)
        listed[code] = True
    seen = np.flatnonzero((instruments.kind == Kind.OPTION) & listed)
    return _check("option_clearing", instruments.id[seen], held[seen], clearer[seen], "quantity")


def cash_to_ledger(
    books: Sequence[Book], records: Records, positions: Sequence[pa.Table], ids: Ids, prices: PriceSet
) -> Check:
    """Clients' cash by currency against the ledger's control balance.

    The ledger opens with assets = liabilities + equity, so what it owes clients in cash is what its own lines, the
    money of the stock record and the firm's inventory at the previous close leave over; to that come the day's
    movements, from the events.
    """
    instruments, accounts = books[0].instruments, books[0].accounts
    house = accounts.kind == AccountKind.HOUSE
    expected: dict[str, int] = {}
    line = records.ledger["line"].to_numpy(zero_copy_only=False)
    sign = np.where(line == _NOT_A_BALANCE, 0, np.where(np.isin(line, [str(item) for item in ASSETS]), 1, -1))
    (amount,) = numbers(records.ledger, "amount")
    _add(expected, records.ledger["currency"].to_pylist(), sign * amount)
    code, location, cost = numbers(records.items, "instrument", "location", "cost")
    _add(expected, instruments.currency[code], np.where(np.isin(location, _PAID), cost, -cost))
    for table in positions:
        owner, instrument = codes(table["account"], ids.accounts), codes(table["instrument"], ids.instruments)
        (quantity,) = numbers(table, "open_quantity")
        value = quantity * prices.previous_close[instrument] * instruments.multiplier[instrument]
        value = np.where(prices.previous_close[instrument] == 0, decimal_to_int64(table["open_cost"]), value)
        _add(expected, instruments.currency[instrument], np.where(house[owner], value, 0))
    owner, kind, amount = numbers(records.cash, "account", "kind", "amount")
    moved = np.where(house[owner] | (kind == CASH_KINDS.index("opening")), 0, amount)
    _add(expected, records.cash["currency"].to_pylist(), moved)
    clients: dict[str, int] = {}
    for book in books:
        _add(clients, book.cash.currency, np.where(house[book.cash.account], 0, book.cash.amount))
    return _by_currency("cash_to_ledger", expected, clients)


def trading_cash(positions: Sequence[pa.Table], records: Records) -> Check:
    """The day's cash of trading by currency: from the events (expected), and from the fold of positions."""
    events: dict[str, int] = {}
    folded: dict[str, int] = {}
    kind, amount = numbers(records.cash, "kind", "amount")
    _add(events, records.cash["currency"].to_pylist(), np.where(kind == _TRADING, amount, 0))
    for table in positions:
        _add(folded, table["currency"].to_pylist(), decimal_to_int64(table["flow"]))
    return _by_currency("trading_cash", events, folded)


def margin_lines(margin: Sequence[pa.Table], lines: Sequence[pa.Table]) -> Check:
    """Strategy-based margin by account: what the lines add up to (expected) and what the account shows."""
    names = np.array([name for table in margin for name in table["account"].to_pylist()], object)
    shown = np.concatenate([decimal_to_int64(table["maintenance"]) for table in margin] or [np.empty(0, np.int64)])
    place = {name: row for row, name in enumerate(names.tolist())}
    added = np.zeros(len(names), np.int64)
    for table in lines:
        where = np.array([place[name] for name in table["account"].to_pylist()], np.int64)
        np.add.at(added, where, decimal_to_int64(table["maintenance"]) - decimal_to_int64(table["premium"]))
    return _check("margin_lines_to_account", names, added, shown, "micros USD")


def ledger_signs(records: Records) -> Check:
    """No item is negative in the sense of its line, except equity: expected 0, found the negative amount."""
    line = records.ledger["line"].to_numpy(zero_copy_only=False)
    (amount,) = numbers(records.ledger, "amount")
    found = np.where(line == Line.OWNERSHIP_EQUITY, 0, np.minimum(amount, 0))
    name, currency = records.ledger["reference"].to_pylist(), records.ledger["currency"].to_pylist()
    keys = [" ".join(parts) for parts in zip(line.tolist(), name, currency, strict=True)]
    kinds, parties = numbers(records.ledger, "account_kind", "party")
    keys = [f"{key} {kind}/{party}" for key, kind, party in zip(keys, kinds.tolist(), parties.tolist(), strict=True)]
    return _check("ledger_sign", np.array(keys, object), np.zeros_like(found), found, "micros")


def _cash_by_currency(tables: Sequence[pa.Table]) -> dict[str, int]:
    """Sums over the sealed cash rows of all shards."""
    totals: dict[str, int] = {}
    for table in tables:
        _add(totals, table["currency"].to_pylist(), decimal_to_int64(table["amount"]))
    return totals


def _reported(pnl: Sequence[pa.Table], ids: Ids, instruments: int) -> np.ndarray:
    """By instrument: the sum of the market values that the position rows carry."""
    total = np.zeros(instruments, np.int64)
    for table in pnl:
        np.add.at(total, codes(table["instrument"], ids.instruments), decimal_to_int64(table["market_value"]))
    return total


def _add(totals: dict[str, int], currency: Sequence[str] | np.ndarray, amounts: np.ndarray) -> None:
    """Add amounts to the totals of their currencies."""
    names, where = np.unique(np.asarray(currency, dtype=str), return_inverse=True)
    sums = np.zeros(len(names), np.int64)
    np.add.at(sums, where, amounts)
    for name, amount in zip(names.tolist(), sums.tolist(), strict=True):
        totals[name] = totals.get(name, 0) + amount


def _by_currency(name: str, expected: Mapping[str, int], found: Mapping[str, int]) -> Check:
    keys = sorted({*expected, *found})
    left, right = (np.array([side.get(key, 0) for key in keys], np.int64) for side in (expected, found))
    return _check(name, np.array(keys, object), left, right, "micros")


def _check(name: str, key: np.ndarray, expected: np.ndarray, found: np.ndarray, unit: str) -> Check:
    n = len(key)
    return Check(np.full(n, name, object), key.astype(object), expected, found, np.full(n, unit, object))
