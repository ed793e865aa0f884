"""The book, the folds and the whole replay from raw JSON, each beside a plain Python loop over the same events.

    python -m tests.benchmarks.bench_replay [trades] [prices]

Correctness comes first: the book accepts what the loop accepts, the folds agree with the loop, and with polars, to the
micro. Every figure is of one process; speeds are events or rows a second, ratios are of this run.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
import pyarrow as pa

from orchestration import generated
from orchestration.days import marked_cuts
from orchestration.replaying import replay_apart
from orchestration.settings import Settings
from streaming.apps import chain
from streaming.apps.book import BookApp
from streaming.apps.reference import ReferenceApp
from streaming.demo import DaySpec
from streaming.engine.app import Job
from streaming.engine.epochs import Epoch, EpochIndex
from streaming.engine.frames import decode_frames
from streaming.engine.replay import ReplayLog, replay
from streaming.engine.runner import ShardHost, run_bounded
from streaming.log.files import FilesLog
from streaming.risk.positions import fold as folding
from streaming.schema.raw import TRADES

_CODES = 1 << 32


def timed(work: Callable):
    start = perf_counter()
    found = work()
    return found, perf_counter() - start


def line(name: str, rows: int, seconds: float, beside: str = "") -> None:
    print(f"{name:<44} {rows:>10,} in {seconds:7.2f} s  {rows / seconds:>14,.0f}/s  {beside}", flush=True)


def booked(log: FilesLog, folder: Path) -> tuple[pa.Table, float]:
    """The accepted trades of the book, and the seconds that its job took from raw JSON."""
    index = EpochIndex(log)
    end, shards = index.refresh(), log.topics()["trades"]
    mine = ReplayLog(log, folder)
    jobs = Job("known", (ReferenceApp(),), frozenset({"reference"})), Job("booked", (BookApp(),), frozenset({"book"}))
    for job in jobs:
        mine.create(job.topics(shards))
    run_bounded([ShardHost(mine, index, jobs[0], 0, shards)], end - 1)
    hosts = [ShardHost(mine, index, jobs[1], shard, shards) for shard in range(shards)]
    _, seconds = timed(lambda: run_bounded(hosts, end - 1))
    tables = []
    for shard in range(shards):
        for frame in decode_frames(mine.read("book", shard, 0, mine.end("book", shard)).payloads):
            if "trades" in frame.tables:
                tables.append(frame.tables["trades"])
    return pa.concat_tables(tables).combine_chunks(), seconds


def loop_book(payloads: list[bytes]) -> int:
    """What a careful loop does for each event: read, check types and ranges, deduplicate; how many it accepts."""
    seen: dict[tuple, dict] = {}
    cancelled: set[str] = set()
    for payload in payloads:
        try:
            event = json.loads(payload)
        except ValueError:
            continue
        if not isinstance(event, dict) or event.get("schema") != TRADES.version:
            continue
        texts = all(isinstance(event.get(name), str) for name in ("id", "account", "instrument", "side", "action"))
        if not texts or not isinstance(event.get("quantity"), int) or event["quantity"] <= 0:
            continue
        if not isinstance(event.get("price"), (int, float, str)) or event["side"] not in ("buy", "sell"):
            continue
        key = event["id"], event.get("version")
        if key in seen or event["id"] in cancelled:
            continue
        if event["action"] == "cancel":
            cancelled.add(event["id"])
        seen[key] = event
    return len(seen)


def loop_fold(rows: list[tuple[int, int, int, int]]) -> dict[int, list[int]]:
    """Quantity, cost and cash of each key, trade by trade; average cost, rounded half away from zero."""
    held: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for key, quantity, value, fee in rows:
        position = held[key]
        before, cost, _ = position
        position[2] -= quantity * value + fee
        if before == 0 or (before > 0) == (quantity > 0):
            position[0], position[1] = before + quantity, cost + quantity * value
        elif abs(quantity) < abs(before):
            released = (2 * abs(cost) * abs(quantity) + abs(before)) // (2 * abs(before)) * (1 if cost > 0 else -1)
            position[0], position[1] = before + quantity, cost - released
        else:
            position[0] = before + quantity
            position[1] = position[0] * value
    return held


def folds(trades: pa.Table) -> None:
    """The full average-cost fold beside the loop, and beside polars, which only adds up quantity and cash."""
    column = {name: trades[name].to_numpy() for name in ("account", "instrument", "quantity", "price", "fee")}
    key = column["account"].astype(np.int64) * _CODES + column["instrument"]
    quantity, price, fee = (column[name].astype(np.int64) for name in ("quantity", "price", "fee"))
    n = len(key)
    plain = list(zip(key.tolist(), quantity.tolist(), price.tolist(), fee.tolist(), strict=True))
    expected, slow = timed(lambda: loop_fold(plain))

    keys = np.unique(key)
    kind, one = np.full(n, folding.TRADE), np.ones(n, np.int64)

    def average_cost() -> np.ndarray:
        order = np.argsort(key, kind="stable")
        row = np.searchsorted(keys, key[order])
        events = folding.FoldEvents(row, kind, quantity[order], price[order], fee[order], one, one)
        measures = np.zeros((len(keys), folding.MEASURES), np.int64)
        folding.fold(measures, events, np.zeros(n, np.int64))
        return measures

    def quantity_and_cash() -> np.ndarray:
        slot = np.searchsorted(keys, key)
        sums = np.zeros((2, len(keys)), np.int64)
        np.add.at(sums[0], slot, quantity)
        np.add.at(sums[1], slot, -(quantity * price + fee))
        return sums

    frame = pl.DataFrame({"key": key, "quantity": quantity, "price": price, "fee": fee})
    cash = -(pl.col("quantity") * pl.col("price") + pl.col("fee"))
    query = frame.lazy().group_by("key").agg(pl.col("quantity").sum(), cash.sum().alias("cash")).sort("key")

    average_cost()  # compiled, and in the caches
    measures, full = timed(average_cost)
    sums, simple = timed(quantity_and_cash)
    query.collect()
    theirs, polars = timed(query.collect)
    shown = measures[:, [folding.QUANTITY, folding.COST, folding.FLOW]]
    mine = dict(zip(keys.tolist(), shown.tolist(), strict=True))
    assert mine == dict(expected)
    assert (sums[0] == measures[:, folding.QUANTITY]).all()
    assert (sums[1] == measures[:, folding.FLOW]).all()
    assert theirs["quantity"].to_list() == sums[0].tolist()
    assert theirs["cash"].to_list() == sums[1].tolist()
    threads = pl.thread_pool_size()
    line("fold, loop: quantity, cost, cash", n, slow)
    line("fold, Plumbline: average cost, in full", n, full, f"{slow / full:,.0f} x the loop")
    line("fold, Plumbline: quantity and cash", n, simple, f"{polars * threads / simple:.2f} x polars, per core")
    line(f"group-by, polars on {threads} threads: the same", n, polars)


def digests(run: Callable, log: FilesLog, cuts: list[Epoch], scratch: Path) -> list[dict[str, str]]:
    """Of every state at every cut."""
    return [made.state_digests for made in run(log, chain.jobs(), cuts, scratch, None, 20_000, 100_000)]


def main() -> None:
    trades, prices = [int(text) for text in sys.argv[1:3]] or [250_000, 500_000]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "home", Path(folder) / "out")
        spec = DaySpec(trades=trades, prices=prices)
        generated.prepare(settings, spec)
        _, seconds = timed(lambda: generated.feed_generated(settings, spec, lambda _: None))
        log = FilesLog(settings.log)
        ends = {name: sum(log.end(name, p) for p in range(count)) for name, count in log.topics().items()}
        raw = sum(ends[name] for name in ("trades", "prices", "cash", "custody", "firm", "fx"))
        line("generate, append, close epochs", raw, seconds)

        payloads = [
            text for p in range(chain.SHARDS) for text in log.read("trades", p, 0, log.end("trades", p)).payloads
        ]
        accepted, slow = timed(lambda: loop_book(payloads))
        line("book, loop over json.loads", len(payloads), slow, f"{accepted:,} accepted")
        table, fast = booked(log, Path(folder) / "book")
        line(
            "book, Plumbline, from raw JSON",
            len(payloads),
            fast,
            f"{slow / fast:.2f} x the loop; {len(table):,} accepted",
        )
        folds(table)

        cuts = [cut.epoch for cut in marked_cuts(EpochIndex(log))]
        replayed = {}
        for name, run in (("one process", replay), ("several processes", replay_apart)):
            made, seconds = timed(partial(digests, run, log, cuts, Path(folder) / name))
            line(f"replay, {len(cuts)} cuts, {name}", raw, seconds, f"{seconds - fast:.1f} s behind the book")
            replayed[name] = made
        assert replayed["one process"] == replayed["several processes"]
        print(f"cores {os.cpu_count()}")


if __name__ == "__main__":
    main()
