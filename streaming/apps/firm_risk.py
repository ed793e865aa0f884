"""The firm's risk: exact sums of what the shards found, by client, strategy, sector, underlying and firm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.apps import stress, var, views
from streaming.apps.firm_headlines import var_zone
from streaming.apps.firm_statements import headline_rows
from streaming.apps.losses import group_losses, part_names, scopes, sectors
from streaming.apps.margin_limits import CLIENT, Breaches, breach_rows, evaluated
from streaming.apps.policies import Policies, policies_of
from streaming.apps.revaluation import market_index, price_history
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.canonical import decimal_to_int64, int64_to_decimal, sort_by_key
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.margin import limits
from streaming.risk.money import MICRO, fraction
from streaming.risk.reference import UNKNOWN_BETA, Accounts, Instruments, Kind, one_of
from streaming.risk.rulebook import Rules
from streaming.risk.stress.book import groups, regrouped
from streaming.risk.var.attribution import attribute
from streaming.risk.var.historical import measures
from streaming.risk.var.history import PriceHistory, returns
from streaming.risk.var.rolling import var_series
from streaming.risk.var.tail import NotAvailableError
from streaming.schema import results, sealed
from streaming.schema.model import MONEY, Table

_SEALED: tuple[Table, ...] = (sealed.STRESS_TOTALS, sealed.VAR, sealed.VAR_COMPONENTS, sealed.VAR_BACKTEST)
_SEALED += (sealed.LIMITS, sealed.HEADLINES)
_FIRM = "firm"
_LIVE, _MARGIN = "margin", "margin.sealed"
_CLIENT_METRICS = ("house_requirement",)


def _nothing() -> dict[str, pa.Table]:
    return {table.name: table.arrow.empty_table() for table in _SEALED}


@dataclass(slots=True)
class FirmRiskState:
    """Reference data, and the totals of the newest cut."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    closes: pa.Table = field(default_factory=results.CLOSES.empty_table)
    policies: pa.Table = field(default_factory=results.POLICIES.empty_table)
    day: str = ""
    sets: tuple = ()
    """Ids of the day's price sets, in order."""
    breaches: Breaches = field(default_factory=Breaches)
    """Limits on clients that the day has reached; a client is known by the code of its first account."""
    sealed: dict = field(default_factory=_nothing)
    """Sealed table by name."""


class FirmRiskApp:
    """Stress and VaR above the account."""

    name = "firm_risk"
    inputs = ("reference", "stress", "var", _LIVE, _MARGIN)
    sharded = False
    state = FirmRiskState

    def __init__(self) -> None:
        self._instruments, self._accounts = views.instruments_view(), views.accounts_view()
        self._history, self._policies = views.Cached(price_history), views.Cached(policies_of)
        self._clients = views.Cached(_client_limits_by_code)

    def empty(self, shard: int, shards: int) -> FirmRiskState:
        return FirmRiskState()

    def apply(self, state: FirmRiskState, stretch: Stretch) -> tuple[FirmRiskState, Mapping[str, pa.Table]]:
        for name in ("instruments", "accounts", "closes", "policies"):
            for table in stretch.tables("reference", name):
                setattr(state, name, table)
        if stretch.last.day.isoformat() != state.day:
            state.day, state.sets, state.breaches = stretch.last.day.isoformat(), (), Breaches()
        held = stretch.tables(_LIVE, "house")
        if held:
            self._look_at_clients(state, held, stretch)
        if not stretch.last.cut:
            return state, {}
        state.sealed = _nothing()
        instruments, accounts = self._instruments(state.instruments), self._accounts(state.accounts)
        pairs = stretch.tables("stress", "pairs")
        if pairs:
            state.sealed["stress_totals"] = _stress(stretch, pairs, instruments, accounts)
        rules, house = rules_in_force(stretch.versions), stretch.tables(_MARGIN, "margin_house")
        if house:
            policies = self._policies(state.policies)
            state.sealed["limits"] = _client_limits(pa.concat_tables(house), accounts, policies, rules)
        vectors = stretch.tables("var", "vectors")
        if vectors:
            found = _joined(vectors)
            levels = list(_levels(found, accounts, instruments))
            state.sealed["var"], state.sealed["var_components"] = _var(found, levels, accounts, rules)
            if state.closes.num_rows:
                history = self._history(state.closes, instruments)
                state.sealed["var_backtest"] = _backtest(found, instruments, history, rules)
                state.sealed["headlines"] = headline_rows(var_zone(state.sealed["var_backtest"], rules))
        return state, {}

    def _look_at_clients(self, state: FirmRiskState, held: list[pa.Table], stretch: Stretch) -> None:
        """Take note of the limits on clients that a price set reaches: what all their accounts must hold together."""
        accounts, policies = self._accounts(state.accounts), self._policies(state.policies)
        first, limited = self._clients(policies, accounts, rules_in_force(stretch.versions))
        value = np.zeros(len(accounts), np.int64)
        for rows in held:
            np.add.at(value, first[rows["account"].to_numpy()], rows["requirement"].to_numpy())
        state.sets = (*state.sets, stretch.last.price_set)
        state.breaches.observe(0, limited.status(value), value, len(state.sets) - 1)

    def seal(self, state: FirmRiskState, epoch: Epoch) -> Mapping[str, pa.Table]:
        names = state.accounts["client"].combine_chunks().to_numpy(zero_copy_only=False)
        breaches = breach_rows(state.breaches, _CLIENT_METRICS, CLIENT, names, state.sets)
        return {**state.sealed, "limit_breaches": breaches}


