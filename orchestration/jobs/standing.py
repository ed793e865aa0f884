"""How the jobs stand: lag and work of each shard, checkpoints; as rows for a screen and as Prometheus' text."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from orchestration.jobs import flink
from orchestration.jobs.control import Cluster
from orchestration.jobs.deployment import Deployment
from orchestration.stack import jobs
from orchestration.stack.resubmission import job_states
from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, EpochIndex
from streaming.engine.runner import Tally
from streaming.log import Log

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ShardLag:
    """How far one shard of a job is behind."""

    shard: int
    epochs: int
    """Closed by the clock, and not committed."""
    seconds: float
    """Between the newest epoch and the newest committed one, on the clock's own time."""
    offsets: int = 0
    """Of its raw partitions, in those epochs."""


@dataclass(frozen=True, slots=True)
class ShardWork:
    """What one shard of a job has done, as it notes with its committed progress."""

    shard: int
    rows: int
    """Raw events since it began."""
    quarantined: int
    transaction_ms: float
    """How long a transaction took, of late."""
    rows_per_s: float = 0.0
    """Between two looks; 0 after one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One job of a deployment."""

    job: str
    state: str
    """Flink's, or ``stopped`` or ``wanted``."""
    lags: Sequence[ShardLag]
    checkpoint: flink.Checkpoint | None
    work: Sequence[ShardWork] = ()
    failure: str = ""
    """Why it last failed."""


def standings(cluster: Cluster, deployment: Deployment, sample_s: float = 0.0) -> list[Standing]:
    """Every job of the deployment, upstream first. With ``sample_s`` its work is looked at twice, so long apart."""
    plan = cluster.plan
    specs = {spec.name: spec for spec in jobs.wanted(plan.paths)}
    states = job_states(plan.endpoints.flink_rest) or {}
    log = cluster.log()
    try:
        index = EpochIndex(log)
        end = index.refresh()
        before = {job.name: works(log, job, deployment.shards) for job in deployment.jobs()}
        time.sleep(sample_s)
        found = []
        for job in deployment.jobs():
            spec, work = specs.get(job.name), works(log, job, deployment.shards)
            if sample_s:
                work = [rated(*pair, sample_s) for pair in zip(before[job.name], work, strict=True)]
            state = states.get(spec.job_id, "wanted") if spec else "stopped"
            checkpoint = flink.newest_checkpoint(plan.endpoints.flink_rest, spec.job_id) if spec else None
            failure = flink.failure(plan.endpoints.flink_rest, spec.job_id) if spec else ""
            found.append(
                Standing(job.name, state, lags(log, index, end, job, deployment.shards), checkpoint, work, failure)
            )
        return found
    finally:
        log.close()


def lags(log: Log, index: EpochIndex, end: int, job: Job, shards: int) -> list[ShardLag]:
    """Of every shard of a job, behind the epochs below ``end``."""
    return [_lag(log, index, end, job, shard) for shard in job.shards(shards)]


def _lag(log: Log, index: EpochIndex, end: int, job: Job, shard: int) -> ShardLag:
    following = index.number_at(log.progress_of(f"{job.name}-{shard}").get((EPOCHS, 0), 0))
    behind = index[end - 1].time - (index[following - 1].time if following else index[0].time) if end else 0
    offsets = 0
    if end:
        for topic in job.raw_inputs:
            ends = index[end - 1].ends[topic]
            for partition in range(len(ends)) if not job.sharded else [shard if len(ends) > 1 else 0]:
                offsets += ends[partition] - index.ends_before(following, topic, partition)
    return ShardLag(shard, end - following, behind / 1e6, offsets)


def works(log: Log, job: Job, shards: int) -> list[ShardWork]:
    """Of every shard of a job, since it began."""
    found = []
    for shard in job.shards(shards):
        tally = Tally(log.note_of(f"{job.name}-{shard}"))
        found.append(ShardWork(shard, tally.rows, tally.quarantined, tally.transaction_us / 1000))
    return found


def rated(former: ShardWork, latter: ShardWork, seconds: float) -> ShardWork:
    """The latter of two looks, with the rate between them."""
    rate = (latter.rows - former.rows) / seconds
    return ShardWork(latter.shard, latter.rows, latter.quarantined, latter.transaction_ms, rate)


def as_prometheus(found: Sequence[Standing]) -> str:
    """The standings in Prometheus' text format."""
    return generate_latest(_registry(lambda: found)).decode()


def serve(look: Callable[[], Sequence[Standing]], port: int) -> None:
    """Answer Prometheus on the loopback address with a fresh look each time, in threads of its own."""
    start_http_server(port, HOST, _registry(look))


def _registry(look: Callable[[], Sequence[Standing]]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Collector(look))
    return registry


class _Collector:
    """What Prometheus is answered, asked for anew at each scrape."""

    def __init__(self, look: Callable[[], Sequence[Standing]]):
        self._look = look

    def describe(self) -> list[Metric]:
        """Nothing: so registering asks nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        found = self._look()
        running = [(job.job, float(job.state == "RUNNING")) for job in found]
        yield _by_job("plumbline_job_running", "1 while Flink runs the job", running)
        made = [(job.job, job.checkpoint) for job in found if job.checkpoint is not None]
        yield _by_job("plumbline_checkpoint_age_seconds", "Since the newest", [(job, at.age_s) for job, at in made])
        yield _by_job("plumbline_checkpoint_bytes", "Size of the newest", [(job, at.size_bytes) for job, at in made])
        yield _by_job("plumbline_checkpoint_duration_ms", "Of the newest", [(job, at.duration_ms) for job, at in made])
        behind = [(job.job, lag) for job in found for lag in job.lags]
        yield _by_shard("lag_epochs", "Closed epochs not committed", [(job, at.shard, at.epochs) for job, at in behind])
        yield _by_shard("lag_seconds", "Clock time not committed", [(job, at.shard, at.seconds) for job, at in behind])
        yield _by_shard("lag_offsets", "Raw offsets not committed", [(job, at.shard, at.offsets) for job, at in behind])
        done = [(job.job, work) for job in found for work in job.work]
        yield _by_shard("rows", "Raw events committed", [(job, at.shard, at.rows) for job, at in done], total=True)
        refused = [(job, at.shard, at.quarantined) for job, at in done]
        yield _by_shard("quarantined", "Events refused for good", refused, total=True)
        took = [(job, at.shard, at.transaction_ms) for job, at in done]
        yield _by_shard("transaction_ms", "How long a transaction took, of late", took)


def _by_job(name: str, text: str, values: Sequence[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["job"])
    for job, value in values:
        family.add_metric([job], value)
    return family


def _by_shard(name: str, text: str, values: Sequence[tuple[str, int, float]], total: bool = False) -> Metric:
    kind = CounterMetricFamily if total else GaugeMetricFamily
    family = kind(f"plumbline_{name}", text, labels=["job", "shard"])
    for job, shard, value in values:
        family.add_metric([job, str(shard)], value)
    return family
