"""When what runs. Ticks ask the calendar and the desk clock: an early close, a holiday, a played session are right."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import dagster as dg

from orchestration import calendar
from orchestration.calendar import NEW_YORK
from orchestration.console import jobs
from orchestration.console.clock import today
from orchestration.console.desk import Desk
from orchestration.console.partitions import intraday_key

CUT_TAG = "plumbline/cut"
SETTLING = timedelta(minutes=1)
"""After a cut's time: the clock closes its epoch first."""
ZONE = str(NEW_YORK)
EVERY_MINUTE = "* * * * *"
IN_SESSION = "*/30 9-16 * * 1-5"
IN_THE_AFTERNOON = "*/5 12-20 * * 1-5"
IN_THE_MORNING = "0 8 * * 1-5"
AFTER_THE_WEEK = "0 20 * * 5"


def session_today(now: datetime) -> calendar.Session | None:
    """The session of the desk's date; None when the exchange is closed."""
    found = today(now)
    return calendar.session(found) if calendar.is_session(found) else None


def due_cuts(now: datetime) -> list[str]:
    """The session's intraday cuts whose time has come, oldest first."""
    session = session_today(now)
    if session is None:
        return []
    limit = calendar.microseconds(now - SETTLING)
    cuts = [mark for mark in calendar.marks(session.day) if mark.cut and mark.time <= limit]
    return [mark.cut for mark in cuts if not mark.cut.endswith("/eod")]


def requested(instance: dg.DagsterInstance, cut: str) -> bool:
    """Whether a run of that cut has been asked for. Dagster itself compares run keys within one tick only.

    A run that ended before it began has done nothing and does not count.
    """
    records = instance.get_run_records(dg.RunsFilter(tags={CUT_TAG: cut}))
    return any(record.start_time is not None or not record.dagster_run.is_finished for record in records)


def _closed(now: datetime) -> dg.SkipReason:
    return dg.SkipReason(f"{today(now)}: the exchange is closed")


def intraday_requests(instance: dg.DagsterInstance, now: datetime) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run for every due cut that nobody has asked for."""
    session = session_today(now)
    if session is None:
        yield _closed(now)
        return
    fresh = [cut for cut in due_cuts(now) if not requested(instance, cut)]
    if not fresh:
        yield dg.SkipReason(f"{session.day}: no cut has come due since the last tick")
    for cut in fresh:
        yield dg.RunRequest(run_key=cut, partition_key=intraday_key(cut), tags={CUT_TAG: cut})


def end_of_day_request(instance: dg.DagsterInstance, now: datetime) -> dg.RunRequest | dg.SkipReason:
    """The day's run, once its close and the grace after it have passed."""
    session = session_today(now)
    if session is None:
        return _closed(now)
    due = session.end_of_day + SETTLING
    if now < due:
        close, at = (moment.astimezone(NEW_YORK) for moment in (session.close, due))
        return dg.SkipReason(
            f"{session.day}: the exchange closes at {close:%H:%M}, the end of day is due at {at:%H:%M}"
        )
    cut = f"{session.day}/eod"
    if requested(instance, cut):
        return dg.SkipReason(f"{cut}: asked for already")
    return dg.RunRequest(run_key=cut, partition_key=session.day.isoformat(), tags={CUT_TAG: cut})


def last_session(before: date) -> date:
    """The newest session before a date."""
    return calendar.previous_session(before)


def week_is_over(now: datetime) -> date | None:
    """The last session of the week that ends on the desk's Friday; None on another day."""
    found = today(now)
    return last_session(found + timedelta(days=1)) if found.weekday() == 4 else None


def build(played: bool) -> list[dg.ScheduleDefinition]:
    """The schedules. A played session is faster than any other cron can be: its ticks come every minute."""
    running = dg.DefaultScheduleStatus.RUNNING

    @dg.schedule(
        job=jobs.cut,
        cron_schedule=EVERY_MINUTE if played else IN_SESSION,
        execution_timezone=ZONE,
        default_status=running,
        description="Half-hourly cuts, in session.",
    )
    def intraday(context: dg.ScheduleEvaluationContext, desk: Desk):
        yield from intraday_requests(context.instance, desk.now())

    @dg.schedule(
        job=jobs.day,
        cron_schedule=EVERY_MINUTE if played else IN_THE_AFTERNOON,
        execution_timezone=ZONE,
        default_status=running,
        description="The end of day, when the exchange has closed.",
    )
    def end_of_day(context: dg.ScheduleEvaluationContext, desk: Desk):
        return end_of_day_request(context.instance, desk.now())

    @dg.schedule(
        job=jobs.reserve_morning,
        cron_schedule=IN_THE_MORNING,
        execution_timezone=ZONE,
        default_status=running,
        description="The reserve formulas of the session before.",
    )
    def reserve(desk: Desk):
        now = desk.now()
        if session_today(now) is None:
            return _closed(now)
        before = last_session(today(now)).isoformat()
        return dg.RunRequest(run_key=f"{before}/reserve", partition_key=before)

    @dg.schedule(
        job=jobs.backtest_week,
        cron_schedule=AFTER_THE_WEEK,
        execution_timezone=ZONE,
        default_status=running,
        description="The VaR backtest of the week.",
    )
    def backtest(desk: Desk):
        last = week_is_over(desk.now())
        if last is None:
            return dg.SkipReason("the week is not over")
        return dg.RunRequest(run_key=f"{last}/backtest", partition_key=last.isoformat())

    return [intraday, end_of_day, reserve, backtest]
