"""Margin: what each account must hold, at every price set; sealed with its explanation and the day's path."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.growing import Growing
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.margin.groups import assign_groups
from streaming.risk.margin.portfolio import portfolio_margin
from streaming.risk.margin.regt import MarginResult, regulation_t
from streaming.risk.margin.strategies import Strategy
from streaming.risk.reference import MarginType
from streaming.schema import results, sealed

_PATH = ("account", "set", "equity", "requirement")
_RULE_STRATEGY, _RULE_PORTFOLIO = "FINRA 4210(c), (f)", "FINRA 4210(g)"
_COLUMNS = ("cash", "lmv", "smv", "equity", "margin_equity", "initial", "maintenance", "portfolio", "requirement")
_COLUMNS += ("excess", "reg_t_excess", "maintenance_excess", "maintenance_call", "sma", "buying_power")


@dataclass(slots=True)
class MarginState:
    """The newest margin of one shard, and the day's path."""

    day: int = -1
    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    holdings: pa.Table = field(default_factory=lambda: pa.table({}))
    cash: pa.Table = field(default_factory=lambda: pa.table({}))
    margin: pa.Table = field(default_factory=lambda: pa.table({}))
    """By account: the columns of the sealed table, as micros."""
    lines: pa.Table = field(default_factory=lambda: sealed.MARGIN_LINES.arrow.empty_table())
    groups: pa.Table = field(default_factory=lambda: sealed.MARGIN_GROUPS.arrow.empty_table())
    path: Growing = field(default_factory=lambda: Growing(_PATH))
    sets: tuple = ()
    """Ids of the day's price sets, in order."""


class MarginApp:
    """Strategy-based and portfolio margin of every account."""

    name = "margin"
    inputs = ("reference", "price_sets", "valuation", "positions")
    sharded = True
    state = MarginState

    def __init__(self) -> None:
        self._instruments, self._accounts = views.instruments_view(), views.accounts_view()

    def empty(self, shard: int, shards: int) -> MarginState:
        return MarginState()

    def apply(self, state: MarginState, stretch: Stretch) -> tuple[MarginState, Mapping[str, pa.Table]]:
        for app, names in (("reference", ("instruments", "accounts")), ("positions", ("holdings", "cash"))):
            for name in names:
                for table in stretch.tables(app, name):
                    setattr(state, name, table)
        valued = stretch.tables("valuation", "valuation")
        day = stretch.last.day.toordinal() - _EPOCH_ORDINAL
        if day != state.day:
            state.day, state.sets = day, ()
            state.path.clear()
        if not valued or not state.holdings.num_rows:
            return state, {}
        (prices,), (fx,) = stretch.tables("price_sets", "prices"), stretch.tables("price_sets", "fx")
        instruments, accounts = self._instruments(state.instruments), self._accounts(state.accounts)
        market = views.padded(views.price_set(stretch.last.price_set, stretch.last.time, prices, fx), len(instruments))
        holdings, cash = views.open_holdings(state.holdings), views.cash_balances(state.cash)
        rules = rules_in_force(stretch.versions)
        strategy = regulation_t(holdings, cash, instruments, accounts, market, day, rules)
        valuation = views.valuation_view(market.id, valued[-1])
        portfolio = portfolio_margin(
            holdings, instruments, accounts, market, valuation, assign_groups(instruments, rules), rules
        )
        members = np.unique(np.concatenate([holdings.account, cash.account]).astype(np.int64))
        state.margin = _account_rows(strategy, portfolio, accounts, members)
        state.sets = (*state.sets, market.id)
        state.path.append(
            {
                "account": members,
                "set": np.full(len(members), len(state.sets) - 1),
                "equity": state.margin["excess"].to_numpy() + state.margin["requirement"].to_numpy(),
                "requirement": state.margin["requirement"].to_numpy(),
            }
        )
        if stretch.last.cut:
            state.lines = _lines(strategy, state)
            state.groups = _groups(portfolio, state)
        return state, {"live": state.margin}

    def seal(self, state: MarginState, epoch: Epoch) -> Mapping[str, pa.Table]:
        return {
            "margin": _sealed_margin(state),
            "margin_lines": state.lines,
            "margin_groups": state.groups,
            "margin_path": _sealed_path(state),
        }


_EPOCH_ORDINAL = 719_163
"""1970-01-01 as a proleptic ordinal."""


