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
from itertools import chain, count, groupby
from operator import itemgetter
from threading import Lock
from typing import Any

import numpy as np
import orjson

from streaming.log import Log, LogError
from streaming.schema.raw import REFERENCE_FEEDS

EPOCHS = "epochs"
_REFERENCE = frozenset(topic.name for topic in REFERENCE_FEEDS)
_OFFSET, _TIME, _DAY = range(3)
_FIXED = 3


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
        return cls(
            record["epoch"],
            record["time"],
            date.fromisoformat(record["day"]),
            {topic: tuple(ends) for topic, ends in record["ends"].items()},
            record.get("price_set", ""),
            record.get("cut", ""),
            record.get("versions", {}),
        )


@lru_cache
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


class EpochIndex:
    """The epochs of a log, as far as they have been written; shared by all readers of a process.

    Days have a hundred thousand epochs: they are kept in columns, and an :class:`Epoch` is made when asked for.
    """

    def __init__(self, log: Log):
        self._log = log
        self._next = log.first(EPOCHS, 0)
        self._first = 0
        """The number of the first epoch that the log still holds."""
        self._length = 0
        self._table = np.zeros((1024, _FIXED), np.int64)
        """A row for each epoch: its offset, time and day (ordinal), then the next offset of each place."""
        self._places: dict[tuple[str, int], int] = {}
        """Raw topic and partition -> column."""
        self._marks: dict[int, tuple[str, str]] = {}
        """Number of a marked epoch -> its price set and cut."""
        self._announced: list[tuple[int, Mapping[str, str], Mapping[str, str]]] = []
        """Number of an epoch that announces versions, those, and all that are in force from it on."""
        self._stops: list[int] = []
        self._cuts: list[int] = []
        self._refreshing = Lock()

    def refresh(self) -> int:
        """Read what is new; the number of the next epoch that is not there yet. Several threads may share an index:
        what lies below the number that this returned to a thread is complete for it."""
        with self._refreshing:
            end = self._log.end(EPOCHS, 0)
            while self._next < end:
                stop = min(end, self._next + 10_000)
                span = self._log.read(EPOCHS, 0, self._next, stop)
                if span.payloads:
                    self._add(span.offsets, [orjson.loads(payload) for payload in span.payloads])
                self._next = stop
            return self.end

    @property
    def end(self) -> int:
        return self._first + self._length

    def __getitem__(self, number: int) -> Epoch:
        row = self._table[self._at(number)].tolist()
        ends: dict[str, tuple[int, ...]] = {}
        for (topic, _), column in self._places.items():
            ends[topic] = (*ends.get(topic, ()), row[column])
        price_set, cut = self._marks.get(number, ("", ""))
        at = bisect_left(self._announced, number, key=itemgetter(0))
        fresh = self._announced[at][1] if at < len(self._announced) and self._announced[at][0] == number else {}
        return Epoch(number, row[_TIME], date.fromordinal(row[_DAY]), ends, price_set, cut, fresh)

    def offset(self, number: int) -> int:
        """The offset of that epoch's record in the topic."""
        return int(self._table[self._at(number), _OFFSET])

    def next_offset(self, number: int) -> int:
        """The progress after every epoch below ``number`` is done: one past the record of ``number - 1``."""
        return self.offset(number - 1) + 1 if number > 0 else self._log.first(EPOCHS, 0)

    def number_at(self, offset: int) -> int:
        """The epoch that follows a progress offset: the first one whose record stands at or after it."""
        return self._first + int(np.searchsorted(self._table[: self._length, _OFFSET], offset, side="left"))

    def versions(self, number: int) -> Mapping[str, str]:
        """The versions in force at the end of that epoch."""
        self._at(number)
        at = bisect_right(self._announced, number, key=itemgetter(0))
        return self._announced[at - 1][2] if at else {}

    def ends_before(self, number: int, topic: str, partition: int) -> int:
        """The next raw offset when epoch ``number`` begins."""
        column = self._places.get((topic, partition))
        if number <= 0 or column is None:
            return self._log.first(topic, partition)
        return int(self._table[self._at(number - 1), column])

    def ends(self, topic: str, partition: int, first: int, stop: int) -> np.ndarray:
        """The next raw offsets of one partition after each of the epochs [first, stop)."""
        at, column = self._at(first), self._places.get((topic, partition))
        if column is None:  # no epoch knows the topic yet
            return np.full(stop - first, self._log.first(topic, partition))
        return self._table[at : at + stop - first, column]

    def stops(self, first: int, stop: int) -> list[int]:
        """The epochs of [first, stop) behind which a stretch ends.

        Marked ones, the last of a business date, and both sides of an epoch with reference events: such an epoch is a
        stretch of its own, so that reference data changes for everybody at exactly that epoch.
        """
        return self._stops[bisect_left(self._stops, first) : bisect_left(self._stops, stop)]

    def marked_cuts(self) -> list[Epoch]:
        """Every epoch at which a cut is sealed, in the order of the log."""
        return [self[number] for number in self._cuts]

    def cuts(self) -> dict[str, int]:
        """Cut id -> number of its newest marked epoch, in the order of the log."""
        return {self._marks[number][1]: number for number in self._cuts}

    def next_cut(self, after: int) -> int:
        """The number of the first cut's epoch behind epoch ``after``; where there is none, of the next to come."""
        at = bisect_right(self._cuts, after)
        return self._cuts[at] if at < len(self._cuts) else self.end

    def last_at(self, time: int) -> Epoch | None:
        """The last epoch closed at or before ``time`` (microseconds); None before the first."""
        at = int(np.searchsorted(self._table[: self._length, _TIME], time, side="right"))
        return self[self._first + at - 1] if at else None

    def _at(self, number: int) -> int:
        at = number - self._first
        if not 0 <= at < self._length:
            raise LogError(f"epoch {number}: expected below {self.end}")
        return at

    def _add(self, offsets: np.ndarray, records: Sequence[Mapping[str, Any]]) -> None:
        """Take records that follow one another."""
        if not self._length:
            self._first = records[0]["epoch"]
        for offset, number, record in zip(offsets.tolist(), count(self.end), records):
            if record["epoch"] != number:
                raise LogError(f"{EPOCHS}: expected epoch {number} at offset {offset}, found {record['epoch']}")
        rows = np.zeros((len(records), self._room(len(records), records[-1]["ends"])), np.int64)
        rows[:, _OFFSET] = offsets
        rows[:, _TIME] = [record["time"] for record in records]
        rows[:, _DAY] = [_ordinal(record["day"]) for record in records]
        start = 0
        for _, some in groupby((record["ends"] for record in records), _alike):
            chosen = list(some)
            columns = [self._places[place] for place in _shape(chosen[0])]
            flat = chain.from_iterable(chain.from_iterable(map(dict.values, chosen)))
            values = np.fromiter(flat, np.int64, len(chosen) * len(columns)).reshape(-1, len(columns))
            rows[start : start + len(chosen), columns] = values
            start += len(chosen)
        self._find_stops(rows)
        for number, record in zip(count(self.end), records):
            if "versions" in record:
                former = self._announced[-1][2] if self._announced else {}
                self._announced.append((number, record["versions"], {**former, **record["versions"]}))
            if "price_set" in record or "cut" in record:
                self._marks[number] = record.get("price_set", ""), record.get("cut", "")
                self._stops.append(number)
                if "cut" in record:
                    self._cuts.append(number)
        self._stops = sorted(set(self._stops))
        self._table[self._length : self._length + len(rows)] = rows
        self._length += len(rows)

    def _room(self, more: int, ends: Mapping[str, Sequence[int]]) -> int:
        """Make room for more epochs and for places not seen before; how many columns there are."""
        for place in _shape(ends):
            self._places.setdefault(place, _FIXED + len(self._places))
        height, width = self._table.shape
        wanted = _FIXED + len(self._places)
        if self._length + more > height or wanted > width:
            table = np.zeros((max(2 * height, self._length + more), wanted), np.int64)
            table[: self._length, :width] = self._table[: self._length]
            self._table = table
        return wanted

    def _find_stops(self, rows: np.ndarray) -> None:
        """Note where a stretch ends because reference data or the business date changes."""
        reference = [column for (topic, _), column in self._places.items() if topic in _REFERENCE]
        last = self._table[self._length - 1 : self._length] if self._length else np.full((1, rows.shape[1]), -1)
        both = np.concatenate([last, rows])
        referring = (both[1:, reference] != both[:-1, reference]).any(axis=1)
        turning = both[1:, _DAY] != both[:-1, _DAY]
        numbers = self.end + np.arange(len(rows))
        found = [*numbers[referring].tolist(), *(numbers[referring | turning] - 1).tolist()]
        self._stops += [number for number in found if number >= self._first]


def _alike(ends: Mapping[str, Sequence[int]]) -> tuple:
    """Equal for records that give ends of the same places in the same order."""
    return (*ends, *map(len, ends.values()))


def _shape(ends: Mapping[str, Sequence[int]]) -> tuple[tuple[str, int], ...]:
    """The places that an epoch's record gives ends of, in order."""
    return tuple((topic, partition) for topic, some in ends.items() for partition in range(len(some)))


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
