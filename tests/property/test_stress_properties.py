"""Whole classes of books: additivity, order, and what no scenario may do."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk.holdings import Holdings
from streaming.risk.reference import Kind, Right
from streaming.risk.scenarios.library import Scenario
from streaming.risk.stress.book import losses, stressed_book
from streaming.risk.stress.reverse import covariance, roots, smallest_breach
from streaming.risk.stress.shortfall import client_shortfall
from tests.unit.stress_books import (
    RULES,
    Item,
    accounts_of,
    holdings_of,
    instruments_of,
    option,
    prices_of,
    table_of,
    valuation_of,
)

ITEMS = [
    Item("A", price="101.37", sector="x", beta="1.3"),
    Item("B", price="12.000001", sector="y", beta=None),
    Item("L", price="55.5", kind=Kind.ETF, leverage=-2),
    option("A C", "A", Right.CALL, 105, vol=0.31),
    option("B P", "B", Right.PUT, 11, vol=0.52, days=20),
]
ACCOUNTS = accounts_of([("a", "s"), ("a", "t"), ("b", "t")])
FX = {"USD": 1_000_000}
ppm = st.integers(-900_000, 2_000_000)
scenarios = st.lists(
    st.builds(
        lambda i, v, p, r: Scenario("S", "S", "t", "t", index=i, vol_relative=v, vol_points=p, rate=r),
        ppm, ppm, st.integers(-100_000, 500_000), st.integers(-20_000, 50_000),
    ),
    min_size=1, max_size=4,
)  # fmt: skip
rows = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([i.id for i in ITEMS]), st.integers(-10_000, 10_000).filter(bool)),
    max_size=12,
)


def run(book_rows, shocks, order=None):
    shocks = [Scenario("ZERO", "ZERO", "t", "t"), *shocks]
    shocks = shocks if order is None else [shocks[i] for i in order]
    valuation = valuation_of(ITEMS, table_of(ITEMS, shocks))
    book, _ = stressed_book(holdings_of(ITEMS, book_rows), instruments_of(ITEMS), prices_of(ITEMS, FX), RULES)
    return losses(book, ACCOUNTS, instruments_of(ITEMS), valuation)


@settings(max_examples=40, deadline=None)
@given(rows, rows, scenarios)
def test_losses_are_additive_over_positions_and_levels_sum_to_the_firm(first, second, shocks):
    whole, one, two = run(first + second, shocks), run(first, shocks), run(second, shocks)
    assert np.array_equal(whole.account, one.account + two.account)
    for level in (whole.account, whole.client, whole.strategy, whole.underlying, whole.sector):
        assert np.array_equal(level.sum(axis=0), whole.firm)
    assert not whole.account[:, 0].any()


@settings(max_examples=30, deadline=None)
@given(rows, scenarios, st.randoms(use_true_random=False))
def test_neither_the_order_of_positions_nor_of_scenarios_changes_a_bit(book_rows, shocks, random):
    plain = run(book_rows, shocks)
    shuffled = random.sample(book_rows, len(book_rows))
    order = random.sample(range(len(shocks) + 1), len(shocks) + 1)
    assert np.array_equal(run(shuffled, shocks).account, plain.account)
    assert np.array_equal(run(book_rows, shocks, order).account, plain.account[:, order])


@settings(max_examples=40, deadline=None)
@given(rows, scenarios)
def test_opposite_books_cancel_and_long_only_options_lose_at_most_their_value(book_rows, shocks):
    opposite = [(a, i, -q) for a, i, q in book_rows]
    assert not run(book_rows + opposite, shocks).firm.any()
    bought = [(a, i, abs(q)) for a, i, q in book_rows if " " in i]
    valuation = valuation_of(ITEMS, table_of(ITEMS, [Scenario("ZERO", "Z", "t", "t")]))
    worth = sum(int(valuation.baseline[[x.id for x in ITEMS].index(i)]) * 100 * q for _, i, q in bought)
    assert np.all(run(bought, shocks).firm <= worth)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-100, 100), st.integers(-100, 100)), min_size=1, max_size=9))
def test_shortfall_total_is_at_least_its_top_five_and_its_largest(pairs):
    net, loss = (np.array(column) for column in zip(*pairs))
    found = client_shortfall(net, loss[:, None])
    assert found.total[0] >= found.top_sum[0] >= found.largest[0] >= 0
    assert found.total[0] == sum(max(0, b - a) for a, b in pairs)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.75, 1.9), min_size=1, max_size=5, unique=True))
def test_every_root_that_the_grid_separates_is_found(places):
    grid = np.arange(-80, 201) * 0.01
    places = sorted(round(p, 2) + 0.005 for p in places)
    places = [p for p in dict.fromkeys(places) if -0.79 < p < 1.99]

    def room(x):
        return np.prod(x[:, :1] - np.array(places), axis=1) * (1 if len(places) % 2 == 0 else -1)

    found = roots(room, grid)
    assert np.allclose(found.roots, places, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.5, 3), st.floats(-2, 2), st.floats(0.05, 0.3), st.floats(-0.9, 0.9))
def test_smallest_breach_of_a_plane_is_its_projection(a, b, level, rho):
    matrix, normal = covariance([0.02, 0.06], rho), np.array([a, b])
    exact = level / np.sqrt(normal @ matrix @ normal)
    point = level * (matrix @ normal) / (normal @ matrix @ normal)
    axes = [np.linspace(-1, 1, 81), np.linspace(-3, 3, 81)]
    found = smallest_breach(lambda x: level + x @ normal, axes, matrix)
    if np.all(np.abs(point) < [1, 3]):
        assert found.verified
        assert abs(found.breach.distance / exact - 1) < 1e-3


def test_empty_holdings_are_a_book():
    empty = np.zeros(0, dtype=np.int64)
    holdings = Holdings(empty.astype(np.int32), empty.astype(np.int32), empty, empty)
    book, unpriced = stressed_book(holdings, instruments_of(ITEMS), prices_of(ITEMS), RULES)
    assert len(book) == len(unpriced.charge) == 0
