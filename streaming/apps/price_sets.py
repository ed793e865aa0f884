"""Price sets: at every marked epoch one price per instrument, with its age, status and source.

The official close of the business date counts once it is there. Before, the mid of the newest quote that is not crossed
or one-sided; a newest quote that is leaves the last good mid standing. The greatest (event time, sequence) counts, so
late and out-of-order events change nothing that came later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.events import Parsed
from streaming.apps.intake import (
    Check,
    Counts,
    Quarantine,
    accept_batch,
    rows_of,
    sealed_quarantine,
)
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import RawBatch, Stretch
from streaming.risk.market import PriceStatus
from streaming.risk.reference import Kind, one_of
from streaming.risk.rulebook import Rules
from streaming.schema import raw, results, sealed

_KINDS = ("quote", "close", "previous_close")
QUOTE, CLOSE, PREVIOUS_CLOSE = range(3)
_NEVER = np.iinfo(np.int64).min
_PRICE_MAX = 1_000_000 * 1_000_000
_LATEST: tuple[str, ...] = (
    "seen_time",
    "seen_sequence",
    "seen_good",
    "mid",
    "mid_time",
    "mid_sequence",
    "close",
    "close_time",
)
_LATEST += ("close_sequence", "close_day", "previous_close", "previous_time", "source")
REPORTING_CURRENCY = "USD"
_UNIT_RATE = 1_000_000
_MINUTE = 60_000_000


PRICES = pa.schema(
    [
        ("price", pa.int64()),
        ("status", pa.int8()),
        ("age", pa.int64()),
        ("previous_close", pa.int64()),
        ("close", pa.int64()),
        ("source", pa.int64()),
    ]
)


@dataclass(slots=True)
class PriceState:
    """The newest prices of every instrument, by code; times are microseconds, ``_NEVER`` where there was none."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    latest: dict[str, np.ndarray] = field(default_factory=lambda: {name: np.empty(0, np.int64) for name in _LATEST})
    sources: tuple = ()
    fx: dict[str, tuple] = field(default_factory=lambda: {REPORTING_CURRENCY: (_UNIT_RATE, _NEVER, 0)})
    """Currency -> rate in ppm, event time, sequence."""
    counts: Counts = field(default_factory=Counts)
    quarantine: pa.Table = field(default_factory=results.QUARANTINE.empty_table, metadata={"locator": True})
    day: int = -1
    price_set: str = ""
    prices: pa.Table = field(default_factory=lambda: PRICES.empty_table())
    """The newest price set, row number = code."""


FX = pa.schema([("currency", pa.string()), ("rate", pa.int64())])


class PriceSetsApp:
    """Quotes and closes into price sets."""

    name = "price_sets"
    inputs = ("reference", *(topic.name for topic in raw.MARKET_FEEDS))
    sharded = False
    state = PriceState

    def empty(self, shard: int, shards: int) -> PriceState:
        return PriceState()

    def apply(self, state: PriceState, stretch: Stretch) -> tuple[PriceState, Mapping[str, pa.Table]]:
        for table in stretch.tables("reference", "instruments"):
            state.instruments = table
            _grow(state, table.num_rows)
        day = (stretch.last.day - _EPOCH_DAY).days
        if day != state.day:
            state.day, state.quarantine = day, results.QUARANTINE.empty_table()
        quarantine = Quarantine()
        for batch in rows_of(stretch.raw, raw.PRICES):
            _take_prices(state, batch, quarantine)
        for batch in rows_of(stretch.raw, raw.FX):
            _take_fx(state, batch, quarantine)
        refused = quarantine.table()
        rows = {}
        if refused.num_rows:
            state.quarantine = pa.concat_tables([state.quarantine, refused]).combine_chunks()
            rows["quarantine"] = refused
        if stretch.last.price_set:
            state.prices, state.price_set = _price_set(state, stretch), stretch.last.price_set
            rows |= {"prices": state.prices, "fx": _fx_table(state)}
        return state, rows

    def seal(self, state: PriceState, epoch: Epoch) -> Mapping[str, pa.Table]:
        n = state.prices.num_rows
        known = state.instruments.slice(0, n)
        names = pa.array([status.name.lower() for status in PriceStatus])
        seconds = pc.divide(state.prices["age"], 1_000_000)
        columns = {name: state.prices[name] for name in ("price", "previous_close", "close")} | {
            "instrument": known["id"],
            "currency": known["currency"],
            "status": names.take(state.prices["status"]),
            "age": pc.if_else(pc.less(state.prices["age"], 0), -1, seconds),
            "source": pa.array([*state.sources, "none"], pa.string()).take(_source_places(state)),
            "price_set": pa.array([state.price_set] * n, pa.string()),
        }
        fx = _fx_table(state)
        return {
            "prices": build(sealed.PRICES, columns),
            "fx": build(
                sealed.FX,
                {name: fx[name] for name in FX.names}
                | {"price_set": pa.array([state.price_set] * fx.num_rows, pa.string())},
            ),
            "counts": state.counts.sealed(self.name),
            "quarantine": sealed_quarantine(state.quarantine),
        }


