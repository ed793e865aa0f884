"""The stack's own logic, without Java: settings, ports, checkpoints, restarts, identities, refusals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from orchestration.stack import artifacts, control, jobs, resubmission
from orchestration.stack.artifacts import Libraries
from orchestration.stack.cli import stack as stack_command
from orchestration.stack.errors import StackError
from orchestration.stack.jobs import JobSpec
from orchestration.stack.keeper import Condition, Keeper
from orchestration.stack.logs import last_lines, limit_size
from orchestration.stack.paths import Paths, paths_under
from orchestration.stack.plan import Plan, port_names, read_plan
from orchestration.stack.ports import EPHEMERAL_DEFAULT, HOST, assign_ports, is_free
from orchestration.stack.processes import Identity, marked, start_process, sweep
from orchestration.stack.services import Service, services, write_configuration
from orchestration.stack.settings import INFRA, Settings, load_settings

ID = "0123456789abcdef0123456789abcdef"
SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = paths_under(tmp_path / "data")
    for folder in (found.data, found.logs, found.jobs):
        folder.mkdir(parents=True)
    return found


@pytest.fixture
def plan(paths: Paths) -> Iterator[Plan]:
    settings = load_settings()
    quick = {"backoff_first_s": 0.0, "backoff_limit_s": 0.0, "deaths_limit": 3, "stop_grace_s": 5, "stable_s": 1000}
    tables = {**settings.tables, "supervision": {**settings.tables["supervision"], **quick}}
    ports = assign_ports(port_names(settings), paths)
    made = Plan(
        stack_id=f"test-{os.getpid()}-{time.monotonic_ns()}",
        paths=paths,
        infra=INFRA,
        java=Path("/no/java"),
        python=Path(sys.executable),
        libraries=Libraries(Path("/no/kafka"), Path("/no/flink")),
        settings=Settings(tables),
        ports=ports,
    )
    yield made
    sweep(made.stack_id)


# Settings


def test_a_users_file_changes_only_what_it_names(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[stack]\ntaskmanagers = 2\n[flink.config]\n"state.backend.type" = "hashmap"\n')
    base, changed = load_settings(), load_settings(mine)
    assert (base.taskmanagers, changed.taskmanagers) == (1, 2)
    assert changed.flink["config"] == {**base.flink["config"], "state.backend.type": "hashmap"}
    assert changed.kafka == base.kafka


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stack]\ntaskmanager = 2\n", r"unknown in \[stack\]: \['taskmanager'\]"),
        ("[stak]\n", r"unknown table \[stak\]"),
        ("[stack]\ntaskmanagers = 0\n", "expected a whole number from 1, found 0"),
        ("[stack", "not TOML"),
    ],
)
def test_a_mistaken_setting_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    with pytest.raises(StackError, match=message):
        load_settings(mine)


def test_pipeline_options_are_flags_and_values() -> None:
    options = Settings({"pipeline": {"streaming": True, "drain": False, "max_parallelism": 128}}).pipeline_options()
    assert options == ["--streaming", "--max_parallelism=128"]


def test_backoff_doubles_up_to_its_limit(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[supervision]\nbackoff_first_s = 0.5\nbackoff_limit_s = 3\n")
    supervision = load_settings(mine).supervision
    assert [supervision.backoff_s(deaths) for deaths in (1, 2, 3, 4, 50)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_the_broker_keeps_what_exactly_once_rests_on() -> None:
    server = load_settings().kafka["server"]
    assert server["auto.create.topics.enable"] is False
    assert server["transaction.max.timeout.ms"] <= 45_000
    assert server["offsets.retention.minutes"] >= 5 * 365 * 24 * 60
    assert {value for name, value in server.items() if name.endswith("replication.factor")} == {1}


def test_a_taskmanagers_heap_and_direct_memory_are_what_flink_is_told() -> None:
    """Flink does not see the JVM's own options: the two must be kept in step by hand."""
    flink = load_settings().flink
    memory = {
        name: int(str(value).removesuffix("mb")) for name, value in flink["taskmanager"].items() if "memory" in name
    }
    heap = sum(memory[f"taskmanager.memory.{part}.heap.size"] for part in ("framework", "task"))
    assert f"-Xmx{heap}m" in flink["jvm"]["taskmanager"]
    off_heap = sum(memory[f"taskmanager.memory.{part}.off-heap.size"] for part in ("framework", "task"))
    direct = next(o for o in flink["jvm"]["taskmanager"] if o.startswith("-XX:MaxDirectMemorySize="))
    assert int(direct.split("=")[1].removesuffix("m")) == off_heap + memory["taskmanager.memory.network.max"] + 256


