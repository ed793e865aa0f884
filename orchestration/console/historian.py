"""One of the two processes that make days of history: models and Great Expectations are imported once for all its days.

It runs the jobs of its own days, replays those of the other process, and judges and publishes its own: as always, the
process that proves a day has not run it, starts from raw events alone, and polls in other sizes.
``python -m orchestration.console.historian OWN OTHERS``, both dates with commas between.
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from expectations import CheckResult, Child, Suite
from orchestration import calendar
from orchestration.console import history
from orchestration.errors import UserError
from orchestration.process import leave
from orchestration.progress import Silent
from orchestration.settings import Settings

WAIT_S = 600.0
"""Seconds that a process waits for the other to be as far as it needs it."""
_POLL_S = 0.1


class InThisProcess(Child):
    """Judges here, where Great Expectations is imported already. A suite that crashed would end the history."""

    def __init__(self) -> None:
        """Starts nothing."""

    def __exit__(self, *_: object) -> None:
        """Ends nothing."""

    def judge(
        self, left: Sequence[Suite], request: Mapping, suite_s: float
    ) -> tuple[dict[str, list[CheckResult]], str]:
        from expectations import docs
        from expectations.running import judge
        from expectations.view import View
        from streaming.cuts import open_cut

        cut = open_cut(request["store"], *request["cut"])
        view = View(cut, request["certificate"], None, None)  # a day of history has one cut and no day before it
        delivered = {suite.name: judge(suite, view) for suite in left}
        results = [result for found in delivered.values() for result in found]
        docs(cut, results, request["docs"], request["module"])
        return delivered, ""


def run(settings: Settings, day: date) -> None:
    """Generate a day into its home, apply it and seal its end."""
    from orchestration import generated, pipeline
    from streaming.demo import DaySpec

    spec = DaySpec(day, history.ACCOUNTS, history.TRADES, history.PRICES)
    with settings.locked():
        generated.prepare(settings, spec, fresh=True)
        generated.feed_generated(settings, spec, lambda _: None, calendar.history_marks(day))
        home = pipeline.Home.open(settings)
        pipeline.run_jobs(home, Silent())
        pipeline.seal(home, Silent())
    (settings.home / history.SEALED).touch()


def prove(settings: Settings, day: date) -> None:
    """Replay a sealed day from its beginning and certify it."""
    from orchestration.pipeline import Home, record_certificate
    from orchestration.proof import EPOCHS_MAX, EVENTS_MAX, write_certificate
    from streaming.apps import chain
    from streaming.engine.replay import certify, replay

    settings.scratch.mkdir(parents=True, exist_ok=True)
    with settings.locked(), tempfile.TemporaryDirectory(dir=settings.scratch) as folder:
        home = Home.open(settings)
        (cut,) = home.cuts(day)
        scratch = Path(folder)
        (replayed,) = replay(home.log, chain.jobs(), [cut.epoch], scratch, None, EPOCHS_MAX, EVENTS_MAX)
        document = certify(home.store, replayed, cut.version).document()
        write_certificate(home.store.folder, document)
        record_certificate(home, document)
    (settings.home / history.PROVED).touch()


def publish(settings: Settings, days: Sequence[date]) -> None:
    """Judge days that are proved, and materialise each by the job that the schedule runs, which finds it ready."""
    import dagster as dg

    from orchestration import pipeline
    from orchestration.console.definitions import defs

    job = defs.resolve_job_def("day")
    with dg.DagsterInstance.get() as instance:
        for day in days:
            of_day = history.home_of(settings, day)
            _await(of_day.home / history.PROVED)
            with of_day.locked():
                home = pipeline.Home.open(of_day)
                pipeline.check(home, home.end_of_day(day), Silent(), child=InThisProcess())
            result = job.execute_in_process(partition_key=day.isoformat(), instance=instance, raise_on_error=False)
            if not result.success:
                raise UserError(f"{day}: expected the day to be published, found run {result.run_id} failed")
            (of_day.home / history.DONE).touch()


def _await(path: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise UserError(f"{path}: expected the other process of the history to get there in {WAIT_S:.0f} s")
        time.sleep(_POLL_S)


def main(own: str, others: str) -> None:
    mine, theirs = ([date.fromisoformat(day) for day in days.split(",") if day] for days in (own, others))
    settings = Settings.of(None, Path(os.environ["PLUMBLINE_OUT"]), os.environ)
    for day in mine:
        run(history.home_of(settings, day), day)
    for day in theirs:
        of_day = history.home_of(settings, day)
        _await(of_day.home / history.SEALED)
        prove(of_day, day)
    if mine:
        publish(settings, mine)


if __name__ == "__main__":
    main(*sys.argv[1:])
    leave(0)
