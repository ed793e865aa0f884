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

from streaming.risk.pricing.american import (
    LANES,
    NODES,
    VALUE_POINTS,
    boundary_heights,
    iteration_scratch,
    premium_coefficients,
    settled,
    solve_boundary,
    unit_puts,
)
from streaming.risk.pricing.black_scholes import SMALLEST_WIDTH, value_kernel
from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.finite_difference import (
    WIDEST,
    DividendModel,
    certain_value,
    finite_difference_values,
    present_value,
)
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
    dividend_model: DividendModel = DividendModel.ESCROWED,
    threads: int | None = None,
) -> np.ndarray:
    """Values of every contract in every scenario: float64 ``[contract, scenario]``, per unit of the underlying.

    ``spot[underlying, scenario]``: the shocked spots. ``vol[contract, scenario]``: shocked volatilities; shape
    ``[contract]`` or ``[contract, 1]`` where no scenario moves them. ``rate_shift``: added to each contract's rate; a
    number, ``[scenario]``, ``[contract, 1]`` or ``[contract, scenario]``. ``dividend_model``: how cash dividends enter
    American values (Europeans are valued on the spot less their present value); dividends beyond the spot are clipped,
    see ``clipped_dividends``. ``threads``: None = one per core this process
    may use. Raises ValueError for a spot or volatility that is negative or not finite.
    """
    spot = np.ascontiguousarray(spot, dtype=np.float64)
    if spot.ndim != 2:
        raise ValueError(f"spot: expected [underlying, scenario], found shape {spot.shape}")
    shape = (len(contracts), spot.shape[1])
    vol, shift = _grid("vol", vol, shape), _grid("rate_shift", rate_shift, shape)
    for name, array, low in (("spot", spot, 0.0), ("vol", vol, 0.0), ("rate_shift", shift, -np.inf)):
        if not np.all(np.isfinite(array) & (array >= low)):
            at = tuple(int(i) for i in np.argwhere(~(np.isfinite(array) & (array >= low)))[0])
            raise ValueError(f"{name}{list(at)}: expected a finite number of at least {low:g}, found {array[at]}")
    out = np.empty(shape)
    with np.errstate(divide="ignore"):
        log_spot = np.log(spot)
    columns, schedule = kernel_inputs(contracts, len(spot), dividend_model)
    rows = max(1, _BLOCK_VALUES // max(1, shape[1]))
    blocks = [(first, min(first + rows, shape[0])) for first in range(0, shape[0], rows)]

    def run(block: tuple[int, int]) -> None:
        _value_rows(*block, columns, schedule, spot, log_spot, vol, shift, out)

    workers = min(threads or len(os.sched_getaffinity(0)), len(blocks))
    if workers <= 1:
        for block in blocks:
            run(block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, blocks))
    return out


def kernel_inputs(contracts: Contracts, underlyings: int, dividend_model: DividendModel) -> tuple[tuple, tuple]:
    """Contract columns and dividend schedule as the kernels take them; checks that they fit the underlyings."""
    if len(contracts) and not (contracts.underlying.min() >= 0 and contracts.underlying.max() < underlyings):
        raise ValueError(
            f"underlying: expected rows of spot, 0 to {underlyings - 1}, "
            f"found {contracts.underlying.min()} to {contracts.underlying.max()}"
        )
    dividends = contracts.dividends or Dividends.none(underlyings)
    if len(dividends.start) != underlyings + 1:
        raise ValueError(f"dividends.start: expected {underlyings + 1} row numbers, found {len(dividends.start)}")
    columns = (
        contracts.right, contracts.style, contracts.strike, contracts.expiry,
        contracts.rate, contracts.carry_yield, contracts.underlying,
    )  # fmt: skip
    return columns, (dividends.start, dividends.time, dividends.amount, int(dividend_model))


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
    return np.ascontiguousarray(wide)


@njit(cache=True, nogil=True, error_model="numpy")
def _value_rows(first, last, columns, schedule, spot, log_spot, vol, shift, out) -> None:
    """Values of rows ``first`` to ``last``; each group of scenarios with one volatility and rate at a time."""
    right, style, strike, expiry, rate, carry_yield, underlying = columns
    scenarios = spot.shape[1]
    whole, work = np.arange(scenarios), scratch()
    starts, times, amounts, model = schedule
    for i in range(first, last):
        u = underlying[i]
        ex = slice(starts[u], starts[u + 1])
        vols, shifts = vol[i], shift[i]
        terms = (
            float(right[i]),
            style[i],
            strike[i],
            max(expiry[i], 0.0),
            carry_yield[i],
            times[ex],
            amounts[ex],
            model,
        )
        if style[i] != _AMERICAN and present_value(rate[i], terms[3], times[ex], amounts[ex]) == 0.0:
            _europeans(terms, rate[i], vols, shifts, spot[u], log_spot[u], out[i])
            continue
        if vols.size == 1 and shifts.size == 1:
            _group(terms, rate[i] + shifts[0], vols[0], whole, spot[u], log_spot[u], work, out[i])
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
            _group(terms, rate[i] + r, v, order[start:stop], spot[u], log_spot[u], work, out[i])
            start = stop


