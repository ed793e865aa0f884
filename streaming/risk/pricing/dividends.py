"""Cash dividends as yields: the yield that takes the forward of each contract to the same place.

A European value is then exactly that of the escrowed model; an American one differs from finite differences only by
when between now and expiry the dividends go (docs/pricing.md gives the measure), and keeps the boundary method, which
serves every spot from one solution. Under a shock of the spot the dividends move with it.
"""

import numpy as np

from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.revalue import escrowed

MOST_PAID = 0.99
"""Share of the spot that dividends before expiry are worth at most."""


def equivalent_yield(contracts: Contracts, spot: np.ndarray) -> np.ndarray:
    """float64 per year, continuously compounded, by contract: -ln(1 - PV / S) / T.

    ``spot[underlying]``; PV is the value now of the contracts' cash dividends up to expiry (option_pricing.md 1). 0 for
    a contract without dividends, without life or without a spot.
    """
    present = escrowed(contracts)[0]
    spots = np.asarray(spot, np.float64)[contracts.underlying]
    paying = (present > 0.0) & (contracts.expiry > 0.0) & (spots > 0.0)
    share = np.minimum(np.divide(present, spots, out=np.zeros(len(contracts)), where=paying), MOST_PAID)
    return np.divide(-np.log1p(-share), contracts.expiry, out=np.zeros(len(contracts)), where=paying)
