"""The rule calculator's VaR, expected-shortfall and backtest kinds."""

import pytest

from streaming.risk.calc import Case, CaseError
from streaming.risk.var import cases

WORST = [477841, 345435, 282204, 277041, 253385, 217974, 202256, 201389, 191269, 191050]
NUMBERS = [494, 339, 349, 329, 487, 227, 131, 238, 473, 306]


def test_historical_from_worst_losses():
    found = cases.historical(Case({"worst_losses": WORST, "n_scenarios": 500, "confidence": 0.99}))
    assert found["var"] == 253385
    assert found["es"] == pytest.approx(327181.2)
    assert found["var_10d"] == pytest.approx(253385 * 10**0.5)


def test_historical_from_pnl_is_not_rounded():
    pnl = [-0.123456789 - i for i in range(50)] + [1.0] * 200
    found = cases.historical(Case({"pnl": pnl, "confidence": 0.99}))
    assert found["var"] == pytest.approx(47.123456789, abs=1e-12)
    assert found["es"] == pytest.approx((49.123456789 + 48.123456789 + 0.5 * 47.123456789) / 2.5, abs=1e-12)


def test_historical_weighted():
    found = cases.historical_weighted(
        Case({"worst_losses": WORST, "scenario_numbers": NUMBERS, "n_scenarios": 500, "confidence": 0.99})
    )
    assert found["lambda_0_995"] == {"var": 282204.0, "es": pytest.approx(400914, abs=1)}
    assert found["lambda_0_99"] == {"var": 345435.0, "es": pytest.approx(470917, abs=1)}


def test_parametric():
    found = cases.parametric(Case({"loss_mean": -1, "loss_sigma_per_period": 2, "confidence": 0.99, "periods": 4}))
    assert found["var"] == pytest.approx(-4 + 2.3263479 * 4)
    assert found["es"] == pytest.approx(-4 + 4 * 2.6652142, abs=1e-5)


def test_discrete_with_the_joint_distribution_given_or_derived():
    one = [[10, 0.02], [1, 0.98]]
    given = {"one": one, "two_independent": [[20, 0.0004], [11, 0.0392], [2, 0.9604]], "confidence": 0.975}
    derived = {"one": one, "confidence": 0.975}
    for inputs in (given, derived):
        found = cases.discrete(Case(inputs))
        assert found["one"] == {"var": 1.0, "es": pytest.approx(8.2)}
        assert found["two"] == {"var": 11.0, "es": pytest.approx(11.144)}


def test_backtest_250d_99():
    found = cases.backtest_250d_99(Case({"observations": 250, "confidence": 0.99, "exceptions": 7}))
    assert (found["zone"], found["mar32_multiplier"], found["basel1996_multiplier"]) == ("yellow", 1.83, 3.65)
    assert found["kupiec_lr"] == pytest.approx(5.496990, abs=1e-6)
    assert found["reject_at_5pct"] is True
    assert found["prob_at_least_x"] == pytest.approx(0.0137014, abs=1e-7)


def test_backtest_tests_from_counts_and_from_days_agree():
    days = cases.backtest_tests(Case({"observations": 250, "confidence": 0.99, "exception_day_indices": [3, 4, 100]}))
    counts = cases.backtest_tests(
        Case({"observations": 250, "confidence": 0.99, "failures": 3, "N00": 244, "N01": 2, "N10": 2, "N11": 1})
    )
    assert days == counts
    assert days["lr_cc"] == pytest.approx(days["lr_pof"] + days["lr_cci"])


def test_no_exceptions_give_numbers():
    found = cases.backtest_tests(Case({"observations": 250, "confidence": 0.99, "exception_day_indices": []}))
    assert found["no_nan"] is True
    assert (found["lr_cci"], found["p_cci"], found["N00"]) == (0.0, 1.0, 249)
    assert found["lr_pof"] == pytest.approx(5.025168, abs=1e-6)


@pytest.mark.parametrize(
    ("adapter", "inputs", "message"),
    [
        (cases.historical, {"confidence": 0.99}, "expected either pnl or worst_losses"),
        (cases.historical, {"pnl": [-1, 2], "confidence": 0.99}, "expected at least 100 scenarios, found 2"),
        (cases.historical, {"pnl": [-1, "x"], "confidence": 0.99}, r"pnl\[1\]: expected a number, found 'x'"),
        (cases.historical, {"pnl": [-1], "confidence": 99}, "confidence: expected a decimal between 0 and 1"),
        (
            cases.historical_weighted,
            {"worst_losses": [1, 2], "scenario_numbers": [1], "n_scenarios": 9, "confidence": 0.9},
            "scenario_numbers: expected a whole number from 1 to 9 for each of 2 losses",
        ),
        (
            cases.historical_weighted,
            {"worst_losses": [1, 2], "scenario_numbers": [3, 3], "n_scenarios": 9, "confidence": 0.9},
            "scenario_numbers: expected each scenario once",
        ),
        (
            cases.parametric,
            {"loss_mean": 0, "loss_sigma_per_period": -1, "confidence": 0.9},
            "sigma: expected at least 0, found -1",
        ),
        (cases.discrete, {"one": [[1]], "confidence": 0.9}, r"one: expected a list of \[loss, probability\]"),
        (cases.discrete, {"one": [[1, 0.5]], "confidence": 0.9}, "expected probabilities that sum to 1, found 0.5"),
        (cases.backtest_250d_99, {"exceptions": 300}, "expected from 0 to 250 exceptions, found 300"),
        (
            cases.backtest_tests,
            {"observations": 10, "confidence": 0.99, "exception_day_indices": [10]},
            "exception_day_indices: expected different whole numbers from 0 to 9",
        ),
    ],
)
def test_a_case_that_cannot_be_computed_says_what_was_expected(adapter, inputs, message):
    with pytest.raises((CaseError, ValueError), match=message):
        adapter(Case(inputs))
