"""The rule time machine: any requirement under the rulebook of another date, and what differs.

A requirement is given as a function of the rules that returns a table: text columns are its key, int64 columns its
values. The same positions and prices are used on both sides; only the rule date differs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from streaming.risk.rulebook import Rulebook, RuleError, Rules

Requirement = Callable[[Rules], pa.Table]


@dataclass(frozen=True, slots=True)
class RuleComparison:
    """What another rule date changes."""

    rule_date: date
    other_date: date
    parameters: pa.Table
    """Rule parameters that differ: id, value, other_value (null = none in force), rule."""
    differences: pa.Table
    """Values that differ: requirement, key, column, value, other_value (null = no such row), difference."""
    refused: pa.Table
    """Requirements that one of the dates has no rules for: requirement, rule_date, reason."""


def compare(
    requirements: Mapping[str, Requirement], rulebook: Rulebook, rule_date: date, other_date: date
) -> RuleComparison:
    """Compute every requirement under both dates and list what differs, in the order of ``requirements``.

    Raises:
        ValueError: A table's keys are not unique, or the two tables of a requirement have different columns.
    """
    differences: list[dict[str, object]] = []
    refused: list[dict[str, object]] = []
    for name, compute in requirements.items():
        tables = []
        for day in (rule_date, other_date):
            try:
                tables.append(_indexed(compute(rulebook.at(day)), name))
            except RuleError as error:
                refused.append({"requirement": name, "rule_date": day, "reason": str(error)})
        if len(tables) == 2:
            differences += _differences(name, *tables)
    return RuleComparison(
        rule_date,
        other_date,
        parameter_differences(rulebook, rule_date, other_date),
        pa.Table.from_pylist(differences, _DIFFERENCES),
        pa.Table.from_pylist(refused, _REFUSED),
    )


def parameter_differences(rulebook: Rulebook, rule_date: date, other_date: date) -> pa.Table:
    """Rule parameters and house overrides whose value on ``other_date`` is not that on ``rule_date``."""
    sides = [_values_on(rulebook, day) for day in (rule_date, other_date)]
    rows = []
    for key in sorted(set(sides[0]) | set(sides[1])):
        value, other = (side.get(key, (None, "")) for side in sides)
        if value[0] != other[0]:
            rows.append({"id": key, "value": value[0], "other_value": other[0], "rule": value[1] or other[1]})
    return pa.Table.from_pylist(rows, _PARAMETERS)


_PARAMETERS = pa.schema([(name, pa.string()) for name in ("id", "value", "other_value", "rule")])
_REFUSED = pa.schema([("requirement", pa.string()), ("rule_date", pa.date32()), ("reason", pa.string())])
_DIFFERENCES = pa.schema(
    [(name, pa.string()) for name in ("requirement", "key", "column")]
    + [(name, pa.int64()) for name in ("value", "other_value", "difference")]
)


def _values_on(rulebook: Rulebook, day: date) -> dict[str, tuple[str, str]]:
    values = {p.id: (str(p.value), p.rule) for p in rulebook.parameters if p.covers(day)}
    for entry in rulebook.overrides:
        if entry.valid_from <= day and (entry.valid_to is None or day <= entry.valid_to):
            scope = ", ".join(name for name in (entry.client, entry.product) if name is not None)
            values[f"{entry.id} [{scope}]"] = (str(entry.value), entry.reason)
    return values


def key_of(row: Mapping[str, object], texts: Sequence[str]) -> str:
    """How a row with these key columns is named in ``RuleComparison.differences``."""
    return "; ".join(f"{text} = {row[text]}" for text in texts)


def _indexed(table: pa.Table, name: str) -> dict[str, dict[str, int | None]]:
    """Key to its values by column."""
    texts = [field.name for field in table.schema if not pa.types.is_int64(field.type)]
    rows: dict[str, dict[str, int | None]] = {}
    for row in table.to_pylist():
        key = key_of(row, texts)
        if key in rows:
            raise ValueError(f"requirement {name!r}: expected unique keys, found {key!r} twice")
        rows[key] = {column: value for column, value in row.items() if column not in texts}
    return rows


def _differences(
    name: str, rows: Mapping[str, Mapping[str, int | None]], others: Mapping[str, Mapping[str, int | None]]
) -> list[dict[str, object]]:
    columns = {tuple(values) for values in (*rows.values(), *others.values())}
    if len(columns) > 1:
        raise ValueError(f"requirement {name!r}: expected the same columns under both dates, found {sorted(columns)}")
    found: list[dict[str, object]] = []
    for key in sorted(set(rows) | set(others)):
        for column in next(iter(columns)):
            value, other = rows.get(key, {}).get(column), others.get(key, {}).get(column)
            if value != other:
                found.append(
                    {
                        "requirement": name,
                        "key": key,
                        "column": column,
                        "value": value,
                        "other_value": other,
                        "difference": (other or 0) - (value or 0),
                    }
                )
    return found
