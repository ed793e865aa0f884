"""The embedded log: plain files in one folder, safe against being killed at any byte.

Layout: per partition ``<topic>/<partition>.data`` (payloads, end to end) and ``.index`` (16 bytes a message: end
position, time). A transaction first appends to those files, then adds one line to ``journal``; only what a whole,
checksummed journal line covers exists. A torn tail, in any file, is behind the last such line: it is cut off by the
next commit. Writers of all processes serialise on ``lock``; readers need no lock.
"""

import fcntl
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson

from streaming.log.protocol import (
    FencedError,
    LogError,
    MissingOffsetsError,
    Partition,
    Record,
    Span,
    UnknownTopicError,
)

_ENTRY = np.dtype([("end", "<i8"), ("time", "<i8")])
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class FilesLog:
    """A log in a folder. ``durable`` also survives a power cut (each commit waits for the disk)."""

    def __init__(self, folder: Path | str, durable: bool = False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.durable = durable
        self._journal = _Journal(self.folder / "journal")
        self._descriptors: dict[Path, int] = {}

    def create(self, topics: Mapping[str, int]) -> None:
        with self._locked():
            new = {}
            for name, partitions in topics.items():
                found = self._journal.topics.get(name)
                if found is not None and found != partitions:
                    raise LogError(f"topic {name}: expected {partitions} partitions, found {found}")
                if found is None:
                    (self.folder / name).mkdir(exist_ok=True)
                    new[name] = partitions
            if new:
                self._journal.append({"topics": new}, self.durable)

    def topics(self) -> Mapping[str, int]:
        self._journal.refresh()
        return dict(self._journal.topics)

    def first(self, topic: str, partition: int) -> int:
        self._known(topic, partition)
        return 0

    def end(self, topic: str, partition: int) -> int:
        self._journal.refresh()
        self._known(topic, partition)
        return self._journal.ends[topic, partition][0]

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        if not 0 <= start <= stop or stop > self._end(topic, partition, stop):
            raise MissingOffsetsError(
                f"{topic}/{partition}: expected offsets [{start}, {stop}), found [0, {self.end(topic, partition)})"
            )
        if start == stop:
            return Span(start, stop, np.empty(0, np.int64), np.empty(0, np.int64), [])
        entries = self._entries(topic, partition, max(start - 1, 0), stop)
        ends = entries["end"].tolist()
        begin = ends.pop(0) if start else 0
        data = self._pread(topic, partition, "data", begin, ends[-1] - begin)
        payloads, position = [], begin
        for end in ends:
            payloads.append(data[position - begin : end - begin])
            position = end
        times = entries["time"][-len(payloads) :].astype(np.int64)
        return Span(start, stop, np.arange(start, stop, dtype=np.int64), times, payloads)

    def at_time(self, topic: str, partition: int, time: int) -> int:
        low, high = 0, self.end(topic, partition)
        while low < high:  # times grow with offsets only as well as the appender's do: the first late enough counts
            middle = (low + high) // 2
            if self._entries(topic, partition, middle, middle + 1)["time"][0] < time:
                low = middle + 1
            else:
                high = middle
        return low

    def writer(self, name: str) -> "FilesWriter":
        with self._locked():
            fence = self._journal.fences.get(name, 0) + 1
            self._journal.append({"writer": name, "fence": fence}, self.durable)
        return FilesWriter(self, name, fence)

    def progress_of(self, writer: str) -> dict[Partition, int]:
        """The committed progress of a writer, without taking it over."""
        self._journal.refresh()
        return dict(self._journal.progress.get(writer, {}))

    def verify(self) -> None:
        """Check every committed byte against the journal's checksums; LogError names the damaged partition."""
        for entry in self._journal.entries():
            for topic, partition, first, last, begin, end, checksum in entry.get("appended", ()):
                data = self._pread(topic, partition, "data", begin, end - begin)
                if zlib.crc32(data) != checksum:
                    raise LogError(f"{topic}/{partition}: offsets [{first}, {last}) do not match their checksum")

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def note_of(self, writer: str) -> str:
        """The note of a writer's newest commit with progress; empty when there is none."""
        self._journal.refresh()
        return self._journal.notes.get(writer, "")

    def _commit(
        self, name: str, fence: int, records: Sequence[Record], progress: Mapping[Partition, int], note: str
    ) -> None:
        with self._locked():
            if self._journal.fences.get(name) != fence:
                raise FencedError(f"writer {name}: fence {fence} was taken over by {self._journal.fences.get(name)}")
            by_partition: dict[Partition, list[Record]] = defaultdict(list)
            for record in records:
                self._known(record.topic, record.partition)
                if len(record.payload) > _MESSAGE_BYTES_MAX:
                    raise LogError(
                        f"{record.topic}/{record.partition}: expected at most {_MESSAGE_BYTES_MAX} bytes, "
                        f"found {len(record.payload)}"
                    )
                by_partition[record.topic, record.partition].append(record)
            appended = [self._append(partition, some) for partition, some in by_partition.items()]
            entry: dict[str, object] = {
                "writer": name,
                "fence": fence,
                "appended": appended,
                "progress": [[topic, partition, offset] for (topic, partition), offset in progress.items()],
            }
            if note:
                entry["note"] = note
            self._journal.append(entry, self.durable)

    def _append(self, where: Partition, records: list[Record]) -> list:
        count, position = self._journal.ends[where]
        data = b"".join(record.payload for record in records)
        entries = np.empty(len(records), _ENTRY)
        entries["end"] = position + np.cumsum([len(record.payload) for record in records])
        entries["time"] = [record.time for record in records]
        for suffix, content, at in (("data", data, position), ("index", entries.tobytes(), count * _ENTRY.itemsize)):
            descriptor = self._open(*where, suffix)
            os.ftruncate(descriptor, at)  # a torn tail of a killed writer
            written = 0
            while written < len(content):
                written += os.pwrite(descriptor, content[written:], at + written)
            if self.durable:
                os.fdatasync(descriptor)
        return [*where, count, count + len(records), position, position + len(data), zlib.crc32(data)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.folder / "lock", "a+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._journal.refresh()
            yield

    def _known(self, topic: str, partition: int) -> None:
        if not 0 <= partition < self._journal.topics.get(topic, 0):
            self._journal.refresh()
            if not 0 <= partition < self._journal.topics.get(topic, 0):
                raise UnknownTopicError(f"{self.folder}: there is no {topic}/{partition}")

    def _end(self, topic: str, partition: int, wanted: int) -> int:
        """The known end, refreshed only when it is not far enough."""
        self._known(topic, partition)
        end = self._journal.ends[topic, partition][0]
        return end if end >= wanted else self.end(topic, partition)

    def _entries(self, topic: str, partition: int, start: int, stop: int) -> np.ndarray:
        size = _ENTRY.itemsize
        return np.frombuffer(self._pread(topic, partition, "index", start * size, (stop - start) * size), _ENTRY)

    def _pread(self, topic: str, partition: int, suffix: str, at: int, size: int) -> bytes:
        data = os.pread(self._open(topic, partition, suffix), size, at) if size else b""
        while len(data) < size:  # one call reads at most 2 GiB
            more = os.pread(self._open(topic, partition, suffix), size - len(data), at + len(data))
            if not more:
                raise MissingOffsetsError(f"{topic}/{partition}: the {suffix} file is shorter than the journal says")
            data += more
        return data

    def _open(self, topic: str, partition: int, suffix: str) -> int:
        path = self.folder / topic / f"{partition}.{suffix}"
        if path not in self._descriptors:
            self._descriptors[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        return self._descriptors[path]


class FilesWriter:
    """The live writer of one name."""

    def __init__(self, log: FilesLog, name: str, fence: int):
        self._log, self._name, self._fence = log, name, fence

    @property
    def progress(self) -> Mapping[Partition, int]:
        self._log._journal.refresh()
        return dict(self._log._journal.progress[self._name])

    def commit(
        self, records: Sequence[Record], progress: Mapping[Partition, int] | None = None, note: str = ""
    ) -> None:
        self._log._commit(self._name, self._fence, records, progress or {}, note)

    def close(self) -> None:
        """Nothing to release: the name stays ours until somebody takes it over."""


class _Journal:
    """The list of commits, read incrementally; a line counts when it is whole and its checksum is right."""

    def __init__(self, path: Path):
        self.path = path
        self.path.touch()
        self.topics: dict[str, int] = {}
        self.ends: dict[Partition, tuple[int, int]] = defaultdict(lambda: (0, 0))
        """Next offset and next byte."""
        self.fences: dict[str, int] = {}
        self.progress: dict[str, dict[Partition, int]] = defaultdict(dict)
        self.notes: dict[str, str] = {}
        self._size = 0
        self.refresh()

    def refresh(self) -> None:
        if self.path.stat().st_size > self._size:
            for entry, size in self._lines(self._size):
                self._size += size
                self._apply(entry)

    def entries(self) -> Iterator[dict]:
        for entry, _ in self._lines(0):
            yield entry

    def append(self, entry: dict, durable: bool) -> None:
        body = orjson.dumps(entry)
        line = b"%08x %b\n" % (zlib.crc32(body), body)
        with open(self.path, "r+b", buffering=0) as file:
            file.truncate(self._size)
            file.seek(self._size)
            if file.write(line) != len(line):
                raise LogError(f"{self.path}: the disk took only a part of a commit; it does not count")
            if durable:
                os.fdatasync(file.fileno())
        self._size += len(line)
        self._apply(entry)

    def _lines(self, start: int) -> Iterator[tuple[dict, int]]:
        with open(self.path, "rb") as file:
            file.seek(start)
            for line in file:
                checksum, _, body = line.rstrip(b"\n").partition(b" ")
                if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
                    return  # torn: nothing behind it was ever committed
                yield orjson.loads(body), len(line)

    def _apply(self, entry: dict) -> None:
        self.topics.update(entry.get("topics", {}))
        if "writer" in entry:
            self.fences[entry["writer"]] = entry["fence"]
        for topic, partition, _, last, _, end, _ in entry.get("appended", ()):
            self.ends[topic, partition] = (last, end)
        for topic, partition, offset in entry.get("progress", ()):
            self.progress[entry["writer"]][topic, partition] = offset
            self.notes[entry["writer"]] = entry.get("note", "")
