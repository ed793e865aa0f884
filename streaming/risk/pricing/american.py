"""American options without cash dividends: the exercise boundary, solved once, serves every spot.

Method: Andersen, Lake and Offengenden, "High-performance American option pricing" (2016). The boundary B(tau) of a put
depends on rate, yield, volatility and expiry only; ln^2(B/B(0+)) is a smooth function of sqrt(tau), held at a few
Chebyshev nodes and found by fixed-point iteration of their equation FP-B. A value is then the European value plus the
early-exercise premium, one integral over the boundary. Two choices of ours: the integrals run in an angle, with
u = tau sin^2, which removes the square roots at both ends; Anderson mixing of depth one speeds the iteration.

Everything works on the *unit put*, strike 1 and spot e^x; McDonald and Schroder's symmetry makes a call on (S, K, r, q)
a put on (K, S, q, r). Where early exercise can never pay (rate <= 0 and yield >= rate) the value is the European one;
where the unit put has two boundaries (yield < rate <= 0), or the iteration did not converge, revalue.py falls back to
finite differences.
"""

from math import exp, log, sqrt

import numpy as np
from numba import njit

from streaming.risk.pricing.normal import INV_SQRT_2PI, cdf_kernel, exp_kernel, rough_cdf_kernel

NODES = 8
"""Chebyshev nodes of the boundary besides the one at expiry."""
ITERATION_POINTS = 6
"""Gauss-Legendre points of each integral of the iteration."""
VALUE_POINTS = 15
"""Gauss-Legendre points of the premium integral; twice as many arguments fill vector lanes."""
LANES = 8
"""Spots valued together."""
ITERATIONS = 8
"""Always as many, no stopping rule: values are smooth in their inputs, and bumps carry no noise."""
HIGH_GAIN = 0.3
MORE_ITERATIONS = 14
"""Where rate x T of the unit put exceeds ``HIGH_GAIN`` an error of the boundary weighs more; it is iterated longer."""
ACCEPTED_CHANGE = 3e-3
"""A last change of the boundary within it says that the iteration has converged."""
ACCEPTED_ERROR = 1e-5
"""As does one that moves the value by less than this share of the strike: hours before expiry a premium is small."""


