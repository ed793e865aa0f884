"""Log files of bounded size that their writers never reopen, and reading them from the end."""

import shutil
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.3


def limit_size(path: Path, limit_bytes: int) -> bool:
    """Move a log over its limit aside, keeping one older file; return whether it was.

    The writers append, so they go on at the start of the emptied file; a line written in between is lost.
    """
    try:
        if path.stat().st_size <= limit_bytes:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(path, path.with_suffix(".log.1"))
    with path.open("r+b") as log:
        log.truncate(0)
    return True


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log; none where there is no such file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            return [line.rstrip("\n") for line in deque(log, maxlen=count)]
    except FileNotFoundError:
        return []


def follow(path: Path) -> Iterator[str]:
    """Yield the lines appended to a log from now on, for as long as the caller asks."""
    with path.open(encoding="utf-8", errors="replace") as log:
        log.seek(0, 2)
        while True:
            line = log.readline()
            if line:
                yield line.rstrip("\n")
            else:
                if log.tell() > path.stat().st_size:  # moved aside
                    log.seek(0)
                time.sleep(POLL_S)
