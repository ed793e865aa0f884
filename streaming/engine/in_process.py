"""Beam in this process: the bounded host. The same graph as on Flink, no server."""

from collections.abc import Mapping
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # by name: DirectRunner would look for Prism

from streaming.engine.beam import COMPACTION_BYTES, NAMESPACE, HostedJob, JobReference, Polling, build, release
from streaming.log.opening import LogSpec


@dataclass(frozen=True)
class Counts:
    """What a run of a job counted."""

    epochs: int
    rows: int
    quarantined: int


def run_in_process(
    log: LogSpec,
    job: JobReference,
    through: int,
    shards: int,
    polling: Polling | None = None,
    compaction_bytes: int = COMPACTION_BYTES,
) -> Counts:
    """Run a job over its log up to epoch ``through``, inclusive; epochs that are committed already stay as they are."""
    hosted = HostedJob(  # fresh: the log of a bounded run is whole
        log, job, shards, through, polling or Polling(), fresh=True, compaction_bytes=compaction_bytes
    )
    try:
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
        build(pipeline, hosted)
        result = pipeline.run()
        result.wait_until_finish()
        found: Mapping[str, int] = {
            counter.key.metric.name: counter.committed
            for counter in result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
        }
    finally:
        release(hosted.run)
    return Counts(*(found.get(name, 0) for name in ("epochs", "rows", "quarantined")))
