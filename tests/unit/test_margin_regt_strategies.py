"""Worked numbers of spreads and hedged stock, by name (margin_regt_4210.md, sections 4.4, 5 and 9)."""

import pytest

from streaming.risk.margin import pairing, spreads
from streaming.risk.margin.spreads import SpreadLeg
from streaming.risk.margin.strategies import Strategy
from tests.unit.margin_regt_books import EUROPEAN, Leg, dollars, pair, requirement, strategies


def spread(*legs):
    """Spread legs from (cp, strike, quantity) or (cp, strike, quantity, expiry)."""
    return [
        SpreadLeg(1 if cp == "C" else -1, dollars(strike), expiry[0] if expiry else 1, quantity, 0, i)
        for i, (cp, strike, quantity, *expiry) in enumerate(legs)
    ]


@pytest.mark.parametrize(
    ("name", "legs", "loss"),
    [
        ("debit call spread", spread(("C", 100, 1), ("C", 110, -1)), 0),
        ("debit put spread", spread(("P", 110, 1), ("P", 100, -1)), 0),
        ("credit call spread", spread(("C", 120, -1), ("C", 125, 1)), 500),
        ("credit put spread", spread(("P", 95, -2), ("P", 90, 2)), 1000),
        ("long call butterfly", spread(("C", 90, 1), ("C", 100, -2), ("C", 110, 1)), 0),
        ("short put butterfly", spread(("P", 90, -1), ("P", 100, 2), ("P", 110, -1)), 1000),
        ("long call broken-wing butterfly", spread(("C", 545, 1), ("C", 550, -2), ("C", 565, 1)), 1000),
        ("long put condor", spread(("P", 90, 1), ("P", 95, -1), ("P", 105, -1), ("P", 110, 1)), 0),
        ("short call condor", spread(("C", 90, -1), ("C", 95, 1), ("C", 105, 1), ("C", 110, -1)), 500),
        ("iron condor", spread(("P", 90, 1), ("P", 95, -1), ("C", 105, -1), ("C", 115, 1)), 1000),
        ("iron butterfly", spread(("P", 90, 3), ("P", 100, -3), ("C", 100, -3), ("C", 110, 3)), 3000),
        ("reverse iron condor", spread(("P", 90, -1), ("P", 95, 1), ("C", 105, 1), ("C", 110, -1)), 0),
        ("long box", spread(("C", 90, 1), ("C", 110, -1), ("P", 110, 1), ("P", 90, -1)), 0),
        ("short box", spread(("C", 90, -1), ("C", 110, 1), ("P", 110, -1), ("P", 90, 1)), 2000),
        ("call calendar", spread(("C", 100, -1, 1), ("C", 100, 1, 2)), 0),
        ("put diagonal", spread(("P", 100, -1, 1), ("P", 95, 1, 2)), 500),
        ("multi-leg spread", spread(("C", 90, 1), ("C", 100, -3), ("C", 110, 1), ("C", 120, 1)), 2000),
    ],
)
def test_the_worst_intrinsic_value_is_the_requirement_of_every_spread(name, legs, loss):
    assert spreads.obstacle(legs) is None
    assert spreads.name(legs) == name
    assert spreads.loss(legs, 100) == dollars(loss)


def test_net_short_puts_lose_most_at_zero():
    assert spreads.loss(spread(("P", 95, -2), ("P", 90, 1)), 100) == dollars(100 * 100)


@pytest.mark.parametrize(
    ("legs", "why"),
    [
        (spread(("C", 100, 1), ("C", 110, -2)), "not equal"),
        (spread(("C", 100, -1, 2), ("C", 100, 1, 1)), "expires after"),
        (spread(("C", 100, -1), ("P", 100, 1)), "not equal"),
        (spread(("C", 100, 1)), "not equal"),
        ([spread(("C", 100, 1))[0], spread(("C", 110, -1))[0]._replace(style=1)], "European"),
        ([], "long and short"),
    ],
)
def test_what_fails_a_condition_is_no_spread(legs, why):
    assert why in spreads.obstacle(legs)


