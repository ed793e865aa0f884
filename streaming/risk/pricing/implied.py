"""Implied volatilities from mid quotes, and forwards from put-call parity (option_pricing.md 2)."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit

from streaming.risk.pricing.black_scholes import SMALLEST_WIDTH, value_kernel
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.finite_difference import DividendModel
from streaming.risk.pricing.normal import exp_kernel, pdf_kernel
from streaming.risk.pricing.revalue import kernel_inputs, one_value, scratch
from streaming.risk.reference import Style
from streaming.risk.rulebook import Rules


class VolStatus(IntEnum):
    """Where a volatility comes from, or why a quote gives none."""

    IMPLIED = 0
    FITTED = 1
    """From the smile through the neighbours' quotes: its own quote is unusable."""
    ONE_SIDED = 2
    """Bid or ask is missing (not above 0)."""
    CROSSED = 3
    """Bid above ask."""
    NO_TIME_VALUE = 4
    """The mid is at or below the value at the lowest volatility (for an American option, intrinsic)."""
    TOO_DEAR = 5
    """The mid is above the value at the highest volatility."""
    EXPIRED = 6


_AMERICAN = int(Style.AMERICAN)
_IMPLIED, _NO_TIME_VALUE, _TOO_DEAR = int(VolStatus.IMPLIED), int(VolStatus.NO_TIME_VALUE), int(VolStatus.TOO_DEAR)
_FIRST_HIGH = 0.5
"""The bracket grows from here by doubling: boundless volatilities are dear to value and rarely needed."""
_FIRST_STEP = 1e-5
"""Share of a volatility: the least first step of the search, and what puts its beginning above the European's."""
_FURTHER = 1.02
"""A step goes a little beyond where it aims, so that it brackets."""
_MAX_STEPS = 100
_VOL_RESOLUTION = 1e-15


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where an implied volatility is sought, and when it is found."""

    low: float
    high: float
    tolerance: float
    """In price."""

    @classmethod
    def of(cls, rules: Rules) -> "Bracket":
        names = ("vol_low", "vol_high", "price_tolerance")
        return cls(*(float(rules.value(f"pricing.implied.{name}")) for name in names))


def implied_vols(
    contracts: Contracts,
    spot: np.ndarray,
    bid: np.ndarray,
    ask: np.ndarray,
    bracket: Bracket,
    *,
    dividend_model: DividendModel = DividendModel.ESCROWED,
) -> tuple[np.ndarray, np.ndarray]:
    """Volatility and ``VolStatus`` per contract, from the mid of ``bid`` and ``ask`` (per unit; at or below 0 = none).

    ``spot[underlying]``. The model is the contract's own: Black-Scholes-Merton or the American one of ``revalue``. The
    volatility is 0 where the status is not ``IMPLIED``.
    """
    bid, ask = np.asarray(bid, dtype=np.float64), np.asarray(ask, dtype=np.float64)
    status = np.full(len(contracts), VolStatus.IMPLIED, dtype=np.int8)
    status[contracts.expiry <= 0.0] = VolStatus.EXPIRED
    quoted = status == VolStatus.IMPLIED
    status[quoted & (bid > ask)] = VolStatus.CROSSED
    status[quoted & ~((bid > 0.0) & (ask > 0.0))] = VolStatus.ONE_SIDED
    vol = np.zeros(len(contracts))
    columns, schedule = kernel_inputs(contracts, len(spot), dividend_model)
    _solve_rows(
        columns, schedule, np.ascontiguousarray(spot, dtype=np.float64), 0.5 * (bid + ask),
        bracket.low, bracket.high, bracket.tolerance, vol, status,
    )  # fmt: skip
    return vol, status


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_rows(columns, schedule, spot, mid, low, high, tolerance, vol, status) -> None:
    work = scratch()
    right, style, strike, _, _, _, underlying = columns
    for i in range(mid.size):
        if status[i] != _IMPLIED:
            continue
        if style[i] == _AMERICAN and mid[i] <= right[i] * (spot[underlying[i]] - strike[i]) + tolerance:
            status[i] = _NO_TIME_VALUE
            continue
        b = _european_vol(columns, i, spot, mid[i], low, high, tolerance)
        at_b = one_value(columns, schedule, i, spot, b, work) - mid[i]
        while at_b < 0.0 and b < high:
            b = min(_FURTHER * b, high)
            at_b = one_value(columns, schedule, i, spot, b, work) - mid[i]
        if at_b < 0.0:
            status[i] = _TOO_DEAR
            continue
        a, at_a = b, at_b
        step = max(_FIRST_STEP * b, _FURTHER * at_b / _european_vega(columns, i, spot, b))
        while at_a >= 0.0 and a > low:
            b, at_b = a, at_a
            a = max(a - step, low)
            at_a = one_value(columns, schedule, i, spot, a, work) - mid[i]
            step *= 2.0
        if at_a >= -tolerance and a == low:
            status[i] = _NO_TIME_VALUE
        else:
            vol[i] = _brent(columns, schedule, i, spot, mid[i], a, b, at_a, at_b, tolerance, work)


@njit(cache=True, error_model="numpy")
def _european_vol(columns, i, spot, mid, low, high, tolerance) -> float:
    """Where the search begins: the volatility at which the European option is worth ``mid``, at most ``high``.

    An American option is worth at least as much, so its own volatility lies below. Found by Newton's method inside a
    shrinking bracket; cash dividends are not looked at.
    """
    a, b = low, min(_FIRST_HIGH, high)
    while _european(columns, i, spot, b) < mid and b < high:
        a, b = b, min(2.0 * b, high)
    vol = 0.5 * (a + b)
    for _ in range(_MAX_STEPS):
        beyond = _european(columns, i, spot, vol) - mid
        if abs(beyond) <= tolerance or b - a <= _VOL_RESOLUTION:
            break
        if beyond < 0.0:
            a = vol
        else:
            b = vol
        vol -= beyond / _european_vega(columns, i, spot, vol)
        if not a < vol < b:
            vol = 0.5 * (a + b)
    return min(vol * (1.0 + _FIRST_STEP), high)


@njit(cache=True, error_model="numpy")
def _european(columns, i, spot, vol) -> float:
    right, _, strike, expiry, rate, carry_yield, underlying = columns
    width = max(vol * np.sqrt(expiry[i]), SMALLEST_WIDTH)
    now = spot[underlying[i]]
    ahead = np.log(now / strike[i]) + (rate[i] - carry_yield[i]) * expiry[i]
    discounted, factor = strike[i] * exp_kernel(-rate[i] * expiry[i]), exp_kernel(-carry_yield[i] * expiry[i])
    return value_kernel(float(right[i]), now, ahead, discounted, factor, 1.0 / width, 0.5 * width)


@njit(cache=True, error_model="numpy")
def _european_vega(columns, i, spot, vol) -> float:
    _, _, strike, expiry, rate, carry_yield, underlying = columns
    now, root = spot[underlying[i]], np.sqrt(expiry[i])
    width = max(vol * root, SMALLEST_WIDTH)
    d1 = (np.log(now / strike[i]) + (rate[i] - carry_yield[i]) * expiry[i]) / width + 0.5 * width
    return max(now * exp_kernel(-carry_yield[i] * expiry[i]) * pdf_kernel(d1) * root, SMALLEST_WIDTH)


@njit(cache=True, error_model="numpy")
def _brent(columns, schedule, i, spot, mid, a, b, at_a, at_b, tolerance, work) -> float:
    """Brent's root finder (1973): the volatility in [a, b] whose value is within ``tolerance`` of ``mid``."""
    c, at_c = a, at_a
    step = last = b - a
    for _ in range(_MAX_STEPS):
        if (at_b > 0.0) == (at_c > 0.0):
            c, at_c = a, at_a
            step = last = b - a
        if abs(at_c) < abs(at_b):
            a, b, c = b, c, b
            at_a, at_b, at_c = at_b, at_c, at_b
        half = 0.5 * (c - b)
        if abs(at_b) <= tolerance or abs(half) <= _VOL_RESOLUTION:
            break
        bisect = True
        if abs(last) > _VOL_RESOLUTION and abs(at_a) > abs(at_b):
            s = at_b / at_a
            if a == c:
                p, q = 2.0 * half * s, 1.0 - s
            else:
                q, r = at_a / at_c, at_b / at_c
                p = s * (2.0 * half * q * (q - r) - (b - a) * (r - 1.0))
                q = (q - 1.0) * (r - 1.0) * (s - 1.0)
            p, q = (p, -q) if p > 0.0 else (-p, q)
            if 2.0 * p < min(3.0 * half * q - abs(_VOL_RESOLUTION * q), abs(last * q)):
                last, step, bisect = step, p / q, False
        if bisect:
            step = last = half
        a, at_a = b, at_b
        b += step if abs(step) > _VOL_RESOLUTION else (_VOL_RESOLUTION if half > 0.0 else -_VOL_RESOLUTION)
        at_b = one_value(columns, schedule, i, spot, b, work) - mid
    return b


