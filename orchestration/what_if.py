"""What if: hypothetical trades, prices, transfers or another rule date on a branch of a sealed cut.

The branch starts from the state sealed before the cut, runs the same applications over the same epochs with the
hypothetical events behind everything that lies in the cut's epoch, and is compared with what is sealed. It writes to a
scratch log and below ``branch/``: no filed number can change.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa

from orchestration.days import MarkedCut, marked_cuts
from orchestration.edge import code_version
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.rerun import Start
from orchestration.what_if_events import Events
from orchestration.what_if_file import WhatIf
from orchestration.what_if_log import BranchLog, Partition
from streaming.apps import chain
from streaming.cuts import SealedCut, open_cut
from streaming.engine.app import Job
from streaming.engine.replay import compare, replay
from streaming.engine.runner import ApplicationError
from streaming.engine.sealing import Cut
from streaming.risk.rulebook import RuleError
from streaming.schema.sealed import TABLES

BRANCH = "branch"
CHANGES_MAX = 10_000
"""Most changed values that are written of one table."""


class NoRulesError(UserError):
    """The rulebook has no value for something that is needed at a rule date."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of an account or of the firm that is shown before and after."""

    measure: str
    table: str
    column: str
    label: str


_ACCOUNT_FIGURES = (
    Figure("P&L", "exposure", "day_pnl", "Day P&L"),
    Figure("P&L", "exposure", "equity", "Equity"),
    Figure("Regulation T", "margin", "initial", "Initial requirement"),
    Figure("Regulation T", "margin", "reg_t_excess", "Initial excess"),
    Figure("Regulation T", "margin", "maintenance", "Maintenance requirement"),
    Figure("Regulation T", "margin", "maintenance_excess", "Maintenance excess"),
    Figure("Portfolio margin", "margin", "portfolio", "Portfolio margin requirement"),
    Figure("Own regime", "margin", "requirement", "Regulatory requirement"),
    Figure("Own regime", "margin", "excess", "Excess"),
    Figure("House", "margin_house", "house_requirement", "House requirement"),
    Figure("House", "margin_house", "effective_requirement", "Effective requirement"),
    Figure("House", "margin_house", "effective_excess", "Effective excess"),
)
_HEADLINES = (
    ("Net capital", "net_capital"),
    ("Net capital", "required"),
    ("Net capital", "excess"),
    ("Net capital", "haircuts"),
    ("Net capital", "aggregate_debits"),
    ("Reserve", "reserve_customer_required"),
    ("Reserve", "reserve_customer_on_deposit"),
    ("Reserve", "reserve_pab_required"),
    ("Reserve", "reserve_pab_on_deposit"),
)
SUMMARY = pa.schema(
    [(name, pa.string()) for name in ("level", "name", "measure", "figure")]
    + [(name, pa.decimal128(38, 6)) for name in ("before", "after", "difference")]
)
"""The firm first, then the accounts; null where there is no such row."""
CHANGES = pa.schema([(name, pa.string()) for name in ("table", "key", "column", "before", "after")])


@dataclass(frozen=True)
class Branch:
    """What became of a cut on a branch."""

    cut: SealedCut
    start: Start
    before: Mapping[str, pa.Table]
    """The sealed tables; where other code sealed them, computed again without the hypothetical events."""
    recomputed: bool
    """Whether they were computed again."""
    after: Cut


@dataclass(frozen=True)
class Answer:
    """A question, its branch, and the figures side by side."""

    question: WhatIf
    branch: Branch
    events: int
    touched: tuple[str, ...]
    """The accounts that the question names, and those with a figure that differs."""
    summary: pa.Table
    changes: pa.Table
    """Values that differ, table by table: at most CHANGES_MAX of each."""


def ask(home: Home, question: WhatIf) -> Answer:
    """Compute the branch that a question describes, and compare it with its cut.

    Raises UserError for a cut that is not sealed, for events that the book refuses, and for a date without rules.
    """
    cut = open_cut(home.settings.store, question.cut, question.version)
    home.index.refresh()
    events = Events(home, cut, home.index[cut.manifest["epoch"]], question)
    versions = {} if question.rule_date is None else {"rule_date": question.rule_date.isoformat()}
    found = branch(home, cut, events.payloads, versions, chain.jobs())
    _taken(found, events)
    summary = _summary(found, events.accounts)
    touched = sorted({row["name"] for row in summary.to_pylist() if row["level"] == "account"})
    return Answer(question, found, events.count, tuple(touched), summary, _changes(found))


