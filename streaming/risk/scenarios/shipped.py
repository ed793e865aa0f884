"""The scenarios that ship with the code."""

from functools import cache
from importlib import resources

from streaming.risk.scenarios.library import Library, library, parse
from streaming.risk.scenarios.supervisory import paths


@cache
def load() -> Library:
    """Supervisory (instantaneous and path), historical and house scenarios; the grid is built from the rulebook."""
    found = list(paths())
    for entry in sorted(resources.files(__package__).iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            found += parse(entry.read_text("utf-8"), entry.name, evidence=None)
    return library(found)
