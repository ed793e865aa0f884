"""The pairing against brute force, and what must hold for every book (margin_regt_4210.md, section 4.5)."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from streaming.risk.margin import pairing, programme
from streaming.risk.money import MICRO
from tests.unit.margin_regt_books import AMERICAN, EUROPEAN, TERMS, Leg, book, dollars, pair

NOT_LEGAL = np.int64(2**62)


# The oracle: every legal treatment of single contracts and lots of 100 shares, written from the rule text with
# decimals, and the cheapest partition of the book by trying all of them.


def _uncovered(leg: Leg, spot: Decimal) -> tuple[Decimal, Decimal]:
    """(premium, requirement besides the premium) of one short contract."""
    units, strike = leg.multiplier, Decimal(str(leg.strike))
    value, exercise = spot * units, strike * units
    if leg.cp == "C":
        besides = max(Decimal("0.20") * value - max(exercise - value, 0), Decimal("0.10") * value)
    else:
        besides = max(Decimal("0.20") * value - max(value - exercise, 0), Decimal("0.10") * exercise)
    return Decimal(str(leg.price)) * units, besides


def _long_stock(spot: Decimal) -> Decimal:
    return Decimal(25) * spot


def _short_stock(spot: Decimal) -> Decimal:
    return 100 * (max(Decimal("2.5"), spot) if spot < 5 else max(Decimal(5), Decimal("0.3") * spot))


def _stock_treatment(options: list[Leg], side: int, spot: Decimal) -> Decimal | None:
    """One lot of 100 shares with one or two options."""
    if any(leg.multiplier != 100 for leg in options):
        return None
    shape = sorted((leg.cp, leg.quantity) for leg in options)
    strike = [100 * Decimal(str(leg.strike)) for leg in options]
    value = 100 * spot
    paid = sum(Decimal(str(leg.price)) * 100 for leg in options if leg.quantity > 0)
    if len(options) == 1:
        plain = _long_stock(spot) if side > 0 else _short_stock(spot)
        if side > 0 and shape == [("C", -1)]:
            return min(value, strike[0]) / 4
        if side < 0 and shape == [("P", -1)]:
            return plain + max(strike[0] - value, Decimal(0))
        if side > 0 and shape == [("P", 1)]:
            return paid + min(strike[0] / 10 + max(value - strike[0], Decimal(0)), plain)
        if side < 0 and shape == [("C", 1)]:
            return paid + min(strike[0] / 10 + max(strike[0] - value, Decimal(0)), plain)
        return None
    if options[0].expiry != options[1].expiry:
        return None
    call, put = (next((100 * Decimal(str(leg.strike)) for leg in options if leg.cp == cp), None) for cp in "CP")
    if side > 0 and shape == [("C", -1), ("P", 1)]:
        if call == put:
            return paid + put / 10
        if call > put:
            return paid + min(put / 10 + max(value - put, Decimal(0)), call / 4)
    if side < 0 and shape == [("C", 1), ("P", -1)] and call == put:
        return paid + call / 10 + max(put - value, Decimal(0))
    return None


def _spread(options: list[Leg]) -> Decimal | None:
    if len({(leg.style, leg.multiplier) for leg in options}) > 1:
        return None
    if any(sum(leg.quantity for leg in options if leg.cp == cp) for cp in "CP"):
        return None
    if max(leg.expiry for leg in options if leg.quantity < 0) > min(leg.expiry for leg in options if leg.quantity > 0):
        return None
    strikes = [Decimal(str(leg.strike)) for leg in options]
    worst = Decimal(0)
    for price in [Decimal(0), *strikes, max(strikes) + 1]:
        value = Decimal(0)
        for leg, strike in zip(options, strikes, strict=True):
            value += leg.quantity * max(price - strike if leg.cp == "C" else strike - price, Decimal(0))
        worst = min(worst, value)
    paid = sum(Decimal(str(leg.price)) for leg in options if leg.quantity > 0)
    return (paid - worst) * options[0].multiplier


def _together(options: list[Leg], lots: int, side: int, spot: Decimal) -> Decimal | None:
    """Requirement of these contracts and lots as one treatment; None when no rule takes them together."""
    if lots > 1 or (lots == 1 and len(options) > 2):
        return None
    if lots == 1:
        if not options:
            return _long_stock(spot) if side > 0 else _short_stock(spot)
        return _stock_treatment(options, side, spot)
    if len(options) == 1:
        premium, besides = _uncovered(options[0], spot)
        return premium if options[0].quantity > 0 else premium + besides
    quantities = {leg.quantity for leg in options}
    if quantities == {-1, 1}:
        return _spread(options)
    if quantities == {-1} and len(options) == 2 and options[0].cp != options[1].cp:
        (p, x), (q, y) = (_uncovered(leg, spot) for leg in options)
        if options[0].multiplier == options[1].multiplier:
            return max((p + x, p + x + q), (q + y, q + y + p))[1]
    return None


@njit(cache=True)
def _cheapest_partition(cost):
    best = np.full(len(cost), NOT_LEGAL)
    best[0] = 0
    for mask in range(1, len(cost)):
        lowest = mask & -mask
        part = mask
        while part:
            if part & lowest and cost[part] < NOT_LEGAL:
                best[mask] = min(best[mask], cost[part] + best[mask ^ part])
            part = (part - 1) & mask
    return best[-1]


def brute_force(spot: float, legs: list[Leg], lots: int) -> int:
    """Micros of the cheapest legal partition; ``legs`` are single contracts, ``lots`` signed lots of 100 shares."""
    count, price = len(legs), Decimal(str(spot))
    cost = np.full(1 << (count + abs(lots)), NOT_LEGAL)
    for mask in range(1, len(cost)):
        chosen = [legs[i] for i in range(count) if mask >> i & 1]
        need = _together(chosen, (mask >> count).bit_count(), 1 if lots > 0 else -1, price)
        if need is not None:
            cost[mask] = int(need * MICRO)
            assert cost[mask] == need * MICRO
    return int(_cheapest_partition(cost))


def random_book(rng: np.random.Generator, size: int) -> tuple[float, list[Leg], int]:
    """(spot, single contracts, lots): strikes on a grid, up to three expiries, now and then mixed styles or sizes."""
    spot = float(rng.choice([4.0, 12.5, 40.0, 97.5, 103.0]))
    grid = 1.0 if spot < 20 else 5.0
    lots = int(rng.integers(-3, 4)) if rng.random() < 0.6 else 0
    lots = max(-size, min(size, lots))
    expiries, mixed = int(rng.integers(1, 4)), rng.random() < 0.2
    legs = []
    for _ in range(size - abs(lots)):
        cp, side = str(rng.choice(["C", "P"])), int(rng.choice([-1, 1]))
        strike = max(grid, round(spot / grid + int(rng.integers(-3, 4))) * grid)
        price = max(spot - strike if cp == "C" else strike - spot, 0) + int(rng.integers(1, 16)) / 4
        legs.append(
            Leg(
                cp, strike, side, price, int(rng.integers(1, expiries + 1)),
                int(rng.choice([AMERICAN, EUROPEAN])) if mixed else AMERICAN,
                int(rng.choice([100, 10])) if mixed and not lots else 100,
            )
        )  # fmt: skip
    return spot, legs, lots


def merged(legs: list[Leg]) -> list[Leg]:
    """Single contracts as series with quantities, one per side and terms; the price stays part of the terms."""
    counts: dict[Leg, int] = {}
    for leg in legs:
        counts[leg] = counts.get(leg, 0) + 1
    return [Leg(**{**leg.__dict__, "quantity": leg.quantity * count}) for leg, count in counts.items()]


def _equals_brute_force(seed: int, size: int) -> None:
    spot, legs, lots = random_book(np.random.default_rng([20261102, seed]), size)
    found = int(pair(spot, merged(legs), 100 * lots).maintenance.sum())
    assert found == brute_force(spot, legs, lots), (spot, legs, lots)


def test_a_thousand_random_books_equal_brute_force():
    for seed in range(1000):
        _equals_brute_force(seed, 2 + seed % 11 if seed % 10 == 0 else 2 + seed % 8)


@pytest.mark.soak
def test_a_thousand_books_of_twelve_legs_equal_brute_force():
    for seed in range(1000, 2000):
        _equals_brute_force(seed, 12)


@st.composite
def books(draw, largest=12):
    """(spot, series, shares): quantities up to ``largest``."""
    spot = draw(st.sampled_from([4.5, 30.0, 100.0, 412.0]))
    grid = 1.0 if spot < 20 else 5.0
    legs = draw(
        st.lists(
            st.builds(
                lambda cp, steps, quantity, price, expiry, style: Leg(
                    cp, max(grid, round(spot / grid + steps) * grid), quantity, price / 4, expiry, style
                ),
                st.sampled_from("CP"),
                st.integers(-4, 4),
                st.integers(-largest, largest).filter(bool),
                st.integers(0, 40),
                st.integers(1, 3),
                st.sampled_from([AMERICAN, AMERICAN, EUROPEAN]),
            ),
            max_size=9,
        )
    )
    return spot, legs, draw(st.integers(-12, 12)) * draw(st.sampled_from([100, 50, 1]))


@given(books(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_the_legs_does_not_change_the_requirement(case, random):
    spot, legs, shares = case
    shuffled = list(legs)
    random.shuffle(shuffled)
    assert pair(spot, legs, shares).maintenance.sum() == pair(spot, shuffled, shares).maintenance.sum()


@given(books())
@settings(max_examples=150, deadline=None)
def test_the_pairing_is_never_above_leg_by_leg_and_never_below_the_long_value(case):
    spot, legs, shares = case
    alone = sum(int(pair(spot, [leg]).maintenance.sum()) for leg in legs) + int(
        pair(spot, [], shares).maintenance.sum()
    )
    paid = sum(leg.quantity * leg.multiplier * dollars(leg.price) for leg in legs if leg.quantity > 0)
    found = int(pair(spot, legs, shares).maintenance.sum())
    assert paid <= found <= alone


@given(books())
@settings(max_examples=150, deadline=None)
def test_every_contract_and_share_is_consumed_exactly_once(case):
    spot, legs, shares = case
    rows = pair(spot, legs, shares)
    used = np.zeros(len(legs) + 2, dtype=np.int64)
    np.add.at(used, rows.leg, rows.leg_quantity)
    assert used[: len(legs)].tolist() == [leg.quantity for leg in legs]
    assert (used[pairing.LONG_SHARES], used[pairing.SHORT_SHARES]) == (max(shares, 0), min(shares, 0))
    for leg, quantity in zip(rows.leg, rows.leg_quantity, strict=True):
        assert quantity != 0
        assert leg < 0 or (quantity > 0) == (legs[leg].quantity > 0)


@given(books(largest=4), st.integers(2, 5))
@settings(max_examples=100, deadline=None)
def test_a_book_n_times_as_large_requires_at_most_n_times_as_much(case, times):
    spot, legs, shares = case
    scaled = [Leg(**{**leg.__dict__, "quantity": leg.quantity * times}) for leg in legs]
    once, often = pair(spot, legs, shares), pair(spot, scaled, shares * times)
    assert often.maintenance.sum() <= times * once.maintenance.sum()


@given(books(), books())
@settings(max_examples=60, deadline=None)
def test_two_books_together_require_at_most_the_sum(first, second):
    spot, legs, shares = first
    others = [Leg(**{**leg.__dict__, "strike": leg.strike}) for leg in second[1]]
    more = max(0, second[2]) if shares >= 0 else min(0, second[2])
    apart = pair(spot, legs, shares).maintenance.sum() + pair(spot, others, more).maintenance.sum()
    assert pair(spot, legs + others, shares + more).maintenance.sum() <= apart


@given(books(largest=30))
@settings(max_examples=100, deadline=None)
def test_the_small_solver_finds_the_optimum_of_the_large_one(case):
    spot, legs, shares = case
    series, stock = book(spot, legs, shares)
    _, _, A, b, c = pairing.build(series.matrix(), stock, TERMS)
    x, status = programme.maximise_small(A, b, c)
    if status == programme.SOLVED and len(c):
        assert c @ x == pytest.approx(c @ programme.maximise_large(A, b, c), abs=1e-9)


@pytest.mark.parametrize(("size", "seed"), [(24, 0), (24, 1), (40, 0), (40, 1)])
def test_a_crowded_book_is_solved_and_not_above_leg_by_leg(size, seed):
    rng = np.random.default_rng([7, size, seed])

    def leg() -> Leg:
        strike, quantity = float(60 + 5 * rng.integers(16)), int(rng.integers(-20, 21)) or 1
        return Leg(str(rng.choice(["C", "P"])), strike, quantity, 2.5, int(rng.integers(1, 5)))

    legs = [leg() for _ in range(size)]
    alone = sum(int(pair(100.0, [leg]).maintenance.sum()) for leg in legs)
    assert int(pair(100.0, legs, 700).maintenance.sum()) < alone + dollars(700 * 25)
