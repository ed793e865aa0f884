"""A generated day with planted faults through the real applications, gate included, with as few price sets as it needs.

A full day values its instruments 392 times; the faults show at the cuts, so these days take price sets there only. The
applications, sealing, suites and gate are the real ones. The suites run in this process: isolation has its own tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import expectations
from orchestration import calendar, edge, generated, pipeline
from orchestration.feed import feed
from orchestration.gate import Decision, gate
from orchestration.pipeline import Home
from orchestration.progress import Silent
from orchestration.settings import Settings
from streaming.cuts import SealedCut
from streaming.demo import DaySpec, generate
from streaming.engine.epochs import Mark


@dataclass(frozen=True)
class Judged:
    """One sealed version of the end of day and what the checks and the gate say of it."""

    cut: SealedCut
    results: Mapping[str, Mapping]
    """By check."""
    decision: Decision

    @property
    def failed(self) -> dict[str, str]:
        """Check -> severity."""
        return {name: row["severity"] for name, row in self.results.items() if not row["passed"]}

    @property
    def held_by(self) -> set[str]:
        """The checks that keep the gate shut."""
        return {hold.check for hold in self.decision.holds}


def closing_marks(spec: DaySpec) -> list[Mark]:
    """The cut at the closing bell and the end of day, and a price set before, for the day's path; and the price set of
    the opening bell, before which late splits and dividends count."""
    marks = calendar.marks(spec.date)
    first = next(place for place, mark in enumerate(marks) if mark.cut.endswith("/1600"))
    return [replace(marks[0], cut=""), *marks[first - 1 :]]


def minutes_of(spec: DaySpec, first: str, last: str) -> list[Mark]:
    """The closing marks, and every minute between two New York times (``10:45``): a stretch of the day's path."""
    begin, end = f"{spec.date}/{first.replace(':', '')}00", f"{spec.date}/{last.replace(':', '')}00"
    marks = [mark for mark in calendar.marks(spec.date) if begin <= mark.price_set <= end]
    opening, *closing = closing_marks(spec)
    return [opening, *(Mark(mark.time, mark.price_set) for mark in marks), *closing]


class FaultyDay:
    """One generated day in a home of its own."""

    def __init__(self, folder: Path, spec: DaySpec, marks: Sequence[Mark] | None = None):
        self.spec = spec
        self.home = Home.open(Settings(folder / "home", folder / "out"))
        self._marks = closing_marks(spec) if marks is None else marks

    def run(self) -> Judged:
        """The day as it was generated, faults included."""
        self.feed()
        return self._judge()

    def feed(self) -> None:
        """Append the day and close its epochs."""
        announced = generated.announced(self.spec)
        feed(self.home.log, self.spec.date, generate(self.spec), announced, marks=self._marks)

    def correct(self) -> Judged:
        """The correcting events arrive: the end of day restated."""
        generated.feed_correction(self.home.settings, self.spec)
        return self._judge()

    def replay(self) -> Decision:
        """Every cut recomputed from the raw events and compared, in another process; what the gate says then."""
        pipeline.certify(self.home, self.spec.date, Silent())
        return gate(self.home.end_of_day(self.spec.date), self.home.ledger, edge.now())

    def _judge(self) -> Judged:
        show = Silent()
        pipeline.run_jobs(self.home, show)
        pipeline.seal(self.home, show)
        cut = self.home.end_of_day(self.spec.date)
        with _suites_in_this_process():
            found = pipeline.check(self.home, cut, show)
        decision = gate(cut, self.home.ledger, edge.now())
        return Judged(cut, {row["check"]: row for row in found["results"]}, decision)


@contextmanager
def _suites_in_this_process() -> Iterator[None]:
    def run(cut, certificate, previous, opening, *, folder, docs, child):
        return expectations.run(cut, certificate, previous, opening)

    with mock.patch("expectations.run_isolated", run):
        yield
