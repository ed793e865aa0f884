"""One suite for every log: in files, and on Kafka. What one promises the other keeps."""

import multiprocessing
from collections.abc import Callable
from uuid import uuid4

import pytest

from streaming.log import FencedError, Log, LogError, MissingOffsetsError, Record, UnknownTopicError
from streaming.log.files import FilesLog
from streaming.log.opening import LogSpec, open_log

SECOND = 1_000_000


@pytest.fixture(params=["files", pytest.param("kafka", marks=[pytest.mark.stack, pytest.mark.timeout(1800)])])
def spec(request, tmp_path) -> LogSpec:
    if request.param == "files":
        return {"kind": "files", "folder": str(tmp_path / "log")}
    settings = {"bootstrap.servers": request.getfixturevalue("stack").bootstrap_servers}
    return {"kind": "kafka", "settings": settings, "prefix": f"{uuid4().hex[:8]}."}


@pytest.fixture
def log(spec):
    opened = open_log(spec)
    yield opened
    opened.close()


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Topic and writer names that no other test uses: Kafka is shared by all tests."""
    suffix = uuid4().hex[:8]
    return lambda name: f"{name}-{suffix}"


def payloads(log: Log, topic: str, partition: int = 0) -> list[bytes]:
    return log.read(topic, partition, log.first(topic, partition), log.end(topic, partition)).payloads


def test_a_topic_has_the_partitions_it_was_created_with(log, unique):
    log.create({unique("a"): 3})
    log.create({unique("a"): 3})
    assert log.topics()[unique("a")] == 3
    with pytest.raises(LogError, match="expected 4 partitions, found 3"):
        log.create({unique("a"): 4})


def test_an_unknown_topic_or_partition_is_refused_by_name(log, unique):
    log.create({unique("a"): 1})
    for topic, partition in ((unique("b"), 0), (unique("a"), 1)):
        with pytest.raises(UnknownTopicError, match=f"{topic}/{partition}"):
            log.end(topic, partition)
        with pytest.raises(UnknownTopicError, match=f"{topic}/{partition}"):
            log.writer(unique("w")).commit([Record(topic, partition, b"x", 0)])


def test_messages_come_back_in_order_with_their_times_to_the_microsecond(log, unique):
    topic = unique("a")
    log.create({topic: 2})
    writer = log.writer(unique("w"))
    writer.commit([Record(topic, 1, b"%d" % i, 1_584_350_000_000_000 + 7 * i) for i in range(500)])
    writer.commit([Record(topic, 1, b"", 1_584_350_001_000_000)])
    span = log.read(topic, 1, log.first(topic, 1), log.end(topic, 1))
    assert span.payloads == [b"%d" % i for i in range(500)] + [b""]
    assert span.times.tolist() == [1_584_350_000_000_000 + 7 * i for i in range(500)] + [1_584_350_001_000_000]
    assert (span.offsets[1:] > span.offsets[:-1]).all()
    assert payloads(log, topic, 0) == []


def test_any_division_into_spans_reads_the_same_messages(log, unique):
    topic = unique("a")
    log.create({topic: 1})
    writer = log.writer(unique("w"))
    for i in range(12):
        writer.commit([Record(topic, 0, b"%d.%d" % (i, j), i) for j in range(3)])
    whole = payloads(log, topic)
    first, end = log.first(topic, 0), log.end(topic, 0)
    for step in (1, 2, 5, 100):
        parts = [log.read(topic, 0, at, min(at + step, end)).payloads for at in range(first, end, step)]
        assert [payload for part in parts for payload in part] == whole
    for at in range(end, first, -3):  # backwards, as the newest sealed state is looked for
        assert log.read(topic, 0, at - 1, end).payloads == whole[-len(log.read(topic, 0, at - 1, end).payloads) or 99 :]


def test_offsets_that_are_not_there_are_refused_never_read_short(log, unique):
    topic = unique("a")
    log.create({topic: 1})
    log.writer(unique("w")).commit([Record(topic, 0, b"x", 0)] * 5)
    end = log.end(topic, 0)
    for start, stop in ((0, end + 1), (end + 1, end + 2), (3, 2), (-1, 2)):
        with pytest.raises(MissingOffsetsError, match=f"{topic}/0"):
            log.read(topic, 0, start, stop)


def test_at_time_finds_the_first_message_at_or_after_an_instant(log, unique):
    topic = unique("a")
    log.create({topic: 1})
    writer = log.writer(unique("w"))
    times = [10 * SECOND, 10 * SECOND + 1, 10 * SECOND + 2, 20 * SECOND]
    for time in times:
        writer.commit([Record(topic, 0, b"%d" % time, time)])

    def found(time: int) -> list[bytes]:
        return log.read(topic, 0, log.at_time(topic, 0, time), log.end(topic, 0)).payloads

    assert found(0) == [b"%d" % time for time in times]
    assert found(10 * SECOND) == [b"%d" % time for time in times]
    assert found(10 * SECOND + 1) == [b"%d" % time for time in times[1:]]
    assert found(10 * SECOND + 3) == [b"%d" % times[3]]
    assert found(20 * SECOND + 1) == []
    assert log.at_time(topic, 0, 20 * SECOND + 1) == log.end(topic, 0)


def test_records_on_several_partitions_and_progress_are_committed_together(log, spec, unique):
    a, b, name = unique("a"), unique("b"), unique("w")
    log.create({a: 1, b: 2})
    writer = log.writer(name)
    assert writer.progress == {}
    writer.commit([Record(a, 0, b"1", 0), Record(b, 1, b"2", 0)], {(a, 0): 7, ("feed", 0): 1_584_350_000_000_000})
    writer.commit([], {(b, 1): 3})
    assert (payloads(log, a), payloads(log, b, 0), payloads(log, b, 1)) == ([b"1"], [], [b"2"])
    expected = {(a, 0): 7, ("feed", 0): 1_584_350_000_000_000, (b, 1): 3}
    assert writer.progress == expected
    assert open_log(spec).writer(name).progress == expected
    assert log.writer(unique("other")).progress == {}
    assert "feed" not in log.topics()


def test_a_note_is_kept_with_the_progress_until_the_next(log, unique):
    name = unique("noted")
    log.create({unique("a"): 1})
    assert log.note_of(name) == ""
    writer = log.writer(name)
    writer.commit([], {(unique("a"), 0): 1}, '{"rows": 1}')
    writer.commit([Record(unique("a"), 0, b"x", 5)])
    assert log.note_of(name) == '{"rows": 1}'
    writer.commit([], {(unique("a"), 0): 2}, '{"rows": 2}')
    assert log.note_of(name) == '{"rows": 2}'


def test_a_refused_commit_leaves_nothing_behind(log, unique):
    topic = unique("a")
    log.create({topic: 1})
    writer = log.writer(unique("w"))
    with pytest.raises(UnknownTopicError):
        writer.commit([Record(topic, 0, b"x", 0), Record(unique("none"), 0, b"y", 0)], {(topic, 0): 1})
    assert payloads(log, topic) == []
    assert writer.progress == {}
    writer.commit([Record(topic, 0, b"z", 0)], {(topic, 0): 2})
    assert payloads(log, topic) == [b"z"]


def test_a_writer_that_was_taken_over_is_fenced(log, spec, unique):
    topic, name = unique("a"), unique("w")
    log.create({topic: 1})
    former = log.writer(name)
    former.commit([Record(topic, 0, b"1", 0)], {(topic, 0): 1})
    latter = open_log(spec).writer(name)
    with pytest.raises(FencedError, match=name):
        former.commit([Record(topic, 0, b"zombie", 0)], {(topic, 0): 99})
    latter.commit([Record(topic, 0, b"2", 0)], {(topic, 0): 2})
    assert payloads(log, topic) == [b"1", b"2"]
    assert latter.progress == {(topic, 0): 2}
    log.writer(unique("other")).commit([Record(topic, 0, b"3", 0)])
    assert payloads(log, topic) == [b"1", b"2", b"3"]


def _append(spec: LogSpec, topic: str, name: str) -> None:
    """Until it is killed, or the test is."""
    log, parent = open_log(spec), multiprocessing.parent_process()
    writer, done = log.writer(name), 0
    while parent is not None and parent.is_alive():
        writer.commit(
            [Record(topic, p, b"%d" % i, 0) for i in range(done, done + 50) for p in (0, 1)], {(topic, 0): done + 50}
        )
        done += 50


def test_a_killed_writer_leaves_whole_transactions_only(log, spec, unique):
    topic, name = unique("a"), unique("w")
    log.create({topic: 2})
    process = multiprocessing.get_context("spawn").Process(target=_append, args=(spec, topic, name), daemon=True)
    process.start()
    while log.end(topic, 0) < 500 and process.is_alive():
        pass
    process.kill()
    process.join()
    progress = log.writer(name).progress[topic, 0]
    expected = [b"%d" % i for i in range(progress)]
    assert progress >= 450
    assert payloads(log, topic, 0) == expected
    assert payloads(log, topic, 1) == expected


def test_a_torn_tail_of_a_killed_writer_does_not_count(tmp_path):
    log = FilesLog(tmp_path)
    log.create({"a": 1})
    log.writer("w").commit([Record("a", 0, b"whole", 0)])
    for path in (tmp_path / "journal", tmp_path / "a" / "0.data", tmp_path / "a" / "0.index"):
        with open(path, "ab") as file:
            file.write(b"torn")
    log = FilesLog(tmp_path)
    assert payloads(log, "a") == [b"whole"]
    log.writer("w").commit([Record("a", 0, b"next", 0)])
    assert payloads(FilesLog(tmp_path), "a") == [b"whole", b"next"]


def test_a_damaged_byte_is_found(tmp_path):
    log = FilesLog(tmp_path)
    log.create({"a": 1})
    log.writer("w").commit([Record("a", 0, b"content", 0)])
    log.verify()
    (tmp_path / "a" / "0.data").write_bytes(b"consent")
    with pytest.raises(LogError, match="a/0"):
        log.verify()


def test_a_description_that_is_no_log_is_refused():
    with pytest.raises(LogError, match="expected kind files, kafka or overlaid, found 'paper'"):
        open_log({"kind": "paper"})
    with pytest.raises(LogError, match="kafka"):
        open_log('{"kind": "kafka", "setting": {"sasl.password": "secret"}}')


def test_secrets_come_from_the_environment_and_are_not_printed(monkeypatch):
    settings = {"bootstrap.servers": "127.0.0.1:1", "sasl.password": "${LOG_PASSWORD}"}
    with pytest.raises(LogError, match="expected LOG_PASSWORD in the environment"):
        open_log({"kind": "kafka", "settings": settings})
    monkeypatch.setenv("LOG_PASSWORD", "swordfish")
    opened = open_log({"kind": "kafka", "settings": settings})
    assert "swordfish" not in repr(opened)
    assert "127.0.0.1:1" in repr(opened)


@pytest.mark.stack
@pytest.mark.timeout(1800)
def test_two_environments_on_one_cluster_do_not_meet(stack):
    settings = {"bootstrap.servers": stack.bootstrap_servers}
    one, two = (open_log({"kind": "kafka", "settings": settings, "prefix": f"{uuid4().hex[:8]}."}) for _ in range(2))
    for i, log in enumerate((one, two)):
        log.create({"a": 1})
        log.writer("w").commit([Record("a", 0, b"%d" % i, 0)], {("a", 0): i + 1})
    assert [payloads(log, "a") for log in (one, two)] == [[b"0"], [b"1"]]
    assert [log.topics() for log in (one, two)] == [{"a": 1}, {"a": 1}]
    assert [log.writer("w").progress for log in (one, two)] == [{("a", 0): 1}, {("a", 0): 2}]


@pytest.mark.stack
@pytest.mark.timeout(1800)
def test_messages_that_retention_removed_are_refused_by_name(stack, unique):
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    log = open_log({"kind": "kafka", "settings": {"bootstrap.servers": stack.bootstrap_servers}})
    topic = unique("a")
    log.create({topic: 1})
    log.writer(unique("w")).commit([Record(topic, 0, b"%d" % i, 0) for i in range(10)])
    assert len(payloads(log, topic)) == 10
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    for done in admin.delete_records([TopicPartition(topic, 0, 4)]).values():
        done.result(30)
    assert log.first(topic, 0) == 4
    assert log.read(topic, 0, 4, 10).payloads == [b"%d" % i for i in range(4, 10)]
    with pytest.raises(MissingOffsetsError, match=r"expected offsets \[3, 10\), found \[4, 11\)"):
        log.read(topic, 0, 3, 10)


@pytest.mark.stack
@pytest.mark.timeout(1800)
def test_a_compacted_topic_is_refused_by_name(stack, unique):
    from confluent_kafka import Producer

    settings = {"bootstrap.servers": stack.bootstrap_servers}
    log = open_log({"kind": "kafka", "settings": settings, "topic_settings": {"cleanup.policy": "compact"}})
    topic = unique("a")
    log.create({topic: 1})
    producer = Producer(settings)
    producer.produce(topic, b"value", key=b"key", partition=0)
    assert producer.flush(30) == 0
    with pytest.raises(MissingOffsetsError, match="expected cleanup.policy delete, found compact"):
        log.read(topic, 0, 0, 1)
