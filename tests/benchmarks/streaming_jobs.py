"""The jobs of the streaming benchmark, as the workers load them; as a program, the naive pipeline."""

# ruff: noqa: B008  (Beam finds a DoFn's state and timers in its argument defaults)
import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from streaming.apps import chain, exposure
from streaming.engine.app import Job
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch

ACCOUNTS = 1_000
PARTITIONS = 2
CHAINS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "fused": {"market": ("reference", "price_sets", "valuation"), "accounts": ("book", "positions", "exposure")},
    "unfused": {
        "market": ("reference", "price_sets", "valuation"),
        "booking": ("book",),
        "holding": ("positions",),
        "valuing": ("exposure",),
    },
}


class EachEpoch(exposure.ExposureApp):
    """P&L by account after every epoch that moved positions, at the newest price set; the product's after each set."""

    def apply(
        self, state: exposure.ExposureState, stretch: Stretch
    ) -> tuple[exposure.ExposureState, Mapping[str, pa.Table]]:
        state, rows = super().apply(state, stretch)
        if rows or not state.price_set or not list(stretch.tables("positions", "holdings")):
            return state, rows
        return state, {"live": exposure._by_account(state, exposure.position_values(state), codes=True)}


def job(chained: str, name: str) -> Job:
    """A job of the freshness benchmark; whatever another job or the watcher reads gets a topic."""
    by_name = {app.name: app for app in chain.apps()} | {"exposure": EachEpoch()}
    apps = tuple(by_name[app] for app in CHAINS[chained][name])
    outside = {app.name for app in apps} - {"book", "positions"} if len(apps) > 1 else {app.name for app in apps}
    return Job(name, apps, frozenset(outside))


@dataclass(slots=True)
class RelayState:
    totals: np.ndarray
    """Sum of quantities by account."""


@dataclass(frozen=True)
class RelayApp:
    """One hop: every row in comes out with its account's total before its batch."""

    name: str = "relay"
    inputs: tuple[str, ...] = ("source",)
    sharded: bool = True
    state: type = RelayState

    def empty(self, shard: int, shards: int) -> RelayState:  # noqa: ARG002
        return RelayState(np.zeros(ACCOUNTS, np.int64))

    def apply(self, state: RelayState, stretch: Stretch) -> tuple[RelayState, Mapping[str, pa.Table]]:
        found = stretch.tables("source", "rows")
        if not found:
            return state, {}
        rows = pa.concat_tables(found).combine_chunks()
        account, quantity = (rows.column(name).to_numpy() for name in ("account", "quantity"))
        out = rows.append_column("total", pa.array(state.totals[account]))
        state.totals += np.bincount(account, quantity, ACCOUNTS).astype(np.int64)
        return state, {"rows": out}

    def seal(self, state: RelayState, epoch: Epoch) -> Mapping[str, pa.Table]:  # noqa: ARG002
        return {}


def relay() -> Job:
    return Job("relaying", (RelayApp(),), frozenset({"relay"}))


class Poll(beam.DoFn):
    """One partition a key: each firing of the timer yields every message it finds as an element of its own."""

    NEXT = ReadModifyWriteStateSpec("next", VarIntCoder())
    AGAIN = TimerSpec("again", TimeDomain.WATERMARK)

    def __init__(self, servers: str, topic: str):
        self.servers, self.topic = servers, topic

    def setup(self):
        from confluent_kafka import Consumer

        self.consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "naive", "enable.auto.commit": False})
        self.at = None

    def process(self, element, again=beam.DoFn.TimerParam(AGAIN)):  # noqa: ARG002
        again.set(Timestamp(0))

    @on_timer(AGAIN)
    def poll(
        self,
        key=beam.DoFn.KeyParam,
        following=beam.DoFn.StateParam(NEXT),
        again=beam.DoFn.TimerParam(AGAIN),
    ):
        from confluent_kafka import TopicPartition

        at = following.read() or 0
        if self.at != (key, at):
            self.consumer.assign([TopicPartition(self.topic, key, at)])
        for message in self.consumer.consume(100, 0.02):
            event = json.loads(message.value())
            at = message.offset() + 1
            yield event["account"], event["quantity"]
        following.write(at)
        self.at = (key, at)
        again.set(Timestamp(0))


class Total(beam.DoFn):
    """The usual way: state by account, one element at a time."""

    SUM = ReadModifyWriteStateSpec("sum", VarIntCoder())

    def process(self, element, total=beam.DoFn.StateParam(SUM)):
        account, quantity = element
        now = (total.read() or 0) + quantity
        total.write(now)
        yield json.dumps({"account": account, "total": now}).encode()


class Produce(beam.DoFn):
    def __init__(self, servers: str, topic: str):
        self.servers, self.topic = servers, topic

    def setup(self):
        from confluent_kafka import Producer

        self.producer = Producer({"bootstrap.servers": self.servers})

    def process(self, element):
        self.producer.produce(self.topic, element, partition=0)

    def finish_bundle(self):
        self.producer.flush(30)


def main() -> None:
    """Submit the naive pipeline."""
    parser = argparse.ArgumentParser()
    for name in ("servers", "source", "sink"):
        parser.add_argument(f"--{name}", required=True)
    args, options = parser.parse_known_args()
    pipeline = beam.Pipeline(options=PipelineOptions(options))
    _ = (
        pipeline
        | "Keys" >> beam.Create([(key, 0) for key in range(PARTITIONS)])
        | "Poll" >> beam.ParDo(Poll(args.servers, args.source)).with_output_types(tuple[int, int])
        | "Total" >> beam.ParDo(Total())
        | "Produce" >> beam.ParDo(Produce(args.servers, args.sink))
    )
    pipeline.run()


if __name__ == "__main__":
    main()
