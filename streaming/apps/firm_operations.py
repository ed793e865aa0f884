"""Operations that feed capital, sealed at the end of day: fails, possession or control, stock loans, security use."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streaming.apps.firm_carry import Carry
from streaming.apps.firm_statements import Statement
from streaming.apps.firm_view import FirmView
from streaming.apps.tables import build
from streaming.risk.capital import operations
from streaming.risk.capital.inputs import Location, Sale, StockRecord
from streaming.risk.capital.lines import formula
from streaming.risk.capital.operations import AccountUse, OpenDeficits, Possession
from streaming.risk.reference import AccountKind
from streaming.risk.rulebook import Rules
from streaming.schema import sealed

NONE = "none"
_KINDS = (AccountKind.CUSTOMER, AccountKind.PAB)
_AGED = (Location.FAIL_TO_DELIVER, Location.FAIL_TO_RECEIVE, Location.DIVIDEND_RECEIVABLE)
_NO_DAY = -1
_AGEING_RULES = {
    "FAIL_TO_DELIVER": "Reg SHO 204(a); 15c3-1(c)(2)(ix); 15c3-3a item 12",
    "FAIL_TO_RECEIVE": "15c3-3a item 4; 15c3-3(d)(2)",
    "DIVIDEND_RECEIVABLE": "15c3-3a item 6; 15c3-3(d)(3)",
    "CASH_DIVIDEND": "15c3-1(c)(2)(iv)(C)",
}


@dataclass(frozen=True, slots=True)
class Operations:
    """What the end of day knows of the firm's operations."""

    tables: dict[str, pa.Table]
    statements: tuple[Statement, ...]
    possession: dict[AccountKind, Possession]
    use: AccountUse | None


def operations_view(firm: FirmView, carry: Carry) -> Operations:
    """All of it; empty tables for what needs a stock record where there is none."""
    record, allocation = firm.ledger.record, firm.capital.allocation
    tables = {"open_items": open_items(firm)}
    if record is None or allocation is None:
        for table in (sealed.POSSESSION, sealed.STOCK_LOANS, sealed.SECURITY_USE):
            tables[table.name] = table.arrow.empty_table()
        return Operations(tables, (), {}, None)
    held = possessions(firm, record, carry)
    used = operations.used_by_security(record, allocation, len(firm.instruments))
    use = operations.account_use([operations.account_rows(book, firm.part.accounts) for book in firm.books], used)
    tables |= {
        "possession": _possession_table(firm, record, held),
        "stock_loans": _stock_loans(firm, record),
        "security_use": _use_table(firm, use),
    }
    return Operations(tables, (_hypothecation(firm, record),), held, use)


def possessions(firm: FirmView, record: StockRecord, carry: Carry) -> dict[AccountKind, Possession]:
    """Possession or control of customers' securities, then of PAB accounts' in what customers leave."""
    found: dict[AccountKind, Possession] = {}
    claimed = None
    for kind in _KINDS:
        known = OpenDeficits(*carry.open_deficits(kind))
        found[kind] = operations.possession(
            kind, firm.part.securities, record, firm.ready, firm.cut, known, firm.rules, claimed
        )
        claimed = firm.part.securities.fully_paid[kind] + firm.part.securities.excess_margin[kind]
    return found


def open_items(firm: FirmView) -> pa.Table:
    """``open_items``: fails and dividends with both ages, and when a fail to deliver must be closed out."""
    record, cut = firm.ledger.record, firm.cut
    found = operations.ageing(record, firm.ledger.sheet, firm.ready, cut, firm.rules)
    n = len(found.what)
    quantity, sale = np.zeros(n, np.int64), np.zeros(n, np.int64)
    close_out, overdue = np.full(n, _NO_DAY), np.zeros(n, bool)
    if record is not None:
        for location in _AGED:  # both are in the order of their references
            quantity[found.what == location.name] = np.abs(record.quantity[record.rows(location)])
        due = operations.close_outs(record, cut, firm.rules)
        fails = found.what == Location.FAIL_TO_DELIVER.name
        sale[fails], close_out[fails], overdue[fails] = due.sale, due.close_out, due.overdue
    ids = firm.instruments.id
    columns = {
        "what": pa.array([name.lower() for name in found.what.tolist()], pa.string()),
        "reference": pa.array([str(name) for name in found.reference.tolist()], pa.string()),
        "item": _numbered(found.what, found.reference),
        "instrument": pa.array(["" if code < 0 else str(ids[code]) for code in found.instrument.tolist()], pa.string()),
        "quantity": quantity,
        "amount": found.amount,
        "value": found.value,
        "since": cut.as_of - found.calendar_age,
        "business_age": found.business_age,
        "calendar_age": found.calendar_age,
        "bucket": pa.array(found.bucket.tolist(), pa.string()),
        "sale": pa.array([Sale(code).name.lower() for code in sale.tolist()], pa.string()),
        "close_out": close_out,
        "overdue": pa.array(overdue),
        "rule": pa.array([_AGEING_RULES[name] for name in found.what.tolist()], pa.string()),
    }
    return build(sealed.OPEN_ITEMS, columns)


