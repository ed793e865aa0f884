"""The outbox: what is wrong, what was said of it, and what is still to be said. One SQLite file in the home.

A rule looks at a scope (the checks of one cut, the deadlines of one date) and gives everything wrong in it now.
``observe`` compares that with what stood before and writes messages in one transaction: opened, changed, recovered. The
same observation again writes nothing. A message is written before it is sent; ``attempts`` counts the tries begun, so
that after a kill the next delivery knows that the message may be there already.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

from orchestration.alerts.alert import Alert
from orchestration.alerts.quiet import QuietHours

OPENED, CHANGED, RECOVERED, REOPENED = "opened", "changed", "recovered", "reopened"
WAITING, SENT, REFUSED, WITHDRAWN = "waiting", "sent", "refused", "withdrawn"
"""Withdrawn: the alert recovered before anything was said of it. Refused: Slack will never take it as it is."""

_TABLES = """
create table if not exists alerts (
    key text primary key, scope text not null, is_open integer not null, fingerprint text not null,
    alert text not null, thread text not null default ''
) strict;
create table if not exists messages (
    number integer primary key autoincrement, key text not null references alerts, kind text not null,
    alert text not null, created text not null, not_before text not null, state text not null default 'waiting',
    attempts integer not null default 0, first_try text not null default '', stamp text not null default '',
    channel text not null default '', problem text not null default '', recorded integer not null default 0
) strict;
create index if not exists waiting on messages (state, number);
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to say of an alert."""

    number: int
    kind: str
    alert: Alert
    created: datetime
    not_before: datetime
    state: str
    attempts: int
    """Tries begun; after the first the message may be in the channel, whatever was heard of it."""
    first_try: datetime | None
    stamp: str
    """Slack's ``ts`` of the sent message."""
    channel: str
    problem: str
    thread: str
    """``ts`` of the alert's first message; empty while none is sent."""

    @property
    def id(self) -> str:
        """What the message carries in its metadata."""
        return f"{self.alert.key}#{self.number}"


