"""How the jobs stand: lag of each shard, checkpoints; as rows for a screen and as Prometheus text."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from orchestration.jobs import flink
from orchestration.jobs.control import Cluster
from orchestration.jobs.deployment import Deployment
from orchestration.stack import jobs
from orchestration.stack.resubmission import job_states
from streaming.engine.epochs import EPOCHS, EpochIndex


@dataclass(frozen=True, slots=True)
class ShardLag:
    """How far one shard of a job is behind the clock."""

    shard: int
    epochs: int
    seconds: float
    """Between the newest epoch and the newest committed one, on the clock's own time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One job of a deployment."""

    job: str
    state: str
    """Flink's, or ``stopped`` or ``wanted``."""
    lags: Sequence[ShardLag]
    checkpoint: flink.Checkpoint | None


def standings(cluster: Cluster, deployment: Deployment) -> list[Standing]:
    """Every job of the deployment, upstream first."""
    plan = cluster.plan
    specs = {spec.name: spec for spec in jobs.wanted(plan.paths)}
    states = job_states(plan.endpoints.flink_rest) or {}
    log = cluster.log()
    index = EpochIndex(log)
    end = index.refresh()
    found = []
    for job in deployment.jobs():
        lags = []
        for shard in range(deployment.shards if job.sharded else 1):
            offset = log.progress_of(f"{job.name}-{shard}").get((EPOCHS, 0), 0)
            following = index.number_at(offset)
            behind = index[end - 1].time - (index[following - 1].time if following else index[0].time) if end else 0
            lags.append(ShardLag(shard, end - following, behind / 1e6))
        spec = specs.get(job.name)
        state = states.get(spec.job_id, "wanted") if spec else "stopped"
        checkpoint = flink.newest_checkpoint(plan.endpoints.flink_rest, spec.job_id) if spec else None
        found.append(Standing(job.name, state, lags, checkpoint))
    log.close()
    return found


def as_prometheus(found: Sequence[Standing]) -> str:
    """The standings in Prometheus' text format."""
    registry = CollectorRegistry()
    running = Gauge("plumbline_job_running", "1 while Flink runs the job", ["job"], registry=registry)
    epochs = Gauge("plumbline_lag_epochs", "Closed epochs not committed", ["job", "shard"], registry=registry)
    seconds = Gauge("plumbline_lag_seconds", "Clock time not committed", ["job", "shard"], registry=registry)
    age = Gauge("plumbline_checkpoint_age_seconds", "Since the newest checkpoint", ["job"], registry=registry)
    size = Gauge("plumbline_checkpoint_bytes", "Size of the newest checkpoint", ["job"], registry=registry)
    duration = Gauge("plumbline_checkpoint_duration_ms", "Of the newest checkpoint", ["job"], registry=registry)
    for standing in found:
        running.labels(standing.job).set(standing.state == "RUNNING")
        for lag in standing.lags:
            epochs.labels(standing.job, str(lag.shard)).set(lag.epochs)
            seconds.labels(standing.job, str(lag.shard)).set(lag.seconds)
        if standing.checkpoint is not None:
            age.labels(standing.job).set(standing.checkpoint.age_s)
            size.labels(standing.job).set(standing.checkpoint.size_bytes)
            duration.labels(standing.job).set(standing.checkpoint.duration_ms)
    return generate_latest(registry).decode()
