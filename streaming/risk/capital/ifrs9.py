"""Expected credit loss of margin loans and financing receivables (IFRS 9 5.5), with the CECL expedient beside it.

Amounts are int64 micros of the reporting currency, positive = exposure or loss. Model arithmetic is float64; each
exposure's loss is rounded once to micros, and every total and movement is an exact sum of those.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy.special import ndtri

from streaming.risk.capital.parameters import decimals
from streaming.risk.money import MICRO, fraction, round_model
from streaming.risk.rulebook import Rules

SCENARIOS = ("base", "up", "down")
LIQUIDITY = ("liquid", "less_liquid", "illiquid")
PERFORMING, DOUBTFUL, IMPAIRED = 1, 2, 3
"""Stages."""
STAGES = (PERFORMING, DOUBTFUL, IMPAIRED)
CONTRACTUAL, BEHAVIOURAL = "contractual", "behavioural"


class Trigger(IntEnum):
    """Why an exposure is in its stage; the first that applies, the worst first."""

    CREDIT_IMPAIRED = 0
    NEGATIVE_AFTER_CLOSE_OUT = 1
    CALL_UNMET_IMPAIRED = 2
    PAST_DUE_IMPAIRED = 3
    CALL_UNMET = 4
    PAST_DUE = 5
    RISK_INCREASE = 6
    NONE = 7


@dataclass(frozen=True, slots=True)
class MarginLoans:
    """Exposures, one row per client (or receivable)."""

    id: np.ndarray
    """Text, unique."""
    debit: np.ndarray
    accrued: np.ndarray
    undrawn: np.ndarray
    collateral: np.ndarray
    """Market value; a missing value is 0 and leaves the whole exposure uncovered."""
    daily_volatility: np.ndarray
    """Of the collateral, as a fraction; NaN = unknown: the collateral counts for nothing."""
    liquidity: np.ndarray
    """Index into ``LIQUIDITY``."""
    concentrated: np.ndarray
    annual_pd: np.ndarray
    """Probability of default within twelve months."""
    effective_rate: np.ndarray
    """Effective interest rate per year."""
    days_past_due: np.ndarray
    call_age: np.ndarray
    """Business days that the oldest margin call is unmet; 0 = none."""
    negative_after_close_out: np.ndarray
    credit_impaired: np.ndarray
    risk_increased: np.ndarray
    """A judgement of significant increase in risk besides the triggers."""

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Expected credit loss per exposure, in the order of the loans; amounts in micros."""

    id: np.ndarray
    stage: np.ndarray
    trigger: np.ndarray
    watch: np.ndarray
    """Collateral coverage under the watch level."""
    gross: np.ndarray
    """Exposure at default: debit + accrued + converted undrawn part."""
    loss: np.ndarray
    """The booked expected loss."""
    twelve_month: np.ndarray
    lifetime_contractual: np.ndarray
    """Life = notice period + close-out."""
    lifetime_behavioural: np.ndarray
    expedient: np.ndarray
    """CECL, ASC 326-20-35-6: exposure above the unshocked collateral."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Opening to closing by stage (rows ``STAGES``), micros. Transfers are at opening amounts.

    closing = opening + transfers in - transfers out + new - derecognised + remeasured, exactly.
    """

    opening: np.ndarray
    transfers: np.ndarray
    """[from stage, to stage]; the diagonal is zero."""
    new: np.ndarray
    derecognised: np.ndarray
    remeasured: np.ndarray
    closing: np.ndarray


def expected_losses(
    exposure: np.ndarray, loss_given_default: np.ndarray, conditional_pd: np.ndarray, rate: np.ndarray, periods: int = 1
) -> np.ndarray:
    """Discounted expected loss of each period, float64 [exposures, periods] (IFRS 9 5.5.17).

    survival(t-1) x conditional PD(t) x LGD x EAD(t) / (1 + EIR)^t, default at the end of the period. ``exposure`` and
    ``conditional_pd`` are [exposures, periods]; ``rate`` per year; ``periods`` a year: 1 annual, 12 monthly grid.
    """
    exposure, conditional_pd = np.atleast_2d(exposure), np.atleast_2d(conditional_pd)
    if exposure.shape != conditional_pd.shape:
        raise ValueError(f"expected as many exposures as probabilities, found {exposure.shape} {conditional_pd.shape}")
    if ((conditional_pd < 0) | (conditional_pd > 1)).any():
        raise ValueError("conditional probability of default: expected 0 to 1")
    rate = np.asarray(rate, dtype=np.float64)
    if (rate <= -1).any():
        raise ValueError("effective interest rate: expected above -100%")
    survival = np.cumprod(1 - conditional_pd, axis=1)
    survival = np.concatenate([np.ones((len(survival), 1)), survival[:, :-1]], axis=1)
    years = np.arange(1, exposure.shape[1] + 1) / periods
    discount = (1 + rate.reshape(-1, 1)) ** -years
    return survival * conditional_pd * np.reshape(loss_given_default, (-1, 1)) * exposure * discount


