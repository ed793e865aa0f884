"""Backtest of VaR: exceptions, the traffic light and its multipliers, and the statistical tests (section 2).

P&L of day t is compared with the VaR that was known before it; an exception is a loss strictly above VaR. Use the
hypothetical P&L (static book) and the actual one (fees removed) side by side.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, bdtrc, chdtrc, xlogy

from streaming.risk.money import MICRO
from streaming.risk.rulebook import Rules

GREEN, YELLOW, RED = "green", "yellow", "red"
INSUFFICIENT = "insufficient window"


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A likelihood-ratio test: too large a value rejects the model."""

    statistic: float
    p_value: float
    degrees: int
    """Degrees of freedom of its chi-square distribution."""

    def rejects(self, significance: float) -> bool:
        return self.p_value < significance


@dataclass(frozen=True, slots=True)
class Transitions:
    """Pairs of neighbouring days: ``n01`` = a day without exception followed by one with it."""

    n00: int
    n01: int
    n10: int
    n11: int


@dataclass(frozen=True, slots=True)
class TrafficLight:
    """Zone and capital multipliers."""

    zone: str
    """``insufficient window`` below the rulebook's window: thresholds are never scaled down."""
    mar32: int | None
    """Multiplier in ppm (base and add-on); only defined for 250 days at 99%."""
    basel1996: int | None
    probability_at_least: float
    """Of that many exceptions or more from a correct model."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """One book's backtest over a window."""

    dates: np.ndarray
    """int32 days since 1970-01-01, one a comparison."""
    pnl: np.ndarray
    """int64 micros"""
    var: np.ndarray
    """int64 micros: known before the day."""
    hit: np.ndarray
    """bool: loss strictly above VaR."""
    confidence: int
    latest: TrafficLight
    """Of the newest 250 days."""
    latest_exceptions: int
    window: TrafficLight
    """Of the whole window, by the cumulative probabilities that define the zones."""
    kupiec: LikelihoodRatio
    transitions: Transitions
    independence: LikelihoodRatio
    conditional: LikelihoodRatio

    @property
    def exception_dates(self) -> np.ndarray:
        return self.dates[self.hit]


def backtest(dates: np.ndarray, pnl: np.ndarray, var: np.ndarray, confidence: int, rules: Rules) -> Backtest:
    """Compare P&L with VaR day by day. ``var[i]`` is the forecast for ``dates[i]`` made the day before."""
    if not len(dates) == len(pnl) == len(var) or len(dates) < 2:
        raise ValueError(
            f"backtest: expected at least two dates with P&L and VaR each, found {len(dates)}, {len(pnl)}, {len(var)}"
        )
    hit = -pnl > var
    days = int(rules.value("backtest.window"))
    recent = hit[-days:]
    counts = transitions(hit)
    failures = int(np.count_nonzero(hit))
    pof, ind = kupiec(len(hit), failures, confidence), independence(counts)
    return Backtest(
        dates=dates,
        pnl=pnl,
        var=var,
        hit=hit,
        confidence=confidence,
        latest=traffic_light(len(recent), int(np.count_nonzero(recent)), confidence, rules),
        latest_exceptions=int(np.count_nonzero(recent)),
        window=traffic_light(len(hit), failures, confidence, rules),
        kupiec=pof,
        transitions=counts,
        independence=ind,
        conditional=conditional_coverage(pof, ind),
    )


def traffic_light(observations: int, exceptions: int, confidence: int, rules: Rules) -> TrafficLight:
    """Zone of a window. 250 days at 99%: the thresholds and multipliers of MAR32. Longer windows and other confidences:
    yellow and red begin where the cumulative probability of so many exceptions or fewer reaches 95% and 99.99%."""
    _check(observations, exceptions)
    p = (MICRO - confidence) / MICRO
    tail = float(bdtrc(exceptions - 1, observations, p))
    factors: list[int | None] = [None, None]
    if observations < int(rules.value("backtest.window")):
        return TrafficLight(INSUFFICIENT, None, None, tail)
    if observations == int(rules.value("backtest.window")) and confidence == rules.ppm("backtest.confidence"):
        yellow, red = (exceptions >= int(rules.value(f"backtest.zone.{name}")) for name in ("yellow", "red"))
        factors = [_multiplier(framework, exceptions, rules) for framework in ("mar32", "basel1996")]
    else:
        below = float(bdtr(exceptions, observations, p))
        yellow, red = (below >= float(rules.value(f"backtest.zone.{name}_probability")) for name in ("yellow", "red"))
    return TrafficLight(RED if red else YELLOW if yellow else GREEN, factors[0], factors[1], tail)


