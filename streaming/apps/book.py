"""The book: account events checked, deduplicated, put in order and normalised.

Bad events go to the quarantine and the stream goes on. A correct or cancel that comes before its predecessor is parked
until that arrives. An event of an unknown account or instrument is parked until the next price set, then quarantined.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.events import Parsed
from streaming.apps.intake import Check, Counts, Quarantine, first_failures, required, sealed_quarantine
from streaming.apps.routing import shard_of
from streaming.apps.sequence import (
    ACCEPT,
    ACTIONS,
    CANCELLED,
    CONFLICT,
    DAYS_KEPT,
    DUPLICATE,
    PARKED,
    WAITS,
    Seen,
    content_hash,
    in_sequence,
    keys,
    to_park,
    version_checks,
    with_parked,
)
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import RawBatch, Stretch
from streaming.risk.capital.inputs import Line, Party, Sale
from streaming.risk.reference import NO_DATE, AccountKind, Kind
from streaming.schema import raw, results
from streaming.schema.model import Topic

TRADE_KINDS = ("trade", "exercise", "assignment")
TRADE, EXERCISE, ASSIGNMENT = range(3)
CASH_KINDS = ("opening", "deposit", "withdrawal", "interest", "fee", "transfer")
CUSTODY_KINDS = ("opening", "location")
OPENING, LOCATION = range(2)
ACCOUNT_KINDS = tuple(kind.name.lower() for kind in AccountKind)
SALES = tuple(sale.name.lower() for sale in Sale)
PARTIES = tuple(party.name.lower() for party in Party)
LINES = tuple(str(line) for line in Line)
LOCATIONS = (
    "box",
    "depository",
    "segregated",
    "loaned",
    "borrowed",
    "pledged",
    "fail_to_deliver",
    "fail_to_receive",
    "transfer",
    "difference",
    "dividend_receivable",
    "suspense",
)
"""In the order of capital/inputs.py Location."""

QUANTITY_MAX = 100_000_000
PRICE_MAX = 1_000_000 * 1_000_000
AMOUNT_MAX = 1_000_000_000_000 * 1_000_000
"""Bounds of one event, so that no row can overflow: 1e8 units, a price of 1e6, an amount of 1e12 (in micros)."""


@dataclass(slots=True)
class BookState:
    """One shard's book."""

    shard: int
    shards: int
    day: int = NO_DATE
    days: tuple = ()
    """The business days for which ids are kept, oldest first."""
    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    seen: Seen = field(default_factory=Seen)
    parked: pa.Table = field(default_factory=PARKED.empty_table)
    """Events that wait, in the order they came."""
    parked_offsets: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64), metadata={"locator": True})
    counts: Counts = field(default_factory=Counts)
    quarantine: pa.Table = field(default_factory=results.QUARANTINE.empty_table, metadata={"locator": True})
    """Of the business day; its business content is digested as a sealed table."""


@dataclass(frozen=True, slots=True)
class _Feed:
    """How one topic is normalised."""

    topic: Topic
    schema: pa.Schema
    table: str


_FEEDS = (
    _Feed(raw.CASH, results.CASH, "cash"),
    _Feed(raw.CUSTODY, results.CUSTODY, "custody"),
    _Feed(raw.FIRM, results.FIRM, "firm"),
    _Feed(raw.TRADES, results.TRADES, "trades"),
)


