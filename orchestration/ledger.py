"""The ledger: one append-only file of what was done, each entry chained to the one before by its hash.

Runs, seals, certificates, check results, overrides, publications, deliveries and signatures. A line is a JSON object;
``hash`` is the SHA-256 of the others in canonical form, and ``previous`` the hash of the entry before, so that a
changed, removed or inserted line is found. What stands after the last line feed was never acknowledged: a torn write.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path

import orjson

from orchestration.errors import UserError

GENESIS = "0" * 64
KINDS = (
    "run",
    "ingest",
    "seal",
    "certificate",
    "checks",
    "override",
    "publication",
    "delivery",
    "signature",
)


class DamagedLedgerError(UserError):
    """The ledger is not what was written: names the line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done."""

    number: int
    previous: str
    time: str
    """ISO 8601 with zone, told by the caller."""
    kind: str
    who: str
    what: Mapping
    hash: str = ""

    def sealed(self) -> "Entry":
        return Entry(self.number, self.previous, self.time, self.kind, self.who, self.what, self._digest())

    @property
    def intact(self) -> bool:
        return self.hash == self._digest()

    def encode(self) -> bytes:
        return orjson.dumps({**self._body(), "hash": self.hash}, option=orjson.OPT_SORT_KEYS) + b"\n"

    def _body(self) -> dict[str, object]:
        return {
            "number": self.number,
            "previous": self.previous,
            "time": self.time,
            "kind": self.kind,
            "who": self.who,
            "what": self.what,
        }

    def _digest(self) -> str:
        return sha256(orjson.dumps(self._body(), option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class Verified:
    """A ledger whose chain holds."""

    entries: int
    head: str
    torn_bytes: int
    """Behind the last whole line; the next entry overwrites them."""


class Ledger:
    """The ledger in one file."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, kind: str, who: str, what: Mapping, time: datetime) -> Entry:
        """Add an entry and wait until the disk has it; DamagedLedgerError when the last one is not intact."""
        if kind not in KINDS:
            raise ValueError(f"ledger: expected a kind of {', '.join(KINDS)}, found {kind!r}")
        if time.tzinfo is None:
            raise ValueError(f"ledger: expected a time with zone, found {time}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b") as file:
            flock(file, LOCK_EX)
            whole, last = self._last(file)
            file.truncate(whole)
            number, previous = (last.number + 1, last.hash) if last else (0, GENESIS)
            entry = Entry(number, previous, time.isoformat(), kind, who, what).sealed()
            file.write(entry.encode())
            file.flush()
            os.fsync(file.fileno())
        return entry

    def entries(self, kind: str = "") -> list[Entry]:
        """All entries, oldest first, or those of one kind; the chain is checked on the way."""
        return [entry for entry in self._chain() if not kind or entry.kind == kind]

    def verify(self) -> Verified:
        """Follow the whole chain; DamagedLedgerError names the first line that does not fit."""
        head, count = GENESIS, 0
        for entry in self._chain():
            head, count = entry.hash, count + 1
        content = self._content()
        return Verified(count, head, len(content) - (content.rfind(b"\n") + 1))

    def _content(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""

    def _chain(self) -> Iterator[Entry]:
        *lines, tail = self._content().split(b"\n")
        self._refuse_lost_line_feed(tail, len(lines) + 1)
        previous = GENESIS
        for number, line in enumerate(lines):
            entry = self._decode(line, number + 1)
            if entry.number != number or entry.previous != previous or not entry.intact:
                raise DamagedLedgerError(f"{self.path}, line {number + 1}: the entry does not fit the chain of hashes")
            previous = entry.hash
            yield entry

    def _last(self, file) -> tuple[int, Entry | None]:
        """The bytes of whole lines, and the last of them."""
        file.seek(0)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        self._refuse_lost_line_feed(content[whole:], content.count(b"\n") + 1)
        if whole == 0:
            return 0, None
        line = content[:whole].count(b"\n")
        last = self._decode(content[content.rfind(b"\n", 0, whole - 1) + 1 : whole - 1], line)
        if not last.intact or last.number != line - 1:
            raise DamagedLedgerError(f"{self.path}, line {line}: the entry does not fit the chain of hashes")
        return whole, last

    def _refuse_lost_line_feed(self, tail: bytes, line: int) -> None:
        """A whole entry and one more byte is no torn write: its line feed was changed."""
        if tail.endswith(b"}"):
            return
        try:
            orjson.loads(tail[:-1])
        except orjson.JSONDecodeError:
            return
        raise DamagedLedgerError(f"{self.path}, line {line}: expected a line feed at its end, found {tail[-1:]!r}")

    def _decode(self, line: bytes, number: int) -> Entry:
        try:
            return Entry(**orjson.loads(line))
        except (orjson.JSONDecodeError, TypeError):
            raise DamagedLedgerError(f"{self.path}, line {number}: expected an entry, found {line[:60]!r}") from None