# Ports


def test_ports_are_free_distinct_below_the_ephemeral_range_and_kept(paths: Paths) -> None:
    names = dict.fromkeys(("kafka", "rest", "rpc"), 0)
    ports = assign_ports(names, paths)
    assert len(set(ports.values())) == len(names)
    assert all(is_free(port) and port < EPHEMERAL_DEFAULT for port in ports.values())
    assert assign_ports(names, paths) == ports
    assert assign_ports(names, paths, afresh=True) != ports


@pytest.mark.parametrize("configured", [True, False])
def test_a_taken_port_is_refused_by_number_and_name(paths: Paths, configured: bool) -> None:
    port = assign_ports({"kafka": 0}, paths)["kafka"]
    with socket.socket() as server:
        server.bind((HOST, port))
        server.listen()
        with pytest.raises(StackError, match=f"port {port} for kafka is taken by another process"):
            assign_ports({"kafka": port if configured else 0}, paths)


def test_one_port_for_two_servers_is_refused(paths: Paths) -> None:
    port = assign_ports({"kafka": 0}, paths)["kafka"]
    with pytest.raises(StackError, match=f"port {port} is configured twice, the second time for rest"):
        assign_ports({"kafka": port, "rest": port}, paths)


def test_pools_count_their_ports_on_from_the_first() -> None:
    tables = {"stack": {"worker_pools": 2, "taskmanagers": 1}, "flink": {"prometheus": {"enabled": True}}}
    settings = Settings({**tables, "ports": {"kafka": 0, "worker_pool": 50_000, "prometheus": 9_250}})
    expected = {
        "kafka": 0,
        "worker_pool_1": 50_000,
        "worker_pool_2": 50_001,
        "prometheus_0": 9_250,
        "prometheus_1": 9_251,
    }
    assert port_names(settings) == expected


# Java and Maven


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with nothing on it, to put programs on."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


@pytest.fixture
def infra(tmp_path: Path) -> Path:
    folder = tmp_path / "infra"
    for name in artifacts.POMS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("<project/>")
    return folder