class BookApp:
    """Account events, checked and in order."""

    name = "book"
    inputs = ("reference", *(feed.topic.name for feed in _FEEDS))
    sharded = True
    state = BookState

    def empty(self, shard: int, shards: int) -> BookState:
        return BookState(shard, shards)

    def apply(self, state: BookState, stretch: Stretch) -> tuple[BookState, Mapping[str, pa.Table]]:
        for table in stretch.tables("reference", "instruments"):
            state.instruments = table
        for table in stretch.tables("reference", "accounts"):
            state.accounts = table
        quarantine = Quarantine()
        rows: dict[str, pa.Table] = {}
        waiting: list[tuple[pa.Table, np.ndarray]] = []
        day = (stretch.last.day - _EPOCH_DAY).days
        if day != state.day:
            _begin_day(state, day)
        parked = set(state.parked["topic"].to_pylist()) if state.parked.num_rows else set()
        for feed in _FEEDS:
            name = feed.topic.name
            if not len(stretch.raw[name][0]) and name not in parked:
                state.counts.add(name, stretch.raw[name][0].partition)
                continue
            (batch,) = stretch.raw[name]
            batch, parsed, ordinals = with_parked(feed.topic, state.parked, state.parked_offsets, state.counts, batch)
            if len(batch):
                intake = _Intake(feed, state, stretch, batch, ordinals, quarantine, waiting)
                rows[feed.table] = intake.run(parsed)
        state.parked = pa.concat_tables([table for table, _ in waiting] or [PARKED.empty_table()]).combine_chunks()
        state.parked_offsets = np.concatenate([offsets for _, offsets in waiting] or [np.empty(0, np.int64)])
        refused = quarantine.table()
        if refused.num_rows:
            state.quarantine = pa.concat_tables([state.quarantine, refused]).combine_chunks()
            rows["quarantine"] = refused
        return state, {name: table for name, table in rows.items() if table.num_rows}

    def seal(self, state: BookState, epoch: Epoch) -> Mapping[str, pa.Table]:
        return {"counts": state.counts.sealed(self.name), "quarantine": sealed_quarantine(state.quarantine)}


_EPOCH_DAY = date(1970, 1, 1)


def _begin_day(state: BookState, day: int) -> None:
    state.day = day
    state.days = (*state.days, day)[-DAYS_KEPT:]
    state.seen.forget_before(state.days[0])
    state.quarantine = results.QUARANTINE.empty_table()


