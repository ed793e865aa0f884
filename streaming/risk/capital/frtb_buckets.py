"""Which equity bucket of the Basel market-risk standard an instrument belongs to (MAR21.72-76)."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from streaming.risk.capital.parameters import texts
from streaming.risk.reference import Instruments, Kind, UnderlyingClass
from streaming.risk.rulebook import Rules

SECTORS_PER_BLOCK = 4
"""Large names: four sector groups of emerging economies (buckets 1-4), then of advanced economies (5-8)."""
SMALL_EMERGING, SMALL_ADVANCED = 9, 10
LARGE_ADVANCED_INDEX, OTHER_INDEX = 12, 13
NO_BUCKET = 0
"""Not an equity risk factor (debt, money-market fund)."""


class Assignment(IntEnum):
    """Why an instrument has its bucket; everything above ``RULE`` is an exception to list."""

    RULE = 0
    NO_SECTOR = 1
    NO_CAPITALISATION = 2
    NO_ECONOMY = 3
    NO_LOOK_THROUGH = 4
    """A fund without qualifying index: leveraged, or of unknown constituents."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Bucket, risk-factor name and reason by instrument code. An option has those of its underlying."""

    bucket: np.ndarray
    name: np.ndarray
    """Instrument code of the risk factor."""
    reason: np.ndarray
    """:class:`Assignment`."""


def equity_buckets(instruments: Instruments, rules: Rules, advanced: np.ndarray | None = None) -> Buckets:
    """Assign every instrument its bucket; a missing sector, capitalisation or economy gives bucket 11.

    ``advanced`` may state per instrument 1 = advanced economy, 0 = emerging, -1 = unknown; without it the country is
    the first two letters of the ISIN. ``market_cap`` is in whole US dollars. A fund or index of class broad index with
    high capitalisation is bucket 12, another index bucket 13; any other fund has no look-through: bucket 11.
    """
    other = int(rules.value("frtb.equity.other_bucket"))
    if advanced is None:
        advanced = _economy(instruments.isin, rules)
    groups = rules.table("frtb.equity.sector_group")
    sector, code = np.unique(
        np.array([str(text or "").strip().lower() for text in instruments.sector]), return_inverse=True
    )
    group = np.array([int(str(groups.get(text, 0))) for text in sector.tolist()], dtype=np.int64)[code]
    capitalisation = instruments.market_cap.astype(np.int64)
    large = capitalisation >= int(rules.value("frtb.equity.large_cap"))
    reason = np.select(
        [group == 0, capitalisation < 0, advanced < 0],
        [Assignment.NO_SECTOR, Assignment.NO_CAPITALISATION, Assignment.NO_ECONOMY],
        Assignment.RULE,
    )
    small = np.where(advanced > 0, SMALL_ADVANCED, SMALL_EMERGING)
    stock = np.where(large, group + np.where(advanced > 0, SECTORS_PER_BLOCK, 0), small)
    bucket = np.where(reason == Assignment.RULE, stock, other)

    kind, index_class = instruments.kind, instruments.underlying_class
    pooled = np.isin(kind, (Kind.ETF, Kind.INDEX))
    index = np.select(
        [
            index_class == UnderlyingClass.BROAD_INDEX_HIGH_CAP,
            np.isin(index_class, (UnderlyingClass.BROAD_INDEX, UnderlyingClass.NARROW_INDEX)),
        ],
        [LARGE_ADVANCED_INDEX, OTHER_INDEX],
        other,
    )
    bucket = np.where(pooled, index, bucket)
    reason = np.where(pooled, np.where(index == other, Assignment.NO_LOOK_THROUGH, Assignment.RULE), reason)
    no_equity = np.isin(kind, (Kind.TREASURY, Kind.BOND, Kind.FUND))
    bucket, reason = np.where(no_equity, NO_BUCKET, bucket), np.where(no_equity, Assignment.RULE, reason)

    name = np.where(kind == Kind.OPTION, instruments.underlying, np.arange(len(instruments)))
    return Buckets(bucket[name], name, reason[name])


def spot_weights(buckets: Buckets, rules: Rules) -> np.ndarray:
    """Delta risk weight of each instrument's bucket, the spot shock of curvature; 0 without bucket (MAR21.98)."""
    weights = np.array([0.0, *(float(value) for value in rules.values("frtb.equity.delta_weight"))])
    return weights[buckets.bucket]


def _economy(isin: np.ndarray, rules: Rules) -> np.ndarray:
    """1 advanced, 0 emerging, -1 unknown, from the country of the ISIN (MAR21.74)."""
    advanced = set(texts("frtb.equity.advanced_economies", rules))
    country = [str(text or "")[:2] for text in isin]
    return np.array([-1 if len(item) < 2 else int(item in advanced) for item in country], dtype=np.int64)
