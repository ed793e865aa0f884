"""Funding need and liquidity sources through a wind-down, and which clients could be ported.

All amounts are int64 micros of the reporting currency and positive; flows are cumulative from day 0. The cumulative
gap is inflows less outflows: negative = a need that remains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from streaming.risk.capital.parameters import rates_ppm
from streaming.risk.money import MICRO, fraction
from streaming.risk.rulebook import Rules

RULE = "funding in resolution"


@dataclass(frozen=True, slots=True)
class FundingInputs:
    """The firm at the start of the wind-down, micros."""

    free_credits: int
    short_proceeds: int
    cleared_var: int
    """Ten-day 99% value at risk of the positions at clearing houses."""
    overnight_funding: int
    term_funding: tuple[tuple[int, int], ...]
    """(days to maturity, amount) of repo and loans."""
    matched_book: tuple[tuple[int, int], ...]
    """(days to maturity, amount) of stock loan matched by stock borrow."""
    annual_cost: int
    reserve_account: int
    cash: int
    liquid_assets: Mapping[str, int]
    """Unencumbered value by class of ``resolution.asset_haircut``."""
    debits: int
    capital: int


@dataclass(frozen=True, slots=True)
class FundingPath:
    """Cumulative flows by horizon, micros; every array has one entry per day of ``days``."""

    days: np.ndarray
    outflows: dict[str, np.ndarray]
    inflows: dict[str, np.ndarray]
    gap: np.ndarray
    """Cumulative inflows less outflows."""
    minimum: int
    """The smallest gap on any horizon day."""
    minimum_day: int
    need: int
    """What remains uncovered at the worst day: max(0, -minimum)."""
    capital: np.ndarray
    """Starting capital less the costs borne and the haircuts realised so far."""


class Obstacle(IntEnum):
    """Why an account cannot be ported as it is; the first that applies."""

    NONE = 0
    NEGATIVE_EQUITY = 1
    UNMET_CALL = 2
    NOT_SEGREGATED = 3
    """Fully paid or excess margin securities are not in possession or control."""
    RESERVE_SHORT = 4
    """It has a free credit and the reserve deposit is short."""


@dataclass(frozen=True, slots=True)
class PortingAccounts:
    """Client accounts, one row each."""

    equity: np.ndarray
    open_call: np.ndarray
    """Unmet margin call, micros."""
    segregation_deficit: np.ndarray
    free_credit: np.ndarray


@dataclass(frozen=True, slots=True)
class Portability:
    """Accounts and value that could move to another broker, and what stands against the others."""

    obstacle: np.ndarray
    """:class:`Obstacle` by account."""
    accounts: int
    value: int
    blocked: dict[str, tuple[int, int]]
    """By obstacle: accounts, equity."""


@dataclass(frozen=True, slots=True)
class CriticalFunction:
    """Something the wind-down cannot do without: clearing access, custodian accounts, data, staff."""

    name: str
    provider: str
    continues: bool
    """The contract or access survives the firm's resolution."""
    days_to_replace: int


def funding_path(inputs: FundingInputs, rules: Rules) -> FundingPath:
    """Cumulative outflows and inflows on each day of ``resolution.horizon``, the gap and the need that remains.

    The reserve account pays customers only: it is drawn up to the free credits withdrawn so far. The matched book
    unwinds on both sides alike.
    """
    days = np.array([int(value) for value in rules.values("resolution.horizon")], dtype=np.int64)
    withdrawn = fraction(inputs.free_credits, _withdrawal_ppm(days, rules))
    margin = inputs.cleared_var + int(fraction(inputs.cleared_var, rules.ppm("resolution.clearing_add_on")))
    operations, wind_down = _costs(days, inputs.annual_cost, rules)
    matched = _matured(days, inputs.matched_book)
    overnight = np.where(days >= int(rules.value("resolution.overnight_day")), inputs.overnight_funding, 0)
    outflows = {
        "client free credits withdrawn": withdrawn,
        "short proceeds returned": _run_off(days, inputs.short_proceeds, "resolution.short_close_pace", rules),
        "clearing-house margin": np.full(len(days), margin, dtype=np.int64),
        "overnight funding not rolled": overnight,
        "term funding matured": _matured(days, inputs.term_funding),
        "matched book, stock loan returned": matched,
        "operational cost": operations,
        "wind-down cost": wind_down,
    }
    realised, haircut = _liquidated(inputs.liquid_assets, rules)
    inflows = {
        "reserve account": np.minimum(inputs.reserve_account, withdrawn),
        "cash": np.full(len(days), inputs.cash, dtype=np.int64),
        "liquid assets after haircut": np.where(days > 0, realised, 0),
        "client debits repaid": _run_off(days, inputs.debits, "resolution.debit_repayment", rules),
        "matched book, stock borrow returned": matched,
    }
    gap = np.sum(list(inflows.values()), axis=0) - np.sum(list(outflows.values()), axis=0)
    worst = int(np.argmin(gap))
    capital = inputs.capital - operations - wind_down - np.where(days > 0, haircut, 0)
    return FundingPath(
        days, outflows, inflows, gap, int(gap[worst]), int(days[worst]), max(0, -int(gap[worst])), capital
    )


