"""What people look at in a run: headline numbers that Dagster plots over days, small tables, pictures, links."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa

from orchestration.console import pictures
from orchestration.publish import figures
from streaming.cuts import SealedCut

TOP = 10
"""Rows of a small table."""
Metadata = dict[str, Any]


def table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> dg.MetadataValue:
    """A small table; ``columns`` says name -> meaning, in order."""
    schema = dg.TableSchema([dg.TableColumn(name, _type(rows, name), text) for name, text in columns.items()])
    records = [dg.TableRecord({name: _plain(row.get(name)) for name in columns}) for row in rows]
    return dg.MetadataValue.table(records, schema)


def _type(rows: Sequence[Mapping[str, object]], name: str) -> str:
    kinds = {type(row.get(name)) for row in rows}
    return "float" if kinds & {Decimal, float} else ("int" if kinds == {int} else "string")


def _plain(value: object) -> str | int | float | bool | None:
    """As Dagster's tables hold it; only for display."""
    if isinstance(value, Decimal):
        return round(float(value), 2)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def without_none(found: Mapping[str, Any]) -> Metadata:
    return {name: value for name, value in found.items() if value is not None}


def of_cut(cut: SealedCut) -> Metadata:
    """What identifies a sealed cut, and how large it is."""
    manifest = cut.manifest
    tables = [
        {"table": name, "rows": found["rows"], "digest": found["digest"]} for name, found in manifest["tables"].items()
    ]
    counts = cut.table("counts")
    return {
        "cut": f"{cut.id} v{cut.version}",
        "as_of": datetime.fromtimestamp(manifest["time"] / 1e6, UTC).isoformat(),
        "epoch": manifest["epoch"],
        "price_set": manifest["price_set"],
        "rule_date": manifest["versions"]["rule_date"],
        "rulebook": manifest["versions"]["rulebook"],
        "events": float(_total(counts, "events")),
        "quarantined": float(_total(counts, "quarantined")),
        "parked": float(_total(counts, "parked")),
        "dagster/row_count": sum(found["rows"] for found in tables),
        "tables": table(tables, {"table": "sealed table", "rows": "rows", "digest": "SHA-256 of the business rows"}),
    }


def _total(rows: pa.Table, name: str) -> int:
    return sum(rows[name].to_pylist())


def of_certificates(documents: Sequence[Mapping]) -> Metadata:
    """Live against replayed, cut by cut."""
    rows = [
        {
            "cut": f"{document['cut']} v{document['version']}",
            "result": "equal" if document["equal"] else "UNEQUAL",
            "differences": len(document["differences"]),
            "replayed_from": document["replayed_from"],
        }
        for document in documents
    ]
    columns = {
        "cut": "cut and version",
        "result": "every table and state, live against replayed",
        "differences": "rows that differ",
        "replayed_from": "state that the replay started from",
    }
    unequal = [row for row in rows if row["result"] != "equal"]
    return {"cuts": float(len(rows)), "unequal": float(len(unequal)), "certificates": table(rows, columns)}


def of_margin(cut: SealedCut) -> Metadata:
    """Deficits and calls."""
    rows = cut.table("margin").select(["account", "margin_type", "equity", "requirement", "excess"]).to_pylist()
    short = sorted((row for row in rows if row["excess"] < 0), key=lambda row: (row["excess"], row["account"]))
    columns = {
        "account": "account id",
        "margin_type": "the account's regime",
        "equity": "USD",
        "requirement": "USD",
        "excess": "USD; negative = deficit",
    }
    return without_none(
        {
            "accounts": float(len(rows)),
            "accounts_in_deficit": float(len(short)),
            "deficit_usd": float(-sum((row["excess"] for row in short), Decimal(0))),
            "calls": float(cut.table("calls").num_rows),
            "top_deficits": table(short[:TOP], columns),
            "deficit_timeline": pictures.deficit_timeline(cut),
        }
    )


def of_stress(cut: SealedCut) -> Metadata:
    """The worst scenarios of the firm."""
    names = ["scenario", "name", "loss", "client_shortfall", "largest_client", "net_capital_after"]
    rows = sorted(cut.table("stress_firm").select(names).to_pylist(), key=lambda row: (-row["loss"], row["scenario"]))
    columns = {
        "scenario": "id",
        "name": "in words",
        "loss": "USD, all accounts; positive = loss",
        "client_shortfall": "USD that clients' equity does not cover",
        "largest_client": "largest shortfall",
        "net_capital_after": "USD",
    }
    worst: Metadata = {}
    if rows:
        worst = {
            "worst_scenario": rows[0]["scenario"],
            "worst_loss_usd": float(rows[0]["loss"]),
            "client_shortfall_usd": float(max(row["client_shortfall"] for row in rows)),
        }
    return worst | without_none(
        {
            "worst_scenarios": table(rows[:TOP], columns),
            "waterfall": pictures.stress_waterfall(cut),
            "heat_map": pictures.stress_heat(cut),
        }
    )


def of_capital(cut: SealedCut) -> Metadata:
    """Net capital and the early-warning tests."""
    found = figures(cut)
    shown = ("net_capital", "required", "excess", "reserve_customer_required", "reserve_pab_required")
    headroom = {"code": "test", "label": "in words", "level": "green, amber, red", "headroom": "until it fires"}
    tests = sorted(cut.table("notices").to_pylist(), key=lambda row: (not row["fires"], row["code"]))
    numbers = {f"{name}_usd": float(found[name]["value"]) for name in shown if name in found}
    return numbers | without_none(
        {
            "notices_firing": float(sum(row["fires"] for row in tests)),
            "notices": table(tests[:TOP], headroom),
            "net_capital": pictures.capital_bars(found),
        }
    )


def of_reserve(cut: SealedCut) -> Metadata:
    """The reserve formula of customers and of other broker-dealers, line by line."""
    lines = [row for row in cut.table("capital_lines").to_pylist() if str(row["statement"]).startswith("reserve_")]
    columns = {
        "statement": "customers, or PAB",
        "code": "item",
        "label": "in words",
        "amount": "USD; empty = not supplied",
        "rule": "paragraph",
    }
    found = figures(cut)
    names = [name for name in found if name.startswith("reserve_")]
    return {f"{name}_usd": float(found[name]["value"]) for name in names} | {"lines": table(lines, columns)}


def of_backtest(cut: SealedCut) -> Metadata:
    """Exceptions of the firm's VaR."""
    rows = cut.table("var_backtest").to_pylist()[-pictures.BACKTEST_DAYS :]
    beyond = [row for row in rows if row["exception"]]
    columns = {"date": "day", "pnl": "USD", "var": "USD, known the day before", "es": "USD"}
    return without_none(
        {
            "exceptions": float(len(beyond)),
            "days": float(len(rows)),
            "exception_days": table(beyond[-TOP:], columns),
            "picture": pictures.backtest(cut),
        }
    )


def of_difference(first: SealedCut, second: SealedCut) -> Metadata:
    """What a restatement changed: cells by table, and the largest changes."""
    from reports import difference

    rows = difference(first, second).to_pylist()
    ranked = sorted(rows, key=lambda row: (-abs(row["change"] or Decimal(0)), row["table"], row["key"], row["column"]))
    columns = {
        "table": "sealed table",
        "key": "row",
        "column": "cell",
        "old": f"v{first.version}",
        "new": f"v{second.version}",
        "change": "new less old",
    }
    return {"restates": f"v{first.version}", "changed_cells": float(len(rows)), "changes": table(ranked[:TOP], columns)}
