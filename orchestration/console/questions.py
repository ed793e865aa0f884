"""The questions one asks beside the filed numbers: as of a time, and what if. Answers go under ``branch/``."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.calendar import NEW_YORK
from orchestration.console import metadata, stages
from orchestration.console.assets import MAX_RUNTIME_S
from orchestration.console.desk import Desk
from orchestration.errors import UserError

_TAGS = {"dagster/max_runtime": str(MAX_RUNTIME_S)}
_BRANCH = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_ROWS_SHOWN = 100


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


class HypotheticalTrade(dg.Config):
    """A trade just before the cut."""

    account: str = Field(description="Account id.")
    instrument: str = Field(description="Instrument id.")
    side: str = Field(description="buy or sell.")
    quantity: int = Field(description="Units or contracts, above 0.")
    price: str = Field(default="", description="Per unit; empty = the cut's price.")
    fee: str = Field(default="0", description="Charged to the account.")
    settle_date: str = Field(default="", description="ISO date; empty = by the settlement cycle of the rule date.")


class HypotheticalPrice(dg.Config):
    """A price just before the cut."""

    instrument: str = Field(description="Instrument id.")
    price: str = Field(default="", description="The price; or else `change`.")
    change: str = Field(default="", description="Relative to the cut's price: -0.10 is ten percent down.")
    options: str = Field(default="revalue", description="revalue: its options move with it; keep: they stay.")


class HypotheticalCash(dg.Config):
    """A deposit, or below zero a withdrawal."""

    account: str = Field(description="Account id.")
    amount: str = Field(description="Positive = credit to the account.")
    currency: str = Field(default="USD", description="ISO 4217.")


class HypotheticalTransfer(dg.Config):
    """From one account to another: cash (`amount`), or a position (`instrument` and `quantity`)."""

    source: str = Field(description="Account id that gives.")
    target: str = Field(description="Account id that takes.")
    amount: str = Field(default="", description="Cash; empty for a position.")
    currency: str = Field(default="USD", description="Of the cash.")
    instrument: str = Field(default="", description="Of the position; empty for cash.")
    quantity: int = Field(default=0, description="Size of what is moved of the position; 0 for cash.")


class WhatIf(dg.Config):
    """A question to a sealed cut. The answer lies beside the filed numbers and changes none of them."""

    name: str = Field(description="Folder of the answer under `branch/`: small letters, digits, hyphens.")
    cut: str = Field(description="The sealed cut: 2020-03-16/1030, 2020-03-16/eod.")
    version: int = Field(default=0, description="Of the cut; 0 = the newest.")
    rule_date: str = Field(default="", description="ISO date whose rulebook counts on the branch; empty = the cut's.")
    trades: list[HypotheticalTrade] = Field(default=[], description="Trades that never were.")
    prices: list[HypotheticalPrice] = Field(default=[], description="Prices that never were.")
    cash: list[HypotheticalCash] = Field(default=[], description="Deposits and withdrawals that never were.")
    transfers: list[HypotheticalTransfer] = Field(default=[], description="Transfers that never were.")

    def document(self) -> dict[str, Any]:
        """As the file of `plumbline what-if` says it."""
        lists: dict[str, Sequence[dg.Config]] = {"trade": self.trades, "price": self.prices, "cash": self.cash}
        found: dict[str, Any] = {name: [_given(entry) for entry in entries] for name, entries in lists.items()}
        found["transfer"] = [
            {{"source": "from", "target": "to"}.get(name, name): value for name, value in _given(entry).items()}
            for entry in self.transfers
        ]
        for entry in found["transfer"]:
            if "amount" not in entry:
                entry.pop("currency", None)
        return found | _given(self, "name", "cut", "version", "rule_date")


def _given(entry: dg.Config, *names: str) -> dict[str, Any]:
    """The fields that say something."""
    fields = {name: getattr(entry, name) for name in names or type(entry).model_fields}
    return {name: value for name, value in fields.items() if value not in ("", 0)}


@dg.op(description="P&L, margin, net capital and reserve before and after, on a branch of a sealed cut.")
def branch_of_cut(context: dg.OpExecutionContext, config: WhatIf, desk: Desk) -> None:
    from orchestration import what_if as asking
    from orchestration.pipeline import Home
    from orchestration.what_if_file import parse

    with stages.telling():
        question = parse(config.document())
        folder = branch(desk, question.name)
        home = Home.open(desk.settings(_date_of(question.cut)))
        answer = asking.ask(home, question)
        asking.write(answer, folder)
    rows = answer.summary.to_pylist()
    context.add_output_metadata(
        {
            "cut": f"{answer.branch.cut.id} v{answer.branch.cut.version}",
            "hypothetical_events": answer.events,
            "touched_accounts": len(answer.touched),
            "folder": desk.link(folder),
            "before_and_after": metadata.table(rows[:_ROWS_SHOWN], dict.fromkeys(answer.summary.column_names, "")),
        }
    )


@dg.job(tags=_TAGS, description="Trades, prices, transfers or rules that never were, written under `branch/`.")
def what_if() -> None:
    branch_of_cut()


def _date_of(cut: str) -> date:
    try:
        return date.fromisoformat(cut.partition("/")[0])
    except ValueError:
        raise UserError(f"cut: expected one such as 2020-03-16/1030, found {cut!r}") from None


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
