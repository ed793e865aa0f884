"""The stress application and the firm's totals, on a small day with known answers."""

from decimal import Decimal

import pytest

from streaming.apps.firm_risk import FirmRiskApp
from streaming.apps.stress import StressApp, StressState
from streaming.engine.canonical import decode, encode
from tests.unit.app_days import Day


@pytest.fixture(scope="module")
def end_of_day() -> Day:
    day = Day(StressApp(), FirmRiskApp())
    day.step("eod")
    return day


def by(rows: list[dict], *keys: str) -> dict:
    return {tuple(row[key] for key in keys): row for row in rows}


def test_a_scenario_of_one_name_costs_what_its_worst_name_alone_costs(end_of_day):
    rows = by(end_of_day.sealed("stress", "stress"), "account", "scenario")
    fall, rise = rows["A-REGT", "GAP-50"], rows["A-REGT", "GAP+100"]
    assert (fall["loss"], fall["part"]) == (Decimal(50_000), "AAA")  # not less the gain on the short in BBB
    assert (rise["loss"], rise["part"]) == (Decimal(20_000), "BBB")
    assert fall["equity_after"] == Decimal(50_000)


def test_a_scenario_of_one_sector_nets_the_names_of_the_sector_only(end_of_day):
    row = by(end_of_day.sealed("stress", "stress"), "account", "scenario")["A-REGT", "SECTOR-30"]
    assert (row["loss"], row["part"]) == (Decimal(30_000 - 6_000), "Energy")


def test_zero_scenario_is_exactly_zero_for_everyone(end_of_day):
    zero = [row for row in end_of_day.sealed("stress", "stress") if row["scenario"] == "ZERO"]
    assert len(zero) == 3
    assert all(row["loss"] == 0 for row in zero)


def test_underlyings_sum_to_the_account_in_scenarios_of_the_market(end_of_day):
    accounts = by(end_of_day.sealed("stress", "stress"), "account", "scenario")
    sums: dict[tuple, Decimal] = {}
    for row in end_of_day.sealed("stress", "stress_underlying"):
        key = row["account"], row["scenario"]
        sums[key] = sums.get(key, Decimal(0)) + row["loss"]
    checked = [key for key in sums if key[1] in ("M-10", "M+10", "SA2026", "RATES+100")]
    assert len(checked) == 12
    assert all(sums[key] == accounts[key]["loss"] for key in checked)


def test_every_level_sums_to_the_firm_and_the_firm_to_its_accounts(end_of_day):
    totals = end_of_day.sealed("firm_risk", "stress_totals")
    firm = {row["scenario"]: row for row in totals if row["level"] == "firm"}
    accounts = end_of_day.sealed("stress", "stress")
    assert firm["M-20"]["loss"] == sum(row["loss"] for row in accounts if row["scenario"] == "M-20")
    for level in ("client", "strategy", "sector", "underlying"):
        mine = [row for row in totals if row["level"] == level and row["scenario"] == "M-20"]
        assert sum(row["loss"] for row in mine) == firm["M-20"]["loss"]


def test_a_client_is_hit_by_the_name_that_costs_all_its_accounts_together_most(end_of_day):
    rows = by(end_of_day.sealed("firm_risk", "stress_totals"), "level", "name", "scenario")
    underlying = by(end_of_day.sealed("stress", "stress_underlying"), "account", "underlying", "scenario")
    both = sum(underlying[account, "AAA", "GAP-50"]["loss"] for account in ("A-REGT", "A-PM"))
    assert rows["client", "C-1", "GAP-50"]["loss"] == both
    assert rows["client", "C-1", "GAP-50"]["part"] == "AAA"


def test_explanation_adds_up_and_stock_leaves_no_residual(end_of_day):
    rows = by(end_of_day.sealed("firm_risk", "stress_totals"), "level", "name", "scenario")
    for key, row in rows.items():
        if row["delta"] is not None:
            assert row["delta"] + row["gamma"] + row["vega"] + row["residual"] == row["loss"], key
    stock, options = rows["underlying", "BBB", "M-10"], rows["underlying", "AAA", "M-10"]
    assert (stock["gamma"], stock["vega"], stock["residual"]) == (0, 0, 0)
    assert options["gamma"] != 0
    assert rows["client", "C-1", "GAP-50"]["delta"] is None  # the worst name alone: no sum of terms explains it


def test_the_firms_grid_is_zero_where_nothing_moves_and_has_every_cell(end_of_day):
    cells = {row["scenario"]: row["loss"] for row in end_of_day.sealed("firm_risk", "stress_totals")
             if row["scenario"].startswith("GRID/")}  # fmt: skip
    assert len(cells) == 180
    assert cells["GRID/+0%/+0%"] == 0
    assert cells["GRID/-10%/+0%"] > 0


def test_surface_of_plain_stock_is_worst_at_the_edge_of_the_grid(end_of_day):
    row = by(end_of_day.sealed("stress", "stress_surface"), "account", "underlying")["A-CASH", "BBB"]
    assert (row["worst_loss"], row["worst_spot"]) == (Decimal(5_000), Decimal("-0.5"))
    assert (row["inner_loss"], row["inner_spot"]) == (Decimal(1_500), Decimal("-0.15"))


def test_scenarios_name_their_source_and_the_assumed_vix(end_of_day):
    rows = by(end_of_day.sealed("valuation", "scenarios"), "scenario")
    assert "proxy" in rows["SA2026",]["note"]
    assert rows["SA2026",]["source"]
    assert len(rows) == 74 + 180


def test_other_cuts_run_the_core_only():
    day = Day(StressApp(), FirmRiskApp())
    day.step("1030")
    scenarios = {row["scenario"] for row in day.sealed("stress", "stress")}
    assert {"M-10", "SA2026", "ZERO"} <= scenarios
    assert "VOL+10P" not in scenarios
    assert day.sealed("stress", "stress_surface") == []
    assert all(row["delta"] is None for row in day.sealed("firm_risk", "stress_totals"))


def test_positions_without_price_are_charged_in_full_and_listed():
    day = Day(StressApp())
    day.step("1030", changes={"AAA": 0})
    unpriced = by(day.sealed("stress", "stress_unpriced"), "account", "instrument")
    assert unpriced["A-REGT", "AAA"]["charge"] == Decimal(100_000)  # at the previous close
    assert unpriced["A-PM", "AAA P100"]["reason"] == "no model value"
    after = by(day.sealed("stress", "stress"), "account", "scenario")["A-REGT", "ZERO"]
    assert (after["loss"], after["equity_after"]) == (0, Decimal(0))


def test_state_survives_its_encoding(end_of_day):
    state = end_of_day.states["stress"]
    assert encode(decode(encode(state), StressState)) == encode(state)
