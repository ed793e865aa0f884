"""One workbook while it is made: pages cell by cell, detail sheets whole columns at a time, and where each cell came
from."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pyarrow as pa
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.packaging.core import DocumentProperties
from openpyxl.utils import get_column_letter, quote_sheetname
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

from reports import archive
from reports.cells import FORMULA_START, CellColumn, rows_xml, safe_text, width_of
from reports.looks import (
    KINDS,
    MISSING,
    NO,
    STATUS,
    STATUS_COLUMNS,
    YES,
    add_styles,
    header,
    look_of,
    status_rules,
    styled,
    unknown_below_zero,
)
from reports.sources import Source, Tables
from streaming.schema.model import Table
from streaming.schema.sealed import TABLES

SHEET_ROWS = 1_048_576
"""Rows a sheet holds."""
HEADER_ROW = 3
FIRST_ROW = HEADER_ROW + 1
ROOM = SHEET_ROWS - HEADER_ROW
"""Rows of a table that go on one sheet."""
_FIXED = datetime(1980, 1, 1)  # noqa: DTZ001 - a document property without a zone
_WIDEST, _NARROWEST = 60, 9
_DECIMALS = {"Money": 2, "Rate": 6, "Fine": 8}
_FILL, _LINE_POINTS = 1.25, 13.5
_A4, _A3 = "9", "8"
_A4_WIDTH = 200
"""Characters beyond which a sheet is set for the larger paper."""
_FORMULA_START = re.compile(FORMULA_START)


def as_time(micros: int) -> str:
    """An instant of the manifest in words."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass
class Entry:
    """A sheet in the list on About."""

    title: str
    kind: str
    purpose: str


