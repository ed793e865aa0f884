"""The small day, run once for each process of the tests."""

import subprocess

import pytest

from tests.kit.small_day import SMALL, Desk


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Desk, subprocess.CompletedProcess]:
    """The small day, run once."""
    desk = Desk(tmp_path_factory.mktemp("small"))
    return desk, desk.call("demo", *SMALL)


@pytest.fixture
def desk(finished) -> Desk:
    done, ended = finished
    assert ended.returncode == 0, ended.stderr
    return done