def rolling_exceptions(hit: np.ndarray, days: int) -> np.ndarray:
    """Exceptions in each window of ``days`` days, by its last day; empty when the history is shorter."""
    if len(hit) < days:
        return np.empty(0, dtype=np.int64)
    running = np.concatenate(([0], np.cumsum(hit, dtype=np.int64)))
    return running[days:] - running[:-days]


def kupiec(observations: int, failures: int, confidence: int) -> LikelihoodRatio:
    """Proportion of failures, two-sided: too few failures reject as well (Kupiec, 1995)."""
    _check(observations, failures)
    p, rate = (MICRO - confidence) / MICRO, failures / observations
    null = _log_likelihood(observations - failures, failures, p)
    return _ratio(null, _log_likelihood(observations - failures, failures, rate), 1)


def transitions(hit: np.ndarray) -> Transitions:
    """Counts over the N - 1 pairs of neighbouring days."""
    before, after = hit[:-1].astype(bool), hit[1:].astype(bool)
    counts = [int(np.count_nonzero((before == b) & (after == a))) for b in (False, True) for a in (False, True)]
    return Transitions(*counts)


def independence(counts: Transitions) -> LikelihoodRatio:
    """Whether an exception makes another the next day more likely (Christoffersen, 1998). Zero counts contribute
    zero, so a history without exceptions gives 0 and p = 1."""
    pairs = counts.n00 + counts.n01 + counts.n10 + counts.n11
    if min(counts.n00, counts.n01, counts.n10, counts.n11) < 0 or pairs == 0:
        raise ValueError(f"transitions: expected counts of at least one pair of days, found {counts}")
    hits = counts.n01 + counts.n11
    null = _log_likelihood(pairs - hits, hits, hits / pairs)
    found = _log_likelihood(counts.n00, counts.n01, _share(counts.n01, counts.n00 + counts.n01))
    found += _log_likelihood(counts.n10, counts.n11, _share(counts.n11, counts.n10 + counts.n11))
    return _ratio(null, found, 1)


def conditional_coverage(coverage: LikelihoodRatio, dependence: LikelihoodRatio) -> LikelihoodRatio:
    """Coverage and independence together: the sum of both statistics, two degrees of freedom."""
    statistic = coverage.statistic + dependence.statistic
    return LikelihoodRatio(statistic, float(chdtrc(2, statistic)), 2)


def expected_shortfall_z2(pnl: np.ndarray, var: np.ndarray, es: np.ndarray, confidence: int) -> float:
    """Acerbi and Szekely (2014), second test: sum(loss x exception / (N (1 - c) ES)) - 1. 0 is expected; positive:
    expected shortfall is under-stated."""
    if np.any(es <= 0):
        raise ValueError("expected shortfall: expected above 0 on every day")
    loss = -pnl.astype(np.float64)
    return float(np.sum(np.where(loss > var, loss / es, 0.0)) / (len(pnl) * (MICRO - confidence) / MICRO)) - 1.0


def _log_likelihood(misses: int, hits: int, probability: float) -> float:
    """ln[(1 - p)^misses p^hits] with 0 ln 0 = 0."""
    return float(xlogy(misses, 1.0 - probability) + xlogy(hits, probability))


def _ratio(null: float, alternative: float, degrees: int) -> LikelihoodRatio:
    statistic = max(0.0, 2.0 * (alternative - null))  # never below zero but by rounding
    return LikelihoodRatio(statistic, float(chdtrc(degrees, statistic)), degrees)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _multiplier(framework: str, exceptions: int, rules: Rules) -> int:
    add_on = rules.values(f"backtest.multiplier.{framework}.add_on")
    base = rules.value(f"backtest.multiplier.{framework}.base")
    return int((base + add_on[min(exceptions, len(add_on) - 1)]) * MICRO)


def _check(observations: int, exceptions: int) -> None:
    if observations < 1 or not 0 <= exceptions <= observations:
        raise ValueError(f"backtest: expected from 0 to {observations} exceptions, found {exceptions}")
