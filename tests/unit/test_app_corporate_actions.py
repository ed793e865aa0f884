"""Corporate actions: corrected, cancelled, late, repeated; positions are as if the error had never happened."""

import numpy as np
import pyarrow as pa
import pytest

from streaming.apps.corporate_actions import EXPIRY, SPLIT, ActionsState, begin_day, effective, take_actions
from streaming.apps.intake import Counts, Quarantine
from streaming.engine.stretch import RawBatch
from tests.kit import tiny_day
from tests.kit.tiny_day import OPTION, TinyDay


def action(kind: str, id_: str = "CA", version: int = 1, what: str = "", **more: object) -> tuple[str, str, bytes]:
    fields = {"id": id_, "kind": kind, "instrument": OPTION if kind == "expiry" else "AAA", "numerator": 3}
    fields |= {"denominator": 1, "amount": "0.25", "price": "12"}
    if version > 1:
        fields |= {"version": version, "action": what or "correct"}
    return "actions", "", tiny_day.event(**fields | more)


def buy(id_: str, quantity: int, price: str = "10", instrument: str = "AAA") -> tuple[str, str, bytes]:
    return "trades", "A1", tiny_day.trade(id_, "A1", instrument, "buy", quantity, price)


def opened(quantity: int, instrument: str = "AAA") -> tuple[str, str, bytes]:
    return "custody", "A1", tiny_day.opening(f"O-{instrument}", "A1", instrument, quantity, "60")


def ended(folder, *steps) -> dict[str, list[dict]]:
    """The tables at the end of steps, each a list of events, ``SET`` behind one that takes a price set."""
    jobs, marked = tiny_day.account_jobs(), []
    for step in steps:
        marked.append(([event for event in step if event is not SET], "set" if SET in step else ""))
    log = TinyDay([*marked, ([], "cut")], jobs).write(folder)
    (cut,) = tiny_day.run(log, jobs)
    log.close()
    return {name: table.to_pylist() for name, table in cut.tables.items()}


SET = object()
BEFORE = [opened(20), opened(1, OPTION)]
BOTH = [*BEFORE, opened(8, "BBB")]
DAYS = {
    "a corrected ratio": (
        [BEFORE, [action("split", numerator=30)], [buy("T1", 5)], [action("split", version=2)]],
        [BEFORE, [action("split")], [buy("T1", 5)]],
    ),
    "a split announced twice": (
        [BEFORE, [action("split")], [action("split", "CA-B"), buy("T1", 5)], [action("split", "CA-B", 2, "cancel")]],
        [BEFORE, [action("split")], [buy("T1", 5)]],
    ),
    "a split announced after the first price set": (
        [BEFORE, [SET], [buy("T1", 5)], [action("split")]],
        [BEFORE, [action("split")], [SET], [buy("T1", 5)]],
    ),
    "a dividend announced after the first price set": (
        [BEFORE, [SET], [buy("T1", 5)], [action("cash_dividend")]],
        [BEFORE, [action("cash_dividend")], [SET], [buy("T1", 5)]],
    ),
    "a dividend of another amount": (
        [BEFORE, [action("cash_dividend", amount="2.5")], [buy("T1", 5)], [action("cash_dividend", version=2)]],
        [BEFORE, [action("cash_dividend")], [buy("T1", 5)]],
    ),
    "a split of another share": (
        [
            [*BEFORE, opened(8, "BBB")],
            [action("split", instrument="BBB")],
            [buy("T1", 5)],
            [action("split", version=2)],
        ],
        [[*BEFORE, opened(8, "BBB")], [action("split")], [buy("T1", 5)]],
    ),
    "a settlement price that brought a delivery": (
        [BEFORE, [action("expiry")], [buy("T1", 5)], [action("expiry", version=2, price="9")]],
        [BEFORE, [action("expiry", price="9")], [buy("T1", 5)]],
    ),
    "a settlement price that kept a delivery away": (
        [BEFORE, [action("expiry", price="9")], [buy("T1", 5)], [action("expiry", version=2)]],
        [BEFORE, [action("expiry")], [buy("T1", 5)]],
    ),
    "a cancelled expiry and trades behind it": (
        [BEFORE, [action("expiry")], [buy("T1", 2, "1", OPTION)], [action("expiry", version=2, what="cancel")]],
        [BEFORE, [], [buy("T1", 2, "1", OPTION)]],
    ),
    "a correct that comes before its new": (
        [BEFORE, [action("split", version=2)], [buy("T1", 5)], [action("split", numerator=30)]],
        [BEFORE, [], [buy("T1", 5)], [action("split")]],
    ),
}


