"""American values against QuantLib, lattices, bounds, and the degenerate inputs of option_pricing.md 4."""

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from numpy.testing import assert_allclose

from streaming.risk.pricing import black_scholes, lattice
from streaming.risk.pricing.contracts import Contracts, Dividends, years
from streaming.risk.pricing.finite_difference import DividendModel
from streaming.risk.pricing.revalue import clipped_dividends, revalue
from streaming.risk.reference import Style

REQUIRED = 0.005
"""Per share, against a converged reference (option_pricing.md 1)."""
REACHED = 0.003
"""What the method keeps on a strike of 100 over the whole range."""
TODAY = ql.Date(2, 1, 2026)
DAYS = ql.Actual365Fixed()


def american(right, strike, expiry, rate, carry_yield, style=Style.AMERICAN, dividends=None) -> Contracts:
    """One underlying per contract."""
    rows = np.size(expiry)
    wide = {"right": right, "strike": strike, "rate": rate, "carry_yield": carry_yield, "style": style}
    columns = {name: np.broadcast_to(value, rows) for name, value in wide.items()}
    return Contracts(expiry=np.atleast_1d(expiry), underlying=np.arange(rows), dividends=dividends, **columns)


def process(spot, rate, carry, vol) -> ql.BlackScholesMertonProcess:
    flat = [ql.YieldTermStructureHandle(ql.FlatForward(TODAY, float(level), DAYS)) for level in (carry, rate)]
    surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), float(vol), DAYS))
    return ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(float(spot))), *flat, surface)


def vanilla(right, strike, days) -> ql.VanillaOption:
    ql.Settings.instance().evaluationDate = TODAY
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if right > 0 else ql.Option.Put, float(strike))
    return ql.VanillaOption(payoff, ql.AmericanExercise(TODAY, TODAY + int(days)))


def quantlib(right, spot, strike, rate, carry, vol, days) -> float:
    option = vanilla(right, strike, days)
    scheme = ql.QdFpAmericanEngine.accurateScheme()
    option.setPricingEngine(ql.QdFpAmericanEngine(process(spot, rate, carry, vol), scheme))
    return option.NPV()


def test_values_agree_with_quantlib_on_800_random_options():
    rng, count = np.random.default_rng(7), 800
    right = rng.choice([1, -1], count)
    spot, days = 100.0 * np.exp(rng.normal(0.0, 0.25, count)), rng.integers(1, 1096, count)
    vol = np.exp(rng.uniform(np.log(0.05), np.log(2.0), count))
    rate = rng.uniform(0.0, 0.12, count)
    carry = np.select(
        [rng.random(count) < 0.3, rng.random(count) < 0.4],
        [0.0, rng.uniform(0.0, 0.5, count)],
        rng.uniform(-0.03, 0.1, count),
    )
    found = revalue(american(right, 100.0, days / 365.0, rate, carry), spot[:, None], vol)[:, 0]
    expected = [quantlib(*row) for row in zip(right, spot, np.full(count, 100.0), rate, carry, vol, days)]
    assert_allclose(found, expected, rtol=0, atol=REACHED)


def test_negative_rates_agree_with_lattices_where_two_boundaries_exist():
    rng, count = np.random.default_rng(8), 24
    rate = -rng.uniform(0.002, 0.03, count)
    carry = rate - rng.uniform(0.002, 0.05, count)
    vol, expiry = rng.uniform(0.05, 0.4, count), rng.uniform(0.2, 3.0, count)
    spot = 100.0 * np.exp(rng.normal(0.0, 0.15, count))
    for right, gain, cost in ((-1, rate, carry), (1, carry, rate)):
        found = revalue(american(right, 100.0, expiry, gain, cost), spot[:, None], vol)[:, 0]
        for i in range(count):
            terms = (right, Style.AMERICAN, spot[i], 100.0, gain[i], cost[i], vol[i], expiry[i])
            expected = 0.5 * (lattice.crr(*terms, 1_200) + lattice.crr(*terms, 1_201))
            assert found[i] == pytest.approx(expected, abs=REQUIRED)
    european = black_scholes.value(-1, spot, 100.0, rate, carry, vol, expiry)
    assert np.all(revalue(american(-1, 100.0, expiry, rate, carry), spot[:, None], vol)[:, 0] >= european - 1e-9)


