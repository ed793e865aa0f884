"""The spot x volatility grid as scenarios (stress testing, section 5)."""

from dataclasses import dataclass

import numpy as np

from streaming.risk.money import MICRO
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios.library import Scenario


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid's axes, in ppm, and its scenarios in row-major order (spot, then volatility)."""

    spot: np.ndarray
    """int64 [spots]: relative change of every spot."""
    vol: np.ndarray
    """int64 [vols]: relative change of every volatility."""
    scenarios: tuple[Scenario, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.spot), len(self.vol)


def grid(rules: Rules) -> Grid:
    """All cells of ``stress.grid.spot`` x ``stress.grid.vol``. Spot moves hit every name alike, whatever its beta."""
    spots = [int(v * MICRO) for v in rules.values("stress.grid.spot")]
    vols = [int(v * MICRO) for v in rules.values("stress.grid.vol")]
    parameter = rules.parameter("stress.grid.spot")
    cells = tuple(
        Scenario(
            id=f"GRID/{spot / MICRO:+.0%}/{vol / MICRO:+.0%}",
            name=f"every spot {spot / MICRO:+.0%}, volatility {vol / MICRO:+.0%}",
            family="grid",
            source=parameter.source,
            scope="spot",
            gap=spot,
            vol_relative=vol,
            evidence=(("gap", parameter.evidence), ("vol", rules.parameter("stress.grid.vol").evidence)),
        )
        for spot in spots
        for vol in vols
    )
    return Grid(np.array(spots, dtype=np.int64), np.array(vols, dtype=np.int64), cells)
