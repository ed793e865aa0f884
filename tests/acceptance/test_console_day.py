"""A day through Dagster and through the command line: the same numbers, and one publication whatever dies."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import orjson
import pytest

from orchestration import calendar, edge, generated, pipeline
from orchestration.alerts import desk as alerts
from orchestration.alerts.outbox import WAITING
from orchestration.console import player
from orchestration.console.clock import DeskClock
from orchestration.console.desk import streams_alive
from orchestration.ledger import Ledger
from orchestration.progress import Silent
from orchestration.settings import Settings
from streaming.cuts import open_cut
from streaming.demo import DaySpec
from tests.kit.embedded_day import embedded
from tests.kit.slack_fake import SlackFake

DAY = date(2020, 3, 16)
EVENING = datetime(2020, 3, 16, 21, 0, tzinfo=UTC)
"""17:00 in New York, where alerts are not kept back for the night, at whatever hour the tests run."""
ROOT = Path(__file__).resolve().parents[2]
BOOKS = ("stress.xlsx", "margin.xlsx", "capital.xlsx")
FILED = ("end_of_day", "certificate", "checks", "stress", "margin", "capital", "notifications", "ledger")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3_000)]


@pytest.fixture(scope="module")
def fed(tmp_path_factory) -> Path:
    """The home of a tiny generated day: everything has arrived, nothing was run."""
    folder = tmp_path_factory.mktemp("fed")
    settings = Settings(folder / "home", folder / "out")
    spec = DaySpec(DAY, 6, 300, 3_000)
    generated.prepare(settings, spec)
    generated.feed_generated(settings, spec, lambda _: None, calendar.history_marks(DAY))
    return folder


@pytest.fixture(scope="module")
def applied(fed, tmp_path_factory) -> Path:
    """The same day with the jobs run; nothing is sealed."""
    folder = tmp_path_factory.mktemp("applied")
    shutil.copytree(fed, folder, dirs_exist_ok=True)
    pipeline.run_jobs(pipeline.Home.open(Settings(folder / "home", folder / "out")), Silent())
    return folder


def copied(folder: Path, to: Path) -> Settings:
    shutil.copytree(folder, to, dirs_exist_ok=True, symlinks=True)
    return Settings(to / "home", to / "out")


def places(settings: Settings) -> dict[str, str]:
    return {
        "PLUMBLINE_HOME": str(settings.home),
        "PLUMBLINE_OUT": str(settings.out),
        "PLUMBLINE_BASE_URL": "",
        "PLUMBLINE_STACK": "",
    }


def materialise(settings: Settings, monkeypatch, job: str = "day") -> dg.ExecuteInProcessResult:
    from orchestration.console.definitions import defs

    for name, value in places(settings).items():
        monkeypatch.setenv(name, value)
    return defs.resolve_job_def(job).execute_in_process(partition_key=DAY.isoformat(), raise_on_error=False)


def files_of(settings: Settings) -> dict[str, bytes]:
    folder = settings.out / DAY.isoformat()
    return {name: (folder / name).read_bytes() for name in BOOKS}


def test_dagster_and_the_command_line_make_the_same_day(fed, tmp_path, monkeypatch):
    by_dagster, by_command = copied(fed, tmp_path / "dagster"), copied(fed, tmp_path / "command")
    result = materialise(by_dagster, monkeypatch)
    assert result.success
    assert {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()} == set(FILED)
    assert all(check.passed for check in result.get_asset_check_evaluations() if check.blocking)
    outcome = pipeline.run_day(pipeline.Home.open(by_command), DAY, Silent())
    mine = open_cut(by_dagster.store, f"{DAY}/eod").manifest
    assert mine["tables"] == outcome.cut.manifest["tables"]
    assert mine["states"] == outcome.cut.manifest["states"]
    assert files_of(by_dagster) == files_of(by_command)


def test_figures_pictures_and_links_are_in_the_metadata(applied, tmp_path, monkeypatch):
    settings = copied(applied, tmp_path)
    result = materialise(settings, monkeypatch)
    found = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    assert found["margin"]["deficit_usd"].value > 0
    assert found["margin"]["top_deficits"].records
    assert found["stress"]["worst_scenarios"].records
    assert found["capital"]["net_capital_usd"].value > 0
    for asset, picture in (("margin", "deficit_timeline"), ("stress", "waterfall"), ("stress", "heat_map"),
                           ("capital", "net_capital")):  # fmt: skip
        assert found[asset][picture].value.startswith("!["), (asset, picture)
        assert "data:image/png;base64," in found[asset][picture].value
    assert found["certificate"]["unequal"].value == 0


def test_the_evidence_pack_is_an_asset_and_refuses_before_anything_is_published(applied, tmp_path, monkeypatch):
    from orchestration.console.definitions import defs

    settings = copied(applied, tmp_path)
    for name, value in places(settings).items():
        monkeypatch.setenv(name, value)
    pack = defs.resolve_assets_def("evidence_pack")

    def made() -> dg.ExecuteInProcessResult:
        return dg.materialize([pack], partition_key=DAY.isoformat(), raise_on_error=False)

    assert not made().success
    assert materialise(settings, monkeypatch).success
    result = made()
    assert result.success
    (event,) = result.get_asset_materialization_events()
    found = event.step_materialization_data.materialization.metadata
    assert found["status"].value == "DRAFT"
    assert (settings.out / DAY.isoformat() / "pack-v1.zip").stat().st_size == found["bytes"].value


def test_a_shut_gate_opens_with_the_restated_partition_and_its_difference_is_shown(tmp_path, monkeypatch):
    settings = Settings(tmp_path / "home", tmp_path / "out")
    spec = DaySpec(DAY, 6, 300, 3_000, faults=("stale-close",))
    generated.prepare(settings, spec)
    generated.feed_generated(settings, spec, lambda _: None, calendar.history_marks(DAY))
    assert not materialise(settings, monkeypatch).success
    assert not (settings.out / DAY.isoformat() / "current").exists()
    assert generated.feed_correction(settings, spec) > 0
    result = materialise(settings, monkeypatch)
    assert result.success
    found = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    assert found["end_of_day"]["cut"].value == f"{DAY}/eod v2"
    assert found["end_of_day"]["restates"].value == "v1"
    assert found["end_of_day"]["changed_cells"].value > 0
    assert found["end_of_day"]["changes"].records
    assert found["margin"]["cut"].value == f"{DAY}/eod v2"


def test_a_question_about_a_time_is_answered_under_branch_and_changes_no_filed_number(applied, tmp_path, monkeypatch):
    import pyarrow.parquet

    from orchestration.console.definitions import defs

    settings = copied(applied, tmp_path)
    pipeline.seal(pipeline.Home.open(settings), Silent())
    before = open_cut(settings.store, f"{DAY}/eod").manifest
    for name, value in places(settings).items():
        monkeypatch.setenv(name, value)
    asked = {"ops": {"tables_as_of": {"config": {"time": f"{DAY}T16:30:00", "name": "question-1"}}}}
    assert defs.resolve_job_def("as_of").execute_in_process(run_config=asked).success
    answer = settings.out / "branch" / "question-1"
    cut = open_cut(settings.store, f"{DAY}/eod")
    for name in ("positions", "cash", "pnl"):
        assert pyarrow.parquet.read_table(answer / f"{name}.parquet").equals(cut.table(name)), name
    assert cut.manifest == before
    assert [path.name for path in settings.out.iterdir()] == ["branch"]


KILLS = {
    "seal": "from orchestration import pipeline as m; name = 'seal'; before = False",
    "check": "from orchestration import pipeline as m; name = 'run_checks'; before = False",
    "report": "import reports as m; name = 'build'; before = False",
    "publish": "from orchestration import publish as m; name = '_swap'; before = False",
    "record": "from orchestration import publish as m; name = '_record'; before = False",
    "notify": "from orchestration.console import stages as m; name = 'deliver'; before = True",
    "told": "from orchestration.console import stages as m; name = 'deliver'; before = False",
}
"""Where a run is killed: at the end of a stage, or before it."""
_KILLED = """
import os, signal
from datetime import datetime
from orchestration import edge
edge.now = lambda: datetime.fromisoformat({now!r})
{place}
whole = getattr(m, name)
def dying(*given, **named):
    if not before:
        whole(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(m, name, dying)
from orchestration.console.definitions import defs
defs.resolve_job_def("day").execute_in_process(partition_key={day!r})
"""


@pytest.mark.parametrize("place", KILLS)
def test_a_run_killed_anywhere_and_run_again_publishes_once_and_alerts_once(place, applied, tmp_path, monkeypatch):
    settings = copied(applied, tmp_path)
    with SlackFake() as slack:
        access = {
            "PLUMBLINE_SLACK_TOKEN": slack.token,
            "PLUMBLINE_SLACK_CHANNEL": slack.channel,
            "PLUMBLINE_SLACK_API": slack.url,
        }
        killed = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                _KILLED.format(place=KILLS[place], day=DAY.isoformat(), now=EVENING.isoformat()),
            ],
            env={**os.environ, **places(settings), **access, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert killed.returncode == -9, killed.stderr.decode()[-2_000:]
        for name, value in access.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(edge, "now", lambda: EVENING)
        assert materialise(settings, monkeypatch).success
        said = [_identity(message) for message in slack.messages]
        assert said
        assert len(set(said)) == len(said)
    ledger = Ledger(settings.ledger)
    ledger.verify()
    assert [entry.what["version"] for entry in ledger.entries("publication")] == [1]
    assert os.readlink(settings.out / DAY.isoformat() / "current") == "v1"
    assert sorted(path.name for path in (settings.out / DAY.isoformat()).glob("v*")) == ["v1"]
    assert not alerts.outbox_of(settings).messages(WAITING)


def _identity(message: dict) -> str:
    """By which a delivery knows a message again."""
    metadata = message["metadata"]
    whole = orjson.loads(metadata) if isinstance(metadata, str) else metadata
    return whole["event_payload"]["message"]


def test_the_killed_engine_goes_on_and_the_day_has_the_same_digests(tmp_path, monkeypatch):
    """The live jobs play a session, are killed in it, started again, and the day is materialised: as by the command."""
    live = Settings(tmp_path / "live", tmp_path / "a")
    spec = DaySpec(DAY, 4, 200, 3_000)
    generated.prepare(live, spec)
    DeskClock.start(calendar.session(DAY).open, 1_000.0).write(live)
    process = player.start(live, live, DAY)
    home = pipeline.Home.open(live)
    _wait(lambda: home.index.refresh() >= 400)
    os.kill(process, 9)
    _wait(lambda: not streams_alive(live))
    again = player.start(live, live, DAY)
    assert again != process
    DeskClock.start(calendar.session(DAY).end_of_day, 1.0).write(live)
    try:
        assert materialise(live, monkeypatch).success
    finally:
        player.stop(live)
    quiet = embedded(tmp_path / "quiet", spec).settings
    ours, theirs = (open_cut(one.store, f"{DAY}/eod").manifest for one in (live, quiet))
    assert ours["tables"] == theirs["tables"]
    assert ours["states"] == theirs["states"]


def _wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)
