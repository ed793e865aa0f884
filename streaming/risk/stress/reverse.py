"""Reverse stress: the smallest market move that breaks a threshold (stress testing, section 7).

The threshold is a function of the shocks, ``margin(shocks) -> room``: how far the client is from a maintenance call,
the firm from its net-capital early warning, an account from zero equity. It holds while room >= 0. The function takes
float64 [points, factors] and returns [points]; a grid that was revalued beforehand becomes one by ``interpolated``.
Option books are not monotone, so every sign change on the grid counts, in both directions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from streaming.risk.rulebook import Rules

Margin = Callable[[np.ndarray], np.ndarray]

MAX_FACTORS = 3
MAX_POINTS = 2_000_000
"""Grid points one search may take."""
_BISECTIONS = 60
_ROUNDS = 12
"""Local refinements: each shrinks the neighbourhood by half."""
_LOCAL = 9
"""Points per factor in a refined neighbourhood."""
_RAYS = 256
"""Nearest breaching grid points whose rays to the origin are searched for an earlier crossing."""
_RAY_STEPS = 64


@dataclass(frozen=True, slots=True)
class Roots:
    """Every place on a one-dimensional grid where the threshold gives or heals."""

    roots: np.ndarray
    """float64, increasing: shocks where room is zero, to within the tolerance."""
    down: float | None
    """The nearest breach at or below zero; None: no breach within the range."""
    up: float | None
    """The nearest breach at or above zero; None: no breach within the range."""
    breached_now: bool
    """The threshold is broken without any move: both nearest breaches are 0."""


def roots(margin: Margin, grid: np.ndarray, tolerance: float = 1e-9) -> Roots:
    """All roots of ``margin`` that the grid shows, by bisection between neighbours of different sign.

    ``grid`` is increasing and must hold 0. Two roots between the same neighbours cannot be seen: choose the step so
    that one step matters to nobody.
    """
    if 0.0 not in grid or np.any(np.diff(grid) <= 0):
        raise ValueError("reverse stress: expected an increasing grid with 0 in it")
    room = _evaluate(margin, grid[:, None])
    broken = room < 0.0
    left = np.flatnonzero(broken[1:] != broken[:-1])
    low, high, low_broken = grid[left].copy(), grid[left + 1].copy(), broken[left]
    for _ in range(_BISECTIONS):
        if len(low) == 0 or np.max(high - low) <= tolerance:
            break
        middle = 0.5 * (low + high)
        same = (_evaluate(margin, middle[:, None]) < 0.0) == low_broken
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    breaching = np.where(low_broken, low, high)  # the side on which the threshold is broken
    now = bool(broken[grid == 0.0][0])
    below, above = breaching[breaching <= 0.0], breaching[breaching >= 0.0]
    return Roots(
        roots=breaching,
        down=0.0 if now else (float(below.max()) if len(below) else None),
        up=0.0 if now else (float(above.min()) if len(above) else None),
        breached_now=now,
    )


@dataclass(frozen=True, slots=True)
class Breach:
    """The smallest joint shock that breaks the threshold."""

    shock: np.ndarray
    """float64 [factor]."""
    distance: float
    """Mahalanobis distance from no move, in standard deviations."""
    room: float
    """What the margin function says there: below zero."""


@dataclass(frozen=True, slots=True)
class ReverseResult:
    """A breach, or the finding that none lies within the grid's range."""

    breach: Breach | None
    grid_points: int
    nearest_on_grid: float | None
    """Distance of the nearest breaching grid point: ``breach.distance`` is at most this."""

    @property
    def verified(self) -> bool:
        """No point of the grid breaks the threshold at a smaller distance than the breach found."""
        if self.breach is None:
            return self.nearest_on_grid is None
        return self.nearest_on_grid is not None and self.breach.distance <= self.nearest_on_grid


def smallest_breach(margin: Margin, axes: Sequence[np.ndarray], covariance: np.ndarray) -> ReverseResult:
    """Search a full grid of one to three factors, then narrow: rays to the origin, then ever finer neighbourhoods.

    Each axis is increasing and holds 0. ``covariance`` of the factors' daily moves sets the distance. Ties on the grid
    go to the first point in axis order, so the result does not depend on how the work is divided.
    """
    points = _grid(axes, covariance)
    inverse = np.linalg.inv(covariance)
    distance = _distance(points, inverse)
    broken = np.flatnonzero(_evaluate(margin, points) < 0.0)
    if len(broken) == 0:
        return ReverseResult(None, len(points), None)
    nearest = broken[np.argsort(distance[broken], kind="stable")][:_RAYS]
    best = _along_rays(margin, points[nearest], inverse)
    step = np.array([np.max(np.diff(axis)) if len(axis) > 1 else 0.0 for axis in axes])
    limits = np.array([[axis[0], axis[-1]] for axis in axes])
    for _ in range(_ROUNDS):
        around = [
            np.unique(np.clip(np.linspace(x - s, x + s, _LOCAL), *limit)) for x, s, limit in zip(best, step, limits)
        ]
        local = np.stack(np.meshgrid(*around, indexing="ij"), axis=-1).reshape(-1, len(axes))
        hit = local[_evaluate(margin, local) < 0.0]
        if len(hit):
            order = np.argsort(_distance(hit, inverse), kind="stable")[:_RAYS]
            found = _along_rays(margin, hit[order], inverse)
            if _distance(found[None], inverse)[0] < _distance(best[None], inverse)[0]:
                best = found
        step = step / 2.0
    room = float(_evaluate(margin, best[None])[0])
    breach = Breach(best, float(_distance(best[None], inverse)[0]), room)
    return ReverseResult(breach, len(points), float(distance[nearest[0]]))


