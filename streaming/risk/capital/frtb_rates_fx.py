"""Interest-rate and currency delta charges of the sensitivities-based method (MAR21.8, 21.14, 21.41-50, 21.86-89)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streaming.risk.capital.frtb import Charge, linear_charge, net_sensitivities, tenor_correlations
from streaming.risk.capital.parameters import texts
from streaming.risk.rulebook import Rules

INFLATION, BASIS = "inflation", "basis"
"""Curves that are one flat factor of a currency: inflation, cross-currency basis."""


def rate_delta(
    currency: Sequence[str], curve: Sequence[str], tenor: np.ndarray, amount: np.ndarray, rules: Rules, reporting: str
) -> Charge:
    """Interest-rate delta charge.

    One row per sensitivity: value change for one basis point up, divided by 0.0001, int64 micros of the reporting
    currency; ``tenor`` numbers of ``frtb.girr.tenors`` (see ``frtb.allocate_tenor``), ignored for the curves
    ``INFLATION`` and ``BASIS``. A bucket is a currency.
    """
    currencies, bucket = np.unique(np.asarray(currency, dtype=str), return_inverse=True)
    named = np.asarray(curve, dtype=str)
    _, name = np.unique(named, return_inverse=True)
    tenor, tenors = np.asarray(tenor, dtype=np.int64), len(rules.values("frtb.girr.tenors"))
    flat = np.isin(named, (INFLATION, BASIS))
    if len(tenor) and not ((tenor >= 0) & ((tenor < tenors) | flat)).all():
        raise ValueError(f"interest-rate tenor: expected 0 to {tenors - 1}, found {sorted(set(tenor.tolist()))}")
    factor = np.select([named == INFLATION, named == BASIS], [tenors, tenors + 1], tenor)
    net = net_sensitivities(bucket, name, factor, amount, tenors + 2)

    weight = np.array(
        [float(value) for value in rules.values("frtb.girr.delta_weight")]
        + [float(rules.value("frtb.girr.inflation_weight")), float(rules.value("frtb.girr.basis_weight"))]
    )
    liquid = {*texts("frtb.girr.liquid_currencies", rules), reporting}
    present = currencies[np.unique(net.bucket)]
    divisor = np.array([np.sqrt(2.0) if item in liquid else 1.0 for item in present.tolist()])
    within, between = _rate_correlations(tenors, rules)
    charge = linear_charge(
        net,
        weight / divisor[:, None],
        within=np.broadcast_to(within, (len(present), *within.shape)),
        between=np.broadcast_to(between, (len(present), *between.shape)),
        gamma=_uniform(len(present), float(rules.value("frtb.girr.gamma"))),
        labels=("girr", "delta", "MAR21.4, MAR21.41-50"),
        rules=rules,
    )
    return replace(charge, bucket=present)


def currency_delta(currency: Sequence[str], amount: np.ndarray, rules: Rules, reporting: str) -> Charge:
    """Currency delta charge of amounts exposed to each currency, int64 micros of the reporting currency, signed.

    The sensitivity to a currency is the value held in it (a move of 1% divided by 0.01). Rows in the reporting
    currency carry none.
    """
    named, amount = np.asarray(currency, dtype=str), np.asarray(amount, dtype=np.int64)
    foreign = named != reporting
    currencies, bucket = np.unique(named[foreign], return_inverse=True)
    zero = np.zeros(len(bucket), dtype=np.int64)
    net = net_sensitivities(bucket, zero, zero, amount[foreign], 1)
    liquid = set(texts("frtb.fx.liquid_currencies", rules))
    divisor = [np.sqrt(2.0) if {item, reporting} <= liquid else 1.0 for item in currencies.tolist()]
    weight = float(rules.value("frtb.fx.delta_weight")) / np.array(divisor, dtype=np.float64)
    one = np.ones((len(currencies), 1, 1))
    charge = linear_charge(
        net,
        weight[:, None],
        within=one,
        between=one,
        gamma=_uniform(len(currencies), float(rules.value("frtb.fx.gamma"))),
        labels=("fx", "delta", "MAR21.4, MAR21.86-89"),
        rules=rules,
    )
    return replace(charge, bucket=currencies)


def _rate_correlations(tenors: int, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of factors on one curve and on two curves of one currency, with inflation and basis at the end."""
    floor = float(rules.value("frtb.girr.rho_floor"))
    tenor = np.maximum(tenor_correlations("frtb.girr.tenors", "frtb.girr.decay", rules), floor)
    within = np.full((tenors + 2, tenors + 2), float(rules.value("frtb.girr.rho_basis")))
    within[:tenors, :tenors] = tenor
    inflation = float(rules.value("frtb.girr.rho_inflation"))
    within[tenors, :tenors] = within[:tenors, tenors] = inflation
    np.fill_diagonal(within, 1.0)
    between = within.copy()
    between[:tenors, :tenors] = tenor * float(rules.value("frtb.girr.rho_curve"))
    return within, between


def _uniform(size: int, gamma: float) -> np.ndarray:
    """One correlation for every pair of different buckets."""
    matrix = np.full((size, size), gamma)
    np.fill_diagonal(matrix, 0.0)
    return matrix
