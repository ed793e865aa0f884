"""A span of a log by itself: the raw events and epochs between two points, with their own offsets, read only.

What a replay needs on another machine. Encoded, the same span has the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import pyarrow as pa

from streaming.engine.canonical import decode, encode
from streaming.engine.epochs import EPOCHS, Epoch
from streaming.log import Log, LogError, Span, Writer
from streaming.schema.raw import FEEDS

Partition = tuple[str, int]
_FIELDS = ("start", "stop", "offsets", "times", "sizes", "payloads")


@dataclass(frozen=True)
class SpanLog:
    """Spans by partition, served as a log."""

    spans: Mapping[Partition, Span]

    def topics(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for topic, partition in self.spans:
            found[topic] = max(found.get(topic, 0), partition + 1)
        return found

    def first(self, topic: str, partition: int) -> int:
        return self.spans[topic, partition].start

    def end(self, topic: str, partition: int) -> int:
        return self.spans[topic, partition].stop

    def read(self, topic: str, partition: int, start: int, stop: int) -> Span:
        whole = self.spans[topic, partition]
        if not whole.start <= start <= stop <= whole.stop:
            raise LogError(
                f"{topic}/{partition}: expected offsets [{start}, {stop}), found [{whole.start}, {whole.stop})"
            )
        low, high = np.searchsorted(whole.offsets, [start, stop]).tolist()
        return Span(start, stop, whole.offsets[low:high], whole.times[low:high], whole.payloads[low:high])

    def at_time(self, topic: str, partition: int, time: int) -> int:
        whole = self.spans[topic, partition]
        at = int(np.searchsorted(whole.times, time))
        return int(whole.offsets[at]) if at < len(whole.offsets) else whole.stop

    def create(self, topics: Mapping[str, int]) -> NoReturn:
        raise LogError(f"a span of a log: expected only reading, found an order to create {', '.join(topics)}")

    def writer(self, name: str) -> Writer:
        raise LogError(f"a span of a log: expected only reading, found writer {name}")

    def progress_of(self, writer: str) -> Mapping[Partition, int]:
        raise LogError(f"a span of a log: expected only raw events and epochs, found progress of {writer}")

    def note_of(self, writer: str) -> str:
        raise LogError(f"a span of a log: expected only raw events and epochs, found notes of {writer}")

    def close(self) -> None:
        """Nothing is open."""


def cut_out(log: Log, last: Epoch, epochs: tuple[int, int], begin: Mapping[str, Sequence[int]] | None) -> SpanLog:
    """The raw events behind ``begin`` (None = from the first) up to an epoch, and a span of the epoch records."""
    spans = {}
    for topic in FEEDS:
        for partition, stop in enumerate(last.ends[topic.name]):
            start = log.first(topic.name, partition) if begin is None else int(begin[topic.name][partition])
            spans[topic.name, partition] = log.read(topic.name, partition, start, stop)
    spans[EPOCHS, 0] = log.read(EPOCHS, 0, *epochs)
    return SpanLog(spans)


def with_versions(log: SpanLog, versions: Mapping[str, str]) -> SpanLog:
    """The same, its first epoch announcing the versions that were in force when the span begins."""
    whole = log.spans[EPOCHS, 0]
    first = Epoch.decode(whole.payloads[0])
    announced = replace(first, versions={**versions, **first.versions}).encode()
    return SpanLog({**log.spans, (EPOCHS, 0): whole._replace(payloads=[announced, *whole.payloads[1:]])})


def encode_span(span: Span) -> bytes:
    """One partition's span, compressed."""
    body = {
        "start": span.start,
        "stop": span.stop,
        "offsets": span.offsets,
        "times": span.times,
        "sizes": np.array([len(payload) for payload in span.payloads], np.int64),
        "payloads": b"".join(span.payloads),
    }
    plain = encode(body)
    return encode({"size": len(plain), "content": pa.compress(plain, "zstd", asbytes=True)})


def decode_span(data: bytes) -> Span:
    """The span that :func:`encode_span` wrote."""
    packed = decode(data)
    body = decode(pa.decompress(packed["content"], packed["size"], "zstd", asbytes=True))
    start, stop, offsets, times, sizes, joined = (body[name] for name in _FIELDS)
    ends = np.cumsum(sizes)
    payloads = [joined[end - size : end] for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)]
    return Span(start, stop, offsets, times, payloads)
