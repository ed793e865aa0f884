"""How a stack stood when a test failed on it: processes, jobs, what happened last, and the end of the logs to blame."""

from collections.abc import Iterator
from pathlib import Path

from orchestration.jobs import flink
from orchestration.stack import control, jobs
from orchestration.stack.logs import last_lines
from orchestration.stack.plan import read_plan

EVENTS, LINES = 15, 25
WHERE_JOBS_RUN = ("taskmanager-1", "worker-pool-1")


def diagnosis(data: Path) -> str:
    """As text; what cannot be asked any more is left out."""
    return "\n".join(_lines(data))


def _lines(data: Path) -> Iterator[str]:
    plan, found = read_plan(data), control.status(data)
    if plan is None or found is None:
        yield f"{data}: no stack was started"
        return
    yield f"stack {found.phase}{f': {found.problem}' if found.problem else ''}"
    for service in found.services:
        yield f"  {service['name']:16} {service['condition']:9} pid {service['pid']}  {service['restarts']} restarts"
    for job in found.jobs:
        yield f"  job {job['name']}: {job['state']}, submitted {job['submitted']} times {job['problem'] or ''}"
    for spec in jobs.wanted(plan.paths):
        if failure := flink.failure(plan.endpoints.flink_rest, spec.job_id):
            yield f"  job {spec.name} last failed: {failure}"
    yield "latest events"
    yield from (f"  {line}" for line in last_lines(plan.paths.events, EVENTS))
    blamed = [service["name"] for service in found.services if service["condition"] != "ready"] or WHERE_JOBS_RUN
    for name in (*blamed, *(f"submit-{job['name']}" for job in found.jobs if job["problem"])):
        yield f"end of {plan.paths.log(name).name}"
        yield from (f"  {line}" for line in last_lines(plan.paths.log(name), LINES))
