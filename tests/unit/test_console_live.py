"""Streams, turns, files: what the console finds on this machine."""

import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, date, datetime
from fcntl import LOCK_EX, flock
from pathlib import Path

import dagster as dg
import pytest

from orchestration.calendar import microseconds
from orchestration.console import files, instance, sensors
from orchestration.console.clock import DeskClock
from orchestration.console.desk import Desk, served, streams_alive, streams_lock
from orchestration.console.standing import standing, wanted_file
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.settings import Settings
from streaming.engine.epochs import EPOCHS, Epoch
from streaming.log import Record
from streaming.schema.raw import FEEDS

DAY = date(2020, 3, 16)
NOON = datetime(2020, 3, 16, 16, 0, tzinfo=UTC)
AFTER = datetime(2020, 3, 16, 21, 0, tzinfo=UTC)
EOD = datetime(2020, 3, 16, 20, 30, tzinfo=UTC)


@pytest.fixture
def desk(tmp_path) -> Desk:
    return Desk(home=str(tmp_path / "home"), out=str(tmp_path / "out"), base_url="http://127.0.0.1:3001")


def it_is(desk: Desk, moment: datetime) -> None:
    DeskClock.start(moment, 0.0).write(desk.settings())


def close_epoch(home: Home, moment: datetime, cut: str = "") -> None:
    """One epoch over everything in the log."""
    number = home.index.refresh()
    topics = home.log.topics()
    ends = {feed.name: tuple(home.log.end(feed.name, p) for p in range(topics[feed.name])) for feed in FEEDS}
    at = microseconds(moment)
    epoch = Epoch(number, at, DAY, ends, f"{DAY}/{moment:%H%M%S}" if cut else "", cut)
    home.log.writer("clock").commit([Record(EPOCHS, 0, epoch.encode(), at)])


def evaluations(result: dg.SensorResult, name: str) -> list[dg.AssetCheckEvaluation]:
    found = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    return [event for event in found if event.check_name == name]


def tick(sensor, desk: Desk, cursor: str | None = None):
    with dg.build_sensor_context(resources={"desk": desk}, cursor=cursor) as context:
        return sensor(context)


def test_streams_that_nobody_started_are_not_unhealthy(desk):
    it_is(desk, NOON)
    found = evaluations(tick(sensors.streams_sensor, desk), sensors.HEALTHY)
    assert len(found) == 3
    assert all(one.passed for one in found)


def test_wanted_streams_whose_engine_is_dead_are_red_and_say_so(desk):
    it_is(desk, NOON)
    home = Home.open(desk.settings())
    wanted_file(home.settings).touch()
    close_epoch(home, NOON)
    found = evaluations(tick(sensors.streams_sensor, desk), sensors.HEALTHY)
    assert not any(one.passed for one in found)
    assert "expected RUNNING, found stopped" in found[0].description


def test_an_engine_at_work_that_follows_the_clock_is_healthy_and_one_behind_it_is_not(desk):
    it_is(desk, NOON)
    home = Home.open(desk.settings())
    wanted_file(home.settings).touch()
    streams_lock(home.settings).touch()
    with open(streams_lock(home.settings)) as lock:
        flock(lock, LOCK_EX)
        behind = evaluations(tick(sensors.streams_sensor, desk), sensors.HEALTHY)
        assert all("clock: expected a lag" in one.description for one in behind)
        close_epoch(home, NOON)
        home.log.writer("market-0").commit([], {(EPOCHS, 0): 1})
        for shard in range(home.log.topics()["trades"]):
            home.log.writer(f"accounts-{shard}").commit([], {(EPOCHS, 0): 1})
        following = evaluations(tick(sensors.streams_sensor, desk), sensors.HEALTHY)
        assert all(one.passed for one in following), "the firm's job stands still between cuts, and that is no lag"
        close_epoch(home, NOON, f"{DAY}/1200")
        found = standing(desk).jobs
        assert (found["firm"].lag_epochs, found["accounts"].lag_epochs) == (2, 1)
    assert not streams_alive(home.settings)


def test_the_streams_sensor_observes_every_topic_and_tells_rows_per_second(desk):
    it_is(desk, NOON)
    home = Home.open(desk.settings())
    first = tick(sensors.streams_sensor, desk)
    home.log.writer("feed").commit([Record("trades", 0, b"{}", microseconds(NOON))] * 10)
    cursor = first.cursor.replace('"at":', '"at":-1e9,"then":')
    second = tick(sensors.streams_sensor, desk, cursor)
    seen = {
        event.asset_key.to_user_string(): event.metadata
        for event in second.asset_events
        if isinstance(event, dg.AssetObservation)
    }
    assert {f"streams/{feed.name}" for feed in FEEDS} < set(seen)
    assert seen["streams/trades"]["rows"].value == 10
    assert seen["streams/trades"]["rows_per_second"].value >= 0
    assert {"lag_epochs", "lag_seconds", "state", "last_cut"} <= set(seen["jobs/accounts"])


def test_events_after_the_close_propose_a_restatement_once(desk):
    it_is(desk, AFTER)
    home = Home.open(desk.settings())
    assert isinstance(tick(sensors.restatement_sensor, desk), dg.SkipReason)
    close_epoch(home, EOD, f"{DAY}/eod")
    quiet = tick(sensors.restatement_sensor, desk)
    assert evaluations(quiet, sensors.NOTHING_LATE)[0].passed
    home.log.writer("feed").commit([Record("trades", 1, b"{}", microseconds(AFTER))] * 3)
    told = tick(sensors.restatement_sensor, desk, quiet.cursor)
    (proposed,) = evaluations(told, sensors.NOTHING_LATE)
    assert not proposed.passed
    assert proposed.partition == "2020-03-16"
    assert "3 events came after the end of day" in proposed.description
    assert "a restatement is proposed" in proposed.description
    again = tick(sensors.restatement_sensor, desk, told.cursor)
    assert isinstance(again, dg.SkipReason)


