"""Jobs: a day, its cuts, the live jobs, and the questions one asks beside the filed numbers."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.calendar import NEW_YORK
from orchestration.console import live, metadata, stages, streams
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
from orchestration.errors import UserError

_TAGS = {"dagster/max_runtime": str(MAX_RUNTIME_S)}
_BRANCH = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")

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


class AsOf(dg.Config):
    """A question about any time of a day. The answer lies beside the filed numbers and changes none of them."""

    time: str = Field(description="ISO 8601, New York time where it names no zone: 2020-03-16T10:45:00.")
    account: str = Field(default="", description="Only this account; empty = every account.")
    name: str = Field(description="Folder of the answer under `branch/`: small letters, digits, hyphens.")


@dg.op(description="Positions, P&L and margin as of a time, by a bounded replay.")
def tables_as_of(context: dg.OpExecutionContext, config: AsOf, desk: Desk) -> None:
    from orchestration import asof
    from orchestration.pipeline import Home

    with stages.telling():
        at, folder = _moment(config.time), branch(desk, config.name)
        home = Home.open(desk.settings(at.astimezone(NEW_YORK).date()))
        found = asof.tables_at(home, at, config.account or None)
        asof.write(found, folder)
    rows = [{"table": name, "rows": rows.num_rows} for name, rows in found.tables.items()]
    context.add_output_metadata(
        {
            "epoch": found.epoch.number,
            "replayed_from": found.start or "the beginning",
            "folder": desk.link(folder),
            "tables": metadata.table(rows, {"table": "", "rows": ""}),
        }
    )


@dg.job(tags=_TAGS, description="Positions, P&L and margin at any time of a day, written under `branch/`.")
def as_of() -> None:
    tables_as_of()


def branch(desk: Desk, name: str) -> Path:
    """Where what is no filed number goes; UserError for a name that would lead elsewhere."""
    if not _BRANCH.fullmatch(name):
        raise UserError(f"name: expected small letters, digits and hyphens, found {name!r}")
    return Path(desk.out) / "branch" / name


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"time: expected a time such as 2020-03-16T10:45:00, found {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=NEW_YORK)


JOBS: list[Any] = [day, cut, reserve_morning, backtest_week, start_streams, stop_streams, deliver_alerts, as_of]