@dataclass
class Page:
    """A sheet that is written cell by cell, from top to bottom."""

    book: "Book"
    sheet: Worksheet
    kind: str
    row: int = 1
    cells: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.sheet.title

    def put(self, column: int, value: object, style: str = "Text", source: Source | None = None) -> str:
        """Write one cell of the current row; None is shown as missing. Returns its place, ``B7``."""
        cell = self.sheet.cell(self.row, column)
        if value is None:
            value, style = MISSING, "Missing"
        if isinstance(value, bool):
            value = YES if value else NO
        if isinstance(value, str):
            cell.value = safe_text(value)
            cell.data_type = "s"  # never a formula, whatever it begins with
            cell.style = style
            if _FORMULA_START.match(value):
                cell.quotePrefix = True
            if style.startswith("Wrapped") or style == "Label":
                self._grow(column, value)
        elif isinstance(value, (Decimal, int, date)):
            cell.value = value
            cell.style = style
        else:
            raise TypeError(f"{self.title}!{cell.coordinate}: expected text, number or date, found {value!r}")
        if source is not None:
            self.cells[cell.coordinate] = source.document()
        return cell.coordinate

    def _grow(self, column: int, text: str) -> None:
        """Make the row as high as a wrapped text needs at the column's width; set the widths first."""
        width = self.sheet.column_dimensions[get_column_letter(column)].width
        rows = sum(-(-len(line) // max(1, int(width * _FILL))) or 1 for line in text.split("\n"))
        if rows > 1:
            height = self.sheet.row_dimensions[self.row].height or 0
            self.sheet.row_dimensions[self.row].height = max(height, _LINE_POINTS * rows)

    def line(self, values: Sequence[object], styles: Sequence[str] | str = "Text") -> None:
        """Write one row and go to the next."""
        for column, value in enumerate(values, 1):
            self.put(column, value, styles if isinstance(styles, str) else styles[column - 1])
        self.row += 1

    def link(self, column: int, text: str, sheet: str) -> None:
        """A cell that leads to a sheet."""
        self.put(column, text, "Link")
        cell = self.sheet.cell(self.row, column)
        cell.hyperlink = Hyperlink(ref=cell.coordinate, location=f"{quote_sheetname(sheet)}!A1", display=text)
        cell.style = "Link"

    def status(self, column: int, colour: str) -> None:
        """A limit colour with its text marker."""
        self.put(column, STATUS[colour][0], f"Status {colour}")

    def head(self, names: Sequence[str]) -> None:
        """A header row; the rows above and it stay in view and are printed on every page."""
        self.line(names, f"{self.kind} header")

    def freeze(self, filtered: int = 0) -> None:
        """Freeze everything above the current row; with ``filtered`` columns also filter the row above it."""
        self.sheet.freeze_panes = f"A{self.row}"
        self.sheet.print_title_rows = f"1:{self.row - 1}"
        self._header_row = self.row - 1
        self._filtered = filtered

    def widths(self, *widths: int) -> None:
        for column, width in enumerate(widths, 1):
            self.sheet.column_dimensions[get_column_letter(column)].width = width

    def finish(self) -> None:
        """Set the filter's range, now that the last row is known."""
        if getattr(self, "_filtered", 0):
            last = max(self.row - 1, self._header_row)
            self.sheet.auto_filter.ref = f"A{self._header_row}:{get_column_letter(self._filtered)}{last}"


class Book:
    """A workbook of one cut."""

    def __init__(self, name: str, title: str, tables: Tables):
        self.name, self.title, self.tables = name, title, tables
        self.workbook = Workbook()
        self.workbook.remove(self.workbook.active)
        add_styles(self.workbook)
        self.entries: list[Entry] = []
        self.pages: list[Page] = []
        self.sheets: dict[str, dict[str, object]] = {}
        """Sheet -> where its cells come from."""
        self._rows: dict[str, Callable[[], Iterator[bytes]]] = {}
        self._ends: dict[str, str] = {}
        self._styles: dict[tuple[str, bool], int] = {}

    @property
    def footer(self) -> str:
        found = self.tables.cut.manifest
        return f"{self.title} - cut {found['cut']} v{found['version']} - rule date {found['versions']['rule_date']}"

    def page(self, title: str, kind: str, purpose: str, heading: str = "") -> Page:
        """A new sheet to be written cell by cell; its title and note are in the first two rows."""
        page = Page(self, self._new(title, kind, purpose), kind)
        page.put(1, heading or title, "Title")
        page.row += 1
        page.put(1, f"{purpose} {self.footer}.", "Note")
        page.row += 1
        self.pages.append(page)
        return page

    def _new(self, title: str, kind: str, purpose: str) -> Worksheet:
        sheet = self.workbook.create_sheet(title)
        if sheet.title != title:
            raise ValueError(f"sheet {title!r}: expected a new name, found it taken or refused")
        sheet.sheet_properties.tabColor = KINDS[kind]
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        sheet.sheet_view.showGridLines = False
        setup = sheet.page_setup
        setup.orientation, setup.paperSize, setup.fitToWidth, setup.fitToHeight = "landscape", _A4, 1, 0
        margins = sheet.page_margins
        margins.left = margins.right = 0.4
        margins.top, margins.bottom = 0.5, 0.6
        sheet.oddFooter.left.text = self.footer.replace("&", "&&")
        sheet.oddFooter.center.text = "&A"
        sheet.oddFooter.right.text = "Page &P of &N"
        for part in (sheet.oddFooter.left, sheet.oddFooter.center, sheet.oddFooter.right):
            part.size = 8
        self.entries.append(Entry(title, kind, purpose))
        return sheet

    def detail(
        self, title: str, table: str, kind: str = "Result", rows: np.ndarray | None = None, purpose: str = ""
    ) -> list[str]:
        """A sealed table (or some of its rows) as it is, one column each; more rows than a sheet holds are split.

        Returns the sheets' titles; a table that the cut does not have is one sheet saying so.
        """
        schema, sealed = TABLES.get(table), self.tables.get(table)
        if schema is None or sealed is None:
            page = self.page(title, kind, purpose or (schema.text if schema else ""))
            page.line(["Not computed at this cut."], "Text")
            page.widths(_WIDEST)
            return [title]
        purpose = purpose or schema.text
        chosen = sealed if rows is None else sealed.take(pa.array(rows, pa.int64()))
        titles = self.listing(title, schema, chosen, kind, purpose)
        for start, name in zip(range(0, max(chosen.num_rows, 1), ROOM), titles, strict=True):
            place: dict[str, object] = {"table": table, "first_row": FIRST_ROW, "first": start}
            place["columns"] = {
                get_column_letter(at): column.name for at, column in enumerate(schema.columns, 1) if not column.locator
            }
            if rows is not None:
                place["rows"] = [int(row) for row in rows[start : start + ROOM]]
            place["count"] = min(ROOM, chosen.num_rows - start)
            self.sheets[name] = place
        return titles

    def listing(self, title: str, schema: Table, rows: pa.Table, kind: str, purpose: str) -> list[str]:
        """Sheets with the rows of a table, one column each; more rows than a sheet holds go on another sheet."""
        titles = []
        for part, start in enumerate(range(0, max(rows.num_rows, 1), ROOM)):
            titles.append(title if part == 0 else f"{title} ({part + 1})")
            self._detail_sheet(titles[-1], schema, kind, purpose, rows.slice(start, ROOM))
        return titles

    def _detail_sheet(self, title: str, schema: Table, kind: str, purpose: str, rows: pa.Table) -> None:
        sheet = self._new(title, kind, purpose)
        page = Page(self, sheet, kind)
        page.put(1, title, "Title")
        page.row = 2
        page.put(1, f"{purpose} Table {schema.name}, {rows.num_rows:,} rows. {self.footer}.", "Note")
        page.row = HEADER_ROW
        page.line([header(column) for column in schema.columns], f"{kind} header")
        sheet.row_dimensions[HEADER_ROW].height = 42
        columns = []
        for at, column in enumerate(schema.columns, 1):
            look, values = look_of(column), rows[column.name]
            shown = width_of(values, look.numeric, _DECIMALS.get(look.style, 0))
            longest_word = max(len(word) for word in header(column).split())
            width = max(_NARROWEST, shown + 3, longest_word + 4)
            style = look.style
            if not look.numeric and width > _WIDEST:
                style, width = "Wrapped text", _WIDEST
            style = styled(style, kind) if style in ("Money", "Whole", "Number", "Rate", "Fine", "Text") else style
            sheet.column_dimensions[get_column_letter(at)].width = width
            columns.append(
                CellColumn(
                    values,
                    self._style_number(style),
                    self._style_number(style, quoted=True),
                    self._style_number("Missing"),
                    unknown_below_zero(column),
                )
            )
        if sum(dimension.width for dimension in sheet.column_dimensions.values()) > _A4_WIDTH:
            sheet.page_setup.paperSize = _A3
        sheet.freeze_panes = f"B{FIRST_ROW}"
        sheet.print_title_rows = f"1:{HEADER_ROW}"
        last = f"{get_column_letter(len(columns))}{max(HEADER_ROW + rows.num_rows, HEADER_ROW)}"
        sheet.auto_filter.ref = f"A{HEADER_ROW}:{last}"
        for at, column in enumerate(schema.columns, 1):
            if (schema.name, column.name) in STATUS_COLUMNS and rows.num_rows:
                letter = get_column_letter(at)
                for rule in status_rules():
                    sheet.conditional_formatting.add(f"{letter}{FIRST_ROW}:{letter}{HEADER_ROW + rows.num_rows}", rule)
        self._rows[title] = lambda: rows_xml(columns, rows.num_rows, FIRST_ROW)
        self._ends[title] = last

    def _style_number(self, style: str, quoted: bool = False) -> int:
        if (style, quoted) not in self._styles:
            cell = WriteOnlyCell(self.workbook.worksheets[0], "")
            cell.style = style
            if quoted:
                cell.quotePrefix = True
            self._styles[style, quoted] = cell.style_id
        return self._styles[style, quoted]

    def define(self, name: str, page: Page, cell: str) -> None:
        """Give a cell a name of its own."""
        column, row = re.fullmatch(r"([A-Z]+)(\d+)", cell).groups()  # type: ignore[union-attr]
        target = f"{quote_sheetname(page.title)}!${column}${row}"
        self.workbook.defined_names[name] = DefinedName(name, attr_text=target)

    def provenance(self) -> dict[str, object]:
        """Where every cell that shows a sealed value comes from (see provenance.py)."""
        found = dict(self.sheets)
        for page in self.pages:
            if page.cells:
                found[page.title] = {"cells": page.cells}
        cut = self.tables.cut.manifest
        return {"workbook": f"{self.name}.xlsx", "cut": cut["cut"], "version": cut["version"], "sheets": found}

    def content(self) -> bytes:
        """The finished file."""
        for page in self.pages:
            page.finish()
        self.workbook.active = 0
        self.workbook.properties = DocumentProperties(
            creator="Plumbline", title=self.title, description=self.footer, created=_FIXED, modified=_FIXED
        )
        made, out = BytesIO(), BytesIO()
        with ZipFile(made, "w", ZIP_STORED, allowZip64=True) as raw:
            ExcelWriter(self.workbook, raw).write_data()
        inserts = {
            f"xl/worksheets/sheet{place}.xml": self._filled(sheet.title)
            for place, sheet in enumerate(self.workbook.worksheets, 1)
            if sheet.title in self._rows
        }
        archive.rewrite(made.getvalue(), inserts, out)
        return out.getvalue()

    def _filled(self, title: str) -> Callable[[bytes], Iterator[bytes]]:
        """Puts the rows of a detail sheet behind its header row."""

        def pieces(shell: bytes) -> Iterator[bytes]:
            head, end, tail = shell.partition(b"</sheetData>")
            assert end, f"sheet {title!r}: no place for rows"
            yield re.sub(rb'<dimension ref="[^"]*"', f'<dimension ref="A1:{self._ends[title]}"'.encode(), head, count=1)
            yield from self._rows[title]()
            yield end + tail

        return pieces
