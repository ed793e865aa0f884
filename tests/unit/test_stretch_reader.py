"""Reading stretches keeps no more in memory than it hands out."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from streaming.engine import frames
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.frames import Frame, encode_frame
from streaming.engine.stretch import StretchReader
from streaming.log import Record, Span
from streaming.log.files import FilesLog
from streaming.schema.raw import FEEDS

EPOCH_COUNT = 300
AHEAD_MAX = 64
"""Messages of one read."""


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
    """Epochs with a trade each, and an application's frame for every one of them, all there from the beginning."""
    made = Watched(tmp_path)
    made.create({"trades": 1, "upstream": 1, EPOCHS: 1})
    nothing = {topic.name: (0,) for topic in FEEDS}
    records = []
    for number in range(EPOCH_COUNT):
        epoch = Epoch(number, number, date(2020, 3, 16), nothing | {"trades": (number + 1,)})
        (message,) = frame_of(number)
        records += [Record("trades", 0, b"%d" % number, number), Record("upstream", 0, message, number)]
        records.append(Record(EPOCHS, 0, epoch.encode(), number))
    made.writer("filling").commit(records)
    return made


def frame_of(number: int, bytes_: int = 0) -> list[bytes]:
    """The messages of an epoch's frame: of one row, and incompressible bytes."""
    ballast = np.random.default_rng(number).bytes(bytes_)
    return encode_frame(Frame(number, number, {"rows": pa.table({"epoch": [number]})}, {"ballast": ballast}))


def reader(log: Watched) -> StretchReader:
    job = SimpleNamespace(name="reading", sharded=True, raw_inputs=("trades",), app_inputs=("upstream",))
    return StretchReader(log, EpochIndex(log), job, 0)


@pytest.mark.parametrize("bounds", [{"epochs_max": 2}, {"events_max": 2}])
def test_a_consumer_behind_its_upstream_reads_no_further_than_it_works(log: Watched, bounds: dict[str, int]) -> None:
    reading, done = reader(log), 0
    while done < 100:
        done = reading.read(**bounds)[-1].last.number + 1
        assert log.reached <= done + AHEAD_MAX


@pytest.mark.parametrize("epochs_max", [1, 7, 64, 65, EPOCH_COUNT])
def test_every_epoch_comes_once_with_its_event_and_its_frame(log: Watched, epochs_max: int) -> None:
    reading, events, rows = reader(log), [], []
    while stretches := reading.read(epochs_max=epochs_max):
        for stretch in stretches:
            events += [int(text) for batch in stretch.raw["trades"] for text in batch.payloads]
            rows += [n for table in stretch.tables("upstream", "rows") for n in table["epoch"].to_pylist()]
    assert events == rows == list(range(EPOCH_COUNT))


def test_a_frame_of_many_messages_is_read_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MESSAGE_BYTES", 1_000)
    log = Watched(tmp_path)
    log.create({"trades": 1, "upstream": 1, EPOCHS: 1})
    messages = frame_of(0, 5 * AHEAD_MAX * 1_000)
    assert len(messages) > 5 * AHEAD_MAX
    epoch = Epoch(0, 0, date(2020, 3, 16), {topic.name: (0,) for topic in FEEDS})
    log.writer("filling").commit([Record("upstream", 0, message, 0) for message in messages])
    log.writer("clock").commit([Record(EPOCHS, 0, epoch.encode(), 0)])
    (stretch,) = reader(log).read()
    assert stretch.tables("upstream", "rows")[0]["epoch"].to_pylist() == [0]
    assert log.messages <= 3 * len(messages)
