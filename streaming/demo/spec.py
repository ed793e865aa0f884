"""What day to generate, the random streams it is generated from, and the shape of what comes out."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

RULE_DATE = dt.date(2026, 11, 1)
BUSINESS_DATE = dt.date(2020, 3, 16)
SEED = 20200316


@dataclass(frozen=True, slots=True)
class DaySpec:
    """One generated day. Equal specs give equal bytes, whatever the chunk size, machine or hash seed."""

    date: dt.date = BUSINESS_DATE
    accounts: int = 300
    """Client accounts; the house, broker-dealer (PAB) and non-customer accounts come on top."""
    trades: int = 250_000
    """New trades; corrects, cancels, duplicates and malformed messages come on top."""
    prices: int = 500_000
    """Price events, closes and previous closes included; never fewer than each instrument needs."""
    seed: int = SEED
    faults: tuple[str, ...] = ()
    """Names from :data:`streaming.demo.faults.FAULTS`."""
    rule_date: dt.date = RULE_DATE
    """Decides the settlement cycle."""
    late: bool = False
    """Also generate trades of the day that arrive after the end-of-day cut."""

    def __post_init__(self) -> None:
        for name, least, most in (("accounts", 1, 5_000), ("trades", 0, 20_000_000), ("prices", 0, 50_000_000)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name}: expected {least:,} to {most:,}, found {value:,}")
        if self.seed < 0:
            raise ValueError(f"seed: expected 0 or more, found {self.seed}")


def small_day(seed: int = SEED, faults: tuple[str, ...] = ()) -> DaySpec:
    """The day that repeated proofs use: generated in about a second."""
    return DaySpec(accounts=20, trades=5_000, prices=20_000, seed=seed, faults=faults)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Events of one topic in the order of arrival, which is the order of the log."""

    arrival: np.ndarray
    """int64[n], microseconds since 1970-01-01 UTC, never decreasing."""
    key: list[str]
    """The account id whose shard the message is sent to; '' in a topic of one partition."""
    payload: list[bytes]
    """One JSON event each, or whatever a malformed message holds."""

    def __len__(self) -> int:
        return len(self.payload)


@dataclass(frozen=True, slots=True)
class Chunk:
    """All events that arrive in [start, end), microseconds UTC; a topic without events is absent."""

    start: int
    end: int
    topics: Mapping[str, Arrivals]


@dataclass(slots=True)
class Truth:
    """What was planted, filled while the chunks are drawn: complete when the last chunk is out."""

    events: dict[str, int] = field(default_factory=dict)
    """Messages per topic, everything included."""
    planted: dict[str, int] = field(default_factory=dict)
    """Counts by what was planted: ``trades.duplicate``, ``trades.malformed.not_json``, ``prices.crossed`` ..."""
    faults: dict[str, int] = field(default_factory=dict)
    """Events dropped, changed or added by each named fault."""

    def add(self, name: str, count: int = 1) -> None:
        if count:
            self.planted[name] = self.planted.get(name, 0) + count

    @property
    def malformed(self) -> dict[str, int]:
        """Counts by ``topic.reason``."""
        return {n.replace(".malformed", ""): c for n, c in sorted(self.planted.items()) if ".malformed." in n}


def stream(seed: int, *subject: str | int) -> np.random.Generator:
    """An independent PCG64 stream of the seed for one subject, so that resizing one leaves the others as they are."""
    words = np.frombuffer(blake2b("/".join(map(str, subject)).encode(), digest_size=16).digest(), dtype="<u4")
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(int(word) for word in words))
    return np.random.Generator(np.random.PCG64(sequence))
