"""The console as a user meets it: real web server, daemon and code server, and Debian's Chromium."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import requests

from orchestration import calendar, generated
from orchestration.console import files, instance
from orchestration.console.clock import DeskClock
from orchestration.console.desk import Desk, served
from orchestration.settings import Settings
from streaming.demo import DaySpec

CLEAN, FAULTY = date(2020, 3, 16), date(2020, 3, 17)
PLAYED = date(2020, 3, 18)
"""It is before its open, so no schedule asks for anything by itself."""
FAULT = "stale-close"
ARTEFACTS = Path(os.environ.get("PLUMBLINE_PICTURES", Path(__file__).resolve().parents[2] / "out" / "pictures"))
START_S = 300
SIZE = {"width": 1500, "height": 940}


@dataclass(frozen=True)
class Console:
    """A running console."""

    url: str
    desk: Desk

    def ask(self, query: str, **variables: object) -> dict:
        """One GraphQL query."""
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60)
        answer.raise_for_status()
        found = answer.json()
        assert "errors" not in found, found["errors"]
        return found["data"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def chromium() -> str:
    """Its path; without one the tests are skipped, and fail in continuous integration."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "Chromium is not installed (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="session")
def console(browser, tmp_path_factory) -> Iterator[Console]:
    """Two tiny days that have arrived and were not run: one clean, one with a stale close planted."""
    before_the_open = calendar.session(PLAYED).open - timedelta(hours=1)
    days = {CLEAN: (), FAULTY: (FAULT,)}
    with running(tmp_path_factory.mktemp("console"), days, PLAYED, before_the_open) as made:
        yield made


@contextmanager
def running(
    folder: Path, days: Mapping[date, tuple[str, ...]], played: date, now: datetime, **environment: str
) -> Iterator[Console]:
    """A console over days that have arrived (day -> planted faults), where it is always ``now``."""
    home, out = folder / "home", folder / "out"
    for day, faults in days.items():
        settings, spec = Settings(home / "days" / str(day), out), DaySpec(day, 6, 300, 3_000, faults=faults)
        generated.prepare(settings, spec)
        generated.feed_generated(settings, spec, lambda _: None, calendar.history_marks(day))
    port, files_port = free_port(), free_port()
    desk = Desk(home=str(home), out=str(out), base_url=f"http://127.0.0.1:{files_port}")
    DeskClock.start(now, 0.0).write(desk.settings())
    instance.write(desk.settings())
    url = f"http://127.0.0.1:{port}"
    server = files.serve(lambda: served(desk.settings()), files_port, url)
    variables = {**instance.variables(desk, played), **environment}
    with (folder / "console.log").open("wb") as log:
        process = subprocess.Popen(instance.command(port), env=variables, stdout=log, stderr=log)
        made = Console(url, desk)
        try:
            _await(made, process, folder / "console.log")
            yield made
        finally:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()
            server.shutdown()
            server.server_close()


def _await(console: Console, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    query = "{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } } }"
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3_000:]
        try:
            if console.ask(query)["repositoriesOrError"].get("nodes"):
                return
        except requests.RequestException:
            pass
        time.sleep(1)
    pytest.fail(f"the console did not start within {START_S} s: {log.read_text()[-3_000:]}")


@pytest.fixture
def page(browser):
    made = browser.new_page(viewport=SIZE)
    made.set_default_timeout(240_000)
    yield made
    made.close()


@pytest.fixture
def picture(page):
    """Keep what the page shows as an artefact."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)

    def keep(name: str) -> None:
        page.wait_for_timeout(4_000)  # let the graph's animations end, and lists load
        page.screenshot(path=ARTEFACTS / f"{name}.png")

    return keep
