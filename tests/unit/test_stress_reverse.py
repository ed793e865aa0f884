"""Reverse stress: nearest breaches, all roots, minimality against brute force."""

import numpy as np
import pytest

from streaming.risk.money import MICRO
from streaming.risk.reference import Kind, Right
from streaming.risk.scenarios.mapping import Market, Moves, moves_table
from streaming.risk.stress.book import grouped_pnl, stressed_book, unit_pnl
from streaming.risk.stress.reverse import (
    covariance,
    index_axis,
    index_vix_covariance,
    interpolated,
    roots,
    smallest_breach,
    top_contributors,
)
from tests.unit.stress_books import (
    DAY,
    RULES,
    Item,
    holdings_of,
    instruments_of,
    option,
    prices_of,
    valuation_of,
)

AXIS = index_axis(RULES, 0.01)


def test_axis_runs_from_minus_80_to_plus_200_percent_with_zero():
    assert AXIS[0] == pytest.approx(-0.8)
    assert AXIS[-1] == pytest.approx(2.0)
    assert 0.0 in AXIS


def test_both_directions_and_all_roots_are_found():
    def room(x):  # broken between -40% and -20%, healed below, broken again above +30%
        return (x[:, 0] + 0.4) * (x[:, 0] + 0.2) * (0.3 - x[:, 0])

    found = roots(room, AXIS)
    assert found.roots == pytest.approx([-0.4, -0.2, 0.3], abs=1e-7)
    assert found.down == pytest.approx(-0.2, abs=1e-7)
    assert found.up == pytest.approx(0.3, abs=1e-7)
    assert np.all(room(found.roots[:, None]) <= 0.0)


def test_no_breach_is_a_valid_result():
    found = roots(lambda x: np.ones(len(x)), AXIS)
    assert (len(found.roots), found.down, found.up, found.breached_now) == (0, None, None, False)
    joint = smallest_breach(lambda x: np.ones(len(x)), [AXIS, AXIS], covariance([0.01, 0.05], -0.75))
    assert joint.breach is None
    assert joint.verified


def test_a_threshold_broken_today_needs_no_move():
    found = roots(lambda x: -1.0 - x[:, 0] ** 2, AXIS)
    assert (found.down, found.up, found.breached_now) == (0.0, 0.0, True)
    joint = smallest_breach(lambda x: np.full(len(x), -1.0), [AXIS[::10]], covariance([0.01]))
    assert joint.breach.distance == 0.0


def test_a_plane_is_broken_at_its_mahalanobis_projection():
    matrix = index_vix_covariance(0.012, 0.07, RULES)
    normal, level = np.array([3.0, -0.5]), 0.3
    found = smallest_breach(lambda x: level + x @ normal, [np.linspace(-0.5, 0.5, 51), np.linspace(-2, 2, 41)], matrix)
    exact = level / np.sqrt(normal @ matrix @ normal)
    point = -level * (matrix @ normal) / (normal @ matrix @ normal)
    assert found.breach.distance == pytest.approx(exact, rel=1e-4)
    assert found.breach.shock == pytest.approx(point, rel=0.02)
    assert found.breach.room < 0.0
    assert found.verified


def bumpy(x):
    """Not monotone, two separate islands and a far half-space."""
    first = np.sum((x - np.array([-0.21, 0.33, 0.1][: x.shape[1]])) ** 2, axis=1) - 0.01
    second = np.sum((x - np.array([0.31, 0.12, -0.2][: x.shape[1]])) ** 2, axis=1) - 0.02
    return np.minimum(np.minimum(first, second), 1.1 + x[:, 0])


@pytest.mark.parametrize("factors", [1, 2, 3])
def test_the_breach_is_minimal_against_a_brute_force_grid(factors):
    matrix = covariance([0.02, 0.03, 0.05][:factors], 0.2)
    if factors == 1:
        axes = [np.arange(-50, 51) * 0.02]
        margin = lambda x: np.minimum(x[:, 0] ** 2 * -1.0 + 0.09, 0.2 - x[:, 0])  # noqa: E731
    else:
        axes = [np.arange(-20, 21) * 0.05] * factors
        margin = bumpy
    found = smallest_breach(margin, axes, matrix)
    fine = [np.linspace(-1, 1, {1: 200_001, 2: 1_601, 3: 161}[factors])] * factors
    points = np.stack(np.meshgrid(*fine, indexing="ij"), axis=-1).reshape(-1, factors)
    inverse = np.linalg.inv(matrix)
    broken = points[margin(points) < 0]
    brute = np.sqrt(np.einsum("pi,ij,pj->p", broken, inverse, broken)).min()
    assert found.verified
    assert found.breach.distance <= brute * (1 + 1e-6)
    step = np.sqrt(factors) * (fine[0][1] - fine[0][0]) * np.sqrt(np.linalg.eigvalsh(inverse).max())
    assert found.breach.distance >= brute - step


