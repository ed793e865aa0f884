"""A generated day, embedded and on the real stack: the same events, epochs, jobs and cuts, on two logs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from waiting import wait_for

from orchestration import generated
from orchestration.days import MarkedCut, marked_cuts, seal_ready
from orchestration.feed import feed
from orchestration.jobs import control as jobs
from orchestration.jobs.control import Cluster
from orchestration.jobs.deployment import Deployment
from streaming.demo import Chunk, DaySpec, generate
from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, EpochIndex, Mark
from streaming.engine.frames import decode_frames
from streaming.engine.sealing import CutStore
from streaming.log import Log


@dataclass(frozen=True)
class LiveDay:
    """The day's jobs on Flink, and its events and epochs on Kafka."""

    cluster: Cluster
    deployment: Deployment
    spec: DaySpec
    log: Log
    index: EpochIndex

    @classmethod
    def submitted(cls, cluster: Cluster, deployment: Deployment, spec: DaySpec) -> "LiveDay":
        """Every job of the deployment asked for; the stack starts them while the day is fed."""
        log = cluster.log()
        log.create(deployment.topics())
        for name in deployment.apps:
            assert jobs.submit(cluster, deployment, name) is None
        return cls(cluster, deployment, spec, log, EpochIndex(log))

    def feed(self, marks: Sequence[Mark] | None = None, disturb: Sequence[Callable[[], None]] = ()) -> None:
        """All events and epochs of the day, while the jobs run; what disturbs them comes evenly over the day, each when
        the part before it has just been fed."""
        chunks = list(generate(self.spec))
        after = [(i + 1) * len(chunks) // (len(disturb) + 1) for i in range(len(disturb))]

        def disturbed() -> Iterator[Chunk]:
            for number, chunk in enumerate(chunks):
                for now in (act for act, at in zip(disturb, after, strict=True) if at == number):
                    now()
                yield chunk

        feed(self.log, self.spec.date, disturbed(), generated.announced(self.spec), marks=marks)

    def progress(self) -> Mapping[str, int]:
        """The first epoch that is not committed, by writer."""
        return progress(self.log, self.index, self.deployment.jobs(), self.deployment.shards)

    def passes(self, what: str, epoch: int) -> None:
        """Wait until every shard of every job has committed what comes before the epoch."""
        expected = f"{what}: epoch {epoch} committed by all"
        wait_for(expected, lambda: min(self.progress().values()) >= epoch, found=self.progress)

    def caught_up(self) -> None:
        self.index.refresh()
        assert self.index.end > 0
        self.passes("the whole day", self.index.end)

    def assert_published_once(self) -> None:
        """Every topic between two jobs has each epoch exactly once, in order."""
        for job in self.deployment.jobs():
            for topic in sorted(job.publish):
                for shard in job.shards(self.deployment.shards):
                    payloads = self.log.read(topic, shard, 0, self.log.end(topic, shard)).payloads
                    spans = [(frame.first, frame.last) for frame in decode_frames(payloads)]
                    where = f"{topic}/{shard}: an epoch twice, or a gap"
                    assert [first for first, _ in spans[1:]] == [last + 1 for _, last in spans[:-1]], where
                    assert (spans[0][0], spans[-1][1]) == (0, self.index.end - 1), where

    def seal(self, folder: Path) -> list[MarkedCut]:
        """What the sealer does beside the jobs."""
        return seal_ready(self.log, self.index, self.deployment.jobs(), CutStore(folder))

    def cuts(self) -> list[MarkedCut]:
        return marked_cuts(self.index)

    def stop(self) -> None:
        for name in self.deployment.apps:
            jobs.cancel(self.cluster, name)


def progress(log: Log, index: EpochIndex, of: tuple[Job, ...], shards: int) -> Mapping[str, int]:
    index.refresh()
    writers = [f"{job.name}-{shard}" for job in of for shard in job.shards(shards)]
    return {writer: index.number_at(log.progress_of(writer).get((EPOCHS, 0), 0)) for writer in writers}


def manifests(store: Path) -> Mapping[str, Mapping]:
    """What identifies each sealed cut, by its folder: digests of all tables and states; without the log's offsets."""
    found = {}
    for path in sorted((store / "cuts").rglob("manifest.json")):
        manifest = orjson.loads(path.read_bytes())
        del manifest["offsets"]  # a locator: Kafka spends some on the ends of transactions
        found[path.parent.relative_to(store / "cuts").as_posix()] = manifest
    return found
