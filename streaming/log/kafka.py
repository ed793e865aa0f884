"""The log on Kafka. One transactional producer per writer name; readers see committed messages only.

Who runs for long *follows* a log: once it has looked at a partition its reader stays there, and ``end`` is the end of
what has arrived, without a question to the broker. It may then lag behind the log's end, but it never stops short.

Times are kept to the microsecond: Kafka's own timestamp has the milliseconds, a header the rest. Topics are created
with explicit partitions, and without retention by time unless ``topic_settings`` says otherwise: the times are the
events' own, so it would remove a past day at once. Progress is the consumer group called like the writer; a progress
key that is no topic is kept under an empty topic ``progress.KEY``.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

from streaming.log.kafka_reader import MESSAGES_MAX, OffsetsGoneError, Reader, headers_of, offset_of
from streaming.log.protocol import (
    FencedError,
    LogError,
    MissingOffsetsError,
    Partition,
    Record,
    Span,
    UnknownTopicError,
)

TIMEOUT_S = 30.0
ATTEMPT_S = 5.0
"""Of one question, where a broker that has just started may leave it without an answer."""
TRANSACTION_TIMEOUT_MS = 45_000
"""A writer that died holds back every reader until its transaction is aborted."""
FOLLOWING_WAIT_MS, VISITING_WAIT_MS = 50, 5
"""A visitor only asks for what is there; an answer still awaited would hold up the next partition's."""
_PROGRESS = "progress."
_GIVEN = re.compile(r"\$\{(\w+)\}")
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})
_COMMITTED = {"isolation_level": IsolationLevel.READ_COMMITTED}
_LEADERLESS = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
    }
)
_TOPIC_SETTINGS = {"cleanup.policy": "delete", "retention.ms": "-1"}


