"""Counterparty exposure of equity options, standardised approach (SA-CCR, CRE52).

Model arithmetic in float64 currency units; the exposure is rounded once to micros by :attr:`Exposure.micros`.
"""

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
from scipy.special import ndtr

from streaming.risk.capital.frtb_sensitivities import DAY_MICROSECONDS, DAYS_PER_YEAR
from streaming.risk.capital.parameters import decimals
from streaming.risk.holdings import Holdings
from streaming.risk.market import PriceSet, PriceStatus
from streaming.risk.money import MICRO, round_model
from streaming.risk.reference import Instruments, Kind, Right, UnderlyingClass
from streaming.risk.rulebook import Rules

SINGLE_NAME, INDEX = "single_name", "index"
INDEX_CLASSES = (UnderlyingClass.NARROW_INDEX, UnderlyingClass.BROAD_INDEX, UnderlyingClass.BROAD_INDEX_HIGH_CAP)


@dataclass(frozen=True, slots=True)
class OptionTrades:
    """Options of one netting set, one row each."""

    entity: np.ndarray
    """Text: the issuer or index."""
    index: np.ndarray
    """True for an index."""
    call: np.ndarray
    units: np.ndarray
    """Signed units of the underlying: contracts x multiplier, bought positive."""
    price: np.ndarray
    """Of the underlying, currency units."""
    strike: np.ndarray
    years: np.ndarray
    """To the latest exercise date."""


