"""The Beam graph of a job: ``ReadEpochs | ApplyShard | WriteEpochs``, one key per shard.

The steps host the same reader, runner and committer as the bare loop. They are told in plain JSON where the log is and
which job it is; logs, states and producers live in the worker process, outside Beam, and are only trusted when they
stand where Beam's state says. So a worker may die, or a checkpoint be restored, at any moment.
"""

# ruff: noqa: B008  (Beam finds a DoFn's state and timers in its argument defaults)
import importlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar
from uuid import uuid4

import apache_beam as beam
import numpy as np
from apache_beam.coders import BytesCoder, VarIntCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, EpochIndex
from streaming.engine.runner import (
    LostProgressError,
    ShardCommitter,
    ShardRunner,
    ShardState,
    counts_of,
    decode_shard,
    encode_shard,
    newest_sealed_state,
)
from streaming.engine.stretch import Position, StretchReader
from streaming.engine.stretch_codec import Outputs, decode_outputs, decode_stretches, encode_outputs, encode_stretches
from streaming.log import Log
from streaming.log.opening import LogSpec, open_log

T = TypeVar("T")
NAMESPACE = "plumbline"
COMPACTION_BYTES = 2 << 20


@dataclass(frozen=True)
class JobReference:
    """Where a job comes from: ``module:function`` and the arguments to call it with, plain JSON."""

    function: str
    arguments: Mapping[str, Any]

    def load(self) -> Job:
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(**self.arguments)


@dataclass(frozen=True)
class Polling:
    """How much one poll takes at most, and how long those of all shards together wait where there is nothing."""

    epochs_max: int = 20_000
    events_max: int = 100_000
    pause_s: float = 0.0
    """Of one round over the shards, which share a worker."""
    patient: bool = False
    """A bounded run waits for input that another job is still to write; otherwise it is refused."""


@dataclass(frozen=True)
class HostedJob:
    """A job on a log, as the worker processes are told it."""

    log: LogSpec
    job: JobReference
    shards: int
    through: int | None = None
    """The last epoch of a bounded run; None runs for ever."""
    polling: Polling = Polling()
    fresh: bool = False
    """Nothing was committed when it was first submitted: until a cut is sealed it may begin at the beginning again."""
    compaction_bytes: int = COMPACTION_BYTES
    """The inputs since the base are kept up to this size or the base's own, whichever is greater."""
    keys: int | None = None
    """Of the graph: every shard, or one. None: as the job says; once told, who submits it need not import it."""
    run: str = field(default_factory=lambda: uuid4().hex)
    """Tells the live objects of one run of the graph from those of another in the same process."""

    def load(self) -> Job:
        return _live((self.run, "job"), self.job.load)

    def key_count(self) -> int:
        return self.keys or len(self.load().shards(self.shards))

    def open_log(self) -> Log:
        """For whoever stays with it: an unbounded job follows, a bounded one finds everything there."""
        return open_log(self.log, following=self.through is None)

    def index(self) -> EpochIndex:
        return _live((self.run, "index"), lambda: EpochIndex(self.open_log()))


class ReadEpochs(beam.PTransform):
    """The stretches of every shard, poll by poll."""

    def __init__(self, hosted: HostedJob):
        super().__init__()
        self.hosted = hosted

    def expand(self, begin: beam.Pipeline) -> beam.PCollection[tuple[int, bytes]]:
        shards = [(shard, b"") for shard in range(self.hosted.key_count())]
        return (
            begin
            | "Shards" >> beam.Create(shards).with_output_types(tuple[int, bytes])
            | "Poll" >> beam.ParDo(_Poll(self.hosted)).with_output_types(tuple[int, bytes])
        )


class ApplyShard(beam.PTransform):
    """Stretches in, records out, by the job's applications."""

    def __init__(self, hosted: HostedJob):
        super().__init__()
        self.hosted = hosted

    def expand(self, stretches: beam.PCollection[tuple[int, bytes]]) -> beam.PCollection[tuple[int, bytes]]:
        return stretches | "Apply" >> beam.ParDo(_Apply(self.hosted)).with_output_types(tuple[int, bytes])


class WriteEpochs(beam.PTransform):
    """Records and progress into the log, one transaction a poll; yields how far each shard is committed."""

    def __init__(self, hosted: HostedJob):
        super().__init__()
        self.hosted = hosted

    def expand(self, records: beam.PCollection[tuple[int, bytes]]) -> beam.PCollection[tuple[int, int]]:
        return records | "Commit" >> beam.ParDo(_Commit(self.hosted)).with_output_types(tuple[int, int])


def build(pipeline: beam.Pipeline, hosted: HostedJob) -> beam.PCollection[tuple[int, int]]:
    """The whole graph."""
    return pipeline | ReadEpochs(hosted) | ApplyShard(hosted) | WriteEpochs(hosted)


