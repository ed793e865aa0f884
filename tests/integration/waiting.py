"""Waiting for servers and jobs: as long as a slow machine needs, and saying what was awaited when it does not come."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from streaming.log import LogError

T = TypeVar("T")
PATIENCE_S = 600
"""For progress on a loaded machine; a wait ends as soon as there is some."""


def wait_for(
    what: str,
    look: Callable[[], T | None],
    patience_s: float = PATIENCE_S,
    found: Callable[[], object] = lambda: "nothing of it",
) -> T:
    """What ``look`` gives, once that is true; AssertionError with what was awaited, and ``found`` instead.

    A broker that was killed may stay away for longer than the log waits for it: then it is asked again.
    """
    deadline = time.monotonic() + patience_s
    while not (seen := _tried(look)):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: expected within {patience_s:.0f} s, found {_tried(found)}")
        time.sleep(0.2)
    return seen


def _tried(look: Callable[[], T | None]) -> T | None:
    try:
        return look()
    except LogError as error:
        logging.warning("%s", error)
        return None
