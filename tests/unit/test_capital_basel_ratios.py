"""Ratios, the supervisory stack, payout limits, stress."""

from datetime import date
from decimal import Decimal

import pytest

from streaming.risk import rulebook
from streaming.risk.capital import ratios
from streaming.risk.money import MICRO

RULES = rulebook.load().at(date(2026, 11, 1))
NEEDS = ratios.Requirements(Decimal("0.02"), Decimal("0.025"), Decimal("0.01"), Decimal("0.015"))


def stack(cet1=100, at1=10, t2=20, assets=1000, exposure=2000, needs=NEEDS):
    funds = ratios.OwnFunds(*(round(value * MICRO) for value in (cet1, at1, t2)))
    weighted = ratios.RiskWeightedAssets(assets * MICRO, 0, 0)
    return ratios.capital_stack(funds, weighted, exposure * MICRO, needs, RULES)


def test_market_and_operational_capital_count_twelve_and_a_half_times():
    assets = ratios.risk_weighted_assets(500 * MICRO, 20 * MICRO, 10 * MICRO, RULES)
    assert (assets.market, assets.operational, assets.total) == (250 * MICRO, 125 * MICRO, 875 * MICRO)


def test_ratios_of_a_worked_balance_sheet():
    found = stack()
    assert found.ratio == {"cet1": Decimal("0.1"), "tier1": Decimal("0.11"), "total": Decimal("0.13")}
    assert found.leverage == Decimal("0.055")
    assert found.leverage_surplus == 50 * MICRO


@pytest.mark.parametrize(
    ("tier", "required"),
    [
        ("cet1", ["0.045", "0.05625", "0.09125", "0.10625"]),
        ("tier1", ["0.06", "0.075", "0.11", "0.125"]),
        ("total", ["0.08", "0.1", "0.135", "0.15"]),
    ],
)
def test_required_ratios_stack_up_by_tier(tier, required):
    found = [stack().level(tier, name).required_ratio for name in ratios.LEVELS]
    assert found == [Decimal(value) for value in required]


def test_surplus_is_capital_less_requirement_at_every_level():
    found = stack()
    assert [found.level("cet1", name).surplus for name in ratios.LEVELS] == [
        55_000_000,
        43_750_000,
        8_750_000,
        -6_250_000,
    ]
    for level in found.levels:
        assert level.surplus == found.own_funds.tier(level.tier) - level.required
        assert level.explained().value == level.required


def test_payout_limit_looks_at_every_tier_not_only_cet1():
    found = stack()  # CET1 4.375% and tier 1 3.5% after TSCR, total only 3.0%, buffer 3.5%
    assert found.buffer_left == Decimal("0.03")
    assert found.payout_limited
    assert not stack(t2=25).payout_limited


def test_the_buffer_met_exactly_does_not_limit_payouts():
    found = stack(cet1=100, at1=10, t2=25)
    assert found.buffer_left == Decimal("0.035")
    assert not found.payout_limited
    assert found.payout_part == 1


@pytest.mark.parametrize(
    ("left", "part"), [("0.001", "0"), ("0.01", "0.2"), ("0.02", "0.4"), ("0.03", "0.6"), ("-0.01", "0")]
)
def test_payout_by_quartile_of_the_combined_buffer(left, part):
    cet1 = (Decimal("0.1") + Decimal(left)) * 1000  # all capital is CET1: total capital requirement binds
    assert stack(cet1=cet1, at1=0, t2=0).payout_part == Decimal(part)


def test_guidance_sits_above_the_requirement_and_limits_no_payout():
    found = stack(cet1=140, at1=0, t2=0)
    assert found.level("total", "OCR + P2G").surplus < 0
    assert not found.payout_limited


def test_a_requirement_with_more_than_six_decimals_is_rounded_once():
    needs = ratios.Requirements(Decimal("0.0175"), Decimal("0.025"), Decimal(0), Decimal(0))
    level = stack(assets=1, needs=needs).level("cet1", "TSCR")
    assert level.required_ratio == Decimal("0.05484375")
    assert level.required == 54_844


def test_stress_takes_the_loss_from_cet1_and_restates_only_what_it_states():
    impacts = [
        ratios.StressImpact("crash", 60 * MICRO, market_capital=40 * MICRO),
        ratios.StressImpact("calm", 0),
        ratios.StressImpact("gain", -10 * MICRO, credit_assets=400 * MICRO, leverage_exposure=1000 * MICRO),
    ]
    funds = ratios.OwnFunds(100 * MICRO, 10 * MICRO, 20 * MICRO)
    before, crash, calm, gain = ratios.stressed_stacks(
        funds, 500 * MICRO, 20 * MICRO, 10 * MICRO, 2000 * MICRO, impacts, NEEDS, RULES
    )
    assert before.scenario == "before stress"
    assert (calm.ratio, calm.levels) == (before.ratio, before.levels)
    assert crash.own_funds.cet1 == 40 * MICRO
    assert crash.assets.total == 1125 * MICRO
    assert crash.payout_limited
    assert gain.own_funds.cet1 == 110 * MICRO
    assert gain.assets.total == 775 * MICRO
    assert gain.leverage == Decimal("0.12")


def test_the_rulebook_carries_the_conservation_buffer_and_no_invented_supervisory_decision():
    needs = ratios.requirements(RULES)
    assert (needs.conservation, needs.pillar2, needs.guidance) == (Decimal("0.025"), 0, 0)


def test_no_assets_or_exposure_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        stack(assets=0)
    with pytest.raises(ValueError, match="above 0"):
        stack(exposure=0)
