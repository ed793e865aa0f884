"""The fixture of the real stack never lets CI pass without it, and nothing outlives its session."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import janitor
import psutil
import pytest
from stack_fixture import require_tools
from waiting import wait_for

SESSION = """
import subprocess, sys, time
import janitor
with janitor.watched():
    server = [sys.executable, "-c", "import time; time.sleep(600)"]
    print(subprocess.Popen(server, start_new_session=True).pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.mark.usefixtures("no_java")
def test_without_java_the_stack_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="the real stack is not tested here: Java is missing"):
        require_tools()


@pytest.mark.usefixtures("no_java")
def test_without_java_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI must test the real stack: Java is missing"):
        require_tools()


@pytest.fixture
def session() -> Iterator[tuple[subprocess.Popen, psutil.Process]]:
    """A session that never ends by itself, and a server that it started."""
    folder = Path(janitor.__file__).parent
    with subprocess.Popen([sys.executable, "-c", SESSION], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            server = psutil.Process(int(process.stdout.readline()))
            assert server.is_running()
            yield process, server
        finally:
            process.kill()


@pytest.mark.stack
@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.terminate])
def test_what_a_session_started_does_not_outlive_it_when_it_is_killed(session, end) -> None:
    process, server = session
    end(process)
    wait_for("the server's end", lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, 60)