def _account_rows(strategy: MarginResult, portfolio, accounts, members: np.ndarray) -> pa.Table:
    """The margin columns of the shard's accounts; the requirement is that of the account's own regime."""
    found = strategy.accounts
    scan = np.zeros(len(accounts), np.int64)
    scan[portfolio.account] = portfolio.requirement
    on_scan = accounts.margin_type == MarginType.PORTFOLIO
    requirement = np.where(on_scan, scan, found.maintenance_net)
    excess = np.where(on_scan, found.equity - scan, found.maintenance_excess)
    columns = {
        "cash": found.cash,
        "lmv": found.lmv,
        "smv": found.smv,
        "equity": found.equity,
        "margin_equity": found.margin_equity,
        "initial": found.initial_net,
        "maintenance": found.maintenance_net,
        "portfolio": scan,
        "requirement": requirement,
        "excess": excess,
        "reg_t_excess": found.reg_t_excess,
        "maintenance_excess": found.maintenance_excess,
        "maintenance_call": found.maintenance_call,
        "sma": found.sma,
        "buying_power": found.buying_power,
    }
    return pa.table({"account": members} | {name: column[members] for name, column in columns.items()})


def _sealed_margin(state: MarginState) -> pa.Table:
    if not state.margin.num_rows:
        return sealed.MARGIN.arrow.empty_table()
    members = state.margin["account"].to_numpy()
    peak, at = _peak_deficits(state, members)
    names = pa.array([kind.name.lower() for kind in MarginType])
    columns: dict[str, object] = {name: state.margin[name] for name in _COLUMNS}
    columns |= {
        "account": state.accounts["id"].combine_chunks().take(pa.array(members)),
        "margin_type": names.take(state.accounts["margin_type"].combine_chunks().take(pa.array(members))),
        "peak_deficit": peak,
        "peak_price_set": pa.array(["", *state.sets], pa.string()).take(pa.array(at + 1)),
        "price_set": pa.array([state.sets[-1]] * len(members), pa.string()),
    }
    return build(sealed.MARGIN, columns)


def _peak_deficits(state: MarginState, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each account's largest deficit of the day, and the first price set at which it stood (-1: none)."""
    deficit = np.maximum(state.path["requirement"] - state.path["equity"], 0)
    row = np.searchsorted(members, state.path["account"])
    peak = np.zeros(len(members), np.int64)
    np.maximum.at(peak, row, deficit)
    at = np.full(len(members), len(state.sets), np.int64)
    reached = (deficit == peak[row]) & (deficit > 0)
    np.minimum.at(at, row[reached], state.path["set"][reached])
    return peak, np.where(peak > 0, at, -1)


def _sealed_path(state: MarginState) -> pa.Table:
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(state.path["account"])),
        "price_set": pa.array(state.sets, pa.string()).take(pa.array(state.path["set"])),
        "equity": state.path["equity"],
        "requirement": state.path["requirement"],
        "excess": state.path["equity"] - state.path["requirement"],
    }
    return build(sealed.MARGIN_PATH, columns)


def _lines(strategy: MarginResult, state: MarginState) -> pa.Table:
    """The chosen treatments with their legs, in words."""
    found = strategy.treatments
    instruments = state.instruments["id"].to_pylist()
    of_leg = strategy.positions.instrument[found.leg_position]
    legs = [
        f"{quantity:+d} x {instruments[code]}" for quantity, code in zip(found.leg_quantity.tolist(), of_leg.tolist())
    ]
    starts = found.leg_start.tolist()
    under = np.where(found.underlying >= 0, found.underlying, 0)
    group = found.account.astype(np.int64) * len(instruments) + under
    first = np.searchsorted(group, group, side="left")
    names = [strategy_.name.lower().replace("_", " ") for strategy_ in Strategy]
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(found.account.astype(np.int64))),
        "underlying": state.instruments["id"].combine_chunks().take(pa.array(under.astype(np.int64))),
        "line": np.arange(len(group)) - first + 1,
        "strategy": pa.array(names).take(pa.array(found.strategy.astype(np.int64))),
        "legs": pa.array([" + ".join(legs[a:b]) for a, b in zip(starts, starts[1:])], pa.string()),
        "maintenance": found.maintenance,
        "initial": found.initial,
        "premium": found.premium,
        "rule": pa.array([_RULE_STRATEGY] * len(group), pa.string()),
    }
    return build(sealed.MARGIN_LINES, columns)


def _groups(portfolio, state: MarginState) -> pa.Table:
    rows = portfolio.portfolios
    names = pa.array([str(name) for name in portfolio.groups.portfolio_name], pa.string())
    levels = pa.array([str(name) for name in portfolio.groups.level], pa.string())
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(rows.account.astype(np.int64))),
        "margin_group": names.take(pa.array(rows.group.astype(np.int64))),
        "level": levels.take(pa.array(rows.group.astype(np.int64))),
        "scenario_loss": rows.scenario_loss,
        "worst_point": rows.worst_point,
        "minimum": rows.minimum,
        "requirement": rows.requirement,
        "rule": pa.array([_RULE_PORTFOLIO] * len(rows), pa.string()),
    }
    return build(sealed.MARGIN_GROUPS, columns)
