"""Reading stretches keeps no more in memory than it hands out."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

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
    """Remembers how far an application's topic was read."""

    reached = 0

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        if topic == "upstream":
            self.reached = max(self.reached, stop)
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
        (frame,) = encode_frame(Frame(number, number, {"rows": pa.table({"epoch": [number]})}))
        records += [Record("trades", 0, b"%d" % number, number), Record("upstream", 0, frame, number)]
        records.append(Record(EPOCHS, 0, epoch.encode(), number))
    made.writer("filling").commit(records)
    return made


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
    reading, events, frames = reader(log), [], []
    while stretches := reading.read(epochs_max=epochs_max):
        for stretch in stretches:
            events += [int(text) for batch in stretch.raw["trades"] for text in batch.payloads]
            frames += [n for table in stretch.tables("upstream", "rows") for n in table["epoch"].to_pylist()]
    assert events == frames == list(range(EPOCH_COUNT))
