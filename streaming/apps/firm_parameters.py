"""The rule parameters in force, as a sealed table: what every number of the cut was computed with."""

import json
from datetime import date
from decimal import Decimal
from functools import cache

import pyarrow as pa

from streaming.engine.canonical import sort_by_key
from streaming.risk.rulebook import Override, Parameter, Rules
from streaming.schema import sealed


@cache
def parameters_table(rules: Rules) -> pa.Table:
    """``parameters``: one row per parameter at the rule date, and one per override of a house parameter."""
    day, book = rules.rule_date, rules.rulebook
    rows = [
        _row(item, item.rule, item.unit, item.evidence, item.source) for item in book.parameters if item.covers(day)
    ]
    for item in book.overrides:
        if item.covers(day, item.client, item.product):
            house = book.lookup(item.id, day)
            rows.append(_row(item, house.rule, house.unit, "H", item.reason))
    return sort_by_key(sealed.PARAMETERS, pa.Table.from_pylist(rows, sealed.PARAMETERS.arrow))


def _row(item: Parameter | Override, rule: str, unit: str, evidence: str, source: str) -> dict[str, object]:
    return {
        "id": item.id,
        "client": getattr(item, "client", None) or "",
        "product": getattr(item, "product", None) or "",
        "value": _text(item.value),
        "unit": unit,
        "rule": rule,
        "valid_from": item.valid_from,
        "valid_to": item.valid_to,
        "evidence": evidence,
        "source": source,
    }


def _text(value: object) -> str:
    if isinstance(value, (str, int, Decimal)):
        return str(value)
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, (date, Decimal)):
        return str(value)
    raise TypeError(f"parameter: expected texts, numbers, dates, lists and tables, found {value!r}")
