"""A process that has imported what Python workers need, and forks one for each that is asked for.

Importing takes ten seconds of a core, a fork hardly any: so a worker that died is back at once, and workers share the
memory of what they imported. No client, thread pool or model is started before the fork.

``python -m orchestration.stack.nursery CODE WORKER MODULE...`` reads one request a line, the worker's environment as
JSON, and answers each with a line: ``{"pid": 123}``, or ``{"stale": true}`` once a file under the folder CODE has
changed since the modules were imported: then a new nursery is wanted. It ends when its input has ended and its last
worker with it.
"""

import gc
import importlib
import json
import logging
import os
import select
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import streaming

WORKER = "apache_beam.runners.worker.sdk_worker_main"
IMPORTED = ("streaming.engine.beam", "streaming.log.kafka", "streaming.apps.chain")
CODE = Path(streaming.__file__).parent
REAP_INTERVAL_S = 0.2

_log = logging.getLogger(__name__)


class Nursery:
    """The process, as the worker pool has it. A worker is a module's ``main``, called with the arguments."""

    def __init__(self, worker: str = WORKER, imported: Sequence[str] = IMPORTED, code: Path = CODE) -> None:
        argv = [sys.executable, "-m", "orchestration.stack.nursery", str(code), worker, *imported]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def fork(self, settings: Mapping[str, str]) -> int | None:
        """The pid of a new worker with these settings in its environment; None where the nursery's code is stale.

        Raises:
            RuntimeError: the nursery has died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(dict(settings)) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"the nursery of workers died: exit code {self._process.wait()}")
        found: dict[str, Any] = json.loads(answer)
        return found.get("pid")

    def close(self) -> None:
        """Ask for no more workers; those there are live on."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died with a request not read
            self._process.stdin.close()

    def reap(self) -> bool:
        """Whether it has ended, and is no zombie any more."""
        return self._process.poll() is not None


def code_mark(folder: Path) -> int:
    """Changes with every file of the folder, code or package data."""
    files = (path for path in folder.rglob("*") if path.parent.name != "__pycache__" and path.is_file())
    return hash(tuple(sorted((str(path), (found := path.stat()).st_mtime_ns, found.st_size) for path in files)))


def main(code: Path, worker: str, imported: Sequence[str]) -> None:
    """Import, then fork as asked until the input ends and all workers have."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-5s %(name)s %(message)s")
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a worker prints belongs in the log
    mark = code_mark(code)
    for module in (worker, *imported):
        try:
            importlib.import_module(module)
        except Exception:
            _log.exception("%s: not imported; its workers will say so", module)
    gc.freeze()  # collecting would copy the shared pages
    open_ = True
    while open_ or _has_children():
        if open_ and select.select([requests], [], [], REAP_INTERVAL_S)[0]:
            line = requests.readline()
            open_ = bool(line)
            if line and code_mark(code) != mark:
                os.write(answers, b'{"stale": true}\n')
            elif line:
                pid = _fork(worker, json.loads(line), private=(requests.fileno(), answers))
                os.write(answers, b'{"pid": %d}\n' % pid)
        elif not open_:
            select.select([], [], [], REAP_INTERVAL_S)
        _reap()


def _fork(worker: str, settings: Mapping[str, str], private: Sequence[int]) -> int:
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        for descriptor in private:
            os.close(descriptor)
        _work(worker, settings)
    return pid


def _work(worker: str, settings: Mapping[str, str]) -> NoReturn:
    """Be the worker's program, and end as it does."""
    os.environ.update(settings)
    logging.getLogger().handlers.clear()  # the program sets its own
    code = 1
    try:
        importlib.import_module(worker).main([worker])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _log.info("worker process %d ended: exit code %d", pid, os.waitstatus_to_exitcode(status))


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
