"""The trades of the session, and what becomes of some of them: corrected, cancelled, repeated, late."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from streaming.demo.encode import events
from streaming.demo.preopen import Batch
from streaming.demo.session import MINUTE, SECOND
from streaming.demo.spec import Truth, stream
from streaming.demo.stock_record import BROKERS
from streaming.demo.world import SLOT, World
from streaming.risk.money import MICRO
from streaming.schema.raw import TRADES

STOCK_VENUES = ("XNYS", "XNAS", "ARCX", "BATS")
OPTION_VENUES = ("XCBO", "XPHL", "AMXO", "ARCO")
_ROUND_TRIPS = 0.7
"""Part of the trades that are closed again within their slot, so that positions stay what they are."""
_CANCELLED, _CORRECTED, _BEFORE_NEW, _DUPLICATED, _CONFLICTING, _LATE = 0.004, 0.005, 0.0008, 0.003, 0.0003, 0.01
_CORRECTED_AGAIN = 0.2
_LAST_ARRIVAL = (16, 24)
_ACTIONS = ("new", "correct", "cancel")


@dataclass(frozen=True, slots=True)
class Fills:
    """Trade events as columns."""

    number: np.ndarray
    version: np.ndarray
    action: np.ndarray
    account: np.ndarray
    instrument: np.ndarray
    buy: np.ndarray
    quantity: np.ndarray
    price: np.ndarray
    fee: np.ndarray
    time: np.ndarray
    arrival: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: np.ndarray, **changed: np.ndarray | int) -> "Fills":
        """Some rows, with some columns replaced."""
        kept = {f.name: getattr(self, f.name)[rows] for f in fields(self)}
        size = len(kept["number"])
        return Fills(**(kept | {name: np.broadcast_to(np.asarray(v), size) for name, v in changed.items()}))


class Trading:
    """The day's executions, a slot at a time."""

    def __init__(self, world: World, truth: Truth):
        self._world, self._truth = world, truth
        self._counts = world.counts("trades", world.spec.trades)
        self._first = np.concatenate([[0], np.cumsum(self._counts)])
        activity = np.array([client.style.activity for client in world.clients])
        self._activity = np.cumsum(activity / activity.sum())
        self._equity = np.array([client.equity for client in world.clients])
        self._size = np.array([client.style.size for client in world.clients])
        self._long_only = np.array([c.style.name in ("cash_only", "retail", "covered_call") for c in world.clients])
        self._end = world.day.at(*_LAST_ARRIVAL)

    def slot(self, place: int) -> Iterator[Batch]:
        """All trades of a slot, with whatever later becomes of them."""
        random = stream(self._world.spec.seed, "trades", place)
        fills = self._fills(place, random)
        fills, later, repeated = self._life(fills, stream(self._world.spec.seed, "trade-life", place))
        for batch in (fills, *later):
            if len(batch):
                yield TRADES.name, batch.arrival, self._keys(batch), self.encode(batch)
        if len(repeated):
            yield TRADES.name, repeated.arrival, self._keys(repeated), self.encode(repeated)

    def _fills(self, place: int, random: np.random.Generator) -> Fills:
        world, count = self._world, int(self._counts[place])
        start = int(world.slots()[place])
        pairs = int(count * _ROUND_TRIPS / 2)
        singles = count - 2 * pairs
        intents = pairs + singles
        account = np.searchsorted(self._activity, random.random(intents), side="right")
        instrument = world.opening.menu[account, random.integers(0, world.opening.menu.shape[1], intents)]
        buy = random.random(intents) < 0.5
        buy |= self._long_only[account]
        scale = np.exp(random.normal(0, 0.6, intents))
        time = np.sort(random.integers(start, start + SLOT - 1, count))
        entry = np.sort(random.permutation(count)[:intents])
        exits = np.setdiff1d(np.arange(count), entry, assume_unique=True)
        who = np.empty(count, dtype=np.int64)
        chosen = random.permutation(intents)[:pairs]
        who[entry], who[exits] = np.arange(intents), chosen
        first_leg = np.ones(count, dtype=bool)
        first_leg[exits] = False
        earlier = np.empty(intents, dtype=np.int64)
        earlier[:] = count
        earlier[chosen] = exits
        swapped = earlier < entry  # the leg that comes first in time opens
        side = buy[who] == first_leg
        side ^= swapped[who]
        quantity = self._quantities(account, instrument, scale, start)[who]
        price, fee = self._prices(instrument[who], side, quantity, time)
        number = self._first[place] + np.arange(count)
        arrival = time + random.integers(20_000, 200_000, count)
        return Fills(number, np.ones(count, np.int64), np.zeros(count, np.int64), account[who], instrument[who], side,
                     quantity, price, fee, time, arrival)  # fmt: skip

    def _quantities(self, account: np.ndarray, instrument: np.ndarray, scale: np.ndarray, time: int) -> np.ndarray:
        """Units whose value is a small part of the account's equity."""
        universe = self._world.universe
        under = universe.underlying[instrument]
        spot = self._world.paths.at(under, np.full(len(under), time))
        notional = self._equity[account] * self._size[account] * scale
        units = notional / (spot * universe.multiplier[instrument])
        option = universe.right[instrument] != 0
        return np.where(option, np.clip(units * 2, 1, 25), np.clip(units, 1, 100_000)).astype(np.int64)

    def _prices(self, instrument, buy, quantity, time) -> tuple[np.ndarray, np.ndarray]:
        """Within the spread around the mid, on a tick of 0.01, and the fee; micros."""
        mid = self._world.value(instrument, time)
        option = self._world.universe.right[instrument] != 0
        half = np.where(option, mid // 100, mid // 10_000)
        price = np.maximum(1, np.rint((mid + np.where(buy, half, -half)) / 10_000).astype(np.int64)) * 10_000
        per_unit = np.where(option, 650_000, 3_500)
        return price, np.maximum(quantity * per_unit, 350_000)

    def _life(self, fills: Fills, random: np.random.Generator) -> tuple[Fills, list[Fills], Fills]:
        """Draws each trade's fate; the fates exclude each other."""
        fate, size = random.random(len(fills)), len(fills)
        edges = np.cumsum([_CANCELLED, _CORRECTED, _BEFORE_NEW, _DUPLICATED, _CONFLICTING, _LATE])
        cancelled, corrected, before, duplicated, conflicting, late = (
            np.flatnonzero((fate >= low) & (fate < high)) for low, high in zip([0.0, *edges[:-1]], edges)
        )
        arrival = fills.arrival.copy()
        arrival[late] = self._until_end(fills.time[late] + random.integers(MINUTE, 20 * MINUTE, len(late)))
        arrival[before] = self._until_end(fills.time[before] + random.integers(6 * SECOND, 30 * SECOND, len(before)))
        fills = replace(fills, arrival=arrival)
        corrects = self._corrects(fills, corrected, random)
        again = corrects.take(np.flatnonzero(random.random(len(corrects)) < _CORRECTED_AGAIN))
        again = self._later(again, random, 10 * SECOND, 10 * MINUTE)
        again = again.take(np.arange(len(again)), version=3, quantity=again.quantity + 1)
        cancels = fills.take(cancelled, version=2, action=2)
        cancels = self._later(cancels, random, 5 * SECOND, 40 * MINUTE)
        early = self._corrects(fills, before, random)
        early_time = fills.time[before] + 2 * SECOND
        early = early.take(np.arange(len(early)), time=early_time, arrival=early_time + 50_000)
        conflict = fills.take(conflicting, quantity=fills.quantity[conflicting] + 1)
        conflict = conflict.take(np.arange(len(conflict)), arrival=self._until_end(conflict.arrival + 3 * SECOND))
        repeat = fills.take(duplicated)
        delay = np.exp(random.uniform(np.log(1_000), np.log(MINUTE), len(repeat))).astype(np.int64)
        repeat = repeat.take(np.arange(len(repeat)), arrival=self._until_end(repeat.arrival + delay))
        for name, batch in (("late", late), ("cancel", cancels), ("correct", corrects), ("correct_again", again),
                            ("correct_before_new", early), ("conflict", conflict), ("duplicate", repeat)):  # fmt: skip
            self._truth.add(f"trades.{name}", len(batch))
        self._truth.add("trades.new", size)
        return fills, [corrects, again, cancels, early, conflict], repeat

    def _corrects(self, fills: Fills, rows: np.ndarray, random: np.random.Generator) -> Fills:
        """Version 2 with another quantity, price or fee."""
        what = random.integers(0, 3, len(rows))
        quantity = np.maximum(1, fills.quantity[rows] + np.where(what == 0, random.integers(1, 9, len(rows)), 0))
        price = fills.price[rows] + np.where(what == 1, 10_000 * random.integers(1, 5, len(rows)), 0)
        fee = fills.fee[rows] + np.where(what == 2, 10_000 * random.integers(1, 50, len(rows)), 0)
        changed = fills.take(rows, version=2, action=1, quantity=quantity, price=price, fee=fee)
        return self._later(changed, random, 5 * SECOND, 40 * MINUTE)

    def _later(self, fills: Fills, random: np.random.Generator, least: int, most: int) -> Fills:
        """The same rows, happening some time after they arrived."""
        arrival = self._until_end(fills.arrival + random.integers(least, most, len(fills)))
        return fills.take(np.arange(len(fills)), arrival=arrival, time=arrival - 30_000)

    def _until_end(self, arrival: np.ndarray) -> np.ndarray:
        """Nothing of the day arrives after the stragglers' time (the order of versions is kept)."""
        return np.minimum(arrival, self._end)

    def _keys(self, fills: Fills) -> list[str]:
        ids = self._world.account_ids
        return [ids[account] for account in fills.account.tolist()]

    def encode(self, fills: Fills) -> list[bytes]:
        """JSON events in the order of the rows."""
        world, ids = self._world, self._world.account_ids
        instruments, settle, date = world.universe.id, str(world.day.settle), str(world.day.business_date)
        option = (world.universe.right != 0).tolist()
        columns = (fills.number, fills.version, fills.action, fills.account, fills.instrument, fills.buy,
                   fills.quantity, fills.price / MICRO, fills.fee / MICRO)  # fmt: skip
        rows = (
            {"id": f"T{n:08d}", "version": version, "action": _ACTIONS[action], "account": ids[account],
             "instrument": instruments[row], "kind": "trade", "side": "buy" if buy else "sell", "quantity": quantity,
             "price": price, "fee": fee, "business_date": date, "settle_date": settle,
             "counterparty": BROKERS[n % len(BROKERS)],
             "venue": (OPTION_VENUES if option[row] else STOCK_VENUES)[n % len(STOCK_VENUES)], "currency": "USD"}
            for n, version, action, account, row, buy, quantity, price, fee in zip(*(c.tolist() for c in columns))
        )  # fmt: skip
        return events(TRADES.version, rows, fills.time)

    def after_cut(self, random: np.random.Generator, times: np.ndarray, first_arrival: int) -> Fills:
        """Further trades of the day at the given times, arriving a minute apart from ``first_arrival``."""
        count = len(times)
        account = np.searchsorted(self._activity, random.random(count), side="right")
        instrument = self._world.opening.menu[account, random.integers(0, self._world.opening.menu.shape[1], count)]
        quantity = self._quantities(account, instrument, np.ones(count), int(times[0]))
        buy = np.ones(count, dtype=bool)
        price, fee = self._prices(instrument, buy, quantity, times)
        number = int(self._first[-1]) + np.arange(count)
        arrival = first_arrival + np.arange(count, dtype=np.int64) * MINUTE
        ones = np.ones(count, dtype=np.int64)
        return Fills(number, ones, 0 * ones, account, instrument, buy, quantity, price, fee, times, arrival)
