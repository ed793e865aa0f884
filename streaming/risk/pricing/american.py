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

from streaming.risk.pricing.normal import cdf_kernel, exp_kernel

NODES = 8
"""Chebyshev nodes of the boundary besides the one at expiry."""
ITERATION_POINTS = 8
"""Gauss-Legendre points of each integral of the iteration."""
VALUE_POINTS = 15
"""Gauss-Legendre points of the premium integral; with the European value they fill whole vector lanes."""
ITERATIONS = 8
"""Always as many: a value is a smooth function of its inputs, and bumps carry no noise of a stopping rule."""
MORE_ITERATIONS = 18
"""As many where the first ones did not settle: very high volatilities over a small rate."""
ACCEPTED_CHANGE = 3e-3
"""A last change beyond it says that the iteration has not converged and another method must be used."""


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


_NODE = (1.0 + np.cos(np.pi * np.arange(NODES) / NODES)) / 2.0
"""Nodes as fractions of sqrt(T), from T towards expiry."""
_SIN, _COS, _WEIGHT = _angles(ITERATION_POINTS)
_TO_POINTS = _interpolation((_SIN[:, None] * _NODE[None, :]).ravel())
_VALUE_SIN, _VALUE_COS, _VALUE_WEIGHT = _angles(VALUE_POINTS)
_TO_VALUE = _interpolation(_VALUE_SIN)
_GRID = ITERATION_POINTS * NODES


@njit(cache=True, error_model="numpy")
def _first_guess(
    rate: float, carry_yield: float, vol: float, expiry: float, log_top: float, boundary: np.ndarray
) -> None:
    """ln B at the nodes after Bjerksund and Stensland (1993), through the put-call symmetry."""
    variance = vol * vol
    drift = rate - carry_yield - 0.5 * variance
    root = (-drift - sqrt(drift * drift + 2.0 * rate * variance)) / variance
    at_expiry, perpetual = exp(-log_top), (root - 1.0) / root
    for i in range(NODES):
        boundary[i] = log_top
        if perpetual > at_expiry:
            tau = expiry * _NODE[i] * _NODE[i]
            h = -((carry_yield - rate) * tau + 2.0 * vol * sqrt(tau)) * at_expiry / (perpetual - at_expiry)
            boundary[i] = -log(at_expiry + (perpetual - at_expiry) * (1.0 - exp(min(h, 0.0))))


@njit(cache=True, error_model="numpy")
def solve_boundary(
    rate: float, carry_yield: float, vol: float, expiry: float, boundary: np.ndarray
) -> tuple[float, float]:
    """Fill ``boundary`` with ln B at the nodes, unit put with rate > 0; returns ln B(0+) and the last change."""
    log_top = 0.0 if carry_yield <= rate else log(rate / carry_yield)
    carry = rate - carry_yield
    _first_guess(rate, carry_yield, vol, expiry, log_top, boundary)
    inverse, shift, half = np.empty(_GRID), np.empty(_GRID), np.empty(_GRID)
    weight_rate, weight_yield = np.empty(_GRID), np.empty(_GRID)
    for j in range(ITERATION_POINTS):
        for i in range(NODES):
            k = j * NODES + i
            tau = expiry * _NODE[i] * _NODE[i]
            width = vol * sqrt(tau) * _COS[j]
            inverse[k] = 1.0 / width
            shift[k] = carry * tau * _COS[j] * _COS[j] / width
            half[k] = 0.5 * width
            weight_rate[k] = rate * _WEIGHT[j] * tau * exp_kernel(rate * tau * _SIN[j] * _SIN[j])
            weight_yield[k] = carry_yield * _WEIGHT[j] * tau * exp_kernel(carry_yield * tau * _SIN[j] * _SIN[j])
    node_inverse, node_shift, node_half = np.empty(NODES), np.empty(NODES), np.empty(NODES)
    node_carry, tails = np.empty(NODES), np.empty(2 * NODES)
    for i in range(NODES):
        tau = expiry * _NODE[i] * _NODE[i]
        width = vol * sqrt(tau)
        node_carry[i] = carry * tau
        node_inverse[i], node_shift[i], node_half[i] = 1.0 / width, carry * tau / width, 0.5 * width
    squared = np.empty(NODES)
    height, arguments = np.empty(_GRID), np.empty(2 * _GRID)
    numerator, denominator = np.empty(NODES), np.empty(NODES)
    mapped, residual = np.empty(NODES), np.empty(NODES)
    last_mapped, last_residual = np.zeros(NODES), np.zeros(NODES)
    change = 0.0
    for iteration in range(MORE_ITERATIONS):
        if iteration == ITERATIONS and change <= ACCEPTED_CHANGE:
            break
        for i in range(NODES):
            squared[i] = (boundary[i] - log_top) * (boundary[i] - log_top)
        for k in range(_GRID):
            height[k] = _TO_POINTS[0, k] * squared[0]
        for m in range(1, NODES):
            for k in range(_GRID):
                height[k] += _TO_POINTS[m, k] * squared[m]
        for k in range(_GRID):
            height[k] = sqrt(max(height[k], 0.0))
        for j in range(ITERATION_POINTS):
            for i in range(NODES):
                k = j * NODES + i
                middle = (boundary[i] - log_top + height[k]) * inverse[k] + shift[k]
                arguments[k] = middle - half[k]
                arguments[_GRID + k] = middle + half[k]
        for k in range(2 * _GRID):
            arguments[k] = cdf_kernel(arguments[k])
        for i in range(NODES):
            numerator[i] = 0.0
            denominator[i] = 0.0
        for j in range(ITERATION_POINTS):
            for i in range(NODES):
                numerator[i] += weight_rate[j * NODES + i] * arguments[j * NODES + i]
                denominator[i] += weight_yield[j * NODES + i] * arguments[_GRID + j * NODES + i]
        for i in range(NODES):
            tails[i] = boundary[i] * node_inverse[i] + node_shift[i] - node_half[i]
            tails[NODES + i] = tails[i] + 2.0 * node_half[i]
        for k in range(2 * NODES):
            tails[k] = cdf_kernel(tails[k])
        change, along, across = 0.0, 0.0, 0.0
        for i in range(NODES):
            ratio = (numerator[i] + tails[i]) / (denominator[i] + tails[NODES + i])
            mapped[i] = min(log(ratio) - node_carry[i], log_top)
            residual[i] = mapped[i] - boundary[i]
            change = max(change, abs(residual[i]))
            difference = residual[i] - last_residual[i]
            along += residual[i] * difference
            across += difference * difference
        mix = max(-1.0, min(1.0, along / across)) if iteration > 0 and across > 0.0 else 0.0
        for i in range(NODES):
            boundary[i] = min(mapped[i] - mix * (mapped[i] - last_mapped[i]), log_top)
            last_mapped[i], last_residual[i] = mapped[i], residual[i]
    return log_top, change


