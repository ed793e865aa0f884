"""Replay cuts as bounded Flink jobs: the third side of a certificate.

The raw events and epochs come from any log that the workers can reach; what the jobs write goes to topics of its own,
which are gone after the replay.
"""

import time
from collections.abc import Callable, Sequence
from uuid import uuid4

from orchestration.errors import UserError
from orchestration.jobs import control
from orchestration.jobs.control import Cluster
from orchestration.jobs.deployment import Deployment
from orchestration.stack.jobs import FINAL_STATES
from streaming.engine.app import Job
from streaming.engine.beam import HostedJob, Polling
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.replay import RAW_AND_EPOCHS, seed
from streaming.engine.sealing import Cut, CutStore, gather
from streaming.log import Log
from streaming.log.opening import LogSpec, open_log

POLLING = Polling(epochs_max=1_500, events_max=15_000, pause_s=0.02, patient=True)
"""Other sizes than those of the live jobs."""
FINISHED_AFTER_IDLE_MS = 1_000
STANDSTILL_S = 600.0
"""A replay that commits nothing for so long is given up."""
POLL_S = 0.5


def replay_on_flink(
    cluster: Cluster,
    raw: LogSpec,
    deployment: Deployment,
    cuts: Sequence[Epoch],
    start: tuple[CutStore, str, int] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Cut]:
    """Recompute the cuts at marked epochs (ascending) of the log ``raw`` on a running stack, from a sealed cut's state
    or from the beginning. ``progress`` is told the epoch that everything has passed. UserError when a job fails."""
    run = uuid4().hex[:8]
    own = Cluster(cluster.data, f"replay-{run}.")
    spec = {"kind": "overlaid", "below": dict(raw), "own": own.log_spec, "topics": sorted(RAW_AND_EPOCHS)}
    log, scratch = open_log(spec), own.log()
    index = EpochIndex(log)
    index.refresh()
    names = {job.name: f"replay-{run}-{job.name}" for job in deployment.jobs()}
    try:
        log.create(deployment.topics())
        for job in deployment.jobs():
            if start is not None:
                seed(log, index, job, deployment.shards, *start)
        for job in deployment.jobs():
            reference = deployment.reference(job.name)
            hosted = HostedJob(spec, reference, deployment.shards, cuts[-1].number, POLLING, fresh=True)
            idle = f"--shutdown_sources_after_idle_ms={FINISHED_AFTER_IDLE_MS}"
            control.request(own, names[job.name], hosted, deployment.parallelism[job.name], (idle,))
        _await(own, names, log, index, deployment, cuts[-1].number, progress)
        return [gather(log, index, deployment.jobs(), epoch) for epoch in cuts]
    finally:
        for name in names.values():
            control.cancel(own, name)
        scratch.erase()
        log.close()


def _await(
    cluster: Cluster,
    names: dict[str, str],
    log: Log,
    index: EpochIndex,
    deployment: Deployment,
    through: int,
    progress: Callable[[int], None],
) -> None:
    passed, moved = [-1], time.monotonic()
    while min(passed) <= through:
        time.sleep(POLL_S)
        found = [_epoch(log, index, job, deployment.shards) for job in deployment.jobs()]
        if found != passed:
            passed, moved = found, time.monotonic()
            progress(min(found))
        for name in names.values():
            state, cause = control.standing(cluster, name)
            if state in FINAL_STATES - {"FINISHED"}:
                raise UserError(f"replay on Flink: job {name} {state.lower()}: {cause}")
        if time.monotonic() - moved > STANDSTILL_S:
            raise UserError(f"replay on Flink: expected epoch {through}, found {min(passed)} for {STANDSTILL_S:.0f} s")


def _epoch(log: Log, index: EpochIndex, job: Job, shards: int) -> int:
    """The next epoch of the shard of a job that is furthest behind."""
    writers = [f"{job.name}-{shard}" for shard in job.shards(shards)]
    return min(index.number_at(log.progress_of(writer).get((EPOCHS, 0), 0)) for writer in writers)
