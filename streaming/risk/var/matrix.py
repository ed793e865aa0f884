"""Correlation matrices: repair, shift, and Cholesky factors, in fixed order so that no thread count changes a bit."""

from dataclasses import dataclass

import numpy as np
from numba import njit

_SWEEPS = 60
_CONVERGED = 1e-14
"""Off-diagonal weight relative to the diagonal at which the rotations stop."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A lower Cholesky factor, and what had to be done to the matrix to get it."""

    lower: np.ndarray
    repaired: bool
    smallest_eigenvalue: float
    """Of the matrix as it came; NaN when no repair was needed and none was computed."""
    largest_change: float
    """Largest change of any correlation by the repair."""


def cholesky(correlation: np.ndarray, floor: float) -> Factor:
    """Lower factor of a correlation matrix; one that is not positive definite is repaired and the repair is reported.

    Repair: eigenvalues below ``floor`` are raised to it and the diagonal is scaled back to one (Rebonato and Jaeckel,
    spectral decomposition).
    """
    _check(correlation)
    lower, smallest_pivot = _lower(correlation)
    if smallest_pivot > floor:
        return Factor(lower, False, float("nan"), 0.0)
    values, vectors = eigen(correlation)
    raised = np.maximum(values, floor)
    matrix = np.einsum("ik,k,jk->ij", vectors, raised, vectors)
    scale = 1.0 / np.sqrt(np.diag(matrix))
    matrix = matrix * np.outer(scale, scale)
    np.fill_diagonal(matrix, 1.0)
    lower, smallest_pivot = _lower(matrix)
    if not smallest_pivot > 0.0:
        raise ValueError(f"correlation: expected a matrix that the floor {floor} repairs, found pivot {smallest_pivot}")
    return Factor(lower, True, float(values.min()), float(np.abs(matrix - correlation).max()))


def shifted(correlation: np.ndarray, target: float, weight: float) -> np.ndarray:
    """Correlations moved towards ``target`` by ``weight`` (1 = all the way): a correlation stress of Monte Carlo."""
    moved = correlation + weight * (target - correlation)
    np.fill_diagonal(moved, 1.0)
    return moved


def correlation_of(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(correlation, standard deviations); a factor that never moves correlates with nothing."""
    sigma = np.sqrt(np.diag(covariance))
    scale = np.where(sigma > 0.0, sigma, 1.0)
    matrix = np.clip(covariance / np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix, sigma


def eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors (columns) of a symmetric matrix by cyclic Jacobi rotations."""
    values = np.array(matrix, dtype=np.float64)
    vectors = np.eye(len(values))
    _rotate(values, vectors)
    return np.diag(values).copy(), vectors


def _check(matrix: np.ndarray) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.all(np.isfinite(matrix)):
        raise ValueError(f"correlation: expected a finite square matrix, found {matrix.shape}")
    if not np.allclose(matrix, matrix.T, rtol=0.0, atol=1e-12) or not np.allclose(np.diag(matrix), 1.0, atol=1e-12):
        raise ValueError("correlation: expected a symmetric matrix with ones on its diagonal")


@njit(cache=True, nogil=True)
def _lower(matrix):
    """Cholesky factor and smallest pivot; pivots at or below zero leave a column of zeros."""
    n = len(matrix)
    lower = np.zeros((n, n))
    smallest = np.inf
    for j in range(n):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= lower[j, k] * lower[j, k]
        smallest = min(smallest, pivot)
        if pivot <= 0.0:
            continue
        lower[j, j] = np.sqrt(pivot)
        for i in range(j + 1, n):
            value = matrix[i, j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = value / lower[j, j]
    return lower, smallest


@njit(cache=True, nogil=True)
def _rotate(a, v):
    n = len(a)
    for _ in range(_SWEEPS):
        off = 0.0
        for p in range(n):
            for q in range(p + 1, n):
                off = max(off, abs(a[p, q]))
        if off <= _CONVERGED:
            return
        for p in range(n):
            for q in range(p + 1, n):
                if a[p, q] == 0.0:
                    continue
                theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                sign = 1.0 if theta >= 0.0 else -1.0
                t = sign / (abs(theta) + np.sqrt(theta * theta + 1.0))
                c = 1.0 / np.sqrt(t * t + 1.0)
                s = t * c
                for k in range(n):
                    x, y = a[k, p], a[k, q]
                    a[k, p], a[k, q] = c * x - s * y, s * x + c * y
                for k in range(n):
                    x, y = a[p, k], a[q, k]
                    a[p, k], a[q, k] = c * x - s * y, s * x + c * y
                for k in range(n):
                    x, y = v[k, p], v[k, q]
                    v[k, p], v[k, q] = c * x - s * y, s * x + c * y
