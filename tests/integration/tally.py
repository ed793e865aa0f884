"""The smallest application of an engine test: counts of events, and a chain of what they said, by raw topic."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, Epoch
from streaming.engine.runner import ShardCommitter
from streaming.engine.stretch import Stretch
from streaming.log import Record

RAW = ("cash", "trades")


@dataclass(slots=True)
class TallyState:
    counts: np.ndarray
    """Events by topic of RAW."""
    chain: int = 0
    """A checksum over every payload in order: a lost, doubled or exchanged event changes it."""
    ballast: np.ndarray = field(default_factory=lambda: np.zeros(1000, np.int64))
    """So that a state is larger than a poll."""


@dataclass(frozen=True)
class TallyApp:
    """Writes one row an event: the epoch, and the checksum so far."""

    name: str = "tally"
    inputs: tuple[str, ...] = RAW
    sharded: bool = True
    state: type = TallyState

    def empty(self, shard: int, shards: int) -> TallyState:
        return TallyState(np.zeros(len(RAW), np.int64))

    def apply(self, state: TallyState, stretch: Stretch) -> tuple[TallyState, Mapping[str, pa.Table]]:
        events = [
            (int(epoch), i, payload)
            for i, topic in enumerate(RAW)
            for batch in stretch.raw[topic]
            for epoch, payload in zip(batch.epochs, batch.payloads, strict=True)
        ]
        epochs, sums = [], []
        for epoch, i, payload in sorted(events, key=lambda event: event[:2]):
            state.counts[i] += 1
            state.chain = zlib.crc32(payload, state.chain)
            epochs.append(epoch)
            sums.append(state.chain)
        rows = pa.table({"epoch": pa.array(epochs, pa.int64()), "sum": pa.array(sums, pa.int64())})
        return state, {"tallies": rows}

    def seal(self, state: TallyState, epoch: Epoch) -> Mapping[str, pa.Table]:
        return {}


def job() -> Job:
    return Job("tallying", (TallyApp(),), frozenset({"tally"}))


def careless_job() -> Job:
    """The same with the check for duplicates taken out, in whichever process loads it."""

    def commit(self: ShardCommitter, first: int, stop: int, records: Sequence[Record], *_: object) -> None:  # noqa: ARG001
        self._index.refresh()
        self._writer.commit(records, {(EPOCHS, 0): self._index.next_offset(stop)})

    ShardCommitter.commit = commit
    return job()
