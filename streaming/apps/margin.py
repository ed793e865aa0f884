"""Margin: what each account must hold, at every price set; sealed with its explanation and the day's path.

At cuts also the house layers, limits and calls (see ``margin_house``); the day's peak deficits and what made them are
kept all day (see ``margin_day``), and so are limits, which are looked at after every price set (see ``margin_limits``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.apps import margin_day, margin_house, margin_limits, views
from streaming.apps.growing import Growing
from streaming.apps.margin_day import DayState
from streaming.apps.margin_limits import ACCOUNT, ACCOUNT_METRICS, Breaches
from streaming.apps.margin_lines import group_rows, scan_lines, shock_rows, strategy_lines
from streaming.apps.policies import Policies, policies_of
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.margin.limits import Thresholds
from streaming.risk.margin.portfolio import PortfolioMarginResult, eligible, portfolio_margin, requirement_by_row
from streaming.risk.margin.regt import MarginResult, regulation_t
from streaming.risk.market import PriceSet
from streaming.risk.reference import Accounts, Instruments, MarginType
from streaming.risk.rulebook import Rules
from streaming.schema import results, sealed
from streaming.schema.model import Table

_NONE = np.empty(0, np.int64)
_PATH = ("account", "set", "equity", "requirement")
_REGULATORY = ("cash", "lmv", "smv", "equity", "margin_equity", "initial", "maintenance", "portfolio", "requirement")
_COLUMNS = (*_REGULATORY, "excess", "reg_t_excess", "maintenance_excess", "maintenance_call", "sma", "buying_power")
_AT_CUTS: tuple[Table, ...] = (
    sealed.MARGIN_LINES, sealed.MARGIN_GROUPS, sealed.MARGIN_SCAN_LINES, sealed.MARGIN_SHOCKS, sealed.MARGIN_HOUSE,
    sealed.MARGIN_HOUSE_LINES, sealed.LIMITS, sealed.CALLS,
)  # fmt: skip


def _nothing() -> dict[str, pa.Table]:
    return {table.name: table.arrow.empty_table() for table in _AT_CUTS}


@dataclass(slots=True)
class MarginState:
    """The newest margin of one shard, and the day's path."""

    day: int = -1
    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    holdings: pa.Table = field(default_factory=lambda: pa.table({}))
    cash: pa.Table = field(default_factory=lambda: pa.table({}))
    policies: pa.Table = field(default_factory=results.POLICIES.empty_table)
    floor: pa.Table = field(default_factory=lambda: pa.table({"account": _NONE, "var": _NONE}))
    """The VaR floor of the newest end of day, by account."""
    margin: pa.Table = field(default_factory=lambda: pa.table({}))
    """By account: the columns of the sealed table, as micros."""
    sealed: dict = field(default_factory=_nothing)
    """What is computed at cuts only: sealed table by name."""
    layers: pa.Table = field(default_factory=lambda: pa.table({"account": _NONE, "amount": _NONE}))
    """What the house asks beyond the regulation, by account, at the day's newest cut."""
    breaches: Breaches = field(default_factory=Breaches)
    path: Growing = field(default_factory=lambda: Growing(_PATH))
    peaks: DayState = field(default_factory=DayState)
    sets: tuple = ()
    """Ids of the day's price sets, in order."""
    times: tuple = ()
    """And their instants."""


