"""What time it is at the desk: the wall clock, or a session that is played faster than it was."""

import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson

from orchestration.calendar import NEW_YORK
from orchestration.settings import Settings
from streaming.engine.sealing import write_atomically

PLAYED = "PLUMBLINE_PLAYED"
"""Names the date of the session, where one is played: partitions end there, and schedules tick every minute."""


def played_session() -> date | None:
    """As the environment says; None where the desk lives by the wall clock."""
    named = os.environ.get(PLAYED)
    return date.fromisoformat(named) if named else None


@dataclass(frozen=True, slots=True)
class DeskClock:
    """Desk time runs ``speed`` times as fast as the wall clock since ``started``, when it was ``begin``."""

    begin: str
    """ISO 8601 with zone."""
    started: float
    """Wall clock, seconds since 1970."""
    speed: float
    until: str = ""
    """ISO 8601 with zone: there it stops; empty = never."""

    @classmethod
    def start(cls, begin: datetime, speed: float, until: datetime | None = None) -> "DeskClock":
        return cls(begin.isoformat(), time.time(), speed, until.isoformat() if until else "")

    def now(self) -> datetime:
        elapsed = timedelta(seconds=(time.time() - self.started) * self.speed)
        found = (datetime.fromisoformat(self.begin) + elapsed).astimezone(UTC)
        return min(found, datetime.fromisoformat(self.until).astimezone(UTC)) if self.until else found

    def write(self, settings: Settings) -> None:
        clock_file(settings).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(clock_file(settings), orjson.dumps(asdict(self)))


def clock_file(settings: Settings) -> Path:
    return settings.home / "console" / "clock.json"


def played(settings: Settings) -> DeskClock | None:
    """The clock of a played session; None where the desk lives by the wall clock."""
    path = clock_file(settings)
    return DeskClock(**orjson.loads(path.read_bytes())) if path.exists() else None


def desk_now(settings: Settings) -> datetime:
    """UTC."""
    clock = played(settings)
    return clock.now() if clock else datetime.now(UTC)


def today(now: datetime) -> date:
    """The date in New York."""
    return now.astimezone(NEW_YORK).date()
