"""Everything about a day that does not depend on how many trades and prices are drawn from it."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from streaming.demo import clients as clients_module
from streaming.demo import history, opening, paths, session, surface, universe
from streaming.demo.spec import DaySpec, stream
from streaming.risk.money import MICRO, round_model

SLOT = 5 * session.MINUTE
"""Events are generated five minutes at a time, each slot from its own random stream, whatever the chunk size."""
OPTION_TICK = 10_000
STOCK_TICK = 1_000
"""Micros: the closes have three decimals."""


@dataclass(frozen=True, eq=False)
class World:
    """The market, the accounts and their openings."""

    spec: DaySpec
    day: session.Session
    closes: history.Closes
    universe: universe.Universe
    surface: surface.Surface
    paths: paths.Paths
    clients: list[clients_module.Client]
    previous: np.ndarray
    """Previous close of every instrument as traded (before the split), micros; 0 = not listed then."""
    close: np.ndarray
    """Official close of every instrument, micros."""
    opening: opening.Opening
    account_ids: list[str] = field(default_factory=list)

    def slots(self) -> np.ndarray:
        """Starts of the session's slots."""
        return np.arange(self.day.open, self.day.close, SLOT)

    def counts(self, subject: str, total: int) -> np.ndarray:
        """``total`` events spread over the slots, busier after the open and before the close."""
        middle = np.linspace(-1, 1, len(self.slots()))
        intensity = 0.55 + middle**2 + 0.35 * (middle > 0.9)
        return stream(self.spec.seed, subject, "slots").multinomial(total, intensity / intensity.sum())

    def value(self, rows: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Mid of each instrument at each instant, micros on the tick."""
        spot = self.paths.at(self.universe.underlying[rows] % self.universe.underlyings, time)
        return on_tick(self, rows, spot, time)


def on_tick(world: World, rows: np.ndarray, spot: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Micros: shares to 0.001, options at the model's price to 0.01 and at least one tick, bills discounted."""
    value = round_model(spot) // STOCK_TICK * STOCK_TICK
    option = world.universe.right[rows] != 0
    model = world.surface.price(world.universe, rows[option], spot[option], time[option])
    value[option] = np.maximum(np.rint(model * MICRO / OPTION_TICK).astype(np.int64), 1) * OPTION_TICK
    bill = (rows >= world.universe.underlyings) & ~option
    value[bill] = [_bill(world, int(row)) for row in rows[bill]]
    return value


def _bill(world: World, row: int) -> int:
    """Micros per unit of face value."""
    maturity = world.universe.expiry[row]
    assert maturity is not None
    days = (maturity - world.day.business_date).days
    zero = float(np.interp(days, *np.array(surface.ZERO_CURVES["USD"]).T))
    return int(round(MICRO * float(np.exp(-zero * days / 365)), -1))


@lru_cache(maxsize=4)
def _cached(spec: DaySpec) -> World:
    day = session.session(spec.date, spec.rule_date)
    all_closes = history.closes()
    past = all_closes.until(spec.date)
    today = all_closes.on(spec.date)
    if day.previous != past.dates[-1]:
        raise ValueError(f"date {spec.date}: expected closes of {day.previous} before it, found {past.dates[-1]}")
    market = universe.build(spec, day, past, today)
    smile = surface.build(market, past, spec.date)
    lines = paths.build(spec, day, market, past)
    people = clients_module.build(spec)
    empty = np.empty(0, dtype=np.int64)
    no_opening = opening.Opening(empty, empty, empty, empty, empty, empty, empty, empty)
    bare = World(spec, day, past, market, smile, lines, people, empty, empty, no_opening)
    rows = np.arange(len(market))
    under = market.underlying % market.underlyings
    yesterday = np.full(len(rows), day.close - (spec.date - day.previous).days * session.DAY)
    previous = on_tick(bare, rows, market.previous[under], yesterday)
    previous[market.listed > day.open] = 0
    previous = opening.split_marks(market, previous)
    close = on_tick(bare, rows, market.close[under], np.full(len(rows), day.close))
    positions = opening.build(spec, market, people, previous)
    return World(spec, day, past, market, smile, lines, people, previous, close, positions, [c.id for c in people])


def build(spec: DaySpec) -> World:
    """The world of a spec; faults and the late flag change nothing in it."""
    return _cached(replace(spec, faults=(), late=False))
