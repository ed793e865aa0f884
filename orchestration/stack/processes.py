"""Processes that are the stack's own, known by a mark in their environment that every child inherits.

A pid alone proves nothing: it may have been given to a stranger since. The mark holds the random id of one `up`, so
what carries it was started by that stack, whatever its pid, parent or process group.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

STACK_MARK = "PLUMBLINE_STACK_ID"
SERVICE_MARK = "PLUMBLINE_STACK_SERVICE"
START_TIME_TOLERANCE_S = 1.0  # the clock may be corrected between two readings
SWEEPS_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken for another: pid and start time (seconds since the epoch)."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Self:
        return cls(pid, psutil.Process(pid).create_time())

    def find(self, stack_id: str) -> psutil.Process | None:
        """Return the process while it runs and carries the mark of the stack, else None."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > START_TIME_TOLERANCE_S:
                return None
            return process if process.environ().get(STACK_MARK) == stack_id else None
        except psutil.Error:
            return None


def start_process(
    argv: Sequence[str], *, stack_id: str, service: str, log: Path, directory: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program in a session, and so a process group, of its own, appending all it says to ``log``."""
    marks = {STACK_MARK: stack_id, SERVICE_MARK: service}
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **environment, **marks},
            start_new_session=True,
        )


def stop_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the process group that the process leads; nothing when the process has been reaped."""
    if process.poll() is None:  # not reaped, so the kernel cannot have given its pid away
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def marked(stack_id: str, service: str | None = None) -> Iterator[psutil.Process]:
    """Yield the living processes of a stack, or of one of its services, except the caller itself."""
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            environment = process.environ()
        except (psutil.Error, OSError):
            continue  # gone, or another user's
        if environment.get(STACK_MARK) == stack_id and service in (None, environment.get(SERVICE_MARK)):
            yield process


def sweep(stack_id: str, service: str | None = None) -> int:
    """Kill what is left of a stack or of one of its services, and return how many processes that were."""
    killed: set[int] = set()
    for _ in range(SWEEPS_LIMIT):  # a process may have started another while we looked
        found = list(marked(stack_id, service))
        if not found:
            break
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()  # psutil compares the start time before it sends the signal
                killed.add(process.pid)
        psutil.wait_procs(found, timeout=2)
        time.sleep(0.05)
    return len(killed)
