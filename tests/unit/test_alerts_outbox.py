"""The outbox says what is new, once, in order, and remembers what was tried."""

from datetime import time
from zoneinfo import ZoneInfo

import pytest
from alert_cases import CUT, MINUTE, NIGHT, NOON, alert, warning

from orchestration.alerts.outbox import (
    CHANGED,
    OPENED,
    RECOVERED,
    REFUSED,
    REOPENED,
    SENT,
    WAITING,
    WITHDRAWN,
    Outbox,
)
from orchestration.alerts.quiet import QuietHours

SCOPE = f"checks {CUT}"


@pytest.fixture
def outbox(tmp_path) -> Outbox:
    return Outbox(tmp_path / "alerts.sqlite")


def kinds(outbox: Outbox, state: str = "") -> list[str]:
    return [message.kind for message in outbox.messages(state)]


def send_all(outbox: Outbox, at=NOON) -> None:
    for message in outbox.due(at):
        outbox.trying(message, at)
        outbox.sent(message, "C1", f"100.{message.number:06d}")


def test_the_same_observation_again_says_nothing(outbox):
    assert outbox.observe(SCOPE, [alert(), warning()], NOON) == 2
    assert outbox.observe(SCOPE, [warning(), alert()], NOON + MINUTE) == 0
    assert kinds(outbox) == [OPENED, OPENED]


def test_a_later_time_alone_is_nothing_new(outbox):
    outbox.observe(SCOPE, [alert()], NOON)
    assert outbox.observe(SCOPE, [alert(when="2020-03-16T21:00:00+00:00")], NOON) == 0


def test_an_alert_lives_from_opened_over_changed_to_recovered_and_again(outbox):
    outbox.observe(SCOPE, [alert()], NOON)
    send_all(outbox)
    outbox.observe(SCOPE, [alert(found="2 of 56 rows", count=2)], NOON + MINUTE)
    outbox.observe(SCOPE, [], NOON + 2 * MINUTE)
    outbox.observe(SCOPE, [alert(version=3)], NOON + 3 * MINUTE)
    send_all(outbox, NOON + 4 * MINUTE)
    assert kinds(outbox, SENT) == [OPENED, CHANGED, RECOVERED, REOPENED]
    first, *others = outbox.messages()
    assert {message.thread for message in others} == {first.stamp}


def test_a_correction_of_the_cut_continues_the_thread_of_the_first_version(outbox):
    assert alert(version=1).key == alert(version=2).key


def test_another_scope_is_left_alone(outbox):
    outbox.observe(SCOPE, [alert()], NOON)
    outbox.observe("checks 2020-03-17/eod", [], NOON)
    assert [found.key for found in outbox.open_alerts()] == [alert().key]


def test_two_alerts_of_one_key_in_one_observation_are_refused(outbox):
    with pytest.raises(ValueError, match="expected one alert of each key"):
        outbox.observe(SCOPE, [alert(), alert(found="other")], NOON)


def test_a_warning_waits_for_the_end_of_the_quiet_hours_and_a_critical_alert_does_not(outbox):
    outbox.observe(SCOPE, [alert(), warning()], NIGHT)
    assert [message.alert.check for message in outbox.due(NIGHT)] == [alert().check]
    seven = QuietHours.of_house().not_before(NIGHT, critical=False)
    assert len(outbox.due(seven)) == 2


def test_a_warning_that_becomes_critical_in_the_night_goes_out_at_once_and_in_order(outbox):
    outbox.observe(SCOPE, [warning()], NIGHT)
    assert outbox.due(NIGHT) == []
    outbox.observe(SCOPE, [alert(warning().check)], NIGHT + MINUTE)
    assert [message.kind for message in outbox.due(NIGHT + MINUTE)] == [OPENED, CHANGED]


def test_a_warning_that_recovers_before_anything_was_said_is_withdrawn(outbox):
    outbox.observe(SCOPE, [warning()], NIGHT)
    outbox.observe(SCOPE, [], NIGHT + MINUTE)
    assert [message.state for message in outbox.messages()] == [WITHDRAWN]


def test_a_critical_alert_that_recovers_before_anything_was_said_is_told_with_its_recovery(outbox):
    outbox.observe(SCOPE, [alert()], NOON)
    outbox.observe(SCOPE, [], NOON + MINUTE)
    assert [message.kind for message in outbox.due(NOON + MINUTE)] == [OPENED, RECOVERED]


def test_a_message_that_was_tried_is_never_withdrawn(outbox):
    outbox.observe(SCOPE, [warning()], NOON)
    (message,) = outbox.due(NOON)
    outbox.trying(message, NOON)
    outbox.observe(SCOPE, [], NOON + MINUTE)
    assert kinds(outbox, WAITING) == [OPENED, RECOVERED]


def test_nothing_of_an_alert_overtakes_what_waits_of_it(outbox):
    outbox.observe(SCOPE, [alert()], NOON)
    (first,) = outbox.due(NOON)
    outbox.trying(first, NOON)
    outbox.failed(first, "no answer", NOON + 5 * MINUTE)
    outbox.observe(SCOPE, [alert(found="more"), warning()], NOON + MINUTE)
    assert [message.alert.check for message in outbox.due(NOON + MINUTE)] == [warning().check]
    assert [message.kind for message in outbox.due(NOON + 5 * MINUTE)] == [OPENED, CHANGED, OPENED]


def test_a_refused_message_is_not_due_again(outbox):
    outbox.observe(SCOPE, [alert()], NOON)
    (message,) = outbox.due(NOON)
    outbox.failed(message, "invalid_blocks", None)
    assert outbox.due(NOON + MINUTE) == []
    assert outbox.messages(REFUSED)[0].problem == "invalid_blocks"


def test_the_first_try_is_kept_over_later_ones(outbox):
    outbox.observe(SCOPE, [alert()], NOON)
    (message,) = outbox.due(NOON)
    outbox.trying(message, NOON)
    outbox.trying(message, NOON + MINUTE)
    found = outbox.message(message.number)
    assert (found.attempts, found.first_try) == (2, NOON)


def test_an_observation_that_fails_leaves_nothing_behind(outbox):
    class Unspeakable:
        key = property(lambda self: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        outbox.observe(SCOPE, [alert(), Unspeakable()], NOON)
    assert outbox.messages() == []


@pytest.mark.parametrize(
    ("at", "quiet"), [("19:59", False), ("20:00", True), ("00:00", True), ("06:59", True), ("07:00", False)]
)
def test_quiet_hours_over_midnight_begin_and_end_on_the_minute(at, quiet):
    hours = QuietHours(ZoneInfo("UTC"), time(20), time(7))
    local = NOON.replace(hour=int(at[:2]), minute=int(at[3:]))
    assert hours.covers(local) is quiet
    assert (hours.not_before(local, critical=False) > local) is quiet
    assert hours.not_before(local, critical=True) == local


def test_quiet_hours_that_begin_when_they_end_never_are():
    assert not QuietHours(ZoneInfo("UTC"), time(0), time(0)).covers(NOON)


def test_the_quiet_hours_of_a_night_end_in_the_morning_after():
    ends = QuietHours.of_house().not_before(NIGHT, critical=False)
    assert ends.astimezone(ZoneInfo("America/New_York")).isoformat() == "2026-11-21T07:00:00-05:00"
