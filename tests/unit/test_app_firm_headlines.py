"""Key figures beside capital against plain arithmetic: calls under stress, the smallest breaching move, VaR zones."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from streaming.apps.firm_headlines import deposits_due, stress_headlines, var_zone
from streaming.apps.firm_inputs import Ids
from streaming.apps.firm_parameters import parameters_table
from streaming.apps.tables import build
from streaming.risk.reference import AccountKind, Accounts
from streaming.risk.rulebook import load
from streaming.schema import sealed
from tests.unit.app_days import accounts

MICRO = 1_000_000
RULES = load().at(date(2026, 11, 1))
IDS = Ids(accounts()["id"], pa.chunked_array([[]], pa.string()))
NAMES = IDS.accounts.to_pylist()
OWNERS = Accounts.from_table(accounts())


def stress_rows(after: dict[str, tuple[int, ...]]) -> list[pa.Table]:
    """``after``: scenario -> equity after it in dollars, by account; the loss is what is missing to ZERO."""
    rows = [
        {"account": name, "scenario": scenario, "loss": Decimal(now - left), "equity_after": Decimal(left),
         "part": "", "price_set": ""}
        for scenario, values in after.items()
        for name, now, left in zip(NAMES, after["ZERO"], values, strict=True)
    ]  # fmt: skip
    return [pa.Table.from_pylist(rows, sealed.STRESS.arrow)]


def margin_rows(requirement: tuple[int, ...], excess: tuple[int, ...]) -> list[pa.Table]:
    n = len(NAMES)
    plain = {
        column.name: np.zeros(n, np.int64) if pa.types.is_decimal(column.type) else pa.array([""] * n)
        for column in sealed.MARGIN.columns
    }
    amounts = {"requirement": np.array(requirement) * MICRO, "excess": np.array(excess) * MICRO}
    return [build(sealed.MARGIN, plain | amounts | {"account": pa.array(NAMES)})]


def headlines(after, requirement=(0, 0, 0), excess=(0, 0, 0)):
    return stress_headlines(stress_rows(after), margin_rows(requirement, excess), OWNERS, IDS)


def test_a_call_is_raised_where_the_loss_takes_equity_below_the_requirement_for_the_first_time():
    after = {"ZERO": (100, 100, 100), "M-20": (40, 40, 90)}
    found = headlines(after, requirement=(50, 50, 50), excess=(50, -1, 50))
    assert found["stress_calls"] == (1 * MICRO, "accounts", "Calls raised in M-20")
    assert found["stress_calls_amount"][0] == 10 * MICRO


def test_the_smallest_breaching_move_is_linear_between_sealed_moves_and_nets_a_clients_accounts():
    after = {"ZERO": (100, 100, 50), "M-10": (-100, 50, 50), "M-20": (-100, 50, -150), "M+10": (100, 100, 10)}
    move, unit, label = headlines(after)["smallest_breaching_move"]
    # client C-1 (two accounts): 200 -> -50 at -10%: zero at -8%; client C-2: zero between -10% and -20%
    assert (move, unit) == (-80_000, "fraction")
    assert "C-1" in label


def test_a_rise_can_be_the_nearer_breach():
    after = {"ZERO": (100, 100, 50), "M-20": (100, 100, -50), "M+10": (100, 100, -50)}
    assert headlines(after)["smallest_breaching_move"][0] == 50_000


def test_a_client_that_is_short_already_needs_no_move():
    assert headlines({"ZERO": (1, 1, -1), "M-10": (1, 1, -1)})["smallest_breaching_move"][0] == 0


def test_without_a_breach_the_range_that_was_searched_is_said():
    found = headlines({"ZERO": (1, 1, 1), "M-20": (1, 1, 1), "M+10": (1, 1, 1)})
    assert "smallest_breaching_move" not in found
    assert found["no_breach_up_to"] == (100_000, "fraction", "No client short from -20% to +10% of the index")


def test_the_firms_own_accounts_raise_no_call_and_are_never_short():
    kinds = np.full(len(NAMES), AccountKind.HOUSE, OWNERS.kind.dtype)
    own = replace(OWNERS, kind=kinds)
    after = {"ZERO": (100, 100, 100), "M-20": (-40, 40, 90)}
    assert stress_headlines(stress_rows(after), margin_rows((50,) * 3, (50,) * 3), own, IDS) == {}


@pytest.mark.parametrize(
    ("exceptions", "zone"), [(0, "green"), (4, "green"), (5, "yellow"), (9, "yellow"), (10, "red")]
)
def test_the_zone_counts_exceptions_of_the_newest_window_only(exceptions, zone):
    hits = [True] * 20 + [False] * (250 - exceptions) + [True] * exceptions
    n = len(hits)
    zero = np.zeros(n, np.int64)
    rows = build(
        sealed.VAR_BACKTEST,
        {"date": pa.array(range(n)), "pnl": zero, "var": zero, "es": zero, "exception": pa.array(hits)},
    )
    assert var_zone(rows, RULES)["var_zone"] == (
        exceptions * MICRO, "exceptions", f"{zone}: {exceptions} exceptions in 250 days"
    )  # fmt: skip


def test_fewer_days_than_the_window_have_no_zone_of_their_own():
    rows = build(
        sealed.VAR_BACKTEST, {name: pa.array([0]) for name in ("date", "pnl", "var", "es")} | {"exception": [True]}
    )
    assert var_zone(rows, RULES)["var_zone"][2].startswith("insufficient window")
    assert var_zone(sealed.VAR_BACKTEST.arrow.empty_table(), RULES) == {}


def test_the_sealed_parameters_are_those_in_force_with_their_paragraph_and_evidence():
    rows = {row["id"]: row for row in parameters_table(RULES).to_pylist() if not row["client"] and not row["product"]}
    assert set(rows) == {item.id for item in load().parameters if item.covers(RULES.rule_date)}
    for name in ("regt.maintenance.long_equity", "stress.reverse.correlation"):
        entry = RULES.parameter(name)
        row = rows[name]
        assert (row["value"], row["unit"], row["rule"], row["evidence"], row["source"]) == (
            str(entry.value), entry.unit, entry.rule, entry.evidence, entry.source
        )  # fmt: skip


def test_a_reserve_deposit_is_due_at_a_new_york_time_so_many_hours_from_now():
    due = 1_584_541_800_000_000  # 18 March 2020, 10:30 in New York
    reserve = SimpleNamespace(kind=AccountKind.CUSTOMER, due=due)
    found = deposits_due([reserve], due - 90 * 60 * MICRO)
    assert found == {"reserve_customer_due": (1_500_000, "hours", "2020-03-18 10:30 New York")}