def test_missing_java_is_said_before_anything_starts(tools: Path, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="Java is missing: install a JDK or JRE 17 or later"):
        control.up(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_old_java_is_refused_with_what_it_says(tools: Path) -> None:
    program(tools, "java", "echo 'openjdk version \"11.0.2\" 2019' >&2")
    with pytest.raises(StackError, match=r"Java 17 or later is needed, .* says: openjdk version \"11.0.2\""):
        artifacts.find_java()


def test_missing_maven_matters_only_while_the_jars_are_missing(tools: Path, infra: Path) -> None:
    program(tools, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    assert "Maven is missing" in (artifacts.missing_tools(infra) or "")
    with pytest.raises(StackError, match="Maven is missing"):
        artifacts.resolve(infra)
    resolve_with_a_maven_that_copies(tools, infra)
    (tools / "mvn").unlink()
    assert artifacts.missing_tools(infra) is None
    assert artifacts.resolve(infra).kafka.is_dir()


def resolve_with_a_maven_that_copies(tools: Path, infra: Path) -> Libraries:
    copy = 'for a in "$@"; do case $a in -Dlib.directory=*) /bin/mkdir -p "${a#*=}/kafka" "${a#*=}/flink";; esac; done'
    program(tools, "mvn", copy)
    return artifacts.resolve(infra)


def test_a_changed_pom_is_resolved_again(tools: Path, infra: Path) -> None:
    libraries = resolve_with_a_maven_that_copies(tools, infra)
    (libraries.kafka / "old.jar").touch()
    artifacts.resolve(infra)
    assert (libraries.kafka / "old.jar").exists()
    (infra / "kafka" / "pom.xml").write_text("<project><version>2</version></project>")
    artifacts.resolve(infra)
    assert not (libraries.kafka / "old.jar").exists()


def test_a_resolution_that_fails_says_mavens_first_error(tools: Path, infra: Path) -> None:
    program(tools, "mvn", "echo '[ERROR] Could not find artifact x:y:1'; echo '[ERROR] more'; exit 1")
    with pytest.raises(StackError, match="Maven could not resolve .*: .ERROR. Could not find artifact x:y:1$"):
        artifacts.resolve(infra)


# Configuration


def test_every_address_in_the_configuration_is_loopback(plan: Plan) -> None:
    write_configuration(plan)
    kafka = dict(line.split("=", 1) for line in plan.paths.kafka_config.read_text().splitlines())
    assert (
        kafka["listeners"]
        == f"PLAINTEXT://{HOST}:{plan.ports['kafka']},CONTROLLER://{HOST}:{plan.ports['kafka_controller']}"
    )
    flink = (plan.paths.flink_config / "config.yaml").read_text()
    for name in ("jobmanager.bind-host", "taskmanager.bind-host", "rest.bind-address"):
        assert f"{name}: {HOST}\n" in flink


def test_class_paths_hold_jars_only(plan: Plan) -> None:
    """The job server stages every entry of its class path, and a directory fails the job."""
    for service in services(plan):
        for option, value in zip(service.argv, service.argv[1:]):
            if option == "-cp":
                assert value.endswith("/*"), service.name


def test_a_plan_is_read_back_as_it_was_written(plan: Plan) -> None:
    plan.write()
    assert read_plan(plan.paths.data) == plan


# Processes


def start(plan: Plan, argv: tuple[str, ...], name: str = "sleeper") -> subprocess.Popen[bytes]:
    log, data = plan.paths.log(name), plan.paths.data
    return start_process(argv, stack_id=plan.stack_id, service=name, log=log, directory=data, environment={})


def test_a_pid_given_to_a_stranger_is_not_ours(plan: Plan) -> None:
    ours = start(plan, SLEEP)
    identity = Identity.of(ours.pid)
    assert identity.find(plan.stack_id) is not None
    assert identity.find("another stack") is None
    assert Identity(ours.pid, identity.started - 60).find(plan.stack_id) is None
    assert Identity.of(os.getpid()).find(plan.stack_id) is None, "not started by the stack"


def test_a_sweep_ends_grandchildren_of_their_own_session_and_no_stranger(plan: Plan) -> None:
    script = f"import subprocess, time; subprocess.Popen({list(SLEEP)!r}, start_new_session=True); time.sleep(600)"
    parent = start(plan, (sys.executable, "-c", script))
    stranger = subprocess.Popen(SLEEP)
    try:
        while len(list(marked(plan.stack_id))) < 2:
            time.sleep(0.05)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert sweep(plan.stack_id) == 1, "the grandchild outlived its parent"
        assert not list(marked(plan.stack_id))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def keeper_of(plan: Plan, argv: tuple[str, ...], ready: bool = True) -> tuple[Keeper, list[str]]:
    events: list[str] = []
    service = Service("sleeper", argv, "", lambda _: ready)
    return Keeper(service, plan, lambda event, name, **details: events.append(event)), events


def tick_until(keeper: Keeper, condition: Condition) -> None:
    deadline = time.monotonic() + 60
    while keeper.condition is not condition:
        assert time.monotonic() < deadline, f"still {keeper.condition}"
        keeper.tick()
        time.sleep(0.01)


def test_a_killed_process_is_started_again_and_its_temporary_files_are_gone(plan: Plan) -> None:
    keeper, events = keeper_of(plan, SLEEP)
    tick_until(keeper, Condition.READY)
    first = keeper.describe()["pid"]
    leftover = plan.paths.temporary / "sleeper-1" / "big"
    leftover.touch()
    os.kill(first, signal.SIGKILL)
    tick_until(keeper, Condition.WAITING)
    assert not leftover.exists()
    tick_until(keeper, Condition.READY)
    assert keeper.describe()["pid"] != first
    assert keeper.restarts == 1
    assert events == ["started", "ready", "died", "started", "ready"]
    keeper.ask_to_stop()
    keeper.finish_stop()
    assert not list(marked(plan.stack_id))


def test_a_process_that_dies_too_often_in_a_row_stays_down(plan: Plan) -> None:
    keeper, events = keeper_of(plan, (sys.executable, "-c", "raise SystemExit(1)"), ready=False)
    tick_until(keeper, Condition.DOWN)
    assert events.count("started") == 3
    assert events[-1] == "gave up"
    keeper.tick()
    assert events.count("started") == 3


def test_a_process_that_ignores_sigterm_is_killed(plan: Plan) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    tables = {**plan.settings.tables["supervision"], "stop_grace_s": 0.2}
    impatient = Plan(**{**plan_fields(plan), "settings": Settings({**plan.settings.tables, "supervision": tables})})
    keeper, events = keeper_of(impatient, (sys.executable, "-c", script))
    tick_until(keeper, Condition.READY)
    while not last_lines(plan.paths.log("sleeper"), 1):
        time.sleep(0.05)
    keeper.ask_to_stop()
    keeper.finish_stop()
    assert events[-2:] == ["killed", "stopped"]
    assert not list(marked(plan.stack_id))


def plan_fields(plan: Plan) -> dict[str, object]:
    return {name: getattr(plan, name) for name in Plan.__dataclass_fields__}


# Jobs


def checkpoint(paths: Paths, number: int, complete: bool = True) -> Path:
    folder = paths.checkpoints / ID / f"chk-{number}"
    folder.mkdir(parents=True)
    if complete:
        (folder / "_metadata").touch()
    return folder


def test_the_newest_complete_checkpoint_is_found_by_number(paths: Paths) -> None:
    assert jobs.newest_checkpoint(paths.checkpoints, ID) is None
    checkpoint(paths, 9)
    newest = checkpoint(paths, 10)
    checkpoint(paths, 11, complete=False)
    (paths.checkpoints / ID / "shared").mkdir()
    assert jobs.newest_checkpoint(paths.checkpoints, ID) == newest


def test_pruning_keeps_the_newest_and_whatever_is_being_written(paths: Paths) -> None:
    for number in (7, 8, 9, 11):
        checkpoint(paths, number)
    checkpoint(paths, 10, complete=False)
    checkpoint(paths, 12, complete=False)
    jobs.prune_checkpoints(paths.checkpoints, ID, keep=2)
    assert sorted(path.name for path in (paths.checkpoints / ID).iterdir()) == ["chk-11", "chk-12", "chk-9"]


def test_nothing_is_pruned_before_a_checkpoint_is_complete(paths: Paths) -> None:
    checkpoint(paths, 1, complete=False)
    assert jobs.prune_checkpoints(paths.checkpoints, ID, keep=1) == []


def test_a_job_is_wanted_once_until_it_is_withdrawn(paths: Paths) -> None:
    spec = JobSpec("book", ("program",), ID, savepoint="file:/s")
    jobs.request(paths, spec)
    assert list(jobs.wanted(paths)) == [spec]
    with pytest.raises(StackError, match="job book is running or to be run already"):
        jobs.request(paths, JobSpec("book", ("program",), jobs.new_job_id()))
    jobs.withdraw(paths, "book")
    assert list(jobs.wanted(paths)) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "../x"}, "job name: expected"),
        ({"job_id": "7"}, "expected an id of 32 hexadecimal digits, found '7'"),
        ({"argv": ()}, "expected a program"),
    ],
)
def test_an_impossible_job_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(StackError, match=message):
        JobSpec(**{"name": "book", "argv": ("program",), "job_id": ID, **fields})  # type: ignore[arg-type]