def test_a_joined_set_is_told_as_the_spreads_it_is_made_of():
    legs = spread(("P", 90, 1), ("P", 95, -1), ("C", 105, -3), ("C", 110, 3))
    parts = spreads.split(legs, 100)
    assert [spreads.name(part) for part in parts] == ["iron condor", "credit call spread"]
    assert sum(spreads.loss(part, 100) for part in parts) == spreads.loss(legs, 100) == dollars(1500)


def test_a_credit_spread_costs_its_width_once_and_its_long_leg():
    rows = pair(128.5, [Leg("C", 120, -1, 8.4), Leg("C", 125, 1, 3.8)])
    assert strategies(rows) == [Strategy.SPREAD]
    assert requirement(rows) == 500 + 380
    assert rows.premium.sum() == dollars(840)  # cash needed: 880 less 840 = 40


def test_an_iron_condor_is_charged_for_one_wing_only():
    legs = [Leg("P", 90, 1, 1), Leg("P", 95, -1, 2), Leg("C", 105, -1, 2), Leg("C", 115, 1, 1)]
    assert requirement(pair(100, legs)) == 1000 + 200


def test_a_short_never_requires_more_in_a_spread_than_uncovered():
    rows = pair(100, [Leg("C", 110, -1, 1.5), Leg("C", 160, 1, 0.1)])
    assert strategies(rows) == [Strategy.LONG_OPTION, Strategy.UNCOVERED]
    assert requirement(rows) == 10 + 150 + 1000


def test_a_ratio_spread_splits_off_the_uncovered_call():
    rows = pair(100, [Leg("C", 100, 1, 5), Leg("C", 110, -2, 1.5)])
    assert strategies(rows) == [Strategy.UNCOVERED, Strategy.SPREAD]
    assert requirement(rows) == 500 + 150 + 1000


def test_a_calendar_is_a_spread_only_when_the_long_lasts():
    assert strategies(pair(75, [Leg("C", 70, -1, 8, expiry=1), Leg("C", 70, 1, 9, expiry=2)])) == [Strategy.SPREAD]
    reversed_ = pair(75, [Leg("C", 70, -1, 8, expiry=2), Leg("C", 70, 1, 5, expiry=1)])
    assert strategies(reversed_) == [Strategy.LONG_OPTION, Strategy.UNCOVERED]
    assert requirement(reversed_) == 500 + 800 + 1500


def test_mixed_styles_and_multipliers_do_not_offset():
    legs = [Leg("C", 100, -1, 5), Leg("C", 105, 1, 3, style=EUROPEAN), Leg("C", 105, 1, 3, multiplier=10)]
    assert strategies(pair(100, legs)) == [Strategy.LONG_OPTION, Strategy.LONG_OPTION, Strategy.UNCOVERED]


def test_an_am_settled_long_does_not_cover_a_pm_settled_short_of_its_date():
    am, pm = 2 * 20_000, 2 * 20_000 + 1
    assert Strategy.SPREAD in strategies(pair(100, [Leg("C", 100, -1, 5, am), Leg("C", 105, 1, 3, pm)]))
    assert Strategy.UNCOVERED in strategies(pair(100, [Leg("C", 100, -1, 5, pm), Leg("C", 105, 1, 3, am)]))


@pytest.mark.parametrize("style", [EUROPEAN, 2])
def test_a_european_cash_settled_long_box_may_carry_loan_value(style):
    cash = style == EUROPEAN
    legs = [
        Leg("C", 90, 1, 12, style=style, cash_settled=cash), Leg("C", 110, -1, 1, style=style, cash_settled=cash),
        Leg("P", 90, -1, 1, style=style, cash_settled=cash), Leg("P", 110, 1, 10, style=style, cash_settled=cash),
    ]  # fmt: skip
    rows = pair(100, legs)
    net = requirement(rows) - rows.premium.sum() / 1e6
    assert strategies(rows) == [Strategy.LONG_BOX if cash else Strategy.SPREAD]
    assert net == (1000 if cash else 2000)