@dataclass(frozen=True, slots=True)
class MarginAgreement:
    """Terms of a margined netting set, currency units; ``period`` is the margin period of risk in years."""

    threshold: float
    minimum_transfer: float
    independent_amount: float
    """Net independent collateral amount (NICA)."""
    period: float


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposure at default of a netting set and its parts, currency units."""

    replacement_cost: float
    add_on: float
    multiplier: float
    exposure: float

    @property
    def micros(self) -> int:
        """Exposure at default, rounded once."""
        return int(round_model(self.exposure))


def option_trades(holdings: Holdings, instruments: Instruments, prices: PriceSet) -> tuple[OptionTrades, np.ndarray]:
    """The options among a netting set's holdings, and the codes of those that lack something.

    The entity is the issuer of the underlying, or its id; an underlying without price is taken at the strike, a missing
    multiplier as one, and both are named. Prices and strikes must be in the currency of the value and collateral.
    """
    code = holdings.instrument.astype(np.int64)
    rows = np.flatnonzero(instruments.kind[code] == Kind.OPTION)
    code = code[rows]
    under = instruments.underlying[code]
    unpriced = prices.status[under] == PriceStatus.MISSING
    incomplete = unpriced | (instruments.multiplier[code] <= 0)
    days = instruments.expiry[code] - prices.time // DAY_MICROSECONDS
    trades = OptionTrades(
        entity=np.where(instruments.issuer[under] == "", instruments.id[under], instruments.issuer[under]),
        index=np.isin(instruments.underlying_class[under], INDEX_CLASSES),
        call=instruments.right[code] == Right.CALL,
        units=holdings.quantity[rows] * np.maximum(instruments.multiplier[code], 1),
        price=np.where(unpriced, instruments.strike[code], prices.price[under]) / MICRO,
        strike=instruments.strike[code] / MICRO,
        years=np.maximum(days, 0) / DAYS_PER_YEAR,
    )
    return trades, np.unique(code[incomplete])


def supervisory_delta(
    call: np.ndarray,
    bought: np.ndarray,
    price: np.ndarray,
    strike: np.ndarray,
    years: np.ndarray,
    volatility: np.ndarray,
) -> np.ndarray:
    """Delta in the primary risk driver: -1 to 1, negative for sold calls and bought puts (CRE52.40).

    d1 = (ln(P / K) + vol^2 T / 2) / (vol sqrt(T)). At expiry, and for a price or strike of zero, its limit.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = volatility * np.sqrt(np.maximum(years, 0.0))
        moneyness = np.log(np.asarray(price, dtype=np.float64) / strike)
        d1 = np.where(spread > 0, moneyness / spread + spread / 2, np.sign(moneyness) * np.inf)
    d1 = np.nan_to_num(d1, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.where(bought, 1.0, -1.0) * np.where(call, ndtr(d1), -ndtr(-d1))


def maturity_factor(years: np.ndarray, rules: Rules, agreement: MarginAgreement | None = None) -> np.ndarray:
    """sqrt(min(M, 1 year)), M at least ten business days; margined: 1.5 sqrt(margin period) (CRE52.48-52)."""
    years = np.asarray(years, dtype=np.float64)
    if agreement is not None:
        return np.full(years.shape, float(rules.value("basel.saccr.margined_factor")) * sqrt(agreement.period))
    floor = float(rules.value("basel.saccr.maturity_floor_days") / rules.value("basel.saccr.business_days"))
    return np.sqrt(np.minimum(np.maximum(years, floor), 1.0))


def equity_add_on(trades: OptionTrades, rules: Rules, agreement: MarginAgreement | None = None) -> float:
    """Add-on of the equity class: sqrt((sum rho A)^2 + sum (1 - rho^2) A^2) over entities (CRE52.65-66)."""
    volatility = _supervisory("basel.saccr.volatility", trades.index, rules)
    delta = supervisory_delta(trades.call, trades.units > 0, trades.price, trades.strike, trades.years, volatility)
    notional = effective_notional(delta, trades.price, trades.units, maturity_factor(trades.years, rules, agreement))
    entities, first, which = np.unique(trades.entity.astype(str), return_index=True, return_inverse=True)
    per_entity = np.zeros(len(entities))
    order = np.lexsort((notional, which))  # a fixed order of the float sums
    np.add.at(per_entity, which[order], notional[order])
    kind = trades.index[first]
    return combined_add_on(
        per_entity * _supervisory("basel.saccr.supervisory_factor", kind, rules),
        _supervisory("basel.saccr.correlation", kind, rules),
    )


def effective_notional(delta, price, units, factor) -> np.ndarray:
    """Delta x price x units x maturity factor; the sign is the delta's (CRE52.36)."""
    return delta * price * np.abs(units) * factor


def combined_add_on(entity_add_on: np.ndarray, correlation: np.ndarray) -> float:
    """Systematic and idiosyncratic parts of the entities' add-ons together (CRE52.66)."""
    systematic = float((correlation * entity_add_on).sum())
    return sqrt(systematic**2 + float(((1 - correlation**2) * entity_add_on**2).sum()))


def exposure_at_default(
    value: float, collateral: float, add_on: float, rules: Rules, agreement: MarginAgreement | None = None
) -> Exposure:
    """Exposure at default of a netting set (CRE52.1, 52.10, 52.18, 52.23).

    ``value`` is its market value to the firm, ``collateral`` the net collateral held after haircuts, currency units.
    """
    cost = max(value - collateral, 0.0)
    if agreement is not None:
        uncollateralised = agreement.threshold + agreement.minimum_transfer - agreement.independent_amount
        cost = max(cost, uncollateralised, 0.0)
    floor = float(rules.value("basel.saccr.multiplier_floor"))
    multiplier = 1.0
    if add_on > 0:
        room = 1 - floor
        multiplier = min(1.0, floor + room * exp(min((value - collateral) / (2 * room * add_on), 0.0)))
    return Exposure(cost, add_on, multiplier, float(rules.value("basel.saccr.alpha")) * (cost + multiplier * add_on))


def option_exposure(
    trades: OptionTrades, value: float, collateral: float, rules: Rules, agreement: MarginAgreement | None = None
) -> Exposure:
    """Exposure at default of a netting set of equity options; listed and bilateral alike."""
    return exposure_at_default(value, collateral, equity_add_on(trades, rules, agreement), rules, agreement)


def _supervisory(parameter: str, index: np.ndarray, rules: Rules) -> np.ndarray:
    table = decimals(parameter, rules)
    return np.where(index, float(table[INDEX]), float(table[SINGLE_NAME]))