_EPOCH_DAY = date(1970, 1, 1)


def _source_places(state: PriceState) -> pa.Array:
    places = state.prices["source"].to_numpy()
    return pa.array(np.where(places < 0, len(state.sources), places))


def _grow(state: PriceState, count: int) -> None:
    """Room for new codes."""
    more = count - len(state.latest["mid"])
    if more <= 0:
        return
    blank = {"seen_time": _NEVER, "mid_time": _NEVER, "close_time": _NEVER, "previous_time": _NEVER, "source": -1}
    blank["close_day"] = -1
    for name in _LATEST:
        state.latest[name] = np.concatenate([state.latest[name], np.full(more, blank.get(name, 0), np.int64)])


def _take_prices(state: PriceState, batch: RawBatch, quarantine: Quarantine) -> None:
    ids = state.instruments.column("id").combine_chunks()

    def codes(parsed: Parsed) -> np.ndarray:
        return pc.fill_null(pc.index_in(parsed.text("instrument"), ids), -1).to_numpy(zero_copy_only=False)

    def checks(parsed: Parsed) -> list[Check]:
        kind = parsed.among("kind", _KINDS)
        too_large = np.zeros(len(kind), bool)
        for name in ("bid", "ask", "last"):
            value = parsed.whole(name)
            too_large |= (value < 0) | (value > _PRICE_MAX)
        return [
            Check(codes(parsed) < 0, "unknown instrument", "instrument: expected a known one"),
            Check(kind < 0, "unknown kind", f"kind: expected one of {', '.join(_KINDS)}"),
            Check(too_large, "absurd price", "bid, ask, last: expected 0 to 1,000,000"),
            Check((kind != QUOTE) & (parsed.whole("last") <= 0), "absurd price", "last: expected above 0 for a close"),
        ]

    parsed, good = accept_batch(raw.PRICES, batch, state.counts, quarantine, checks)
    if not len(good):
        return
    code, kind = codes(parsed)[good].astype(np.int64), parsed.among("kind", _KINDS)[good]
    time, sequence = parsed.whole("event_time")[good], parsed.whole("sequence")[good]
    bid, ask, last = (parsed.whole(name)[good] for name in ("bid", "ask", "last"))
    source = _source_codes(state, parsed.text("source").take(pa.array(good)))
    order = np.lexsort((sequence, time, code))
    is_good = (ask > 0) & (bid >= 0) & (bid <= ask) & ~parsed.absent("bid")[good] & ~parsed.absent("ask")[good]
    newest = state.latest
    for rows in _newest(
        order[kind[order] == QUOTE], code, time, sequence, newest["seen_time"], newest["seen_sequence"]
    ):
        at = code[rows]
        newest["seen_time"][at], newest["seen_sequence"][at] = time[rows], sequence[rows]
        newest["seen_good"][at] = is_good[rows]
    quotes = order[(kind[order] == QUOTE) & is_good[order]]
    for rows in _newest(quotes, code, time, sequence, newest["mid_time"], newest["mid_sequence"]):
        at = code[rows]
        newest["mid_time"][at], newest["mid_sequence"][at] = time[rows], sequence[rows]
        newest["mid"][at] = (bid[rows] + ask[rows] + 1) // 2
        newest["source"][at] = source[rows]
    days = parsed.whole("business_date")[good]
    closes = order[(kind[order] == CLOSE) & (days[order] == state.day)]
    for rows in _newest(closes, code, time, sequence, newest["close_time"], newest["close_sequence"]):
        at = code[rows]
        newest["close_time"][at], newest["close_sequence"][at] = time[rows], sequence[rows]
        newest["close"][at], newest["close_day"][at] = last[rows], days[rows]
        newest["source"][at] = source[rows]
    previous = order[kind[order] == PREVIOUS_CLOSE]
    for rows in _newest(previous, code, time, sequence, newest["previous_time"], np.zeros_like(newest["mid"])):
        newest["previous_time"][code[rows]], newest["previous_close"][code[rows]] = time[rows], last[rows]