def shortfall(exposure, collateral, shock, liquidation_cost) -> tuple[np.ndarray, np.ndarray]:
    """Collateral after shock and cost, and what it leaves uncovered of the exposure; float64, units of the inputs."""
    left = np.asarray(collateral) * (1 - np.asarray(shock)) * (1 - np.asarray(liquidation_cost))
    return left, np.maximum(0.0, np.asarray(exposure) - left)


def margin_loan_loss(uncovered, pd, rate, years_to_default) -> np.ndarray:
    """PD x shortfall, discounted from the time of default."""
    return np.asarray(pd) * uncovered / (1 + np.asarray(rate)) ** np.asarray(years_to_default)


def collateral_shock(
    daily_volatility: np.ndarray, liquidity: np.ndarray, concentrated: np.ndarray, rules: Rules
) -> np.ndarray:
    """Fraction of value lost until close-out: 99% move over the days of the class, floored, at most 1.

    Concentrated collateral more; unknown volatility (NaN) loses everything.
    """
    quantile = float(ndtri(float(rules.value("ifrs9.collateral.quantile"))))
    move = quantile * daily_volatility * np.sqrt(_close_out_days(liquidity, rules))
    shock = np.maximum(move, float(rules.value("ifrs9.collateral.shock_floor")))
    shock = np.where(concentrated, shock * float(rules.value("ifrs9.collateral.concentration_factor")), shock)
    return np.where(np.isnan(shock), 1.0, np.minimum(shock, 1.0))


