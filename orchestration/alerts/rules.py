"""What is wrong: from check results, limits and notices of a cut, from the clock, from how jobs stand.

Each function gives everything wrong in one scope as of now; the outbox finds out what is new and what has recovered.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestration import calendar
from orchestration.alerts.alert import CRITICAL, ROWS_MAX, WARNING, Alert
from orchestration.alerts.settings import house

if TYPE_CHECKING:
    from streaming.cuts import SealedCut
    from streaming.risk.rulebook import Rules

FINANCE, PLATFORM, MARGIN = "regulatory reporting", "platform", "margin desk"
_NOTHING = Decimal(0)
_FIRST_WORDS = 400
"""Characters of an error that an alert repeats."""


def as_of(cut: "SealedCut") -> str:
    """The time of a cut."""
    return datetime.fromtimestamp(cut.manifest["time"] / 1e6, UTC).isoformat(timespec="seconds")


def of_checks(cut: "SealedCut", results: Iterable[Mapping[str, Any]]) -> list[Alert]:
    """Every critical and warning check that failed, blocking or not."""
    return [
        Alert(
            row["check"],
            cut.id,
            row["severity"],
            row["expected"],
            as_of(cut),
            row["expected"],
            row["observed"],
            row["owner"],
            row["next_step"],
            tuple(row["sample"][:ROWS_MAX]),
            int(row["unexpected_count"]),
            cut.version,
        )
        for row in results
        if not row["passed"] and row["severity"] in (CRITICAL, WARNING)
    ]


def of_limits(cut: "SealedCut") -> list[Alert]:
    """One alert for each metric with a limit that is amber, red, or could not be looked at."""
    if "limits" not in cut.tables:
        return []
    by_metric: dict[str, list[Mapping[str, Any]]] = {}
    for row in cut.table("limits").to_pylist():
        if row["status"] != "GREEN":
            by_metric.setdefault(row["metric"], []).append(row)
    return [_limit_alert(cut, metric, rows) for metric, rows in sorted(by_metric.items())]


def of_breaches(cut: "SealedCut") -> list[Alert]:
    """One warning for each metric with limits that were reached at a price set of the day and no longer are."""
    if "limit_breaches" not in cut.tables:
        return []
    by_metric: dict[str, list[Mapping[str, Any]]] = {}
    for row in cut.table("limit_breaches").to_pylist():
        if row["status"] == "GREEN":
            by_metric.setdefault(row["metric"], []).append(row)
    shown = ("level", "name", "worst", "worst_value", "worst_price_set")
    found = []
    for metric, rows in sorted(by_metric.items()):
        rows = sorted(rows, key=lambda row: (row["worst"] != "RED", row["worst_price_set"], row["name"]))
        red = sum(row["worst"] == "RED" for row in rows)
        found.append(
            Alert(
                f"limits.{metric}.recovered", cut.id, WARNING,
                f"No {metric.replace('_', ' ')} was beyond its limit between cuts.", as_of(cut), "green all day",
                f"{red} red and {len(rows) - red} amber during the day, green again", MARGIN,
                "See Limit breaches in the margin workbook: when it was, and at which value.",
                tuple({name: str(row[name]) for name in shown} for row in rows[:ROWS_MAX]), len(rows), cut.version,
            )
        )  # fmt: skip
    return found


def of_live_limits(day: date, rows: Iterable[Mapping[str, Any]], at: datetime) -> list[Alert]:
    """One alert for each metric with accounts beyond a limit at the newest price set: the margin app's live rows."""
    by_metric: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_metric.setdefault(row["metric"], []).append(row)
    found = []
    for metric, listed in sorted(by_metric.items()):
        worst_first = sorted(listed, key=lambda row: (row["status"] != "RED", row["name"]))
        red = sum(row["status"] == "RED" for row in listed)
        found.append(
            Alert(
                f"limits.{metric}.live", day.isoformat(), CRITICAL if red else WARNING,
                f"No account's {metric.replace('_', ' ')} is beyond its limit at the newest price set.", _iso(at),
                "all green", f"{red} red, {len(listed) - red} amber", MARGIN,
                "Look at the account (`plumbline as-of`); agree a reduction, a deposit or a new limit.",
                tuple(_live_row(row) for row in worst_first[:ROWS_MAX]), len(listed),
            )
        )  # fmt: skip
    return found


