"""The clock and a requested cut as commands on Kafka."""

import re
import time
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
from streaming.log import Record

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]


def test_a_cut_is_asked_for_while_the_clock_runs_and_a_second_clock_fences_the_first(
    stack: RunningStack, tmp_path: Path
) -> None:
    cluster = Cluster(stack.data, f"{uuid4().hex[:8]}.")
    at = ["--data", str(stack.data), "--prefix", cluster.prefix]
    log = cluster.log()
    log.create(chain.topics())
    index = EpochIndex(log)

    writer = log.writer("feeding")

    def arrive() -> None:
        """So that there is an epoch to close, at any hour."""
        writer.commit([Record("cash", 0, b"{}", time.time_ns() // 1000)])

    arrive()
    with command("jobs", "clock", *at, output=tmp_path / "first") as first:
        wait_for("the first epoch", index.refresh, found=(tmp_path / "first").read_text)
        asked = CliRunner().invoke(plumbline, ["jobs", "cut", *at], catch_exceptions=False)
        assert asked.exit_code == 0, asked.output
        assert re.fullmatch(r"\d{4}-\d\d-\d\d/request-0\n", asked.output)
        index.refresh()
        (marked,) = (epoch for epoch in index.marked_cuts() if epoch.cut == asked.output.strip())
        assert marked.price_set
        with command("jobs", "clock", *at, output=tmp_path / "second") as second:
            wait_for("the fenced clock's end", lambda: arrive() or first.poll(), found=(tmp_path / "second").read_text)
            assert "writer clock: was taken over" in (tmp_path / "first").read_text()
            closed_before = index.refresh()
            arrive()
            wait_for("the second clock to go on", lambda: index.refresh() > closed_before)
            assert second.poll() is None
    assert [index[number].number for number in range(index.end)] == list(range(index.end))
    writer.close()
    log.close()