class MarginApp:
    """Strategy-based and portfolio margin of every account."""

    name = "margin"
    inputs = ("reference", "price_sets", "valuation", "book", "positions", "var")
    sharded = True
    state = MarginState

    def __init__(self) -> None:
        self._instruments, self._accounts = views.instruments_view(), views.accounts_view()
        self._groups, self._eligible = views.groups_view(), views.Cached(eligible)
        self._holdings, self._cash = views.Cached(views.open_holdings), views.Cached(views.cash_balances)
        self._policies = views.Cached(policies_of)
        self._thresholds = views.Cached(margin_limits.account_thresholds)

    def empty(self, shard: int, shards: int) -> MarginState:
        return MarginState()

    def apply(self, state: MarginState, stretch: Stretch) -> tuple[MarginState, Mapping[str, pa.Table]]:
        for app, names in (
            ("reference", ("instruments", "accounts", "policies")),
            ("positions", ("holdings", "cash")),
            ("var", ("floor",)),
        ):
            for name in names:
                for table in stretch.tables(app, name):
                    setattr(state, name, table)
        day = stretch.last.day.toordinal() - _EPOCH_ORDINAL
        if day != state.day:
            state.day, state.sets, state.times, state.peaks = day, (), (), DayState()
            state.margin, state.sealed = pa.table({}), _nothing()
            state.layers, state.breaches = pa.table({"account": _NONE, "amount": _NONE}), Breaches()
            state.path.clear()
        margin_day.gather(state.peaks, stretch)
        valued = stretch.tables("valuation", "valuation")
        if not valued or not state.holdings.num_rows:
            return state, {}
        instruments, accounts = self._instruments(state.instruments), self._accounts(state.accounts)
        market, rules = views.market(stretch, len(instruments)), rules_in_force(stretch.versions)
        holdings, cash = self._holdings(state.holdings), self._cash(state.cash)
        # between cuts an account on portfolio margin does not need the strategies it is compared with
        combine = None if stretch.last.cut else accounts.margin_type != MarginType.PORTFOLIO
        strategy = regulation_t(holdings, cash, instruments, accounts, market, day, rules, combine=combine)
        outside = ~self._eligible(instruments)[holdings.instrument]
        portfolio = portfolio_margin(
            holdings, instruments, accounts, market, views.valuation_view(market.id, valued[-1]),
            self._groups(instruments, rules), rules,
            _outside_scan(strategy, holdings, outside, instruments, accounts, market, day, rules),
        )  # fmt: skip
        found = _Found(holdings, instruments, accounts, market, strategy, portfolio)
        _keep(state, found, cash)
        policies = self._policies(state.policies)
        if stretch.last.cut:
            state.sealed = _at_cut(state, found, valued[-1], policies, rules)
        rows = {"live": state.margin}
        if state.peaks.opened >= 0:
            house = _look_at_limits(state, holdings, self._thresholds(policies, accounts, rules))
            breaches = state.breaches.now(ACCOUNT_METRICS, accounts.id, market.id)
            rows |= {"house": house, "breaches": breaches}
        return state, rows

    def seal(self, state: MarginState, epoch: Epoch) -> Mapping[str, pa.Table]:
        names = state.accounts["id"].combine_chunks().to_numpy(zero_copy_only=False)
        breaches = margin_limits.breach_rows(state.breaches, ACCOUNT_METRICS, ACCOUNT, names, state.sets)
        tables = {"margin": _sealed_margin(state), "margin_path": _sealed_path(state), "limit_breaches": breaches}
        return {**tables, **state.sealed}


_EPOCH_ORDINAL = 719_163
"""1970-01-01 as a proleptic ordinal."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One price set's margin, with what it was computed from."""

    holdings: Holdings
    instruments: Instruments
    accounts: Accounts
    market: PriceSet
    strategy: MarginResult
    portfolio: PortfolioMarginResult


def _outside_scan(
    strategy: MarginResult,
    holdings: Holdings,
    outside: np.ndarray,
    instruments: Instruments,
    accounts: Accounts,
    market: PriceSet,
    day: int,
    rules: Rules,
) -> np.ndarray:
    """Strategy-based requirement of the positions that may not be scanned, by holdings row: each for itself."""
    if not outside.any():
        return np.zeros(len(holdings), np.int64)
    rows, positions = strategy.treatments, strategy.positions
    first = rows.leg_start[:-1]
    held = rows.leg_position[first]
    alone = (np.diff(rows.leg_start) == 1) & (rows.leg_quantity[first] == positions.quantity[held])
    width = len(instruments)
    keys = holdings.account.astype(np.int64) * width + holdings.instrument
    found = rows.account * width + positions.instrument[held]
    alone &= np.isin(found, keys[outside])
    column = requirement_by_row(
        holdings, rows.account[alone], positions.instrument[held[alone]], rows.maintenance[alone]
    )
    paired = outside & ~np.isin(keys, found[alone])
    if not paired.any():
        return column
    part = Holdings(*(getattr(holdings, name)[paired] for name in ("account", "instrument", "quantity", "cost")))
    nothing = CashBalances(_NONE.astype(np.int32), np.empty(0, object), _NONE, _NONE, _NONE)
    nobody = np.zeros(len(accounts), bool)
    apart = regulation_t(part, nothing, instruments, accounts, market, day, rules, combine=nobody).treatments
    return column + requirement_by_row(holdings, apart.account, apart.underlying, apart.maintenance)


def _keep(state: MarginState, found: _Found, cash: CashBalances) -> None:
    """The newest margin, and one more point of the day's path."""
    holdings, accounts, market = found.holdings, found.accounts, found.market
    members = np.unique(np.concatenate([holdings.account, cash.account]).astype(np.int64))
    state.margin = _account_rows(found.strategy, found.portfolio, accounts, members)
    state.sets, state.times = (*state.sets, market.id), (*state.times, market.time)
    requirement = state.margin["requirement"].to_numpy()
    equity = state.margin["excess"].to_numpy() + requirement
    step = np.full(len(members), len(state.sets) - 1)
    state.path.append({"account": members, "set": step, "equity": equity, "requirement": requirement})
    by_code = np.zeros((2, len(accounts)), np.int64)
    by_code[:, members] = equity, requirement
    margin_day.observe(
        state.peaks, holdings, found.instruments, accounts, market, found.strategy, found.portfolio, *by_code
    )