@dataclass(slots=True)
class Outbox:
    """The outbox in one file; every method is one transaction."""

    path: Path
    quiet: QuietHours = field(default_factory=QuietHours.of_house)

    def observe(self, scope: str, alerts: Sequence[Alert], at: datetime) -> int:
        """Everything that is wrong in a scope now; how many messages that made."""
        wanted = {alert.key: alert for alert in alerts}
        if len(wanted) < len(alerts):
            raise ValueError(f"alerts of {scope}: expected one alert of each key, found {len(alerts)} of {len(wanted)}")
        made = 0
        with self._transaction() as db:
            known = {row["key"]: row for row in db.execute("select * from alerts where scope = ?", (scope,))}
            for key, alert in wanted.items():
                made += self._stands(db, scope, known.get(key), alert, at)
            for key, row in known.items():
                if row["is_open"] and key not in wanted:
                    made += self._recovered(db, key, Alert.from_dict(orjson.loads(row["alert"])), at)
        return made

    def say(self, scope: str, alert: Alert, at: datetime) -> int:
        """A message whatever was said before (a heartbeat, a test): in the thread of its key. Its number."""
        with self._transaction() as db:
            known = db.execute("select * from alerts where key = ?", (alert.key,)).fetchone()
            if known is None:
                self._remember(db, scope, alert, is_open=False)
            return self._write(db, OPENED if known is None else CHANGED, alert, at, at)

    def due(self, at: datetime) -> list[Message]:
        """What may go out, in the order in which it arose; of one alert nothing before what arose earlier."""
        found, held = [], set()
        for message in self.messages(WAITING):
            if message.not_before <= at and message.alert.key not in held:
                found.append(message)
            else:
                held.add(message.alert.key)
        return found

    def messages(self, state: str = "") -> list[Message]:
        """All messages, or those in one state, in the order in which they arose."""
        text = "select m.*, a.thread from messages m join alerts a using (key) where ? in ('', state) order by number"
        with self._transaction() as db:
            return [_message(row) for row in db.execute(text, (state,))]

    def message(self, number: int) -> Message:
        """One message as it stands."""
        text = "select m.*, a.thread from messages m join alerts a using (key) where number = ?"
        with self._transaction() as db:
            return _message(db.execute(text, (number,)).fetchone())

    def open_alerts(self) -> list[Alert]:
        """What is wrong as far as is known, critical first."""
        with self._transaction() as db:
            found = db.execute("select alert from alerts where is_open order by key").fetchall()
        return sorted((Alert.from_dict(orjson.loads(row["alert"])) for row in found), key=lambda a: not a.is_critical)

    def trying(self, message: Message, at: datetime) -> None:
        """A try begins. Must be on the disk before the call goes out."""
        with self._transaction() as db:
            db.execute(
                "update messages set attempts = attempts + 1, "
                "first_try = case first_try when '' then ? else first_try end where number = ?",
                (_text(at), message.number),
            )

    def sent(self, message: Message, channel: str, stamp: str) -> None:
        """Slack has it. The first message of an alert opens its thread."""
        with self._transaction() as db:
            db.execute(
                "update messages set state = ?, stamp = ?, channel = ?, problem = '' where number = ?",
                (SENT, stamp, channel, message.number),
            )
            db.execute(
                "update alerts set thread = ? where key = ? and thread = ''",
                (stamp, message.alert.key),
            )

    def failed(self, message: Message, problem: str, again_at: datetime | None) -> None:
        """It did not go out: it waits until ``again_at``, or is refused for good when that is None."""
        state = WAITING if again_at else REFUSED
        with self._transaction() as db:
            db.execute(
                "update messages set state = ?, problem = ?, not_before = coalesce(?, not_before) where number = ?",
                (state, problem, _text(again_at) if again_at else None, message.number),
            )

    def unrecorded(self) -> list[Message]:
        """Sent and refused messages whose ledger entry is not known to be written."""
        text = (
            "select m.*, a.thread from messages m join alerts a using (key) "
            "where state in ('sent', 'refused') and not recorded order by number"
        )
        with self._transaction() as db:
            return [_message(row) for row in db.execute(text)]

    def recorded(self, message: Message) -> None:
        with self._transaction() as db:
            db.execute("update messages set recorded = 1 where number = ?", (message.number,))

    def _stands(self, db: sqlite3.Connection, scope: str, row: sqlite3.Row | None, alert: Alert, at: datetime) -> int:
        if row is not None and row["is_open"] and row["fingerprint"] == alert.fingerprint:
            return 0
        was_critical = row is not None and Alert.from_dict(orjson.loads(row["alert"])).is_critical
        self._remember(db, scope, alert, is_open=True)
        kind = OPENED if row is None else CHANGED if row["is_open"] else REOPENED
        self._write(db, kind, alert, at, self.quiet.not_before(at, alert.is_critical or was_critical))
        return 1

    def _recovered(self, db: sqlite3.Connection, key: str, alert: Alert, at: datetime) -> int:
        """Said only where something was said, or will be."""
        db.execute("update alerts set is_open = 0 where key = ?", (key,))
        unsaid = db.execute(
            "select number, alert from messages where key = ? and state = 'waiting' and attempts = 0", (key,)
        ).fetchall()
        may_drop = [row["number"] for row in unsaid if not Alert.from_dict(orjson.loads(row["alert"])).is_critical]
        said = db.execute("select count(*) from messages where key = ? and state = 'sent'", (key,)).fetchone()[0]
        total = db.execute(
            "select count(*) from messages where key = ? and state = 'waiting'", (key,)
        ).fetchone()[0]  # fmt: skip
        db.executemany("update messages set state = 'withdrawn' where number = ?", [(number,) for number in may_drop])
        if not said and total == len(may_drop):
            return 0
        self._write(db, RECOVERED, alert, at, self.quiet.not_before(at, alert.is_critical))
        return 1

    def _remember(self, db: sqlite3.Connection, scope: str, alert: Alert, is_open: bool) -> None:
        db.execute(
            "insert into alerts (key, scope, is_open, fingerprint, alert) values (?, ?, ?, ?, ?) on conflict (key) do "
            "update set is_open = excluded.is_open, fingerprint = excluded.fingerprint, alert = excluded.alert",
            (alert.key, scope, is_open, alert.fingerprint, orjson.dumps(alert.as_dict()).decode()),
        )

    def _write(self, db: sqlite3.Connection, kind: str, alert: Alert, at: datetime, not_before: datetime) -> int:
        """What waits of the same alert waits no longer than this: they go out in order."""
        db.execute(
            "update messages set not_before = min(not_before, ?) where key = ? and state = 'waiting' and attempts = 0",
            (_text(not_before), alert.key),
        )
        content = orjson.dumps(alert.as_dict()).decode()
        made = db.execute(
            "insert into messages (key, kind, alert, created, not_before) values (?, ?, ?, ?, ?)",
            (alert.key, kind, content, _text(at), _text(not_before)),
        )
        assert made.lastrowid is not None
        return made.lastrowid

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Committed and on the disk at its end; nothing of it when it raises."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("pragma synchronous = full")
            if not db.execute("select 1 from sqlite_master where name = 'messages'").fetchone():
                db.executescript(_TABLES)
            db.execute("begin immediate")
            try:
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")
        finally:
            db.close()


def _text(at: datetime) -> str:
    """An instant as text that sorts by time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _message(row: sqlite3.Row) -> Message:
    first = row["first_try"]
    return Message(
        row["number"],
        row["kind"],
        Alert.from_dict(orjson.loads(row["alert"])),
        datetime.fromisoformat(row["created"]),
        datetime.fromisoformat(row["not_before"]),
        row["state"],
        row["attempts"],
        datetime.fromisoformat(first) if first else None,
        row["stamp"],
        row["channel"],
        row["problem"],
        row["thread"],
    )