class _Intake:
    """One feed of one stretch on its way into the book."""

    def __init__(self, feed, state, stretch, batch, ordinals, quarantine, waiting):
        self.feed: _Feed = feed
        self.state: BookState = state
        self.stretch: Stretch = stretch
        self.batch: RawBatch = batch
        self.ordinals: np.ndarray = ordinals
        self.quarantine: Quarantine = quarantine
        self.waiting: list[tuple[pa.Table, np.ndarray]] = waiting
        self.outcomes = dict.fromkeys(("applied", "duplicate", "quarantined", "parked"), 0)

    def run(self, parsed: Parsed) -> pa.Table:
        """The accepted rows; everything else has been quarantined, parked or counted as duplicate."""
        for bad in parsed.malformed:
            self._refuse(bad.row, bad.reason, bad.detail)
        account = self._codes(parsed, "account", self.state.accounts)
        instrument = self._codes(parsed, "instrument", self.state.instruments)
        columns = _normalise(self.feed, parsed, account, instrument)
        failed = first_failures(self._checks(parsed, columns), len(parsed.rows))
        known_from = self._known_from(columns)
        for row, check in failed.items():
            self._refuse(int(parsed.rows[row]), check.reason, check.detail, int(known_from[row]))
        good = np.ones(len(parsed.rows), bool)
        good[np.fromiter(failed, np.int64, len(failed))] = False
        good &= ~self._unknown(parsed, good, account, instrument)
        accepted = self._in_order(parsed, columns, np.flatnonzero(good), known_from)
        self.state.counts.add(self.feed.topic.name, self.batch.partition, **self.outcomes)
        return accepted

    def _codes(self, parsed: Parsed, name: str, table: pa.Table) -> np.ndarray:
        """Code of each row's account or instrument: -1 unknown, -2 none given."""
        if name not in parsed.table.column_names:
            return np.full(len(parsed.rows), -2, np.int64)
        found = pc.index_in(parsed.table.column(name).combine_chunks(), table.column("id").combine_chunks())
        codes = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(parsed.absent(name), -2, codes)

    def _checks(self, parsed: Parsed, columns: Mapping[str, np.ndarray]) -> list[Check]:
        shard = np.array([shard_of(text, self.state.shards) for text in parsed.text("account").to_pylist()], np.int64)
        checks = [
            *required(self.feed.topic, parsed),
            *version_checks(parsed, columns["action"], columns["version"]),
            Check(shard != self.state.shard, "wrong partition", f"account: expected one of shard {self.state.shard}"),
        ]
        return checks + _CHECKS[self.feed.table](parsed, columns, self.state.instruments)

    def _unknown(self, parsed: Parsed, good: np.ndarray, account: np.ndarray, instrument: np.ndarray) -> np.ndarray:
        """Rows whose account or instrument is not known: parked, or refused when the price set is taken."""
        unknown = (account == -1) | (instrument == -1)
        rows = np.flatnonzero(good & unknown)
        if self.stretch.last.price_set:
            for row in rows.tolist():
                name = "account" if account[row] == -1 else "instrument"
                found = parsed.table.column(name)[row].as_py()
                detail = f"{name}: expected a known one by the next price set, found {found!r}"
                self._refuse(int(parsed.rows[row]), f"unknown {name}", detail, self.stretch.last.number)
        else:
            self._park(parsed.rows[rows])
        return unknown

    def _in_order(self, parsed: Parsed, columns: dict, rows: np.ndarray, known_from: np.ndarray) -> pa.Table:
        """Deduplicate and sequence the good rows."""
        if not len(rows):
            return self.feed.schema.empty_table()
        messages = parsed.rows[rows]
        epoch = np.maximum(self.batch.epochs[messages], known_from[rows])
        order = np.lexsort((self.ordinals[messages], epoch))
        rows, messages, epoch = rows[order], messages[order], epoch[order]
        ids, versions = parsed.text("id").take(pa.array(rows)).to_pylist(), columns["version"][rows]
        high, low = keys(self.feed.topic.name, ids, versions)
        content = content_hash(columns, rows)
        action = columns["action"][rows]
        verdict, sequence = in_sequence(
            self.state.seen, self.feed.topic.name, ids, versions, high, low, content, action
        )
        epoch = epoch[sequence]  # a row that had to wait for its predecessor takes effect with it
        for i in np.flatnonzero(verdict == CONFLICT).tolist():
            detail = f"id, version: {ids[i]!r}, {versions[i]} came before with other content"
            self._refuse(int(messages[i]), "conflict", detail, int(epoch[i]))
        for i in np.flatnonzero(verdict == CANCELLED).tolist():
            detail = f"id: {ids[i]!r} was cancelled by an earlier version"
            self._refuse(int(messages[i]), "cancelled before", detail, int(epoch[i]))
        self._park(np.sort(messages[verdict == WAITS]))
        self.outcomes["duplicate"] += int((verdict == DUPLICATE).sum())
        kept = np.flatnonzero(verdict == ACCEPT)
        self.outcomes["applied"] += len(kept)
        self.state.seen.add(high[kept], low[kept], content[kept], action[kept], self.state.day)
        kept = kept[np.lexsort((versions[kept], sequence[kept], epoch[kept]))]
        own_high, own_low = keys(self.feed.topic.name, [ids[i] for i in kept.tolist()], np.zeros(len(kept), np.int64))
        frame = {name: column[rows[kept]] for name, column in columns.items()}
        frame |= {
            "epoch": epoch[kept],
            "ordinal": self.ordinals[messages[kept]],
            "partition": np.full(len(kept), self.batch.partition),
            "offset": self.batch.offsets[messages[kept]],
            "key_high": own_high,
            "key_low": own_low,
        }
        arrays = []
        for item in self.feed.schema:
            if item.name in frame:
                arrays.append(pa.array(frame[item.name]).cast(item.type))
            else:
                arrays.append(parsed.text(item.name).take(pa.array(rows[kept])))
        return pa.Table.from_arrays(arrays, schema=self.feed.schema)

    def _known_from(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The epoch from which both the account and the instrument of each row are known; 0 where one is not."""
        since = np.zeros(len(columns["account"]), np.int64)
        for name, table in (("account", self.state.accounts), ("instrument", self.state.instruments)):
            if name in columns and table.num_rows:
                known = table.column("known_from").to_numpy()
                since = np.maximum(since, np.where(columns[name] >= 0, known[np.maximum(columns[name], 0)], 0))
        return since

    def _refuse(self, message: int, reason: str, detail: str, not_before: int = 0) -> None:
        epoch = max(int(self.batch.epochs[message]), not_before)
        self.quarantine.add(self.batch, message, int(self.ordinals[message]), epoch, reason, detail)
        self.outcomes["quarantined"] += 1

    def _park(self, messages: np.ndarray) -> None:
        if not len(messages):
            return
        self.waiting.append(to_park(self.batch, self.ordinals, messages))
        self.outcomes["parked"] += len(messages)


def _normalise(feed: _Feed, parsed: Parsed, account: np.ndarray, instrument: np.ndarray) -> dict[str, np.ndarray]:
    """The feed's columns as arrays; texts as object arrays."""
    columns: dict[str, np.ndarray] = {
        "version": parsed.whole("version"),
        "action": parsed.among("action", ACTIONS),
        "account": account,
    }
    if "instrument" in feed.schema.names:
        columns["instrument"] = instrument
    kinds = {"trades": TRADE_KINDS, "cash": CASH_KINDS, "custody": CUSTODY_KINDS}.get(feed.table)
    if kinds:
        columns["kind"] = parsed.among("kind", kinds)
    for name, values, absent in _CODED.get(feed.table, ()):
        columns[name] = parsed.among(name, values, absent)
    for item in feed.schema:
        if item.name in columns or item.name not in (*parsed.table.column_names, "day"):
            continue
        if item.type == pa.string():
            if item.name != "id":
                columns[item.name] = parsed.text(item.name).to_numpy(zero_copy_only=False)
        else:
            source = "business_date" if item.name == "day" else item.name
            dated = item.type == pa.int32()
            columns[item.name] = parsed.whole(source, absent=NO_DATE if dated else 0)
    if feed.table == "trades":
        side = parsed.among("side", ("sell", "buy"))
        columns["quantity"] = columns["quantity"] * np.where(side == 1, 1, -1)
        columns["side"] = side
    return columns


_CODED: Mapping[str, tuple[tuple[str, tuple[str, ...], int], ...]] = {
    "custody": (("account_kind", ACCOUNT_KINDS, int(AccountKind.CUSTOMER)), ("sale", SALES, int(Sale.NONE))),
    "firm": (("account_kind", ACCOUNT_KINDS, int(AccountKind.HOUSE)), ("party", PARTIES, int(Party.OTHER))),
}
"""By table: text columns that become codes, their values, and the code where absent."""


def _trade_checks(parsed: Parsed, columns: Mapping[str, np.ndarray], instruments: pa.Table) -> list[Check]:
    quantity, price = parsed.whole("quantity"), columns["price"]
    code = np.maximum(columns["instrument"], 0)
    known = columns["instrument"] >= 0
    kinds, multipliers = _lookup(instruments, "kind", code), _lookup(instruments, "multiplier", code)
    notional = np.abs(quantity.astype(np.float64)) * price * np.maximum(multipliers, 1)
    return [
        Check(columns["kind"] < 0, "unknown kind", f"kind: expected one of {', '.join(TRADE_KINDS)}"),
        Check(columns["side"] < 0, "unknown side", "side: expected buy or sell"),
        Check((quantity < 1) | (quantity > QUANTITY_MAX), "absurd size", f"quantity: expected 1 to {QUANTITY_MAX:,}"),
        Check((price < 0) | (price > PRICE_MAX), "absurd price", "price: expected 0 to 1,000,000"),
        Check(np.abs(columns["fee"]) > AMOUNT_MAX // 1000, "absurd fee", "fee: expected at most 1e9"),
        Check(notional > AMOUNT_MAX, "absurd size", "quantity x price x multiplier: expected at most 1e12"),
        Check(known & (kinds == Kind.INDEX), "not tradable", "instrument: expected one that can be held"),
        Check(
            known & (columns["kind"] != TRADE) & (kinds != Kind.OPTION),
            "not an option",
            "instrument: expected an option for an exercise or assignment",
        ),
        Check(
            known & _wrong_currency(parsed, instruments, code), "wrong currency", "currency: expected the instrument's"
        ),
    ]


def _cash_checks(parsed: Parsed, columns: Mapping[str, np.ndarray], instruments: pa.Table) -> list[Check]:
    return [
        Check(columns["kind"] < 0, "unknown kind", f"kind: expected one of {', '.join(CASH_KINDS)}"),
        Check(np.abs(columns["amount"]) > AMOUNT_MAX, "absurd size", "amount: expected at most 1e12"),
        Check(columns["short_proceeds"] < 0, "bad amount", "short_proceeds: expected 0 or above"),
        Check(_not_a_currency(parsed), "bad currency", "currency: expected three capital letters"),
    ]


def _custody_checks(parsed: Parsed, columns: Mapping[str, np.ndarray], instruments: pa.Table) -> list[Check]:
    place = columns["kind"] == LOCATION
    return [
        Check(columns["kind"] < 0, "unknown kind", f"kind: expected one of {', '.join(CUSTODY_KINDS)}"),
        Check(np.abs(columns["quantity"]) > QUANTITY_MAX * 10, "absurd size", "quantity: expected at most 1e9"),
        Check(np.abs(columns["cost"]) > AMOUNT_MAX, "absurd size", "cost: expected at most 1e12"),
        Check(
            place & (parsed.among("location", LOCATIONS) < 0),
            "unknown location",
            f"location: expected one of {', '.join(LOCATIONS)}",
        ),
        Check(~place & parsed.absent("cost"), "missing field", "cost: expected a value for an opening position"),
        *_coded_checks("custody", columns),
    ]


def _firm_checks(parsed: Parsed, columns: Mapping[str, np.ndarray], instruments: pa.Table) -> list[Check]:
    return [
        Check(parsed.among("line", LINES) < 0, "unknown line", f"line: expected one of {', '.join(LINES)}"),
        Check(np.abs(columns["amount"]) > AMOUNT_MAX, "absurd size", "amount: expected at most 1e12"),
        Check(np.abs(columns["secured"]) > AMOUNT_MAX, "absurd size", "secured: expected at most 1e12"),
        Check(columns["secured"] < 0, "bad amount", "secured: expected 0 or above"),
        Check(_not_a_currency(parsed), "bad currency", "currency: expected three capital letters"),
        *_coded_checks("firm", columns),
    ]


def _coded_checks(table: str, columns: Mapping[str, np.ndarray]) -> list[Check]:
    return [
        Check(columns[name] < 0, f"unknown {name.replace('_', ' ')}", f"{name}: expected one of {', '.join(values)}")
        for name, values, _ in _CODED[table]
    ]


_CHECKS = {"trades": _trade_checks, "cash": _cash_checks, "custody": _custody_checks, "firm": _firm_checks}


def _lookup(instruments: pa.Table, name: str, codes: np.ndarray) -> np.ndarray:
    values = instruments.column(name).to_numpy()
    return values[codes] if len(values) else np.zeros(len(codes), np.int64)


def _wrong_currency(parsed: Parsed, instruments: pa.Table, codes: np.ndarray) -> np.ndarray:
    if not instruments.num_rows:
        return np.zeros(len(codes), bool)
    expected = instruments.column("currency").take(pa.array(codes))
    return pc.fill_null(pc.not_equal(parsed.table.column("currency"), expected), False).to_numpy()


def _not_a_currency(parsed: Parsed) -> np.ndarray:
    return ~pc.match_substring_regex(parsed.text("currency"), r"^[A-Z]{3}$").to_numpy(zero_copy_only=False)
