"""The rule time machine over a sealed cut: every requirement under the rulebook of another date, and what differs.

The cut is computed again under that date on a branch, from the state sealed before it; nothing else changes. Where that
date has no rules for the firm's capital, the accounts' margin is computed alone; what is refused is listed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from textwrap import shorten

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.rerun import needed
from orchestration.what_if import Branch, NoRulesError, branch
from reports.rules import basis
from streaming.apps import chain
from streaming.cuts import SealedCut, open_cut
from streaming.engine.canonical import decimal_to_int64
from streaming.risk import rulebook
from streaming.risk.margin.time_machine import RuleComparison, compare, key_of
from streaming.risk.money import MICRO
from streaming.risk.rulebook import RuleError, Rules

_PARAGRAPH = "rule"
_VALUE_WIDTH = 40
"""Characters that are shown of a parameter that is a list or table."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Where a requirement is sealed: its table, what identifies a row, and what is compared."""

    table: str
    key: tuple[str, ...]
    values: tuple[str, ...]


_ACCOUNT = ("account",)
_MARGIN: Mapping[str, _Part] = {
    "regulatory requirement": _Part("margin", (*_ACCOUNT, "margin_type"), ("requirement", "excess")),
    "Regulation T": _Part(
        "margin", _ACCOUNT,
        ("initial", "maintenance", "reg_t_excess", "maintenance_excess", "maintenance_call", "sma", "buying_power"),
    ),
    "portfolio margin": _Part("margin", _ACCOUNT, ("portfolio",)),
    "intraday margin": _Part("margin", _ACCOUNT, ("peak_deficit",)),
    "house margin": _Part(
        "margin_house", _ACCOUNT,
        ("regulatory", "non_marginable", "concentration", "extreme_move", "liquidity", "gap", "vega", "event",
         "borrow", "var_floor", "discretionary", "house_requirement", "effective_requirement", "effective_excess"),
    ),
    "strategies": _Part(
        "margin_lines", (*_ACCOUNT, "underlying", "strategy", "legs", _PARAGRAPH), ("maintenance", "initial")
    ),
    "margin groups": _Part(
        "margin_groups", (*_ACCOUNT, "margin_group", "level", _PARAGRAPH), ("scenario_loss", "minimum", "requirement")
    ),
    "calls": _Part("calls", (*_ACCOUNT, "kind", _PARAGRAPH), ("amount",)),
}  # fmt: skip
_CAPITAL: Mapping[str, _Part] = {
    "net capital and reserve": _Part("capital_lines", ("statement", "code", "label", _PARAGRAPH), ("amount",)),
    "notices": _Part("notices", ("code", _PARAGRAPH), ("value", "threshold")),
}
DIFFERENCES = pa.schema(
    [(name, pa.string()) for name in ("requirement", "account", "key", "figure", "paragraph")]
    + [(name, pa.decimal128(38, 6)) for name in ("before", "after", "difference")]
)


@dataclass(frozen=True, slots=True)
class OtherRules:
    """A sealed cut beside itself under the rulebook of another date."""

    cut: str
    version: int
    found: RuleComparison
    differences: pa.Table
    """``DIFFERENCES``: the accounts' rows with their paragraph, then the firm's (no account)."""


def rules_on(home: Home, other: date, name: str, version: int | None = None) -> OtherRules:
    """Every requirement of a sealed cut under the rulebook of ``other``.

    Raises UserError for a cut that is not sealed, and where that date has no rules for any margin.
    """
    cut = open_cut(home.settings.store, name, version)
    home.index.refresh()
    filed = date.fromisoformat(cut.manifest["versions"]["rule_date"])
    sides = _Sides(home, cut, filed, other)
    requirements = {
        label: sides.requirement(label, part, app)
        for app, parts in (("capital", _CAPITAL), ("margin", _MARGIN))
        for label, part in parts.items()
    }
    found = compare(requirements, rulebook.load(), filed, other)
    refused = found.refused.to_pylist()
    if _MARGIN.keys() <= {row["requirement"] for row in refused}:
        raise UserError(f"rules of {other}: {refused[-1]['reason']}")
    return OtherRules(cut.id, cut.version, found, _listed(found, sides.rows))


