"""Published files and Data Docs for a browser: read-only, on the loopback interface."""

from collections.abc import Callable, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

from orchestration.console.instance import LOOPBACK

_BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class _Handler(SimpleHTTPRequestHandler):
    """GET and HEAD below the served folders; no listing, and nothing outside them."""

    roots: Callable[[], Mapping[str, Path]] = dict
    console = ""
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".xlsx": _BOOK, ".jsonl": "application/json"}

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        if not self._sent_on():
            super().do_GET()

    def do_HEAD(self) -> None:  # noqa: N802 - the base class's name
        if not self._sent_on():
            super().do_HEAD()

    def _sent_on(self) -> bool:
        """Whether this was a link to a run, which the console's own web server shows, as behind a proxy."""
        if not self.console or not self.path.startswith("/console/"):
            return False
        self.send_response(302)
        self.send_header("Location", self.console + self.path.removeprefix("/console"))
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def translate_path(self, path: str) -> str:
        asked = unquote(urlsplit(path).path).lstrip("/")
        for name, root in self.roots().items():
            if asked.startswith(f"{name}/"):
                found = (root / asked.removeprefix(f"{name}/")).resolve()
                return str(found) if found.is_relative_to(root.resolve()) else ""
        return ""

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """A page load is no news."""


def serve(roots: Callable[[], Mapping[str, Path]], port: int, console: str = "") -> ThreadingHTTPServer:
    """Serve folders by the first parts of the address, in a thread; OSError when the port is taken.

    ``roots`` is asked again for every request; what lies under ``/console/`` is sent on to the address ``console``.
    """
    handler = type("Handler", (_Handler,), {"roots": staticmethod(roots), "console": console})
    server = ThreadingHTTPServer((LOOPBACK, port), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server
