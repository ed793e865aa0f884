"""Residual risk add-on (MAR23): a fraction of gross notional for what the sensitivities do not see."""

import numpy as np

from streaming.risk.capital.parameters import rates_ppm
from streaming.risk.explained import Explained
from streaming.risk.money import checked_sum, fraction
from streaming.risk.rulebook import Rules

EXOTIC, OTHER, EXEMPT = "exotic", "other", "exempt"
"""Exotic underlying (weather, longevity, realised variance); other residual risk (gap, correlation, behavioural);
exempt: listed or centrally clearable instruments and vanilla options without path dependence."""


def residual_risk_add_on(kind: np.ndarray, notional: np.ndarray, rules: Rules) -> tuple[Explained, ...]:
    """One line per kind present, in micros: fraction x gross notional (absolute, no netting; MAR23.8).

    ``kind`` is ``EXOTIC``, ``OTHER`` or ``EXEMPT`` per position, ``notional`` int64 micros. Raises ValueError for
    another kind.
    """
    kind = np.asarray(kind, dtype=str)
    weights = rates_ppm("frtb.rrao.weight", rules)
    unknown = sorted(set(kind.tolist()) - set(weights))
    if unknown:
        raise ValueError(f"residual risk: expected one of {', '.join(weights)}, found {', '.join(unknown)}")
    lines = []
    for name, ppm in weights.items():
        gross = checked_sum(np.abs(np.asarray(notional)[kind == name]), f"{name} notional")
        if (kind == name).any():
            evidence = rules.parameter("frtb.rrao.weight").evidence
            inputs: dict[str, str | int] = {"gross notional": gross, "weight ppm": ppm, "evidence": evidence}
            lines.append(Explained(int(fraction(gross, ppm)), "MAR23.8", f"residual risk, {name}", inputs=inputs))
    return tuple(lines)
