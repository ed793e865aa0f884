"""The live jobs as assets: materialising them starts them, or lets them go on."""

from collections.abc import Iterator

import dagster as dg

from orchestration.console import live, stages, streams
from orchestration.console.desk import Desk


@dg.multi_asset(name="live_jobs", specs=streams.jobs())
def live_jobs(desk: Desk) -> Iterator[dg.MaterializeResult]:
    """Start the live jobs where they stopped: Flink jobs from their savepoints, the in-process engine from its log."""
    with stages.telling():
        found = live.start(desk)
    for spec in streams.jobs():
        name = spec.key.path[-1]
        yield dg.MaterializeResult(asset_key=spec.key, metadata={"goes_on_from": found[name]})
