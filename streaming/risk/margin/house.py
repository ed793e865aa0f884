"""House margin: the layers that the firm asks beyond the regulation, per name and account, as exact columns.

Each account starts from its regulatory requirement (the scan under portfolio margin, else strategy-based maintenance).
Per name (class group) the house adds what concentration, extreme moves, liquidity, gaps before expiry, vega, events and
hard-to-borrow shorts ask; per account a VaR floor and discretionary add-ons. Add-ons are never negative, so the house
requirement is never below the regulatory one, and the components sum to it exactly. Every parameter is a house value
(evidence H) of the rulebook, overridable per client and product (product = the underlying's class group).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from streaming.risk.holdings import Holdings
from streaming.risk.margin.add_ons import AddOn, Charge, charges
from streaming.risk.margin.portfolio import (
    MISSING_VALUE,
    PortfolioMarginResult,
    Treatment,
    reporting_rates,
    scan_moves,
    underlying_class,
    underlying_code,
)
from streaming.risk.margin.sums import group_slots, position_sums, sum_by_account
from streaming.risk.market import PriceSet
from streaming.risk.money import LIMIT, MICRO, MoneyOverflowError, fraction, round_model
from streaming.risk.reference import Accounts, Instruments, Kind, MarginType, UnderlyingClass, one_of
from streaming.risk.rulebook import Rules

HOUSE_POINTS = ("concentration up", "concentration down", "extreme up", "extreme down")
"""Columns of :func:`house_points`."""

NAME_COMPONENTS = ("concentration", "extreme_move", "liquidity", "gap", "vega", "event", "borrow")
COMPONENTS = ("regulatory", "non_marginable", *NAME_COMPONENTS, "var_floor", "discretionary")
"""What the house requirement of an account is the exact sum of."""

_BROAD = (UnderlyingClass.BROAD_INDEX, UnderlyingClass.BROAD_INDEX_HIGH_CAP, UnderlyingClass.LEVERAGED_BROAD)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class StrategyRows:
    """Strategy-based maintenance requirements: one row per treatment. Reporting-currency micros."""

    account: np.ndarray
    underlying: np.ndarray
    """Instrument code of the underlying, or of the security itself."""
    requirement: np.ndarray


@dataclass(frozen=True, slots=True)
class HouseInputs:
    """What the house layers need besides the scan; arrays by instrument code unless stated."""

    values: np.ndarray
    """[n, 4] model values at :func:`house_points`, micros per unit."""
    baseline: np.ndarray
    delta: np.ndarray
    """ppm: change of an option's value per 1.00 of spot."""
    vega: np.ndarray
    """Micros per 1.00 of volatility."""
    daily_vol: np.ndarray
    """ppm per day, of underlyings; 0 = not known."""
    event: np.ndarray
    """True for underlyings with earnings or another event ahead."""
    var: np.ndarray
    """By account code: 5-day VaR over two years, micros, positive = loss."""
    equity: np.ndarray
    """By account code: the equity that the requirement is compared with, micros."""
    add_ons: tuple[AddOn, ...]
    as_of: int
    """Business day, days since 1970-01-01."""
    sessions: np.ndarray
    """Ascending business days of the exchange."""


@dataclass(frozen=True, slots=True)
class HouseNames:
    """One row per account and class group, aligned with ``PortfolioMarginResult.classes``. Micros."""

    account: np.ndarray
    class_group: np.ndarray
    base: np.ndarray
    """Regulatory requirement of this name alone: its scan, or its strategy-based maintenance."""
    shocks: np.ndarray
    """[row, 4]: signed P&L at ``HOUSE_POINTS``."""
    days_to_liquidate: np.ndarray
    """ppm of a day, the slowest underlying of the name; -1 where the average volume is not known."""
    components: Mapping[str, np.ndarray]
    """``NAME_COMPONENTS`` by row."""


