"""The shard runner: align, apply, seal. All hosts run exactly this; they only bring stretches and take records away."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from streaming.engine.app import App, Job, State, sealed_topic
from streaming.engine.canonical import decode, encode, state_digest
from streaming.engine.epochs import EPOCHS, EpochIndex
from streaming.engine.frames import Frame, decode_frames, encode_frame, last_epoch
from streaming.engine.stretch import Position, Stretch, StretchReader
from streaming.log import Log, Record, Writer

logger = logging.getLogger(__name__)


class ApplicationError(RuntimeError):
    """An application failed on its input: names the application, shard, epochs and raw offsets."""


class LostProgressError(RuntimeError):
    """Committed progress without the state that belongs to it: data would be lost or doubled."""


@dataclass(slots=True)
class ShardState:
    """The states of a job's applications for one shard, and the next epoch."""

    states: dict[str, State]
    position: Position = field(default_factory=Position)


class ShardRunner:
    """Runs the applications of one job over the stretches of one shard."""

    def __init__(self, job: Job, shard: int, shards: int, start: ShardState | None = None):
        self.job, self.shard, self.shards = job, shard, shards
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
        encoded = encode(state)
        blobs = {
            "state": pa.compress(encoded, "zstd", asbytes=True),
            "size": b"%d" % len(encoded),
            "digest": state_digest(state).encode(),
            "position": stretch.after.encode(),
        }
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


class ShardHost:
    """One shard of one job on a log: restores, reads, applies, commits. Exactly once: see :meth:`step`."""

    def __init__(self, log: Log, index: EpochIndex, job: Job, shard: int, shards: int, start: ShardState | None = None):
        self.job, self.shard = job, shard
        self._index = index
        self._writer: Writer = log.writer(f"{job.name}-{shard}")
        index.refresh()
        self._committed = index.number_at(self._writer.progress.get((EPOCHS, 0), 0))
        if start is None:
            start = newest_sealed_state(log, job, shard)
        if start is not None and start.position.epoch > self._committed > 0:
            raise LostProgressError(
                f"{job.name}/{shard}: expected progress of epoch {start.position.epoch} or later, "
                f"found {self._committed}"
            )
        self._runner = ShardRunner(job, shard, shards, start)
        self._reader = StretchReader(log, index, job, shard, self._runner.at.position)

    @property
    def epoch(self) -> int:
        """The next epoch this shard will apply."""
        return self._runner.at.position.epoch

    def step(self, through: int | None = None, epochs_max: int = 20_000, events_max: int = 100_000) -> int:
        """Apply what is ready and commit it in one transaction; returns how many epochs that were.

        All outputs and the progress go together. Epochs that were committed before a failure are computed again and
        their outputs dropped: the recomputation ends exactly at the committed epoch, so no frame straddles it.
        """
        before = self.epoch
        again = before < self._committed
        if again:
            through = self._committed - 1 if through is None else min(through, self._committed - 1)
        stretches = self._reader.read(through, epochs_max, events_max)
        if not stretches:
            return 0
        records: list[Record] = []
        for stretch in stretches:
            records += self._runner.apply(stretch)
        if not again:
            progress = {(EPOCHS, 0): self._index.next_offset(self.epoch)}
            self._writer.commit(records, progress)
            self._committed = self.epoch
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


def restore(job: Job, blobs: Mapping[str, Mapping[str, bytes]]) -> ShardState:
    """A shard's states from the blobs that its applications sealed at one cut."""
    states = {app.name: _state(app, blobs[app.name]) for app in job.apps}
    position = Position.decode(blobs[job.apps[0].name]["position"])
    return ShardState(states, position)


def _state(app: App, blobs: Mapping[str, bytes]) -> State:
    encoded = pa.decompress(blobs["state"], int(blobs["size"]), "zstd", asbytes=True)
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