def test_lattices_and_boundary_method_agree():
    terms = (-1, Style.AMERICAN, 95.0, 100.0, 0.05, 0.02, 0.3, 1.0)
    found = revalue(american(-1, 100.0, 1.0, 0.05, 0.02), np.array([[95.0]]), np.array([0.3]))[0, 0]
    assert lattice.leisen_reimer(*terms, 801) == pytest.approx(found, abs=1e-3)
    assert 0.5 * (lattice.crr(*terms, 1_600) + lattice.crr(*terms, 1_601)) == pytest.approx(found, abs=1e-3)
    european = black_scholes.value(-1, 95.0, 100.0, 0.05, 0.02, 0.3, 1.0)
    assert lattice.leisen_reimer(-1, Style.EUROPEAN, *terms[2:], 801) == pytest.approx(float(european), abs=1e-5)


def random_dividends(seed: int, count: int):
    rng = np.random.default_rng(seed)
    right, spot = rng.choice([1, -1], count), 100.0 * np.exp(rng.normal(0.0, 0.15, count))
    days, vol, rate = rng.integers(60, 1096, count), rng.uniform(0.1, 0.8, count), rng.uniform(0.0, 0.08, count)
    paid = [
        (np.sort(rng.choice(np.arange(2, d), rng.integers(1, 5), replace=False)), rng.uniform(0.3, 3.0)) for d in days
    ]
    times = [ex / 365.0 for ex, _ in paid]
    schedule = Dividends(
        np.concatenate([[0], np.cumsum([len(t) for t in times])]), np.concatenate(times),
        np.concatenate([np.full(len(t), amount) for t, (_, amount) in zip(times, paid)]),
    )  # fmt: skip
    return right, spot, days, vol, rate, paid, schedule


@pytest.mark.parametrize(("model", "theirs"), [
    (DividendModel.SPOT_JUMP, ql.FdBlackScholesVanillaEngine.Spot),
    (DividendModel.ESCROWED, ql.FdBlackScholesVanillaEngine.Escrowed),
])  # fmt: skip
def test_american_dividend_models_agree_with_quantlibs_finite_differences(model, theirs):
    right, spot, days, vol, rate, paid, schedule = random_dividends(9, 25)
    contracts = american(right, 100.0, days / 365.0, rate, 0.0, dividends=schedule)
    found = revalue(contracts, spot[:, None], vol, dividend_model=model)[:, 0]
    for i in range(len(found)):
        option = vanilla(right[i], 100.0, days[i])
        ex_days = [TODAY + int(day) for day in paid[i][0]]
        dividends = ql.DividendVector(ex_days, [paid[i][1]] * len(ex_days))
        engine = ql.FdBlackScholesVanillaEngine(
            process(spot[i], rate[i], 0.0, vol[i]),
            dividends,
            400,
            800,
            0,
            ql.FdmSchemeDesc.Douglas(),
            False,
            -1.0,
            theirs,
        )
        option.setPricingEngine(engine)
        assert found[i] == pytest.approx(option.NPV(), abs=REQUIRED)


@pytest.mark.parametrize("model", list(DividendModel))
def test_vanishing_dividend_leaves_the_value_without_any(model):
    rng, count = np.random.default_rng(12), 30
    right, spot = rng.choice([1, -1], count), 100.0 * np.exp(rng.normal(0.0, 0.3, count))
    expiry, vol = rng.uniform(0.1, 2.0, count), rng.uniform(0.1, 1.0, count)
    rate, carry = rng.uniform(0.0, 0.08, count), rng.uniform(0.0, 0.25, count)
    schedule = Dividends(np.arange(count + 1), 0.5 * expiry, np.full(count, 1e-9))
    found, plain = (
        revalue(american(right, 100.0, expiry, rate, carry, dividends=one), spot[:, None], vol, dividend_model=model)
        for one in (schedule, None)
    )
    assert_allclose(found, plain, rtol=0, atol=REQUIRED)


