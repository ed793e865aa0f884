"""The Basel and IFRS 9 kinds of the rule calculator."""

import json
from math import exp, log, sqrt

import pytest
from scipy.stats import norm

from streaming.risk.calc import Case, CaseError
from streaming.risk.capital import basel_cases


def answer(kind, **inputs):
    return getattr(basel_cases, kind)(Case(inputs))


DELTA_COLUMNS = ["bucket", "name", "spot_or_repo", "net_sensitivity"]


def test_delta_of_the_worked_illustration():
    rows = [["5", "A", "Spot", 100], ["5", "B", "Spot", 100]]
    found = answer("frtb_equity_delta", columns=DELTA_COLUMNS, rows=rows)
    assert found["Medium"] == pytest.approx(47.43, abs=0.005)
    assert found["High"] == pytest.approx(48.60, abs=0.006)
    assert found["binding"] == "High"


def test_delta_of_a_published_portfolio():
    rows = [["8", "APPL", "Spot", 1000], ["8", "APPL", "Repo", 100], ["8", "GOOG", "Spot", 300],
            ["7", "Shell", "Spot", 200], ["11", "SP500", "Repo", 500], ["11", "DowJones", "Spot", 400],
            ["13", "ABC", "Spot", 300]]  # fmt: skip
    found = answer("frtb_equity_delta", rows=rows)
    assert [found[s] for s in ("Low", "Medium", "High")] == pytest.approx(
        [665.011398, 683.999424, 702.474388], rel=1e-8
    )


def test_rows_of_one_factor_net_and_order_changes_nothing():
    rows = [["8", "A", "Spot", 0.1], ["8", "B", "Repo", 7], ["8", "A", "Spot", 0.2], ["8", "A", "Spot", -0.3]]
    assert answer("frtb_equity_delta", rows=rows) == answer("frtb_equity_delta", rows=rows[::-1])


def test_vega_takes_maturities_as_text():
    found = answer("frtb_equity_vega", rows=[["5", "A", "0.5", 100], ["5", "A", "10", "100"]])
    weighted = 100 * 0.55 * sqrt(2)
    assert found["Medium"] == pytest.approx(weighted * sqrt(2 + 2 * exp(-0.19)))


def test_vega_of_a_month_counts_at_half_a_year():
    month = answer("frtb_equity_vega", rows=[["5", "A", "0.08", 100], ["5", "B", "3", 50]])
    half = answer("frtb_equity_vega", rows=[["5", "A", "0.5", 100], ["5", "B", "3", 50]])
    assert month == half


def test_curvature_is_never_a_credit():
    found = answer("frtb_equity_curvature", rows=[["5", "A", -10, -20], ["6", "B", -1, -2]])
    assert [found[s] for s in ("Low", "Medium", "High")] == [0, 0, 0]


def black_scholes(S, K, q, r, T, vol, sign):
    d1 = (log(S / K) + (r - q + vol * vol / 2) * T) / (vol * sqrt(T))
    return sign * (S * exp(-q * T) * norm.cdf(sign * d1) - K * exp(-r * T) * norm.cdf(sign * (d1 - vol * sqrt(T))))


def test_sensitivities_of_a_european_option_by_hand():
    market = {"K": 52, "q": 0.01, "r": 0.03, "T": 0.4}
    found = answer("frtb_equity_sensitivities", type="put", style="european", S=50, vol=0.25, quantity=-10,
                   multiplier=100, bucket="8", vega_bump="one vol point up", **market)  # fmt: skip

    def value(S=50.0, vol=0.25):
        return black_scholes(S, vol=vol, sign=-1, **market)

    delta = (value(50.5) - value()) / 0.01
    assert found["delta_sensitivity"] == pytest.approx(-1000 * delta, rel=1e-9)
    assert found["vega_sensitivity"] == pytest.approx(-1000 * 0.25 * (value(vol=0.26) - value()) / 0.01, rel=1e-9)
    assert found["cvr_up"] == pytest.approx(1000 * (value(75) - value() - 0.5 * delta), rel=1e-9)
    assert found["cvr_down"] == pytest.approx(1000 * (value(25) - value() + 0.5 * delta), rel=1e-9)


def test_an_american_put_is_revalued_as_american():
    inputs = {"type": "put", "S": 80, "K": 100, "q": 0, "r": 0.08, "T": 1, "vol": 0.2, "quantity": 1, "bucket": "5"}
    american = answer("frtb_equity_sensitivities", style="american", **inputs)
    european = answer("frtb_equity_sensitivities", style="european", **inputs)
    assert american["delta_sensitivity"] < european["delta_sensitivity"] < 0  # deep: moves one to one


