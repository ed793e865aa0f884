"""Native charts over a page's cells, one look for all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from openpyxl.chart import AreaChart, BarChart, LineChart, Reference
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties, RegularTextRun

from reports.book import Book, Page
from reports.sources import Source

WIDTH_CM, HEIGHT_CM = 24.5, 10.0
BLUE, RED, GREEN, AMBER, GREY = "2F6DB5", "C2413B", "2E8B57", "D9902F", "6B7280"
_HEADING = CharacterProperties(sz=1200, b=True)
_MILLIONS = '#,##0.0,,"m";-#,##0.0,,"m";0'


@dataclass(frozen=True)
class Block:
    """A block of chart data on a page: one header row, then categories and one column per series."""

    page: Page
    first: int
    last: int
    series: int

    @property
    def rows(self) -> int:
        return self.last - self.first

    def _fill(self, chart) -> None:
        sheet = self.page.sheet
        for column in range(2, 2 + self.series):
            chart.add_data(
                Reference(sheet, min_col=column, min_row=self.first, max_row=self.last), titles_from_data=True
            )
        chart.set_categories(Reference(sheet, min_col=1, min_row=self.first + 1, max_row=self.last))


def no_source(row: int, column: int) -> None:
    """Chart data that is no sealed value."""


class ChartData:
    """The sheet with what the pictures are drawn from, one block below the other."""

    def __init__(self, book: Book):
        self.page = book.page("Chart data", "Result", "What the pictures of the Summary are drawn from.")
        self.page.widths(34, *[20] * 6)
        self.page.freeze()

    def block(
        self,
        title: str,
        series: Sequence[str],
        rows: Sequence[tuple[str, Sequence[object]]],
        sources: Callable[[int, int], Source | None] = no_source,
    ) -> Block | None:
        """Write one block; None when there is nothing to draw. ``sources`` by row and series number."""
        page = self.page
        page.put(1, title, "Section")
        page.row += 1
        if not rows:
            page.line(["Not computed at this cut, or nothing to show."], "Note")
            page.row += 1
            return None
        first = page.row
        page.head(["", *series])
        for number, (label, values) in enumerate(rows):
            page.put(1, label, "Text")
            for column, value in enumerate(values):
                if value is None:
                    continue  # an empty cell leaves a gap, where a text would be drawn as zero
                style = "Money" if isinstance(value, Decimal) else "Whole"
                page.put(2 + column, value, style, sources(number, column))
            page.row += 1
        page.row += 1
        return Block(page, first, page.row - 2, len(series))


def bars(block: Block, title: str, colours: Sequence[str], flat: bool = False, amounts: bool = True) -> BarChart:
    """Bars; ``flat`` lays them on their side, the first on top."""
    chart = BarChart()
    chart.type = "bar" if flat else "col"
    block._fill(chart)
    chart.gapWidth = 40
    chart = _finished(chart, title, colours, amounts)
    if flat:
        chart.x_axis.scaling.orientation = "maxMin"
        chart.y_axis.crosses = "max"  # the scale stays below
        chart.x_axis.tickLblSkip = 1
        chart.height = max(HEIGHT_CM, 2.5 + 0.45 * block.rows)
    return chart


def stacked(block: Block, title: str, colours: Sequence[str | None]) -> BarChart:
    """Bars on top of each other; a colour of None is not drawn (what a waterfall's steps stand on)."""
    chart = BarChart()
    chart.type, chart.grouping, chart.overlap = "col", "stacked", 100
    block._fill(chart)
    chart.gapWidth = 30
    chart = _finished(chart, title, colours, True)
    chart.legend = None
    return chart


def lines(block: Block, title: str, colours: Sequence[str], amounts: bool = True) -> LineChart:
    """Lines over the rows of the block, in their order."""
    chart = LineChart()
    block._fill(chart)
    chart = _finished(chart, title, colours, amounts)
    for series, colour in zip(chart.series, colours, strict=True):
        series.smooth = False
        series.marker.symbol = "none"
        series.graphicalProperties.line.solidFill = colour
        series.graphicalProperties.line.width = 19_050  # 1.5 points
    chart.x_axis.tickLblSkip = max(1, block.rows // 8)
    chart.x_axis.tickMarkSkip = chart.x_axis.tickLblSkip
    return chart


def area(block: Block, title: str, colour: str) -> AreaChart:
    """The area below one series."""
    chart = AreaChart()
    block._fill(chart)
    chart = _finished(chart, title, [colour], True)
    chart.x_axis.tickLblSkip = max(1, block.rows // 8)
    chart.x_axis.tickMarkSkip = chart.x_axis.tickLblSkip
    return chart


def _finished(chart, title: str, colours: Sequence[str | None], amounts: bool):
    chart.title = Title(
        tx=Text(
            rich=RichText(p=[Paragraph(ParagraphProperties(defRPr=_HEADING), r=[RegularTextRun(_HEADING, title)])])
        ),
        overlay=False,
    )
    chart.width, chart.height = WIDTH_CM, HEIGHT_CM
    chart.x_axis.delete = chart.y_axis.delete = False  # openpyxl hides axes unless told otherwise
    chart.x_axis.tickLblPos = "low"
    chart.y_axis.majorGridlines.spPr = GraphicalProperties(ln=_thin())
    chart.y_axis.number_format = _MILLIONS if amounts else "#,##0"
    for series, colour in zip(chart.series, colours, strict=True):
        if colour is None:
            series.graphicalProperties.noFill = True
            series.graphicalProperties.line.noFill = True
        else:
            series.graphicalProperties.solidFill = colour
            series.graphicalProperties.line.solidFill = colour
        if isinstance(chart, BarChart):
            series.invertIfNegative = False
    if len(chart.series) == 1:
        chart.legend = None
    else:
        chart.legend.position = "b"
    return chart


def _thin() -> LineProperties:
    return LineProperties(solidFill="E5E7EB", w=6_350)


WATERFALL = ("Base", "Level", "Rise", "Fall", "Rise below zero", "Fall below zero")
WATERFALL_COLOURS = (None, BLUE, GREEN, RED, GREEN, RED)
"""Where more is better."""
LOSS_COLOURS = (None, BLUE, RED, GREEN, RED, GREEN)
"""Where more is worse."""


def waterfall(steps: Sequence[tuple[str, Decimal, bool]]) -> list[tuple[str, tuple[Decimal, ...]]]:
    """Rows of a waterfall: each label with the bars of ``WATERFALL``.

    A step is (label, amount, whether the amount is a level and not a move). A move's bar stands on a base that is not
    drawn; a move that crosses zero has a bar on both sides and no base.
    """
    rows: list[tuple[str, tuple[Decimal, ...]]] = []
    zero = level = Decimal(0)
    for label, amount, is_level in steps:
        if is_level:
            level = amount
            rows.append((label, (zero, amount, zero, zero, zero, zero)))
            continue
        before, level = level, level + amount
        low, high = min(before, level), max(before, level)
        base = max(low, zero) + min(high, zero)
        above, below = max(high, zero) - max(low, zero), min(low, zero) - min(high, zero)
        rise, fall = ((above, below), (zero, zero)) if amount > 0 else ((zero, zero), (above, below))
        rows.append((label, (base, zero, rise[0], fall[0], rise[1], fall[1])))
    return rows


def backtest(block: Block, title: str) -> LineChart:
    """P&L and the VaR line below it, exceptions as marks of their own."""
    chart = lines(block, title, [BLUE, AMBER, RED])
    marks = chart.series[2]
    marks.marker.symbol, marks.marker.size = "diamond", 6
    marks.marker.graphicalProperties = GraphicalProperties(solidFill=RED)
    marks.graphicalProperties.line.noFill = True
    return chart
