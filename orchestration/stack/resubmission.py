"""Submits the jobs that are wanted and not known to Flink: a new job, or one whose JobManager was lost."""

import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from orchestration.stack import jobs
from orchestration.stack.errors import StackError
from orchestration.stack.jobs import JobSpec
from orchestration.stack.keeper import Record
from orchestration.stack.logs import last_lines
from orchestration.stack.plan import Plan
from orchestration.stack.processes import start_process, stop_group, sweep
from orchestration.stack.services import TIMEOUT_S, worker_environment, write_flink_configuration

FIXED_JOB_ID = "$internal.pipeline.job-id"  # Flink's own setting behind its application mode


@dataclass(slots=True)
class Submission:
    """One job on its way: what was tried, and when to try again."""

    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    failures: int = 0  # in a row
    submitted: int = 0
    due: float = 0.0
    resumed_from: str | None = None
    state: str = "wanted"
    problem: str | None = None


class JobKeeper:
    """Keeps the wanted jobs of one stack with Flink."""

    def __init__(self, plan: Plan, record: Record) -> None:
        self._plan = plan
        self._limits = plan.settings.supervision
        self._record = record
        self._submissions: dict[str, Submission] = {}
        self._refused: set[str] = set()

    def tick(self, may_submit: bool) -> None:
        """Compare what is wanted with what Flink runs; submit where ``may_submit`` and something is missing."""
        specs = self._wanted()
        for name in set(self._submissions) - {spec.name for spec in specs}:
            self._abandon(self._submissions.pop(name), name)
        known = job_states(self._plan.endpoints.flink_rest)
        if known is None:
            return  # no JobManager to ask
        for spec in specs:
            submission = self._submissions.setdefault(spec.name, Submission())
            self._follow(spec, submission, known.get(spec.job_id), may_submit)

    def _wanted(self) -> list[JobSpec]:
        try:
            return list(jobs.wanted(self._plan.paths))
        except StackError as error:
            if str(error) not in self._refused:
                self._refused.add(str(error))
                self._record("refused", "jobs", reason=str(error))
            return []

    def _follow(self, spec: JobSpec, submission: Submission, state: str | None, may_submit: bool) -> None:
        now = time.monotonic()
        if state is not None:
            self._known(spec, submission, state)
        elif final := jobs.final_state(self._plan.paths, spec.name):
            submission.state = final
        elif submission.process is not None:
            self._await(spec, submission, now)
        elif may_submit and now >= submission.due:
            self._submit(spec, submission, now)

    def _known(self, spec: JobSpec, submission: Submission, state: str) -> None:
        if submission.process is not None and submission.process.poll() is not None:
            sweep(self._plan.stack_id, _service(spec.name))
            submission.process = None
        if submission.state != state:
            self._record("job", spec.name, state=state, job_id=spec.job_id)
        submission.state, submission.failures, submission.problem = state, 0, None
        if state in jobs.FINAL_STATES:
            jobs.record_final_state(self._plan.paths, spec.name, state)
        elif not self._plan.settings.flink["config"].get("state.backend.incremental"):
            keep = self._plan.settings.retained_checkpoints
            jobs.prune_checkpoints(self._plan.paths.checkpoints, spec.job_id, keep)

    def _submit(self, spec: JobSpec, submission: Submission, now: float) -> None:
        own = jobs.newest_checkpoint(self._plan.paths.checkpoints, spec.job_id)
        start = own.as_uri() if own else spec.savepoint
        log = self._plan.paths.log(_service(spec.name))
        submission.process = start_process(
            submission_argv(spec, self._plan, start),
            stack_id=self._plan.stack_id,
            service=_service(spec.name),
            log=log,
            directory=self._plan.paths.data,
            environment=worker_environment(),
        )
        submission.since, submission.state, submission.resumed_from = now, "submitting", start
        submission.submitted += 1
        self._record("submitting", spec.name, job_id=spec.job_id, resumed_from=start, pid=submission.process.pid)

    def _await(self, spec: JobSpec, submission: Submission, now: float) -> None:
        """The program ends when the job server has taken the job; Flink knows it some seconds later."""
        process = submission.process
        code = process.poll() if process else None
        waited_s = now - submission.since
        if code:
            reason = f"{spec.argv[0]} ended with exit code {code}: {self._last_line(spec.name)}"
        elif waited_s > self._limits.submit_timeout_s:
            reason = f"not known to Flink {self._limits.submit_timeout_s} s after it was submitted"
        else:
            return
        self._abandon(submission, spec.name)
        submission.failures += 1
        wait_s = self._limits.backoff_s(submission.failures)
        submission.due, submission.state, submission.problem = now + wait_s, "not submitted", reason
        if submission.failures >= self._limits.deaths_limit:
            jobs.record_final_state(self._plan.paths, spec.name, "NOT SUBMITTED")
        self._record("not submitted", spec.name, reason=reason, retry_in_s=wait_s, failures=submission.failures)

    def _abandon(self, submission: Submission, name: str) -> None:
        if submission.process is not None:
            stop_group(submission.process, signal.SIGKILL)
            submission.process.wait()
            sweep(self._plan.stack_id, _service(name))
            submission.process = None

    def jobmanager_lost(self) -> None:
        """Forget what was under way with a JobManager that is gone."""
        for name, submission in self._submissions.items():
            self._abandon(submission, name)
            submission.due = 0.0

    def stop(self) -> None:
        """End the programs that are submitting; the jobs stay wanted for the next start."""
        for name, submission in self._submissions.items():
            self._abandon(submission, name)
            submission.state = jobs.final_state(self._plan.paths, name) or "wanted"

    def _last_line(self, name: str) -> str:
        lines = [line for line in last_lines(self._plan.paths.log(_service(name)), 20) if line.strip()]
        return lines[-1].strip() if lines else "it said nothing"

    def describe(self) -> list[dict[str, Any]]:
        """Return what the state file says of the jobs."""
        return [
            {
                "name": name,
                "state": submission.state,
                "submitted": submission.submitted,
                "resumed_from": submission.resumed_from,
                "problem": submission.problem,
            }
            for name, submission in sorted(self._submissions.items())
        ]


def submission_argv(spec: JobSpec, plan: Plan, start: str | None) -> list[str]:
    """Return the command that submits the job to the stack, starting from a checkpoint or savepoint or from nothing.

    The job's own Flink configuration is that of the stack and its fixed id; the job server hands it to Flink.
    """
    configuration = plan.paths.jobs / spec.name / "flink"
    write_flink_configuration(configuration, plan, {FIXED_JOB_ID: spec.job_id})
    argv = [*spec.argv, *plan.endpoints.pipeline_options(spec.worker_pool)]
    argv += [f"--job_name={spec.name}", f"--flink_conf_dir={configuration}"]
    if start is not None:
        argv.append(f"--savepoint_path={start}")
    return argv


def job_states(flink_rest: str) -> Mapping[str, str] | None:
    """Return the state of every job the JobManager knows, by job id; None while it does not answer."""
    try:
        answer = requests.get(f"{flink_rest}/jobs/overview", timeout=TIMEOUT_S)
        answer.raise_for_status()
        return {job["jid"]: job["state"] for job in answer.json()["jobs"]}
    except (requests.RequestException, ValueError, KeyError):
        return None


def _service(job: str) -> str:
    return f"submit-{job}"
