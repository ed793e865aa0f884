"""A replay in several processes: the shards of the jobs are dealt to them, and meet on the replay's scratch log.

The processes are forked from one that has imported what they need.
"""

import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from orchestration.errors import UserError
from streaming.apps import chain
from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.replay import ReplayLog, gather, replay_host, replay_log
from streaming.engine.sealing import Cut, CutStore
from streaming.log.files import FilesLog

_IDLE_S = 0.05
_PER_CORE = 2
"""Processes: shards wait for those upstream, and differ in work."""


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
    begin = (start[0].folder.absolute(), *start[1:]) if start else None
    shards = [(job.name, shard) for job in jobs for shard in job.shards(log.topics()["trades"])]
    count = min(len(shards), _PER_CORE * len(os.sched_getaffinity(0)))
    parts = [
        _Part(log.folder.absolute(), scratch.absolute(), begin, cuts[-1].number, epochs_max, events_max, dealt)
        for dealt in (shards[place::count] for place in range(count))
    ]
    with _processes(parts) as check:
        for epoch in cuts:
            while not all(_passed(mine, index, f"{job}-{shard}", epoch) for job, shard in shards):
                check()
                time.sleep(_IDLE_S)
            yield gather(mine, index, jobs, epoch)


def _passed(mine: ReplayLog, index: EpochIndex, name: str, epoch: Epoch) -> bool:
    progress = mine.progress_of(name).get((EPOCHS, 0))
    return progress is not None and index.number_at(progress) > epoch.number


@dataclass(frozen=True, slots=True)
class _Part:
    """What one process replays."""

    log: Path
    scratch: Path
    start: tuple[Path, str, int] | None
    through: int
    epochs_max: int
    events_max: int
    shards: Sequence[tuple[str, int]]
    """Jobs and their shards."""


@contextmanager
def _processes(parts: Sequence[_Part]) -> Iterator[Callable[[], None]]:
    """A process for each part, ended with the block; gives what raises UserError once one of them is lost."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    running: list[tuple[BaseProcess, Path]] = []

    def check() -> None:
        for process, errors in running:
            if process.exitcode not in (None, 0):
                last = errors.read_text().strip().splitlines()[-1:] if errors.exists() else []
                raise UserError(f"replay: a process ended with code {process.exitcode}: {''.join(last)}")

    try:
        for place, part in enumerate(parts):
            errors = part.scratch / f"errors-{place}"
            started = context.Process(target=_replay, args=(part, errors), daemon=True)
            started.start()
            running.append((started, errors))
        yield check
    finally:
        for process, _ in running:
            process.kill()
            process.join()


def _replay(part: _Part, errors: Path) -> None:
    """Be a process of a replay; it ends with its caller."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        log = FilesLog(part.log)
        mine, index = ReplayLog(log, part.scratch), EpochIndex(log)
        start = (CutStore(part.start[0]), *part.start[1:]) if part.start else None
        hosts = [replay_host(mine, index, chain.job(job), shard, start) for job, shard in part.shards]
        while any(host.epoch <= part.through for host in hosts):
            if not sum(host.step(part.through, part.epochs_max, part.events_max) for host in hosts):
                time.sleep(_IDLE_S)
    except BaseException:
        errors.write_text(traceback.format_exc())
        os._exit(1)


def _end_with_caller() -> None:
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os._exit(3)