def _angles(points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sin, cos and weight of du for u = sin^2(angle) over (0, 1), by Gauss-Legendre in the angle."""
    y, weight = np.polynomial.legendre.leggauss(points)
    angle = (y + 1.0) * np.pi / 4.0
    sin, cos = np.sin(angle), np.cos(angle)
    return sin, cos, 2.0 * sin * cos * weight * np.pi / 4.0


def _interpolation(fractions: np.ndarray) -> np.ndarray:
    """[node, fraction]: weights that carry values at the nodes to fractions of sqrt(T); the value at expiry is 0."""
    k = np.arange(NODES + 1)
    sign = (-1.0) ** k
    sign[[0, -1]] *= 0.5
    distance = (2.0 * fractions - 1.0)[None, :] - np.cos(np.pi * k / NODES)[:, None]
    exact = np.abs(distance) < 1e-14
    terms = sign[:, None] / np.where(exact, 1.0, distance)
    weights = terms / terms.sum(axis=0)
    hit = exact.any(axis=0)
    weights[:, hit] = exact[:, hit]
    return np.ascontiguousarray(weights[:NODES])


def _series() -> np.ndarray:
    """[coefficient, node]: from values at the nodes, 0 at expiry, to Chebyshev coefficients (discrete cosine)."""
    k = np.arange(NODES + 1)
    end = np.where((k == 0) | (k == NODES), 0.5, 1.0)
    matrix = 2.0 / NODES * end[:, None] * end[None, :] * np.cos(np.pi * np.outer(k, k) / NODES)
    return np.ascontiguousarray(matrix[:, :NODES])


_NODE = (1.0 + np.cos(np.pi * np.arange(NODES) / NODES)) / 2.0
"""Nodes as fractions of sqrt(T), from T towards expiry."""
_SIN, _COS, _WEIGHT = _angles(ITERATION_POINTS)
_TO_POINTS = _interpolation((_SIN[:, None] * _NODE[None, :]).ravel())
_VALUE_SIN, _VALUE_COS, _VALUE_WEIGHT = _angles(VALUE_POINTS)
_VALUE_LEFT = np.append(_VALUE_COS, 1.0)
"""sqrt(T - u) at each point, and of the European value."""
_TO_VALUE = _interpolation(_VALUE_SIN)
_TO_SERIES = _series()
_GRID = ITERATION_POINTS * NODES
# One column per quadrature point and node, k = point x NODES + node; times are fractions of the expiry.
_TAU = np.tile(_NODE**2, ITERATION_POINTS)
_LEFT_ROOT = (_COS[:, None] * _NODE[None, :]).ravel()
"""sqrt(tau - u)."""
_INVERSE = 1.0 / _LEFT_ROOT
_PASSED = (_SIN[:, None] * _NODE[None, :]).ravel() ** 2
"""u."""
_STEP = np.repeat(_WEIGHT, NODES) * _TAU
"""Weight of du."""
_NODE_INVERSE, _NODE_TAU = 1.0 / _NODE, _NODE**2


@njit(cache=True, error_model="numpy")
def _first_guess(
    rate: float, carry_yield: float, width: float, expiry: float, log_top: float, boundary: np.ndarray
) -> None:
    """ln B at the nodes after Bjerksund and Stensland (1993), through the put-call symmetry; width = vol sqrt(T)."""
    variance = width * width / expiry
    drift = rate - carry_yield - 0.5 * variance
    root = (-drift - sqrt(drift * drift + 2.0 * rate * variance)) / variance
    at_expiry, perpetual = exp(-log_top), (root - 1.0) / root
    for i in range(NODES):
        boundary[i] = log_top
        if perpetual > at_expiry:
            h = -((carry_yield - rate) * expiry * _NODE_TAU[i] + 2.0 * width * _NODE[i])
            share = 1.0 - exp(min(h * at_expiry / (perpetual - at_expiry), 0.0))
            boundary[i] = -log(at_expiry + (perpetual - at_expiry) * share)


@njit(cache=True, error_model="numpy")
def iteration_scratch() -> tuple[np.ndarray, ...]:
    """Working arrays of ``solve_boundary``, whose content does not matter."""
    return np.empty(_GRID), np.empty(2 * _GRID), np.empty(2 * _GRID), np.empty(2 * NODES), np.empty((4, NODES))


@njit(cache=True, error_model="numpy")
def solve_boundary(
    rate: float, carry_yield: float, vol: float, expiry: float, boundary: np.ndarray, scratch: tuple[np.ndarray, ...]
) -> tuple[float, float]:
    """Fill ``boundary`` with ln B at the nodes, unit put with rate > 0; returns ln B(0+) and the last change."""
    height, arguments, weights, tails, nodes = scratch
    log_top = 0.0 if carry_yield <= rate else log(rate / carry_yield)
    carry, width = (rate - carry_yield) * expiry, vol * sqrt(expiry)
    _first_guess(rate, carry_yield, width, expiry, log_top, boundary)
    for k in range(_GRID):
        weights[k] = rate * expiry * _STEP[k] * exp_kernel(rate * expiry * _PASSED[k])
    for k in range(_GRID):
        weights[_GRID + k] = carry_yield * expiry * _STEP[k] * exp_kernel(carry_yield * expiry * _PASSED[k])
    numerator, denominator, last_mapped, last_residual = nodes[0], nodes[1], nodes[2], nodes[3]
    last_mapped[:] = 0.0
    last_residual[:] = 0.0
    change = 0.0
    for iteration in range(ITERATIONS if rate * expiry <= HIGH_GAIN else MORE_ITERATIONS):
        _integral_arguments(boundary, log_top, carry / width, width, height, arguments)
        for k in range(2 * _GRID):
            arguments[k] = rough_cdf_kernel(arguments[k])
        for i in range(NODES):
            tails[i] = (boundary[i] * _NODE_INVERSE[i] + carry * _NODE[i]) / width - 0.5 * width * _NODE[i]
            tails[NODES + i] = tails[i] + width * _NODE[i]
        for k in range(2 * NODES):
            tails[k] = rough_cdf_kernel(tails[k])
        for i in range(NODES):
            numerator[i] = tails[i]
            denominator[i] = tails[NODES + i]
        for j in range(ITERATION_POINTS):
            for i in range(NODES):
                numerator[i] += weights[j * NODES + i] * arguments[j * NODES + i]
                denominator[i] += weights[_GRID + j * NODES + i] * arguments[_GRID + j * NODES + i]
        # fixed point: B = e^{-(r-q) tau} N / D; Anderson: mix with the last so that the residual shrinks most
        change, along, across = 0.0, 0.0, 0.0
        for i in range(NODES):
            mapped = min(log(numerator[i] / denominator[i]) - carry * _NODE_TAU[i], log_top)
            numerator[i], denominator[i] = mapped, mapped - boundary[i]
            difference = denominator[i] - last_residual[i]
            change = max(change, abs(denominator[i]))
            along += denominator[i] * difference
            across += difference * difference
        mix = max(-1.0, min(1.0, along / across)) if iteration > 0 and across > 0.0 else 0.0
        for i in range(NODES):
            boundary[i] = min(numerator[i] - mix * (numerator[i] - last_mapped[i]), log_top)
            last_mapped[i], last_residual[i] = numerator[i], denominator[i]
    return log_top, change


@njit(cache=True, error_model="numpy")
def settled(rate: float, vol: float, expiry: float, change: float) -> bool:
    """Whether a boundary whose last change was ``change`` may be used; if not, another method must be."""
    # the premium is about rate T N(d), and d moves with the boundary by change / width
    moved = INV_SQRT_2PI * rate * expiry * change / (vol * sqrt(expiry))
    return change <= ACCEPTED_CHANGE or moved <= ACCEPTED_ERROR


@njit(cache=True, error_model="numpy")
def _integral_arguments(boundary, log_top, drift, width, height, arguments) -> None:
    """d- and d+ at every point of every node's integral; drift = (r - q) T / width."""
    square = boundary - log_top
    square *= square
    for k in range(_GRID):
        height[k] = (
            _TO_POINTS[0, k] * square[0] + _TO_POINTS[1, k] * square[1] + _TO_POINTS[2, k] * square[2]
            + _TO_POINTS[3, k] * square[3] + _TO_POINTS[4, k] * square[4] + _TO_POINTS[5, k] * square[5]
            + _TO_POINTS[6, k] * square[6] + _TO_POINTS[7, k] * square[7]
        )  # fmt: skip
    for k in range(_GRID):
        height[k] = sqrt(max(height[k], 0.0))
    scale = 1.0 / width
    for j in range(ITERATION_POINTS):
        for i in range(NODES):
            k = j * NODES + i
            middle = (boundary[i] - log_top + height[k]) * (scale * _INVERSE[k]) + drift * _LEFT_ROOT[k]
            arguments[k] = middle - 0.5 * width * _LEFT_ROOT[k]
            arguments[_GRID + k] = middle + 0.5 * width * _LEFT_ROOT[k]


@njit(cache=True, error_model="numpy")
def boundary_heights(boundary: np.ndarray, log_top: float, heights: np.ndarray) -> None:
    """Fill ``heights[VALUE_POINTS]`` with ln B(0+) - ln B at the points of the premium integral over the whole life."""
    square = boundary - log_top
    square *= square
    for j in range(VALUE_POINTS):
        height = 0.0
        for m in range(NODES):
            height += _TO_VALUE[m, j] * square[m]
        heights[j] = sqrt(max(height, 0.0))


@njit(cache=True, error_model="numpy")
def boundary_series(boundary: np.ndarray, log_top: float, series: np.ndarray) -> None:
    """Fill ``series[NODES + 1]`` with the Chebyshev coefficients of (ln B(0+) - ln B)^2 over sqrt(tau)."""
    series[:] = 0.0
    for m in range(NODES):
        square = (boundary[m] - log_top) * (boundary[m] - log_top)
        for k in range(NODES + 1):
            series[k] += _TO_SERIES[k, m] * square


@njit(cache=True, error_model="numpy")
def later_heights(series: np.ndarray, root: float, heights: np.ndarray, work: np.ndarray) -> float:
    """``boundary_heights`` for a life that has shrunk to ``root**2`` of the one the boundary was solved for, root <= 1.

    B(tau) depends on the time tau to expiry only, so a boundary serves all later times. Returns ln B(0+) - ln B at the
    time left. ``work[3, VALUE_POINTS + 1]`` is scratch.
    """
    x, after, last = work[0], work[1], work[2]
    for j in range(VALUE_POINTS):
        x[j] = 2.0 * _VALUE_SIN[j] * root - 1.0
    x[VALUE_POINTS] = 2.0 * root - 1.0
    after[:] = 0.0
    last[:] = 0.0
    for k in range(NODES, 0, -1):  # Clenshaw's recurrence, all points at once
        for j in range(VALUE_POINTS + 1):
            now = series[k] + 2.0 * x[j] * after[j] - last[j]
            last[j] = after[j]
            after[j] = now
    for j in range(VALUE_POINTS):
        heights[j] = sqrt(max(series[0] + x[j] * after[j] - last[j], 0.0))
    return sqrt(max(series[0] + x[VALUE_POINTS] * after[VALUE_POINTS] - last[VALUE_POINTS], 0.0))


@njit(cache=True, error_model="numpy")
def premium_coefficients(
    rate: float, carry_yield: float, vol: float, expiry: float, heights: np.ndarray, log_top: float, table: np.ndarray
) -> None:
    """Fill ``table[5, VALUE_POINTS + 1]`` with what every spot shares: one column per point, the last the European.

    Rows: 1/width, shift of the argument, width/2, weight of cash, weight of asset. A held put on spot e^x is worth
    ``sum(cash x N(-(x inverse + shift) + half)) - e^x sum(asset x N(-(x inverse + shift) - half))``.
    """
    carry, width = (rate - carry_yield) * expiry, vol * sqrt(expiry)
    inverse, shift, half, cash, asset = table[0], table[1], table[2], table[3], table[4]
    for j in range(VALUE_POINTS + 1):
        half[j] = 0.5 * width * _VALUE_LEFT[j]
        inverse[j] = 1.0 / (width * _VALUE_LEFT[j])
        shift[j] = carry * _VALUE_LEFT[j] / width
        cash[j] = exp_kernel(-rate * expiry * _VALUE_LEFT[j] * _VALUE_LEFT[j])
        asset[j] = exp_kernel(-carry_yield * expiry * _VALUE_LEFT[j] * _VALUE_LEFT[j])
    for j in range(VALUE_POINTS):
        shift[j] -= (log_top - heights[j]) * inverse[j]
        cash[j] *= rate * expiry * _VALUE_WEIGHT[j]
        asset[j] *= carry_yield * expiry * _VALUE_WEIGHT[j]


@njit(cache=True, error_model="numpy")
def unit_puts(
    x: np.ndarray, count: int, log_boundary: float, table: np.ndarray, premium: np.ndarray, european: np.ndarray
) -> None:
    """Values of the unit put on spots e^x, ``count`` <= ``LANES`` of them, in place of ``x``.

    From ``premium_coefficients``; ``premium`` and ``european`` are scratch. Many spots at once keep the loops long; the
    premium, a small part, takes the rough N.
    """
    for s in range(count):
        at = s * 2 * VALUE_POINTS
        for j in range(VALUE_POINTS):
            middle = -(x[s] * table[0, j] + table[1, j])
            premium[at + j] = middle + table[2, j]
            premium[at + VALUE_POINTS + j] = middle - table[2, j]
        middle = -(x[s] * table[0, VALUE_POINTS] + table[1, VALUE_POINTS])
        european[2 * s] = middle + table[2, VALUE_POINTS]
        european[2 * s + 1] = middle - table[2, VALUE_POINTS]
    for k in range(count * 2 * VALUE_POINTS):
        premium[k] = rough_cdf_kernel(premium[k])
    for k in range(2 * count):
        european[k] = cdf_kernel(european[k])
    for s in range(count):
        at = s * 2 * VALUE_POINTS
        spot = exp_kernel(x[s])
        cash, asset = 0.0, 0.0
        for j in range(VALUE_POINTS):
            cash += table[3, j] * premium[at + j]
            asset += table[4, j] * premium[at + VALUE_POINTS + j]
        held = table[3, VALUE_POINTS] * european[2 * s] - spot * table[4, VALUE_POINTS] * european[2 * s + 1]
        held = max(held, 0.0) + max(cash - spot * asset, 0.0)
        x[s] = max(held, 1.0 - spot) if x[s] > log_boundary else 1.0 - spot
