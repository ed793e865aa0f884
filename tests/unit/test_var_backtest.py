"""Exceptions, traffic light, and the tests against a second, independent implementation."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import stats

from streaming.risk.money import MICRO
from streaming.risk.var.backtest import (
    Transitions,
    backtest,
    conditional_coverage,
    expected_shortfall_z2,
    independence,
    kupiec,
    rolling_exceptions,
    traffic_light,
    transitions,
)
from tests.unit.stress_books import RULES


def second_kupiec(n: int, x: int, p: float) -> float:
    """The definition, literally, in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        n_, x_, p_ = Decimal(n), Decimal(x), Decimal(str(p))

        def log(base, power):
            return Decimal(0) if power == 0 else Decimal(power) * base.ln()

        rate = x_ / n_
        null = log(1 - p_, n - x) + log(p_, x)
        found = log(1 - rate, n - x) + log(rate, x)
        return float(-2 * (null - found))


def second_independence(hit: np.ndarray) -> float:
    """Likelihoods of the two models by scipy's Bernoulli probabilities, day by day."""
    before, after = hit[:-1].astype(int), hit[1:].astype(int)
    null = stats.bernoulli.logpmf(after, after.mean()).sum()
    found = 0.0
    for state in (0, 1):
        chosen = after[before == state]
        if len(chosen):
            found += stats.bernoulli.logpmf(chosen, chosen.mean()).sum()
    return -2.0 * (null - found)


@pytest.mark.parametrize(("n", "x", "p"), [(250, 5, 0.01), (250, 0, 0.01), (250, 250, 0.01), (1_000, 15, 0.01),
                                           (500, 30, 0.05), (4_000, 80, 0.025), (10, 1, 0.05)])  # fmt: skip
def test_kupiec_agrees_with_the_definition(n, x, p):
    found = kupiec(n, x, round((1 - p) * MICRO))
    assert found.statistic == pytest.approx(second_kupiec(n, x, p), rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(stats.chi2.sf(second_kupiec(n, x, p), 1), rel=1e-8)


def test_kupiec_without_exceptions_is_minus_two_n_log_and_rejects_too_few():
    found = kupiec(500, 0, 990_000)
    assert found.statistic == pytest.approx(-2 * 500 * np.log(0.99))
    assert found.rejects(0.05)
    assert not kupiec(250, 3, 990_000).rejects(0.05)


@pytest.mark.parametrize("seed", range(20))
def test_independence_agrees_with_bernoulli_likelihoods(seed):
    rng = np.random.default_rng(seed)
    hit = rng.random(400) < rng.choice([0.01, 0.05, 0.3])
    hit[50:54] |= seed % 2 == 0
    found = independence(transitions(hit))
    assert found.statistic == pytest.approx(max(0.0, second_independence(hit)), abs=1e-9)
    whole = conditional_coverage(kupiec(400, int(hit.sum()), 990_000), found)
    assert whole.statistic == pytest.approx(kupiec(400, int(hit.sum()), 990_000).statistic + found.statistic)
    assert whole.p_value == pytest.approx(stats.chi2.sf(whole.statistic, 2))


@pytest.mark.parametrize("hit", [np.zeros(250, bool), np.ones(250, bool), np.arange(250) == 249, np.arange(250) == 0])
def test_degenerate_histories_give_numbers(hit):
    found = independence(transitions(hit))
    assert np.isfinite(found.statistic)
    assert 0.0 <= found.p_value <= 1.0


def test_transitions_count_pairs_of_neighbouring_days():
    assert transitions(np.array([0, 1, 1, 0, 0, 1], bool)) == Transitions(1, 2, 1, 1)


def test_clustered_exceptions_are_found_dependent():
    hit = np.zeros(250, bool)
    hit[100:106] = True
    assert independence(transitions(hit)).rejects(0.05)


@pytest.mark.parametrize(
    ("exceptions", "zone", "mar32", "basel"),
    [(0, "green", 1.5, 3), (4, "green", 1.5, 3), (5, "yellow", 1.7, 3.4), (6, "yellow", 1.76, 3.5),
     (7, "yellow", 1.83, 3.65), (8, "yellow", 1.88, 3.75), (9, "yellow", 1.92, 3.85), (10, "red", 2.0, 4),
     (37, "red", 2.0, 4)],
)  # fmt: skip
def test_traffic_light_of_250_days(exceptions, zone, mar32, basel):
    found = traffic_light(250, exceptions, 990_000, RULES)
    assert (found.zone, found.mar32, found.basel1996) == (zone, round(mar32 * MICRO), round(basel * MICRO))
    assert found.probability_at_least == pytest.approx(1 - stats.binom.cdf(exceptions - 1, 250, 0.01), abs=1e-12)


def test_a_short_window_is_insufficient_and_shows_the_binomial_tail():
    found = traffic_light(100, 4, 990_000, RULES)
    assert (found.zone, found.mar32, found.basel1996) == ("insufficient window", None, None)
    assert found.probability_at_least == pytest.approx(stats.binom.sf(3, 100, 0.01))


def test_the_cumulative_definition_reproduces_the_thresholds_of_250_days():
    zones = [stats.binom.cdf(x, 250, 0.01) for x in range(12)]
    assert next(x for x, p in enumerate(zones) if p >= 0.95) == 5
    assert next(x for x, p in enumerate(zones) if p >= 0.9999) == 10
    assert traffic_light(1_000, 14, 990_000, RULES).zone == "green"
    assert traffic_light(1_000, 15, 990_000, RULES).zone == "yellow"
    assert traffic_light(1_000, 24, 990_000, RULES).zone == "red"
    assert traffic_light(1_000, 15, 990_000, RULES).mar32 is None


def test_an_exception_is_a_loss_strictly_above_var():
    dates = np.arange(300, dtype=np.int32)
    pnl, var = np.zeros(300, dtype=np.int64), np.full(300, 5 * MICRO)
    pnl[[3, 40, 299]] = [-5 * MICRO, -5 * MICRO - 1, -9 * MICRO]
    found = backtest(dates, pnl, var, 990_000, RULES)
    assert found.exception_dates.tolist() == [40, 299]
    assert found.latest_exceptions == 1
    assert found.latest.zone == found.window.zone == "green"


def test_backtest_refuses_columns_of_different_length():
    with pytest.raises(ValueError, match="expected at least two dates with P&L and VaR each, found 3, 2, 3"):
        backtest(np.arange(3), np.arange(2), np.arange(3), 990_000, RULES)


def test_z2_is_near_zero_for_a_right_model_and_positive_when_expected_shortfall_is_understated():
    losses = np.random.default_rng(2).standard_normal(100_000)
    var, es = stats.norm.ppf(0.975), stats.norm.pdf(stats.norm.ppf(0.975)) / 0.025
    pnl = np.rint(-losses * MICRO).astype(np.int64)
    columns = [np.full(len(pnl), round(v * MICRO)) for v in (var, es, 0.8 * es, 0.8 * var)]
    assert expected_shortfall_z2(pnl, columns[0], columns[1], 975_000) == pytest.approx(0.0, abs=0.05)
    assert expected_shortfall_z2(pnl, columns[3], columns[2], 975_000) > 0.5


def test_rolling_exceptions_count_each_window_by_its_last_day():
    hit = np.array([1, 0, 1, 1, 0], bool)
    assert rolling_exceptions(hit, 3).tolist() == [2, 2, 2]
    assert rolling_exceptions(hit, 5).tolist() == [3]
    assert rolling_exceptions(hit, 6).tolist() == []
