"""A replay in several processes, each shard of each job in one of its own: they meet on the replay's scratch log.

As a program it replays one shard up to an epoch; it ends with its caller.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson

from orchestration.errors import UserError
from orchestration.process import environment, leave, module_command
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
    tasks = {
        f"{job.name}-{shard}": orjson.dumps([*shared, job.name, shard]).decode()
        for job in jobs
        for shard in job.shards(log.topics()["trades"])
    }
    with _processes(tasks, scratch) as check:
        for epoch in cuts:
            while not all(_passed(mine, index, name, epoch) for name in tasks):
                check()
                time.sleep(_IDLE_S)
            yield gather(mine, index, jobs, epoch)


def _passed(mine: ReplayLog, index: EpochIndex, name: str, epoch: Epoch) -> bool:
    progress = mine.progress_of(name).get((EPOCHS, 0))
    return progress is not None and index.number_at(progress) > epoch.number


@contextmanager
def _processes(tasks: Mapping[str, str], scratch: Path) -> Iterator[Callable[[], None]]:
    """A process for each task, ended with the block; gives what raises UserError once one of them is lost."""
    running: dict[str, tuple[subprocess.Popen, IO[str]]] = {}

    def check() -> None:
        for name, (process, errors) in running.items():
            if process.poll() not in (None, 0):
                errors.seek(0)
                last = errors.read().strip().splitlines()[-1:]
                raise UserError(f"replay of {name}: the process ended with code {process.returncode}: {''.join(last)}")

    try:
        for name, task in tasks.items():
            said = (scratch / f"{name}.errors").open("w+")
            command = module_command(__name__, task)
            running[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, env=environment()), said
        yield check
    finally:
        for process, errors in running.values():
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
            errors.close()


def _end_with_caller() -> None:
    sys.stdin.read()
    os._exit(3)


def main(task: str) -> None:
    """Replay one shard."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    log_folder, scratch, start, through, epochs_max, events_max, job, shard = orjson.loads(task)
    log = FilesLog(log_folder)
    index = EpochIndex(log)
    begin = (CutStore(start[0]), start[1], start[2]) if start else None
    host = replay_host(ReplayLog(log, Path(scratch)), index, chain.job(job), shard, begin)
    while host.epoch <= through:
        if not host.step(through, epochs_max, events_max):
            time.sleep(_IDLE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
    leave(0)
