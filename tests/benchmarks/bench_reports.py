"""Workbooks of a 2,000-account, 5,000-series book, and a detail sheet beside openpyxl's write-only mode.

Run: ``python tests/benchmarks/bench_reports.py [accounts series]``. The figures are checked before they are timed.
"""

import sys
import tempfile
import time
from pathlib import Path

from openpyxl import Workbook, load_workbook

sys.path[:0] = [str(Path(__file__).parents[1] / "unit"), str(Path(__file__).parents[2])]

from report_cuts import Size, day_end  # noqa: E402

import reports  # noqa: E402
from reports.book import FIRST_ROW, Book  # noqa: E402
from reports.sources import Tables  # noqa: E402


def write_only(rows, path: Path) -> None:
    """The same table by openpyxl's write-only mode, without styles."""
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("By underlying")
    sheet.append(rows.column_names)
    for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        sheet.append(row)
    workbook.save(path)


def ours(tables: Tables, path: Path) -> None:
    """The same table as a detail sheet of a report, with styles, filter and widths."""
    book = Book("bench", "Bench", tables)
    book.detail("By underlying", "stress_underlying")
    path.write_bytes(book.content())


def timed(what) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def main(accounts: int = 2_000, series: int = 5_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        cut = day_end(base / "store", Size(accounts, series, sets=390, holdings=10))
        cpu = time.process_time()
        seconds = timed(lambda: reports.build(cut, base / "out", reports.Context()))
        cpu = time.process_time() - cpu
        files = sorted((base / "out").glob("*.xlsx"))
        sizes = ", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in files)
        print(f"{accounts:,} accounts, {series:,} series: three workbooks in {seconds:.1f} s ({cpu:.1f} s CPU)")
        print(sizes)
        tables = Tables(cut)
        rows = tables.get("stress_underlying")
        assert rows is not None
        plain, own = base / "plain.xlsx", base / "own.xlsx"
        by_openpyxl, by_us = timed(lambda: write_only(rows, plain)), timed(lambda: ours(tables, own))
        left = load_workbook(plain, read_only=True)["By underlying"].iter_rows(min_row=2, values_only=True)
        right = load_workbook(own, read_only=True)["By underlying"].iter_rows(min_row=FIRST_ROW, values_only=True)
        assert sum(a == b for a, b in zip(left, right, strict=True)) == rows.num_rows
        cells = rows.num_rows * rows.num_columns
        ratio = by_openpyxl / by_us
        print(f"detail sheet, {cells:,} cells: {by_us:.2f} s, write-only {by_openpyxl:.2f} s, x{ratio:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
