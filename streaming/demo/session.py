"""The business day's instants (microseconds since 1970-01-01 UTC) and dates."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

Date = date
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
NEW_YORK = ZoneInfo("America/New_York")

SETTLEMENT_CYCLES = (
    (date(2024, 5, 28), 1),  # 17 CFR 240.15c6-1 as amended 2023
    (date(2017, 9, 5), 2),  # as amended 2017
    (date.min, 3),
)
"""Business days from trade to settlement, by the date from which each cycle applied."""


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day of the New York Stock Exchange."""

    business_date: date
    previous: date
    """The session before."""
    settle: date
    """Contractual settlement of the day's trades."""
    coming: tuple[date, ...]
    """The sessions after, for about a year."""
    past: tuple[date, ...]
    """Some sixty sessions before, newest first."""

    def at(self, hour: int, minute: int = 0, second: int = 0) -> int:
        """That New York time of the day."""
        return instant(self.business_date, time(hour, minute, second))

    @property
    def start(self) -> int:
        """First arrivals of the day: 06:00."""
        return self.at(6)

    @property
    def open(self) -> int:
        return self.at(9, 30)

    @property
    def close(self) -> int:
        return self.at(16)

    @property
    def cut(self) -> int:
        """The end-of-day cut: what arrives later is restatement material."""
        return self.at(16, 30)


def instant(day: date, clock: time) -> int:
    """A New York wall-clock time as microseconds UTC."""
    moment = datetime.combine(day, clock, NEW_YORK)
    return int(moment.timestamp()) * SECOND


def settlement_days(rule_date: date) -> int:
    """Length of the settlement cycle in business days under the rules of a date."""
    return next(days for since, days in SETTLEMENT_CYCLES if rule_date >= since)


@lru_cache(maxsize=8)
def session(day: date, rule_date: date) -> Session:
    """The session of a date; :class:`ValueError` when the exchange was closed or closed early."""
    import exchange_calendars  # costs most of a second: only where a day is generated

    calendar = exchange_calendars.get_calendar(
        "XNYS", start=str(day - timedelta(days=120)), end=str(day + timedelta(days=400))
    )
    if not calendar.is_session(str(day)):
        raise ValueError(f"date {day}: expected a session of the New York Stock Exchange, found a closed day")
    if calendar.session_close(str(day)).value // 1000 != instant(day, time(16)):
        raise ValueError(f"date {day}: expected a full session, found an early close")
    sessions = [stamp.date() for stamp in calendar.sessions]
    here = sessions.index(day)
    return Session(
        business_date=day,
        previous=sessions[here - 1],
        settle=sessions[here + settlement_days(rule_date)],
        coming=tuple(sessions[here + 1 :]),
        past=tuple(sessions[here - 60 : here][::-1]),
    )
