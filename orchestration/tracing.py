"""Lineage: from a reported cell to the events it was made of, and from an event to the cells it touched.

Nothing is remembered along the way: a cell's rows are computed again from a listing of raw events alone, at unchanged
epochs. The listing stands when the rows come out as they were sealed; until then it is widened. What only everything
together makes (the firm's figures) is proved by the cut's certificate, which is that same replay over every event.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.contributing import (
    ACCOUNT_TOPICS,
    MODEL_TOPICS,
    Candidate,
    Listing,
    RawEvents,
    Scope,
    candidates,
    count,
    newest_only,
)
from orchestration.edge import code_version
from orchestration.errors import UserError
from orchestration.pipeline import Home, opening
from orchestration.proof import certificate
from orchestration.rerun import Rerun, Start, all_but, needed, only, rerun
from reports.difference import changed_cells
from reports.provenance import CellError, CellSource, cell_source, cells_touched, load_cells
from reports.rules import Basis, basis, named_parameters
from reports.sources import Tables
from streaming.apps import chain
from streaming.apps.routing import shard_of
from streaming.cuts import SealedCut, open_cut
from streaming.engine.app import Job
from streaming.engine.canonical import sort_by_key
from streaming.engine.epochs import Epoch
from streaming.engine.frames import sealed_topic
from streaming.engine.runner import restore
from streaming.schema.sealed import TABLES

ACCOUNTS_MAX = 8
"""A cell that adds up more accounts than these is proved by the certificate, not by running them again."""
EventId = tuple[str, int, int]
"""Topic, partition, offset."""
Rows = tuple[Mapping[str, object] | None, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a cell comes from."""

    where: str
    source: CellSource
    cut: SealedCut
    rows: tuple[Mapping[str, object], ...]
    """The sealed rows."""
    rules: tuple[str, ...]
    """Paragraphs, as the rows name them, else the paragraph behind the column."""
    parameters: tuple[Mapping[str, object], ...]
    apps: tuple[str, ...]
    start: Start
    events: Listing
    chosen_by: str
    proof: str
    recomputed: bool
    """Whether the rows were computed from these events alone; else the certificate says it of all events."""


class Memo:
    """What was computed for one cell and serves the next: tables by applications, shards and listing."""

    def __init__(self) -> None:
        self.tables: dict[tuple, Mapping[str, pa.Table]] = {}
        self.makers: dict[str, tuple[str, ...]] = {}


def trace(home: Home, workbook: Path, cell: str, memo: Memo | None = None) -> Lineage:
    """The lineage of ``Accounts!G17`` of a workbook; UserError for a cell that shows no sealed value."""
    sheet, mark, place = cell.rpartition("!")
    if not mark:
        raise UserError(f"cell: expected a sheet and a cell such as Accounts!G17, found {cell}")
    try:
        document = load_cells(workbook)
        cut = open_cut(home.settings.store, document["cut"], document["version"])
        source = cell_source(document, sheet.strip("'"), place, cut)
    except CellError as error:
        raise UserError(str(error)) from None
    return lineage(home, cut, source, f"{workbook.name} {cell}", memo or Memo())


def lineage(home: Home, cut: SealedCut, source: CellSource, where: str, memo: Memo) -> Lineage:
    """The lineage of sealed cells."""
    home.index.refresh()
    rows = _rows(cut.table(source.table), source.keys)
    sealed = tuple(row for row in rows if row is not None)
    if source.table not in memo.makers:
        memo.makers[source.table] = makers(home, cut, source.table)
    apps = memo.makers[source.table]
    basis_ = basis(source.table, source.column)
    rules = tuple(dict.fromkeys(str(row["rule"]) for row in sealed if row.get("rule"))) or (basis_.rule,)
    start = opening(home, _day(cut))
    scope = _scope(source.table, sealed)
    found, recomputed, proof = _proved(home, cut, source, rows, scope, apps, start, memo)
    return Lineage(
        where, source, cut, sealed, rules, _parameters(cut, basis_), apps, start, found.events, found.chosen_by, proof,
        recomputed,
    )  # fmt: skip


def makers(home: Home, cut: SealedCut, table: str) -> tuple[str, ...]:
    """The applications that seal a table."""
    epoch, found = home.index[cut.manifest["epoch"]], []
    for job in chain.jobs():
        blobs = {app.name: home.store.state(cut.id, cut.version, app.name, 0) for app in job.apps}
        states = restore(job, blobs).states
        found += [app.name for app in job.apps if table in app.seal(states[app.name], epoch)]
    return tuple(found)


