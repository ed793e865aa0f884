"""What changed between two versions of a date, or since the day before, and what made it.

The causes are put in one after the other, from the state sealed at the old cut: time alone first, then event by event
(a restatement) or kind by kind (a day). Each step is a bounded replay; the last one must give the sealed new tables, so
the parts of every cell add up to its change exactly.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.contributing import Events, RawEvents
from orchestration.days import end_of_day
from orchestration.errors import UserError
from orchestration.pipeline import Home, opening
from orchestration.publish import PUBLICATION, read_publication
from orchestration.rerun import Keep, Start, all_but, rerun
from reports.difference import attributed
from streaming.apps import chain
from streaming.cuts import SealedCut, UnknownCutError, open_cut
from streaming.engine.canonical import table_digest
from streaming.schema.sealed import TABLES

EVENTS_MAX = 40
"""Events of a restatement that are told apart one by one; beyond, the events of one account and instrument together."""
TIME = "time"
Worlds = list[tuple[str, Mapping[str, pa.Table]]]
Event = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Explained:
    """Two sealed cuts, and what led from the one to the other."""

    old: SealedCut
    new: SealedCut
    parts: pa.Table
    """Rows as in ``reports.difference.PARTS``."""


def version_of(home: Home, day: date, name: str) -> SealedCut:
    """``v2`` of a date: what was published as that version, else that version of its end of day."""
    text = name.removeprefix("v")
    if not text.isdigit():
        raise UserError(f"version: expected one such as v1, found {name}")
    published = home.settings.out / day.isoformat() / f"v{text}" / PUBLICATION
    if published.exists():
        found = read_publication(published.parent)
        return open_cut(home.settings.store, found["cut"], found["cut_version"])
    try:
        return open_cut(home.settings.store, end_of_day(day), int(text))
    except UnknownCutError as error:
        raise UserError(str(error)) from None


def restatement(home: Home, old: SealedCut, new: SealedCut) -> Explained:
    """What each late or corrected event changed between two versions of one cut."""
    if old.id != new.id or old.version >= new.version:
        raise UserError(
            f"diff: expected an older and a newer version of one cut, found {old.id} v{old.version} and "
            f"{new.id} v{new.version}"
        )
    groups = list(_groups(home, old, new))
    worlds: Worlds = [("", _sealed(old))]
    for number in range(len(groups) + 1):
        cause = TIME if number == 0 else groups[number - 1][0]
        missing = [event for _, events in groups[number:] for event in events]
        worlds.append((cause, _world(home, new, all_but(*missing), (old.id, old.version))))
    _require_sealed(new, worlds[-1][1])
    return Explained(old, new, attributed(worlds))


def movement(home: Home, new: SealedCut) -> Explained:
    """What time, clients, reference data, trades, prices, volatility and rules changed since the end of the day before.

    UserError for a first day.
    """
    day = date.fromisoformat(new.manifest["business_date"])
    start = opening(home, day)
    if start is None:
        raise UserError(f"{day}: expected a day after another one, found no end of day before it")
    old = open_cut(home.settings.store, *start)
    raw = RawEvents(home.log, home.index[new.manifest["epoch"]], old.manifest["offsets"])
    worlds: Worlds = [("", _sealed(old))]
    kept: list[Keep] = []
    before, now = old.manifest["versions"], new.manifest["versions"]
    held = {**now, "rule_date": before["rule_date"]}
    if before["rulebook"] != now["rulebook"]:
        again = _again(home, old, {**now, "rule_date": before["rule_date"]})
        worlds.append(("parameter", again))
    for cause, keep in _kinds(raw, new):
        kept.append(keep)
        worlds.append((cause, _world(home, new, _any(kept), start, held)))
    if before["rule_date"] != now["rule_date"]:
        worlds.append(("rule", _world(home, new, _any(kept), start)))
    _require_sealed(new, worlds[-1][1])
    return Explained(old, new, attributed(worlds))


def _kinds(raw: RawEvents, cut: SealedCut) -> Iterator[tuple[str, Keep]]:
    """The kinds of events of a day in the order in which they are put in; together they are all events."""
    rows = cut.table("instruments").select(["id", "kind"]).to_pylist()
    options = pa.array([row["id"] for row in rows if row["kind"] == "option"], pa.string())
    events = raw.of("prices", 0)
    assert events.name is not None
    is_option = pc.is_in(events.name, value_set=options).to_numpy(zero_copy_only=False)
    quotes = events.offsets[is_option]

    def topics(*names: str) -> Keep:
        return lambda topic, _, offsets: np.full(len(offsets), topic in names)

    def spot(topic: str, _: int, offsets: np.ndarray) -> np.ndarray:
        return ~np.isin(offsets, quotes) if topic == "prices" else np.full(len(offsets), topic == "fx")

    def volatility(topic: str, _: int, offsets: np.ndarray) -> np.ndarray:
        return np.isin(offsets, quotes) if topic == "prices" else np.zeros(len(offsets), bool)

    yield TIME, topics()
    yield "client", topics("accounts")
    yield "reference data", topics("instruments", "actions", "rates", "closes")
    yield "new trades", topics("trades")
    yield "cash and custody", topics("cash", "custody", "firm")
    yield "price", spot
    yield "volatility", volatility


def _any(kept: Sequence[Keep]) -> Keep:
    chosen = tuple(kept)

    def keep(topic: str, partition: int, offsets: np.ndarray) -> np.ndarray:
        found = np.zeros(len(offsets), bool)
        for one in chosen:
            found |= one(topic, partition, offsets)
        return found

    return keep


def _groups(home: Home, old: SealedCut, new: SealedCut) -> Iterator[tuple[str, list[Event]]]:
    """The events between two versions in the order of arrival, each by itself or by account and instrument."""
    epoch = home.index[new.manifest["epoch"]]
    raw = RawEvents(home.log, epoch, old.manifest["offsets"])
    found: list[tuple[int, Event, str]] = []
    for topic, ends in epoch.ends.items():
        for partition in range(len(ends)):
            events = raw.of(topic, partition)
            names = dict(zip(events.offsets.tolist(), _about(events), strict=True))
            first, stop = raw.span(topic, partition)
            span = home.log.read(topic, partition, first, stop)
            for offset, time in zip(span.offsets.tolist(), span.times.tolist(), strict=True):
                found.append((time, (topic, partition, offset), names.get(offset, f"{topic}, not readable")))
    found.sort()
    if len(found) <= EVENTS_MAX:
        for _, event, about in found:
            yield f"{'/'.join(map(str, event))} ({about})", [event]
        return
    groups: dict[str, list[Event]] = {}
    for _, event, about in found:
        groups.setdefault(f"{event[0]} ({about})", []).append(event)
    yield from groups.items()


def _about(events: Events) -> list[str]:
    """Whom each event concerns, in words."""
    columns = [column.to_pylist() for column in (events.account, events.name) if column is not None]
    if not columns:
        return ["everybody"] * len(events.offsets)
    return [" ".join(filter(None, row)) for row in zip(*columns, strict=True)]


def _world(
    home: Home, cut: SealedCut, keep: Keep, start: Start, versions: Mapping[str, str] | None = None
) -> dict[str, pa.Table]:
    """Every table of a cut from a start with chosen events, under other versions where some are given."""
    shards = home.log.topics()["trades"]
    with rerun(home, home.index[cut.manifest["epoch"]], keep, start, versions) as again:
        return again.tables([(job, range(shards) if job.sharded else [0]) for job in chain.jobs()])


def _again(home: Home, cut: SealedCut, versions: Mapping[str, str]) -> dict[str, pa.Table]:
    """A cut as it would have been under other versions, from its own day's opening."""
    day = date.fromisoformat(cut.manifest["business_date"])
    return _world(home, cut, all_but(), opening(home, day), versions)


def _sealed(cut: SealedCut) -> dict[str, pa.Table]:
    return {name: cut.table(name) for name in cut.tables}


def _require_sealed(cut: SealedCut, made: Mapping[str, pa.Table]) -> None:
    """With every cause in, the tables are those that were sealed: what does not is a difference without a cause."""
    wrong = [
        name
        for name, entry in cut.manifest["tables"].items()
        if name not in made or table_digest(TABLES[name], made[name]) != entry["digest"]
    ]
    if wrong:
        raise UserError(
            f"{cut.id} v{cut.version}: expected the sealed tables when every event is in, found others: "
            f"{', '.join(wrong)}; was it sealed by another code version?"
        )
