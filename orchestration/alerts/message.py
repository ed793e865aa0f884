"""An alert as a Slack message: Block Kit and the same in plain text, within Slack's limits whatever the alert holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestration.alerts.alert import CRITICAL, INFO, ROWS_MAX, WARNING
from orchestration.alerts.links import Links
from orchestration.alerts.outbox import CHANGED, OPENED, RECOVERED, REOPENED, Message

BLOCKS_MAX = 50
TEXT_MAX = 40_000
SECTION_MAX = 3_000
FIELD_MAX = 2_000
HEADER_MAX = 150
EVENT_TYPE = "plumbline_alert"
_CELL_MAX = 80
_ICONS = {CRITICAL: ":red_circle:", WARNING: ":large_orange_circle:", INFO: ":large_blue_circle:"}
_WORDS = {OPENED: "", CHANGED: "changed", RECOVERED: "recovered", REOPENED: "again"}


def payload(message: Message, links: Links) -> dict[str, Any]:
    """The arguments of ``chat.postMessage`` but channel and thread. A recovery also shows in the channel."""
    found: dict[str, Any] = {
        "text": text(message, links),
        "blocks": blocks(message, links),
        "metadata": {
            "event_type": EVENT_TYPE,
            "event_payload": {"message": message.id, "key": message.alert.key, "kind": message.kind},
        },
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if message.thread:
        found |= {"thread_ts": message.thread, "reply_broadcast": message.kind in (RECOVERED, REOPENED)}
    return found


def text(message: Message, links: Links) -> str:
    """Everything as plain text: for notifications, and where blocks are not shown."""
    alert = message.alert
    parts = [headline(message), *(f"{name}: {value}" for name, value in _facts(message))]
    parts += [f"  {line}" for line in _rows(alert.rows)] if message.kind != RECOVERED else []
    parts += [f"{label}: {address}" for label, address in links.of_alert(alert).items()]
    return _cut(_escaped("\n".join(parts)), TEXT_MAX)


def headline(message: Message) -> str:
    """Severity or what became of it, what, where."""
    alert, word = message.alert, _WORDS[message.kind]
    first = word.upper() if message.kind == RECOVERED else " ".join(filter(None, (alert.severity.upper(), word)))
    version = f" v{alert.version}" if alert.version else ""
    return f"{first}: {alert.check}, {alert.where}{version}"


def blocks(message: Message, links: Links) -> list[dict[str, Any]]:
    """Header, facts, worst rows, links."""
    alert, recovered = message.alert, message.kind == RECOVERED
    icon = ":large_green_circle:" if recovered else _ICONS[alert.severity]
    head = {"type": "plain_text", "text": _cut(headline(message), HEADER_MAX)}
    made: list[dict[str, Any]] = [{"type": "header", "text": head}]
    facts = _facts(message)
    made.append(_section(f"{icon} {_escaped(facts[0][1])}"))
    fields = [{"type": "mrkdwn", "text": _cut(f"*{name}*\n{_escaped(value)}", FIELD_MAX)} for name, value in facts[1:]]
    made.append({"type": "section", "fields": fields})
    rows = [] if recovered else _rows(alert.rows)
    if rows:
        made.append(_section("*Worst rows*"))
        made += [_section(f"```{_cut(_escaped(row), SECTION_MAX - 6)}```") for row in rows]
    leads = " · ".join(f"<{address}|{label}>" for label, address in links.of_alert(alert).items())
    if leads:
        made.append(_section(leads))
    made.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _cut(_escaped(message.id), FIELD_MAX)}]})
    assert len(made) <= BLOCKS_MAX
    return made


def _facts(message: Message) -> Sequence[tuple[str, str]]:
    alert = message.alert
    if message.kind == RECOVERED:
        told = [("What", alert.what), ("Where", alert.where), ("When", message.created.isoformat(timespec="seconds"))]
        return [*told, ("Was", alert.found), ("Owner", alert.owner)]
    told = [("What", alert.what), ("Where", alert.where), ("When", alert.when)]
    told += [("Expected", alert.expected), ("Found", alert.found)]
    if alert.count:
        told.append(("Rows", f"{alert.count:,}"))
    return [*told, ("Owner", alert.owner), ("Next", alert.next_step)]


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [", ".join(f"{name} {_cell(value)}" for name, value in row.items()) for row in rows[:ROWS_MAX]]


def _cell(value: Any) -> str:
    return _cut(" ".join(str(value).split()), _CELL_MAX)


def _section(content: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(content, SECTION_MAX)}}


def _cut(content: str, limit: int) -> str:
    return content if len(content) <= limit else content[: limit - 1] + "…"


def _escaped(content: str) -> str:
    """Slack's three control characters."""
    return content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
