"""The shard runner: align, apply, seal. All hosts run exactly this; they only bring stretches and take records away."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import orjson
import pyarrow as pa

from streaming.engine.app import App, Job, State
from streaming.engine.canonical import decode, encode, encode_state, state_digest
from streaming.engine.epochs import EPOCHS, EpochIndex
from streaming.engine.frames import Frame, decode_frames, encode_frame, last_epoch, sealed_topic
from streaming.engine.stretch import Position, Stretch, StretchReader
from streaming.log import Log, Record, Writer

logger = logging.getLogger(__name__)
_COMPRESSION = "lz4"
"""Of states, sealed and checkpointed: cheap enough for every cut."""


class ApplicationError(RuntimeError):
    """An application failed on its input: names the application, shard, epochs and raw offsets."""


class LostProgressError(RuntimeError):
    """Committed progress without the state that belongs to it: data would be lost or doubled."""


class Tally:
    """What a shard of a job has done since it began: counted exactly once, and kept with its committed progress."""

    def __init__(self, note: str = ""):
        found = orjson.loads(note) if note else {}
        self.rows: int = found.get("rows", 0)
        """Raw events."""
        self.quarantined: int = found.get("quarantined", 0)
        self.transaction_us: int = found.get("transaction_us", 0)
        """How long the transaction before the newest took."""
        self.time_us: int = found.get("time_us", 0)
        """When the newest was committed, by the worker's own time; 0 = never."""

    def note(self) -> str:
        return orjson.dumps(vars(self), option=orjson.OPT_SORT_KEYS).decode()


def counts_of(stretches: Iterable[Stretch]) -> np.ndarray:
    """int64 [n, 3]: epoch, raw events and quarantined events of the epochs that have any, ascending, once applied."""
    seen, refused = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for stretch in stretches:
        seen += [batch.epochs for batches in stretch.raw.values() for batch in batches]
        tables = [tables["quarantine"] for tables in stretch.rows.values() if "quarantine" in tables]
        refused += [table.column("epoch").to_numpy() for table in tables]
    events, quarantined = np.concatenate(seen), np.concatenate(refused)
    epochs = np.unique(np.concatenate([events, quarantined]))
    columns = [np.bincount(np.searchsorted(epochs, found), minlength=len(epochs)) for found in (events, quarantined)]
    return np.column_stack([epochs, *columns]).astype(np.int64)


@dataclass(slots=True)
class ShardState:
    """The states of a job's applications for one shard, and the next epoch."""

    states: dict[str, State]
    position: Position = field(default_factory=Position)


class ShardRunner:
    """Runs the applications of one job over the stretches of one shard.

    Without ``keep_states`` it seals the digests of states only: enough to compare with, not to start from.
    """

    def __init__(self, job: Job, shard: int, shards: int, start: ShardState | None = None, keep_states: bool = True):
        self.job, self.shard, self.shards, self._keep_states = job, shard, shards, keep_states
        self.at = start or ShardState({app.name: app.empty(shard, shards) for app in job.apps})

    def apply(self, stretch: Stretch) -> list[Record]:
        """Every record that this stretch makes."""
        if stretch.first != self.at.position.epoch:
            raise ApplicationError(
                f"{self.job.name}/{self.shard}: expected epoch {self.at.position.epoch}, found {stretch.first}"
            )
        last, records = stretch.last, []
        states = self.at.states
        self.at.states = {}  # a failure half-way must not leave arrays that look whole
        for app in self.job.apps:
            try:
                states[app.name], rows = app.apply(states[app.name], stretch)
            except Exception as error:
                raise ApplicationError(self._where(app, stretch)) from error
            stretch.rows[app.name] = rows
            if app.name in self.job.publish:
                records += self._records(app.name, Frame(stretch.first, last.number, rows), last.time)
        if last.cut:
            for app in self.job.apps:
                records += self._seal(app, states[app.name], stretch)
        self.at = ShardState(states, stretch.after)
        return records

    def _seal(self, app: App, state: State, stretch: Stretch) -> list[Record]:
        blobs = {"position": stretch.after.encode()}
        if self._keep_states:
            encoded, digest = encode_state(state)
            blobs |= {"state": pa.compress(encoded, _COMPRESSION, asbytes=True), "size": b"%d" % len(encoded)}
        else:
            digest = state_digest(state)
        blobs["digest"] = digest.encode()
        tables = app.seal(state, stretch.last)
        frame = Frame(stretch.last.number, stretch.last.number, tables, blobs)
        return self._records(sealed_topic(app.name), frame, stretch.last.time)

    def _records(self, topic: str, frame: Frame, time: int) -> list[Record]:
        return [Record(topic, self.shard, payload, time) for payload in encode_frame(frame)]

    def _where(self, app: App, stretch: Stretch) -> str:
        spans = [
            f"{batch.topic}/{batch.partition} [{batch.offsets[0]}, {batch.offsets[-1]}]"
            for name in app.inputs
            for batch in stretch.raw.get(name, ())
            if len(batch)
        ]
        return (
            f"application {app.name}, shard {self.shard}, epochs [{stretch.first}, {stretch.last.number}], "
            f"offsets {', '.join(spans) or 'none'}"
        )


