"""Reading stretches keeps no more in memory than it hands out."""

from collections.abc import Sequence, Set
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from streaming.engine import frames
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.frames import Frame, encode_frame
from streaming.engine.stretch import READ_BYTES, READ_MESSAGES, Position, StretchReader
from streaming.log import Record, Span
from streaming.log.files import FilesLog
from streaming.schema.raw import FEEDS

EPOCH_COUNT = 300


class Watched(FilesLog):
    """Remembers how far an application's topic was read, and how much."""

    reached = 0
    messages = 0

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        if topic == "upstream":
            self.reached = max(self.reached, stop)
            self.messages += stop - start
        return super().read(topic, partition, start, stop)


@pytest.fixture
def log(tmp_path: Path) -> Watched:
    return filled(tmp_path, [frame_of(number) for number in range(EPOCH_COUNT)])


def filled(folder: Path, written: Sequence[list[bytes]], cuts: Set[int] = frozenset()) -> Watched:
    """Epochs with a trade each, and an application's frame for every one of them, all there from the beginning."""
    made = Watched(folder)
    made.create({"trades": 1, "upstream": 1, EPOCHS: 1})
    nothing = {topic.name: (0,) for topic in FEEDS}
    records = []
    for number, messages in enumerate(written):
        cut = f"2020-03-16/{number}" if number in cuts else ""
        epoch = Epoch(number, number, date(2020, 3, 16), nothing | {"trades": (number + 1,)}, cut=cut)
        records.append(Record("trades", 0, b"%d" % number, number))
        records += [Record("upstream", 0, message, number) for message in messages]
        records.append(Record(EPOCHS, 0, epoch.encode(), number))
    made.writer("filling").commit(records)
    return made


def frame_of(number: int, bytes_: int = 0) -> list[bytes]:
    """The messages of an epoch's frame: of one row, with as many bytes."""
    ballast = np.random.default_rng(number).bytes(bytes_)
    return encode_frame(Frame(number, number, {"rows": pa.table({"epoch": [number], "ballast": [ballast]})}))


def reader(log: Watched, position: Position | None = None) -> StretchReader:
    job = SimpleNamespace(name="reading", sharded=True, raw_inputs=("trades",), app_inputs=("upstream",))
    return StretchReader(log, EpochIndex(log), job, 0, position)


@pytest.mark.parametrize("bounds", [{"epochs_max": 2}, {"events_max": 2}])
def test_a_consumer_behind_its_upstream_reads_no_further_than_it_works(log: Watched, bounds: dict[str, int]) -> None:
    reading, done = reader(log), 0
    while done < 100:
        done = reading.read(**bounds)[-1].last.number + 1
        assert log.reached <= done + READ_MESSAGES


@pytest.mark.parametrize("epochs_max", [1, 7, 64, 65, EPOCH_COUNT])
def test_every_epoch_comes_once_with_its_event_and_its_frame(log: Watched, epochs_max: int) -> None:
    reading, events, rows = reader(log), [], []
    while stretches := reading.read(epochs_max=epochs_max):
        for stretch in stretches:
            events += [int(text) for batch in stretch.raw["trades"] for text in batch.payloads]
            rows += [n for table in stretch.tables("upstream", "rows") for n in table["epoch"].to_pylist()]
    assert events == rows == list(range(EPOCH_COUNT))


def test_a_frame_of_many_messages_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MESSAGE_BYTES", 1_000)
    messages = frame_of(0, 5 * READ_MESSAGES * 1_000)
    assert len(messages) > 5 * READ_MESSAGES
    log = filled(tmp_path, [messages])
    (stretch,) = reader(log).read()
    assert stretch.tables("upstream", "rows")[0]["epoch"].to_pylist() == [0]
    assert log.messages == len(messages)


def test_large_frames_come_in_polls_of_a_bounded_size_and_are_read_once(tmp_path: Path) -> None:
    size, count = 3 * READ_BYTES // 10, 12
    written = [frame_of(number, size) for number in range(count)]
    log = filled(tmp_path, written)
    reading, epochs, most = reader(log), [], 0
    while stretches := reading.read():
        found = [frame for stretch in stretches for frame in stretch.frames["upstream"]]
        epochs += [frame.last for frame in found]
        most = max(most, sum(frame.tables["rows"].nbytes for frame in found))
    assert epochs == list(range(count))
    assert size < most <= READ_BYTES + 2 * (size + 1_000)
    assert log.messages == sum(map(len, written))


def test_a_reader_begun_within_large_frames_goes_on_with_the_next(tmp_path: Path) -> None:
    log = filled(tmp_path, [frame_of(number, 3 * READ_BYTES // 10) for number in range(12)])
    before = reader(log)
    done = before.read()[-1].last.number
    again = reader(log, Position.decode(before.position.encode()))
    assert again.read()[0].frames["upstream"][0].last == done + 1


def test_a_poll_ends_behind_a_cut(tmp_path: Path) -> None:
    log = filled(tmp_path, [frame_of(number) for number in range(20)], cuts={4, 5, 11})
    reading, ends = reader(log), []
    while stretches := reading.read():
        ends.append(stretches[-1].last.number)
    assert ends == [4, 5, 11, 19]


def test_sealed_states_are_no_input(tmp_path: Path) -> None:
    rows = {"rows": pa.table({"epoch": [0]})}
    log = filled(tmp_path, [encode_frame(Frame(0, 0, rows, {"state": b"as large as a state"}))])
    (stretch,) = reader(log).read()
    assert [(frame.tables, frame.blobs) for frame in stretch.frames["upstream"]] == [(rows, {})]