@dataclass(frozen=True, slots=True)
class HouseResult:
    """House margin by account, in the order of ``account`` (ascending codes). Micros."""

    account: np.ndarray
    components: Mapping[str, np.ndarray]
    """``COMPONENTS``: they sum to ``requirement``."""
    requirement: np.ndarray
    scan_requirement: np.ndarray
    """Portfolio margin, for every account, for comparison."""
    strategy_requirement: np.ndarray
    """Strategy-based maintenance, for every account, for comparison."""
    regulatory_requirement: np.ndarray
    """The one of the two that applies to the account."""
    effective_requirement: np.ndarray
    """The greater of the regulatory and the house requirement: what is enforced."""
    binding: np.ndarray
    """Text: ``scan``, ``strategy`` or ``house``."""
    house_excess: np.ndarray
    effective_excess: np.ndarray
    names: HouseNames
    add_ons: tuple[Charge, ...]
    """The discretionary add-ons in force, each with what it charges every account."""


def house_points(instruments: Instruments, prices: PriceSet, rules: Rules, event: np.ndarray) -> np.ndarray:
    """Spot factors of each instrument's underlying at ``HOUSE_POINTS``: float64 ``[n_instruments, 4]``, never below 0.

    Concentration: the single-name move, larger for low prices, larger still for biotech and event names; broad indices
    do not move. Extreme: a multiple of the scan range. The valuation app prices them with the ten scan points.
    """
    underlying, classes = underlying_code(instruments), underlying_class(instruments)
    products = instruments.id[underlying]
    move = _per_product(rules, "house.concentration.move", products)
    low = prices.price[underlying] < _per_product(rules, "house.concentration.low_priced", products)
    move = np.where(low, _per_product(rules, "house.concentration.move_low_price", products), move)
    sectors = rules.parameter("house.concentration.event_sectors").value
    special = event[underlying] | np.isin(instruments.sector[underlying], np.array(sectors, dtype=object))
    move = np.where(special, _per_product(rules, "house.concentration.move_event", products), move)
    move = np.where(one_of(classes, *_BROAD), 0, move)
    extreme = fraction(
        scan_moves(instruments, rules)[:, [0, -1]],
        _per_product(rules, "house.extreme_move.range_multiple", products)[:, None],
    )
    moves = np.concatenate((np.stack((move, -move), axis=1), extreme), axis=1)
    return np.maximum(0, MICRO + moves) / MICRO


def house_requirement(
    holdings: Holdings,
    instruments: Instruments,
    accounts: Accounts,
    prices: PriceSet,
    margin: PortfolioMarginResult,
    strategy: StrategyRows,
    inputs: HouseInputs,
    rules: Rules,
) -> HouseResult:
    """House requirement of every account in ``margin``, with its decomposition.

    Args:
        margin: Portfolio margin of the same holdings; also says which positions could be valued. Positions that could
            not are charged in full already and take no further layer.
        strategy: Strategy-based maintenance of all accounts (for portfolio accounts only shown for comparison).

    Raises:
        MoneyOverflowError: An account's sums leave the 64-bit range; the message names it.
        ValueError: A scanned instrument has no model value at a house point.
    """
    position = _Positions.of(holdings, instruments, accounts, prices, margin)
    base, outside = _base(margin, strategy, accounts, position.portfolio)
    components, shocks, days = _name_components(position, base, instruments, prices, inputs, rules)
    names = HouseNames(margin.classes.account, margin.classes.group, base, shocks, days, components)
    by_account = {name: sum_by_account(margin.account, names.account, components[name]) for name in NAME_COMPONENTS}
    strategy_total = sum_by_account(margin.account, *_within(margin.account, strategy))
    portfolio = accounts.margin_type[margin.account] == MarginType.PORTFOLIO
    regulatory = np.where(portfolio, margin.requirement, strategy_total)
    non_marginable = np.where(portfolio, margin.strategy_based + margin.conservative, outside)
    risk_based = regulatory - non_marginable + by_account["concentration"] + by_account["extreme_move"]
    by_account["regulatory"] = regulatory - non_marginable
    by_account["non_marginable"] = non_marginable
    by_account["var_floor"] = np.maximum(0, inputs.var[margin.account] - risk_based)
    day = _EPOCH + timedelta(days=inputs.as_of)
    charged = charges(inputs.add_ons, accounts, margin.account, risk_based, day)
    by_account["discretionary"] = sum((amount for _, amount in charged), np.zeros(len(margin.account), np.int64))
    requirement = _total(by_account, margin.account, accounts)
    effective = np.maximum(regulatory, requirement)
    equity = inputs.equity[margin.account]
    binding = np.where(requirement > regulatory, "house", np.where(portfolio, "scan", "strategy")).astype(object)
    return HouseResult(
        margin.account, {name: by_account[name] for name in COMPONENTS}, requirement, margin.requirement,
        strategy_total, regulatory, effective, binding, equity - requirement, equity - effective, names, charged,
    )  # fmt: skip


