"""The in-process engine as a process: plays a generated session by the desk clock, and hosts the live jobs.

It appends what has arrived by now, closes the epochs, and lets every shard of every job apply them; it seals and
publishes nothing, which is Dagster's part. Killed at any moment and started again it goes on where its log stands.
``python -m orchestration.console.player HOME OUT DATE``; it ends when the file that wants it is gone.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

import orjson

from orchestration import calendar
from orchestration.console.clock import desk_now
from orchestration.console.desk import streams_alive, streams_lock
from orchestration.console.standing import heartbeat_file, wanted_file
from orchestration.errors import UserError
from orchestration.process import environment, module_command
from orchestration.settings import Settings
from streaming.engine.sealing import write_atomically

STEP = timedelta(seconds=30)
"""Arrival time that is appended at once."""
_IDLE_S = 0.2
_START_S = 60.0
_STOP_S = 60.0


def start(settings: Settings, desk: Settings, day: date) -> int:
    """Start the engine of a day's home, unless it runs; returns its process id. ``desk`` has the clock."""
    wanted_file(settings).touch()
    if streams_alive(settings):
        return int(streams_lock(settings).read_text() or 0)
    command = module_command(__name__, str(settings.home), str(settings.out), str(desk.home), day.isoformat())
    with open(settings.home / "streams.log", "ab") as log:
        engine = subprocess.Popen(command, env=environment(), stdout=log, stderr=log, start_new_session=True)
    _until(lambda: streams_alive(settings), _START_S, f"{settings.home}: expected the engine to start")
    return engine.pid


def stop(settings: Settings) -> None:
    """Let the engine end after what it is doing: everything it applied is committed."""
    wanted_file(settings).unlink(missing_ok=True)
    _until(lambda: not streams_alive(settings), _STOP_S, f"{settings.home}: expected the engine to stop")


def _until(reached, seconds: float, words: str) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise UserError(f"{words} within {seconds:.0f} s; see streams.log there")
        time.sleep(_IDLE_S)


@contextmanager
def _alive(settings: Settings) -> Iterator[None]:
    """Hold the lock that says so. UserError when another engine has it."""
    with open(streams_lock(settings), "a+") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{settings.home}: expected no other engine, found one at work") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def play(settings: Settings, desk: Settings, day: date) -> None:
    """Until nobody wants it any more."""
    from orchestration.generated import spec_of
    from orchestration.live import LoopJobs
    from orchestration.pipeline import Home

    with settings.locked(), _alive(settings):
        home = Home.open(settings)
        session = _Session(settings, day, spec_of(settings))
        jobs = LoopJobs(home.log, home.index)
        while wanted_file(settings).exists():
            moved = session.advance(desk_now(desk))
            last = home.index.refresh() - 1
            while last >= 0 and jobs.step(last):
                pass  # until no shard moves: a job that takes sealed tables waits for the next cut
            _beat(settings, last)
            if not moved:
                time.sleep(_IDLE_S)


class _Session:
    """The events of a generated day, appended as the desk clock reaches them."""

    def __init__(self, settings: Settings, day: date, spec):
        from orchestration.generated import announced, open_log
        from streaming.demo import generate

        self._log, self._day, self._versions = open_log(settings), day, announced(spec)
        self._chunks = generate(spec, every=STEP)
        self._next = next(self._chunks, None)
        self._end = calendar.session(day).end_of_day

    def advance(self, now: datetime) -> bool:
        """Append and close what has arrived by ``now``; whether there was anything."""
        from orchestration.feed import Clock, feed

        at, moved = calendar.microseconds(now), False
        while self._next is not None and self._next.end <= at:
            feed(self._log, self._day, [self._next], self._versions, ends=False)
            self._next, moved = next(self._chunks, None), True
        Clock(self._log, self._day, self._versions).advance(min(at, calendar.microseconds(self._end)))
        return moved


def _beat(settings: Settings, epoch: int) -> None:
    beat = {"committed": datetime.now(UTC).timestamp(), "epoch": epoch, "process": os.getpid()}
    write_atomically(heartbeat_file(settings), orjson.dumps(beat))


def main(home: str, out: str, desk: str, day: str) -> None:
    settings = Settings(Path(home), Path(out))
    signal.signal(signal.SIGTERM, lambda *_: wanted_file(settings).unlink(missing_ok=True))
    play(settings, Settings(Path(desk), Path(out)), date.fromisoformat(day))


if __name__ == "__main__":
    main(*sys.argv[1:])
