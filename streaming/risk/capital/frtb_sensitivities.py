"""From holdings and shocked model values to equity sensitivities (MAR21.1-21.5, MAR21.20-26).

Model values are per unit of the underlying; a sensitivity per unit is rounded once to micros, from there quantity,
multiplier and currency conversion are exact. A position without price, multiplier or model value has no sensitivity:
it is charged in full at its last known value, and listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from streaming.risk.capital.frtb import EquityFactor, allocate_tenor
from streaming.risk.capital.frtb_buckets import NO_BUCKET, Assignment, Buckets, equity_buckets, spot_weights
from streaming.risk.capital.marking import Marks, marks, rates
from streaming.risk.holdings import Holdings
from streaming.risk.market import PriceSet
from streaming.risk.money import LIMIT, MoneyOverflowError, fraction, round_model
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules

DAYS_PER_YEAR = 365
"""Day count of option maturities."""
DAY_MICROSECONDS = 86_400_000_000
UP, DOWN = 0, 1
"""Columns of curvature."""


@dataclass(frozen=True, slots=True)
class FactorRows:
    """Gross sensitivities, one row per source: bucket, risk-factor name, factor of the name, amount."""

    bucket: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    name: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    factor: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    amount: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """int64 micros of the reporting currency, signed."""

    def __len__(self) -> int:
        return len(self.bucket)


@dataclass(frozen=True, slots=True)
class Revaluation:
    """Model values by instrument code, float64 currency units per unit of the underlying; only options are read.

    NaN where the model gave none. ``weight_up`` and ``weight_down`` are at spot x (1 +/- weight of the bucket, see
    ``frtb_buckets.spot_weights``), volatility unchanged; ``vol_up`` one point of volatility higher.
    """

    base: np.ndarray
    spot_up: np.ndarray
    """At spot x 1.01."""
    weight_up: np.ndarray
    weight_down: np.ndarray
    spot_zero: np.ndarray
    """With a worthless underlying: what is left in its default."""
    vol_up: np.ndarray
    vol: np.ndarray
    """Implied volatility per year, as a fraction."""


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Instruments that did not go the normal way, sorted by code, with the reason and what is charged for them."""

    instrument: np.ndarray
    reason: np.ndarray
    """Text."""
    charge: np.ndarray
    """int64 micros of the reporting currency outside the sensitivities (0 where the bucket already is the charge)."""


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """What the sensitivities-based method starts from."""

    delta: FactorRows
    """Factor: ``frtb.EquityFactor``."""
    vega: FactorRows
    """Factor: number of the option maturity in ``frtb.vega.tenors``."""
    curvature: FactorRows
    """Factor: ``UP``, ``DOWN``; positive = loss."""
    exceptions: Exceptions


@dataclass(frozen=True, slots=True)
class OptionSensitivities:
    """Per unit of the underlying, currency units."""

    delta: np.ndarray
    vega: np.ndarray
    cvr_up: np.ndarray
    cvr_down: np.ndarray


def option_sensitivities(values: Revaluation, weight: np.ndarray, rules: Rules) -> OptionSensitivities:
    """Delta, vega and curvature of options from shocked values (MAR21.21, 21.25, 21.5(2)); a loss is positive.

    delta = (V(1.01 S) - V) / 0.01; vega = vol x (V(vol + 0.01) - V) / 0.01;
    CVR up = -(V(S (1 + RW)) - V - RW delta), CVR down = -(V(S (1 - RW)) - V + RW delta).
    """
    delta = (values.spot_up - values.base) / float(rules.value("frtb.delta.bump"))
    vega = values.vol * (values.vol_up - values.base) / float(rules.value("frtb.vega.bump"))
    return OptionSensitivities(
        delta,
        vega,
        -(values.weight_up - values.base - weight * delta),
        -(values.weight_down - values.base + weight * delta),
    )


