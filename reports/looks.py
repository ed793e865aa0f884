"""How a workbook looks: one named style per role, one appearance each for negative, zero and missing."""

from dataclasses import dataclass

import pyarrow as pa
from openpyxl.formatting.rule import CellIsRule
from openpyxl.styles import Alignment, Border, Font, NamedStyle, PatternFill, Side
from openpyxl.workbook import Workbook

from streaming.schema.model import FINE, MONEY, RATE, Column

MISSING = "n/a"
"""What stands in a cell whose value is missing."""
YES, NO = "yes", "no"

_INK, _INPUT, _GREY, _RED = "1F2A37", "1D4ED8", "6B7280", "B91C1C"
_FONT = "Calibri"
_MONEY = '#,##0.00;[Red]-#,##0.00;"–";@'
_FORMATS = {
    "Money": _MONEY,
    "Whole": '#,##0;[Red]-#,##0;"–";@',
    "Number": "0;[Red]-0;0;@",
    "Rate": '0.0000##;[Red]-0.0000##;"–";@',
    "Fine": '0.00000000;[Red]-0.00000000;"–";@',
    "Day": "yyyy-mm-dd",
    "Instant": "yyyy-mm-dd hh:mm:ss.000",
    "Text": "@",
    "Word": "@",
}
"""Role -> number format: positive, negative, zero, text. A word is a text that stands where a number could."""

KINDS = {"Result": "1F3A5F", "Input": "3F6B4F", "Parameter": "7A5C1E", "Check": "5B3A6B"}
"""Kind of sheet -> colour of its header and tab: results, inputs, parameters and checks look different."""

STATUS = {
    "green": ("● OK", "DCFCE7", "166534"),
    "amber": ("▲ WATCH", "FEF3C7", "92400E"),
    "red": ("■ BREACH", "FEE2E2", "991B1B"),
    "none": ("○ NOT COMPUTED", "F3F4F6", "4B5563"),
}
"""Limit colour -> text marker, fill and ink: the marker says the same without the colour."""


STATUS_COLUMNS = frozenset({("limits", "status"), ("limit_breaches", "status"), ("limit_breaches", "worst")})
"""Table and column whose words say how a limit stands."""
_STATUS_WORDS = {"RED": "red", "AMBER": "amber", "GREEN": "green", "NOT_EVALUATED": "none"}


def status_rules() -> list[CellIsRule]:
    """Rules that colour such a column; the words say the same without the colour."""
    return [
        CellIsRule("equal", [f'"{word}"'], font=Font(bold=True, color=ink), fill=PatternFill(bgColor=fill))
        for word, (_, fill, ink) in ((word, STATUS[colour]) for word, colour in _STATUS_WORDS.items())
    ]


@dataclass(frozen=True)
class Look:
    """How one column is shown."""

    style: str
    numeric: bool


def look_of(column: Column) -> Look:
    """The look of a sealed column, from its type."""
    for kind, style in ((MONEY, "Money"), (RATE, "Rate"), (FINE, "Fine")):
        if column.type is kind:  # money and rates are one type to Arrow; the schema's own objects tell them apart
            return Look(style, True)
    if pa.types.is_decimal(column.type):
        return Look("Money", True)
    if pa.types.is_integer(column.type):
        return Look("Whole" if column.unit else "Number", True)
    if pa.types.is_date(column.type):
        return Look("Day", True)
    if pa.types.is_timestamp(column.type):
        return Look("Instant", True)
    return Look("Text", False)


def unknown_below_zero(column: Column) -> bool:
    """Whether the schema says that -1 in this column stands for a missing value."""
    return pa.types.is_integer(column.type) and "-1" in column.text


def header(column: Column) -> str:
    """A column's header: its name in words, and its unit."""
    unit = "UTC" if pa.types.is_timestamp(column.type) else column.unit
    words = _ABBREVIATIONS.get(column.name, column.name.replace("_", " ").capitalize())
    return f"{words} ({unit})" if unit else words


_ABBREVIATIONS = {
    "lmv": "Long market value",
    "smv": "Short market value",
    "sma": "SMA",
    "lei": "LEI",
    "isin": "ISIN",
    "adv": "Average daily volume",
    "id": "Id",
    "day_pnl": "Day P&L",
    "day_pnl_usd": "Day P&L",
    "var": "VaR",
    "es": "ES",
    "vol": "Volatility",
    "reg_t_excess": "Reg T excess",
}


def add_styles(workbook: Workbook) -> None:
    """Register every named style of the reports."""
    for style in _styles():
        workbook.add_named_style(style)


def _styles() -> list[NamedStyle]:
    line = Side(style="hair", color="D1D5DB")
    under = Border(bottom=line)
    top = Alignment(vertical="top")
    wrapped = Alignment(vertical="top", wrap_text=True)
    right = Alignment(vertical="top", horizontal="right")
    found = [
        NamedStyle("Title", font=Font(_FONT, 16, bold=True, color=_INK)),
        NamedStyle("Section", font=Font(_FONT, 12, bold=True, color=_INK), border=Border(bottom=Side("thin"))),
        NamedStyle("Note", font=Font(_FONT, 9, italic=True, color=_GREY), alignment=Alignment(vertical="top")),
        NamedStyle(
            "Unit", font=Font(_FONT, 9, italic=True, color=_GREY), alignment=Alignment(vertical="top", indent=1)
        ),
        NamedStyle("Wrapped note", font=Font(_FONT, 9, italic=True, color=_GREY), alignment=wrapped),
        NamedStyle("Link", font=Font(_FONT, 10, underline="single", color=_INPUT)),
        NamedStyle("Label", font=Font(_FONT, 10, color=_INK), border=under, alignment=wrapped),
        NamedStyle("Wrapped text", font=Font(_FONT, 10, color=_INK), alignment=wrapped, number_format="@"),
        NamedStyle("Missing", font=Font(_FONT, 10, italic=True, color=_GREY), alignment=right, number_format="@"),
        NamedStyle("Rounding", font=Font(_FONT, 9, italic=True, color=_GREY), number_format=_MONEY, alignment=right),
        NamedStyle(
            "Total",
            font=Font(_FONT, 10, bold=True, color=_INK),
            number_format=_MONEY,
            border=Border(top=Side("thin"), bottom=Side("double")),
        ),
    ]
    for role, pattern in _FORMATS.items():
        place = top if role == "Text" else right
        for kind, ink in (("", _INK), ("Input ", _INPUT)):
            name = f"{kind}{role.lower()}" if kind else role
            found.append(NamedStyle(name, font=Font(_FONT, 10, color=ink), number_format=pattern, alignment=place))
    for kind, colour in KINDS.items():
        fill = PatternFill("solid", fgColor=colour)
        place = Alignment(vertical="center", horizontal="center", wrap_text=True)
        found.append(
            NamedStyle(f"{kind} header", font=Font(_FONT, 10, bold=True, color="FFFFFF"), fill=fill, alignment=place)
        )
    for colour, (_, fill, ink) in STATUS.items():
        found.append(
            NamedStyle(
                f"Status {colour}",
                font=Font(_FONT, 10, bold=True, color=ink),
                fill=PatternFill("solid", fgColor=fill),
                alignment=Alignment(vertical="top", horizontal="center"),
            )
        )
    return found


def styled(role: str, kind: str) -> str:
    """The name of a role's style on a kind of sheet: inputs have their own ink."""
    return f"Input {role.lower()}" if kind == "Input" else role
