"""The trading calendar: sessions of the exchange, and when the clock takes price sets and cuts.

Sessions are those of exchange-calendars, changed by what could not be known when it was released: unscheduled closures
and early closes from a TOML file that ``PLUMBLINE_CALENDAR`` names.

    [[closed]]
    date = 2012-10-29
    reason = "storm"

    [[early_close]]
    date = 2026-11-24
    at = 13:00:00
    reason = "ceremony"
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from streaming.engine.epochs import Mark

NEW_YORK = ZoneInfo("America/New_York")
PRICE_SET_EVERY = timedelta(seconds=60)
CUT_EVERY = timedelta(minutes=30)
OVERRIDES_VARIABLE = "PLUMBLINE_CALENDAR"
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


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the exchange announced after its calendar was written."""

    closed: Mapping[date, str] = field(default_factory=dict)
    """Day -> reason."""
    early_close: Mapping[date, time] = field(default_factory=dict)
    """Day -> New York time of the close."""


def read_overrides(path: Path) -> Overrides:
    """Read an override file; ValueError names the entry that is wrong."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"calendar {path}: {error}") from None
    if unknown := set(found) - {"closed", "early_close"}:
        raise ValueError(
            f"calendar {path}: expected [[closed]] and [[early_close]], found {', '.join(sorted(unknown))}"
        )
    closed = {_entry(path, row, "date", date): _entry(path, row, "reason", str) for row in found.get("closed", ())}
    early = {_entry(path, row, "date", date): _entry(path, row, "at", time) for row in found.get("early_close", ())}
    return Overrides(closed, early)


def _entry(path: Path, row: Mapping, name: str, kind: type):
    if type(row.get(name)) is not kind:
        raise ValueError(f"calendar {path}: {name}: expected a {kind.__name__}, found {row.get(name)!r}")
    return row[name]


@cache
def overrides() -> Overrides:
    """Of the file that the environment names; none where it names none."""
    named = os.environ.get(OVERRIDES_VARIABLE)
    return read_overrides(Path(named)) if named else Overrides()


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
    if day in overrides().closed or not calendar.is_session(day.isoformat()):
        raise ValueError(f"{day}: expected a session of the New York Stock Exchange, found a closed day")
    opening, closing = calendar.session_open(day.isoformat()), calendar.session_close(day.isoformat())
    early = overrides().early_close.get(day)
    close = closing.to_pydatetime()
    if early is not None:
        close = min(close, datetime.combine(day, early, NEW_YORK).astimezone(UTC))
    return Session(day, opening.to_pydatetime(), close)


def previous_session(day: date) -> date:
    found = day
    while found == day or found in overrides().closed:
        before = (found - timedelta(days=1)).isoformat()
        found = _exchange().date_to_session(before, direction="previous").date()
    return found


def sessions(first: date, last: date) -> list[date]:
    days = [stamp.date() for stamp in _exchange().sessions_in_range(first.isoformat(), last.isoformat())]
    return [day for day in days if day not in overrides().closed]


def is_session(day: date) -> bool:
    return bool(sessions(day, day))


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


def history_marks(day: date) -> list[Mark]:
    """A day of history, cheaply: price sets where the cuts of a full day are, and the end of day as the only cut."""
    *during, last = (mark for mark in marks(day) if mark.cut)
    return [*(replace(mark, cut="") for mark in during), last]


def microseconds(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))) / timedelta(microseconds=1))
