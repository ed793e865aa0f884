"""Valuation: every instrument of a price set under every scenario, once, for all accounts.

At each price set the model values at today's spots and at the ten portfolio-margin points; at each cut also greeks, the
house margin points and the core stress scenarios; at the end of day all other scenarios, the spot x volatility grid and
the one-day moves of the price history (VaR). Implied volatilities are solved at cuts and stay per contract in between
(sticky strike), and with them the rates of the contracts, the yields that stand for expected cash dividends, and the
exercise boundaries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps import views
from streaming.apps.revaluation import TRADING_DAYS, Pricing, price_history, realised_vol
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.margin.groups import MarginGroups
from streaming.risk.margin.house import HOUSE_POINTS, house_points
from streaming.risk.margin.portfolio import MISSING_VALUE, POINTS, scan_points
from streaming.risk.market import PriceSet, Valuation
from streaming.risk.money import MICRO, round_model
from streaming.risk.pricing.contracts import Contracts, Dividends, years
from streaming.risk.pricing.dividends import equivalent_yield
from streaming.risk.pricing.greeks import Bumps, sensitivities
from streaming.risk.pricing.implied import Bracket, VolStatus, implied_vols
from streaming.risk.pricing.later import Boundaries, revalue_later, solve_boundaries
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios import shipped
from streaming.risk.scenarios.dates import date_scenarios
from streaming.risk.scenarios.grid import grid
from streaming.risk.scenarios.library import Scenario
from streaming.risk.scenarios.mapping import ShockTable
from streaming.risk.stress.explain import taylor
from streaming.risk.var.history import PriceHistory
from streaming.schema import results, sealed

NEW_YORK = ZoneInfo("America/New_York")
CLOSE, OPEN = time(16, 0), time(9, 30)
"""When an option expires on its last day: at the close, AM-settled ones at the opening."""
VOL_SOURCES = ("implied", "fitted", "proxy", "none")
_IMPLIED, _FITTED, _PROXY, _NONE = range(4)
_VOL_DEFAULT = 0.40
_EPOCH_DAY = date(1970, 1, 1)
_DIVIDEND = 1
"""Among the kinds of the reference application's rates."""
_FINE = 1_000_000_000_000
_SMILE = 1 << 32
"""A smile is known by its underlying's code x 2^32 + its expiry."""


@dataclass(slots=True)
class ValuationState:
    """The newest valuation, and the volatilities that stay until the next cut."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    rates: pa.Table = field(default_factory=results.RATES.empty_table)
    closes: pa.Table = field(default_factory=results.CLOSES.empty_table)
    vol: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """ppm per year by code; 0 = none yet."""
    vol_source: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))
    dividend_yield: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """ppm per year by code: what an option's underlying is expected to pay in cash before it expires, as a yield."""
    vol_time: int = 0
    """When they were renewed: microseconds UTC."""
    price_set: str = ""
    rows: pa.Table = field(default_factory=lambda: pa.table({}))
    scenarios: pa.Table = field(default_factory=lambda: sealed.SCENARIOS.arrow.empty_table())
    """What was run at the newest cut."""


class ValuationApp:
    """Price sets into model values."""

    name = "valuation"
    inputs = ("reference", "price_sets")
    sharded = False
    state = ValuationState

    def __init__(self) -> None:
        self._instruments, self._groups = views.instruments_view(), views.groups_view()
        self._history, self._realised = views.Cached(price_history), views.Cached(realised_vol)
        self._boundaries = HeldBoundaries()

    def empty(self, shard: int, shards: int) -> ValuationState:
        return ValuationState()

    def apply(self, state: ValuationState, stretch: Stretch) -> tuple[ValuationState, Mapping[str, pa.Table]]:
        for name in ("instruments", "rates", "closes"):
            for table in stretch.tables("reference", name):
                setattr(state, name, table)
        prices = stretch.tables("price_sets", "prices")
        if not prices:
            return state, {}
        epoch, rules = stretch.last, rules_in_force(stretch.versions)
        instruments = self._instruments(state.instruments)
        (fx,) = stretch.tables("price_sets", "fx")
        market = views.padded(views.price_set(epoch.price_set, epoch.time, prices[-1], fx), len(instruments))
        history = self._history(state.closes, instruments) if state.closes.num_rows else None
        pricing = _pricing(state, instruments, market, epoch, history, self._realised(history, instruments), rules)
        held = self._boundaries(pricing.contracts, pricing.vol[pricing.options] / MICRO)
        rows, more = value(state, pricing, held, self._groups(instruments, rules), epoch)
        state.price_set, state.rows = market.id, rows
        return state, {"valuation": rows, **more}

    def seal(self, state: ValuationState, epoch: Epoch) -> Mapping[str, pa.Table]:
        n = state.rows.num_rows
        if not n:
            return {"valuation": sealed.VALUATION.arrow.empty_table(), "scenarios": state.scenarios}
        columns = {
            "instrument": state.instruments.slice(0, n)["id"],
            "model_value": np.where(_column(state, "baseline") == MISSING_VALUE, 0, _column(state, "baseline")),
            "vol_source": pa.array(VOL_SOURCES).take(pa.array(state.vol_source[:n])),
            "price_set": pa.array([state.price_set] * n, pa.string()),
        }
        columns |= {name: _column(state, name) for name in ("vol", "delta", "gamma", "vega")}
        return {"valuation": build(sealed.VALUATION, columns), "scenarios": state.scenarios}