def _live_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Without value and price set, which change every minute: an account that stays red is nothing new."""
    return {name: str(row[name]) for name in ("name", "status")}


def of_notices(cut: "SealedCut") -> list[Alert]:
    """Every early warning, restriction or notice test of the capital computation that fires."""
    if "notices" not in cut.tables:
        return []
    return [
        Alert(
            f"notices.{row['code']}",
            cut.id,
            CRITICAL if row["level"] == "red" else WARNING,
            f"The firm is not {row['label']} ({row['rule']}).",
            as_of(cut),
            f"threshold {row['threshold']:,}",
            f"{row['value']:,}; {row['timing']}",
            FINANCE,
            "Confirm the computation with the capital workbook and inform the principal financial officer.",
            version=cut.version,
        )
        for row in cut.table("notices").to_pylist()
        if row["fires"]
    ]


def of_run(day: date, error: BaseException | None, at: datetime) -> list[Alert]:
    """A run that raised; nothing when it ended well."""
    if error is None:
        return []
    said = " ".join(str(error).split())[:_FIRST_WORDS]
    return [
        Alert(
            "run.failed", day.isoformat(), CRITICAL, "The run of the day ends without an error.", _iso(at),
            "a run that ends", f"{type(error).__name__}: {said}", PLATFORM,
            f"Read the run's log; `plumbline run {day}` takes up where it stopped.",
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a business date is."""

    day: date
    checked: bool
    """The newest version of its end of day was checked."""
    published: bool
    reserve_shortfalls: Mapping[str, Decimal]
    """Kind of account -> required less on deposit, USD, where that is above zero."""


def of_clock(progress: Progress, at: datetime) -> list[Alert]:
    """What is late or will be if nothing happens: the end of day, the workbooks, the filing, the reserve deposit."""
    day = progress.day
    session = calendar.session(day)
    found = []
    late = session.end_of_day + timedelta(minutes=house()["late"]["end_of_day_min"])
    if not progress.checked and at >= late:
        found.append(_late(day, late, at))
    if not progress.published:
        found += _at_risk("reports", day, session.close + _minutes("reports", "after_close_min"), at)
        found += _at_risk("filing", day, filing_due(day), at)
    due = reserve_due(day)
    for kind, shortfall in sorted(progress.reserve_shortfalls.items()):
        found.append(_reserve(day, kind, shortfall, due, at))
    return found


def of_lags(lags: Mapping[str, float], at: datetime) -> list[Alert]:
    """Shards behind the clock: ``job-shard`` -> seconds. One alert for the stream, with the worst shards."""
    warning, critical = house()["lag"]["warning_s"], house()["lag"]["critical_s"]
    behind = sorted((name for name, lag in lags.items() if lag > warning), key=lambda name: -lags[name])
    if not behind:
        return []
    worst = lags[behind[0]]
    return [
        Alert(
            "stream.lag", at.astimezone(calendar.NEW_YORK).date().isoformat(),
            CRITICAL if worst > critical else WARNING, "Every shard keeps up with the clock.", _iso(at),
            f"at most {warning:g} s",
            f"up to {_rounded(worst):g} s on {len(behind)} shards", PLATFORM,
            "Look at the job's state and checkpoints (`plumbline jobs list`); restart it if it does not move.",
            tuple({"shard": name, "lag_s": _rounded(lags[name])} for name in behind[:ROWS_MAX]), len(behind),
        )
    ]  # fmt: skip


def reserve_due(day: date) -> datetime:
    """When a reserve deposit computed as of a day must be in the bank: 15c3-3(e)(3)."""
    rules = _rules(day)
    sessions = _sessions_after(day, int(rules.value("reserve.deposit.due_sessions")))
    return calendar.session(sessions[-1]).open + timedelta(hours=float(rules.value("reserve.deposit.due_hours")))


def filing_due(day: date) -> datetime:
    """By when the day's transaction reports must be filed: the close of the working day that the rulebook names."""
    rules = _rules(day)
    return calendar.session(_sessions_after(day, int(rules.value("mifid.due_business_days")))[-1]).close


def reserve_shortfalls(cut: "SealedCut", newest: "SealedCut") -> dict[str, Decimal]:
    """Kind of account -> what a cut's computation requires beyond what is in the bank as of a newer cut, USD."""
    required, there = _headlines(cut), _headlines(newest)
    found = {}
    for kind in ("customer", "pab"):
        short = required.get(f"reserve_{kind}_required", _NOTHING) - there.get(f"reserve_{kind}_on_deposit", _NOTHING)
        if short > 0:
            found[kind] = short
    return found


