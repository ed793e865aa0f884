"""A cut is a partition: business days of the exchange, and the cut times within one."""

from datetime import date, datetime, timedelta

import dagster as dg

from orchestration import calendar
from orchestration.calendar import NEW_YORK
from orchestration.console.clock import played_session

FIRST = date(2020, 1, 2)
LAST = date(2030, 12, 31)
"""Until then the calendar knows the closed days; the newest partition is always the current day."""
DATE_FORMAT = "%Y-%m-%d"
PLAYED_WEEKS = timedelta(weeks=3)
DATE, TIME = "date", "time"
"""The dimensions of an intraday cut."""
END_OF_DAY = "eod"


def closed_weekdays(first: date, last: date) -> list[datetime]:
    """Weekdays without a session, as midnights in New York."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    open_days = set(calendar.sessions(first, last))
    return [_midnight(day) for day in days if day.weekday() < 5 and day not in open_days]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)


def _cut_times() -> list[str]:
    """Of a full session, ``0930`` to ``1600``; the end of day has partitions of its own."""
    cuts = [mark.cut.partition("/")[2] for mark in calendar.marks(FIRST) if mark.cut]
    return [name for name in cuts if name != END_OF_DAY]


def sessions_until(played: date | None) -> dg.TimeWindowPartitionsDefinition:
    """Every session up to the current day; those of the weeks before a played session, where one is."""
    first, end = FIRST, None
    if played is not None:
        first, end = max(FIRST, played - PLAYED_WEEKS), _midnight(played + timedelta(days=1))
    return dg.TimeWindowPartitionsDefinition(
        start=_midnight(first),
        end=end,
        fmt=DATE_FORMAT,
        cron_schedule="0 0 * * 1-5",
        timezone=str(NEW_YORK),
        end_offset=1,  # the current day is a partition before it is over: its cuts come during the day
        exclusions=closed_weekdays(FIRST, LAST),
    )


business_days = sessions_until(played_session())
cut_times = dg.StaticPartitionsDefinition(_cut_times())
intraday_cuts = dg.MultiPartitionsDefinition({DATE: business_days, TIME: cut_times})
to_date = dg.MultiToSingleDimensionPartitionMapping(DATE)
day_before = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True)
"""The session before, over weekends and holidays; the first partition has none."""


def intraday_key(cut: str) -> dg.MultiPartitionKey:
    """The partition of ``2020-03-16/1030``."""
    day, _, name = cut.partition("/")
    return dg.MultiPartitionKey({DATE: day, TIME: name})
