"""Start, stop and describe a stack from outside its supervisor."""

import contextlib
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from orchestration.stack.artifacts import find_java, resolve
from orchestration.stack.errors import StackError
from orchestration.stack.files import read_json, write_json
from orchestration.stack.keeper import Condition
from orchestration.stack.logs import last_lines
from orchestration.stack.paths import Paths, paths_under
from orchestration.stack.plan import Endpoints, Plan, port_names, read_plan
from orchestration.stack.ports import assign_ports
from orchestration.stack.processes import Identity, start_process, sweep
from orchestration.stack.services import worker_environment
from orchestration.stack.settings import INFRA, load_settings

POLL_S = 0.2
FIRST_DEATHS_LIMIT = 3  # while starting; later the supervisor is more patient
SUPERVISOR = "supervisor"
OVER = frozenset({"failed", "stopped"})

Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Status:
    """A stack as its supervisor last wrote it; ``phase`` is "lost" when the supervisor died without stopping it."""

    phase: str
    problem: str | None
    services: tuple[Mapping[str, Any], ...]
    jobs: tuple[Mapping[str, Any], ...]
    memory_mb: Mapping[str, float]

    @property
    def is_ready(self) -> bool:
        return self.phase == "ready"


def up(
    data: Path,
    overrides: Path | None = None,
    *,
    new_ports: bool = False,
    infra: Path = INFRA,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _: None,
) -> Endpoints:
    """Start the stack in ``data`` and return its addresses when every process is ready; one that runs is left alone.

    ``say`` is told each step before the processes start, ``progress`` the supervisor's state while they do.

    Raises:
        StackError: Java or Maven is missing, a port is taken, a setting is wrong, or a process does not start. What had
            been started is stopped again.
    """
    paths = paths_under(data)
    plan = read_plan(data)
    if plan is None or _supervisor(plan) is None:
        plan = _plan_start(paths, overrides, new_ports=new_ports, infra=infra, say=say, past=plan)
        _start_supervisor(plan)
    elif overrides is not None or new_ports:
        raise StackError(f"the stack in {paths.data} is running: stop it before changing its settings")
    try:
        _wait_until_ready(plan, progress)
    except BaseException:
        down(data)
        raise
    return plan.endpoints


def down(data: Path, progress: Progress = lambda _: None) -> bool:
    """Stop exactly what the stack in ``data`` started; return whether anything was running."""
    plan = read_plan(data)
    if plan is None:
        return False
    process = _supervisor(plan)
    if process is not None:
        process.send_signal(signal.SIGTERM)
        _wait_until_gone(process, plan, progress)
    left = sweep(plan.stack_id)
    state = read_json(plan.paths.state)
    if state and state["phase"] not in OVER:
        _write_stopped(plan, state)
    return process is not None or left > 0


def status(data: Path) -> Status | None:
    """Return how the stack in ``data`` is, or None where none was ever started."""
    plan = read_plan(data)
    state = read_json(plan.paths.state) if plan else None
    if plan is None or state is None:
        return None
    phase = state["phase"]
    if phase not in OVER and _supervisor(plan) is None:
        phase = "lost"
    memory = {service["name"]: _memory_mb(service, plan) for service in state["services"] if service["pid"]}
    return Status(phase, state["problem"], tuple(state["services"]), tuple(state["jobs"]), memory)


def endpoints(data: Path) -> Endpoints:
    """Return the addresses of the stack that runs in ``data``.

    Raises:
        StackError: none runs there.
    """
    plan = read_plan(data)
    if plan is None or _supervisor(plan) is None:
        raise StackError(f"no stack runs in {paths_under(data).data}: start one with `plumbline stack up`")
    return plan.endpoints


def running_plan(data: Path) -> Plan:
    """Return the plan of the stack that runs in ``data``: settings, paths and addresses.

    Raises:
        StackError: none runs there.
    """
    endpoints(data)
    plan = read_plan(data)
    if plan is None:
        raise StackError(f"{data}: the plan is gone")
    return plan


