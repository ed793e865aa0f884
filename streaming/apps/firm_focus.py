"""FOCUS Part II as statements of the end of day: one a section, each line under its line code."""

from streaming.apps.firm_statements import Statement
from streaming.apps.firm_view import FirmView
from streaming.risk.capital import focus
from streaming.risk.capital.focus import EVIDENCE, FocusLine
from streaming.risk.capital.lines import StatementLine, formula, not_supplied

PREFIX = "focus_"
_MARK = {"evidence": EVIDENCE}


def focus_statements(firm: FirmView) -> tuple[Statement, ...]:
    """The sections in the order of the form, then the balance sheet in its three columns."""
    sections: dict[str, list[StatementLine]] = {}
    for item in focus.layout(firm.capital):
        sections.setdefault(item.section, []).append(_line(item))
    if firm.ledger.sheet is not None:
        sections["Balance sheet"] = [
            formula(f"{row.line}.{column}", f"{row.line.replace('_', ' ').capitalize()}: {column.replace('_', ' ')}",
                    getattr(row, column), "FOCUS Part II, statement of financial condition", "ledger line", _MARK)
            for row in focus.balance_sheet(firm.ledger.sheet, firm.capital)
            for column in ("allowable", "non_allowable", "total")
        ]  # fmt: skip
    return tuple(Statement(PREFIX + _slug(section), tuple(lines)) for section, lines in sections.items())


def _line(item: FocusLine) -> StatementLine:
    if item.value is None:
        return not_supplied(item.code, item.label)
    below = f"lines {', '.join(item.sources)}" if item.sources else "sum of the lines above, by the form"
    return formula(item.code, item.label, item.value, item.rule or "FOCUS Part II", below, _MARK)


def _slug(section: str) -> str:
    return section.partition(" (")[0].lower().replace(" ", "_")
