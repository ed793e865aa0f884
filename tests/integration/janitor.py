"""Ends what a killed session of tests has left running.

``python janitor.py MARK`` waits for the end of its standard input, which the session holds open, and then kills every
process whose environment has the mark: all that the session started, and what that started in turn.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import psutil

MARK = "PLUMBLINE_TEST_SESSION"


@contextmanager
def watched() -> Iterator[None]:
    """What is started inside does not outlive this process, even when that is killed."""
    mark = uuid4().hex
    janitor = subprocess.Popen([sys.executable, __file__, mark], stdin=subprocess.PIPE, start_new_session=True)
    os.environ[MARK] = mark
    try:
        yield
    finally:
        del os.environ[MARK]
        janitor.kill()
        janitor.communicate()


def marked(mark: str) -> Iterator[psutil.Process]:
    """The living processes with the mark."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # gone, or another user's
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                yield process


def main(mark: str) -> None:
    """Wait for the session's end, then leave nothing of it."""
    sys.stdin.buffer.read()
    while found := list(marked(mark)):  # one may have started another while we looked
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=2)


if __name__ == "__main__":
    main(sys.argv[1])
