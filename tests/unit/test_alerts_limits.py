"""Limits between cuts reach the outbox from the margin application's live rows, and recover by themselves."""

from datetime import UTC, datetime

import pytest

from orchestration.alerts import desk
from orchestration.pipeline import Home, run_jobs
from orchestration.progress import Silent
from tests.kit.tiny_day import event
from tests.unit import traced_day
from tests.unit.traced_day import DAY, Step

NOON = datetime(DAY.year, DAY.month, DAY.day, 16, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    """A day up to its third price set, with a limit that every account with positions is beyond."""
    limit = {"id": "L", "kind": "limit", "scope": "account:*", "metric": "house_excess", "amber": "1e9", "red": "9e8"}
    limit |= {"owner": "margin desk", "valid_from": "2026-01-01"}
    first, *later = traced_day.steps()
    steps: list[Step] = [([*first[0], ("policies", "", event(**limit))], first[1]), *later[:3]]
    found = traced_day.home_at(tmp_path_factory.mktemp("limits"))
    traced_day.append(found, steps)
    run_jobs(found, Silent())
    return found


def test_live_breaches_become_alerts_once_and_recover_when_they_are_gone(home):
    outbox = desk.outbox_of(home.settings)
    desk.watch_limits(home.settings, NOON)
    (told,) = [message.alert for message in outbox.messages()]
    assert (told.check, told.where, told.found) == ("limits.house_excess.live", DAY.isoformat(), "4 red, 0 amber")
    desk.watch_limits(home.settings, NOON)
    assert len(outbox.messages()) == 1
    over = {"id": "L", "kind": "limit", "scope": "account:*", "metric": "house_excess", "amber": "-8e8", "red": "-9e8"}
    over |= {"owner": "margin desk", "valid_from": "2026-01-01"}
    traced_day.append(home, [([("policies", "", event(**over))], ""), ([], "set")])
    run_jobs(home, Silent())
    desk.watch_limits(home.settings, NOON)
    assert len(outbox.messages()) == 2
    desk.watch_limits(home.settings, NOON)
    assert len(outbox.messages()) == 2
