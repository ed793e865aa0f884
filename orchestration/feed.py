"""A day's events into the log, and the clock beside them.

Both are resumable: what is committed is skipped, so a killed feed goes on where it stopped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from orchestration import calendar
from streaming.apps.routing import shard_of
from streaming.demo import Chunk
from streaming.engine.epochs import EPOCHS, ClockRules, Epoch, Mark, close_epochs
from streaming.log import Log, Partition, Record, Span
from streaming.schema.raw import FEEDS

_SHARDED = {topic.name: topic.sharded for topic in FEEDS}


def feed(
    log: Log,
    day: date,
    chunks: Iterable[Chunk],
    versions: Mapping[str, str],
    rules: ClockRules | None = None,
    progress: Callable[[int], None] = lambda _: None,
    marks: Sequence[Mark] | None = None,
    ends: bool = True,
) -> None:
    """Append the chunks and close their epochs. ``progress`` is told how many events were appended, chunk by chunk.

    With ``ends`` the day is closed up to its end-of-day cut; ``marks`` as in :class:`Clock`.
    """
    shards = log.topics()["trades"]
    writer = log.writer(f"feed-{day}")
    done = writer.progress.get(("feed", 0), -1)
    clock = Clock(log, day, versions, rules, marks)
    for chunk in chunks:
        if chunk.end > done:
            writer.commit(list(_records(chunk, shards)), {("feed", 0): chunk.end})
        clock.advance(chunk.end - 1)
        progress(sum(len(arrivals) for arrivals in chunk.topics.values()))
    if ends:
        clock.advance(calendar.microseconds(calendar.session(day).end_of_day))


def _records(chunk: Chunk, shards: int) -> Iterable[Record]:
    for name, arrivals in chunk.topics.items():
        keys = [shard_of(key, shards) for key in arrivals.key] if _SHARDED[name] else [0] * len(arrivals)
        yield from map(Record, [name] * len(arrivals), keys, arrivals.payload, arrivals.arrival.tolist())


class Clock:
    """Closes epochs from the arrival times of what is in the log. ``marks``: the day's own unless others are given."""

    def __init__(
        self,
        log: Log,
        day: date,
        versions: Mapping[str, str],
        rules: ClockRules | None = None,
        marks: Sequence[Mark] | None = None,
    ):
        self._log, self._day, self._rules = log, day, rules or ClockRules()
        self._writer = log.writer("clock")
        self._last = _newest_epoch(log)
        self._versions = versions if self._last is None or self._last.day != day else {}
        self._marks = calendar.marks(day) if marks is None else marks
        self._arrived: dict[Partition, _Arrived] = {}
        self._progress: dict[tuple[str, int], int] = {}
        """What the epochs answer to; committed with them."""

    @property
    def last(self) -> Epoch | None:
        """The newest epoch of the log."""
        return self._last

    def advance(self, until: int) -> None:
        """Close every epoch up to ``until`` (microseconds)."""
        if self._last is not None and until <= self._last.time:
            return
        arrivals = self.waiting()
        offsets = {where: arrived.next_offsets for where, arrived in self._arrived.items()}
        epochs = close_epochs(self._last, until, arrivals, self._marks, self._rules, self._day, self._versions, offsets)
        if epochs:
            self._writer.commit([Record(EPOCHS, 0, epoch.encode(), epoch.time) for epoch in epochs], self._progress)
            self._last, self._versions = epochs[-1], {}

    def waiting(self) -> dict[str, list[np.ndarray]]:
        """Arrival times of the messages that no epoch covers yet, by topic and partition."""
        partitions = self._log.topics()
        return {name: [self._read_on((name, p)).times for p in range(partitions[name])] for name in _SHARDED}

    def _read_on(self, where: Partition) -> "_Arrived":
        """What no epoch covers, with all that is new in the log."""
        start = self._start(*where)
        at = self._arrived.get(where) or _Arrived(np.empty(0, np.int64), np.array([start]), start)
        end = self._log.end(*where)
        if end > at.stop:
            at = at.followed_by(self._log.read(*where, at.stop, end))
        self._arrived[where] = at.behind(start)
        return self._arrived[where]

    def _start(self, topic: str, partition: int) -> int:
        if self._last is None or topic not in self._last.ends:
            return self._log.first(topic, partition)
        return self._last.ends[topic][partition]


@dataclass(frozen=True, slots=True)
class _Arrived:
    """The messages of a partition that no epoch covers."""

    times: np.ndarray
    next_offsets: np.ndarray
    """After none, one, two ... of them."""
    stop: int
    """The log is read up to here."""

    def followed_by(self, span: Span) -> "_Arrived":
        times = np.concatenate([self.times, span.times])
        return _Arrived(times, np.concatenate([self.next_offsets, span.offsets + 1]), span.stop)

    def behind(self, offset: int) -> "_Arrived":
        """Without what lies below ``offset``, the end of an epoch."""
        covered = int(np.searchsorted(self.next_offsets, offset))
        return _Arrived(self.times[covered:], self.next_offsets[covered:], self.stop)


def _newest_epoch(log: Log) -> Epoch | None:
    first, stop = log.first(EPOCHS, 0), log.end(EPOCHS, 0)
    while stop > first:
        start = max(first, stop - 16)
        payloads = log.read(EPOCHS, 0, start, stop).payloads
        if payloads:
            return Epoch.decode(payloads[-1])
        stop = start
    return None
