"""Revaluation: every instrument of one price set under many scenarios, with what the scenarios had to assume."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import PriceSet
from streaming.risk.money import round_model
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios.library import Scenario
from streaming.risk.scenarios.mapping import Market, ShockTable, shock_table
from streaming.risk.var.history import PriceHistory

VIX = "VIX"
VIX_PROXY = "today's VIX is a proxy: the index's realised volatility"
TRADING_DAYS = 252
_EWMA_DECAY = 0.94
"""RiskMetrics (1996), daily."""
_EWMA_DAYS = 2 * TRADING_DAYS


@dataclass(frozen=True, slots=True)
class Pricing:
    """What every revaluation of one price set shares."""

    instruments: Instruments
    market: PriceSet
    day: int
    """Business date, days since 1970-01-01."""
    options: np.ndarray
    """Codes of the options that have a model; the rows of ``contracts``."""
    contracts: Contracts
    vol: np.ndarray
    """int64 ppm per year by code."""
    realised: np.ndarray
    """float64 per year by code: EWMA volatility of the closes; NaN where there are none."""
    history: PriceHistory | None
    rules: Rules

    @property
    def index(self) -> int:
        """Code of the market index, -1 without one."""
        return market_index(self.instruments)

    def today(self) -> tuple[Market, str]:
        """The market that scenarios are compared with, and what had to be assumed about it."""
        vix, note = self._vix()
        level = self.realised[self.index] if self.index >= 0 else np.nan
        relative = self.realised / level if np.isfinite(level) and level > 0 else None
        return Market(self.market.price, self.day, vix, relative), note

    def shocks(self, scenarios: Sequence[Scenario]) -> ShockTable:
        index = str(self.instruments.id[self.index]) if self.history is not None and self.index >= 0 else ""
        return shock_table(scenarios, self.instruments, self.today()[0], self.rules, self.history, index)

    @property
    def days_to_expiry(self) -> np.ndarray:
        """Whole days by code; 0 for what does not expire."""
        return np.where(self.instruments.expiry >= 0, np.maximum(self.instruments.expiry - self.day, 0), 0)

    def values(self, shocks: ShockTable, baseline: np.ndarray) -> np.ndarray:
        """Model values under scenarios: int64 micros [instrument, scenario]; MISSING_VALUE where there is none.

        ``baseline``: today's model values; an instrument without one has none under any scenario.
        """
        found = np.full((len(self.instruments), len(shocks.scenarios)), MISSING_VALUE, np.int64)
        rows, price = shocks.row_of, self.market.price
        plain = (rows >= 0) & (price > 0) & (self.instruments.kind != Kind.OPTION)
        found[plain] = shocks.values(price)[rows[plain]]
        of, contracts = self.options, self.contracts
        vols = shocks.vols(self.vol[of], self.days_to_expiry[of])
        rates = shocks.rates(contracts.rate) - contracts.rate[:, None]
        by_row = Contracts(
            contracts.right, contracts.style, contracts.strike, contracts.expiry, contracts.rate,
            contracts.carry_yield, rows[contracts.underlying].astype(np.int64),
        )  # fmt: skip
        found[of] = round_model(revalue(by_row, shocks.spots(price), _plain(vols), _plain(rates)))
        found[baseline == MISSING_VALUE] = MISSING_VALUE
        return found

    def _vix(self) -> tuple[int, str]:
        quoted = np.flatnonzero((self.instruments.id == VIX) & (self.market.price > 0))
        if len(quoted):
            return int(self.market.price[quoted[0]]), ""
        level = self.realised[self.index] if self.index >= 0 else np.nan
        return (int(round_model(level * 100)), VIX_PROXY) if np.isfinite(level) else (0, "")


def market_index(instruments: Instruments) -> int:
    """Code of the market index, -1 without one."""
    found = np.flatnonzero(instruments.kind == Kind.INDEX)
    return int(found[0]) if len(found) else -1


def price_history(closes: pa.Table, instruments: Instruments) -> PriceHistory:
    """The loaded closes as a matrix, dates x the instruments that have any."""
    days, rows = np.unique(closes["day"].to_numpy(), return_inverse=True)
    codes, columns = np.unique(closes["instrument"].to_numpy(), return_inverse=True)
    close = np.zeros((len(days), len(codes)), np.int64)
    close[rows, columns] = closes["price"].to_numpy()
    return PriceHistory(days.astype(np.int32), tuple(str(instruments.id[code]) for code in codes), close)


def realised_vol(history: PriceHistory | None, instruments: Instruments) -> np.ndarray:
    """EWMA volatility per year of each instrument with closes; NaN where there are none."""
    found = np.full(len(instruments), np.nan)
    if history is None:
        return found
    recent = history.close[-_EWMA_DAYS:].astype(np.float64)
    moves = np.diff(np.log(np.where(recent > 0, recent, np.nan)), axis=0)
    weights = (_EWMA_DECAY ** np.arange(len(moves) - 1, -1, -1))[:, None]
    usable = ~np.isnan(moves)
    weight = (usable * weights).sum(axis=0)
    variance = (np.where(usable, moves, 0.0) ** 2 * weights).sum(axis=0) / np.where(weight > 0, weight, np.nan)
    code_of = {str(id_): code for code, id_ in enumerate(instruments.id)}
    found[[code_of[name] for name in history.symbols]] = np.sqrt(variance * TRADING_DAYS)
    return found


def _plain(values: np.ndarray) -> np.ndarray:
    """One column where all are the same: the pricer then solves each exercise boundary once."""
    return values[:, :1] if values.shape[1] and (values == values[:, :1]).all() else values
