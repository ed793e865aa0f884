"""The rule calculator's VaR, expected-shortfall and backtest kinds."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import sqrt

import numpy as np

from streaming.risk.calc import Case, CaseError, kind
from streaming.risk.money import MICRO
from streaming.risk.rulebook import Rules, load
from streaming.risk.var import backtest as tests
from streaming.risk.var.parametric import normal_tail
from streaming.risk.var.tail import Tail, age_weights, convolved, discrete_tail, tail, weighted_tail

_TEN_DAYS = 10


def _rules() -> Rules:
    """The newest rules: a case has no date of its own."""
    book = load()
    return book.at(max(p.valid_from for p in book.parameters if p.id.startswith(("var.", "backtest."))))


def _confidence(case: Case) -> int:
    value = case.decimal("confidence") * MICRO
    if value != value.to_integral_value() or not 0 < value < MICRO:
        raise case.refuse("confidence", "a decimal between 0 and 1 of at most six places")
    return int(value)


def _fractions(case: Case, name: str) -> list[Fraction]:
    """A list of decimals, exactly as written."""
    case.numbers(name)  # refuses what is no finite number
    return [Fraction(Decimal(repr(v)) if isinstance(v, float) else Decimal(v)) for v in case.items(name)]


def _measures(found: Tail) -> dict[str, object]:
    return {"var": float(found.var), "es": float(found.es)}


@kind(
    "historical", inputs="pnl (list) or worst_losses with n_scenarios; confidence", result="var, es, var_10d (sqrt 10)"
)
def historical(case: Case) -> dict[str, object]:
    if case.has("pnl") == case.has("worst_losses"):
        raise CaseError("inputs: expected either pnl or worst_losses with n_scenarios, found both or none")
    if case.has("pnl"):
        losses = [-value for value in _fractions(case, "pnl")]
        found = tail(losses, _confidence(case))
    else:
        found = tail(_fractions(case, "worst_losses"), _confidence(case), case.whole("n_scenarios"))
    return {**_measures(found), "var_10d": float(found.var) * sqrt(_TEN_DAYS), "worst_rank": found.worst}


@kind(
    "historical_weighted",
    inputs="worst_losses, scenario_numbers, n_scenarios, confidence",
    result="lambda_0_995, lambda_0_99: each {var, es} at that lambda",
)
def historical_weighted(case: Case) -> dict[str, object]:
    losses, numbers = np.array(case.numbers("worst_losses")), case.numbers("scenario_numbers")
    count, confidence = case.whole("n_scenarios"), _confidence(case)
    if len(numbers) != len(losses) or any(n != int(n) or not 1 <= n <= count for n in numbers):
        raise case.refuse("scenario_numbers", f"a whole number from 1 to {count} for each of {len(losses)} losses")
    if len(set(numbers)) != len(numbers):
        raise case.refuse("scenario_numbers", "each scenario once")
    at = np.array(numbers, dtype=np.int64) - 1
    result: dict[str, object] = {}
    for decay in _rules().values("var.age.comparison"):
        weights = age_weights(count, float(decay))[at]
        result[f"lambda_{str(decay).replace('.', '_')}"] = _measures(weighted_tail(losses, weights, confidence))
    return result


@kind("parametric", inputs="loss_mean, loss_sigma_per_period, confidence, periods", result="var, es")
def parametric(case: Case) -> dict[str, object]:
    periods = case.whole("periods", 1)
    if periods < 1:
        raise case.refuse("periods", "a whole number from 1")
    mean, sigma = case.number("loss_mean", 0.0), case.number("loss_sigma_per_period")
    return _measures(normal_tail(mean, sigma, _confidence(case), periods))


@kind(
    "discrete",
    inputs="one, two_independent (lists of [loss, probability]), confidence",
    result="one, two: each {var, es}; VaR = smallest loss with P(L > loss) <= 1-c",
)
def discrete(case: Case) -> dict[str, object]:
    confidence = _confidence(case)
    one = _distribution(case, "one")
    two = _distribution(case, "two_independent") if case.has("two_independent") else convolved(*one)
    return {
        "one": _measures(discrete_tail(*one, confidence)),
        "two": _measures(discrete_tail(*two, confidence)),
    }


def _distribution(case: Case, name: str) -> tuple[Sequence[Fraction], Sequence[Fraction]]:
    pairs = case.items(name)
    if not pairs or any(not isinstance(pair, list) or len(pair) != 2 for pair in pairs):
        raise case.refuse(name, "a list of [loss, probability]")
    columns = [_fractions(Case({name: [pair[side] for pair in pairs]}), name) for side in (0, 1)]
    return columns[0], columns[1]


@kind(
    "backtest_250d_99",
    inputs="observations, confidence, exceptions",
    result="zone, mar32_multiplier, basel1996_multiplier, kupiec_lr, kupiec_pvalue, reject_at_5pct, prob_at_least_x",
)
def backtest_250d_99(case: Case) -> dict[str, object]:
    rules = _rules()
    observations = case.whole("observations", int(rules.value("backtest.window")))
    confidence = _confidence(case) if case.has("confidence") else rules.ppm("backtest.confidence")
    exceptions = case.whole("exceptions")
    light = tests.traffic_light(observations, exceptions, confidence, rules)
    pof = tests.kupiec(observations, exceptions, confidence)
    return {
        "zone": light.zone,
        "mar32_multiplier": None if light.mar32 is None else light.mar32 / MICRO,
        "basel1996_multiplier": None if light.basel1996 is None else light.basel1996 / MICRO,
        "kupiec_lr": pof.statistic,
        "kupiec_pvalue": pof.p_value,
        "reject_at_5pct": pof.rejects(float(rules.value("backtest.significance"))),
        "prob_at_least_x": light.probability_at_least,
    }


@kind(
    "backtest_tests",
    inputs="observations, confidence, and failures with N00, N10, N01, N11, or exception_day_indices (from 0)",
    result="N00, N01, N10, N11, lr_pof, p_pof, lr_cci, p_cci, lr_cc, p_cc, no_nan",
)
def backtest_tests(case: Case) -> dict[str, object]:
    observations, confidence = case.whole("observations"), _confidence(case)
    failures, counts = _counted(case, observations)
    pof, cci = tests.kupiec(observations, failures, confidence), tests.independence(counts)
    cc = tests.conditional_coverage(pof, cci)
    values = {
        "lr_pof": pof.statistic,
        "p_pof": pof.p_value,
        "lr_cci": cci.statistic,
        "p_cci": cci.p_value,
        "lr_cc": cc.statistic,
        "p_cc": cc.p_value,
    }
    return {
        "N00": counts.n00,
        "N01": counts.n01,
        "N10": counts.n10,
        "N11": counts.n11,
        **values,
        "no_nan": not any(np.isnan(list(values.values()))),
    }


def _counted(case: Case, observations: int) -> tuple[int, tests.Transitions]:
    if not case.has("exception_day_indices"):
        counts = tests.Transitions(*(case.whole(name) for name in ("N00", "N01", "N10", "N11")))
        return case.whole("failures"), counts
    days = case.numbers("exception_day_indices")
    if len(set(days)) != len(days) or any(d != int(d) or not 0 <= d < observations for d in days):
        raise case.refuse("exception_day_indices", f"different whole numbers from 0 to {observations - 1}")
    hit = np.zeros(observations, dtype=bool)
    hit[np.array(days, dtype=np.int64)] = True
    return len(days), tests.transitions(hit)
