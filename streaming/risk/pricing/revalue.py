"""One call values many options under many scenarios, in columns, on all cores (option_pricing.md 5).

What depends on the option only or on the scenario only is computed once: the logarithm of a spot per underlying and
scenario; discount factors and, for an American option, the exercise boundary per distinct pair of volatility and rate.
Each value is a function of its own row and column alone, so neither their order, nor how rows are spread over threads,
nor which other scenarios stand beside it changes a bit.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from streaming.risk.pricing.american import NODES, VALUE_POINTS, premium_coefficients, solve_boundary, unit_put_kernel
from streaming.risk.pricing.black_scholes import SMALLEST_WIDTH, value_kernel
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.normal import exp_kernel
from streaming.risk.reference import Style

_BLOCK_VALUES = 8192
"""Values per unit of work handed to a thread: small enough to balance, large enough to amortise the hand-over."""
_AMERICAN = int(Style.AMERICAN)


def revalue(
    contracts: Contracts,
    spot: np.ndarray,
    vol: np.ndarray,
    rate_shift: np.ndarray | float = 0.0,
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Values of every contract in every scenario: float64 ``[contract, scenario]``, per unit of the underlying.

    ``spot[underlying, scenario]``: the shocked spots. ``vol[contract, scenario]``: shocked volatilities; shape
    ``[contract]`` or ``[contract, 1]`` where no scenario moves them. ``rate_shift``: added to each contract's rate; a
    number, ``[scenario]``, ``[contract, 1]`` or ``[contract, scenario]``. ``threads``: None = one per core this process
    may use. Raises ValueError for a spot or volatility that is negative or not finite.
    """
    if contracts.dividends is not None:
        raise ValueError("dividends: expected none, cash dividends are not valued yet")
    spot = np.ascontiguousarray(spot, dtype=np.float64)
    if spot.ndim != 2:
        raise ValueError(f"spot: expected [underlying, scenario], found shape {spot.shape}")
    shape = (len(contracts), spot.shape[1])
    vol, shift = _grid("vol", vol, shape), _grid("rate_shift", rate_shift, shape)
    for name, array, low in (("spot", spot, 0.0), ("vol", vol, 0.0), ("rate_shift", shift, -np.inf)):
        if not np.all(np.isfinite(array) & (array >= low)):
            at = tuple(int(i) for i in np.argwhere(~(np.isfinite(array) & (array >= low)))[0])
            raise ValueError(f"{name}{list(at)}: expected a finite number of at least {low:g}, found {array[at]}")
    if len(contracts) and not (0 <= contracts.underlying.min() and contracts.underlying.max() < len(spot)):
        raise ValueError(f"underlying: expected rows of spot, 0 to {len(spot) - 1}, found {contracts.underlying.max()}")
    out = np.empty(shape)
    with np.errstate(divide="ignore"):
        log_spot = np.log(spot)
    columns = (
        contracts.right, contracts.style, contracts.strike, contracts.expiry,
        contracts.rate, contracts.carry_yield, contracts.underlying,
    )  # fmt: skip
    rows = max(1, _BLOCK_VALUES // max(1, shape[1]))
    blocks = [(first, min(first + rows, shape[0])) for first in range(0, shape[0], rows)]

    def run(block: tuple[int, int]) -> None:
        _value_rows(*block, columns, spot, log_spot, vol, shift, out)

    workers = min(threads or len(os.sched_getaffinity(0)), len(blocks))
    if workers <= 1:
        for block in blocks:
            run(block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, blocks))
    return out