class Flink:
    """What the JobManager answers, and the programs that were started to submit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: dict[str, str] | None = {}
        monkeypatch.setattr(resubmission, "job_states", lambda _: self.states)


@pytest.fixture
def flink(monkeypatch: pytest.MonkeyPatch) -> Flink:
    return Flink(monkeypatch)


def submitting(plan: Plan) -> tuple[resubmission.JobKeeper, list[dict[str, object]]]:
    events: list[dict[str, object]] = []
    keeper = resubmission.JobKeeper(plan, lambda event, name, **details: events.append({"event": event, **details}))
    return keeper, events


def starts(events: list[dict[str, object]]) -> list[object]:
    return [event["resumed_from"] for event in events if event["event"] == "submitting"]


def test_a_lost_jobmanagers_job_goes_on_from_its_newest_checkpoint(plan: Plan, flink: Flink) -> None:
    jobs.request(plan.paths, JobSpec("book", SLEEP, ID))
    keeper, events = submitting(plan)
    keeper.tick(may_submit=False)
    assert starts(events) == []
    keeper.tick(may_submit=True)
    keeper.tick(may_submit=True)
    assert starts(events) == [None], "once, from nothing"
    flink.states = {ID: "RUNNING"}
    keeper.tick(may_submit=True)
    newest = checkpoint(plan.paths, 3)
    flink.states = None
    keeper.tick(may_submit=True)
    keeper.jobmanager_lost()
    flink.states = {}
    keeper.tick(may_submit=True)
    assert starts(events) == [None, newest.as_uri()]
    keeper.stop()
    assert not list(marked(plan.stack_id))


def test_a_first_start_goes_from_the_given_savepoint_and_a_later_one_from_the_jobs_own_checkpoint(
    plan: Plan, flink: Flink
) -> None:
    spec = JobSpec("book", SLEEP, ID, savepoint="file:/given")
    jobs.request(plan.paths, spec)
    keeper, events = submitting(plan)
    keeper.tick(may_submit=True)
    keeper.jobmanager_lost()
    own = checkpoint(plan.paths, 1)
    keeper.tick(may_submit=True)
    assert starts(events) == ["file:/given", own.as_uri()]
    keeper.stop()


@pytest.mark.parametrize("state", ["FINISHED", "CANCELED", "FAILED"])
def test_a_job_that_ended_by_itself_is_not_resubmitted(plan: Plan, flink: Flink, state: str) -> None:
    jobs.request(plan.paths, JobSpec("book", SLEEP, ID))
    keeper, events = submitting(plan)
    flink.states = {ID: state}
    keeper.tick(may_submit=True)
    keeper.jobmanager_lost()
    flink.states = {}
    keeper.tick(may_submit=True)
    assert starts(events) == []
    assert keeper.describe()[0]["state"] == state


def test_a_withdrawn_job_is_no_longer_submitted(plan: Plan, flink: Flink) -> None:
    jobs.request(plan.paths, JobSpec("book", SLEEP, ID))
    keeper, _ = submitting(plan)
    keeper.tick(may_submit=True)
    jobs.withdraw(plan.paths, "book")
    keeper.tick(may_submit=True)
    assert keeper.describe() == []
    assert not list(marked(plan.stack_id))


def test_a_program_that_fails_is_tried_again_and_given_up_with_its_last_words(plan: Plan, flink: Flink) -> None:
    argv = (sys.executable, "-c", "raise SystemExit('topic prices is missing')")
    jobs.request(plan.paths, JobSpec("book", argv, ID))
    keeper, events = submitting(plan)
    deadline = time.monotonic() + 60
    while jobs.final_state(plan.paths, "book") is None:
        assert time.monotonic() < deadline
        keeper.tick(may_submit=True)
        time.sleep(0.02)
    assert len(starts(events)) == 3
    assert "topic prices is missing" in str(keeper.describe()[0]["problem"])


def test_the_submission_names_the_job_its_id_and_where_the_stack_is(plan: Plan) -> None:
    argv = resubmission.submission_argv(JobSpec("book", ("program", "--own"), ID), plan, "file:/chk-1")
    assert argv[:2] == ["program", "--own"]
    assert f"--job_endpoint={HOST}:{plan.ports['job_server']}" in argv
    assert "--savepoint_path=file:/chk-1" in argv
    configuration = next(word for word in argv if word.startswith("--flink_conf_dir=")).split("=", 1)[1]
    assert f"job-id: {ID}" in (Path(configuration) / "config.yaml").read_text()


# Logs and the command


def test_a_log_over_its_limit_is_moved_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100)
        assert not limit_size(path, 400)
        assert limit_size(path, 399)
        writer.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert len(last_lines(tmp_path / "kafka.log.1", 1000)) == 100


def test_status_of_a_stack_that_never_ran_is_not_ready(tmp_path: Path) -> None:
    done = CliRunner().invoke(stack_command, ["status", "--json", "--data", str(tmp_path)])
    assert done.exit_code == 3
    assert json.loads(done.output)["phase"] == "never started"


def test_an_error_of_the_stack_is_one_line(tools: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(stack_command, ["up", "--data", str(tmp_path / "data")])
    assert done.exit_code == 1
    assert done.output.strip().splitlines() == [
        "Error: Java is missing: install a JDK or JRE 17 or later, or set JAVA_HOME"
    ]


def test_down_where_nothing_ran_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(stack_command, ["down", "--data", str(tmp_path)])
    assert done.exit_code == 0
    assert "no stack runs in" in done.output


def test_down_leaves_a_process_alone_that_has_the_supervisors_old_pid(plan: Plan) -> None:
    stranger = subprocess.Popen(SLEEP)
    try:
        started = psutil.Process(stranger.pid).create_time()
        plan.write()
        state = {"stack_id": plan.stack_id, "phase": "ready", "problem": None, "services": [], "jobs": []}
        plan.paths.state.write_text(json.dumps({**state, "supervisor": {"pid": stranger.pid, "started": started}}))
        assert not control.down(plan.paths.data)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