def member_shocks(
    holdings: Holdings, instruments: Instruments, prices: PriceSet, values: np.ndarray, baseline: np.ndarray
) -> np.ndarray:
    """P&L of every holdings row at every point of ``values``: int64 reporting-currency micros ``[row, point]``."""
    code, rates = holdings.instrument, np.abs(reporting_rates(instruments, prices))
    unit = (values[code] - baseline[code, None]) * instruments.multiplier[code, None]
    return fraction(unit * holdings.quantity[:, None], rates[code, None])


def scoped_ppm(rules: Rules, name: str, clients: np.ndarray, products: np.ndarray) -> np.ndarray:
    """A house parameter by row (int64 ppm or micros), with the overrides of each row's client and product."""
    rows = np.full(len(clients), rules.ppm(name), dtype=np.int64)
    for client, product in _overridden(rules, name):
        chosen = np.ones(len(rows), dtype=bool)
        if client is not None:
            chosen &= clients == client
        if product is not None:
            chosen &= products == product
        for pair in set(zip(clients[chosen].tolist(), products[chosen].tolist())):
            same = chosen & (clients == pair[0]) & (products == pair[1])
            rows[same] = rules.ppm(name, client=pair[0], product=pair[1])
    return rows


@dataclass(frozen=True, slots=True)
class _Positions:
    """The scanned holdings rows in ascending accounts, with what every layer needs of them."""

    code: np.ndarray
    underlying: np.ndarray
    account: np.ndarray
    quantity: np.ndarray
    units: np.ndarray
    """quantity x multiplier"""
    name: np.ndarray
    """Row of the name."""
    rate: np.ndarray
    """Reporting-currency ppm."""
    option: np.ndarray
    value: np.ndarray
    """Signed market value of stock rows, 0 for options."""
    fx: np.ndarray
    """Reporting-currency ppm by instrument."""
    clients: np.ndarray
    """By name row."""
    products: np.ndarray
    portfolio: np.ndarray
    """By name row: whether the account is portfolio-margined."""

    @classmethod
    def of(
        cls,
        holdings: Holdings,
        instruments: Instruments,
        accounts: Accounts,
        prices: PriceSet,
        margin: PortfolioMarginResult,
    ) -> "_Positions":
        rows = np.flatnonzero(margin.treatment == Treatment.SCANNED)
        rows = rows[np.argsort(holdings.account[rows], kind="stable")]
        code, quantity = holdings.instrument[rows], holdings.quantity[rows]
        fx = reporting_rates(instruments, prices)
        units = quantity * instruments.multiplier[code]
        option = instruments.kind[code] == Kind.OPTION
        value = np.where(option, 0, fraction(units * prices.price[code], fx[code]))
        names = margin.classes
        return cls(
            code, underlying_code(instruments)[code], holdings.account[rows], quantity, units, margin.class_row[rows],
            fx[code], option, value, fx, accounts.client[names.account], margin.groups.class_name[names.group],
            accounts.margin_type[names.account] == MarginType.PORTFOLIO,
        )  # fmt: skip

    def by_name(self, amount: np.ndarray) -> np.ndarray:
        total = np.zeros(len(self.clients), dtype=np.int64)
        np.add.at(total, self.name, amount)
        return total


