"""The capital computation as sealed tables: statements line by line, the rows below them, notices, headlines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streaming.apps.tables import build
from streaming.engine.canonical import int64_to_decimal
from streaming.risk.capital.computation import Capital
from streaming.risk.capital.inputs import Method
from streaming.risk.capital.lines import StatementLine, formula, total
from streaming.risk.capital.net_capital import Requirement
from streaming.risk.capital.notices import Test, Timing
from streaming.risk.capital.reserve import Reserve
from streaming.risk.money import MICRO
from streaming.risk.rulebook import Rules
from streaming.schema import sealed
from streaming.schema.model import MONEY, Table

_PARAMETERS = {
    "haircut.equity": ("net_capital.haircut.equity", "net_capital.haircut.equity_offset"),
    "haircut.limited_market": ("net_capital.haircut.limited_market", "net_capital.haircut.limited_market_makers"),
    "haircut.no_ready_market": ("net_capital.haircut.no_ready_market",),
    "haircut.fund": ("net_capital.haircut.money_market_fund",),
    "haircut.government": ("net_capital.haircut.government", "net_capital.haircut.government_months"),
    "haircut.debt": ("net_capital.haircut.debt", "net_capital.haircut.debt_months"),
    "haircut.options": ("net_capital.options.rate", "net_capital.options.uncovered_minimum"),
    "concentration.equity": ("net_capital.concentration.threshold", "net_capital.concentration.equity_charge"),
    "concentration.debt": ("net_capital.concentration.threshold", "net_capital.concentration.debt_charge"),
    "non_allowable.dividends": ("net_capital.deduction.dividend_days",),
    "non_allowable.unsecured_debits": ("net_capital.deduction.call_days",),
    "deduction.undermargined": ("net_capital.deduction.call_days",),
    "deduction.portfolio_margin": ("net_capital.deduction.portfolio_margin_closes",),
    "deduction.aged_fails": ("net_capital.deduction.aged_fail_days",),
    "deduction.short_differences": ("net_capital.deduction.difference_days", "net_capital.deduction.difference_rates"),
    "deduction.commitments": ("net_capital.haircut.commitment",),
    "minimum.dollars": ("net_capital.minimum.carrying_dollars", "net_capital.minimum.prime_broker_dollars"),
    "minimum.alternative": ("net_capital.minimum.alternative_debits",),
    "minimum.basic": ("net_capital.minimum.ai_multiple",),
    "i6": ("reserve.age.fail_days",),
    "i7": ("reserve.age.fail_days",),
    "i8": ("reserve.age.fail_days",),
    "i9": ("reserve.age.transfer_days",),
    "i10": ("reserve.note_e.security_share", "reserve.note_e.customer_share"),
    "i12": ("reserve.age.fail_days",),
    "i3": ("reserve.allocation.loaned",),
    "i11": ("reserve.allocation.borrowed",),
    "reduction": ("reserve.alternative.debit_reduction_daily", "reserve.basic.debit_reduction"),
    "if_monthly": ("reserve.frequency.monthly_multiple",),
}
"""Rulebook parameters behind a line; a line's evidence is the weakest of theirs."""
_WEAKEST_LAST = "VKH"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its lines in order."""

    name: str
    lines: Sequence[StatementLine]


def statements(capital: Capital) -> tuple[Statement, ...]:
    """Every statement of the capital report."""
    net = capital.net_capital
    steps = (
        *net.equity,
        *net.subordinated,
        *net.non_allowable,
        *net.deductions,
        formula("tentative", "Tentative net capital", net.tentative, "15c3-1(c)(2)", "equity + loans - steps 3 and 4"),
        *net.charges,
        formula("haircuts", "Haircuts", net.haircuts, "15c3-1(c)(2)(vi)", "sum of haircuts and concentration"),
        formula("net_capital", "Net capital", net.net, "15c3-1(c)(2)", "tentative net capital - haircuts"),
    )
    owed = formula(
        "ai.total", "Aggregate indebtedness", net.aggregate_indebtedness, "15c3-1(c)(1)", "sum, not below zero"
    )
    return (
        Statement("net_capital", steps),
        Statement("haircuts", net.charges),
        Statement("indebtedness", (*net.indebtedness, owed)),
        Statement("requirement_alternative", _requirement(capital.alternative)),
        Statement("requirement_basic", _requirement(capital.basic)),
        Statement("reserve_customer", _reserve(capital.customer)),
        Statement("reserve_pab", _reserve(capital.pab)),
    )


def _requirement(found: Requirement) -> tuple[StatementLine, ...]:
    alternative = found.method == Method.ALTERNATIVE
    rule = "15c3-1(a)(1)(ii)" if alternative else "15c3-1(a)(1)(i)"
    base = "Aggregate debit items" if alternative else "Aggregate indebtedness"
    ratio = found.percent if alternative else found.ratio
    measured = ("percent_of_debits", "Net capital, % of aggregate debits") if alternative else ("ratio", "Ratio")
    lines = [
        formula("base", base, found.base, rule),
        formula("minimum.dollars", "Dollar minimum", found.dollar_minimum, "15c3-1(a)(2)"),
        formula(f"minimum.{found.method}", "Required net capital", found.required, rule, "greater of both minimums"),
        formula("net_capital", "Net capital", found.net, "15c3-1(c)(2)"),
        formula("excess", "Excess net capital", found.excess, rule, "net capital - required"),
    ]
    if ratio is not None:
        lines.append(formula(*measured, int(round(ratio * MICRO)), rule, "rounded to six decimals"))
    return tuple(lines)


def _reserve(found: Reserve) -> tuple[StatementLine, ...]:
    rule, deposit = "15c3-3(e)", found.deposit
    owed = formula("credits", "Total credits", deposit.total_credits, "15c3-3a", "items 1 to 9")
    debits = formula("debits", "Total debits", deposit.total_debits, "15c3-3a", "items 10 to 15")
    lines = [
        *found.items[:_CREDIT_ITEMS],
        owed,
        *found.items[_CREDIT_ITEMS:],
        debits,
        formula("reduction", "Less reduction of debits", deposit.reduction, "15c3-3a"),
        formula("required", "Deposit required", found.required, rule, f"{found.frequency}, credits - reduced debits"),
        formula("if_monthly", "105% of the excess, if computed monthly", deposit.if_monthly, rule),
        found.on_deposit,
        *found.reductions,
    ]
    if found.shortfall is not None:
        lines.append(formula("shortfall", "To be deposited; negative: may be withdrawn", found.shortfall, rule))
    return tuple(lines)


_CREDIT_ITEMS = 9


def lines_table(found: Iterable[Statement], rules: Rules) -> pa.Table:
    """``capital_lines``: null where an input was not supplied."""
    numbered = [(item.name, place, line) for item in found for place, line in enumerate(item.lines, 1)]
    values = [line.value if line.supplied else None for _, _, line in numbered]
    columns: dict[str, Sequence] = {
        "statement": [name for name, _, _ in numbered],
        "line": [place for _, place, _ in numbered],
        "code": [line.code for _, _, line in numbered],
        "label": [line.name for _, _, line in numbered],
        "rule": ["" if line.explained is None else line.explained.rule for _, _, line in numbered],
        "evidence": [evidence(line, rules) for _, _, line in numbered],
        "inputs": [_inputs(line) for _, _, line in numbered],
        "formula": ["not supplied" if line.explained is None else line.explained.strategy for _, _, line in numbered],
    }
    return build(sealed.CAPITAL_LINES, _arrays(sealed.CAPITAL_LINES, columns) | {"amount": _money(values)})


def _inputs(line: StatementLine) -> str:
    """What entered the line's formula, as text; its evidence has a column of its own."""
    given = {} if line.explained is None else line.explained.inputs
    return "; ".join(f"{name}={value}" for name, value in sorted(given.items()) if name != "evidence")


