"""Positions from one business date to the next."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pytest

from streaming.apps.positions import PositionsApp, PositionsState, cash_balances
from streaming.apps.rules import versions_in_force
from streaming.apps.sequence import CANCEL, CORRECT, NEW
from streaming.engine.epochs import Epoch
from streaming.engine.frames import Frame
from streaming.engine.stretch import Position, Stretch
from streaming.risk.money import MICRO
from streaming.schema import results
from tests.unit.capital_books import day
from tests.unit.firm_books import reference_tables

FRIDAY, MONDAY = date(2020, 3, 13), date(2020, 3, 16)


def movement(key: int, dollars: int, epoch: int, version: int = 1, action: int = NEW) -> dict:
    row: dict = {"epoch": epoch, "ordinal": epoch, "partition": 0, "offset": 0, "key_high": 0, "key_low": key}
    row |= {"id": f"C{key}", "version": version, "action": action, "account": 0, "kind": 1, "currency": "USD"}
    return row | {"amount": dollars * MICRO, "settle_date": day("2020-03-13"), "short_proceeds": 0}


def trade(key: int, quantity: int, epoch: int, version: int = 1, action: int = NEW) -> dict:
    row: dict = {"epoch": epoch, "ordinal": version, "partition": 0, "offset": 0, "key_high": 0, "key_low": key}
    row |= {"id": f"T{key}", "version": version, "action": action, "account": 0, "instrument": 0, "kind": 0}
    row |= {"quantity": quantity, "price": MICRO, "fee": 0, "event_time": 0, "day": day("2020-03-16")}
    return row | {"settle_date": day("2020-03-17"), "counterparty": "B", "venue": "X"}


def traded(*stretches: Sequence[dict]) -> PositionsState:
    """Monday's trades, behind a Friday without any."""
    state = PositionsState()
    step(state, 1, FRIDAY, movement(1, 100, 1))
    for trades in stretches:
        step(state, trades[-1]["epoch"], MONDAY, trades=trades)
    return state


def step(state: PositionsState, last: int, on: date, *movements: dict, trades: Sequence[dict] = ()) -> int:
    """Apply one stretch; account 0's dollars behind it."""
    book = {
        "cash": pa.Table.from_pylist(list(movements), schema=results.CASH),
        "trades": pa.Table.from_pylist(list(trades), schema=results.TRADES),
    }
    frames = {"reference": [Frame(last, last, reference_tables())], "book": [Frame(last, last, book)]}
    versions = versions_in_force(date(2026, 11, 1), "test")
    PositionsApp().apply(state, Stretch(last, Epoch(last, 0, on, {}), versions, {}, frames, Position()))
    (row,) = [row for row in cash_balances(state).to_pylist() if row["account"] == 0]
    return row["amount"] // MICRO


def test_a_corrected_movement_counts_once_and_a_cancelled_one_not():
    state = PositionsState()
    assert step(state, 1, FRIDAY, movement(1, 100, 1), movement(2, 50, 1)) == 150
    assert step(state, 2, FRIDAY, movement(1, 70, 2, 2, CORRECT)) == 120
    assert step(state, 3, FRIDAY, movement(2, 50, 3, 2, CANCEL), movement(3, 1, 3)) == 71


@pytest.mark.parametrize("action", [CORRECT, CANCEL])
def test_a_correction_of_an_earlier_dates_movement_is_rejected_and_moves_no_money(action):
    state = PositionsState()
    step(state, 1, FRIDAY, movement(1, 100, 1))
    assert step(state, 2, MONDAY, movement(1, 70, 2, 2, action), movement(2, 5, 2)) == 105
    assert state.rejects["reason"].to_pylist() == ["corrects a movement of an earlier business date"]


def test_two_corrections_of_an_earlier_dates_trade_are_rejected_together_as_apart():
    second, third = trade(1, 10, 2, 2, CORRECT), trade(1, 20, 3, 3, CORRECT)
    together, apart = traded([second, third]), traded([second], [third])
    assert together.rejects.to_pylist() == apart.rejects.to_pylist()
    assert together.rejects["reason"].to_pylist() == ["corrects a trade of an earlier business date"] * 2
    assert not len(together.events)
    assert not len(apart.events)


@pytest.mark.parametrize("together", [True, False])
def test_the_newest_of_several_corrections_takes_the_original_place(together):
    events = [trade(1, 5, 2), trade(2, 7, 3), trade(1, 10, 4, 2, CORRECT), trade(1, 20, 5, 3, CORRECT)]
    state = traded(events) if together else traded(*([event] for event in events))
    order = state.events["epoch"].argsort()
    assert state.events["quantity"][order].tolist() == [20, 7]
    assert state.events["epoch"][order].tolist() == [2, 3]
