"""What the generated options are worth: a surface without arbitrage around a volatility that is a named proxy.

The smile is the SSVI surface of Gatheral and Jacquier (2014), with the power-law function and parameters inside the
bound that excludes butterfly arbitrage; total variance grows with time, so there is no calendar arbitrage either.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from streaming.demo.history import Closes, vix
from streaming.demo.session import DAY
from streaming.demo.universe import LEVERAGE, Universe
from streaming.risk.pricing import black_scholes

_RHO = -0.5
_ETA = 1.0  # eta (1 + |rho|) <= 2
_LONG_RUN = 0.7
"""Long-run volatility as a fraction of today's: calm returns slowly ..."""
_REVERSION = 4.0
"""... at this speed per year."""
_YEAR = 365 * DAY

ZERO_CURVES = {
    "USD": ((1, 0.0060), (30, 0.0048), (91, 0.0040), (182, 0.0038), (365, 0.0036), (730, 0.0040), (1825, 0.0058)),
    "EUR": (
        (1, -0.0046),
        (30, -0.0048),
        (91, -0.0050),
        (182, -0.0052),
        (365, -0.0054),
        (730, -0.0056),
        (1825, -0.0050),
    ),
}
"""Generated zero rates, continuously compounded, by tenor in days."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Per instrument what its model price needs beside spot and time."""

    source: str
    """Named in every option quote."""
    volatility: np.ndarray
    """Per underlying, per year."""
    early: np.ndarray
    """Whether the holder may exercise before expiry."""
    rate: np.ndarray
    carry: np.ndarray
    dividends: np.ndarray
    """Present value of the cash dividends before expiry."""

    def price(self, universe: Universe, rows: np.ndarray, spot: np.ndarray, time: np.ndarray | int) -> np.ndarray:
        """Model price per unit of underlying, float64; at and after expiry the intrinsic value."""
        years = np.maximum(universe.expires[rows] - time, 1) / _YEAR
        under, strike, sign = universe.underlying[rows], universe.strike[rows], universe.right[rows]
        rate, carry = self.rate[rows], self.carry[under]
        net = np.maximum(spot - self.dividends[rows], 0.01)
        forward = net * np.exp((rate - carry) * years)
        volatility = np.sqrt(self._variance(self.volatility[under], years, np.log(strike / forward)) / years)
        model = black_scholes.value(sign, net, strike, rate, carry, volatility, years)
        intrinsic = np.maximum(sign * (spot - strike), 0.0)
        expired = universe.expires[rows] <= time
        return np.where(expired | (self.early[rows] & (model < intrinsic)), intrinsic, model)

    @staticmethod
    def _variance(volatility: np.ndarray, years: np.ndarray, moneyness: np.ndarray) -> np.ndarray:
        long_run = (_LONG_RUN * volatility) ** 2
        excess = volatility**2 - long_run
        theta = long_run * years + excess * -np.expm1(-_REVERSION * years) / _REVERSION
        slope = _ETA / np.sqrt(theta * (1 + theta))
        tilted = slope * moneyness
        return theta / 2 * (1 + _RHO * tilted + np.sqrt((tilted + _RHO) ** 2 + 1 - _RHO**2))


def build(universe: Universe, history: Closes, day: date) -> Surface:
    """The surface of a day: the volatility index where its file reaches, else realised volatility, named a proxy."""
    realised = history.volatility()
    index = vix().get(history.dates[-1])
    source = "generated:ewma-proxy" if index is None else "generated:vix"
    if index is not None:
        realised = realised * (index / realised[-1])
    volatility = np.append(realised, LEVERAGE * realised[-1])
    rows = universe.options
    days = np.zeros(len(universe))
    days[rows] = [(expiry - day).days for expiry in (universe.expiry[row] for row in rows) if expiry is not None]
    tenors, zeros = zip(*ZERO_CURVES["USD"])
    rate = np.interp(days, tenors, zeros)
    present = np.zeros(len(universe))
    for row in rows:
        expiry = universe.expiry[row]
        for ex_date, amount in universe.dividends[universe.underlying[row]]:
            if expiry is not None and ex_date <= expiry:
                present[row] += amount * np.exp(
                    -np.interp((ex_date - day).days, tenors, zeros) * (ex_date - day).days / 365
                )
    early = np.array([style == "american" for style in universe.style])
    return Surface(source, np.clip(volatility, 0.05, 3.0), early, rate, universe.dividend_yield, present)
