"""American options that the boundary method does not serve: cash dividends, and negative rates with two boundaries.

Finite differences in the logarithm of the spot, moving with the forward, on the undiscounted value: what is left is the
heat equation, in Crandall's fourth-order form. Steps shrink towards expiry and towards each ex-day (seen from before),
where the exercise boundary is singular; two implicit ones start each stretch, Crank-Nicolson goes on. At every step the
complementarity problem is solved by policy iteration (Reisinger and Witte 2012), whatever the shape of the exercise
region. One solution serves every spot.

Cash dividends, by model (option_pricing.md 1):

* ``ESCROWED`` (the default): the spot less the present value of the dividends before expiry follows the lognormal
  process; the exercise test adds back what is still to come.
* ``SPOT_JUMP``: the spot itself follows it and falls by the dividend at the start of the ex-day, at most to nothing.
"""

from enum import IntEnum
from math import ceil, exp, floor, log, sqrt

import numpy as np
from numba import njit

from streaming.risk.pricing.black_scholes import SMALLEST_WIDTH, value_kernel
from streaming.risk.pricing.normal import exp_kernel


class DividendModel(IntEnum):
    """How cash dividends enter an American value."""

    ESCROWED = 0
    SPOT_JUMP = 1


STEPS = 48
STEPS_PER_VARIANCE = 20
"""Time steps over the life of an option: these, and these per unit of vol^2 x T, with which the error grows."""
LEAST_STEPS = 12
"""Time steps of a stretch between ex-days."""
MOST_STEPS = 1_500
WIDEST = 10.0
"""vol x sqrt(T) is taken as at most this: beyond it a European value has reached its limit."""
NODES_PER_DEVIATION = 32.0
"""Grid nodes per standard deviation of the terminal distribution."""
_REACH = 5.5
"""Standard deviations of the terminal distribution on either side of the strikes."""
_SMOOTH_WIDTH = 2.0
"""The first step back from expiry is Black-Scholes and so long that the kink spreads over this many spacings."""
_IMPLICIT_STEPS = 2
_MAX_POLICIES = 20
_LEAST_STRIKE = 0.05
"""Floor of strike less dividends, as a fraction of the strike, for the extent of the grid."""
_JUMP = int(DividendModel.SPOT_JUMP)


@njit(cache=True, error_model="numpy")
def present_value(rate: float, expiry: float, times: np.ndarray, amounts: np.ndarray) -> float:
    """Value now of the dividends that go ex after the snapshot and no later than expiry."""
    total = 0.0
    for k in range(times.size):
        if 0.0 < times[k] <= expiry:
            total += amounts[k] * exp_kernel(-rate * times[k])
    return total