def covariance(sigmas: Sequence[float], correlation: np.ndarray | float = 0.0) -> np.ndarray:
    """Covariance of up to three factors from their daily standard deviations and correlation (one number for two)."""
    scale = np.asarray(sigmas, dtype=np.float64)
    if np.ndim(correlation) == 0:
        matrix = np.full((len(scale), len(scale)), float(correlation))
        np.fill_diagonal(matrix, 1.0)
    else:
        matrix = np.asarray(correlation, dtype=np.float64)
    return matrix * np.outer(scale, scale)


def index_axis(rules: Rules, step: float) -> np.ndarray:
    """Index moves from the rulebook's largest fall to its largest rise, every ``step``, 0 exactly among them."""
    low, high = (float(rules.value(f"stress.reverse.{end}")) for end in ("down", "up"))
    return np.arange(round(low / step), round(high / step) + 1) * step


def index_vix_covariance(index_sigma: float, vix_sigma: float, rules: Rules) -> np.ndarray:
    """Covariance of the daily index return and the daily change of log VIX, at the rulebook's correlation."""
    return covariance((index_sigma, vix_sigma), float(rules.value("stress.reverse.correlation")))


def interpolated(axes: Sequence[np.ndarray], room: np.ndarray) -> Margin:
    """A margin function from room that was computed on a grid: linear between its points, NaN-free inside its range."""
    if room.shape != tuple(len(axis) for axis in axes):
        raise ValueError(f"reverse stress: expected room {tuple(len(a) for a in axes)}, found {room.shape}")
    return RegularGridInterpolator(tuple(axes), room, method="linear", bounds_error=True)


def top_contributors(loss: np.ndarray, rules: Rules) -> np.ndarray:
    """Codes of the ten largest losses (micros by code), largest first, gains left out; ties go to the lower code."""
    order = np.argsort(-loss, kind="stable")[: int(rules.value("stress.report.contributors"))]
    return order[loss[order] > 0]


def _grid(axes: Sequence[np.ndarray], covariance: np.ndarray) -> np.ndarray:
    count = len(axes)
    size = int(np.prod([len(axis) for axis in axes]))
    if not 1 <= count <= MAX_FACTORS or covariance.shape != (count, count):
        raise ValueError(
            f"reverse stress: expected one to {MAX_FACTORS} factors with their covariance, "
            f"found {count} axes and {covariance.shape}"
        )
    if size > MAX_POINTS:
        raise ValueError(f"reverse stress: expected at most {MAX_POINTS} grid points, found {size}")
    for axis in axes:
        if 0.0 not in axis or np.any(np.diff(axis) <= 0):
            raise ValueError("reverse stress: expected increasing axes with 0 in them")
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, count)


def _along_rays(margin: Margin, targets: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """The nearest breaching point on the rays from the origin to the targets (each of which breaches)."""
    fractions = np.arange(1, _RAY_STEPS + 1) / _RAY_STEPS
    on_ray = targets[:, None, :] * fractions[None, :, None]
    broken = _evaluate(margin, on_ray.reshape(-1, targets.shape[1])).reshape(len(targets), -1) < 0.0
    broken[:, -1] = True
    first = broken.argmax(axis=1)
    high = fractions[first]
    low = high - 1.0 / _RAY_STEPS
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        breaks = _evaluate(margin, targets * middle[:, None]) < 0.0
        low, high = np.where(breaks, low, middle), np.where(breaks, middle, high)
    points = targets * high[:, None]
    return points[np.argmin(_distance(points, inverse))]


def _distance(points: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("pi,ij,pj->p", points, inverse, points))


def _evaluate(margin: Margin, points: np.ndarray) -> np.ndarray:
    room = np.asarray(margin(points), dtype=np.float64).reshape(-1)
    if room.shape != (len(points),) or np.any(np.isnan(room)):
        raise ValueError(f"reverse stress: expected {len(points)} finite values of room, found {room.shape}")
    return room
