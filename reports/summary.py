"""The first sheet: what a head of risk reads in a minute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from openpyxl.utils import get_column_letter
from openpyxl.worksheet.pagebreak import Break

from reports.book import Book, as_time
from reports.context import Context
from reports.exceptions import Exceptions
from reports.names import defined_name
from reports.sources import Source, Tables, cents, read

NOT_COMPUTED = "not computed at this cut"
_WIDTHS = (46, 26, 15, 22, 22, 18, 62)
_CHART_ROWS, _CHARTS_ACROSS = 23, 2
_CHART_COLUMNS = ("A", "E")


@dataclass(frozen=True)
class Figure:
    """A key figure: where it comes from and how it is shown."""

    name: str
    label: str
    source: Source | None
    unit: str = "USD"
    style: str = "Money"
    limit: Callable[[object], str] | None = None
    """Value -> green, amber or red."""
    note: str = ""


def none_is_green(value: object) -> str:
    """A count or amount that should be zero: amber otherwise."""
    return "green" if not value else "amber"


def none_or_breach(value: object) -> str:
    """A count or amount that must be zero: red otherwise."""
    return "green" if not value else "red"


def not_negative(value: object) -> str:
    """An amount that must not be below zero."""
    return "green" if isinstance(value, (Decimal, int)) and value >= 0 else "red"


def worst(colours: Sequence[str]) -> str:
    """The most severe of some colours."""
    return next((colour for colour in ("red", "amber", "none") if colour in colours), "green")


class Summary:
    """The Summary sheet: standing, then key figures, then pictures."""

    def __init__(self, book: Book, context: Context, previous: Tables | None, exceptions: Exceptions, purpose: str):
        self.book, self.context, self.previous = book, context, previous
        self.page = book.page("Summary", "Result", purpose, book.title)
        self.page.widths(*_WIDTHS)
        self._colours: list[str] = []
        self._charts = 0
        self._standing(exceptions)

    def _standing(self, exceptions: Exceptions) -> None:
        page, manifest = self.page, self.book.tables.cut.manifest
        page.head(["Standing", "Value", "", "", "", "Status", "Note"])
        page.sheet.freeze_panes = f"B{page.row}"
        page.sheet.print_title_rows = "1:2"
        self._overall = page.row
        page.line(
            ["Status", "", "", "", "", "", "the most severe colour on this sheet; DRAFT until signed in the ledger"],
            _STANDING,
        )
        business, rule = (
            date.fromisoformat(day) for day in (manifest["business_date"], manifest["versions"]["rule_date"])
        )
        page.line(
            ["Business date", business, "", "", "", "", f"cut {manifest['cut']}, version {manifest['version']}"], _DATES
        )
        page.line(["As of", as_time(manifest["time"]), "", "", "", "", f"price set {manifest['price_set']}"], _STANDING)
        page.line(["Rule date", rule, "", "", "", "", f"rulebook {manifest['versions']['rulebook']}"], _DATES)
        colour, text, note = certificate_standing(self.context, manifest)
        self._standing_line("Certificate: live equals replay", text, colour, note)
        failed = [item for item in self.context.checks if not item["passed"]]
        serious = [item for item in failed if str(item["severity"]).lower() in ("critical", "error")]
        colour = ("red" if serious else "amber" if failed else "green") if self.context.checks else "none"
        note = f"{len(self.context.overrides)} overrides in force" if self.context.overrides else "see Checks"
        text = f"{len(failed)} of {len(self.context.checks)} failed" if self.context.checks else "none given"
        self._standing_line("Checks", text, colour, note)
        self._standing_line("Exceptions", f"{exceptions.total:,}", none_is_green(exceptions.total), exceptions.summary)
        generated = "see About: some of the data is generated" if self.context.generated else "all data as delivered"
        page.line(
            ["Data", "generated in part" if self.context.generated else "delivered", "", "", "", "", generated],
            _STANDING,
        )
        page.row += 1

    def _standing_line(self, label: str, text: str, colour: str, note: str) -> None:
        self.page.line([label, text, "", "", "", "", note], _STANDING)
        self.page.row -= 1
        self.page.status(6, colour)
        self.page.row += 1
        self._colours.append(colour)

    def section(self, title: str) -> None:
        """The header of a group of figures."""
        before = "Previous day" if self.previous is not None else "Previous day (not given)"
        self.page.head([title, "Value", "Unit", before, "Change", "Status", "Note"])

    def figures(self, figures: Sequence[Figure]) -> None:
        """One line per figure, with its change from the previous day."""
        for figure in figures:
            self._figure(figure)
        self.page.row += 1

    def _figure(self, figure: Figure) -> None:
        page = self.page
        value = read(self.book.tables, figure.source) if figure.source else None
        page.put(1, figure.label, "Label")
        place = page.put(2, _reported(value, figure), figure.style, figure.source if value is not None else None)
        self.book.define(defined_name(self.book.name, figure.name), page, place)
        page.put(3, figure.unit, "Unit")
        if self.previous is not None:
            before = read(self.previous, figure.source) if figure.source else None
            page.put(4, _reported(before, figure), figure.style)
            page.put(5, _change(value, before, figure), figure.style if _number(value) else "Word")
        if figure.limit is not None:
            colour = "none" if value is None else figure.limit(value)
            page.status(6, colour)
            if value is not None:
                self._colours.append(colour)
        page.put(7, figure.note if value is not None else NOT_COMPUTED, "Wrapped note")
        page.row += 1

    def lines(self, rows: Sequence[tuple[str, object, str, str, str | None, Source | None]]) -> None:
        """Free lines: label, value, unit, note, colour, source."""
        for label, value, unit, note, colour, source in rows:
            style = "Money" if isinstance(value, Decimal) else "Whole" if isinstance(value, int) else "Word"
            self.page.put(1, label, "Label")
            self.page.put(2, cents(value) if isinstance(value, Decimal) else value, style, source)
            self.page.put(3, unit, "Unit")
            if colour:
                self.page.status(6, colour)
                self._colours.append(colour)
            self.page.put(7, note, "Wrapped note")
            self.page.row += 1
        self.page.row += 1

    def chart(self, chart) -> None:
        """Place a picture; two stand beside each other, below the figures and on a page of their own."""
        if not self._charts:
            self.page.sheet.row_breaks.append(Break(id=self.page.row - 1))
            self._first_chart = self.page.row + 1
        across, down = self._charts % _CHARTS_ACROSS, self._charts // _CHARTS_ACROSS
        cell = f"{_CHART_COLUMNS[across]}{self._first_chart + down * _CHART_ROWS}"
        self.page.sheet.add_chart(chart, cell)
        self._charts += 1

    def finish(self) -> None:
        """The overall status, and what is printed."""
        self.page.row = self._overall
        colour = worst(self._colours)
        self.page.put(2, "DRAFT", "Word")
        self.page.status(6, colour)
        rows = -(-self._charts // _CHARTS_ACROSS) * _CHART_ROWS
        last = max(self.page.sheet.max_row, getattr(self, "_first_chart", 0) + rows)
        self.page.sheet.print_area = f"A1:{get_column_letter(len(_WIDTHS))}{last}"
        self.page.row = last


_STANDING = ["Label", "Word", "Text", "Text", "Text", "Text", "Wrapped note"]
_DATES = ["Label", "Day", "Text", "Text", "Text", "Text", "Wrapped note"]


def certificate_standing(context: Context, manifest) -> tuple[str, str, str]:
    """Colour, text and note on the replay certificate; one of another cut certifies nothing here."""
    found = context.certificate
    if found is None:
        return "none", "not certified", "no certificate was given"
    if (found["cut"], found["version"]) != (manifest["cut"], manifest["version"]):
        return "red", "UNEQUAL", f"expected a certificate of this cut, found one of {found['cut']} v{found['version']}"
    parts = [*found["tables"].values(), *found["states"].values()]
    equal = sum(bool(part["equal"]) for part in parts)
    stated = {name: entry["live"] for name, entry in found["tables"].items()}
    sealed = {name: entry["digest"] for name, entry in manifest["tables"].items()}
    if stated != sealed:
        return "red", "UNEQUAL", "the certificate's digests are not those of this cut"
    text = "EQUAL" if found["equal"] else "UNEQUAL"
    note = f"{equal} of {len(parts)} digests equal; replayed from {found['replayed_from']}"
    return "green" if found["equal"] else "red", text, note


def _number(value: object) -> bool:
    return isinstance(value, (Decimal, int)) and not isinstance(value, bool)


def _reported(value, figure: Figure):
    """Amounts are rounded here, once."""
    return cents(value) if isinstance(value, Decimal) and figure.style == "Money" else value


def _change(value, before, figure: Figure):
    if value is None or before is None:
        return None
    if _number(value) and _number(before):
        return _reported(value - before, figure)
    return "unchanged" if value == before else "changed"