def _newest(rows, code, time, sequence, known_time, known_sequence):
    """Of rows sorted by (code, time, sequence): each code's last one, where it is newer than what is known."""
    if not len(rows):
        return
    final = np.append(code[rows][1:] != code[rows][:-1], True)
    rows = rows[final]
    at = code[rows]
    later = (time[rows] > known_time[at]) | ((time[rows] == known_time[at]) & (sequence[rows] > known_sequence[at]))
    if later.any():
        yield rows[later]


def _source_codes(state: PriceState, names: pa.Array) -> np.ndarray:
    for name in pc.unique(names).to_pylist():
        if name not in state.sources:
            state.sources = (*state.sources, name)
    return pc.index_in(names, pa.array(state.sources, pa.string())).to_numpy(zero_copy_only=False).astype(np.int64)


def _take_fx(state: PriceState, batch: RawBatch, quarantine: Quarantine) -> None:
    def checks(parsed: Parsed) -> list[Check]:
        code = pc.match_substring_regex(parsed.text("currency"), r"^[A-Z]{3}$").to_numpy(zero_copy_only=False)
        return [
            Check(~code, "bad currency", "currency: expected three capital letters"),
            Check(parsed.whole("rate") <= 0, "absurd rate", "rate: expected above 0"),
        ]

    parsed, good = accept_batch(raw.FX, batch, state.counts, quarantine, checks)
    names, rates = parsed.text("currency").to_pylist(), parsed.whole("rate")
    times, sequences = parsed.whole("event_time"), parsed.whole("sequence")
    for row in good.tolist():
        fresh = (int(rates[row]), int(times[row]), int(sequences[row]))
        known = state.fx.get(names[row])
        if names[row] != REPORTING_CURRENCY and (known is None or fresh[1:] > tuple(known[1:])):
            state.fx[names[row]] = fresh


def _fx_table(state: PriceState) -> pa.Table:
    names = sorted(state.fx)
    return pa.table({"currency": names, "rate": [state.fx[name][0] for name in names]}, schema=FX)


def _price_set(state: PriceState, stretch: Stretch) -> pa.Table:
    """One price per instrument as of the stretch's last epoch."""
    new, now = state.latest, stretch.last.time
    closed = new["close_day"] == state.day
    quoted = ~closed & (new["mid_time"] != _NEVER)
    yesterday = ~closed & ~quoted & (new["previous_close"] > 0)
    price = np.select([closed, quoted, yesterday], [new["close"], new["mid"], new["previous_close"]], 0)
    since = np.select([closed, quoted, yesterday], [new["close_time"], new["mid_time"], new["previous_time"]], now)
    age = np.maximum(now - since, 0)
    priced = closed | quoted | yesterday
    good = np.where(closed | (new["seen_good"] == 1), PriceStatus.GOOD, PriceStatus.LAST_GOOD)
    old = ~closed & (yesterday | (age > _age_limits(state, rules_in_force(stretch.versions))))
    status = np.select([~priced, old], [PriceStatus.MISSING, PriceStatus.STALE], good)
    columns = [price, status, np.where(priced, age, -1), new["previous_close"], np.where(closed, new["close"], 0)]
    columns.append(np.where(priced & ~yesterday, new["source"], -1))
    return pa.Table.from_arrays([pa.array(c).cast(item.type) for c, item in zip(columns, PRICES)], schema=PRICES)


def _age_limits(state: PriceState, rules: Rules) -> np.ndarray:
    """Microseconds, by instrument."""
    kind = state.instruments.column("kind").to_numpy()
    limits = {
        name: int(rules.value(f"prices.age_limit_minutes.{name}")) * _MINUTE for name in ("stock", "option", "debt")
    }
    debt = one_of(kind, Kind.TREASURY, Kind.BOND, Kind.FUND)
    return np.select([kind == Kind.OPTION, debt], [limits["option"], limits["debt"]], limits["stock"])
