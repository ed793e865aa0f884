"""Price events of the session: quotes near the paths, and the official closes."""

from collections.abc import Iterator

import numpy as np

from streaming.demo.encode import events
from streaming.demo.preopen import EUR_USD, Batch, source
from streaming.demo.session import MINUTE, SECOND
from streaming.demo.spec import Truth, stream
from streaming.demo.universe import STALE
from streaming.demo.world import OPTION_TICK, SLOT, STOCK_TICK, World
from streaming.risk.money import MICRO
from streaming.schema.raw import FX, PRICES

STALE_FROM, STALE_UNTIL = (13, 50), (15, 1)
_SHARE_OF_STOCKS = 0.6
_CROSSED, _ONE_SIDED, _DELAYED = 0.001, 0.001, 0.005
_LAST_QUOTES = 2_000
"""Microseconds before the bell in which each share is quoted around its real close."""
_SWEEPS = 4  # previous close, first quote, last quote, close


class Quotes:
    """The tape of the day, a slot at a time."""

    def __init__(self, world: World, truth: Truth):
        self._world, self._truth = world, truth
        universe = world.universe
        self._sequence = len(universe)
        fixed = _SWEEPS * len(universe)
        self._counts = world.counts("quotes", max(0, world.spec.prices - fixed))
        weight = np.zeros(len(universe))
        weight[: universe.underlyings] = _SHARE_OF_STOCKS / universe.underlyings
        weight[universe.options] = (1 - _SHARE_OF_STOCKS) / len(universe.options)
        weight[universe.listed > world.day.open] = 0  # those listed during the day are quoted in the last sweep
        self._weight = np.cumsum(weight / weight.sum())
        self._sources = [source(world, row) for row in range(len(universe))]
        stale = universe.row(STALE)
        self._stale = universe.underlying == stale
        self._refuge = universe.underlyings - 2  # the index takes the quotes that the stale symbol leaves out

    def slot(self, place: int) -> Iterator[Batch]:
        """All quotes whose event times lie in a slot."""
        world = self._world
        start = int(world.slots()[place])
        random = stream(world.spec.seed, "quotes", place)
        count = int(self._counts[place])
        times = np.sort(random.integers(start, start + SLOT - _LAST_QUOTES, count))
        rows = np.searchsorted(self._weight, random.random(count), side="right")
        silent = self._stale[rows] & (times >= world.day.at(*STALE_FROM)) & (times < world.day.at(*STALE_UNTIL))
        rows[silent] = self._refuge
        yield from self._emit(rows, times, random, blemished=True)
        if place == 0:
            listed = np.flatnonzero(world.universe.listed < world.day.open)
            yield from self._emit(listed, start + 1 + _spread(len(listed), 3 * MINUTE), random)
        if place == len(world.slots()) - 1:
            shares = np.flatnonzero(world.universe.right == 0)
            options = world.universe.options
            bell = start + SLOT
            yield from self._emit(options, bell - MINUTE + _spread(len(options), MINUTE - SECOND), random)
            yield from self._emit(shares, bell - _LAST_QUOTES + _spread(len(shares), _LAST_QUOTES), random, last=True)
        if place % 6 == 0:
            rate = EUR_USD + int(random.integers(-30, 30)) / 10_000
            row = {"currency": "EUR", "rate": round(rate, 4), "sequence": place + 2, "source": "generated:fx"}
            yield FX.name, np.array([start + 20_000]), "", events(FX.version, [row], np.array([start]))

    def _emit(self, rows, times, random, blemished=False, last=False) -> Iterator[Batch]:
        world, count = self._world, len(rows)
        mid = world.value(rows, times)
        shares = world.universe.right[rows] == 0
        if last:
            mid[shares] = world.close[rows[shares]]
        bid, ask = self._around(rows, mid)
        delay = random.integers(2_000, 40_000, count)
        blemish = random.random(count)
        if blemished:
            delay = np.where(blemish > 1 - _DELAYED, random.integers(SECOND // 2, 3 * SECOND, count), delay)
            self._truth.add("prices.delayed", int((blemish > 1 - _DELAYED).sum()))
            crossed = (blemish < _CROSSED) & (world.universe.underlying[rows] != self._refuge)
            bid, ask = np.where(crossed, ask + OPTION_TICK, bid), np.where(crossed, bid, ask)
            self._truth.add("prices.crossed", int(crossed.sum()))
        one_sided = blemished & (blemish >= _CROSSED) & (blemish < _CROSSED + _ONE_SIDED)
        self._truth.add("prices.one_sided", int(one_sided.sum()))
        payloads = self._encode(rows, bid, ask, one_sided, times)
        yield PRICES.name, times + delay, "", payloads

    def _around(self, rows: np.ndarray, mid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bid and ask with ``mid`` exactly between; an index has one level, a bill half a basis point each side."""
        option = self._world.universe.right[rows] != 0
        half = np.maximum(mid // 5_000 // STOCK_TICK, 2) * STOCK_TICK
        half[option] = np.minimum(np.maximum(mid[option] // 66 // OPTION_TICK, 1) * OPTION_TICK, mid[option] - 5_000)
        half[rows == self._refuge] = 0
        half[(rows >= self._world.universe.underlyings) & ~option] = 50
        return mid - half, mid + half

    def _encode(self, rows, bid, ask, one_sided, times) -> list[bytes]:
        ids, date = self._world.universe.id, str(self._world.day.business_date)
        first = self._sequence
        self._sequence += len(rows)
        bids: list[float | None] = (bid / MICRO).tolist()
        asks: list[float | None] = (ask / MICRO).tolist()
        for n in np.flatnonzero(one_sided).tolist():
            (bids if n % 2 else asks)[n] = None
        rows_of = (
            {"instrument": ids[row], "bid": b, "ask": a, "kind": "quote", "sequence": first + n,
             "source": self._sources[row], "business_date": date}
            for n, (row, b, a) in enumerate(zip(rows.tolist(), bids, asks))
        )  # fmt: skip
        return events(PRICES.version, rows_of, times)

    def closes(self) -> Iterator[Batch]:
        """The official close of every instrument, in the minute after the bell."""
        world = self._world
        rows = np.arange(len(world.universe))
        times = world.day.close + SECOND + _spread(len(rows), 30 * SECOND)
        events_of = (
            {"instrument": world.universe.id[row], "last": price, "kind": "close", "sequence": self._sequence + row,
             "source": self._sources[row], "business_date": str(world.day.business_date)}
            for row, price in enumerate((world.close / MICRO).tolist())
        )  # fmt: skip
        yield PRICES.name, times + 50_000, "", events(PRICES.version, events_of, times)
        self._sequence += len(rows)


def _spread(count: int, duration: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * (duration // max(count, 1))
