"""Killing what belongs to a stack: one of its servers, or a Python worker of one of its jobs."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
from waiting import wait_for

from orchestration.stack import control
from orchestration.stack.processes import Identity

WORKER = "python worker"


def kill(data: Path, victim: str, random: np.random.Generator) -> int:
    """SIGKILL it, as soon as it is there; a worker is chosen from those that run. Returns its pid."""

    def attempt() -> int | None:
        found = workers(data) if victim == WORKER else server(data, victim)
        if not found:
            return None
        chosen = found[int(random.integers(len(found)))]
        try:
            os.kill(chosen.pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return chosen.pid

    return wait_for(f"{victim} to be killed", attempt)


def server(data: Path, name: str) -> list[psutil.Process]:
    """The process of that name, while it runs."""
    found, plan = control.status(data), control.running_plan(data)
    assert found is not None
    (service,) = (service for service in found.services if service["name"] == name)
    process = Identity(service["pid"], service["started"]).find(plan.stack_id) if service["pid"] else None
    return [process] if process else []


def workers(data: Path) -> list[psutil.Process]:
    """The Python workers, oldest first: forked by the pool's nursery."""
    try:
        nurseries = [nursery for pool in server(data, "worker-pool-1") for nursery in pool.children()]
        found = [worker for nursery in nurseries for worker in nursery.children()]
        return sorted(found, key=lambda worker: (worker.create_time(), worker.pid))
    except psutil.NoSuchProcess:
        return []
