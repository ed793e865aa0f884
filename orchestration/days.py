"""The epochs of a business day, and the cuts marked in them with their versions."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

from orchestration import calendar
from orchestration.errors import UserError
from orchestration.feed import Clock
from streaming.engine.app import Job
from streaming.engine.epochs import Epoch, EpochIndex, Mark
from streaming.engine.sealing import CutStore, NotSealedError, gather
from streaming.log import Log

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class MarkedCut:
    """One version of a cut, as the clock marked it: the second epoch marked with an id is its version 2."""

    id: str
    version: int
    epoch: Epoch

    def __str__(self) -> str:
        return f"{self.id} v{self.version}"


def end_of_day(day: date) -> str:
    """The id of a day's last cut."""
    return f"{day}/eod"


def marked_cuts(index: EpochIndex, day: date | None = None) -> list[MarkedCut]:
    """Every version of every cut in the order of the log, of one business date or of all."""
    index.refresh()
    found: list[MarkedCut] = []
    versions: dict[str, int] = {}
    for epoch in index.marked_cuts():
        versions[epoch.cut] = versions.get(epoch.cut, 0) + 1
        if day is None or epoch.day == day:
            found.append(MarkedCut(epoch.cut, versions[epoch.cut], epoch))
    return found


def newest_versions(cuts: Sequence[MarkedCut]) -> list[MarkedCut]:
    """The newest version of each cut, in the order of the log."""
    newest = {cut.id: cut for cut in cuts}
    return sorted(newest.values(), key=lambda cut: cut.epoch.number)


def close_day(log: Log, day: date, versions: Mapping[str, str], marks: Sequence[Mark] | None = None) -> bool:
    """Close the day's epochs up to its end-of-day cut; what arrived after that cut restates it.

    Returns whether a restatement was marked. The clock goes only forwards: UserError for a day before its newest.
    ``marks``: when price sets and cuts are taken; the day's own unless others are given.
    """
    clock = Clock(log, day, versions, marks=marks)
    if clock.last is not None and clock.last.day > day:
        raise UserError(f"{day}: expected {clock.last.day} or later, the business date of the newest epoch")
    clock.advance(calendar.microseconds(calendar.session(day).end_of_day))
    return _restate(log, day, clock)


def _restate(log: Log, day: date, clock: Clock) -> bool:
    """Mark the end of day again, behind everything that waits."""
    waiting = [times[-1] for parts in clock.waiting().values() for times in parts if len(times)]
    cuts = marked_cuts(EpochIndex(log), day)
    newest = next((cut for cut in reversed(cuts) if cut.id == end_of_day(day)), None)
    uncovered = newest is not None and clock.last is not None and clock.last.ends != newest.epoch.ends
    if clock.last is None or not (waiting or uncovered):
        return False
    at = max([int(time) for time in waiting] + [clock.last.time + 1])
    at = -(-at // _SECOND) * _SECOND
    local = datetime.fromtimestamp(at / _SECOND, UTC).astimezone(calendar.NEW_YORK)
    mark = Mark(at, f"{day}/{local:%H%M%S}", end_of_day(day))
    Clock(log, day, {}, marks=[mark]).advance(at)
    return True


_SEALED_TOGETHER = 3
"""Cuts written at once: fewer writes of each table for more of them, less memory for fewer."""


def seal_ready(log: Log, index: EpochIndex, jobs: Sequence[Job], store: CutStore) -> list[MarkedCut]:
    """Seal every version of every cut that all shards have sealed and the store has not; returns those."""
    waiting = [cut for cut in marked_cuts(index) if cut.version not in store.versions(cut.id)]
    sealed: list[MarkedCut] = []
    for start in range(0, len(waiting), _SEALED_TOGETHER):
        ready = []
        with suppress(NotSealedError):
            for cut in waiting[start : start + _SEALED_TOGETHER]:
                ready.append((gather(log, index, jobs, cut.epoch), cut))
        store.write([(gathered, cut.version) for gathered, cut in ready])
        sealed += [cut for _, cut in ready]
        if len(sealed) < min(start + _SEALED_TOGETHER, len(waiting)):
            break
    return sealed
