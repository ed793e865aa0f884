"""A day for the tally application: seeded events, some epochs empty, a cut now and then; fed at once or steadily."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
import tally

from streaming.engine.epochs import EPOCHS, Epoch
from streaming.engine.frames import Frame, decode_frames
from streaming.log import Log, LogError, Record
from streaming.schema.raw import FEEDS

CUT_EVERY = 20


def cut_at(number: int) -> str:
    """A cut at the end of each twentieth epoch."""
    return f"2020-03-16/{number:06d}" if number % CUT_EVERY == CUT_EVERY - 1 else ""


def no_cut(number: int) -> str:  # noqa: ARG001
    return ""


def events_of(number: int, shards: int) -> list[Record]:
    random = np.random.default_rng([7, number])
    return [
        Record(topic, shard, random.bytes(20), number)
        for topic in tally.RAW
        for shard in range(shards)
        for _ in range(random.integers(0, 6))
    ]


def epoch_of(log: Log, number: int, shards: int, cut: Callable[[int], str] = cut_at) -> Record:
    """The record of an epoch that ends where the log does now."""
    ends = {topic.name: (0,) * topic.partitions(shards) for topic in FEEDS}
    ends |= {topic: tuple(log.end(topic, shard) for shard in range(shards)) for topic in tally.RAW}
    made = Epoch(number, number * 200_000, date(2020, 3, 16), ends, cut=cut(number))
    return Record(EPOCHS, 0, made.encode(), made.time)


def topics(shards: int) -> dict[str, int]:
    return dict.fromkeys(tally.RAW, shards) | {EPOCHS: 1} | tally.job().topics(shards)


def fill(log: Log, stop: int, shards: int, cut: Callable[[int], str] = cut_at) -> None:
    """Append the events and records of all epochs below ``stop`` that are not there, each once whatever fails."""
    log.create(topics(shards))
    writer = log.writer("filling")
    fed, closed = (writer.progress.get((key, 0), 0) for key in ("fed", "closed"))
    for number in range(closed, stop):
        if number >= fed:
            writer.commit(events_of(number, shards), {("fed", 0): number + 1})
        writer.commit([epoch_of(log, number, shards, cut)], {("closed", 0): number + 1})
    writer.close()


class SteadyFeed:
    """Epochs appended one after the other until it is stopped, whatever happens to the broker."""

    def __init__(self, open_log: Callable[[], Log], shards: int, begin: int, epochs_per_s: float, at_once: int = 1):
        self.count = begin
        """The epochs that are surely there."""
        self._open, self._shards, self._at_once, self._pause_s = open_log, shards, at_once, at_once / epochs_per_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "SteadyFeed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            log = self._open()
            try:
                while not self._stopping.wait(self._pause_s):
                    fill(log, self.count + self._at_once, self._shards)
                    self.count += self._at_once
            except LogError:
                time.sleep(0.5)  # the broker is away; what was under way is settled by the next writer
            finally:
                log.close()


def published(log: Log, shards: int, count: int) -> tuple[list, list]:
    """Every row that was written, and the digest of every sealed state, by shard; each epoch in order, exactly once."""
    rows, states = [], []
    for shard in range(shards):
        frames = decode_frames(log.read("tally", shard, 0, log.end("tally", shard)).payloads)
        assert [frame.first for frame in frames[1:]] == [frame.last + 1 for frame in frames[:-1]], "twice, or a gap"
        assert (frames[0].first, frames[-1].last) == (0, count - 1)
        rows.append([row for frame in frames for row in frame.tables["tallies"].to_pylist()])
        sealed: list[Frame] = decode_frames(log.read("tally.sealed", shard, 0, log.end("tally.sealed", shard)).payloads)
        states.append([(frame.last, frame.blobs["digest"]) for frame in sealed])
    return rows, states


def counted(found: tuple[list, list]) -> Mapping[str, int]:
    return {"rows": sum(map(len, found[0])), "states": sum(map(len, found[1]))}
