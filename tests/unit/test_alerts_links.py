"""Every link of an alert leads somewhere: to a file of this machine, or on to the console's page of runs."""

import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from alert_cases import alert

from orchestration.alerts.links import Links
from orchestration.console import files


class _Console(BaseHTTPRequestHandler):
    """In place of Dagster's web server: says what it was asked for."""

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """A page load is no news."""


@pytest.fixture
def links(tmp_path):
    docs = tmp_path / "docs" / "2020-03-16" / "eod" / "v1"
    for place in (docs / "index.html", docs / "checks" / "prices.held.html", tmp_path / "out/2020-03-16/margin.xlsx"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(place.name)
    console = ThreadingHTTPServer(("127.0.0.1", 0), _Console)
    Thread(target=console.serve_forever, daemon=True).start()
    roots = {"docs": tmp_path / "docs", "out": tmp_path / "out"}
    served = files.serve(lambda: roots, 0, f"http://127.0.0.1:{console.server_address[1]}")
    yield Links(f"http://127.0.0.1:{served.server_address[1]}").of_alert(alert())
    for server in (served, console):
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("label", ["run", "check", "Data Docs", "workbook"])
def test_every_link_of_an_alert_is_answered(links, label, method):
    with urllib.request.urlopen(urllib.request.Request(links[label], method=method)) as answer:
        assert answer.status == 200


def test_the_run_link_reaches_the_consoles_runs_of_that_date(links):
    with urllib.request.urlopen(links["run"]) as answer:
        asked = urlsplit(answer.read().decode())
    assert asked.path == "/runs"
    assert parse_qs(asked.query) == {"q[0]": ["tag:dagster/partition=2020-03-16"]}
