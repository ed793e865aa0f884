"""The streaming tier on a real stack of its own: one hop, the front door, freshness, recovery.

    python -m tests.benchmarks.bench_streaming [hop] [door] [fresh]

Each figure stands beside the plain way of doing the same in the same run. Everything shares this machine: broker,
Flink, workers, and whoever feeds and watches them. Correctness comes first: every row and every trade is counted
where it arrives.
"""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition

from orchestration.jobs import control as jobs
from orchestration.jobs.clock import LiveClock, until_tick
from orchestration.jobs.control import Cluster
from orchestration.stack import control
from orchestration.stack import jobs as stack_jobs
from streaming.apps.routing import shard_of
from streaming.apps.rules import versions_in_force
from streaming.engine.beam import HostedJob, JobReference
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex, Mark
from streaming.engine.flink import POLLING
from streaming.engine.frames import Frame, encode_frame, last_epoch
from streaming.engine.replay import ReplayLog
from streaming.engine.runner import ShardHost, run_bounded
from streaming.log import Record
from streaming.log.kafka import KafkaLog
from streaming.log.kafka_reader import headers_of
from streaming.log.opening import open_log
from streaming.schema.raw import CONTROL, FEEDS
from tests.benchmarks import streaming_jobs
from tests.kit import tiny_day

SHARDS = streaming_jobs.PARTITIONS
CHECKPOINT_S = 5.0
HOP_ROWS, HOP_BATCH = 6_000_000, 2_000
NAIVE_EVENTS, NAIVE_S = 30_000, 30.0
DOOR_EVENTS = 300_000
TRADES_PER_S, EPOCH_S = 5_000, 0.2
PRICE_SETS_S = 60
WARM_S, MEASURED_S = 15.0, 30.0
BEHIND_MAX = 10
"""Epochs: two seconds."""
CUSTOMERS = 100
PATIENCE_S = 600.0