def _numbered(what: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """1, 2, ... within each pair; rows are sorted by it."""
    seen: dict[tuple[str, str], int] = {}
    numbers = []
    for pair in zip(what.tolist(), map(str, reference.tolist()), strict=True):
        seen[pair] = seen.get(pair, 0) + 1
        numbers.append(seen[pair])
    return np.array(numbers, np.int64)


def _possession_table(firm: FirmView, record: StockRecord, held: dict[AccountKind, Possession]) -> pa.Table:
    """One row per security with a claim, and one for each source that a deficit is to be cured from."""
    rows = []
    for kind, found in held.items():
        cures = operations.cures(found, record, firm.cut, firm.rules)
        place = np.searchsorted(found.instrument, cures.instrument)
        rows += [
            _possession_row(kind, found, at, source.lower(), quantity, day)
            for at, source, quantity, day in zip(
                place.tolist(), cures.source.tolist(), cures.quantity.tolist(), cures.cure.tolist(), strict=True
            )
        ]
        rows += [
            _possession_row(kind, found, at, NONE, 0, _NO_DAY) for at in np.flatnonzero(found.deficit == 0).tolist()
        ]
    texts = ("kind", "source", "rule")
    columns: dict[str, object] = {name: pa.array([row[name] for row in rows], pa.string()) for name in texts}
    code = np.array([row["instrument"] for row in rows], np.int64)
    columns["instrument"] = pa.array(firm.instruments.id[code].tolist(), pa.string())
    for column in sealed.POSSESSION.columns:
        if column.name not in columns:
            columns[column.name] = np.array([row[column.name] for row in rows], np.int64)
    return build(sealed.POSSESSION, columns)


def _possession_row(kind: AccountKind, found: Possession, at: int, source: str, quantity: int, cure: int) -> dict:
    short = found.deficit[at] > 0
    return {
        "kind": kind.name.lower(),
        "instrument": found.instrument[at],
        "source": source,
        "fully_paid": found.fully_paid[at],
        "excess_margin": found.excess_margin[at],
        "in_control": found.in_control[at],
        "deficit": found.deficit[at],
        "value": found.value[at],
        "since": found.since[at] if short else _NO_DAY,
        "business_age": found.business_age[at] if short else 0,
        "quantity": quantity,
        "cure": cure,
        "rule": "15c3-3(b), (d)" if short else "15c3-3(b)",
    }


def _stock_loans(firm: FirmView, record: StockRecord) -> pa.Table:
    found = operations.matched_book(record, firm.ready)
    names = ("borrowed", "loaned", "matched", "borrowed_amount", "loaned_amount", "value_matched")
    columns: dict[str, object] = {name: getattr(found, name) for name in names}
    columns["instrument"] = pa.array(firm.instruments.id[found.instrument].tolist(), pa.string())
    return build(sealed.STOCK_LOANS, columns)


def _use_table(firm: FirmView, use: AccountUse) -> pa.Table:
    columns = {
        "account": pa.array(firm.accounts.id[use.account].tolist(), pa.string()),
        "instrument": pa.array(firm.instruments.id[use.instrument].tolist(), pa.string()),
        "quantity": use.quantity,
        "segregated": use.segregated,
        "usable": use.usable,
        "used": use.used,
        "excess_use": np.maximum(use.used - use.usable, 0),
    }
    return build(sealed.SECURITY_USE, columns)


def _hypothecation(firm: FirmView, record: StockRecord) -> Statement:
    """Customers' securities in use against 140% of their debits, and loans on them against the debits."""
    allocation = firm.capital.allocation
    assert allocation is not None
    found = operations.hypothecation(firm.part, record, allocation, firm.ready, firm.rules)
    mark = {"evidence": _mark("reserve.segregation.margin_multiple", firm.rules)}
    known = {"evidence": "K"}
    lines = (
        ("hypothecation.debits", "Customers' debits", found.debits, "8c-1", "margin balances below zero", known),
        ("hypothecation.limit", "140% of customers' debits", found.limit, "15c3-3(a)(5)", "debits x 140%", mark),
        (
            "hypothecation.used",
            "Customers' securities pledged or lent, at market",
            found.used,
            "8c-1, 15c2-1",
            "pledged for customers, and lent from their longs",
            known,
        ),
        (
            "hypothecation.loans",
            "Bank loans on customers' securities",
            found.loans,
            "8c-1(a)(3)",
            "contract money",
            known,
        ),
        (
            "hypothecation.headroom",
            "Headroom, the lesser of both",
            found.headroom,
            "15c3-3(a)(5), 8c-1",
            "least of limit - used and debits - loans",
            mark,
        ),
    )
    return Statement("hypothecation", tuple(formula(*line) for line in lines))


def _mark(parameter: str, rules: Rules) -> str:
    return rules.parameter(parameter).evidence


def deficit_rows(held: dict[AccountKind, Possession]) -> Sequence[tuple[AccountKind, np.ndarray, np.ndarray]]:
    """What the next end of day must know: securities in deficit with their first day, by kind of account."""
    still = {kind: operations.open_deficits(found) for kind, found in held.items()}
    return [(kind, found.instrument, found.since) for kind, found in still.items()]
