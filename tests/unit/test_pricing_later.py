"""Values from exercise boundaries that were solved earlier."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.finite_difference import finite_difference_values
from streaming.risk.pricing.later import revalue_later, solve_boundaries
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Style

SPOTS = np.linspace(80.0, 120.0, 11)[None, :]


def chain(seed: int, count: int = 200, **columns) -> tuple[Contracts, np.ndarray]:
    rng = np.random.default_rng(seed)
    given = {
        "right": rng.choice([1, -1], count),
        "style": rng.choice([int(Style.EUROPEAN), int(Style.AMERICAN)], count),
        "strike": rng.uniform(60.0, 150.0, count),
        "expiry": rng.choice([0.0, 1 / 365, 1 / 12, 0.5, 2.0], count),
        "rate": rng.uniform(-0.01, 0.08, count),
        "carry_yield": rng.choice([0.0, 0.02, 0.06], count),
        "underlying": np.zeros(count),
    }
    return Contracts(**(given | columns)), rng.uniform(0.08, 2.0, count)


@pytest.mark.parametrize("share", [1.0, 0.999, 0.9, 0.5, 0.1])
def test_values_later_equal_values_from_boundaries_of_their_own(share):
    contracts, vol = chain(3)
    expiry = share * contracts.expiry
    fresh = revalue(replace(contracts, expiry=expiry), SPOTS, vol)
    assert_allclose(revalue_later(solve_boundaries(contracts, vol), expiry, SPOTS), fresh, rtol=0, atol=2e-3)


def test_at_the_instant_of_solving_nothing_differs():
    contracts, vol = chain(4)
    found = revalue_later(solve_boundaries(contracts, vol), contracts.expiry, SPOTS)
    assert_allclose(found, revalue(contracts, SPOTS, vol), rtol=0, atol=1e-9)


def test_cash_dividends_and_expired_contracts_take_the_way_without_boundaries():
    contracts, vol = chain(5, 40, dividends=Dividends([0, 1], [0.2], [1.5]))
    held = solve_boundaries(contracts, vol)
    assert not np.isin(held.solved, np.flatnonzero(contracts.expiry >= 0.2)).any()
    expiry = np.where(contracts.expiry < 0.1, 0.0, contracts.expiry)
    assert_array_equal(revalue_later(held, expiry, SPOTS), revalue(replace(contracts, expiry=expiry), SPOTS, vol))


def test_threads_and_neighbours_change_no_bit():
    contracts, vol = chain(6, 1500)
    expiry = 0.97 * contracts.expiry
    whole = revalue_later(solve_boundaries(contracts, vol), expiry, SPOTS, threads=2)
    assert_array_equal(whole, revalue_later(solve_boundaries(contracts, vol), expiry, SPOTS, threads=1))
    some = np.arange(0, 1500, 7)
    part = revalue_later(solve_boundaries(contracts.take(some), vol[some]), expiry[some], SPOTS[:, 3:5])
    assert_array_equal(part, whole[some][:, 3:5])


def test_a_longer_life_than_solved_for_is_refused():
    contracts, vol = chain(7, 3, expiry=np.full(3, 0.5))
    with pytest.raises(ValueError, match=r"expiry\[1\]: expected at most 0.5, found 0.6"):
        revalue_later(solve_boundaries(contracts, vol), np.array([0.5, 0.6, 0.5]), SPOTS)


@pytest.mark.parametrize("hours", [1, 7, 24])
@pytest.mark.parametrize("vol", [0.5, 1.5, 4.0])
def test_hours_before_expiry_values_agree_with_finite_differences(hours, vol):
    time, rate = hours / 24 / 365, 0.021
    contracts = Contracts([-1], [int(Style.AMERICAN)], [100.0], [time], [rate], [0.006], [0])
    reference, nothing = np.empty(11), np.empty(0)
    finite_difference_values(
        -1.0, 100.0, rate, 0.006, vol, time, nothing, nothing, 0, np.ascontiguousarray(SPOTS[0]), reference
    )
    assert_allclose(revalue(contracts, SPOTS, np.array([vol]))[0], reference, rtol=0, atol=5e-3)
