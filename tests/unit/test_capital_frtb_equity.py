"""Equity delta, vega and curvature charges: worked numbers and the edge cases of the rule."""

from datetime import date
from math import exp, sqrt

import numpy as np
import pytest

from streaming.risk import rulebook
from streaming.risk.capital import frtb
from streaming.risk.money import MoneyOverflowError

RULES = rulebook.load().at(date(2026, 11, 1))
TIGHT = 1e-12
PUBLISHED = 1e-8
"""The public example prints six decimals."""


def delta(*rows):
    """Charge of (bucket, name, factor, amount) rows."""
    columns = list(zip(*rows))
    return frtb.equity_delta(frtb.net_sensitivities(*columns[:3], np.array(columns[3], dtype=float), 2), RULES)


def vega(*rows):
    columns = list(zip(*rows))
    return frtb.equity_vega(frtb.net_sensitivities(*columns[:3], np.array(columns[3], dtype=float), 5), RULES)


def curvature(*rows):
    """Charge of (bucket, name, up, down) rows."""
    bucket, name, up, down = zip(*rows)
    sides = np.repeat([0, 1], len(rows))
    net = frtb.net_sensitivities(bucket * 2, name * 2, sides, np.array(up + down, dtype=float), 2)
    return frtb.equity_curvature(net, RULES)


SPOT, REPO = frtb.EquityFactor.SPOT, frtb.EquityFactor.REPO


def test_two_names_of_one_bucket_as_in_the_rule_file():
    charge = delta((5, 0, SPOT, 100), (5, 1, SPOT, 100))
    low, medium, high = charge.total
    assert medium == pytest.approx(47.4342, abs=5e-5)
    assert high == pytest.approx(48.6056, abs=5e-5)
    assert low == pytest.approx(sqrt(900 + 900 + 2 * 0.1875 * 900), rel=TIGHT)
    assert charge.binding == "High"


def test_delta_of_a_published_portfolio():
    """The equity delta example in the test data of the open engine ultibi (bucket, name, factor, amount)."""
    charge = delta(
        (8, 0, SPOT, 1000), (8, 0, REPO, 100), (8, 1, SPOT, 300), (7, 2, SPOT, 200),
        (11, 3, REPO, 500), (11, 4, SPOT, 400), (13, 5, SPOT, 300),
    )  # fmt: skip
    np.testing.assert_allclose(charge.total, [665.011398, 683.999424, 702.474388], rtol=PUBLISHED)


