"""From the sealed tables of all shards and the firm's records to what the capital computation takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.engine.canonical import decimal_to_int64
from streaming.risk.capital.inputs import (
    EITHER_SIDE,
    LONG_SIDE,
    BalanceSheet,
    Book,
    Line,
    Location,
    Sessions,
    StockRecord,
)
from streaming.risk.capital.marking import rates
from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.market import PriceSet
from streaming.risk.money import fraction
from streaming.risk.reference import AccountKind, Accounts, Instruments, Kind

_FIRST_SESSION, _LAST_SESSION = "2000-01-03", "2040-12-31"
"""The calendar is the same whenever a day is computed."""


@cache
def calendar() -> tuple[Sessions, np.ndarray]:
    """Sessions of the New York Stock Exchange, and their closes (microseconds UTC)."""
    import exchange_calendars  # takes a second: only where capital is computed

    found = exchange_calendars.get_calendar("XNYS", start=_FIRST_SESSION, end=_LAST_SESSION)
    days = found.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
    opens, closes = (_microseconds(column) for column in (found.opens, found.closes))
    return Sessions(days, opens), closes


def _microseconds(column: Any) -> np.ndarray:
    """Instants in UTC as whole microseconds."""
    return column.dt.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64)


def codes(column: pa.ChunkedArray, ids: pa.ChunkedArray) -> np.ndarray:
    """The code of each id; every id of a sealed table is known."""
    found = pc.index_in(column.combine_chunks(), ids.combine_chunks())
    if found.null_count:
        unknown = column.filter(pc.is_null(found))[0].as_py()
        raise ValueError(f"sealed table: expected ids of the reference data, found {unknown!r}")
    return found.to_numpy(zero_copy_only=False).astype(np.int64)


def book(positions: pa.Table, cash: pa.Table, instruments: Instruments, accounts: Accounts, ids: "Ids") -> Book:
    """A shard's accounts as the risk maths takes them."""
    account, instrument = codes(positions["account"], ids.accounts), codes(positions["instrument"], ids.instruments)
    quantity, cost = positions["quantity"].to_numpy(), decimal_to_int64(positions["cost"])
    rows = np.flatnonzero(quantity)
    rows = rows[np.lexsort((instrument[rows], account[rows]))]
    held = Holdings(account[rows].astype(np.int32), instrument[rows].astype(np.int32), quantity[rows], cost[rows])
    owner, currency = codes(cash["account"], ids.accounts), cash["currency"].to_numpy(zero_copy_only=False)
    order = np.lexsort((currency.astype(str), owner))
    amounts = (decimal_to_int64(cash[name])[order] for name in ("amount", "settled", "short_proceeds"))
    return Book(instruments, accounts, held, CashBalances(owner[order].astype(np.int32), currency[order], *amounts))


@dataclass(frozen=True, slots=True)
class Ids:
    """Texts of the reference data; row number = code."""

    accounts: pa.ChunkedArray
    instruments: pa.ChunkedArray


@dataclass(frozen=True, slots=True)
class Records:
    """The firm's records of all shards, added up: see ``firm_records``."""

    items: pa.Table
    ledger: pa.Table
    cash: pa.Table
    settlements: pa.Table


def summed(tables: Sequence[pa.Table], keys: Sequence[str], measures: Mapping[str, str]) -> pa.Table:
    """The tables of all shards as one, one row per key, sorted; empty without any."""
    if not tables:
        return pa.table({name: pa.array([], pa.int64()) for name in (*keys, *measures)})
    found = pa.concat_tables(tables).group_by(list(keys), use_threads=False).aggregate(list(measures.items()))
    return found.rename_columns([*keys, *measures]).sort_by([(name, "ascending") for name in keys]).combine_chunks()


def numbers(table: pa.Table, *names: str) -> list[np.ndarray]:
    return [table[name].combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64) for name in names]


CLEARING_AGENCY = "clearing agency"


