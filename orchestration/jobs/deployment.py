"""Which applications run as one job, and how parallel: a TOML file, or the default of the chain.

shards = 4
[jobs.market]
apps = ["reference", "price_sets", "valuation"]
[jobs.accounts]
apps = ["book", "positions", "exposure"]
parallelism = 2
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.errors import UserError
from streaming.apps import chain
from streaming.engine.app import Job
from streaming.engine.beam import JobReference

FUNCTION = "streaming.apps.chain:job"
PARALLELISM_MAX = 128  # the stack's max_parallelism


@dataclass(frozen=True)
class Deployment:
    """The jobs by name, upstream first: their applications and parallelism."""

    apps: Mapping[str, tuple[str, ...]]
    parallelism: Mapping[str, int]
    shards: int

    def jobs(self) -> tuple[Job, ...]:
        return chain.jobs(self.apps)

    def reference(self, job: str) -> JobReference:
        """What the worker processes are told."""
        return JobReference(
            FUNCTION, {"name": job, "deployment": {name: list(apps) for name, apps in self.apps.items()}}
        )

    def topics(self) -> dict[str, int]:
        return chain.topics(self.shards, self.apps)


def load_deployment(path: Path | None = None) -> Deployment:
    """Read a deployment; without a file the chain's default, as parallel as there are shards. UserError when wrong."""
    found: dict[str, Any] = {"jobs": {name: {"apps": list(apps)} for name, apps in chain.FUSED.items()}}
    if path is not None:
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"deployment {path}: {error}") from None
    where = path or "default"
    shards = found.get("shards", chain.SHARDS)
    tables = found.get("jobs", {})
    for name, table in tables.items():
        if unknown := set(table) - {"apps", "parallelism"}:
            raise UserError(
                f"deployment {where}: [jobs.{name}]: expected apps and parallelism, found {sorted(unknown)}"
            )
    apps = {name: tuple(table.get("apps", ())) for name, table in tables.items()}
    try:
        made = {job.name: job for job in chain.jobs(apps)}
    except ValueError as error:
        raise UserError(f"deployment {where}: {error}") from None
    parallelism = {name: table.get("parallelism", len(made[name].shards(shards))) for name, table in tables.items()}
    for name, number in parallelism.items():
        if not 1 <= number <= PARALLELISM_MAX:
            raise UserError(f"deployment {where}: {name}: expected parallelism 1 to {PARALLELISM_MAX}, found {number}")
    return Deployment(apps, parallelism, shards)
