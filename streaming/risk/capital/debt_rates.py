"""Interest-rate sensitivities of debt held, for the delta charge (MAR21.8, MAR21.19)."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from streaming.risk.capital.frtb import allocate_tenor
from streaming.risk.capital.frtb_sensitivities import (
    DAY_MICROSECONDS,
    DAYS_PER_YEAR,
    Exceptions,
    exact_product,
    full_charge,
    listed,
)
from streaming.risk.capital.marking import marks
from streaming.risk.holdings import Holdings
from streaming.risk.market import PriceSet
from streaming.risk.money import MICRO, fraction, round_model
from streaming.risk.reference import NO_DATE, Instruments, Kind
from streaming.risk.rulebook import Rules

YIELD_BRACKET = (-0.9, 10.0)
"""Continuous yields between which a price's yield is sought."""


@dataclass(frozen=True, slots=True)
class RateRows:
    """Inputs of ``frtb_rates_fx.rate_delta``, and what could not be computed."""

    currency: np.ndarray
    curve: np.ndarray
    """Text: the kind of debt, one curve each for government and other."""
    tenor: np.ndarray
    amount: np.ndarray
    """int64 micros of the reporting currency per unit of rate."""
    exceptions: Exceptions
    """Debt without price or maturity, or with a price that no yield explains: charged in full."""


def debt_rate_rows(holdings: Holdings, instruments: Instruments, prices: PriceSet, rules: Rules) -> RateRows:
    """Value change for one basis point up, divided by 0.0001, of each debt position, by tenor.

    Cash flows are discounted at the instrument's own continuous yield, found from its price; each flow's sensitivity
    goes to the two neighbouring tenors.
    """
    kind = instruments.kind[holdings.instrument]
    rows = np.flatnonzero(np.isin(kind, (Kind.TREASURY, Kind.BOND)))
    marked, day = marks(instruments, prices), prices.time // DAY_MICROSECONDS
    unit: dict[int, np.ndarray] = {}
    for code in np.unique(holdings.instrument[rows]).tolist():
        years = (int(instruments.expiry[code]) - day) / DAYS_PER_YEAR
        known = marked.priced[code] and instruments.expiry[code] != NO_DATE and years > 0
        price, coupon = int(prices.price[code]) / MICRO, int(instruments.coupon[code]) / MICRO
        sensitivity = unit_rate_sensitivity(price, coupon, years, rules) if known else None
        if sensitivity is not None:
            unit[code] = round_model(sensitivity)
    good = np.isin(holdings.instrument[rows], list(unit))
    lost, rows = rows[~good], rows[good]
    exceptions = listed(
        holdings.instrument[lost],
        np.full(len(lost), "no price, maturity or yield", dtype=object),
        full_charge(holdings, lost, instruments, marked, rules),
    )
    codes = holdings.instrument[rows].astype(np.int64)
    tenors = len(rules.values("frtb.girr.tenors"))
    table = np.array([unit[code] for code in codes.tolist()], dtype=np.int64).reshape(-1, tenors)
    units = exact_product(holdings.quantity[rows], instruments.multiplier[codes], "units of a position")
    amount = fraction(exact_product(table, units[:, None], "rate sensitivity"), marked.rate[codes][:, None])
    government = instruments.kind[codes] == Kind.TREASURY
    return RateRows(
        np.repeat(instruments.currency[codes], tenors),
        np.repeat(np.where(government, "government", "other"), tenors),
        np.tile(np.arange(tenors), len(rows)),
        amount.ravel(),
        exceptions,
    )


def unit_rate_sensitivity(price: float, coupon: float, years: float, rules: Rules) -> np.ndarray | None:
    """Sensitivity per unit of face value and of rate, by tenor; None where no yield explains the price.

    ``price`` and yearly ``coupon`` as fractions of face value; coupons run back from maturity.
    """
    shift, frequency = float(rules.value("frtb.girr.bump")), int(rules.value("frtb.girr.coupons_per_year"))
    count = int(np.ceil(years * frequency)) if coupon else 1
    times = years - np.arange(count) / frequency
    flows = np.full(count, coupon / frequency)
    flows[0] += 1.0

    def excess(rate: float) -> float:
        return float((flows * np.exp(-rate * times)).sum()) - price

    low, high = YIELD_BRACKET
    if not excess(low) > 0 > excess(high):
        return None
    values = flows * np.exp(-brentq(excess, low, high) * times)
    change = values * np.expm1(-shift * times) / shift
    tenor, part = allocate_tenor(times, change, "frtb.girr.tenors", rules)
    by_tenor = np.zeros(len(rules.values("frtb.girr.tenors")))
    np.add.at(by_tenor, tenor, part)
    return by_tenor
