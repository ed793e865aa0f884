"""Cuts as partitions: the exchange's days and nothing else."""

from datetime import date, datetime

import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from orchestration import calendar
from orchestration.calendar import NEW_YORK
from orchestration.console.partitions import (
    FIRST,
    business_days,
    cut_times,
    day_before,
    intraday_cuts,
    intraday_key,
    sessions_until,
)


def keys_at(moment: datetime) -> list[str]:
    return list(business_days.get_partition_keys(current_time=moment))


def the_day_before(day: str) -> list[str]:
    with partition_loading_context(effective_dt=datetime(2021, 1, 4, 12, tzinfo=NEW_YORK)):
        subset = business_days.subset_with_partition_keys([day])
        found = day_before.get_upstream_mapped_partitions_result_for_partitions(subset, business_days, business_days)
    return list(found.partitions_subset.get_partition_keys())


def test_the_partitions_are_the_sessions_of_the_exchange():
    keys = keys_at(datetime(2020, 12, 31, 12, tzinfo=NEW_YORK))
    assert keys == [day.isoformat() for day in calendar.sessions(FIRST, date(2020, 12, 31))]


def test_the_current_day_is_a_partition_before_it_is_over():
    assert keys_at(datetime(2020, 3, 16, 9, 0, tzinfo=NEW_YORK))[-1] == "2020-03-16"


def test_on_a_closed_day_dagster_s_newest_partition_is_one_to_come_so_the_calendar_is_asked():
    good_friday = datetime(2020, 4, 10, 12, tzinfo=NEW_YORK)
    assert keys_at(good_friday)[-1] == "2020-04-13"
    assert calendar.previous_session(good_friday.date()).isoformat() == "2020-04-09"


@pytest.mark.parametrize(
    ("day", "before"),
    [
        ("2020-03-17", ["2020-03-16"]),
        ("2020-03-16", ["2020-03-13"]),
        ("2020-04-13", ["2020-04-09"]),
        ("2020-02-18", ["2020-02-14"]),
        ("2020-11-27", ["2020-11-25"]),
        ("2020-01-02", []),
    ],
    ids=["the day before", "over a weekend", "over Good Friday", "over a Monday off", "Thanksgiving", "the first"],
)
def test_the_end_of_day_depends_on_the_session_before(day, before):
    assert the_day_before(day) == before


def test_a_played_session_is_the_newest_partition_and_the_weeks_before_it_the_others():
    keys = list(
        sessions_until(date(2020, 4, 9)).get_partition_keys(current_time=datetime(2026, 11, 22, tzinfo=NEW_YORK))
    )
    assert (keys[0], keys[-1]) == ("2020-03-19", "2020-04-09")
    assert keys == [day.isoformat() for day in calendar.sessions(date(2020, 3, 19), date(2020, 4, 9))]


def test_intraday_cuts_are_those_of_a_full_session():
    names = list(cut_times.get_partition_keys())
    assert (names[0], names[-1], len(names)) == ("0930", "1600", 14)
    assert names == [mark.cut[11:] for mark in calendar.marks(date(2020, 3, 16)) if mark.cut][:-1]


def test_a_cut_id_names_its_partition():
    key = intraday_key("2020-03-16/1030")
    assert key.keys_by_dimension == {"date": "2020-03-16", "time": "1030"}
    with partition_loading_context(effective_dt=datetime(2020, 3, 17, 12, tzinfo=NEW_YORK)):
        assert intraday_cuts.has_partition_key(key)


@pytest.fixture
def announced(tmp_path, monkeypatch):
    """A calendar with what the exchange announced later."""
    path = tmp_path / "calendar.toml"
    path.write_text(
        '[[closed]]\ndate = 2020-03-16\nreason = "storm"\n\n'
        '[[early_close]]\ndate = 2020-03-17\nat = 13:00:00\nreason = "ceremony"\n'
    )
    monkeypatch.setenv(calendar.OVERRIDES_VARIABLE, str(path))
    calendar.overrides.cache_clear()
    yield
    calendar.overrides.cache_clear()


def test_an_unscheduled_closure_is_no_session(announced):
    assert not calendar.is_session(date(2020, 3, 16))
    assert calendar.previous_session(date(2020, 3, 17)) == date(2020, 3, 13)
    assert date(2020, 3, 16) not in calendar.sessions(date(2020, 3, 13), date(2020, 3, 17))
    with pytest.raises(ValueError, match="found a closed day"):
        calendar.session(date(2020, 3, 16))


def test_an_announced_early_close_ends_the_cuts(announced):
    session = calendar.session(date(2020, 3, 17))
    assert session.close.astimezone(NEW_YORK).strftime("%H:%M") == "13:00"
    cuts = [mark.cut for mark in calendar.marks(date(2020, 3, 17)) if mark.cut]
    assert cuts[-2:] == ["2020-03-17/1300", "2020-03-17/eod"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("closed = 3 =", "calendar"),
        ("[[holiday]]\ndate = 2020-03-16\n", "expected \\[\\[closed\\]\\] and"),
        ('[[closed]]\ndate = "2020-03-16"\nreason = "x"\n', "date: expected a date"),
        ("[[early_close]]\ndate = 2020-03-17\n", "at: expected a time"),
    ],
    ids=["no TOML", "unknown table", "a text for a date", "no time"],
)
def test_a_wrong_override_file_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "calendar.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        calendar.read_overrides(path)


def test_a_day_of_history_has_one_cut_and_the_price_sets_of_a_full_day_s_cuts():
    marks = calendar.history_marks(date(2020, 3, 16))
    full = calendar.marks(date(2020, 3, 16))
    assert [mark.cut for mark in marks if mark.cut] == ["2020-03-16/eod"]
    assert [mark.time for mark in marks] == [mark.time for mark in full if mark.cut]
    assert all(mark.price_set for mark in marks)
