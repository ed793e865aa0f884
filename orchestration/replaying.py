"""A replay in as many processes as there are cores: the shards of the jobs are dealt to them, and meet on the replay's
scratch log.

As a program it replays some shards up to an epoch; it ends with its caller.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson

from orchestration.errors import UserError
from orchestration.process import end_with_caller, environment, leave, module_command
from streaming.apps import chain
from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.replay import ReplayLog, replay_host, replay_log
from streaming.engine.sealing import Cut, CutStore, gather
from streaming.log.files import FilesLog

_IDLE_S = 0.05


def replay_apart(
    log: FilesLog,
    jobs: Sequence[Job],
    cuts: Sequence[Epoch],
    scratch: Path,
    start: tuple[CutStore, str, int] | None = None,
    epochs_max: int = 3_000,
    events_max: int = 20_000,
) -> Iterator[Cut]:
    """As :func:`streaming.engine.replay.replay`, of the default deployment's jobs. UserError when a process is lost."""
    mine, index = replay_log(log, jobs, scratch), EpochIndex(log)
    index.refresh()
    begin = (str(start[0].folder.absolute()), *start[1:]) if start else None
    shared = [str(log.folder.absolute()), str(scratch.absolute()), begin, cuts[-1].number, epochs_max, events_max]
    shards = [(job.name, shard) for job in jobs for shard in job.shards(log.topics()["trades"])]
    count = len(os.sched_getaffinity(0))
    dealt = [some for some in (shards[place::count] for place in range(count)) if some]
    with _processes([orjson.dumps([*shared, some]).decode() for some in dealt], scratch) as check:
        for epoch in cuts:
            while not all(_passed(mine, index, f"{job}-{shard}", epoch) for job, shard in shards):
                check()
                time.sleep(_IDLE_S)
            yield gather(mine, index, jobs, epoch)


def _passed(mine: ReplayLog, index: EpochIndex, name: str, epoch: Epoch) -> bool:
    progress = mine.progress_of(name).get((EPOCHS, 0))
    return progress is not None and index.number_at(progress) > epoch.number


@contextmanager
def _processes(tasks: Sequence[str], scratch: Path) -> Iterator[Callable[[], None]]:
    """A process for each task, ended with the block; gives what raises UserError once one of them is lost."""
    running: list[tuple[subprocess.Popen, IO[str]]] = []

    def check() -> None:
        for process, errors in running:
            if process.poll() not in (None, 0):
                errors.seek(0)
                last = errors.read().strip().splitlines()[-1:]
                raise UserError(f"replay: a process ended with code {process.returncode}: {''.join(last)}")

    try:
        for place, task in enumerate(tasks):
            said = (scratch / f"errors-{place}").open("w+")
            command = module_command(__name__, task)
            running.append((subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, env=environment()), said))
        yield check
    finally:
        for process, errors in running:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
            errors.close()


def main(task: str) -> None:
    """Replay some shards."""
    end_with_caller()
    log_folder, scratch, start, through, epochs_max, events_max, shards = orjson.loads(task)
    log = FilesLog(log_folder)
    mine, index = ReplayLog(log, Path(scratch)), EpochIndex(log)
    begin = (CutStore(start[0]), start[1], start[2]) if start else None
    hosts = [replay_host(mine, index, chain.job(job), shard, begin) for job, shard in shards]
    while any(host.epoch <= through for host in hosts):
        if not sum(host.step(through, epochs_max, events_max) for host in hosts):
            time.sleep(_IDLE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
    leave(0)
