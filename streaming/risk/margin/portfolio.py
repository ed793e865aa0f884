"""Portfolio margin, FINRA 4210(g): the ten-point scan, its offsets, and what each account must hold.

Every option is revalued once per price set at ten moves of its underlying (the valuation app does that, at the spots of
:func:`scan_points`). Here positions multiply those values: class groups offset in full, product and portfolio groups by
a share, always **at the same point**; the requirement is the largest loss over the points, never below the minimum per
contract. All sums are exact integers: no order of rows or groups changes a total. The clearing house's files use its
own prices; our model is an approximation, and reports must say so (``APPROXIMATION``).
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Protocol

import numpy as np

from streaming.risk.holdings import Holdings
from streaming.risk.margin.groups import MarginGroups, Moves
from streaming.risk.margin.sums import group_slots, offset_by_parent, position_sums, sum_by_account, sum_by_parent
from streaming.risk.market import PriceSet, PriceStatus
from streaming.risk.money import LIMIT, MICRO, MoneyOverflowError, fraction
from streaming.risk.reference import Accounts, Instruments, Kind, UnderlyingClass, one_of
from streaming.risk.rulebook import Rules

POINTS = 10
"""Valuation points; the unchanged price is not one of them."""

MISSING_VALUE = np.iinfo(np.int64).min
"""In ``baseline`` or ``scan``: the model has no value for this instrument."""

APPROXIMATION = "Scan values come from our own option model; the clearing house's published values may differ."

_LEVERAGED = (UnderlyingClass.LEVERAGED, UnderlyingClass.LEVERAGED_BROAD)
_RANGE_OF_CLASS = {
    UnderlyingClass.BROAD_INDEX_HIGH_CAP: "high_cap_broad_index",
    UnderlyingClass.BROAD_INDEX: "other_broad_index",
    UnderlyingClass.LEVERAGED_BROAD: "other_broad_index",
}
_RANGES = {
    Moves.CUSTOMER: "portfolio_margin.scan",
    Moves.BROKER_DEALER: "portfolio_margin.haircut_broker_dealer",
    Moves.MARKET_MAKER: "portfolio_margin.haircut_market_maker",
}
_ELIGIBLE_KINDS = (Kind.STOCK, Kind.ETF, Kind.OPTION)


class Treatment(IntEnum):
    """How a position entered the requirement; everything from ``MISSING_PRICE`` on is charged in full and listed."""

    SCANNED = 0
    NOT_ELIGIBLE = 1
    """Margined under the strategy-based rule, 4210(g)."""
    MISSING_PRICE = 2
    STALE_PRICE = 3
    MISSING_VALUE = 4
    MISSING_MULTIPLIER = 5
    MISSING_UNDERLYING = 6
    MISSING_RATE = 7
    """No exchange rate for the instrument's currency."""
    UNKNOWN_CLASS = 8


