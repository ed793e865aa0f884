"""Beam on real Flink and Kafka: kills, restarts and another parallelism change nothing that the bare loop gives."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import pytest
import tally
from stack_fixture import RunningStack
from test_beam_in_process import EPOCH_COUNT, SHARDS, messages, published

from orchestration.errors import UserError
from orchestration.jobs import control as jobs
from orchestration.jobs.control import Cluster
from orchestration.stack import control
from streaming.engine.beam import HostedJob, JobReference, Polling
from streaming.engine.epochs import EPOCHS, EpochIndex
from streaming.engine.runner import ShardHost, run_bounded
from streaming.log import Log
from streaming.log.files import FilesLog

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]

NAME = "tallying"
PATIENCE_S = 400  # for progress on a loaded machine; a wait ends as soon as there is some
KILLS = int(os.environ.get("KILLS", "4"))


def wait_for(what: str, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s"
        time.sleep(0.2)


def hosted(cluster: Cluster) -> HostedJob:
    polling = Polling(epochs_max=3, pause_s=0.01)  # many polls, so that a kill meets each of their steps
    return HostedJob(cluster.log_spec, JobReference("tests.integration.tally:job", {}), SHARDS, None, polling)


def committed(log: Log, index: EpochIndex) -> int:
    index.refresh()
    return min(index.number_at(log.progress_of(f"{NAME}-{shard}").get((EPOCHS, 0), 0)) for shard in range(SHARDS))


def victim(stack: RunningStack, kind: str) -> int:
    found = control.status(stack.data)
    assert found is not None
    pids = {service["name"]: service["pid"] for service in found.services}
    if kind == "taskmanager":
        return pids["taskmanager-1"]
    workers = psutil.Process(pids["worker-pool-1"]).children()
    return workers[-1].pid if workers else pids["taskmanager-1"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    log = FilesLog(tmp_path_factory.mktemp("bare"))
    fill(log, 0, EPOCH_COUNT)
    index = EpochIndex(log)
    run_bounded([ShardHost(log, index, tally.job(), shard, SHARDS) for shard in range(SHARDS)], EPOCH_COUNT - 1)
    return published(log)


def fill(log: Log, first: int, stop: int) -> None:
    """Append epochs [first, stop) with their events, the ends as the log has them."""
    log.create(dict.fromkeys(tally.RAW, SHARDS) | {EPOCHS: 1} | tally.job().topics(SHARDS))
    writer = log.writer("filling")
    for number in range(first, stop):
        events, epoch = messages(number)
        writer.commit(events)
        writer.commit([epoch({topic: tuple(log.end(topic, s) for s in range(SHARDS)) for topic in tally.RAW})])


def test_kills_a_restart_and_another_parallelism_leave_every_epoch_exactly_once(stack, expected):
    cluster = Cluster(stack.data, f"{uuid4().hex[:8]}.")
    log, random = cluster.log(), np.random.default_rng(int(os.environ.get("SEED", "5")))
    steps = np.linspace(0, EPOCH_COUNT, KILLS + 4).astype(int).tolist()
    fill(log, 0, steps[1])
    index = EpochIndex(log)
    assert jobs.request(cluster, NAME, hosted(cluster), 2) is None
    with pytest.raises(UserError, match="running or to be run already"):
        jobs.request(cluster, NAME, hosted(cluster), 2)
    wait_for("the first epochs", lambda: committed(log, index) >= steps[1])
    for i in range(KILLS):
        fill(log, steps[1 + i], steps[2 + i])
        time.sleep(float(random.uniform(0, 3)))  # anywhere: in a poll, in a transaction, in a checkpoint
        os.kill(victim(stack, ("worker", "taskmanager")[i % 2]), signal.SIGKILL)
        wait_for(f"caught up after kill {i + 1}", lambda i=i: committed(log, index) >= steps[2 + i])

    savepoint = jobs.stop(cluster, NAME)
    fill(log, steps[-3], steps[-2])
    assert jobs.request(cluster, NAME, hosted(cluster), 2) == savepoint
    wait_for("caught up after the restart", lambda: committed(log, index) >= steps[-2])

    jobs.stop(cluster, NAME)
    fill(log, steps[-2], EPOCH_COUNT)
    assert jobs.request(cluster, NAME, hosted(cluster), 1) is None  # from the newest cut, never from the savepoint
    wait_for("caught up at another parallelism", lambda: committed(log, index) >= EPOCH_COUNT)
    jobs.stop(cluster, NAME)
    assert published(log) == expected


def test_stopping_a_job_that_does_not_run_is_refused(stack: RunningStack):
    with pytest.raises(UserError, match="job absent: expected one of the running jobs"):
        jobs.stop(Cluster(Path(stack.data)), "absent")
