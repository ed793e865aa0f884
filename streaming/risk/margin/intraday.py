"""Intraday margin, FINRA 4210(d)(2) as amended in 2026: the day's peak deficit per account, when, and what made it.

A margin account must hold its requirement at every point of the day. After each price set the margin app observes
equity and requirement; :class:`IntradayPath` keeps each account's largest shortfall. :func:`attribute` splits the
change of a shortfall since the observation before, exactly, into trades, prices and cash; the largest part is the
cause. Amounts are reporting-currency micros, times microseconds since 1970-01-01, days since 1970-01-01.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from streaming.risk.holdings import Holdings
from streaming.risk.money import fraction
from streaming.risk.rulebook import Rules


class CauseKind(IntEnum):
    """What can change a shortfall, in the order in which equal effects are named."""

    NONE = 0
    TRADE = 1
    PRICE = 2
    CASH = 3
    OTHER = 4
    """Neither: reference data, rules, corrections."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The part of a change that moved a shortfall most."""

    kind: CauseKind
    id: str
    """Trade id, instrument id or cash id; empty for OTHER."""
    effect: int
    """Micros by which the shortfall grew because of it."""


NO_CAUSE = Cause(CauseKind.NONE, "", 0)


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades between two observations. Prices in micros per unit, in the instrument's currency."""

    id: np.ndarray
    account: np.ndarray
    instrument: np.ndarray
    quantity: np.ndarray
    price: np.ndarray


@dataclass(frozen=True, slots=True)
class CashFlows:
    """Deposits (positive) and withdrawals (negative) between two observations, reporting-currency micros."""

    id: np.ndarray
    account: np.ndarray
    amount: np.ndarray


@dataclass(frozen=True, slots=True)
class Observation:
    """What an account held and what it was worth at one point of the day."""

    holdings: Holdings
    price: np.ndarray
    """int64 micros per unit by instrument."""
    equity: np.ndarray
    """By account code."""
    requirement: np.ndarray
    """By account code."""
    group_account: np.ndarray
    """Requirement by account and group (class group or underlying): account codes."""
    group: np.ndarray
    group_requirement: np.ndarray


@dataclass(frozen=True, slots=True)
class Scales:
    """Per instrument: what turns a price move into money, and which group its requirement is in."""

    id: np.ndarray
    multiplier: np.ndarray
    rate: np.ndarray
    """Reporting-currency ppm."""
    group: np.ndarray


@dataclass(frozen=True, slots=True)
class IntradayPath:
    """The day so far, by account code."""

    shortfall: np.ndarray
    """requirement - equity at the last observation; negative = excess."""
    peak: np.ndarray
    """Largest deficit of the day, at least 0."""
    peak_time: np.ndarray
    """-1 where there was none."""
    peak_equity: np.ndarray
    peak_requirement: np.ndarray
    made_by: Mapping[int, Cause]
    """By account code: the largest part of the change that led to the peak."""
    opened_time: np.ndarray
    """When the deficit that reached the peak began; -1 = none."""
    opened_by: Mapping[int, Cause]
    episode_time: np.ndarray
    """When the deficit of the last observation began; -1 = no deficit now."""
    episode_by: Mapping[int, Cause]

    @classmethod
    def start(cls, accounts: int) -> "IntradayPath":
        """The opening of a day: no deficit observed."""
        none, never = np.zeros(accounts, dtype=np.int64), np.full(accounts, -1, dtype=np.int64)
        return cls(none, none, never, none, none, {}, never, {}, never, {})

    def rising(self, equity: np.ndarray, requirement: np.ndarray) -> np.ndarray:
        """Account codes whose cause must be found: a deficit that is new, or larger than any before today."""
        shortfall = requirement - equity
        return np.flatnonzero((shortfall > 0) & ((shortfall > self.peak) | (self.episode_time < 0)))

    def observe(
        self, time: int, equity: np.ndarray, requirement: np.ndarray, causes: Mapping[int, Cause]
    ) -> "IntradayPath":
        """The path after one more observation, in order of time; ``causes`` by account code for ``rising`` accounts."""
        shortfall = requirement - equity
        began = (shortfall > 0) & (self.episode_time < 0)
        episode_time = np.where(shortfall > 0, np.where(began, time, self.episode_time), -1)
        started = {int(account): causes.get(int(account), NO_CAUSE) for account in np.flatnonzero(began)}
        episode_by = {a: cause for a, cause in self.episode_by.items() if shortfall[a] > 0} | started
        higher = (shortfall > 0) & (shortfall > self.peak)
        risen = [int(account) for account in np.flatnonzero(higher)]
        return IntradayPath(
            shortfall=shortfall,
            peak=np.where(higher, shortfall, self.peak),
            peak_time=np.where(higher, time, self.peak_time),
            peak_equity=np.where(higher, equity, self.peak_equity),
            peak_requirement=np.where(higher, requirement, self.peak_requirement),
            made_by=dict(self.made_by) | {account: causes.get(account, NO_CAUSE) for account in risen},
            opened_time=np.where(higher, episode_time, self.opened_time),
            opened_by=dict(self.opened_by) | {account: episode_by[account] for account in risen},
            episode_time=episode_time,
            episode_by=episode_by,
        )