class ScanValues(Protocol):
    """The part of a valuation that the scan needs: micros per unit, row number = instrument code."""

    @property
    def baseline(self) -> np.ndarray: ...
    @property
    def scan(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class GroupRows:
    """One level of groups, one row per account and group, sorted by (account, group). Reporting-currency micros."""

    account: np.ndarray
    group: np.ndarray
    """Code at this level (class, product or portfolio group)."""
    pnl: np.ndarray
    """[row, 10]: signed P&L at each point, after the offsets of this level (gains count by the group's share)."""
    minimum: np.ndarray
    instruments: np.ndarray
    """Number of scanned positions."""
    parent: np.ndarray
    """Row of the next level that this row is part of; at the top level the position of the account."""

    def __len__(self) -> int:
        return len(self.account)

    @property
    def scenario_loss(self) -> np.ndarray:
        """Largest loss over the points, at least zero."""
        return np.maximum(0, -self.pnl.min(axis=1)) if len(self) else np.zeros(0, dtype=np.int64)

    @property
    def worst_point(self) -> np.ndarray:
        """1 to 10 in the order of ``scan_points``, the first of equals; 0 where no point loses."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        return np.where(self.scenario_loss > 0, self.pnl.argmin(axis=1) + 1, 0)

    @property
    def requirement(self) -> np.ndarray:
        """The greater of the scenario loss and the minimum."""
        return np.maximum(self.scenario_loss, self.minimum)


@dataclass(frozen=True, slots=True)
class PortfolioMarginResult:
    """Portfolio margin of every account that holds something. Amounts in reporting-currency micros."""

    classes: GroupRows
    products: GroupRows
    portfolios: GroupRows
    """The top level: where the requirement arises."""
    account: np.ndarray
    """Account codes, ascending; the account columns below follow it."""
    scanned: np.ndarray
    """Sum of the top groups' requirements."""
    strategy_based: np.ndarray
    """Requirements of positions that are not eligible."""
    conservative: np.ndarray
    """Full charges for positions that cannot be scanned."""
    requirement: np.ndarray
    """scanned + strategy_based + conservative."""
    treatment: np.ndarray
    """int8 by holdings row: :class:`Treatment`."""
    charge: np.ndarray
    """By holdings row: the strategy-based or full charge of a position that is not scanned, else 0."""
    class_row: np.ndarray
    """By holdings row: its row in ``classes``; -1 when not scanned."""
    groups: MarginGroups


def scan_moves(
    instruments: Instruments, rules: Rules, groups: MarginGroups | None = None, schedule: Moves = Moves.CUSTOMER
) -> np.ndarray:
    """Signed moves of each instrument's underlying at the ten points: int64 ppm ``[n_instruments, 10]``.

    From the largest up to the largest down: range x 5/5 ... 1/5 up, then 1/5 ... 5/5 down. A leveraged fund moves by
    its signed factor times its underlying's range, so an inverse fund falls where its index rises. The range is the one
    published for the product group, otherwise the rulebook's for the class (FINRA 4210(g)(2), 15c3-1a(b)(1)).
    Instruments outside the scan have moves of zero.
    """
    steps = int(rules.value("portfolio_margin.scan.steps"))
    if 2 * steps != POINTS:
        raise ValueError(f"portfolio_margin.scan.steps: expected {POINTS // 2}, found {steps}")
    underlying, classes = underlying_code(instruments), underlying_class(instruments)
    up, down = np.zeros(len(instruments), dtype=np.int64), np.zeros(len(instruments), dtype=np.int64)
    for cls in UnderlyingClass:
        if cls != UnderlyingClass.NONE:
            name = _RANGE_OF_CLASS.get(cls, "equity")
            up[classes == cls], down[classes == cls] = _range(rules, f"{_RANGES[schedule]}.{name}")
    if groups is not None:
        published = groups.moves[groups.product_group[groups.class_group], schedule]
        listed = (published[:, 0] > 0) & (classes != UnderlyingClass.NONE)
        up, down = (np.where(listed, published[:, side], own) for side, own in enumerate((up, down)))
    step = np.arange(steps, 0, -1, dtype=np.int64)
    # The lists' and the rulebook's moves have four decimals of a percent at most, so a fifth stays exact in ppm.
    moves = np.concatenate((up[:, None] * step // steps, -(down[:, None] * step[::-1] // steps)), axis=1)
    leverage = np.where(one_of(classes, *_LEVERAGED), instruments.leverage[underlying], MICRO)
    scannable = one_of(instruments.kind, *_ELIGIBLE_KINDS, Kind.INDEX)
    return np.where(scannable[:, None], fraction(moves, leverage[:, None]), 0)


def scan_points(
    instruments: Instruments, rules: Rules, groups: MarginGroups | None = None, schedule: Moves = Moves.CUSTOMER
) -> np.ndarray:
    """Spot factors of each instrument's underlying at the ten points: float64 ``[n_instruments, 10]``, never below 0.

    The valuation app reprices every instrument at (spot x factor); time, rates and volatility stay. Order as in
    :func:`scan_moves`.
    """
    return np.maximum(0, MICRO + scan_moves(instruments, rules, groups, schedule)) / MICRO


def portfolio_margin(
    holdings: Holdings,
    instruments: Instruments,
    accounts: Accounts,
    prices: PriceSet,
    valuation: ScanValues,
    groups: MarginGroups,
    rules: Rules,
    strategy_requirement: np.ndarray | None = None,
) -> PortfolioMarginResult:
    """The portfolio margin requirement of every account in ``holdings`` (FINRA 4210(g)).

    Args:
        holdings: Open positions in any order.
        valuation: Model values at the ten points and at the unchanged price; ``MISSING_VALUE`` where there is none.
        groups: From :func:`streaming.risk.margin.groups.assign_groups`, over the same instruments.
        strategy_requirement: By holdings row, reporting-currency micros: the strategy-based requirement, used for
            positions that are not eligible. Without it they are charged in full.

    Raises:
        MoneyOverflowError: An account's sums leave the 64-bit range; the message names it.
    """
    minimum = rules.ppm("portfolio_margin.minimum_per_contract")
    return _scan(
        holdings, instruments, accounts, prices, (valuation.scan, valuation.baseline), groups, rules, minimum,
        strategy_requirement,
    )  # fmt: skip


def theoretical_haircut(
    holdings: Holdings,
    instruments: Instruments,
    accounts: Accounts,
    prices: PriceSet,
    scan: np.ndarray,
    baseline: np.ndarray,
    groups: MarginGroups,
    rules: Rules,
) -> PortfolioMarginResult:
    """The theoretical haircut of SEC 15c3-1a(b)(1) on the firm's option positions and their hedges.

    The same scan with the moves of the schedule (``scan_points(..., schedule=Moves.BROKER_DEALER)``, at which ``scan``
    must have been valued) and a minimum of 0.25 x multiplier per contract. ``requirement`` is the haircut. Positions
    outside the scan (debt, funds) have no theoretical haircut: they are charged 0 here and belong to (c)(2)(vi).
    """
    minimum = rules.ppm("portfolio_margin.haircut_minimum_per_contract")
    elsewhere = np.zeros(len(holdings), dtype=np.int64)
    return _scan(holdings, instruments, accounts, prices, (scan, baseline), groups, rules, minimum, elsewhere, True)


def offset_points(pnl: np.ndarray, share_ppm: int) -> np.ndarray:
    """P&L of one product or portfolio group at each point: share x sum of gains - sum of losses, at the same point.

    ``pnl`` is int64 micros ``[members, points]``, signed; the result is ``[points]``. FINRA 4210(g)(2).
    """
    pnl = np.ascontiguousarray(pnl, dtype=np.int64)
    parent = np.zeros(len(pnl), dtype=np.int64)
    return offset_by_parent(pnl, parent, np.array([share_ppm], dtype=np.int64))[0]


def eligible(instruments: Instruments) -> np.ndarray:
    """By instrument: may be scanned, FINRA 4210(g): margin equities and funds on them, and listed options."""
    marginable = (instruments.kind == Kind.OPTION) | instruments.marginable.astype(bool)
    return one_of(instruments.kind, *_ELIGIBLE_KINDS) & marginable


def requirement_by_row(
    holdings: Holdings, account: np.ndarray, security: np.ndarray, requirement: np.ndarray
) -> np.ndarray:
    """Strategy-based requirements of whole positions as a column of the holdings: what ``portfolio_margin`` takes.

    ``account`` and ``security`` (instrument code) name the position of each ``requirement`` in micros. They must come
    from a strategy-based run over the positions that are not ``eligible``, where nothing else is paired with them.

    Raises:
        ValueError: A requirement names a position that is not held.
    """
    column = np.zeros(len(holdings), dtype=np.int64)
    order = np.lexsort((holdings.instrument, holdings.account))
    width = 1 + max(int(holdings.instrument.max(initial=0)), int(security.max(initial=0)))
    held = holdings.account[order].astype(np.int64) * width + holdings.instrument[order]
    wanted = account.astype(np.int64) * width + security
    at = np.minimum(np.searchsorted(held, wanted), max(0, len(held) - 1))
    missing = np.flatnonzero(held[at] != wanted) if len(held) else np.arange(len(wanted))
    if len(missing):
        row = missing[0]
        raise ValueError(
            f"requirement {row}: expected a held position, found account {account[row]}, security {security[row]}"
        )
    np.add.at(column, order[at], requirement)
    return column


def contract_minimum(quantity: np.ndarray, multiplier: np.ndarray, rate_ppm: int) -> np.ndarray:
    """Minimum in micros: |contracts| x rate x multiplier, long or short (37.50 dollars at 0.375 and 100)."""
    return np.abs(quantity) * multiplier * rate_ppm


def _scan(
    holdings: Holdings,
    instruments: Instruments,
    accounts: Accounts,
    prices: PriceSet,
    values: tuple[np.ndarray, np.ndarray],
    groups: MarginGroups,
    rules: Rules,
    minimum_rate: int,
    strategy_requirement: np.ndarray | None,
    any_marginable: bool = False,
) -> PortfolioMarginResult:
    scan, baseline = values
    if scan.shape != (len(instruments), POINTS) or baseline.shape != (len(instruments),):
        raise ValueError(
            f"scan values: expected shapes {(len(instruments), POINTS)} and {(len(instruments),)}, "
            f"found {scan.shape} and {baseline.shape}"
        )
    fx = reporting_rates(instruments, prices)
    reason = _treatment(instruments, prices, scan, baseline, fx, any_marginable)
    treatment = reason[holdings.instrument]
    charge = _charges(holdings, instruments, prices, treatment, np.abs(fx), rules, strategy_requirement)
    chosen = np.flatnonzero(treatment == Treatment.SCANNED)
    chosen = chosen[np.argsort(holdings.account[chosen], kind="stable")]
    code, quantity = holdings.instrument[chosen], holdings.quantity[chosen]
    account = holdings.account[chosen]
    minimum = np.where(
        instruments.kind[code] == Kind.OPTION, contract_minimum(quantity, instruments.multiplier[code], minimum_rate), 0
    )
    slot, slot_account, slot_class = group_slots(account, groups.class_group[code], len(groups.class_name))
    unit = (scan - baseline[:, None]) * instruments.multiplier[:, None].astype(np.int64)
    pnl, least, count, gross = position_sums(code, quantity, fx, unit, minimum, slot, len(slot_account))
    _refuse_overflow(slot_account, gross, charge, holdings, accounts)
    classes, products, portfolios, present = _levels(slot_account, slot_class, pnl, least, count, groups)
    account_code = np.unique(np.concatenate((present, holdings.account)))
    scanned = sum_by_account(account_code, portfolios.account, portfolios.requirement)
    outside = treatment == Treatment.NOT_ELIGIBLE
    strategy = sum_by_account(account_code, holdings.account[outside], charge[outside])
    full = treatment > Treatment.NOT_ELIGIBLE
    conservative = sum_by_account(account_code, holdings.account[full], charge[full])
    class_row = np.full(len(holdings), -1, dtype=np.int64)
    class_row[chosen] = slot
    return PortfolioMarginResult(
        classes, products, portfolios, account_code, scanned, strategy, conservative,
        scanned + strategy + conservative, treatment, charge, class_row, groups,
    )  # fmt: skip


def _levels(
    account: np.ndarray, code: np.ndarray, pnl: np.ndarray, minimum: np.ndarray, count: np.ndarray, groups: MarginGroups
) -> tuple[GroupRows, GroupRows, GroupRows, np.ndarray]:
    """Class rows, and above them product and portfolio rows: at each level gains offset losses by its share."""
    to_product, product_account, product = group_slots(account, groups.product_group[code], len(groups.product_name))
    product_pnl = offset_by_parent(pnl, to_product, groups.product_share[product])
    to_portfolio, top_account, portfolio = group_slots(
        product_account, groups.portfolio_group[product], len(groups.portfolio_name)
    )
    top_pnl = offset_by_parent(product_pnl, to_portfolio, groups.portfolio_share[portfolio])
    product_minimum, product_count = sum_by_parent(to_product, minimum, count, len(product))
    top_minimum, top_count = sum_by_parent(to_portfolio, product_minimum, product_count, len(portfolio))
    present, to_account = np.unique(top_account, return_inverse=True)
    return (
        GroupRows(account, code, pnl, minimum, count, to_product),
        GroupRows(product_account, product, product_pnl, product_minimum, product_count, to_portfolio),
        GroupRows(top_account, portfolio, top_pnl, top_minimum, top_count, to_account),
        present,
    )


def underlying_code(instruments: Instruments) -> np.ndarray:
    """The code whose price moves each instrument; an option without a known underlying points at itself."""
    own = np.arange(len(instruments))
    known = (instruments.kind == Kind.OPTION) & (instruments.underlying >= 0) & (instruments.underlying < len(own))
    return np.where(known, instruments.underlying, own)


def underlying_class(instruments: Instruments) -> np.ndarray:
    """The class that each instrument's percentages depend on: that of its underlying."""
    return instruments.underlying_class[underlying_code(instruments)]


def _range(rules: Rules, name: str) -> tuple[int, int]:
    table = rules.table(name)
    return int(Decimal(str(table["up"])) * MICRO), int(Decimal(str(table["down"])) * MICRO)


def reporting_rates(instruments: Instruments, prices: PriceSet) -> np.ndarray:
    """Reporting-currency ppm per instrument. Where none is known: minus the largest known rate, as a flag."""
    rates = np.full(len(instruments), -max((MICRO, *prices.fx.values())), dtype=np.int64)
    for currency, rate in prices.fx.items():
        rates[instruments.currency == currency] = rate
    return rates


def _treatment(
    instruments: Instruments,
    prices: PriceSet,
    scan: np.ndarray,
    baseline: np.ndarray,
    fx: np.ndarray,
    any_marginable: bool,
) -> np.ndarray:
    """:class:`Treatment` per instrument; the first reason of the list below that holds."""
    underlying = underlying_code(instruments)
    option = instruments.kind == Kind.OPTION
    outside = ~one_of(instruments.kind, *_ELIGIBLE_KINDS) if any_marginable else ~eligible(instruments)
    status, price = prices.status[underlying], prices.price[underlying]
    reasons = (
        (outside, Treatment.NOT_ELIGIBLE),
        (option & (underlying == np.arange(len(instruments))), Treatment.MISSING_UNDERLYING),
        (instruments.multiplier <= 0, Treatment.MISSING_MULTIPLIER),
        (underlying_class(instruments) == UnderlyingClass.NONE, Treatment.UNKNOWN_CLASS),
        (fx < 0, Treatment.MISSING_RATE),
        ((status == PriceStatus.MISSING) | (price <= 0), Treatment.MISSING_PRICE),
        (prices.status == PriceStatus.MISSING, Treatment.MISSING_PRICE),
        (status == PriceStatus.STALE, Treatment.STALE_PRICE),
        ((baseline == MISSING_VALUE) | (scan == MISSING_VALUE).any(axis=1), Treatment.MISSING_VALUE),
    )
    return np.select([where for where, _ in reasons], [np.int8(why) for _, why in reasons], np.int8(0)).astype(np.int8)


def _charges(
    holdings: Holdings,
    instruments: Instruments,
    prices: PriceSet,
    treatment: np.ndarray,
    fx: np.ndarray,
    rules: Rules,
    strategy_requirement: np.ndarray | None,
) -> np.ndarray:
    """By row: the strategy-based requirement of what is not eligible, the full charge of what cannot be scanned."""
    charge = np.zeros(len(holdings), dtype=np.int64)
    in_full = np.flatnonzero(
        treatment > (Treatment.SCANNED if strategy_requirement is None else Treatment.NOT_ELIGIBLE)
    )
    charge[in_full] = full_charge(holdings, instruments, prices, in_full, fx, rules)
    if strategy_requirement is not None:
        outside = treatment == Treatment.NOT_ELIGIBLE
        charge[outside] = strategy_requirement[outside]
    return charge


def full_charge(
    holdings: Holdings, instruments: Instruments, prices: PriceSet, rows: np.ndarray, fx: np.ndarray, rules: Rules
) -> np.ndarray:
    """The conservative (100%) charge of ``rows``: reporting-currency micros, never zero.

    Long positions and short stock: the whole value at the price, else the previous close, else the cost basis, else
    ``portfolio_margin.missing.unit_charge``. Short options: the premium and the whole value of what they deliver, at
    the greater of the underlying's price and the strike.
    """
    code, quantity = holdings.instrument[rows], np.abs(holdings.quantity[rows])
    option = instruments.kind[code] == Kind.OPTION
    standard = np.where(option, int(rules.value("portfolio_margin.missing.multiplier")), 1)
    multiplier = np.where(instruments.multiplier[code] > 0, instruments.multiplier[code], standard).astype(np.int64)
    known = np.where(prices.price > 0, prices.price, np.maximum(prices.previous_close, 0))
    value = quantity * multiplier * known[code]
    value = np.where(value > 0, value, np.abs(holdings.cost[rows]))
    delivered = np.where(option, np.maximum(known[underlying_code(instruments)[code]], instruments.strike[code]), 0)
    uncovered = option & (holdings.quantity[rows] < 0)
    value = value + np.where(uncovered, quantity * multiplier * delivered, 0)
    last_resort = quantity * multiplier * rules.micros("portfolio_margin.missing.unit_charge")
    return fraction(np.where(value > 0, value, last_resort), fx[code])


def _refuse_overflow(
    slot_account: np.ndarray, gross: np.ndarray, charge: np.ndarray, holdings: Holdings, accounts: Accounts
) -> None:
    total = np.zeros(len(accounts))
    np.add.at(total, slot_account, gross)
    np.add.at(total, holdings.account, np.abs(charge.astype(np.float64)))
    if total.size and total.max() >= float(LIMIT):
        name = accounts.id[int(total.argmax())]
        raise MoneyOverflowError(f"portfolio margin of account {name}: its sums leave the range of 9e12 currency units")