def _rows(table: pa.Table, keys: Sequence[Mapping[str, object]]) -> Rows:
    """The rows with these keys, in their order; None where there is none."""
    if not keys:
        return ()
    names = list(keys[0])
    chosen = table
    for name in names:
        values = pa.array(list(dict.fromkeys(key[name] for key in keys)), table.schema.field(name).type)
        chosen = chosen.filter(pc.is_in(chosen[name], value_set=values))
    by_key = {tuple(row[name] for name in names): row for row in chosen.to_pylist()}
    return tuple(by_key.get(tuple(key[name] for name in names)) for key in keys)


def _scope(table: str, rows: Sequence[Mapping[str, object]]) -> Scope:
    """Whom rows are about, from their columns."""

    def named(*columns: str) -> frozenset[str] | None:
        values = [row[name] for row in rows for name in columns if row.get(name)]
        return frozenset(map(str, values)) if values else None

    if table == "accounts":
        return Scope(named("id"))
    if table == "instruments":
        return Scope(None, named("id", "underlying"))
    if not rows or "account" not in rows[0]:
        return Scope(None, named("instrument"))
    return Scope(named("account"), named("instrument", "underlying"))


def _parameters(cut: SealedCut, basis_: Basis) -> tuple[Mapping[str, object], ...]:
    if "parameters" not in cut.tables:
        return ()
    rows = cut.table("parameters").to_pylist()
    names = set(named_parameters(basis_, [row["id"] for row in rows]))
    return tuple(row for row in rows if row["id"] in names)


def _proved(
    home: Home, cut: SealedCut, source: CellSource, rows: Rows, scope: Scope, apps: Sequence[str],
    start: Start, memo: Memo,
) -> tuple[Candidate, bool, str]:  # fmt: skip
    """The narrowest listing from which the rows come out as sealed, and the proof of it."""
    begin = open_cut(home.settings.store, *start).manifest["offsets"] if start else None
    epoch = home.index[cut.manifest["epoch"]]
    raw, shards = RawEvents(home.log, epoch, begin), home.log.topics()["trades"]
    jobs = needed(apps)
    if _recomputable(source, scope, jobs):
        for candidate in candidates(raw, scope, jobs, cut.table("instruments"), shards, _held(cut, scope)):
            for option in _shorter(raw, candidate, source.table):
                if equal(source, rows, recomputed(home, cut, source, option.events, apps, start, memo)):
                    text = f"computed again from these {count(option.events):,} events alone: equal"
                    return option, True, text
    topics = {name for job in jobs for name in job.raw_inputs}
    spans = {
        (topic, partition): raw.of(topic, partition).every
        for topic in sorted(topics)
        for partition in range(len(epoch.ends[topic]))
    }
    found = certificate(home.settings.store, cut.id, cut.version)
    digests = (found or {}).get("tables", {}).get(source.table, {})
    code = cut.manifest["versions"]["code"]
    if not digests:
        proof = "not certified: the cut was never replayed"
    else:
        verdict = "equal" if digests["equal"] else "UNEQUAL"
        proof = f"certificate: table {source.table} replayed from every event, {verdict} ({digests['live'][:16]})"
    if code != code_version():
        proof += f"; sealed by code {code}, this is {code_version()}"
    return Candidate("every event up to the cut", spans), False, proof


def _held(cut: SealedCut, scope: Scope) -> frozenset[str]:
    """What the accounts of a scope have positions in."""
    if scope.accounts is None:
        return frozenset()
    rows = cut.table("positions")
    mine = pc.is_in(rows["account"], value_set=pa.array(sorted(scope.accounts), pa.string()))
    return frozenset(rows.filter(mine)["instrument"].to_pylist())


def _shorter(raw: RawEvents, candidate: Candidate, table: str) -> Iterator[Candidate]:
    """A listing, shorter ones that may do as well before it."""
    events, told = candidate.events, candidate.chosen_by
    newest = newest_only(raw, events)
    bare = {partition: offsets for partition, offsets in newest.items() if partition[0] not in MODEL_TOPICS}
    if table in _WITHOUT_MODEL and count(bare) < count(newest):
        yield Candidate(f"{told}; newest prices, no history", bare)
    if count(newest) < count(events):
        yield Candidate(f"{told}; newest prices", newest)
    yield candidate


