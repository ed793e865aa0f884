"""Proving a day: replay its cuts in another process, with other poll sizes, and certify that they equal the sealed.

The replay reads raw topics and epochs alone, so it can run beside the live jobs as soon as the day's epochs are closed;
it compares when it is told that the live cuts are sealed. As a program it prints one JSON object a line; it ends with
its caller.
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from orchestration.errors import UserError
from orchestration.process import environment, leave, module_command, say
from orchestration.settings import Settings

EPOCHS_MAX = 3_000
EVENTS_MAX = 40_000
"""Most epochs and events of one step: other numbers than those of the live jobs."""
CERTIFICATE = "certificate.json"
_SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Task:
    """What to prove: versions of cuts in the order of the log, replayed from the state sealed at ``start`` or from the
    beginning."""

    cuts: Sequence[tuple[str, int]]
    start: tuple[str, int] | None = None
    apart: bool = False
    """In several processes: sooner done where nothing else is at work."""

    def encode(self) -> str:
        return orjson.dumps({"cuts": self.cuts, "start": self.start, "apart": self.apart}).decode()

    @classmethod
    def decode(cls, text: str) -> "Task":
        task = orjson.loads(text)
        start = task["start"]
        cuts = [(cut, version) for cut, version in task["cuts"]]
        return cls(cuts, (start[0], start[1]) if start else None, task["apart"])


def certificate(store: Path, cut: str, version: int) -> Mapping | None:
    """The certificate stored beside a cut; None when there is none."""
    path = _path(store, cut, version)
    return orjson.loads(path.read_bytes()) if path.exists() else None


def write_certificate(store: Path, document: Mapping) -> None:
    """Store a certificate's document beside its cut."""
    from streaming.engine.sealing import write_atomically

    content = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    write_atomically(_path(store, document["cut"], document["version"]), content)


def _path(store: Path, cut: str, version: int) -> Path:
    return store / "cuts" / cut / f"v{version}" / CERTIFICATE


class Proof:
    """A process that replays. It begins with its imports, which take seconds, and waits for its task."""

    def __init__(self, settings: Settings):
        settings.scratch.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix="replay-", dir=settings.scratch))
        self._errors = self._scratch / "errors"
        with open(self._errors, "w") as errors:
            self._process = subprocess.Popen(
                module_command(__name__, str(settings.log), str(settings.store), str(self._scratch)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(PYTHONHASHSEED="1"),
            )

    def __enter__(self) -> "Proof":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def begin(self, task: Task) -> None:
        """Give it its task, once."""
        self._tell(task.encode())

    def computed(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Wait until every cut is replayed."""
        for message in self._messages():
            if "computed" in message:
                progress(message["computed"])
            if message.get("waiting"):
                return

    def certificates(self, progress: Callable[[str], None] = lambda _: None) -> list[Mapping]:
        """Say that the live cuts are sealed, and wait for all certificates, in the order of the task."""
        self._tell(_SEALED)
        found = []
        for message in self._messages():
            if "certificate" in message:
                found.append(message["certificate"])
                progress(message["certificate"]["cut"])
        if self._process.wait() != 0:
            raise self._failure()
        return found

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def _messages(self) -> Iterator[Mapping]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield orjson.loads(line)
        if self._process.wait() != 0:
            raise self._failure()

    def _failure(self) -> UserError:
        lines = self._errors.read_text().strip().splitlines()
        return UserError(f"replay: the process ended with code {self._process.wait()}: {lines[-1] if lines else ''}")


@contextmanager
def proving(settings: Settings, task: Task) -> Iterator[Proof]:
    """The replay of a task in a process of its own; it is ended with the block."""
    with Proof(settings) as proof:
        proof.begin(task)
        yield proof


class _Caller:
    """What the caller says, line by line; without its caller this process ends."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        line = ""
        with open(os.dup(0)) as said:  # sys.stdin is closed in forked processes, which would wait for its lock
            for line in said:
                self._lines.put(line.strip())
        if line.strip() != _SEALED:
            os._exit(3)

    def line(self) -> str:
        return self._lines.get()


def main(log_folder: str, store_folder: str, scratch: str) -> None:
    """Wait for the task, replay, wait for the word, certify."""
    caller = _Caller()

    from orchestration.days import marked_cuts
    from orchestration.replaying import replay_apart
    from streaming.apps import chain
    from streaming.engine.epochs import EpochIndex
    from streaming.engine.replay import ReplayLog, certify, replay
    from streaming.engine.sealing import CutStore, gather
    from streaming.log.files import FilesLog

    store, jobs = CutStore(store_folder), chain.jobs()
    task = Task.decode(caller.line())
    log, folder = FilesLog(log_folder), Path(scratch) / "log"
    index = EpochIndex(log)
    by_version = {(cut.id, cut.version): cut.epoch for cut in marked_cuts(index)}
    epochs = [by_version[cut, version] for cut, version in task.cuts]
    start = (store, *task.start) if task.start else None
    computed = []
    run = replay_apart if task.apart else replay
    for replayed in run(log, jobs, epochs, folder, start, EPOCHS_MAX, EVENTS_MAX):
        computed.append(replayed.without_rows())
        say({"computed": replayed.id})
    say({"waiting": True})
    caller.line()
    from_cut = task.start[0] if task.start else ""
    for replayed, (_, version) in zip(computed, task.cuts, strict=True):
        found = certify(store, replayed, version, from_cut)
        if not found.equal:
            found = certify(store, gather(ReplayLog(log, folder), index, jobs, replayed.epoch), version, from_cut)
        document = found.document()
        write_certificate(store.folder, document)
        say({"certificate": document})


if __name__ == "__main__":
    main(*sys.argv[1:])
    leave(0)