def stages(loans: MarginLoans, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Stage and :class:`Trigger` of each exposure (IFRS 9 5.5.3-11, B5.5.37, house triggers)."""
    age, past_due = loans.call_age, loans.days_past_due
    tests = {
        Trigger.CREDIT_IMPAIRED: loans.credit_impaired,
        Trigger.NEGATIVE_AFTER_CLOSE_OUT: loans.negative_after_close_out,
        Trigger.CALL_UNMET_IMPAIRED: age >= int(rules.value("ifrs9.call_age.stage3")),
        Trigger.PAST_DUE_IMPAIRED: past_due >= int(rules.value("ifrs9.past_due_days.stage3")),
        Trigger.CALL_UNMET: age > int(rules.value("ifrs9.call_age.stage2")),
        Trigger.PAST_DUE: past_due >= int(rules.value("ifrs9.past_due_days.stage2")),
        Trigger.RISK_INCREASE: loans.risk_increased,
    }
    trigger = np.select(list(tests.values()), list(tests), Trigger.NONE)
    stage = np.select([trigger <= Trigger.PAST_DUE_IMPAIRED, trigger < Trigger.NONE], [IMPAIRED, DOUBTFUL], PERFORMING)
    return stage, trigger


def allowances(loans: MarginLoans, rules: Rules) -> Allowance:
    """Expected credit loss of margin loans, probability-weighted over the scenarios (IFRS 9 5.5.17).

    The weighted sum of each scenario's loss, never the loss of an average scenario. Stage 1 books the twelve-month
    loss, stage 2 the life that ``ifrs9.margin_loan.stage2_life`` elects, stage 3 the shortfall in full.
    """
    stage, trigger = stages(loans, rules)
    gross = loans.debit + loans.accrued + fraction(loans.undrawn, rules.ppm("ifrs9.undrawn_conversion"))
    exposure = np.maximum(gross, 0) / MICRO
    collateral = np.where(np.isnan(loans.daily_volatility), 0, np.maximum(loans.collateral, 0)) / MICRO
    shock = collateral_shock(loans.daily_volatility, loans.liquidity, loans.concentrated, rules)
    cost = float(rules.value("ifrs9.collateral.liquidation_cost"))
    behavioural = float(rules.value("ifrs9.margin_loan.behavioural_years"))
    contractual = _contractual_years(loans.liquidity, rules)
    weights, pd_factor, shock_factor = (
        {name: float(value) for name, value in decimals(f"ifrs9.scenario.{topic}", rules).items()}
        for topic in ("weight", "pd_factor", "shock_factor")
    )
    weighted = {name: np.zeros(len(loans)) for name in ("twelve", "contractual", "behavioural", "impaired")}
    for scenario in SCENARIOS:
        shocked = np.minimum(shock * shock_factor[scenario], 1.0)
        _, uncovered = shortfall(exposure, collateral, shocked, cost)
        pd = _scaled_pd(loans.annual_pd, pd_factor[scenario])
        losses = {
            "twelve": margin_loan_loss(uncovered, pd, loans.effective_rate, 1.0),
            "contractual": margin_loan_loss(uncovered, _pd_over(pd, contractual), loans.effective_rate, contractual),
            "behavioural": _lifetime(uncovered, pd, loans.effective_rate, behavioural),
            "impaired": uncovered,
        }
        for name, loss in losses.items():
            weighted[name] += weights[scenario] * loss
    amounts = {name: round_model(values) for name, values in weighted.items()}
    elected = rules.parameter("ifrs9.margin_loan.stage2_life").value
    if elected not in (CONTRACTUAL, BEHAVIOURAL):
        raise ValueError(f"ifrs9.margin_loan.stage2_life: expected contractual or behavioural, found {elected!r}")
    booked = np.select(
        [stage == PERFORMING, stage == DOUBTFUL], [amounts["twelve"], amounts[str(elected)]], amounts["impaired"]
    )
    watch = (loans.collateral < fraction(gross, rules.ppm("ifrs9.watch_coverage"))) & (gross > 0)
    expedient = np.maximum(0, gross - np.maximum(loans.collateral, 0))
    return Allowance(
        loans.id,
        stage,
        trigger,
        watch,
        gross,
        booked,
        amounts["twelve"],
        amounts["contractual"],
        amounts["behavioural"],
        expedient,
    )


def interest_revenue(allowance: Allowance, effective_rate: np.ndarray, days: int, rules: Rules) -> np.ndarray:
    """Interest revenue over ``days``, micros: on the gross amount, in stage 3 on the net of the loss (IFRS 9 5.4.1)."""
    basis = np.where(allowance.stage == IMPAIRED, np.maximum(allowance.gross - allowance.loss, 0), allowance.gross)
    return round_model(basis / MICRO * effective_rate * days / float(rules.value("ifrs9.days_in_year")))


def movement(opening: Allowance, closing: Allowance, column: str) -> Movement:
    """Movement of ``column`` (``gross`` or ``loss``) between two days, by stage; exposures are matched by id."""
    before, after = (_unique(side) for side in (opening, closing))
    common, old, now = np.intersect1d(before, after, return_indices=True)
    was, amount_was = opening.stage[old], getattr(opening, column)[old]
    is_now, amount_now = closing.stage[now], getattr(closing, column)[now]
    transfers = np.zeros((len(STAGES), len(STAGES)), dtype=np.int64)
    moved = was != is_now
    np.add.at(transfers, (was[moved] - 1, is_now[moved] - 1), amount_was[moved])
    return Movement(
        _by_stage(opening.stage, getattr(opening, column)),
        transfers,
        _by_stage(closing.stage, np.where(np.isin(after, common), 0, getattr(closing, column))),
        _by_stage(opening.stage, np.where(np.isin(before, common), 0, getattr(opening, column))),
        _by_stage(is_now, amount_now - amount_was),
        _by_stage(closing.stage, getattr(closing, column)),
    )


def by_stage(allowance: Allowance) -> dict[str, np.ndarray]:
    """Exposures, gross, loss and coverage (loss per gross, ppm; 0 without exposure) of each of ``STAGES``."""
    gross, loss = _by_stage(allowance.stage, allowance.gross), _by_stage(allowance.stage, allowance.loss)
    coverage = [int(part) * MICRO // int(whole) if whole else 0 for part, whole in zip(loss, gross)]
    count = _by_stage(allowance.stage, np.ones(len(allowance.id), dtype=np.int64))
    return {"exposures": count, "gross": gross, "loss": loss, "coverage": np.array(coverage, dtype=np.int64)}


def largest(allowance: Allowance, count: int) -> np.ndarray:
    """Row numbers of the largest losses, ties by gross and id."""
    return np.lexsort((allowance.id.astype(str), -allowance.gross, -allowance.loss))[:count]


def _lifetime(uncovered: np.ndarray, pd: np.ndarray, rate: np.ndarray, years: float) -> np.ndarray:
    """Loss over whole years of constant conditional PD and shortfall."""
    whole = int(np.ceil(years))
    table = np.repeat(uncovered[:, None], whole, axis=1)
    return expected_losses(table, np.ones(len(pd)), np.repeat(pd[:, None], whole, axis=1), rate).sum(1)


def _pd_over(annual: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Probability of default within part of a year at a constant hazard."""
    return 1 - (1 - annual) ** years


def _contractual_years(liquidity: np.ndarray, rules: Rules) -> np.ndarray:
    return (_close_out_days(liquidity, rules) + float(rules.value("ifrs9.margin_loan.notice_days"))) / float(
        rules.value("ifrs9.business_days")
    )


def _close_out_days(liquidity: np.ndarray, rules: Rules) -> np.ndarray:
    days = decimals("ifrs9.collateral.close_out_days", rules)
    return np.array([float(days[name]) for name in LIQUIDITY])[liquidity]


def _scaled_pd(annual: np.ndarray, factor: float) -> np.ndarray:
    """A scenario's probability of default; a missing one is charged as certain in every scenario."""
    return np.where(np.isnan(annual), 1.0, np.clip(annual * factor, 0.0, 1.0))


def _unique(allowance: Allowance) -> np.ndarray:
    ids = allowance.id.astype(str)
    if len(np.unique(ids)) != len(ids):
        raise ValueError("exposures: expected unique ids")
    return ids


def _by_stage(stage: np.ndarray, amount: np.ndarray) -> np.ndarray:
    totals = np.zeros(len(STAGES), dtype=np.int64)
    np.add.at(totals, stage - 1, amount)
    return totals