def inputs_table(found: Iterable[Statement]) -> pa.Table:
    """``capital_inputs``: the rows that add up to each line."""
    columns: dict[str, list] = {name: [] for name in ("statement", "line", "place", "item", "amount", "detail")}
    for statement in found:
        for number, line in enumerate(statement.lines, 1):
            n = len(line.rows.key)
            columns["statement"] += [statement.name] * n
            columns["line"] += [number] * n
            columns["place"] += range(1, n + 1)
            columns["item"] += [str(key) for key in line.rows.key.tolist()]
            columns["amount"] += line.rows.amount.tolist()
            columns["detail"] += [line.rows.label] * n
    amounts = np.array(columns.pop("amount"), np.int64)
    return build(sealed.CAPITAL_INPUTS, _arrays(sealed.CAPITAL_INPUTS, columns) | {"amount": amounts})


def notices_table(tests: Sequence[Test]) -> pa.Table:
    """``notices``: every test with its colour. What could not be tested is amber and has no headroom."""
    columns: dict[str, Sequence] = {
        "code": [test.code for test in tests],
        "label": [test.text for test in tests],
        "level": [_level(test) for test in tests],
        "fires": [bool(test.fires) for test in tests],
        "timing": [str(test.timing) for test in tests],
        "rule": [test.rule for test in tests],
    }
    amounts = {
        "value": np.array([test.value for test in tests], np.int64),
        "threshold": np.array([test.level for test in tests], np.int64),
        "headroom": _money([None if test.fires is None else test.headroom for test in tests]),
    }
    return build(sealed.NOTICES, _arrays(sealed.NOTICES, columns) | amounts)