def revaluation(
    contracts: Contracts,
    codes: np.ndarray,
    instruments: int,
    spot: np.ndarray,
    vol: np.ndarray,
    weight: np.ndarray,
    rules: Rules,
) -> Revaluation:
    """Revalue option contracts in full at the shocks that sensitivities and default risk need, in one call.

    ``codes`` is the instrument code of each contract, ``instruments`` their number (the others get NaN); ``spot`` and
    ``weight`` (risk weight of the bucket) are by row of underlying, ``vol`` by contract.
    """
    bump, point = 1 + float(rules.value("frtb.delta.bump")), float(rules.value("frtb.vega.bump"))
    ones = np.ones(len(spot))
    moves = np.stack([ones, ones * bump, 1 + weight, 1 - weight, 0 * ones, ones], axis=1)
    vols = np.stack([vol] * 5 + [vol + point], axis=1)
    table = np.full((instruments, moves.shape[1] + 1), np.nan)
    table[codes, :-1] = revalue(contracts, spot[:, None] * moves, vols)
    table[codes, -1] = vol
    return Revaluation(*table.T)


def equity_sensitivities(
    holdings: Holdings,
    instruments: Instruments,
    prices: PriceSet,
    values: Revaluation,
    rules: Rules,
    *,
    buckets: Buckets | None = None,
) -> Sensitivities:
    """Delta, vega and curvature rows of the holdings' equity positions, in the reporting currency.

    ``buckets`` default to :func:`equity_buckets`. Debt and money-market funds give no row. A stock's delta is its
    market value; an option's risk factor is its underlying. A stale price is used.
    """
    buckets = equity_buckets(instruments, rules) if buckets is None else buckets
    rows = np.flatnonzero(buckets.bucket[holdings.instrument] != NO_BUCKET)
    code = holdings.instrument[rows].astype(np.int64)
    option = instruments.kind[code] == Kind.OPTION
    unit = option_sensitivities(values, spot_weights(buckets, rules), rules)
    modelled = np.isfinite(unit.delta + unit.vega + unit.cvr_up + unit.cvr_down)
    marked, (rate, convertible) = marks(instruments, prices), rates(instruments.currency, prices)
    reason = np.select(
        [instruments.multiplier[code] <= 0, ~convertible[code], ~np.where(option, modelled[code], marked.priced[code])],
        ["no multiplier", "no conversion rate", "no price"],
        "",
    )
    charge = full_charge(holdings, rows, instruments, marked, rules)
    good = reason == ""
    rows, code, option = rows[good], code[good], option[good]
    units = exact_product(holdings.quantity[rows], instruments.multiplier[code], "units of a position")

    def amounts(per_unit: np.ndarray, select: np.ndarray) -> np.ndarray:
        """Per-unit model values of the selected positions, rounded once, as position amounts."""
        rounded = round_model(per_unit[code[select]])
        return fraction(exact_product(rounded, units[select], "sensitivity of a position"), rate[code[select]])

    stock = ~option
    linear = marked.value(code[stock], holdings.quantity[rows[stock]])
    delta_codes = np.concatenate([code[stock], code[option]])
    delta = _rows(buckets, delta_codes, EquityFactor.SPOT, np.concatenate([linear, amounts(unit.delta, option)]))

    day = prices.time // DAY_MICROSECONDS
    years = np.maximum(instruments.expiry[code[option]] - day, 0) / DAYS_PER_YEAR
    tenor, part = allocate_tenor(years, amounts(unit.vega, option), "frtb.vega.tenors", rules)
    vega = _rows(buckets, np.repeat(code[option], tenor.shape[1]), tenor.ravel(), part.ravel())
    up, down = amounts(unit.cvr_up, option), amounts(unit.cvr_down, option)
    curvature = _rows(
        buckets,
        np.concatenate([code[option], code[option]]),
        np.repeat([UP, DOWN], len(up)),
        np.concatenate([up, down]),
    )
    exceptions = _exceptions(holdings, buckets, reason, charge)
    return Sensitivities(delta, vega, curvature, exceptions)


