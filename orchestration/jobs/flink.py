"""What is asked of Flink's REST API."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from orchestration.errors import UserError

TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 180.0
PYTHON_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception): ")
"""The last of these in a failure is what the worker raised."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest complete checkpoint of a job."""

    number: int
    age_s: float
    size_bytes: int
    duration_ms: int


def stop_with_savepoint(rest: str, job_id: str, folder: str) -> str:
    """Stop a job, never draining it; returns where its savepoint lies. UserError when Flink could not."""
    asked = _json("POST", f"{rest}/jobs/{job_id}/stop", {"drain": False, "targetDirectory": folder})
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        found = _json("GET", f"{rest}/jobs/{job_id}/savepoints/{asked['request-id']}")
        if found["status"]["id"] == "COMPLETED":
            operation = found["operation"]
            if "location" not in operation:
                cause = operation.get("failure-cause", {}).get("class", "no reason given")
                raise UserError(f"job {job_id}: Flink could not take a savepoint: {cause}")
            return str(operation["location"])
        time.sleep(0.2)
    raise UserError(f"job {job_id}: no savepoint within {STOP_TIMEOUT_S:.0f} s")


def newest_checkpoint(rest: str, job_id: str) -> Checkpoint | None:
    """The newest complete checkpoint; None while there is none, or Flink does not know the job."""
    try:
        found = _json("GET", f"{rest}/jobs/{job_id}/checkpoints").get("latest", {}).get("completed")
    except UserError:
        return None
    if not found:
        return None
    age_s = max(0.0, time.time() - found["latest_ack_timestamp"] / 1000)
    return Checkpoint(found["id"], age_s, found["state_size"], found["end_to_end_duration"])


def cancel(rest: str, job_id: str) -> None:
    """End a job as it is; one that has ended is left alone."""
    try:
        requests.patch(f"{rest}/jobs/{job_id}", params={"mode": "cancel"}, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise UserError(f"Flink: {rest}/jobs/{job_id}: {error}") from None


def failure(rest: str, job_id: str) -> str:
    """The line of a job's newest failure that says why; empty when it never failed, or Flink does not know it."""
    try:
        entries = _json("GET", f"{rest}/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
    except (UserError, KeyError):
        return ""
    lines = [line.strip() for line in entries[0]["stacktrace"].splitlines()] if entries else []
    told = [line for line in lines if PYTHON_ERROR.match(line)]
    return (told or lines or [""])[-1 if told else 0]


def _json(method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
    try:
        answer = requests.request(method, url, json=body, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()
    except requests.RequestException as error:
        raise UserError(f"Flink: {method} {url}: {error}") from None
