"""The live jobs in a running console: killed, seen red, started again, and the day as if nothing had been."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from orchestration import calendar, generated
from orchestration.console.clock import DeskClock
from orchestration.console.desk import streams_alive, streams_lock
from orchestration.console.instance import MODULE
from orchestration.publish import verify_published
from orchestration.settings import Settings
from streaming.cuts import open_cut
from streaming.demo import DaySpec
from tests.kit.embedded_day import embedded
from tests.ui.conftest import PLAYED, Console, running

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3_600)]

WAIT_S = 900
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": MODULE}
_SCHEDULES = """
query Schedules($repository: RepositorySelector!) {
  schedulesOrError(repositorySelector: $repository) {
    ... on Schedules { results { name scheduleState { id status } } }
  }
}
"""
_STOP = "mutation Stop($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""
_STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_HEALTH = """
query Health($asset: AssetKeyInput!) {
  assetCheckExecutions(assetKey: $asset, checkName: "healthy", limit: 1) {
    evaluation { success description metadataEntries { label ... on TextMetadataEntry { text } } }
  }
}
"""


def stop_schedules(console: Console) -> None:
    """Then every run of the test is the test's own."""
    for schedule in console.ask(_SCHEDULES, repository=REPOSITORY)["schedulesOrError"]["results"]:
        console.ask(_STOP, id=schedule["scheduleState"]["id"])
    left = console.ask(_SCHEDULES, repository=REPOSITORY)["schedulesOrError"]["results"]
    assert {schedule["scheduleState"]["status"] for schedule in left} == {"STOPPED"}


def launch(console: Console, job: str, partition: str = "") -> None:
    """Run a job as its page does, and wait until it has succeeded."""
    tags = [{"key": "dagster/partition", "value": partition}] if partition else []
    selector = {**REPOSITORY, "pipelineName": job}
    params = {"selector": selector, "runConfigData": {}, "mode": "default", "executionMetadata": {"tags": tags}}
    answer = console.ask(_LAUNCH, params=params)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    status = ""

    def ended() -> bool:
        nonlocal status
        status = console.ask(_STATUS, run=answer["run"]["runId"])["runOrError"]["status"]
        return status in ("SUCCESS", "FAILURE", "CANCELED")

    wait(ended)
    assert status == "SUCCESS", job


def health(console: Console, job: str) -> tuple[bool | None, Mapping[str, str]]:
    """What the check of a job last said."""
    found = console.ask(_HEALTH, asset={"path": ["jobs", job]})["assetCheckExecutions"]
    if not found or found[0]["evaluation"] is None:
        return None, {}
    evaluation = found[0]["evaluation"]
    return evaluation["success"], {entry["label"]: entry.get("text", "") for entry in evaluation["metadataEntries"]}


def is_green(console: Console) -> bool:
    passed, told = health(console, "accounts")
    return passed is True and told.get("state") == "RUNNING"


def wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < deadline, reached
        time.sleep(0.5)


def test_a_killed_stream_turns_red_and_started_again_the_day_has_the_same_digests(tmp_path):
    spec = DaySpec(PLAYED, 4, 200, 3_000)
    live = Settings(tmp_path / "home" / "days" / PLAYED.isoformat(), tmp_path / "out")
    generated.prepare(live, spec)
    times = calendar.session(PLAYED)
    with running(tmp_path, {}, PLAYED, times.open + timedelta(seconds=30)) as console:
        stop_schedules(console)
        launch(console, "start_streams")
        wait(lambda: is_green(console))
        os.kill(int(streams_lock(live).read_text()), signal.SIGKILL)
        wait(lambda: health(console, "accounts")[0] is False)
        assert "expected RUNNING, found stopped" in health(console, "accounts")[1]["troubles"]
        launch(console, "start_streams")
        wait(lambda: is_green(console))
        DeskClock.start(times.end_of_day, 0.0).write(console.desk.settings())
        launch(console, "day", PLAYED.isoformat())
        launch(console, "stop_streams")
        assert not streams_alive(live)
    assert verify_published(live.out / PLAYED.isoformat() / "v1") == []
    quiet = embedded(tmp_path / "quiet", spec).settings
    ours, theirs = (open_cut(one.store, f"{PLAYED}/eod").manifest for one in (live, quiet))
    assert ours["tables"] == theirs["tables"]
    assert ours["states"] == theirs["states"]
