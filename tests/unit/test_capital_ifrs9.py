"""Expected credit loss: staging, scenarios, lives, the movement table, the CECL expedient."""

from datetime import date
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk import rulebook
from streaming.risk.capital import ifrs9
from streaming.risk.capital.ifrs9 import Trigger
from streaming.risk.money import MICRO

BOOK = rulebook.load()
RULES = BOOK.at(date(2026, 11, 1))

PLAIN = {
    "debit": 1000, "accrued": 0, "undrawn": 0, "collateral": 1500, "daily_volatility": 0.02, "liquidity": 0,
    "concentrated": False, "annual_pd": 0.02, "effective_rate": 0.05, "days_past_due": 0, "call_age": 0,
    "negative_after_close_out": False, "credit_impaired": False, "risk_increased": False,
}  # fmt: skip
MONEY = ("debit", "accrued", "undrawn", "collateral")


def loans(*rows: dict) -> ifrs9.MarginLoans:
    """Rows over a plain performing loan, money in dollars; ids C0, C1, ... unless given."""
    columns = {name: np.array([(PLAIN | row)[name] for row in rows]) for name in PLAIN}
    for name in MONEY:
        columns[name] = np.array([round(float(value) * MICRO) for value in columns[name]], dtype=np.int64)
    return ifrs9.MarginLoans(np.array([row.get("id", f"C{i}") for i, row in enumerate(rows)], dtype=object), **columns)


def allowance(*rows: dict, rules=RULES) -> ifrs9.Allowance:
    return ifrs9.allowances(loans(*rows), rules)


@pytest.mark.parametrize(
    ("change", "stage", "trigger"),
    [
        ({}, 1, Trigger.NONE),
        ({"days_past_due": 29}, 1, Trigger.NONE),
        ({"days_past_due": 30}, 2, Trigger.PAST_DUE),
        ({"days_past_due": 89}, 2, Trigger.PAST_DUE),
        ({"days_past_due": 90}, 3, Trigger.PAST_DUE_IMPAIRED),
        ({"call_age": 3}, 1, Trigger.NONE),
        ({"call_age": 4}, 2, Trigger.CALL_UNMET),
        ({"call_age": 9, "days_past_due": 31}, 2, Trigger.CALL_UNMET),
        ({"call_age": 10}, 3, Trigger.CALL_UNMET_IMPAIRED),
        ({"negative_after_close_out": True}, 3, Trigger.NEGATIVE_AFTER_CLOSE_OUT),
        ({"credit_impaired": True, "call_age": 12}, 3, Trigger.CREDIT_IMPAIRED),
        ({"risk_increased": True}, 2, Trigger.RISK_INCREASE),
    ],
)
def test_stage_and_its_trigger(change, stage, trigger):
    stages, triggers = ifrs9.stages(loans(change), RULES)
    assert (stages[0], triggers[0]) == (stage, trigger)


def test_loss_by_year_discounts_and_survives():
    yearly = ifrs9.expected_losses([[100, 80, 60]], [0.4], [[0.02, 0.03, 0.04]], [0.05])[0]
    expected = [0.02 * 40 / 1.05, 0.98 * 0.03 * 32 / 1.05**2, 0.98 * 0.97 * 0.04 * 24 / 1.05**3]
    np.testing.assert_allclose(yearly, expected, rtol=1e-14)


def test_a_monthly_grid_discounts_by_the_month():
    monthly = ifrs9.expected_losses([[100, 100]], [1.0], [[0.01, 0.01]], [0.12], periods=12)[0]
    np.testing.assert_allclose(monthly, [1.12 ** (-1 / 12), 0.99 * 1.12 ** (-2 / 12)])


def test_a_certain_default_leaves_nothing_to_default_later():
    assert ifrs9.expected_losses([[100, 100]], [1.0], [[1.0, 0.5]], [0.0])[0].tolist() == [100, 0]