class _Poll(beam.DoFn):
    """An event-time timer in the past fires again after every bundle; each firing is one poll."""

    POSITION = ReadModifyWriteStateSpec("position", BytesCoder())
    AGAIN = TimerSpec("again", TimeDomain.WATERMARK)

    def __init__(self, hosted: HostedJob):
        self.hosted = hosted

    def process(
        self,
        element: tuple[int, bytes],
        position=beam.DoFn.StateParam(POSITION),
        again=beam.DoFn.TimerParam(AGAIN),
    ) -> Iterable[tuple[int, bytes]]:
        if position.read() is None:
            position.write(_first_position(self.hosted, element[0]).encode())
        again.set(Timestamp(0))
        return ()

    @on_timer(AGAIN)
    def poll(
        self,
        shard=beam.DoFn.KeyParam,
        position=beam.DoFn.StateParam(POSITION),
        again=beam.DoFn.TimerParam(AGAIN),
    ) -> Iterator[TimestampedValue]:
        hosted, at = self.hosted, Position.decode(position.read())
        key = (hosted.run, "reader", shard)
        reader = _taken(key)
        if reader is None or reader.position != at:  # a new worker, or an older checkpoint was restored
            log = _live((hosted.run, "input", shard), hosted.open_log)
            reader = StretchReader(log, hosted.index(), hosted.load(), shard, at)
        polling = hosted.polling
        stretches = reader.read(hosted.through, polling.epochs_max, polling.events_max)
        if stretches:
            at = reader.position
            position.write(at.encode())
            closed = Timestamp(micros=stretches[-1].last.time)
            yield TimestampedValue((shard, encode_stretches(stretches)), closed)
        elif hosted.through is not None and at.epoch <= hosted.through and not polling.patient:
            raise RuntimeError(f"no input reaches epoch {hosted.through}: shard {shard} stands at epoch {at.epoch}")
        else:
            time.sleep(polling.pause_s / hosted.key_count())
        _put(key, reader)
        if hosted.through is None or at.epoch <= hosted.through:
            again.set(Timestamp(0))


class _Apply(beam.DoFn):
    """Live states in the worker; Beam's state holds a base and the inputs since, so a checkpoint costs what changed."""

    BASE = ReadModifyWriteStateSpec("base", BytesCoder())
    SINCE = BagStateSpec("since", BytesCoder())
    SINCE_BYTES = ReadModifyWriteStateSpec("since_bytes", VarIntCoder())
    BASE_BYTES = ReadModifyWriteStateSpec("base_bytes", VarIntCoder())
    NEXT = ReadModifyWriteStateSpec("next", VarIntCoder())

    def __init__(self, hosted: HostedJob):
        self.hosted = hosted
        self.epochs = Metrics.counter(NAMESPACE, "epochs")
        self.events = Metrics.counter(NAMESPACE, "rows")
        self.quarantined = Metrics.counter(NAMESPACE, "quarantined")

    def process(
        self,
        element: tuple[int, bytes],
        base=beam.DoFn.StateParam(BASE),
        since=beam.DoFn.StateParam(SINCE),
        since_bytes=beam.DoFn.StateParam(SINCE_BYTES),
        base_bytes=beam.DoFn.StateParam(BASE_BYTES),
        following=beam.DoFn.StateParam(NEXT),
    ) -> Iterable[tuple[int, bytes]]:
        shard, data = element
        stretches = decode_stretches(data)
        first, stop = stretches[0].first, stretches[-1].after.epoch
        expected = following.read()
        if expected is not None and stop <= expected:
            return []  # sent again after a restore
        if expected is not None and first != expected:
            raise LostProgressError(f"{self._name(shard)}: expected epoch {expected} to be next, found {first}")
        key = (self.hosted.run, "runner", shard)
        runner = _taken(key)  # a failure below must not leave arrays that look whole
        if runner is None or runner.at.position.epoch != first:
            runner = self._rebuilt(shard, first, base.read(), since.read())
        records = [record for stretch in stretches for record in runner.apply(stretch)]
        counts = counts_of(stretches)
        self._count(first, stop, counts)
        size = (since_bytes.read() or 0) + len(data)
        if size > max(base_bytes.read() or 0, self.hosted.compaction_bytes):
            encoded = encode_shard(runner.at)
            base.write(encoded)
            base_bytes.write(len(encoded))
            since.clear()
            size = 0
        else:
            since.add(data)
        since_bytes.write(size)
        following.write(stop)
        _put(key, runner)
        return [(shard, encode_outputs(part)) for part in Outputs(first, stop, records, counts).split()]

    def _rebuilt(self, shard: int, first: int, base: bytes | None, since: Iterable[bytes]) -> ShardRunner:
        """The runner as it stood before epoch ``first``: from Beam's state, or on the first run from the sealed cut."""
        hosted, job = self.hosted, self.hosted.load()
        inputs = [decode_stretches(data) for data in since]
        begin = inputs[0][0].first if inputs else first
        start = decode_shard(job, base) if base else _sealed_state(hosted, shard, begin)
        runner = ShardRunner(job, shard, hosted.shards, start)
        for stretches in inputs:
            for stretch in stretches:
                runner.apply(stretch)
        if runner.at.position.epoch != first:
            raise LostProgressError(
                f"{self._name(shard)}: expected a state of epoch {first}, found {runner.at.position.epoch}"
            )
        return runner

    def _name(self, shard: int) -> str:
        return f"{self.hosted.load().name}/{shard}"

    def _count(self, first: int, stop: int, counts: np.ndarray) -> None:
        self.epochs.inc(stop - first)
        self.events.inc(int(counts[:, 1].sum()))
        self.quarantined.inc(int(counts[:, 2].sum()))


