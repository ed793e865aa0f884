"""Runs tell their alerts: from the command's own process, without waiting for Slack."""

import os
import time
from datetime import UTC, date, datetime

import pytest

from orchestration.alerts import desk
from orchestration.settings import Settings
from tests.kit.slack_fake import Hanging, SlackFake

DAY = date(2020, 3, 16)
PATIENCE_S = 60


def noon() -> datetime:
    return datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(tmp_path / "home", tmp_path / "out")


@pytest.fixture
def slack(monkeypatch):
    with SlackFake() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


def test_a_run_that_raises_is_told_before_it_ends_and_the_next_good_one_recovers(settings, slack):
    with pytest.raises(ZeroDivisionError), desk.watching_run(settings, DAY, os.environ, noon):
        raise ZeroDivisionError("a defect")
    (message,) = slack.messages
    assert message["text"].startswith("CRITICAL: run.failed, 2020-03-16")
    assert "ZeroDivisionError: a defect" in message["text"]
    with desk.watching_run(settings, DAY, os.environ, noon):
        pass
    with desk.delivering_beside(settings, os.environ):
        pass
    assert slack.messages[1]["text"].startswith("RECOVERED: run.failed")
    assert slack.messages[1]["thread_ts"] == message["ts"]


def test_what_runs_beside_a_delivery_does_not_wait_for_slack(settings, slack):
    desk.outbox_of(settings).observe("run", desk.rules.of_run(DAY, ValueError("x"), noon()), noon())
    slack.plan(Hanging(PATIENCE_S))
    reported = []

    def run_that_is_stopped() -> None:
        with desk.delivering_beside(settings, os.environ):
            _until(lambda: slack.messages)
            reported.append(desk.outbox_of(settings).messages("waiting"))  # Slack has not answered, the report is made
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_that_is_stopped()
    assert len(reported[0]) == 1
    with desk.delivering_beside(settings, os.environ):
        pass
    assert (slack.posts(), len(slack.messages)) == (1, 1)
    assert desk.outbox_of(settings).messages("waiting") == []


def _until(condition) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "expected it to happen in time"
        time.sleep(0.01)


def test_without_token_nothing_is_started_and_the_alert_waits(settings):
    with pytest.raises(ValueError, match="x"), desk.watching_run(settings, DAY, {}, noon):
        raise ValueError("x")
    assert [m.alert.check for m in desk.outbox_of(settings).messages("waiting")] == ["run.failed"]
    assert not (settings.scratch / "delivery.log").exists()


def test_the_clock_is_watched_only_for_recent_days_of_the_home(settings, tmp_path):
    from streaming.demo import DaySpec
    from tests.kit.faulty_day import FaultyDay

    day = FaultyDay(tmp_path, DaySpec(accounts=1, trades=0, prices=0))
    day.feed()
    desk.watch_clock(day.home.settings, datetime(2020, 3, 16, 23, 30, tzinfo=UTC))
    assert {a.check for a in desk.outbox_of(day.home.settings).open_alerts()} == {"run.late", "cutoff.reports"}
    other = Settings(tmp_path / "home", tmp_path / "elsewhere")
    before = desk.outbox_of(other).messages()
    desk.watch_clock(other, noon())
    assert desk.outbox_of(other).messages() == before
