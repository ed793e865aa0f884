"""Policies as events: limits and add-ons are checked, replaced by id, charged while they last, and looked at always."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.apps import margin_limits
from streaming.apps.firm_risk import FirmRiskApp
from streaming.apps.intake import Counts, Quarantine
from streaming.apps.margin import MarginApp
from streaming.apps.margin_limits import Breaches
from streaming.apps.policies import policies_of, take_policies
from streaming.apps.rules import rules_in_force, versions_in_force
from streaming.demo import DaySpec
from streaming.demo import policies as demo_policies
from streaming.demo.world import build
from streaming.engine.canonical import decode, encode
from streaming.engine.stretch import RawBatch
from streaming.risk.margin import limits
from streaming.risk.margin.limits import Limit, Status
from streaming.schema import results
from tests.kit.tiny_day import event
from tests.unit.app_days import DAY, HOLDINGS, MICRO, Day
from tests.unit.test_app_margin import STALE

LIMIT = {"id": "L1", "kind": "limit", "scope": "account:*", "metric": "house_excess", "amber": "250000", "red": "0",
         "owner": "margin desk", "valid_from": "2026-01-01"}  # fmt: skip
ADD_ON = {"id": "A1", "kind": "add_on", "scope": "account:A-REGT", "amount": "12500", "owner": "credit risk",
          "why": "audit is pending", "valid_from": "2026-11-02", "valid_to": "2026-11-30"}  # fmt: skip


def taken(*rows: dict, known: pa.Table | None = None) -> tuple[pa.Table, list[tuple[str, str]]]:
    """The policies after these events, and what was refused: reason and detail."""
    payloads, n = [event(**row) for row in rows], len(rows)
    batch = RawBatch("policies", 0, np.arange(n), np.zeros(n, np.int64), np.zeros(n, np.int64), payloads)
    quarantine = Quarantine()
    found = take_policies(results.POLICIES.empty_table() if known is None else known, batch, Counts(), quarantine)
    return found, [(row["reason"], row["detail"]) for row in quarantine.table().to_pylist()]


def test_a_limit_and_an_add_on_are_read_exactly():
    rows, refused = taken(LIMIT, ADD_ON)
    assert not refused
    found = policies_of(rows)
    assert found.limits == (Limit("house_excess", "account", "*", 250_000 * MICRO, 0, "margin desk", date(2026, 1, 1)),)
    (add_on,) = found.add_ons
    assert (add_on.account, add_on.amount, add_on.who) == ("A-REGT", 12_500 * MICRO, "credit risk")
    assert (add_on.since, add_on.until, add_on.why) == (date(2026, 11, 2), date(2026, 11, 30), "audit is pending")


def test_a_later_event_of_an_id_replaces_the_former():
    rows, _ = taken(LIMIT, ADD_ON)
    again, refused = taken(LIMIT | {"amber": "300000", "valid_to": "2026-12-31"}, known=rows)
    assert not refused
    (limit,) = policies_of(again).limits
    assert (limit.amber, limit.valid_to) == (300_000 * MICRO, date(2026, 12, 31))
    assert again.num_rows == 2


def test_without_a_limit_in_the_log_those_stand_that_ship():
    assert policies_of(taken(ADD_ON)[0]).limits == limits.sample_limits()


def without(row: dict, name: str) -> dict:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (LIMIT | {"kind": "wish"}, "kind: expected limit or add_on, found 'wish'"),
        (without(LIMIT, "red"), "red: expected a value"),
        (without(LIMIT, "metric"), "limit L1: expected text in metric, found ''"),
        (LIMIT | {"scope": "client"}, "expected scope firm, or level:name, or level:*, found 'client'"),
        (LIMIT | {"red": "250000"}, "expected amber and red to differ"),
        (LIMIT | {"valid_to": "2025-01-01"}, "expected a date from 2026-01-01 on in valid_to"),
        (without(ADD_ON, "valid_to"), "valid_to: expected a value"),
        (without(ADD_ON, "why"), "add-on A1: expected text in why, found ''"),
        (ADD_ON | {"scope": "firm"}, "expected scope account:NAME or client:NAME, found 'firm'"),
        (ADD_ON | {"share": "0.1"}, "expected either amount or share"),
        (ADD_ON | {"amount": "-5"}, "expected a positive number in amount"),
        (ADD_ON | {"scope": "client:C-1"}, "expected a share for a client"),
        (ADD_ON | {"valid_to": "2026-11-01"}, "expected until at or after 2026-11-02"),
    ],
)
def test_a_policy_that_cannot_be_used_is_quarantined_and_the_others_stand(row, complaint):
    rows, refused = taken(row, ADD_ON | {"id": "GOOD"})
    assert rows["id"].to_pylist() == ["GOOD"]
    ((reason, detail),) = refused
    assert reason == "bad policy"
    assert complaint in detail


def day_with(*rows: dict, apps=()) -> Day:
    day = Day(MarginApp(), *apps)
    found, refused = taken(*rows)
    assert not refused
    day._reference["policies"] = found
    return day


def house_of(day: Day, account: str) -> dict:
    return next(row for row in day.sealed("margin", "margin_house") if row["account"] == account)


def test_an_add_on_in_force_is_charged_with_who_when_why_and_until():
    plain, charged = day_with(LIMIT), day_with(LIMIT, ADD_ON)
    for day in (plain, charged):
        day.step("1030")
    assert house_of(charged, "A-REGT")["discretionary"] == Decimal(12_500)
    for column in ("house_requirement", "effective_requirement"):
        assert house_of(charged, "A-REGT")[column] - house_of(plain, "A-REGT")[column] == Decimal(12_500)
    (line,) = [row for row in charged.sealed("margin", "margin_house_lines") if row["component"] == "discretionary"]
    assert (line["account"], line["amount"]) == ("A-REGT", Decimal(12_500))
    assert line["sentence"] == (
        "12,500.00 dollars for an add-on set by the firm for this account or client, by credit risk, from 2026-11-02 "
        "to 2026-11-30: audit is pending (house: discretionary add-ons in force)."
    )


@pytest.mark.parametrize(
    "days",
    [
        {"valid_from": "2026-10-01", "valid_to": "2026-11-19"},
        {"valid_from": "2026-11-21", "valid_to": "2026-11-30"},
    ],
)
def test_an_add_on_that_is_over_or_not_begun_is_not_charged(days):
    day = day_with(LIMIT, ADD_ON | days)
    day.step("1030")
    assert house_of(day, "A-REGT")["discretionary"] == 0
    assert not [row for row in day.sealed("margin", "margin_house_lines") if row["component"] == "discretionary"]


def test_a_share_is_charged_to_every_account_of_the_client():
    day = day_with(LIMIT, without(ADD_ON, "amount") | {"scope": "client:C-1", "share": "0.10"})
    day.step("1030")
    for account in ("A-REGT", "A-PM"):
        row = house_of(day, account)
        risk_based = row["regulatory"] + row["concentration"] + row["extreme_move"]
        assert abs(row["discretionary"] - risk_based / 10) <= Decimal("0.000001")
    assert house_of(day, "A-CASH")["discretionary"] == 0


def breaches(day: Day, app: str = "margin") -> dict[tuple[str, str], dict]:
    return {(row["metric"], row["name"]): row for row in day.sealed(app, "limit_breaches")}


def test_a_breach_between_cuts_is_a_live_row_and_stays_known_at_the_next_cut():
    day = day_with(LIMIT | {"amber": "30000"})
    day.step("1000")
    quiet = day.last.rows["margin"]["breaches"]
    day.step(changes={"BBB": 300})
    live = day.last.rows["margin"]["breaches"].to_pylist()
    (red,) = [row for row in live if (row["metric"], row["name"]) == ("house_excess", "A-REGT")]
    assert (red["status"], red["price_set"]) == ("RED", "2026-11-20/100100")
    assert not [row for row in quiet.to_pylist() if row["name"] == "A-REGT" and row["status"] == "RED"]
    day.step("1030")
    now = next(
        row for row in day.sealed("margin", "limits") if (row["metric"], row["name"]) == ("house_excess", "A-REGT")
    )
    row = breaches(day)["house_excess", "A-REGT"]
    assert (row["status"], row["worst"]) == (now["status"], "RED")
    assert row["status"] != "RED"
    assert row["worst_price_set"] == "2026-11-20/100100"
    path = {(row["account"], row["price_set"]): row for row in day.sealed("margin", "margin_path")}[
        "A-REGT", "2026-11-20/100100"
    ]
    house = house_of(day, "A-REGT")
    layers = house["house_requirement"] - house["regulatory_requirement"]
    assert row["worst_value"] == path["equity"] - path["requirement"] - layers
    assert row["worst_value"] == Decimal(red["value"]) / MICRO


def test_before_the_first_price_of_the_day_no_limit_is_looked_at():
    day = day_with(LIMIT)
    day.step(changes={"BBB": 300}, status=STALE)
    assert "breaches" not in day.last.rows["margin"]
    day.step("1000")
    row = breaches(day)["house_excess", "A-REGT"]
    assert (row["worst"], row["first_price_set"]) == ("AMBER", "2026-11-20/100100")


def test_at_a_cut_the_live_status_is_the_sealed_one():
    held = [*HOLDINGS, (2, "AAA", 50)]
    day = day_with(LIMIT, LIMIT | {"id": "L2", "metric": "requirement_over_equity", "amber": "0.4", "red": "0.5"})
    day.step("1000", changes={"BBB": 130}, held=held)
    sealed_now = {
        (row["metric"], row["name"]): row["status"]
        for row in day.sealed("margin", "limits")
        if row["status"] != "GREEN"
    }
    assert sealed_now
    assert {key: row["status"] for key, row in breaches(day).items()} == sealed_now


def test_a_clients_limit_is_looked_at_between_cuts_over_all_its_accounts():
    plain = day_with(LIMIT)
    plain.step("1000")
    held = sum(house_of(plain, account)["house_requirement"] for account in ("A-REGT", "A-PM"))
    ceiling = {"id": "C", "metric": "house_requirement", "scope": "client:*", "red": "1000000"}
    day = day_with(LIMIT | ceiling | {"amber": str(held + 1)}, apps=(FirmRiskApp(),))
    day.step("1000")
    assert not breaches(day, "firm_risk")
    day.step(changes={"BBB": 300})
    day.step("1030")
    row = breaches(day, "firm_risk")["house_requirement", "C-1"]
    assert (row["level"], row["status"], row["worst"]) == ("client", "GREEN", "AMBER")
    assert row["first_price_set"] == row["worst_price_set"] == "2026-11-20/100100"


def test_the_day_of_breaches_survives_its_encoding():
    day, again = day_with(LIMIT), day_with(LIMIT)
    for one in (day, again):
        one.step("1000")
        one.step(changes={"BBB": 300})
    again.states["margin"] = decode(encode(again.states["margin"]), MarginApp.state)
    for one in (day, again):
        one.step("1030")
    assert breaches(day) == breaches(again)
    assert breaches(day)


WHOLE = st.integers(0, 2**62)


@given(st.lists(st.tuples(WHOLE, st.integers(-(2**40), 2**62)), max_size=8))
def test_a_share_is_the_exact_quotient_rounded_down(pairs):
    part, whole = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    most = margin_limits.LARGEST_SHARE
    expected = [min(p * MICRO // w, most) if w > 0 else most * (p > 0) for p, w in pairs]
    assert margin_limits.share(part, whole).tolist() == expected


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=1, max_size=8))
def test_the_days_breaches_are_those_of_a_plain_loop(values):
    limit = Limit("m", "account", "*", 0, -2, "owner", DAY)
    names = np.array(list("ABCD"), object)
    stands = limits.thresholds((limit, replace(limit, name="B", amber=-1, red=-3)), "m", "account", names, DAY)
    found = Breaches()
    expected: dict[int, list[int]] = {}
    for at, row in enumerate(values):
        value = np.array(row, np.int64)
        status = stands.status(value)
        found.observe(0, status, value, at)
        for code, now in enumerate(status.tolist()):
            if code in expected:
                known = expected[code]
                known[0] = now
                if now > known[1]:
                    known[1], known[3], known[4] = now, at, row[code]
            elif now:
                expected[code] = [now, now, at, at, row[code]]
    columns = found.columns
    assert columns["code"].tolist() == sorted(expected)
    kept = ("status", "worst", "first", "worst_set", "worst_value")
    assert [[int(columns[name][i]) for name in kept] for i in range(len(columns["code"]))] == [
        expected[code] for code in sorted(expected)
    ]


def test_thresholds_by_name_are_what_evaluate_chooses():
    named = Limit("m", "account", "B", 10, 20, "owner", date(2026, 1, 1))
    everyone = replace(named, name="*", amber=1, red=2)
    over = replace(named, name="C", valid_to=date(2026, 6, 1))
    names, value = np.array(list("ABC"), object), np.array([1, 15, 1], np.int64)
    table = limits.evaluate((named, everyone, over), {("m", "account"): limits.Metric(names, value)}, DAY)
    evaluated = {row["name"]: row["status"] for row in table.to_pylist()}
    status = limits.thresholds((named, everyone, over), "m", "account", names, DAY).status(value)
    assert {name: Status(code).name for name, code in zip(names, status.tolist())} == evaluated
    assert evaluated == {"A": "AMBER", "B": "AMBER", "C": "AMBER"}


def test_the_firms_limits_are_ratios_of_the_capital_computation():
    rows, _ = taken(
        LIMIT | {"id": "F1", "scope": "firm", "metric": "net_capital_over_debits", "amber": "0.06", "red": "0.05"},
        LIMIT | {"id": "F2", "scope": "firm", "metric": "portfolio_margin_over_net_capital", "amber": "8", "red": "10"},
    )
    rules = rules_in_force(versions_in_force(DAY, "test"))
    found = margin_limits.firm_limits(policies_of(rows), 850 * MICRO, 100 * MICRO, 2_000 * MICRO, rules)
    by_metric = {row["metric"]: (row["level"], row["value"], row["status"]) for row in found.to_pylist()}
    assert by_metric == {
        "net_capital_over_debits": ("firm", Decimal("0.05"), "RED"),
        "portfolio_margin_over_net_capital": ("firm", Decimal("8.5"), "AMBER"),
    }


def test_a_firm_without_net_capital_is_beyond_every_limit_on_it():
    rules = rules_in_force(versions_in_force(DAY, "test"))
    shipped = policies_of(taken()[0])
    found = margin_limits.firm_limits(shipped, 1, -1, 1_000, rules)
    assert {row["status"] for row in found.to_pylist()} == {"RED"}


def test_the_demo_day_sets_limits_and_add_ons_that_are_in_force_over_and_still_to_come():
    spec = DaySpec(accounts=6, trades=0, prices=0)
    rows, refused = taken(*demo_policies.rows(build(spec)))
    assert not refused
    found = policies_of(rows)
    assert sorted(found.limits, key=repr) == sorted(limits.sample_limits(), key=repr)
    assert sum(add_on.covers(spec.date) for add_on in found.add_ons) == 2
    assert sum(add_on.until < spec.date for add_on in found.add_ons) == 1
    assert sum(add_on.since > spec.date for add_on in found.add_ons) == 1
