"""FOCUS Part II layout: the capital computation as lines keyed by line code, and the same as tables to seal.

Line codes are from general knowledge of the form (evidence mark K: confirm before filing). Every line names where its
number comes from, so a reader can go from the form to the rows below.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from streaming.risk.capital.computation import Capital
from streaming.risk.capital.inputs import BalanceSheet, Line, Method
from streaming.risk.capital.lines import StatementLine, total
from streaming.risk.capital.reserve import Reserve
from streaming.risk.money import MICRO

EVIDENCE = "K"


@dataclass(frozen=True, slots=True)
class FocusLine:
    """One line of the form. ``value`` in micros (a percentage: millionths of a percent); None = not supplied."""

    section: str
    code: str
    label: str
    value: int | None
    rule: str
    sources: tuple[str, ...]
    """Codes of the statement lines below it."""


_DEDUCTIONS = (
    ("3540", "Total non-allowable assets", ("non_allowable.",)),
    ("3550", "Charges for customers' and non-customers' accounts", ("deduction.undermargined", "deduction.portfolio_")),
    ("3570", "Aged fails to deliver", ("deduction.aged_fails",)),
    ("3580", "Aged short security differences", ("deduction.short_differences",)),
    ("3610", "Other deductions and charges", ("deduction.stock_", "deduction.option_time_value")),
)
_CHARGES = (
    ("3660", "Contractual securities commitments", ("deduction.commitments",)),
    ("3690", "US government obligations", ("haircut.government",)),
    ("3710", "Corporate obligations", ("haircut.debt",)),
    ("3720", "Stocks and warrants", ("haircut.equity", "haircut.limited_market")),
    ("3730", "Options", ("haircut.options",)),
    ("3734", "Other securities", ("haircut.fund", "haircut.no_ready_market")),
    ("3650", "Undue concentration", ("concentration.",)),
)
_RESERVE_CODES = {
    "i1": "4340", "i2": "4350", "i3": "4360", "i4": "4370", "i5": "4380", "i6": "4390", "i7": "4400", "i8": "4410",
    "i9": "4420", "i10": "4440", "i11": "4450", "i12": "4460", "i13": "4465", "i14": "4467", "i15": "4469",
}  # fmt: skip


def layout(capital: Capital) -> tuple[FocusLine, ...]:
    """Net capital, both requirements, and the customer reserve by line code, in the order of the form."""
    return (*_net_capital(capital), *_requirements(capital), *_reserve(capital.customer), *_pab(capital.pab))


def _net_capital(capital: Capital) -> list[FocusLine]:
    net, section = capital.net_capital, "Net capital"
    commitments = total(_matching(net.lines, ("deduction.commitments",)))
    before = net.tentative + commitments  # the form shows commitments among the haircuts
    deductions = [_sum(section, code, label, below, net.lines) for code, label, below in _DEDUCTIONS]
    charges = [_sum(section, code, label, below, net.lines) for code, label, below in _CHARGES]
    return [
        _sum(section, "3480", "Total ownership equity", ("ownership_equity",), net.lines),
        _sum(section, "3520", "Subordinated liabilities allowable", ("subordinated_loans",), net.lines),
        _whole(section, "3530", "Total capital and allowable subordinated liabilities",
               total(net.equity) + total(net.subordinated)),
        *deductions,
        _whole(section, "3620", "Total deductions", sum(item.value or 0 for item in deductions)),
        _whole(section, "3640", "Net capital before haircuts", before),
        *charges,
        _whole(section, "3740", "Total haircuts", net.haircuts + commitments),
        _whole(section, "3750", "Net capital", net.net),
    ]  # fmt: skip


def _requirements(capital: Capital) -> list[FocusLine]:
    basic, alternative = capital.basic, capital.alternative
    marks = {m: " (elected)" if m == capital.method else "" for m in Method}
    first, second = f"Basic requirement{marks[Method.BASIC]}", f"Alternative requirement{marks[Method.ALTERNATIVE]}"
    percent = alternative.percent
    return [
        _sum(first, "3790", "Aggregate indebtedness", ("ai.",), capital.net_capital.indebtedness),
        _whole(first, "3840", "Total aggregate indebtedness", basic.base),
        _whole(first, "3758", "Minimum dollar net capital", basic.dollar_minimum),
        _whole(first, "3760", "Net capital requirement", basic.required),
        _whole(first, "3770", "Excess net capital", basic.excess),
        _whole(second, "3880", "Minimum dollar net capital", alternative.dollar_minimum),
        _whole(second, "3760", "Net capital requirement", alternative.required),
        _whole(second, "3910", "Excess net capital", alternative.excess),
        FocusLine(
            second,
            "3851",
            "Net capital as a percentage of aggregate debits",
            None if percent is None else round(percent * MICRO),
            "15c3-1(a)(1)(ii)",
            ("3750", "4470"),
        ),
    ]


def _reserve(found: Reserve) -> list[FocusLine]:
    section, deposit = "Customer reserve", found.deposit
    items = [FocusLine(section, _RESERVE_CODES[i.code], i.name, _value(i), _rule(i), (i.code,)) for i in found.items]
    bank = found.on_deposit
    return [
        *items[:9],
        _whole(section, "4430", "Total credits", deposit.total_credits),
        *items[9:],
        _whole(section, "4470", "Aggregate debit items", deposit.total_debits),
        _whole(section, "4471", "Less reduction", deposit.reduction),
        _whole(section, "4472", "Total debits", deposit.debits),
        _whole(section, "4480", "Excess of debits over credits", max(0, deposit.debits - deposit.total_credits)),
        _whole(section, "4490", "Excess of credits over debits", deposit.required),
        _whole(section, "4500", "105% of the excess, if computed monthly", deposit.if_monthly),
        FocusLine(section, "4510", "In the reserve bank account", _value(bank), _rule(bank), (bank.code,)),
    ]


def _pab(found: Reserve) -> list[FocusLine]:
    """PAB items under their item number: the form's own codes for them are not settled here."""
    section = "PAB reserve"
    items = [
        FocusLine(section, f"PAB {item.code}", item.name, _value(item), _rule(item), (item.code,))
        for item in found.items
    ]
    return [*items, _whole(section, "PAB required", "Deposit required", found.required)]


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """One ledger line in the form's three columns, micros."""

    line: str
    allowable: int
    non_allowable: int
    total: int


