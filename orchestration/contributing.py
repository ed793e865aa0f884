"""Which raw events can have made a sealed row: by its account, its instruments, and what these hang on.

The first listing is the narrowest; whether it suffices is not believed but found out, by computing the row from it
alone (``tracing``). A wider listing follows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.events import parse
from streaming.apps.routing import shard_of
from streaming.engine.app import Job
from streaming.engine.epochs import Epoch
from streaming.log import Log
from streaming.schema.raw import ACCOUNT_FEEDS, FEEDS

Partition = tuple[str, int]
Listing = Mapping[Partition, np.ndarray]
"""Partition -> offsets, ascending."""
_TOPICS = {topic.name: topic for topic in FEEDS}
ACCOUNT_TOPICS = frozenset(topic.name for topic in ACCOUNT_FEEDS)
_NAMES = {"instruments": "id", "accounts": "id", "prices": "instrument", "actions": "instrument"}
"""Topic without account -> the field that says whom it concerns; the others concern everybody."""
MODEL_TOPICS = frozenset({"rates", "closes"})
"""What only models read."""
_READ = 50_000


@dataclass(frozen=True, slots=True)
class Events:
    """The readable events of one partition."""

    offsets: np.ndarray
    every: np.ndarray
    """Offsets of all events, also of those that cannot be read."""
    account: pa.Array | None
    name: pa.Array | None
    """The instrument, or of reference data its id."""
    rows: pa.Table = field(repr=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a row is about; None = everybody, everything."""

    accounts: frozenset[str] | None = None
    instruments: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listing and how it was chosen."""

    chosen_by: str
    events: Listing


def count(listing: Listing) -> int:
    return sum(len(offsets) for offsets in listing.values())


class RawEvents:
    """The raw events of a log behind ``begin`` and up to an epoch, read once per partition."""

    def __init__(self, log: Log, epoch: Epoch, begin: Mapping[str, Sequence[int]] | None = None):
        self._log, self._epoch, self._begin = log, epoch, begin or {}
        self._read: dict[Partition, Events] = {}

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset and end of what counts."""
        begin = self._begin.get(topic)
        first = self._log.first(topic, partition) if begin is None else int(begin[partition])
        return first, int(self._epoch.ends[topic][partition])

    def of(self, topic: str, partition: int) -> Events:
        if (topic, partition) not in self._read:
            self._read[topic, partition] = self._parse(topic, partition)
        return self._read[topic, partition]

    def _parse(self, topic: str, partition: int) -> Events:
        first, stop = self.span(topic, partition)
        nothing = np.empty(0, np.int64)
        offsets, every, tables = [nothing], [nothing], []
        for start in range(first, stop, _READ):
            span = self._log.read(topic, partition, start, min(start + _READ, stop))
            parsed = parse(_TOPICS[topic], span.payloads)
            every.append(span.offsets)
            offsets.append(span.offsets[parsed.rows])
            tables.append(parsed.table)
        rows = pa.concat_tables(tables) if tables else parse(_TOPICS[topic], []).table
        own = "instrument" if topic in ACCOUNT_TOPICS else _NAMES.get(topic, "")
        return Events(
            np.concatenate(offsets),
            np.concatenate(every),
            _texts(rows, "account") if topic in ACCOUNT_TOPICS else None,
            _texts(rows, own) if own in rows.column_names else None,
            rows,
        )

    def everything(self, topics: Iterable[str], partitions: Mapping[str, Sequence[int]]) -> Listing:
        """Every readable event of some topics."""
        return {(topic, p): self.of(topic, p).offsets for topic in topics for p in partitions[topic]}


def _texts(rows: pa.Table, name: str) -> pa.Array:
    return pc.fill_null(rows[name].combine_chunks(), "")


def _isin(values: pa.Array | None, wanted: frozenset[str] | None, n: int) -> np.ndarray:
    if values is None or wanted is None:
        return np.ones(n, bool)
    return pc.is_in(values, value_set=pa.array(sorted(wanted), pa.string())).to_numpy(zero_copy_only=False)


