"""Ticks: due by the calendar and the desk clock, once for every cut."""

from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import pytest

from orchestration.calendar import NEW_YORK
from orchestration.console import schedules
from orchestration.console.clock import DeskClock, desk_now, played
from orchestration.console.schedules import CUT_TAG, due_cuts, end_of_day_request, intraday_requests, week_is_over
from orchestration.settings import Settings


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def asked(instance: dg.DagsterInstance, cut: str, status=dg.DagsterRunStatus.NOT_STARTED) -> None:
    """A run of that cut, as the daemon would have made it."""
    instance.add_run(dg.DagsterRun(job_name="cut", run_id=str(uuid4()), tags={CUT_TAG: cut}, status=status))


def test_cuts_come_due_a_minute_after_their_time():
    assert due_cuts(at("2020-03-16T10:00:59")) == ["2020-03-16/0930"]
    assert due_cuts(at("2020-03-16T10:01:00")) == ["2020-03-16/0930", "2020-03-16/1000"]


def test_an_intraday_tick_asks_for_every_cut_that_nobody_asked_for(instance):
    asked(instance, "2020-03-16/0930")
    found = list(intraday_requests(instance, at("2020-03-16T10:35:00")))
    assert [one.run_key for one in found] == ["2020-03-16/1000", "2020-03-16/1030"]
    assert [one.tags[CUT_TAG] for one in found] == ["2020-03-16/1000", "2020-03-16/1030"]
    assert found[0].partition_key == "2020-03-16|1000"


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2020-04-10T11:00:00", "2020-04-10: the exchange is closed"),
        ("2020-03-14T11:00:00", "2020-03-14: the exchange is closed"),
        ("2020-03-16T09:00:00", "no cut has come due"),
    ],
    ids=["holiday", "weekend", "before the open"],
)
def test_an_intraday_tick_skips_with_its_reason(instance, time, words):
    (found,) = intraday_requests(instance, at(time))
    assert isinstance(found, dg.SkipReason)
    assert words in found.skip_message


def test_the_end_of_day_waits_for_the_close_and_the_grace(instance):
    early = end_of_day_request(instance, at("2020-03-16T16:30:30"))
    assert isinstance(early, dg.SkipReason)
    assert "closes at 16:00, the end of day is due at 16:31" in early.skip_message
    due = end_of_day_request(instance, at("2020-03-16T16:31:00"))
    assert (due.run_key, due.partition_key) == ("2020-03-16/eod", "2020-03-16")


def test_an_early_close_brings_the_end_of_day_forward(instance):
    before = end_of_day_request(instance, at("2020-11-27T13:30:00"))
    assert "closes at 13:00, the end of day is due at 13:31" in before.skip_message
    assert end_of_day_request(instance, at("2020-11-27T13:31:00")).run_key == "2020-11-27/eod"
    assert due_cuts(at("2020-11-27T15:00:00"))[-1] == "2020-11-27/1300"


def test_later_ticks_of_the_afternoon_do_not_ask_again(instance):
    asked(instance, "2020-03-16/eod")
    found = end_of_day_request(instance, at("2020-03-16T17:05:00"))
    assert "asked for already" in found.skip_message


def test_a_run_that_never_began_does_not_count(instance):
    asked(instance, "2020-03-16/eod", dg.DagsterRunStatus.FAILURE)
    assert end_of_day_request(instance, at("2020-03-16T17:05:00")).run_key == "2020-03-16/eod"


@pytest.mark.parametrize(
    ("time", "last"),
    [("2020-03-20T20:00:00", "2020-03-20"), ("2020-04-10T20:00:00", "2020-04-09"), ("2020-03-19T20:00:00", None)],
    ids=["Friday", "Good Friday", "Thursday"],
)
def test_the_week_ends_with_its_last_session(time, last):
    found = week_is_over(at(time))
    assert (found.isoformat() if found else None) == last


def test_a_played_session_has_its_own_time(tmp_path):
    settings = Settings(tmp_path, tmp_path / "out")
    assert played(settings) is None
    begin = datetime(2020, 3, 24, 13, 29, tzinfo=UTC)
    DeskClock.start(begin, 0.0).write(settings)
    assert desk_now(settings) == begin
    faster = DeskClock(begin.isoformat(), DeskClock.start(begin, 1.0).started - 60, 60.0)
    assert (faster.now() - begin).total_seconds() == pytest.approx(3_600, abs=60)


def test_a_played_session_ends_in_its_evening():
    begin, evening = datetime(2020, 3, 24, 13, 29, tzinfo=UTC), datetime(2020, 3, 24, 21, 30, tzinfo=UTC)
    clock = DeskClock.start(begin, 1e9, evening)
    assert DeskClock(clock.begin, clock.started - 60, clock.speed, clock.until).now() == evening


def test_played_schedules_tick_every_minute_and_others_at_their_times():
    at_desk = {one.name: one.cron_schedule for one in schedules.build(played=False)}
    assert at_desk == {
        "intraday": "*/30 9-16 * * 1-5",
        "end_of_day": "*/5 12-20 * * 1-5",
        "reserve": "0 8 * * 1-5",
        "backtest": "0 20 * * 5",
    }
    assert {one.cron_schedule for one in schedules.build(played=True)[:2]} == {"* * * * *"}


@pytest.mark.parametrize(
    ("place", "time", "keys"),
    [
        (0, "2020-03-16T09:31:00", ["2020-03-16/0930"]),
        (1, "2020-03-16T16:35:00", ["2020-03-16/eod"]),
        (2, "2020-03-16T08:00:00", ["2020-03-13/reserve"]),
        (3, "2020-03-20T20:00:00", ["2020-03-20/backtest"]),
    ],
    ids=["intraday", "end of day", "reserve", "backtest"],
)
def test_every_schedule_evaluates_by_dagster_s_own_means(tmp_path, instance, place, time, keys):
    from orchestration.console.definitions import defs
    from orchestration.console.desk import Desk

    DeskClock.start(at(time), 0.0).write(Settings(tmp_path, tmp_path))
    desk = Desk(home=str(tmp_path), out=str(tmp_path / "out"))
    schedule = schedules.build(played=False)[place]
    repository = defs.get_repository_def()
    with dg.build_schedule_context(instance, resources={"desk": desk}, repository_def=repository) as context:
        found = schedule.evaluate_tick(context)
    assert [one.run_key for one in found.run_requests] == keys
