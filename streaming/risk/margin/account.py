"""What an account's positions and cash come to: equity, excess, SMA, buying power, trigger levels (sections 1, 6, 7).

All amounts in micros of the reporting currency; excess is signed, requirements and calls are positive.
"""

from dataclasses import dataclass

import numpy as np

from streaming.risk.money import MICRO, fraction
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class SmaActivity:
    """What moved each account's special memorandum account today (12 CFR 220.5); one row per account code."""

    previous: np.ndarray
    """Balance at the previous close, >= 0."""
    entries: np.ndarray
    """Signed sum of today's entries, see :func:`sma_entries`."""


def sma(previous: np.ndarray, entries: np.ndarray, reg_t_excess: np.ndarray) -> np.ndarray:
    """``max(0, previous + entries, current Regulation T excess)``: a falling market never reduces it."""
    return np.maximum(np.maximum(previous + entries, reg_t_excess), 0)


def sma_entries(
    rules: Rules,
    *,
    deposits: np.ndarray | int = 0,
    dividends_and_interest: np.ndarray | int = 0,
    long_stock_sales: np.ndarray | int = 0,
    long_option_sales: np.ndarray | int = 0,
    shorts_bought_in: np.ndarray | int = 0,
    loan_value_deposited: np.ndarray | int = 0,
    withdrawals: np.ndarray | int = 0,
    initial_margin_of_trades: np.ndarray | int = 0,
) -> np.ndarray:
    """Signed SMA entries of a day; all arguments are unsigned amounts.

    Sales release their share of the net proceeds, buying in a short its share of the cost, deposited securities their
    loan value; withdrawals and the initial margin of purchases and shorts are taken off.
    """
    return np.asarray(
        np.asarray(deposits, np.int64)
        + dividends_and_interest
        + fraction(long_stock_sales, rules.ppm("regt.sma.long_sale_release"))
        + fraction(long_option_sales, rules.ppm("regt.sma.option_sale_release"))
        + fraction(shorts_bought_in, rules.ppm("regt.sma.short_cover_release"))
        + loan_value_deposited
        - withdrawals
        - initial_margin_of_trades
    )


def buying_power(balance: np.ndarray, initial_rate: int) -> np.ndarray:
    """Market value that the SMA ``balance`` can buy at ``initial_rate`` (ppm), rounded down to the micro."""
    whole, part = np.divmod(np.asarray(balance, np.int64), initial_rate)
    return whole * MICRO + part * MICRO // initial_rate


def usable_sma(
    balance: np.ndarray, maintenance_excess: np.ndarray, equity: np.ndarray, minimum: np.ndarray
) -> np.ndarray:
    """What may be withdrawn in cash: not below maintenance nor below minimum equity afterwards."""
    return np.maximum(np.minimum(np.minimum(balance, maintenance_excess), equity - minimum), 0)


def minimum_equity(long_value: np.ndarray, short_value: np.ndarray, rules: Rules) -> np.ndarray:
    """2,000 dollars, never more than the full cost of longs; zero for an account without positions (4210(b))."""
    minimum = rules.micros("regt.minimum_equity")
    return np.where(short_value > 0, minimum, np.minimum(long_value, minimum))


def prime_broker_shortfall(
    equity: np.ndarray, prime_broker: np.ndarray, adviser_managed: np.ndarray, rules: Rules
) -> np.ndarray:
    """What a prime-broker client's net equity lacks to the 1994 letter's minimum; 0 for everyone else."""
    standard = rules.micros("regt.prime_broker.minimum_equity")
    minimum = np.where(adviser_managed, rules.micros("regt.prime_broker.minimum_equity_adviser"), standard)
    return np.where(prime_broker, np.maximum(minimum - equity, 0), 0)


def reg_t_call(previous: np.ndarray, entries: np.ndarray, reg_t_excess: np.ndarray) -> np.ndarray:
    """Deficiency that today's transactions created: what the SMA would be below zero, while in Regulation T deficit."""
    return np.maximum(-np.maximum(previous + entries, reg_t_excess), 0)


def maintenance_call(maintenance_excess: np.ndarray) -> np.ndarray:
    """``max(0, requirement - equity)``."""
    return np.maximum(-np.asarray(maintenance_excess), 0)


def cash_to_cure(call: int) -> int:
    """Cash that cures a call."""
    return call


def securities_to_cure(call: int, rate: int) -> int:
    """Fully paid marginable long stock that cures a call: ``call / (1 - rate)``, rounded up to the micro."""
    return _ratio_up(call, MICRO - rate)


def sale_to_cure(call: int, rate: int) -> int:
    """Market value to sell (or to buy in, with a short's rate) that cures a call: ``call / rate``, rounded up."""
    return _ratio_up(call, rate)


def _ratio_up(amount: int, rate: int) -> int:
    if rate <= 0:
        raise ValueError(f"cure: expected a rate that releases equity, found {rate} ppm")
    return -(-amount * MICRO // rate)


def trigger_long(debit: int, rules: Rules) -> int:
    """Market value at which one long position is called: ``debit / (1 - 25%)``, half away from zero."""
    return _ratio_near(debit, MICRO - rules.ppm("regt.maintenance.long_equity"))


def trigger_short(shares: int, credit: int, rules: Rules) -> tuple[int, int]:
    """(market value, price per share) at which one short position of unsigned ``shares`` is called.

    With c = credit / shares, the price at which price plus requirement reaches c: it rises without a gap through the
    three rows of 4210(c)(2), (3), so each c has one root. No level (a call at any price) is a price of zero.
    """
    rate, floor = rules.ppm("regt.maintenance.short.rate"), rules.micros("regt.maintenance.short.floor")
    low_rate = rules.ppm("regt.maintenance.short.low_price_rate")
    low_price, low_floor = (
        rules.micros("regt.maintenance.short.low_price"),
        rules.micros("regt.maintenance.short.low_price_floor"),
    )
    value = _ratio_near(credit, MICRO + rate)
    if value * rate < floor * shares * MICRO:  # the floor per share binds
        value = credit - floor * shares
    if value < low_price * shares:
        value = _ratio_near(credit, MICRO + low_rate)
        if value * low_rate < low_floor * shares * MICRO:
            value = credit - low_floor * shares
    value = max(value, 0)
    return value, (2 * value + shares) // (2 * shares)


def _ratio_near(amount: int, rate: int) -> int:
    """``amount / rate`` half away from zero for amounts >= 0 (exact Python integers)."""
    return (2 * amount * MICRO + rate) // (2 * rate)


def day_trading_buying_power(maintenance_excess: int, equity: int, rules: Rules) -> int | None:
    """Four times the maintenance excess of a pattern day trader; None where the rule date has the intraday rule."""
    if rules.parameter("regt.day_trading.regime").value != "pattern_day_trader":
        return None
    if equity < rules.micros("regt.day_trading.minimum_equity"):
        return 0
    return max(maintenance_excess, 0) * int(rules.value("regt.day_trading.multiple"))
