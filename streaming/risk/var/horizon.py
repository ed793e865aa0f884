"""From one day to several, and expected shortfall over liquidity horizons. Each scaling is labelled by its name."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from streaming.risk.money import MICRO, round_model
from streaming.risk.rulebook import Rules


def square_root_of_time(amount: np.ndarray | int, days: int) -> np.ndarray:
    """A one-day measure in micros times sqrt(days), rounded once."""
    return round_model(np.asarray(amount) / MICRO * sqrt(days))


def autocorrelated_factor(days: int, correlation: float) -> float:
    """Multiplier of a one-day measure when daily moves have first-order autocorrelation ``rho``:
    sqrt(T + 2 sum (T - i) rho^i)."""
    if not -1.0 < correlation < 1.0:
        raise ValueError(f"autocorrelation: expected between -1 and 1, found {correlation}")
    return sqrt(days + 2.0 * sum((days - i) * correlation**i for i in range(1, days)))


def liquidity_adjusted_es(shortfalls: Sequence[int], horizons: Sequence[int], rules: Rules) -> int:
    """Expected shortfall over liquidity horizons (MAR33.4), micros.

    ``shortfalls[j]`` is the ES at the base horizon (10 days) of the risk factors whose liquidity horizon is at least
    ``horizons[j]`` days (increasing, the first equal to the base): sqrt(sum (ES_j sqrt((LH_j - LH_{j-1}) / base))^2).
    """
    base = int(rules.value("var.liquidity_horizon.base"))
    if list(horizons) != sorted(set(horizons)) or not horizons or horizons[0] != base:
        raise ValueError(f"liquidity horizons: expected increasing from {base}, found {list(horizons)}")
    total, before = 0.0, 0
    for shortfall, horizon in zip(shortfalls, horizons, strict=True):
        total += (shortfall / MICRO) ** 2 * (horizon - before) / base
        before = horizon
    return int(round_model(sqrt(total)))


def liquidity_horizon(risk_class: str, rules: Rules) -> int:
    """Days of a risk-factor class: ``large_cap_price``, ``small_cap_price``, ``large_cap_vol``, ``small_cap_vol``."""
    table = rules.table("var.liquidity_horizon")
    if risk_class not in table:
        raise ValueError(f"liquidity horizon: expected one of {', '.join(sorted(table))}, found {risk_class!r}")
    return int(str(table[risk_class]))
