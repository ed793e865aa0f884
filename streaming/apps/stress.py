"""Stress: every scenario over every position at each cut, by account and by underlying.

The core scenarios run at every cut; at the end of day all others, the spot x volatility grid, and the delta-gamma-vega
explanation. What the firm's totals need goes on by account and underlying (see ``firm_risk``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.losses import group_losses, part_names, scopes
from streaming.apps.rules import rules_in_force
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.market import Valuation
from streaming.risk.reference import Instruments
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios.grid import grid
from streaming.risk.stress.book import Book, Unpriced, charges, grouped_pnl, stressed_book, unit_pnl
from streaming.risk.stress.surface import surface
from streaming.schema import results, sealed
from streaming.schema.model import Table

KEYS = ("account", "underlying")
"""The first columns of the rows by pair: codes; then P&L or losses by scenario."""
_SEALED: tuple[Table, ...] = (
    sealed.STRESS, sealed.STRESS_UNDERLYING, sealed.STRESS_SURFACE, sealed.STRESS_UNPRICED,
)  # fmt: skip


def _nothing() -> dict[str, pa.Table]:
    return {table.name: table.arrow.empty_table() for table in _SEALED}


@dataclass(slots=True)
class StressState:
    """What one shard holds, and its results at the newest cut."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    holdings: pa.Table = field(default_factory=lambda: pa.table({}))
    sealed: dict = field(default_factory=_nothing)
    """Sealed table by name."""


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
        instruments, rules = self._instruments(state.instruments), rules_in_force(stretch.versions)
        market = views.market(stretch, len(instruments))
        valuation = views.valuation_view(market.id, valued[-1])
        holdings = views.open_holdings(state.holdings)
        book, unpriced = stressed_book(holdings, instruments, market, rules, valuation)
        pairs = _Pairs.of(book, instruments)
        core = _losses(book, pairs.number, len(pairs), valuation)
        state.sealed = _nothing() | {
            "stress_underlying": _by_underlying(state, pairs, valuation.scenarios, core),
            "stress_unpriced": _unpriced(state, unpriced),
        }
        charge = np.stack([unpriced.account, unpriced.charge], axis=1)
        rows = {"unpriced": views.matrix_rows(("account", "charge"), charge)}
        scenarios, loss = valuation.scenarios, core
        for table in stretch.tables("valuation", "full"):
            full = replace(valuation, scenarios=tuple(table.column_names), shocked=views.matrix(table))
            cells = tuple(cell.id for cell in grid(rules).scenarios)
            rest = tuple(name for name in full.scenarios if name not in set(cells))
            scenarios = (*scenarios, *rest)
            loss = np.concatenate([core, _losses(book, pairs.number, len(pairs), _chosen(full, rest))], axis=1)
            together = np.zeros(len(book), np.int64)
            rows["grid"] = views.matrix_rows(cells, _losses(book, together, 1, _chosen(full, cells)))
            state.sealed["stress_surface"] = _surface(state, book, instruments, full, rules)
        for table in stretch.tables("valuation", "taylor"):
            terms = grouped_pnl(book, pairs.number, len(pairs), views.matrix(table), "explained stress P&L")
            rows["explained"] = pairs.rows(table.column_names, terms)
        rows["pairs"] = pairs.rows(scenarios, loss)
        live = equity[-1]
        state.sealed["stress"] = _by_account(state, instruments, pairs, scenarios, loss, live, unpriced, market.id)
        return state, rows

    def seal(self, state: StressState, epoch: Epoch) -> Mapping[str, pa.Table]:
        return state.sealed


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The pairs of account and underlying in a book, sorted."""

    account: np.ndarray
    underlying: np.ndarray
    number: np.ndarray
    """The pair of each position."""

    def __len__(self) -> int:
        return len(self.account)

    @classmethod
    def of(cls, book: Book, instruments: Instruments) -> "_Pairs":
        under = instruments.underlying[book.instrument].astype(np.int64)
        keys, number = np.unique(book.account.astype(np.int64) * len(instruments) + under, return_inverse=True)
        return cls(keys // len(instruments), keys % len(instruments), number)

    def rows(self, names: Sequence[str], values: np.ndarray) -> pa.Table:
        keys = np.stack([self.account, self.underlying], axis=1)
        return views.matrix_rows((*KEYS, *names), np.concatenate([keys, values], axis=1))


def _chosen(valuation: Valuation, names: tuple[str, ...]) -> Valuation:
    """The valuation with these scenarios only."""
    column = {name: number for number, name in enumerate(valuation.scenarios)}
    return replace(valuation, scenarios=names, shocked=valuation.shocked[:, [column[name] for name in names]])


def _losses(book: Book, group: np.ndarray, groups: int, valuation: Valuation) -> np.ndarray:
    return -grouped_pnl(book, group, groups, unit_pnl(valuation), "stress P&L")


def _by_account(
    state: StressState,
    instruments: Instruments,
    pairs: _Pairs,
    scenarios: tuple[str, ...],
    loss: np.ndarray,
    live: pa.Table,
    unpriced: Unpriced,
    price_set: str,
) -> pa.Table:
    """Every account that holds or owns anything, in every scenario."""
    members, count, scope = live["account"].to_numpy(), len(scenarios), scopes(scenarios)
    found, part = group_losses(
        np.searchsorted(members, pairs.account), len(members), pairs.underlying, loss, scope, instruments
    )
    equity = live["equity"].to_numpy() - charges(unpriced, state.accounts.num_rows)[members]
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(np.repeat(members, count))),
        "scenario": pa.array(list(scenarios) * len(members), pa.string()),
        "loss": found.reshape(-1),
        "part": pa.array(part_names(part, scope, instruments), pa.string()),
        "equity_after": (equity[:, None] - found).reshape(-1),
        "price_set": pa.array([price_set] * found.size, pa.string()),
    }
    return build(sealed.STRESS, columns)


def _by_underlying(state: StressState, pairs: _Pairs, scenarios: tuple[str, ...], loss: np.ndarray) -> pa.Table:
    count = len(scenarios)
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(np.repeat(pairs.account, count))),
        "underlying": state.instruments["id"].combine_chunks().take(pa.array(np.repeat(pairs.underlying, count))),
        "scenario": pa.array(list(scenarios) * len(pairs), pa.string()),
        "loss": loss.reshape(-1),
    }
    return build(sealed.STRESS_UNDERLYING, columns)


def _unpriced(state: StressState, unpriced: Unpriced) -> pa.Table:
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(unpriced.account)),
        "instrument": state.instruments["id"].combine_chunks().take(pa.array(unpriced.instrument)),
        "charge": unpriced.charge,
        "reason": pa.array(unpriced.reason.tolist(), pa.string()),
    }
    return build(sealed.STRESS_UNPRICED, columns)


def _surface(state: StressState, book: Book, instruments: Instruments, full: Valuation, rules: Rules) -> pa.Table:
    cells = grid(rules)
    found = surface(book, instruments, full, cells, rules)
    columns = {
        "account": state.accounts["id"].combine_chunks().take(pa.array(found.account)),
        "underlying": state.instruments["id"].combine_chunks().take(pa.array(found.underlying.astype(np.int64))),
        "worst_loss": found.worst,
        "worst_spot": cells.spot[found.worst_cell[:, 0]],
        "worst_vol": cells.vol[found.worst_cell[:, 1]],
        "inner_loss": found.inner,
        "inner_spot": cells.spot[found.inner_cell[:, 0]],
        "inner_vol": cells.vol[found.inner_cell[:, 1]],
    }
    return build(sealed.STRESS_SURFACE, columns)