def branch(
    home: Home,
    cut: SealedCut,
    events: Mapping[Partition, Sequence[bytes]],
    versions: Mapping[str, str],
    jobs: Sequence[Job],
) -> Branch:
    """A sealed cut with more events in its epoch and other versions since the state it starts from."""
    marked = [other for other in marked_cuts(home.index) if (other.id, other.version) == (cut.id, cut.version)]
    start = _before(home, marked[0])
    before: Mapping[str, pa.Table] = {name: cut.table(name) for name in cut.tables}
    recomputed = cut.manifest["versions"]["code"] != code_version()
    if recomputed:
        before = _run(home, marked[0], start, {}, {}, jobs).tables
    return Branch(cut, start, before, recomputed, _run(home, marked[0], start, events, versions, jobs))


def write(answer: Answer, folder: Path) -> None:
    """The answer as a folder, replaced as a whole: ``what-if.json``, ``summary`` and ``changes``, ``tables/`` of the
    branch, all Parquet."""
    import pyarrow.parquet

    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (fresh / "tables").mkdir()
        for name, table in answer.branch.after.tables.items():
            pyarrow.parquet.write_table(table, fresh / "tables" / f"{name}.parquet")
        pyarrow.parquet.write_table(answer.summary, fresh / "summary.parquet")
        pyarrow.parquet.write_table(answer.changes, fresh / "changes.parquet")
        (fresh / "what-if.json").write_bytes(orjson.dumps(document(answer), default=str, option=orjson.OPT_INDENT_2))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def document(answer: Answer) -> dict[str, object]:
    """As JSON: the question, where the branch began, its digests, and the figures before and after."""
    found, asked = answer.branch, answer.question
    return {
        "name": asked.name,
        "cut": found.cut.id,
        "version": found.cut.version,
        "started_from": found.start[0] if found.start else "the beginning",
        "rule_date": found.after.versions["rule_date"],
        "rule_date_filed": found.cut.manifest["versions"]["rule_date"],
        "before_recomputed": found.recomputed,
        "question": {
            name: [_fields(entry) for entry in entries]
            for name in ("trades", "prices", "cash", "transfers")
            if (entries := getattr(asked, name))
        },
        "events": answer.events,
        "touched": list(answer.touched),
        "summary": answer.summary.to_pylist(),
        "tables": {
            name: {"rows": table.num_rows, "digest": found.after.digests[name]}
            for name, table in sorted(found.after.tables.items())
        },
    }


def _fields(entry: object) -> dict[str, object]:
    return {name: value for name in entry.__slots__ if (value := getattr(entry, name)) not in (None, "")}  # type: ignore[attr-defined]


def lines(answer: Answer, shown: int | None) -> Iterator[str]:
    """For a reader: the firm, and the touched accounts (at most ``shown``)."""
    found, asked = answer.branch, answer.question
    start = found.start[0] if found.start else "the beginning"
    where = f"{found.cut.id} v{found.cut.version}, branch {asked.name} from {start}"
    yield f"{where}: {answer.events:,} hypothetical events"
    if asked.rule_date is not None:
        yield f"rule date {asked.rule_date}, filed {found.cut.manifest['versions']['rule_date']}"
    if found.recomputed:
        yield "before: computed again, for other code sealed the cut"
    rows = answer.summary.to_pylist()
    places: dict[tuple[str, str], list[Mapping]] = {}
    for row in rows:
        places.setdefault((row["level"], row["name"]), []).append(row)
    listed = list(places.items())
    for (level, name), figures in listed if shown is None else listed[: shown + 1]:
        yield ""
        yield f"{level} {name}".strip()
        yield f"  {'':<46}{'before':>22}{'after':>22}{'difference':>20}"
        for row in figures:
            values = (_shown(row[side]) for side in ("before", "after", "difference"))
            before, after, difference = values
            yield f"  {row['figure']:<46}{before:>22}{after:>22}{difference:>20}"
    if shown is not None and len(listed) > shown + 1:
        yield ""
        yield f"and {len(listed) - shown - 1:,} more accounts (--all)"


def _shown(value: Decimal | None) -> str:
    return "none" if value is None else f"{value:,.2f}"


def _before(home: Home, cut: MarkedCut) -> Start:
    """The newest sealed cut before a cut."""
    before = [other for other in marked_cuts(home.index) if other.epoch.number < cut.epoch.number]
    sealed = [other for other in before if other.version in home.store.versions(other.id)]
    return (sealed[-1].id, sealed[-1].version) if sealed else None


