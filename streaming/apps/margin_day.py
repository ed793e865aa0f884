"""The day's peak deficits: what every account held before, and which trade, price or cash made its deficit grow.

They begin with the first price set that holds a price of the day: before it everything is charged as stale.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.apps.sequence import NEW
from streaming.engine.stretch import Stretch
from streaming.risk.holdings import Holdings
from streaming.risk.margin.groups import MarginGroups
from streaming.risk.margin.intraday import (
    NO_CAUSE,
    CashFlows,
    Cause,
    CauseKind,
    IntradayPath,
    Observation,
    Scales,
    Trades,
    attribute,
    largest,
    path_of,
    path_table,
)
from streaming.risk.margin.portfolio import PortfolioMarginResult, reporting_rates
from streaming.risk.margin.regt import MarginResult
from streaming.risk.market import PriceSet, PriceStatus, cash_value
from streaming.risk.reference import Accounts, Instruments, MarginType

_OPENING = Cause(CauseKind.OTHER, "", 0)
_TRADE = pa.schema([("id", pa.string()), ("account", pa.int32()), ("instrument", pa.int32()),
                    ("quantity", pa.int64()), ("price", pa.int64())])  # fmt: skip
_CASH = pa.schema([("id", pa.string()), ("account", pa.int32()), ("currency", pa.string()), ("amount", pa.int64())])
_FEEDS = {"trades": _TRADE, "cash": _CASH}


class Path:
    """An intraday path that has a canonical encoding."""

    def __init__(self, path: IntradayPath):
        self.path = path

    def __canonical__(self) -> dict[str, pa.Table]:
        return {"path": path_table(self.path)}

    @classmethod
    def from_canonical(cls, columns: dict[str, pa.Table]) -> "Path":
        return cls(path_of(columns["path"]))


def _empty_observation() -> Observation:
    none, codes = np.empty(0, np.int64), np.empty(0, np.int32)
    return Observation(Holdings(codes, codes, none, none), none, none, none, none, none, none)


@dataclass(slots=True)
class DayState:
    """The day so far."""

    path: Path = field(default_factory=lambda: Path(IntradayPath.start(0)))
    opened: int = -1
    """Instant of the day's first observation; -1 = none yet."""
    before: Observation = field(default_factory=_empty_observation)
    """At the price set before."""
    trades: pa.Table = field(default_factory=_TRADE.empty_table)
    """New trades since then; corrections are not among them."""
    cash: pa.Table = field(default_factory=_CASH.empty_table)


def gather(state: DayState, stretch: Stretch) -> None:
    """Keep the trades and cash of a stretch until the next price set."""
    for name, schema in _FEEDS.items():
        for rows in stretch.tables("book", name):
            fresh = rows.filter(pa.array(rows["action"].to_numpy() == NEW)).select(schema.names).cast(schema)
            if fresh.num_rows:
                setattr(state, name, pa.concat_tables([getattr(state, name), fresh]))


def observe(
    state: DayState,
    holdings: Holdings,
    instruments: Instruments,
    accounts: Accounts,
    market: PriceSet,
    strategy: MarginResult,
    portfolio: PortfolioMarginResult,
    equity: np.ndarray,
    requirement: np.ndarray,
) -> None:
    """Take one more observation of the day; ``equity`` and ``requirement`` by account code."""
    path = _grown(state.path.path, len(accounts))
    if state.opened < 0 and not (market.status <= PriceStatus.LAST_GOOD).any():
        state.path = Path(path)
        return
    before = _padded(state.before, len(accounts))
    group = _top_group(portfolio.groups, np.arange(len(instruments)))
    after = Observation(holdings, market.price, equity, requirement, *_requirements(strategy, portfolio, accounts))
    rising = path.rising(equity, requirement)
    causes: dict[int, Cause] = {}
    if state.opened < 0:
        state.opened = market.time
        causes = {int(account): _OPENING for account in rising}
    elif len(rising):
        scales = Scales(instruments.id, instruments.multiplier, np.abs(reporting_rates(instruments, market)), group)
        parts = attribute(rising, before, after, _trades(state.trades), _flows(state.cash, market), scales)
        causes = {account: largest(found) for account, found in parts.items()}
    state.path = Path(path.observe(market.time, equity, requirement, causes))
    state.before = after
    state.trades, state.cash = _TRADE.empty_table(), _CASH.empty_table()


def cause_text(state: DayState, account: int) -> str:
    """What made an account's peak deficit, as a person reads it; empty without one."""
    path = state.path.path
    if account >= len(path.peak) or not path.peak[account]:
        return ""
    if path.peak_time[account] == state.opened:
        return "opening position"
    cause = path.made_by.get(account, NO_CAUSE)
    return f"{cause.kind.name.lower()} {cause.id}".strip()


def _requirements(
    strategy: MarginResult, portfolio: PortfolioMarginResult, accounts: Accounts
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(account, group, requirement) under each account's own regime; a group is the top level of margin groups."""
    on_scan, rows, treated = accounts.margin_type == MarginType.PORTFOLIO, portfolio.portfolios, strategy.treatments
    scanned, charged = on_scan[rows.account], ~on_scan[treated.account]
    under = np.maximum(treated.underlying[charged], 0)
    return (
        np.concatenate([rows.account[scanned], treated.account[charged]]).astype(np.int64),
        np.concatenate([rows.group[scanned], _top_group(portfolio.groups, under)]).astype(np.int64),
        np.concatenate([rows.requirement[scanned], (treated.maintenance - treated.premium)[charged]]),
    )


def _top_group(groups: MarginGroups, instrument: np.ndarray) -> np.ndarray:
    return groups.portfolio_group[groups.product_group[groups.class_group[instrument]]]


def _trades(rows: pa.Table) -> Trades:
    columns = {name: rows[name].combine_chunks().to_numpy(zero_copy_only=False) for name in _TRADE.names}
    return Trades(**columns)


def _flows(rows: pa.Table, market: PriceSet) -> CashFlows:
    ids, account, currency = (
        rows[name].combine_chunks().to_numpy(zero_copy_only=False) for name in ("id", "account", "currency")
    )
    return CashFlows(ids, account, cash_value(rows["amount"].to_numpy(), currency, market.fx))


def _grown(path: IntradayPath, count: int) -> IntradayPath:
    """The path with room for accounts that became known since."""
    more = count - len(path.peak)
    if more <= 0:
        return path
    fresh = IntradayPath.start(more)
    joined = {name: np.concatenate([getattr(path, name), getattr(fresh, name)]) for name in _BY_ACCOUNT}
    return IntradayPath(**joined, made_by=path.made_by, opened_by=path.opened_by, episode_by=path.episode_by)


_BY_ACCOUNT = ("shortfall", "peak", "peak_time", "peak_equity", "peak_requirement", "opened_time", "episode_time")


def _padded(before: Observation, count: int) -> Observation:
    more = np.zeros(max(0, count - len(before.equity)), np.int64)
    if not len(more):
        return before
    equity, requirement = np.concatenate([before.equity, more]), np.concatenate([before.requirement, more])
    return Observation(before.holdings, before.price, equity, requirement, before.group_account, before.group,
                       before.group_requirement)  # fmt: skip