@dataclass(frozen=True, slots=True)
class _Level:
    """One way of grouping rows of account and underlying."""

    name: str
    names: np.ndarray
    """Text by group."""
    of: np.ndarray
    """Group of each row."""

    def __len__(self) -> int:
        return len(self.names)


def _levels(rows: Mapping[str, np.ndarray], accounts: Accounts, instruments: Instruments) -> Iterator[_Level]:
    """Firm, client, strategy, sector and underlying; groups without rows are left out."""
    account, underlying = rows["account"], rows["underlying"]
    yield _Level(_FIRM, np.array([_FIRM], object), np.zeros(len(account), np.int64))
    sector_names, sector = sectors(instruments)
    for name, labels, of in (
        ("client", *_by_label(accounts.client, account)),
        ("strategy", *_by_label(accounts.strategy, account)),
        ("sector", sector_names, sector[underlying]),
        ("underlying", instruments.id, underlying),
    ):
        present, compact = np.unique(of, return_inverse=True)
        yield _Level(name, labels[present].astype(object), compact)


def _by_label(labels: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = groups(labels)
    return found.names, found.of[codes]


def _joined(tables: list[pa.Table]) -> dict[str, np.ndarray]:
    """The shards' rows one after the other, by column."""
    names = tables[0].column_names
    return {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in names}


def _matrix(rows: Mapping[str, np.ndarray], names: list[str]) -> np.ndarray:
    return np.stack([rows[name] for name in names], axis=1)


def _stress(stretch: Stretch, pairs: list[pa.Table], instruments: Instruments, accounts: Accounts) -> pa.Table:
    """Losses of every scenario by level; at the end of day with their explanation, and the firm's grid."""
    rows, explained = _joined(pairs), stretch.tables("stress", "explained")
    scenarios = tuple(name for name in rows if name not in stress.KEYS)
    scope, loss = scopes(scenarios), _matrix(rows, list(scenarios))
    terms = _joined(explained) if explained else {}
    parts = []
    for level in _levels(rows, accounts, instruments):
        found, part = group_losses(level.of, len(level), rows["underlying"], loss, scope, instruments)
        columns: dict[str, np.ndarray] = {"loss": found}
        known = np.array([f"delta/{name}" in terms and scope[i] == "market" for i, name in enumerate(scenarios)])
        for term in views.TAYLOR:
            columns[term] = np.zeros_like(found)
            for at in np.flatnonzero(known):
                columns[term][:, at] = -regrouped(terms[f"{term}/{scenarios[at]}"][:, None], level.of, len(level))[:, 0]
        columns["residual"] = found - sum(columns[term] for term in views.TAYLOR)
        parts.append(_total_rows(level, scenarios, columns, known, part_names(part, scope, instruments)))
    cells = stretch.tables("stress", "grid")
    if cells:
        total = np.sum([views.matrix(table) for table in cells], axis=0)
        nothing = np.zeros(total.shape[1], bool)
        columns = dict.fromkeys(("loss", *views.TAYLOR, "residual"), total)
        firm = _Level(_FIRM, np.array([_FIRM], object), np.zeros(1, np.int64))
        parts.append(_total_rows(firm, tuple(cells[0].column_names), columns, nothing, [""] * total.size))
    return sort_by_key(sealed.STRESS_TOTALS, pa.concat_tables(parts))


def _total_rows(
    level: _Level, scenarios: tuple[str, ...], columns: Mapping[str, np.ndarray], known: np.ndarray, part: list[str]
) -> pa.Table:
    """Rows of one level; the explanation is null where ``known`` [scenario] says that there is none."""
    absent = np.tile(~known, len(level))
    rows: dict[str, object] = {
        "level": pa.array([level.name] * len(absent), pa.string()),
        "name": pa.array(np.repeat(level.names, len(scenarios)).tolist(), pa.string()),
        "scenario": pa.array(list(scenarios) * len(level), pa.string()),
        "part": pa.array(part, pa.string()),
        "loss": columns["loss"].reshape(-1),
    }
    for name in (*views.TAYLOR, "residual"):
        rows[name] = int64_to_decimal(columns[name].reshape(-1), MONEY, absent)
    return build(sealed.STRESS_TOTALS, rows)


def _var(
    rows: Mapping[str, np.ndarray], levels: list[_Level], accounts: Accounts, rules: Rules
) -> tuple[pa.Table, pa.Table]:
    """VaR and ES of every level, and the parts of the firm's VaR."""
    pnl = _matrix(rows, [name for name in rows if name not in var.KEYS])
    weights = np.stack([rows["gross"], rows["proxied"]], axis=1)
    measured = []
    for level in levels:
        found = measures(regrouped(pnl, level.of, len(level)), rules)
        measured.append(var.var_rows(level.name, level.names.tolist(), found, regrouped(weights, level.of, len(level))))
    codes, of = np.unique(rows["account"], return_inverse=True)
    by_account = _Level("account", accounts.id[codes], of)
    confidence = rules.ppm("backtest.confidence")
    parts = [
        _components(level, pnl, rows["exposure"], confidence, rules)
        for level in (by_account, *levels)
        if level.name != _FIRM
    ]
    return (
        sort_by_key(sealed.VAR, pa.concat_tables(measured)),
        sort_by_key(sealed.VAR_COMPONENTS, pa.concat_tables(parts)),
    )


def _components(level: _Level, pnl: np.ndarray, exposure: np.ndarray, confidence: int, rules: Rules) -> pa.Table:
    """How the level's parts carry the firm's one-day VaR; no rows where the history is too short for it."""
    value = regrouped(exposure[:, None], level.of, len(level))[:, 0]
    try:
        found = attribute(regrouped(pnl, level.of, len(level)), value, confidence, rules)
    except NotAvailableError:
        return sealed.VAR_COMPONENTS.arrow.empty_table()
    columns = {
        "level": pa.array([level.name] * len(level), pa.string()),
        "name": pa.array(level.names.tolist(), pa.string()),
        "confidence": np.full(len(level), confidence),
        "standalone": found.standalone,
        "component": found.component,
        "smoothed": found.smoothed,
        "marginal": found.marginal,
        "incremental": found.incremental,
        "exposure": value,
    }
    return build(sealed.VAR_COMPONENTS, columns)


def _client_limits(house: pa.Table, accounts: Accounts, policies: Policies, rules: Rules) -> pa.Table:
    """The limits on clients in force at the rule date: house requirement of all their accounts together."""
    code = {str(id_): number for number, id_ in enumerate(accounts.id)}
    account = np.array([code[id_] for id_ in house["account"].to_pylist()], np.int64)
    clients, of = np.unique(accounts.client[account].astype(str), return_inverse=True)
    requirement = regrouped(decimal_to_int64(house["house_requirement"])[:, None], of, len(clients))[:, 0]
    return evaluated(policies, CLIENT, {_CLIENT_METRICS[0]: (clients.astype(object), requirement)}, rules)


def _client_limits_by_code(
    policies: Policies, accounts: Accounts, rules: Rules
) -> tuple[np.ndarray, limits.Thresholds]:
    """By account code: the code of its client's first account, and there the limit that stands for the client."""
    _, first, of = np.unique(accounts.client.astype(str), return_index=True, return_inverse=True)
    found = limits.thresholds(policies.limits, _CLIENT_METRICS[0], CLIENT, accounts.client, rules.rule_date)
    leads = first[of] == np.arange(len(of))
    return first[of], limits.Thresholds(found.amber, found.red, found.limited & leads)


def _backtest(
    rows: Mapping[str, np.ndarray], instruments: Instruments, history: PriceHistory, rules: Rules
) -> pa.Table:
    """Today's delta-equivalent exposures held through the loaded history, each day against the VaR known before it.

    A name without closes is held as beta (a fund on an index: its leverage) times its exposure in the index.
    """
    moves, window = returns(history), int(rules.value("backtest.window"))
    index = market_index(instruments)
    at = {symbol: column for column, symbol in enumerate(moves.symbols)}
    if index < 0 or str(instruments.id[index]) not in at or len(moves.dates) <= window:
        return sealed.VAR_BACKTEST.arrow.empty_table()
    codes, of = np.unique(rows["underlying"], return_inverse=True)
    value = regrouped(rows["exposure"][:, None], of, len(codes))[:, 0]
    own = np.array([at.get(str(instruments.id[code]), -1) for code in codes], np.int64)
    beta = np.where(instruments.beta[codes] == UNKNOWN_BETA, rules.ppm("stress.beta.default"), instruments.beta[codes])
    lever = instruments.leverage[codes]
    slope = np.where((lever != 0) & (lever != MICRO), lever, beta)
    equity = one_of(instruments.kind[codes], Kind.STOCK, Kind.ETF)
    exposure = np.zeros(len(moves.symbols), np.int64)
    np.add.at(exposure, own[own >= 0], value[own >= 0])
    proxied = (own < 0) & equity
    exposure[at[str(instruments.id[index])]] += int(fraction(value[proxied], slope[proxied]).sum())
    series = var_series(moves, exposure, window, rules.ppm("backtest.confidence"), rules)
    columns = {
        "date": series.dates,
        "pnl": series.pnl,
        "var": series.var,
        "es": series.es,
        "exception": pa.array(series.exceptions),
    }
    return build(sealed.VAR_BACKTEST, columns)