def test_jump_of_a_yielding_spot_agrees_with_quantlibs_finite_differences():
    rng = np.random.default_rng(13)
    for right in (1, -1):
        for carry in (0.05, 0.25):
            spot, vol, days = 100.0 * np.exp(rng.normal(0.0, 0.2)), rng.uniform(0.2, 0.8), 365
            contracts = american(right, 100.0, 1.0, 0.03, carry, dividends=Dividends([0, 1], [182 / 365.0], [2.0]))
            found = revalue(contracts, np.array([[spot]]), np.array([vol]), dividend_model=DividendModel.SPOT_JUMP)[
                0, 0
            ]
            option, grids = vanilla(right, 100.0, days), []
            for steps in (400, 800):  # theirs converges with the first order here: extrapolated
                dividends = ql.DividendVector([TODAY + 182], [2.0])
                engine = ql.FdBlackScholesVanillaEngine(process(spot, 0.03, carry, vol), dividends, steps, 2 * steps)
                option.setPricingEngine(engine)
                grids.append(option.NPV())
            assert found == pytest.approx(2.0 * grids[1] - grids[0], abs=REQUIRED)


def test_escrowed_american_agrees_with_a_lattice_and_exceeds_its_european():
    right, spot, days, vol, rate, paid, schedule = random_dividends(10, 20)
    contracts = american(right, 100.0, days / 365.0, rate, 0.0, dividends=schedule)
    found = revalue(contracts, spot[:, None], vol)[:, 0]
    plain = american(right, 100.0, days / 365.0, rate, 0.0, Style.EUROPEAN, schedule)
    assert np.all(found >= revalue(plain, spot[:, None], vol)[:, 0])
    for i in range(len(found)):
        pairs = [(day / 365.0, paid[i][1]) for day in paid[i][0]]
        terms = (right[i], Style.AMERICAN, spot[i], 100.0, rate[i], 0.0, vol[i], days[i] / 365.0)
        expected = 0.5 * (lattice.crr(*terms, 1_000, pairs) + lattice.crr(*terms, 1_001, pairs))
        assert found[i] == pytest.approx(expected, abs=REQUIRED)


def test_european_with_dividends_is_the_closed_form_on_the_spot_less_their_present_value():
    right, spot, days, vol, rate, paid, schedule = random_dividends(11, 1_000)
    contracts = american(right, 100.0, days / 365.0, rate, 0.0, Style.EUROPEAN, schedule)
    escrow = np.array([np.sum(amount * np.exp(-r * ex / 365.0)) for r, (ex, amount) in zip(rate, paid)])
    expected = []
    for i in range(len(spot)):
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if right[i] > 0 else ql.Option.Put, 100.0)
        time = days[i] / 365.0
        forward, discount = (spot[i] - escrow[i]) * np.exp(rate[i] * time), np.exp(-rate[i] * time)
        expected.append(ql.BlackCalculator(payoff, forward, vol[i] * np.sqrt(time), discount).value())
    assert_allclose(revalue(contracts, spot[:, None], vol)[:, 0], expected, rtol=0, atol=1e-9)


def test_call_without_dividends_and_rate_at_least_zero_is_european():
    spot = np.linspace(50.0, 200.0, 31)[None, :]
    for rate in (0.0, 0.05):
        pair = [
            Contracts([1], [style], [100.0], [1.5], [rate], [0.0], [0]) for style in (Style.AMERICAN, Style.EUROPEAN)
        ]
        assert_allclose(*(revalue(one, spot, np.array([0.4])) for one in pair), rtol=0, atol=0)