def _level(test: Test) -> str:
    if test.fires is None:
        return "amber"
    return ("red" if test.timing == Timing.SAME_DAY else "amber") if test.fires else "green"


def headlines_table(capital: Capital, more: Mapping[str, tuple[int, str, str]]) -> pa.Table:
    """``headlines``: the key figures; ``more``: name -> (value, unit, label)."""
    net, elected = capital.net_capital, capital.elected
    percent = capital.alternative.percent
    figures: dict[str, tuple[int, str, str]] = {
        "net_capital": (net.net, "USD", "Net capital"),
        "tentative_net_capital": (net.tentative, "USD", "Tentative net capital"),
        "haircuts": (net.haircuts, "USD", "Haircuts and undue concentration"),
        "required": (elected.required, "USD", f"Required net capital, {elected.method} method"),
        "excess": (elected.excess, "USD", "Excess net capital"),
        "aggregate_debits": (capital.alternative.base, "USD", "Aggregate debit items"),
        "aggregate_indebtedness": (capital.basic.base, "USD", "Aggregate indebtedness"),
        "equity": (total(net.equity), "USD", "Ownership equity"),
        **dict(more),
    }
    if percent is not None:
        figures["pct_of_debits"] = (int(round(percent * MICRO)), "percent", "Net capital, % of aggregate debits")
    for name, found in (("customer", capital.customer), ("pab", capital.pab)):
        label = {"customer": "Customer", "pab": "PAB"}[name]
        figures[f"reserve_{name}_required"] = (found.required, "USD", f"{label} reserve deposit required")
        if found.on_deposit.supplied:
            figures[f"reserve_{name}_on_deposit"] = (found.on_deposit.value, "USD", f"{label} reserve bank account")
    return headline_rows(figures)


def headline_rows(figures: Mapping[str, tuple[int, str, str]]) -> pa.Table:
    """Rows of ``headlines`` from name -> (value in micros, unit, label)."""
    columns = {
        "name": list(figures),
        "unit": [unit for _, unit, _ in figures.values()],
        "label": [label for _, _, label in figures.values()],
    }
    values = np.array([value for value, _, _ in figures.values()], np.int64)
    return build(sealed.HEADLINES, _arrays(sealed.HEADLINES, columns) | {"value": values})


def evidence(line: StatementLine, rules: Rules) -> str:
    """The mark that the line states; else the weakest of the parameters behind it, V where it only adds up others."""
    if line.explained is not None and "evidence" in line.explained.inputs:
        return str(line.explained.inputs["evidence"])
    marks = [rules.parameter(name).evidence for name in _PARAMETERS.get(line.code, ())]
    return max(marks, key=_WEAKEST_LAST.index, default="V")


def _arrays(schema: Table, columns: Mapping[str, Sequence]) -> dict[str, object]:
    types = {column.name: column.type for column in schema.columns}
    return {name: pa.array(values, types[name]) for name, values in columns.items()}


def _money(values: Sequence[int | None]) -> pa.Array:
    """A nullable money column from micros."""
    absent = np.array([value is None for value in values], bool)
    return int64_to_decimal(np.array([value or 0 for value in values], np.int64), MONEY, absent)
