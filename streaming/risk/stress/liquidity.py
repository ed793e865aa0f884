"""Concentration and liquidity: how long a holding takes to sell and what that costs (stress testing, section 6)."""

from dataclasses import dataclass

import numpy as np

from streaming.risk.market import PriceSet, Valuation
from streaming.risk.money import MICRO, fraction, round_model
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules
from streaming.risk.stress.book import Book


@dataclass(frozen=True, slots=True)
class Liquidity:
    """One row per account and underlying, sorted. Amounts in micros of the reporting currency."""

    account: np.ndarray
    underlying: np.ndarray
    shares: np.ndarray
    """int64, signed: shares plus the delta shares of options, rounded half to even per position."""
    value: np.ndarray
    """>= 0: |shares| x price."""
    days: np.ndarray
    """float64: days to liquidate; infinite without volume."""
    cost: np.ndarray
    """>= 0: half spread and impact, at least the minimum; the whole value without volume."""
    move: np.ndarray
    """>= 0: one standard deviation of the market over the days beyond the first, under linear unwinding."""
    recall: np.ndarray
    """>= 0: loss when the net short is bought in, over ``days``."""
    over_outstanding: np.ndarray
    """bool: more than the ownership threshold of the shares outstanding."""
    over_volume: np.ndarray
    """bool: more than the threshold of several days' volume."""
    missing: np.ndarray
    """bool: volume, volatility or shares outstanding unknown: listed, charged conservatively."""


def liquidity(
    book: Book,
    instruments: Instruments,
    valuation: Valuation,
    prices: PriceSet,
    daily_vol: np.ndarray,
    half_spread: np.ndarray,
    rules: Rules,
) -> Liquidity:
    """Days to liquidate and liquidation cost of each account's net delta shares of each underlying.

    ``daily_vol`` (float64 by instrument code, NaN = unknown) is a fraction of price, ``half_spread`` ppm of price
    (-1 = unknown: the minimum cost stands in). Without volume the cost is 100% of the value; without volatility the
    market move is. An index is no holding that
    is sold: its options cost the minimum and take no days.
    """
    account, underlying, shares = net_shares(book, instruments, valuation)
    price = fraction(prices.price[underlying], _fx(instruments, prices)[underlying])
    value = _product(np.abs(shares), price)
    adv, vol = instruments.adv[underlying], daily_vol[underlying]
    untraded = instruments.kind[underlying] == Kind.INDEX
    traded = (adv > 0) | untraded
    volume = np.where(adv > 0, adv, 1)
    stressed = volume * (1.0 - float(rules.value("stress.liquidity.adv_haircut")))
    days = np.abs(shares) / (float(rules.value("stress.liquidity.participation")) * stressed)
    days = np.where((shares == 0) | untraded, 0.0, np.where(traded, days, np.inf))
    known = np.isfinite(vol) | untraded
    sigma = np.where(np.isfinite(vol), vol, 1.0)
    impact = (
        float(rules.value("stress.liquidity.impact")) * sigma * np.sqrt(np.where(untraded, 0, np.abs(shares)) / volume)
    )
    spread = np.maximum(half_spread[underlying], 0) / MICRO
    least = float(rules.value("stress.liquidity.minimum_cost"))
    rate = np.where(traded & known, np.minimum(1.0, np.maximum(spread + impact, least)), 1.0)
    horizon = 1.0 + np.maximum(0.0, days - 1.0) / float(rules.value("stress.liquidity.unwinding"))
    drift = np.where(traded & known, np.minimum(1.0, sigma * (np.sqrt(np.where(traded, horizon, 1.0)) - 1.0)), 1.0)
    outstanding = instruments.shares_outstanding[underlying]
    recalled = np.where(shares < 0, value, 0)
    week = float(rules.value("stress.ownership.volume_days")) * float(rules.value("stress.ownership.volume_fraction"))
    part = float(rules.value("stress.ownership.shares_outstanding"))
    return Liquidity(
        account=account,
        underlying=underlying,
        shares=shares,
        value=value,
        days=days,
        cost=round_model(value / MICRO * rate),
        move=round_model(value / MICRO * np.where(days > 1.0, drift, 0.0)),
        recall=fraction(recalled, rules.ppm("stress.recall.buy_in")),
        over_outstanding=(outstanding > 0) & (np.abs(shares) > part * outstanding),
        over_volume=(adv > 0) & (np.abs(shares) > week * volume),
        missing=~traded | ~known | ((outstanding <= 0) & ~untraded),
    )


def adjusted_loss(loss: np.ndarray, found: Liquidity) -> np.ndarray:
    """Liquidity-adjusted stress loss [account, scenario]: loss plus liquidation cost and the move while unwinding."""
    extra = np.zeros(len(loss), dtype=np.int64)
    np.add.at(extra, found.account, found.cost + found.move)
    return loss + extra[:, None]


def net_shares(book: Book, instruments: Instruments, valuation: Valuation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(account, underlying, shares) sorted: shares, and delta shares of options, net by account and underlying."""
    option = instruments.kind[book.instrument] == Kind.OPTION
    delta = np.where(option, valuation.delta[book.instrument], MICRO)
    shares = np.where(option, np.rint(book.units * (delta / MICRO)).astype(np.int64), book.units)
    equity = np.isin(instruments.kind[book.instrument], (Kind.STOCK, Kind.ETF, Kind.OPTION))
    width = len(instruments)
    key = book.account.astype(np.int64) * width + instruments.underlying[book.instrument]
    keys, at = np.unique(key[equity], return_inverse=True)
    net = np.zeros(len(keys), dtype=np.int64)
    np.add.at(net, at, shares[equity])
    return (keys // width).astype(np.int32), (keys % width).astype(np.int32), net


def _fx(instruments: Instruments, prices: PriceSet) -> np.ndarray:
    return np.array([prices.fx.get(str(name), MICRO) for name in instruments.currency], dtype=np.int64)


def _product(shares: np.ndarray, price: np.ndarray) -> np.ndarray:
    round_model(shares.astype(np.float64) * (price / MICRO))  # refuses what leaves the money range
    return shares * price
