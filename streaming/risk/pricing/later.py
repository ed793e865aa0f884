"""American values in the minutes after their exercise boundaries were solved.

A boundary B(tau) depends on rate, yield, volatility and the time tau to expiry, not on the spot. Solved at one instant
it serves every later one until volatility or rates change: what is left is one integral per option and spot.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from streaming.risk.pricing.american import (
    NODES,
    VALUE_POINTS,
    boundary_series,
    iteration_scratch,
    later_heights,
    premium_coefficients,
    settled,
    solve_boundary,
)
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.finite_difference import WIDEST
from streaming.risk.pricing.revalue import american_values, escrowed, revalue, scratch
from streaming.risk.reference import Right, Style

_BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Exercise boundaries of contracts at one instant and one volatility each."""

    contracts: Contracts
    """At the instant of solving."""
    vol: np.ndarray
    """float64 per year [contract]."""
    solved: np.ndarray
    """int64: the rows that have a boundary: American, without cash dividends, exercise can pay, settled."""
    series: np.ndarray
    """float64 [solved, coefficient]: Chebyshev coefficients of (ln B(0+) - ln B)^2 of the unit put."""
    log_top: np.ndarray
    """float64 [solved]: ln B at expiry."""


def solve_boundaries(contracts: Contracts, vol: np.ndarray) -> Boundaries:
    """The boundaries of the contracts at ``vol[contract]``."""
    vol = np.ascontiguousarray(vol, dtype=np.float64)
    gain, cost = _gain_and_cost(contracts)
    able = (contracts.style == Style.AMERICAN) & (contracts.expiry > 0.0) & (vol > 0.0) & (gain > 0.0)
    rows = np.flatnonzero(able & (escrowed(contracts)[0] == 0.0))
    series, log_top, found = np.empty((len(rows), NODES + 1)), np.empty(len(rows)), np.empty(len(rows), np.bool_)
    _solve(gain[rows], cost[rows], vol[rows], contracts.expiry[rows], series, log_top, found)
    return Boundaries(contracts, vol, rows[found], series[found], log_top[found])


def revalue_later(held: Boundaries, expiry: np.ndarray, spot: np.ndarray, threads: int | None = None) -> np.ndarray:
    """Values of the contracts when ``expiry[contract]`` years are left: float64 [contract, scenario], per unit.

    ``spot[underlying, scenario]``; volatility and rates as they were solved for. Raises ValueError for an expiry beyond
    the one that was solved for.
    """
    expiry, spot = np.ascontiguousarray(expiry, np.float64), np.ascontiguousarray(spot, np.float64)
    if np.any(expiry > held.contracts.expiry):
        at = int(np.argmax(expiry > held.contracts.expiry))
        raise ValueError(f"expiry[{at}]: expected at most {held.contracts.expiry[at]}, found {expiry[at]}")
    out = np.empty((len(held.contracts), spot.shape[1]))
    alive = expiry[held.solved] > 0.0
    rows, series, log_top = held.solved[alive], held.series[alive], held.log_top[alive]
    rest = np.setdiff1d(np.arange(len(held.contracts)), rows, assume_unique=True)
    if len(rest):
        now = replace(held.contracts, expiry=expiry).take(rest)
        out[rest] = revalue(now, spot, held.vol[rest], threads=threads)
    gain, cost = _gain_and_cost(held.contracts)
    root = np.sqrt(expiry[rows] / held.contracts.expiry[rows])
    terms = (
        held.contracts.right[rows].astype(np.float64), held.contracts.strike[rows], expiry[rows],
        gain[rows], cost[rows], held.vol[rows], held.contracts.underlying[rows], series, log_top, root,
    )  # fmt: skip
    with np.errstate(divide="ignore"):
        log_spot = np.log(spot)
    blocks = [(first, min(first + _BLOCK_ROWS, len(rows))) for first in range(0, len(rows), _BLOCK_ROWS)]
    values = np.empty((len(rows), spot.shape[1]))

    def run(block: tuple[int, int]) -> None:
        _value_later(*block, terms, spot, log_spot, values)

    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        list(pool.map(run, blocks))
    out[rows] = values
    return out


def _gain_and_cost(contracts: Contracts) -> tuple[np.ndarray, np.ndarray]:
    """Rate and yield of the unit put: a call exchanges their roles (McDonald and Schroder's symmetry)."""
    put = contracts.right == Right.PUT
    return (
        np.where(put, contracts.rate, contracts.carry_yield),
        np.where(put, contracts.carry_yield, contracts.rate),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(gain, cost, vol, expiry, series, log_top, found) -> None:
    boundary, iteration = np.empty(NODES), iteration_scratch()
    for i in range(gain.size):
        width_limited = min(vol[i], WIDEST / np.sqrt(expiry[i]))
        log_top[i], change = solve_boundary(gain[i], cost[i], width_limited, expiry[i], boundary, iteration)
        found[i] = settled(gain[i], width_limited, expiry[i], change)
        boundary_series(boundary, log_top[i], series[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _value_later(first, last, terms, spot, log_spot, out) -> None:
    right, strike, expiry, gain, cost, vol, underlying, series, log_top, root = terms
    members, work = np.arange(spot.shape[1]), scratch()
    heights, table, points = work[1], work[2], np.empty((3, VALUE_POINTS + 1))
    for i in range(first, last):
        log_boundary = log_top[i] - later_heights(series[i], root[i], heights, points)
        width_limited = min(vol[i], WIDEST / np.sqrt(expiry[i]))
        premium_coefficients(gain[i], cost[i], width_limited, expiry[i], heights, log_top[i], table)
        u = underlying[i]
        american_values(right[i], strike[i], log_boundary, members, spot[u], log_spot[u], work, out[i])
