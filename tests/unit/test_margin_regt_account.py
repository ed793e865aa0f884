"""Equity, SMA, calls with due dates, trigger levels and cures (margin_regt_4210.md, sections 6 to 8)."""

from datetime import date, timedelta

import numpy as np
import pytest

from streaming.risk.margin import account, calls, stock
from streaming.risk.money import MICRO, micros
from streaming.risk.rulebook import load
from tests.unit.margin_regt_books import RULES, TERMS

HOLIDAYS = {date(2026, 11, 26), date(2026, 12, 25)}
SESSIONS = np.array(
    [
        (day - date(1970, 1, 1)).days
        for day in (date(2026, 11, 2) + timedelta(n) for n in range(90))
        if day.weekday() < 5 and day not in HOLIDAYS
    ]
)


def day(year, month, number):
    return (date(year, month, number) - date(1970, 1, 1)).days


def test_the_sma_keeps_what_it_had_when_the_market_falls():
    previous, entries, excess = (
        np.array(column) for column in ([500, 500, 0, 100], [0, -700, 0, 50], [300, -50, -10, 400])
    )
    assert account.sma(previous, entries, excess).tolist() == [500, 0, 0, 400]


def test_sma_entries_release_their_share_of_proceeds():
    entries = account.sma_entries(
        RULES, deposits=1000, dividends_and_interest=10, long_stock_sales=2000, long_option_sales=300,
        shorts_bought_in=400, loan_value_deposited=50, withdrawals=70, initial_margin_of_trades=600,
    )  # fmt: skip
    assert int(entries) == 1000 + 10 + 1000 + 300 + 200 + 50 - 70 - 600


def test_a_regulation_t_call_arises_from_trades_not_from_a_falling_market():
    previous, entries = np.array([0, 0, 1000]), np.array([0, -2000, -1500])
    excess = np.array([-5000, -5000, -200])
    assert account.reg_t_call(previous, entries, excess).tolist() == [0, 2000, 200]


def test_a_small_deficiency_may_be_disregarded():
    amounts = np.array([0, micros(1000), micros("1000.01")])
    assert calls.disregarded(amounts, RULES).tolist() == [False, True, False]


def test_buying_power_and_what_may_be_withdrawn():
    assert account.buying_power(np.array(micros(5000)), TERMS.initial_long) == micros(10_000)
    usable = account.usable_sma(*(np.array([micros(x)]) for x in (5000, 3000, 6000, 2000)))
    assert usable[0] == micros(3000)  # maintenance binds before the SMA and the minimum equity
    assert account.usable_sma(*(np.array([micros(x)]) for x in (5000, 3000, 2500, 2000)))[0] == micros(500)
    assert account.usable_sma(*(np.array([micros(x)]) for x in (5000, -1, 2500, 2000)))[0] == 0


def test_minimum_equity_is_two_thousand_but_never_more_than_longs_cost():
    longs, shorts = np.array([0, micros(1200), micros(9000), 0]), np.array([0, 0, 0, 5])
    assert account.minimum_equity(longs, shorts, RULES).tolist() == [0, micros(1200), micros(2000), micros(2000)]


def test_cures_of_a_call():
    assert account.cash_to_cure(micros(900)) == micros(900)
    assert account.securities_to_cure(micros(900), TERMS.long_rate) == micros(1200)
    assert account.sale_to_cure(micros(900), TERMS.long_rate) == micros(3600)
    assert account.sale_to_cure(micros(900), TERMS.short_rate) == micros(3000)
    assert account.securities_to_cure(1, TERMS.long_rate) == 2  # rounded up: the cure must cover the call
    with pytest.raises(ValueError, match="releases equity"):
        account.securities_to_cure(1, MICRO)


def test_the_long_trigger_is_the_debit_over_three_quarters():
    trigger = account.trigger_long(micros(7500), RULES)
    assert trigger == micros(10_000)
    equity = trigger - micros(7500)
    assert equity * 4 == trigger


@pytest.mark.parametrize(
    ("credit", "price"),
    [
        (60.0, 60 / 1.3),
        (65 / 3, 50 / 3),  # exactly where the floor of 5.00 a share stops binding
        (21.67, 21.67 / 1.3),
        (21.66, 16.66),
        (10.0, 5.0),
        (9.99, 4.995),
        (5.0, 2.5),
        (4.99, 2.49),
        (2.5, 0.0),
        (1.0, 0.0),  # called at any price
    ],
)
def test_the_short_trigger_in_every_price_row(credit, price):
    shares = 300
    value, per_share = account.trigger_short(shares, micros(str(round(credit, 9))) * shares, RULES)
    assert per_share == pytest.approx(price * MICRO, abs=2)
    assert value == pytest.approx(price * shares * MICRO, abs=2 * shares)


@pytest.mark.parametrize(
    "credit", ["3.30", "4.98", "7.12", "9.90", "10.40", "15.00", "21.60", "21.80", "52.00", "400.00"]
)
def test_equity_just_meets_maintenance_at_the_short_trigger(credit):
    shares = 1000
    value, price = account.trigger_short(shares, micros(credit) * shares, RULES)
    need = stock.short_maintenance(price, shares, TERMS.short_rate, TERMS)
    assert micros(credit) * shares - value == pytest.approx(need, abs=2 * shares)


def test_due_dates_follow_the_exchange_calendar():
    trade = day(2026, 11, 24)  # a Tuesday, Thanksgiving on Thursday
    assert calls.reg_t_due(trade, SESSIONS, RULES) == day(2026, 11, 30)
    assert calls.house_due(trade, SESSIONS, RULES) == day(2026, 11, 25)
    assert calls.maintenance_due(trade, SESSIONS, RULES) == day(2026, 12, 16)
    assert calls.house_due(day(2026, 11, 28), SESSIONS, RULES) == day(2026, 11, 30)  # a Saturday


def test_the_payment_period_follows_the_settlement_cycle_of_the_rule_date():
    old = load().at(date(2023, 1, 3))
    assert calls.reg_t_due(day(2026, 11, 9), SESSIONS, RULES) == day(2026, 11, 12)
    assert calls.reg_t_due(day(2026, 11, 9), SESSIONS, old) == day(2026, 11, 13)


def test_prime_broker_clients_hold_the_minimum_of_the_1994_letter():
    equity = np.array([micros(400_000), micros(90_000), micros(600_000), 0])
    prime, adviser = np.array([True, True, True, False]), np.array([False, True, False, False])
    lacking = account.prime_broker_shortfall(equity, prime, adviser, RULES)
    assert lacking.tolist() == [micros(100_000), micros(10_000), 0, 0]
    assert calls.prime_broker_due(day(2026, 11, 24), SESSIONS, RULES) == day(2026, 12, 2)


def test_a_calendar_that_is_too_short_is_an_error_that_says_so():
    with pytest.raises(calls.CalendarError, match="15 sessions after"):
        calls.maintenance_due(int(SESSIONS[-3]), SESSIONS, RULES)
    with pytest.raises(calls.CalendarError, match="found the first"):
        calls.house_due(int(SESSIONS[0]) - 5, SESSIONS, RULES)


def test_the_day_trading_regime_switches_on_its_date():
    before, after = load().at(date(2026, 6, 3)), load().at(date(2026, 6, 4))
    assert account.day_trading_buying_power(micros(10_000), micros(30_000), before) == micros(40_000)
    assert account.day_trading_buying_power(micros(10_000), micros(24_999), before) == 0
    assert account.day_trading_buying_power(micros(10_000), micros(30_000), after) is None