def test_runs_of_one_home_take_turns_and_a_killed_one_holds_nothing(desk, monkeypatch):
    from orchestration.console import desk as desks

    code = (
        "import sys, time; from datetime import date; from orchestration.console.desk import Desk\n"
        f"turn = Desk(home={desk.home!r}, out={desk.out!r}).turn(date(2020, 3, 16)); turn.__enter__()\n"
        "print('in', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert holder.stdout.readline().strip() == "in"
        monkeypatch.setattr(desks, "TURN_S", 0.5)
        with pytest.raises(UserError, match="expected a turn within"), desk.turn(DAY):
            pass
    finally:
        holder.kill()
        holder.wait()
    with desk.turn(DAY) as work:
        assert not work.live


def test_a_day_that_was_generated_alone_has_a_home_of_its_own(desk):
    assert desk.settings(DAY).home == Path(desk.home)
    own = Path(desk.home) / "days" / "2020-03-16"
    own.mkdir(parents=True)
    assert desk.settings(DAY) == Settings(own, Path(desk.out))


def test_links_lead_to_published_files_and_nothing_else(desk):
    assert desk.url(Path(desk.out) / "2020-03-16" / "v1" / "margin.xlsx") == (
        "http://127.0.0.1:3001/out/2020-03-16/v1/margin.xlsx"
    )
    assert desk.url(Path(desk.home) / "docs" / "x" / "index.html") == "http://127.0.0.1:3001/docs/x/index.html"
    assert desk.url(Path("/etc/passwd")) == ""
    assert isinstance(desk.link(Path("/etc/passwd")), dg.PathMetadataValue)


@pytest.fixture
def server(desk):
    root = Path(desk.out)
    (root / "2020-03-16").mkdir(parents=True)
    (root / "2020-03-16" / "margin.xlsx").write_bytes(b"PK")
    (root.parent / "secret").write_text("no")
    made = files.serve(lambda: served(desk.settings()), 0, "http://127.0.0.1:1")
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


def test_the_file_server_gives_published_files_on_the_loopback_interface(server):
    with urllib.request.urlopen(f"{server}/out/2020-03-16/margin.xlsx") as answer:
        assert answer.read() == b"PK"
        assert "spreadsheet" in answer.headers["Content-Type"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/out/../secret", 404),
        ("GET", "/out/%2e%2e/secret", 404),
        ("GET", "/secret", 404),
        ("GET", "/out/2020-03-16/", 404),
        ("POST", "/out/2020-03-16/margin.xlsx", 501),
        ("PUT", "/out/new", 501),
        ("DELETE", "/out/2020-03-16/margin.xlsx", 501),
    ],
)
def test_the_file_server_is_read_only_and_stays_in_its_folders(server, method, path, code):
    request = urllib.request.Request(server + path, method=method, data=b"x" if method in ("POST", "PUT") else None)
    with pytest.raises(urllib.error.HTTPError) as found:
        urllib.request.urlopen(request)
    assert found.value.code == code


def test_data_docs_of_a_day_with_a_home_of_its_own_are_served_like_the_others(desk, server):
    for home in (Path(desk.home), Path(desk.home) / "days" / "2020-03-17"):
        for day in ("2020-03-16", "2020-03-17"):
            page = home / "docs" / day / "eod" / "v1" / "index.html"
            page.parent.mkdir(parents=True)
            page.write_text(f"{home.name} {day}")
    for day, words in (("2020-03-16", "home 2020-03-16"), ("2020-03-17", "2020-03-17 2020-03-17")):
        with urllib.request.urlopen(f"{server}/docs/{day}/eod/v1/index.html") as answer:
            assert answer.read().decode() == words


def test_the_instance_tells_nobody_and_ends_runs_that_take_too_long(desk, tmp_path):
    import yaml

    folder = instance.write(desk.settings())
    found = yaml.safe_load((folder / "dagster.yaml").read_text())
    assert found["telemetry"]["enabled"] is False
    assert found["run_monitoring"]["max_runtime_seconds"] > 0
    assert instance.command(3000)[-6:-2] == ["-h", "127.0.0.1", "-p", "3000"]
    with dg.DagsterInstance.from_config(str(folder)) as made:
        assert made.run_monitoring_max_runtime_seconds == found["run_monitoring"]["max_runtime_seconds"]
        assert not made.telemetry_enabled


@pytest.mark.parametrize("name", ["", "../out", "A", "a/b", "a" * 61])
def test_a_branch_stays_under_its_folder(desk, name):
    from orchestration.console.questions import branch

    with pytest.raises(UserError, match="expected small letters"):
        branch(desk, name)
    assert branch(desk, "as-of-1") == Path(desk.out) / "branch" / "as-of-1"


def test_asking_for_an_impossible_time_is_one_line(desk):
    from orchestration.console.definitions import defs
    from orchestration.console.questions import AsOf

    config = dg.RunConfig(ops={"tables_as_of": AsOf(time="noon", name="x")})
    job = defs.resolve_job_def("as_of")
    import os
    from unittest.mock import patch

    places = {"PLUMBLINE_HOME": desk.home, "PLUMBLINE_OUT": desk.out, "PLUMBLINE_BASE_URL": "", "PLUMBLINE_STACK": ""}
    with patch.dict(os.environ, places):
        result = job.execute_in_process(run_config=config, raise_on_error=False)
    (failure,) = [event for event in result.all_node_events if event.is_step_failure]
    assert failure.step_failure_data.user_failure_data.description.startswith("time: expected a time such as")
