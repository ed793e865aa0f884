"""A branch of the log: the live log up to one epoch, with events that never came, and perhaps other versions.

It is a log like any other (its epochs bound its events), so what runs over it is what runs over the live one.
Read-only: whatever runs over it writes to a log of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from streaming.engine.app import RAW_TOPICS
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.log import Log, LogError, Span, Writer

Partition = tuple[str, int]


class BranchLog:
    """The raw topics and epochs of ``live`` through epoch ``last``, which also holds the hypothetical events.

    ``events``: payloads by partition, behind everything that really lies in that epoch. ``versions`` are in force from
    epoch ``first`` on, beside those announced.
    """

    def __init__(
        self,
        live: Log,
        index: EpochIndex,
        first: int,
        last: Epoch,
        events: Mapping[Partition, Sequence[bytes]],
        versions: Mapping[str, str],
    ):
        self._live, self._events = live, events
        self._time = last.time
        self._bounds = {(t, p): end for t, ends in last.ends.items() for p, end in enumerate(ends)}
        self._end = index.offset(last.number) + 1
        ends = {t: tuple(self.end(t, p) for p in range(len(ends))) for t, ends in last.ends.items()}
        self._epochs: dict[int, bytes] = {}
        for number in range(first if versions else last.number, last.number + 1):
            epoch = real = index[number]
            if number == last.number:
                epoch = replace(epoch, ends=ends)
            if versions and (number == first or epoch.versions):
                epoch = replace(epoch, versions={**epoch.versions, **versions})
            if epoch is not real:
                self._epochs[index.offset(number)] = epoch.encode()

    def topics(self) -> Mapping[str, int]:
        return {name: count for name, count in self._live.topics().items() if name in RAW_TOPICS or name == EPOCHS}

    def create(self, topics: Mapping[str, int]) -> None:
        self._refuse()

    def first(self, topic: str, partition: int) -> int:
        return self._live.first(topic, partition)

    def end(self, topic: str, partition: int) -> int:
        if topic == EPOCHS:
            return self._end
        return self._bound(topic, partition) + len(self._events.get((topic, partition), ()))

    def _bound(self, topic: str, partition: int) -> int:
        """Where the live events end; a topic that is newer than the epoch has none."""
        return self._bounds.get((topic, partition), self._live.first(topic, partition))

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        if topic == EPOCHS:
            span = self._live.read(topic, partition, start, min(stop, self._end))
            payloads = [self._epochs.get(at, body) for at, body in zip(span.offsets.tolist(), span.payloads)]
            return span._replace(payloads=payloads)
        bound = self._bound(topic, partition)
        span = self._live.read(topic, partition, min(start, bound), min(stop, bound))
        low, high = max(start, bound), max(stop, bound)
        more = list(self._events.get((topic, partition), ())[low - bound : high - bound])
        offsets = np.concatenate([span.offsets, np.arange(low, low + len(more), dtype=np.int64)])
        times = np.concatenate([span.times, np.full(len(more), self._time, np.int64)])
        return Span(start, stop, offsets, times, [*span.payloads, *more])

    def at_time(self, topic: str, partition: int, time: int) -> int:
        return min(self._live.at_time(topic, partition, time), self.end(topic, partition))

    def writer(self, name: str) -> Writer:
        return self._refuse()

    def progress_of(self, writer: str) -> Mapping[Partition, int]:
        """Nobody writes here: there is none."""
        return {}

    def note_of(self, writer: str) -> str:
        """Nobody writes here: there is none."""
        return ""

    def close(self) -> None:
        """The live log is somebody else's."""

    def _refuse(self) -> Writer:
        raise LogError("branch: expected no writer, a branch of the log is read only")
