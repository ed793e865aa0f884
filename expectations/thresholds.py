"""The tolerances of ``thresholds.toml``."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def thresholds() -> dict[str, Any]:
    return tomllib.loads(files("expectations").joinpath("thresholds.toml").read_text())


def threshold(group: str, name: str) -> Any:
    """One of them; KeyError names what is not there."""
    return thresholds()[group][name]
