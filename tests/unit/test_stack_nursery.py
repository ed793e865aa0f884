"""Workers forked from a process that has imported their code: with their own settings, and never with old code."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from orchestration.stack.nursery import Nursery

TOY = """
import os, sys, time
IMPORTED_BY = os.getpid()

def main(argv):
    with open(os.environ["TOLD"], "w") as file:
        file.write(f"{IMPORTED_BY} {os.getpid()} {os.environ['NAME']} {argv}")
    if os.environ["NAME"] == "sleeper":
        time.sleep(600)
"""


def wait_for(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "toy_worker.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    return folder


@pytest.fixture
def nursery(code: Path) -> Iterator[Nursery]:
    made = Nursery("toy_worker", ("no_such_module",), code)  # what is missing is the worker's own affair
    yield made
    made.close()
    wait_for(made.reap)


def told(nursery: Nursery, name: str, folder: Path) -> tuple[int, list[str]]:
    """The worker's pid, and what it says."""
    path = folder / f"{name}.txt"
    pid = nursery.fork({"NAME": name, "TOLD": str(path)})
    assert pid is not None
    wait_for(lambda: path.is_file() and path.read_text())
    return pid, path.read_text().split(maxsplit=3)


def test_each_worker_is_a_fork_with_its_own_settings_and_is_reaped(nursery: Nursery, tmp_path: Path) -> None:
    pids = []
    for name in ("one", "two"):
        pid, (imported_by, worker, named, argv) = told(nursery, name, tmp_path)
        assert (int(worker), named, argv) == (pid, name, "['toy_worker']")
        pids.append((int(imported_by), pid))
    (first, one), (second, two) = pids
    assert first == second, "imported once"
    assert len({first, one, two}) == 3
    wait_for(lambda: not psutil.pid_exists(one) and not psutil.pid_exists(two))


def test_changed_code_is_never_forked_and_former_workers_live_on(nursery: Nursery, code: Path, tmp_path: Path) -> None:
    sleeper, _ = told(nursery, "sleeper", tmp_path)
    (code / "rules.toml").write_text("haircut = 1")
    assert nursery.fork({"NAME": "late", "TOLD": str(tmp_path / "late.txt")}) is None
    nursery.close()
    assert psutil.pid_exists(sleeper)
    assert not nursery.reap(), "it stays for its worker"
    psutil.Process(sleeper).kill()
    wait_for(nursery.reap)


def test_a_nursery_that_died_says_so(nursery: Nursery, tmp_path: Path) -> None:
    told(nursery, "one", tmp_path)
    nursery._process.kill()
    with pytest.raises(RuntimeError, match="the nursery of workers died: exit code -9"):
        nursery.fork({"NAME": "two", "TOLD": str(tmp_path / "two.txt")})