def _grid(name: str, values: np.ndarray | float, shape: tuple[int, int]) -> np.ndarray:
    """``values`` as [contract, scenario], or [contract, 1] where no scenario changes them."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1 and name == "vol":
        array = array[:, None]
    try:
        wide = np.broadcast_to(array, (shape[0], array.shape[-1] if array.ndim else 1))
        np.broadcast_to(wide, shape)
    except ValueError:
        raise ValueError(
            f"{name}: expected [contract, scenario] = {list(shape)} or [contract, 1], found {array.shape}"
        ) from None
    return wide


@njit(cache=True, nogil=True, error_model="numpy")
def _value_rows(first, last, columns, spot, log_spot, vol, shift, out) -> None:
    """Values of rows ``first`` to ``last``; each group of scenarios with one volatility and rate at a time."""
    right, style, strike, expiry, rate, carry_yield, underlying = columns
    scenarios = spot.shape[1]
    whole = np.arange(scenarios)
    boundary, table, arguments = np.empty(NODES), np.empty((5, VALUE_POINTS + 1)), np.empty(2 * (VALUE_POINTS + 1))
    work = (boundary, table, arguments)
    for i in range(first, last):
        u = underlying[i]
        vols, shifts = vol[i], shift[i]
        if vols.size == 1 and shifts.size == 1:
            _group(
                right[i], style[i], strike[i], expiry[i], rate[i] + shifts[0], carry_yield[i], vols[0],
                whole, spot[u], log_spot[u], work, out[i],
            )  # fmt: skip
            continue
        order = np.argsort(vols) if vols.size > 1 else np.argsort(shifts)
        start = 0
        while start < scenarios:
            s = order[start]
            v, r = vols[s if vols.size > 1 else 0], shifts[s if shifts.size > 1 else 0]
            stop = start + 1
            while stop < scenarios:
                t = order[stop]
                if vols[t if vols.size > 1 else 0] != v or shifts[t if shifts.size > 1 else 0] != r:
                    break
                stop += 1
            _group(
                right[i], style[i], strike[i], expiry[i], rate[i] + r, carry_yield[i], v,
                order[start:stop], spot[u], log_spot[u], work, out[i],
            )  # fmt: skip
            start = stop


@njit(cache=True, error_model="numpy")
def _group(right, style, strike, expiry, rate, carry_yield, vol, members, spot, log_spot, work, out) -> None:
    """One option's values in the scenarios ``members``, which share its volatility and rate."""
    time = max(expiry, 0.0)
    if style == _AMERICAN:
        if time == 0.0 or vol == 0.0:
            _without_risk(right, strike, time, rate, carry_yield, members, spot, out)
            return
        # the unit put of the put-call symmetry: a call exchanges the roles of rate and yield, spot and strike
        gain, cost = (rate, carry_yield) if right < 0 else (carry_yield, rate)
        if gain > 0.0:
            _american(right, strike, time, gain, cost, vol, members, spot, log_spot, work, out)
            return
    width = max(vol * np.sqrt(time), SMALLEST_WIDTH)
    inverse, half = 1.0 / width, 0.5 * width
    discounted, factor = strike * exp_kernel(-rate * time), exp_kernel(-carry_yield * time)
    offset = (rate - carry_yield) * time - np.log(strike)
    for k in range(members.size):
        s = members[k]
        out[s] = value_kernel(right, spot[s], log_spot[s] + offset, discounted, factor, inverse, half)


@njit(cache=True, error_model="numpy")
def _american(right, strike, time, gain, cost, vol, members, spot, log_spot, work, out) -> None:
    """Values from one exercise boundary of the unit put with rate ``gain`` and yield ``cost``."""
    boundary, table, arguments = work
    log_top = solve_boundary(gain, cost, vol, time, boundary)
    premium_coefficients(gain, cost, vol, time, boundary, log_top, table)
    log_strike = np.log(strike)
    for k in range(members.size):
        s = members[k]
        if spot[s] == 0.0:
            out[s] = strike if right < 0 else 0.0
        elif right < 0:
            out[s] = strike * unit_put_kernel(log_spot[s] - log_strike, boundary[0], table, arguments)
        else:
            out[s] = spot[s] * unit_put_kernel(log_strike - log_spot[s], boundary[0], table, arguments)


@njit(cache=True, error_model="numpy")
def _without_risk(right, strike, time, rate, carry_yield, members, spot, out) -> None:
    """American value without time or volatility: the best of exercising now, at expiry, or where the slope turns."""
    for k in range(members.size):
        s = members[k]
        best = max(right * (spot[s] - strike), 0.0)
        best = max(best, right * (spot[s] * exp_kernel(-carry_yield * time) - strike * exp_kernel(-rate * time)))
        # d/dt of S e^-qt - K e^-rt is 0 where e^{(r-q)t} = rK/(qS)
        if rate != carry_yield and carry_yield != 0.0 and rate * carry_yield > 0.0 and spot[s] > 0.0:
            turn = np.log(rate * strike / (carry_yield * spot[s])) / (rate - carry_yield)
            if 0.0 < turn < time:
                later = spot[s] * exp_kernel(-carry_yield * turn) - strike * exp_kernel(-rate * turn)
                best = max(best, right * later)
        out[s] = best