def await_(what: str, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(0.1)


def rate(count: Callable[[], int], until: int, limit_s: float = PATIENCE_S) -> tuple[float, int]:
    """What is counted a second, from the first that are there to ``until`` or the limit; and the last count."""
    await_("the first", lambda: count() > 0)
    begin, first = time.monotonic(), count()
    now = first
    while now < until and time.monotonic() - begin < limit_s:
        time.sleep(0.05)
        now = count()
    return (now - first) / (time.monotonic() - begin), now


# ----------------------------------------------------------------------------------------------------------- one hop


def hop(cluster: Cluster) -> None:
    """Batched rows through one job, exactly once, beside one element per event."""
    log = cluster.log()
    job = streaming_jobs.relay()
    log.create({"source": SHARDS, EPOCHS: 1} | job.topics(SHARDS))
    epochs = HOP_ROWS // HOP_BATCH // SHARDS
    random, writer, nothing = np.random.default_rng(1), log.writer("source"), {t.name: (0,) for t in FEEDS}
    for begin in range(0, epochs, 100):
        records = []
        for number in range(begin, min(begin + 100, epochs)):
            account = random.integers(0, streaming_jobs.ACCOUNTS, HOP_BATCH)
            columns = {"epoch": np.full(HOP_BATCH, number), "account": account, "quantity": account + 1}
            (payload,) = encode_frame(Frame(number, number, {"rows": pa.table(columns)}))
            records += [Record("source", shard, payload, number) for shard in range(SHARDS)]
            records.append(Record(EPOCHS, 0, Epoch(number, number, date(2020, 3, 16), nothing).encode(), number))
        writer.commit(records)
    index = EpochIndex(log)
    index.refresh()
    hosted = HostedJob(
        cluster.log_spec, JobReference("tests.benchmarks.streaming_jobs:relay", {}), SHARDS, None, POLLING, fresh=True
    )
    jobs.request(cluster, job.name, hosted, SHARDS)

    def rows() -> int:
        done = [log.progress_of(f"{job.name}-{shard}").get((EPOCHS, 0), 0) for shard in range(SHARDS)]
        return sum(index.number_at(offset) for offset in done) * HOP_BATCH

    fast, total = rate(rows, HOP_ROWS)
    jobs.cancel(cluster, job.name)
    assert total == HOP_ROWS
    assert counted(log, "relay") == HOP_ROWS, "every row exactly once"
    slow = naive(cluster)
    how = f"{HOP_BATCH:,} rows a message, exactly once, checkpoints every {CHECKPOINT_S:.0f} s"
    print(f"one hop, {how}: {fast:,.0f} rows/s")
    print(f"one hop, one element an event, state by key, at least once: {slow:,.0f} rows/s (1 : {fast / slow:,.0f})")


def counted(log: KafkaLog, topic: str) -> int:
    from streaming.engine.frames import decode_frames

    total = 0
    for shard in range(SHARDS):
        for frame in decode_frames(log.read(topic, shard, 0, log.end(topic, shard)).payloads):
            total += frame.tables["rows"].num_rows if "rows" in frame.tables else 0
    return total


def naive(cluster: Cluster) -> float:
    log, plan = cluster.log(), cluster.plan
    log.create({"events": SHARDS, "totals": 1})
    producer = Producer({"bootstrap.servers": plan.endpoints.bootstrap_servers})
    for i in range(NAIVE_EVENTS):
        event = json.dumps({"account": i % streaming_jobs.ACCOUNTS, "quantity": 1}).encode()
        producer.produce(log.kafka_name("events"), event, partition=i % SHARDS)
        producer.poll(0)
    producer.flush(60)
    own = ["--servers", plan.endpoints.bootstrap_servers]
    own += ["--source", log.kafka_name("events"), "--sink", log.kafka_name("totals")]
    options = [*plan.settings.pipeline_options(), f"--parallelism={SHARDS}", "--sdk_worker_parallelism=1"]
    argv = (sys.executable, "-m", "tests.benchmarks.streaming_jobs", *own, *options)
    stack_jobs.request(plan.paths, stack_jobs.JobSpec("naive", argv, stack_jobs.new_job_id()))
    found, _ = rate(lambda: log.end("totals", 0), NAIVE_EVENTS, NAIVE_S)
    jobs.cancel(cluster, "naive")
    return found


# -------------------------------------------------------------------------------------------------------- front door


def trades(first: int, count: int) -> list[tuple[str, bytes]]:
    """(account, event) of valid trades."""
    made = []
    for i in range(first, first + count):
        account, stock = f"C{i % CUSTOMERS:03}", tiny_day.STOCKS[i % len(tiny_day.STOCKS)]
        made.append((account, tiny_day.trade(f"T{i}", account, stock, ("buy", "sell")[i % 2], 10, "10.00")))
    return made


def opened(cluster: Cluster, chained: str) -> KafkaLog:
    """A log with the reference, prices, and every topic of a chain."""
    log = cluster.log()
    log.create({topic.name: topic.partitions(SHARDS) for topic in (*FEEDS, CONTROL)} | {EPOCHS: 1})
    for name in streaming_jobs.CHAINS[chained]:
        log.create(streaming_jobs.job(chained, name).topics(SHARDS))
    events = [(topic, payload) for topic, _, payload in tiny_day.reference()]
    events += [
        ("accounts", tiny_day.event(id=f"C{i:03}", client="C", kind="customer", margin_type="reg_t", currency="USD"))
        for i in range(CUSTOMERS)
    ]
    events += [("prices", tiny_day.quote(name, "10.00", "10.02", i + 1)) for i, name in enumerate(tiny_day.STOCKS)]
    writer = log.writer("opening")
    writer.commit([Record(topic, 0, payload, now()) for topic, payload in events])
    writer.close()
    return log


def now() -> int:
    return time.time_ns() // 1000


class Beat(LiveClock):
    """The clock, with a price set at the first tick and then as often as the product's."""

    priced = 0

    def beat(self) -> None:
        at = max(now(), self.last.time + 1 if self.last else 0)
        due = at - self.priced >= PRICE_SETS_S * 1_000_000
        self._marks = [Mark(at, f"{tiny_day.DAY}/{at}")] if due else []
        self.priced = at if due else self.priced
        super().advance(at)


def clock(cluster: Cluster) -> Beat:
    log = open_log(cluster.log_spec, following=True)
    return Beat(log, tiny_day.DAY, versions_in_force(date(2026, 11, 1), "bench"), now)


def door(cluster: Cluster) -> None:
    """JSON events off the broker: the client's own loop, the log's spans, and the book's validated rows."""
    log = opened(cluster, "fused")
    ticking = clock(cluster)
    ticking.beat()
    writer = log.writer("trades")
    for first in range(0, DOOR_EVENTS, 20_000):
        made = trades(first, 20_000)
        writer.commit([Record("trades", shard_of(account, SHARDS), payload, now()) for account, payload in made])
    ends = [log.end("trades", shard) for shard in range(SHARDS)]

    def closed() -> bool:
        """Whether the clock has seen every trade: its ends lie behind messages, the log's behind transactions."""
        ticking.beat()
        return all(seen + 1 >= end for seen, end in zip(ticking.last.ends["trades"], ends, strict=True))

    await_("an epoch for every trade", closed)

    def bare() -> int:
        settings = {"bootstrap.servers": cluster.plan.endpoints.bootstrap_servers, "group.id": "bare"}
        settings |= {"isolation.level": "read_committed", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(log.kafka_name("trades"), shard, 0) for shard in range(SHARDS)])
        count, over = 0, 0
        while over < SHARDS:
            for message in consumer.consume(10_000, 0.1):
                over += message.error() is not None
                count += message.error() is None
        consumer.close()
        return count

    def spans() -> int:
        return sum(
            len(log.read("trades", shard, start, min(start + 50_000, ends[shard])).payloads)
            for shard in range(SHARDS)
            for start in range(0, ends[shard], 50_000)
        )

    def booked() -> int:
        with tempfile.TemporaryDirectory() as scratch:
            mine, index = ReplayLog(log, Path(scratch)), EpochIndex(log)
            last = index.refresh() - 1
            market, booking = streaming_jobs.job("unfused", "market"), streaming_jobs.job("unfused", "booking")
            for job in (market, booking):
                mine.create(job.topics(SHARDS))
            run_bounded([ShardHost(mine, index, market, 0, SHARDS)], last)
            hosts = [ShardHost(mine, index, booking, shard, SHARDS) for shard in range(SHARDS)]
            begin = time.perf_counter()
            run_bounded(hosts, last, events_max=50_000)
            took["read, parsed, validated, booked and committed"] = time.perf_counter() - begin
            from streaming.engine.frames import decode_frames

            frames = (
                frame
                for shard in range(SHARDS)
                for frame in decode_frames(mine.read("book", shard, 0, mine.end("book", shard)).payloads)
            )
            return sum(frame.tables["trades"].num_rows for frame in frames if "trades" in frame.tables)

    took: dict[str, float] = {}
    for name, read in (("bare consume() loop", bare), ("the log's spans", spans)):
        begin = time.perf_counter()
        assert read() == DOOR_EVENTS, name
        took[name] = time.perf_counter() - begin
    booked()  # compiled, and the broker's pages are warm
    assert booked() == DOOR_EVENTS
    for name, seconds in took.items():
        share = took["bare consume() loop"] / seconds
        speed = DOOR_EVENTS / seconds
        print(f"front door, one JSON event a message, {name}: {speed:,.0f} messages/s ({share:.2f} of bare)")