_WITHOUT_MODEL = frozenset({"margin", "margin_lines", "calls", "pnl", "exposure", "prices"})
"""Tables most of whose columns hang on no model: worth a try without what only models read."""


def _recomputable(source: CellSource, scope: Scope, jobs: Sequence[Job]) -> bool:
    if source.table in ("counts", "quarantine") or not source.keys:
        return False  # they number events: only all events have the same numbers
    if not any(job.sharded for job in jobs):
        return True
    return scope.accounts is not None and len(scope.accounts) <= ACCOUNTS_MAX and jobs[-1].sharded


def equal(source: CellSource, sealed: Rows, again: Rows) -> bool:
    """Whether the columns a cell hangs on are the same in every row."""

    def decisive(row: Mapping[str, object] | None) -> object:
        return None if row is None else tuple(row[name] for name in source.decided_by)

    return [decisive(row) for row in sealed] == [decisive(row) for row in again]


def recomputed(
    home: Home, cut: SealedCut, source: CellSource, listing: Listing, apps: Sequence[str], start: Start, memo: Memo
) -> Rows:
    """The rows of a cell from listed events alone."""
    jobs = needed(apps)
    named = tuple(app.name for job in jobs for app in job.apps)
    key = (cut.id, cut.version, named, _shards(home, jobs[-1], source), tuple(listed(listing)))
    if key not in memo.tables:
        with _over(home, cut, listing, start) as again:
            memo.tables[key] = again.tables([(job, _shards(home, job, source)) for job in jobs])
    return _rows(memo.tables[key][source.table], source.keys)


@contextmanager
def _over(home: Home, cut: SealedCut, listing: Listing, start: Start) -> Iterator[Rerun]:
    with rerun(home, home.index[cut.manifest["epoch"]], only(listing), start) as again:
        yield again


def _shards(home: Home, job: Job, source: CellSource) -> tuple[int, ...]:
    """The shards of a job that a cell's accounts lie in."""
    count_ = home.log.topics()["trades"]
    if not job.sharded:
        return (0,)
    rows = [key.get("account") or key.get("id") for key in source.keys]
    return tuple(sorted({shard_of(str(account), count_) for account in rows})) if all(rows) else tuple(range(count_))


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of a cell's rows without one event."""

    event: EventId
    changed: bool
    without: tuple[object, ...]
    """The cell's column, row by row; None where the row is gone."""


def effects(home: Home, found: Lineage, events: Sequence[EventId]) -> Iterator[Effect]:
    """Each event's effect: the rows computed from the listing without it. UserError for a cell that was not recomputed.

    The market that accounts see is computed once for all of their own events.
    """
    if not found.recomputed:
        raise UserError(f"{found.where}: expected a cell that is computed from its own events, found one of everything")
    sealed = _rows(found.cut.table(found.source.table), found.source.keys)

    def effect(event: EventId, rows: Rows) -> Effect:
        values = tuple(None if row is None else row[found.source.column] for row in rows)
        return Effect(event, not equal(found.source, sealed, rows), values)

    own = [event for event in events if event[0] in ACCOUNT_TOPICS]
    if own:
        yield from (effect(event, rows) for event, rows in _without_own(home, found, own))
    for event in events:
        if event[0] not in ACCOUNT_TOPICS:
            rest = less(found.events, event)
            yield effect(event, recomputed(home, found.cut, found.source, rest, found.apps, found.start, Memo()))


def _without_own(home: Home, found: Lineage, events: Sequence[EventId]) -> Iterator[tuple[EventId, Rows]]:
    """The rows without each of some account events, over one market."""
    market, accounts = ([job for job in needed(found.apps) if job.sharded is sharded] for sharded in (False, True))
    with _over(home, found.cut, found.events, found.start) as again:
        again.tables([(job, [0]) for job in market])
        for event in events:
            again.log.choose(only(less(found.events, event)))
            tables = again.tables([(job, _shards(home, job, found.source)) for job in accounts])
            yield event, _rows(tables[found.source.table], found.source.keys)


def less(listing: Listing, event: EventId) -> Listing:
    """A listing without one event."""
    topic, partition, offset = event
    kept = listing[topic, partition]
    return {**listing, (topic, partition): kept[kept != offset]}


def listed(listing: Listing) -> list[EventId]:
    """The events of a listing, one by one."""
    return [
        (topic, partition, offset)
        for (topic, partition), offsets in sorted(listing.items())
        for offset in offsets.tolist()
    ]


