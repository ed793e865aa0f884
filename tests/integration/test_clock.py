"""The clock and a requested cut as commands on Kafka."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from programs import command
from stack_fixture import RunningStack
from waiting import wait_for

from orchestration.cli import plumbline
from orchestration.jobs.control import Cluster
from streaming.apps import chain
from streaming.engine.epochs import EpochIndex

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]


def test_a_cut_is_asked_for_while_the_clock_runs_and_a_second_clock_fences_the_first(
    stack: RunningStack, tmp_path: Path
) -> None:
    cluster = Cluster(stack.data, f"{uuid4().hex[:8]}.")
    at = ["--data", str(stack.data), "--prefix", cluster.prefix]
    log = cluster.log()
    log.create(chain.topics())
    index = EpochIndex(log)

    with command("jobs", "clock", *at, output=tmp_path / "first") as first:
        wait_for("the first epochs", lambda: index.refresh() > 2, found=(tmp_path / "first").read_text)
        asked = CliRunner().invoke(plumbline, ["jobs", "cut", *at], catch_exceptions=False)
        assert asked.exit_code == 0, asked.output
        assert re.fullmatch(r"\d{4}-\d\d-\d\d/request-0\n", asked.output)
        index.refresh()
        (marked,) = (epoch for epoch in index.marked_cuts() if epoch.cut == asked.output.strip())
        assert marked.price_set
        with command("jobs", "clock", *at, output=tmp_path / "second") as second:
            code = wait_for("the end of the fenced clock", first.poll, found=(tmp_path / "second").read_text)
            assert code != 0
            assert "writer clock: was taken over" in (tmp_path / "first").read_text()
            fenced_at = index.refresh()
            wait_for("epochs of the second clock", lambda: index.refresh() > fenced_at + 2)
            assert second.poll() is None
    assert [index[number].number for number in range(index.end)] == list(range(index.end))
    log.close()
