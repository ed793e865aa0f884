"""Running shards of the jobs again over chosen raw events: what a cell is recomputed from.

Raw topics serve only the chosen events; the epochs stay what they were, so every event still lies in its own epoch.
What the chosen shards write goes to a scratch log and is read from there; whatever is not run again (the market seen by
an account, the other shards seen by the firm) is read from the live log, which the certificate proves.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.pipeline import Home
from streaming.apps import chain
from streaming.engine.app import RAW_TOPICS, App, Job
from streaming.engine.canonical import sort_by_key
from streaming.engine.epochs import Epoch, EpochIndex
from streaming.engine.replay import sealed_state
from streaming.engine.runner import ShardRunner
from streaming.engine.stretch import StretchReader
from streaming.log import Log, Span, Writer
from streaming.log.files import FilesLog
from streaming.schema.sealed import TABLES

Partition = tuple[str, int]
Keep = Callable[[str, int, np.ndarray], np.ndarray]
"""Topic, partition, offsets -> bool by offset: which raw events are there."""
Start = tuple[str, int] | None
"""The sealed cut whose state a run starts from; None = the beginning of the log."""


def only(listed: Mapping[Partition, np.ndarray]) -> Keep:
    """Exactly the listed offsets."""
    nothing = np.empty(0, np.int64)
    return lambda topic, partition, offsets: np.isin(offsets, listed.get((topic, partition), nothing))


def all_but(*dropped: tuple[str, int, int]) -> Keep:
    """Everything except some events."""
    by_partition: dict[Partition, list[int]] = {}
    for topic, partition, offset in dropped:
        by_partition.setdefault((topic, partition), []).append(offset)

    def keep(topic: str, partition: int, offsets: np.ndarray) -> np.ndarray:
        return ~np.isin(offsets, by_partition.get((topic, partition), []))

    return keep


class ChosenLog:
    """The live log with chosen raw events, and with a scratch log in place of what is run again."""

    def __init__(self, live: Log, scratch: Path, keep: Keep):
        self._live, self._own, self._keep = live, FilesLog(scratch), keep
        self._again: set[Partition] = set()

    def run_again(self, job: Job, shards: Sequence[int], count: int) -> None:
        """From now on what these shards of a job write is read from the scratch log."""
        topics = job.topics(count)
        self._own.create(topics)
        self._again |= {(topic, shard) for topic in topics for shard in shards}

    def choose(self, keep: Keep) -> None:
        """Serve other raw events from now on."""
        self._keep = keep

    def _of(self, topic: str, partition: int) -> Log:
        return self._own if (topic, partition) in self._again else self._live

    def topics(self) -> Mapping[str, int]:
        return self._live.topics()

    def create(self, topics: Mapping[str, int]) -> None:
        self._own.create(topics)

    def first(self, topic: str, partition: int) -> int:
        return self._of(topic, partition).first(topic, partition)

    def end(self, topic: str, partition: int) -> int:
        return self._of(topic, partition).end(topic, partition)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        span = self._of(topic, partition).read(topic, partition, start, stop)
        if topic not in RAW_TOPICS:
            return span
        kept = np.flatnonzero(self._keep(topic, partition, span.offsets))
        payloads = [span.payloads[place] for place in kept.tolist()]
        return Span(span.start, span.stop, span.offsets[kept], span.times[kept], payloads)

    def at_time(self, topic: str, partition: int, time: int) -> int:
        return self._of(topic, partition).at_time(topic, partition, time)

    def writer(self, name: str) -> Writer:
        return self._own.writer(name)

    def progress_of(self, writer: str) -> Mapping[Partition, int]:
        return self._own.progress_of(writer)

    def note_of(self, writer: str) -> str:
        return self._own.note_of(writer)

    def close(self) -> None:
        self._own.close()


@dataclass(frozen=True, slots=True)
class Rerun:
    """Shards to run again up to one epoch, over a log of chosen events."""

    home: Home
    epoch: Epoch
    log: ChosenLog
    start: Start
    index: EpochIndex

    def shard(self, job: Job, shard: int) -> dict[str, pa.Table]:
        """One shard of a job, run from ``start`` through the epoch: what it seals there, by table."""
        count = self.log.topics()["trades"]
        begin = sealed_state(job, shard, self.home.store, *self.start) if self.start else None
        runner = ShardRunner(job, shard, count, begin)
        reader = StretchReader(self.log, self.index, job, shard, runner.at.position)
        writer = self.log.writer(f"{job.name}-{shard}")
        while runner.at.position.epoch <= self.epoch.number:
            for stretch in reader.read(self.epoch.number):
                writer.commit(runner.apply(stretch))
        found: dict[str, pa.Table] = {}
        for app in job.apps:
            for name, table in app.seal(runner.at.states[app.name], self.epoch).items():
                found[name] = pa.concat_tables([found[name], table]) if name in found else table
        return found

    def tables(self, shards: Iterable[tuple[Job, Sequence[int]]]) -> dict[str, pa.Table]:
        """Several jobs, upstream first, each at some shards; the rows of those shards, sorted by key."""
        parts: dict[str, list[pa.Table]] = {}
        count = self.log.topics()["trades"]
        for job, chosen in shards:
            self.log.run_again(job, chosen, count)
            for shard in chosen:
                for name, table in self.shard(job, shard).items():
                    parts.setdefault(name, []).append(table)
        return {name: sort_by_key(TABLES[name], pa.concat_tables(found)) for name, found in parts.items()}


class OtherVersions(EpochIndex):
    """The epochs of a log, under one set of versions whatever they announce."""

    def __init__(self, log: Log, versions: Mapping[str, str]):
        super().__init__(log)
        self._other = dict(versions)

    def versions(self, number: int) -> Mapping[str, str]:
        return self._other


@contextmanager
def rerun(
    home: Home, epoch: Epoch, keep: Keep, start: Start, versions: Mapping[str, str] | None = None
) -> Iterator[Rerun]:
    """A run over chosen events (under other versions where some are given), in a scratch folder that goes with it."""
    index = home.index if versions is None else OtherVersions(home.log, versions)
    index.refresh()
    home.settings.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rerun-", dir=home.settings.scratch) as folder:
        log = ChosenLog(home.log, Path(folder), keep)
        try:
            yield Rerun(home, epoch, log, start, index)
        finally:
            log.close()


def needed(apps: Iterable[str]) -> list[Job]:
    """The jobs of the chain cut down to some applications and all that these read, upstream first."""
    by_name = {app.name: app for app in chain.apps()}
    wanted: set[str] = set()
    waiting = list(apps)
    while waiting:
        name = waiting.pop().removesuffix(".sealed")
        if name in by_name and name not in wanted:
            wanted.add(name)
            waiting += by_name[name].inputs
    found = []
    for job in chain.jobs():
        kept: tuple[App, ...] = tuple(app for app in job.apps if app.name in wanted)
        if kept:
            found.append(Job(job.name, kept, job.publish & {app.name for app in kept}))
    return found
