"""Key figures of the firm beside its capital: segregation, deposits due, what stress would bring, the zone of VaR."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.firm_inputs import Ids, codes
from streaming.engine.canonical import decimal_to_int64
from streaming.risk.capital.clients import Part
from streaming.risk.capital.inputs import Cut, StockRecord
from streaming.risk.capital.marking import Marks
from streaming.risk.capital.operations import OpenDeficits, possession
from streaming.risk.capital.reserve import Reserve
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Accounts
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios import shipped
from streaming.risk.var.backtest import traffic_light

Headline = tuple[int, str, str]
"""Value in micros, unit, label."""
NEW_YORK = ZoneInfo("America/New_York")
_HOUR_PER_MICRO = 3_600
"""Microseconds of time that are one micro of an hour."""
_LADDER = ("ZERO", "M-05", "M-10", "M-20", "M+10")
"""Scenarios that move the whole index, with the volatility that goes with it."""


def segregation(part: Part, record: StockRecord | None, ready: Marks, cut: Cut, rules: Rules) -> dict[str, Headline]:
    """Market value of customers' securities that are not in possession or control, 15c3-3(b); none without a record."""
    if record is None:
        return {}
    nothing = np.empty(0, np.int64)
    known = OpenDeficits(nothing, nothing)
    found = possession(AccountKind.CUSTOMER, part.securities, record, ready, cut, known, rules)
    securities = int((found.deficit > 0).sum())
    return {"segregation_deficits": (int(found.value.sum()), "USD", f"Segregation deficits, {securities} securities")}


def deposits_due(reserves: Sequence[Reserve], now: int) -> dict[str, Headline]:
    """When each reserve deposit is due, 15c3-3(e)(3): hours from ``now`` (microseconds), the instant as label."""
    found = {}
    for reserve in reserves:
        local = datetime.fromtimestamp(reserve.due / MICRO, NEW_YORK)
        hours = (reserve.due - now) // _HOUR_PER_MICRO
        found[f"reserve_{reserve.kind.name.lower()}_due"] = (hours, "hours", f"{local:%Y-%m-%d %H:%M} New York")
    return found


def stress_headlines(
    stress: Sequence[pa.Table], margin: Sequence[pa.Table], accounts: Accounts, ids: Ids
) -> dict[str, Headline]:
    """Calls the worst scenario would raise, and the smallest index move that leaves a client short.

    A call is raised where equity after the loss is below today's requirement and there is no deficit yet. Accounts of
    one client stand for one another; the firm's own are left out. Between the moves that are sealed, equity is taken
    as linear.
    """
    if not stress or not margin:
        return {}
    rows = pa.concat_tables(stress)
    account = codes(rows["account"], ids.accounts)
    names, scenario = np.unique(rows["scenario"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    loss, after = decimal_to_int64(rows["loss"]), decimal_to_int64(rows["equity_after"])
    client = accounts.kind[account] != AccountKind.HOUSE
    if not client.any():
        return {}
    account, scenario, loss, after = account[client], scenario[client], loss[client], after[client]
    total = np.zeros(len(names), np.int64)
    np.add.at(total, scenario, loss)
    worst = int(np.argmax(total))
    here = scenario == worst
    found = _calls(account[here], after[here], pa.concat_tables(margin), ids, str(names[worst]))
    owners, owner = np.unique(accounts.client[account].astype(str), return_inverse=True)
    equity = np.zeros((len(names), len(owners)), np.int64)
    np.add.at(equity, (scenario, owner), after)
    return found | _smallest_move({str(name): row for name, row in zip(names, equity, strict=True)}, owners)


def _calls(account: np.ndarray, after: np.ndarray, margin: pa.Table, ids: Ids, scenario: str) -> dict[str, Headline]:
    held = codes(margin["account"], ids.accounts)
    requirement, excess = np.zeros((2, len(ids.accounts)), np.int64)
    requirement[held], excess[held] = decimal_to_int64(margin["requirement"]), decimal_to_int64(margin["excess"])
    raised = (excess[account] >= 0) & (after < requirement[account])
    amount = int((requirement[account] - after)[raised].sum())
    return {
        "stress_calls": (int(raised.sum()) * MICRO, "accounts", f"Calls raised in {scenario}"),
        "stress_calls_amount": (amount, "USD", f"Amount of the calls raised in {scenario}"),
    }


def _smallest_move(equity: dict[str, np.ndarray], owners: np.ndarray) -> dict[str, Headline]:
    """``equity``: scenario -> equity after it by client, micros."""
    library = shipped.load()
    moves = {library[name].index: equity[name] for name in _LADDER if name in equity}
    if 0 not in moves:
        return {}
    found: list[tuple[int, int, str]] = []
    for side in (-1, 1):
        ladder = sorted((move for move in moves if move * side >= 0), key=abs)
        for near, far in zip(ladder[:-1], ladder[1:], strict=True):
            for place in np.flatnonzero(moves[far] < 0).tolist():
                move = _crossing(near, far, int(moves[near][place]), int(moves[far][place]))
                found.append((abs(move), move, str(owners[place])))
    found += [(0, 0, str(owners[place])) for place in np.flatnonzero(moves[0] < 0).tolist()]
    if not found:
        low, high = min(moves), max(moves)
        label = f"No client short from {low / MICRO:+.0%} to {high / MICRO:+.0%} of the index"
        return {"no_breach_up_to": (min(-low, high), "fraction", label)}
    _, move, client = min(found)
    return {"smallest_breaching_move": (move, "fraction", f"Smallest index move that leaves {client} short")}


def _crossing(near: int, far: int, before: int, after: int) -> int:
    """The move in ppm at which equity is zero between ``near`` and ``far``; ``near`` when it is negative there."""
    if before < 0:
        return near
    step = abs(far - near) * before // (before - after)
    return near + step if far > near else near - step


def var_zone(backtest: pa.Table, rules: Rules) -> dict[str, Headline]:
    """Exceptions of the newest window of a sealed ``var_backtest``, with its zone; none without days."""
    days = min(backtest.num_rows, int(rules.value("backtest.window")))
    if not days:
        return {}
    recent = backtest["exception"].slice(backtest.num_rows - days)
    exceptions = int(pc.sum(recent).as_py() or 0)
    zone = traffic_light(days, exceptions, rules.ppm("backtest.confidence"), rules).zone
    return {"var_zone": (exceptions * MICRO, "exceptions", f"{zone}: {exceptions} exceptions in {days} days")}
