"""Valuation: every instrument of a price set under every scenario, once, for all accounts.

At each price set the model values at today's spots and at the ten portfolio-margin points; at each cut also the core
stress scenarios. Implied volatilities are solved at cuts and stay per contract in between (sticky strike).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.margin.groups import assign_groups
from streaming.risk.margin.portfolio import MISSING_VALUE, scan_points
from streaming.risk.market import PriceSet, Valuation
from streaming.risk.money import MICRO, round_model
from streaming.risk.pricing.contracts import Contracts, years
from streaming.risk.pricing.greeks import Bumps, greeks
from streaming.risk.pricing.implied import Bracket, VolStatus, implied_vols
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios import shipped
from streaming.risk.scenarios.mapping import Market, shock_table
from streaming.risk.var.history import PriceHistory
from streaming.schema import results, sealed

NEW_YORK = ZoneInfo("America/New_York")
CLOSE, OPEN = time(16, 0), time(9, 30)
"""When an option expires on its last day: at the close, AM-settled ones at the opening."""
VOL_SOURCES = ("implied", "fitted", "proxy", "none")
_IMPLIED, _FITTED, _PROXY, _NONE = range(4)
_TRADING_DAYS = 252
_EWMA_DECAY = 0.94
"""RiskMetrics (1996), daily."""
_VOL_DEFAULT = 0.40
_EPOCH_DAY = date(1970, 1, 1)
_FINE = 1_000_000_000_000


@dataclass(slots=True)
class ValuationState:
    """The newest valuation, and the volatilities that stay until the next cut."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    rates: pa.Table = field(default_factory=results.RATES.empty_table)
    closes: pa.Table = field(default_factory=results.CLOSES.empty_table)
    vol: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """ppm per year by code; 0 = none yet."""
    vol_source: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))
    price_set: str = ""
    rows: pa.Table = field(default_factory=lambda: pa.table({}))


class ValuationApp:
    """Price sets into model values."""

    name = "valuation"
    inputs = ("reference", "price_sets")
    sharded = False
    state = ValuationState

    def __init__(self) -> None:
        self._instruments = views.instruments_view()

    def empty(self, shard: int, shards: int) -> ValuationState:
        return ValuationState()

    def apply(self, state: ValuationState, stretch: Stretch) -> tuple[ValuationState, Mapping[str, pa.Table]]:
        for name in ("instruments", "rates", "closes"):
            for table in stretch.tables("reference", name):
                setattr(state, name, table)
        prices = stretch.tables("price_sets", "prices")
        if not prices:
            return state, {}
        instruments = self._instruments(state.instruments)
        (fx,) = stretch.tables("price_sets", "fx")
        market = views.padded(
            views.price_set(stretch.last.price_set, stretch.last.time, prices[-1], fx), len(instruments)
        )
        valuation = value(state, instruments, market, stretch.last, rules_in_force(stretch.versions))
        state.price_set, state.rows = market.id, views.valuation_rows(valuation)
        return state, {"valuation": state.rows}

    def seal(self, state: ValuationState, epoch: Epoch) -> Mapping[str, pa.Table]:
        n = state.rows.num_rows
        if not n:
            return {"valuation": sealed.VALUATION.arrow.empty_table()}
        columns = {
            "instrument": state.instruments.slice(0, n)["id"],
            "model_value": np.where(_column(state, "baseline") == MISSING_VALUE, 0, _column(state, "baseline")),
            "vol_source": pa.array(VOL_SOURCES).take(pa.array(state.vol_source[:n])),
            "price_set": pa.array([state.price_set] * n, pa.string()),
        }
        columns |= {name: _column(state, name) for name in ("vol", "delta", "gamma", "vega")}
        return {"valuation": build(sealed.VALUATION, columns)}


def _column(state: ValuationState, name: str) -> np.ndarray:
    return state.rows[name].to_numpy()