@njit(cache=True, error_model="numpy")
def premium_coefficients(
    rate: float, carry_yield: float, vol: float, expiry: float, boundary: np.ndarray, log_top: float, table: np.ndarray
) -> None:
    """Fill ``table[5, VALUE_POINTS + 1]`` with what every spot shares: one column per point, the last the European.

    Rows: 1/width, shift of the argument, width/2, weight of cash, weight of asset. A value on spot e^x is
    ``sum(cash x N(-(x inv + shift) + half)) - e^x sum(asset x N(-(x inv + shift) - half))``.
    """
    carry = rate - carry_yield
    for j in range(VALUE_POINTS):
        height = 0.0
        for m in range(NODES):
            height += _TO_VALUE[m, j] * (boundary[m] - log_top) * (boundary[m] - log_top)
        log_boundary = log_top - sqrt(max(height, 0.0))
        left = expiry * _VALUE_COS[j] * _VALUE_COS[j]
        width = vol * sqrt(left)
        table[0, j] = 1.0 / width
        table[1, j] = (carry * left - log_boundary) / width
        table[2, j] = 0.5 * width
        table[3, j] = rate * expiry * _VALUE_WEIGHT[j] * exp_kernel(-rate * left)
        table[4, j] = carry_yield * expiry * _VALUE_WEIGHT[j] * exp_kernel(-carry_yield * left)
    width = vol * sqrt(expiry)
    table[0, VALUE_POINTS] = 1.0 / width
    table[1, VALUE_POINTS] = carry * expiry / width
    table[2, VALUE_POINTS] = 0.5 * width
    table[3, VALUE_POINTS] = exp_kernel(-rate * expiry)
    table[4, VALUE_POINTS] = exp_kernel(-carry_yield * expiry)


@njit(cache=True, error_model="numpy")
def unit_put_kernel(x: float, log_boundary: float, table: np.ndarray, arguments: np.ndarray) -> float:
    """Value of the unit put on spot e^x from ``premium_coefficients``; ``arguments`` is scratch for 2 x points."""
    spot = exp_kernel(x)
    if x <= log_boundary:
        return 1.0 - spot
    points = VALUE_POINTS + 1
    for j in range(points):
        middle = -(x * table[0, j] + table[1, j])
        arguments[j] = middle + table[2, j]
        arguments[points + j] = middle - table[2, j]
    for j in range(2 * points):
        arguments[j] = cdf_kernel(arguments[j])
    cash, asset = 0.0, 0.0
    for j in range(VALUE_POINTS):
        cash += table[3, j] * arguments[j]
        asset += table[4, j] * arguments[points + j]
    last = points - 1
    european = max(table[3, last] * arguments[last] - spot * table[4, last] * arguments[points + last], 0.0)
    return max(european + max(cash - spot * asset, 0.0), 1.0 - spot)
