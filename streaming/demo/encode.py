"""From columns to JSON events."""

from collections.abc import Iterable, Mapping

import numpy as np
import orjson

from streaming.demo.spec import Arrivals
from streaming.risk.money import MICRO


def instants(times: np.ndarray) -> list[str]:
    """ISO 8601 with zone, microseconds."""
    return np.datetime_as_string(np.asarray(times, dtype="M8[us]"), timezone="UTC").tolist()


def amounts(micros: np.ndarray) -> list[float]:
    """Micros as JSON numbers: their shortest form has at most six decimals (exact below 9e9 units)."""
    return (np.asarray(micros, dtype=np.int64) / MICRO).tolist()


def compact(event: object) -> bytes:
    """One JSON message. Copied, because the bytes that orjson returns keep their whole buffer: kilobytes an event."""
    return bytes(memoryview(orjson.dumps(event)))


def events(topic_version: int, rows: Iterable[Mapping[str, object]], times: np.ndarray) -> list[bytes]:
    """One JSON event per row: the schema's version, the row, the event time."""
    return [compact({"schema": topic_version, **row, "event_time": time}) for row, time in zip(rows, instants(times))]


class Pending:
    """Messages of one topic that are made but have not arrived yet; bounded, for what is late is late by minutes."""

    def __init__(self) -> None:
        self._arrival = np.empty(0, dtype=np.int64)
        self._key: list[str] = []
        self._payload: list[bytes] = []

    def __len__(self) -> int:
        return len(self._payload)

    def add(self, arrival: np.ndarray, key: list[str] | str, payload: list[bytes]) -> None:
        """Add messages in any order; equal arrivals stay in the order in which they were added."""
        keys = [key] * len(payload) if isinstance(key, str) else key
        assert len(arrival) == len(keys) == len(payload)
        self._arrival = np.concatenate([self._arrival, np.asarray(arrival, dtype=np.int64)])
        self._key = self._key + keys
        self._payload = self._payload + payload

    def take(self, until: int) -> Arrivals:
        """Take out everything that arrives before ``until``, in order."""
        order = np.argsort(self._arrival, kind="stable")
        count = int(np.count_nonzero(self._arrival < until))
        due, rest = order[:count].tolist(), order[count:].tolist()
        out = Arrivals(self._arrival[due], [self._key[n] for n in due], [self._payload[n] for n in due])
        self._arrival = self._arrival[rest]
        self._key, self._payload = [self._key[n] for n in rest], [self._payload[n] for n in rest]
        return out