def value(state: ValuationState, instruments: Instruments, market: PriceSet, epoch: Epoch, rules: Rules) -> Valuation:
    """Model values of every instrument; volatilities in ``state`` are renewed at a cut."""
    n = len(instruments)
    _grow(state, n)
    underlying_price = market.price[np.maximum(instruments.underlying, 0)]
    day = (epoch.day - _EPOCH_DAY).days
    options = np.flatnonzero(
        (instruments.kind == Kind.OPTION) & (underlying_price > 0) & (instruments.strike > 0) & (instruments.style > 0)
        & (instruments.expiry >= day)
    )  # fmt: skip
    contracts = _contracts(state, instruments, options, market, epoch)
    spot = market.price / MICRO
    if epoch.cut or not state.vol[options].all():
        _renew_vols(state, instruments, contracts, options, market, rules)
    vol = state.vol[options] / MICRO
    factors = scan_points(instruments, rules, assign_groups(instruments, rules))
    factors = np.concatenate([np.ones((n, 1)), factors], axis=1)
    spots = np.ascontiguousarray(spot[:, None] * factors)
    values = round_model(revalue(contracts, spots, vol))
    plain = round_model(spots)
    priced = market.price > 0
    plain[~priced | (instruments.kind == Kind.OPTION)] = MISSING_VALUE
    plain[options] = values
    if not epoch.cut:
        zero = np.zeros(n, np.int64)
        return Valuation(
            market.id, (), plain[:, 0], np.zeros((n, 0), np.int64), zero, zero, zero, state.vol.copy(), plain[:, 1:]
        )
    shocked, names = _core_scenarios(state, instruments, contracts, options, market, day, vol, plain[:, 0], rules)
    found = greeks(contracts, spot, vol, Bumps.of(rules))
    delta, gamma, vega = (np.zeros(n, np.int64) for _ in range(3))
    delta[instruments.kind != Kind.OPTION] = MICRO
    delta[options] = round_model(found.delta)
    gamma[options] = np.rint(found.gamma * _FINE).astype(np.int64)
    vega[options] = round_model(found.vega)
    return Valuation(market.id, names, plain[:, 0], shocked, delta, gamma, vega, state.vol.copy(), plain[:, 1:])


def _grow(state: ValuationState, count: int) -> None:
    more = count - len(state.vol)
    if more > 0:
        state.vol = np.concatenate([state.vol, np.zeros(more, np.int64)])
        state.vol_source = np.concatenate([state.vol_source, np.full(more, _NONE, np.int8)])


def _contracts(
    state: ValuationState, instruments: Instruments, options: np.ndarray, market: PriceSet, epoch: Epoch
) -> Contracts:
    under = instruments.underlying[options]
    expiry = instruments.expiry[options]
    instants = np.where(instruments.am_settled[options], _instants(expiry, OPEN), _instants(expiry, CLOSE))
    time_left = years(instants, epoch.time)
    carry = (instruments.dividend_yield[under] + instruments.borrow_fee[under]) / MICRO
    return Contracts(
        instruments.right[options],
        instruments.style[options],
        instruments.strike[options] / MICRO,
        time_left,
        _zero_rates(state, instruments.currency[options], time_left),
        carry,
        under.astype(np.int64),
    )


def _instants(days: np.ndarray, at: time) -> np.ndarray:
    """Microseconds UTC of a New York wall time on each day."""
    unique, places = np.unique(days, return_inverse=True)
    found = []
    for day in unique.tolist():
        local = datetime.combine(date.fromordinal(_EPOCH_DAY.toordinal() + max(day, 0)), at, NEW_YORK)
        found.append(round(local.timestamp() * 1e6))
    return np.array(found, np.int64)[places] if len(found) else np.empty(0, np.int64)


def _zero_rates(state: ValuationState, currency: np.ndarray, time_left: np.ndarray) -> np.ndarray:
    """Continuously compounded, linear in tenor, flat at the ends; 0 where there is no curve."""
    rates = np.zeros(len(currency))
    table = state.rates
    for name in np.unique(currency.astype(str)).tolist():
        mine = [
            (row["tenor_days"] / 365.0, row["value"] / MICRO)
            for row in table.to_pylist()
            if row["kind"] == 0 and row["currency"] == name
        ]
        if mine:
            tenors, values = zip(*sorted(mine), strict=True)
            chosen = currency == name
            rates[chosen] = np.interp(time_left[chosen], tenors, values)
    return rates