class ShardCommitter:
    """Takes the records of one shard of one job to the log, each epoch once, in order.

    All outputs and the progress go in one transaction. Epochs that were committed before a failure are computed again;
    whatever they make is dropped here, wherever the recomputation's stretches happen to end.
    """

    def __init__(self, log: Log, index: EpochIndex, job: Job, shard: int, start: int = 0):
        self.name = f"{job.name}-{shard}"
        self._index = index
        self._writer: Writer = log.writer(self.name)
        index.refresh()
        progress = self._writer.progress.get((EPOCHS, 0))
        self.committed = start if progress is None else index.number_at(progress)
        """The first epoch that is not committed. Without any progress the shard is new, and begins at ``start``."""
        self._tally = Tally(log.note_of(self.name))
        self._one_at_a_time = Lock()

    def commit(self, first: int, stop: int, records: Sequence[Record], counts: np.ndarray) -> None:
        """Commit what epochs [first, stop) made, as far as it is not committed; LostProgressError when some is missing
        between what is committed and ``first``. ``counts`` as :func:`counts_of` has them."""
        with self._one_at_a_time:
            if first > self.committed:
                raise LostProgressError(f"{self.name}: expected epoch {self.committed} to be next, found {first}")
            if stop <= self.committed:
                return
            if first < self.committed:
                records = records_from(self.committed, records)
            while self._index.end < stop:
                self._index.refresh()
            fresh = counts[counts[:, 0] >= self.committed]
            self._tally.rows += int(fresh[:, 1].sum())
            self._tally.quarantined += int(fresh[:, 2].sum())
            begin, self._tally.time_us = time.monotonic(), time.time_ns() // 1000
            self._writer.commit(records, {(EPOCHS, 0): self._index.next_offset(stop)}, self._tally.note())
            self._tally.transaction_us = round((time.monotonic() - begin) * 1e6)
            self.committed = stop

    def close(self) -> None:
        self._writer.close()


def records_from(epoch: int, records: Sequence[Record]) -> list[Record]:
    """The records without what belongs to epochs before ``epoch``; a frame that reaches past it is cut in two."""
    kept: list[Record] = []
    parts: list[Record] = []
    for record in records:
        parts.append(record)
        if last_epoch(record.payload)[1]:
            frame = decode_frames(part.payload for part in parts)[0]
            if frame.first >= epoch:
                kept += parts
            elif frame.last >= epoch:
                kept += [record._replace(payload=part) for part in encode_frame(frame.between(epoch, frame.last))]
            parts = []
    return kept


