"""What arrives before the open: reference data, history, openings, the stock record, the balance sheet, actions."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from streaming.demo import balance_sheet, policies, stock_record
from streaming.demo.clients import account_events
from streaming.demo.encode import amounts, events
from streaming.demo.history import SOURCE
from streaming.demo.session import DAY
from streaming.demo.surface import ZERO_CURVES
from streaming.demo.universe import DIVIDEND, SPLIT, SPLIT_FACTOR, instrument_events
from streaming.demo.world import World
from streaming.risk.money import MICRO
from streaming.schema.raw import (
    ACCOUNTS,
    ACTIONS,
    CASH,
    CLOSES,
    CUSTODY,
    FIRM,
    FX,
    INSTRUMENTS,
    POLICIES,
    PRICES,
    RATES,
)

Batch = tuple[str, np.ndarray, list[str] | str, list[bytes]]
"""Topic, arrivals, keys (or one for all), payloads."""

EUR_USD = 1.1183
DIVIDEND_AMOUNT = 0.95
_GAP = 1_000
"""Microseconds between two messages of a feed."""


@lru_cache(maxsize=1)
def batches(world: World) -> tuple[Batch, ...]:
    """Every feed of the morning; a series listed during the day arrives at its own time. Not to be changed."""
    return tuple(_batches(world))


def _batches(world: World) -> Iterator[Batch]:
    day = world.day
    yield INSTRUMENTS.name, world.universe.listed, "", _instruments(world)
    people = account_events(world.clients)
    yield _batch(ACCOUNTS.name, ACCOUNTS.version, people, _times(day.at(6, 1), len(people)))
    yield _closes(world)
    set_by_house = policies.rows(world)
    yield _batch(POLICIES.name, POLICIES.version, set_by_house, _times(day.at(6, 4), len(set_by_house)))
    rates = _rates(world)
    yield _batch(RATES.name, RATES.version, rates, _times(day.at(6, 6), len(rates)))
    yield from _openings(world)
    yield _previous_closes(world)
    yield _fx(world, day.at(6, 25), 1)
    yield _actions(world)


def _times(start: int, count: int) -> np.ndarray:
    return start + np.arange(count, dtype=np.int64) * _GAP


def _batch(topic: str, version: int, rows: list[dict], times: np.ndarray) -> Batch:
    keys: list[str] | str = [row["account"] for row in rows] if rows and "account" in rows[0] else ""
    return topic, times, keys, events(version, rows, times)


def _instruments(world: World) -> list[bytes]:
    return events(INSTRUMENTS.version, instrument_events(world.universe, world.spec), world.universe.listed)


def _closes(world: World) -> Batch:
    history = world.closes
    names = list(history.symbols)
    times = _times(world.day.at(6, 2), len(history.dates))
    rows = [
        {"business_date": str(date), "instruments": names, "prices": prices, "source": SOURCE}
        for date, prices in zip(history.dates, (history.micros / MICRO).tolist())
    ]
    return CLOSES.name, times, "", events(CLOSES.version, rows, times)


def _rates(world: World) -> list[dict]:
    zeros = [
        {"kind": "zero", "currency": currency, "tenor_days": tenor, "value": value}
        for currency, curve in ZERO_CURVES.items()
        for tenor, value in curve
    ]
    dividends = [
        {"kind": "dividend", "instrument": world.universe.id[row], "ex_date": str(ex_date), "value": amount}
        for row, expected in enumerate(world.universe.dividends)
        for ex_date, amount in expected
    ]
    today = {"instrument": DIVIDEND, "ex_date": str(world.day.business_date), "value": DIVIDEND_AMOUNT}
    dividends.append({"kind": "dividend", **today})
    return zeros + dividends


def _openings(world: World) -> Iterator[Batch]:
    """Opening positions and cash of every account, then the record and the ledger under the house."""
    held, day = world.opening, world.day
    common = {"version": 1, "action": "new", "business_date": str(day.business_date)}
    positions = [
        {"id": f"P{n:06d}", **common, "account": world.account_ids[account], "instrument": world.universe.id[row],
         "kind": "opening", "quantity": quantity, "cost": cost}
        for n, (account, row, quantity, cost) in enumerate(
            zip(held.account.tolist(), held.instrument.tolist(), held.quantity.tolist(), amounts(held.cost)))
    ]  # fmt: skip
    yield _batch(CUSTODY.name, CUSTODY.version, positions, _times(day.at(6, 10), len(positions)))
    cash = [
        {"id": f"O{n:05d}-{currency}", **common, "account": account, "kind": "opening", "currency": currency,
         "amount": amount, "short_proceeds": proceeds, "settle_date": str(day.business_date)}
        for n, (account, dollars, euros, short) in enumerate(
            zip(world.account_ids, amounts(held.cash), amounts(held.euro), amounts(held.short_proceeds)))
        for currency, amount, proceeds in (("USD", dollars, short), ("EUR", euros, 0))
        if currency == "USD" or amount
    ]  # fmt: skip
    yield _batch(CASH.name, CASH.version, cash, _times(day.at(6, 12), len(cash)))
    items = stock_record.build(world)
    record = stock_record.rows(world, items)
    yield _batch(CUSTODY.name, CUSTODY.version, record, _times(day.at(6, 15), len(record)))
    ledger = balance_sheet.rows(world, balance_sheet.build(world, items))
    yield _batch(FIRM.name, FIRM.version, ledger, _times(day.at(6, 18), len(ledger)))


def _previous_closes(world: World) -> Batch:
    day = world.day
    known = np.flatnonzero(world.previous > 0)
    arrival = _times(day.at(6, 20), len(known))
    event_time = np.full(len(known), day.close - (day.business_date - day.previous).days * DAY)
    rows = [
        {"instrument": world.universe.id[row], "last": price, "kind": "previous_close", "sequence": n,
         "source": source(world, row), "business_date": str(day.previous)}
        for n, (row, price) in enumerate(zip(known.tolist(), amounts(world.previous[known])))
    ]  # fmt: skip
    return PRICES.name, arrival, "", events(PRICES.version, rows, event_time)


def source(world: World, row: int) -> str:
    """Options name the volatility proxy; everything else is the generated tape."""
    return world.surface.source if world.universe.right[row] else "generated:tape"


def _fx(world: World, time: int, sequence: int) -> Batch:
    row = {"currency": "EUR", "rate": EUR_USD, "sequence": sequence, "source": "generated:fx"}
    return _batch(FX.name, FX.version, [row], np.array([time]))


def _actions(world: World) -> Batch:
    """The split and the dividend take effect at the open, before any trade of the day."""
    day = world.day
    common = {"version": 1, "action": "new", "business_date": str(day.business_date)}
    rows = [
        {"id": "CA-SPLIT", "kind": "split", "instrument": SPLIT, "numerator": SPLIT_FACTOR, "denominator": 1,
         "price": float(world.universe.previous[world.universe.row(SPLIT)]), **common},
        {"id": "CA-DIVIDEND", "kind": "cash_dividend", "instrument": DIVIDEND, "amount": DIVIDEND_AMOUNT,
         "pay_date": str(day.coming[14]), **common},
    ]  # fmt: skip
    return _batch(ACTIONS.name, ACTIONS.version, rows, _times(day.at(9, 29), 2))