def _run(
    home: Home,
    cut: MarkedCut,
    start: Start,
    events: Mapping[Partition, Sequence[bytes]],
    versions: Mapping[str, str],
    jobs: Sequence[Job],
) -> Cut:
    """A cut as these jobs make it over a branch of the log, in a scratch folder that goes with it."""
    first = home.store.epoch(*start) + 1 if start else 0
    log = BranchLog(home.log, home.index, first, cut.epoch, events, versions)
    home.settings.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="what-if-", dir=home.settings.scratch) as folder:
        try:
            (found,) = replay(log, jobs, [cut.epoch], Path(folder), (home.store, *start) if start else None)
        except ApplicationError as error:
            if isinstance(error.__cause__, RuleError):
                raise NoRulesError(str(error.__cause__)) from None
            raise
    return replace(found, states={})


def _taken(found: Branch, events: Events) -> None:
    """Check in what was added: the book took every event, and every price stands. UserError names what was not."""
    rows = [set(map(_quarantined, tables["quarantine"].to_pylist())) for tables in (found.before, found.after.tables)]
    refused = sorted(rows[1] - rows[0])
    if refused:
        topic, reason, detail = refused[0]
        raise UserError(f"{topic}: expected events that the book takes, {len(refused)} refused: {reason}: {detail}")
    prices = {row["instrument"]: row["price"] for row in found.after.tables["prices"].to_pylist()}
    for name, price in events.expected.items():
        if prices[name] != price:
            raise UserError(f"price of {name}: expected {price} on the branch, found {prices[name]}")


def _quarantined(row: Mapping) -> tuple[str, str, str]:
    return row["topic"], row["reason"], row["detail"]


def _summary(found: Branch, named: frozenset[str]) -> pa.Table:
    """Rows of the firm, then of every account that is named or has a figure that differs."""
    values = [_by_account(tables) for tables in (found.before, found.after.tables)]
    accounts = sorted({name for side in values for name, _ in side})
    firm, rows = [], []
    for figure in _ACCOUNT_FIGURES:
        total = [sum((v for (_, f), v in side.items() if f is figure and v is not None), Decimal(0)) for side in values]
        firm.append(_row("firm", "", figure.measure, f"{figure.label}, all accounts", total[0], total[1]))
    headlines = [_headlines(tables) for tables in (found.before, found.after.tables)]
    for measure, name in _HEADLINES:
        (before, label), (after, other) = (side.get(name, (None, "")) for side in headlines)
        if before is not None or after is not None:
            firm.append(_row("firm", "", measure, label or other, before, after))
    for account in accounts:
        pairs = [(values[0].get((account, figure)), values[1].get((account, figure))) for figure in _ACCOUNT_FIGURES]
        if account in named or any(before != after for before, after in pairs):
            rows += [
                _row("account", account, figure.measure, figure.label, *pair)
                for figure, pair in zip(_ACCOUNT_FIGURES, pairs, strict=True)
            ]
    return pa.Table.from_pylist(firm + rows, SUMMARY)


def _row(
    level: str, name: str, measure: str, label: str, before: Decimal | None, after: Decimal | None
) -> dict[str, object]:
    known = before is not None and after is not None
    difference = after - before if known else None  # type: ignore[operator]
    sides = {"before": before, "after": after, "difference": difference}
    return {"level": level, "name": name, "measure": measure, "figure": label, **sides}


def _by_account(tables: Mapping[str, pa.Table]) -> dict[tuple[str, Figure], Decimal | None]:
    found: dict[tuple[str, Figure], Decimal | None] = {}
    for figure in _ACCOUNT_FIGURES:
        table = tables[figure.table]
        for account, value in zip(table["account"].to_pylist(), table[figure.column].to_pylist(), strict=True):
            found[account, figure] = value
    return found


def _headlines(tables: Mapping[str, pa.Table]) -> dict[str, tuple[Decimal | None, str]]:
    return {row["name"]: (row["value"], row["label"]) for row in tables["headlines"].to_pylist()}


def _changes(found: Branch) -> pa.Table:
    rows = []
    for name in TABLES:
        if name not in found.before or name not in found.after.tables:
            continue
        for item in compare(name, found.before[name], found.after.tables[name], CHANGES_MAX):
            key = "; ".join(f"{column} = {value}" for column, value in item.key.items())
            rows.append(
                {
                    "table": name,
                    "key": key,
                    "column": item.column,
                    "before": str(item.live),
                    "after": str(item.replayed),
                }
            )
    return pa.Table.from_pylist(rows, CHANGES)
