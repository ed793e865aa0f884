"""Replay: recompute cuts from raw topics and epochs alone, and certify that they equal what was sealed live.

Raw topics are read from the log; everything the applications write goes to a scratch log of its own, so a replay can
neither read nor touch live output.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from streaming.engine.app import RAW_TOPICS, Job
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.frames import Frame, encode_frame, sealed_topic
from streaming.engine.runner import ShardHost, ShardState, restore, run_bounded
from streaming.engine.sealing import Cut, CutStore, gather
from streaming.engine.stretch import Position
from streaming.log import Log, LogError, Record
from streaming.log.files import FilesLog
from streaming.log.overlaid import OverlaidLog
from streaming.schema.sealed import TABLES

RAW_AND_EPOCHS = RAW_TOPICS | {EPOCHS}


class ReplayLog(OverlaidLog):
    """A log whose raw topics are another log's, read only; all others are its own, in a scratch folder."""

    def __init__(self, raw: Log, scratch: Path):
        super().__init__(raw, FilesLog(scratch), RAW_AND_EPOCHS)


@dataclass(frozen=True)
class Difference:
    """One value that differs between two versions of a table."""

    table: str
    key: Mapping[str, object]
    column: str
    """Empty when the whole row is on one side only."""
    live: object
    replayed: object


@dataclass(frozen=True)
class Certificate:
    """What was compared, and whether everything was equal."""

    cut: str
    version: int
    start: str
    """The cut whose sealed state the replay started from; empty = from the beginning."""
    tables: Mapping[str, tuple[str, str]]
    """Table -> (live digest, replayed digest)."""
    states: Mapping[str, tuple[str, str]]
    differences: Sequence[Difference] = field(default_factory=tuple)

    @property
    def equal(self) -> bool:
        both = [*self.tables.values(), *self.states.values()]
        return bool(both) and all(live == replayed for live, replayed in both)

    def document(self) -> dict[str, object]:
        """As JSON: digests of both sides, and the first differences."""
        return {
            "cut": self.cut,
            "version": self.version,
            "equal": self.equal,
            "replayed_from": self.start or "the beginning of the log",
            "tables": {name: {"live": a, "replayed": b, "equal": a == b} for name, (a, b) in self.tables.items()},
            "states": {name: {"live": a, "replayed": b, "equal": a == b} for name, (a, b) in self.states.items()},
            "differences": [
                {
                    "table": item.table,
                    "key": {name: str(value) for name, value in item.key.items()},
                    "column": item.column,
                    "live": str(item.live),
                    "replayed": str(item.replayed),
                }
                for item in self.differences
            ],
        }


def replay(
    log: Log,
    jobs: Sequence[Job],
    cuts: Sequence[Epoch],
    scratch: Path,
    start: tuple[CutStore, str, int] | None = None,
    epochs_max: int = 3_000,
    events_max: int = 20_000,
) -> Iterator[Cut]:
    """Recompute the cuts at marked epochs (ascending) from a sealed cut's state, or from the beginning of the log.

    ``start``: store, id and version of that cut. One cut at a time: a day's cuts together would fill the memory.
    """
    mine, index = replay_log(log, jobs, scratch), EpochIndex(log)
    shards = log.topics()["trades"]
    index.refresh()
    hosts = [[replay_host(mine, index, job, shard, start) for shard in job.shards(shards)] for job in jobs]
    for epoch in cuts:
        for of_job in hosts:
            run_bounded(of_job, epoch.number, epochs_max, events_max)
        yield gather(mine, index, jobs, epoch)


def replay_log(log: Log, jobs: Sequence[Job], scratch: Path) -> ReplayLog:
    """The log that a replay of these jobs runs on, with all topics."""
    mine = ReplayLog(log, scratch)
    for job in jobs:
        mine.create(job.topics(log.topics()["trades"]))
    return mine


def replay_host(
    mine: ReplayLog, index: EpochIndex, job: Job, shard: int, start: tuple[CutStore, str, int] | None
) -> ShardHost:
    """A shard of a job on the log of a replay, behind the cut that it starts from."""
    state = sealed_state(job, shard, *start) if start else None
    return ShardHost(mine, index, job, shard, mine.topics()["trades"], state, keep_states=False)


def sealed_state(job: Job, shard: int, store: CutStore, cut: str, version: int) -> ShardState:
    """A shard's state as a cut sealed it, about to take the epoch behind; frames are found by their epochs."""
    blobs = _sealed_blobs(job, shard, store, cut, version)
    return ShardState(restore(job, blobs).states, Position(store.epoch(cut, version) + 1))


