"""The daemon alone: a tick of the schedule publishes the day and its alerts arrive, with nobody at a keyboard."""

import os
import time
from datetime import timedelta

import pytest

from orchestration import calendar
from orchestration.publish import verify_published
from tests.kit.slack_fake import SlackFake
from tests.ui.conftest import CLEAN, running

pytestmark = [pytest.mark.ui, pytest.mark.timeout(1_800)]

RUN_S = 900
_RUNS = "{ runsOrError { ... on Runs { results { status tags { key value } } } } }"


def test_a_tick_publishes_three_workbooks_and_an_alert_reaches_slack(tmp_path):
    after_the_close = calendar.session(CLEAN).end_of_day + timedelta(minutes=5)
    with SlackFake() as slack:
        access = {
            "PLUMBLINE_SLACK_TOKEN": slack.token,
            "PLUMBLINE_SLACK_CHANNEL": slack.channel,
            "PLUMBLINE_SLACK_API": slack.url,
        }
        with running(tmp_path, {CLEAN: ()}, CLEAN, after_the_close, **access) as console:
            folder = console.desk.settings().out / CLEAN.isoformat()
            deadline = time.monotonic() + RUN_S
            while time.monotonic() < deadline and not (slack.messages and (folder / "current").exists()):
                time.sleep(1)
            runs = console.ask(_RUNS)["runsOrError"]["results"]
        assert os.readlink(folder / "current") == "v1"
        assert {"stress.xlsx", "margin.xlsx", "capital.xlsx"} <= {path.name for path in folder.iterdir()}
        assert verify_published(folder / "v1") == []
        assert slack.messages
    asked = [tag["value"] for run in runs for tag in run["tags"] if tag["key"] == "plumbline/cut"]
    assert asked.count(f"{CLEAN}/eod") == 1