def _day(cut: SealedCut) -> date:
    return date.fromisoformat(cut.manifest["business_date"])


@dataclass(frozen=True, slots=True)
class Touched:
    """What one event changed."""

    event: EventId
    content: str
    epoch: int
    rows: Mapping[str, int]
    """Sealed table -> rows that would be otherwise without the event."""
    cells: Mapping[str, Sequence[str]]
    """Workbook -> its cells that would."""


def parse_event(text: str) -> EventId:
    """``trades/3/1842``."""
    parts = text.split("/")
    if len(parts) != 3 or not all(part.isdigit() for part in parts[1:]):
        raise UserError(f"event: expected topic/partition/offset such as trades/3/1842, found {text}")
    return parts[0], int(parts[1]), int(parts[2])


def touched(home: Home, event: EventId, cut: SealedCut, workbooks: Sequence[Path]) -> Touched:
    """Every cell of a cut's workbooks that would be otherwise without an event.

    The event's shard (of a market event: everything) and the firm are run again without it; all else is as it was.
    """
    home.index.refresh()
    epoch = home.index[cut.manifest["epoch"]]
    content, number = _event(home, event, epoch)
    with rerun(home, epoch, all_but(event), opening(home, _day(cut))) as again:
        instead = _without(again, cut, event)
    changes: dict[str, dict[tuple, frozenset[str]]] = {}
    for name, rows in instead.items():
        found = changed_cells(TABLES[name], cut.table(name), rows)
        if found:
            changes[name] = found
    tables, without = Tables(cut), Tables(cut, instead)
    cells = {book.name: cells_touched(load_cells(book), tables, without, changes) for book in workbooks}
    return Touched(event, content, number, {name: len(found) for name, found in sorted(changes.items())}, cells)


def _event(home: Home, event: EventId, last: Epoch) -> tuple[str, int]:
    """The event's text and epoch; UserError when the cut does not hold it."""
    topic, partition, offset = event
    if topic not in last.ends or partition >= len(last.ends[topic]):
        known = ", ".join(f"{name}/0..{len(ends) - 1}" for name, ends in sorted(last.ends.items()))
        raise UserError(f"event: expected one of {known}, found {topic}/{partition}")
    first, stop = home.log.first(topic, partition), last.ends[topic][partition]
    if not first <= offset < stop:
        raise UserError(f"event: expected an offset of {topic}/{partition} from {first} below {stop}, found {offset}")
    payload = home.log.read(topic, partition, offset, offset + 1).payloads[0].decode(errors="replace")
    low, high = 0, last.number
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if home.index[middle].ends[topic][partition] > offset else (middle + 1, high)
    return payload, low


def _without(again: Rerun, cut: SealedCut, event: EventId) -> dict[str, pa.Table]:
    """The tables of a cut without an event: of its own shard and the firm made again, of other shards as sealed."""
    topic, shard, _ = event
    shards = again.log.topics()["trades"]
    if topic not in ACCOUNT_TOPICS:
        return again.tables([(job, range(shards) if job.sharded else [0]) for job in chain.jobs()])
    mine = again.tables([(job, [shard]) for job in chain.jobs() if job.sharded])
    firm = again.tables([(job, [0]) for job in chain.jobs() if not job.sharded and SEALED & set(job.inputs)])
    found = {}
    for name in {**mine, **firm}:
        parts = [tables[name] for tables in (mine, firm) if name in tables]
        if name in mine:
            sealed = cut.table(name)
            parts.append(sealed.filter(pa.array(_elsewhere(sealed, shard, shards), pa.bool_())))
        found[name] = sort_by_key(TABLES[name], pa.concat_tables(parts))
    return found


SEALED = frozenset(sealed_topic(app.name) for app in chain.apps())


def _elsewhere(rows: pa.Table, shard: int, shards: int) -> list[bool]:
    """Which rows of a table that the account applications seal are of other shards, or of the market."""
    if "account" in rows.column_names:
        return [shard_of(account, shards) != shard for account in rows["account"].to_pylist()]
    if "level" in rows.column_names:
        levels = zip(rows["level"].to_pylist(), rows["name"].to_pylist(), strict=True)
        return [level == "account" and shard_of(name, shards) != shard for level, name in levels]
    places = zip(rows["topic"].to_pylist(), rows["partition"].to_pylist(), strict=True)
    return [topic not in ACCOUNT_TOPICS or partition != shard for topic, partition in places]
