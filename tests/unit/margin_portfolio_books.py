"""Small books for the portfolio-margin tests, benchmarks and properties: columns from readable rows."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
from scipy.special import ndtr

from streaming.risk.holdings import Holdings
from streaming.risk.margin.groups import GroupLists, MarginGroups, assign_groups
from streaming.risk.margin.portfolio import PortfolioMarginResult, portfolio_margin, scan_points
from streaming.risk.market import PriceSet, PriceStatus
from streaming.risk.money import MICRO, micros, round_model
from streaming.risk.reference import Accounts, Instruments, Kind, MarginType, Right, Style, UnderlyingClass
from streaming.risk.rulebook import Rules, load

RULES: Rules = load().at(date(2026, 11, 20))
EQUITY, HIGH_CAP, BROAD = UnderlyingClass.EQUITY, UnderlyingClass.BROAD_INDEX_HIGH_CAP, UnderlyingClass.BROAD_INDEX


@dataclass
class Item:
    """One instrument: what a test wants to say about it, everything else ordinary."""

    id: str
    price: object = 100
    kind: Kind = Kind.STOCK
    cls: UnderlyingClass = EQUITY
    underlying: str = ""
    right: Right = Right.NONE
    strike: object = 0
    years: float = 0.25
    vol: float = 0.2
    multiplier: int = 1
    leverage: int = 1
    currency: str = "USD"
    marginable: bool = True
    status: PriceStatus = PriceStatus.GOOD
    previous_close: object = 0
    adv: int = 10_000_000
    expiry: int = 20_500
    sector: str = ""
    borrow_fee: int = 0
    shares_outstanding: int = -1


def call(name, underlying, strike, price=0, **more):
    return Item(
        name, price, Kind.OPTION, UnderlyingClass.NONE, underlying, Right.CALL, strike, **{"multiplier": 100} | more
    )


def put(name, underlying, strike, price=0, **more):
    return Item(
        name, price, Kind.OPTION, UnderlyingClass.NONE, underlying, Right.PUT, strike, **{"multiplier": 100} | more
    )


def instruments_of(items: list[Item]) -> Instruments:
    code = {item.id: i for i, item in enumerate(items)}
    n = len(items)

    def column(values, dtype=np.int64):
        return np.array(list(values), dtype=dtype)

    return Instruments(
        id=column((i.id for i in items), object),
        kind=column((i.kind for i in items), np.int8),
        underlying=column((code.get(i.underlying or i.id, -1) for i in items), np.int32),
        currency=column((i.currency for i in items), object),
        multiplier=column(i.multiplier for i in items),
        right=column((i.right for i in items), np.int8),
        strike=column(micros(str(i.strike)) for i in items),
        expiry=column((i.expiry if i.kind == Kind.OPTION else -1 for i in items), np.int32),
        style=column((Style.EUROPEAN if i.kind == Kind.OPTION else Style.NONE for i in items), np.int8),
        am_settled=np.zeros(n, dtype=bool),
        underlying_class=column((i.cls for i in items), np.int8),
        leverage=column(i.leverage * MICRO for i in items),
        sector=column((i.sector for i in items), object),
        issuer=column((i.id for i in items), object),
        adv=column(i.adv for i in items),
        shares_outstanding=column(i.shares_outstanding for i in items),
        market_cap=np.full(n, -1),
        beta=np.full(n, MICRO),
        borrow_fee=column(i.borrow_fee for i in items),
        dividend_yield=np.zeros(n, dtype=np.int64),
        marginable=column((i.marginable for i in items), bool),
        product_group=np.full(n, "", dtype=object),
        isin=np.full(n, "", dtype=object),
        coupon=np.zeros(n, dtype=np.int64),
    )


def accounts_of(n: int, prime_broker: bool = True) -> Accounts:
    return Accounts(
        id=np.array([f"ACC-{i:04d}" for i in range(n)], dtype=object),
        client=np.array([f"CLIENT-{i // 2:04d}" for i in range(n)], dtype=object),
        kind=np.zeros(n, dtype=np.int8),
        margin_type=np.full(n, MarginType.PORTFOLIO, dtype=np.int8),
        strategy=np.full(n, "", dtype=object),
        prime_broker=np.full(n, prime_broker),
        currency=np.full(n, "USD", dtype=object),
        lei=np.full(n, "", dtype=object),
        country=np.full(n, "US", dtype=object),
    )


def prices_of(items: list[Item], fx: dict[str, int] | None = None) -> PriceSet:
    return PriceSet(
        "set-1", 0,
        np.array([micros(str(i.price)) for i in items], dtype=np.int64),
        np.array([i.status for i in items], dtype=np.int8),
        np.zeros(len(items), dtype=np.int64),
        np.array([micros(str(i.previous_close)) for i in items], dtype=np.int64),
        fx or {"USD": MICRO},
    )  # fmt: skip


def european(right, spot, strike, years, vol):
    """Black-Scholes without carry; intrinsic at expiry or without volatility."""
    spot = np.maximum(np.asarray(spot, dtype=float), 1e-12)
    width = vol * np.sqrt(max(years, 0))
    if width <= 0:
        return np.maximum(right * (spot - strike), 0)
    d1 = np.log(spot / strike) / width + width / 2
    return right * (spot * ndtr(right * d1) - strike * ndtr(right * (d1 - width)))


def valuation_of(items: list[Item], factors: np.ndarray) -> SimpleNamespace:
    """Model values at (spot x factor), and the baseline, in micros per unit."""
    code = {item.id: i for i, item in enumerate(items)}
    baseline = np.zeros(len(items), dtype=np.int64)
    scan = np.zeros(factors.shape, dtype=np.int64)
    for i, item in enumerate(items):
        if item.kind == Kind.OPTION:
            spot = float(items[code.get(item.underlying, i)].price)
            strike = float(item.strike)
            baseline[i] = round_model(european(int(item.right), spot, strike, item.years, item.vol))
            scan[i] = round_model(european(int(item.right), spot * factors[i], strike, item.years, item.vol))
        else:
            baseline[i] = round_model(float(item.price))
            scan[i] = round_model(float(item.price) * factors[i])
    return SimpleNamespace(baseline=baseline, scan=scan)


def holdings_of(items: list[Item], rows: list[tuple], cost: dict[int, object] | None = None) -> Holdings:
    """Rows are (account code, instrument id, quantity); ``cost`` in dollars by row."""
    code = {item.id: i for i, item in enumerate(items)}
    return Holdings(
        np.array([row[0] for row in rows], dtype=np.int32),
        np.array([code[row[1]] for row in rows], dtype=np.int32),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([micros(str((cost or {}).get(i, 0))) for i in range(len(rows))], dtype=np.int64),
    )


@dataclass
class Margined:
    """A margined book with everything that went in."""

    holdings: Holdings
    instruments: Instruments
    accounts: Accounts
    prices: PriceSet
    valuation: SimpleNamespace
    groups: MarginGroups
    result: PortfolioMarginResult


def margined(
    items: list[Item],
    rows: list[tuple],
    lists: GroupLists | None = None,
    rules: Rules = RULES,
    strategy=None,
    cost=None,
    fx=None,
) -> Margined:
    """Value and margin a book in one call."""
    instruments, prices = instruments_of(items), prices_of(items, fx)
    groups = assign_groups(instruments, rules, lists)
    valuation = valuation_of(items, scan_points(instruments, rules, groups))
    accounts = accounts_of(1 + max((row[0] for row in rows), default=0))
    holdings = holdings_of(items, rows, cost)
    strategy = None if strategy is None else np.array([micros(str(s)) for s in strategy], dtype=np.int64)
    result = portfolio_margin(holdings, instruments, accounts, prices, valuation, groups, rules, strategy)
    return Margined(holdings, instruments, accounts, prices, valuation, groups, result)


def dollars(amount) -> Decimal:
    return Decimal(int(amount)) / MICRO
