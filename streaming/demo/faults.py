"""Named faults: each changes the generated day in one documented way, and knows what would correct it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from streaming.demo.session import MINUTE
from streaming.demo.spec import Arrivals, Chunk, DaySpec, Truth
from streaming.demo.universe import HEAVILY_HELD
from streaming.demo.world import World, build
from streaming.risk.money import MICRO
from streaming.schema.raw import PRICES

Edit = Callable[[World, int, dict], Sequence[dict]]
"""Given the world, an arrival and a good event: the events that arrive instead (none, one, or it and another)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a day can be wrong."""

    name: str
    text: str
    topic: str
    needle: Callable[[World], bytes]
    """What the payload of every event concerned contains."""
    edit: Edit
    correct: Callable[[World], list[tuple[str, str, dict]]]
    """The events (topic, key, event) that put it right, without schema and event time."""


def _stale_close_edit(world: World, arrival: int, event: dict) -> Sequence[dict]:
    return [] if arrival >= world.day.at(14) else [event]


def _true_close(symbol: str) -> Callable[[World], list[tuple[str, str, dict]]]:
    def events(world: World) -> list[tuple[str, str, dict]]:
        price = int(world.close[world.universe.row(symbol)]) / MICRO
        return [(PRICES.name, "", {"instrument": symbol, "last": price, "kind": "close", "sequence": 2 * 10**9,
                                   "source": "generated:tape", "business_date": str(world.day.date)})]  # fmt: skip

    return events


def _instrument(symbol: str) -> Callable[[World], bytes]:
    return lambda world: b'"instrument":"' + symbol.encode() + b'"'


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            "stale-close",
            f"{HEAVILY_HELD}, which many accounts hold, stops quoting at 14:00 and gets no official close",
            PRICES.name,
            _instrument(HEAVILY_HELD),
            _stale_close_edit,
            _true_close(HEAVILY_HELD),
        ),
    )
}


class Plan:
    """The faults of a spec, applied to batches of messages."""

    def __init__(self, faults: Sequence[Fault]):
        self._faults = faults

    def edit(
        self, world: World, truth: Truth, topic: str, arrival: np.ndarray, key: list[str] | str, payload: list[bytes]
    ) -> tuple[np.ndarray, list[str] | str, list[bytes]]:
        """The batch as it arrives with the faults."""
        return arrival, key, payload


def plan(names: Sequence[str]) -> Plan:
    """The plan of some faults; :class:`ValueError` for a name that is not registered."""
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise ValueError(f"fault: expected one of {', '.join(sorted(FAULTS))}, found {', '.join(unknown)}")
    return Plan([FAULTS[name] for name in names])