def _plan_start(
    paths: Paths, overrides: Path | None, *, new_ports: bool, infra: Path, say: Callable[[str], None], past: Plan | None
) -> Plan:
    settings = load_settings(overrides, infra)
    java = find_java()
    if past is not None and (left := sweep(past.stack_id)):
        say(f"ended {left} processes that a killed supervisor had left behind")
    libraries = resolve(infra, say)
    for folder in (paths.data, paths.logs, paths.jobs):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (paths.temporary, paths.artifacts):  # of no use to a new JobManager
        shutil.rmtree(folder, ignore_errors=True)
    ports = assign_ports(port_names(settings), paths, afresh=new_ports)
    plan = Plan(uuid.uuid4().hex, paths, infra, java, Path(sys.executable), libraries, settings, ports)
    plan.write()
    paths.state.unlink(missing_ok=True)
    return plan


def _start_supervisor(plan: Plan) -> None:
    process = start_process(
        [str(plan.python), "-m", "orchestration.stack.supervisor", str(plan.paths.data)],
        stack_id=plan.stack_id,
        service=SUPERVISOR,
        log=plan.paths.log(SUPERVISOR),
        directory=plan.paths.data,
        environment=worker_environment(),
    )
    deadline = time.monotonic() + plan.settings.supervision.ready_timeout_s
    while read_json(plan.paths.state) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            said = last_lines(plan.paths.log(SUPERVISOR), 1)
            raise StackError(f"the supervisor did not start: {said[0] if said else plan.paths.log(SUPERVISOR)}")
        time.sleep(POLL_S)


def _wait_until_ready(plan: Plan, progress: Progress) -> None:
    deadline = time.monotonic() + 2 * plan.settings.supervision.ready_timeout_s
    while True:
        state = _state(plan)
        progress(state)
        if state["phase"] == "ready":
            return
        if state["phase"] in OVER or _supervisor(plan) is None:
            raise StackError(state["problem"] or f"the supervisor ended: see {plan.paths.log(SUPERVISOR)}")
        for service in state["services"]:
            if service["deaths"] >= FIRST_DEATHS_LIMIT or service["condition"] == Condition.DOWN:
                log = plan.paths.log(service["name"])
                said = [line for line in last_lines(log, 50) if line.strip()]
                raise StackError(
                    f"{service['name']} does not start: {said[-1] if said else 'it said nothing'}; see {log}"
                )
        if time.monotonic() > deadline:
            waiting = [s["name"] for s in state["services"] if s["condition"] != Condition.READY]
            raise StackError(f"not ready in time: {', '.join(waiting)}; see {plan.paths.logs}")
        time.sleep(POLL_S)


def _wait_until_gone(process: psutil.Process, plan: Plan, progress: Progress) -> None:
    grace_s = plan.settings.supervision.stop_grace_s * (len(_state(plan)["services"]) + 1)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        progress(_state(plan))
        try:
            process.wait(POLL_S)
            return
        except psutil.TimeoutExpired:
            continue
    with contextlib.suppress(psutil.Error):
        process.kill()


def _state(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] | None = read_json(plan.paths.state)
    if found is None:
        raise StackError(f"{plan.paths.state} is gone: `plumbline stack down` clears up")
    return found


def _supervisor(plan: Plan) -> psutil.Process | None:
    """The living supervisor of the plan, known by pid, start time and mark."""
    state = read_json(plan.paths.state)
    if state is None or state["stack_id"] != plan.stack_id:
        return None
    process = Identity(**state["supervisor"]).find(plan.stack_id)
    with contextlib.suppress(psutil.Error):
        if process is not None and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _memory_mb(service: Mapping[str, Any], plan: Plan) -> float:
    """Memory of a service and all its children, shared pages counted once; 0 when it has just ended."""
    root = Identity(service["pid"], service["started"]).find(plan.stack_id)
    total = 0
    with contextlib.suppress(psutil.Error):
        for process in [root, *root.children(recursive=True)] if root else []:
            used = process.memory_full_info()
            total += getattr(used, "pss", used.rss)
    return round(total / (1 << 20), 1)


def _write_stopped(plan: Plan, state: dict[str, Any]) -> None:
    for service in state["services"]:
        service |= {"condition": Condition.STOPPED.value, "pid": None, "started": None}
    write_json(plan.paths.state, {**state, "phase": "stopped"})