@njit(cache=True, error_model="numpy")
def finite_difference_values(
    right: float, strike: float, rate: float, carry_yield: float, vol: float, expiry: float,
    times: np.ndarray, amounts: np.ndarray, model: int, spots: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """American values at ``spots`` into ``out``, never below intrinsic or European; ``vol`` and ``expiry`` above 0.

    A call is solved less its forward contract, S e^-qT - K e^-rT: what is left is bounded like a put.
    """
    vol = min(vol, WIDEST / sqrt(expiry))
    live = np.flatnonzero((times > 0.0) & (times <= expiry) & (amounts > 0.0))
    times, amounts = times[live], amounts[live]
    terms = (right, strike, rate, carry_yield, vol, expiry)
    escrow = _ahead(terms, times, amounts, model)
    low, spacing, asset = _grid(terms, times, amounts, escrow, model)
    value, exercised = np.empty(asset.size), np.empty(asset.size)
    growth = exp((rate - carry_yield - 0.5 * vol * vol) * expiry)
    for i in range(asset.size):
        value[i] = max(strike - asset[i] * growth, 0.0)
    end = expiry
    for k in range(times.size, -1, -1):
        begin = times[k - 1] if k > 0 else 0.0
        if end > begin:
            _stretch(
                terms, begin, end, _ahead(terms, times[k:], amounts[k:], model), model, asset, spacing, value, exercised
            )
        end = begin
        if k > 0:
            ahead = _ahead(terms, times[k - 1 :], amounts[k - 1 :], model)
            if model == _JUMP:
                _pay(terms, begin, amounts[k - 1], ahead, low, spacing, asset, value)
            _exercise_values(terms, begin, ahead, model, asset, exercised)
            for i in range(asset.size):
                value[i] = max(value[i], exercised[i])
    _exercise_values(terms, 0.0, escrow, model, asset, exercised)
    _read(terms, times, amounts, escrow, model, low, spacing, asset, value, exercised, spots, out)


@njit(cache=True, error_model="numpy")
def _ahead(terms, times, amounts, model) -> float:
    """Present value of dividends as they lower the forward: a jump of the spot also loses the yield after it."""
    _, _, rate, carry_yield, _, expiry = terms
    total = 0.0
    for k in range(times.size):
        lost = exp(-carry_yield * (expiry - times[k])) if model == _JUMP else 1.0
        total += amounts[k] * exp(-rate * times[k]) * lost
    return total


@njit(cache=True, error_model="numpy")
def _grid(terms, times, amounts, escrow, model) -> tuple[float, float, np.ndarray]:
    """Logarithm of the lowest node, spacing, and spot of each node now; a node meets the strike at expiry."""
    _, strike, rate, carry_yield, vol, expiry = terms
    deviation, drift = vol * sqrt(expiry), (rate - carry_yield - 0.5 * vol * vol) * expiry
    spacing = deviation / NODES_PER_DEVIATION
    least = strike if model == _JUMP else max(strike - escrow, _LEAST_STRIKE * strike)
    most = strike + (np.sum(amounts) if model == _JUMP else 0.0)
    centre = log(strike) - drift
    below = int(ceil((log(strike / least) + max(-drift, 0.0) + _REACH * deviation) / spacing))
    above = int(ceil((log(most / strike) + max(drift, 0.0) + _REACH * deviation) / spacing))
    asset = np.empty(below + above + 1)
    for i in range(asset.size):
        asset[i] = exp_kernel(centre + (i - below) * spacing)
    return centre - below * spacing, spacing, asset


@njit(cache=True, error_model="numpy")
def _european(terms, spot, right, time) -> float:
    _, strike, rate, carry_yield, vol, _ = terms
    width = max(vol * sqrt(time), SMALLEST_WIDTH)
    moneyness = np.log(spot) - log(strike) + (rate - carry_yield) * time
    cash, factor = strike * exp_kernel(-rate * time), exp_kernel(-carry_yield * time)
    return value_kernel(right, spot, moneyness, cash, factor, 1.0 / width, 0.5 * width)


@njit(cache=True, error_model="numpy")
def certain_value(
    right: float, strike: float, rate: float, carry_yield: float, expiry: float,
    times: np.ndarray, amounts: np.ndarray, model: int, spot: float,
) -> float:  # fmt: skip
    """The most that exercising now, around an ex-day or at expiry is worth on a spot that follows its forward."""
    best = max(right * (spot - strike), 0.0)
    left = min(present_value(rate, expiry, times, amounts), spot) if model != _JUMP else 0.0
    risky, last = spot - left, 0.0
    for k in range(times.size):
        if not 0.0 < times[k] <= expiry:
            continue
        discount = exp(-rate * times[k])
        risky, last = risky * exp(-carry_yield * (times[k] - last)), times[k]
        best = max(best, right * (risky + left - strike * discount))
        paid = amounts[k] * discount
        if model == _JUMP:
            risky = max(risky - paid, 0.0)
        else:
            left = max(left - paid, 0.0)
        best = max(best, right * (risky + left - strike * discount))
    return max(best, right * (risky * exp(-carry_yield * (expiry - last)) - strike * exp(-rate * expiry)))


@njit(cache=True, error_model="numpy")
def _exercise_values(terms, now, ahead, model, asset, exercised) -> None:
    """Undiscounted exercise values at ``now``, for a call less its forward contract; ``ahead`` as of the snapshot."""
    right, strike, rate, carry_yield, vol, expiry = terms
    growth = exp(rate * (expiry - now))
    factor = exp((rate - carry_yield - 0.5 * vol * vol) * now)
    coming = ahead * exp(rate * expiry)
    if right < 0:
        fixed, slope = strike * growth - (coming if model != _JUMP else 0.0), -factor * growth
    else:
        fixed = coming - strike * (growth - 1.0)
        slope = factor * (growth - exp((rate - carry_yield) * (expiry - now)))
    for i in range(asset.size):
        exercised[i] = fixed + slope * asset[i]


@njit(cache=True, error_model="numpy")
def _stretch(terms, begin, end, ahead, model, asset, spacing, value, exercised) -> None:
    """Carry ``value`` back from ``end`` to ``begin``, between which there is no ex-day."""
    right, strike, rate, carry_yield, vol, expiry = terms
    drift = rate - carry_yield - 0.5 * vol * vol
    length, first = end - begin, 0.0
    if end == expiry:
        first = min(length, (_SMOOTH_WIDTH * spacing / vol) ** 2)
        factor, growth = exp(drift * (end - first)), exp(rate * first)
        _exercise_values(terms, end - first, ahead, model, asset, exercised)
        for i in range(asset.size):
            value[i] = max(growth * _european(terms, asset[i] * factor, -1.0, first), exercised[i])
    steps = min(max(LEAST_STEPS, int(ceil((STEPS / expiry + STEPS_PER_VARIANCE * vol * vol) * length))), MOST_STEPS)
    _exercise_values(terms, end - first, ahead, model, asset, exercised)
    held = value > exercised
    target, ratio, solution = np.empty(asset.size), np.empty(asset.size), np.empty(asset.size)
    done = first
    for n in range(1, steps + 1):
        until = first + (length - first) * (n / steps) ** 2
        step, done = until - done, until
        if step <= 0.0:
            continue
        now = end - until
        _exercise_values(terms, now, ahead, model, asset, exercised)
        implicit = 1.0 if n <= _IMPLICIT_STEPS else 0.5
        courant = 0.5 * vol * vol * step / (spacing * spacing)
        # Crandall's weight, where the implicit matrix keeps its sign
        side = 1.0 / 12.0 if implicit * courant >= 1.0 / 12.0 else 0.0
        explicit = (1.0 - implicit) * courant
        for i in range(1, asset.size - 1):
            target[i] = (1.0 - 2.0 * side - 2.0 * explicit) * value[i] + (side + explicit) * (
                value[i - 1] + value[i + 1]
            )
        growth = exp(drift * now + (rate - carry_yield) * (expiry - now))
        paid = ahead * exp(rate * expiry) if model == _JUMP else 0.0
        for i in (0, asset.size - 1):
            target[i] = max(strike - max(asset[i] * growth - paid, 0.0), exercised[i], 0.0)
        diagonal, off = 1.0 - 2.0 * side + 2.0 * implicit * courant, side - implicit * courant
        _complementarity(diagonal, off, target, exercised, held, ratio, solution)
        value[:] = solution


@njit(cache=True, error_model="numpy")
def _complementarity(diagonal, off, target, exercised, held, ratio, solution) -> None:
    """Solve min(A x - target, x - exercised) = 0, A tridiagonal with constant entries, ends given; updates ``held``."""
    last = target.size - 1
    for _ in range(_MAX_POLICIES):
        ratio[0], solution[0] = 0.0, target[0]
        for i in range(1, last):
            if held[i]:
                pivot = 1.0 / (diagonal - off * ratio[i - 1])
                ratio[i] = off * pivot
                solution[i] = (target[i] - off * solution[i - 1]) * pivot
            else:
                ratio[i] = 0.0
                solution[i] = exercised[i]
        solution[last] = target[last]
        for i in range(last - 1, 0, -1):
            solution[i] -= ratio[i] * solution[i + 1]
        changed = False
        for i in range(1, last):
            if held[i]:
                if solution[i] < exercised[i]:
                    held[i], changed = False, True
            elif diagonal * solution[i] + off * (solution[i - 1] + solution[i + 1]) < target[i]:
                held[i], changed = True, True
        if not changed:
            break
    for i in range(last + 1):
        solution[i] = max(solution[i], exercised[i])


@njit(cache=True, error_model="numpy")
def _pay(terms, now, amount, ahead, low, spacing, asset, value) -> None:
    """Values just before a dividend from those just after it: on a spot lower by ``amount``, at most to nothing."""
    right, strike, rate, carry_yield, vol, expiry = terms
    drift = (rate - carry_yield - 0.5 * vol * vol) * now
    after, factor, growth = value.copy(), exp(drift), exp(rate * (expiry - now))
    for i in range(asset.size):
        spot = asset[i] * factor - amount
        place = (log(spot) - low - drift) / spacing if spot > 0.0 else -1.0
        if place >= 0.0:
            value[i] = _cubic(after, int(floor(place)) - 1, place)
        elif right < 0:
            value[i] = growth * (strike - max(spot, 0.0))
        else:  # the call is worth nothing: what stays is the forward contract, taken off
            forward = asset[i] * factor * exp((rate - carry_yield) * (expiry - now)) - ahead * exp(rate * expiry)
            value[i] = strike - forward


@njit(cache=True, error_model="numpy")
def _read(terms, times, amounts, escrow, model, low, spacing, asset, value, exercised, spots, out) -> None:
    """Values at ``spots`` from the nodes'; beyond the grid the certain value or the European one."""
    right, strike, rate, carry_yield, _, expiry = terms
    discount = exp(-rate * expiry)
    premium, root_gain = np.empty(asset.size), np.empty(asset.size)
    # what the forward loses, as an amount of spot: the reference European has the same forward
    lost = escrow * exp(carry_yield * expiry) if model == _JUMP else escrow
    inside = lost if model == _JUMP else 0.0
    for i in range(asset.size):
        premium[i] = value[i] * discount - _european(terms, max(asset[i] - inside, 0.0), -1.0, expiry)
        root_gain[i] = sqrt(max(value[i] - exercised[i], 0.0) * discount)
    for s in range(spots.size):
        risky = max(spots[s] - lost, 0.0)
        node = spots[s] if model == _JUMP else risky
        place = (log(node) - low) / spacing if node > 0.0 else -1.0
        european = _european(terms, risky, right, expiry)
        out[s] = max(european, certain_value(right, strike, rate, carry_yield, expiry, times, amounts, model, spots[s]))
        if 2.0 <= place <= asset.size - 4.0:
            inner = _between_nodes(european, right * (spots[s] - strike), root_gain, premium, place)
            out[s] = max(inner, european, right * (spots[s] - strike))


@njit(cache=True, error_model="numpy")
def _between_nodes(european, exercised, root_gain, premium, place) -> float:
    """Value from the nodes around ``place``: European plus the premium's interpolation where the option is held.

    Next to the exercise boundary the second derivative jumps; there the square root of the gain from holding is smooth
    on the held side, and is carried over from the four nearest held nodes.
    """
    first = int(floor(place)) - 1
    if root_gain[first + 1] == 0.0 and root_gain[first + 2] == 0.0:
        return exercised
    for shift in (0, 1, -1, 2, -2):
        at = first + shift
        if at < 0 or at > root_gain.size - 4:
            continue
        if min(min(root_gain[at], root_gain[at + 1]), min(root_gain[at + 2], root_gain[at + 3])) > 0.0:
            if shift == 0:
                return european + _cubic(premium, at, place)
            gain = max(_cubic(root_gain, at, place), 0.0)
            return exercised + gain * gain
    return european + _cubic(premium, first, place)


@njit(cache=True, error_model="numpy")
def _cubic(values: np.ndarray, first: int, place: float) -> float:
    """Lagrange interpolation at ``place`` through the four values from ``first``, in units of their spacing."""
    i = min(max(first, 0), values.size - 4)
    t = place - i
    a, b, c, d = t, t - 1.0, t - 2.0, t - 3.0
    return (
        -values[i] * b * c * d / 6.0 + values[i + 1] * a * c * d / 2.0
        - values[i + 2] * a * b * d / 2.0 + values[i + 3] * a * b * c / 6.0
    )  # fmt: skip
