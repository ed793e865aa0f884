"""The small day killed with SIGKILL at random moments, and started again."""

import os
import random
import subprocess

import pytest

from tests.kit.small_day import BOOKS, SMALL, TIME_MAX_S, Desk

KILLS = int(os.environ.get("KILLS", "50"))


@pytest.mark.parametrize(
    ("kills", "latest_s"),
    [
        pytest.param(20, 5.0, marks=pytest.mark.timeout(TIME_MAX_S)),  # it never comes to its end: the proof is longer
        pytest.param(KILLS, 40.0, marks=[pytest.mark.soak, pytest.mark.timeout(TIME_MAX_S + 90 * KILLS)]),  # anywhere
    ],
)
def test_a_day_killed_again_and_again_ends_with_the_same_cuts_and_workbooks(desk, tmp_path, kills, latest_s):
    moments, left = random.Random(kills), kills
    while left:
        other = Desk(tmp_path / f"{left}-left")
        other.folder.mkdir()
        left -= killed(other, moments, left, latest_s)
        ended = other.call("demo", *SMALL)
        assert ended.returncode == 0, ended.stderr
        assert other.manifests() == desk.manifests()
        assert {book: (other.published / book).read_bytes() for book in BOOKS} == {
            book: (desk.published / book).read_bytes() for book in BOOKS
        }
        assert len(other.call("ledger", "list", "--kind", "publication").stdout.splitlines()) == 1


def killed(desk: Desk, moments: random.Random, most: int, latest_s: float) -> int:
    """How often the day was killed: until it came to its end before the moment chosen, and at most so often."""
    for kills in range(most):
        with desk.start("demo", *SMALL) as process:
            try:
                process.communicate(timeout=moments.uniform(1.0, latest_s))
            except subprocess.TimeoutExpired:
                process.kill()
            else:
                assert process.returncode == 0
                return kills
    return most
