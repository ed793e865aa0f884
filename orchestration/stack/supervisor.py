"""The process that starts a stack, keeps it running and stops it: ``python -m orchestration.stack.supervisor DATA``.

It is told to stop by SIGTERM. What it knows is in ``state.json``, what happened in ``logs/events.jsonl``.
"""

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from orchestration.stack.errors import StackError
from orchestration.stack.files import write_json
from orchestration.stack.keeper import Condition, Keeper
from orchestration.stack.logs import limit_size
from orchestration.stack.plan import Plan, read_plan
from orchestration.stack.processes import Identity
from orchestration.stack.resubmission import JobKeeper
from orchestration.stack.services import format_command, services, write_configuration

TICK_S = 0.2
JOBS_EVERY_S = 1.0
LOGS_EVERY_S = 10.0
MEGABYTE = 1 << 20
FORMATTED = "meta.properties"
FORMAT_TIMEOUT_S = 120


class Supervisor:
    """All processes and jobs of one stack."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._keepers = [Keeper(service, plan, self._record) for service in services(plan)]
        self._jobs = JobKeeper(plan, self._record)
        self._identity = Identity.of(os.getpid())
        self._stopping = False
        self._problem: str | None = None
        self._written: dict[str, Any] = {}
        self._jobmanager_starts = 0

    def run(self) -> None:
        """Keep the stack running until told to stop."""
        signal.signal(signal.SIGTERM, self._stop_asked)
        self._write_state("preparing")
        try:
            prepare(self._plan)
        except StackError as error:
            self._problem = str(error)
            self._write_state("failed")
            return
        jobs_due = logs_due = 0.0
        while not self._stopping:
            for keeper in self._keepers:
                keeper.tick()
            now = time.monotonic()
            if now >= jobs_due:
                self._tend_jobs()
                jobs_due = now + JOBS_EVERY_S
            if now >= logs_due:
                self._limit_logs()
                logs_due = now + LOGS_EVERY_S
            self._write_state(self._phase())
            time.sleep(TICK_S)
        self._stop()

    def _tend_jobs(self) -> None:
        conditions = {keeper.service.name: keeper.condition for keeper in self._keepers}
        jobmanager = next(keeper for keeper in self._keepers if keeper.service.name == "jobmanager")
        if jobmanager.restarts > self._jobmanager_starts:
            self._jobmanager_starts = jobmanager.restarts
            self._jobs.jobmanager_lost()
        if conditions["jobmanager"] is Condition.READY:
            self._jobs.tick(may_submit=all(condition is Condition.READY for condition in conditions.values()))

    def _phase(self) -> str:
        conditions = {keeper.condition for keeper in self._keepers}
        if Condition.DOWN in conditions:
            return "degraded"
        return "ready" if conditions == {Condition.READY} else "starting"

    def _stop_asked(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopping = True

    def _stop(self) -> None:
        self._write_state("stopping")
        self._jobs.stop()
        for keeper in reversed(self._keepers):
            keeper.ask_to_stop()
            keeper.finish_stop()
            self._write_state("stopping")
        self._write_state("stopped")

    def _limit_logs(self) -> None:
        for path in self._plan.paths.logs.glob("*.log"):
            limit_size(path, self._plan.settings.supervision.log_limit_mb * MEGABYTE)

    def _record(self, event: str, name: str, **details: Any) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, "name": name, **details}
        with self._plan.paths.events.open("a", encoding="utf-8") as events:
            events.write(json.dumps(line) + "\n")

    def _write_state(self, phase: str) -> None:
        state = {
            "stack_id": self._plan.stack_id,
            "phase": phase,
            "problem": self._problem,
            "supervisor": {"pid": self._identity.pid, "started": self._identity.started},
            "services": [keeper.describe() for keeper in self._keepers],
            "jobs": self._jobs.describe(),
        }
        if state != self._written:
            write_json(self._plan.paths.state, state)
            self._written = state


def prepare(plan: Plan) -> None:
    """Write the configuration files, and format the broker's directory unless it was before.

    Raises:
        StackError: the broker's directory could not be formatted.
    """
    write_configuration(plan)
    if (plan.paths.kafka_data / FORMATTED).is_file():
        return
    command = format_command(plan, _new_cluster_id())
    done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise StackError(f"Kafka could not format {plan.paths.kafka_data}: {said[-1] if said else 'no reason given'}")


def _new_cluster_id() -> str:
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):  # the format tool would take it for an option
            return text


def main(argv: list[str]) -> None:
    """Supervise the stack planned in the data directory, unless another supervisor does."""
    plan = read_plan(Path(argv[0]))
    if plan is None:
        raise SystemExit(f"{argv[0]}: no stack is planned here; start one with `plumbline stack up`")
    with plan.paths.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"{plan.paths.data}: another supervisor keeps this stack") from None
        Supervisor(plan).run()


if __name__ == "__main__":
    main(sys.argv[1:])
