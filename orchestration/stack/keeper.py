"""Keeps one process of the stack running: start, wait until ready, notice its death, wait, start again."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from orchestration.stack.plan import Plan
from orchestration.stack.processes import Identity, start_process, stop_group, sweep
from orchestration.stack.services import INSTANCE, Service, worker_environment

Record = Callable[..., None]


class Condition(StrEnum):
    """How a process of the stack is."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # to be started again after its back-off
    DOWN = "down"  # died too often in a row: not started again
    STOPPED = "stopped"


class Keeper:
    """One service of the stack and its newest process."""

    def __init__(self, service: Service, plan: Plan, record: Record) -> None:
        self.service = service
        self.condition = Condition.WAITING
        self.restarts = 0
        self.deaths = 0  # in a row
        self._plan = plan
        self._limits = plan.settings.supervision
        self._record = record
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None
        self._instance = ""
        self._starts = 0
        self._since = 0.0
        self._due = 0.0

    def tick(self) -> None:
        """Do what is due now; called a few times a second."""
        now = time.monotonic()
        if self.condition is Condition.WAITING:
            if now >= self._due:
                self._start(now)
        elif self.condition in (Condition.STARTING, Condition.READY):
            self._watch(now)

    def _start(self, now: float) -> None:
        self._starts += 1
        self.restarts = self._starts - 1
        self._instance = f"{self.service.name}-{self._starts}"
        self._temporary.mkdir(parents=True)
        self._process = start_process(
            [word.replace(INSTANCE, self._instance) for word in self.service.argv],
            stack_id=self._plan.stack_id,
            service=self.service.name,
            log=self._plan.paths.log(self.service.name),
            directory=self._plan.paths.data,
            environment=worker_environment(),
        )
        self._identity = Identity.of(self._process.pid)
        self.condition, self._since = Condition.STARTING, now
        self._record("started", self.service.name, pid=self._process.pid, restart=self.restarts)

    @property
    def _temporary(self) -> Path:
        return self._plan.paths.temporary / self._instance

    def _clear(self) -> int:
        """End what the process has left running and remove its temporary files; a killed one does neither."""
        left = sweep(self._plan.stack_id, self.service.name)
        shutil.rmtree(self._temporary, ignore_errors=True)
        return left

    def _watch(self, now: float) -> None:
        process = self._process
        if process is None:
            raise RuntimeError(f"{self.service.name}: {self.condition} without a process")
        code = process.poll()
        if code is not None:
            self._died(now, f"exit code {code}")
        elif self.condition is Condition.STARTING:
            if self.service.ready(self._instance):
                self.condition, self._since = Condition.READY, now
                self._record("ready", self.service.name, pid=process.pid)
            elif now - self._since > self._limits.ready_timeout_s:
                stop_group(process, signal.SIGKILL)
                process.wait()
                self._died(now, f"not ready within {self._limits.ready_timeout_s} s")
        elif self.deaths and now - self._since > self._limits.stable_s:
            self.deaths = 0

    def _died(self, now: float, reason: str) -> None:
        left = self._clear()
        self.deaths += 1
        pid, self._process = self._identity.pid if self._identity else None, None
        if self.deaths >= self._limits.deaths_limit:
            self.condition = Condition.DOWN
            self._record("gave up", self.service.name, pid=pid, reason=reason, deaths=self.deaths)
            return
        wait_s = self._limits.backoff_s(self.deaths)
        self.condition, self._since, self._due = Condition.WAITING, now, now + wait_s
        self._record("died", self.service.name, pid=pid, reason=reason, children_killed=left, restart_in_s=wait_s)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process group, once."""
        self.condition = Condition.STOPPED
        if self._process is not None:
            stop_group(self._process, signal.SIGTERM)

    def finish_stop(self) -> None:
        """Wait for the end that was asked for; kill what has not ended within the grace."""
        if self._process is None:
            return
        try:
            self._process.wait(self._limits.stop_grace_s)
        except subprocess.TimeoutExpired:
            self._record("killed", self.service.name, pid=self._process.pid, reason="did not stop in time")
            stop_group(self._process, signal.SIGKILL)
            self._process.wait()
        self._clear()
        self._record("stopped", self.service.name, pid=self._process.pid)
        self._process = None

    def describe(self) -> dict[str, Any]:
        """Return what the state file says of this service."""
        running = self._process is not None and self._identity is not None
        return {
            "name": self.service.name,
            "condition": self.condition.value,
            "pid": self._identity.pid if running and self._identity else None,
            "started": self._identity.started if running and self._identity else None,
            "address": self.service.address,
            "restarts": self.restarts,
            "deaths": self.deaths,
        }
