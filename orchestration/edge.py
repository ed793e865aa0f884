"""What comes from outside the computation: the clock on the wall, who is at the keyboard, which code this is."""

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256

from orchestration.process import ROOT


def now() -> datetime:
    return datetime.now(UTC)


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return "unknown"


@cache
def code_version() -> str:
    """Digest of the sources that decide a sealed number: the same code has the same version on every machine."""
    digest = sha256()
    for name, content in _sources():
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def code_digests() -> dict[str, str]:
    """SHA-256 of each of those sources, by its path below ``streaming``."""
    return {name: sha256(content).hexdigest() for name, content in _sources()}


def _sources() -> Iterator[tuple[str, bytes]]:
    root = ROOT / "streaming"
    for path in sorted(root.rglob("*.py")):
        yield str(path.relative_to(root)), path.read_bytes()
