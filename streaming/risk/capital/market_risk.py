"""Market-risk capital: sensitivities-based method, default risk charge and residual risk add-on together (MAR20.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streaming.risk.capital.frtb import (
    SCENARIOS,
    Charge,
    EquityFactor,
    equity_curvature,
    equity_delta,
    equity_vega,
    net_sensitivities,
)
from streaming.risk.capital.frtb_sensitivities import Exceptions, FactorRows, Sensitivities
from streaming.risk.explained import Explained
from streaming.risk.money import checked_sum, fraction
from streaming.risk.rulebook import Rules

CURVATURE_SIDES = 2


@dataclass(frozen=True, slots=True)
class MarketRiskCapital:
    """Market-risk capital and what it is made of. Amounts in micros, positive = capital required."""

    charges: tuple[Charge, ...]
    """By risk class and measure, each with its buckets."""
    sensitivities_based: np.ndarray
    """int64 [3]: sum of the charges in each correlation scenario."""
    binding: str
    """The scenario that counts: the largest sum over all classes and measures (MAR21.7)."""
    default_risk: tuple[Explained, ...]
    residual_risk: tuple[Explained, ...]
    exceptions: tuple[Exceptions, ...]
    unpriced: int
    """Positions without price or multiplier, charged in full (house)."""
    total: int
    rwa: int
    """Risk-weighted assets: 12.5 x the total."""

    def explained(self) -> tuple[Explained, ...]:
        """The lines that add up to ``total``."""
        scenario = SCENARIOS.index(self.binding)
        measures = tuple(
            Explained(
                int(charge.micros[scenario]),
                charge.rule,
                f"{charge.risk_class} {charge.measure}",
                inputs={"scenario": self.binding, "factors": charge.factors, "evidence": charge.evidence},
            )
            for charge in self.charges
        )
        unpriced = Explained(
            self.unpriced, "frtb.unpriced_charge", "unpriced positions in full", inputs={"evidence": "H"}
        )
        return (*measures, *self.default_risk, *self.residual_risk, unpriced)


def equity_charges(sensitivities: Sensitivities, rules: Rules) -> tuple[Charge, Charge, Charge]:
    """Delta, vega and curvature charge of the equity class."""
    maturities = len(rules.values("frtb.vega.tenors"))
    return (
        equity_delta(_net(sensitivities.delta, len(EquityFactor)), rules),
        equity_vega(_net(sensitivities.vega, maturities), rules),
        equity_curvature(_net(sensitivities.curvature, CURVATURE_SIDES), rules),
    )


def market_risk_capital(
    sensitivities: Sensitivities,
    rules: Rules,
    *,
    other_charges: Sequence[Charge] = (),
    other_exceptions: Sequence[Exceptions] = (),
    default_risk: Sequence[Explained] = (),
    residual_risk: Sequence[Explained] = (),
) -> MarketRiskCapital:
    """Market-risk capital of the whole book.

    ``other_charges`` are those of other risk classes (``frtb_rates_fx``) and ``other_exceptions`` what those left out;
    ``default_risk`` and ``residual_risk`` are the lines of ``drc`` and ``rrao``. All measures of all classes are added
    within a scenario, then the largest is taken.
    """
    charges = (*equity_charges(sensitivities, rules), *other_charges)
    summed = np.sum([charge.micros for charge in charges], axis=0)
    binding = int(np.argmax(summed))
    exceptions = (sensitivities.exceptions, *other_exceptions)
    unpriced = checked_sum(np.concatenate([item.charge for item in exceptions]), "unpriced positions")
    parts = [int(summed[binding]), *(item.value for item in (*default_risk, *residual_risk)), unpriced]
    total = sum(parts)
    return MarketRiskCapital(
        charges,
        summed,
        SCENARIOS[binding],
        tuple(default_risk),
        tuple(residual_risk),
        exceptions,
        unpriced,
        total,
        risk_weighted(total, rules),
    )


def risk_weighted(capital: int, rules: Rules) -> int:
    """Risk-weighted assets of a capital amount, micros (RBC20.9)."""
    return int(fraction(capital, rules.ppm("frtb.rwa_factor")))


def _net(rows: FactorRows, factors: int):
    return net_sensitivities(rows.bucket, rows.name, rows.factor, rows.amount, factors)
