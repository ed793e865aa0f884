"""The stages of a partition, in the words of the pipeline. The command line calls the same functions."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from orchestration import calendar, edge
from orchestration.console.desk import Desk, Work
from orchestration.errors import UserError
from orchestration.progress import Silent
from orchestration.settings import Settings
from streaming.cuts import SealedCut, UnknownCutError

if TYPE_CHECKING:
    from orchestration.days import MarkedCut

LIVE_S = 900.0
"""Seconds that a run waits for the live jobs to reach a cut."""
_POLL_S = 0.5


@contextmanager
def telling() -> Iterator[None]:
    """What a user can put right is one line, and is not tried again by itself."""
    from orchestration.cli import is_user_error, one_line

    try:
        yield
    except Exception as error:
        if not is_user_error(error):
            raise
        raise dg.Failure(one_line(error), allow_retries=False) from error


def seal_cut(work: Work, desk: Desk, day: date, name: str) -> SealedCut:
    """The newest version of a cut, sealed: jobs first, unless the live jobs are at work. An end of day whose jobs run
    here is replayed beside them, as by the command: it is sealed with its certificates."""
    from orchestration import days, pipeline

    home = work.home
    if work.live:
        _await(work, desk, day, name)
    else:
        _close(work, desk, day)
    cut = _marked(work, desk, day, name)
    if cut.version not in home.store.versions(cut.id):
        if work.live:
            pipeline.seal(home, Silent())
        elif cut.id == days.end_of_day(day):
            pipeline.run_proved(home, day, Silent())
        else:
            pipeline.run_jobs(home, Silent())
            pipeline.seal(home, Silent())
    return home.sealed(cut)


def _close(work: Work, desk: Desk, day: date) -> None:
    """Close the day's epochs once its end-of-day cut is due; events behind that cut restate it."""
    from orchestration.days import close_day
    from streaming.apps.rules import versions_in_force

    home = work.home
    has_events = any(home.log.end("trades", shard) for shard in range(home.log.topics()["trades"]))
    if has_events and calendar.session(day).end_of_day <= desk.now():
        rules = versions_in_force(date.fromisoformat(desk.rule_date), edge.code_version())
        close_day(home.log, day, rules)


def _marked(work: Work, desk: Desk, day: date, name: str) -> "MarkedCut":
    from orchestration.days import newest_versions

    for cut in newest_versions(work.home.cuts(day)):
        if cut.id == f"{day}/{name}":
            return cut
    raise UserError(f"{day}/{name}: expected a cut that the clock has marked by {desk.now():%Y-%m-%d %H:%M} UTC")


def _await(work: Work, desk: Desk, day: date, name: str) -> None:
    """Wait until the clock has marked a cut that is due, and every live job has applied its epoch."""
    from orchestration.days import marked_cuts

    deadline, at = time.monotonic() + LIVE_S, calendar.microseconds(desk.now())
    if not any(mark.cut == f"{day}/{name}" and mark.time <= at for mark in calendar.marks(day)):
        return  # not due, or no cut of this day: what is marked will tell
    while True:
        marked = {cut.id: cut for cut in marked_cuts(work.home.index, day)}.get(f"{day}/{name}")
        waiting = behind_of(work, marked.epoch.number) if marked else ["the clock"]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise UserError(
                f"{day}/{name}: expected the streams to reach it in {LIVE_S:.0f} s, waited for {waiting[0]}"
            )
        time.sleep(_POLL_S)


def behind_of(work: Work, epoch: int) -> list[str]:
    """The shards of live jobs that have not applied an epoch yet."""
    from orchestration.console.standing import shards

    return [name for name, following in shards(work.home) if following <= epoch]


def end_of_day(work: Work, day: date) -> SealedCut:
    """The newest sealed end of day; UserError where there is none."""
    try:
        return work.home.end_of_day(day)
    except UnknownCutError:
        raise UserError(f"{day}: expected a sealed end of day, found none; materialise end_of_day first") from None


def certify(work: Work, day: date) -> list[Mapping]:
    from orchestration import pipeline

    return pipeline.certify(work.home, day, Silent())


def site(desk: Desk, cut: SealedCut) -> Path:
    """The first page of a cut's Data Docs, which its checks write."""
    day = date.fromisoformat(cut.manifest["business_date"])
    return desk.settings(day).docs / cut.id / f"v{cut.version}" / "index.html"


@contextmanager
def watched(work: Work, day: date) -> Iterator[None]:
    """A stage that raises is an alert; the next that ends well is its recovery."""
    from orchestration.alerts import desk as alerts

    with alerts.watching_run(work.home.settings, day, os.environ, edge.now):
        yield


def deliver(settings: Settings) -> Mapping[str, float | str]:
    """Bring to Slack what is due in the outbox of a home; says so where no channel is configured."""
    from orchestration.alerts import desk as alerts
    from orchestration.alerts.settings import SlackAccess

    waiting = float(len(alerts.outbox_of(settings).due(edge.now())))
    if not SlackAccess.configured(os.environ):
        return {"waiting": waiting, "channel": "none configured"}
    found = alerts.deliver(settings, os.environ, edge.user(), edge.now)
    return {"posted": float(found.posted), "waiting": float(found.waiting), "channel": found.problem or "reached"}
