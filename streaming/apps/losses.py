"""Losses by account and underlying, summed to any grouping with the meaning of each scenario's scope."""

import numpy as np

from streaming.risk.reference import Instruments
from streaming.risk.scenarios import shipped
from streaming.risk.stress.book import Alone, regrouped

_PART_SCOPES = ("name", "sector")


def scopes(scenarios: tuple[str, ...]) -> np.ndarray:
    """Text by scenario: ``market``, ``spot`` (the grid), ``name`` or ``sector``."""
    known = {s.id: s.scope for s in shipped.load().scenarios}
    return np.array([known.get(name, "spot") for name in scenarios], dtype=object)


def sectors(instruments: Instruments) -> tuple[np.ndarray, np.ndarray]:
    """Sector names in order, and each instrument's number among them."""
    names, of = np.unique(instruments.sector.astype(str), return_inverse=True)
    return names, of.astype(np.int64)


def group_losses(
    group: np.ndarray,
    groups: int,
    underlying: np.ndarray,
    loss: np.ndarray,
    scope: np.ndarray,
    instruments: Instruments,
) -> tuple[np.ndarray, np.ndarray]:
    """Losses and parts by [group, scenario] from rows of one group and underlying each.

    A scenario of scope ``name`` or ``sector`` costs what its worst part alone costs: the part is the instrument code or
    the sector's number, -1 where no part loses and in the scenarios that move all names together.
    """
    total, part = regrouped(loss, group, groups), np.full((groups, loss.shape[1]), -1, np.int64)
    for name in _PART_SCOPES:
        chosen = np.flatnonzero(scope == name)
        if not len(chosen):
            continue
        of = underlying if name == "name" else sectors(instruments)[1][underlying]
        width = len(instruments) + 1
        keys, at = np.unique(group * width + of, return_inverse=True)
        alone = Alone(keys // width, keys % width, regrouped(loss[:, chosen], at, len(keys)))
        total[:, chosen], part[:, chosen] = alone.worst(groups)
    return total, part


def part_names(part: np.ndarray, scope: np.ndarray, instruments: Instruments) -> list[str]:
    """The names of the parts [group, scenario], row by row; empty where there is none."""
    names, _ = sectors(instruments)
    found = np.full(part.shape, "", dtype=object)
    for column in np.flatnonzero(np.isin(scope, _PART_SCOPES)):
        of = instruments.id if scope[column] == "name" else names
        hit = part[:, column] >= 0
        found[hit, column] = of[part[hit, column]]
    return found.reshape(-1).tolist()