def candidates(
    raw: RawEvents, scope: Scope, jobs: Sequence[Job], instruments: pa.Table, shards: int, held: frozenset[str]
) -> Iterator[Candidate]:
    """Listings for the jobs that make a row, narrowest first; each holds the one before.

    ``instruments``: the sealed table, which says what hangs on what; ``held``: what the accounts have positions in,
    also from days before.
    """
    apps = {app.name for job in jobs for app in job.apps}
    topics = [name for job in jobs for name in job.raw_inputs if name not in MODEL_TOPICS or "valuation" in apps]
    sharded = [topic for topic in topics if topic in ACCOUNT_TOPICS]
    market = [topic for topic in topics if topic not in ACCOUNT_TOPICS]
    where = {topic: _partitions(topic, scope, shards) for topic in topics}
    whole = _chosen(raw, sharded, where, Scope(scope.accounts))
    if scope.instruments is not None:
        near = scope.instruments | _related(instruments, scope.instruments, series=True)
        if sharded:
            own = _chosen(raw, sharded, where, Scope(scope.accounts, near))
            yield Candidate("the row's own account and instrument", {**own, **_market(raw, market, where, near, scope)})
        else:
            for names, text in ((scope.instruments, "the row's own instrument"), (near, "its option family")):
                linked = names | _related(instruments, names, series=False)
                yield Candidate(text, _market(raw, market, where, linked, scope))
    if sharded and scope.accounts is not None:
        traded = _names(raw, whole) | held
        near = traded | _related(instruments, traded, series=False)
        yield Candidate("the account and its instruments", {**whole, **_market(raw, market, where, near, scope)})
        family = near | _related(instruments, near, series=True)
        yield Candidate("the account and its option families", {**whole, **_market(raw, market, where, family, scope)})
        yield Candidate("the account and the whole market", {**whole, **raw.everything(market, where)})
    elif not sharded:
        if scope.accounts is not None:
            yield Candidate("the account's own reference data", _market(raw, market, where, frozenset(), scope))
        yield Candidate("the whole market", raw.everything(market, where))


def newest_only(raw: RawEvents, listing: Listing) -> Listing:
    """The listing without prices that a later one of the same instrument and kind has replaced.

    Whether that loses anything depends on the cell (the day's path does hang on them): to be found out like the rest.
    """
    found = dict(listing)
    for partition, offsets in listing.items():
        if partition[0] != "prices":
            continue
        events = raw.of(*partition)
        mine = np.isin(events.offsets, offsets)
        rows = events.rows.select(["instrument", "kind", "event_time", "sequence"]).filter(pa.array(mine))
        rows = rows.append_column("offset", pa.array(events.offsets[mine]))
        order = [("instrument", "ascending"), ("kind", "ascending"), ("event_time", "descending")]
        rows = rows.sort_by([*order, ("sequence", "descending"), ("offset", "ascending")])
        last = rows.group_by(["instrument", "kind"], use_threads=False).aggregate([("offset", "first")])
        found[partition] = np.sort(last["offset_first"].to_numpy())
    return found


def _partitions(topic: str, scope: Scope, shards: int) -> list[int]:
    if topic not in ACCOUNT_TOPICS:
        return [0]
    if scope.accounts is None:
        return list(range(shards))
    return sorted({shard_of(account, shards) for account in scope.accounts})


def _chosen(raw: RawEvents, topics: Sequence[str], where: Mapping[str, Sequence[int]], scope: Scope) -> Listing:
    """The events of the scope's accounts; with instruments only those that name one of them."""
    found = {}
    for topic in topics:
        for partition in where[topic]:
            events = raw.of(topic, partition)
            n = len(events.offsets)
            kept = _isin(events.account, scope.accounts, n)
            if scope.instruments is not None:
                kept &= _isin(events.name, scope.instruments, n) if events.name is not None else False
            found[topic, partition] = events.offsets[kept]
    return found


def _market(
    raw: RawEvents, topics: Sequence[str], where: Mapping[str, Sequence[int]], names: frozenset[str], scope: Scope
) -> Listing:
    """Reference and prices of some instruments and of the scope's accounts; what concerns everybody as a whole."""
    found = {}
    for topic in topics:
        for partition in where[topic]:
            events = raw.of(topic, partition)
            wanted = scope.accounts if topic == "accounts" else names
            found[topic, partition] = events.offsets[_isin(events.name, wanted, len(events.offsets))]
    return found


def _names(raw: RawEvents, listing: Listing) -> frozenset[str]:
    """The instruments that listed events name."""
    found: set[str] = set()
    for partition, offsets in listing.items():
        events = raw.of(*partition)
        if events.name is not None and len(offsets):
            found |= set(events.name.filter(pa.array(np.isin(events.offsets, offsets))).to_pylist())
    return frozenset(found - {""})


def _related(instruments: pa.Table, names: frozenset[str], series: bool) -> frozenset[str]:
    """The underlyings of some instruments, and the indices the market is measured by; with ``series`` all options on
    them."""
    ids, under = instruments["id"].to_pylist(), instruments["underlying"].to_pylist()
    roots = {root for id_, root in zip(ids, under, strict=True) if id_ in names and root} | names
    indices = {id_ for id_, kind in zip(ids, instruments["kind"].to_pylist(), strict=True) if kind == "index"}
    options = {id_ for id_, root in zip(ids, under, strict=True) if root in roots} if series else set()
    return frozenset(roots | indices | options)
