"""Days of history for a console without any: small generated days, each materialised by Dagster as a user would.

A generated day begins with openings of its own, so every one has a home of its own; a user's days share one. So no day
waits for the one before it; ``historian`` is the program that makes them.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import date

from orchestration import calendar
from orchestration.errors import UserError
from orchestration.process import module_command
from orchestration.settings import Settings
from streaming.demo import DaySpec

DAYS = 5
SESSION = date(2020, 3, 24)
"""The session that is played; the history is the days before it. The demo's own day lies before them."""
ACCOUNTS, TRADES, PRICES = 6, 300, 3_000
SESSION_PRICES = 20_000
WORKERS = 2
"""Processes; each proves the days that the other ran."""
SEALED, PROVED, DONE = "history.sealed", "history.proved", "history"
"""Files in the home of a day: how far it is."""
_POLL_S = 0.1


def days_before(session: date, count: int = DAYS) -> list[date]:
    """The sessions before one, oldest first."""
    found: list[date] = []
    day = session
    for _ in range(count):
        day = calendar.previous_session(day)
        found.append(day)
    return found[::-1]


def home_of(settings: Settings, day: date) -> Settings:
    return Settings(settings.home / "days" / day.isoformat(), settings.out)


def missing(settings: Settings, days: Sequence[date]) -> list[date]:
    """The days that were not made, or not to their end."""
    return [day for day in days if not (home_of(settings, day).home / DONE).exists()]


def prepare_session(settings: Settings, day: date) -> None:
    """A home for the session: generated, with nothing arrived yet. It stays as it is when it has begun."""
    from orchestration import generated

    generated.prepare(home_of(settings, day), DaySpec(day, ACCOUNTS, TRADES, SESSION_PRICES))


def make(settings: Settings, days: Sequence[date], variables: Mapping[str, str]) -> None:
    """Make days in two processes, each of which proves what the other ran; UserError when one fails."""
    for day in days:
        for name in (SEALED, PROVED):
            (home_of(settings, day).home / name).unlink(missing_ok=True)
    parts = [",".join(map(str, days[worker::WORKERS])) for worker in range(WORKERS)]
    settings.scratch.mkdir(parents=True, exist_ok=True)
    logs = [settings.scratch / f"history-{worker}.log" for worker in range(WORKERS)]
    running = []
    for worker, (own, others) in enumerate(zip(parts, reversed(parts), strict=True)):
        with open(logs[worker], "wb") as log:
            command = module_command("orchestration.console.historian", own, others)
            seeded = {**variables, "PYTHONHASHSEED": str(worker)}
            running.append(subprocess.Popen(command, env=seeded, stdout=log, stderr=log))
    try:
        while any(process.poll() is None for process in running) and not any(process.poll() for process in running):
            time.sleep(_POLL_S)
    finally:
        for process in running:
            process.kill()
            process.wait()
    for process, path in zip(running, logs, strict=True):
        if process.returncode > 0:
            raise UserError(f"history: {path.read_text().strip().splitlines()[-1]}; see {path}")
    if any(process.returncode for process in running):
        raise UserError(f"history: a process was killed; see {logs[0].parent}")
