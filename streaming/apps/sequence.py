"""Business ids and their versions: what is new, repeated, contradictory, cancelled before, or too early.

A correct or cancel repeats the id of its new with the next version. One that comes before its predecessor waits for it,
parked; what repeats an id and version is a duplicate when it says the same, else a conflict.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from streaming.apps.events import Parsed, parse, parse_batch
from streaming.apps.intake import Check, Counts
from streaming.engine.stretch import RawBatch
from streaming.schema.model import Topic

NEW, CORRECT, CANCEL = range(3)
ACTIONS = ("new", "correct", "cancel")
DAYS_KEPT = 5
"""Business days for which ids are kept."""
_VERSION_MAX = 1_000_000

PARKED = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("ordinal", pa.int64()),
        ("epoch", pa.int64()),
        ("payload", pa.string()),
    ]
)


@dataclass(slots=True)
class Seen:
    """Ids that have been applied: 128-bit keys of (feed, id, version), sorted, with what they said."""

    high: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    low: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    content: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    """64-bit hash of the normalised content."""
    action: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))
    day: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    def find(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Row of each key, -1 where it is not there."""
        left = np.searchsorted(self.high, high, "left")
        right = np.searchsorted(self.high, high, "right")
        found = np.full(len(high), -1, np.int64)
        for i in np.flatnonzero(right > left).tolist():
            inside = np.flatnonzero(self.low[left[i] : right[i]] == low[i])
            if len(inside):
                found[i] = left[i] + inside[0]
        return found

    def add(self, high: np.ndarray, low: np.ndarray, content: np.ndarray, action: np.ndarray, day: int) -> None:
        order = np.lexsort((low, high))
        at = np.searchsorted(self.high, high[order])
        self.high = np.insert(self.high, at, high[order])
        self.low = np.insert(self.low, at, low[order])
        self.content = np.insert(self.content, at, content[order])
        self.action = np.insert(self.action, at, action[order].astype(np.int8))
        self.day = np.insert(self.day, at, np.full(len(order), day, np.int32))
        if len(self.high) > 1 and (self.high[1:] == self.high[:-1]).any():
            both = np.lexsort((self.low, self.high))
            for name in ("high", "low", "content", "action", "day"):
                setattr(self, name, getattr(self, name)[both])

    def forget_before(self, day: int) -> None:
        kept = self.day >= day
        for name in ("high", "low", "content", "action", "day"):
            setattr(self, name, getattr(self, name)[kept])


def with_parked(
    topic: Topic, parked: pa.Table, parked_offsets: np.ndarray, counts: Counts, batch: RawBatch
) -> tuple[RawBatch, Parsed, np.ndarray]:
    """A batch behind what waits of its topic: one batch, its columns and ordinals. All of it is counted as events."""
    parsed = parse_batch(topic, batch)
    first = counts.events(topic.name, batch.partition)
    mine = pc.equal(parked.column("topic"), topic.name)
    old = parked.filter(mine)
    ordinals = np.concatenate([old.column("ordinal").to_numpy(), first + np.arange(len(batch))])
    counts.add(topic.name, batch.partition, events=len(batch), parked=-old.num_rows)
    if not old.num_rows:
        return batch, parsed, ordinals
    payloads = [text.encode() for text in old.column("payload").to_pylist()]
    merged = RawBatch(
        topic.name,
        batch.partition,
        np.concatenate([parked_offsets[mine.to_numpy()], batch.offsets]),
        np.concatenate([old.column("epoch").to_numpy(), batch.epochs]),
        np.concatenate([np.zeros(old.num_rows, np.int64), batch.times]),
        payloads + batch.payloads,
    )
    return merged, parse(topic, payloads).followed_by(parsed, len(payloads)), ordinals


