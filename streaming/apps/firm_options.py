"""Model values for the theoretical haircut on the firm's own options, at the ten points of 15c3-1a(b)(1).

The valuation application prices every instrument at the points of customers' portfolio margin; the broker-dealer's
points are its own, and only the few series that the house holds need them.
"""

from datetime import date

import numpy as np
import pyarrow as pa

from streaming.apps.valuation import dividend_yields, option_contracts, priceable
from streaming.engine.epochs import Epoch
from streaming.risk.capital.options_haircut import ScanTable
from streaming.risk.margin.groups import MarginGroups, Moves
from streaming.risk.margin.portfolio import MISSING_VALUE, scan_points
from streaming.risk.market import PriceSet
from streaming.risk.money import MICRO, round_model
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules

_EPOCH_DAY = date(1970, 1, 1)


def scan_table(
    house: np.ndarray,
    instruments: Instruments,
    market: PriceSet,
    groups: MarginGroups,
    rates: pa.Table,
    vol: np.ndarray,
    epoch: Epoch,
    rules: Rules,
) -> ScanTable:
    """The scan of the series in ``house`` (net quantity by instrument) and of everything that is no option.

    ``vol``: ppm per year by instrument, from the valuation. An option without a model value keeps MISSING_VALUE and is
    charged in full.
    """
    points = scan_points(instruments, rules, groups, Moves.BROKER_DEALER)
    factors = np.concatenate([np.ones((len(instruments), 1)), points], axis=1)
    spots = (market.price / MICRO)[:, None] * factors
    values = round_model(spots)
    values[(market.price <= 0) | (instruments.kind == Kind.OPTION)] = MISSING_VALUE
    options = priceable(instruments, market, (epoch.day - _EPOCH_DAY).days)
    options = options[(house[options] != 0) & (vol[options] > 0)]
    if len(options):
        paid = dividend_yields(rates, instruments, options, epoch.time, market.price)
        contracts = option_contracts(rates, instruments, options, epoch.time, paid)
        values[options] = round_model(revalue(contracts, spots, vol[options] / MICRO))
    return ScanTable(values[:, 1:], values[:, 0], groups)
