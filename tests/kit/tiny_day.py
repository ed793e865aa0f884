"""Tiny days: a handful of accounts and instruments, a few dozen events, in a log of a temporary folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import orjson

from streaming.apps import chain
from streaming.apps.routing import shard_of
from streaming.apps.rules import versions_in_force
from streaming.engine.app import App, Job
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.runner import ShardHost, run_bounded
from streaming.engine.sealing import Cut, gather
from streaming.log import Record
from streaming.log.files import FilesLog
from streaming.schema.raw import FEEDS

DAY = date(2020, 3, 16)
SHARDS = 2
OPEN = 1_584_365_400_000_000
"""09:30 New York in microseconds UTC."""
STOCKS = ("AAA", "BBB", "CCC")
OPTION = "AAA   200316C00010000"
ACCOUNTS = ("A1", "A2", "A3", "HOUSE")
_TIME = "2020-03-16T13:30:00Z"


def event(**fields: object) -> bytes:
    """One JSON event with the fields every topic needs."""
    return orjson.dumps({"schema": 1, "event_time": _TIME, "business_date": "2020-03-16"} | fields)


def trade(id_: str, account: str, instrument: str, side: str, quantity: int, price: str, **more: object) -> bytes:
    fields = {"version": 1, "action": "new", "kind": "trade", "fee": "0.01", "settle_date": "2020-03-17"}
    fields |= {"id": id_, "account": account, "instrument": instrument, "side": side, "quantity": quantity}
    return event(**(fields | {"price": price, "counterparty": "B1"} | more))


def opening(id_: str, account: str, instrument: str, quantity: int, cost: str) -> bytes:
    return event(
        id=id_,
        version=1,
        action="new",
        account=account,
        instrument=instrument,
        kind="opening",
        quantity=quantity,
        cost=cost,
    )


def cash(id_: str, account: str, amount: str, **more: object) -> bytes:
    fields = {"version": 1, "action": "new", "kind": "deposit", "currency": "USD", "settle_date": "2020-03-16"}
    return event(**(fields | {"id": id_, "account": account, "amount": amount} | more))


def quote(instrument: str, bid: str, ask: str, sequence: int) -> bytes:
    return event(instrument=instrument, bid=bid, ask=ask, kind="quote", sequence=sequence, source="X")


def reference() -> list[tuple[str, str, bytes]]:
    """(topic, account, payload) of the instruments and accounts."""
    made = [("instruments", "", event(id=name, kind="stock", currency="USD")) for name in STOCKS]
    option = {"kind": "option", "underlying": "AAA", "currency": "USD", "multiplier": 100, "right": "call"}
    option |= {"strike": "10", "expiry": "2020-03-16", "style": "american", "underlying_class": "equity"}
    made.append(("instruments", "", event(id=OPTION, **option)))
    for name in ACCOUNTS:
        kind = "house" if name == "HOUSE" else "customer"
        made.append(("accounts", "", event(id=name, client=name, kind=kind, margin_type="reg_t", currency="USD")))
    return made


@dataclass
class TinyDay:
    """Steps of a day, one epoch each."""

    steps: Sequence[tuple[Sequence[tuple[str, str, bytes]], str]]
    """(events, mark): mark is "" (none), "set" or "cut"."""
    jobs: Sequence[Job]
    cuts: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> FilesLog:
        log = FilesLog(folder)
        log.create({topic.name: topic.partitions(SHARDS) for topic in FEEDS} | {EPOCHS: 1})
        for job in self.jobs:
            log.create(job.topics(SHARDS))
        writer, clock = log.writer("feed"), log.writer("clock")
        self.cuts.clear()
        versions: Mapping[str, str] = versions_in_force(date(2026, 11, 1), "test")
        for number, (events, mark) in enumerate([(reference(), ""), *self.steps]):
            time = OPEN + number * 200_000
            records = [
                Record(topic, self._partition(topic, account), payload, time) for topic, account, payload in events
            ]
            writer.commit(records)
            ends = {t.name: tuple(log.end(t.name, p) for p in range(t.partitions(SHARDS))) for t in FEEDS}
            cut = f"{DAY}/{number:04d}" if mark == "cut" else ""
            price_set = f"{DAY}/{number:06d}" if mark else ""
            epoch = Epoch(number, time, DAY, ends, price_set, cut, versions if number == 0 else {})
            clock.commit([Record(EPOCHS, 0, epoch.encode(), time)])
            if cut:
                self.cuts.append(cut)
        return log

    @staticmethod
    def _partition(topic: str, account: str) -> int:
        sharded = next(item.sharded for item in FEEDS if item.name == topic)
        return shard_of(account, SHARDS) if sharded else 0


def some_apps(*names: str) -> tuple[App, ...]:
    return tuple(app for app in chain.apps() if app.name in names)


def account_jobs() -> tuple[Job, ...]:
    """Reference, prices, book and positions: what needs no model."""
    market = Job("market", some_apps("reference", "price_sets"), frozenset({"reference", "price_sets"}))
    return market, Job("accounts", some_apps("book", "positions"))


def separate_jobs() -> tuple[Job, ...]:
    """The same applications, one job each, topic to topic."""
    made = []
    for app in some_apps("reference", "price_sets", "book", "positions"):
        made.append(Job(app.name, (app,), frozenset({app.name})))
    return tuple(made)


def run(log: FilesLog, jobs: Iterable[Job], epochs_max: int = 1_000, events_max: int = 100_000) -> list[Cut]:
    """Run the jobs to the end of the log with the bare loop; every cut, gathered."""
    index = EpochIndex(log)
    last = index.refresh() - 1
    for job in jobs:
        hosts = [ShardHost(log, index, job, shard, SHARDS) for shard in job.shards(SHARDS)]
        run_bounded(hosts, last, epochs_max, events_max)
    return [gather(log, index, jobs, index[number]) for number in index.cuts().values()]


def digests(cuts: Iterable[Cut]) -> list[tuple[str, dict, dict]]:
    return [(cut.id, dict(cut.digests), cut.state_digests) for cut in cuts]