def to_park(batch: RawBatch, ordinals: np.ndarray, messages: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    """Messages of a batch that have to wait, and their offsets."""
    rows = {
        "topic": [batch.topic] * len(messages),
        "partition": [batch.partition] * len(messages),
        "ordinal": ordinals[messages].tolist(),
        "epoch": batch.epochs[messages].tolist(),
        "payload": [batch.payloads[i].decode() for i in messages.tolist()],
    }
    return pa.table(rows, schema=PARKED), batch.offsets[messages]


def version_checks(parsed: Parsed, action: np.ndarray, version: np.ndarray) -> list[Check]:
    """What every topic with versions asks of an event. ``action``: place in ``ACTIONS``, -1 for another."""
    bad_id = ~pc.match_substring_regex(parsed.text("id"), r"^[ -~]{1,64}$").to_numpy(zero_copy_only=False)
    return [
        Check(bad_id, "bad id", "id: expected 1 to 64 printable characters"),
        Check(action < 0, "unknown action", "action: expected new, correct or cancel"),
        Check((version < 1) | (version > _VERSION_MAX), "bad version", f"version: expected 1 to {_VERSION_MAX:,}"),
        Check((action == NEW) != (version == 1), "bad version", "version: expected 1 for a new, more for others"),
    ]


ACCEPT, DUPLICATE, CONFLICT, CANCELLED, WAITS = range(5)
"""What becomes of an event."""


def in_sequence(
    seen: Seen,
    topic: str,
    ids: list[str],
    versions: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    content: np.ndarray,
    action: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What becomes of each row, in order; and the row with which it takes effect (its own, or a later predecessor)."""
    verdict = np.full(len(high), ACCEPT, np.int8)
    sequence = np.arange(len(high))
    before = seen.find(high, low)
    known: dict[tuple[int, int], int] = {}
    unusual = []
    own = list(zip(high.tolist(), low.tolist(), strict=True))
    for i, key in enumerate(own):
        if before[i] < 0 and action[i] == NEW and key not in known:
            known[key] = i
        else:
            unusual.append(i)
    progress = True
    while progress and unusual:
        progress, still = False, []
        for i in unusual:
            earlier = known.get(own[i])
            if before[i] >= 0 or (earlier is not None and earlier != i):
                former = seen.content[before[i]] if before[i] >= 0 else content[earlier]
                verdict[i] = DUPLICATE if former == content[i] else CONFLICT
                sequence[i] = i if earlier is None or before[i] >= 0 else max(i, int(sequence[earlier]))
                continue
            at, cancelled = _predecessor(seen, topic, ids[i], int(versions[i]), known, action)
            if at is None:
                still.append(i)
                continue
            progress = True
            sequence[i] = max(i, sequence[at]) if at >= 0 else i
            if cancelled:
                verdict[i] = CANCELLED
                continue
            known[own[i]] = i
        unusual = still
    verdict[unusual] = WAITS
    return verdict, sequence


def _predecessor(seen, topic, id_, version, known, action) -> tuple[int | None, bool]:
    """Where the version before is: a row of this batch, -1 in an earlier stretch, None nowhere; and if it cancelled."""
    high, low = keys(topic, [id_], np.array([version - 1]))
    at = known.get((int(high[0]), int(low[0])))
    if at is not None:
        return at, bool(action[at] == CANCEL)
    (row,) = seen.find(high, low)
    return (None, False) if row < 0 else (-1, bool(seen.action[row] == CANCEL))


def keys(topic: str, ids: list[str], versions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """128-bit keys of (topic, id, version) as two columns."""
    digests = b"".join(
        hashlib.blake2b(f"{topic}/{version}/{id_}".encode(), digest_size=16).digest()
        for id_, version in zip(ids, versions.tolist(), strict=True)
    )
    both = np.frombuffer(digests, "<u8").reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def content_hash(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """64-bit hash of each row's normalised content: what makes a repeated id a duplicate or a conflict."""
    mixed = np.zeros(len(rows), np.uint64)
    for name in sorted(columns):
        values = columns[name][rows]
        if values.dtype == object:
            unique, places = np.unique(values.astype(str), return_inverse=True)
            hashes = [
                int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") for text in unique
            ]
            values = np.array(hashes, np.uint64)[places]
        _mix(mixed, values.astype(np.int64).view(np.uint64) if values.dtype != np.uint64 else values)
    return mixed


@njit(cache=True)
def _mix(state: np.ndarray, values: np.ndarray) -> None:
    """Fold one column into the running hashes (the finaliser of splitmix64)."""
    for i in range(len(state)):
        x = state[i] + values[i] + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state[i] = x ^ (x >> np.uint64(31))
