"""Where a stack keeps what: one data directory with everything in it."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATA = Path(".plumbline") / "stack"


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders and files under one data directory (absolute)."""

    data: Path

    @property
    def plan(self) -> Path:
        return self.data / "plan.json"

    @property
    def state(self) -> Path:
        return self.data / "state.json"

    @property
    def lock(self) -> Path:
        return self.data / "lock"

    @property
    def ports(self) -> Path:
        return self.data / "ports.json"

    @property
    def events(self) -> Path:
        return self.logs / "events.jsonl"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def kafka_config(self) -> Path:
        return self.data / "config" / "kafka.properties"

    @property
    def kafka_data(self) -> Path:
        return self.data / "kafka"

    @property
    def flink_config(self) -> Path:
        return self.data / "config" / "flink"

    @property
    def temporary(self) -> Path:
        """One folder per start of a process, removed when that process has ended."""
        return self.data / "tmp"

    @property
    def artifacts(self) -> Path:
        return self.data / "artifacts"

    @property
    def checkpoints(self) -> Path:
        return self.data / "checkpoints"

    @property
    def savepoints(self) -> Path:
        return self.data / "savepoints"

    @property
    def jobs(self) -> Path:
        return self.data / "jobs"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def paths_under(data: Path) -> Paths:
    """Return the paths of the stack in ``data``, which need not exist yet."""
    return Paths(data.expanduser().resolve())
