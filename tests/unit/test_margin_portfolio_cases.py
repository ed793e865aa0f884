"""Rule calculator kinds of portfolio margin: field names, signs, order of points, refusals."""

from math import erf, exp, log, sqrt

import pytest

from streaming.risk.calc import Case, CaseError
from streaming.risk.margin.portfolio_cases import theoretical_haircut_case, tims_class_group, tims_product_group


def black_scholes(cp, S, K, T, vol, r=0.0, q=0.0):
    if T <= 0:
        return max(0.0, S - K if cp == "C" else K - S)
    d1 = (log(S / K) + (r - q + vol * vol / 2) * T) / (vol * sqrt(T))
    d2, sign = d1 - vol * sqrt(T), 1 if cp == "C" else -1
    normal = [(1 + erf(sign * d / sqrt(2))) / 2 for d in (d1, d2)]
    return sign * (S * exp(-q * T) * normal[0] - K * exp(-r * T) * normal[1])


def option(cp, K, qty, T=0.0, **more):
    return {"cp": cp, "K": K, "T": T, "vol": 0.2, "r": 0.0, "q": 0.0, "qty": qty} | more


def numbers(values):
    return [float(value) for value in values]


def test_points_run_from_the_largest_up_to_the_largest_down():
    result = tims_class_group(Case({"name": "idx", "S": 100, "stock_qty": 100, "up": 0.06, "down": 0.08}))
    expected = [0.06, 0.048, 0.036, 0.024, 0.012, -0.016, -0.032, -0.048, -0.064, -0.08]
    assert numbers(result["points"]) == expected
    assert numbers(result["pnl"]) == pytest.approx([10_000 * point for point in expected], abs=1e-9)
    assert (result["scenario_loss"], result["minimum"], result["requirement"]) == (800, 0, 800)


def test_class_group_revalues_european_options_when_no_style_is_given():
    inputs = {"S": 50, "stock_qty": -200, "up": 0.15, "down": 0.15, "vol_held_constant": True}
    legs = [option("C", 52, 3, T=0.4, r=0.03, q=0.01, vol=0.25), option("P", 45, -5, T=0.1, vol=0.35, multiplier=150)]
    result = tims_class_group(Case(inputs | {"options": legs}))
    for point, found in zip(result["points"], result["pnl"]):
        expected = -200 * 50 * float(point)
        for leg, size in zip(legs, (300, -750)):
            terms = (leg["K"], leg["T"], leg["vol"], leg["r"], leg["q"])
            expected += size * (
                black_scholes(leg["cp"], 50 * (1 + float(point)), *terms) - black_scholes(leg["cp"], 50, *terms)
            )
        assert float(found) == pytest.approx(expected, abs=1e-5)
    assert result["minimum"] == 3 * 37.5 + 5 * 56.25
    assert result["requirement"] == max(result["scenario_loss"], result["minimum"]) == -min(result["pnl"])


def test_deep_in_the_money_american_put_moves_like_its_intrinsic_value():
    case = {"S": 10, "up": 0.15, "down": 0.15, "options": [option("P", 100, -1, T=0.5, r=0.05, style="american")]}
    assert float(tims_class_group(Case(case))["scenario_loss"]) == pytest.approx(150, abs=1e-4)


def test_minimum_binds_for_far_options_and_a_long_option_is_not_capped_by_its_value():
    result = tims_class_group(Case({"S": 100, "up": 0.15, "down": 0.15, "options": [option("C", 300, 4, T=0.01)]}))
    assert (result["scenario_loss"], result["minimum"], result["requirement"]) == (0, 150, 150)


def test_zero_volatility_and_expired_options_are_intrinsic():
    legs = [option("C", 100, -1, T=0.5, vol=0), option("C", 100, -1, T=-0.1)]
    result = tims_class_group(Case({"S": 100, "up": 0.10, "down": 0.10, "options": legs}))
    assert numbers(result["pnl"]) == pytest.approx([-2000, -1600, -1200, -800, -400, 0, 0, 0, 0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vol_held_constant": False}, "expected true"),
        ({"down": -0.08}, "down: expected a positive decimal"),
        ({"S": None}, "S: expected a value, found none"),
        ({"S": -1}, "S: expected a price of at least 0"),
        ({"options": [option("X", 100, 1)]}, "cp: expected C or P"),
        ({"options": [option("C", 100, 1, style="bermudan")]}, "style: expected european or american"),
        ({"options": [option("C", 100, 1, vol=-0.1)]}, "vol: expected a volatility of at least 0"),
        ({"options": [option("C", 100, 1.5)]}, "qty: expected a whole number"),
        ({"options": [option("C", 100, 1, multiplier=0)]}, "multiplier: expected more than 0"),
        ({"rule_date": "yesterday"}, "rule_date: expected an ISO date"),
    ],
)
def test_cases_that_cannot_be_computed_say_what_was_expected(change, message):
    with pytest.raises(CaseError, match=message):
        tims_class_group(Case({"S": 100, "up": 0.06, "down": 0.08} | change))


def test_product_group_offsets_at_the_same_point():
    flat = [0] * 8
    groups = [{"name": "a", "pnl": [1000, -200.5, *flat]}, {"name": "b", "pnl": [-1200, 100, *flat]}]
    result = tims_product_group(Case({"offset": 0.9, "class_groups": groups}))
    assert result["requirement_before_minimum"] == 300
    full = tims_product_group(Case({"offset": 1, "class_groups": groups}))
    assert full["requirement_before_minimum"] == 200
    none = tims_product_group(Case({"offset": 0, "class_groups": groups}))
    assert none["requirement_before_minimum"] == 1200


def test_product_group_without_a_loss_requires_nothing():
    assert tims_product_group(Case({"offset": 0.9, "class_groups": [{"pnl": [5] * 10}]})) == {
        "requirement_before_minimum": 0
    }


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"offset": 1.2, "class_groups": [{"pnl": [0] * 10}]}, "offset: expected a share between 0 and 1"),
        ({"offset": 0.9, "class_groups": [{"pnl": [0] * 9}]}, "expected 10 points, found 9"),
        ({"offset": 0.9, "class_groups": []}, "at least one class group"),
    ],
)
def test_product_group_refuses_what_it_cannot_read(inputs, message):
    with pytest.raises(CaseError, match=message):
        tims_product_group(Case(inputs))


def test_theoretical_haircut_takes_the_minimum_given_or_the_rules():
    inputs = {"S": 100, "up": 0.15, "down": 0.15, "options": [option("C", 500, -2, T=0.01, multiplier=200)]}
    assert theoretical_haircut_case(Case(inputs))["minimum"] == 2 * 0.25 * 200
    given = theoretical_haircut_case(Case(inputs | {"minimum_per_contract": 25}))
    assert (given["scenario_loss"], given["minimum"], given["haircut"]) == (0, 50, 50)


def test_theoretical_haircut_of_hedged_stock_is_the_larger_of_loss_and_minimum():
    inputs = {"S": 100, "stock_qty": 100, "up": 0.15, "down": 0.15, "options": [option("P", 95, 1)]}
    result = theoretical_haircut_case(Case(inputs | {"minimum_per_contract": 25}))
    assert (result["scenario_loss"], result["haircut"]) == (500, 500)
