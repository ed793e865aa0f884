"""The one revaluation call: shapes, refusals, greeks by bump, and the calculator's option kinds."""

from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streaming.risk import rulebook
from streaming.risk.calc import Case, CaseError
from streaming.risk.pricing import black_scholes, cases
from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.greeks import Bumps, greeks
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Style

BUMPS = Bumps.of(rulebook.load().at(date(2026, 11, 20)))
TERMS = {"type": "put", "style": "american", "S": 50, "K": 52, "r": 0.03, "q": 0.01, "T": 0.4, "vol": 0.25}


def contracts(rows: int = 2, **changes) -> Contracts:
    style = np.broadcast_to(changes.pop("style", Style.EUROPEAN), rows)
    columns = {
        "right": [1, -1] * (rows // 2), "style": style, "strike": [100.0] * rows, "expiry": [1.0] * rows,
        "rate": [0.03] * rows, "carry_yield": [0.01] * rows, "underlying": [0] * rows,
    }  # fmt: skip
    return Contracts(**{**columns, **changes})


def test_volatility_and_rate_shift_broadcast_over_scenarios():
    spot = np.array([[90.0, 100.0, 110.0]])
    vol, shift = np.array([0.2, 0.3]), np.array([0.0, 0.01, 0.0])
    narrow = revalue(contracts(), spot, vol, shift)
    wide = revalue(contracts(), spot, np.repeat(vol[:, None], 3, axis=1), np.tile(shift, (2, 1)))
    assert_array_equal(narrow, wide)
    assert narrow[0, 1] == pytest.approx(float(black_scholes.value(1, 100.0, 100.0, 0.04, 0.01, 0.2, 1.0)), abs=1e-12)


def test_no_contracts_or_no_scenarios_give_an_empty_result():
    none = contracts().take(np.zeros(0, dtype=np.int64))
    assert revalue(none, np.ones((1, 4)), np.ones(0)).shape == (0, 4)
    assert revalue(contracts(), np.ones((1, 0)), np.ones(2)).shape == (2, 0)


@pytest.mark.parametrize(("spot", "vol", "message"), [
    ([[np.nan]], [0.2, 0.2], r"spot\[0, 0\]: expected a finite number of at least 0, found nan"),
    ([[-1.0]], [0.2, 0.2], r"spot\[0, 0\]"),
    ([[100.0]], [0.2, -0.1], r"vol\[1, 0\]"),
    ([[100.0]], [0.2, 0.2, 0.2], r"vol: expected \[contract, scenario\]"),
    ([100.0], [0.2, 0.2], "spot: expected"),
])  # fmt: skip
def test_bad_market_is_refused_with_its_place(spot, vol, message):
    with pytest.raises(ValueError, match=message):
        revalue(contracts(), np.array(spot), np.array(vol))


@pytest.mark.parametrize(("changes", "message"), [
    ({"strike": [100.0, 0.0]}, r"strike\[1\]"),
    ({"expiry": [np.nan, 1.0]}, r"expiry\[0\]"),
    ({"right": [1, 0]}, r"right\[1\]: expected one of \(1, -1\), found 0"),
    ({"style": [0, 1]}, r"style\[0\]"),
    ({"rate": [0.03]}, "rate: expected a column of 2 rows"),
])  # fmt: skip
def test_bad_contract_is_refused_with_its_place(changes, message):
    with pytest.raises(ValueError, match=message):
        contracts(**changes)


def test_unknown_underlying_and_bad_dividends_are_refused():
    with pytest.raises(ValueError, match="underlying"):
        revalue(contracts(underlying=[0, 1]), np.array([[100.0]]), np.array([0.2, 0.2]))
    with pytest.raises(ValueError, match="rising times"):
        Dividends([0, 2], [0.5, 0.2], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"dividends.start"):
        Dividends([0, 3], [0.1, 0.2], [1.0, 1.0])


def test_american_greeks_approach_the_european_where_exercise_never_pays():
    call = {"right": [1, 1], "carry_yield": [0.0, 0.0], "strike": [95.0, 110.0]}
    american, european = (
        greeks(contracts(style=style, **call), np.array([100.0]), np.array([0.2, 0.35]), BUMPS)
        for style in (Style.AMERICAN, Style.EUROPEAN)
    )
    assert_allclose(american.value, european.value, rtol=0, atol=1e-12)
    for name, tolerance in (
        ("delta", 1e-4),
        ("gamma", 1e-4),
        ("vega", 0.02),
        ("theta", 0.02),
        ("rho", 1e-3),
        ("dividend_rho", 1e-3),
    ):
        assert_allclose(getattr(american, name), getattr(european, name), rtol=0, atol=tolerance, err_msg=name)


def test_american_greeks_are_central_differences_of_the_same_method():
    book, vol = contracts(style=Style.AMERICAN), np.array([0.25, 0.25])
    found = greeks(book, np.array([100.0]), vol, BUMPS)
    up, down = (revalue(book, np.array([[100.0 * (1.0 + move)]]), vol)[:, 0] for move in (BUMPS.spot, -BUMPS.spot))
    assert_allclose(found.delta, (up - down) / (200.0 * BUMPS.spot), rtol=1e-12)
    higher, lower = (revalue(book, np.array([[100.0]]), vol + move)[:, 0] for move in (BUMPS.vol, -BUMPS.vol))
    assert_allclose(found.vega, (higher - lower) / (2.0 * BUMPS.vol), rtol=1e-12)
    assert np.all(found.theta < 0.0)


def test_european_greeks_with_dividends_match_bumped_values():
    book = contracts(dividends=Dividends([0, 2], [0.2, 0.7], [1.5, 2.0]))
    spot, vol = np.array([100.0]), np.array([0.3, 0.3])
    found = greeks(book, spot, vol, BUMPS)
    up, down = (revalue(book, spot[:, None], vol, shift)[:, 0] for shift in (1e-5, -1e-5))
    assert_allclose(found.rho, (up - down) / 2e-5, rtol=1e-6)
    aged = contracts(expiry=[1.0 - 1e-6] * 2, dividends=Dividends([0, 2], [0.2 - 1e-6, 0.7 - 1e-6], [1.5, 2.0]))
    assert_allclose(found.theta, (revalue(aged, spot[:, None], vol)[:, 0] - found.value) / 1e-6, rtol=1e-4)


@pytest.mark.parametrize("spot", [0.0, 1e-9, 1e6])
@pytest.mark.parametrize("expiry", [0.0, 1e-4])
def test_greeks_are_finite_in_the_corners(spot, expiry):
    for style in (Style.EUROPEAN, Style.AMERICAN):
        for vol in (0.0, 0.001, 5.0):
            book = contracts(style=style, expiry=[expiry] * 2)
            found = greeks(book, np.array([spot]), np.array([vol, vol]), BUMPS)
            for name in ("value", "delta", "gamma", "vega", "theta", "rho", "dividend_rho"):
                assert np.isfinite(getattr(found, name)).all()


def test_calculator_answers_with_the_values_of_the_stream():
    book = Contracts([-1], [Style.AMERICAN], [52.0], [0.4], [0.03], [0.01], [0])
    expected = revalue(book, np.array([[50.0]]), np.array([0.25]))[0, 0]
    assert cases.american_value(Case(TERMS)) == {"value_true": expected}
    european = {**TERMS, "style": "european", "type": "call"}
    assert cases.european_value(Case(european))["value"] == pytest.approx(2.46, abs=0.005)
    delta = cases.european_greek(Case({**european, "greek": "delta"}))["value"]
    assert delta == pytest.approx(float(black_scholes.greeks(1, 50.0, 52.0, 0.03, 0.01, 0.25, 0.4).delta))
    tree = cases.american_crr_steps(Case({**TERMS, "method": "CRR", "steps": 501}))["value"]
    assert tree == pytest.approx(expected, abs=0.005)


def test_calculator_gives_both_dividend_models_and_the_european():
    inputs = {name: value for name, value in TERMS.items() if name != "q"} | {
        "dividends": [[0.3, 1.0], [0.1, 1.0]],
        "model": "escrowed",
    }
    found = cases.american_discrete_dividend(Case(inputs))
    european = cases.european_discrete_dividend(Case({**inputs, "style": "european"}))["value"]
    assert found["european_escrowed"] == european
    assert found["value_escrowed"] > european
    assert found["value_spot_jump_model"] > found["value_escrowed"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"S": -1}, "inputs.S: expected a number of at least 0, found -1"),
    ({"K": 0}, "inputs.K"),
    ({"type": "C"}, "inputs.type: expected call or put"),
    ({"style": "european"}, "inputs.style: expected american"),
    ({"rate_convention": "simple"}, "rate_convention"),
    ({"dividends": [[0.1]]}, "dividends"),
])  # fmt: skip
def test_calculator_refuses_what_it_cannot_compute(changes, message):
    with pytest.raises(CaseError, match=message):
        cases.american_value(Case({**TERMS, **changes}))
