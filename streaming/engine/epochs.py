"""Epochs: the coordinate of everything.

An epoch is what lies between two consecutive records of the topic ``epochs``. Each record gives, for every raw
partition, the next offset; a *marked* epoch also takes a price set and perhaps a cut. Records are numbered densely from
0, whatever offsets they have in the topic.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from operator import itemgetter
from threading import Lock

import numpy as np
import orjson

from streaming.log import Log, LogError
from streaming.schema.raw import REFERENCE_FEEDS

EPOCHS = "epochs"
_reference_ends = itemgetter(*(topic.name for topic in REFERENCE_FEEDS))
_date = lru_cache(date.fromisoformat)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One record of the clock."""

    number: int
    time: int
    """Microseconds since 1970-01-01 UTC: when the clock closed it."""
    day: date
    """Business date."""
    ends: Mapping[str, tuple[int, ...]]
    """Raw topic -> next offset of each partition."""
    price_set: str = ""
    """Id of the price set taken at the end of this epoch; empty when none is."""
    cut: str = ""
    """Id of the cut sealed at the end of this epoch (``2020-03-16/1030``, ``2020-03-16/eod``); empty when none is."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """What is in force from this epoch on: rulebook, scenarios, code, rule_date."""

    @property
    def marked(self) -> bool:
        return bool(self.price_set or self.cut)

    def encode(self) -> bytes:
        record: dict[str, object] = {"epoch": self.number, "time": self.time, "day": self.day, "ends": self.ends}
        if self.price_set:
            record["price_set"] = self.price_set
        if self.cut:
            record["cut"] = self.cut
        if self.versions:
            record["versions"] = dict(sorted(self.versions.items()))
        return orjson.dumps(record)

    @classmethod
    def decode(cls, payload: bytes) -> "Epoch":
        record = orjson.loads(payload)
        ends = record["ends"]
        return cls(
            record["epoch"],
            record["time"],
            _date(record["day"]),
            dict(zip(ends, map(tuple, ends.values()), strict=True)),
            record.get("price_set", ""),
            record.get("cut", ""),
            record.get("versions", {}),
        )


class EpochIndex:
    """The epochs of a log, as far as they have been written; shared by all readers of a process."""

    def __init__(self, log: Log):
        self._log = log
        self._epochs: list[Epoch] = []
        self._offsets: list[int] = []
        self._next = log.first(EPOCHS, 0)
        self._latest_versions: list[Mapping[str, str]] = []
        self._stops: list[int] = []
        self._cuts: list[int] = []
        self._ends: dict[tuple[str, int], np.ndarray] = {}
        self._refreshing = Lock()

    def refresh(self) -> int:
        """Read what is new; the number of the next epoch that is not there yet. Several threads may share an index:
        what lies below the number that this returned to a thread is complete for it."""
        with self._refreshing:
            end = self._log.end(EPOCHS, 0)
            while self._next < end:
                stop = min(end, self._next + 10_000)
                span = self._log.read(EPOCHS, 0, self._next, stop)
                for offset, payload in zip(span.offsets.tolist(), span.payloads, strict=True):
                    self._add(offset, Epoch.decode(payload))
                self._next = stop
            return self.end

    @property
    def end(self) -> int:
        return self._epochs[0].number + len(self._epochs) if self._epochs else 0

    def __getitem__(self, number: int) -> Epoch:
        return self._epochs[self._at(number)]

    def offset(self, number: int) -> int:
        """The offset of that epoch's record in the topic."""
        return self._offsets[self._at(number)]

    def next_offset(self, number: int) -> int:
        """The progress after every epoch below ``number`` is done: one past the record of ``number - 1``."""
        return self._offsets[self._at(number - 1)] + 1 if number > 0 else self._log.first(EPOCHS, 0)

    def number_at(self, offset: int) -> int:
        """The epoch that follows a progress offset: the first one whose record stands at or after it."""
        first = self._epochs[0].number if self._epochs else 0
        return first + int(np.searchsorted(self._offsets, offset, side="left"))

    def versions(self, number: int) -> Mapping[str, str]:
        """The versions in force at the end of that epoch."""
        return self._latest_versions[self._at(number)]

    def ends_before(self, number: int, topic: str, partition: int) -> int:
        """The next raw offset when epoch ``number`` begins."""
        return self[number - 1].ends[topic][partition] if number > 0 else self._log.first(topic, partition)

    def ends(self, topic: str, partition: int, first: int, stop: int) -> np.ndarray:
        """The next raw offsets of one partition after each of the epochs [first, stop)."""
        known = self._ends.get((topic, partition), np.empty(0, np.int64))
        if len(known) < len(self._epochs):
            fresh = [epoch.ends[topic][partition] for epoch in self._epochs[len(known) :]]
            known = self._ends[topic, partition] = np.concatenate([known, np.array(fresh, np.int64)])
        at = self._at(first)
        return known[at : at + stop - first]

    def stops(self, first: int, stop: int) -> list[int]:
        """The epochs of [first, stop) behind which a stretch ends.

        Marked ones, the last of a business date, and both sides of an epoch with reference events: such an epoch is a
        stretch of its own, so that reference data changes for everybody at exactly that epoch.
        """
        return self._stops[bisect_left(self._stops, first) : bisect_left(self._stops, stop)]

    def cuts(self) -> dict[str, int]:
        """Cut id -> number of its newest marked epoch, in the order of the log."""
        return {self[number].cut: number for number in self._cuts}

    def next_cut(self, after: int) -> int:
        """The number of the first cut's epoch behind epoch ``after``; where there is none, of the next to come."""
        at = bisect_right(self._cuts, after)
        return self._cuts[at] if at < len(self._cuts) else self.end

    def last_at(self, time: int) -> Epoch | None:
        """The last epoch closed at or before ``time`` (microseconds); None before the first."""
        at = int(np.searchsorted([epoch.time for epoch in self._epochs], time, side="right"))
        return self._epochs[at - 1] if at else None

    def _at(self, number: int) -> int:
        at = number - (self._epochs[0].number if self._epochs else 0)
        if not 0 <= at < len(self._epochs):
            raise LogError(f"epoch {number}: expected below {self.end}")
        return at

    def _add(self, offset: int, epoch: Epoch) -> None:
        if self._epochs and epoch.number != self.end:
            raise LogError(f"{EPOCHS}: expected epoch {self.end} at offset {offset}, found {epoch.number}")
        former = self._latest_versions[-1] if self._latest_versions else {}
        last = self._epochs[-1] if self._epochs else None
        new_reference = last is None or _reference_ends(last.ends) != _reference_ends(epoch.ends)
        if last is not None and (last.day != epoch.day or new_reference) and last.number not in self._stops[-1:]:
            self._stops.append(last.number)
        if epoch.marked or new_reference:
            self._stops.append(epoch.number)
        if epoch.cut:
            self._cuts.append(epoch.number)
        self._epochs.append(epoch)
        self._offsets.append(offset)
        self._latest_versions.append({**former, **epoch.versions} if epoch.versions else former)


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant at which the clock takes a price set, and perhaps a cut."""

    time: int
    price_set: str
    cut: str = ""


@dataclass(frozen=True, slots=True)
class ClockRules:
    """How the clock ticks."""

    interval_ms: int = 200
    events_max: int = 50_000
    """Most events of one partition in one epoch; the rest comes in the next."""


def close_epochs(
    former: Epoch | None,
    until: int,
    arrivals: Mapping[str, Sequence[np.ndarray]],
    marks: Iterable[Mark],
    rules: ClockRules,
    day: date,
    versions: Mapping[str, str],
    offsets: Mapping[tuple[str, int], np.ndarray] | None = None,
) -> list[Epoch]:
    """The epochs after ``former`` up to ``until`` (microseconds, inclusive), from the arrival times not yet covered.

    ``arrivals[topic][partition]`` are the arrival times, ascending, of the messages after ``former``'s ends, and
    ``offsets`` the next offset after none, one, two ... of them where a log has gaps; dense unless given. An epoch is
    closed at each interval in which something arrived and at each mark; the first new one announces ``versions``.
    Pure: the same arrivals give the same epochs however they are handed over.
    """
    step = rules.interval_ms * 1000
    at_mark = {mark.time: mark for mark in marks if (former is None or mark.time > former.time) and mark.time <= until}
    places = [(topic, partition) for topic, parts in arrivals.items() for partition in range(len(parts))]
    if offsets is None:
        begin = {place: former.ends[place[0]][place[1]] if former else 0 for place in places}
        offsets = {(t, p): begin[t, p] + np.arange(len(arrivals[t][p]) + 1) for t, p in places}
    times = [arrivals[topic][partition] for topic, partition in places]
    closed = [-(-some[some <= until] // step) * step for some in times]
    ticks = np.unique(np.concatenate([*closed, np.array(list(at_mark), np.int64)]))
    ticks = ticks[ticks <= until]
    reached = np.zeros((len(places), len(ticks) + 1), np.int64)
    """How many messages of each place lie before each tick."""
    for place, some in zip(reached, times, strict=True):
        place[1:] = np.searchsorted(some, ticks, side="right")
    parts = (-(-np.diff(reached, axis=1) // rules.events_max)).max(axis=0, initial=1)
    tick = np.repeat(np.arange(len(ticks)), parts)
    part = np.arange(len(tick)) - np.repeat(np.cumsum(parts) - parts, parts) + 1
    counts = np.minimum(reached[:, tick + 1], reached[:, tick] + part * rules.events_max)
    ends = {place: offsets[place][count].tolist() for place, count in zip(places, counts, strict=True)}
    by_topic = [list(zip(*(ends[t, p] for p in range(len(some))), strict=True)) for t, some in arrivals.items()]
    first = former.number + 1 if former else 0
    epochs: list[Epoch] = []
    whole = (part == parts[tick]).tolist()
    for i, (time, reach) in enumerate(zip(ticks[tick].tolist(), zip(*by_topic, strict=True), strict=True)):
        mark = at_mark.get(time) if whole[i] else None
        price_set, cut = (mark.price_set, mark.cut) if mark else ("", "")
        fresh = {} if epochs else dict(versions)
        epochs.append(Epoch(first + i, time, day, dict(zip(arrivals, reach, strict=True)), price_set, cut, fresh))
    return epochs
