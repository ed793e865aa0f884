"""A log over another: some topics are the other's, read only; all others are its own.

A replay is run on one: it reads the raw events and epochs of the live log, and can neither read nor touch live output.
"""

from collections.abc import Collection, Mapping

from streaming.log.protocol import Log, Partition, Span, Writer


class OverlaidLog:
    """``topics`` are those of ``below``; everything that is written goes to ``own``."""

    def __init__(self, below: Log, own: Log, topics: Collection[str]):
        self._below, self._own, self._topics = below, own, frozenset(topics)

    def _of(self, topic: str) -> Log:
        return self._below if topic in self._topics else self._own

    def create(self, topics: Mapping[str, int]) -> None:
        self._own.create({name: count for name, count in topics.items() if self._of(name) is self._own})

    def topics(self) -> Mapping[str, int]:
        below = {name: count for name, count in self._below.topics().items() if self._of(name) is self._below}
        return {**self._own.topics(), **below}

    def first(self, topic: str, partition: int) -> int:
        return self._of(topic).first(topic, partition)

    def end(self, topic: str, partition: int) -> int:
        return self._of(topic).end(topic, partition)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        return self._of(topic).read(topic, partition, start, stop)

    def at_time(self, topic: str, partition: int, time: int) -> int:
        return self._of(topic).at_time(topic, partition, time)

    def writer(self, name: str) -> Writer:
        return self._own.writer(name)

    def progress_of(self, writer: str) -> Mapping[Partition, int]:
        """The committed progress of a writer, without taking it over."""
        return self._own.progress_of(writer)

    def note_of(self, writer: str) -> str:
        """The note of a writer's newest commit with progress."""
        return self._own.note_of(writer)

    def close(self) -> None:
        """Close the own log; the one below is its opener's."""
        self._own.close()
