"""Stretches: consecutive epochs handed to an application at once, with everything that lies in them.

Alignment of any number of inputs is a comparison of epoch numbers: raw topics by the offsets of the epoch records,
topics of applications by the ``last`` of their frames. Where a stretch must end follows from the epochs alone
(EpochIndex.stops), so every application ends it there.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa

from streaming.engine.epochs import Epoch, EpochIndex
from streaming.engine.frames import Frame, decode_frames, is_sealed_topic, last_epoch
from streaming.log import Log, UnknownTopicError


@dataclass(frozen=True, slots=True)
class RawBatch:
    """The messages of one raw partition that lie in a stretch, in offset order."""

    topic: str
    partition: int
    offsets: np.ndarray
    epochs: np.ndarray
    """int64: the epoch each message lies in."""
    times: np.ndarray
    """int64 microseconds: when each message arrived."""
    payloads: list[bytes]
    whole: "RawBatch | None" = None
    """The batch this one is a part of: what is costly per call (reading JSON) is done once for all parts."""
    low: int = 0
    """Where in the whole it begins."""
    memo: dict[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.payloads)

    def between(self, first: int, last: int) -> "RawBatch":
        """The messages in epochs [first, last]."""
        low, high = np.searchsorted(self.epochs, [first, last + 1]).tolist()
        return RawBatch(
            self.topic,
            self.partition,
            self.offsets[low:high],
            self.epochs[low:high],
            self.times[low:high],
            self.payloads[low:high],
            self,
            low,
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """Epochs [first, last.number], all inputs of one shard."""

    first: int
    last: Epoch
    versions: Mapping[str, str]
    """In force at the end."""
    raw: Mapping[str, list[RawBatch]]
    """Raw topic -> its batches, by partition."""
    frames: Mapping[str, list[Frame]]
    """Input application -> its frames, in order of partition and epoch."""
    after: "Position"
    """Where the reader stands behind it."""
    rows: dict[str, Mapping[str, pa.Table]] = field(default_factory=dict)
    """Rows of applications of the same job, filled in as they run."""

    def tables(self, app: str, name: str) -> list[pa.Table]:
        """The non-empty tables called ``name`` that ``app`` wrote in this stretch, in order."""
        if app in self.rows:
            found = [self.rows[app][name]] if name in self.rows[app] else []
        else:
            found = [frame.tables[name] for frame in self.frames.get(app, ()) if name in frame.tables]
        return [table for table in found if table.num_rows]


@dataclass(slots=True)
class Position:
    """Where a shard of a job stands in its inputs. Plain numbers: it lives in checkpoints."""

    epoch: int = 0
    """The next epoch."""
    offsets: dict[str, int] = field(default_factory=dict)
    """``topic/partition`` of an input application -> offset of the first frame not wholly taken."""

    def encode(self) -> bytes:
        return orjson.dumps({"epoch": self.epoch, "offsets": self.offsets}, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def decode(cls, data: bytes) -> "Position":
        return cls(**orjson.loads(data))


class StretchReader:
    """Reads the stretches of one shard of a job, from a position on."""

    def __init__(self, log: Log, index: EpochIndex, job: "JobInputs", shard: int, position: Position | None = None):
        self._log, self._index = log, index
        self.position = position or Position()
        topics = log.topics()
        raw, apps = job.raw_inputs, job.app_inputs
        missing = [name for name in (*raw, *apps) if name not in topics]
        if missing:
            raise UnknownTopicError(f"job {job.name}: expected topics {missing}, found {sorted(topics)}")

        def partitions(name: str) -> list[int]:
            if not job.sharded:
                return list(range(topics[name]))
            return [shard] if topics[name] > 1 else [0]

        self._raw = [(topic, partition) for topic in raw for partition in partitions(topic)]
        self._feeds = [_FrameFeed(log, app, p, self.position) for app in apps for p in partitions(app)]

    def read(self, through: int | None = None, epochs_max: int = 20_000, events_max: int = 100_000) -> list[Stretch]:
        """The next stretches, as far as all inputs reach, none past epoch ``through``; empty when nothing is ready.

        ``epochs_max`` and ``events_max`` bound one call, and so does a cut: what is sealed there is as large as the
        state, and goes on before anything else is read. Where a call ends changes nothing in any result.
        """
        first = self.position.epoch
        limit = min(self._index.refresh(), self._index.next_cut(first - 1) + 1)
        if through is not None:
            limit = min(limit, through + 1)
        if first >= limit:
            return []
        stop = self._bounded(first, min(limit, first + epochs_max), events_max)
        for feed in self._feeds:
            feed.poll(stop - 1)  # and no further: what is read ahead stays in memory
            stop = min(stop, self._covered(feed) + 1)
        if first >= stop:
            return []
        raw = [self._read_raw(topic, partition, first, stop) for topic, partition in self._raw]
        stretches, begin = [], first
        for last in sorted({*self._index.stops(first, stop), stop - 1}):
            stretches.append(self._stretch(begin, last, raw))
            begin = last + 1
        self.position = stretches[-1].after
        return stretches

    def _covered(self, feed: "_FrameFeed") -> int:
        """The last epoch of which everything is there: a sealed topic has something at cuts only."""
        return self._index.next_cut(feed.covered) - 1 if is_sealed_topic(feed.topic) else feed.covered

    def _bounded(self, first: int, stop: int, events_max: int) -> int:
        """The greatest stop with at most ``events_max`` events from ``first``; always at least one epoch."""
        if not self._raw:
            return stop
        ends = sum(self._index.ends(topic, partition, first, stop) for topic, partition in self._raw)
        start = sum(self._index.ends_before(first, topic, partition) for topic, partition in self._raw)
        within = int(np.searchsorted(ends, start + events_max, side="right"))
        return min(stop, first + max(within, 1))

    def _read_raw(self, topic: str, partition: int, first: int, stop: int) -> RawBatch:
        ends = self._index.ends(topic, partition, first, stop)
        span = self._log.read(topic, partition, self._index.ends_before(first, topic, partition), int(ends[-1]))
        epochs = first + np.searchsorted(ends, span.offsets, side="right")
        return RawBatch(topic, partition, span.offsets, epochs.astype(np.int64), span.times, span.payloads)

    def _stretch(self, first: int, last: int, raw: list[RawBatch]) -> Stretch:
        batches: dict[str, list[RawBatch]] = {}
        for batch in raw:
            batches.setdefault(batch.topic, []).append(batch.between(first, last))
        frames: dict[str, list[Frame]] = {}
        for feed in self._feeds:
            frames.setdefault(feed.topic, []).extend(feed.take(first, last))
        after = Position(last + 1, {feed.name: feed.offset for feed in self._feeds})
        return Stretch(first, self._index[last], self._index.versions(last), batches, frames, after)


class JobInputs(Protocol):
    """What a reader needs to know of a job."""

    @property
    def name(self) -> str: ...
    @property
    def sharded(self) -> bool: ...
    @property
    def raw_inputs(self) -> tuple[str, ...]: ...
    @property
    def app_inputs(self) -> tuple[str, ...]: ...


READ_BYTES, READ_MESSAGES = 8 << 20, 64
"""One poll reads on until it has so much from a partition; a single frame may be larger."""
_STEP = 8
"""Messages of one read: what a poll has is looked at in between."""


class _FrameFeed:
    """The frames of one partition of an application's topic, taken epoch by epoch."""

    def __init__(self, log: Log, topic: str, partition: int, position: Position):
        self._log, self.topic, self._partition = log, topic, partition
        self.name = f"{topic}/{partition}"
        self._next = position.offsets.get(self.name, log.first(topic, partition))
        self._begun: list[bytes] = []
        """The first messages of a frame that reaches past what was read."""
        self._begun_at = self._next
        self._pending: deque[tuple[Frame, int]] = deque()
        """Frames not wholly taken, each with the offset of its first message."""
        self.covered = position.epoch - 1

    @property
    def offset(self) -> int:
        """Where to read on after a restart."""
        if self._pending:
            return self._pending[0][1]
        return self._begun_at if self._begun else self._next

    def poll(self, wanted: int) -> None:
        """Read on until epoch ``wanted`` is covered, or what is there is read, or a bounded part of it is."""
        if self.covered >= wanted:
            return
        end = self._log.end(self.topic, self._partition)
        size, begin, before = 0, self._next, len(self._pending)
        while self.covered < wanted and self._next < end:
            enough = size >= READ_BYTES or self._next - begin >= READ_MESSAGES
            if enough and len(self._pending) > before:
                return
            size += self._read(min(end, self._next + _STEP))

    def _read(self, stop: int) -> int:
        """Read up to offset ``stop`` and keep every frame that is whole; returns how many bytes that were."""
        span = self._log.read(self.topic, self._partition, self._next, stop)
        for offset, payload in zip(span.offsets, span.payloads, strict=True):
            if not self._begun:
                self._begun_at = int(offset)
            self._begun.append(payload)
            last, final = last_epoch(payload)
            if final:
                if last > self.covered:
                    (frame,) = decode_frames(self._begun)
                    self._pending.append((replace(frame, blobs={}), self._begun_at))  # sealed states are no input
                    self.covered = last
                self._begun = []
        self._next = stop
        return sum(map(len, span.payloads))

    def take(self, first: int, last: int) -> list[Frame]:
        """What lies in epochs [first, last]."""
        taken = []
        while self._pending and self._pending[0][0].first <= last:
            frame, offset = self._pending[0]
            taken.append(frame.between(first, last))
            if frame.last > last:
                break
            self._pending.popleft()
        return taken
