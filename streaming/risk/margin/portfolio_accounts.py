"""What portfolio margin means for each account and for the firm: equity, excess, eligibility, calls, the tenfold ratio.

FINRA 4210(g). Dates are days since 1970-01-01 and the exchange calendar comes as an argument: the
ascending array of business days (``sessions``).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from streaming.risk.margin.portfolio import PortfolioMarginResult
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Accounts, one_of
from streaming.risk.rulebook import Rules


class Eligibility(IntEnum):
    """Whether an account may be portfolio-margined; the first reason that holds."""

    ELIGIBLE = 0
    NOT_APPROVED = 1
    """Neither a broker-dealer nor approved for uncovered option writing."""
    UNLISTED_EQUITY = 2
    """Holds unlisted derivatives below the equity they need."""
    BELOW_MINIMUM = 3
    """Below the firm-set minimum equity: no new opening trades."""


@dataclass(frozen=True, slots=True)
class PortfolioAccounts:
    """One row per account of the result. Reporting-currency micros."""

    account: np.ndarray
    equity: np.ndarray
    """Net liquidating value: all positions at market, long options included."""
    requirement: np.ndarray
    excess: np.ndarray
    """equity - requirement; negative = deficiency."""
    minimum_equity: np.ndarray
    eligibility: np.ndarray


@dataclass(frozen=True, slots=True)
class PortfolioCalls:
    """Calls on open deficiencies, one row per account that has one: until cured, only trades that lower risk."""

    account: np.ndarray
    amount: np.ndarray
    opened: np.ndarray
    due: np.ndarray
    """Last business day to cure."""
    overdue: np.ndarray
    deduction: np.ndarray
    """Amount that leaves the firm's net capital: what is still open at the close of the next business day."""


@dataclass(frozen=True, slots=True)
class NetCapitalMultiple:
    """All portfolio margin requirements of the firm against its net capital."""

    requirement: int
    net_capital: int
    limit: int
    """Most that the requirements may be."""
    multiple_ppm: int | None
    """Requirements / net capital; None where net capital is not positive."""
    above: bool
    days_above: int
    """Business days above, ``as_of`` included."""
    stop_opening: bool
    """No new portfolio-margin accounts."""


def portfolio_accounts(
    result: PortfolioMarginResult,
    accounts: Accounts,
    equity: np.ndarray,
    rules: Rules,
    *,
    approved: np.ndarray,
    unlisted: np.ndarray,
    real_time_monitoring: bool,
) -> PortfolioAccounts:
    """Equity against requirement, and eligibility, of every account in ``result`` (FINRA 4210(g)).

    Args:
        equity: Net liquidating value by account code, micros.
        approved: By account code: approved for uncovered option writing. Broker-dealers need no approval.
        unlisted: By account code: holds unlisted derivatives. Their equity test sums identically owned accounts.
        real_time_monitoring: The firm's accepted plan monitors intraday risk in full, which lowers the minimum.
    """
    codes = result.account
    away = rules.micros("portfolio_margin.equity_minimum.executed_away")
    plan = "real_time_monitoring" if real_time_monitoring else "other_monitoring"
    minimum = np.where(accounts.prime_broker[codes], away, rules.micros(f"portfolio_margin.equity_minimum.{plan}"))
    owners, owner = np.unique(accounts.client, return_inverse=True)
    owned = np.zeros(len(owners), dtype=np.int64)
    np.add.at(owned, owner, equity)
    short_of_unlisted = owned[owner[codes]] < rules.micros("portfolio_margin.equity_minimum.unlisted_derivatives")
    broker_dealer = one_of(accounts.kind[codes], AccountKind.PAB, AccountKind.HOUSE)
    eligibility = np.select(
        [~(approved[codes] | broker_dealer), unlisted[codes] & short_of_unlisted, equity[codes] < minimum],
        [Eligibility.NOT_APPROVED, Eligibility.UNLISTED_EQUITY, Eligibility.BELOW_MINIMUM],
        Eligibility.ELIGIBLE,
    )
    excess = equity[codes] - result.requirement
    return PortfolioAccounts(codes, equity[codes], result.requirement, excess, minimum, eligibility.astype(np.int8))


def portfolio_calls(
    account: np.ndarray, excess: np.ndarray, opened: np.ndarray, as_of: int, sessions: np.ndarray, rules: Rules
) -> PortfolioCalls:
    """Calls on accounts with negative ``excess``, at the close of ``as_of`` (FINRA 4210(g)).

    ``opened`` is the business day on which each deficiency arose; it is ignored where there is none. The client has
    three business days; the firm deducts what is open at the close of the next one although those days still run.

    Raises:
        ValueError: ``sessions`` ends before a due date or does not hold the opening day.
    """
    open_calls = np.flatnonzero(excess < 0)
    amount, first = -excess[open_calls], opened[open_calls]
    due = _business_days_after(first, int(rules.value("portfolio_margin.call_days")), sessions)
    deducted_from = _business_days_after(first, int(rules.value("portfolio_margin.deduction_days")), sessions)
    return PortfolioCalls(
        account[open_calls],
        amount,
        first,
        due,
        as_of > due,
        np.where(as_of >= deducted_from, amount, 0),
    )


def net_capital_multiple(
    requirement: int, net_capital: int, first_day_above: int | None, as_of: int, sessions: np.ndarray, rules: Rules
) -> NetCapitalMultiple:
    """The tenfold-net-capital test of FINRA 4210(g), on ``as_of``.

    ``requirement`` is the sum of all portfolio margin requirements, ``first_day_above`` the business day on which the
    current stretch above the limit began (None = it begins today). Exactly ten times is not above.
    """
    limit = max(0, net_capital) * int(rules.value("portfolio_margin.net_capital_multiple"))
    above = requirement > limit
    start = as_of if first_day_above is None else first_day_above
    days = int(np.searchsorted(sessions, as_of, "right") - np.searchsorted(sessions, start, "left")) if above else 0
    multiple = requirement * MICRO // net_capital if net_capital > 0 else None
    stop = days > int(rules.value("portfolio_margin.net_capital_days"))
    return NetCapitalMultiple(requirement, net_capital, limit, multiple, above, days, stop)


def _business_days_after(day: np.ndarray, count: int, sessions: np.ndarray) -> np.ndarray:
    at = np.searchsorted(sessions, day)
    if len(day) and (at.max() + count >= len(sessions) or (sessions[at] != day).any()):
        raise ValueError(f"sessions: expected to hold {np.unique(day).tolist()} and {count} later business days")
    return sessions[at + count]