def _column(state: ValuationState, name: str) -> np.ndarray:
    return state.rows[name].to_numpy()


def _pricing(
    state: ValuationState,
    instruments: Instruments,
    market: PriceSet,
    epoch: Epoch,
    history: PriceHistory | None,
    realised: np.ndarray,
    rules: Rules,
) -> Pricing:
    """The price set with its model inputs; volatilities in ``state`` are renewed at a cut.

    An option that has none in between gets its own, from its smile alone: nobody else's values hang on it. Expected
    cash dividends become yields at the same instants.
    """
    _grow(state, len(instruments))
    day = (epoch.day - _EPOCH_DAY).days
    options = priceable(instruments, market, day)
    whole = bool(epoch.cut) or not state.vol_time
    if whole:
        state.vol_time = epoch.time
        state.vol[:], state.vol_source[:] = 0, _NONE
    lacking = state.vol[options] == 0
    if lacking.any():
        smiles = instruments.underlying.astype(np.int64) * _SMILE + instruments.expiry
        solved = options[np.isin(smiles[options], smiles[options[lacking]])]
        fresh = state.vol[solved] == 0
        paid = dividend_yields(state.rates, instruments, solved, epoch.time, market.price)
        state.dividend_yield[solved[fresh]] = paid[fresh]
        at_now = option_contracts(state.rates, instruments, solved, epoch.time, state.dividend_yield[solved])
        vol, source = _vols(instruments, at_now, solved, market, realised, rules)
        state.vol[solved[fresh]], state.vol_source[solved[fresh]] = vol[fresh], source[fresh]
    contracts = option_contracts(state.rates, instruments, options, state.vol_time, state.dividend_yield[options])
    return Pricing(instruments, market, day, options, contracts, state.vol.copy(), realised, history, rules)


class HeldBoundaries:
    """Exercise boundaries at the instant the volatilities were renewed, kept while all they depend on stays."""

    def __init__(self) -> None:
        self._inputs: tuple[np.ndarray, ...] = ()
        self._solved: Boundaries | None = None

    def __call__(self, contracts: Contracts, vol: np.ndarray) -> Boundaries:
        inputs = (vol, *(getattr(contracts, item.name) for item in fields(contracts) if item.name != "dividends"))
        same = len(self._inputs) == len(inputs) and all(map(np.array_equal, inputs, self._inputs))
        if self._solved is None or not same:
            self._solved, self._inputs = solve_boundaries(contracts, vol), inputs
        return self._solved


def value(
    state: ValuationState, pricing: Pricing, held: Boundaries, groups: MarginGroups, epoch: Epoch
) -> tuple[pa.Table, dict[str, pa.Table]]:
    """The rows of ``valuation``, and at the end of day the tables ``full``, ``taylor`` and ``history``."""
    instruments, market, rules, options = pricing.instruments, pricing.market, pricing.rules, pricing.options
    n = len(instruments)
    factors = [np.ones((n, 1)), scan_points(instruments, rules, groups)]
    if epoch.cut:
        factors.append(house_points(instruments, market, rules, np.zeros(n, bool)))
    spots = (market.price / MICRO)[:, None] * np.concatenate(factors, axis=1)
    vol = pricing.vol[options] / MICRO
    plain = round_model(spots)
    plain[(market.price <= 0) | (instruments.kind == Kind.OPTION)] = MISSING_VALUE
    plain[options] = round_model(revalue_later(held, time_left(instruments, options, epoch.time), spots))
    baseline, scan = plain[:, 0], plain[:, 1 : 1 + POINTS]
    zero = np.zeros(n, np.int64)
    if not epoch.cut:
        nothing = np.zeros((n, 0), np.int64)
        return views.valuation_rows(
            Valuation(market.id, (), baseline, nothing, zero, zero, zero, pricing.vol, scan)
        ), {}
    core = shipped.load().core()
    shocks = pricing.shocks(core)
    found = sensitivities(pricing.contracts, market.price / MICRO, vol, Bumps.of(rules))
    delta, gamma, vega = (zero.copy() for _ in range(3))
    delta[instruments.kind != Kind.OPTION] = MICRO
    delta[options] = round_model(found.delta)
    gamma[options] = np.rint(found.gamma * _FINE).astype(np.int64)
    vega[options] = round_model(found.vega)
    valuation = Valuation(
        market.id, shocks.scenarios, baseline, pricing.values(shocks, baseline), delta, gamma, vega, pricing.vol, scan
    )
    house = plain[:, -len(HOUSE_POINTS) :]
    rows = views.with_house(views.valuation_rows(valuation), house, _daily_vol(pricing.realised))
    end_of_day = views.is_end_of_day(epoch)
    ran, more = _end_of_day(pricing, valuation, shocks) if end_of_day else ((), {})
    state.scenarios = _scenario_rows(pricing, (*core, *ran))
    return rows, more