class _Commit(beam.DoFn):
    """One transaction for the parts of one poll. The state makes the step keyed: one committer per shard."""

    COMMITTED = ReadModifyWriteStateSpec("committed", VarIntCoder())

    def __init__(self, hosted: HostedJob):
        self.hosted = hosted

    def process(
        self, element: tuple[int, bytes], committed=beam.DoFn.StateParam(COMMITTED)
    ) -> Iterator[tuple[int, int]]:
        shard, data = element
        outputs = self._whole(shard, decode_outputs(data))
        if outputs is None:
            return
        key = (self.hosted.run, "committer", shard)
        committer = _live(key, lambda: self._committer(shard))
        try:
            committer.commit(outputs.first, outputs.stop, outputs.records, outputs.counts)
        except BaseException:
            _forget(key, committer)  # the next attempt takes the name over again and asks for the progress
            raise
        committed.write(outputs.stop)
        yield shard, outputs.stop

    def _whole(self, shard: int, part: Outputs) -> Outputs | None:
        """The outputs that ``part`` completes. Its bundle made all parts at once, and a checkpoint lies between
        bundles: so whatever happens, they come from the first again."""
        key = (self.hosted.run, "parts", shard)
        before: list[Outputs] = (_taken(key) or []) if part.part else []
        if len(before) != part.part or (before and before[-1].stop != part.stop):
            raise LostProgressError(
                f"{self.hosted.load().name}/{shard}: expected part {len(before)} of what epochs up to "
                f"{before[-1].stop if before else part.stop} made, found part {part.part} of epochs up to {part.stop}"
            )
        if part.part + 1 < part.parts:
            _put(key, [*before, part])
            return None
        return Outputs.joined([*before, part])

    def _committer(self, shard: int) -> ShardCommitter:
        log = self.hosted.open_log()
        return ShardCommitter(log, self.hosted.index(), self.hosted.load(), shard)


def _first_position(hosted: HostedJob, shard: int) -> Position:
    """Where a shard without state begins: behind the newest sealed cut, else at the beginning of a log that the job has
    never written to. LostProgressError when something is committed: its state is lost, and no cut has it."""
    log, job = open_log(hosted.log), hosted.load()
    try:
        start = newest_sealed_state(log, job, shard)
        if start is not None:
            return start.position
        progress = log.progress_of(f"{job.name}-{shard}").get((EPOCHS, 0))
        if progress is not None and not hosted.fresh:
            raise LostProgressError(
                f"{job.name}/{shard}: expected a state, or a sealed cut to start from, found neither beside the "
                f"committed progress {EPOCHS}/0 offset {progress}"
            )
        return Position()
    finally:
        log.close()


def _sealed_state(hosted: HostedJob, shard: int, epoch: int) -> ShardState | None:
    """The state sealed just before ``epoch``; None stands for the beginning."""
    if epoch == 0:
        return None
    log = open_log(hosted.log)
    found = newest_sealed_state(log, hosted.load(), shard, before=epoch)
    log.close()
    return found


_objects: dict[tuple, Any] = {}
"""The live objects of this worker process, by run, role and shard; several bundles of one process share them."""
_lock = Lock()


def _live(key: tuple, make: Callable[[], T]) -> T:
    with _lock:
        found = _objects.get(key)
    if found is None:
        made = make()
        with _lock:
            found = _objects.setdefault(key, made)
    return found


def _taken(key: tuple) -> Any:
    with _lock:
        return _objects.pop(key, None)


def _put(key: tuple, value: object) -> None:
    with _lock:
        _objects[key] = value


def _forget(key: tuple, value: ShardCommitter) -> None:
    with _lock:
        if _objects.get(key) is value:
            del _objects[key]
    value.close()


def release(run: str) -> None:
    """Let go of everything that a run of the graph keeps alive in this process."""
    with _lock:
        for key in [key for key in _objects if key[0] == run]:
            del _objects[key]


def as_json(hosted: HostedJob) -> str:
    """A hosted job for a command line; ``from_json`` reads it."""
    return json.dumps(
        {
            "log": dict(hosted.log),
            "function": hosted.job.function,
            "arguments": dict(hosted.job.arguments),
            "shards": hosted.shards,
            "through": hosted.through,
            "polling": vars(hosted.polling),
            "fresh": hosted.fresh,
            "compaction_bytes": hosted.compaction_bytes,
            "keys": hosted.key_count(),
        }
    )


def from_json(text: str) -> HostedJob:
    found = json.loads(text)
    job = JobReference(found.pop("function"), found.pop("arguments"))
    polling = Polling(**found.pop("polling"))
    return HostedJob(job=job, polling=polling, **found)