@pytest.mark.parametrize(("right", "spot", "vol", "expiry", "expected"), [
    (-1, 0.0, 0.3, 1.0, 100.0),
    (1, 0.0, 0.3, 1.0, 0.0),
    (-1, 1.0, 0.3, 1.0, 99.0),
    (1, 1e4, 0.3, 1.0, 9900.0),
    (-1, 90.0, 0.3, 0.0, 10.0),
    (1, 90.0, 0.3, -0.5, 0.0),
    (-1, 90.0, 0.0, 1.0, 100.0 * np.exp(-0.05) - 90.0 * np.exp(-0.06)),
])  # fmt: skip
def test_degenerate_inputs_have_their_limits(right, spot, vol, expiry, expected):
    dividends = Dividends([0, 1], [0.5], [1e-9])
    for schedule in (None, dividends):
        contracts = Contracts([right], [Style.AMERICAN], [100.0], [expiry], [0.05], [0.06], [0], schedule)
        for model in DividendModel:
            found = revalue(contracts, np.array([[spot]]), np.array([vol]), dividend_model=model)
            assert found[0, 0] == pytest.approx(expected, abs=REQUIRED)


@pytest.mark.parametrize(("right", "limit"), [(1, np.exp(-0.06)), (-1, np.exp(-0.05))])
def test_boundless_volatility_lies_between_the_european_limit_and_the_most_it_can_be_worth(right, limit):
    for dividends in (None, Dividends([0, 1], [0.5], [1e-9])):
        contracts = Contracts([right], [Style.AMERICAN], [100.0], [1.0], [0.05], [0.06], [0], dividends)
        for vol in (5.0, 1e3, 1e9):
            assert 100.0 * limit - 1.5 <= revalue(contracts, np.array([[100.0]]), np.array([vol]))[0, 0] <= 100.0


def test_riskless_american_exercises_at_the_best_moment():
    contracts = Contracts([1], [Style.AMERICAN], [100.0], [2.0], [0.10], [0.05], [0])
    moments = np.linspace(0.0, 2.0, 200_001)
    best = np.max(150.0 * np.exp(-0.05 * moments) - 100.0 * np.exp(-0.10 * moments))
    assert revalue(contracts, np.array([[150.0]]), np.array([0.0]))[0, 0] == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize("style", [Style.EUROPEAN, Style.AMERICAN])
@pytest.mark.parametrize("model", list(DividendModel))
def test_dividend_beyond_the_spot_is_clipped_and_flagged(style, model):
    contracts = Contracts(
        [1, -1], [style] * 2, [100.0] * 2, [1.0] * 2, [0.03] * 2, [0.0] * 2, [0, 0], Dividends([0, 1], [0.5], [80.0])
    )
    spot = np.array([[50.0, 200.0]])
    values = revalue(contracts, spot, np.array([0.3, 0.3]), dividend_model=model)
    assert np.isfinite(values).all()
    assert np.all(values >= 0.0)
    assert values[1, 0] <= 100.0
    assert clipped_dividends(contracts, spot).tolist() == [[True, False], [True, False]]


def test_ex_day_of_the_snapshot_has_passed_and_that_of_expiry_counts():
    def value(time: float) -> float:
        contracts = Contracts(
            [-1], [Style.EUROPEAN], [100.0], [0.5], [0.03], [0.0], [0], Dividends([0, 1], [time], [5.0])
        )
        return revalue(contracts, np.array([[100.0]]), np.array([0.2]))[0, 0]

    plain = float(black_scholes.value(-1, 100.0, 100.0, 0.03, 0.0, 0.2, 0.5))
    paid = float(black_scholes.value(-1, 100.0 - 5.0 * np.exp(-0.015), 100.0, 0.03, 0.0, 0.2, 0.5))
    assert value(0.0) == pytest.approx(plain, abs=1e-12)
    assert value(-0.001) == pytest.approx(plain, abs=1e-12)
    assert value(0.5) == pytest.approx(paid, abs=1e-12)
    assert value(0.501) == pytest.approx(plain, abs=1e-12)


def test_years_never_go_below_zero():
    day = 86_400_000_000
    assert years(np.array([365 * day, -day]), 0).tolist() == [1.0, 0.0]