def test_vega_of_a_published_portfolio():
    rows = [(bucket, first + t // 2, t, 5000) for bucket, first in ((1, 0), (10, 2), (11, 4)) for t in range(4)]
    np.testing.assert_allclose(vega(*rows).total, [28620.521491, 29224.393971, 29816.038563], rtol=PUBLISHED)


def test_curvature_of_a_published_portfolio():
    """Published with value changes of options and their delta: CVR = -(change -/+ weight x delta)."""
    weight = {1: 0.55, 2: 0.60, 11: 0.70}
    changes = [(11, 2, -1000, -1000, 0), (11, 3, -1000, -1000, 10_000)]
    changes += [(b, n, -1000, 1000, d) for b in (1, 2) for n, d in ((2, 0), (3, 10_000), (1, 10_000), (0, 10_000))]
    charge = curvature(*((b, n, -(u - weight[b] * s), -(d + weight[b] * s)) for b, n, u, d, s in changes))
    np.testing.assert_allclose(charge.total, [19559.580453, 19778.428906, 19994.882158], rtol=PUBLISHED)


WEIGHTS = [55, 60, 45, 55, 30, 35, 40, 50, 70, 50, 70, 15, 25]


@pytest.mark.parametrize(("bucket", "weight"), list(enumerate(WEIGHTS, start=1)))
def test_one_name_is_charged_its_bucket_weight_in_every_scenario(bucket, weight):
    np.testing.assert_allclose(delta((bucket, 0, SPOT, 100)).total, weight, rtol=TIGHT)


@pytest.mark.parametrize(("bucket", "weight"), [(1, sqrt(2) * 0.55), (10, 1), (11, 1), (13, sqrt(2) * 0.55)])
def test_vega_weight_is_78_percent_for_large_names_and_indices_and_all_for_others(bucket, weight):
    np.testing.assert_allclose(vega((bucket, 0, 2, 100)).total, 100 * weight, rtol=TIGHT)


def test_long_and_short_in_one_name_net_before_the_weight():
    assert delta((5, 7, SPOT, 250), (5, 7, SPOT, -250)).total.tolist() == [0, 0, 0]


def test_repo_is_weighted_a_hundredth_and_moves_almost_with_spot():
    low, medium, high = delta((5, 0, SPOT, 100), (5, 0, REPO, 100)).total
    assert medium == pytest.approx(sqrt(30**2 + 0.3**2 + 2 * 0.999 * 30 * 0.3), rel=TIGHT)
    assert low == pytest.approx(sqrt(30**2 + 0.3**2 + 2 * 0.998 * 30 * 0.3), rel=TIGHT)
    assert high == pytest.approx(30.3, rel=TIGHT)


def test_names_of_bucket_11_do_not_diversify_or_hedge():
    np.testing.assert_allclose(delta((11, 0, SPOT, 100), (11, 1, SPOT, -100)).total, 140, rtol=TIGHT)


def test_bucket_11_is_uncorrelated_with_every_other_bucket():
    np.testing.assert_allclose(delta((11, 0, SPOT, 100), (5, 1, SPOT, 100)).total, sqrt(70**2 + 30**2), rtol=TIGHT)


@pytest.mark.parametrize(("first", "second", "gamma"), [(1, 10, 0.15), (12, 13, 0.75), (12, 3, 0.45), (9, 13, 0.45)])
def test_correlations_across_buckets(first, second, gamma):
    weights = np.array([float(value) for value in RULES.values("frtb.equity.delta_weight")])
    a, b = 100 * weights[[first - 1, second - 1]]
    moved = (max(2 * gamma - 1, 0.75 * gamma), gamma, min(1.25 * gamma, 1))
    expected = [sqrt(a * a + b * b + 2 * g * a * b) for g in moved]
    np.testing.assert_allclose(delta((first, 0, SPOT, 100), (second, 1, SPOT, 100)).total, expected, rtol=TIGHT)


def test_index_option_and_its_fund_are_different_risk_factors():
    hedged = delta((12, 0, SPOT, 100), (12, 1, SPOT, -100)).total
    assert hedged[1] == pytest.approx(15 * sqrt(2 - 2 * 0.8), rel=TIGHT)


def test_long_short_book_binds_low_and_all_long_book_binds_high():
    long = [(5, n, SPOT, 100) for n in range(10)]
    short = [(5, n, SPOT, -100) for n in range(10, 20)]
    assert delta(*long, *short).binding == "Low"
    assert delta(*long).binding == "High"


def test_a_negative_sum_across_buckets_limits_each_bucket_sum_to_its_own_charge():
    """400 small names long in bucket 9 against 400 short in bucket 10: the sums dwarf the bucket charges."""
    long = [(9, n, SPOT, 100 / 0.70) for n in range(400)]
    short = [(10, 1000 + n, SPOT, -100 / 0.50) for n in range(400)]
    charge = delta(*long, *short)
    assert charge.alternative.tolist() == [True, True, True]
    k9, k10 = charge.position[1]
    assert k9 == pytest.approx(sqrt(400 * 100**2 * (1 - 0.075) + 0.075 * 40_000**2), rel=TIGHT)
    np.testing.assert_allclose(charge.net[1], [k9, -k10], rtol=TIGHT)
    assert charge.total[1] == pytest.approx(sqrt(k9**2 + k10**2 - 2 * 0.15 * k9 * k10), rel=TIGHT)


def test_curvature_counts_a_negative_sum_across_buckets_as_zero():
    """A small loss in one bucket against large gains in another: MAR21.5 floors the sum, it has no alternative."""
    charge = curvature((12, 0, 10, -1), (13, 1, -1000, -1000))
    assert charge.total.tolist() == [0, 0, 0]


def test_maturities_of_one_name_and_of_two_names():
    decay = exp(-0.01 * 9.5 / 0.5)
    same = vega((5, 0, 0, 100), (5, 0, 4, 100)).total[1]
    apart = vega((5, 0, 0, 100), (5, 1, 4, 100)).total[1]
    weighted = 100 * 0.55 * sqrt(2)
    assert same == pytest.approx(weighted * sqrt(2 + 2 * decay), rel=TIGHT)
    assert apart == pytest.approx(weighted * sqrt(2 + 2 * 0.25 * decay), rel=TIGHT)


def test_an_option_of_one_month_is_placed_at_half_a_year_and_two_years_between_one_and_three():
    tenor, part = frtb.allocate_tenor(np.array([1 / 12, 2.0, 25.0]), np.array([101, 101, 7]), "frtb.vega.tenors", RULES)
    placed = np.zeros((3, 5), dtype=int)
    np.add.at(placed, (np.arange(3)[:, None], tenor), part)
    assert placed[0].tolist() == [101, 0, 0, 0, 0]
    assert placed[1].sum() == 101
    assert sorted(placed[1, 1:3].tolist()) == [50, 51]
    assert placed[2].tolist() == [0, 0, 0, 0, 7]


def test_curvature_with_both_sides_negative_everywhere_is_zero_and_no_credit():
    charge = curvature((5, 0, -100, -200), (5, 1, -50, -1), (6, 2, -7, -3))
    assert charge.total.tolist() == [0, 0, 0]


def test_curvature_correlations_are_squared_before_the_scenario():
    low, medium, high = curvature((5, 0, 100, -100), (5, 1, 100, -100)).total
    assert medium == pytest.approx(100 * sqrt(2 + 2 * 0.0625), rel=TIGHT)
    assert low == pytest.approx(100 * sqrt(2 + 2 * 0.75 * 0.0625), rel=TIGHT)
    assert high == pytest.approx(100 * sqrt(2 + 2 * 1.25 * 0.0625), rel=TIGHT)


def test_a_gain_offsets_a_loss_but_two_gains_do_not_count_together():
    one = curvature((5, 0, 100, 0), (5, 1, -40, 0)).total[1]
    two = curvature((5, 0, 100, 0), (5, 1, -40, 0), (5, 2, -40, 0)).total[1]
    assert one == pytest.approx(sqrt(100**2 - 2 * 0.0625 * 100 * 40), rel=TIGHT)
    assert two == pytest.approx(sqrt(100**2 - 2 * 0.0625 * 100 * 80), rel=TIGHT)


def test_the_larger_side_counts_per_bucket_and_ties_go_to_the_larger_sum():
    charge = curvature((5, 0, 30, 80), (6, 1, 90, 10))
    assert charge.side[1].tolist() == [-1, 1]
    tie = curvature((5, 0, 60, 60), (5, 1, -20, -20), (5, 2, -10, -10))
    assert tie.side[1].tolist() == [-1]
    larger_up = curvature((7, 0, -5, -9))  # both sides charge nothing; the sum decides
    assert larger_up.side[1].tolist() == [1]


def test_curvature_of_bucket_11_adds_losses_only():
    np.testing.assert_allclose(curvature((11, 0, 100, 5), (11, 1, 40, 5), (11, 2, -90, 5)).total, 140, rtol=TIGHT)


def test_two_buckets_with_negative_sums_do_not_diversify_each_other():
    charge = curvature((5, 0, 50, -1), (5, 1, -200, -1), (6, 2, 50, -1), (6, 3, -200, -1))
    k = sqrt(max(0, 50**2 - 2 * 0.0625 * 50 * 200))
    assert charge.net[1].tolist() == [-150, -150]
    assert charge.total[1] == pytest.approx(sqrt(2 * k * k), rel=TIGHT)


def test_exact_integers_and_floats_give_the_same_charge():
    rows = ([5, 5, 8], [0, 1, 2], [0, 0, 1])
    whole = frtb.net_sensitivities(*rows, np.array([100_000_000, -50_250_000, 1]), 2)
    real = frtb.net_sensitivities(*rows, np.array([100.0, -50.25, 0.000001]), 2)
    assert frtb.equity_delta(whole, RULES).total.tolist() == frtb.equity_delta(real, RULES).total.tolist()


def test_an_empty_book_has_no_charge():
    empty = frtb.net_sensitivities([], [], [], np.zeros(0, dtype=np.int64), 2)
    for charge in (frtb.equity_delta(empty, RULES), frtb.equity_curvature(empty, RULES)):
        assert charge.total.tolist() == [0, 0, 0]


def test_each_bucket_line_keeps_rule_evidence_and_side():
    line = curvature((5, 0, 30, 80)).explained("Medium")[0]
    assert line.value == 80_000_000
    assert line.rule.startswith("MAR21.5")
    assert line.inputs["side"] == -1
    assert line.inputs["evidence"] in ("V", "K", "H")


@pytest.mark.parametrize("bucket", [0, 14])
def test_an_unknown_bucket_is_refused(bucket):
    with pytest.raises(ValueError, match="expected 1 to 13"):
        delta((bucket, 0, SPOT, 1))


def test_columns_of_different_length_not_finite_or_too_large_are_refused():
    with pytest.raises(ValueError, match="columns of 1, 2"):
        frtb.net_sensitivities([1], [1, 2], [0], np.array([1]), 2)
    with pytest.raises(ValueError, match="finite"):
        frtb.net_sensitivities([1], [1], [0], np.array([np.nan]), 2)
    with pytest.raises(ValueError, match="factors below 2"):
        frtb.net_sensitivities([1], [1], [2], np.array([1]), 2)
    with pytest.raises(MoneyOverflowError, match="gross sensitivities"):
        frtb.net_sensitivities([1, 1], [1, 1], [0, 0], np.array([8 * 10**18, 8 * 10**18]), 2)
