"""Corporate actions and expiries: their versions, and the place among the day's events at which each applies.

A split or dividend belongs to the opening of its day: announced after the day's first price set, it applies as if it
had come with that set. An expiry applies when it comes. A correct keeps its original's place; a cancelled action keeps
its row, without effect, so that the numbers of the others stay.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.events import Parsed
from streaming.apps.intake import Check, Counts, Quarantine, first_failures, required
from streaming.apps.sequence import (
    ACCEPT,
    CANCEL,
    CANCELLED,
    CONFLICT,
    DAYS_KEPT,
    DUPLICATE,
    NEW,
    PARKED,
    WAITS,
    Seen,
    content_hash,
    in_sequence,
    keys,
    to_park,
    version_checks,
    with_parked,
)
from streaming.apps.sequence import ACTIONS as VERSIONS
from streaming.engine.stretch import RawBatch
from streaming.risk.reference import NO_DATE
from streaming.schema import results
from streaming.schema.raw import ACTIONS

ACTION_KINDS = ("split", "cash_dividend", "expiry")
SPLIT, CASH_DIVIDEND, EXPIRY = range(3)
_FACTOR_MAX = 1_000
_NONE_YET = -1


@dataclass(slots=True)
class ActionsState:
    """The day's actions, and the ids of the last days."""

    table: pa.Table = field(default_factory=results.ACTIONS.empty_table)
    """Of the day: the newest version of each, in the order of their first versions."""
    first_set: int = _NONE_YET
    """The epoch of the day's first price set."""
    days: tuple = ()
    """The business days for which ids are kept, oldest first."""
    seen: Seen = field(default_factory=Seen)
    parked: pa.Table = field(default_factory=PARKED.empty_table)
    """Corrects and cancels that wait for their predecessor."""
    parked_offsets: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64), metadata={"locator": True})


def begin_day(state: ActionsState, day: int) -> None:
    state.table, state.first_set = results.ACTIONS.empty_table(), _NONE_YET
    state.days = (*state.days, day)[-DAYS_KEPT:]
    state.seen.forget_before(state.days[0])


def note_price_set(state: ActionsState, epoch: int) -> None:
    """A price set was taken at the end of that epoch."""
    if state.first_set == _NONE_YET:
        state.first_set = epoch


def effective(actions: pa.Table) -> pa.Table:
    """What is not cancelled, in the order in which it applies."""
    kept = actions.filter(pc.not_equal(actions["action"], CANCEL))
    return kept.take(pa.array(np.argsort(kept["epoch"].to_numpy(), kind="stable")))


def take_actions(
    state: ActionsState, batch: RawBatch, instruments: pa.Array, counts: Counts, quarantine: Quarantine
) -> None:
    """Accept the events of a batch into the day's actions; the rest waits, repeats or is refused, and is counted."""
    batch, parsed, ordinals = with_parked(ACTIONS, state.parked, state.parked_offsets, counts, batch)
    refused: dict[int, tuple[str, str]] = {bad.row: (bad.reason, bad.detail) for bad in parsed.malformed}
    columns = _columns(parsed, instruments)
    failed = first_failures([*required(ACTIONS, parsed), *_checks(parsed, columns)], len(parsed.rows))
    refused |= {int(parsed.rows[row]): (check.reason, check.detail) for row, check in failed.items()}
    good = np.setdiff1d(np.arange(len(parsed.rows)), np.fromiter(failed, np.int64, len(failed)))
    good = good[np.argsort(ordinals[parsed.rows[good]], kind="stable")]
    messages = parsed.rows[good]
    ids, versions, action = parsed.text("id").take(pa.array(good)).to_pylist(), *_of(columns, good, "version", "action")
    high, low = keys(ACTIONS.name, ids, versions)
    content = content_hash(columns, good)
    verdict, sequence = in_sequence(state.seen, ACTIONS.name, ids, versions, high, low, content, action)
    for i in np.flatnonzero((verdict == CONFLICT) | (verdict == CANCELLED)).tolist():
        refused[int(messages[i])] = (
            ("conflict", f"id, version: {ids[i]!r}, {versions[i]} came before with other content")
            if verdict[i] == CONFLICT
            else ("cancelled before", f"id: {ids[i]!r} was cancelled by an earlier version")
        )
    accepted = np.flatnonzero(verdict == ACCEPT)
    accepted = accepted[np.lexsort((versions[accepted], sequence[accepted]))]
    epochs = batch.epochs[messages][sequence]  # what had to wait for its predecessor takes effect with it
    fresh = [
        {name: int(values[good[i]]) for name, values in columns.items()} | {"id": ids[i], "epoch": int(epochs[i])}
        for i in accepted.tolist()
    ]
    former = _apply(state, fresh)
    for i in accepted[former].tolist():
        refused[int(messages[i])] = ("earlier date", f"id: {ids[i]!r} is of an earlier business date: restate that one")
    taken = np.delete(accepted, former)
    state.seen.add(high[taken], low[taken], content[taken], action[taken], state.days[-1])
    waits = np.sort(messages[verdict == WAITS])
    state.parked, state.parked_offsets = to_park(batch, ordinals, waits)
    now = int(batch.epochs.max())
    for row in sorted(refused):
        quarantine.add(batch, row, int(ordinals[row]), now, *refused[row])
    outcomes = {"applied": len(taken), "duplicate": int((verdict == DUPLICATE).sum()), "parked": len(waits)}
    counts.add(ACTIONS.name, batch.partition, quarantined=len(refused), **outcomes)