def _end_of_day(
    pricing: Pricing, valuation: Valuation, shocks: ShockTable
) -> tuple[tuple[Scenario, ...], dict[str, pa.Table]]:
    """The scenarios that run at the end of day only, and everything's values under them and the history's moves."""
    library, cells = shipped.load(), grid(pricing.rules).scenarios
    rest = (*(s for s in library.scenarios if not s.core), *cells)
    full = pricing.values(pricing.shocks(rest), valuation.baseline)
    terms = taylor(pricing.instruments, valuation, shocks, pricing.market.price, pricing.days_to_expiry)
    names = [f"{term}/{name}" for term in views.TAYLOR for name in valuation.scenarios]
    more = {
        "full": views.matrix_rows(tuple(s.id for s in rest), full),
        "taylor": views.matrix_rows(names, np.concatenate(terms, axis=1)),
    }
    if pricing.history is not None and pricing.index >= 0:
        index = str(pricing.instruments.id[pricing.index])
        moves, _ = date_scenarios(pricing.history, int(pricing.rules.value("var.history.scenarios")), index)
        past = pricing.shocks(moves)
        more["history"] = views.matrix_rows(past.scenarios, pricing.values(past, valuation.baseline))
        more["proxied"] = pa.table({"share": _proxied_share(past)})
    return rest, more


def _proxied_share(shocks: ShockTable) -> np.ndarray:
    """int64 ppm by instrument: in how many of the scenarios its move rests on a proxy; all where it has no row."""
    by_row = shocks.proxied.sum(axis=1, dtype=np.int64) * MICRO // max(1, len(shocks.scenarios))
    known = shocks.row_of >= 0
    return np.where(known, by_row[np.where(known, shocks.row_of, 0)], MICRO)


def _scenario_rows(pricing: Pricing, scenarios: Sequence[Scenario]) -> pa.Table:
    """What was run, with source, evidence and what had to be assumed."""
    shocks, (_, vix) = pricing.shocks(scenarios), pricing.today()
    notes: dict[str, list[str]] = {}
    for name, note in shocks.notes:
        notes.setdefault(name, []).append(note)
    for scenario in scenarios:
        if vix and scenario.vix_to and not scenario.vix_from:
            notes.setdefault(scenario.id, []).append(vix)
    columns = {
        "scenario": [s.id for s in scenarios],
        "name": [s.name for s in scenarios],
        "family": [s.family for s in scenarios],
        "scope": [s.scope for s in scenarios],
        "source": [s.source for s in scenarios],
        "evidence": [", ".join(f"{what} {mark}" for what, mark in s.evidence) for s in scenarios],
        "note": ["; ".join(notes.get(s.id, ())) for s in scenarios],
    }
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return build(sealed.SCENARIOS, arrays | {"clipped": shocks.clipped.sum(axis=0), "library": _digests(scenarios)})


def _digests(scenarios: Sequence[Scenario]) -> pa.Array:
    return pa.array([shipped.load().digest] * len(scenarios), pa.string())


def _daily_vol(realised: np.ndarray) -> np.ndarray:
    """int64 ppm per day; 0 = not known."""
    return round_model(np.where(np.isfinite(realised), realised, 0.0) / np.sqrt(TRADING_DAYS))


def _grow(state: ValuationState, count: int) -> None:
    more = count - len(state.vol)
    if more > 0:
        state.vol = np.concatenate([state.vol, np.zeros(more, np.int64)])
        state.vol_source = np.concatenate([state.vol_source, np.full(more, _NONE, np.int8)])
        state.dividend_yield = np.concatenate([state.dividend_yield, np.zeros(more, np.int64)])


