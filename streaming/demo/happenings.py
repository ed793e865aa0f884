"""What happens to accounts beside trades: cash movements, early exercises and assignments, expiry, late trades."""

from collections.abc import Iterator

import numpy as np

from streaming.demo.clients import HOUSE
from streaming.demo.encode import events
from streaming.demo.preopen import Batch
from streaming.demo.session import MINUTE, SECOND
from streaming.demo.spec import Truth, stream
from streaming.demo.trading import Trading
from streaming.demo.world import World
from streaming.risk.money import MICRO
from streaming.schema.raw import ACTIONS, CASH, TRADES

_EXERCISES = 6
"""Of each: exercises, and assignments."""
_LATE_TRADES = 5


def batches(world: World, truth: Truth) -> Iterator[Batch]:
    """Everything that is known from the start to happen before the close."""
    yield from _cash_movements(world, truth)
    yield from _exercises(world, truth)


def _cash_movements(world: World, truth: Truth) -> Iterator[Batch]:
    """Deposits and withdrawals of every fourth client, interest and fees, one correct, one cancel, one duplicate."""
    random, day = stream(world.spec.seed, "cash"), world.day
    rows: list[dict] = []
    times: list[int] = []
    for client in [client for client in world.clients if client.id != HOUSE]:
        amount = round(client.equity * float(random.uniform(0.002, 0.015)), 2)
        kind = ("deposit", "withdrawal", "interest", "fee")[int(random.integers(4))]
        chosen, time = random.random() < 0.25, int(random.integers(day.at(9, 45), day.at(15, 45)))
        if chosen or client.number == 0:
            small = kind in ("interest", "fee")
            signed = round(amount / (50 if small else 1) * (-1 if kind in ("withdrawal", "fee") else 1), 2)
            rows.append({"id": f"M{client.id}", "version": 1, "action": "new", "account": client.id, "kind": kind,
                         "currency": "USD", "amount": signed, "business_date": str(day.business_date),
                         "settle_date": str(day.business_date)})  # fmt: skip
            times.append(time)
    first, last = rows[0], rows[-1]
    truth.add("cash.movement", len(rows))
    rows += [first, {**first, "version": 2, "action": "correct", "amount": round(first["amount"] + 0.01, 2)}]
    times += [times[0], times[0] + 20 * MINUTE]
    truth.add("cash.duplicate")
    truth.add("cash.correct")
    if last is not first:
        rows.append({**last, "version": 2, "action": "cancel"})
        times.append(times[-3] + 5 * MINUTE if len(rows) > 3 else times[0] + 5 * MINUTE)
        truth.add("cash.cancel")
    stamps = np.array(times, dtype=np.int64)
    arrival = stamps + 30_000
    arrival[len(rows) - (3 if last is not first else 2)] += 2 * SECOND  # the duplicate
    yield CASH.name, arrival, [row["account"] for row in rows], events(CASH.version, rows, stamps)


def _exercises(world: World, truth: Truth) -> Iterator[Batch]:
    """Early exercises and assignments of American series deep in the money, told before anybody trades."""
    held, universe, day = world.opening, world.universe, world.day
    random = stream(world.spec.seed, "exercise")
    rows = held.instrument
    american = np.array([style == "american" for style in universe.style])[rows]
    spot = universe.previous[universe.underlying[rows] % universe.underlyings]
    depth = universe.right[rows] * (spot - universe.strike[rows])
    deep = american & (depth > 0.03 * universe.strike[rows]) & (universe.expires[rows] > day.close)
    largest = np.argsort(-np.abs(held.quantity), kind="stable")
    found: list[dict] = []
    for kind, side, sign in (("exercise", "sell", 1), ("assignment", "buy", -1)):
        candidates = largest[(deep & (held.quantity * sign >= 2))[largest]]
        chosen = candidates[:_EXERCISES].tolist()
        truth.add(f"trades.{kind}", len(chosen))
        for place in chosen:
            account, instrument = int(held.account[place]), int(held.instrument[place])
            quantity = 1 + int(random.integers(abs(int(held.quantity[place])) // 2))
            found.append({"id": f"X{len(found):04d}", "version": 1, "action": "new",
                          "account": world.account_ids[account], "instrument": universe.id[instrument], "kind": kind,
                          "side": side, "quantity": quantity, "price": 0, "fee": 0,
                          "business_date": str(day.business_date), "settle_date": str(day.settle),
                          "counterparty": "OPTCLEAR", "currency": "USD"})  # fmt: skip
    times = day.at(9, 29, 30) + np.arange(len(found), dtype=np.int64) * SECOND
    yield TRADES.name, times + 40_000, [row["account"] for row in found], events(TRADES.version, found, times)


def after_close(world: World) -> Iterator[Batch]:
    """Expiry of every series of the day, at the official close of its underlying."""
    rows, day, universe = world.universe.expiring, world.day, world.universe
    times = day.at(16, 5) + np.arange(len(rows), dtype=np.int64) * 1_000
    prices = (world.close[universe.underlying[rows]] / MICRO).tolist()
    expiries = [
        {"id": f"CA-X{n:05d}", "version": 1, "action": "new", "kind": "expiry", "instrument": universe.id[row],
         "price": price, "business_date": str(day.business_date)}
        for n, (row, price) in enumerate(zip(rows.tolist(), prices))
    ]  # fmt: skip
    yield ACTIONS.name, times + 10_000, "", events(ACTIONS.version, expiries, np.full(len(rows), day.close))


def late(world: World, trading: Trading, truth: Truth) -> Iterator[Batch]:
    """Trades of the afternoon that arrive after the end-of-day cut: what a restatement is made of."""
    random, day = stream(world.spec.seed, "after-cut"), world.day
    times = np.sort(random.integers(day.at(15), day.close, _LATE_TRADES))
    fills = trading.after_cut(random, times, day.at(16, 31))
    truth.add("trades.after_cut", len(fills))
    yield TRADES.name, fills.arrival, [world.account_ids[a] for a in fills.account.tolist()], trading.encode(fills)
