"""A day that another process generates is the day that this one would, and its loss is said in one line."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration import generated
from orchestration.errors import UserError
from orchestration.feeding import Feeding
from orchestration.live import LoopJobs
from orchestration.pipeline import Home
from orchestration.progress import Silent
from orchestration.settings import Settings
from streaming.demo import DaySpec
from streaming.log.files import FilesLog
from streaming.schema.raw import EPOCHS, FEEDS

SPEC = DaySpec(accounts=4, trades=200, prices=0)


class Counting(Silent):
    """A stage that counts its steps."""

    steps, finished = 0, False

    def advance(self, steps: int = 1) -> None:
        self.steps += steps

    def finish(self, note: str = "") -> None:
        self.finished = True


def prepared(folder: Path, spec: DaySpec = SPEC) -> Settings:
    settings = Settings(folder / "home", folder / "out")
    generated.prepare(settings, spec)
    return settings


def content(log: FilesLog) -> dict:
    places = [(topic.name, p) for topic in (*FEEDS, EPOCHS) for p in range(log.topics()[topic.name])]
    return {place: log.read(*place, 0, log.end(*place)).payloads for place in places}


def waited_for(growing: Feeding) -> None:
    while growing.goes_on():
        time.sleep(0.01)


def test_the_log_is_that_of_this_process_and_the_jobs_follow_it(tmp_path):
    here, there = prepared(tmp_path / "here"), prepared(tmp_path / "there")
    generated.feed_generated(here, SPEC, lambda _: None)
    stage = Counting()
    with Feeding(there, stage) as growing:
        home = Home.open(there)
        jobs = LoopJobs(home.log, home.index)
        jobs.follow(growing)
        jobs.finish(Silent())
    assert content(home.log) == content(generated.open_log(here))
    assert stage.finished
    places = [(topic.name, p) for topic in FEEDS for p in range(home.log.topics()[topic.name])]
    assert stage.steps == sum(home.log.end(*place) for place in places)
    assert home.log.end("capital.sealed", 0) > 0


def test_a_day_that_cannot_be_generated_is_refused_before_anything_follows_it(tmp_path):
    settings = prepared(tmp_path, DaySpec(date=SPEC.date.replace(day=15), accounts=4, trades=200, prices=0))
    with pytest.raises(UserError, match="2020-03-15"), Feeding(settings, Silent()):
        pytest.fail("expected the day to be refused")


def test_a_lost_process_is_an_error_and_the_next_goes_on_where_it_stopped(tmp_path):
    spec = replace(SPEC, prices=50_000)  # longer than it takes to end it
    settings = prepared(tmp_path, spec)
    with Feeding(settings, Silent()) as lost:
        os.kill(lost.pid, signal.SIGKILL)
        with pytest.raises(UserError, match="generate: the process ended with code -9"):
            waited_for(lost)
    with Feeding(settings, Silent()) as growing:
        waited_for(growing)
    assert generated.marked_at_end(generated.open_log(settings), spec)


def test_the_process_ends_with_its_caller(tmp_path):
    settings = prepared(tmp_path)
    command = [sys.executable, "-m", "orchestration.feeding", str(settings.home), str(settings.out)]
    caller = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert caller.stdin is not None
    caller.stdin.close()
    assert caller.wait(timeout=60) == 3
