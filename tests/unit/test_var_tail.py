"""Order statistics, expected shortfall, weights, discrete distributions, horizons (VaR and backtest, section 1)."""

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from streaming.risk.money import MICRO
from streaming.risk.var.historical import measures, weighted_measures
from streaming.risk.var.horizon import (
    autocorrelated_factor,
    liquidity_adjusted_es,
    liquidity_horizon,
    square_root_of_time,
)
from streaming.risk.var.parametric import delta_normal, delta_normal_components, normal_tail
from streaming.risk.var.tail import (
    NotAvailableError,
    age_weights,
    convolved,
    discrete_tail,
    interpolated_var,
    tail,
    tail_count,
    tails,
    weighted_tail,
)
from tests.unit.stress_books import RULES

WORST = [477_841, 345_435, 282_204, 277_041, 253_385, 217_974, 202_256, 201_389, 191_269, 191_050]
"""Ten worst of 500 losses of Hull's four-index portfolio (Risk Management and Financial Institutions, chapter 13)."""
NUMBERS = [494, 339, 349, 329, 487, 227, 131, 238, 473, 306]


@pytest.mark.parametrize(
    ("scenarios", "confidence", "rank"),
    [
        (500, 990_000, 5),
        (250, 990_000, 3),
        (500, 975_000, 13),
        (500, 950_000, 25),
        (100, 990_000, 1),
        (101, 990_000, 2),
    ],
)
def test_rank_of_the_var_loss(scenarios, confidence, rank):
    assert tail_count(scenarios, confidence)[0] == rank


def test_five_hundred_scenarios_at_99_percent():
    found = tail(WORST, 990_000, 500)
    assert found.var == 253_385
    assert found.es == Fraction(sum(WORST[:5]), 5)


def test_half_a_scenario_counts_half_in_expected_shortfall():
    losses = np.arange(500, 0, -1)
    found = tail(losses, 975_000)
    assert found.var == 488
    assert found.es == Fraction(sum(range(489, 501)) * 2 + 488, 25)


@pytest.mark.parametrize(
    ("scenarios", "confidence", "needed"), [(99, 990_000, 100), (39, 975_000, 40), (0, 950_000, 20)]
)
def test_too_few_scenarios_is_not_available_and_never_extrapolated(scenarios, confidence, needed):
    with pytest.raises(NotAvailableError, match=f"expected at least {needed} scenarios, found {scenarios}"):
        tail_count(scenarios, confidence)


def test_a_list_of_worst_losses_must_reach_the_rank():
    with pytest.raises(NotAvailableError, match="expected from 5 to 500 of 500 scenarios, found 4"):
        tail(WORST[:4], 990_000, 500)


def test_rows_agree_with_a_plain_sort_and_ties_and_gains_are_shown():
    rng = np.random.default_rng(3)
    pnl = rng.integers(-50, 50, (7, 250)) * MICRO
    pnl[1] = np.abs(pnl[1]) + MICRO  # gains only: VaR is negative
    pnl[2] = 0  # only cash
    for confidence in (950_000, 975_000, 990_000):
        var, es = tails(pnl, confidence)
        for row in range(7):
            one = tail(-pnl[row], confidence)
            assert var[row] == one.var
            assert abs(es[row] - one.es) <= Fraction(1, 2)
    assert tails(pnl, 990_000)[0][1] < 0
    assert tails(pnl, 990_000)[0][2] == tails(pnl, 990_000)[1][2] == 0


def test_expected_shortfall_of_large_amounts_does_not_overflow():
    pnl = np.full((1, 100), -8_000_000_000_000_000_000)
    var, es = tails(pnl, 950_000)
    assert var[0] == es[0] == 8_000_000_000_000_000_000


def test_interpolation_only_when_asked_for():
    losses = np.arange(1.0, 251.0)
    assert tail(losses, 990_000).var == 248
    assert interpolated_var(losses, 990_000) == pytest.approx(247.51)


@pytest.mark.parametrize(("decay", "var", "es"), [(0.995, 282_204, 400_914), (0.99, 345_435, 470_917)])
def test_age_weighted_history_worked(decay, var, es):
    weights = age_weights(500, decay)[np.array(NUMBERS) - 1]
    found = weighted_tail(np.array(WORST), weights, 990_000)
    assert found.var == var
    assert found.es == pytest.approx(es, abs=1)