@pytest.mark.parametrize("name", DAYS)
def test_positions_and_cash_are_as_if_the_error_had_never_happened(name, tmp_path):
    mistaken, right = (ended(tmp_path / str(i), *steps) for i, steps in enumerate(DAYS[name]))

    def of_something(rows: list[dict]) -> list[dict]:
        return [row for row in rows if any(value for value in row.values() if not isinstance(value, str))]

    for table in ("positions", "cash"):
        assert of_something(mistaken[table]) == of_something(right[table])
    assert mistaken["rejects"] == []


def test_the_sealed_actions_are_the_effective_ones(tmp_path):
    steps = [[action("split", numerator=30), action("split", "CA-B")], [action("split", version=2)]]
    found = ended(tmp_path, BEFORE, *steps, [action("split", "CA-B", 2, "cancel")])
    assert [(row["id"], row["version"], row["numerator"]) for row in found["actions"]] == [("CA", 2, 3)]


@pytest.mark.parametrize(
    ("again", "outcome", "reason"),
    [
        (action("split"), "duplicate", None),
        (action("split", numerator=4), "quarantined", "conflict"),
        (action("split", version=3), "parked", None),
        (action("split", version=2, action="new"), "quarantined", "bad version"),
        (action("split", version=2, action="undo"), "quarantined", "unknown action"),
        (action("split", version=2, numerator=0), "quarantined", "bad ratio"),
    ],
)
def test_what_repeats_contradicts_or_comes_too_early_changes_nothing(again, outcome, reason, tmp_path):
    found = ended(tmp_path, BEFORE, [action("split")], [again])
    (counts,) = [row for row in found["counts"] if row["topic"] == "actions"]
    assert (counts["applied"], counts[outcome]) == (1, 1)
    assert [row["reason"] for row in found["quarantine"]] == ([reason] if reason else [])
    assert [row["quantity"] for row in found["positions"] if row["instrument"] == "AAA"] == [60]


def taken(state: ActionsState, epoch: int, *events: tuple[str, str, bytes]) -> list[str]:
    """Put events of one epoch in; the reasons for which some were refused."""
    quarantine, n = Quarantine(), len(events)
    batch = RawBatch(
        "actions", 0, np.arange(n), np.full(n, epoch), np.zeros(n, np.int64), [payload for _, _, payload in events]
    )
    take_actions(state, batch, pa.array(["AAA", OPTION]), Counts(), quarantine)
    return quarantine.table()["reason"].to_pylist()


def test_a_correction_of_an_earlier_date_is_refused_and_a_repetition_is_none(tmp_path):
    state = ActionsState()
    begin_day(state, 1)
    assert taken(state, 3, action("split")) == []
    begin_day(state, 2)
    assert taken(state, 9, action("split"), action("split", version=2)) == ["earlier date"]
    assert state.table.num_rows == 0


def test_ids_are_kept_for_five_business_days():
    state = ActionsState()
    for day in range(1, 8):
        begin_day(state, day)
        if day in (1, 3, 7):
            assert taken(state, day, action("split", f"CA{day}")) == []
    assert len(state.seen.high) == 2


def test_actions_apply_in_the_order_of_their_places():
    state = ActionsState()
    begin_day(state, 1)
    state.first_set = 4
    taken(state, 3, action("split", "early"))
    taken(state, 8, action("expiry", "gone"))
    taken(state, 9, action("split", "late"))
    found = effective(state.table).to_pylist()
    assert [(row["id"], row["kind"], row["epoch"]) for row in found] == [
        ("early", SPLIT, 3), ("late", SPLIT, 4), ("gone", EXPIRY, 8)
    ]  # fmt: skip