def test_basel_ratios_of_a_worked_firm():
    found = answer("basel_ratios", cet1=100, at1=10, t2=20, credit_rwa=500, market_capital=20, oprisk_capital=10,
                   leverage_exposure=2000, p2r=0.02, ccb=0.025, ccyb=0.01, p2g=0.01)  # fmt: skip
    assert found["rwa"] == 875
    assert float(found["cet1_ratio"]) == pytest.approx(100 / 875)
    assert float(found["leverage"]) == 0.055
    assert [float(found[n]) for n in ("tscr_total", "tscr_cet1", "ocr_cet1", "ocr_plus_p2g_cet1")] == (
        pytest.approx([0.10, 0.05625, 0.09125, 0.10125])
    )
    assert found["mda_trigger_breached"] is False


def test_absent_add_ons_are_none():
    found = answer(
        "basel_ratios", cet1=100, credit_rwa=1000, market_capital=0, oprisk_capital=0, leverage_exposure=2000
    )
    assert float(found["ocr_plus_p2g_cet1"]) == 0.045


def test_ecl_by_year():
    found = answer("ifrs9_ecl", ead=[100, 80], lgd=0.4, conditional_annual_pd=[0.02, 0.03], eir=0.05)
    first = 0.02 * 0.4 * 100 / 1.05
    assert found["stage1_12m"] == pytest.approx(first)
    assert found["stage2_lifetime"] == pytest.approx(first + 0.98 * 0.03 * 0.4 * 80 / 1.05**2)


def test_ecl_of_a_margin_loan():
    found = answer("ifrs9_ecl_margin_loan", debit=100, collateral=110, shock=0.2, liquidation_cost=0.01, pd_12m=0.02,
                   eir=0.05, time_to_default=0.5)  # fmt: skip
    assert found["collateral_after"] == pytest.approx(87.12)
    assert found["shortfall"] == pytest.approx(12.88)
    assert found["ecl"] == pytest.approx(0.02 * 12.88 / sqrt(1.05))


def test_sa_ccr_of_a_short_put():
    found = answer("sa_ccr_equity_option", position="short 10 puts", S=100, K=95, T=0.5, multiplier=100, sigma=1.2,
                   sf=0.32, mtm=-300, collateral=0)  # fmt: skip
    d1 = (log(100 / 95) + 0.72 * 0.5) / (1.2 * sqrt(0.5))
    notional = norm.cdf(-d1) * 100 * 1000 * sqrt(0.5)
    assert found["effective_notional"] == pytest.approx(notional)
    assert found["addon"] == pytest.approx(0.32 * notional)
    multiplier = 0.05 + 0.95 * exp(-300 / (1.9 * 0.32 * notional))
    assert found["multiplier"] == pytest.approx(multiplier)
    assert found["ead"] == pytest.approx(1.4 * multiplier * 0.32 * notional)


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("frtb_equity_delta", {"rows": [["14", "A", "Spot", 1]]}, "expected 1 to 13, found '14'"),
        ("frtb_equity_delta", {"rows": [["5", "A", "Forward", 1]]}, "expected Spot or Repo, found 'Forward'"),
        ("frtb_equity_delta", {"rows": [["5", "A", "Spot"]]}, r"rows\[0\]: expected bucket, name"),
        ("frtb_equity_delta", {"columns": ["a"], "rows": []}, "columns: expected bucket, name"),
        ("frtb_equity_vega", {"rows": [["5", "A", "-1", 1]]}, "maturity of 0 or more"),
        ("sa_ccr_equity_option", {"position": "long 1.5 calls"}, "whole number above 0"),
        ("frtb_equity_sensitivities", {"type": "straddle"}, "expected call or put"),
        ("ifrs9_ecl", {"ead": [], "lgd": 1, "conditional_annual_pd": [], "eir": 0}, "at least one year"),
    ],
)
def test_a_case_that_cannot_be_computed_says_what_was_expected(kind, inputs, message):
    with pytest.raises(CaseError, match=message):
        answer(kind, **inputs)


def test_exposures_and_probabilities_of_different_length_are_refused():
    with pytest.raises(ValueError, match="as many exposures as probabilities"):
        answer("ifrs9_ecl", ead=[1, 2], lgd=1, conditional_annual_pd=[0.1], eir=0)


def test_an_empty_table_is_no_charge():
    assert (
        json.dumps(answer("frtb_equity_delta", rows=[])) == '{"Low": 0.0, "Medium": 0.0, "High": 0.0, "binding": "Low"}'
    )
