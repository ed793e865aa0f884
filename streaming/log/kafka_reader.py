"""Messages of Kafka partitions, in order, by one consumer that stays on every partition it was sent to.

The broker answers for all of them at once, and as soon as one has something. What arrives before it is asked for is
kept, up to a bound by partition. So where a reader follows its partitions, nobody has to ask for their ends.
"""

import struct
import time
from collections import deque
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streaming.log.protocol import LogError, Partition, Span

MESSAGES_MAX = 10_000  # of one call of the client
AHEAD_BYTES = 32 << 20
"""Of one partition: as much is kept of what was not asked for yet."""
ANSWER_S = 30.0
LEADERS_S = 5.0
_TIME = "us"
_MICROS = struct.Struct("<h")
_GONE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


class OffsetsGoneError(Exception):
    """The broker no longer has, or never had, what comes next at ``offset``."""

    def __init__(self, offset: int):
        super().__init__(offset)
        self.offset = offset


@dataclass(slots=True)
class _Followed:
    where: Partition
    at: TopicPartition
    """What Kafka calls it."""
    next: int
    """The next offset to hand out."""
    handed: int
    """One past the last message that was handed out: between this and ``next`` there is none."""
    received: int
    """Everything below is handed out, waiting, or was never a message."""
    waiting: deque[Message] = field(default_factory=deque)
    waiting_bytes: int = 0
    paused: bool = False
    gone: bool = False


class Reader:
    """``wait_ms``: how long the broker holds back an answer that would be empty; a partition that joins waits as long.

    One thread at a time.
    """

    def __init__(self, settings: Mapping[str, Any], wait_ms: int):
        own = {
            "group.id": "plumbline-reader",  # asked for by the client; nothing is ever committed to it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": wait_ms,
            "fetch.queue.backoff.ms": 5,  # by default a reader that has caught up with a full queue waits for a second
            "queued.max.messages.kbytes": 16_384,
            "check.crcs": True,
        }
        self._consumer = Consumer({**settings, **own})
        self._followed: dict[Partition, _Followed] = {}
        self._by_name: dict[tuple[str | None, int | None], _Followed] = {}
        self._known: Set[str] = frozenset()
        """Topics that this client knows the leaders of."""

    def follows(self, where: Partition) -> bool:
        return where in self._followed

    def stands_at(self, where: Partition, offset: int) -> bool:
        """Whether ``where`` is followed, and what it hands out next is the first message from ``offset`` on."""
        found = self._followed.get(where)
        return found is not None and found.handed <= offset <= found.next

    def follow(self, where: Partition, offset: int, kafka_name: str) -> None:
        """Read ``where`` from ``offset`` on, and whatever comes after."""
        self.leave(where)
        if kafka_name not in self._known:
            self._ask_for_leaders()
        at = TopicPartition(kafka_name, where[1], offset)
        self._followed[where] = self._by_name[kafka_name, where[1]] = _Followed(where, at, offset, offset, offset)
        self._consumer.incremental_assign([at])

    def _ask_for_leaders(self) -> None:
        """Of all topics at once. By itself the client asks for those of new topics on a timer of one second."""
        with suppress(KafkaException):  # a broker that is away: the client goes on asking
            self._known = self._consumer.list_topics(timeout=LEADERS_S).topics.keys()

    def leave(self, where: Partition) -> None:
        """Read no more of ``where``; nothing where it is not followed."""
        found = self._followed.pop(where, None)
        if found is not None:
            del self._by_name[found.at.topic, found.at.partition]
            self._consumer.incremental_unassign([found.at])

    def leave_all(self) -> None:
        for where in list(self._followed):
            self.leave(where)

    def received(self, where: Partition) -> int:
        """The next offset after what has arrived of a followed partition; does not wait."""
        found = self._followed[where]
        self._take(0.0)
        self._pause_the_rest(found)
        if found.gone and not found.waiting:
            self.leave(where)
            raise OffsetsGoneError(found.next)
        return found.received

    def read(self, where: Partition, start: int, stop: int) -> Span:
        """The messages from ``start``, where it stands, up to ``stop``, which the broker is known to have."""
        found = self._followed[where]
        deadline = time.monotonic() + ANSWER_S
        while found.received < stop:
            self._resume(found)
            before = found.received
            if found.gone:
                self.leave(where)
                raise OffsetsGoneError(found.next)
            self._take(0.1)
            self._pause_the_rest(found)
            if found.received > before:
                deadline = time.monotonic() + ANSWER_S
            elif time.monotonic() > deadline:
                self.leave(where)
                raise LogError(f"{where[0]}/{where[1]}: no answer within {ANSWER_S:.0f} s at offset {before}")
        taken = []
        while found.waiting and offset_of(found.waiting[0]) < stop:
            taken.append(found.waiting.popleft())
        payloads = [message.value() or b"" for message in taken]
        found.waiting_bytes -= sum(map(len, payloads))
        found.next = max(stop, found.next)
        found.handed = offset_of(taken[-1]) + 1 if taken else found.handed
        if found.waiting_bytes < AHEAD_BYTES // 2:
            self._resume(found)
        offsets = np.array([message.offset() for message in taken], np.int64)
        times = np.array([_time(message) for message in taken], np.int64)
        return Span(start, stop, offsets, times, payloads)

    def close(self) -> None:
        self._consumer.close()

    def _take(self, wait_s: float) -> None:
        """What has arrived, else wait for the first: ``consume`` would wait for all that are asked for."""
        messages = self._consumer.consume(MESSAGES_MAX, 0)
        if not messages and wait_s:
            messages = self._consumer.consume(1, wait_s)
        for message in messages:
            found, error = self._by_name.get((message.topic(), message.partition())), message.error()
            if error is None:
                if found is not None and offset_of(message) >= found.received:
                    found.waiting.append(message)
                    found.waiting_bytes += len(message.value() or b"")
                    found.received = offset_of(message) + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                if found is not None:
                    found.received = max(found.received, offset_of(message))
            elif error.code() in _GONE and found is not None:
                found.gone = True
            elif error.fatal() or not error.retriable():
                raise LogError(f"{message.topic()}/{message.partition()}: {error.str()}")

    def _pause_the_rest(self, wanted: _Followed) -> None:
        """Let the broker keep what would fill the memory before it is read."""
        for found in self._followed.values():
            if found is not wanted and found.waiting_bytes > AHEAD_BYTES and not found.paused:
                self._consumer.pause([found.at])
                found.paused = True

    def _resume(self, found: _Followed) -> None:
        if found.paused:
            self._consumer.resume([found.at])
            found.paused = False


def offset_of(message: Message) -> int:
    offset = message.offset()
    assert offset is not None  # every message of a broker has one
    return offset


def headers_of(time_us: int) -> tuple[int, list[tuple[str, str | bytes | None]] | None]:
    """How a message carries its time: Kafka's timestamp in milliseconds, and headers with the rest if there is one."""
    milliseconds, rest = divmod(time_us, 1000)
    return milliseconds, [(_TIME, _MICROS.pack(rest))] if rest else None


def _time(message: Message) -> int:
    micros: int = message.timestamp()[1] * 1000
    headers: Any = message.headers() or ()
    for name, value in headers:
        if name == _TIME:
            micros += _MICROS.unpack(value)[0]
    return micros