def path_table(path: IntradayPath) -> pa.Table:
    """The path as a table, one row per account code: its canonical form for sealing and for the state of a shard."""
    columns: dict[str, pa.Array] = {"account": pa.array(np.arange(len(path.peak)), pa.int64())}
    columns |= {name: pa.array(getattr(path, name), pa.int64()) for name in _COLUMNS}
    for name in _CAUSES:
        causes = [getattr(path, name).get(account, NO_CAUSE) for account in range(len(path.peak))]
        columns[f"{name}_kind"] = pa.array([int(cause.kind) for cause in causes], pa.int8())
        columns[f"{name}_id"] = pa.array([cause.id for cause in causes], pa.string())
        columns[f"{name}_effect"] = pa.array([cause.effect for cause in causes], pa.int64())
    return pa.table(columns)


def path_of(table: pa.Table) -> IntradayPath:
    """The path that ``path_table`` wrote."""
    columns: dict[str, Any] = {name: table[name].to_numpy() for name in _COLUMNS}
    for name in _CAUSES:
        parts = [table[f"{name}_{part}"].to_pylist() for part in ("kind", "id", "effect")]
        causes = (Cause(CauseKind(kind), text, effect) for kind, text, effect in zip(*parts))
        columns[name] = {account: cause for account, cause in enumerate(causes) if cause != NO_CAUSE}
    return IntradayPath(**columns)


_COLUMNS = ("shortfall", "peak", "peak_time", "peak_equity", "peak_requirement", "opened_time", "episode_time")
_CAUSES = ("made_by", "opened_by", "episode_by")


@dataclass(frozen=True, slots=True)
class IntradayCalls:
    """Deficits of one day that must be cured, one row per account that had one."""

    account: np.ndarray
    deficit: np.ndarray
    excepted: np.ndarray
    """Small enough to be no deficit under the rule."""
    due: np.ndarray
    """Last business day to cure."""
    overdue: np.ndarray
    """Not cured, past ``due``, not excepted."""
    closing_only: np.ndarray
    """House: the account may only close positions."""
    barred_until: np.ndarray
    """Last day without new shorts or debits; -1 = not barred."""


def attribute(
    accounts: np.ndarray, before: Observation, after: Observation, trades: Trades, cash: CashFlows, scales: Scales
) -> dict[int, dict[tuple[CauseKind, str], int]]:
    """What changed the shortfall of each of ``accounts`` between two observations, part by part.

    A trade's part is the difference of its price to the new mark, and the change of its group's requirement (split over
    the group's trades by their value). A price's part is the revaluation of what was held before, and the change of its
    group's requirement where the account did not trade in it. The parts of an account sum exactly to the change of its
    shortfall; what is left (reference data, rules) is ``OTHER``.
    """
    wanted: dict[int, dict[tuple[CauseKind, str], int]] = {int(account): {} for account in accounts}
    groups_traded = _trade_parts(wanted, before, after, trades, scales)
    for row in np.flatnonzero(np.isin(cash.account, accounts)):
        _add(wanted[int(cash.account[row])], CauseKind.CASH, str(cash.id[row]), -int(cash.amount[row]))
    _price_parts(wanted, before, after, scales, groups_traded)
    for account, parts in wanted.items():
        change = int(after.requirement[account]) - int(after.equity[account])
        change -= int(before.requirement[account]) - int(before.equity[account])
        rest = change - sum(parts.values())
        if rest:
            _add(parts, CauseKind.OTHER, "", rest)
    return wanted


def largest(parts: Mapping[tuple[CauseKind, str], int]) -> Cause:
    """The part that raised the shortfall most; equals are decided by kind, then by id. None rose it: ``NO_CAUSE``."""
    rising = [(-effect, kind, name) for (kind, name), effect in parts.items() if effect > 0]
    if not rising:
        return NO_CAUSE
    effect, kind, name = min(rising)
    return Cause(kind, name, -effect)


