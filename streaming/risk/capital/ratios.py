"""Capital ratios and the supervisory stack: pillar 1, P2R, buffers, P2G, payout limits; before and after stress.

ICAAP and SREP view of the group. Capital and assets are int64 micros; ratios are exact decimals; a requirement in
micros is rounded once, half away from zero. A surplus is signed: negative = shortfall.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from streaming.risk.capital.parameters import decimals
from streaming.risk.explained import Explained
from streaming.risk.money import fraction
from streaming.risk.rulebook import Rules

TIERS = ("cet1", "tier1", "total")
LEVELS = ("pillar 1", "TSCR", "OCR", "OCR + P2G")
QUARTERS = 4


@dataclass(frozen=True, slots=True)
class OwnFunds:
    """Eligible capital in micros: common equity, additional tier 1, tier 2."""

    cet1: int
    additional_tier1: int
    tier2: int

    def tier(self, name: str) -> int:
        """Capital that counts for a tier of ``TIERS``."""
        tier1 = self.cet1 + self.additional_tier1
        return {"cet1": self.cet1, "tier1": tier1, "total": tier1 + self.tier2}[name]


@dataclass(frozen=True, slots=True)
class RiskWeightedAssets:
    """Risk-weighted assets by risk, micros."""

    credit: int
    market: int
    operational: int

    @property
    def total(self) -> int:
        return self.credit + self.market + self.operational


@dataclass(frozen=True, slots=True)
class Requirements:
    """The firm's supervisory add-ons as fractions of risk-weighted assets."""

    pillar2: Decimal
    conservation: Decimal
    countercyclical: Decimal
    guidance: Decimal

    @property
    def combined_buffer(self) -> Decimal:
        return self.conservation + self.countercyclical


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the stack for one tier."""

    tier: str
    name: str
    required_ratio: Decimal
    required: int
    surplus: int
    rule: str
    evidence: str

    def explained(self) -> Explained:
        inputs: dict[str, str | int] = {"ratio": str(self.required_ratio), "surplus": self.surplus}
        return Explained(
            self.required, self.rule, f"{self.name}, {self.tier}", inputs=inputs | {"evidence": self.evidence}
        )


@dataclass(frozen=True, slots=True)
class Stack:
    """Ratios, levels and the payout limit of one state of the firm."""

    scenario: str
    own_funds: OwnFunds
    assets: RiskWeightedAssets
    ratio: dict[str, Decimal]
    levels: tuple[Level, ...]
    """Tiers outer, levels inner, in the order of ``TIERS`` and ``LEVELS``."""
    leverage: Decimal
    leverage_surplus: int
    buffer_left: Decimal
    """Least capital left after TSCR over the tiers, as a fraction of risk-weighted assets."""
    payout_limited: bool
    """Capital left after TSCR is under the combined buffer: the maximum distributable amount applies."""
    payout_part: Decimal
    """Greatest part of earnings that may be paid out."""

    def level(self, tier: str, name: str) -> Level:
        return self.levels[TIERS.index(tier) * len(LEVELS) + LEVELS.index(name)]


@dataclass(frozen=True, slots=True)
class StressImpact:
    """What a scenario does to the firm, micros; ``None`` = unchanged."""

    scenario: str
    loss: int
    """Positive = loss; taken from CET1 in full, without tax relief or management action."""
    credit_assets: int | None = None
    market_capital: int | None = None
    operational_capital: int | None = None
    leverage_exposure: int | None = None


def risk_weighted_assets(
    credit: int, market_capital: int, operational_capital: int, rules: Rules
) -> RiskWeightedAssets:
    """Credit assets as they are, market and operational capital times 12.5 (RBC20.9)."""
    factor = rules.ppm("frtb.rwa_factor")
    return RiskWeightedAssets(credit, int(fraction(market_capital, factor)), int(fraction(operational_capital, factor)))


def requirements(rules: Rules) -> Requirements:
    """The add-ons of the rulebook (the firm's own SREP decision is a house entry)."""
    return Requirements(
        rules.value("basel.pillar2_requirement"),
        rules.value("basel.conservation_buffer"),
        rules.value("basel.countercyclical_buffer"),
        rules.value("basel.pillar2_guidance"),
    )


def required_ratios(tier: str, needs: Requirements, rules: Rules) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Required ratio of a tier at each of ``LEVELS``, cumulative.

    P2R counts 56.25% in CET1 and 75% in tier 1; the combined buffer and P2G are CET1 on top of every tier.
    """
    minimum = decimals("basel.minimum", rules)[tier]
    tscr = minimum + needs.pillar2 * decimals("basel.pillar2_share", rules)[tier]
    ocr = tscr + needs.combined_buffer
    return minimum, tscr, ocr, ocr + needs.guidance


def capital_stack(
    own_funds: OwnFunds,
    assets: RiskWeightedAssets,
    leverage_exposure: int,
    needs: Requirements,
    rules: Rules,
    scenario: str = "before stress",
) -> Stack:
    """Ratios, surplus over every level, payout limit. Assets and exposure must be positive (ValueError)."""
    if assets.total <= 0 or leverage_exposure <= 0:
        raise ValueError(f"expected assets and exposure above 0, found {assets.total} and {leverage_exposure} micros")
    ratio = {tier: Decimal(own_funds.tier(tier)) / assets.total for tier in TIERS}
    levels = []
    rule_text = ("RBC20.1", "RBC20.1 + P2R", "RBC30, SREP", "RBC30, SREP")
    evidence = ("K", "H", "H", "H") if needs.pillar2 or needs.guidance else ("K", "K", "K", "K")
    for tier in TIERS:
        for name, required, rule, mark in zip(LEVELS, required_ratios(tier, needs, rules), rule_text, evidence):
            amount = int((required * assets.total).quantize(Decimal(1), rounding=ROUND_HALF_UP))
            levels.append(Level(tier, name, required, amount, own_funds.tier(tier) - amount, rule, mark))
    left = min(ratio[tier] - required_ratios(tier, needs, rules)[LEVELS.index("TSCR")] for tier in TIERS)
    minimum = (rules.value("basel.leverage_minimum") * leverage_exposure).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return Stack(
        scenario,
        own_funds,
        assets,
        ratio,
        tuple(levels),
        Decimal(own_funds.tier("tier1")) / leverage_exposure,
        own_funds.tier("tier1") - int(minimum),
        left,
        left < needs.combined_buffer,
        _payout_part(left, needs.combined_buffer, rules),
    )


def stressed_stacks(
    own_funds: OwnFunds,
    credit_assets: int,
    market_capital: int,
    operational_capital: int,
    leverage_exposure: int,
    impacts: Sequence[StressImpact],
    needs: Requirements,
    rules: Rules,
) -> tuple[Stack, ...]:
    """The stack before stress, then after each impact, in the order given."""

    def after(impact: StressImpact) -> Stack:
        def taken(stressed: int | None, unchanged: int) -> int:
            return unchanged if stressed is None else stressed

        assets = risk_weighted_assets(
            taken(impact.credit_assets, credit_assets),
            taken(impact.market_capital, market_capital),
            taken(impact.operational_capital, operational_capital),
            rules,
        )
        left = OwnFunds(own_funds.cet1 - impact.loss, own_funds.additional_tier1, own_funds.tier2)
        exposure = taken(impact.leverage_exposure, leverage_exposure)
        return capital_stack(left, assets, exposure, needs, rules, impact.scenario)

    return tuple(after(impact) for impact in (StressImpact("before stress", 0), *impacts))


def _payout_part(left: Decimal, buffer: Decimal, rules: Rules) -> Decimal:
    """The quartile's part of earnings while the buffer is not full, all of them when it is (RBC30.4)."""
    if left >= buffer:
        return Decimal(1)
    quarter = max(0, int(left / buffer * QUARTERS)) if left > 0 else 0
    return rules.values("basel.payout_quartiles")[quarter]
