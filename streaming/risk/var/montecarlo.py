"""Monte Carlo VaR: correlated Gaussian or t moves from a seed, full revaluation by the caller's pricer.

Path p of a seed is the same whatever the number of paths: numbers come from PCG64 in blocks of fixed size, one child
seed a block. Two runs with one seed are bit-identical.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from scipy.special import bdtr, ndtri

from streaming.risk.money import MICRO
from streaming.risk.rulebook import Rules
from streaming.risk.var.matrix import Factor, cholesky, correlation_of
from streaming.risk.var.tail import tail_count, tails

BLOCK = 4096
"""Paths per child seed; even, so that antithetic pairs stay together."""
_INTERVAL = 0.95

Revalue = Callable[[np.ndarray], np.ndarray]
"""float64 moves [path, factor] -> int64 micros P&L [row, path]."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A joint distribution of one-day factor moves with a seed."""

    factor: Factor
    sigma: np.ndarray
    seed: int
    degrees_of_freedom: float | None
    """None: Gaussian. Otherwise a multivariate t, scaled to the same covariance."""
    antithetic: bool

    def moves(self, first: int, last: int) -> np.ndarray:
        """float64 [path, factor]: paths ``first`` to ``last`` - 1; ``first`` at a block's start."""
        if first % BLOCK:
            raise ValueError(f"Monte Carlo: expected a first path that starts a block of {BLOCK}, found {first}")
        blocks = [self._block(number) for number in range(first // BLOCK, -(-last // BLOCK))]
        joined = np.concatenate(blocks) if blocks else np.empty((0, len(self.sigma)))
        return joined[: last - first]

    def _block(self, number: int) -> np.ndarray:
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(number,))))
        drawn = BLOCK // 2 if self.antithetic else BLOCK
        normal = stream.standard_normal((drawn, len(self.sigma)))
        if self.degrees_of_freedom is not None:
            nu = self.degrees_of_freedom
            normal *= np.sqrt((nu - 2.0) / stream.chisquare(nu, drawn))[:, None]
        if self.antithetic:
            normal = np.stack((normal, -normal), axis=1).reshape(BLOCK, -1)
        return _correlate(normal, self.factor.lower) * self.sigma


def generator(
    covariance: np.ndarray,
    seed: int,
    rules: Rules,
    distribution: Literal["normal", "t"] = "normal",
    antithetic: bool = False,
) -> Generator:
    """Moves with this covariance; its correlation is repaired where it has to be, and ``factor`` says so. The t has the
    rulebook's degrees of freedom."""
    degrees = float(rules.value("var.monte_carlo.degrees_of_freedom")) if distribution == "t" else None
    if degrees is not None and degrees <= 2.0:
        raise ValueError(f"t distribution: expected more than 2 degrees of freedom, found {degrees}")
    correlation, sigma = correlation_of(covariance)
    floor = float(rules.value("var.monte_carlo.eigenvalue_floor"))
    return Generator(cholesky(correlation, floor), sigma, seed, degrees, antithetic)


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """VaR and ES of every row in micros, with what the sampling error of the watched row is."""

    var: np.ndarray
    es: np.ndarray
    pnl: np.ndarray
    """int64 micros [row, path]."""
    standard_error: int
    """Of the watched row's VaR, micros, from the order-statistic interval (independent paths; conservative for
    antithetic ones)."""
    interval: tuple[int, int]
    """95% order-statistic interval of the watched row's VaR, micros."""
    paths: int
    converged: bool
    """The stop rule was met: standard error within the set fraction of VaR."""
    factor: Factor
    seed: int


def monte_carlo(
    moves: Generator, revalue: Revalue, confidence: int, rules: Rules, watched: int = 0, paths: int | None = None
) -> MonteCarlo:
    """Simulate until the watched row's VaR is known well enough.

    Starts with ``paths`` (default, and at least, the rulebook's minimum) and doubles until the standard error is within
    ``var.monte_carlo.relative_error`` of the VaR or ``var.monte_carlo.most_paths`` is reached.
    """
    least, most = (int(rules.value(f"var.monte_carlo.{name}")) for name in ("paths", "most_paths"))
    if paths is not None and paths < least:
        raise ValueError(f"Monte Carlo: expected at least {least} paths, found {paths}")
    tolerance = float(rules.value("var.monte_carlo.relative_error"))
    count, done, held = paths or least, 0, np.empty((0, 0), dtype=np.int64)
    while True:
        whole = -(-count // BLOCK) * BLOCK  # blocks are revalued whole, the sample takes what it needs of the last
        fresh = np.asarray(revalue(moves.moves(done, whole)), dtype=np.int64)
        held, done = (np.concatenate((held, fresh), axis=1) if done else fresh), whole
        pnl = held[:, :count]
        error, interval = sampling_error(-pnl[watched], confidence)
        var, es = tails(pnl, confidence)
        converged = error <= tolerance * abs(int(var[watched]))
        if converged or count * 2 > most:
            return MonteCarlo(var, es, pnl, error, interval, count, converged, moves.factor, moves.seed)
        count *= 2


def sampling_error(losses: np.ndarray, confidence: int) -> tuple[int, tuple[int, int]]:
    """(standard error, 95% interval) of an order-statistic VaR in micros: the ranks between which the number of losses
    beyond the true VaR falls with that probability are binomial, whatever the distribution of the losses."""
    count = len(losses)
    k, _ = tail_count(count, confidence)
    p = (MICRO - confidence) / MICRO
    within = (1.0 - _INTERVAL) / 2.0, (1.0 + _INTERVAL) / 2.0
    ranks = np.searchsorted(bdtr(np.arange(count + 1), count, p), within)
    ordered = np.sort(losses)[::-1]
    high = int(ordered[max(0, min(k, int(ranks[0])) - 1)])
    low = int(ordered[min(count, max(k, int(ranks[1]) + 1)) - 1])
    return round((high - low) / (2.0 * float(ndtri((1.0 + _INTERVAL) / 2.0)))), (low, high)


@njit(cache=True, nogil=True)
def _correlate(normal, lower):
    """normal @ lower.T with one order of additions, whatever the linear-algebra library does."""
    paths, factors = normal.shape
    found = np.empty((paths, factors))
    for p in range(paths):
        for i in range(factors):
            value = 0.0
            for k in range(i + 1):
                value += lower[i, k] * normal[p, k]
            found[p, i] = value
    return found
