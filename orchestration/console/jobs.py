"""Jobs: a day, its cuts, the live jobs, and the questions one asks beside the filed numbers."""

from typing import Any

import dagster as dg

from orchestration.console import live, questions, stages, streams
from orchestration.console.assets import (
    BOOKS,
    CERTIFICATE_KEY,
    CHECKS,
    END_OF_DAY_KEY,
    INTRADAY_KEY,
    LEDGER_KEY,
    MAX_RUNTIME_S,
)
from orchestration.console.clock import today
from orchestration.console.desk import Desk
from orchestration.console.topology import topology

_TAGS = {"dagster/max_runtime": str(MAX_RUNTIME_S)}

DAY_ASSETS = [END_OF_DAY_KEY, CERTIFICATE_KEY, CHECKS, *map(dg.AssetKey, BOOKS)]
DAY_ASSETS += [dg.AssetKey("notifications"), LEDGER_KEY]

day = dg.define_asset_job(
    "day",
    selection=dg.AssetSelection.assets(*DAY_ASSETS),
    description="The end of day: seal, prove, check, publish.",
    tags=_TAGS,
)
cut = dg.define_asset_job(
    "cut",
    selection=dg.AssetSelection.assets(INTRADAY_KEY),
    description="One half-hourly cut.",
    tags=_TAGS,
)
reserve_morning = dg.define_asset_job(
    "reserve_morning",
    selection=dg.AssetSelection.assets("reserve"),
    description="The reserve formulas as of the session before.",
    tags=_TAGS,
)
backtest_week = dg.define_asset_job(
    "backtest_week",
    selection=dg.AssetSelection.assets("var_backtest"),
    description="The VaR backtest as of the last session of the week.",
    tags=_TAGS,
)
start_streams = dg.define_asset_job(
    "start_streams",
    selection=dg.AssetSelection.assets(*map(streams.job_key, topology().jobs)),
    description="Start the live jobs, or let them go on from their savepoints.",
    tags=_TAGS,
)


@dg.op(description="Stop every live job with a savepoint.")
def stop_live_jobs(context: dg.OpExecutionContext, desk: Desk) -> None:
    with stages.telling():
        found = live.stop(desk)
    for name, savepoint in found.items():
        context.log.info(f"{name}: stopped, goes on from {savepoint}")
        context.log_event(
            dg.AssetObservation(streams.job_key(name), metadata={"state": "stopped", "savepoint": savepoint})
        )


@dg.job(tags=_TAGS, description="Stop the live jobs with a savepoint.")
def stop_streams() -> None:
    stop_live_jobs()


@dg.op(description="Bring what is due in the outbox of the desk's day to Slack.")
def deliver_due(context: dg.OpExecutionContext, desk: Desk) -> None:
    with stages.telling():
        found = stages.deliver(desk.settings(today(desk.now())))
    context.add_output_metadata(dict(found))


@dg.job(tags=_TAGS, description="Bring due alerts to Slack, each once.")
def deliver_alerts() -> None:
    deliver_due()


JOBS: list[Any] = [day, cut, reserve_morning, backtest_week, start_streams, stop_streams, deliver_alerts]
JOBS += [questions.as_of, questions.what_if]
