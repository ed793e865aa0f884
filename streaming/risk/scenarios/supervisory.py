"""The supervisory severely adverse paths: one scenario a quarter, cumulative from the jump-off quarter.

The publication gives levels; the jump-off level is not in the scenario table, so it is the lowest level of the path
undone by the published trough (the instantaneous scenario's index move, evidence V).
"""

import csv
from collections.abc import Iterator
from functools import cache
from importlib import resources

from streaming.risk.money import MICRO, micros
from streaming.risk.scenarios.library import Scenario, Variable, parse

TRADING_DAYS = 63
"""In a quarter: over how many days a leveraged fund compounds."""

_SHOCKS = ("publication", "quarter", "equity_index", "vix")


@cache
def paths() -> tuple[Scenario, ...]:
    """Every quarter of every published path as a scenario ``SA2026/2026Q3``: equity level and VIX of that quarter."""
    return tuple(_scenarios())


def path(publication: str) -> tuple[Scenario, ...]:
    """The quarters of one publication (``"2026"``) in order."""
    return tuple(s for s in paths() if s.id.startswith(f"SA{publication}/"))


def _scenarios() -> Iterator[Scenario]:
    folder = resources.files(__package__)
    troughs = {s.id: s.index for s in parse((folder / "supervisory.toml").read_text("utf-8"), "supervisory.toml", None)}
    rows = list(csv.DictReader((folder / "supervisory_paths.csv").read_text("utf-8").splitlines()))
    for publication in sorted({row["publication"] for row in rows}):
        quarters = [row for row in rows if row["publication"] == publication]
        levels = [micros(row["equity_index"]) for row in quarters]
        remaining = MICRO + troughs[f"SA{publication}"]
        for number, (row, level) in enumerate(zip(quarters, levels), start=1):
            yield Scenario(
                id=f"SA{publication}/{row['quarter']}",
                name=f"{publication} severely adverse, path to {row['quarter']}",
                family="supervisory path",
                source=f"Federal Reserve, {publication} Stress Test Scenarios, severely adverse, domestic variables",
                index=(level * remaining + min(levels) // 2) // min(levels) - MICRO,
                vix_to=micros(row["vix"]),
                days=TRADING_DAYS * number,
                evidence=(("index", "V"), ("vix", "V")),
                note="equities at the quarter's end, VIX at its highest close: not simultaneous",
                variables=tuple(Variable(name, value, "V") for name, value in row.items() if name not in _SHOCKS),
            )
