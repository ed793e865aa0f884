"""A local HTTP server that speaks the part of Slack's Web API that alerts use, with its limits and its bad days.

with SlackFake() as slack:
    slack.plan(Limited(retry_after=3), "ok")      # what happens to the next posts; then all goes well
    ...                                           # PLUMBLINE_SLACK_API = slack.url, token and channel = slack's
    slack.messages                                # what is in the channel, oldest first
"""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

TOKEN, CHANNEL, BOT = "xoxb-fake-token-of-the-tests", "C0TESTS", "U0BOT"
TEXT_MAX, BLOCKS_MAX, SECTION_MAX, HEADER_MAX, FIELDS_MAX, FIELD_MAX = 40_000, 50, 3_000, 150, 10, 2_000


@dataclass(frozen=True)
class Limited:
    """429, nothing taken."""

    retry_after: int


@dataclass(frozen=True)
class Failing:
    """A server error; the message is taken or not, as is said."""

    status: int = 503
    taken: bool = False


@dataclass(frozen=True)
class Hanging:
    """The message is taken, and no answer comes for a while."""

    seconds: float


@dataclass(frozen=True)
class Dropping:
    """The message is taken, and the connection is closed without an answer."""


@dataclass(frozen=True)
class Refusing:
    """``ok: false`` with an error code; nothing taken."""

    code: str


Step = str | Limited | Failing | Hanging | Dropping | Refusing


@dataclass
class SlackFake:
    """The server; a context manager. Thread-safe."""

    token: str = TOKEN
    channel: str = CHANNEL
    page: int = 200
    """Most messages of one answer."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Method and arguments of every call, refused ones included."""

    def __post_init__(self) -> None:
        self._steps: deque[Step] = deque()
        self._lock = threading.Lock()
        self._stamp = time.time()
        self.closing = threading.Event()
        fake = self

        class Handler(_Handler):
            slack = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "SlackFake":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    @property
    def environment(self) -> dict[str, str]:
        """What points the product at this server."""
        return {
            "PLUMBLINE_SLACK_API": self.url,
            "PLUMBLINE_SLACK_TOKEN": self.token,
            "PLUMBLINE_SLACK_CHANNEL": self.channel,
        }

    def plan(self, *steps: Step) -> None:
        """What happens to the next posts, in order."""
        with self._lock:
            self._steps.extend(steps)

    def next_step(self) -> Step:
        with self._lock:
            return self._steps.popleft() if self._steps else "ok"

    def posts(self) -> int:
        """Calls of chat.postMessage so far."""
        with self._lock:
            return sum(method == "chat.postMessage" for method, _ in self.calls)

    def note(self, method: str, arguments: Mapping[str, Any]) -> None:
        with self._lock:
            self.calls.append((method, dict(arguments)))

    def take(self, arguments: Mapping[str, Any]) -> str:
        """Put a message into the channel; its stamp."""
        with self._lock:
            self._stamp = max(self._stamp + 0.000_001, time.time())
            stamp = f"{self._stamp:.6f}"
            kept = ("text", "blocks", "metadata", "thread_ts", "reply_broadcast")
            message = {"type": "message", "user": BOT, "ts": stamp}
            self.messages.append(message | {name: arguments[name] for name in kept if name in arguments})
        return stamp

    def history(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Newest first; replies only where they were sent to the channel too."""
        oldest = float(arguments.get("oldest", 0))
        with self._lock:
            shown = [m for m in self.messages if "thread_ts" not in m or m.get("reply_broadcast")]
        found = [m for m in reversed(shown) if float(m["ts"]) > oldest]
        return self._paged(found, arguments)

    def replies(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The thread's first message and its replies, oldest first."""
        thread = arguments.get("ts")
        with self._lock:
            found = [m for m in self.messages if thread in (m["ts"], m.get("thread_ts"))]
        return self._paged(found, arguments) if found else {"ok": False, "error": "thread_not_found"}

    def _paged(self, found: list[dict[str, Any]], arguments: Mapping[str, Any]) -> dict[str, Any]:
        start = int(arguments.get("cursor") or 0)
        stop = start + min(self.page, int(arguments.get("limit", 100)))
        whole = arguments.get("include_all_metadata") in ("1", "true", True)
        page = [m if whole else {k: v for k, v in m.items() if k != "metadata"} for m in found[start:stop]]
        more = str(stop) if stop < len(found) else ""
        return {"ok": True, "messages": page, "has_more": bool(more), "response_metadata": {"next_cursor": more}}


def problem_of(arguments: Mapping[str, Any]) -> str:
    """The error code of a message that breaks Slack's limits; empty for one that keeps them."""
    blocks = arguments.get("blocks") or []
    if not arguments.get("text") and not blocks:
        return "no_text"
    if len(arguments.get("text") or "") > TEXT_MAX:
        return "msg_too_long"
    too_many = len(blocks) > BLOCKS_MAX
    return "invalid_blocks" if too_many or any(not _block_fits(block) for block in blocks) else ""


def _block_fits(block: Mapping[str, Any]) -> bool:
    if block["type"] == "header":
        return block["text"]["type"] == "plain_text" and 0 < len(block["text"]["text"]) <= HEADER_MAX
    if block["type"] == "section":
        fields, text = block.get("fields", []), block.get("text", {}).get("text", "")
        sizes = all(0 < len(item["text"]) <= FIELD_MAX for item in fields)
        return len(fields) <= FIELDS_MAX and sizes and len(text) <= SECTION_MAX and bool(fields or text)
    return block["type"] == "context" and 0 < len(block["elements"]) <= FIELDS_MAX


class _Handler(BaseHTTPRequestHandler):
    slack: SlackFake
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_POST(self) -> None:
        method = self.path.partition("?")[0].rpartition("/")[2]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = "json" in (self.headers.get("Content-Type") or "")
        arguments = json.loads(body or b"{}") if is_json else dict(parse_qsl(body.decode()))
        self.slack.note(method, arguments)
        if self.headers.get("Authorization") != f"Bearer {self.slack.token}":
            return self._answer({"ok": False, "error": "invalid_auth"})
        if method == "auth.test":
            return self._answer({"ok": True, "user_id": BOT})
        if arguments.get("channel") != self.slack.channel:
            return self._answer({"ok": False, "error": "channel_not_found"})
        if method == "chat.postMessage":
            return self._post(arguments)
        if method == "conversations.history":
            return self._answer(self.slack.history(arguments))
        if method == "conversations.replies":
            return self._answer(self.slack.replies(arguments))
        return self._answer({"ok": False, "error": "unknown_method"})

    def _post(self, arguments: Mapping[str, Any]) -> None:
        match self.slack.next_step():
            case Limited(retry_after):
                return self._answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(retry_after)})
            case Refusing(code):
                return self._answer({"ok": False, "error": code})
            case Failing(status, taken):
                if taken:
                    self.slack.take(arguments)
                return self._answer({"ok": False, "error": "internal_error"}, status)
            case Hanging(seconds):
                self.slack.take(arguments)
                self.slack.closing.wait(seconds)
                self.close_connection = True
                return None
            case Dropping():
                self.slack.take(arguments)
                self.close_connection = True
                return None
        problem = problem_of(arguments)
        if problem:
            return self._answer({"ok": False, "error": problem})
        stamp = self.slack.take(arguments)
        return self._answer({"ok": True, "channel": self.slack.channel, "ts": stamp})

    def _answer(self, answer: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
