"""Dagster's own folder of an environment: storage, run monitoring, no telemetry."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path

import yaml

from orchestration.console.assets import MAX_RUNTIME_S
from orchestration.console.clock import PLAYED
from orchestration.console.desk import Desk
from orchestration.process import environment
from orchestration.settings import Settings

LOOPBACK = "127.0.0.1"
RUNS_AT_ONCE = 2
_STOP_S = 20.0
_YAML = "dagster.yaml"
MODULE = "orchestration.console.definitions"


def folder(settings: Settings) -> Path:
    return settings.home / "dagster"


def write(settings: Settings) -> Path:
    """Write ``dagster.yaml``; returns the folder that ``DAGSTER_HOME`` names."""
    content = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "concurrency": {"runs": {"max_concurrent_runs": RUNS_AT_ONCE}},
        # the default launcher does not notice a killed run: monitoring ends what takes longer than any stage may
        "run_monitoring": {"enabled": True, "max_runtime_seconds": MAX_RUNTIME_S, "poll_interval_seconds": 30},
        "retention": {
            "schedule": {"purge_after_days": {"skipped": 7, "failure": 30, "success": -1}},
            "sensor": {"purge_after_days": {"skipped": 7, "failure": 30, "success": 90}},
        },
    }
    found = folder(settings)
    found.mkdir(parents=True, exist_ok=True)
    (found / _YAML).write_text(yaml.safe_dump(content, sort_keys=True))
    return found


def variables(desk: Desk, played: date | None) -> Mapping[str, str]:
    """The environment of every process of the console."""
    settings = desk.settings()
    more = {
        "DAGSTER_HOME": str(folder(settings).absolute()),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "PLUMBLINE_HOME": str(settings.home.absolute()),
        "PLUMBLINE_OUT": str(settings.out.absolute()),
        "PLUMBLINE_BASE_URL": desk.base_url,
        "PLUMBLINE_STACK": desk.stack,
    }
    return environment(**more, **({PLAYED: str(played)} if played else {}))


def command(port: int) -> list[str]:
    """Web server, daemon and code server on the loopback interface."""
    dagster = [sys.executable, "-W", "ignore", "-m", "dagster"]  # `dagster dev` is superseded by a tool of its own
    return [*dagster, "dev", "-m", MODULE, "-h", LOOPBACK, "-p", str(port), "--log-level", "warning"]


def run_until_stopped(port: int, variables: Mapping[str, str]) -> None:
    """Run the console until it ends, or this process is told to; then none of its processes is left."""
    console = subprocess.Popen(command(port), env=dict(variables), start_new_session=True)
    told = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        console.wait()
    except KeyboardInterrupt:
        with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            os.killpg(console.pid, signal.SIGTERM)
            console.wait(_STOP_S)
    finally:
        signal.signal(signal.SIGTERM, told)
        with suppress(ProcessLookupError):
            os.killpg(console.pid, signal.SIGKILL)
        console.wait()