def test_equal_weights_are_the_plain_order_statistic():
    rng = np.random.default_rng(4)
    losses = rng.integers(-100, 100, 500)
    plain = tail(losses, 990_000)
    even = weighted_tail(losses, age_weights(500, 1.0), 990_000)
    assert even.var == plain.var
    assert even.es == pytest.approx(float(plain.es))
    var, es = weighted_measures(-losses[None, :] * MICRO, age_weights(500, 1.0), 990_000)
    assert (var[0], es[0]) == (plain.var * MICRO, pytest.approx(float(plain.es) * MICRO))


def test_weights_sum_to_one_and_favour_the_newest():
    weights = age_weights(250, 0.98)
    assert weights.sum() == pytest.approx(1.0)
    assert np.all(np.diff(weights) > 0)


def test_two_independent_projects_worked():
    one = ([Fraction(10), Fraction(1)], [Fraction(2, 100), Fraction(98, 100)])
    single, double = discrete_tail(*one, 975_000), discrete_tail(*convolved(*one), 975_000)
    assert (single.var, float(single.es)) == (1, 8.2)
    assert (double.var, float(double.es)) == (11, pytest.approx(11.144))
    assert double.var > 2 * single.var  # VaR is not sub-additive
    assert double.es < 2 * single.es  # expected shortfall is


def test_discrete_var_is_the_smallest_loss_whose_excess_probability_is_within_the_tail():
    losses, p = [Fraction(0), Fraction(5), Fraction(9)], [Fraction(95, 100), Fraction(4, 100), Fraction(1, 100)]
    assert discrete_tail(losses, p, 990_000).var == 5  # P(L > 5) is exactly 1%
    assert discrete_tail(losses, p, 950_000).var == 0
    assert discrete_tail(losses, p, 990_000).es == 9
    with pytest.raises(ValueError, match="expected probabilities that sum to 1, found 0.5"):
        discrete_tail(losses[:1], [Fraction(1, 2)], 990_000)


@pytest.mark.parametrize(("confidence", "z"), [(950_000, 1.6449), (975_000, 1.9600), (990_000, 2.3263)])
def test_normal_quantiles(confidence, z):
    found = normal_tail(0.0, 1.0, confidence)
    assert found.var == pytest.approx(z, abs=5e-5)
    assert found.es == pytest.approx(stats.norm.expect(lb=found.var) / (1 - confidence / MICRO), rel=1e-6)


def test_normal_over_periods_scales_mean_and_sigma():
    found = normal_tail(-1.0, 2.0, 990_000, 4)
    assert found.var == pytest.approx(-4.0 + 2.326348 * 4.0)


def test_delta_normal_components_sum_to_the_var():
    rng = np.random.default_rng(5)
    root = rng.standard_normal((4, 4))
    matrix, exposure = root @ root.T / 1e4, np.array([1e6, -2e6, 5e5, 0.0])
    parts = delta_normal_components(exposure, matrix, 990_000)
    assert parts.sum() == pytest.approx(delta_normal(exposure, matrix, 990_000).var)
    assert parts[3] == 0.0
    assert not delta_normal_components(np.zeros(4), matrix, 990_000).any()


def test_horizons():
    assert square_root_of_time(np.array([MICRO]), 10).tolist() == [3_162_278]
    assert autocorrelated_factor(10, 0.0) == pytest.approx(sqrt(10))
    assert autocorrelated_factor(2, 0.5) == pytest.approx(sqrt(3))
    es = liquidity_adjusted_es([100 * MICRO, 60 * MICRO, 30 * MICRO], [10, 20, 60], RULES)
    assert es == round(sqrt(100**2 + 60**2 * 1 + 30**2 * 4) * MICRO)
    assert [liquidity_horizon(c, RULES) for c in ("large_cap_price", "small_cap_vol")] == [10, 60]


def test_measures_at_every_confidence_and_horizon_and_what_is_not_available():
    pnl = np.vstack((np.arange(-30, 50), np.arange(1, 81))) * MICRO
    found = measures(pnl, RULES)
    assert found.confidences == (950_000, 975_000, 990_000)
    assert found.horizons == (1, 10)
    assert found.available.tolist() == [True, True, False]
    assert found.var[0, 0].tolist() == [27 * MICRO, round(27 * sqrt(10) * MICRO)]
    assert not found.var[:, 2].any()
    assert found.negative[:, 0].tolist() == [False, True]
    assert found.scenarios == 80