def intraday_calls(
    path: IntradayPath, cured: np.ndarray, misses: np.ndarray, day: int, as_of: int, sessions: np.ndarray, rules: Rules
) -> IntradayCalls:
    """The calls that a day's peak deficits raise, seen on ``as_of`` (FINRA 4210(d)(2) as amended, RN 26-10).

    Args:
        cured: By account code: whether the deficit of ``day`` has been cured.
        misses: By account code: deficits that were not cured in time before this one, within the firm's look-back.
        day: The business day of the deficits.
        sessions: Ascending business days.

    Raises:
        RuleError: The rule date lies before the intraday rule.
        ValueError: ``sessions`` does not reach the due date.
    """
    account = np.flatnonzero(path.peak > 0)
    deficit, equity = path.peak[account], np.maximum(0, path.peak_equity[account])
    allowed = np.minimum(
        fraction(equity, rules.ppm("intraday.excepted_equity_share")), rules.micros("intraday.excepted_amount")
    )
    excepted = deficit <= allowed
    at = int(np.searchsorted(sessions, day)) + int(rules.value("intraday.cure_days"))
    if at >= len(sessions) or sessions[at - int(rules.value("intraday.cure_days"))] != day:
        raise ValueError(f"sessions: expected to hold {day} and the business days to cure after it")
    due = int(sessions[at])
    overdue = ~excepted & ~cured[account] & (as_of > due)
    missed = misses[account] + overdue
    barred = overdue & (missed >= int(rules.value("intraday.practice_misses")))
    return IntradayCalls(
        account,
        deficit,
        excepted,
        np.full(len(account), due, dtype=np.int64),
        overdue,
        overdue & (missed >= int(rules.value("intraday.closing_only_misses"))),
        np.where(barred, due + int(rules.value("intraday.bar_days")), -1),
    )


def _trade_parts(
    wanted: dict[int, dict], before: Observation, after: Observation, trades: Trades, scales: Scales
) -> set[tuple[int, int]]:
    """Adds the trades' parts; returns the (account, group) pairs that traded."""
    by_group: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for row in np.flatnonzero(np.isin(trades.account, list(wanted))):
        account, code = int(trades.account[row]), int(trades.instrument[row])
        units = int(trades.quantity[row]) * int(scales.multiplier[code])
        gain = _money(units * (int(after.price[code]) - int(trades.price[row])), scales, code)
        _add(wanted[account], CauseKind.TRADE, str(trades.id[row]), -gain)
        value = abs(_money(units * int(trades.price[row]), scales, code))
        by_group.setdefault((account, int(scales.group[code])), []).append((str(trades.id[row]), value))
    change = _requirement_changes(before, after, wanted)
    for key, members in by_group.items():
        # In order of id, each share the difference of two rounded running totals: the shares sum to the change.
        running, total, given = 0, sum(max(1, value) for _, value in members), 0
        for name, value in sorted(members):
            running += max(1, value)
            share = change.get(key, 0) * running // total
            _add(wanted[key[0]], CauseKind.TRADE, name, share - given)
            given = share
    return set(by_group)


def _price_parts(
    wanted: dict[int, dict], before: Observation, after: Observation, scales: Scales, traded: set[tuple[int, int]]
) -> None:
    largest_move: dict[tuple[int, int], tuple[int, str]] = {}
    held = before.holdings
    for row in np.flatnonzero(np.isin(held.account, list(wanted))):
        account, code = int(held.account[row]), int(held.instrument[row])
        units = int(held.quantity[row]) * int(scales.multiplier[code])
        gain = _money(units * int(after.price[code]), scales, code) - _money(
            units * int(before.price[code]), scales, code
        )
        _add(wanted[account], CauseKind.PRICE, str(scales.id[code]), -gain)
        key = (account, int(scales.group[code]))
        largest_move[key] = min(largest_move.get(key, (0, str(scales.id[code]))), (-abs(gain), str(scales.id[code])))
    for key, change in _requirement_changes(before, after, wanted).items():
        if key not in traded and key in largest_move:
            _add(wanted[key[0]], CauseKind.PRICE, largest_move[key][1], change)


def _requirement_changes(
    before: Observation, after: Observation, wanted: dict[int, dict]
) -> dict[tuple[int, int], int]:
    """Change of the requirement by (account, group), of the accounts wanted."""
    change: dict[tuple[int, int], int] = {}
    for observation, sign in ((before, -1), (after, 1)):
        for row in np.flatnonzero(np.isin(observation.group_account, list(wanted))):
            key = (int(observation.group_account[row]), int(observation.group[row]))
            change[key] = change.get(key, 0) + sign * int(observation.group_requirement[row])
    return change


def _money(amount: int, scales: Scales, code: int) -> int:
    return int(fraction(amount, int(scales.rate[code])))


def _add(parts: dict[tuple[CauseKind, str], int], kind: CauseKind, name: str, effect: int) -> None:
    parts[kind, name] = parts.get((kind, name), 0) + effect
