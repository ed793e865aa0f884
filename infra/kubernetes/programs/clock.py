"""The clock beside the running jobs: ``clock.py LOG``, the log in JSON.

Where a day is generated, a message's time is when it arrived. Here it is when its producer wrote it, and it is seen
somewhat later, when its transaction has ended: it then belongs to the epoch that is closed next, whatever its own time
says. The epoch's record holds the offsets, so a replay needs no times at all.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta

import numpy as np

from orchestration import calendar
from orchestration.edge import code_version
from orchestration.feed import Clock
from streaming.apps.rules import versions_in_force
from streaming.engine.epochs import ClockRules, EpochIndex
from streaming.log import Log
from streaming.log.opening import open_log

AHEAD_DAYS = 14
"""No pause between two sessions is longer."""


class LiveClock(Clock):
    """A clock that takes messages as arriving when they are seen; ``now`` in microseconds."""

    def __init__(self, log: Log, day: date, versions: Mapping[str, str], now: Callable[[], int]):
        super().__init__(log, day, versions)
        self.day, self._now = day, now

    def waiting(self) -> dict[str, list[np.ndarray]]:
        """Arrival times after the newest epoch, never descending and never in the future."""
        found = super().waiting()
        lowest, highest = (self.last.time + 1 if self.last else 0), self._now()
        return {
            topic: [np.maximum.accumulate(np.maximum(np.minimum(times, highest), lowest)) for times in partitions]
            for topic, partitions in found.items()
        }


def business_day(now: int) -> date:
    """The session whose end of day is still to come; what arrives after one belongs to the next."""
    today = datetime.fromtimestamp(now / 1e6, UTC).astimezone(calendar.NEW_YORK).date()
    return next(day for day in calendar.sessions(today, today + timedelta(AHEAD_DAYS)) if now < _end(day))


def tick(log: Log, former: LiveClock | None, now: Callable[[], int]) -> LiveClock:
    """Close every epoch up to now, and the ends of the days that passed while nobody did; the clock to go on with."""
    current = business_day(now())
    if former is None or former.day != current:
        begin = former.day if former else _newest_day(log) or current
        for day in calendar.sessions(begin, current):
            former = LiveClock(log, day, versions_in_force(day, code_version()), now)
            former.advance(min(now(), _end(day)))
    assert former is not None  # the current day is a session
    former.advance(min(now(), _end(former.day)))
    return former


def _end(day: date) -> int:
    return calendar.microseconds(calendar.session(day).end_of_day)


def _newest_day(log: Log) -> date | None:
    index = EpochIndex(log)
    end = index.refresh()
    return index[end - 1].day if end else None


def main(arguments: list[str]) -> None:
    """Tick until stopped; a second clock fences this one, which then ends with the error."""
    log, clock = open_log(json.loads(arguments[0])), None
    while True:
        clock = tick(log, clock, lambda: time.time_ns() // 1000)
        time.sleep(ClockRules().interval_ms / 1000)


if __name__ == "__main__":
    main(sys.argv[1:])
