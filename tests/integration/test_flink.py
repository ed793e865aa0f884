"""Beam on real Flink and Kafka: kills, restarts and other parallelisms change nothing that the bare loop gives."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tally_day
import victims
from confluent_kafka.admin import AdminClient
from stack_fixture import RunningStack
from tallying import COMPACTION_BYTES, EACH_KILL_S, SHARDS, Steady, Tallying, undisturbed
from waiting import wait_for

from orchestration.errors import UserError
from orchestration.jobs import control as jobs
from orchestration.jobs.control import Cluster

KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", "5"))

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800 + EACH_KILL_S * KILLS)]

EPOCHS_PER_S = 8.0
VICTIMS = (victims.WORKER,) * 10 + ("taskmanager-1",) * 4 + ("jobmanager", "job-server", "kafka") * 2
"""Of twenty kills; all but the worker's bring their own restart, so they take longer."""
ZOMBIE_S = 30.0


@pytest.fixture
def tallying(stack: RunningStack) -> Iterator[Tallying]:
    made = Tallying(stack)
    yield made
    made.close()


@pytest.mark.kills
def test_kills_at_random_moments_under_load_leave_every_epoch_exactly_once(tallying: Tallying, tmp_path: Path) -> None:
    random = np.random.default_rng(SEED)
    chosen = [VICTIMS[i % len(VICTIMS)] for i in range(KILLS)]
    random.shuffle(chosen)
    tally_day.fill(tallying.log, 10, SHARDS)
    assert tallying.submit() is None
    with pytest.raises(UserError, match="running or to be run already"):
        tallying.submit()
    tallying.passes("the first epochs", 10)
    with tally_day.SteadyFeed(tallying.cluster.log, SHARDS, 10, EPOCHS_PER_S) as feed:
        for i, victim in enumerate(chosen):
            time.sleep(float(random.uniform(0, 3)))  # anywhere: in a poll, in a transaction, in a checkpoint
            at = feed.count
            tallying.kill(victim, random)
            tallying.passes(f"progress after kill {i + 1} of {KILLS}, of {victim}", at + 1)
    tallying.passes("everything", feed.count)
    assert tallying.published(feed.count) == undisturbed(tmp_path, feed.count)


@pytest.mark.kills
def test_a_worker_that_slept_while_another_took_over_is_fenced(tallying: Tallying, tmp_path: Path) -> None:
    tally_day.fill(tallying.log, 10, SHARDS)
    tallying.submit()
    tallying.passes("the first epochs", 10)
    with tally_day.SteadyFeed(tallying.cluster.log, SHARDS, 10, EPOCHS_PER_S) as feed:
        zombie = victims.workers(tallying.stack.data)[-1]
        zombie.suspend()
        asleep = time.monotonic()
        tallying.kill("taskmanager-1", np.random.default_rng(SEED))
        tallying.passes("progress without the zombie", feed.count + 1)
        time.sleep(max(0.0, ZOMBIE_S - (time.monotonic() - asleep)))
        assert zombie.status() == psutil.STATUS_STOPPED
        zombie.resume()
        tallying.passes("progress beside the zombie", feed.count + 10)
        wait_for("the end of the zombie", lambda: not zombie.is_running() or zombie.status() == psutil.STATUS_ZOMBIE)
    tallying.passes("everything", feed.count)
    assert tallying.published(feed.count) == undisturbed(tmp_path, feed.count)


@pytest.mark.kills
def test_the_proof_finds_the_duplicates_of_a_weakened_committer(stack: RunningStack, tmp_path: Path) -> None:
    careless = Tallying(stack, "careless_job")
    tally_day.fill(careless.log, 10, SHARDS)
    careless.submit()
    careless.passes("the first epochs", 10)
    try:
        with tally_day.SteadyFeed(careless.cluster.log, SHARDS, 10, EPOCHS_PER_S) as feed:
            for _ in range(2):
                careless.passes("some more", feed.count + 10)  # with something committed behind the newest checkpoint
                careless.kill(victims.WORKER, np.random.default_rng(SEED))
                careless.passes("progress", feed.count + 10)
        careless.passes("everything", feed.count)
        expected = undisturbed(tmp_path, feed.count)
        with pytest.raises(AssertionError, match="twice, or a gap"):
            assert careless.published(feed.count) == expected
    finally:
        careless.close()


def test_a_restart_and_one_two_four_two_parallel_parts_change_nothing(tallying: Tallying, tmp_path: Path) -> None:
    tally_day.fill(tallying.log, 30, SHARDS)
    tallying.submit(1)
    tallying.passes("the first epochs", 30)
    savepoint = jobs.stop(tallying.cluster, tallying.name)
    tally_day.fill(tallying.log, 45, SHARDS)
    assert tallying.submit(1) == savepoint
    tallying.passes("caught up after the restart", 45)
    for step, parallelism in enumerate((2, 4, 2)):
        jobs.stop(tallying.cluster, tallying.name)
        count = 65 + 20 * step
        tally_day.fill(tallying.log, count, SHARDS)
        assert tallying.submit(parallelism) is None, "from the newest cut, never from the savepoint"
        tallying.passes(f"caught up at parallelism {parallelism}", count)
    assert tallying.published(count) == undisturbed(tmp_path, count)


def test_progress_without_state_and_state_without_progress_are_refused_by_name(tallying: Tallying) -> None:
    tally_day.fill(tallying.log, 10, SHARDS, tally_day.no_cut)
    tallying.submit()
    tallying.passes("the first epochs", 10)
    savepoint = jobs.stop(tallying.cluster, tallying.name)

    with pytest.raises(UserError, match="expected a sealed cut or a savepoint to go on from, found neither"):
        tallying.submit(1)  # at another parallelism the savepoint does not count

    admin = AdminClient({"bootstrap.servers": tallying.stack.bootstrap_servers})
    groups = [tallying.log.kafka_name(f"tallying-{shard}") for shard in range(SHARDS)]
    for done in admin.delete_consumer_groups(groups).values():
        done.result(30)
    tally_day.fill(tallying.log, 12, SHARDS, tally_day.no_cut)
    assert tallying.submit() == savepoint
    state, cause = wait_for(
        "the refusal", lambda: found if (found := jobs.standing(tallying.cluster, tallying.name))[1] else None
    )
    assert state != "FINISHED"
    assert "LostProgressError: tallying-" in cause
    assert "expected epoch 0 to be next, found 10" in cause


@pytest.mark.parametrize("seconds", [300, pytest.param(1_800, marks=[pytest.mark.soak, pytest.mark.timeout(7_200)])])
def test_the_size_of_checkpoints_stays_flat_under_steady_input(
    steady: Steady, tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: int
) -> None:
    at, size = steady.measured(seconds).T
    slope = np.polyfit(at, size, 1)[0] * 60
    with capsys.disabled():
        span = f"{len(size)} checkpoints over {at[-1]:.0f} s"
        print(f"\n{span}: {size.min():,.0f} to {size.max():,.0f} bytes, {slope:+,.0f} bytes/min")
    third = len(size) // 3
    assert third >= 3
    grown = size[-third:].max() - size[:third].max()
    assert grown <= SHARDS * COMPACTION_BYTES, "what is kept beside the base is bounded for each shard"
    count = steady.stop()
    assert steady.tallying.published(count) == undisturbed(tmp_path, count)


def test_stopping_a_job_that_does_not_run_is_refused(stack: RunningStack) -> None:
    with pytest.raises(UserError, match="job absent: expected one of the running jobs"):
        jobs.stop(Cluster(Path(stack.data)), "absent")