def _columns(parsed: Parsed, instruments: pa.Array) -> dict[str, np.ndarray]:
    """What an event says, as numbers."""
    instrument = pc.fill_null(pc.index_in(parsed.text("instrument"), instruments), -1)
    return {
        "version": parsed.whole("version", absent=1),
        "action": parsed.among("action", VERSIONS, absent=NEW),
        "kind": parsed.among("kind", ACTION_KINDS),
        "instrument": instrument.to_numpy(zero_copy_only=False).astype(np.int64),
        "numerator": parsed.whole("numerator"),
        "denominator": parsed.whole("denominator"),
        "amount": parsed.whole("amount"),
        "price": parsed.whole("price"),
        "pay_date": parsed.whole("pay_date", absent=NO_DATE),
    }


def _of(columns: dict[str, np.ndarray], rows: np.ndarray, *names: str) -> tuple[np.ndarray, ...]:
    return tuple(columns[name][rows] for name in names)


def _checks(parsed: Parsed, columns: dict[str, np.ndarray]) -> list[Check]:
    kind, up, down = columns["kind"], columns["numerator"], columns["denominator"]
    bad_ratio = (up <= 0) | (down <= 0) | (up > _FACTOR_MAX) | (down > _FACTOR_MAX)
    return [
        *version_checks(parsed, columns["action"], columns["version"]),
        Check(kind < 0, "unknown kind", f"kind: expected one of {', '.join(ACTION_KINDS)}"),
        Check(columns["instrument"] < 0, "unknown instrument", "instrument: expected a known instrument"),
        Check((kind == SPLIT) & bad_ratio, "bad ratio", "numerator, denominator: expected 1 to 1,000"),
        Check((kind == CASH_DIVIDEND) & (columns["amount"] <= 0), "bad amount", "amount: expected above 0"),
        Check((kind == EXPIRY) & parsed.absent("price"), "missing field", "price: expected a settlement price"),
    ]


def _apply(state: ActionsState, fresh: list[dict]) -> list[int]:
    """Put accepted events into the day's table; the places of those in ``fresh`` that correct an earlier day's."""
    rows = state.table.to_pylist()
    numbers = {row["id"]: number for number, row in enumerate(rows)}
    former = []
    for place, row in enumerate(fresh):
        if row["action"] == NEW:
            numbers[row["id"]] = len(rows)
            rows.append(row | {"epoch": _effect(state, row)})
        elif row["id"] in numbers:
            number = numbers[row["id"]]
            rows[number] = row | {"epoch": rows[number]["epoch"]}
        else:
            former.append(place)
    state.table = pa.Table.from_pylist(rows, schema=results.ACTIONS)
    return former


def _effect(state: ActionsState, row: dict) -> int:
    """The epoch before whose events an action applies."""
    late = row["kind"] != EXPIRY and _NONE_YET < state.first_set < row["epoch"]
    return state.first_set if late else row["epoch"]
