"""The trading calendar: sessions of the exchange, and when the clock takes price sets and cuts."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from streaming.engine.epochs import Mark

NEW_YORK = ZoneInfo("America/New_York")
PRICE_SET_EVERY = timedelta(seconds=60)
CUT_EVERY = timedelta(minutes=30)
GRACE = timedelta(minutes=30)
"""From the close to the end-of-day cut; what arrives later is a restatement."""


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day; instants in UTC."""

    day: date
    open: datetime
    close: datetime

    @property
    def end_of_day(self) -> datetime:
        return self.close + GRACE


@cache
def _exchange():
    import exchange_calendars

    return exchange_calendars.get_calendar("XNYS", start="1990-01-01", end="2030-12-31")


def session(day: date) -> Session:
    """The session of a day; ValueError when the exchange is closed."""
    calendar = _exchange()
    first, last = calendar.first_session.date(), calendar.last_session.date()
    if not first <= day <= last:
        raise ValueError(f"{day}: expected a day from {first} to {last}, where the calendar reaches")
    if not calendar.is_session(day.isoformat()):
        raise ValueError(f"{day}: expected a session of the New York Stock Exchange, found a closed day")
    opening, closing = calendar.session_open(day.isoformat()), calendar.session_close(day.isoformat())
    return Session(day, opening.to_pydatetime(), closing.to_pydatetime())


def previous_session(day: date) -> date:
    return _exchange().date_to_session((day - timedelta(days=1)).isoformat(), direction="previous").date()


def sessions(first: date, last: date) -> list[date]:
    return [stamp.date() for stamp in _exchange().sessions_in_range(first.isoformat(), last.isoformat())]


def session_days(first: date, last: date) -> np.ndarray:
    """Sessions as days since 1970-01-01, ascending."""
    return np.array([(day - date(1970, 1, 1)).days for day in sessions(first, last)], np.int64)


def marks(day: date) -> list[Mark]:
    """Price sets every minute of the session and at each cut; cuts every half hour, and the end of day."""
    times = session(day)
    cuts = {}
    at = times.open
    while at <= times.close:
        cuts[at] = f"{day}/{at.astimezone(NEW_YORK):%H%M}"
        at += CUT_EVERY
    cuts[times.end_of_day] = f"{day}/eod"
    steps = int((times.close - times.open) / PRICE_SET_EVERY)
    wanted = {times.open + i * PRICE_SET_EVERY for i in range(steps + 1)} | set(cuts)
    return [
        Mark(microseconds(at), f"{day}/{at.astimezone(NEW_YORK):%H%M%S}", cuts.get(at, "")) for at in sorted(wanted)
    ]


def microseconds(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))) / timedelta(microseconds=1))
