"""What the firm computes at the end of day only: stress, reverse stress, group view, operations, credit, resolution."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streaming.apps.firm import FirmApp, FirmState
from streaming.engine.canonical import decode, encode, table_digest
from streaming.schema.sealed import TABLES
from tests.unit.capital_books import day
from tests.unit.firm_books import stretch

CLOSE = {
    "stress_capital", "reverse_stress", "capital_stack", "open_items", "possession", "stock_loans", "security_use",
    "credit_losses", "credit_movement", "funding_path", "portability", "transaction_reports", "transaction_faults",
}  # fmt: skip


def closed(**wanted) -> tuple[FirmState, dict[str, pa.Table]]:
    app, cut = FirmApp(), stretch(valued=True, **wanted)
    state, _ = app.apply(app.empty(0, wanted.get("shards", 1)), cut)
    return state, dict(app.seal(state, cut.last))


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return closed()[1]


def row(table: pa.Table, **key: object) -> dict:
    for name, value in key.items():
        table = table.filter(pc.equal(table[name], value))
    (found,) = table.to_pylist()
    return found


def lines(tables: dict[str, pa.Table], statement: str) -> dict[str, Decimal | None]:
    rows = tables["capital_lines"].filter(pc.equal(tables["capital_lines"]["statement"], statement)).to_pylist()
    return {item["code"]: item["amount"] for item in rows}


def test_a_cut_during_the_day_seals_none_of_it(tables):
    assert set(tables) >= CLOSE
    assert not CLOSE & set(closed(cut="2020-03-16/1000")[1])


@pytest.mark.parametrize("shards", [2, 4])
def test_the_number_of_shards_changes_no_cent(tables, shards):
    again = closed(shards=shards)[1]
    assert {name: table_digest(TABLES[name], again[name]) for name in CLOSE} == {
        name: table_digest(TABLES[name], tables[name]) for name in CLOSE
    }


def test_before_stress_is_the_cut_itself(tables):
    found = row(tables["stress_capital"], scenario="before stress")
    assert found["net_capital"] == lines(tables, "net_capital")["net_capital"]
    assert found["required"] == lines(tables, "requirement_alternative")["minimum.alternative"]


def test_capital_falls_by_the_houses_loss_and_by_what_margin_lacks(tables):
    before = row(tables["stress_capital"], scenario="before stress")
    found = row(tables["stress_capital"], scenario="M-10")
    # the house is long 1,100 AAA at 90 and short 2,000 BBB at 40
    assert found["house_profit"] == -1_100 * 9 + 2_000 * 4
    # A1 loses 4,700 x 9 beyond the call of today; A2 8,000 x 4 and 750 x 2 x 1.1; A4, a broker-dealer, 800 x 4
    assert found["undermargined"] == 42_300 + 32_000 + 1_650 + 3_200
    fall = before["tentative_net_capital"] - found["tentative_net_capital"]
    assert fall == found["undermargined"] - found["house_profit"]
    assert found["haircuts"] == before["haircuts"] * Decimal("0.9")


def test_what_clients_cannot_pay_is_an_unsecured_debit_of_the_scenario(tables):
    found = row(tables["stress_capital"], scenario="H2008d")
    # A1: debit 270,007 against 4,700 x 45 less ten calls at 300: 208,500 after halving; A2, A4 stay covered
    assert found["unsecured_debits"] > 0
    assert row(tables["stress_capital"], scenario="M+10")["unsecured_debits"] == 0


def test_stock_loans_are_marked_with_the_scenario_so_no_deficit_arises(tables):
    before, after = (row(tables["stress_capital"], scenario=name) for name in ("before stress", "M+10"))
    gain = after["tentative_net_capital"] - before["tentative_net_capital"]
    assert gain == after["house_profit"] - after["undermargined"]


def test_a_reverse_stress_names_the_move_or_that_there_is_none(tables):
    firm = row(tables["reverse_stress"], target="firm: early warning")
    assert not firm["breaches"]
    assert firm["spot"] is None
    assert firm["room"] == row(tables["stress_capital"], scenario="before stress")["warning_headroom"]
    client = row(tables["reverse_stress"], target="client: equity")
    assert client["name"] == "C1"
    # net equity 149,993 with ten short calls that keep their value: gone when 4,700 shares at 90 have lost that much
    assert float(client["spot"]) == pytest.approx(-149_993 / (4_700 * 90), abs=1e-5)


def test_the_stack_loses_the_house_result_and_new_unsecured_debits_from_cet1(tables):
    before, after = (row(tables["capital_stack"], scenario=name) for name in ("before stress", "H2008d"))
    stress = row(tables["stress_capital"], scenario="H2008d")
    assert after["loss"] == stress["unsecured_debits"] - stress["house_profit"]
    assert before["cet1"] - after["cet1"] == after["loss"]
    assert (
        before["cet1"]
        == lines(tables, "group_own_funds")["own.cet1"]
        == lines(tables, "net_capital")["ownership_equity"]
    )
    assets = lines(tables, "group_assets")
    assert float(before["cet1_ratio"]) == pytest.approx(float(before["cet1"] / assets["rwa.total"]), abs=1e-6)
    assert before["total_over_p1"] == before["total"] - lines(tables, "group_ratios")["total.p1.required"]


def test_group_totals_add_up(tables):
    for statement, total in (("group_credit_risk", "credit.total"), ("group_leverage", "leverage.total")):
        found = lines(tables, statement)
        assert found[total] == sum(amount or 0 for code, amount in found.items() if code != total)
    market = lines(tables, "group_market_risk")
    assert market["market.total"] == sum(v for code, v in market.items() if code[7:].isdigit())
    assert lines(tables, "group_assets")["rwa.market"] == market["market.total"] * Decimal("12.5")
    assert "group_own_funds" not in str(tables["headlines"]["name"].to_pylist()), "never in the headlines"


def test_focus_lines_repeat_the_computation_under_their_codes(tables):
    net, focus = lines(tables, "net_capital"), lines(tables, "focus_net_capital")
    assert focus["3480"] == net["ownership_equity"]
    assert focus["3750"] == net["net_capital"] == focus["3640"] - focus["3740"]
    marks = tables["capital_lines"].filter(pc.starts_with(tables["capital_lines"]["statement"], "focus_"))
    assert set(marks["evidence"].to_pylist()) <= {"K", "V"}


def test_customers_securities_are_segregated_or_usable_and_use_adds_up(tables):
    use = tables["security_use"].to_pylist()
    assert [(r["account"], r["instrument"], r["used"]) for r in use if r["used"]] == [("A2", "BBB", 400)]
    assert all(r["segregated"] + r["usable"] == r["quantity"] for r in use)
    found = lines(tables, "hypothecation")
    assert found["hypothecation.used"] == 400 * 40
    assert found["hypothecation.limit"] == found["hypothecation.debits"] * Decimal("1.4")


def test_open_items_carry_their_age_and_rule(tables):
    (fail,) = tables["open_items"].to_pylist()
    assert (fail["what"], fail["instrument"], fail["quantity"], fail["amount"]) == (
        "fail_to_receive",
        "CCC",
        100,
        2_200,
    )
    assert fail["close_out"] is None
    assert not fail["overdue"]


def test_credit_losses_move_from_nothing_on_the_first_day(tables):
    moved = row(tables["credit_movement"], measure="gross", stage=1)
    assert moved["opening"] == 0
    assert moved["closing"] == moved["new"] == sum(tables["credit_losses"]["gross"].to_pylist())


def test_the_next_day_opens_with_what_this_one_closed():
    state, tables = closed()
    assert state.carry.exposures["id"].to_pylist() == tables["credit_losses"]["exposure"].to_pylist()
    app = FirmApp()
    again = decode(encode(state), FirmState)
    next_day, _ = app.apply(again, stretch(valued=True))
    moved = row(app.seal(next_day, stretch().last)["credit_movement"], measure="loss", stage=1)
    assert moved["opening"] == moved["closing"] > 0
    assert moved["new"] == moved["derecognised"] == moved["remeasured"] == 0


def test_a_segregation_deficit_keeps_its_first_day():
    app = FirmApp()
    state = app.empty(0, 1)
    earlier = day("2020-03-12")
    deficits = pa.table({"kind": [0], "instrument": [1], "since": [earlier]}, schema=state.carry.deficits.schema)
    kept = type(state.carry)(deficits=deficits)
    instrument, since = kept.open_deficits(0)
    assert (instrument.tolist(), since.tolist()) == ([1], [earlier])
    assert kept.open_deficits(1)[0].tolist() == []


def test_the_funding_path_adds_up_by_day(tables):
    path = tables["funding_path"].to_pylist()
    for days in (0, 1, 2, 5, 10, 30):
        flows = {
            side: sum(r["amount"] for r in path if r["days"] == days and r["direction"] == side)
            for side in ("inflow", "outflow")
        }
        gap = next(r["amount"] for r in path if r["days"] == days and r["flow"] == "cumulative gap")
        assert gap == flows["inflow"] - flows["outflow"]


def test_accounts_with_an_open_call_or_a_short_reserve_cannot_be_ported(tables):
    found = {r["account"]: r["obstacle"] for r in tables["portability"].to_pylist()}
    assert found == {"A1": "unmet call", "A2": "none", "A3": "reserve short", "A4": "reserve short"}
