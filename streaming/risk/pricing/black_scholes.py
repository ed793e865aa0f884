"""European options: Black, Scholes and Merton's values and greeks in columns (option_pricing.md 1, 3 and 4).

Units: prices per unit of the underlying in its own currency; rates and yields per year, continuously compounded; times
in years; volatility per year as a fraction. ``right`` is +1 for a call, -1 for a put. Degenerate inputs have their
limits (no volatility, no time, no spot, boundless volatility) and never give NaN.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from streaming.risk.pricing.normal import cdf_kernel, exp_kernel, pdf_kernel

DAYS_PER_YEAR = 365.0
"""Time is actual days over 365 (option_pricing.md 2)."""
SMALLEST_WIDTH = 1e-150
"""Stands for vol x sqrt(T) = 0: the distance to the strike becomes infinite, or stays 0 at the money forward."""


@njit(cache=True, inline="always", error_model="numpy")
def value_kernel(
    right: float,
    spot: float,
    log_moneyness: float,
    discounted_strike: float,
    yield_factor: float,
    inverse: float,
    half: float,
) -> float:
    """One value from what its row shares: ln(forward/strike), K e^-rT, e^-qT, 1/width and width/2, width = v sqrt T."""
    middle = log_moneyness * inverse
    asset = spot * yield_factor * cdf_kernel(right * (middle + half))
    cash = discounted_strike * cdf_kernel(right * (middle - half))
    return max(right * (asset - cash), 0.0)


def value(right, spot, strike, rate, carry_yield, vol, expiry) -> np.ndarray:
    """European values; every argument a number or an array, broadcast against each other; float64."""
    arguments = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (right, spot, strike, rate, carry_yield, vol, expiry))
    )
    columns = [np.ascontiguousarray(a).ravel() for a in arguments]
    out = np.empty(columns[0].size)
    _values(*columns, out)  # type: ignore[call-arg]
    return out.reshape(arguments[0].shape)


@njit(cache=True, nogil=True, error_model="numpy")
def _values(right, spot, strike, rate, carry_yield, vol, expiry, out) -> None:
    for i in range(out.size):
        time = max(expiry[i], 0.0)
        width = max(vol[i] * np.sqrt(time), SMALLEST_WIDTH)
        moneyness = np.log(spot[i]) - np.log(strike[i]) + (rate[i] - carry_yield[i]) * time
        discounted = strike[i] * exp_kernel(-rate[i] * time)
        factor = exp_kernel(-carry_yield[i] * time)
        out[i] = value_kernel(right[i], spot[i], moneyness, discounted, factor, 1.0 / width, 0.5 * width)


@dataclass(frozen=True, slots=True)
class Greeks:
    """Values and sensitivities, one array per column, per unit of the underlying and per 1.00 of the input."""

    value: np.ndarray
    delta: np.ndarray
    """Per 1.00 of spot."""
    gamma: np.ndarray
    """Change of delta per 1.00 of spot."""
    vega: np.ndarray
    """Per 1.00 of volatility; a vol point is a hundredth of it."""
    theta: np.ndarray
    """Per year of passing time (negative for what decays); a day is 1/365 of it."""
    rho: np.ndarray
    """Per 1.00 of the rate."""
    dividend_rho: np.ndarray
    """Per 1.00 of the yield."""

    def elasticity(self, spot: np.ndarray | np.float64) -> np.ndarray:
        """delta x spot / value; 0 where the value is 0."""
        worth = np.where(self.value == 0.0, 1.0, self.value)
        return np.where(self.value == 0.0, 0.0, self.delta * spot / worth)


def greeks(right, spot, strike, rate, carry_yield, vol, expiry) -> Greeks:
    """Closed-form European greeks; arguments as in ``value``. In a degenerate corner each is the limit, or 0."""
    arguments = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (right, spot, strike, rate, carry_yield, vol, expiry))
    )
    columns = [np.ascontiguousarray(a).ravel() for a in arguments]
    out = np.empty((7, columns[0].size))
    _greeks(*columns, out)  # type: ignore[call-arg]
    return Greeks(*(column.reshape(arguments[0].shape) for column in out))


@njit(cache=True, nogil=True, error_model="numpy")
def _greeks(right, spot, strike, rate, carry_yield, vol, expiry, out) -> None:
    for i in range(out.shape[1]):
        w, time = right[i], max(expiry[i], 0.0)
        width = max(vol[i] * np.sqrt(time), SMALLEST_WIDTH)
        middle = (np.log(spot[i]) - np.log(strike[i]) + (rate[i] - carry_yield[i]) * time) / width
        plus, minus = middle + 0.5 * width, middle - 0.5 * width
        strike_now, factor = strike[i] * exp_kernel(-rate[i] * time), exp_kernel(-carry_yield[i] * time)
        asset, cash = spot[i] * factor * cdf_kernel(w * plus), strike_now * cdf_kernel(w * minus)
        # N'(d+) times spot: exactly 0 in the degenerate corners, where the quotients below would be 0/0
        bell = spot[i] * factor * pdf_kernel(plus) if vol[i] > 0.0 and time > 0.0 and spot[i] > 0.0 else 0.0
        root = np.sqrt(time)
        out[0, i] = max(w * (asset - cash), 0.0)
        out[1, i] = w * factor * cdf_kernel(w * plus)
        out[2, i] = bell / (spot[i] * spot[i] * width) if bell > 0.0 else 0.0
        out[3, i] = bell * root
        decay = bell * vol[i] / (2.0 * root) if bell > 0.0 else 0.0
        out[4, i] = -decay - w * (rate[i] * cash - carry_yield[i] * asset)
        out[5, i] = w * time * cash
        out[6, i] = -w * time * asset
