"""The small day killed with SIGKILL at random moments, and started again."""

import random
import subprocess

import pytest

from tests.kit.small_day import BOOKS, SMALL, TIME_MAX_S, Desk

pytestmark = pytest.mark.timeout(TIME_MAX_S)


@pytest.mark.parametrize("kills", [20, pytest.param(50, marks=pytest.mark.soak)])
def test_a_day_killed_again_and_again_ends_with_the_same_cuts_and_workbooks(desk, tmp_path, kills):
    other, moments = Desk(tmp_path), random.Random(kills)
    for _ in range(kills):
        with other.start("demo", *SMALL) as process:
            with pytest.raises(subprocess.TimeoutExpired):  # it never comes to its end: the proof alone takes longer
                process.communicate(timeout=moments.uniform(1.0, 5.0))
            process.kill()
    ended = other.call("demo", *SMALL)
    assert ended.returncode == 0, ended.stderr
    assert other.manifests() == desk.manifests()
    assert {book: (other.published / book).read_bytes() for book in BOOKS} == {
        book: (desk.published / book).read_bytes() for book in BOOKS
    }
    assert len(other.call("ledger", "list", "--kind", "publication").stdout.splitlines()) == 1