# ------------------------------------------------------------------------------------------------ freshness, recovery


def feed(servers: str, prefix: str, stop) -> None:
    """Trades at a steady pace, each with the time it was handed to the log, as trading systems produce them."""
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 5})
    done, begin = 0, time.monotonic()
    while not stop.is_set():
        due = int((time.monotonic() - begin) * TRADES_PER_S) - done
        if due < TRADES_PER_S // 100:
            time.sleep(0.002)
            continue
        made = trades(done, due)
        milliseconds, headers = headers_of(now())
        for account, payload in made:
            producer.produce(
                f"{prefix}trades",
                payload,
                partition=shard_of(account, SHARDS),
                timestamp=milliseconds,
                headers=headers,
            )
        producer.poll(0)
        done += due
    assert producer.flush(30) == 0


class Watcher(threading.Thread):
    """When the P&L of each epoch was first read: a plain consumer of what is committed."""

    def __init__(self, servers: str, topic: str):
        super().__init__(daemon=True)
        settings = {"bootstrap.servers": servers, "group.id": "watcher", "isolation.level": "read_committed"}
        self._consumer = Consumer({**settings, "enable.auto.commit": False, "fetch.wait.max.ms": 50})
        self._consumer.assign([TopicPartition(topic, shard, 0) for shard in range(SHARDS)])
        self.seen: list[dict[int, int]] = [{} for _ in range(SHARDS)]
        self.reached = [-1] * SHARDS

    def run(self) -> None:
        while True:
            found, at = self._consumer.consume(1_000, 0.05), now()
            for message in found:
                if message.error() is not None:
                    continue
                shard, (last, final) = message.partition(), last_epoch(message.value())
                if final:
                    self.seen[shard] |= dict.fromkeys(range(self.reached[shard] + 1, last + 1), at)
                    self.reached[shard] = max(self.reached[shard], last)


