"""The tally job on the real stack, under a prefix of its own; and one with steady input, its checkpoints watched."""

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import requests
import tally
import tally_day
import victims
from live_day import progress
from stack_fixture import RunningStack
from waiting import wait_for

from orchestration.jobs import control as jobs
from orchestration.jobs.control import Cluster
from orchestration.stack import jobs as stack_jobs
from orchestration.stack.resubmission import job_states
from streaming.engine.beam import HostedJob, JobReference, Polling
from streaming.engine.epochs import EpochIndex
from streaming.engine.runner import ShardHost, run_bounded
from streaming.log.files import FilesLog

SHARDS = 4
COMPACTION_BYTES = 16_384
BUSY = Polling(epochs_max=3, pause_s=0.02)
"""Many polls, so that a kill meets each of their steps."""
CALM = Polling(pause_s=0.2)
"""Leaves the machine to the tests beside it."""
CALM_EPOCHS_PER_S = 4
EACH_KILL_S = 600
"""At most, on a loaded machine; a wait ends as soon as there is progress."""


class Tallying:
    """The job, its log, and what it has done."""

    def __init__(self, stack: RunningStack, function: str = "job", name: str = "tallying"):
        self.stack, self._function, self.name = stack, f"tests.integration.tally:{function}", name
        self.cluster = Cluster(stack.data, f"{uuid4().hex[:8]}.")
        self.log = self.cluster.log()
        self.log.create(tally_day.topics(SHARDS))
        self.index = EpochIndex(self.log)

    def submit(self, parallelism: int = 2, polling: Polling = BUSY) -> str | None:
        reference = JobReference(self._function, {})
        made = HostedJob(self.cluster.log_spec, reference, SHARDS, None, polling, compaction_bytes=COMPACTION_BYTES)
        return jobs.request(self.cluster, self.name, made, parallelism)

    def progress(self) -> Mapping[str, int]:
        """The first epoch that is not committed, by writer."""
        return progress(self.log, self.index, (tally.job(),), SHARDS)

    def passes(self, what: str, epoch: int) -> None:
        """Wait until every shard has committed what comes before the epoch."""
        expected = f"{what}: epoch {epoch} committed by all"
        wait_for(expected, lambda: min(self.progress().values()) >= epoch, EACH_KILL_S, self.progress)

    def kill(self, victim: str, random: np.random.Generator) -> None:
        victims.kill(self.stack.data, victim, random)

    def published(self, count: int) -> tuple[list, list]:
        return tally_day.published(self.log, SHARDS, count)

    def close(self) -> None:
        self.cancel()
        self.log.close()

    def cancel(self) -> None:
        rest = self.stack.flink_rest
        wait_for("a JobManager that answers", lambda: job_states(rest) is not None)  # it may just have been killed
        jobs.cancel(self.cluster, self.name)


def undisturbed(folder: Path, count: int) -> tuple[list, list]:
    """What the bare loop gives for so many epochs."""
    log = FilesLog(folder)
    tally_day.fill(log, count, SHARDS)
    index = EpochIndex(log)
    run_bounded([ShardHost(log, index, tally.job(), shard, SHARDS) for shard in range(SHARDS)], count - 1)
    return tally_day.published(log, SHARDS, count)


class Steady:
    """A tally job with steady input from now on until it is stopped, and the size of each of its checkpoints."""

    def __init__(self, stack: RunningStack):
        self.tallying = Tallying(stack, name="steady")
        self._sizes: dict[int, tuple[float, int]] = {}
        """By checkpoint: when it was seen, and its bytes."""
        self._stopping = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self._running = ExitStack()
        tally_day.fill(self.tallying.log, 10, SHARDS)
        self.tallying.submit(parallelism=1, polling=CALM)
        feed = tally_day.SteadyFeed(self.tallying.cluster.log, SHARDS, 10, CALM_EPOCHS_PER_S, at_once=CALM_EPOCHS_PER_S)
        self.feed = self._running.enter_context(feed)
        self._watching.start()

    def measured(self, seconds: float) -> np.ndarray:
        """float64 [n, 2]: seconds since the first and bytes of every checkpoint, once they span so long."""
        wait_for("a first checkpoint", lambda: self._sizes)
        wait_for(f"checkpoints over {seconds} s", lambda: self._span() >= seconds, seconds + 600, self._span)
        found = np.array([self._sizes[number] for number in sorted(self._sizes)], float)
        return found - [found[0, 0], 0]

    def stop(self) -> int:
        """End the input and, with all of it committed, the job; returns how many epochs there were."""
        self._running.close()
        self.tallying.passes("all steady input", self.feed.count)
        self.tallying.cancel()
        return self.feed.count

    def close(self) -> None:
        self._stopping.set()
        self._watching.join()
        self._running.close()
        self.tallying.close()

    def _span(self) -> float:
        times = [time for time, _ in list(self._sizes.values())]
        return max(times) - min(times)

    def _watch(self) -> None:
        stack = self.tallying.stack
        spec = next(spec for spec in stack_jobs.wanted(stack.plan.paths) if spec.name == self.tallying.name)
        while not self._stopping.wait(1):
            with suppress(requests.RequestException, KeyError):  # not known to Flink yet, or too busy to answer
                answer = requests.get(f"{stack.flink_rest}/jobs/{spec.job_id}/checkpoints", timeout=10).json()
                for made in answer["history"]:
                    if made["status"] == "COMPLETED":
                        self._sizes.setdefault(made["id"], (time.monotonic(), made["checkpointed_size"]))
