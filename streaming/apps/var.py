"""Value at risk by account, at the end of day: every position under the newest one-day moves of the price history.

The P&L vectors go on by account and underlying, so that the firm's levels (see ``firm_risk``) are exact sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.market import PriceSet, Valuation
from streaming.risk.money import MICRO, fraction
from streaming.risk.reference import Instruments
from streaming.risk.stress.book import Book, grouped_pnl, regrouped, stressed_book, unit_pnl
from streaming.risk.var.historical import Measures, measures
from streaming.risk.var.horizon import square_root_of_time
from streaming.risk.var.tail import NotAvailableError, tails
from streaming.schema import results, sealed

KEYS = ("account", "underlying", "exposure", "gross", "proxied")
"""The first columns of the vectors: codes, delta-equivalent value signed and absolute (USD micros), and the absolute
value times the share of scenarios (ppm) in which its move rests on a proxy; then P&L by scenario."""


@dataclass(slots=True)
class VarState:
    """What one shard holds, and its measures at the newest end of day."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    holdings: pa.Table = field(default_factory=lambda: pa.table({}))
    var: pa.Table = field(default_factory=lambda: sealed.VAR.arrow.empty_table())


class VarApp:
    """Historical VaR and expected shortfall by account."""

    name = "var"
    inputs = ("reference", "price_sets", "valuation", "positions")
    sharded = True
    state = VarState

    def __init__(self) -> None:
        self._instruments = views.instruments_view()

    def empty(self, shard: int, shards: int) -> VarState:
        return VarState()

    def apply(self, state: VarState, stretch: Stretch) -> tuple[VarState, Mapping[str, pa.Table]]:
        for name in ("instruments", "accounts"):
            for table in stretch.tables("reference", name):
                setattr(state, name, table)
        for table in stretch.tables("positions", "holdings"):
            state.holdings = table
        if stretch.last.cut:
            state.var = sealed.VAR.arrow.empty_table()
        moves, valued = stretch.tables("valuation", "history"), stretch.tables("valuation", "valuation")
        if not moves or not state.holdings.num_rows:
            return state, {}
        instruments, rules = self._instruments(state.instruments), rules_in_force(stretch.versions)
        market = views.market(stretch, len(instruments))
        today = views.valuation_view(market.id, valued[-1])
        past = replace(today, scenarios=tuple(moves[-1].column_names), shocked=views.matrix(moves[-1]))
        book, _ = stressed_book(views.open_holdings(state.holdings), instruments, market, rules, past)
        (proxied,) = stretch.tables("valuation", "proxied")
        keys, pnl = _vectors(book, instruments, market, past, proxied["share"].to_numpy())
        account, row = np.unique(keys[:, 0], return_inverse=True)
        by_account, weights = regrouped(pnl, row, len(account)), regrouped(keys[:, 3:], row, len(account))
        names = state.accounts["id"].combine_chunks().take(pa.array(account))
        state.var = var_rows("account", names, measures(by_account, rules), weights)
        floor = _floor(by_account, int(rules.value("house.var.days")), rules.ppm("house.var.confidence"))
        vectors = views.matrix_rows((*KEYS, *past.scenarios), np.concatenate([keys, pnl], axis=1))
        floors = views.matrix_rows(("account", "var"), np.stack([account, floor], axis=1))
        return state, {"vectors": vectors, "floor": floors}

    def seal(self, state: VarState, epoch: Epoch) -> Mapping[str, pa.Table]:
        return {"var": state.var}


def var_rows(level: str, names: pa.Array | list[str], found: Measures, weights: np.ndarray) -> pa.Table:
    """The sealed rows of one level. ``weights`` [row, 2]: gross exposure, and that times its proxied share in ppm."""
    names = pa.array(names, pa.string()) if isinstance(names, list) else names
    kept = np.flatnonzero(found.available)
    confidence = np.array(found.confidences, np.int64)[kept]
    horizon = np.array(found.horizons, np.int64)
    row, c, h = (axis.reshape(-1) for axis in np.indices((len(names), len(kept), len(horizon))))
    share = weights[:, 1] // np.maximum(weights[:, 0], 1)
    methods = [found.method + ("" if days == 1 else ", square root of time") for days in found.horizons]
    columns = {
        "level": pa.array([level] * len(row), pa.string()),
        "name": names.take(pa.array(row)),
        "method": pa.array(methods, pa.string()).take(pa.array(h)),
        "horizon_days": horizon[h],
        "confidence": confidence[c],
        "var": found.var[row, kept[c], h],
        "es": found.es[row, kept[c], h],
        "scenarios": np.full(len(row), found.scenarios, np.int64),
        "proxied": share[row],
    }
    return build(sealed.VAR, columns)


def _vectors(
    book: Book, instruments: Instruments, market: PriceSet, past: Valuation, proxied: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``KEYS`` and P&L [pair, scenario] of the pairs of account and underlying, sorted."""
    under = instruments.underlying[book.instrument].astype(np.int64)
    codes, pair = np.unique(book.account.astype(np.int64) * len(instruments) + under, return_inverse=True)
    pnl = grouped_pnl(book, pair, len(codes), unit_pnl(past), "P&L vector of an account and underlying")
    value = fraction(fraction(book.units * market.price[under], past.delta[book.instrument]), book.fx)
    # In dollars, so that the product with a share in ppm stays within 64 bits.
    gross = np.abs(value) // MICRO
    keys = np.zeros((len(codes), len(KEYS)), np.int64)
    keys[:, 0], keys[:, 1] = codes // len(instruments), codes % len(instruments)
    for column, amount in zip((2, 3, 4), (value, gross, gross * proxied[book.instrument])):
        np.add.at(keys[:, column], pair, amount)
    return keys, pnl


def _floor(pnl: np.ndarray, days: int, confidence: int) -> np.ndarray:
    """VaR over several days by the square root of time, micros by row; 0 where the history is too short for it."""
    try:
        return square_root_of_time(tails(pnl, confidence)[0], days)
    except NotAvailableError:
        return np.zeros(len(pnl), np.int64)
