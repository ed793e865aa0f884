"""The workbooks of a sealed cut. They compute nothing: they lay out, sort, count and add up what is sealed."""

from pathlib import Path

from reports.archive import replace_file
from reports.capital import capital_book
from reports.context import Context
from reports.difference import difference, difference_workbook
from reports.margin import margin_book
from reports.provenance import cells_path, encode_cells
from reports.sources import Tables
from reports.stress import stress_book
from streaming.cuts import SealedCut

__all__ = ["Context", "build", "difference", "difference_workbook"]

_BOOKS = (stress_book, capital_book, margin_book)


def build(cut: SealedCut, folder: Path, context: Context, previous: SealedCut | None = None) -> dict[str, Path]:
    """Write every workbook of a cut, and beside each the map of its cells; name -> path.

    The same cut, context and previous day give the same bytes on any machine, day and time zone.
    :class:`reports.archive.ReportWriteError` when a file cannot be replaced; the files that were there stay whole.
    """
    tables, before = Tables(cut), Tables(previous) if previous is not None else None
    written = {}
    for make in _BOOKS:
        book = make(tables, context, before)
        path = folder / f"{book.name}.xlsx"
        replace_file(path, book.content())
        replace_file(cells_path(path), encode_cells(book.provenance()))
        written[book.name] = path
    return written
