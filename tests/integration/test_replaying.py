"""A replay in several processes is the replay in one; a process that fails is said in one line."""

from pathlib import Path

import pytest

from orchestration.days import marked_cuts
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.replaying import replay_apart
from streaming.apps import chain
from tests.unit.traced_day import DAY, sealed_day


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return sealed_day(tmp_path_factory.mktemp("day"))[0]


def test_every_cut_has_the_digests_that_were_sealed(home: Home, tmp_path: Path):
    cuts = marked_cuts(home.index, DAY)
    found = list(replay_apart(home.log, chain.jobs(), [cut.epoch for cut in cuts], tmp_path))
    assert len(found) == len(cuts) > 1
    for again, cut in zip(found, cuts, strict=True):
        sealed = home.sealed(cut).manifest
        assert again.state_digests == sealed["states"]
        assert again.digests == {name: table["digest"] for name, table in sealed["tables"].items()}


def test_it_can_start_from_a_sealed_cut(home: Home, tmp_path: Path):
    first, *_, last = marked_cuts(home.index, DAY)
    (again,) = replay_apart(home.log, chain.jobs(), [last.epoch], tmp_path, (home.store, first.id, first.version))
    assert again.state_digests == home.sealed(last).manifest["states"]


def test_a_process_that_fails_is_named(home: Home, tmp_path: Path):
    epochs = [cut.epoch for cut in marked_cuts(home.index, DAY)]
    unknown = (home.store, f"{DAY}/0123", 1)
    with pytest.raises(UserError, match="replay: a process ended with code 1: .*2020-03-16/0123"):
        list(replay_apart(home.log, chain.jobs(), epochs, tmp_path, unknown))