@pytest.mark.parametrize(("pd", "rate"), [([[1.1]], 0.0), ([[-0.1]], 0.0), ([[0.1]], -1.0)])
def test_probabilities_and_rates_out_of_range_are_refused(pd, rate):
    with pytest.raises(ValueError, match="expected"):
        ifrs9.expected_losses([[100]], [1.0], pd, [rate])


def test_shock_is_a_99_percent_move_to_close_out_with_a_floor_and_more_for_concentration():
    shock = ifrs9.collateral_shock(
        np.array([0.01, 0.08, 0.08, 0.01, np.nan, 0.9]), np.array([0, 0, 2, 0, 0, 0]),
        np.array([False, False, False, True, False, False]), RULES,
    )  # fmt: skip
    z = 2.3263478740408408
    np.testing.assert_allclose(shock, [0.15, z * 0.08 * sqrt(2), z * 0.08 * sqrt(10), 0.225, 1.0, 1.0])


def test_the_loss_is_the_weighted_sum_of_scenarios_not_the_loss_of_their_average():
    """Covered at the average shock, uncovered in the down scenario: the average would show nothing."""
    found = allowance({"collateral": 1250})
    after_down = 1250 * (1 - 0.15 * 1.5) * 0.995
    assert 1250 * (1 - 0.15 * (0.5 + 0.2 * 0.8 + 0.3 * 1.5)) * 0.995 > 1000 > after_down
    assert found.twelve_month[0] == round(0.3 * 0.04 * (1000 - after_down) / 1.05 * MICRO)


def test_a_well_covered_loan_has_no_loss_but_is_counted():
    found = allowance({"collateral": 5000})
    assert (found.loss[0], found.gross[0], found.stage[0]) == (0, 1000 * MICRO, 1)


def test_missing_collateral_value_probability_or_volatility_is_charged_in_full():
    nothing, unknown_pd, unknown_vol = allowance(
        {"collateral": 0, "annual_pd": np.nan}, {"annual_pd": np.nan}, {"daily_volatility": np.nan}
    ).twelve_month
    assert nothing == pytest.approx(1000 / 1.05 * MICRO)
    assert unknown_pd == 0  # certain default, fully covered
    assert unknown_vol == pytest.approx((0.5 * 0.02 + 0.2 * 0.014 + 0.3 * 0.04) * 1000 / 1.05 * MICRO, abs=1)


UNCOVERED = {"collateral": 900}


def test_stage_two_books_the_elected_life_and_shows_both():
    found = allowance(UNCOVERED | {"call_age": 5})
    assert found.lifetime_contractual[0] < found.twelve_month[0] < found.lifetime_behavioural[0]
    assert found.loss[0] == found.lifetime_behavioural[0]


def elected(life):
    old = RULES.parameter("ifrs9.margin_loan.stage2_life")
    entries = [p for p in BOOK.parameters if p.id != old.id]
    changed = type(old)(old.id, life, old.unit, old.rule, old.valid_from, None, "H", "test")
    return rulebook.Rulebook([*entries, changed]).at(date(2026, 11, 1))


def test_the_firm_may_elect_the_notice_period_and_nothing_else():
    found = allowance(UNCOVERED | {"call_age": 5}, rules=elected("contractual"))
    assert found.loss[0] == found.lifetime_contractual[0]
    with pytest.raises(ValueError, match="contractual or behavioural"):
        allowance(UNCOVERED, rules=elected("eternal"))


def test_behavioural_life_is_three_years_of_constant_default_probability():
    found = allowance({"collateral": 0})
    expected = 0
    for weight, pd in ((0.5, 0.02), (0.2, 0.014), (0.3, 0.04)):
        expected += weight * sum((1 - pd) ** (t - 1) * pd * 1000 / 1.05**t for t in (1, 2, 3))
    assert found.lifetime_behavioural[0] == pytest.approx(expected * MICRO, abs=1)