def priceable(instruments: Instruments, market: PriceSet, day: int) -> np.ndarray:
    """Codes of the options that have what a model value needs: a price of the underlying, terms, and life."""
    underlying_price = market.price[np.maximum(instruments.underlying, 0)]
    return np.flatnonzero(
        (instruments.kind == Kind.OPTION) & (underlying_price > 0) & (instruments.strike > 0) & (instruments.style > 0)
        & (instruments.expiry >= day)
    )  # fmt: skip


def time_left(instruments: Instruments, options: np.ndarray, at: int) -> np.ndarray:
    """Years to the expiry of these options at an instant (microseconds UTC); never negative."""
    expiry = instruments.expiry[options]
    instants = np.where(instruments.am_settled[options], _instants(expiry, OPEN), _instants(expiry, CLOSE))
    return years(instants, at)


def option_contracts(
    rates: pa.Table, instruments: Instruments, options: np.ndarray, at: int, dividend_yield: np.ndarray
) -> Contracts:
    """The contracts of these options at an instant (microseconds UTC); ``rates``: the reference application's table.

    ``dividend_yield``: what :func:`dividend_yields` gives for them.
    """
    under = instruments.underlying[options]
    left = time_left(instruments, options, at)
    carry = (instruments.dividend_yield[under] + instruments.borrow_fee[under] + dividend_yield) / MICRO
    return Contracts(
        instruments.right[options],
        instruments.style[options],
        instruments.strike[options] / MICRO,
        left,
        _zero_rates(rates, instruments.currency[options], left),
        carry,
        under.astype(np.int64),
    )


def dividend_yields(
    rates: pa.Table, instruments: Instruments, options: np.ndarray, at: int, price: np.ndarray
) -> np.ndarray:
    """The cash dividends expected on the underlyings of these options before they expire, as yields: int64 ppm per
    year by option. ``price``: micros by code, at the instant ``at``."""
    nothing = np.zeros(len(options), np.int64)
    expected = rates.filter(pc.equal(rates["kind"], _DIVIDEND)).sort_by(
        [("instrument", "ascending"), ("ex_date", "ascending")]
    )
    if not expected.num_rows:
        return nothing
    ex_days = _instants(expected["ex_date"].to_numpy().astype(np.int64), time.min)
    start = np.searchsorted(expected["instrument"].to_numpy(), np.arange(len(instruments) + 1))
    schedule = Dividends(start, years(ex_days, at), expected["value"].to_numpy() / MICRO)
    contracts = replace(option_contracts(rates, instruments, options, at, nothing), dividends=schedule)
    return round_model(equivalent_yield(contracts, price / MICRO))


def _instants(days: np.ndarray, at: time) -> np.ndarray:
    """Microseconds UTC of a New York wall time on each day."""
    unique, places = np.unique(days, return_inverse=True)
    found = []
    for day in unique.tolist():
        local = datetime.combine(date.fromordinal(_EPOCH_DAY.toordinal() + max(day, 0)), at, NEW_YORK)
        found.append(round(local.timestamp() * 1e6))
    return np.array(found, np.int64)[places] if len(found) else np.empty(0, np.int64)


def _zero_rates(table: pa.Table, currency: np.ndarray, time_left: np.ndarray) -> np.ndarray:
    """Continuously compounded, linear in tenor, flat at the ends; 0 where there is no curve."""
    rates = np.zeros(len(currency))
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


def _vols(
    instruments: Instruments,
    contracts: Contracts,
    options: np.ndarray,
    market: PriceSet,
    realised: np.ndarray,
    rules: Rules,
) -> tuple[np.ndarray, np.ndarray]:
    """Implied from the option's own mid; else from its neighbours' of the same expiry; else the realised proxy.

    int64 ppm per year and the place in ``VOL_SOURCES``, by option.
    """
    mid = market.price[options] / MICRO
    usable = market.price[options] > 0
    solved, status = implied_vols(
        contracts, market.price / MICRO, np.where(usable, mid, 0), np.where(usable, mid, 0), Bracket.of(rules)
    )
    good = status == VolStatus.IMPLIED
    vols, source = np.where(good, solved, 0.0), np.where(good, _IMPLIED, _FITTED)
    average = np.nanmean(realised) if np.isfinite(realised).any() else _VOL_DEFAULT
    realised = np.where(np.isfinite(realised), realised, average)
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
    return np.maximum(round_model(vols), 1), source.astype(np.int8)