def merge(parts: Sequence[Sensitivities]) -> Sensitivities:
    """The sensitivities of several shards together; netting makes the order irrelevant."""

    def rows(measure: str) -> FactorRows:
        tables = [getattr(part, measure) for part in parts]
        return FactorRows(*(np.concatenate([getattr(t, column.name) for t in tables]) for column in fields(FactorRows)))

    found = [part.exceptions for part in parts]
    instrument, reason, charge = (
        np.concatenate([getattr(item, column.name) for item in found]) for column in fields(Exceptions)
    )
    return Sensitivities(rows("delta"), rows("vega"), rows("curvature"), listed(instrument, reason, charge))


REASONS = {
    Assignment.NO_SECTOR: "no sector: bucket 11",
    Assignment.NO_CAPITALISATION: "no market capitalisation: bucket 11",
    Assignment.NO_ECONOMY: "no economy: bucket 11",
    Assignment.NO_LOOK_THROUGH: "fund without qualifying index or look-through: bucket 11",
}


def _exceptions(holdings: Holdings, buckets: Buckets, reason: np.ndarray, charge: np.ndarray) -> Exceptions:
    """Unpriced positions with their charge, and held instruments in bucket 11 for want of reference data."""
    equity = buckets.bucket[holdings.instrument] != NO_BUCKET
    code = holdings.instrument[equity].astype(np.int64)
    unpriced = reason != ""
    assigned = np.unique(code[(buckets.reason[code] != Assignment.RULE) & ~unpriced])
    texts = [REASONS[Assignment(item)] for item in buckets.reason[assigned].tolist()]
    return listed(
        np.concatenate([code[unpriced], assigned]),
        np.concatenate([reason[unpriced].astype(object), np.array(texts, dtype=object)]),
        np.concatenate([charge[unpriced], np.zeros(len(assigned), dtype=np.int64)]),
    )


def listed(instrument: np.ndarray, reason: np.ndarray, charge: np.ndarray) -> Exceptions:
    """One row per instrument and reason, sorted, charges added."""
    totals: dict[tuple[int, str], int] = {}
    for key, amount in zip(zip(instrument.tolist(), reason.tolist()), charge.tolist()):
        totals[key] = totals.get(key, 0) + amount
    keys = sorted(totals)
    return Exceptions(
        np.array([code for code, _ in keys], dtype=np.int64),
        np.array([text for _, text in keys], dtype=object),
        np.array([totals[key] for key in keys], dtype=np.int64),
    )


def full_charge(
    holdings: Holdings, rows: np.ndarray, instruments: Instruments, marked: Marks, rules: Rules
) -> np.ndarray:
    """The greatest of last known value, cost basis and, for written options, strike value; times the house fraction."""
    code, quantity, cost = holdings.instrument[rows].astype(np.int64), holdings.quantity[rows], holdings.cost[rows]
    value = np.maximum(np.abs(marked.value(code, quantity, cost)), fraction(np.abs(cost), marked.rate[code]))
    written = (instruments.kind[code] == Kind.OPTION) & (quantity < 0)
    units = exact_product(np.abs(quantity), np.maximum(instruments.multiplier[code], 1), "units of a position")
    strikes = np.where(written, exact_product(units, instruments.strike[code], "strike value"), 0)
    return fraction(np.maximum(value, fraction(strikes, marked.rate[code])), rules.ppm("frtb.unpriced_charge"))


def exact_product(a: np.ndarray, b: np.ndarray, what: str) -> np.ndarray:
    """Exact int64 product, or a named overflow."""
    a, b = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    if not np.all(np.abs(a.astype(np.float64) * b.astype(np.float64)) < float(LIMIT)):
        raise MoneyOverflowError(f"{what}: leaves the range of 9e12 currency units")
    return a * b


def _rows(buckets: Buckets, code: np.ndarray, factor, amount: np.ndarray) -> FactorRows:
    factor = np.broadcast_to(np.asarray(factor, dtype=np.int64), code.shape)
    return FactorRows(buckets.bucket[code].astype(np.int64), buckets.name[code].astype(np.int64), factor, amount)
