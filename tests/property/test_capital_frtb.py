"""The linear-time charges against plain sums over every pair of risk factors, written from the rule text."""

from datetime import date
from math import exp, sqrt

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk import rulebook
from streaming.risk.capital import frtb, frtb_rates_fx

RULES = rulebook.load().at(date(2026, 11, 1))
RELATIVE, ABSOLUTE = 1e-9, 1e-6
"""Pair sums and block sums round differently; amounts are up to 1e6 currency units."""

RHO = dict(zip(range(1, 14), [0.15] * 4 + [0.25] * 4 + [0.075, 0.125, 0, 0.8, 0.8]))
WEIGHT = dict(zip(range(1, 14), [0.55, 0.6, 0.45, 0.55, 0.3, 0.35, 0.4, 0.5, 0.7, 0.5, 0.7, 0.15, 0.25]))
MATURITY = (0.5, 1, 3, 5, 10)
TENOR = (0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30)

buckets, names = st.integers(1, 13), st.integers(0, 5)
amounts = st.integers(-(10**12), 10**12)


def rows(factors):
    return st.lists(st.tuples(buckets, names, st.integers(0, factors - 1), amounts), max_size=40)


def scenario(rho):
    return max(2 * rho - 1, 0.75 * rho), rho, min(1.25 * rho, 1)


def gamma(b, c):
    if 11 in (b, c):
        return 0.0
    index = (b > 11) + (c > 11)
    return (0.15, 0.45, 0.75)[index]


def netted(table):
    net = {}
    for bucket, name, factor, amount in table:
        net[bucket, name, factor] = net.get((bucket, name, factor), 0) + amount
    return {key: amount / 1e6 for key, amount in net.items()}


def pair_charge(weighted, rho, s):
    """Delta or vega: every pair in a bucket, every pair of buckets, alternative sums where the root is negative."""
    present = sorted({bucket for bucket, *_ in weighted})
    position, total = {}, {}
    for b in present:
        inside = {key: value for key, value in weighted.items() if key[0] == b}
        total[b] = sum(inside.values())
        if b == 11:
            position[b] = sum(abs(value) for value in inside.values())
            continue
        square = sum(
            v * w * (1 if k == m else scenario(rho(k, m))[s]) for k, v in inside.items() for m, w in inside.items()
        )
        position[b] = sqrt(max(0, square))

    def across(sums):
        return sum(position[b] ** 2 for b in present) + sum(
            scenario(gamma(b, c))[s] * sums[b] * sums[c] for b in present for c in present if b != c
        )

    square = across(total)
    if square < 0:
        square = across({b: max(min(total[b], position[b]), -position[b]) for b in present})
    return sqrt(max(0, square))


def columns(table, factors):
    bucket, name, factor, amount = (list(column) for column in zip(*table)) if table else ([], [], [], [])
    return frtb.net_sensitivities(bucket, name, factor, np.array(amount, dtype=np.int64), factors)


@given(rows(2))
@settings(max_examples=200, deadline=None)
def test_delta_equals_the_sum_over_pairs(table):
    def rho(k, m):
        basis = 1 if k[2] == m[2] else 0.999
        return basis if k[1] == m[1] else RHO[k[0]] * basis

    weighted = {key: value * WEIGHT[key[0]] / (100 if key[2] else 1) for key, value in netted(table).items()}
    expected = [pair_charge(weighted, rho, s) for s in range(3)]
    np.testing.assert_allclose(frtb.equity_delta(columns(table, 2), RULES).total, expected, RELATIVE, ABSOLUTE)


@given(rows(5))
@settings(max_examples=200, deadline=None)
def test_vega_equals_the_sum_over_pairs(table):
    def rho(k, m):
        first, second = MATURITY[k[2]], MATURITY[m[2]]
        decay = exp(-0.01 * abs(first - second) / min(first, second))
        return min(decay * (1 if k[1] == m[1] else RHO[k[0]]), 1)

    weight = {b: 1.0 if b in (9, 10, 11) else 0.55 * sqrt(2) for b in RHO}
    weighted = {key: value * weight[key[0]] for key, value in netted(table).items()}
    expected = [pair_charge(weighted, rho, s) for s in range(3)]
    np.testing.assert_allclose(frtb.equity_vega(columns(table, 5), RULES).total, expected, RELATIVE, ABSOLUTE)


