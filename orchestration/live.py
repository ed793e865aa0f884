"""The live jobs over a home's log: on the bare loop of this process, also while the log still grows, or on Beam."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from orchestration.days import marked_cuts
from orchestration.progress import Display
from streaming.apps import chain
from streaming.engine.epochs import EpochIndex
from streaming.engine.runner import ShardHost, run_bounded
from streaming.log.files import FilesLog

LOOP, BEAM = "loop", "beam"
_IDLE_S = 0.02


class Growing(Protocol):
    """Something that appends to the log."""

    def goes_on(self) -> bool:
        """Whether it may append more."""
        ...


class LiveJobs(Protocol):
    """Every live job, where its progress stands."""

    def follow(self, growing: Growing) -> None:
        """Until nothing more is appended; what is there is applied meanwhile, where the host can."""
        ...

    def finish(self, show: Display) -> None:
        """Apply every closed epoch."""
        ...


class LoopJobs:
    """The bare loop in this process. Its shards fence off any others."""

    def __init__(self, log: FilesLog, index: EpochIndex):
        shards = log.topics()["trades"]
        self._index = index
        self._jobs = [
            [ShardHost(log, index, job, shard, shards) for shard in job.shards(shards)] for job in chain.jobs()
        ]
        self._begin = self._epoch

    def follow(self, growing: Growing) -> None:
        while growing.goes_on():
            end = self._index.refresh()
            stops = self._index.stops(self._epoch, end)
            # up to a price set: what comes behind it belongs to a stretch that has not ended
            if not stops or not self.step(stops[-1]):
                time.sleep(_IDLE_S)

    def finish(self, show: Display) -> None:
        end, done = self._index.refresh(), self._epoch
        stage = show.stage("apply epochs", max(end - self._begin, 0))
        stage.advance(done - self._begin)
        stops = [cut.epoch.number for cut in marked_cuts(self._index) if cut.epoch.number >= done]
        for stop in [*stops, end - 1]:
            for hosts in self._jobs:
                run_bounded(hosts, stop)
            stage.advance(max(stop + 1 - done, 0))
            done = max(stop + 1, done)
        stage.finish(f"{end:,} epochs")

    def step(self, through: int) -> bool:
        """One step of every shard, not past an epoch; whether any moved."""
        moved = [host.step(through) for hosts in self._jobs for host in hosts]
        return any(moved)

    @property
    def _epoch(self) -> int:
        return min(host.epoch for hosts in self._jobs for host in hosts)


class BeamJobs:
    """Beam's in-process runner, job by job; it works on a log that is complete."""

    def __init__(self, log: FilesLog, index: EpochIndex):
        self._log, self._index = log, index

    def follow(self, growing: Growing) -> None:
        while growing.goes_on():
            time.sleep(_IDLE_S)

    def finish(self, show: Display) -> None:
        from streaming.engine.beam import JobReference
        from streaming.engine.in_process import run_in_process

        end, jobs = self._index.refresh(), chain.jobs()
        stage = show.stage("apply epochs on Beam", len(jobs))
        log = {"kind": "files", "folder": str(self._log.folder.absolute())}
        for job in jobs:
            reference = JobReference("streaming.apps.chain:job", {"name": job.name})
            run_in_process(log, reference, end - 1, self._log.topics()["trades"])
            stage.advance()
        stage.finish(f"{end:,} epochs")


HOSTS: Mapping[str, Callable[[FilesLog, EpochIndex], LiveJobs]] = {LOOP: LoopJobs, BEAM: BeamJobs}
"""What can host the live jobs; the replay runs in the bare loop of another process."""