def _renew_vols(
    state: ValuationState,
    instruments: Instruments,
    contracts: Contracts,
    options: np.ndarray,
    market: PriceSet,
    rules: Rules,
) -> None:
    """Implied from the option's own mid; else from its neighbours' of the same expiry; else the realised proxy."""
    mid = market.price[options] / MICRO
    usable = market.price[options] > 0
    solved, status = implied_vols(
        contracts, market.price / MICRO, np.where(usable, mid, 0), np.where(usable, mid, 0), Bracket.of(rules)
    )
    good = status == VolStatus.IMPLIED
    vols, source = np.where(good, solved, 0.0), np.where(good, _IMPLIED, _FITTED)
    realised = _realised(state, instruments)
    smile = np.stack([instruments.underlying[options], instruments.expiry[options]], axis=1)
    for pair in np.unique(smile[~good], axis=0).tolist():
        mine = (smile == pair).all(axis=1)
        have, want = np.flatnonzero(mine & good), np.flatnonzero(mine & ~good)
        if len(have):
            order = have[np.argsort(contracts.strike[have], kind="stable")]
            vols[want] = np.interp(contracts.strike[want], contracts.strike[order], vols[order])
        else:
            vols[want] = realised[pair[0]]
            source[want] = _PROXY
    state.vol[:] = 0
    state.vol_source[:] = _NONE
    state.vol[options] = np.maximum(round_model(vols), 1)
    state.vol_source[options] = source


def history(state: ValuationState, instruments: Instruments) -> PriceHistory:
    """The loaded closes as a matrix, dates x the instruments that have any."""
    table = state.closes
    days, rows = np.unique(table["day"].to_numpy(), return_inverse=True)
    codes, columns = np.unique(table["instrument"].to_numpy(), return_inverse=True)
    close = np.zeros((len(days), len(codes)), np.int64)
    close[rows, columns] = table["price"].to_numpy()
    return PriceHistory(days.astype(np.int32), tuple(str(instruments.id[code]) for code in codes), close)


def _realised(state: ValuationState, instruments: Instruments) -> np.ndarray:
    """EWMA volatility per year of each instrument with closes; the average where there are none."""
    found = np.full(len(instruments), np.nan)
    if state.closes.num_rows:
        past = history(state, instruments)
        recent = past.close[-_TRADING_DAYS * 2 :].astype(np.float64)
        moves = np.diff(np.log(np.where(recent > 0, recent, np.nan)), axis=0)
        weights = _EWMA_DECAY ** np.arange(len(moves) - 1, -1, -1)
        usable = ~np.isnan(moves)
        variance = (np.where(usable, moves, 0.0) ** 2 * weights[:, None]).sum(axis=0) / (usable * weights[:, None]).sum(
            axis=0
        )
        code_of = {str(id_): code for code, id_ in enumerate(instruments.id)}
        found[[code_of[name] for name in past.symbols]] = np.sqrt(variance * _TRADING_DAYS)
    average = np.nanmean(found) if np.isfinite(found).any() else _VOL_DEFAULT
    return np.where(np.isfinite(found), found, average)


def _core_scenarios(state, instruments, contracts, options, market, day, vol, baseline, rules):
    """Model values under the core stress scenarios: (int64 micros [instrument, scenario], ids)."""
    past = history(state, instruments) if state.closes.num_rows else None
    index = next((str(instruments.id[i]) for i in np.flatnonzero(instruments.kind == Kind.INDEX)), "")
    shocks = shock_table(
        shipped.load().core(), instruments, Market(market.price, day), rules, past, index if past else ""
    )
    shocked = np.full((len(instruments), len(shocks.scenarios)), MISSING_VALUE, np.int64)
    rows = shocks.row_of
    plain = (rows >= 0) & (market.price > 0) & (instruments.kind != Kind.OPTION)
    moved = shocks.values(market.price)
    shocked[plain] = moved[rows[plain]]
    days = np.maximum(instruments.expiry[options] - day, 0)
    vols = shocks.vols(state.vol[options], days)
    rates = shocks.rates(contracts.rate) - contracts.rate[:, None]
    by_row = Contracts(
        contracts.right, contracts.style, contracts.strike, contracts.expiry, contracts.rate, contracts.carry_yield,
        rows[contracts.underlying].astype(np.int64),
    )  # fmt: skip
    shocked[options] = round_model(revalue(by_row, shocks.spots(market.price), vols, rates))
    missing = baseline == MISSING_VALUE
    shocked[missing] = MISSING_VALUE
    return shocked, shocks.scenarios
