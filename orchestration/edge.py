"""What comes from outside the computation: the clock on the wall, who is at the keyboard, which code this is."""

import getpass
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
    root = ROOT / "streaming"
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
