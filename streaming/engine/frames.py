"""Frames: what an application writes to a topic for one stretch of epochs: named tables and blobs, and how far it got.

A frame says "complete through epoch ``last``": it is the end-of-epoch record. Large frames travel as several messages,
which only count when all of them are there (they are committed in one transaction, so they always are).
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import pyarrow.compute as pc

MESSAGE_BYTES = 512 * 1024
"""Well below Kafka's default limit of a message."""
_HEADER = struct.Struct("<4sqqii")
_MAGIC = b"PLF1"


class FrameError(ValueError):
    """Bytes that are no frame, or parts that do not follow one another."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything one application says about epochs [first, last] in one topic and partition."""

    first: int
    last: int
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    def between(self, first: int, last: int) -> "Frame":
        """The part in epochs [first, last]; rows without an epoch belong to the frame's last."""
        if first <= self.first and self.last <= last:
            return self
        tables = {}
        for name, table in self.tables.items():
            if "epoch" in table.column_names:
                epochs = table.column("epoch")
                tables[name] = table.filter(pc.and_(pc.greater_equal(epochs, first), pc.less_equal(epochs, last)))
            elif self.last <= last:
                tables[name] = table
        return Frame(max(self.first, first), min(self.last, last), tables, self.blobs if self.last <= last else {})


def encode_frame(frame: Frame) -> list[bytes]:
    """The frame as one or more messages."""
    parts, index = [], []
    for name, table in sorted(frame.tables.items()):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        parts.append(sink.getvalue().to_pybytes())
        index.append(["table", name, len(parts[-1])])
    for name, blob in sorted(frame.blobs.items()):
        parts.append(blob)
        index.append(["blob", name, len(blob)])
    head = orjson.dumps(index)
    body = struct.pack("<i", len(head)) + head + b"".join(parts)
    count = max(1, -(-len(body) // MESSAGE_BYTES))
    return [
        _HEADER.pack(_MAGIC, frame.first, frame.last, i, count) + body[i * MESSAGE_BYTES : (i + 1) * MESSAGE_BYTES]
        for i in range(count)
    ]


def decode_frames(messages: Iterable[bytes]) -> list[Frame]:
    """The frames of consecutive messages; each must be whole."""
    frames: list[Frame] = []
    parts: list[bytes] = []
    for message in messages:
        magic, first, last, i, count = _HEADER.unpack_from(message)
        if magic != _MAGIC or i != len(parts):
            raise FrameError(f"expected part {len(parts)} of a frame, found part {i} of epochs [{first}, {last}]")
        parts.append(message[_HEADER.size :])
        if len(parts) == count:
            frames.append(_decode(first, last, b"".join(parts)))
            parts = []
    if parts:
        raise FrameError(f"a frame of {count} messages ends after {len(parts)}")
    return frames


def last_epoch(message: bytes) -> tuple[int, bool]:
    """The ``last`` epoch of the frame that a message belongs to, and whether it is the frame's final message."""
    _, _, last, i, count = _HEADER.unpack_from(message)
    return last, i == count - 1


def _decode(first: int, last: int, body: bytes) -> Frame:
    (size,) = struct.unpack_from("<i", body)
    tables, blobs, at = {}, {}, 4 + size
    for kind, name, length in orjson.loads(body[4 : 4 + size]):
        content = body[at : at + length]
        at += length
        if kind == "table":
            tables[name] = pa.ipc.open_stream(content).read_all()
        else:
            blobs[name] = content
    return Frame(first, last, tables, blobs)


_SEALED = ".sealed"


def sealed_topic(app: str) -> str:
    """The topic with an application's sealed tables and state at each cut."""
    return f"{app}{_SEALED}"


def is_sealed_topic(topic: str) -> bool:
    """Whether a topic has frames at cuts only."""
    return topic.endswith(_SEALED)
