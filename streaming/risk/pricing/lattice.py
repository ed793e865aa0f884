"""Binomial lattices: the independent check of the American values, and the plain CRR tree by number of steps.

Nothing that is reported comes from here except where a number of steps is asked for by name.
"""

from collections.abc import Sequence
from math import exp, log, sqrt

import numpy as np

from streaming.risk.reference import Style


def crr(
    right: int, style: Style, spot: float, strike: float, rate: float, carry_yield: float, vol: float, expiry: float,
    steps: int, dividends: Sequence[tuple[float, float]] = (),
) -> float:  # fmt: skip
    """Cox, Ross and Rubinstein's tree (1979): u = e^{v sqrt(dt)}, one value per unit of the underlying.

    ``dividends``: (time, amount), escrowed: the tree is of the spot less their present value, and the exercise test
    adds back those still to come. Raises ValueError where the probability leaves [0, 1]: too few steps for the drift.
    """
    if steps < 1 or not (vol > 0.0 and expiry > 0.0):
        raise ValueError(f"lattice: expected steps, vol and T above 0, found {steps}, {vol} and {expiry}")
    dt = expiry / steps
    up = exp(vol * sqrt(dt))
    return _roll_back(right, style, spot, strike, rate, carry_yield, expiry, steps, up, 1.0 / up, None, dividends)


def leisen_reimer(
    right: int, style: Style, spot: float, strike: float, rate: float, carry_yield: float, vol: float, expiry: float,
    steps: int, dividends: Sequence[tuple[float, float]] = (),
) -> float:  # fmt: skip
    """Leisen and Reimer's tree (1996) with Peizer and Pratt's inversion; an odd number of steps converges smoothly."""
    if steps < 1 or steps % 2 == 0 or not (vol > 0.0 and expiry > 0.0):
        raise ValueError(f"lattice: expected odd steps, vol and T above 0, found {steps}, {vol} and {expiry}")
    risky = spot - _coming(dividends, rate, 0.0, expiry)
    width = vol * sqrt(expiry)
    plus = (log(risky / strike) + (rate - carry_yield) * expiry) / width + 0.5 * width
    asset, cash = _peizer_pratt(plus, steps), _peizer_pratt(plus - width, steps)
    growth = exp((rate - carry_yield) * expiry / steps)
    up, down = growth * asset / cash, growth * (1.0 - asset) / (1.0 - cash)
    return _roll_back(right, style, spot, strike, rate, carry_yield, expiry, steps, up, down, cash, dividends)


def _peizer_pratt(z: float, steps: int) -> float:
    root = sqrt(1.0 - exp(-((z / (steps + 1.0 / 3.0 + 0.1 / (steps + 1.0))) ** 2) * (steps + 1.0 / 6.0)))
    return 0.5 + (0.5 if z >= 0.0 else -0.5) * root


def _coming(dividends: Sequence[tuple[float, float]], rate: float, now: float, expiry: float) -> float:
    """Value at ``now`` of the dividends that go ex later, up to expiry."""
    return sum(amount * exp(-rate * (time - now)) for time, amount in dividends if now < time <= expiry)


def _roll_back(right, style, spot, strike, rate, carry_yield, expiry, steps, up, down, probability, dividends) -> float:
    dt = expiry / steps
    p = (exp((rate - carry_yield) * dt) - down) / (up - down) if probability is None else probability
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"lattice: expected a probability from 0 to 1, found {p:.4f}: more steps are needed")
    risky = max(spot - _coming(dividends, rate, 0.0, expiry), 0.0)
    discount = exp(-rate * dt)
    count = np.arange(steps + 1)
    asset = risky * up**count * down ** (steps - count)
    value = np.maximum(right * (asset - strike), 0.0)
    for step in range(steps - 1, -1, -1):
        value = discount * (p * value[1:] + (1.0 - p) * value[:-1])
        if style == Style.AMERICAN:
            asset = risky * up ** count[: step + 1] * down ** (step - count[: step + 1])
            coming = _coming(dividends, rate, step * dt, expiry)
            value = np.maximum(value, right * (asset + coming - strike))
    return float(value[0])
