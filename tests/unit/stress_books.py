"""Small books for the scenario, stress and VaR tests: columns from readable rows, options valued by a plain formula."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy.special import ndtr

from streaming.risk.holdings import Holdings
from streaming.risk.market import PriceSet, PriceStatus, Valuation
from streaming.risk.money import MICRO, micros, round_model
from streaming.risk.reference import UNKNOWN_BETA, Accounts, Instruments, Kind, MarginType, Right, Style
from streaming.risk.rulebook import load
from streaming.risk.scenarios.mapping import Market, ShockTable, instrument_values, shock_table

RULES = load().at(date(2026, 11, 20))
DAY = 20_777  # 2026-11-20
RATE = 0.03


@dataclass
class Item:
    """One instrument: what a test wants to say about it, everything else ordinary."""

    id: str
    price: object = 100
    kind: Kind = Kind.STOCK
    underlying: str = ""
    right: Right = Right.NONE
    strike: object = 0
    days: int = 90
    vol: float = 0.2
    multiplier: int = 1
    leverage: object = 1
    beta: object = 1
    sector: str = ""
    currency: str = "USD"
    adv: int = 10_000_000
    shares_outstanding: int = 1_000_000_000
    borrow_fee: object = 0
    coupon: object = 0
    status: PriceStatus = PriceStatus.GOOD
    previous_close: object = 0


def option(name: str, underlying: str, right: Right, strike: object, **more) -> Item:
    return Item(name, 0, Kind.OPTION, underlying, right, strike, **{"multiplier": 100} | more)


def instruments_of(items: list[Item]) -> Instruments:
    code = {item.id: i for i, item in enumerate(items)}
    n = len(items)

    def whole(values) -> np.ndarray:
        return np.array(list(values), dtype=np.int64)

    def text(values) -> np.ndarray:
        return np.array(list(values), dtype=object)

    return Instruments(
        id=text(i.id for i in items),
        kind=np.array([i.kind for i in items], dtype=np.int8),
        underlying=np.array([code.get(i.underlying or i.id, -1) for i in items], dtype=np.int32),
        currency=text(i.currency for i in items),
        multiplier=whole(i.multiplier for i in items),
        right=np.array([i.right for i in items], dtype=np.int8),
        strike=whole(micros(str(i.strike)) for i in items),
        expiry=np.array([DAY + i.days for i in items], dtype=np.int32),
        style=np.array([Style.EUROPEAN if i.kind == Kind.OPTION else Style.NONE for i in items], dtype=np.int8),
        am_settled=np.zeros(n, dtype=bool),
        underlying_class=np.zeros(n, dtype=np.int8),
        leverage=whole(micros(str(i.leverage)) for i in items),
        sector=text(i.sector for i in items),
        issuer=text(i.id for i in items),
        adv=whole(i.adv for i in items),
        shares_outstanding=whole(i.shares_outstanding for i in items),
        market_cap=np.full(n, -1),
        beta=whole(UNKNOWN_BETA if i.beta is None else micros(str(i.beta)) for i in items),
        borrow_fee=whole(micros(str(i.borrow_fee)) for i in items),
        dividend_yield=np.zeros(n, dtype=np.int64),
        marginable=np.ones(n, dtype=bool),
        product_group=np.full(n, "", dtype=object),
        isin=np.full(n, "", dtype=object),
        coupon=whole(micros(str(i.coupon)) for i in items),
    )


def accounts_of(rows: list[tuple[str, str]]) -> Accounts:
    """Rows are (client, strategy)."""
    n = len(rows)
    return Accounts(
        id=np.array([f"ACC-{i:04d}" for i in range(n)], dtype=object),
        client=np.array([client for client, _ in rows], dtype=object),
        kind=np.zeros(n, dtype=np.int8),
        margin_type=np.full(n, MarginType.PORTFOLIO, dtype=np.int8),
        strategy=np.array([strategy for _, strategy in rows], dtype=object),
        prime_broker=np.ones(n, dtype=bool),
        currency=np.full(n, "USD", dtype=object),
        lei=np.full(n, "", dtype=object),
        country=np.full(n, "US", dtype=object),
    )


def prices_of(items: list[Item], fx: dict[str, int] | None = None) -> PriceSet:
    return PriceSet(
        "set-1",
        0,
        np.array([micros(str(i.price)) for i in items], dtype=np.int64),
        np.array([i.status for i in items], dtype=np.int8),
        np.zeros(len(items), dtype=np.int64),
        np.array([micros(str(i.previous_close)) for i in items], dtype=np.int64),
        fx or {"USD": MICRO},
    )


def holdings_of(items: list[Item], rows: list[tuple], cost: dict[int, object] | None = None) -> Holdings:
    """Rows are (account code, instrument id, quantity); ``cost`` in dollars by row."""
    code = {item.id: i for i, item in enumerate(items)}
    return Holdings(
        np.array([row[0] for row in rows], dtype=np.int32),
        np.array([code[row[1]] for row in rows], dtype=np.int32),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([micros(str((cost or {}).get(i, 0))) for i in range(len(rows))], dtype=np.int64),
    )


def european(right, spot, strike, rate, vol, years):
    """Black-Scholes without yield, arrays of one shape."""
    width = vol * np.sqrt(years)
    spot = np.maximum(spot, 1e-12)
    d1 = (np.log(spot / strike) + rate * years) / width + width / 2
    return right * (spot * ndtr(right * d1) - strike * np.exp(-rate * years) * ndtr(right * (d1 - width)))


def table_of(items: list[Item], scenarios, vix: object = 0, history=None, index: str = "", **market) -> ShockTable:
    prices = prices_of(items).price
    return shock_table(
        scenarios, instruments_of(items), Market(prices, DAY, micros(str(vix)), **market), RULES, history, index
    )


def valuation_of(items: list[Item], table: ShockTable) -> Valuation:
    """Baseline, shocked values and greeks of every instrument under a shock table."""
    price = prices_of(items).price
    options = np.array([i for i, item in enumerate(items) if item.kind == Kind.OPTION], dtype=np.int64)
    chosen = [items[i] for i in options]
    right = np.array([int(i.right) for i in chosen], dtype=float)[:, None]
    strike = np.array([float(i.strike) for i in chosen])[:, None]
    years = np.array([i.days / 365 for i in chosen])[:, None]
    days = np.array([i.days for i in items])
    vol = np.array([round(i.vol * MICRO) if i.kind == Kind.OPTION else 0 for i in items], dtype=np.int64)
    row = table.row_of[options]
    spot_now = (price / MICRO)[table.instrument][row][:, None]

    def value(spot, rate, sigma):
        return round_model(european(right, spot, strike, rate, sigma, years))

    now = (vol[options] / MICRO)[:, None]
    shocked = value(
        table.spots(price)[row],
        table.rates(np.full(len(options), RATE)),
        table.vols(vol[options], days[options]),
    )
    baseline = price.copy()
    baseline[options] = value(spot_now, RATE, now)[:, 0]
    d1 = (np.log(spot_now / strike) + RATE * years) / (now * np.sqrt(years)) + now * np.sqrt(years) / 2
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
    delta, gamma, vega = (np.zeros(len(items), dtype=np.int64) for _ in range(3))
    delta[options] = np.rint((ndtr(d1) - (right < 0)) * MICRO)[:, 0].astype(np.int64)
    gamma[options] = np.rint(density / (spot_now * now * np.sqrt(years)) * 1e12)[:, 0].astype(np.int64)
    vega[options] = round_model(spot_now * density * np.sqrt(years))[:, 0]
    return Valuation(
        "set-1", table.scenarios, baseline, instrument_values(table, price, options, shocked), delta, gamma, vega,
        vol, np.zeros((len(items), 10), dtype=np.int64),
    )  # fmt: skip
