"""What the daemon watches: how the streams stand, and events that came after a close."""

import os
from datetime import date, datetime
from typing import Any

import dagster as dg
import orjson

from orchestration.console import streams
from orchestration.console.assets import END_OF_DAY_KEY
from orchestration.console.clock import today
from orchestration.console.desk import Desk, opened
from orchestration.console.jobs import deliver_alerts
from orchestration.console.partitions import business_days
from orchestration.console.standing import Standing, standing
from orchestration.console.topology import topology
from orchestration.settings import Settings
from streaming.schema.raw import EPOCHS, FEEDS

HEALTHY, NOTHING_LATE = "healthy", "nothing_after_the_close"
INTERVAL_S = 30

healthy_checks = [
    dg.AssetCheckSpec(
        HEALTHY,
        asset=streams.job_key(name),
        description="The job runs, and neither it nor the clock is behind.",
    )
    for name in topology().jobs
]


@dg.multi_asset_check(name="stream_health", specs=healthy_checks, can_subset=True)
def stream_health(context: dg.AssetCheckExecutionContext, desk: Desk):
    """Of the live jobs, when somebody asks; the sensor evaluates the same."""
    found = standing(desk)
    for name in topology().jobs:
        if dg.AssetCheckKey(streams.job_key(name), HEALTHY) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(asset_key=streams.job_key(name), check_name=HEALTHY, **_health(found, name))


def _health(found: Standing, name: str) -> dict:
    troubles = [text for text in found.troubles if text.startswith((f"job {name}:", "clock:"))]
    state = found.jobs[name].state if name in found.jobs else "unknown"
    return {
        "passed": not troubles,
        "description": "; ".join(troubles) or None,
        "metadata": {"state": state, "wanted": found.wanted, "troubles": "; ".join(troubles) or "none"},
    }


def observe(found: Standing, before: dict, now: float) -> list[dg.AssetObservation]:
    """How every topic and job stands; rows per second since ``before``."""
    elapsed = now - before.get("at", now)
    events = []
    for topic in FEEDS:
        rows = found.rows[topic.name]
        gained = rows - before.get("rows", {}).get(topic.name, rows)
        rate = gained / elapsed if elapsed > 0 else 0.0
        counted = {"rows": rows, "rows_per_second": round(rate, 1)}
        events.append(dg.AssetObservation(streams.topic_key(topic.name), metadata=counted))
    clock: dict[str, Any] = {
        "lag_seconds": found.clock_lag_s,
        "closed": str(found.clock_time or "never"),
        "last_cut": found.last_cut,
    }
    events.append(dg.AssetObservation(streams.topic_key(EPOCHS.name), metadata=clock))
    for name, job in found.jobs.items():
        what: dict[str, Any] = {"state": job.state, "lag_epochs": job.lag_epochs, "lag_seconds": job.lag_seconds}
        if job.checkpoint_age_s is not None:
            what["checkpoint_age_seconds"] = round(job.checkpoint_age_s, 1)
        what["last_cut"] = found.last_cut or "none"
        events.append(dg.AssetObservation(streams.job_key(name), metadata=what))
    return events


def late_events(settings: Settings, day: date) -> int | None:
    """Messages that stand behind the newest end of day of a date; None when that is not marked yet."""
    from orchestration.days import end_of_day, marked_cuts

    with opened(settings) as home:
        cuts = [cut for cut in marked_cuts(home.index, day) if cut.id == end_of_day(day)]
        if not cuts:
            return None
        ends = cuts[-1].epoch.ends
        return sum(
            home.log.end(topic, partition) - end for topic, parts in ends.items() for partition, end in enumerate(parts)
        )


@dg.asset_check(
    asset=END_OF_DAY_KEY,
    name=NOTHING_LATE,
    partitions_def=business_days,
    description="No event of the day has come after its newest end of day; else a restatement is proposed.",
)
def nothing_after_the_close(context: dg.AssetCheckExecutionContext, desk: Desk) -> dg.AssetCheckResult:
    """Of one day, with its run; the sensor evaluates the same for the current day."""
    day = date.fromisoformat(context.partition_key)
    late = late_events(desk.settings(day), day) or 0
    return dg.AssetCheckResult(
        passed=late == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=_proposed(late, day),
        metadata={"events": late, "business_date": str(day)},
    )


def _proposed(late: int, day: date) -> str | None:
    if not late:
        return None
    return f"{late} events came after the end of day of {day}: a restatement is proposed; materialise end_of_day again"


def proposal(late: int, day: date) -> dg.AssetCheckEvaluation:
    """Red when something came late: whoever answers for the day decides, and materialises it again."""
    return dg.AssetCheckEvaluation(
        asset_key=END_OF_DAY_KEY,
        check_name=NOTHING_LATE,
        passed=late == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=_proposed(late, day),
        metadata={"events": dg.MetadataValue.int(late), "business_date": dg.MetadataValue.text(str(day))},
        partition=day.isoformat(),
    )


@dg.sensor(
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Lag, rows per second, checkpoint age and last cut of the streams, and whether they are healthy.",
)
def streams_sensor(context: dg.SensorEvaluationContext, desk: Desk) -> dg.SensorResult:
    found, now = standing(desk), datetime.now().timestamp()
    before = orjson.loads(context.cursor) if context.cursor else {}
    health = [
        dg.AssetCheckEvaluation(
            asset_key=streams.job_key(name),
            check_name=HEALTHY,
            **{**made, "metadata": {key: dg.MetadataValue.text(str(value)) for key, value in made["metadata"].items()}},
        )
        for name in topology().jobs
        for made in [_health(found, name)]
    ]
    cursor = orjson.dumps({"at": now, "rows": found.rows}).decode()
    ill = [made.asset_key.to_user_string() for made in health if not made.passed]
    return dg.SensorResult(
        asset_events=[*observe(found, before, now), *health],
        cursor=cursor,
        skip_reason=f"observed {len(health)} jobs; not healthy: {', '.join(ill) or 'none'}",
    )


@dg.sensor(
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Proposes a restatement when events come after a close.",
)
def restatement_sensor(context: dg.SensorEvaluationContext, desk: Desk) -> dg.SensorResult | dg.SkipReason:
    day = today(desk.now())
    late = late_events(desk.settings(day), day)
    if late is None:
        return dg.SkipReason(f"{day}: its end of day is not marked yet")
    told = f"{day}: {late}"
    if context.cursor == told:
        return dg.SkipReason(f"{day}: {late} events after the end of day, as told before")
    return dg.SensorResult(
        asset_events=[proposal(late, day)], cursor=told, skip_reason=_proposed(late, day) or f"{day}: nothing came late"
    )


@dg.sensor(
    job=deliver_alerts,
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Brings due alerts to Slack, also of runs that a failed check or a kill has ended.",
)
def alerts_sensor(context: dg.SensorEvaluationContext, desk: Desk) -> dg.RunRequest | dg.SkipReason:
    from orchestration import edge
    from orchestration.alerts import desk as alerts
    from orchestration.alerts.settings import SlackAccess

    if not SlackAccess.configured(os.environ):
        return dg.SkipReason("no Slack channel is configured")
    settings = desk.settings(today(desk.now()))
    alerts.watch_clock(settings, desk.now())
    alerts.watch_limits(settings, desk.now())
    due = alerts.outbox_of(settings).due(edge.now())
    if not due:
        return dg.SkipReason("nothing is due")
    return dg.RunRequest(run_key=f"alerts {settings.home.name} {max(message.number for message in due)}")


SENSORS = [streams_sensor, restatement_sensor, alerts_sensor]
CHECKS = [stream_health, nothing_after_the_close]