_NON_ALLOWABLE = {
    Line.RECEIVABLE: "non_allowable.receivables",
    Line.DIVIDEND_RECEIVABLE: "non_allowable.dividends",
    Line.FIXED_ASSET: "non_allowable.fixed_assets",
    Line.PREPAID: "non_allowable.prepaid",
    Line.MEMBERSHIP: "non_allowable.memberships",
    Line.UNMARKETABLE_INVESTMENT: "non_allowable.unmarketable",
    Line.OPERATIONAL: "non_allowable.operational",
}


def balance_sheet(sheet: BalanceSheet, capital: Capital) -> tuple[BalanceRow, ...]:
    """Ledger lines with their allowable and non-allowable parts; a liability has only a total column of its own."""
    parts = {item.code: item.value for item in capital.net_capital.non_allowable}
    rows = []
    for name in Line:
        chosen = sheet.rows(name)
        if len(chosen):
            amount = int(sheet.amount[chosen].sum())
            out = parts.get(_NON_ALLOWABLE.get(name, ""), 0)
            rows.append(BalanceRow(str(name), amount - out, out, amount))
    return tuple(rows)


LINE_SCHEMA = pa.schema(
    [
        ("statement", pa.string()),
        ("code", pa.string()),
        ("name", pa.string()),
        ("value", pa.int64()),  # micros; null = not supplied
        ("rule", pa.string()),
        ("treatment", pa.string()),
        ("inputs", pa.string()),  # JSON, keys sorted
    ]
)
ROW_SCHEMA = pa.schema(
    [
        ("statement", pa.string()),
        ("code", pa.string()),
        ("label", pa.string()),
        ("key", pa.string()),
        ("amount", pa.int64()),  # micros
    ]
)


def tables(statement: str, lines: Iterable[StatementLine]) -> tuple[pa.Table, pa.Table]:
    """The lines of one statement, and the rows below them; both in the order of the statement."""
    heads, below = [], []
    for item in lines:
        why = item.explained
        inputs = None if why is None else json.dumps(dict(why.inputs), sort_keys=True)
        heads.append(
            (statement, item.code, item.name, _value(item), _rule(item), None if why is None else why.strategy, inputs)
        )
        for key, amount in zip(item.rows.key.tolist(), item.rows.amount.tolist(), strict=True):
            below.append((statement, item.code, item.rows.label, str(key), amount))
    return _table(heads, LINE_SCHEMA), _table(below, ROW_SCHEMA)


def _table(rows: list[tuple], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.Table.from_arrays([pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _matching(lines: Iterable[StatementLine], prefixes: tuple[str, ...]) -> list[StatementLine]:
    return [item for item in lines if item.code.startswith(prefixes)]


def _sum(section: str, code: str, label: str, prefixes: tuple[str, ...], lines: Iterable[StatementLine]) -> FocusLine:
    """Sum of the lines below; not supplied only where none of them was."""
    found = _matching(lines, prefixes)
    supplied = [item for item in found if item.supplied]
    value = total(supplied) if supplied else None
    rule = supplied[0].explained.rule if supplied and supplied[0].explained is not None else ""
    return FocusLine(section, code, label, value, rule, tuple(item.code for item in found))


def _whole(section: str, code: str, label: str, value: int) -> FocusLine:
    return FocusLine(section, code, label, value, "FOCUS Part II", ())


def _value(item: StatementLine) -> int | None:
    return item.value if item.supplied else None


def _rule(item: StatementLine) -> str:
    return "" if item.explained is None else item.explained.rule
