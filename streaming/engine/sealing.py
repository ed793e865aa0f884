"""Sealing a cut: gather what every shard of every application sealed at one epoch, check it in, manifest last.

A cut lies in ``cuts/<date>/<time>/v<n>/`` (manifest and states) and as one partition of each Delta table under
``tables/``. A cut exists when its manifest does; the manifest is written atomically after everything else, so a sealer
that was killed simply does it again.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pyarrow as pa

from streaming.engine.app import Job
from streaming.engine.canonical import sort_by_key, table_digest
from streaming.engine.epochs import Epoch, EpochIndex
from streaming.engine.frames import Frame, decode_frames, last_epoch, sealed_topic
from streaming.log import Log
from streaming.schema.model import Table
from streaming.schema.sealed import TABLES


class NotSealedError(LookupError):
    """A shard has not sealed the cut (yet)."""


@dataclass(frozen=True)
class Cut:
    """Everything that was sealed at one epoch."""

    epoch: Epoch
    versions: Mapping[str, str]
    tables: Mapping[str, pa.Table]
    digests: Mapping[str, str]
    """Table -> SHA-256 of its business rows."""
    states: Mapping[str, Mapping[str, bytes]]
    """``app/shard`` -> its blobs."""

    @property
    def id(self) -> str:
        return self.epoch.cut

    @property
    def state_digests(self) -> dict[str, str]:
        return {name: blobs["digest"].decode() for name, blobs in sorted(self.states.items())}

    def without_rows(self) -> "Cut":
        """Its digests alone: all that a comparison needs as long as everything is equal."""
        states = {name: {"digest": blobs["digest"]} for name, blobs in self.states.items()}
        return replace(self, tables={}, states=states)

    def manifest(self, version: int) -> dict[str, object]:
        """What identifies the cut; offsets are locators, everything digested is named with its digest."""
        return {
            "cut": self.id,
            "version": version,
            "epoch": self.epoch.number,
            "time": self.epoch.time,
            "business_date": self.epoch.day.isoformat(),
            "price_set": self.epoch.price_set,
            "versions": dict(self.versions),
            "offsets": {topic: list(ends) for topic, ends in sorted(self.epoch.ends.items())},
            "tables": {
                name: {"rows": table.num_rows, "digest": self.digests[name]}
                for name, table in sorted(self.tables.items())
            },
            "states": self.state_digests,
        }


def gather(log: Log, index: EpochIndex, jobs: Iterable[Job], epoch: Epoch) -> Cut:
    """The cut of one epoch from the sealed topics; NotSealedError names a shard that has not sealed it."""
    found: dict[str, list[pa.Table]] = {}
    states: dict[str, Mapping[str, bytes]] = {}
    partitions = log.topics()
    for job in jobs:
        for app in job.apps:
            topic = sealed_topic(app.name)
            for partition in range(partitions[topic]):
                frame = _frame_at(log, topic, partition, epoch)
                states[f"{app.name}/{partition}"] = frame.blobs
                for name, table in frame.tables.items():
                    found.setdefault(name, []).append(table)
    tables = {name: sort_by_key(_schema(name), pa.concat_tables(parts)) for name, parts in found.items()}
    digests = {name: table_digest(_schema(name), table) for name, table in tables.items()}
    return Cut(epoch, index.versions(epoch.number), tables, digests, states)


def _schema(name: str) -> Table:
    if name not in TABLES:
        raise KeyError(f"table {name!r} is not in the schema of sealed tables")
    return TABLES[name]


def _frame_at(log: Log, topic: str, partition: int, epoch: Epoch) -> Frame:
    start, end = log.at_time(topic, partition, epoch.time), log.end(topic, partition)
    messages: list[bytes] = []
    while start < end:
        for payload in log.read(topic, partition, start, min(start + 16, end)).payloads:
            last, final = last_epoch(payload)
            if last > epoch.number:
                break
            if last == epoch.number:
                messages.append(payload)
                if final:
                    return decode_frames(messages)[0]
        start += 16
    raise NotSealedError(f"cut {epoch.cut}: {topic}/{partition} has not sealed epoch {epoch.number}")


class CutStore:
    """The folder with all sealed cuts."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    def path(self, cut: str, version: int) -> Path:
        return self.folder / "cuts" / cut / f"v{version}"

    def versions(self, cut: str) -> list[int]:
        """The versions of a cut that exist, ascending."""
        found = (self.folder / "cuts" / cut).glob("v*/manifest.json")
        return sorted(int(path.parent.name[1:]) for path in found)

    def epoch(self, cut: str, version: int) -> int:
        """The number of the epoch at which a cut was sealed."""
        return int(orjson.loads((self.path(cut, version) / "manifest.json").read_bytes())["epoch"])

    def write(self, cuts: Sequence[tuple[Cut, int]]) -> None:
        """Store cuts with their versions; those that exist already are left as they are (published is immutable)."""
        fresh = [(cut, version) for cut, version in cuts if version not in self.versions(cut.id)]
        for name in sorted({name for cut, _ in fresh for name in cut.tables}):
            self._write_table(name, [(cut, version) for cut, version in fresh if name in cut.tables])
        for cut, version in fresh:
            folder = self.path(cut.id, version)
            (folder / "state").mkdir(parents=True, exist_ok=True)
            for shard, blobs in cut.states.items():
                for blob, content in blobs.items():
                    write_atomically(folder / "state" / f"{shard.replace('/', '-')}.{blob}", content)
            write_atomically(folder / "manifest.json", orjson.dumps(cut.manifest(version), option=orjson.OPT_INDENT_2))

    def _write_table(self, name: str, cuts: Sequence[tuple[Cut, int]]) -> None:
        from deltalake import DeltaTable, write_deltalake

        path = self.folder / "tables" / name
        parts = []
        for cut, version in cuts:
            rows = cut.tables[name]
            marks = [pa.array([cut.id] * rows.num_rows, pa.string()), pa.array([version] * rows.num_rows, pa.int64())]
            parts.append(rows.append_column("cut", marks[0]).append_column("cut_version", marks[1]))
        rows = pa.concat_tables(parts)
        if DeltaTable.is_deltatable(str(path)):
            either = " OR ".join(f"(cut = '{cut.id}' AND cut_version = {version})" for cut, version in cuts)
            write_deltalake(str(path), rows, mode="overwrite", predicate=either)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_deltalake(str(path), rows, partition_by=["cut", "cut_version"])

    def state(self, cut: str, version: int, app: str, shard: int) -> dict[str, bytes]:
        """The blobs that an application's shard sealed."""
        folder = self.path(cut, version) / "state"
        return {path.suffix[1:]: path.read_bytes() for path in folder.glob(f"{app}-{shard}.*")}


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a reader sees the old or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
