"""What every log offers.

Offsets are those of the partition: a message's own offset, and *next offsets* as ends. They may have gaps (Kafka spends
offsets on transaction markers), so only next offsets are ever compared. Readers see committed messages only.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

Partition = tuple[str, int]
"""(topic, partition)"""


class LogError(RuntimeError):
    """Something the log refuses, with what was expected and found."""


class UnknownTopicError(LogError):
    """A topic or partition that was never created."""


class MissingOffsetsError(LogError):
    """Offsets that are not (or no longer) there: refused by name, never a short read."""


class FencedError(LogError):
    """Another writer has taken over this writer's name."""


class Record(NamedTuple):
    """A message to append. ``time`` in microseconds since 1970-01-01 UTC."""

    topic: str
    partition: int
    payload: bytes
    time: int


class Span(NamedTuple):
    """The messages of one partition from ``start`` up to ``stop`` (next offsets)."""

    start: int
    stop: int
    offsets: np.ndarray
    """int64, strictly increasing, inside [start, stop)."""
    times: np.ndarray
    """int64 microseconds: when each message was appended (or arrived, where the appender said so)."""
    payloads: list[bytes]


class Writer(Protocol):
    """The one live writer of its name: whatever it commits is atomic over all partitions, together with progress."""

    @property
    def progress(self) -> Mapping[Partition, int]:
        """Committed progress by input partition (next offset); a partition never committed is absent."""
        ...

    def commit(
        self, records: Sequence[Record], progress: Mapping[Partition, int] | None = None, note: str = ""
    ) -> None:
        """Append all records and store the progress, or nothing of it. Raises FencedError after a take-over.

        ``note``: a short text kept with the progress, until the next commit with progress replaces it.
        """
        ...

    def close(self) -> None: ...


class Log(Protocol):
    """Partitioned, append-only, transactional."""

    def create(self, topics: Mapping[str, int]) -> None:
        """Create topics with their number of partitions; one that exists must have the same number."""
        ...

    def topics(self) -> Mapping[str, int]:
        """Topic -> number of partitions."""
        ...

    def first(self, topic: str, partition: int) -> int:
        """The earliest offset still there."""
        ...

    def end(self, topic: str, partition: int) -> int:
        """The stable end: the next offset after the last committed message."""
        ...

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        """Exactly the messages in [start, stop); MissingOffsetsError when any of it is not there."""
        ...

    def at_time(self, topic: str, partition: int, time: int) -> int:
        """The offset of the first message whose time is at or after ``time`` (microseconds), else the end."""
        ...

    def writer(self, name: str) -> Writer:
        """Take over the writer called ``name``; a former holder is fenced."""
        ...

    def progress_of(self, writer: str) -> Mapping[Partition, int]:
        """The committed progress of a writer, without taking it over."""
        ...

    def note_of(self, writer: str) -> str:
        """The note of a writer's newest commit with progress; empty when there is none."""
        ...

    def close(self) -> None: ...
