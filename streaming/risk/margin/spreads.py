"""What counts as an option spread, what it can lose, and what the desk calls it (FINRA 4210(f)(2)(A), (H)(i)).

The pairing joins all spreads that may be joined into one set; :func:`split` shows such a set as the named spreads it is
made of, when their losses add up to exactly the set's.
"""

from collections.abc import Sequence
from itertools import combinations
from math import gcd
from typing import NamedTuple

import numpy as np

from streaming.risk.margin.pairing import Legs, spread_loss

_MOST_LEGS_TO_SPLIT = 10
"""A larger set is shown whole: the search for its parts would not be worth its time."""


class SpreadLeg(NamedTuple):
    """One series of a spread: right +1 call, -1 put; strike in micros; ``expiry`` an ordered key; signed contracts."""

    right: int
    strike: int
    expiry: int
    quantity: int
    style: int = 0
    position: int = -1
    """Where the leg stands in its book."""


def spread_legs(legs: Legs, members: np.ndarray, quantities: np.ndarray) -> list[SpreadLeg]:
    """The chosen legs of a book, with the quantities chosen."""
    return [
        SpreadLeg(
            int(legs.right[i]), int(legs.strike[i]), int(legs.expiry[i]), int(quantity), int(legs.style[i]), int(i)
        )
        for i, quantity in zip(members, quantities, strict=True)
    ]


def obstacle(legs: Sequence[SpreadLeg]) -> str | None:
    """Why the legs are not one spread, or None when they are (4210(f)(2)(A)); one underlying and multiplier assumed."""
    if len({leg.style for leg in legs}) > 1:
        return "American and European legs do not form a spread"
    for right, name in ((1, "calls"), (-1, "puts")):
        if sum(leg.quantity for leg in legs if leg.right == right):
            return f"long and short {name} are not equal"
    longs = [leg.expiry for leg in legs if leg.quantity > 0]
    shorts = [leg.expiry for leg in legs if leg.quantity < 0]
    if not longs or not shorts:
        return "a spread has long and short legs"
    return "a short leg expires after a long one" if max(shorts) > min(longs) else None


def loss(legs: Sequence[SpreadLeg], multiplier: int) -> int:
    """Maximum potential loss in micros, >= 0: the worst sum of intrinsic values at the strikes, zero and one above."""
    if not legs:
        return 0
    columns = np.array([(leg.right, leg.strike, leg.quantity) for leg in legs], dtype=np.int64).T
    return int(spread_loss(columns[0].copy(), columns[1].copy(), columns[2].copy(), multiplier))


def falls_without_limit(legs: Sequence[SpreadLeg]) -> bool:
    """True with more short than long calls: the value has no floor as the underlying rises."""
    return sum(leg.quantity for leg in legs if leg.right > 0) < 0


def name(legs: Sequence[SpreadLeg]) -> str:
    """The desk's name of a spread, ``multi-leg spread`` when it has none."""
    units = gcd(*(leg.quantity for leg in legs))
    unit = sorted((leg._replace(quantity=leg.quantity // units) for leg in legs), key=_by_strike)
    rights = [leg.right for leg in unit]
    kind = "call" if rights[0] > 0 else "put"
    if len({leg.expiry for leg in unit}) > 1:
        if len(unit) == 2 and rights[0] == rights[1]:
            return f"{kind} calendar" if unit[0].strike == unit[1].strike else f"{kind} diagonal"
        return "multi-leg spread"
    quantities = [leg.quantity for leg in unit]
    if len(set(rights)) == 1:
        return _one_sided(quantities, [leg.strike for leg in unit], kind)
    if len(unit) == 4 and sum(rights) == 0:
        return _two_sided([leg.strike for leg in unit], quantities)
    return "multi-leg spread"


def _by_strike(leg: SpreadLeg) -> tuple[int, int, int]:
    return leg.right, leg.strike, leg.expiry


def _one_sided(quantities: list[int], strikes: list[int], kind: str) -> str:
    if quantities in ([1, -1], [-1, 1]):
        debit = (quantities[0] > 0) == (kind == "call")
        return f"{'debit' if debit else 'credit'} {kind} spread"
    if quantities in ([1, -2, 1], [-1, 2, -1]):
        even = strikes[1] - strikes[0] == strikes[2] - strikes[1]
        return f"{'long' if quantities[0] > 0 else 'short'} {kind} {'butterfly' if even else 'broken-wing butterfly'}"
    if quantities in ([1, -1, -1, 1], [-1, 1, 1, -1]):
        return f"{'long' if quantities[0] > 0 else 'short'} {kind} condor"
    return "multi-leg spread"


def _two_sided(strikes: list[int], quantities: list[int]) -> str:
    """Two puts (sorted first) and two calls, each pair by strike."""
    puts, calls = strikes[:2], strikes[2:]
    if puts == calls and quantities in ([-1, 1, 1, -1], [1, -1, -1, 1]):
        return "long box" if quantities[0] < 0 else "short box"
    if puts[1] <= calls[0] and quantities in ([1, -1, -1, 1], [-1, 1, 1, -1]):
        shape = "iron butterfly" if puts[1] == calls[0] else "iron condor"
        return shape if quantities[0] > 0 else f"reverse {shape}"
    return "multi-leg spread"


def split(legs: Sequence[SpreadLeg], multiplier: int) -> list[list[SpreadLeg]]:
    """The named spreads that a set is made of, legs in canonical order; the whole set when it cannot be told apart.

    A part is split off only when its loss and the rest's add up to the whole's, so the parts always sum to the set.
    """
    rest, parts = sorted(legs), []
    while rest and len(rest) <= _MOST_LEGS_TO_SPLIT and name(rest) == "multi-leg spread":
        part = _part(rest, multiplier)
        if part is None:
            break
        parts.append(part)
        rest = _minus(rest, part)
    return parts + ([rest] if rest else [])


def _part(legs: list[SpreadLeg], multiplier: int) -> list[SpreadLeg] | None:
    """The first named spread of four, three or two legs whose removal leaves the sum of losses as it is."""
    whole = loss(legs, multiplier)
    for size in (4, 3, 2):
        for chosen in combinations(legs, size):
            for ratio in ((1, 2, 1),) if size == 3 else ((1,) * size,):
                units = min(abs(leg.quantity) // part for leg, part in zip(chosen, ratio, strict=True))
                part = [
                    leg._replace(quantity=(1 if leg.quantity > 0 else -1) * units * share)
                    for leg, share in zip(chosen, ratio, strict=True)
                ]
                if not units or obstacle(part) or name(part) == "multi-leg spread":
                    continue
                rest = _minus(legs, part)
                still_spread = not rest or obstacle(rest) is None
                if still_spread and loss(part, multiplier) + loss(rest, multiplier) == whole:
                    return part
    return None


def _minus(legs: Sequence[SpreadLeg], part: Sequence[SpreadLeg]) -> list[SpreadLeg]:
    taken = {leg._replace(quantity=0): leg.quantity for leg in part}
    left = (leg._replace(quantity=leg.quantity - taken.get(leg._replace(quantity=0), 0)) for leg in legs)
    return [leg for leg in left if leg.quantity]