class KafkaLog:
    """A log on a Kafka cluster.

    ``settings`` go to every client as they are (brokers, TLS, SASL); ``${NAME}`` in a value is taken from the
    environment, so that secrets need not stand in a description. They are never printed. ``prefix`` stands before the
    name of every topic, group and transactional id: several environments share a cluster without meeting.
    ``following``: see above; each partition is then best read onwards, by one thread.
    """

    def __init__(
        self,
        settings: Mapping[str, object],
        replication: int = 1,
        topic_settings: Mapping[str, str] | None = None,
        prefix: str = "",
        following: bool = False,
    ):
        self._settings: dict[str, Any] = {name: from_environment(value) for name, value in settings.items()}
        self._replication = replication
        self._prefix = prefix
        self._topic_settings = {**_TOPIC_SETTINGS, **(topic_settings or {})}
        self._admin = AdminClient(self._settings)
        self._topics: dict[str, int] = {}
        self.following = following
        self._reader = Reader(self._settings, FOLLOWING_WAIT_MS if following else VISITING_WAIT_MS)
        self._plain: set[str] = set()
        """Topics that are known not to be compacted."""
        self._ends: dict[Partition, int] = {}
        self._groups: dict[str, Consumer] = {}
        """Consumers that never join their group, and are asked for its offsets."""

    def __repr__(self) -> str:
        return f"KafkaLog({self._settings.get('bootstrap.servers')})"

    def create(self, topics: Mapping[str, int]) -> None:
        known, fresh = self._all_topics(), []
        for name, partitions in topics.items():
            if known.get(name, partitions) != partitions:
                raise LogError(f"topic {name}: expected {partitions} partitions, found {known[name]}")
            if name not in known:
                fresh.append(
                    NewTopic(self.kafka_name(name), partitions, self._replication, config=self._topic_settings)
                )
        for name, done in (self._admin.create_topics(fresh) if fresh else {}).items():
            try:
                done.result(TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise LogError(f"topic {name}: {error.args[0].str()}") from None
        if fresh:
            self._await_topics(topics)

    def _await_topics(self, topics: Mapping[str, int]) -> None:
        """Wait until the broker that is asked shows them: a creation is answered before that."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            seen = self._all_topics()
            missing = sorted(name for name, partitions in topics.items() if seen.get(name) != partitions)
            if not missing:
                return
            if time.monotonic() > deadline:
                raise LogError(f"{self!r}: created, but not to be seen after {TIMEOUT_S:.0f} s: {', '.join(missing)}")
            time.sleep(0.05)

    def topics(self) -> Mapping[str, int]:
        return {name: count for name, count in self._all_topics().items() if not name.startswith(_PROGRESS)}

    def first(self, topic: str, partition: int) -> int:
        return self._offset(topic, partition, OffsetSpec.earliest())

    def end(self, topic: str, partition: int) -> int:
        where = topic, partition
        if self.following and self._reader.follows(where):
            try:
                return self._reader.received(where)
            except OffsetsGoneError as gone:
                raise self._missing(topic, partition, gone.offset, gone.offset) from None
        found = self._end(where)
        if self.following:
            self._reader.follow(where, found, self.kafka_name(topic))
        return found

    def _end(self, where: Partition) -> int:
        self._ends[where] = self._offset(*where, OffsetSpec.latest())
        return self._ends[where]

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        self._known(topic, partition)
        where = topic, partition
        if not 0 <= start <= stop or not self._reaches(where, stop):
            raise self._missing(topic, partition, start, stop)
        if start == stop:
            return Span(start, stop, np.empty(0, np.int64), np.empty(0, np.int64), [])
        if not self._reader.stands_at(where, start):
            self._refuse_compacted(topic)
            if start < self.first(topic, partition):
                raise self._missing(topic, partition, start, stop)
            if not self.following:
                self._reader.leave_all()
            self._reader.follow(where, start, self.kafka_name(topic))
        try:
            span = self._reader.read(where, start, stop)
        except OffsetsGoneError:
            raise self._missing(topic, partition, start, stop) from None
        if not self.following and stop == self._ends[where]:
            self._reader.leave(where)  # fetch nothing while nobody reads
        return span

    def _reaches(self, where: Partition, stop: int) -> bool:
        """Whether there is everything below ``stop``; the broker is asked only where that is not known."""
        if stop <= self._ends.get(where, -1):
            return True
        if self.following and self._reader.follows(where) and stop <= self._reader.received(where):
            return True
        return stop <= self._end(where)

    def at_time(self, topic: str, partition: int, time: int) -> int:
        """As the protocol says. Kafka knows milliseconds; the last step compares the messages' own microseconds."""
        self._known(topic, partition)
        end = self._end((topic, partition))
        start = self._offset(topic, partition, OffsetSpec.for_timestamp(max(time // 1000, 0)))
        start = end if start < 0 else start
        while start < end:
            span = self.read(topic, partition, start, min(start + 64, end))
            late = np.flatnonzero(span.times >= time)
            if len(late):
                return int(span.offsets[late[0]])
            start = span.stop
        return end

    def writer(self, name: str) -> "KafkaWriter":
        return KafkaWriter(self, self._settings, name)

    def close(self) -> None:
        self._reader.close()
        for consumer in self._groups.values():
            consumer.close()
        self._groups.clear()

    def erase(self) -> None:
        """Delete every topic and all progress under this log's prefix; LogError for a log without one."""
        if not self._prefix:
            raise LogError(f"{self!r}: expected a prefix, found none: it would erase every topic there")
        groups = [group.group_id for group in self._admin.list_consumer_groups().result(TIMEOUT_S).valid]
        mine = [group for group in groups if group.startswith(self._prefix)]
        topics = [self.kafka_name(name) for name in self._all_topics()]
        for done in (
            *(self._admin.delete_topics(topics) if topics else {}).values(),
            *(self._admin.delete_consumer_groups(mine) if mine else {}).values(),
        ):
            try:
                done.result(TIMEOUT_S)
            except KafkaException as error:
                raise LogError(f"{self!r}: {error.args[0].str()}") from None

    def kafka_name(self, name: str) -> str:
        """What a topic, or a writer, is called in Kafka."""
        return self._prefix + name

    def await_ends(self, ends: Mapping[Partition, int]) -> None:
        """Wait until readers see everything below ``ends``: a commit is answered before it is."""
        deadline = time.monotonic() + TIMEOUT_S
        waiting = dict(ends)
        while waiting:
            found = self._offsets(list(waiting), OffsetSpec.latest())
            waiting = {where: end for where, end in waiting.items() if found[where] < end}
            if waiting and time.monotonic() > deadline:
                raise LogError(f"{self!r}: not readable after {TIMEOUT_S:.0f} s: {sorted(waiting)}")

    def progress_of(self, writer: str) -> dict[Partition, int]:
        """The committed progress of a writer, without taking it over."""
        found = self._group_offsets(self.kafka_name(writer))
        names = {at.topic: at.topic.removeprefix(self._prefix).removeprefix(_PROGRESS) for at in found}
        return {(names[at.topic], at.partition): at.offset for at in found}

    def note_of(self, writer: str) -> str:
        """The note of a writer's newest commit with progress; empty when there is none."""
        notes = [at.metadata or "" for at in self._group_offsets(self.kafka_name(writer))]
        return notes[0] if notes else ""

    def _group_offsets(self, group: str) -> Sequence[TopicPartition]:
        """Asked again while the group has no coordinator (the broker has just started, or is lost).

        A consumer of the group is asked: the administrator's own question for it ended the process when a broker died.
        """
        if group not in self._groups:
            self._groups[group] = Consumer({**self._settings, "group.id": group, "enable.auto.commit": False})
        known = [TopicPartition(self.kafka_name(t), p) for t, count in self._all_topics().items() for p in range(count)]
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                return [at for at in self._groups[group].committed(known, ATTEMPT_S) if at.offset >= 0]
            except KafkaException as error:
                if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                    raise LogError(f"{self!r}: progress of {group}: {error.args[0].str()}") from None
                time.sleep(0.05)

    def progress_topic(self, key: str) -> str:
        """The topic under which the progress of ``key`` is kept."""
        if key in self._topics or key in self.topics():
            return self.kafka_name(key)
        self.create({_PROGRESS + key: 1})
        return self.kafka_name(_PROGRESS + key)

    def _all_topics(self) -> dict[str, int]:
        try:
            found = self._admin.list_topics(timeout=TIMEOUT_S).topics
        except KafkaException as error:
            raise LogError(f"{self!r}: {error.args[0].str()}") from None
        self._topics = {
            name.removeprefix(self._prefix): len(topic.partitions)
            for name, topic in found.items()
            if name.startswith(self._prefix) and not name.startswith("__")
        }
        return self._topics

    def _known(self, topic: str, partition: int) -> None:
        if not 0 <= partition < self._topics.get(topic, 0) and not 0 <= partition < self._all_topics().get(topic, 0):
            raise UnknownTopicError(f"{self!r}: there is no {topic}/{partition}")

    def _offset(self, topic: str, partition: int, which: OffsetSpec) -> int:
        self._known(topic, partition)
        return self._offsets([(topic, partition)], which)[topic, partition]

    def _offsets(self, partitions: Sequence[Partition], which: OffsetSpec) -> dict[Partition, int]:
        """One offset of each partition; asked again while it has no leader (it is new, or a broker is lost)."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            places = {TopicPartition(self.kafka_name(topic), number): (topic, number) for topic, number in partitions}
            asked = self._admin.list_offsets(dict.fromkeys(places, which), **_COMMITTED)
            try:
                return {places[at]: answer.result(TIMEOUT_S).offset for at, answer in asked.items()}
            except KafkaException as error:
                if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                    raise LogError(f"{self!r}: {error.args[0].str()}") from None
                time.sleep(0.05)

    def _missing(self, topic: str, partition: int, start: int, stop: int) -> MissingOffsetsError:
        found = f"[{self.first(topic, partition)}, {self._end((topic, partition))})"
        return MissingOffsetsError(f"{topic}/{partition}: expected offsets [{start}, {stop}), found {found}")

    def _refuse_compacted(self, topic: str) -> None:
        if topic in self._plain:
            return
        resource = ConfigResource(ConfigResource.Type.TOPIC, self.kafka_name(topic))
        found = self._admin.describe_configs([resource])[resource].result(TIMEOUT_S)["cleanup.policy"].value
        if "compact" in found:
            raise MissingOffsetsError(
                f"topic {topic}: expected cleanup.policy delete, found {found}: messages may be gone"
            )


class KafkaWriter:
    """The live writer of one name."""

    def __init__(self, log: KafkaLog, settings: Mapping[str, object], name: str):
        self._log, self._name = log, name
        own = {
            "transactional.id": log.kafka_name(name),
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "enable.idempotence": True,
            "linger.ms": 0,
            "compression.type": "lz4",
            "message.max.bytes": 8_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
        self._producer = Producer({**settings, **own})
        self._attempt("take over", self._producer.init_transactions, TIMEOUT_S)  # settles what a former holder began
        self._group = Consumer({**settings, "group.id": log.kafka_name(name), "enable.auto.commit": False})
        self._progress = log.progress_of(name)
        self._appended: dict[Partition, int] = {}
        """Next offsets after what the current transaction appended."""

    @property
    def progress(self) -> Mapping[Partition, int]:
        return dict(self._progress)

    def commit(
        self, records: Sequence[Record], progress: Mapping[Partition, int] | None = None, note: str = ""
    ) -> None:
        for record in records:
            self._log._known(record.topic, record.partition)
        kept = dict(progress or {})
        offsets = [TopicPartition(self._log.progress_topic(t), p, offset, note) for (t, p), offset in kept.items()]
        self._attempt("begin", self._producer.begin_transaction)
        self._attempt("append", self._produce, records)
        if offsets:
            self._attempt(
                "progress",
                self._producer.send_offsets_to_transaction,
                offsets,
                self._group.consumer_group_metadata(),
                TIMEOUT_S,
            )
        self._attempt("commit", self._producer.commit_transaction, TIMEOUT_S)
        if not self._log.following:
            self._log.await_ends(self._appended)
        self._progress |= kept

    def _produce(self, records: Sequence[Record]) -> None:
        self._appended.clear()
        newest = {(record.topic, record.partition): i for i, record in enumerate(records)}
        for i, record in enumerate(records):
            where = record.topic, record.partition
            reported = partial(self._delivered, where) if newest[where] == i else None
            milliseconds, headers = headers_of(record.time)
            while True:
                try:
                    self._producer.produce(
                        self._log.kafka_name(record.topic),
                        record.payload,
                        partition=record.partition,
                        timestamp=milliseconds,
                        headers=headers,
                        on_delivery=reported,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.05)
            if i % MESSAGES_MAX == 0:
                self._producer.poll(0)

    def _delivered(self, where: Partition, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._appended[where] = offset_of(message) + 1

    def _attempt(self, what: str, call, *arguments) -> None:
        """Make a call of the client; on an error abort the transaction, so that nothing of it counts."""
        try:
            call(*arguments)
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() in _FENCED:
                raise FencedError(f"writer {self._name}: was taken over ({cause.name()})") from None
            if what not in ("take over", "begin"):
                self._abort()
            raise LogError(f"writer {self._name}: {what}: {cause.str()}") from None

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(TIMEOUT_S)
        except KafkaException:
            return  # the broker does it when the transaction times out, or when the name is taken over

    def close(self) -> None:
        self._group.close()


def from_environment(value: object) -> object:
    """A client setting with ``${NAME}`` taken from the environment; LogError names what is not there."""
    if not isinstance(value, str):
        return value

    def given(match: re.Match) -> str:
        if match[1] not in os.environ:
            raise LogError(f"log settings: expected {match[1]} in the environment, found nothing")
        return os.environ[match[1]]

    return _GIVEN.sub(given, value)
