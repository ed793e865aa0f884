"""What every application that takes raw events shares: counting, checking, and the quarantine.

Counts are conserved: every raw event is exactly one of applied, duplicate, quarantined and parked (invariant I2).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import orjson
import pyarrow as pa

from streaming.apps.events import Parsed, parse_batch
from streaming.apps.tables import build
from streaming.engine.stretch import RawBatch
from streaming.schema import results, sealed
from streaming.schema.model import Topic

_ID_MAX = 64
OUTCOMES = ("events", "applied", "duplicate", "quarantined", "parked")


@dataclass(slots=True)
class Counts:
    """Running counts of one shard: ``topic/partition`` -> events, applied, duplicate, quarantined, parked (now)."""

    by_partition: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, topic: str, partition: int, **outcomes: int) -> None:
        counts = self.by_partition.setdefault(f"{topic}/{partition}", np.zeros(len(OUTCOMES), np.int64))
        for name, number in outcomes.items():
            counts[OUTCOMES.index(name)] += number

    def events(self, topic: str, partition: int) -> int:
        """How many events came so far: the ordinal of the next one."""
        counts = self.by_partition.get(f"{topic}/{partition}")
        return int(counts[0]) if counts is not None else 0

    def sealed(self, app: str) -> pa.Table:
        """The counts as a table of a cut."""
        names = [name.rpartition("/") for name in self.by_partition]
        counts = np.array(list(self.by_partition.values()), np.int64).reshape(-1, len(OUTCOMES))
        columns: dict[str, object] = dict(zip(OUTCOMES, counts.T, strict=True))
        columns["app"] = pa.array([app] * len(names), pa.string())
        columns["topic"] = pa.array([topic for topic, _, _ in names], pa.string())
        columns["partition"] = pa.array([int(partition) for _, _, partition in names], pa.int64())
        return build(sealed.COUNTS, columns)


def sealed_quarantine(rows: pa.Table) -> pa.Table:
    """The quarantine as a table of a cut."""
    return build(sealed.QUARANTINE, {name: rows[name] for name in rows.column_names})


@dataclass(frozen=True, slots=True)
class Check:
    """A validation: the rows that fail it and why."""

    fails: np.ndarray
    reason: str
    detail: str


class Quarantine:
    """Collects the refused events of one stretch."""

    def __init__(self) -> None:
        self._rows: list[dict[str, object]] = []

    def add(
        self,
        batch: RawBatch,
        row: int,
        ordinal: int,
        epoch: int,
        reason: str,
        detail: str,
        payload: bytes | None = None,
    ) -> None:
        content = payload if payload is not None else batch.payloads[row]
        self._rows.append(
            {
                "epoch": epoch,
                "topic": batch.topic,
                "partition": batch.partition,
                "ordinal": ordinal,
                "offset": int(batch.offsets[row]),
                "reason": reason,
                "detail": detail,
                "event": _id_in(content),
                "payload_digest": hashlib.sha256(content).hexdigest()[:32],
            }
        )

    def table(self) -> pa.Table:
        rows = sorted(self._rows, key=lambda r: (r["epoch"], r["topic"], r["partition"], r["ordinal"]))
        return pa.Table.from_pylist(rows, results.QUARANTINE)


def _id_in(payload: bytes) -> str:
    """The id of an event that may be malformed: tells whether it was sent again, corrected."""
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return ""
    found = event.get("id") if isinstance(event, dict) else None
    return found[:_ID_MAX] if isinstance(found, str) else ""


def first_failures(checks: Iterable[Check], rows: int) -> dict[int, Check]:
    """The first check that each failing row fails."""
    found: dict[int, Check] = {}
    seen = np.zeros(rows, bool)
    for check in checks:
        for row in np.flatnonzero(check.fails & ~seen).tolist():
            found[row] = check
        seen |= check.fails
    return found


def read_batch(topic: Topic, batch: RawBatch, counts: Counts, quarantine: Quarantine) -> tuple[Parsed, np.ndarray]:
    """Parse a batch and count it; malformed messages go to the quarantine. Returns the columns and their ordinals."""
    first = counts.events(topic.name, batch.partition)
    parsed = parse_batch(topic, batch)
    for bad in parsed.malformed:
        quarantine.add(batch, bad.row, first + bad.row, int(batch.epochs[bad.row]), bad.reason, bad.detail)
    counts.add(topic.name, batch.partition, events=len(batch), quarantined=len(parsed.malformed))
    return parsed, first + parsed.rows


def required(topic: Topic, parsed: Parsed) -> list[Check]:
    """The checks every topic shares: its schema version, and that required fields are there."""
    checks = [
        Check(parsed.whole("schema") != topic.version, "unknown schema version", f"schema: expected {topic.version}")
    ]
    for column in topic.columns:
        if column.required and parsed.table.column(column.name).null_count:
            checks.append(Check(parsed.absent(column.name), "missing field", f"{column.name}: expected a value"))
    return checks


def accept_batch(
    topic: Topic, batch: RawBatch, counts: Counts, quarantine: Quarantine, checks: Callable[[Parsed], Iterable[Check]]
) -> tuple[Parsed, np.ndarray]:
    """Parse, check and count a batch; the columns, and the positions of the rows accepted."""
    parsed, ordinals = read_batch(topic, batch, counts, quarantine)
    failed = first_failures([*required(topic, parsed), *checks(parsed)], len(ordinals))
    for row, check in failed.items():
        at = int(parsed.rows[row])
        quarantine.add(batch, at, int(ordinals[row]), int(batch.epochs[at]), check.reason, check.detail)
    good = np.ones(len(ordinals), bool)
    good[np.fromiter(failed, np.int64, len(failed))] = False
    counts.add(topic.name, batch.partition, applied=int(good.sum()), quarantined=len(failed))
    return parsed, np.flatnonzero(good)


def rows_of(batches: Mapping[str, list[RawBatch]], topic: Topic) -> list[RawBatch]:
    """The non-empty batches of a topic."""
    return [batch for batch in batches.get(topic.name, ()) if len(batch)]
