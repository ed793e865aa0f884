"""Faults applied to the day's messages, and the events that put them right.

The correcting events are the good ones again: with the next version where the topic has versions, with a later sequence
where it has one, and a cancel for what should never have been.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson

from streaming.demo.blemishes import PLANTED
from streaming.demo.encode import compact
from streaming.demo.faults import ARRIVES, FAULTS, Event, Fault, Message
from streaming.demo.session import MINUTE
from streaming.demo.spec import Arrivals, Chunk, Truth
from streaming.demo.world import World

_LATER_SEQUENCE = 1_000_000_000
"""Added to the sequence of a correcting price or rate, so that it is the newest of its event time."""


@dataclass(slots=True)
class Undo:
    """A good event and what came in its place, for the correction."""

    topic: str
    key: str
    good: Event
    bad: Sequence[Event]


@dataclass(slots=True)
class Plan:
    """The faults of a spec, applied to batches of messages."""

    faults: Sequence[Fault]
    undo: list[Undo] | None = None
    """Where to note what was changed; ``None`` = nowhere."""
    _needles: dict[str, bytes] = field(default_factory=dict)

    def edit(
        self, world: World, truth: Truth, topic: str, arrival: np.ndarray, key: list[str] | str, payload: list[bytes]
    ) -> tuple[np.ndarray, list[str] | str, list[bytes]]:
        """The batch as it arrives with the faults."""
        for fault in self.faults:
            if fault.topic == topic:
                arrival, key, payload = self._apply(fault, world, truth, arrival, key, payload)
        return arrival, key, payload

    def _apply(self, fault, world, truth, arrival, key, payload):
        if fault.name not in self._needles:
            text = fault.needle if isinstance(fault.needle, str) else fault.needle(world)
            self._needles[fault.name] = text.encode()
        needle = self._needles[fault.name]
        instead: dict[int, list[tuple[int, bytes]]] = {}
        for place in [place for place, message in enumerate(payload) if needle in message]:
            replaced = self._one(fault, world, int(arrival[place]), key if key == "" else key[place], payload[place])
            if replaced is not None:
                instead[place] = replaced
        if not instead:
            return arrival, key, payload
        truth.faults[fault.name] = truth.faults.get(fault.name, 0) + len(instead)
        times, keys, messages = [], [], []
        for place, (time, message) in enumerate(zip(arrival.tolist(), payload)):
            for later, kept in instead.get(place, [(time, message)]):
                times.append(later)
                keys.append("" if key == "" else key[place])
                messages.append(kept)
        return np.array(times, dtype=np.int64), keys, messages

    def _one(
        self, fault: Fault, world: World, arrival: int, key: str, payload: bytes
    ) -> list[tuple[int, bytes]] | None:
        """What comes instead of a message; ``None`` when it comes unchanged."""
        try:
            good = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return None  # planted malformed
        if not isinstance(good, dict) or good.get("source") == PLANTED:
            return None
        bad = fault.edit(Message(world, arrival, good))
        if len(bad) == 1 and bad[0] == good:
            return None
        if self.undo is not None:
            self.undo.append(Undo(fault.topic, key, good, bad))
        return [(event.pop(ARRIVES, arrival), compact(event)) for event in ({**event} for event in bad)]


def plan(names: Sequence[str], undo: list[Undo] | None = None) -> Plan:
    """The plan of some faults; :class:`ValueError` for a name that is not registered."""
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise ValueError(f"fault: expected one of {', '.join(sorted(FAULTS))}, found {', '.join(unknown)}")
    return Plan([FAULTS[name] for name in names], undo)


def corrections(undo: Iterable[Undo], world: World) -> Chunk:
    """The events that put right what was changed, arriving half an hour after the end-of-day cut."""
    start = world.day.cut + 30 * MINUTE
    found: dict[tuple[str, str], tuple[str, Event]] = {}
    for item in undo:
        for name, event in _correcting(item):
            found[item.topic, name] = (item.key, event)
    topics: dict[str, list[tuple[str, Event]]] = {}
    for (topic, _), correction in found.items():
        topics.setdefault(topic, []).append(correction)
    arrivals = {
        topic: Arrivals(
            start + np.arange(len(events), dtype=np.int64),
            [key for key, _ in events],
            [compact(event) for _, event in events],
        )
        for topic, events in topics.items()
    }
    return Chunk(start, start + MINUTE, arrivals)


def _correcting(item: Undo) -> Iterable[tuple[str, Event]]:
    """Correcting events by what they replace: of several prices of an instrument only the last good one counts."""
    good = item.good
    if "action" in good:
        if not item.bad or item.bad[0].get("quantity", 0) is None:
            yield f"{good['id']}/{good['version']}", good  # never came, or was refused: it comes late
        elif item.bad[0] != good:
            yield f"{good['id']}/2", {**good, "version": good["version"] + 1, "action": "correct"}
        for extra in item.bad[1:]:
            yield f"{extra['id']}/2", {**extra, "version": 2, "action": "cancel"}
    elif "sequence" in good:
        name = f"{good.get('instrument', good.get('currency'))}/{good.get('kind') == 'previous_close'}"
        yield name, {**good, "sequence": good["sequence"] + _LATER_SEQUENCE}
    elif not item.bad or item.bad[0] != good:
        yield str(good.get("id", compact(good))), good