def parity_forward(
    strike: np.ndarray, call_mid: np.ndarray, put_mid: np.ndarray, spot: float, rate: float, expiry: float, width: float
) -> float:
    """Forward of one expiry: the median of K + e^{rT}(C - P) over pairs with |ln(K/spot)| <= ``width``.

    Exact for Europeans; for Americans the two early-exercise premiums nearly cancel near the money. 0 = no such pair.
    """
    strike = np.asarray(strike, dtype=np.float64)
    call_mid, put_mid = np.asarray(call_mid, dtype=np.float64), np.asarray(put_mid, dtype=np.float64)
    near = (np.abs(np.log(strike / spot)) <= width) & (call_mid > 0.0) & (put_mid > 0.0)
    if not near.any():
        return 0.0
    return float(np.median(strike[near] + np.exp(rate * expiry) * (call_mid[near] - put_mid[near])))


def implied_yield(forward: float, spot: float, rate: float, expiry: float) -> float:
    """The continuous yield q with forward = spot e^{(r-q)T}: dividends and borrow fee as the market prices them."""
    if not (forward > 0.0 and spot > 0.0 and expiry > 0.0):
        raise ValueError(f"implied yield: expected forward, spot and T above 0, found {forward}, {spot} and {expiry}")
    return rate - float(np.log(forward / spot)) / expiry