def test_a_grid_that_was_computed_beforehand_serves_as_the_function():
    axes = [np.linspace(-0.5, 0.5, 21), np.linspace(-1, 1, 21)]
    room = 0.2 + axes[0][:, None] + 0.1 * axes[1][None, :]
    matrix = covariance([0.01, 0.05])
    found = smallest_breach(interpolated(axes, room), axes, matrix)
    normal = np.array([1.0, 0.1])
    assert found.breach.distance == pytest.approx(0.2 / np.sqrt(normal @ matrix @ normal), rel=1e-3)
    with pytest.raises(ValueError, match="expected room"):
        interpolated(axes, room[:-1])


@pytest.mark.parametrize(
    ("axes", "matrix", "message"),
    [
        ([AXIS] * 4, np.eye(4), "expected one to 3 factors"),
        ([AXIS], np.eye(2), "expected one to 3 factors"),
        ([AXIS + 0.005], np.eye(1), "expected increasing axes with 0"),
        ([AXIS] * 3, np.eye(3), "expected at most 2000000 grid points"),
    ],
)
def test_what_cannot_be_searched_is_refused(axes, matrix, message):
    with pytest.raises(ValueError, match=message):
        smallest_breach(lambda x: np.ones(len(x)), axes, matrix)


def test_a_margin_function_that_answers_nan_is_refused():
    with pytest.raises(ValueError, match="finite values of room"):
        roots(lambda x: np.full(len(x), np.nan), AXIS)


def test_top_contributors_are_the_largest_losses_only():
    loss = np.array([5, -3, 9, 9, 0, 1, 2, 3, 4, 6, 7, 8, 10])
    assert top_contributors(loss, RULES).tolist() == [12, 2, 3, 11, 10, 9, 0, 8, 7, 6]
    assert top_contributors(np.array([-1, 0]), RULES).tolist() == []


def straddle():
    """A client short a straddle: room = equity after full revaluation, less a requirement of 20,000."""
    items = [
        Item("SPX", price=100, kind=Kind.INDEX),
        option("SPX C", "SPX", Right.CALL, 100, vol=0.2),
        option("SPX P", "SPX", Right.PUT, 100, vol=0.2),
    ]
    instruments, prices = instruments_of(items), prices_of(items)
    rows = [(0, "SPX C", -100), (0, "SPX P", -100)]
    book, _ = stressed_book(holdings_of(items, rows), instruments, prices, RULES)

    def losses_at(shocks: np.ndarray) -> np.ndarray:
        values = np.column_stack((shocks[:, 0], np.expm1(shocks[:, 1])))
        moves = Moves(tuple(str(i) for i in range(len(values))), ("SPX", "VIX"), values, "SPX", "VIX")
        valuation = valuation_of(items, moves_table(moves, instruments, Market(prices.price, DAY), RULES))
        return -grouped_pnl(book, book.instrument.astype(np.int64), 3, unit_pnl(valuation), "by instrument")

    def room(shocks: np.ndarray) -> np.ndarray:
        return (100_000 * MICRO - losses_at(shocks).sum(axis=0) - 20_000 * MICRO) / MICRO

    return losses_at, room


def test_a_short_straddle_breaks_in_both_directions_and_jointly_sooner():
    losses_at, room = straddle()
    sigma = (0.012, 0.07)
    alone = roots(lambda x: room(np.column_stack((x[:, 0], np.zeros(len(x))))), AXIS)
    assert alone.down < -0.05
    assert alone.up > 0.05
    axes = [AXIS[(AXIS > -0.5) & (AXIS < 0.5)], np.linspace(-1.5, 1.5, 61)]
    found = smallest_breach(room, axes, index_vix_covariance(*sigma, RULES))
    assert found.verified
    assert found.breach.distance < min(-alone.down, alone.up) / sigma[0]
    assert found.breach.shock[0] < 0 < found.breach.shock[1]  # falling market and rising volatility go together
    assert -1.0 < found.breach.room < 0.0
    loss = losses_at(found.breach.shock[None])[:, 0]
    assert top_contributors(loss, RULES)[0] == 2  # the put
    inverse = np.linalg.inv(index_vix_covariance(*sigma, RULES))
    fine = np.stack(np.meshgrid(np.linspace(-0.4, 0.4, 401), np.linspace(-1.2, 1.2, 241), indexing="ij"), -1)
    points = fine.reshape(-1, 2)
    broken = points[room(points) < 0]
    assert found.breach.distance <= np.sqrt(np.einsum("pi,ij,pj->p", broken, inverse, broken)).min() * (1 + 1e-6)