def _base(
    margin: PortfolioMarginResult, strategy: StrategyRows, accounts: Accounts, portfolio: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Regulatory requirement of each name alone; and by account what of the strategy-based total has no name."""
    names, n_classes = margin.classes, len(margin.groups.class_name)
    key = names.account.astype(np.int64) * n_classes + names.group
    wanted = strategy.account.astype(np.int64) * n_classes + margin.groups.class_group[strategy.underlying]
    at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    named = key[at] == wanted if len(key) else np.zeros(len(wanted), dtype=bool)
    by_strategy = np.zeros(len(names), dtype=np.int64)
    np.add.at(by_strategy, at[named], strategy.requirement[named])
    left = StrategyRows(strategy.account[~named], strategy.underlying[~named], strategy.requirement[~named])
    base = np.where(portfolio, names.requirement, by_strategy)
    return base, sum_by_account(margin.account, *_within(margin.account, left))


def _within(account: np.ndarray, strategy: StrategyRows) -> tuple[np.ndarray, np.ndarray]:
    """Accounts and amounts of the strategy rows whose account holds something."""
    known = np.isin(strategy.account, account)
    return strategy.account[known], strategy.requirement[known]


def _name_components(
    position: _Positions,
    base: np.ndarray,
    instruments: Instruments,
    prices: PriceSet,
    inputs: HouseInputs,
    rules: Rules,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    missing = (inputs.values[position.code] == MISSING_VALUE).any(axis=1)
    if missing.any():
        found = instruments.id[position.code[missing.argmax()]]
        raise ValueError(f"house values: expected one at every point for each instrument of the scan, none of {found}")
    unit = (inputs.values - inputs.baseline[:, None]) * instruments.multiplier[:, None]
    none = np.zeros(len(position.code), dtype=np.int64)
    shocks, _, _, _ = position_sums(
        position.code, position.quantity, position.fx, unit, none, position.name, len(position.clients)
    )
    single_name = np.maximum(0, -shocks[:, :2].min(axis=1, initial=0))
    by_rate = _concentration_by_rate(position, instruments, prices, rules)
    concentration = np.maximum(0, np.where(position.portfolio, single_name, by_rate) - base)
    share = scoped_ppm(rules, "house.extreme_move.loss_share", position.clients, position.products)
    extreme = fraction(np.maximum(0, -shocks[:, 2:].min(axis=1, initial=0)), share)
    liquidity, event, days = _liquidity_and_event(position, instruments, prices, inputs, rules)
    components = {
        "concentration": concentration,
        "extreme_move": np.maximum(0, extreme - base - concentration),
        "liquidity": liquidity,
        "gap": _gap(position, instruments, inputs, rules),
        "vega": _vega(position, inputs, rules),
        "event": event,
        "borrow": _borrow(position, instruments, rules),
    }
    return components, shocks, days


def _concentration_by_rate(
    position: _Positions, instruments: Instruments, prices: PriceSet, rules: Rules
) -> np.ndarray:
    """Higher rates on concentrated stock of strategy-based accounts, FINRA 4210(d): micros by name."""

    def of(name: str) -> np.ndarray:
        return scoped_ppm(rules, f"house.concentration.{name}", position.clients, position.products)

    long_value = position.by_name(np.maximum(0, position.value))
    short_value = position.by_name(np.maximum(0, -position.value))
    account_of = np.zeros(len(position.clients), dtype=np.int64)
    account_of[position.name] = position.account
    all_long = np.zeros(int(account_of.max(initial=0)) + 1, dtype=np.int64)
    np.add.at(all_long, account_of, long_value)
    rate = np.zeros(len(position.clients), dtype=np.int64)
    for tier in ("1", "2", "3"):
        beyond = long_value > fraction(all_long[account_of], of(f"share_{tier}"))
        rate = np.maximum(rate, np.where(beyond, of(f"rate_{tier}"), 0))
    stock = ~position.option
    low = position.by_name(
        stock & (position.quantity > 0) & (prices.price[position.code] < of("low_price")[position.name])
    )
    long_rate = np.maximum(rate, np.where(low > 0, of("low_price_rate"), 0))
    held, adv, outstanding = _largest_holding(position, instruments, stock)
    both = np.zeros(len(rate), dtype=np.int64)
    for tier in ("1", "2"):
        beyond = (outstanding > 0) & (held * MICRO > outstanding * of(f"outstanding_share_{tier}"))
        both = np.maximum(both, np.where(beyond, of(f"outstanding_rate_{tier}"), 0))
    # In millionths of a share, so that the whole numbers of shares compare exactly.
    beyond_volume = np.maximum(0, held * MICRO - adv * of("adv_multiple"))
    extra = np.where(adv > 0, -(-beyond_volume // np.maximum(1, adv * MICRO)), 0)
    points = extra * of("adv_points")
    long_total = np.minimum(np.maximum(long_rate, both) + points, np.maximum(MICRO, both))
    short_total = np.minimum(both + points, np.maximum(MICRO, both))
    return fraction(long_value, long_total) + fraction(short_value, short_total)


def _largest_holding(
    position: _Positions, instruments: Instruments, stock: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By name: shares of its largest stock holding, that stock's average volume and shares outstanding (0 unknown)."""
    n = len(position.clients)
    rows = np.flatnonzero(stock)
    order = rows[np.lexsort((position.code[rows], np.abs(position.units[rows])))]
    last = np.full(n, -1, dtype=np.int64)
    last[position.name[order]] = order
    held = last >= 0
    code = position.code[last[held]]
    columns = [np.zeros(n, dtype=np.int64) for _ in range(3)]
    for column, values in zip(
        columns, (np.abs(position.units[last[held]]), instruments.adv[code], instruments.shares_outstanding[code])
    ):
        column[held] = np.maximum(0, values)
    return columns[0], columns[1], columns[2]


def _liquidity_and_event(
    position: _Positions, instruments: Instruments, prices: PriceSet, inputs: HouseInputs, rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Liquidity and event add-ons and days to liquidate by name, from the delta of each account in each underlying."""
    slot, _, underlying = group_slots(position.account, position.underlying, len(instruments))
    delta = np.where(position.option, fraction(position.units, inputs.delta[position.code]), position.units)
    shares, name = np.zeros(len(underlying), dtype=np.int64), np.zeros(len(underlying), dtype=np.int64)
    np.add.at(shares, slot, delta)
    name[slot] = position.name
    value = fraction(np.abs(shares) * prices.price[underlying], position.fx[underlying])
    tradable = instruments.kind[underlying] != Kind.INDEX

    def of(parameter: str) -> np.ndarray:
        return scoped_ppm(rules, parameter, position.clients[name], position.products[name])

    known = instruments.adv[underlying] > 0
    daily = np.maximum(
        1, fraction(np.maximum(instruments.adv[underlying], 1) * MICRO, of("house.liquidity.participation"))
    )
    days = np.abs(shares) * MICRO / daily
    vol = np.where(
        inputs.daily_vol[underlying] > 0, inputs.daily_vol[underlying], of("house.liquidity.unknown_daily_vol")
    )
    waiting = np.sqrt(np.maximum(0.0, days - 1) / (of("house.liquidity.days_scale") / MICRO))
    # Micros to currency units and back: round_model is where a model value leaves the floats.
    charge = round_model(value / MICRO * (vol / MICRO) * waiting * (of("house.liquidity.quantile") / MICRO))
    charge = np.where(known, charge, fraction(value, of("house.liquidity.unknown_volume_charge")))
    charge = np.where(tradable & (shares != 0), charge, 0)
    liquidity, event = np.zeros(len(position.clients), dtype=np.int64), np.zeros(len(position.clients), dtype=np.int64)
    np.add.at(liquidity, name, charge)
    np.add.at(event, name, np.where(inputs.event[underlying], fraction(value, of("house.event.points")), 0))
    return liquidity, event, _slowest(name, np.where(known, round_model(days), -1), tradable, len(position.clients))


def _slowest(name: np.ndarray, days: np.ndarray, tradable: np.ndarray, count: int) -> np.ndarray:
    """Most days to liquidate by name; -1 as soon as one underlying's volume is not known."""
    slowest, unknown = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    np.maximum.at(slowest, name[tradable], days[tradable])
    unknown[name[tradable & (days < 0)]] = True
    return np.where(unknown, -1, slowest)


def _gap(position: _Positions, instruments: Instruments, inputs: HouseInputs, rules: Rules) -> np.ndarray:
    """Half the scan range on the strike notional of short options about to expire: micros by name."""
    expiry = instruments.expiry[position.code]
    left = np.searchsorted(inputs.sessions, expiry, "right") - np.searchsorted(inputs.sessions, inputs.as_of, "right")
    days = scoped_ppm(rules, "house.gap.days", position.clients, position.products)[position.name]
    near = position.option & (position.quantity < 0) & (expiry >= inputs.as_of) & (left * MICRO <= days)
    widest = np.abs(scan_moves(instruments, rules)).max(axis=1, initial=0)[position.code]
    share = scoped_ppm(rules, "house.gap.share", position.clients, position.products)[position.name]
    notional = fraction(np.abs(position.units) * instruments.strike[position.code], position.rate)
    return position.by_name(np.where(near, fraction(fraction(notional, widest), share), 0))


def _vega(position: _Positions, inputs: HouseInputs, rules: Rules) -> np.ndarray:
    """The net vega of each name times the volatility move, either way: micros by name."""
    vega = fraction(np.where(position.option, position.units * inputs.vega[position.code], 0), position.rate)
    points = scoped_ppm(rules, "house.vega.vol_points", position.clients, position.products)
    return fraction(np.abs(position.by_name(vega)), points)


def _borrow(position: _Positions, instruments: Instruments, rules: Rules) -> np.ndarray:
    """Points on short stock whose borrow fee is high: micros by name."""
    fee = scoped_ppm(rules, "house.borrow.fee", position.clients, position.products)[position.name]
    points = scoped_ppm(rules, "house.borrow.points", position.clients, position.products)[position.name]
    dear = (position.value < 0) & (instruments.borrow_fee[position.code] > fee)
    return position.by_name(np.where(dear, fraction(np.abs(position.value), points), 0))


def _overridden(rules: Rules, name: str) -> list[tuple[str | None, str | None]]:
    return [(o.client, o.product) for o in rules.rulebook.overrides if o.id == name]


def _per_product(rules: Rules, name: str, products: np.ndarray) -> np.ndarray:
    """A parameter by instrument: shared by all accounts, so an override may name a product but no client."""
    if any(client is not None for client, _ in _overridden(rules, name)):
        raise ValueError(f"override of {name}: expected a product only, its points are valued once for all clients")
    return scoped_ppm(rules, name, np.full(len(products), "", dtype=object), products)


def _total(components: Mapping[str, np.ndarray], account: np.ndarray, accounts: Accounts) -> np.ndarray:
    parts = [components[name] for name in COMPONENTS]
    size = np.sum([np.abs(part.astype(np.float64)) for part in parts], axis=0)
    if len(size) and size.max() >= float(LIMIT):
        name = accounts.id[account[int(size.argmax())]]
        raise MoneyOverflowError(f"house margin of account {name}: its sums leave the range of 9e12 currency units")
    return np.stack(parts).sum(axis=0)
