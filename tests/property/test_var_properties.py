"""Whole classes of samples: VaR, expected shortfall, attribution and the backtest."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streaming.risk.var.attribution import component, incremental
from streaming.risk.var.backtest import Transitions, independence, kupiec
from streaming.risk.var.tail import age_weights, discrete_tail, tail, tails, weighted_tail

confidences = st.sampled_from([900_000, 950_000, 975_000, 990_000])
amounts = st.integers(-(10**15), 10**15)
matrices = hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(100, 160)), elements=amounts)


def slow_tail(losses: list[int], confidence: int) -> tuple[int, Fraction]:
    """From the definition: each scenario has probability 1/N; the worst ones fill the tail."""
    p, each = Fraction(1_000_000 - confidence, 1_000_000), Fraction(1, len(losses))
    left, total, var = p, Fraction(0), 0
    for loss in sorted(losses, reverse=True):
        part = min(each, left)
        if part == 0:
            break
        total, left, var = total + part * loss, left - part, loss
    return var, total / p


@settings(max_examples=60, deadline=None)
@given(matrices, confidences)
def test_var_and_es_follow_the_definition(pnl, confidence):
    var, es = tails(pnl, confidence)
    for row in range(len(pnl)):
        exact_var, exact_es = slow_tail([-int(v) for v in pnl[row]], confidence)
        assert var[row] == exact_var
        assert abs(es[row] - exact_es) <= Fraction(1, 2)
        assert es[row] >= var[row] - 1


@settings(max_examples=40, deadline=None)
@given(matrices, confidences, st.randoms(use_true_random=False))
def test_order_shift_and_scale(pnl, confidence, random):
    order = list(range(pnl.shape[1]))
    random.shuffle(order)
    var, es = tails(pnl, confidence)
    assert all(np.array_equal(a, b) for a, b in zip(tails(pnl[:, order], confidence), (var, es)))
    assert np.array_equal(tails(pnl - 1_000, confidence)[0], var + 1_000)
    assert np.array_equal(tails(pnl * 3, confidence)[0], var * 3)


@settings(max_examples=40, deadline=None)
@given(matrices, confidences)
def test_expected_shortfall_is_sub_additive(pnl, confidence):
    whole = tail(-pnl.sum(axis=0), confidence).es
    assert whole <= sum((tail(-row, confidence).es for row in pnl), Fraction(0))


@settings(max_examples=60, deadline=None)
@given(matrices, confidences, st.integers(0, 3))
def test_components_sum_exactly_to_the_var_of_the_book(parts, confidence, neighbours):
    whole = int(tails(parts.sum(axis=0, keepdims=True), confidence)[0][0])
    assert int(component(parts, confidence, neighbours).sum()) == whole
    assert len(incremental(parts, confidence)) == len(parts)


@settings(max_examples=40, deadline=None)
@given(st.lists(amounts, min_size=100, max_size=200), confidences)
def test_equal_weights_and_the_discrete_distribution_agree_with_the_order_statistic(losses, confidence):
    plain = tail(losses, confidence)
    weighted = weighted_tail(np.array(losses), age_weights(len(losses), 1.0), confidence)
    assert weighted.var == plain.var
    exact = discrete_tail([Fraction(v) for v in losses], [Fraction(1, len(losses))] * len(losses), confidence)
    assert exact.es == plain.es


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5_000), st.integers(0, 5_000), confidences)
def test_kupiec_is_a_number_and_zero_at_the_expected_count(observations, failures, confidence):
    found = kupiec(observations, min(failures, observations), confidence)
    assert np.isfinite(found.statistic)
    assert found.statistic >= 0
    assert 0 <= found.p_value <= 1
    exact = observations * (1_000_000 - confidence)
    if exact % 1_000_000 == 0:
        assert kupiec(observations, exact // 1_000_000, confidence).statistic < 1e-9


@settings(max_examples=100, deadline=None)
@given(*[st.integers(0, 300)] * 4)
def test_independence_is_a_number_for_any_counts(n00, n01, n10, n11):
    if n00 + n01 + n10 + n11:
        found = independence(Transitions(n00, n01, n10, n11))
        assert np.isfinite(found.statistic)
        assert 0 <= found.p_value <= 1
