"""Days of history for a console without any: small generated days, each materialised by Dagster as a user would.

A generated day begins with openings of its own, so every one has a home of its own; a user's days share one.
``python -m orchestration.console.history DATE ...`` makes some, in the environment of the console.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

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
_DONE = "history"


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
    return [day for day in days if not (home_of(settings, day).home / _DONE).exists()]


def prepare_session(settings: Settings, day: date) -> None:
    """A home for the session: generated, with nothing arrived yet. It stays as it is when it has begun."""
    from orchestration import generated

    generated.prepare(home_of(settings, day), DaySpec(day, ACCOUNTS, TRADES, SESSION_PRICES))


def make(days: Sequence[date], variables: Mapping[str, str]) -> None:
    """Make days in processes of their own, as many at a time as there are workers; UserError when one fails."""
    parts = [days[worker::WORKERS] for worker in range(WORKERS) if days[worker::WORKERS]]
    running = [
        subprocess.Popen(
            module_command(__name__, *(day.isoformat() for day in part)),
            env=dict(variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in parts
    ]
    errors = [process.communicate()[1] for process in running]
    for process, error in zip(running, errors, strict=True):
        if process.returncode != 0:
            raise UserError(f"history: {error.strip().splitlines()[-1] if error.strip() else process.returncode}")


def make_day(settings: Settings, day: date) -> None:
    """Generate, and materialise the day's partition with the same job that the schedule runs."""
    import dagster as dg

    from orchestration import generated
    from orchestration.console.definitions import defs

    of_day, spec = home_of(settings, day), DaySpec(day, ACCOUNTS, TRADES, PRICES)
    with of_day.locked():
        generated.prepare(of_day, spec, fresh=True)
        generated.feed_generated(of_day, spec, lambda _: None, calendar.history_marks(day))
    job = defs.resolve_job_def("day")
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(partition_key=day.isoformat(), instance=instance, raise_on_error=False)
    if not result.success:
        raise UserError(f"{day}: expected the day to be published, found run {result.run_id} failed")
    (of_day.home / _DONE).touch()


def main(days: Sequence[str]) -> None:
    settings = Settings.of(None, Path(os.environ["PLUMBLINE_OUT"]), os.environ)
    for day in days:
        make_day(settings, date.fromisoformat(day))


if __name__ == "__main__":
    main(sys.argv[1:])
