"""Submit, stop, restart and rescale jobs; the stack's supervisor does the submitting, so a job never runs twice.

A stopped job leaves a savepoint and a note of the graph and parallelism it belongs to. Started again as the same, it
goes on from there; as anything else it starts from its newest sealed cut, and what is committed already is dropped on
the way. So a savepoint is never restored at another parallelism.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestration.errors import UserError
from orchestration.jobs import flink
from orchestration.jobs.deployment import Deployment
from orchestration.stack import control, jobs
from orchestration.stack.errors import StackError
from orchestration.stack.files import read_json, write_json
from orchestration.stack.plan import Plan
from orchestration.stack.resubmission import job_states
from streaming.engine.beam import HostedJob
from streaming.engine.epochs import EPOCHS
from streaming.engine.flink import POLLING, program
from streaming.engine.runner import newest_sealed_state
from streaming.log.kafka import KafkaLog
from streaming.log.opening import open_log

STOPPED = "stopped.json"
RECOVERY_S = 90.0
SAME = ("program", "parallelism")


@dataclass(frozen=True)
class Cluster:
    """A running stack that jobs are deployed to. ``prefix`` names one environment of several on its Kafka."""

    data: Path
    prefix: str = ""

    @property
    def plan(self) -> Plan:
        try:
            return control.running_plan(self.data)
        except StackError as error:
            raise UserError(str(error)) from None

    @property
    def log_spec(self) -> dict[str, object]:
        settings = {"bootstrap.servers": self.plan.endpoints.bootstrap_servers}
        return {"kind": "kafka", "settings": settings, "prefix": self.prefix}

    def log(self) -> KafkaLog:
        return KafkaLog({"bootstrap.servers": self.plan.endpoints.bootstrap_servers}, prefix=self.prefix)


def submit(
    cluster: Cluster, deployment: Deployment, name: str, parallelism: int | None = None, from_beginning: bool = False
) -> str | None:
    """Ask for a job to run; returns the savepoint it goes on from. UserError when it is wanted already, or when it has
    committed progress, and neither a savepoint of the same graph nor a sealed cut to go on from."""
    log = cluster.log()
    log.create(deployment.topics())
    log.close()
    reference = deployment.reference(name)
    count = parallelism or deployment.parallelism[name]
    hosted = HostedJob(cluster.log_spec, reference, deployment.shards, None, POLLING, from_beginning)
    return request(cluster, name, hosted, count)


def request(
    cluster: Cluster, name: str, hosted: HostedJob, parallelism: int, options: Sequence[str] = ()
) -> str | None:
    """As :func:`submit`, for any job; ``options`` of its pipeline beside the stack's."""
    plan = cluster.plan
    wanted = {"program": program(replace(hosted, fresh=False)), "parallelism": parallelism}
    stopped = read_json(plan.paths.jobs / name / STOPPED) or {}
    savepoint = stopped.get("savepoint") if {key: stopped.get(key) for key in SAME} == wanted else None
    if not hosted.fresh:
        hosted = replace(hosted, fresh=_is_fresh(name, hosted, savepoint))
    own = [f"--parallelism={parallelism}", "--sdk_worker_parallelism=1", *options]
    argv = (sys.executable, *program(hosted), *plan.settings.pipeline_options(), *own)
    try:
        jobs.request(plan.paths, jobs.JobSpec(name, argv, jobs.new_job_id(), savepoint))
    except StackError as error:
        raise UserError(str(error)) from None
    write_json(plan.paths.jobs / name / "wanted.json", wanted)
    (plan.paths.jobs / name / STOPPED).unlink(missing_ok=True)
    return savepoint


def _is_fresh(name: str, hosted: HostedJob, savepoint: str | None) -> bool:
    """Whether the job has committed nothing; UserError when it has, and there is nothing to go on from."""
    log, job = open_log(hosted.log), hosted.load()
    try:
        for shard in job.shards(hosted.shards):
            progress = log.progress_of(f"{job.name}-{shard}").get((EPOCHS, 0))
            if progress is None:
                continue
            if savepoint is None and newest_sealed_state(log, job, shard) is None:
                raise UserError(
                    f"job {name}: expected a sealed cut or a savepoint to go on from, found neither beside the "
                    f"committed progress of shard {shard} ({EPOCHS}/0 offset {progress}); --from-beginning computes "
                    "it all again"
                )
            return False
        return True
    finally:
        log.close()


def cancel(cluster: Cluster, name: str) -> None:
    """End a job without a savepoint; one that has ended, or never was, is only forgotten."""
    plan = cluster.plan
    for spec in [spec for spec in jobs.wanted(plan.paths) if spec.name == name]:
        jobs.withdraw(plan.paths, name)
        flink.cancel(plan.endpoints.flink_rest, spec.job_id)


def standing(cluster: Cluster, name: str) -> tuple[str, str]:
    """The state of a wanted job (Flink's; ``wanted`` before it knows the job), and why it last failed."""
    plan = cluster.plan
    spec = _spec(plan, name)
    known = (job_states(plan.endpoints.flink_rest) or {}).get(spec.job_id)
    state = known or jobs.final_state(plan.paths, name) or "wanted"
    return state, flink.failure(plan.endpoints.flink_rest, spec.job_id)


def stop(cluster: Cluster, name: str) -> str:
    """Stop a job with a savepoint; returns where it lies. The job does not come back until it is submitted."""
    plan = cluster.plan
    spec = _spec(plan, name)
    jobs.withdraw(plan.paths, name)
    try:
        savepoint = _savepoint(plan, spec)
    except UserError:
        jobs.request(plan.paths, spec)  # it runs on, and stays wanted
        raise
    wanted = read_json(plan.paths.jobs / name / "wanted.json") or {}
    write_json(plan.paths.jobs / name / STOPPED, {**wanted, "savepoint": savepoint})
    return savepoint


def restart(cluster: Cluster, deployment: Deployment, name: str) -> str | None:
    """Stop and submit the same again; it goes on from its savepoint."""
    stop(cluster, name)
    return submit(cluster, deployment, name)


def rescale(cluster: Cluster, deployment: Deployment, name: str, parallelism: int) -> None:
    """Go on at another parallelism: stop, and start from the newest sealed cut, never from the savepoint."""
    stop(cluster, name)
    submit(cluster, deployment, name, parallelism)


def _savepoint(plan: Plan, spec: jobs.JobSpec) -> str:
    """Stop with a savepoint; tried again while the job is recovering from a failure."""
    deadline = time.monotonic() + RECOVERY_S
    while True:
        try:
            rest, folder = plan.endpoints.flink_rest, plan.endpoints.savepoints.as_uri()
            return flink.stop_with_savepoint(rest, spec.job_id, folder)
        except UserError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)


def _spec(plan: Plan, name: str) -> jobs.JobSpec:
    for spec in jobs.wanted(plan.paths):
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in jobs.wanted(plan.paths)) or "none"
    raise UserError(f"job {name}: expected one of the running jobs, {known}")
