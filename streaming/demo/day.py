"""A generated day as a stream of chunks in the order of arrival."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

import numpy as np

from streaming.demo import blemishes, fault_plan, happenings, preopen
from streaming.demo.encode import Pending
from streaming.demo.preopen import Batch
from streaming.demo.quotes import Quotes
from streaming.demo.session import MINUTE
from streaming.demo.spec import Arrivals, Chunk, DaySpec, Truth
from streaming.demo.trading import Trading
from streaming.demo.world import SLOT, World, build
from streaming.schema.raw import FEEDS

TOPICS = tuple(topic.name for topic in FEEDS)


def generate(spec: DaySpec, truth: Truth | None = None, every: timedelta = timedelta(minutes=15)) -> Iterator[Chunk]:
    """The day's events, ``every`` so much arrival time a chunk; intervals without arrivals are left out.

    ``truth`` is filled as the chunks are drawn. Raises :class:`ValueError` for a date the closes do not cover, or an
    unknown fault.
    """
    yield from _generate(spec, Truth() if truth is None else truth, every, fault_plan.plan(spec.faults))


def correction(spec: DaySpec) -> Chunk:
    """The events that put the faults of a spec right; they arrive half an hour after the end-of-day cut.

    Corporate actions can be announced late but not taken back, so a second announcement has no correction.
    """
    undo: list[fault_plan.Undo] = []
    plan = fault_plan.plan(spec.faults, undo)
    for _ in _generate(spec, Truth(), timedelta(hours=1), plan):
        pass
    return fault_plan.corrections(undo, build(spec))


def _generate(spec: DaySpec, truth: Truth, every: timedelta, plan: fault_plan.Plan) -> Iterator[Chunk]:
    world = build(spec)
    width = max(1, every // timedelta(microseconds=1))
    held = {topic: Pending() for topic in TOPICS}
    start = world.day.start
    for until, batches in _slots(world, truth, spec.late):
        for topic, arrival, key, payload in batches:
            edited = plan.edit(world, truth, topic, arrival, key, payload)
            held[topic].add(*edited)
        while start + width <= until:
            yield from _chunk(held, start, start + width, truth)
            start += width
    while any(held.values()):
        yield from _chunk(held, start, start + width, truth)
        start += width


def _chunk(held: dict[str, Pending], start: int, end: int, truth: Truth) -> Iterator[Chunk]:
    taken = {topic: pending.take(end) for topic, pending in held.items()}
    topics = {topic: arrivals for topic, arrivals in taken.items() if len(arrivals)}
    for topic, arrivals in topics.items():
        truth.events[topic] = truth.events.get(topic, 0) + len(arrivals)
    if topics:
        yield Chunk(start, end, topics)


def _slots(world: World, truth: Truth, late: bool) -> Iterator[tuple[int, Iterable[Batch]]]:
    """What each slot makes, with the instant before which nothing more can arrive afterwards."""
    quotes, trading = Quotes(world, truth), Trading(world, truth)
    yield world.day.open, (*preopen.batches(world), *blemishes.batches(world, truth), *happenings.batches(world, truth))
    for place, begin in enumerate(world.slots().tolist()):
        yield begin + SLOT, (*quotes.slot(place), *trading.slot(place))
    yield world.day.cut, (*quotes.closes(), *happenings.after_close(world))
    if late:
        yield world.day.cut + 30 * MINUTE, happenings.late(world, trading, truth)


def joined(chunks: Iterable[Chunk]) -> dict[str, Arrivals]:
    """All chunks as one: for days that fit into memory."""
    parts: dict[str, list[Arrivals]] = {}
    for chunk in chunks:
        for topic, arrivals in chunk.topics.items():
            parts.setdefault(topic, []).append(arrivals)
    return {
        topic: Arrivals(
            np.concatenate([part.arrival for part in found]),
            [key for part in found for key in part.key],
            [payload for part in found for payload in part.payload],
        )
        for topic, found in parts.items()
    }
