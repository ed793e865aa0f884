"""The real stack for tests: one for the whole session, started when the first test asks for it, and gone after it.

`from stack_fixture import stack` in `conftest.py` makes the fixture known to every test of this folder.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import janitor
import pytest

from orchestration.stack import control
from orchestration.stack.artifacts import missing_tools
from orchestration.stack.plan import Endpoints, Plan
from orchestration.stack.processes import marked

DATA: pytest.StashKey[Path] = pytest.StashKey()
"""Of the session's stack, in the configuration's stash."""

SETTINGS = """
[flink.jvm]  # up to nine jobs at once, where the default is for three
taskmanager = [
    "-XX:TieredStopAtLevel=1", "-Xms512m", "-Xmx2048m", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=768m",
    "-XX:MaxMetaspaceSize=384m",
]

[flink.taskmanager]
"taskmanager.memory.task.heap.size" = "1920mb"

[flink.config]  # kills come faster here than ten in a row without a minute between, and nobody wants to wait
"restart-strategy.exponential-delay.attempts-before-reset-backoff" = 1000
"restart-strategy.exponential-delay.max-backoff" = "1 s"
"""


@dataclass(frozen=True)
class RunningStack:
    """A stack that is ready, and its data directory."""

    data: Path
    endpoints: Endpoints

    @property
    def bootstrap_servers(self) -> str:
        return self.endpoints.bootstrap_servers

    @property
    def flink_rest(self) -> str:
        return self.endpoints.flink_rest

    @property
    def job_endpoint(self) -> str:
        return self.endpoints.job_endpoint

    @property
    def worker_endpoint(self) -> str:
        return self.endpoints.worker_endpoints[0]

    @property
    def plan(self) -> Plan:
        return control.running_plan(self.data)


def require_tools() -> None:
    """Skip the test where Java or Maven is missing; fail it there in CI, where they must not be."""
    missing = missing_tools()
    if missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must test the real stack: {missing}", pytrace=False)
    pytest.skip(f"the real stack is not tested here: {missing}")


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Kafka, Flink and workers from nothing, stopped and gone after the session, however it ends."""
    require_tools()
    data, settings = tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("settings") / "settings.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    with janitor.watched():
        found = control.up(data, settings)
        pytestconfig.stash[DATA] = data
        stack_id = control.running_plan(data).stack_id
        try:
            yield RunningStack(data, found)
        finally:
            control.down(data)
            left = [process.cmdline() for process in marked(stack_id)]
            assert not left, f"expected nothing of the stack, found {left}"
