"""Default risk charge of equity positions (MAR22): jump-to-default amounts, netting, hedge benefit."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from streaming.risk.capital.frtb_sensitivities import Revaluation, exact_product
from streaming.risk.capital.marking import marks, rates
from streaming.risk.capital.parameters import rates_ppm
from streaming.risk.explained import Explained
from streaming.risk.holdings import Holdings
from streaming.risk.market import PriceSet
from streaming.risk.money import MICRO, checked_sum, fraction, round_model
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules

RULE = "MAR22.24-26"
CORPORATES = "corporates"


@dataclass(frozen=True, slots=True)
class DefaultRows:
    """Gross jump-to-default amounts: the loss (positive) or gain (negative) if the obligor defaults, micros."""

    bucket: np.ndarray
    """Text: corporates, sovereigns, local governments."""
    obligor: np.ndarray
    quality: np.ndarray
    """Text: AAA to CCC, unrated, default; empty = unrated."""
    amount: np.ndarray
    years: np.ndarray
    """Remaining maturity; ``nan`` = cash equity, for which the firm's election counts."""


def equity_default_rows(
    holdings: Holdings, instruments: Instruments, prices: PriceSet, values: Revaluation, rules: Rules
) -> DefaultRows:
    """Jump-to-default amounts of stocks, funds and their options, one row per position that has a price.

    The obligor is the issuer of the underlying (its id where none is stated), unrated, in the bucket of corporates;
    an index or fund without look-through is one obligor. Positions without price are charged in full elsewhere.
    """
    kind, code = instruments.kind, holdings.instrument.astype(np.int64)
    option = kind[code] == Kind.OPTION
    marked, (_, convertible) = marks(instruments, prices), rates(instruments.currency, prices)
    lost = values.base - values.spot_zero
    known = np.where(
        option, np.isfinite(lost[code]) & (instruments.multiplier[code] > 0) & convertible[code], marked.priced[code]
    )
    rows = np.flatnonzero(known & ~np.isin(kind[code], (Kind.TREASURY, Kind.BOND, Kind.FUND)))
    code, option, quantity = code[rows], option[rows], holdings.quantity[rows]
    units = exact_product(quantity, instruments.multiplier[code], "units of a position")
    unit_loss = round_model(np.where(option, lost[code], 0.0))
    loss = fraction(exact_product(unit_loss, units, "jump-to-default amount"), marked.rate[code])
    value = np.where(option, loss, marked.value(code, quantity))
    name = np.where(option, instruments.underlying[code], code)
    issuer = np.where(instruments.issuer[name] == "", instruments.id[name], instruments.issuer[name])
    return DefaultRows(
        np.full(len(rows), CORPORATES, dtype=object),
        issuer,
        np.full(len(rows), "", dtype=object),
        jump_to_default(value, np.zeros_like(value), rules),
        np.full(len(rows), np.nan),
    )


def jump_to_default(value: np.ndarray, value_in_default: np.ndarray, rules: Rules) -> np.ndarray:
    """Loss on default, int64 micros: LGD x (value now - value with the underlying at zero); positive = long exposure.

    For stock the value in default is zero; for options it is the model value at spot zero (a long put gains).
    """
    return fraction(np.asarray(value) - np.asarray(value_in_default), rules.ppm("frtb.drc.loss_given_default"))


def default_risk_charge(rows: DefaultRows, rules: Rules) -> tuple[Explained, ...]:
    """One line per bucket; the charge is their sum, buckets do not diversify (MAR22.25).

    Amounts are scaled by maturity (at most one year), long and short of one obligor net, and

        charge = max(0, sum RW net long - HBR x sum RW |net short|)
        HBR    = sum net long / (sum net long + |sum net short|)
    """
    _check_qualities(rows, rules)
    scaled = fraction(rows.amount, _maturity_ppm(rows.years, rules))
    checked_sum(np.abs(scaled), "gross jump-to-default amounts")
    return tuple(
        _bucket_charge(str(bucket), rows, scaled, rows.bucket == bucket, rules)
        for bucket in sorted(set(rows.bucket.tolist()))
    )


def _bucket_charge(bucket: str, rows: DefaultRows, scaled: np.ndarray, select: np.ndarray, rules: Rules) -> Explained:
    obligors, which = np.unique(rows.obligor[select].astype(str), return_inverse=True)
    net = np.zeros(len(obligors), dtype=np.int64)
    np.add.at(net, which, scaled[select])
    weights = np.zeros(len(obligors), dtype=np.int64)
    np.maximum.at(weights, which, _weights_ppm(rows.quality[select], rules))  # an obligor's worst quality counts
    weighted = fraction(np.abs(net), weights)
    long, short = int(net[net > 0].sum()), -int(net[net < 0].sum())
    weighted_long, weighted_short = int(weighted[net > 0].sum()), int(weighted[net < 0].sum())
    benefit = Fraction(long, long + short) if long + short else Fraction(0)
    charge = max(Fraction(0), weighted_long - benefit * weighted_short)
    return Explained(
        int(charge + Fraction(1, 2)),  # not negative: half rounds away from zero
        RULE,
        f"default risk, {bucket}",
        inputs={
            "net long": long,
            "net short": short,
            "weighted long": weighted_long,
            "weighted short": weighted_short,
            "hedge benefit ppm": int(benefit * MICRO),
            "obligors": len(obligors),
            "evidence": rules.parameter("frtb.drc.weight").evidence,
        },
    )


def _weights_ppm(quality: np.ndarray, rules: Rules) -> np.ndarray:
    weights = rates_ppm("frtb.drc.weight", rules)
    return np.array([weights[text or "unrated"] for text in quality], dtype=np.int64)


def _check_qualities(rows: DefaultRows, rules: Rules) -> None:
    known = rules.table("frtb.drc.weight")
    unknown = sorted({str(text) for text in rows.quality if text and text not in known})
    if unknown:
        raise ValueError(f"credit quality: expected one of {', '.join(known)}, found {', '.join(unknown)}")


def _maturity_ppm(years: np.ndarray, rules: Rules) -> np.ndarray:
    """Maturity scaling in ppm: the firm's election for cash equity, otherwise between three months and a year."""
    choices = rules.values("frtb.drc.equity_maturity_choices")
    elected = rules.value("frtb.drc.equity_maturity")
    if elected not in choices:
        raise ValueError(f"frtb.drc.equity_maturity: expected one of {[str(c) for c in choices]}, found {elected}")
    chosen = np.where(np.isnan(years), float(elected), np.clip(years, float(min(choices)), float(max(choices))))
    return np.rint(chosen * MICRO).astype(np.int64)
