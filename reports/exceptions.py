"""What a reader must know before trusting a number: refused events, rejects, bad prices, notices that fire."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow.compute as pc

from reports.book import Book
from reports.context import Context
from reports.sources import Source, Tables, selected

_POOR = (("stale", "stale prices"), ("missing", "missing prices"), ("last_good", "prices carried from the last good"))


@dataclass(frozen=True)
class Group:
    """One kind of exception: the sealed rows that are one."""

    label: str
    source: Source
    rows: np.ndarray


class Exceptions:
    """All exceptions of a cut, from its sealed tables."""

    def __init__(self, tables: Tables, context: Context):
        self._tables, self._context = tables, context

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Every kind that the cut can tell of, also those without rows."""
        sources = [
            ("events in quarantine", Source("quarantine", "ordinal", "count")),
            ("events an application rejected", Source("rejects", "ordinal", "count")),
            *(
                (label, Source("prices", "instrument", "count", (("status", "=", status),)))
                for status, label in _POOR[:2]
            ),
            ("notices that fire", Source("notices", "code", "count", (("fires", "=", "True"),))),
            ("reconciliation breaks", Source("checks", "key", "count", (("difference", "!=", "0"),))),
        ]
        return tuple(
            Group(label, source, selected(self._tables, source))
            for label, source in sources
            if source.table in self._tables
        )

    @property
    def failed_checks(self) -> int:
        return sum(not item["passed"] for item in self._context.checks)

    @property
    def total(self) -> int:
        return sum(len(group.rows) for group in self.groups) + self.failed_checks

    @property
    def summary(self) -> str:
        """The kinds that occur, in one line."""
        found = [f"{len(group.rows):,} {group.label}" for group in self.groups if len(group.rows)]
        if self.failed_checks:
            found.append(f"{self.failed_checks} failed checks")
        return "; ".join(found) or "none"


_SHEETS = (("quarantine", "Quarantine"), ("rejects", "Rejects"))


def exceptions_sheets(book: Book, exceptions: Exceptions) -> None:
    """A count per kind, then a sheet with the rows of each."""
    page = book.page("Exceptions", "Check", "What to know before trusting a number.")
    page.head(["Exception", "Count (rows)", "Where"])
    page.freeze(filtered=3)
    page.widths(46, 16, 40)
    for group in exceptions.groups:
        page.put(1, group.label.capitalize(), "Label")
        page.put(2, len(group.rows), "Whole", group.source)
        page.put(3, _WHERE[group.source.table], "Text")
        page.row += 1
    page.line(["Failed checks", exceptions.failed_checks, "Checks"], ["Label", "Whole", "Text"])
    for table, title in _SHEETS:
        if table in book.tables:
            book.detail(title, table, "Check")
    prices = book.tables.get("prices")
    if prices is not None:
        poor = np.flatnonzero(pc.not_equal(prices["status"], "good").to_numpy())
        book.detail(
            "Price exceptions", "prices", "Check", poor, "Prices that are not good: carried on, stale or missing."
        )


_WHERE = {
    "quarantine": "Quarantine",
    "rejects": "Rejects",
    "prices": "Price exceptions",
    "notices": "Notices",
    "checks": "Reconciliations",
}
