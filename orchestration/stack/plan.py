"""What one `up` decided: written once, read by the supervisor and by everyone who needs the stack's addresses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.stack.artifacts import Libraries
from orchestration.stack.files import read_json, write_json
from orchestration.stack.paths import Paths, paths_under
from orchestration.stack.ports import HOST
from orchestration.stack.settings import Settings


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the servers of a running stack listen, and where Flink keeps its checkpoints and savepoints."""

    bootstrap_servers: str
    flink_rest: str
    job_endpoint: str
    worker_endpoints: tuple[str, ...]
    checkpoints: Path
    savepoints: Path

    def pipeline_options(self, worker_pool: int = 0) -> list[str]:
        """Return the options that connect a Beam pipeline to this stack; ``worker_pool`` counts from 0."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint={self.job_endpoint}",
            "--environment_type=EXTERNAL",
            f"--environment_config={self.worker_endpoints[worker_pool]}",
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """One start of a stack: its identity, programs, settings and ports."""

    stack_id: str
    paths: Paths
    infra: Path
    java: Path
    python: Path
    libraries: Libraries
    settings: Settings
    ports: dict[str, int]

    @property
    def endpoints(self) -> Endpoints:
        pools = range(1, self.settings.worker_pools + 1)
        return Endpoints(
            bootstrap_servers=f"{HOST}:{self.ports['kafka']}",
            flink_rest=f"http://{HOST}:{self.ports['flink_rest']}",
            job_endpoint=f"{HOST}:{self.ports['job_server']}",
            worker_endpoints=tuple(f"{HOST}:{self.ports[f'worker_pool_{n}']}" for n in pools),
            checkpoints=self.paths.checkpoints,
            savepoints=self.paths.savepoints,
        )

    def write(self) -> None:
        """Keep the plan in the data directory."""
        write_json(
            self.paths.plan,
            {
                "stack_id": self.stack_id,
                "infra": str(self.infra),
                "java": str(self.java),
                "python": str(self.python),
                "libraries": {"kafka": str(self.libraries.kafka), "flink": str(self.libraries.flink)},
                "settings": self.settings.tables,
                "ports": self.ports,
            },
        )


def read_plan(data: Path) -> Plan | None:
    """Return the plan of the newest start in ``data``, or None where no stack was ever started."""
    paths = paths_under(data)
    found: dict[str, Any] | None = read_json(paths.plan)
    if found is None:
        return None
    return Plan(
        stack_id=found["stack_id"],
        paths=paths,
        infra=Path(found["infra"]),
        java=Path(found["java"]),
        python=Path(found["python"]),
        libraries=Libraries(Path(found["libraries"]["kafka"]), Path(found["libraries"]["flink"])),
        settings=Settings(found["settings"]),
        ports=found["ports"],
    )


def port_names(settings: Settings) -> dict[str, int]:
    """Return every port the stack needs with its configured number, 0 for a free one.

    The second worker pool counts on from the number of the first; so do the TaskManagers' Prometheus ports, after
    the JobManager's.
    """
    configured = settings.ports
    names = {name: port for name, port in configured.items() if name not in ("worker_pool", "prometheus")}
    names |= _counted("worker_pool", configured["worker_pool"], settings.worker_pools, first=1)
    if settings.prometheus:
        names |= _counted("prometheus", configured["prometheus"], 1 + settings.taskmanagers, first=0)
    return names


def _counted(name: str, configured: int, count: int, first: int) -> dict[str, int]:
    return {f"{name}_{first + n}": configured + n if configured else 0 for n in range(count)}