def stock_record(records: Records, instruments: Instruments, prices: PriceSet, as_of: int) -> StockRecord | None:
    """The street side: locations, and at the clearing agency what trades have still to settle; None without any item.

    An item on the wrong side of its location (a depository that is owed), and what is pending, stand in suspense with
    their sign. Options are not part of it: the clearing house holds them, see ``firm_checks.options``.
    """
    items, pending = records.items, records.settlements
    if not items.num_rows:
        return None
    code, location, quantity, cost = numbers(items, "instrument", "location", "quantity", "cost")
    since, kind, sale = numbers(items, "since", "account_kind", "sale")
    due, settle, unsettled = numbers(pending, "instrument", "settle", "quantity")
    long_side, either = (np.isin(location, [int(item) for item in side]) for side in (LONG_SIDE, EITHER_SIDE))
    wrong = ~either & np.where(long_side, quantity > 0, quantity < 0)
    n = len(due)
    rate, _ = rates(instruments.currency[code], prices)
    settling = [f"settling {instruments.id[c]} {day}" for c, day in zip(due.tolist(), settle.tolist(), strict=True)]
    columns = {
        "instrument": np.concatenate([code, due]).astype(np.int32),
        "location": np.concatenate([np.where(wrong, Location.SUSPENSE, location), np.full(n, Location.SUSPENSE)]),
        "quantity": -np.concatenate([quantity, unsettled]),
        "amount": np.concatenate([fraction(np.maximum(cost, 0), rate), np.zeros(n, np.int64)]),
        "since": np.concatenate([np.where(since < 0, as_of, since), np.full(n, as_of)]),
        "account_kind": np.concatenate([kind, np.full(n, AccountKind.CUSTOMER)]).astype(np.int8),
        "sale": np.concatenate([sale, np.zeros(n, np.int64)]).astype(np.int8),
        "counterparty": np.array([*items["counterparty"].to_pylist(), *[CLEARING_AGENCY] * n], object),
        "reference": np.array([*items["reference"].to_pylist(), *settling], object),
    }
    stock = instruments.kind[columns["instrument"]] != Kind.OPTION
    return StockRecord(**{name: column[stock] for name, column in columns.items()})


def balance_sheet(records: Records, result: Mapping[str, int], prices: PriceSet) -> BalanceSheet | None:
    """The ledger in the reporting currency, with the day's result as rows of equity; None without any item.

    An item that is negative in the sense of its line is left out: ``firm_checks.ledger_signs`` names it.
    """
    ledger = records.ledger
    if not ledger.num_rows:
        return None
    line = ledger["line"].to_numpy(zero_copy_only=False)
    amount, secured, since, party, kind = numbers(ledger, "amount", "secured", "since", "party", "account_kind")
    kept = (amount >= 0) | (line == Line.OWNERSHIP_EQUITY)
    rate, _ = rates(ledger["currency"].to_numpy(zero_copy_only=False)[kept], prices)
    supplied = (line == Line.OWNERSHIP_EQUITY).any()  # without equity the day's result says nothing
    rows = dict(result) if supplied else {}
    n = len(rows)
    return BalanceSheet(
        line=np.array([*line[kept], *[str(Line.OWNERSHIP_EQUITY)] * n], object),
        reference=np.array([*ledger["reference"].to_numpy(zero_copy_only=False)[kept], *rows], object),
        amount=np.concatenate([fraction(amount[kept], rate), np.array(list(rows.values()), np.int64)]),
        secured=np.concatenate([fraction(secured[kept], rate), np.zeros(n, np.int64)]),
        since=np.concatenate([since[kept], np.zeros(n, np.int64)]),
        party=np.concatenate([party[kept], np.zeros(n, np.int64)]).astype(np.int8),
        account_kind=np.concatenate([kind[kept], np.full(n, AccountKind.HOUSE)]).astype(np.int8),
    )