@pytest.mark.parametrize(
    ("strategy", "spot", "legs", "shares", "maintenance", "initial", "cap"),
    [
        (Strategy.COVERED_CALL, 100, [Leg("C", 105, -1, 2)], 100, 2500, 5000, 0),
        (Strategy.COVERED_CALL, 110, [Leg("C", 100, -1, 12)], 100, 2500, 5500, 1000),  # capped at the strike
        (Strategy.COVERED_PUT, 100, [Leg("P", 105, -1, 7)], -100, 3500, 5500, 0),
        (Strategy.PROTECTIVE_PUT, 100, [Leg("P", 95, 1, 2)], 100, 950 + 500 + 200, 5200, 0),
        (Strategy.PROTECTIVE_CALL, 100, [Leg("C", 105, 1, 2)], -100, 1050 + 500 + 200, 5200, 0),
        (Strategy.CONVERSION, 100, [Leg("P", 100, 1, 3), Leg("C", 100, -1, 4)], 100, 1000 + 300, 5300, 0),
        (Strategy.REVERSE_CONVERSION, 100, [Leg("C", 100, 1, 4), Leg("P", 100, -1, 3)], -100, 1000 + 400, 1400, 0),
        (Strategy.REVERSE_CONVERSION, 95, [Leg("C", 100, 1, 1), Leg("P", 100, -1, 6)], -100, 1500 + 100, 4850, 0),
        (Strategy.COLLAR, 100, [Leg("P", 95, 1, 2), Leg("C", 105, -1, 2)], 100, 950 + 500 + 200, 5200, 0),
        (Strategy.COLLAR, 115, [Leg("P", 95, 1, 1), Leg("C", 105, -1, 12)], 100, 2625 + 100, 5850, 1000),
    ],
)
def test_hedged_stock(strategy, spot, legs, shares, maintenance, initial, cap):
    rows = pair(spot, legs, shares)
    assert strategies(rows) == [strategy]
    assert requirement(rows) == maintenance
    assert rows.initial.sum() == dollars(initial)
    assert rows.cap.sum() == dollars(cap)


def test_a_protective_put_far_from_the_money_requires_no_more_than_plain_stock():
    rows = pair(100, [Leg("P", 60, 1, 0.1)], 100)
    assert requirement(rows) == 2500 + 10


def test_a_short_sold_above_the_strike_of_an_american_call_has_no_regulation_t_margin_on_top():
    american = pair(100, [Leg("C", 100, 1, 4)], -100)
    european = pair(100, [Leg("C", 100, 1, 4, style=EUROPEAN)], -100)
    above = pair(100, [Leg("C", 105, 1, 2)], -100)
    assert american.initial.sum() == dollars(1000 + 400)  # maintenance sets it: 10% of the strike, and the call
    assert european.initial.sum() == dollars(5000 + 400)
    assert above.initial.sum() == dollars(5000 + 200)


def test_coverage_is_per_share_and_the_rest_is_plain_stock():
    rows = pair(100, [Leg("C", 105, -3, 2)], 250)
    assert strategies(rows) == [Strategy.LONG_STOCK, Strategy.UNCOVERED, Strategy.COVERED_CALL]
    assert requirement(rows) == 200 * 25 + 50 * 25 + (200 + 2000 - 500)


def test_an_adjusted_contract_covers_its_own_number_of_shares():
    rows = pair(100, [Leg("C", 105, -1, 2, multiplier=150)], 149)
    assert Strategy.COVERED_CALL not in strategies(rows)
    assert requirement(pair(100, [Leg("C", 105, -1, 2, multiplier=150)], 150)) == 3750


def test_a_cash_account_book_may_only_cover():
    rows = pair(100, [Leg("C", 105, -1, 2), Leg("P", 95, 1, 2)], 100, allowed=pairing.COVER)
    assert strategies(rows) == [Strategy.LONG_OPTION, Strategy.COVERED_CALL]


def test_both_sides_at_different_expiries_take_the_valid_long():
    legs = [Leg("C", 100, -1, 5, expiry=2), Leg("C", 100, 1, 4, expiry=1), Leg("C", 105, 1, 4, expiry=3)]
    rows = pair(100, legs)
    assert strategies(rows) == [Strategy.LONG_OPTION, Strategy.SPREAD]
    assert requirement(rows) == 500 + 400 + 400
