"""Published files and Data Docs for a browser: read-only, on the loopback interface."""

from collections.abc import Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

from orchestration.console.instance import LOOPBACK

_BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class _Handler(SimpleHTTPRequestHandler):
    """GET and HEAD below the served folders; no listing, and nothing outside them."""

    roots: Mapping[str, Path] = {}
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".xlsx": _BOOK, ".jsonl": "application/json"}

    def translate_path(self, path: str) -> str:
        name, _, rest = unquote(urlsplit(path).path).lstrip("/").partition("/")
        root = self.roots.get(name)
        if root is None:
            return ""
        found = (root / rest).resolve()
        return str(found) if found.is_relative_to(root.resolve()) else ""

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """A page load is no news."""


def serve(roots: Mapping[str, Path], port: int) -> ThreadingHTTPServer:
    """Serve folders by the first part of the address, in a thread; OSError when the port is taken."""
    handler = type("Handler", (_Handler,), {"roots": dict(roots)})
    server = ThreadingHTTPServer((LOOPBACK, port), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server