class ShardHost:
    """One shard of one job on a log: restores, reads, applies, commits. Exactly once: see :class:`ShardCommitter`."""

    def __init__(
        self,
        log: Log,
        index: EpochIndex,
        job: Job,
        shard: int,
        shards: int,
        start: ShardState | None = None,
        keep_states: bool = True,
    ):
        self.job, self.shard = job, shard
        begin = start.position.epoch if start is not None else 0
        self._committer = ShardCommitter(log, index, job, shard, begin)
        if start is None:
            start = newest_sealed_state(log, job, shard)
        if start is not None and start.position.epoch > self._committer.committed:
            raise LostProgressError(
                f"{job.name}/{shard}: expected progress of epoch {start.position.epoch} or later, "
                f"found {self._committer.committed}"
            )
        self._runner = ShardRunner(job, shard, shards, start, keep_states)
        self._reader = StretchReader(log, index, job, shard, self._runner.at.position)

    @property
    def epoch(self) -> int:
        """The next epoch this shard will apply."""
        return self._runner.at.position.epoch

    def step(self, through: int | None = None, epochs_max: int = 20_000, events_max: int = 100_000) -> int:
        """Apply what is ready and commit it in one transaction; returns how many epochs that were."""
        before = self.epoch
        stretches = self._reader.read(through, epochs_max, events_max)
        if not stretches:
            return 0
        records = [record for stretch in stretches for record in self._runner.apply(stretch)]
        self._committer.commit(before, self.epoch, records, counts_of(stretches))
        return self.epoch - before


def newest_sealed_state(log: Log, job: Job, shard: int, before: int | None = None) -> ShardState | None:
    """The state of the newest cut (below epoch ``before``) that every application of the job has sealed; or None."""
    frames: dict[str, Frame] = {}
    for app in job.apps:
        topic = sealed_topic(app.name)
        found = _newest_frame(log, topic, shard, before)
        if found is None:
            return None
        frames[app.name] = found
    epochs = {frame.last for frame in frames.values()}
    if len(epochs) != 1:
        raise LostProgressError(f"{job.name}/{shard}: applications of one job sealed different epochs {sorted(epochs)}")
    return restore(job, {name: frame.blobs for name, frame in frames.items()})


def encode_shard(at: ShardState) -> bytes:
    """A shard's states and position, for a checkpoint."""
    states = {name: encode(state) for name, state in at.states.items()}
    content = encode({"position": at.position.encode(), "states": states})
    return encode({"size": len(content), "content": pa.compress(content, _COMPRESSION, asbytes=True)})


def decode_shard(job: Job, data: bytes) -> ShardState:
    """The states and position that :func:`encode_shard` wrote."""
    packed = decode(data)
    found = decode(pa.decompress(packed["content"], packed["size"], _COMPRESSION, asbytes=True))
    states = {app.name: decode(found["states"][app.name], app.state) for app in job.apps}
    return ShardState(states, Position.decode(found["position"]))


def restore(job: Job, blobs: Mapping[str, Mapping[str, bytes]]) -> ShardState:
    """A shard's states from the blobs that its applications sealed at one cut."""
    states = {app.name: _state(app, blobs[app.name]) for app in job.apps}
    position = Position.decode(blobs[job.apps[0].name]["position"])
    return ShardState(states, position)


def _state(app: App, blobs: Mapping[str, bytes]) -> State:
    encoded = pa.decompress(blobs["state"], int(blobs["size"]), _COMPRESSION, asbytes=True)
    return decode(encoded, app.state)


def _newest_frame(log: Log, topic: str, partition: int, before: int | None) -> Frame | None:
    stop = log.end(topic, partition)
    first = log.first(topic, partition)
    messages: list[bytes] = []
    while stop > first:
        start = max(first, stop - 8)
        payloads = log.read(topic, partition, start, stop).payloads
        for payload in reversed(payloads):
            last, final = last_epoch(payload)
            if final and messages:
                return decode_frames(reversed(messages))[0]
            if not messages and not (final and (before is None or last < before)):
                continue
            messages.append(payload)
        stop = start
    return decode_frames(reversed(messages))[0] if messages else None


def run_bounded(hosts: Iterable[ShardHost], through: int, epochs_max: int = 20_000, events_max: int = 100_000) -> None:
    """The bare loop: every shard in turn until all have applied epoch ``through``."""
    waiting = list(hosts)
    while waiting:
        moved = [host.step(through, epochs_max, events_max) for host in waiting]
        waiting = [host for host in waiting if host.epoch <= through]
        if waiting and not any(moved):
            stuck = ", ".join(f"{host.job.name}/{host.shard} at epoch {host.epoch}" for host in waiting)
            raise RuntimeError(f"no input reaches epoch {through}: {stuck}")
