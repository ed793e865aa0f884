"""A generated day, embedded and on the real stack: the same events, epochs, jobs and cuts, on two logs."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson

from orchestration import generated
from orchestration.days import MarkedCut, marked_cuts, seal_ready
from orchestration.feed import feed
from orchestration.jobs import control as jobs
from orchestration.jobs.control import Cluster
from orchestration.jobs.deployment import Deployment
from orchestration.pipeline import Home, run_jobs, seal
from orchestration.progress import display
from orchestration.settings import Settings
from streaming.demo import DaySpec, generate
from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, EpochIndex, Mark
from streaming.engine.sealing import CutStore
from streaming.log import Log

T = TypeVar("T")
PATIENCE_S = 600  # for progress on a loaded machine; a wait ends as soon as there is some


def wait_for(what: str, look: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {patience_s} s"
        time.sleep(0.2)
    return found


def embedded(folder: Path, spec: DaySpec, marks: Sequence[Mark] | None = None) -> Home:
    """The day run by the bare loop in this process: the undisturbed run that others are compared with."""
    settings = Settings(folder / "home", folder / "out")
    generated.prepare(settings, spec)
    generated.feed_generated(settings, spec, lambda _: None, marks)
    home = Home.open(settings)
    with display() as show:
        run_jobs(home, show)
        seal(home, show)
    return home


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

    def feed(self, marks: Sequence[Mark] | None = None) -> None:
        """All events and epochs of the day, while the jobs run."""
        feed(self.log, self.spec.date, generate(self.spec), generated.announced(self.spec), marks=marks)

    @property
    def committed(self) -> int:
        """The first epoch that some shard of some job has not committed."""
        return committed(self.log, self.index, self.deployment.jobs(), self.deployment.shards)

    def caught_up(self) -> None:
        wait_for("every epoch committed", lambda: self.committed >= self.index.end > 0)

    def seal(self, folder: Path) -> list[MarkedCut]:
        """What the sealer does beside the jobs."""
        return seal_ready(self.log, self.index, self.deployment.jobs(), CutStore(folder))

    def cuts(self) -> list[MarkedCut]:
        return marked_cuts(self.index)

    def stop(self) -> None:
        for name in self.deployment.apps:
            jobs.cancel(self.cluster, name)


def committed(log: Log, index: EpochIndex, of: tuple[Job, ...], shards: int) -> int:
    index.refresh()
    writers = [f"{job.name}-{shard}" for job in of for shard in range(shards if job.sharded else 1)]
    return min(index.number_at(log.progress_of(writer).get((EPOCHS, 0), 0)) for writer in writers)


def manifests(store: Path) -> Mapping[str, Mapping]:
    """What identifies each sealed cut, by its folder: digests of all tables and states; without the log's offsets."""
    found = {}
    for path in sorted((store / "cuts").rglob("manifest.json")):
        manifest = orjson.loads(path.read_bytes())
        del manifest["offsets"]  # a locator: Kafka spends some on the ends of transactions
        found[path.parent.relative_to(store / "cuts").as_posix()] = manifest
    return found
