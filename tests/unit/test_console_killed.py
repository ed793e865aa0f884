"""A run that is killed between report and notification, at one place after the other, on a small sealed day.

Kills at the earlier stages, and each place alone on a whole day, are in ``tests/acceptance/test_console_day.py``.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from orchestration.alerts import desk as alerts
from orchestration.alerts.outbox import WAITING
from orchestration.console.clock import DeskClock
from orchestration.ledger import Ledger
from orchestration.pipeline import Home
from orchestration.proof import CERTIFICATE
from orchestration.publish import verify_published
from streaming.apps import chain
from streaming.engine.replay import certify, replay
from tests.kit.slack_fake import SlackFake
from tests.unit.published_cuts import passing, write_results
from tests.unit.traced_day import DAY, sealed_day

ROOT = Path(__file__).resolve().parents[2]
BEFORE_THE_CLOSE = datetime(2020, 3, 16, 14, 0, tzinfo=UTC)
"""The end of this day is marked in the morning; the console closes no epochs of its own until the evening."""
FAILED_WARNING = "streams.path.moving"
REPORT, PUBLISH, RECORD, NOTIFY = "reports.build", "publish._swap", "publish._record", "SlackChannel.post"
"""A run is killed when this has ended, before anything behind it is done: the workbooks are written; the version is
current and not in the ledger; it is in the ledger and nobody is told; Slack has an alert and nobody noted it."""

_DRIVER = """
import os, signal, sys
from datetime import datetime
import reports
from orchestration import edge, pipeline, publish
from orchestration.alerts.slack import SlackChannel
from orchestration.console.definitions import defs
edge.now = lambda: datetime.fromisoformat("2020-03-16T21:00:00+00:00")  # no quiet hours, at whatever hour this runs
job = defs.resolve_job_def("day")
def run():
    return job.execute_in_process(partition_key=sys.argv[1], raise_on_error=False).success
for place in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        of, _, name = place.partition(".")
        whole = getattr(globals()[of], name)
        def dying(*given, **named):
            whole(*given, **named)
            os.kill(os.getpid(), signal.SIGKILL)
        setattr(globals()[of], name, dying)
        run()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit(f"the run never came to {place}")
sys.exit(0 if run() else "the last run failed")
"""


@pytest.fixture
def home(tmp_path) -> Home:
    """A small sealed day, every cut replayed, its checks answered: one warning failed, so that there is an alert."""
    made, cut = sealed_day(tmp_path)
    cuts = made.cuts(DAY)
    replayed = replay(made.log, chain.jobs(), [one.epoch for one in cuts], tmp_path / "again")
    for again, of in zip(replayed, cuts, strict=True):
        document = certify(made.store, again, of.version).document()
        assert document["equal"]
        (made.store.path(of.id, of.version) / CERTIFICATE).write_bytes(orjson.dumps(document))
    told = {"suite": "streams", "owner": "platform", "next_step": "", "sample": [], "unexpected_count": 1}
    rows = [{**row, **told} for row in passing()]
    write_results(cut, [{**row, "passed": row["check"] != FAILED_WARNING} for row in rows])
    DeskClock.start(BEFORE_THE_CLOSE, 0.0).write(made.settings)
    return made


@pytest.mark.parametrize(
    "places",
    [[PUBLISH, NOTIFY], pytest.param([REPORT, PUBLISH, RECORD, NOTIFY, NOTIFY], marks=pytest.mark.ui)],
    ids=["two places", "every place"],
)
def test_a_run_killed_at_place_after_place_ends_with_one_version_and_each_alert_once(home, places):
    settings = home.settings
    with SlackFake() as slack:
        variables = {
            "PLUMBLINE_HOME": str(settings.home),
            "PLUMBLINE_OUT": str(settings.out),
            "PLUMBLINE_BASE_URL": "",
            "PLUMBLINE_STACK": "",
            "PLUMBLINE_SLACK_TOKEN": slack.token,
            "PLUMBLINE_SLACK_CHANNEL": slack.channel,
            "PLUMBLINE_SLACK_API": slack.url,
        }
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _DRIVER, DAY.isoformat(), *places],
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr[-3_000:]
        said = [_identity(message) for message in slack.messages]
    assert said
    assert len(set(said)) == len(said)
    folder = settings.out / DAY.isoformat()
    assert os.readlink(folder / "current") == "v1"
    assert [path.name for path in folder.glob("*v*")] == ["v1"]
    assert verify_published(folder / "v1") == []
    ledger = Ledger(settings.ledger)
    ledger.verify()
    assert [entry.what["version"] for entry in ledger.entries("publication")] == [1]
    assert sorted(entry.what["message"] for entry in ledger.entries("delivery")) == sorted(said)
    assert not alerts.outbox_of(settings).messages(WAITING)


def _identity(message: dict) -> str:
    """By which a delivery knows a message again."""
    metadata = message["metadata"]
    whole = orjson.loads(metadata) if isinstance(metadata, str) else metadata
    return whole["event_payload"]["message"]
