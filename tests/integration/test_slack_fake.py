"""Deliveries against a local server that speaks Slack's API: good days, bad days, and processes killed in between."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestration.alerts.alert import CRITICAL, WARNING, Alert
from orchestration.alerts.delivery import Delivered, Delivery
from orchestration.alerts.links import Links
from orchestration.alerts.outbox import REFUSED, SENT, WAITING, Outbox
from orchestration.alerts.quiet import QuietHours
from orchestration.alerts.settings import SlackAccess
from orchestration.alerts.slack import SlackAccessError, SlackChannel
from orchestration.ledger import Ledger
from tests.kit.slack_fake import CHANNEL, Dropping, Failing, Hanging, Limited, Refusing, SlackFake

ROOT = Path(__file__).resolve().parents[2]
CUT = "2020-03-16/eod"
CANARY = "xoxb-canary-7f3a9c-never-in-a-log"
PATIENCE_S = 60


def alert(check: str = "prices.held.fresh", severity: str = CRITICAL, found: str = "1 of 56 rows") -> Alert:
    row = {"instrument": "MSFT", "age": 9_166, "topic": "prices", "partition": 0, "offset": 4711}
    return Alert(
        check, CUT, severity, "No held instrument has a stale price.", "2020-03-16T20:30:00+00:00",
        "no stale price", found, "market data", "Send the close.", (row,), 1, 1,
    )  # fmt: skip


class Desk:
    """An outbox, a ledger and a channel, with a clock that moves only when somebody sleeps."""

    def __init__(self, folder: Path, slack: SlackFake, token: str = "", timeout_s: float = 1.0):
        never = QuietHours(ZoneInfo("UTC"), clock_time(0), clock_time(0))
        self.outbox, self.ledger = Outbox(folder / "alerts.sqlite", never), Ledger(folder / "ledger.jsonl")
        self.channel = SlackChannel(SlackAccess(token or slack.token, slack.channel, slack.url), timeout_s)
        self.at = datetime.now(UTC)  # the server and the commands have the real clock
        self.slept: list[float] = []

    def see(self, *alerts: Alert) -> None:
        self.outbox.observe(f"checks {CUT}", alerts, self.at)

    def deliver(self) -> Delivered:
        links = Links("https://desk.example")
        return Delivery(self.outbox, self.channel, self.ledger, links, "tester", lambda: self.at, self._sleep).run()

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)

    @property
    def deliveries(self) -> list[dict]:
        return [dict(entry.what) for entry in self.ledger.entries("delivery")]


@pytest.fixture
def slack():
    with SlackFake() as fake:
        yield fake


@pytest.fixture
def desk(tmp_path, slack) -> Desk:
    return Desk(tmp_path, slack)


def test_a_message_arrives_with_its_key_its_rows_and_its_links(desk, slack):
    desk.see(alert())
    assert desk.deliver() == Delivered(posted=1)
    (message,) = slack.messages
    assert message["metadata"]["event_payload"] == {
        "message": f"{CUT}:prices.held.fresh#1",
        "key": f"{CUT}:prices.held.fresh",
        "kind": "opened",
    }
    for told in ("CRITICAL", "prices.held.fresh", CUT, "MSFT", "topic prices", "partition 0", "offset 4711"):
        assert told in message["text"]
        assert told in str(message["blocks"])
    assert f"https://desk.example/docs/{CUT}/v1/checks/prices.held.html" in message["text"]
    assert "https://desk.example/out/2020-03-16/margin.xlsx" in message["text"]


def test_updates_and_the_recovery_come_in_the_thread_and_the_recovery_in_the_channel_too(desk, slack):
    desk.see(alert())
    desk.deliver()
    desk.see(alert(found="2 of 56 rows"))
    desk.deliver()
    desk.see()
    desk.deliver()
    first, changed, recovered = slack.messages
    assert "thread_ts" not in first
    assert {changed["thread_ts"], recovered["thread_ts"]} == {first["ts"]}
    assert (changed.get("reply_broadcast", False), recovered["reply_broadcast"]) == (False, True)
    assert recovered["text"].startswith("RECOVERED: prices.held.fresh")


def test_delivering_again_posts_nothing(desk, slack):
    desk.see(alert())
    desk.deliver()
    assert desk.deliver() == Delivered()
    assert slack.posts() == 1


def test_every_delivery_is_in_the_ledger_once(desk, slack):
    desk.see(alert(), alert("cash.accounts.margin"))
    desk.deliver()
    desk.deliver()
    assert [(d["message"], d["outcome"], d["stamp"]) for d in desk.deliveries] == [
        (m["metadata"]["event_payload"]["message"], "delivered", m["ts"]) for m in slack.messages
    ]
    assert desk.ledger.verify().entries == 2


def test_messages_of_one_channel_keep_slacks_pace(desk, slack):
    desk.see(*(alert(f"prices.held.check{i}") for i in range(4)))
    assert desk.deliver().posted == 4
    assert desk.slept == [1.0, 1.0, 1.0]


def test_too_many_requests_are_waited_out_for_as_long_as_slack_asks(desk, slack):
    slack.plan(Limited(7), Limited(30))
    desk.see(alert())
    assert desk.deliver() == Delivered(posted=1)
    assert desk.slept == [7, 30]
    assert len(slack.messages) == 1


def test_a_long_wait_ends_the_delivery_and_the_next_one_goes_on_after_it(desk, slack):
    slack.plan(Limited(900))
    desk.see(alert(), alert("cash.accounts.margin"))
    done = desk.deliver()
    assert (done.posted, done.waiting) == (0, 2)
    assert desk.slept == []
    desk.at += timedelta(seconds=899)
    assert [m.alert.check for m in desk.outbox.due(desk.at)] == ["cash.accounts.margin"]
    desk.at += timedelta(seconds=1)
    assert desk.deliver().posted == 2
    assert len(slack.messages) == 2


def test_a_server_error_is_tried_again_with_growing_pauses(desk, slack):
    slack.plan(Failing(503), Failing(500))
    desk.see(alert())
    assert desk.deliver() == Delivered(posted=1)
    assert len(slack.messages) == 1
    first, second = desk.slept
    assert 1 <= first <= 2 <= second <= 3


def test_a_server_error_after_the_message_was_taken_does_not_post_twice(desk, slack):
    slack.plan(Failing(500, taken=True))
    desk.see(alert())
    assert desk.deliver() == Delivered(found=1)
    assert len(slack.messages) == 1
    assert desk.outbox.messages(SENT)[0].stamp == slack.messages[0]["ts"]


def test_a_time_out_after_the_message_was_taken_does_not_post_twice(tmp_path, slack):
    desk = Desk(tmp_path, slack, timeout_s=0.2)
    slack.plan(Hanging(PATIENCE_S))
    desk.see(alert())
    assert desk.deliver() == Delivered(found=1)
    assert (slack.posts(), len(slack.messages)) == (1, 1)


def test_a_reply_whose_answer_was_lost_is_found_in_its_thread(desk, slack):
    desk.see(alert())
    desk.deliver()
    slack.plan(Dropping())
    desk.see(alert(found="2 of 56 rows"))
    assert desk.deliver() == Delivered(found=1)
    assert len(slack.messages) == 2
    assert any(method == "conversations.replies" for method, _ in slack.calls)


def test_a_message_is_found_behind_many_others(tmp_path, slack):
    slack.page = 3
    desk = Desk(tmp_path, slack)
    slack.plan(Dropping())
    desk.see(alert())
    stop = threading.Event()

    def chatter(seconds: float) -> None:
        for number in range(10):
            slack.take({"text": f"other {number}"})
        stop.set()

    desk._sleep = chatter  # type: ignore[method-assign]
    assert desk.deliver() == Delivered(found=1)
    assert stop.is_set()
    assert sum("metadata" in message for message in slack.messages) == 1


def test_slack_that_stays_away_leaves_the_message_for_the_next_delivery(desk, slack):
    slack.plan(*[Failing(503)] * 5)
    desk.see(alert())
    done = desk.deliver()
    assert (done.posted, done.waiting) == (0, 1)
    assert desk.outbox.messages(WAITING)[0].attempts == 5
    desk.at += timedelta(minutes=2)
    assert desk.deliver().posted == 1
    assert len(slack.messages) == 1


def test_nobody_listening_is_no_error_of_the_run(tmp_path):
    with SlackFake() as gone:
        pass
    desk = Desk(tmp_path, gone)
    desk.see(alert())
    assert desk.deliver().waiting == 1


def test_a_refused_message_is_recorded_and_does_not_hold_up_the_others(desk, slack):
    slack.plan(Refusing("invalid_blocks"))
    desk.see(alert(), alert("cash.accounts.margin"))
    assert desk.deliver() == Delivered(posted=1, refused=1)
    assert desk.outbox.messages(REFUSED)[0].problem == "chat.postMessage: invalid_blocks"
    assert sorted(d["outcome"] for d in desk.deliveries) == ["chat.postMessage: invalid_blocks", "delivered"]


@pytest.mark.parametrize("code", ["channel_not_found", "not_in_channel", "is_archived", "token_revoked"])
def test_a_channel_that_may_not_be_used_is_said_and_everything_waits(desk, slack, code):
    slack.plan(Refusing(code))
    desk.see(alert(), alert("cash.accounts.margin"))
    with pytest.raises(SlackAccessError, match=code):
        desk.deliver()
    assert len(desk.outbox.due(desk.at)) == 2
    assert desk.deliver().posted == 2
    assert len(slack.messages) == 2


def test_a_wrong_token_is_said_without_the_token(tmp_path, slack):
    desk = Desk(tmp_path, slack, token=CANARY)
    desk.see(alert())
    with pytest.raises(SlackAccessError, match="invalid_auth") as said:
        desk.deliver()
    assert CANARY not in str(said.value) + repr(desk.channel)
    assert slack.messages == []


def test_two_deliveries_at_once_post_once(desk, slack):
    slack.plan(Hanging(0.5))
    desk.see(alert())
    done: list[Delivered] = []
    threads = [threading.Thread(target=lambda: done.append(desk.deliver())) for _ in range(2)]
    for thread in threads:
        thread.start()
        _until(lambda: slack.posts() == 1)
    for thread in threads:
        thread.join()
    assert (slack.posts(), len(slack.messages)) == (1, 1)
    assert sorted(d.problem for d in done)[-1] == "another delivery is at work"


def test_no_secret_is_in_any_log_file_or_message(tmp_path, slack, caplog, capfd):
    slack.token = CANARY
    caplog.set_level(logging.DEBUG)
    desk = Desk(tmp_path, slack, timeout_s=0.2)
    slack.plan(Limited(1), Failing(500), Hanging(1), Refusing("invalid_blocks"), Dropping())
    desk.see(*(alert(f"prices.held.check{i}", severity) for i, severity in enumerate((CRITICAL, WARNING, CRITICAL))))
    desk.deliver()
    desk.channel.access = SlackAccess(CANARY + "x", CHANNEL, slack.url)
    seen = "".join(record.getMessage() for record in caplog.records) + "".join(capfd.readouterr())
    seen += repr(desk.channel) + repr(desk.channel.access) + str(slack.messages)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(slack.messages) >= 2
    assert CANARY not in seen
    assert CANARY.encode() not in written


# the command line


def _command(folder: Path, slack: SlackFake, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "--home", str(folder), "--out", str(folder / "out"), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **slack.environment, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def _ended(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def _until(condition) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "expected it to happen in time"
        time.sleep(0.01)


def test_a_delivery_killed_between_post_and_mark_is_finished_without_a_second_message(desk, slack, tmp_path):
    desk.see(alert())
    slack.plan(Hanging(PATIENCE_S))
    killed = _command(tmp_path, slack, "alerts", "deliver")
    _until(lambda: slack.messages)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=PATIENCE_S)
    assert desk.outbox.messages(WAITING)[0].attempts == 1
    code, out, err = _ended(_command(tmp_path, slack, "alerts", "deliver"))
    assert (code, out) == (0, "0 posted, 1 found there already, 0 refused, 0 waiting\n"), err
    assert (slack.posts(), len(slack.messages)) == (1, 1)
    assert [d["attempts"] for d in desk.deliveries] == [1]


def test_a_delivery_killed_before_its_post_is_finished_with_one_message(desk, slack, tmp_path):
    desk.see(alert())
    (message,) = desk.outbox.due(desk.at)
    desk.outbox.trying(message, desk.at)
    code, out, err = _ended(_command(tmp_path, slack, "alerts", "deliver"))
    assert (code, out) == (0, "1 posted, 0 found there already, 0 refused, 0 waiting\n"), err
    assert len(slack.messages) == 1


def test_a_delivery_killed_between_mark_and_ledger_is_recorded_by_the_next(desk, slack):
    desk.see(alert())
    (message,) = desk.outbox.due(desk.at)
    desk.outbox.trying(message, desk.at)
    desk.outbox.sent(message, CHANNEL, "1.000001")
    assert desk.deliver() == Delivered()
    assert [d["stamp"] for d in desk.deliveries] == ["1.000001"]


def test_the_test_command_posts_and_reads_again(slack, tmp_path):
    code, out, err = _ended(_command(tmp_path, slack, "alerts", "test"))
    assert code == 0, err
    assert out == f"{CHANNEL}: message {slack.messages[0]['ts']} posted and found again\n"


def test_a_heartbeat_proves_the_path_and_its_absence_is_an_exit_code(slack, tmp_path):
    code, _, err = _ended(_command(tmp_path, slack, "alerts", "heartbeat", "--verify"))
    assert (code, err) == (2, "heartbeat: expected one within 45 min, found none ever\n")
    for _ in range(2):
        assert _ended(_command(tmp_path, slack, "alerts", "heartbeat"))[0] == 0
    first, second = slack.messages
    assert second["thread_ts"] == first["ts"]
    assert _ended(_command(tmp_path, slack, "alerts", "heartbeat", "--verify"))[0] == 0


def test_a_command_without_token_says_which_variable_and_a_wrong_one_does_not_show_it(slack, tmp_path):
    code, _, err = _ended(_command(tmp_path, slack, "alerts", "deliver", PLUMBLINE_SLACK_TOKEN=""))
    assert (code, err.count("\n")) == (2, 1)
    assert "PLUMBLINE_SLACK_TOKEN" in err
    code, out, err = _ended(_command(tmp_path, slack, "alerts", "heartbeat", PLUMBLINE_SLACK_TOKEN=CANARY))
    assert (code, err.count("\n")) == (2, 1)
    assert CANARY not in out + err


def test_the_list_shows_what_is_open_and_what_was_sent(desk, slack, tmp_path):
    desk.see(alert())
    desk.deliver()
    code, out, err = _ended(_command(tmp_path, slack, "alerts", "list"))
    assert code == 0, err
    assert "open  critical" in out
    assert f"sent {slack.messages[0]['ts']}" in out
