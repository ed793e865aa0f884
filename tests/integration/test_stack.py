"""The real stack: it starts, works, survives the death of each of its processes, and leaves nothing behind."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import victims
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from stack_fixture import RunningStack, require_tools
from ticking_pipeline import KEYS
from waiting import wait_for

from orchestration.stack import control, jobs
from orchestration.stack.errors import StackError
from orchestration.stack.ports import is_free
from orchestration.stack.processes import marked

pytestmark = [pytest.mark.stack, pytest.mark.kills, pytest.mark.timeout(2400)]

TOPIC = "ticks"
LONGEST_TRANSACTION_MS = 45_000  # the client's own default of 60 s is refused
VICTIMS = [victims.WORKER, "worker-pool-1", "taskmanager-1", "job-server", "kafka", "jobmanager"]


def create_topic(bootstrap_servers: str, name: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for created in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        created.result(30)


def read_all(bootstrap_servers: str, topic: str, partition: int) -> list[bytes]:
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "test",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    at = TopicPartition(topic, partition, 0)
    reader.assign([at])
    end = reader.get_watermark_offsets(at, timeout=30)[1]  # a topic that is written to all the time has no other end
    values: list[bytes] = []
    while True:
        message = reader.poll(30)
        assert message is not None, f"{topic}/{partition}: neither a message nor the end"
        if message.error():
            break  # the end of the partition, behind a transaction marker
        values.append(message.value())
        if message.offset() >= end - 1:
            break
    reader.close()
    return values


def pids(stack: RunningStack) -> dict[str, int]:
    found = control.status(stack.data)
    assert found is not None
    return {service["name"]: service["pid"] for service in found.services}


def last_counts(stack: RunningStack) -> list[int]:
    ticks = [read_all(stack.bootstrap_servers, TOPIC, key) for key in range(KEYS)]
    return [int(values[-1]) if values else 0 for values in ticks]


@pytest.fixture(scope="module")
def ticking(stack: RunningStack) -> RunningStack:
    """The stack with a job on it that has taken a checkpoint."""
    create_topic(stack.bootstrap_servers, TOPIC, KEYS)
    program = str(Path(__file__).with_name("ticking_pipeline.py"))
    own = ["--bootstrap_servers", stack.bootstrap_servers, "--topic", TOPIC]
    parallel = ["--parallelism=2", "--sdk_worker_parallelism=1"]
    argv = (sys.executable, program, *own, *stack.plan.settings.pipeline_options(), *parallel)
    spec = jobs.JobSpec("ticking", argv, jobs.new_job_id())
    jobs.request(stack.plan.paths, spec)
    checkpoints = stack.endpoints.checkpoints
    wait_for("a first checkpoint", lambda: jobs.newest_checkpoint(checkpoints, spec.job_id))
    wait_for("ticks of both keys", lambda: True if all(last_counts(stack)) else None)
    return stack


def test_every_process_is_ready_and_within_six_gigabytes(ticking: RunningStack) -> None:
    found = control.status(ticking.data)
    assert found is not None
    assert found.is_ready
    names = [service["name"] for service in found.services]
    assert names == ["kafka", "jobmanager", "taskmanager-1", "job-server", "worker-pool-1"]
    assert 0 < sum(found.memory_mb.values()) < 6 * 1024


def test_committed_messages_are_read_and_aborted_ones_are_not(stack: RunningStack) -> None:
    create_topic(stack.bootstrap_servers, "transactions", 1)
    settings = {"bootstrap.servers": stack.bootstrap_servers, "transaction.timeout.ms": LONGEST_TRANSACTION_MS}
    producer = Producer({**settings, "transactional.id": "t"})
    producer.init_transactions(30)
    for value, finish in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce("transactions", value, partition=0)
        producer.flush(30)  # into the log, so that the dropped one is there to be hidden
        finish(30)
    assert read_all(stack.bootstrap_servers, "transactions", 0) == [b"kept"]


def test_the_broker_creates_no_topic_by_itself(stack: RunningStack) -> None:
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    admin.list_topics("mistyped", timeout=10)
    assert "mistyped" not in admin.list_topics(timeout=10).topics


def test_a_transaction_may_stay_open_for_45_seconds_at_most(stack: RunningStack) -> None:
    settings = {"bootstrap.servers": stack.bootstrap_servers, "transactional.id": "slow"}
    with pytest.raises(KafkaException, match="INVALID_TRANSACTION_TIMEOUT"):
        Producer({**settings, "transaction.timeout.ms": LONGEST_TRANSACTION_MS + 1}).init_transactions(30)
    Producer({**settings, "transaction.timeout.ms": LONGEST_TRANSACTION_MS}).init_transactions(30)


def test_committed_offsets_are_kept_for_years(stack: RunningStack) -> None:
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.BROKER, "1")
    found = admin.describe_configs([resource])[resource].result(30)
    assert int(found["offsets.retention.minutes"].value) >= 3 * 365 * 24 * 60


def test_only_beams_own_channels_listen_beyond_loopback(stack: RunningStack) -> None:
    for name in ("kafka", "jobmanager", "worker-pool-1"):
        process = psutil.Process(pids(stack)[name])
        listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
        assert listening
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}, name


def test_a_second_submission_of_a_running_job_is_refused(ticking: RunningStack) -> None:
    spec = jobs.JobSpec("ticking", ("true",), jobs.new_job_id())
    with pytest.raises(StackError, match="ticking is running or to be run already"):
        jobs.request(ticking.plan.paths, spec)


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_is_restarted_and_the_job_goes_on_from_its_checkpoint(
    ticking: RunningStack, victim: str
) -> None:
    before, counted = pids(ticking), last_counts(ticking)
    target = victims.kill(ticking.data, victim, np.random.default_rng(len(victim)))

    def restarted() -> bool | None:
        found = control.status(ticking.data)
        same = found is not None and found.is_ready and pids(ticking).get(victim) == target
        return None if found is None or not found.is_ready or same or psutil.pid_exists(target) else True

    wait_for(f"{victim} running again", restarted)

    if victim == "jobmanager":  # its tasks go on for up to a heartbeat's time-out: wait for the job that replaces them
        submitted = wait_for("the job submitted again", lambda: resubmitted(ticking))
        assert "/chk-" in submitted
        counted = last_counts(ticking)

    def going_on() -> bool | None:
        return True if all(now > then + 100 for now, then in zip(last_counts(ticking), counted, strict=True)) else None

    wait_for("ticks beyond those before the kill", going_on)
    others = {name: pid for name, pid in before.items() if name != victim}
    assert others.items() <= pids(ticking).items(), "only what was killed is started again"
    for key in range(KEYS):
        ticks = [int(value) for value in read_all(ticking.bootstrap_servers, TOPIC, key)]
        assert_no_state_was_lost(ticks)


def resubmitted(stack: RunningStack) -> str | None:
    """Return what the job was resubmitted from, once it runs again."""
    found = control.status(stack.data)
    job = next(job for job in found.jobs if job["name"] == "ticking") if found else None
    return job["resumed_from"] if job and job["submitted"] == 2 and job["state"] == "RUNNING" else None


def assert_no_state_was_lost(ticks: list[int]) -> None:
    """Ticks are written at least once, so a restart repeats some; it skips none and never starts from nothing."""
    highest = 0
    for tick in ticks:
        assert 1 <= tick <= highest + 1, f"tick {tick} after {highest}"
        highest = max(highest, tick)
    assert ticks.count(1) == 1, "the count began again"


def test_deaths_and_restarts_are_on_record(ticking: RunningStack) -> None:
    events = [json.loads(line) for line in ticking.plan.paths.events.read_text().splitlines()]
    assert {"started", "ready", "submitting"} <= {event["event"] for event in events}
    for death in (event for event in events if event["event"] == "died"):
        assert death["reason"] == "exit code -9"
        assert death["restart_in_s"] > 0


def test_a_program_that_cannot_submit_is_reported_with_its_last_words(stack: RunningStack) -> None:
    program = "raise SystemExit('no such deployment: nowhere')"
    jobs.request(stack.plan.paths, jobs.JobSpec("broken", (sys.executable, "-c", program), jobs.new_job_id()))

    def problem() -> str | None:
        found = control.status(stack.data)
        entries = [job for job in found.jobs if job["name"] == "broken"] if found else []
        return entries[0]["problem"] if entries else None

    assert "no such deployment: nowhere" in wait_for("the problem", problem)
    jobs.withdraw(stack.plan.paths, "broken")


def test_a_second_stack_ends_without_touching_the_first_even_when_its_supervisor_was_killed(
    stack: RunningStack, tmp_path: Path
) -> None:
    first = pids(stack)
    control.up(tmp_path)
    plan = control.running_plan(tmp_path)
    supervisor = json.loads(plan.paths.state.read_text())["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGKILL)
    found = wait_for(
        "the loss to be seen", lambda: s if (s := control.status(tmp_path)) and s.phase == "lost" else None
    )
    assert len(found.memory_mb) == len(found.services), "its processes live on"

    assert control.down(tmp_path)

    assert not list(marked(plan.stack_id))
    assert all(is_free(port) for port in plan.ports.values())
    assert not control.down(tmp_path)
    assert pids(stack) == first
    with pytest.raises(StackError, match="no stack runs in"):
        control.endpoints(tmp_path)


def test_a_server_that_cannot_start_fails_the_start_by_name_and_leaves_nothing(tmp_path: Path) -> None:
    require_tools()
    settings = tmp_path / "settings.toml"
    settings.write_text('[flink.jvm]\njobmanager = ["-Xmx1k"]\n')
    with pytest.raises(StackError, match="jobmanager does not start: .*"):
        control.up(tmp_path / "data", settings)
    plan_id = json.loads((tmp_path / "data" / "plan.json").read_text())["stack_id"]
    assert not list(marked(plan_id))