class _Sides:
    """The tables of a cut under two rule dates, computed when they are first asked for."""

    def __init__(self, home: Home, cut: SealedCut, filed: date, other: date):
        self._home, self._cut, self._filed, self._other = home, cut, filed, other
        self._branches: dict[str, Branch | RuleError] = {}
        self.rows: dict[tuple[str, str], Mapping[str, object]] = {}
        """Requirement and key text -> the row."""

    def requirement(self, label: str, part: _Part, app: str) -> Callable[[Rules], pa.Table]:
        """A requirement as a function of the rules."""

        def compute(rules: Rules) -> pa.Table:
            found = self._branch(app)
            tables = found.before if rules.rule_date == self._filed else found.after.tables
            table = _values(tables[part.table], part)
            self.rows |= {(label, key_of(row, part.key)): row for row in table.select(part.key).to_pylist()}
            return table

        return compute

    def _branch(self, app: str) -> Branch:
        """The cut under the other date as far as an application; RuleError where that date has no rules for it."""
        if app not in self._branches:
            whole = self._branches.get("capital")
            self._branches[app] = whole if isinstance(whole, Branch) else self._computed(app)
        found = self._branches[app]
        if isinstance(found, RuleError):
            raise found
        return found

    def _computed(self, app: str) -> Branch | RuleError:
        jobs = chain.jobs() if app == "capital" else needed([app])
        try:
            return branch(self._home, self._cut, {}, {"rule_date": self._other.isoformat()}, jobs)
        except NoRulesError as error:
            return RuleError(str(error))


def _values(table: pa.Table, part: _Part) -> pa.Table:
    """Text keys and int64 values; rows of the same key add up, so that it is unique."""
    columns: dict[str, pa.Array] = {name: table[name].combine_chunks() for name in part.key}
    for name in part.values:
        whole = pa.array(decimal_to_int64(table[name]), pa.int64())
        columns[name] = pc.if_else(pc.is_valid(table[name].combine_chunks()), whole, pa.scalar(None, pa.int64()))
    known = pc.ScalarAggregateOptions(min_count=1)
    sums = (
        pa.table(columns)
        .group_by(list(part.key), use_threads=False)
        .aggregate([(name, "sum", known) for name in part.values])
    )
    return sums.select([*part.key, *(f"{name}_sum" for name in part.values)]).rename_columns([*part.key, *part.values])


def _listed(found: RuleComparison, known: Mapping[tuple[str, str], Mapping[str, object]]) -> pa.Table:
    """The differences with account and paragraph of their own; accounts first, in order."""
    parts, rows = {**_MARGIN, **_CAPITAL}, []
    for row in found.differences.to_pylist():
        keys = {name: str(value) for name, value in known[row["requirement"], row["key"]].items()}
        account, paragraph = keys.pop("account", ""), keys.pop(_PARAGRAPH, "")
        sides = {"before": row["value"], "after": row["other_value"], "difference": row["difference"]}
        names = {
            "requirement": row["requirement"],
            "account": account,
            "key": ", ".join(keys.values()),
            "figure": row["column"],
            "paragraph": paragraph or basis(parts[row["requirement"]].table, row["column"]).rule,
        }
        rows.append(names | {side: None if v is None else Decimal(v) / MICRO for side, v in sides.items()})
    rows.sort(key=lambda row: (row["account"] == "", row["account"]))
    return pa.Table.from_pylist(rows, DIFFERENCES)


def write(found: OtherRules, folder: Path) -> None:
    """``differences``, ``parameters`` and ``refused`` as Parquet."""
    import pyarrow.parquet

    folder.mkdir(parents=True, exist_ok=True)
    tables = {"differences": found.differences, "parameters": found.found.parameters, "refused": found.found.refused}
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")


def lines(found: OtherRules, shown: int | None) -> Iterator[str]:
    """For a reader: the parameters that differ, what is refused, and the differences (at most ``shown``)."""
    compared = found.found
    yield f"{found.cut} v{found.version}: rules of {compared.other_date} beside those of {compared.rule_date}"
    yield ""
    yield f"{compared.parameters.num_rows} parameters differ"
    for row in compared.parameters.to_pylist():
        value, other = (shorten(row[side] or "none", _VALUE_WIDTH) for side in ("value", "other_value"))
        yield f"  {row['id']}: {value} -> {other}  [{row['rule']}]"
    for row in compared.refused.to_pylist():
        yield f"  refused: {row['requirement']}: {row['reason']}"
    rows = found.differences.to_pylist()
    accounts = {row["account"] for row in rows if row["account"]}
    yield ""
    yield f"{len(rows):,} values differ, of {len(accounts):,} accounts and the firm"
    for row in rows if shown is None else rows[:shown]:
        whom = " ".join(text for text in (row["account"] or "firm", row["requirement"], row["key"]) if text)
        before, after = ("none" if row[side] is None else f"{row[side]:,.2f}" for side in ("before", "after"))
        yield f"  {whom}: {row['figure']}: {before} -> {after}  [{row['paragraph']}]"
    if shown is not None and len(rows) > shown:
        yield f"  and {len(rows) - shown:,} more (--all)"
