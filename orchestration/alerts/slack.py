"""Slack's Web API as a channel: post a message, and look for one that may have been posted.

Posting is not idempotent: after a time-out or a server error nobody knows whether the message is there. Such an answer
is uncertain, and whoever posts again looks first. Every message carries its id in its metadata for that.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from orchestration.alerts.message import EVENT_TYPE
from orchestration.alerts.settings import SlackAccess, house
from orchestration.errors import UserError

_PAGE = 200
_PAGES_MAX = 20
_SKEW = timedelta(minutes=10)
"""How far Slack's clock may be off ours when looking for a message."""
_TOO_MANY = 429
_SERVER_ERROR = 500
_ACCESS = {
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope",
    "no_permission", "ekm_access_denied", "channel_not_found", "not_in_channel", "is_archived", "restricted_action",
    "access_denied", "org_login_required", "team_access_not_granted",
}  # fmt: skip
"""Nothing goes out until somebody changes the configuration."""
_PASSING = {"service_unavailable", "internal_error", "fatal_error", "request_timeout", "team_added_to_org"}


class SlackError(Exception):
    """A call that did not succeed; the text holds no secret."""


class LimitedError(SlackError):
    """Slack asks to wait; the message was not taken."""

    def __init__(self, wait_s: float):
        super().__init__(f"Slack asks to wait {wait_s:g} s")
        self.wait_s = wait_s


class UncertainError(SlackError):
    """No answer, or a server error: the message may be there or not."""


class MessageRefusedError(SlackError):
    """Slack will not take this message as it is."""


class SlackAccessError(UserError):
    """Token or channel are wrong, or the bot lacks a right: nothing can be delivered."""


class Channel(Protocol):
    """Where messages go."""

    name: str

    def post(self, payload: Mapping[str, Any]) -> str:
        """The stamp of the posted message."""
        ...

    def find(self, message_id: str, since: datetime, thread: str) -> str:
        """The stamp of a message posted since (by our clock), in a thread where one is named; empty when none is."""
        ...


@dataclass
class SlackChannel:
    """A channel of Slack."""

    access: SlackAccess
    timeout_s: float = field(default_factory=lambda: house()["slack"]["timeout_s"])
    """Of one call."""
    name: str = field(init=False)

    def __post_init__(self) -> None:
        from slack_sdk import WebClient

        self.name = self.access.channel
        quiet = logging.getLogger("plumbline.slack")
        quiet.setLevel(logging.CRITICAL)  # what a call came to is said by its exception, with no header or body
        self._client = WebClient(
            self.access.token,
            base_url=self.access.api,
            timeout=self.timeout_s,  # type: ignore[arg-type]  # whole by its hint, handed on to the socket
            retry_handlers=[],  # of its own: a call repeated without looking may post twice
            logger=quiet,
        )

    def post(self, payload: Mapping[str, Any]) -> str:
        return str(self._call("chat.postMessage", {"channel": self.name, **payload})["ts"])

    def find(self, message_id: str, since: datetime, thread: str) -> str:
        method = "conversations.replies" if thread else "conversations.history"
        arguments = {"channel": self.name, "include_all_metadata": True, "limit": _PAGE}
        arguments |= {"ts": thread} if thread else {"oldest": f"{(since - _SKEW).timestamp():.6f}"}
        cursor = ""
        for _ in range(_PAGES_MAX):
            answer = self._call(method, arguments | ({"cursor": cursor} if cursor else {}))
            found = _stamp_of(message_id, answer.get("messages", ()))
            cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
            if found or not cursor:
                return found
        raise UncertainError(f"{method}: expected at most {_PAGES_MAX} pages, found more")

    def who(self) -> str:
        """The bot that the token belongs to."""
        return str(self._call("auth.test", {}).get("user_id", ""))

    def _call(self, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        from slack_sdk.errors import SlackApiError

        try:
            if method == "chat.postMessage":
                answer = self._client.api_call(method, json=dict(arguments))
            else:
                answer = self._client.api_call(method, data=dict(arguments))
        except SlackApiError as error:
            raise _meaning(method, error.response) from None
        except OSError as error:  # refused, reset, timed out: URLError and TimeoutError are OSErrors
            raise UncertainError(f"{method}: {type(error).__name__}") from None
        assert isinstance(answer.data, dict)
        return answer.data


def _stamp_of(message_id: str, messages: Iterable[Mapping[str, Any]]) -> str:
    for message in messages:
        metadata = message.get("metadata") or {}
        payload = metadata.get("event_payload") or {}
        if metadata.get("event_type") == EVENT_TYPE and payload.get("message") == message_id:
            return str(message["ts"])
    return ""


def _meaning(method: str, response: Any) -> Exception:
    """What a refused call means. Error codes only: no body, no header."""
    data = response.data if isinstance(response.data, Mapping) else {}
    code = str(data.get("error", "unknown"))
    if response.status_code == _TOO_MANY or code in ("ratelimited", "rate_limited"):
        headers = {name.lower(): value for name, value in (response.headers or {}).items()}
        wait = headers.get("retry-after", "1")
        return LimitedError(float(wait[0] if isinstance(wait, list) else wait))
    if response.status_code >= _SERVER_ERROR or code in _PASSING:
        return UncertainError(f"{method}: status {response.status_code}")
    if code in _ACCESS:
        return SlackAccessError(f"Slack: {method}: expected a token and a channel that may be used, found {code}")
    if not code.replace("_", "").isalnum():
        return UncertainError(f"{method}: an answer that is not Slack's")
    return MessageRefusedError(f"{method}: {code}")