def _look_at_limits(state: MarginState, holdings: Holdings, thresholds: tuple[Thresholds, ...]) -> pa.Table:
    """The house requirement by account, with the layers of the newest cut; takes note of breaches.

    Only accounts with positions have limits, as at a cut; and none before the first price of the day.
    """
    count, members = state.accounts.num_rows, state.margin["account"].to_numpy()
    layers = np.zeros(count, np.int64)
    layers[state.layers["account"].to_numpy()] = state.layers["amount"].to_numpy()
    regulatory = state.margin["requirement"].to_numpy()
    house = regulatory + layers[members]
    open_ = np.zeros(count, bool)
    open_[holdings.account] = True
    values = margin_limits.account_values(state.margin["excess"].to_numpy() + regulatory, house, house)
    for metric, (value, limited) in enumerate(zip(values, thresholds, strict=True)):
        by_code = np.zeros(count, np.int64)
        by_code[members] = value
        state.breaches.observe(metric, limited.status(by_code) * open_, by_code, len(state.sets) - 1)
    return pa.table({"account": members, "requirement": house})


def _at_cut(
    state: MarginState, found: _Found, valued: pa.Table, policies: Policies, rules: Rules
) -> dict[str, pa.Table]:
    holdings, instruments, accounts, market = found.holdings, found.instruments, found.accounts, found.market
    strategy, portfolio = found.strategy, found.portfolio
    floor = np.zeros(len(accounts), np.int64)
    floor[state.floor["account"].to_numpy()] = state.floor["var"].to_numpy()
    tables = {
        "margin_lines": strategy_lines(strategy, instruments, accounts),
        "margin_groups": group_rows(portfolio, accounts),
        "margin_scan_lines": scan_lines(portfolio, holdings, instruments, accounts, rules),
        "margin_shocks": shock_rows(
            portfolio, holdings, instruments, accounts, market,
            views.matrix(valued, views.SCAN), views.matrix(valued, ("baseline",))[:, 0],
        ),
    }  # fmt: skip
    if not len(holdings):
        return _nothing() | tables
    result = margin_house.house(
        holdings, instruments, accounts, market, strategy, portfolio, valued, floor, policies.add_ons, state.day, rules
    )
    layers = result.requirement - result.regulatory_requirement
    state.layers = pa.table({"account": result.account.astype(np.int64), "amount": layers})
    equity = np.zeros(len(accounts), np.int64)
    equity[result.account] = result.effective_excess + result.effective_requirement
    return tables | {
        "margin_house": margin_house.house_rows(result, accounts, market.id),
        "margin_house_lines": margin_house.house_lines(result, portfolio, accounts),
        "limits": margin_house.account_limits(result, accounts, equity, policies, rules),
        "calls": margin_house.call_rows(strategy, result, state.peaks.path.path, accounts, state.day, rules),
    }


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
    path = state.peaks.path.path
    causes = [margin_day.cause_text(state.peaks, code) for code in members.tolist()]
    at = np.searchsorted(np.array(state.times), path.peak_time[members])
    names = pa.array([kind.name.lower() for kind in MarginType])
    columns: dict[str, object] = {name: state.margin[name] for name in _COLUMNS}
    columns |= {
        "account": state.accounts["id"].combine_chunks().take(pa.array(members)),
        "margin_type": names.take(state.accounts["margin_type"].combine_chunks().take(pa.array(members))),
        "peak_deficit": path.peak[members],
        "peak_price_set": pa.array(["", *state.sets], pa.string()).take(
            pa.array(np.where(path.peak[members] > 0, at + 1, 0))
        ),
        "peak_cause": pa.array(causes, pa.string()),
        "price_set": pa.array([state.sets[-1]] * len(members), pa.string()),
    }
    return build(sealed.MARGIN, columns)


def _sealed_path(state: MarginState) -> pa.Table:
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(state.path["account"])),
        "price_set": pa.array(state.sets, pa.string()).take(pa.array(state.path["set"])),
        "equity": state.path["equity"],
        "requirement": state.path["requirement"],
        "excess": state.path["equity"] - state.path["requirement"],
    }
    return build(sealed.MARGIN_PATH, columns)
