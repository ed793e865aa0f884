"""What one end of day hands to the next: since when accounts and securities are deficient, calls, deposits due,
month-end credits, and the exposures that expected losses move from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from streaming.risk.capital.inputs import MarginCalls, MarginDeficiencies, OpenDeposit, Sessions
from streaming.risk.capital.reserve import Reserve
from streaming.risk.reference import AccountKind

_MONTHS_KEPT = 24
_DEFICIENT = pa.schema([("account", pa.int64()), ("amount", pa.int64()), ("since", pa.int64())])
_DEFICIT = pa.schema([("kind", pa.int64()), ("instrument", pa.int64()), ("since", pa.int64())])
EXPOSURES = pa.schema([("id", pa.string()), ("stage", pa.int64()), ("gross", pa.int64()), ("loss", pa.int64())])
"""Exposure, IFRS 9 stage, micros."""
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
    deficits: pa.Table = field(default_factory=lambda: _DEFICIT.empty_table())
    """Segregation deficits: account kind, instrument code, first day; sorted."""
    exposures: pa.Table = field(default_factory=lambda: EXPOSURES.empty_table())
    """Exposures of the last end of day with their stages and expected losses; sorted by id."""

    def open_deficits(self, kind: AccountKind) -> tuple[np.ndarray, np.ndarray]:
        """Instrument codes in deficit of a kind of account, and since when."""
        kinds, instrument, since = _columns(self.deficits)
        return instrument[kinds == kind], since[kinds == kind]

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
    return replace(former, deficient=_table(account, amount, since), calls=calls)


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


def closed(
    at: Carry,
    day: int,
    sessions: Sessions,
    reserves: Sequence[Reserve],
    deficits: Sequence[tuple[AccountKind, np.ndarray, np.ndarray]],
    exposures: pa.Table,
) -> Carry:
    """The open matters after an end of day: with the deposits just computed, and at a month's end its credits.

    ``deficits``: account kind, instrument codes and first days of segregation deficits; ``exposures``: ``EXPOSURES``.
    """
    rows = [(int(found.kind), found.required, found.due) for found in reserves]
    columns = [pa.array(column, pa.int64()) for column in zip(*rows, strict=True)]
    month_ends = at.month_end_credits
    if _month(int(sessions.day[sessions.after(day, 1)])) != _month(day):
        total = sum(found.deposit.total_credits for found in reserves)
        month_ends = np.append(month_ends, total)[-_MONTHS_KEPT:]
    return replace(
        at,
        deposits=pa.Table.from_arrays(columns, schema=_DEPOSIT),
        month_end_credits=month_ends,
        deficits=_deficits(deficits),
        exposures=exposures,
    )


def _deficits(found: Sequence[tuple[AccountKind, np.ndarray, np.ndarray]]) -> pa.Table:
    kinds = [np.full(len(instrument), int(kind), np.int64) for kind, instrument, _ in found]
    if not kinds:
        return _DEFICIT.empty_table()
    columns = (kinds, [instrument for _, instrument, _ in found], [since for *_, since in found])
    return pa.table([np.concatenate(column).astype(np.int64) for column in columns], schema=_DEFICIT)


def _month(day: int) -> np.datetime64:
    return np.datetime64(day, "D").astype("datetime64[M]")


def _table(account: np.ndarray, amount: np.ndarray, since: np.ndarray) -> pa.Table:
    return pa.table([account, amount, since], schema=_DEFICIENT)
