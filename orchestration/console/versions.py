"""What the numbers depend on beside the events: a change of it shows as stale in the graph."""

from functools import cache
from hashlib import sha256
from pathlib import Path

import streaming
from orchestration import edge

_PARAMETERS = ("*.toml", "*.csv", "*.json")


@cache
def code_version() -> str:
    """Of the sources that decide a sealed number, and of the rulebook, scenarios and tables beside them."""
    root = Path(streaming.__file__).parent / "risk"
    digest = sha256(edge.code_version().encode())
    for path in sorted(found for pattern in _PARAMETERS for found in root.rglob(pattern)):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
