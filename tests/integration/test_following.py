"""Following a log on Kafka: everything arrives, in order and once, without a question for the ends."""

import random
import time
from threading import Thread
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streaming.log import MissingOffsetsError, Record, kafka_reader
from streaming.log.kafka import KafkaLog
from streaming.log.opening import open_log

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]
PARTITIONS, BATCHES, BATCH = 4, 200, 25
PATIENCE_S = 60.0
TIME = 1_584_350_000_000_000


@pytest.fixture
def spec(stack) -> dict[str, object]:
    settings = {"bootstrap.servers": stack.bootstrap_servers}
    return {"kind": "kafka", "settings": settings, "prefix": f"{uuid4().hex[:8]}."}


@pytest.fixture
def log(spec):
    """Of a visitor, who asks for every end."""
    opened = open_log(spec)
    opened.create({"a": PARTITIONS, "quiet": 1})
    yield opened
    opened.close()


@pytest.fixture
def followed(spec, log):
    opened = open_log(spec, following=True)
    yield opened
    opened.close()


def read_on(log: KafkaLog, partition: int, start: int, until: int) -> list[bytes]:
    """The messages from ``start`` on, as they come, until offset ``until``."""
    found, deadline = [], time.monotonic() + PATIENCE_S
    while start < until:
        assert time.monotonic() < deadline, f"offset {until} does not arrive; at {start}"
        end = log.end("a", partition)
        found += log.read("a", partition, start, end).payloads
        start = end
    return found


def test_all_that_is_committed_meanwhile_arrives_once_and_in_order(log, followed):
    dice = random.Random(7)

    def write() -> None:
        writer = log.writer("w")
        for batch in range(BATCHES):
            numbers = range(batch * BATCH, (batch + 1) * BATCH)
            writer.commit([Record("a", i % PARTITIONS, b"%d" % i, TIME + i) for i in numbers])

    found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    at = [followed.first("a", partition) for partition in range(PARTITIONS)]
    writing = Thread(target=write, daemon=True)
    writing.start()
    deadline = time.monotonic() + PATIENCE_S
    while sum(map(len, found)) < BATCHES * BATCH and time.monotonic() < deadline:
        partition = dice.randrange(PARTITIONS)
        end = followed.end("a", partition)
        assert end >= at[partition]
        stop = dice.randint(at[partition], end)
        span = followed.read("a", partition, at[partition], stop)
        assert span.times.tolist() == [TIME + int(payload) for payload in span.payloads]
        found[partition] += span.payloads
        at[partition] = stop
        assert followed.end("quiet", 0) == 0
    writing.join()
    assert found == [[b"%d" % i for i in range(p, BATCHES * BATCH, PARTITIONS)] for p in range(PARTITIONS)]


def test_what_another_reader_knows_to_be_there_is_waited_for(log, followed):
    writer, at = log.writer("w"), 0
    assert followed.end("a", 0) == 0
    for i in range(20):
        writer.commit([Record("a", 0, b"%d" % i, i)])
        end = log.end("a", 0)  # behind the mark of the transaction, where no message is
        assert followed.read("a", 0, at, end).payloads == [b"%d" % i]
        at = end


def test_a_partition_that_nobody_reads_is_not_kept_without_bound(log, followed, monkeypatch):
    monkeypatch.setattr(kafka_reader, "AHEAD_BYTES", 100_000)
    writer = log.writer("w")
    assert [followed.end("a", partition) for partition in (0, 1)] == [0, 0]
    at = 0
    for _ in range(4):
        for _ in range(25):
            writer.commit([Record("a", 0, bytes(50_000), 0), Record("a", 1, b"small", 0)])
        end = log.end("a", 1)
        assert len(read_on(followed, 1, at, end - 1)) == 25
        at = end - 1
    assert followed.end("a", 0) <= log.end("a", 0) / 4, "it is paused once more has come than is kept"
    assert len(read_on(followed, 0, 0, log.end("a", 0) - 1)) == 100


def test_going_back_reads_the_same_again(log, followed):
    log.writer("w").commit([Record("a", 2, b"%d" % i, i) for i in range(50)])
    whole = [b"%d" % i for i in range(50)]
    assert read_on(followed, 2, 0, 50) == whole
    assert followed.read("a", 2, 10, 50).payloads == whole[10:]
    assert followed.read("a", 2, 0, 20).payloads == whole[:20]
    assert read_on(followed, 2, 20, 50) == whole[20:]


def test_offsets_that_are_not_there_are_refused_never_waited_for(log, followed):
    log.writer("w").commit([Record("a", 0, b"x", 0)] * 5)
    end = log.end("a", 0)
    assert len(read_on(followed, 0, 0, end - 1)) == 5
    for start, stop in ((0, end + 1), (end + 1, end + 2), (3, 2), (-1, 2)):
        with pytest.raises(MissingOffsetsError, match=r"a/0: expected offsets .*, found \[0, 6\)"):
            followed.read("a", 0, start, stop)


def test_messages_that_retention_removes_under_the_reader_are_refused_by_name(stack, log, followed):
    writer = log.writer("w")
    writer.commit([Record("a", 0, b"%d" % i, 0) for i in range(10)])
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    for done in admin.delete_records([TopicPartition(log.kafka_name("a"), 0, 4)]).values():
        done.result(30)
    with pytest.raises(MissingOffsetsError, match=r"expected offsets \[3, 10\), found \[4, 11\)"):
        followed.read("a", 0, 3, 10)
    assert followed.read("a", 0, 4, 10).payloads == [b"%d" % i for i in range(4, 10)]


def test_reading_on_from_the_last_message_or_from_the_mark_behind_it_stays_in_place(log, followed, monkeypatch):
    writer, sent = log.writer("w"), []
    writer.commit([Record("a", 0, b"first", 0)])
    assert followed.read("a", 0, 0, log.end("a", 0)).payloads == [b"first"]
    follow = kafka_reader.Reader.follow
    monkeypatch.setattr(kafka_reader.Reader, "follow", lambda *given: sent.append(given) or follow(*given))
    last = 0
    for i in range(1, 5):
        writer.commit([Record("a", 0, b"%d" % i, 0)])
        end = log.end("a", 0)
        span = followed.read("a", 0, last + 1 if i % 2 else end - 2, end)
        assert span.payloads == [b"%d" % i]
        last = int(span.offsets[-1])
    assert not sent, "it was sent to where it stood"
