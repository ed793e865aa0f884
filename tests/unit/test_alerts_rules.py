"""What is wrong is told with the right severity, before a cut-off is missed, and not told of history."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from orchestration.alerts import rules
from orchestration.alerts.alert import CRITICAL, INFO, WARNING
from streaming.schema.sealed import TABLES

DAY = date(2026, 11, 20)
"""A Friday; Thanksgiving is the Thursday after, with an early close on the Friday."""
CLOSE = datetime(2026, 11, 20, 21, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True)
class SmallCut:
    """A sealed cut whose tables are given."""

    rows: dict[str, list[dict]]
    id: str = f"{DAY}/eod"
    version: int = 1

    @property
    def manifest(self) -> dict:
        return {"time": int((CLOSE + HOUR / 2).timestamp() * 1e6)}

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def table(self, name: str) -> pa.Table:
        return pa.Table.from_pylist(self.rows[name], schema=TABLES[name].arrow)


def result(check: str, severity: str, passed: bool) -> dict:
    return {
        "check": check, "severity": severity, "passed": passed, "expected": "e", "observed": "o", "owner": "margin",
        "next_step": "n", "sample": [{"account": f"A{i}"} for i in range(5)], "unexpected_count": 5,
    }  # fmt: skip


def limit(name: str, status: str, value: str | None, metric: str = "house_excess", amber="250000", red="0") -> dict:
    return {
        "metric": metric, "level": "account", "name": name, "value": None if value is None else Decimal(value),
        "amber": Decimal(amber), "red": Decimal(red), "status": status, "owner": "margin desk",
        "valid_from": date(2026, 1, 1),
    }  # fmt: skip


def notice(code: str, level: str, fires: bool) -> dict:
    return {
        "code": code, "label": "below required minimum", "level": level, "value": Decimal(1), "threshold": Decimal(2),
        "headroom": Decimal(-1), "fires": fires, "timing": "notice the same day", "rule": "17a-11(b)",
    }  # fmt: skip


def headlines(**values: int) -> SmallCut:
    rows = [{"name": name, "value": Decimal(value), "unit": "USD", "label": name} for name, value in values.items()]
    return SmallCut({"headlines": rows})


def at_work(**more: object) -> rules.Progress:
    return replace(rules.Progress(DAY, checked=True, published=True, reserve_shortfalls={}), **more)


def told(progress: rules.Progress, at: datetime) -> dict[str, str]:
    return {alert.check: alert.severity for alert in rules.of_clock(progress, at)}


def test_critical_and_warning_failures_alert_and_information_does_not():
    results = [
        result("a.critical", CRITICAL, False),
        result("a.warning", WARNING, False),
        result("a.info", INFO, False),
        result("a.passed", CRITICAL, True),
    ]
    found = rules.of_checks(SmallCut({}), results)
    assert {alert.check: alert.severity for alert in found} == {"a.critical": CRITICAL, "a.warning": WARNING}
    assert found[0].rows == ({"account": "A0"}, {"account": "A1"}, {"account": "A2"})
    assert (found[0].where, found[0].version, found[0].when) == (f"{DAY}/eod", 1, "2026-11-20T21:30:00+00:00")


def test_limits_give_one_alert_a_metric_with_the_worst_breach_first():
    rows = [
        limit("A1", "GREEN", "900000"),
        limit("A2", "AMBER", "100000"),
        limit("A3", "RED", "-5"),
        limit("A4", "RED", "-70"),
        limit("A5", "NOT_EVALUATED", None),
        limit("C1", "AMBER", "0.9", "requirement_over_equity", "0.8", "1"),
        limit("C2", "AMBER", "0.95", "requirement_over_equity", "0.8", "1"),
    ]
    house, ratio = rules.of_limits(SmallCut({"limits": rows}))
    assert (house.check, house.severity, house.count) == ("limits.house_excess", CRITICAL, 4)
    assert house.found == "2 red, 1 not evaluated, 1 amber"
    assert [row["name"] for row in house.rows] == ["A4", "A3", "A5"]
    assert (ratio.check, ratio.severity) == ("limits.requirement_over_equity", WARNING)
    assert [row["name"] for row in ratio.rows] == ["C2", "C1"]


def test_limits_that_are_all_green_or_not_sealed_give_none():
    assert rules.of_limits(SmallCut({"limits": [limit("A1", "GREEN", "900000")]})) == []
    assert rules.of_limits(SmallCut({})) == []


def breach(name: str, status: str, worst: str, at: str = "104500", metric: str = "house_excess") -> dict:
    return {
        "metric": metric, "level": "account", "name": name, "status": status, "worst": worst,
        "first_price_set": f"{DAY}/103000", "worst_price_set": f"{DAY}/{at}", "worst_value": Decimal(-5),
    }  # fmt: skip


def test_a_limit_reached_between_cuts_and_green_again_is_a_warning_with_when_it_was():
    rows = [
        breach("A1", "GREEN", "AMBER"),
        breach("A2", "GREEN", "RED", "111500"),
        breach("A3", "RED", "RED"),
        breach("C1", "AMBER", "RED", metric="requirement_over_equity"),
    ]
    (found,) = rules.of_breaches(SmallCut({"limit_breaches": rows}))
    assert (found.check, found.severity, found.count) == ("limits.house_excess.recovered", WARNING, 2)
    assert found.found == "1 red and 1 amber during the day, green again"
    assert [(row["name"], row["worst_price_set"]) for row in found.rows] == [
        ("A2", f"{DAY}/111500"),
        ("A1", f"{DAY}/104500"),
    ]
    assert rules.of_breaches(SmallCut({})) == []


def test_live_breaches_are_critical_where_one_is_red_and_say_nothing_new_when_only_values_move():
    def rows(value: int) -> list[dict]:
        one = {"metric": "house_excess", "name": "A1", "status": "RED", "value": value, "price_set": f"{DAY}/{value}"}
        return [one, one | {"name": "A0", "status": "AMBER"}]

    (found,) = rules.of_live_limits(DAY, rows(1), CLOSE)
    (later,) = rules.of_live_limits(DAY, rows(2), CLOSE + HOUR)
    assert (found.check, found.severity, found.found) == ("limits.house_excess.live", CRITICAL, "1 red, 1 amber")
    assert [row["name"] for row in found.rows] == ["A1", "A0"]
    assert found.fingerprint == later.fingerprint
    (amber,) = rules.of_live_limits(DAY, rows(1)[1:], CLOSE)
    assert amber.severity == WARNING
    assert rules.of_live_limits(DAY, [], CLOSE) == []


def test_notices_alert_when_they_fire_red_ones_critically():
    rows = [notice("below_minimum", "red", True), notice("debits_5pct", "amber", True), notice("x", "amber", False)]
    found = rules.of_notices(SmallCut({"notices": rows}))
    assert {alert.check: alert.severity for alert in found} == {
        "notices.below_minimum": CRITICAL,
        "notices.debits_5pct": WARNING,
    }
    assert rules.of_notices(SmallCut({})) == []


def test_a_run_that_raised_is_critical_and_one_that_ended_is_nothing():
    (found,) = rules.of_run(DAY, ValueError("first line\n second" + "x" * 5_000), CLOSE)
    assert (found.severity, found.where) == (CRITICAL, "2026-11-20")
    assert found.found.startswith("ValueError: first line secondxx")
    assert len(found.found) < 500
    assert rules.of_run(DAY, None, CLOSE) == []


def test_an_end_of_day_is_late_an_hour_after_its_cut():
    waiting = at_work(checked=False)
    assert told(waiting, CLOSE + HOUR) == {}
    assert told(waiting, CLOSE + HOUR * 1.5 - MINUTE) == {}
    assert told(waiting, CLOSE + HOUR * 1.5) == {"run.late": CRITICAL}
    assert told(at_work(), CLOSE + HOUR * 1.5) == {}


def test_workbooks_are_at_risk_an_hour_before_their_cut_off_and_missed_at_it():
    unpublished = at_work(published=False)
    assert told(unpublished, CLOSE + 2 * HOUR - MINUTE) == {}
    assert told(unpublished, CLOSE + 2 * HOUR) == {"cutoff.reports": WARNING}
    assert told(unpublished, CLOSE + 3 * HOUR) == {"cutoff.reports": CRITICAL}


def test_a_filing_is_due_by_the_close_of_the_next_session_and_at_risk_two_hours_before():
    unpublished = at_work(published=False)
    due = rules.filing_due(DAY)
    assert due == datetime(2026, 11, 23, 21, tzinfo=UTC)
    assert "cutoff.filing" not in told(unpublished, due - 2 * HOUR - MINUTE)
    assert told(unpublished, due - 2 * HOUR)["cutoff.filing"] == WARNING
    assert told(unpublished, due)["cutoff.filing"] == CRITICAL


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (date(2026, 11, 20), "2026-11-24T10:30:00-05:00"),
        (date(2026, 11, 24), "2026-11-27T10:30:00-05:00"),  # over Thanksgiving
        (date(2020, 3, 6), "2020-03-10T10:30:00-04:00"),  # over the change of clocks
    ],
)
def test_a_reserve_deposit_is_due_an_hour_after_the_opening_of_the_second_session_after(day, due):
    from orchestration.calendar import NEW_YORK

    assert rules.reserve_due(day).astimezone(NEW_YORK).isoformat() == due


def test_a_reserve_shortfall_is_told_at_once_critical_near_its_time_and_missed_after_it():
    short = at_work(reserve_shortfalls={"pab": Decimal("12868419.598205")})
    due = rules.reserve_due(DAY)
    assert told(short, CLOSE) == {"cutoff.reserve_pab": WARNING}
    assert told(short, due - 3 * HOUR - MINUTE) == {"cutoff.reserve_pab": WARNING}
    assert told(short, due - 3 * HOUR) == {"cutoff.reserve_pab": CRITICAL}
    at_risk, missed = rules.of_clock(short, due - MINUTE)[0], rules.of_clock(short, due)[0]
    assert at_risk.found == "at risk: 12,868,419.598205 USD to be deposited"
    assert missed.found.startswith("missed:")


def test_a_shortfall_is_what_was_required_less_what_is_in_the_bank_now():
    computed = headlines(reserve_customer_required=0, reserve_customer_on_deposit=5, reserve_pab_required=35)
    assert rules.reserve_shortfalls(computed, headlines(reserve_pab_on_deposit=22)) == {"pab": Decimal(13)}
    assert rules.reserve_shortfalls(computed, headlines(reserve_pab_on_deposit=35)) == {}
    assert rules.reserve_shortfalls(computed, headlines()) == {"pab": Decimal(35)}
    assert rules.reserve_shortfalls(SmallCut({}), SmallCut({})) == {}


def test_lags_are_one_alert_with_the_worst_shards():
    (found,) = rules.of_lags({"book-0": 10, "book-1": 300.0, "margin-0": 95.0, "var-0": 31.0, "firm-0": 40}, CLOSE)
    assert (found.severity, found.count) == (CRITICAL, 4)
    assert [row["shard"] for row in found.rows] == ["book-1", "margin-0", "firm-0"]
    (mild,) = rules.of_lags({"book-1": 31.0}, CLOSE)
    assert mild.severity == WARNING
    assert rules.of_lags({"book-1": 30.0}, CLOSE) == []


def test_a_lag_that_wobbles_is_nothing_new():
    first, second = (rules.of_lags({"book-1": lag}, CLOSE)[0] for lag in (92.0, 97.0))
    assert first.fingerprint == second.fingerprint