def fresh(cluster: Cluster, chained: str, kill: bool) -> None:
    """From a trade handed to the log to its account's P&L read, with everything running."""
    log = opened(cluster, chained)
    ticking, stop = clock(cluster), multiprocessing.get_context("spawn").Event()
    ticking.beat()
    names = list(streaming_jobs.CHAINS[chained])
    for name in names:
        reference = JobReference("tests.benchmarks.streaming_jobs:job", {"chained": chained, "name": name})
        jobs.request(cluster, name, HostedJob(cluster.log_spec, reference, SHARDS, None, POLLING, fresh=True), 1)
    watcher = Watcher(cluster.plan.endpoints.bootstrap_servers, log.kafka_name("exposure"))
    watcher.start()
    await_("the first P&L", lambda: min(watcher.reached) >= 0)
    servers = cluster.plan.endpoints.bootstrap_servers
    feeder = multiprocessing.get_context("spawn").Process(target=feed, args=(servers, cluster.prefix, stop))
    beating = threading.Event()

    def beat() -> None:
        while not beating.wait(until_tick(now())):
            ticking.beat()

    pacing = threading.Thread(target=beat)
    feeder.start()
    pacing.start()
    try:
        time.sleep(WARM_S)
        await_("steady state", lambda: ticking.last.number - min(watcher.reached) <= BEHIND_MAX)
        begin, before = now(), spent(cluster, feeder.pid)
        time.sleep(MEASURED_S)
        until, after, last = now(), spent(cluster, feeder.pid), ticking.last.number
        await_("the P&L of what is measured", lambda: min(watcher.reached) > last)
        if kill:
            recovery(cluster, ticking, watcher)
    finally:
        stop.set()
        feeder.join(30)
        beating.set()
        pacing.join()
    assert ticking.last is not None
    last = ticking.last.number
    await_("all P&L", lambda: min(watcher.reached) >= last)
    for name in names:
        jobs.cancel(cluster, name)
    report(log, chained, watcher, begin, until)
    shares = {name: (after[name] - before.get(name, 0.0)) / MEASURED_S for name in after}
    print(f"  cores in use meanwhile: {', '.join(f'{name} {share:.2f}' for name, share in shares.items())}")


def spent(cluster: Cluster, feeder: int | None) -> dict[str, float]:
    """CPU seconds of every process of the stack with its children, of the feed, and of this one (clock and watcher)."""
    found = control.status(cluster.data)
    assert found is not None
    roots = {service["name"]: service["pid"] for service in found.services} | {"feed": feeder}
    trees = {name: (root := psutil.Process(pid), *root.children(recursive=True)) for name, pid in roots.items()}
    trees["clock and watcher"] = (psutil.Process(),)
    return {name: sum(sum(process.cpu_times()[:2]) for process in tree) for name, tree in trees.items()}


def recovery(cluster: Cluster, ticking: Beat, watcher: Watcher) -> None:
    found = control.status(cluster.data)
    assert found is not None
    pid = next(service["pid"] for service in found.services if service["name"] == "taskmanager-1")
    begin = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    at = ticking.last.number if ticking.last else 0
    await_("caught up", lambda: min(watcher.reached) > at and ticking.last.number - min(watcher.reached) <= BEHIND_MAX)
    took = time.monotonic() - begin
    intervals = took / CHECKPOINT_S
    print(f"recovery, TaskManager killed under that load: {took:.1f} s ({intervals:.1f} checkpoint intervals)")


def report(log: KafkaLog, chained: str, watcher: Watcher, begin: int, until: int) -> None:
    index = EpochIndex(log)
    end = index.refresh()
    waited, closing = [], np.array([index[number].time for number in range(end)])
    closed = []
    for shard in range(SHARDS):
        span = log.read("trades", shard, 0, log.end("trades", shard))
        epochs = np.searchsorted(index.ends("trades", shard, 0, end), span.offsets, side="right")
        seen = np.array([watcher.seen[shard][epoch] for epoch in range(end)])
        within = (span.times >= begin) & (span.times < until)
        waited.append((seen[epochs] - span.times)[within] / 1e6)
        closed.append((closing[epochs] - span.times)[within] / 1e6)
    seconds = np.concatenate(waited)
    median, p99 = np.percentile(seconds, [50, 99])
    print(
        f"freshness, {chained}: trade to P&L read, {len(seconds) / MEASURED_S:,.0f} trades/s, epochs of "
        f"{EPOCH_S * 1000:.0f} ms: median {median:.2f} s, 99th percentile {p99:.2f} s; until its epoch's end alone "
        f"median {np.median(np.concatenate(closed)):.2f} s"
    )


def main(wanted: Sequence[str]) -> None:
    data = Path(tempfile.mkdtemp(prefix="bench-stack-"))
    control.up(data)
    try:
        if not wanted or "hop" in wanted:
            hop(Cluster(data, "hop."))
        if not wanted or "door" in wanted:
            door(Cluster(data, "door."))
        if not wanted or "fresh" in wanted:
            fresh(Cluster(data, "fused."), "fused", kill=True)
            fresh(Cluster(data, "unfused."), "unfused", kill=False)
    finally:
        control.down(data)
    print(
        f"limits: {os.cpu_count()} cores carry the broker, Flink's JVMs, the Python workers, the feed and the watcher."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
