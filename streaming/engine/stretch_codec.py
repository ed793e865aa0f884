"""What travels between the steps of the Beam graph, as canonical bytes: the stretches of one poll, and what they made.

A poll's raw batches are written whole, once; its stretches name ranges of them, so that what is costly per batch
(reading JSON) is still done once per poll behind the wire.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streaming.engine.canonical import decode, encode
from streaming.engine.epochs import Epoch
from streaming.engine.frames import decode_frames, encode_frame
from streaming.engine.stretch import Position, RawBatch, Stretch
from streaming.log import Record

PART_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Outputs:
    """Every record that epochs [first, stop) of one shard made, in order."""

    first: int
    stop: int
    records: Sequence[Record]
    counts: np.ndarray
    """As :func:`streaming.engine.runner.counts_of` has them; with a part's last only."""
    part: int = 0
    parts: int = 1
    """Which part of the whole this is: sealed states are large, and each step on the way keeps copies of what it
    passes on."""

    def split(self) -> list["Outputs"]:
        """Parts of a bounded size, in order."""
        groups: list[list[Record]] = [[]]
        size = 0
        for record in self.records:
            if size + len(record.payload) > PART_BYTES and groups[-1]:
                groups.append([])
                size = 0
            groups[-1].append(record)
            size += len(record.payload)
        last, nothing = len(groups) - 1, self.counts[:0]
        return [
            Outputs(self.first, self.stop, group, self.counts if i == last else nothing, i, last + 1)
            for i, group in enumerate(groups)
        ]

    @staticmethod
    def joined(parts: Sequence["Outputs"]) -> "Outputs":
        """The whole of all its parts."""
        last = parts[-1]
        return Outputs(last.first, last.stop, [record for part in parts for record in part.records], last.counts)


def encode_stretches(stretches: Sequence[Stretch]) -> bytes:
    """The consecutive stretches of one poll."""
    wholes: dict[int, int] = {}
    batches: list[RawBatch] = []

    def number(part: RawBatch) -> int:
        whole = part.whole or part
        if id(whole) not in wholes:
            wholes[id(whole)] = len(batches)
            batches.append(whole)
        return wholes[id(whole)]

    parts = [
        (
            stretch.first,
            stretch.last.encode(),
            dict(stretch.versions),
            [(topic, [(number(b), b.low, b.low + len(b)) for b in found]) for topic, found in stretch.raw.items()],
            [(app, [encode_frame(frame) for frame in found]) for app, found in stretch.frames.items()],
            stretch.after.encode(),
        )
        for stretch in stretches
    ]
    return encode(([_encode_batch(batch) for batch in batches], parts))


def decode_stretches(data: bytes) -> list[Stretch]:
    """The stretches of one poll; batches of one partition share their whole."""
    encoded, parts = decode(data)
    batches = [_decode_batch(*batch) for batch in encoded]
    return [
        Stretch(
            first,
            Epoch.decode(last),
            versions,
            {topic: [_part(batches[i], low, high) for i, low, high in found] for topic, found in raw},
            {app: [decode_frames(messages)[0] for messages in found] for app, found in frames},
            Position.decode(after),
        )
        for first, last, versions, raw, frames, after in parts
    ]


def encode_outputs(outputs: Outputs) -> bytes:
    where = sorted({(record.topic, record.partition) for record in outputs.records})
    at = {partition: i for i, partition in enumerate(where)}
    numbers = np.array([at[record.topic, record.partition] for record in outputs.records], np.int64)
    times = np.array([record.time for record in outputs.records], np.int64)
    payloads = [record.payload for record in outputs.records]
    which = (outputs.first, outputs.stop, outputs.part, outputs.parts)
    return encode((*which, where, numbers, times, *_joined(payloads), outputs.counts))


def decode_outputs(data: bytes) -> Outputs:
    first, stop, part, parts, where, numbers, times, lengths, joined, counts = decode(data)
    rows = zip(numbers.tolist(), times.tolist(), _split(lengths, joined), strict=True)
    records = [Record(where[i][0], where[i][1], payload, time) for i, time, payload in rows]
    return Outputs(first, stop, records, counts, part, parts)


def _encode_batch(batch: RawBatch) -> tuple:
    return batch.topic, batch.partition, batch.offsets, batch.epochs, batch.times, *_joined(batch.payloads)


def _decode_batch(topic, partition, offsets, epochs, times, lengths, joined) -> RawBatch:
    return RawBatch(topic, partition, offsets, epochs, times, _split(lengths, joined))


def _part(whole: RawBatch, low: int, high: int) -> RawBatch:
    rows = slice(low, high)
    offsets, epochs, times, payloads = whole.offsets[rows], whole.epochs[rows], whole.times[rows], whole.payloads[rows]
    return RawBatch(whole.topic, whole.partition, offsets, epochs, times, payloads, whole, low)


def _joined(payloads: Sequence[bytes]) -> tuple[np.ndarray, bytes]:
    return np.fromiter(map(len, payloads), np.int64, len(payloads)), b"".join(payloads)


def _split(lengths: np.ndarray, joined: bytes) -> list[bytes]:
    ends = np.cumsum(lengths).tolist()
    return [joined[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
