"""The policies of the house as events: limits, and discretionary add-ons with who, when, why and until when.

What cannot be used is quarantined with what was expected. Without any limit in the log those stand that ship with the
code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import numpy as np
import pyarrow as pa

from streaming.apps.events import Parsed
from streaming.apps.intake import Check, Counts, Quarantine, accept_batch
from streaming.engine.canonical import int64_to_decimal
from streaming.engine.stretch import RawBatch
from streaming.risk.margin.add_ons import AddOn, AddOnError, add_on_of
from streaming.risk.margin.limits import Limit, LimitError, limit_of, sample_limits
from streaming.risk.money import MICRO
from streaming.risk.reference import NO_DATE
from streaming.schema import raw, results
from streaming.schema.model import MONEY, RATE

LIMIT, ADD_ON = "limit", "add_on"
_TEXTS = ("id", "kind", "scope", "metric", "owner", "why")
_AMOUNTS = ("amber", "red", "amount", "share")
_DAYS = ("valid_from", "valid_to")
_EPOCH_DAY = date(1970, 1, 1)
_SCOPES = ("account", "client")


@dataclass(frozen=True, slots=True)
class Policies:
    """What the house has set."""

    limits: tuple[Limit, ...]
    add_ons: tuple[AddOn, ...]


def take_policies(known: pa.Table, batch: RawBatch, counts: Counts, quarantine: Quarantine) -> pa.Table:
    """The policies after a batch of events, by id; a later event of an id replaces the former."""
    parsed, good = accept_batch(raw.POLICIES, batch, counts, quarantine, _checks)
    rows = {row["id"]: row for row in [*known.to_pylist(), *(_row(parsed, at) for at in good.tolist())]}
    return pa.Table.from_pylist([rows[id_] for id_ in sorted(rows)], results.POLICIES)


def policies_of(rows: pa.Table) -> Policies:
    """The policies of the reference application's rows."""
    found = rows.to_pylist()
    limits = tuple(_limit(row) for row in found if row["kind"] == LIMIT)
    add_ons = tuple(_add_on(row) for row in found if row["kind"] == ADD_ON)
    return Policies(limits or _shipped(), add_ons)


def policy_columns(rows: pa.Table) -> dict[str, object]:
    """As columns of the sealed table: what a kind does not have is null."""
    found: dict[str, object] = {name: rows[name] for name in (*_TEXTS, *_DAYS)}
    is_limit = np.array([kind == LIMIT for kind in rows["kind"].to_pylist()], bool)
    for name, type_ in (("amber", MONEY), ("red", MONEY), ("amount", MONEY), ("share", RATE)):
        values = rows[name].to_numpy()
        absent = ~is_limit if name in ("amber", "red") else values == 0
        found[name] = int64_to_decimal(values, type_, absent)
    return found


@cache
def _shipped() -> tuple[Limit, ...]:
    return sample_limits()


def _checks(parsed: Parsed) -> list[Check]:
    found = []
    for at in range(len(parsed.rows)):
        reason = _refusal(parsed, at)
        if reason:
            alone = np.zeros(len(parsed.rows), bool)
            alone[at] = True
            found.append(Check(alone, "bad policy", reason))
    return found


def _refusal(parsed: Parsed, at: int) -> str:
    """What is wrong with one event; empty when nothing is."""
    row = _row(parsed, at)
    if not 1 <= len(row["id"]) <= 64:
        return "id: expected 1 to 64 characters"
    if row["kind"] not in (LIMIT, ADD_ON):
        return f"kind: expected {LIMIT} or {ADD_ON}, found {row['kind']!r}"
    needed = ("amber", "red") if row["kind"] == LIMIT else ("valid_to",)
    missing = [name for name in needed if parsed.absent(name)[at]]
    if missing:
        return f"{missing[0]}: expected a value"
    try:
        _ = _limit(row) if row["kind"] == LIMIT else _add_on(row)
    except (LimitError, AddOnError) as error:
        return str(error)
    return ""


def _row(parsed: Parsed, at: int) -> dict:
    row: dict = {name: parsed.text(name)[at].as_py() for name in _TEXTS}
    row |= {name: int(parsed.whole(name)[at]) for name in _AMOUNTS}
    return row | {name: int(parsed.whole(name, absent=NO_DATE)[at]) for name in _DAYS}


def _limit(row: Mapping) -> Limit:
    fields = {name: row[name] for name in ("metric", "scope", "owner")}
    fields |= {name: Decimal(row[name]) / MICRO for name in ("amber", "red")}
    return limit_of(fields | _days(row, "valid_from", "valid_to"), f"limit {row['id']}")


def _add_on(row: Mapping) -> AddOn:
    level, _, name = row["scope"].partition(":")
    where = f"add-on {row['id']}"
    if level not in _SCOPES or not name:
        raise AddOnError(f"{where}: expected scope account:NAME or client:NAME, found {row['scope']!r}")
    fields = {level: name, "who": row["owner"], "why": row["why"]}
    fields |= {name: Decimal(row[name]) / MICRO for name in ("amount", "share") if row[name]}
    return add_on_of(fields | _days(row, "since", "until"), where)


def _days(row: Mapping, first: str, last: str) -> dict[str, date]:
    """The days that are given, under the names that an entry of a file has."""
    days = {first: row["valid_from"], last: row["valid_to"]}
    return {name: _EPOCH_DAY + timedelta(days=day) for name, day in days.items() if day != NO_DATE}