def _sealed_blobs(job: Job, shard: int, store: CutStore, cut: str, version: int) -> dict[str, dict[str, bytes]]:
    blobs = {app.name: store.state(cut, version, app.name, shard) for app in job.apps}
    missing = [name for name, found in blobs.items() if not found]
    if missing:
        raise LogError(f"cut {cut} v{version}: expected sealed states of {', '.join(missing)}, shard {shard}")
    return blobs


def seed(log: Log, index: EpochIndex, job: Job, shards: int, store: CutStore, cut: str, version: int) -> None:
    """Put a sealed cut's states into a log that has none, as if the job had sealed them there: every host starts
    behind it. LogError when the cut lacks a state."""
    epoch = index[store.epoch(cut, version)]
    progress = {(EPOCHS, 0): index.next_offset(epoch.number + 1)}
    behind = {"position": Position(epoch.number + 1).encode()}  # the offsets of another log say nothing here
    for shard in job.shards(shards):
        records = []
        for app, blobs in _sealed_blobs(job, shard, store, cut, version).items():
            frame = Frame(epoch.number, epoch.number, {}, {**blobs, **behind})
            records += [Record(sealed_topic(app), shard, payload, epoch.time) for payload in encode_frame(frame)]
        writer = log.writer(f"{job.name}-{shard}")
        writer.commit(records, progress)
        writer.close()


_DIFFERENCES_MIN = 5


def certify(store: CutStore, replayed: Cut, version: int, start: str = "", limit: int = 100) -> Certificate:
    """Compare a replayed cut with the sealed one: every table digest, every state digest; differing rows by field.

    About ``limit`` differences are kept, some of every unequal table, so that the cause stands beside its effects; none
    where the replayed cut is without rows (:meth:`Cut.without_rows`).
    """
    from streaming.cuts import open_cut

    sealed = open_cut(store.folder, replayed.id, version)
    names = sorted({*sealed.manifest["tables"], *replayed.tables})
    tables = {
        name: (sealed.manifest["tables"].get(name, {}).get("digest", ""), replayed.digests.get(name, ""))
        for name in names
    }
    live_states = sealed.manifest["states"]
    states = {
        name: (live_states.get(name, ""), replayed.state_digests.get(name, ""))
        for name in sorted({*live_states, *replayed.states})
    }
    both = [name for name in TABLES if name in replayed.tables and all(tables[name])]
    unequal = [name for name in both if tables[name][0] != tables[name][1]]
    each = max(limit // max(len(unequal), 1), _DIFFERENCES_MIN)
    differences = [
        found for name in unequal for found in compare(name, sealed.table(name), replayed.tables[name], each)
    ]
    return Certificate(replayed.id, version, start, tables, states, tuple(differences))


def compare(name: str, live: pa.Table, replayed: pa.Table, limit: int = 100) -> list[Difference]:
    """The fields in which two tables of one schema differ, by key; at most ``limit``."""
    schema = TABLES[name]
    key = list(schema.key)
    values = [column.name for column in schema.business if column.name not in key]
    left = live.append_column("live", pa.array([True] * live.num_rows, pa.bool_()))
    right = replayed.append_column("again", pa.array([True] * replayed.num_rows, pa.bool_()))
    joined = left.join(right, key, join_type="full outer", left_suffix="", right_suffix="@replayed")
    joined = joined.sort_by([(column, "ascending") for column in key])
    found: list[Difference] = []
    differs = pc.is_null(joined["live"]).combine_chunks()
    differs = pc.or_(differs, pc.is_null(joined["again"]).combine_chunks())
    for column in values:
        a, b = joined[column].combine_chunks(), joined[f"{column}@replayed"].combine_chunks()
        unequal = pc.fill_null(pc.not_equal(a, b), pc.not_equal(pc.is_null(a), pc.is_null(b)))
        differs = pc.or_(differs, unequal)
    for row in joined.filter(differs).slice(0, limit).to_pylist():
        where = {column: row[column] for column in key}
        if not (row["live"] and row["again"]):
            found.append(
                Difference(name, where, "", "row" if row["live"] else "none", "row" if row["again"] else "none")
            )
            continue
        found += [
            Difference(name, where, column, row[column], row[f"{column}@replayed"])
            for column in values
            if row[column] != row[f"{column}@replayed"]
        ]
    return found[:limit]
