"""The smallest long-lived stateful job: two keys that count their own firings into a topic, one partition each."""

# ruff: noqa: B008  (Beam finds a DoFn's state and timers in its argument defaults)
import argparse
import time

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

KEYS = 2
PAUSE_S = 0.02


class Tick(beam.DoFn):
    """An event-time timer in the past fires again after every bundle."""

    COUNT = ReadModifyWriteStateSpec("count", VarIntCoder())
    AGAIN = TimerSpec("again", TimeDomain.WATERMARK)

    def __init__(self, bootstrap_servers, topic):
        self.bootstrap_servers, self.topic = bootstrap_servers, topic

    def setup(self):
        from confluent_kafka import Producer

        self.producer = Producer({"bootstrap.servers": self.bootstrap_servers, "linger.ms": 0})

    def process(self, element, again=beam.DoFn.TimerParam(AGAIN)):
        again.set(Timestamp(0))

    @on_timer(AGAIN)
    def tick(
        self,
        key=beam.DoFn.KeyParam,
        count=beam.DoFn.StateParam(COUNT),
        again=beam.DoFn.TimerParam(AGAIN),
    ):
        following = (count.read() or 0) + 1
        count.write(following)
        self.producer.produce(self.topic, str(following).encode(), partition=key)
        if self.producer.flush(60):
            raise RuntimeError("the broker did not take the tick")
        time.sleep(PAUSE_S)
        again.set(Timestamp(0))


def main():
    """Submit the pipeline with the options on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap_servers", required=True)
    parser.add_argument("--topic", required=True)
    args, options = parser.parse_known_args()
    pipeline = beam.Pipeline(options=PipelineOptions(options))
    _ = (
        pipeline
        | "Keys" >> beam.Create([(key, 0) for key in range(KEYS)])
        | "Tick" >> beam.ParDo(Tick(args.bootstrap_servers, args.topic))
    )
    pipeline.run()


if __name__ == "__main__":
    main()