@njit(cache=True, error_model="numpy")
def _europeans(terms, rate, vols, shifts, spot, log_spot, out) -> None:
    """One European option without cash dividends in every scenario, in loops that fill vector lanes.

    The three loops differ in what they need to compute again per scenario, and agree in every bit.
    """
    right, _, strike, time, carry_yield, _, _, _ = terms
    root, log_strike = np.sqrt(time), np.log(strike)
    factor = exp_kernel(-carry_yield * time)
    if shifts.size == 1:
        now = rate + shifts[0]
        offset, discounted = (now - carry_yield) * time - log_strike, strike * exp_kernel(-now * time)
        if vols.size == 1:
            width = max(vols[0] * root, SMALLEST_WIDTH)
            inverse, half = 1.0 / width, 0.5 * width
            for s in range(out.size):
                out[s] = value_kernel(right, spot[s], log_spot[s] + offset, discounted, factor, inverse, half)
        else:
            for s in range(out.size):
                width = max(vols[s] * root, SMALLEST_WIDTH)
                inverse, half = 1.0 / width, 0.5 * width
                out[s] = value_kernel(right, spot[s], log_spot[s] + offset, discounted, factor, inverse, half)
    else:
        for s in range(out.size):
            width = max(vols[s if vols.size > 1 else 0] * root, SMALLEST_WIDTH)
            now = rate + shifts[s]
            offset, discounted = (now - carry_yield) * time - log_strike, strike * exp_kernel(-now * time)
            inverse, half = 1.0 / width, 0.5 * width
            out[s] = value_kernel(right, spot[s], log_spot[s] + offset, discounted, factor, inverse, half)