def curvature_oracle(table, s):
    net = {}
    for bucket, name, up, down in table:
        old = net.get((bucket, name), (0, 0))
        net[bucket, name] = (old[0] + up, old[1] + down)
    net = {key: (up / 1e6, down / 1e6) for key, (up, down) in net.items()}
    position, chosen = {}, {}
    for b in sorted({bucket for bucket, _ in net}):
        sides = []
        for side in (0, 1):
            cvr = [value[side] for key, value in net.items() if key[0] == b]
            square = sum(max(c, 0) ** 2 for c in cvr)
            for i, first in enumerate(cvr):
                for j, second in enumerate(cvr):
                    psi = 0 if first < 0 and second < 0 else 1
                    square += scenario(RHO[b] ** 2)[s] * first * second * psi if i != j else 0
            charge = sum(max(c, 0) for c in cvr) if b == 11 else sqrt(max(0, square))
            sides.append((charge, sum(cvr)))
        position[b], chosen[b] = max(sides)
    square = sum(k * k for k in position.values())
    for b in position:
        for c in position:
            if b != c and not (chosen[b] < 0 and chosen[c] < 0):
                square += scenario(gamma(b, c) ** 2)[s] * chosen[b] * chosen[c]
    return sqrt(max(0, square))


@given(st.lists(st.tuples(buckets, names, amounts, amounts), max_size=40))
@settings(max_examples=200, deadline=None)
def test_curvature_equals_the_sum_over_pairs(table):
    stacked = [(b, n, side, row[side]) for side in (0, 1) for b, n, *row in table]
    charge = frtb.equity_curvature(columns(stacked, 2), RULES)
    np.testing.assert_allclose(charge.total, [curvature_oracle(table, s) for s in range(3)], RELATIVE, ABSOLUTE)


rates = st.tuples(
    st.sampled_from(["EUR", "USD", "TRY"]),
    st.sampled_from(["ois", "libor", "inflation", "basis"]),
    st.integers(0, len(TENOR) - 1),
    amounts,
)


@given(st.lists(rates, max_size=30))
@settings(max_examples=100, deadline=None)
def test_interest_rates_equal_the_sum_over_pairs(table):
    weight = (0.017, 0.017, 0.016, 0.013, 0.012, *[0.011] * 5)
    net = {}
    for currency, curve, tenor, amount in table:
        key = (currency, curve, 0 if curve in ("inflation", "basis") else tenor)
        net[key] = net.get(key, 0) + amount
    weighted = {
        key: value / 1e6 * (0.016 if key[1] in ("inflation", "basis") else weight[key[2]])
        / (1 if key[0] == "TRY" else sqrt(2)) for key, value in net.items()
    }  # fmt: skip

    def rho(k, m):
        kinds = {k[1], m[1]}
        if k[1:] == m[1:]:
            return 1.0
        if "basis" in kinds:
            return 0.0
        if "inflation" in kinds:
            return 0.4
        first, second = TENOR[k[2]], TENOR[m[2]]
        return max(exp(-0.03 * abs(first - second) / min(first, second)), 0.4) * (1 if k[1] == m[1] else 0.999)

    expected = []
    for s in range(3):
        position, sums = {}, {}
        for c in {key[0] for key in weighted}:
            inside = {key: value for key, value in weighted.items() if key[0] == c}
            sums[c] = sum(inside.values())
            square = sum(v * w * scenario(rho(k, m))[s] for k, v in inside.items() for m, w in inside.items())
            position[c] = sqrt(max(0, square))

        def across(values, position=position, s=s):
            pairs = sum(values[b] * values[c] for b in values for c in values if b != c)
            return sum(k * k for k in position.values()) + scenario(0.5)[s] * pairs

        square = across(sums)
        if square < 0:
            square = across({c: max(min(sums[c], position[c]), -position[c]) for c in sums})
        expected.append(sqrt(max(0, square)))
    currency, curve, tenor, amount = (list(column) for column in zip(*table)) if table else ([], [], [], [])
    charge = frtb_rates_fx.rate_delta(currency, curve, tenor, np.array(amount, dtype=np.int64), RULES, "USD")
    np.testing.assert_allclose(charge.total, expected, RELATIVE, ABSOLUTE)


@given(rows(5), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_rows_changes_no_bit(table, random):
    shuffled = list(table)
    random.shuffle(shuffled)
    assert frtb.equity_vega(columns(table, 5), RULES).total.tolist() == (
        frtb.equity_vega(columns(shuffled, 5), RULES).total.tolist()
    )


@given(rows(2), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_float_amounts_are_netted_in_order_of_value_too(table, random):
    shuffled = list(table)
    random.shuffle(shuffled)

    def total(rows):
        bucket, name, factor, amount = (list(column) for column in zip(*rows)) if rows else ([], [], [], [])
        net = frtb.net_sensitivities(bucket, name, factor, np.array(amount, dtype=np.float64) / 7, 2)
        return frtb.equity_delta(net, RULES).total.tolist()

    assert total(table) == total(shuffled)


@given(rows(2), st.integers(1, 1000))
@settings(max_examples=50, deadline=None)
def test_charges_scale_with_the_book(table, factor):
    larger = [(b, n, f, amount * factor) for b, n, f, amount in table]
    once, scaled = (frtb.equity_delta(columns(item, 2), RULES).total for item in (table, larger))
    np.testing.assert_allclose(scaled, factor * once, RELATIVE, ABSOLUTE)
