"""MiFIR transaction reports (RTS 22) of the day's trades, for an executing entity in the EU or UK (end of day)."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.firm_inputs import codes
from streaming.apps.firm_view import FirmView
from streaming.apps.tables import build
from streaming.engine.canonical import decimal_to_int64
from streaming.risk.capital.mifid import Entity, Extract, transaction_reports
from streaming.risk.capital.parameters import texts
from streaming.risk.reference import Instruments
from streaming.risk.rulebook import Rules
from streaming.schema import sealed
from streaming.schema.transactions import TRANSACTION_FIELDS

_REPORTED = ["id", "kind", "account", "instrument", "quantity", "price", "event_time", "venue", "counterparty"]
HELD_BACK, OUT_OF_SCOPE = "held back", "out of scope"


def transaction_tables(firm: FirmView) -> dict[str, pa.Table]:
    """``transaction_reports`` and ``transaction_faults``; empty where no entity executes in the EU or UK."""
    entity = _entity(firm.rules)
    if entity is None:
        tables = (sealed.TRANSACTION_REPORTS, sealed.TRANSACTION_FAULTS)
        return {table.name: table.arrow.empty_table() for table in tables}
    scope = in_scope(firm.instruments, firm.rules)
    trades, outside = _trades(firm, scope)
    day = str(np.datetime64(firm.cut.as_of, "D"))
    found = transaction_reports(
        trades, firm.accounts, firm.instruments, scope, entity, firm.rules, trade_day=day, holidays=_holidays(firm)
    )
    reports = found.reports.rename_columns(list(TRANSACTION_FIELDS))
    columns = {name: reports[name] for name in TRANSACTION_FIELDS}
    return {
        "transaction_reports": build(sealed.TRANSACTION_REPORTS, columns),
        "transaction_faults": _faults(found, outside),
    }


def _entity(rules: Rules) -> Entity | None:
    table = rules.table("mifid.entity")
    lei = str(table["lei"])
    return Entity(lei, lei, True, str(table["country"])) if lei else None


def in_scope(instruments: Instruments, rules: Rules) -> np.ndarray:
    """bool by instrument code: admitted to or traded on an EU or UK venue, or an option on such an instrument."""
    countries, named = texts("mifid.scope.countries", rules), texts("mifid.scope.instruments", rules)
    country = np.array([str(isin or "")[:2] for isin in instruments.isin])
    own = np.isin(country, countries) | np.isin(instruments.id.astype(str), named)
    return own | own[instruments.underlying]


def _trades(firm: FirmView, scope: np.ndarray) -> tuple[pa.Table, int]:
    """The day's trades in scope as ``transaction_reports`` takes them, and how many are not; exercises are none."""
    rows = firm.rows.get("trades", ())
    if not rows:
        none = {name: pa.array([], pa.string()) for name in ("reference", "venue", "counterparty_lei")}
        none |= {name: pa.array([], pa.int64()) for name in ("account", "instrument", "quantity", "price", "time")}
        return pa.table(none | {"buy": pa.array([], pa.bool_())}), 0
    trades = pa.concat_tables(rows).select(_REPORTED)
    executed = pc.equal(trades["kind"], "trade").to_numpy()
    instrument = codes(trades["instrument"], firm.ids.instruments)
    kept = np.flatnonzero(executed & scope[instrument])
    outside = int(executed.sum()) - len(kept)
    trades, instrument = trades.take(pa.array(kept)).combine_chunks(), instrument[kept]
    order = pc.sort_indices(trades, sort_keys=[("id", "ascending")])
    trades, instrument = trades.take(order), instrument[order.to_numpy()]
    lei = {name: str(code) for name, code in firm.rules.table("mifid.counterparty_lei").items()}
    quantity = trades["quantity"].to_numpy()
    columns = {
        "reference": trades["id"],
        "account": pa.array(codes(trades["account"], firm.ids.accounts)),
        "instrument": pa.array(instrument),
        "buy": pa.array(quantity > 0),
        "quantity": pa.array(np.abs(quantity)),
        "price": pa.array(decimal_to_int64(trades["price"])),
        "time": trades["event_time"].cast(pa.int64()),
        "venue": trades["venue"],
        "counterparty_lei": pa.array([lei.get(name, name) for name in trades["counterparty"].to_pylist()], pa.string()),
    }
    return pa.table(columns), outside


def _faults(found: Extract, outside: int) -> pa.Table:
    """One row a fault, and one a reason to leave trades out."""
    counted = Counter(found.excluded)
    if outside:
        counted["instrument outside EU and UK scope"] += outside
    rows = [
        (HELD_BACK, fault.reference, fault.field, fault.name, fault.expected, fault.found, 1) for fault in found.faults
    ]
    rows += [(OUT_OF_SCOPE, reason, 0, "", "", "", count) for reason, count in sorted(counted.items())]
    unique = {row[:3]: row for row in rows}
    columns = list(zip(*unique.values(), strict=True)) if unique else [()] * 7
    arrays: dict[str, object] = {
        name: pa.array(column, pa.int64() if name in ("field", "trades") else pa.string())
        for name, column in zip(
            ("status", "reference", "field", "name", "expected", "found", "trades"), columns, strict=True
        )
    }
    return build(sealed.TRANSACTION_FAULTS, arrays | {"due": pa.array([found.due] * len(unique), pa.string())})


def _holidays(firm: FirmView) -> list[str]:
    """Weekdays of the coming fortnight on which the market is closed."""
    days = np.arange(firm.cut.as_of, firm.cut.as_of + _AHEAD).astype("datetime64[D]")
    closed = np.is_busday(days) & ~np.isin(days.astype(np.int64), firm.cut.sessions.day)
    return [str(day) for day in days[closed]]


_AHEAD = 15
"""Days looked ahead for holidays."""