@njit(cache=True, error_model="numpy")
def scratch() -> tuple:
    """Working arrays of one kernel call: boundary, its heights, premium coefficients, spots, arguments, iteration."""
    return (
        np.empty(NODES), np.empty(VALUE_POINTS), np.empty((5, VALUE_POINTS + 1)), np.empty(LANES),
        np.empty(LANES * 2 * VALUE_POINTS), np.empty(2 * LANES), iteration_scratch(),
    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def one_value(columns, schedule, i, spot, vol, work) -> float:
    """Contract ``i`` alone on ``spot[underlying]`` at ``vol``: the same bits as in ``revalue``."""
    right, style, strike, expiry, rate, carry_yield, underlying = columns
    starts, times, amounts, model = schedule
    u = underlying[i]
    ex = slice(starts[u], starts[u + 1])
    terms = (float(right[i]), style[i], strike[i], max(expiry[i], 0.0), carry_yield[i], times[ex], amounts[ex], model)
    now, out = spot[u : u + 1], np.empty(1)
    _group(terms, rate[i], vol, np.zeros(1, np.int64), now, np.log(now), work, out)
    return out[0]


@njit(cache=True, error_model="numpy")
def _group(terms, rate, vol, members, spot, log_spot, work, out) -> None:
    """One option's values in the scenarios ``members``, which share its volatility and rate."""
    right, style, strike, time, carry_yield, times, amounts, model = terms
    escrow = present_value(rate, time, times, amounts)
    if style == _AMERICAN:
        # the unit put of the put-call symmetry: a call exchanges the roles of rate and yield, spot and strike
        gain, cost = (rate, carry_yield) if right < 0 else (carry_yield, rate)
        if time == 0.0 or vol == 0.0:
            _without_risk(terms, rate, escrow, members, spot, out)
            return
        if escrow > 0.0:
            values = np.empty(members.size)
            finite_difference_values(
                right, strike, rate, carry_yield, vol, time, times, amounts, model, spot[members], values
            )
            for k in range(members.size):
                out[members[k]] = values[k]
            return
        if gain > 0.0 or cost < gain:
            _american(right, strike, time, gain, cost, vol, members, spot, log_spot, work, out)
            return
    width = max(vol * np.sqrt(time), SMALLEST_WIDTH)
    inverse, half = 1.0 / width, 0.5 * width
    discounted, factor = strike * exp_kernel(-rate * time), exp_kernel(-carry_yield * time)
    offset = (rate - carry_yield) * time - np.log(strike)
    for k in range(members.size):
        s = members[k]
        risky, log_risky = spot[s], log_spot[s]
        if escrow > 0.0:
            risky = max(risky - escrow, 0.0)
            log_risky = np.log(risky)
        out[s] = value_kernel(right, risky, log_risky + offset, discounted, factor, inverse, half)


@njit(cache=True, error_model="numpy")
def _american(right, strike, time, gain, cost, vol, members, spot, log_spot, work, out) -> None:
    """Values without cash dividends, from the unit put with rate ``gain`` and yield ``cost``."""
    boundary, heights, table, _, _, _, iteration = work
    found, log_top = False, 0.0
    vol = min(vol, WIDEST / np.sqrt(time))
    if gain > 0.0:
        log_top, change = solve_boundary(gain, cost, vol, time, boundary, iteration)
        found = settled(gain, vol, time, change)
    if not found:
        units, values, nothing = np.empty(members.size), np.empty(members.size), np.empty(0)
        for k in range(members.size):
            now = spot[members[k]]
            units[k] = now / strike if right < 0 else strike / max(now, SMALLEST_WIDTH)
        finite_difference_values(-1.0, 1.0, gain, cost, vol, time, nothing, nothing, 0, units, values)
        for k in range(members.size):
            out[members[k]] = values[k] * (strike if right < 0 else spot[members[k]])
        return
    boundary_heights(boundary, log_top, heights)
    premium_coefficients(gain, cost, vol, time, heights, log_top, table)
    american_values(right, strike, boundary[0], members, spot, log_spot, work, out)


@njit(cache=True, error_model="numpy")
def american_values(right, strike, log_boundary, members, spot, log_spot, work, out) -> None:
    """Values in the scenarios ``members`` from the premium coefficients in ``work``, strip by strip."""
    _, _, table, x, premium, european, _ = work
    log_strike = np.log(strike)
    for start in range(0, members.size, LANES):
        count = min(LANES, members.size - start)
        for k in range(count):
            log_moneyness = log_spot[members[start + k]] - log_strike
            x[k] = log_moneyness if right < 0 else -log_moneyness
        unit_puts(x, count, log_boundary, table, premium, european)
        for k in range(count):
            s = members[start + k]
            if spot[s] > 0.0:
                out[s] = x[k] * (strike if right < 0 else spot[s])
            else:
                out[s] = strike if right < 0 else 0.0


@njit(cache=True, error_model="numpy")
def _without_risk(terms, rate, escrow, members, spot, out) -> None:
    """American value without time or volatility: the best of exercising now, around ex-days, at expiry or between."""
    right, _, strike, time, carry_yield, times, amounts, model = terms
    for k in range(members.size):
        now = spot[members[k]]
        best = certain_value(right, strike, rate, carry_yield, time, times, amounts, model, now)
        # without dividends: d/dt of S e^-qt - K e^-rt is 0 where e^{(r-q)t} = rK/(qS)
        if escrow == 0.0 and rate != carry_yield and rate * carry_yield > 0.0 and now > 0.0:
            turn = np.log(rate * strike / (carry_yield * now)) / (rate - carry_yield)
            if 0.0 < turn < time:
                later = now * exp_kernel(-carry_yield * turn) - strike * exp_kernel(-rate * turn)
                best = max(best, right * later)
        out[members[k]] = best


def escrowed(contracts: Contracts) -> tuple[np.ndarray, np.ndarray]:
    """Present value of the cash dividends before each contract's expiry, and the same weighted by their years."""
    value, years = np.zeros(len(contracts)), np.zeros(len(contracts))
    if contracts.dividends is not None:
        schedule = contracts.dividends
        for i, u in enumerate(contracts.underlying):
            ex = slice(schedule.start[u], schedule.start[u + 1])
            time, amount = schedule.time[ex], schedule.amount[ex]
            value[i] = present_value(contracts.rate[i], contracts.expiry[i], time, amount)
            years[i] = present_value(contracts.rate[i], contracts.expiry[i], time, amount * time)
    return value, years


def clipped_dividends(contracts: Contracts, spot: np.ndarray) -> np.ndarray:
    """bool ``[contract, scenario]``: where the dividends before expiry are worth the whole spot or more: clipped."""
    escrow = escrowed(contracts)[0][:, None]
    return (escrow > 0.0) & (escrow >= spot[contracts.underlying])
