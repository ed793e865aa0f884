"""Messages that a book must refuse or hold back: each kind is planted a known number of times."""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import orjson

from streaming.apps.routing import shard_of
from streaming.demo.encode import compact, instants
from streaming.demo.preopen import Batch
from streaming.demo.session import SECOND
from streaming.demo.spec import Truth, stream
from streaming.demo.world import World
from streaming.schema.raw import CASH, PRICES, TRADES

Break = Callable[[dict], dict | bytes]
_NAN = b"NaN"


def _set(**values: object) -> Break:
    return lambda event: {**event, **values}


def _without(name: str) -> Break:
    return lambda event: {key: value for key, value in event.items() if key != name}


def _nan(name: str) -> Break:
    """``NaN`` where a number belongs: no JSON, but some producers write it."""

    def spoil(event: dict) -> bytes:
        return orjson.dumps({**event, name: 987654}).replace(b"987654", _NAN)

    return spoil


TRADE_BREAKS: dict[str, Break] = {
    "not_json": lambda event: orjson.dumps(event)[:-20],
    "not_an_object": lambda event: orjson.dumps([event["id"], event["account"]]),
    "wrong_type": _set(quantity="many"),
    "nan": _nan("price"),
    "infinite": _set(price="Infinity"),
    "missing_field": _without("side"),
    "unknown_value": _set(side="borrow"),
    "unknown_account": _set(account="A9999X"),
    "unknown_instrument": _set(instrument="ZZZZ"),
    "absurd_size": _set(quantity=10**17),
    "negative_quantity": _set(quantity=-5),
    "wrong_schema": _set(schema=99),
    "wrong_currency": _set(currency="JPY"),
    "wrong_partition": _set(),
}
"""What is done to a good trade event; ``wrong_partition`` is sent under the key of an account in another shard."""
CASH_BREAKS: dict[str, Break] = {
    "wrong_type": _set(amount="ten"),
    "unknown_account": _set(account="A9999X"),
    "unknown_value": _set(kind="gift"),
    "unknown_currency": _set(currency="dollars"),
}
PRICE_BREAKS: dict[str, Break] = {
    "not_json": lambda event: orjson.dumps(event)[:-9],
    "nan": _nan("bid"),
    "negative_price": _set(bid=-3.5),
    "missing_field": _without("sequence"),
    "unknown_instrument": _set(instrument="ZZZZ"),
    "wrong_schema": _set(schema=99),
}
PLANTED = "generated:malformed"
"""Source of the malformed prices."""
PARKED_PER_SERIES = 2
"""Trades that arrive just before a series listed during the day is known."""


def batches(world: World, truth: Truth) -> Iterator[Batch]:
    """All malformed messages, and the trades that wait for a series still to be listed."""
    often = 1 + world.spec.trades // 50_000
    for topic, breaks, template, each in (
        (TRADES.name, TRADE_BREAKS, _trade(world), often),
        (CASH.name, CASH_BREAKS, _cash(world), 1),  # an account has a movement or two, however much it trades
        (PRICES.name, PRICE_BREAKS, _price(world), often),
    ):
        yield from _malformed(world, truth, topic, breaks, template, each)
    yield _parked(world, truth)


def _malformed(
    world: World, truth: Truth, topic: str, breaks: dict[str, Break], template: dict, each: int
) -> Iterator[Batch]:
    random = stream(world.spec.seed, "malformed", topic)
    for reason, spoil in breaks.items():
        times = np.sort(random.integers(world.day.at(9, 40), world.day.at(15, 50), each))
        payloads, keys = [], []
        for number, time in enumerate(instants(times)):
            event = template | {"event_time": time}
            if "id" in event:
                event["id"] = f"BAD-{reason}-{number}"
            spoilt = spoil(event)
            payloads.append(spoilt if isinstance(spoilt, bytes) else compact(spoilt))
            keys.append(_key(event, spoilt, reason))
        truth.add(f"{topic}.malformed.{reason}", each)
        yield topic, times, keys, payloads


def _key(event: dict, spoilt: dict | bytes, reason: str) -> str:
    if "account" not in event:
        return ""
    if reason == "wrong_partition":
        return elsewhere(event["account"])
    return str(spoilt["account"]) if isinstance(spoilt, dict) else str(event["account"])


def elsewhere(account: str) -> str:
    """A key that is sent to another shard than the account's, however many shards there are (two to sixteen)."""
    for number in count():
        key = f"{account}-{number}"
        if all(shard_of(key, shards) != shard_of(account, shards) for shards in range(2, 17)):
            return key
    raise AssertionError


def _trade(world: World) -> dict:
    return {
        "schema": TRADES.version, "id": "", "version": 1, "action": "new", "account": world.account_ids[-1],
        "instrument": "AAPL", "kind": "trade", "side": "buy", "quantity": 100, "price": 60.5, "fee": 0.35,
        "business_date": str(world.day.business_date), "settle_date": str(world.day.settle), "counterparty": "BRK01",
        "venue": "XNAS", "currency": "USD",
    }  # fmt: skip


def _cash(world: World) -> dict:
    return {
        "schema": CASH.version, "id": "", "version": 1, "action": "new", "account": world.account_ids[-1],
        "kind": "deposit", "currency": "USD", "amount": 1000, "business_date": str(world.day.business_date),
        "settle_date": str(world.day.business_date),
    }  # fmt: skip


def _price(world: World) -> dict:
    return {
        "schema": PRICES.version, "instrument": "AAPL", "bid": 60.49, "ask": 60.51, "kind": "quote",
        "sequence": 10**9, "source": PLANTED, "business_date": str(world.day.business_date),
    }  # fmt: skip


def _parked(world: World, truth: Truth) -> Batch:
    """Trades in the series listed during the day, twenty seconds and ten before their reference data."""
    universe = world.universe
    rows = [row for row in universe.options.tolist() if universe.listed[row] > world.day.open]
    payloads, keys, times = [], [], []
    for row in rows:
        for number in range(PARKED_PER_SERIES):
            time = int(universe.listed[row]) - (20 - 10 * number) * SECOND
            account = world.account_ids[(6 + number) % len(world.account_ids)]
            price = int(world.value(np.array([row]), np.array([time]))[0]) / 1_000_000
            event = _trade(world) | {
                "id": f"W{row}-{number}", "account": account, "instrument": universe.id[row], "quantity": 2,
                "price": price, "venue": "XCBO", "event_time": instants(np.array([time]))[0],
            }  # fmt: skip
            payloads.append(compact(event))
            keys.append(account)
            times.append(time + 50_000)
    truth.add("trades.parked_then_released", len(payloads))
    return TRADES.name, np.array(times, dtype=np.int64), keys, payloads
