"""The generated day of a home: which one it holds, and what of it is generated."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

import orjson

from orchestration import calendar
from orchestration.days import close_day, end_of_day, marked_cuts
from orchestration.edge import code_version
from orchestration.errors import UserError
from orchestration.feed import feed
from orchestration.settings import Settings
from streaming.apps import chain
from streaming.apps.rules import versions_in_force
from streaming.demo import Chunk, DaySpec, correction, generate
from streaming.engine.epochs import EpochIndex, Mark
from streaming.engine.sealing import write_atomically
from streaming.log.files import FilesLog
from streaming.schema.raw import FEEDS

_SENTENCES = (
    "Daily closes before and on the business date are real; adjusted closes are treated as traded prices.",
    "Intraday paths between the real previous close and the real close are generated (Brownian bridge).",
    "Option series, volatilities beyond the VIX, rates, dividends, volumes and borrow fees are generated.",
    "Accounts, positions, trades, cash, the stock record and the firm's balance sheet are generated from one seed.",
)


def sentences(settings: Settings) -> Sequence[str]:
    """What of a home's data is generated, one sentence each; empty for a home with a user's own events."""
    return _SENTENCES if _marker(settings).exists() else ()


def spec_of(settings: Settings) -> DaySpec:
    """The day that a home was generated from; UserError when it holds none."""
    if not _marker(settings).exists():
        raise UserError(f"home {settings.home}: expected a generated day (`plumbline demo`), found none")
    found = orjson.loads(_marker(settings).read_bytes())["spec"]
    return DaySpec(**{**found, **_dates(found), "faults": tuple(found["faults"])})


def prepare(settings: Settings, spec: DaySpec, fresh: bool = False) -> None:
    """Make a home ready for a generated day: empty, or with that very day begun.

    Another generated day is removed (what was published and the ledger stay); a user's own events never are: UserError.
    """
    wanted = _identity(spec)
    marker = _marker(settings)
    if marker.exists() and not fresh and orjson.loads(marker.read_bytes()) == wanted:
        return
    if settings.log.exists() and (_kept(settings).exists() or not marker.exists()) and any(_events(settings)):
        raise UserError(
            f"home {settings.home}: expected an empty home or a generated day, found ingested events; name another "
            "with --home"
        )
    marker.unlink(missing_ok=True)
    for folder in (settings.log, settings.store, settings.scratch):
        shutil.rmtree(folder, ignore_errors=True)
    write_atomically(marker, orjson.dumps(wanted))


def keep(settings: Settings) -> None:
    """Note that a home holds a user's own events: no other generated day may replace them."""
    _kept(settings).touch()


def feed_generated(
    settings: Settings, spec: DaySpec, progress: Callable[[int], None], marks: Sequence[Mark] | None = None
) -> None:
    """Append the day and close its epochs, from where an earlier run stopped. UserError for a day without session.

    ``marks``: when price sets and cuts are taken; the day's own unless others are given.
    """
    try:
        calendar.session(spec.date)
    except ValueError as error:
        raise UserError(str(error)) from None
    log = open_log(settings)
    if not marked_at_end(log, spec):
        feed(log, spec.date, _chunks(spec), announced(spec), progress=progress, marks=marks)
    close_day(log, spec.date, announced(spec), marks)


def _chunks(spec: DaySpec) -> Iterator[Chunk]:
    """The day's chunks; UserError for a day that cannot be generated."""
    chunks = generate(spec)
    try:
        first = next(chunks)
    except ValueError as error:
        raise UserError(str(error)) from None
    yield first
    yield from chunks


def feed_correction(settings: Settings, spec: DaySpec) -> int:
    """Append the events that put the spec's faults right, and mark the end of day again; how many events they are."""
    log, chunk = open_log(settings), correction(spec)
    count = sum(len(arrivals) for arrivals in chunk.topics.values())
    if count:
        feed(log, spec.date, [chunk], announced(spec))
        close_day(log, spec.date, announced(spec))
    return count


def marked_at_end(log: FilesLog, spec: DaySpec) -> bool:
    """Whether the day is wholly in the log: its end-of-day cut is marked."""
    return any(cut.id == end_of_day(spec.date) for cut in marked_cuts(EpochIndex(log), spec.date))


def open_log(settings: Settings) -> FilesLog:
    """The log of a home, with all topics."""
    log = FilesLog(settings.log)
    log.create(chain.topics())
    return log


def announced(spec: DaySpec) -> Mapping[str, str]:
    """What the first epoch of a generated day announces."""
    return versions_in_force(spec.rule_date, code_version())


def _marker(settings: Settings) -> Path:
    return settings.home / "generated.json"


def _kept(settings: Settings) -> Path:
    return settings.home / "ingested"


def _events(settings: Settings) -> list[int]:
    log = open_log(settings)
    return [log.end(topic.name, p) for topic in FEEDS for p in range(log.topics()[topic.name])]


def _identity(spec: DaySpec) -> dict[str, object]:
    """The spec, and the code and rulebook that the log's epochs announce."""
    plain = orjson.loads(orjson.dumps(asdict(spec)))
    return {"spec": plain, "versions": dict(announced(spec))}


def _dates(found: Mapping) -> dict[str, object]:
    return {name: date.fromisoformat(found[name]) for name in ("date", "rule_date")}
