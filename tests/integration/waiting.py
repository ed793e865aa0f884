"""Waiting for servers and jobs: as long as a slow machine needs, and saying what was awaited when it does not come."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 600
"""For progress on a loaded machine; a wait ends as soon as there is some."""


def wait_for(
    what: str,
    look: Callable[[], T | None],
    patience_s: float = PATIENCE_S,
    found: Callable[[], object] = lambda: "nothing of it",
) -> T:
    """What ``look`` gives, once that is true; AssertionError with what was awaited, and ``found`` instead."""
    deadline = time.monotonic() + patience_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: expected within {patience_s:.0f} s, found {found()}"
        time.sleep(0.2)
    return seen
