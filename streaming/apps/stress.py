"""Stress: the core scenarios over every position at each cut, by account and by underlying."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import Valuation
from streaming.risk.reference import Instruments
from streaming.risk.stress.book import charges, grouped_pnl, stressed_book, unit_pnl
from streaming.schema import results, sealed


@dataclass(slots=True)
class StressState:
    """The newest stress results of one shard: loss by (account, underlying) and scenario."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    holdings: pa.Table = field(default_factory=lambda: pa.table({}))
    scenarios: tuple = ()
    account: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    underlying: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    loss: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.int64))
    """[row, scenario] micros, positive = loss."""
    members: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Accounts of this shard that hold or own anything."""
    equity: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Net equity of the members less the charge on what could not be priced."""
    price_set: str = ""


class StressApp:
    """Stress losses at cuts."""

    name = "stress"
    inputs = ("reference", "price_sets", "valuation", "positions", "exposure")
    sharded = True
    state = StressState

    def __init__(self) -> None:
        self._instruments = views.instruments_view()

    def empty(self, shard: int, shards: int) -> StressState:
        return StressState()

    def apply(self, state: StressState, stretch: Stretch) -> tuple[StressState, Mapping[str, pa.Table]]:
        for name in ("instruments", "accounts"):
            for table in stretch.tables("reference", name):
                setattr(state, name, table)
        for table in stretch.tables("positions", "holdings"):
            state.holdings = table
        valued, equity = stretch.tables("valuation", "valuation"), stretch.tables("exposure", "live")
        if not stretch.last.cut or not valued or not equity or not state.holdings.num_rows:
            return state, {}
        (prices,), (fx,) = stretch.tables("price_sets", "prices"), stretch.tables("price_sets", "fx")
        instruments = self._instruments(state.instruments)
        market = views.padded(views.price_set(stretch.last.price_set, stretch.last.time, prices, fx), len(instruments))
        valuation = views.valuation_view(market.id, valued[-1])
        _stress(state, instruments, market, valuation, rules_in_force(stretch.versions))
        live = equity[-1]
        state.members, state.equity = live["account"].to_numpy(), live["equity"].to_numpy() - state.equity
        state.price_set = market.id
        return state, {}

    def seal(self, state: StressState, epoch: Epoch) -> Mapping[str, pa.Table]:
        if not state.price_set:
            empty = sealed.STRESS.arrow.empty_table(), sealed.STRESS_UNDERLYING.arrow.empty_table()
            return dict(zip(("stress", "stress_underlying"), empty, strict=True))
        ids, names = state.accounts["id"].combine_chunks(), pa.array(state.scenarios)
        count = len(state.scenarios)
        total = np.zeros((len(state.members), count), np.int64)
        np.add.at(total, np.searchsorted(state.members, state.account), state.loss)
        by_account = {
            "account": ids.take(pa.array(np.repeat(state.members, count))),
            "scenario": names.take(pa.array(np.tile(np.arange(count), len(state.members)))),
            "loss": total.reshape(-1),
            "equity_after": (state.equity[:, None] - total).reshape(-1),
            "price_set": pa.array([state.price_set] * total.size, pa.string()),
        }
        by_underlying = {
            "account": ids.take(pa.array(np.repeat(state.account, count))),
            "underlying": state.instruments["id"].combine_chunks().take(pa.array(np.repeat(state.underlying, count))),
            "scenario": names.take(pa.array(np.tile(np.arange(count), len(state.account)))),
            "loss": state.loss.reshape(-1),
        }
        return {
            "stress": build(sealed.STRESS, by_account),
            "stress_underlying": build(sealed.STRESS_UNDERLYING, by_underlying),
        }


def _stress(state: StressState, instruments: Instruments, market, valuation: Valuation, rules) -> None:
    """Losses by account and underlying; ``equity`` first holds the charge on what cannot be revalued."""
    holdings = views.open_holdings(state.holdings)
    book, unpriced = stressed_book(holdings, instruments, market, rules)
    pnl = unit_pnl(valuation)
    unvalued = (valuation.baseline == MISSING_VALUE)[book.instrument]
    pnl[valuation.baseline == MISSING_VALUE] = 0
    worth = np.abs(book.units) * market.price[book.instrument]
    under = instruments.underlying[book.instrument].astype(np.int64)
    keys, group = np.unique(book.account.astype(np.int64) * len(instruments) + under, return_inverse=True)
    loss = -grouped_pnl(book, group, len(keys), pnl, "stress loss of an account and underlying")
    np.add.at(loss, group[unvalued], worth[unvalued, None])  # without a model value: charged in full
    state.scenarios = valuation.scenarios
    state.account, state.underlying, state.loss = keys // len(instruments), keys % len(instruments), loss
    members = np.unique(np.concatenate([state.holdings["account"].to_numpy(), holdings.account]))
    state.equity = charges(unpriced, state.accounts.num_rows)[members]