def _headlines(cut: "SealedCut") -> dict[str, Decimal]:
    return (
        {row["name"]: row["value"] for row in cut.table("headlines").to_pylist()} if "headlines" in cut.tables else {}
    )


def _limit_alert(cut: "SealedCut", metric: str, rows: Sequence[Mapping[str, Any]]) -> Alert:
    order = {"RED": 0, "NOT_EVALUATED": 1, "AMBER": 2}
    rows = sorted(rows, key=lambda row: (order[row["status"]], -_breach(row), row["name"]))
    counts = {status: sum(row["status"] == status for row in rows) for status in order}
    told = ", ".join(f"{count} {status.lower().replace('_', ' ')}" for status, count in counts.items() if count)
    shown = ("level", "name", "value", "amber", "red", "status")
    return Alert(
        f"limits.{metric}",
        cut.id,
        CRITICAL if counts["RED"] else WARNING,
        f"No {metric.replace('_', ' ')} is beyond its limit.",
        as_of(cut),
        "all green",
        told,
        str(rows[0]["owner"]),
        "See the limits and the account in the margin workbook; agree a reduction, a deposit or a new limit.",
        tuple({name: str(row[name]) for name in shown} for row in rows[:ROWS_MAX]),
        len(rows),
        cut.version,
    )


def _breach(row: Mapping[str, Any]) -> float:
    """How far beyond the red limit, whichever side is bad."""
    if row["value"] is None:
        return 0.0
    beyond = float(row["value"] - row["red"])
    return beyond if row["amber"] <= row["red"] else -beyond


def _late(day: date, late: datetime, at: datetime) -> Alert:
    return Alert(
        "run.late", day.isoformat(), CRITICAL, "The end of the day is sealed and checked in time.", _iso(at),
        f"checked by {_iso(late)}", "no check results of the end of day", PLATFORM,
        f"Look whether a run is at work; `plumbline run {day}`.",
    )  # fmt: skip


def _at_risk(name: str, day: date, due: datetime, at: datetime) -> list[Alert]:
    """A warning before a cut-off, critical once it is missed."""
    if at < due - _minutes(name, "warn_min"):
        return []
    what = {"reports": "The day's workbooks are published by the house's cut-off.",
            "filing": "Transaction reports are filed by the close of the next working day."}[name]  # fmt: skip
    missed = at >= due
    return [
        Alert(
            f"cutoff.{name}", day.isoformat(), CRITICAL if missed else WARNING, what, _iso(at),
            f"published by {_iso(due)}",
            "missed: nothing is published" if missed else "at risk: nothing is published yet", FINANCE,
            f"`plumbline check {day}` says what holds the gate shut; correct it, or have it overridden by two people.",
        )
    ]  # fmt: skip


def _reserve(day: date, kind: str, shortfall: Decimal, due: datetime, at: datetime) -> Alert:
    near = at >= due - _minutes("reserve", "critical_min")
    state = "missed" if at >= due else "at risk"
    return Alert(
        f"cutoff.reserve_{kind}", day.isoformat(), CRITICAL if near else WARNING,
        f"The {kind.upper() if kind == 'pab' else kind} reserve bank account holds what 15c3-3 requires.", _iso(at),
        f"deposited by {_iso(due)}", f"{state}: {shortfall:,} USD to be deposited", FINANCE,
        "Instruct the deposit and send the bank balance; a missed deposit needs a notice the same day.",
    )  # fmt: skip


def _rules(day: date) -> "Rules":
    from streaming.risk import rulebook  # compiles: only where a due time is asked for

    return rulebook.load().at(day)


def _sessions_after(day: date, count: int) -> list[date]:
    return calendar.sessions(day + timedelta(days=1), day + timedelta(days=14 + 2 * count))[:count]


def _minutes(cutoff: str, name: str) -> timedelta:
    return timedelta(minutes=house()["cutoff"][cutoff][name])


def _iso(at: datetime) -> str:
    return at.astimezone(calendar.NEW_YORK).isoformat(timespec="minutes")


def _rounded(lag_s: float) -> float:
    """To half minutes, so that a lag that only wobbles is nothing new."""
    return 30.0 * max(1, round(lag_s / 30))