def portability(accounts: PortingAccounts, reserve_surplus: int) -> Portability:
    """Which accounts could be transferred as they are.

    An account moves when its equity is not negative, no call is unmet, its securities are in possession or control,
    and, if it has a free credit, the reserve deposit is complete (``reserve_surplus`` >= 0; 15c3-3).
    """
    obstacle = np.select(
        [
            accounts.equity < 0,
            accounts.open_call > 0,
            accounts.segregation_deficit > 0,
            (accounts.free_credit > 0) & (reserve_surplus < 0),
        ],
        [Obstacle.NEGATIVE_EQUITY, Obstacle.UNMET_CALL, Obstacle.NOT_SEGREGATED, Obstacle.RESERVE_SHORT],
        Obstacle.NONE,
    )
    free = obstacle == Obstacle.NONE
    blocked = {
        item.name.lower().replace("_", " "): (
            int((obstacle == item).sum()),
            int(accounts.equity[obstacle == item].sum()),
        )
        for item in Obstacle
        if item is not Obstacle.NONE
    }
    return Portability(obstacle, int(free.sum()), int(accounts.equity[free].sum()), blocked)


def unsupported(functions: tuple[CriticalFunction, ...], horizon: int) -> tuple[CriticalFunction, ...]:
    """Critical functions that end with the firm and cannot be replaced within ``horizon`` days, longest first."""
    missing = [item for item in functions if not item.continues and item.days_to_replace > horizon]
    return tuple(sorted(missing, key=lambda item: (-item.days_to_replace, item.name)))


def _withdrawal_ppm(days: np.ndarray, rules: Rules) -> np.ndarray:
    known = sorted((int(day), part) for day, part in rates_ppm("resolution.free_credit_withdrawal", rules).items())
    return np.rint(np.interp(days, [day for day, _ in known], [part for _, part in known])).astype(np.int64)


def _run_off(days: np.ndarray, amount: int, pace: str, rules: Rules) -> np.ndarray:
    """Cumulative, the same part of the opening amount each day until nothing is left."""
    return fraction(amount, np.minimum(days * rules.ppm(pace), MICRO))


def _matured(days: np.ndarray, ladder: tuple[tuple[int, int], ...]) -> np.ndarray:
    """What has matured by each day."""
    return np.array([sum(amount for due, amount in ladder if due <= day) for day in days.tolist()], dtype=np.int64)


def _costs(days: np.ndarray, annual: int, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative operational cost, and cost of the wind-down itself, spread evenly."""
    year, month = int(rules.value("resolution.days_in_year")), int(rules.value("resolution.days_in_month"))
    operating = np.minimum(days, int(rules.value("resolution.operational_days"))).tolist()
    winding = np.minimum(days, int(rules.value("resolution.wind_down_months")) * month).tolist()
    monthly = int(fraction(annual, rules.ppm("resolution.wind_down_cost")))
    return (
        np.array([-(-annual * day // year) for day in operating], dtype=np.int64),
        np.array([-(-monthly * day // month) for day in winding], dtype=np.int64),
    )


def _liquidated(assets: Mapping[str, int], rules: Rules) -> tuple[int, int]:
    """Proceeds and haircut of the liquid assets; a class without haircut in the rulebook is worth nothing."""
    haircuts = rates_ppm("resolution.asset_haircut", rules)
    haircut = sum(int(fraction(value, haircuts.get(name, MICRO))) for name, value in assets.items())
    return sum(assets.values()) - haircut, haircut
