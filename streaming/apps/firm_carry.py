"""What one end of day hands to the next: since when accounts are deficient, calls, deposits due, month-end credits."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.risk.capital.inputs import MarginCalls, MarginDeficiencies, OpenDeposit, Sessions
from streaming.risk.capital.reserve import Reserve
from streaming.risk.reference import AccountKind

_MONTHS_KEPT = 24
_DEFICIENT = pa.schema([("account", pa.int64()), ("amount", pa.int64()), ("since", pa.int64())])
_DEPOSIT = pa.schema([("kind", pa.int64()), ("required", pa.int64()), ("due", pa.int64())])


@dataclass(frozen=True, slots=True)
class Carry:
    """The open matters of the firm. A deficiency is called on the day on which it arises or grows."""

    deficient: pa.Table = field(default_factory=lambda: _DEFICIENT.empty_table())
    """Account code, micros below the requirement, day since which; sorted by account."""
    calls: pa.Table = field(default_factory=lambda: _DEFICIENT.empty_table())
    """Calls not met: account, amount, day of issue; sorted by account and day."""
    deposits: pa.Table = field(default_factory=lambda: _DEPOSIT.empty_table())
    """By account kind: what the last reserve computation requires, and when (microseconds UTC)."""
    month_end_credits: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Customer plus PAB credits of past month ends, oldest first."""

    def deficiencies(self) -> MarginDeficiencies:
        return MarginDeficiencies(*_columns(self.deficient))

    def margin_calls(self) -> MarginCalls:
        return MarginCalls(*_columns(self.calls))

    def open_deposits(self) -> tuple[OpenDeposit, ...]:
        kinds = zip(*_columns(self.deposits), strict=True)
        return tuple(OpenDeposit(AccountKind(int(kind)), int(required), int(due)) for kind, required, due in kinds)


def _columns(table: pa.Table) -> list[np.ndarray]:
    return [table[name].to_numpy() for name in table.column_names]


def open_at(former: Carry, day: int, account: np.ndarray, amount: np.ndarray) -> Carry:
    """The open matters at a cut, from the last end of day's and the deficient accounts of now (sorted by account).

    A deficiency that stood at the last end of day keeps its day. What is paid meets the oldest call first; what former
    calls do not ask for is called today.
    """
    since = np.full(len(account), day)
    before, _, begun = _columns(former.deficient)
    known = np.isin(account, before)
    since[known] = begun[np.searchsorted(before, account[known])]
    calls = _calls(dict(zip(account.tolist(), amount.tolist(), strict=True)), former.calls, day)
    return Carry(_table(account, amount, since), calls, former.deposits, former.month_end_credits)


def _calls(lacking: dict[int, int], former: pa.Table, day: int) -> pa.Table:
    """Calls that together ask for what is lacking: the newest former ones, and one of today for the rest."""
    rest = dict(lacking)
    kept = []
    for call in reversed(former.sort_by([("account", "ascending"), ("since", "ascending")]).to_pylist()):
        asked = min(call["amount"], rest.get(call["account"], 0))
        if asked:
            rest[call["account"]] -= asked
            kept.append({**call, "amount": asked})
    kept += [{"account": account, "amount": asked, "since": day} for account, asked in rest.items() if asked]
    return pa.Table.from_pylist(kept, schema=_DEFICIENT).sort_by([("account", "ascending"), ("since", "ascending")])


def closed(at: Carry, day: int, sessions: Sessions, reserves: Sequence[Reserve]) -> Carry:
    """The open matters after an end of day: with the deposits just computed, and at a month's end its credits."""
    rows = [(int(found.kind), found.required, found.due) for found in reserves]
    columns = [pa.array(column, pa.int64()) for column in zip(*rows, strict=True)]
    month_ends = at.month_end_credits
    if _month(int(sessions.day[sessions.after(day, 1)])) != _month(day):
        total = sum(found.deposit.total_credits for found in reserves)
        month_ends = np.append(month_ends, total)[-_MONTHS_KEPT:]
    return Carry(at.deficient, at.calls, pa.Table.from_arrays(columns, schema=_DEPOSIT), month_ends)


def _month(day: int) -> np.datetime64:
    return np.datetime64(day, "D").astype("datetime64[M]")


def _table(account: np.ndarray, amount: np.ndarray, since: np.ndarray) -> pa.Table:
    return pa.table([account, amount, since], schema=_DEFICIENT)
