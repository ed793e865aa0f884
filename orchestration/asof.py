"""As of any time: the state of the nearest cut before, and a bounded replay to the last epoch at or before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.calendar import microseconds
from orchestration.days import marked_cuts
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.rerun import Start, all_but, rerun
from streaming.apps import chain
from streaming.engine.epochs import Epoch

ACCOUNT_TABLES = ("positions", "pnl", "cash", "exposure", "margin")


@dataclass(frozen=True)
class AsOf:
    """The tables at one epoch."""

    epoch: Epoch
    start: str
    """The cut whose state the replay started from; empty = the beginning."""
    tables: Mapping[str, pa.Table]


def tables_at(home: Home, time: datetime, account: str | None = None) -> AsOf:
    """Every sealed table as it would have been sealed at ``time``; of one account where one is named.

    Raises UserError before the first epoch, and for an account that was not known by then.
    """
    home.index.refresh()
    at = microseconds(time.astimezone(UTC))
    epoch = home.index.last_at(at)
    if epoch is None:
        raise UserError(f"{time.isoformat()}: expected a time at or after the first epoch of {home.settings.log}")
    start = _nearest(home, epoch)
    tables = _replayed(home, epoch, start)
    if account is not None:
        known = tables["accounts"]["id"].to_pylist()
        if account not in known:
            raise UserError(f"account: expected one of {len(known)} known at {time.isoformat()}, found {account}")
        tables = {name: _of_account(table, account) for name, table in tables.items()}
    return AsOf(epoch, start[0] if start else "", tables)


def write(found: AsOf, folder: Path) -> None:
    """Every table as Parquet."""
    import pyarrow.parquet

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in found.tables.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")


def lines(found: AsOf, account: str | None) -> Iterator[str]:
    """For a reader: the account's tables, or one line an account."""
    closed = datetime.fromtimestamp(found.epoch.time / 1e6, UTC)
    start = found.start or "the beginning"
    yield f"epoch {found.epoch.number:,} of {found.epoch.day}, closed {closed.isoformat()}, replayed from {start}"
    if account is None:
        yield from _grid(_overview(found))
        return
    for name in ACCOUNT_TABLES:
        yield ""
        yield name
        yield from _grid(found.tables[name].drop_columns(["account"]))


def _nearest(home: Home, epoch: Epoch) -> Start:
    """The newest sealed cut at or before an epoch."""
    before = [cut for cut in marked_cuts(home.index) if cut.epoch.number <= epoch.number]
    sealed = [cut for cut in before if cut.version in home.store.versions(cut.id)]
    return (sealed[-1].id, sealed[-1].version) if sealed else None


def _replayed(home: Home, epoch: Epoch, start: Start) -> dict[str, pa.Table]:
    shards = home.log.topics()["trades"]
    with rerun(home, epoch, all_but(), start) as again:
        return again.tables((job, job.shards(shards)) for job in chain.jobs())


def _of_account(table: pa.Table, account: str) -> pa.Table:
    return table.filter(pc.equal(table["account"], account)) if "account" in table.column_names else table


def _overview(found: AsOf) -> pa.Table:
    exposure = found.tables["exposure"].select(["account", "equity", "day_pnl", "unpriced"])
    margin = found.tables["margin"].select(["account", "requirement", "excess", "price_set"])
    joined = exposure.join(margin, "account", join_type="left outer").sort_by("account")
    return joined.select(["account", "equity", "day_pnl", "requirement", "excess", "unpriced", "price_set"])


def _grid(table: pa.Table) -> Iterator[str]:
    """Columns in line: numbers right, text left."""
    rows = [table.column_names] + [[_cell(value) for value in row.values()] for row in table.to_pylist()]
    widths = [max(len(row[i]) for row in rows) for i in range(table.num_columns)]
    right = [not pa.types.is_string(field.type) for field in table.schema]
    for row in rows:
        cells = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        yield ("  " + "  ".join(cells)).rstrip()


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    return "" if value is None else (f"{value:,}" if isinstance(value, int) else str(value))
