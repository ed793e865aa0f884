"""A replay in several processes: the shards of the jobs are dealt to them, and meet on the replay's scratch log.

They are forked from the caller, who has imported what they need and read the epochs.
"""

import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from orchestration.errors import UserError
from streaming.engine.app import Job
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.replay import ReplayLog, gather, replay_host, replay_log
from streaming.engine.sealing import Cut, CutStore
from streaming.log.files import FilesLog

_IDLE_S = 0.01
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
    """As :func:`streaming.engine.replay.replay`; UserError when a process is lost. To be called where nothing else runs
    yet: no thread outlives a fork."""
    mine, index = replay_log(log, jobs, scratch), EpochIndex(log)
    index.refresh()
    shards = [(job, shard) for job in jobs for shard in job.shards(log.topics()["trades"])]
    count = min(len(shards), _PER_CORE * len(os.sched_getaffinity(0)))

    def work(dealt: Sequence[tuple[Job, int]]) -> None:
        own = ReplayLog(FilesLog(log.folder), scratch)
        hosts = [replay_host(own, index, job, shard, start) for job, shard in dealt]
        while any(host.epoch <= cuts[-1].number for host in hosts):
            if not sum(host.step(cuts[-1].number, epochs_max, events_max) for host in hosts):
                time.sleep(_IDLE_S)

    with _processes([partial(work, shards[place::count]) for place in range(count)], scratch) as check:
        for epoch in cuts:
            while not all(_passed(mine, index, f"{job.name}-{shard}", epoch) for job, shard in shards):
                check()
                time.sleep(_IDLE_S)
            yield gather(mine, index, jobs, epoch)


def _passed(mine: ReplayLog, index: EpochIndex, name: str, epoch: Epoch) -> bool:
    progress = mine.progress_of(name).get((EPOCHS, 0))
    return progress is not None and index.number_at(progress) > epoch.number


@contextmanager
def _processes(works: Sequence[Callable[[], None]], scratch: Path) -> Iterator[Callable[[], None]]:
    """A process for each, ended with the block; gives what raises UserError once one of them is lost."""
    context = multiprocessing.get_context("fork")
    running: list[tuple[BaseProcess, Path]] = []

    def check() -> None:
        for process, errors in running:
            if process.exitcode not in (None, 0):
                last = errors.read_text().strip().splitlines()[-1:] if errors.exists() else []
                raise UserError(f"replay: a process ended with code {process.exitcode}: {''.join(last)}")

    try:
        for place, work in enumerate(works):
            errors = scratch / f"errors-{place}"
            started = context.Process(target=_be_process, args=(work, errors), daemon=True)
            started.start()
            running.append((started, errors))
        yield check
    finally:
        for process, _ in running:
            process.kill()
            process.join()


def _be_process(work: Callable[[], None], errors: Path) -> None:
    """Be a process of a replay; it ends with its caller."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        work()
    except BaseException:
        errors.write_text(traceback.format_exc())
        os._exit(1)


def _end_with_caller() -> None:
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os._exit(3)
