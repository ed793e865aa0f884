"""The clock beside the running jobs.

Where a day is generated, a message's time is when it arrived. Here it is when its producer wrote it, and it is seen
somewhat later, when its transaction has ended: it then belongs to the epoch that is closed next, whatever its own time
says. The epoch's record holds the offsets, so a replay needs no times at all.

A cut out of schedule is asked for on the topic ``control``: ``{"request": "cut", "id": "...", "by": "..."}``. The next
epoch without a mark of its own takes it, as cut ``DATE/request-OFFSET``; that it is heard is committed with it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import numpy as np
import orjson

from orchestration import calendar, edge
from orchestration.edge import code_version
from orchestration.errors import UserError
from orchestration.feed import Clock
from streaming.apps.rules import versions_in_force
from streaming.engine.epochs import ClockRules, EpochIndex, Mark
from streaming.log import Log, Record
from streaming.schema.raw import CONTROL

AHEAD_DAYS = 14
"""No pause between two sessions is longer."""
ANSWER_S = 30.0
"""A clock that is there takes a cut within a second."""

logger = logging.getLogger(__name__)


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

    def advance(self, until: int) -> None:
        """Close every epoch up to ``until``; the last of them takes the cut that is asked for, if it has no mark."""
        taken = {mark.time for mark in self._marks}
        if (self.last is None or until > self.last.time) and until not in taken:
            self._marks = [*self._marks, *self._requested(until)]
        super().advance(until)

    def _requested(self, at: int) -> list[Mark]:
        """A cut at ``at`` for the oldest request that was not heard; what is no request is passed over."""
        if CONTROL.name not in self._log.topics():
            return []
        key = (CONTROL.name, 0)
        start = self._writer.progress.get(key, self._log.first(*key))
        span = self._log.read(*key, start, self._log.end(*key))
        for offset, payload in zip(span.offsets.tolist(), span.payloads, strict=True):
            if _is_cut_request(payload):
                self._progress = {key: offset + 1}
                local = datetime.fromtimestamp(at / 1e6, UTC).astimezone(calendar.NEW_YORK)
                return [Mark(at, f"{self.day}/{local:%H%M%S}.{offset}", f"{self.day}/request-{offset}")]
            logger.warning(
                "%s/0 offset %d: expected a request for a cut, found %r", CONTROL.name, offset, payload[:200]
            )
        return []


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


def run(log: Log) -> None:
    """Tick until stopped; a second clock fences this one, which then ends with FencedError."""
    clock = None
    while True:
        clock = tick(log, clock, lambda: time.time_ns() // 1000)
        time.sleep(until_tick(time.time_ns() // 1000))


def until_tick(now: int) -> float:
    """Seconds until the next epoch can be closed: what has arrived then waits no longer than it must."""
    step = ClockRules().interval_ms * 1000
    return (step - now % step) / 1e6


def request_cut(log: Log, by: str) -> str:
    """Ask the clock for a cut now; its id, once it is marked. UserError when no clock answers."""
    id_ = uuid4().hex
    payload = orjson.dumps({"request": "cut", "id": id_, "by": by})
    writer = log.writer(f"request-{id_}")
    writer.commit([Record(CONTROL.name, 0, payload, round(edge.now().timestamp() * 1e6))])
    writer.close()
    index, deadline = EpochIndex(log), time.monotonic() + ANSWER_S
    begin = log.end(CONTROL.name, 0)
    offset = _offset_of(log, payload, begin)
    while time.monotonic() < deadline:
        index.refresh()
        for cut in index.cuts():
            if cut.endswith(f"/request-{offset}"):
                return cut
        time.sleep(ClockRules().interval_ms / 1000)
    raise UserError(f"{CONTROL.name}: expected a clock that takes the cut within {ANSWER_S:.0f} s, found none")


def _offset_of(log: Log, payload: bytes, end: int) -> int:
    first = log.first(CONTROL.name, 0)
    span = log.read(CONTROL.name, 0, first, end)
    return int(span.offsets[span.payloads.index(payload)])


def _is_cut_request(payload: bytes) -> bool:
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and found.get("request") == "cut"


def _end(day: date) -> int:
    return calendar.microseconds(calendar.session(day).end_of_day)


def _newest_day(log: Log) -> date | None:
    index = EpochIndex(log)
    end = index.refresh()
    return index[end - 1].day if end else None
