"""The spot x volatility heat map of the firm: sealed grid cells as a coloured table."""

import re
from decimal import Decimal

import pyarrow.compute as pc
from openpyxl.formatting.rule import ColorScaleRule
from openpyxl.utils import get_column_letter

from reports.book import Book
from reports.sources import Source, Tables, cents

_CELL = re.compile(r"GRID/([+-]\d+)%/([+-]\d+)%")
_GREEN, _WHITE, _RED = "86C79B", "FFFFFF", "E58B86"


def grid_losses(tables: Tables) -> tuple[dict[tuple[int, int], Decimal], str]:
    """Loss of the whole firm by (spot move, volatility move) in percent, and the table it is from."""
    for table, level in (("stress_totals", "firm"), ("stress", "")):
        rows = tables.get(table)
        if rows is None:
            continue
        chosen = pc.starts_with(rows["scenario"], "GRID/")
        if level:
            chosen = pc.and_(chosen, pc.equal(rows["level"], level))
        rows = rows.filter(chosen)
        if rows.num_rows:
            sums = rows.group_by("scenario").aggregate([("loss", "sum")])
            pairs = zip(sums["scenario"].to_pylist(), sums["loss_sum"].to_pylist(), strict=True)
            return {move: loss for name, loss in pairs if (move := _moves(name)) is not None}, table
    return {}, ""


def _moves(scenario: str) -> tuple[int, int] | None:
    found = _CELL.fullmatch(scenario)
    return (int(found[1]), int(found[2])) if found else None


def heat_map(book: Book) -> None:
    """Spot moves down, volatility moves across; red loses, green gains."""
    page = book.page(
        "Heat map",
        "Result",
        "Loss of all accounts (USD) by joint move of spot (%) and volatility (%); positive = loss.",
    )
    cells, table = grid_losses(book.tables)
    if not cells:
        page.line(["The spot x volatility grid: not computed at this cut."])
        page.widths(60)
        return
    spots, vols = sorted({spot for spot, _ in cells}), sorted({vol for _, vol in cells})
    page.head(["Spot (%) \\ volatility (%)", *(f"{vol:+d}% (USD)" for vol in vols)])
    page.widths(26, *[20] * len(vols))
    page.freeze()
    first = page.row
    for spot in spots:
        page.put(1, f"{spot:+d}%", "Label")
        for column, vol in enumerate(vols, 2):
            loss = cells.get((spot, vol))
            where: tuple[tuple[str, str, str], ...] = (("scenario", "=", f"GRID/{spot:+d}%/{vol:+d}%"),)
            if table == "stress_totals":
                where = (("level", "=", "firm"), *where)
            page.put(column, None if loss is None else cents(loss), "Money", Source(table, "loss", "sum", where))
        page.row += 1
    shown = f"B{first}:{get_column_letter(1 + len(vols))}{page.row - 1}"
    scale = ColorScaleRule(
        start_type="min",
        start_color=_GREEN,
        mid_type="num",
        mid_value=0,
        mid_color=_WHITE,
        end_type="max",
        end_color=_RED,
    )
    page.sheet.conditional_formatting.add(shown, scale)
