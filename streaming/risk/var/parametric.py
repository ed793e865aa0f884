"""Parametric VaR: a check on the others, exact only for linear books with normal moves."""

from math import exp, pi, sqrt

import numpy as np
from scipy.special import ndtri

from streaming.risk.money import MICRO
from streaming.risk.var.tail import Tail


def normal_tail(mean: float, sigma: float, confidence: int, periods: int = 1) -> Tail:
    """VaR = T mean + z sqrt(T) sigma and ES = T mean + sqrt(T) sigma phi(z) / (1 - c) of a normal *loss*.

    ``mean`` and ``sigma`` per period; confidence in ppm.
    """
    if sigma < 0.0:
        raise ValueError(f"sigma: expected at least 0, found {sigma}")
    c = confidence / MICRO
    z = float(ndtri(c))
    scale = sigma * sqrt(periods)
    return Tail(periods * mean + z * scale, periods * mean + scale * exp(-0.5 * z * z) / sqrt(2.0 * pi) / (1.0 - c))


def delta_normal(exposure: np.ndarray, covariance: np.ndarray, confidence: int, periods: int = 1) -> Tail:
    """VaR and ES of a linear book: exposure (currency per 1.00 relative move) by factor, covariance of daily moves."""
    variance = float(np.einsum("i,ij,j->", exposure, covariance, exposure))
    return normal_tail(0.0, sqrt(max(0.0, variance)), confidence, periods)


def delta_normal_components(exposure: np.ndarray, covariance: np.ndarray, confidence: int) -> np.ndarray:
    """float64 by factor: exposure x marginal VaR (Euler); they sum to the VaR of :func:`delta_normal`."""
    slope = np.einsum("ij,j->i", covariance, exposure)
    variance = float(np.einsum("i,i->", exposure, slope))
    if variance <= 0.0:
        return np.zeros(len(exposure))
    return float(ndtri(confidence / MICRO)) * exposure * slope / sqrt(variance)


def sample_covariance(moves: np.ndarray) -> np.ndarray:
    """Covariance of returns [day, factor] around zero, in a fixed order of summation."""
    return np.einsum("ti,tj->ij", moves, moves) / len(moves)