def test_stage_three_books_the_whole_shortfall_and_earns_interest_on_the_net():
    performing, impaired = UNCOVERED, UNCOVERED | {"credit_impaired": True}
    found = allowance(performing, impaired)
    expected = sum(w * (1000 - 900 * (1 - 0.15 * f) * 0.995) for w, f in ((0.5, 1), (0.2, 0.8), (0.3, 1.5)))
    assert found.loss[1] == pytest.approx(expected * MICRO, abs=1)
    interest = ifrs9.interest_revenue(found, np.array([0.05, 0.05]), 73, RULES)
    assert interest.tolist() == [10 * MICRO, pytest.approx((1000 - expected) * 0.01 * MICRO, abs=1)]


def test_the_cecl_expedient_is_the_part_above_unshocked_collateral():
    assert allowance({"collateral": 900}, {"collateral": 1100}).expedient.tolist() == [100 * MICRO, 0]


def test_exposure_is_debit_plus_accrued_interest_and_low_coverage_is_watched():
    found = allowance(
        {"accrued": 20, "collateral": 1070}, {"accrued": 20, "collateral": 1071}, {"debit": 0, "collateral": 0}
    )
    assert found.gross.tolist() == [1020 * MICRO, 1020 * MICRO, 0]
    assert found.watch.tolist() == [True, False, False]


def test_movement_of_a_worked_pair_of_days():
    monday = allowance({"id": "A"}, {"id": "B", "debit": 500}, {"id": "C", "debit": 300, "call_age": 5}, {"id": "D"})
    tuesday = allowance(
        {"id": "B", "debit": 520, "call_age": 4}, {"id": "C", "debit": 300}, {"id": "D"}, {"id": "E", "debit": 70}
    )
    move = ifrs9.movement(monday, tuesday, "gross")
    dollars = lambda column: (column // MICRO).tolist()  # noqa: E731
    assert dollars(move.opening) == [2500, 300, 0]
    assert dollars(move.transfers) == [[0, 500, 0], [300, 0, 0], [0, 0, 0]]
    assert dollars(move.new) == [70, 0, 0]
    assert dollars(move.derecognised) == [1000, 0, 0]
    assert dollars(move.remeasured) == [0, 20, 0]
    assert dollars(move.closing) == [1370, 520, 0]


states = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([0, 5, 20]), st.integers(0, 10**6), st.integers(0, 10**6)),
    unique_by=lambda row: row[0],
    min_size=1,
    max_size=8,
)


@given(states, states)
@settings(max_examples=100, deadline=None)
def test_the_movement_table_adds_up_exactly_for_gross_and_loss(before, after):
    opening, closing = (
        allowance(*({"id": f"C{i}", "call_age": age, "debit": d, "collateral": c} for i, age, d, c in rows))
        for rows in (before, after)
    )
    for column in ("gross", "loss"):
        move = ifrs9.movement(opening, closing, column)
        net = move.opening + move.transfers.sum(axis=0) - move.transfers.sum(axis=1)
        assert (net + move.new - move.derecognised + move.remeasured).tolist() == move.closing.tolist()
        assert move.closing.sum() == getattr(closing, column).sum()
        assert np.diag(move.transfers).tolist() == [0, 0, 0]


def test_an_exposure_named_twice_is_refused():
    twice = allowance({"id": "A"}, {"id": "A"})
    with pytest.raises(ValueError, match="unique ids"):
        ifrs9.movement(twice, twice, "loss")


def test_summary_by_stage_and_largest_losses():
    found = allowance({"id": "A"}, UNCOVERED | {"id": "B"}, UNCOVERED | {"id": "C", "credit_impaired": True})
    summary = ifrs9.by_stage(found)
    assert summary["exposures"].tolist() == [2, 0, 1]
    assert summary["gross"].sum() == 3000 * MICRO
    assert summary["coverage"].tolist() == [found.loss[:2].sum() * MICRO // (2000 * MICRO), 0, found.loss[2] // 1000]
    assert found.id[ifrs9.largest(found, 2)].tolist() == ["C", "B"]
