"""Beam on Flink: the unbounded host. ``python -m streaming.engine.flink --hosted JSON`` and the pipeline's options."""

import argparse
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from streaming.engine.beam import HostedJob, Polling, as_json, build, from_json

POLLING = Polling(epochs_max=5_000, events_max=50_000, pause_s=0.02)
"""A bundle must end well within a checkpoint interval; with nothing ready a round waits as long as a bundle lasts."""


def program(hosted: HostedJob) -> list[str]:
    """The arguments after ``python`` that submit a job, before the pipeline's own options."""
    return ["-m", "streaming.engine.flink", "--hosted", as_json(hosted)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand the graph to the runner that the options name; the job then runs until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosted", required=True, help="the job, its log and its polling, as JSON")
    found, options = parser.parse_known_args(arguments)
    pipeline = beam.Pipeline(options=PipelineOptions(options))
    build(pipeline, from_json(found.hosted))
    pipeline.run()


if __name__ == "__main__":
    main()
