"""Regulation T over columns: whole accounts, missing data, currencies, cash and portfolio accounts."""

from dataclasses import replace

import numpy as np
import pytest

from streaming.risk.holdings import CashBalances
from streaming.risk.margin.account import SmaActivity
from streaming.risk.margin.explain import TABLE, explanation_table, explanations
from streaming.risk.margin.positions import Reason
from streaming.risk.margin.regt import regulation_t
from streaming.risk.margin.strategies import Strategy
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO, MoneyOverflowError, micros
from streaming.risk.reference import Kind, MarginType, Style, UnderlyingClass
from tests.unit.margin_portfolio_books import Item, accounts_of, call, holdings_of, instruments_of, prices_of, put
from tests.unit.margin_regt_books import RULES

TODAY = 20_400
NEAR, FAR = 20_430, 20_800

XYZ = Item("XYZ", 100)


def margin(items, rows, cash=((0, "USD", 0),), margin_types=(MarginType.REG_T,), fx=None, costs=None, **how):
    """The result for rows of (account, instrument, quantity) and cash rows of (account, currency, dollars)."""
    edit = how.pop("edit", {})
    instruments = replace(instruments_of(items), **edit)
    american = np.where(instruments.kind == Kind.OPTION, Style.AMERICAN, Style.NONE)
    instruments = instruments if "style" in edit else replace(instruments, style=american)
    accounts = replace(accounts_of(len(margin_types)), margin_type=np.array(margin_types, dtype=np.int8))
    balances = CashBalances(
        np.array([row[0] for row in cash]), np.array([row[1] for row in cash], dtype=object),
        np.array([micros(row[2]) for row in cash], dtype=np.int64), *np.zeros((2, len(cash)), np.int64),
    )  # fmt: skip
    holdings = holdings_of(items, rows, costs)
    prices = prices_of(items, fx)
    return regulation_t(holdings, balances, instruments, accounts, prices, TODAY, RULES, **how), instruments, accounts


def column(result, name, account=0):
    return getattr(result.accounts, name)[account] / MICRO


def chosen(result):
    return sorted(Strategy(int(code)) for code in result.treatments.strategy)


def test_long_and_short_stock_in_one_account():
    items = [XYZ, Item("ABC", 50)]
    result, *_ = margin(items, [(0, "ABC", -200), (0, "XYZ", 300)], [(0, "USD", 5000)])
    assert [column(result, name) for name in ("lmv", "smv", "equity")] == [30_000, 10_000, 25_000]
    assert column(result, "initial") == 15_000 + 5000
    assert column(result, "maintenance") == 7500 + 3000
    assert column(result, "reg_t_excess") == 5000
    assert column(result, "maintenance_excess") == 14_500
    assert column(result, "sma") == 5000
    assert column(result, "buying_power") == 10_000
    assert column(result, "minimum_equity") == 2000
    assert column(result, "maintenance_call") == 0


def test_an_uncovered_option_compares_equity_with_the_net_requirement():
    items = [XYZ, put("P80", "XYZ", 80, 2, expiry=NEAR)]
    result, *_ = margin(items, [(0, "P80", -1)], [(0, "USD", 1000)])
    assert column(result, "equity") == 800
    assert column(result, "maintenance") == 1000
    assert column(result, "short_option_value") == 200
    assert column(result, "maintenance_net") == 800
    assert column(result, "maintenance_excess") == 0


def test_a_covered_call_in_the_money_caps_the_stock_in_margin_equity():
    items = [Item("XYZ", 110), call("C100", "XYZ", 100, 12, expiry=NEAR)]
    result, *_ = margin(items, [(0, "XYZ", 100), (0, "C100", -1)], [(0, "USD", -5000)])
    assert chosen(result) == [Strategy.COVERED_CALL]
    assert column(result, "equity") == 11_000 - 1200 - 5000
    assert column(result, "margin_equity") == column(result, "equity") - 1000
    assert column(result, "maintenance") == 2500
    assert column(result, "maintenance_excess") == 10_000 - 5000 - 2500  # the call is neither owed nor required


def test_an_account_with_only_cash_requires_nothing():
    result, *_ = margin([XYZ], [], [(0, "USD", 1234)])
    assert column(result, "equity") == column(result, "maintenance_excess") == 1234
    assert column(result, "maintenance") == column(result, "initial") == column(result, "minimum_equity") == 0
    assert len(result.treatments) == 0


def test_negative_cash_in_another_currency_is_converted():
    items = [XYZ, Item("SAP", 200, currency="EUR")]
    fx = {"USD": MICRO, "EUR": 1_100_000}
    result, *_ = margin(items, [(0, "SAP", 10)], [(0, "EUR", -1000), (0, "USD", 500)], fx=fx)
    assert column(result, "cash") == 500 - 1100
    assert column(result, "lmv") == 2200
    assert column(result, "maintenance") == 550


@pytest.mark.parametrize(("balance", "counts_as"), [(1000, 0), (-1000, -1100)])
def test_without_a_rate_a_credit_counts_as_nothing_and_a_debit_at_the_largest_known_rate(balance, counts_as):
    fx = {"USD": MICRO, "EUR": 1_100_000}
    result, *_ = margin([XYZ], [], [(0, "JPY", balance), (0, "USD", 500)], fx=fx)
    assert column(result, "cash") == column(result, "equity") == 500 + counts_as


def test_a_position_without_a_rate_is_charged_in_full_and_says_why():
    items = [Item("SONY", 200, currency="JPY")]
    fx = {"USD": MICRO, "EUR": 1_100_000}
    result, *_ = margin(items, [(0, "SONY", 10)], [(0, "USD", 0)], fx=fx)
    assert column(result, "maintenance") == column(result, "lmv") == 2200
    assert result.positions.reason.tolist() == [int(Reason.MISSING_RATE)]


@pytest.mark.parametrize(
    ("item", "quantity", "expected"),
    [
        (Item("X", 40, marginable=False), 100, 4000),
        (Item("X", 40, cls=UnderlyingClass.LEVERAGED, leverage=-2), 100, 2000),
        (Item("X", 40, cls=UnderlyingClass.LEVERAGED_BROAD, leverage=3), -100, 3600),
        (Item("X", 0), -100, 250),
        (Item("X", "4.99"), -100, 499),
        (Item("X", 5), -100, 500),
    ],
)
def test_stock_that_is_not_ordinary(item, quantity, expected):
    result, *_ = margin([item], [(0, "X", quantity)])
    assert column(result, "maintenance") == expected


def test_debt_by_kind_life_and_grade():
    items = [Item("T5", 1, Kind.TREASURY), Item("B1", "0.5", Kind.BOND), Item("B2", "0.5", Kind.BOND)]
    maturities = {"expiry": np.array([TODAY + 4 * 365, TODAY + 900, TODAY + 900])}
    rows = [(0, "T5", 10_000), (0, "B1", 1000), (0, "B2", -1000)]
    grade = np.array([False, False, True])
    result, *_ = margin(items, rows, edit=maturities, investment_grade=grade)
    assert column(result, "maintenance") == 300 + 100 + 50
    assert chosen(result) == [Strategy.DEBT] * 3


@pytest.mark.parametrize(
    ("status", "price", "close", "cost", "reason", "mark"),
    [
        (PriceStatus.MISSING, 0, 90, 0, Reason.MISSING_PRICE, 90),
        (PriceStatus.MISSING, 0, 0, 8000, Reason.MISSING_PRICE, 80),
        (PriceStatus.STALE, 100, 90, 0, Reason.STALE_PRICE, 100),
        (PriceStatus.GOOD, -5, 90, 0, Reason.NEGATIVE_PRICE, 90),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_stock_without_a_reliable_price_is_charged_in_full_and_listed(status, price, close, cost, reason, mark, side):
    item = Item("X", price, status=status, previous_close=close)
    result, *_ = margin([item], [(0, "X", 100 * side)], costs={0: cost * side})
    assert column(result, "maintenance") == column(result, "initial") == 100 * mark
    assert Reason(int(result.positions.reason[0])) == reason
    assert chosen(result) == [Strategy.CONSERVATIVE]


def test_a_good_last_price_is_not_listed():
    result, *_ = margin([Item("X", 10, status=PriceStatus.LAST_GOOD)], [(0, "X", 100)])
    assert result.positions.reason[0] == 0
    assert column(result, "maintenance") == 250


def short_call(underlying="XYZ", strike=95, price=7, **how):
    return call("O", underlying, strike, price, **{"expiry": NEAR} | how)


UNSURE, CLASS = Reason.UNDERLYING_PRICE, Reason.UNKNOWN_CLASS
MISSING, STALE = {"status": PriceStatus.MISSING}, {"status": PriceStatus.STALE}


@pytest.mark.parametrize(
    ("underlying", "option", "reason", "expected"),
    [
        (XYZ, short_call(price=0, previous_close=3, **MISSING), Reason.MISSING_PRICE, 300 + 10_000),
        (XYZ, short_call(multiplier=0), Reason.MISSING_MULTIPLIER, 700 + 10_000),
        (XYZ, short_call("none", 105), UNSURE | CLASS, 700 + 10_500),
        (Item("XYZ", 0, **MISSING), put("O", "XYZ", 95, 2, expiry=NEAR), UNSURE, 200 + 9500),
        (Item("XYZ", 0, **MISSING), short_call(), UNSURE, 700 + 9500),
        (Item("XYZ", 0, previous_close=98, **MISSING), short_call(), UNSURE, 700 + 9800),
        (Item("XYZ", 100, **STALE), short_call(), UNSURE, 700 + 10_000),
        (Item("XYZ", 100, cls=UnderlyingClass.NONE), short_call(), CLASS, 700 + 10_000),
        (Item("XYZ", 100, cls=UnderlyingClass.LEVERAGED, leverage=0), short_call(), Reason.MISSING_LEVERAGE, 10_700),
        (XYZ, short_call(expiry=TODAY - 1), Reason.EXPIRED, 700 + 10_000),
        (XYZ, short_call(expiry=-1), Reason.MISSING_EXPIRY, 700 + 10_000),
        (XYZ, short_call(strike=0), Reason.MISSING_STRIKE, 700 + 10_000),
    ],
)
def test_a_short_option_with_something_missing_is_charged_in_full_and_listed(underlying, option, reason, expected):
    result, *_ = margin([underlying, option], [(0, "O", -1)])
    assert Reason(int(result.positions.reason[0])) == reason
    assert column(result, "maintenance") == expected
    assert chosen(result) == [Strategy.CONSERVATIVE]


def test_a_stale_underlying_leaves_spreads_but_no_hedges():
    items = [
        Item("XYZ", 100, status=PriceStatus.STALE), call("C95", "XYZ", 95, 7, expiry=NEAR),
        call("C105", "XYZ", 105, 2, expiry=NEAR), call("C90", "XYZ", 90, 11, expiry=NEAR),
    ]  # fmt: skip
    result, *_ = margin(items, [(0, "XYZ", 100), (0, "C95", -1), (0, "C105", 1), (0, "C90", -1)])
    assert chosen(result) == [Strategy.SPREAD, Strategy.CONSERVATIVE, Strategy.CONSERVATIVE]


def test_an_option_that_expires_today_still_hedges():
    items = [XYZ, call("C105", "XYZ", 105, 1, expiry=TODAY)]
    result, *_ = margin(items, [(0, "XYZ", 100), (0, "C105", -1)])
    assert chosen(result) == [Strategy.COVERED_CALL]


def test_options_on_a_leveraged_fund_scale_both_rates():
    fund = Item("L3", "390.70", Kind.ETF, UnderlyingClass.LEVERAGED, leverage=3)
    result, *_ = margin([fund, put("P400", "L3", 400, "15.50", expiry=NEAR)], [(0, "P400", -1)])
    assert column(result, "maintenance") == 24_992


def test_a_long_term_option_has_loan_value_and_is_paid_in_full_in_a_spread():
    items = [XYZ, call("C100", "XYZ", 100, 20, expiry=FAR), call("C110", "XYZ", 110, 15, expiry=FAR)]
    alone, *_ = margin(items, [(0, "C100", 1)])
    assert (column(alone, "maintenance"), chosen(alone)) == (1500, [Strategy.LONG_TERM_OPTION])
    spread, *_ = margin(items, [(0, "C100", 1), (0, "C110", -1)])
    assert (column(spread, "maintenance"), chosen(spread)) == (2000, [Strategy.SPREAD])


def test_index_options_are_never_hedged_with_stock_and_an_index_cannot_be_held():
    items = [Item("SPX", 1000, Kind.INDEX, UnderlyingClass.BROAD_INDEX), call("C", "SPX", 1000, 20, expiry=NEAR)]
    result, *_ = margin(items, [(0, "SPX", 100), (0, "C", -1)], edit={"style": np.array([0, Style.EUROPEAN])})
    assert chosen(result) == [Strategy.UNCOVERED, Strategy.CONSERVATIVE]
    assert column(result, "maintenance") == 100_000 + 2000 + 15_000


def test_am_settled_options_expire_before_pm_settled_ones():
    items = [
        Item("SPX", 1000, Kind.INDEX, UnderlyingClass.BROAD_INDEX),
        call("AM", "SPX", 1000, 20, expiry=NEAR), call("PM", "SPX", 1005, 18, expiry=NEAR),
    ]  # fmt: skip
    edit = {"style": np.array([0, 1, 1]), "am_settled": np.array([False, True, False])}
    covered, *_ = margin(items, [(0, "AM", -1), (0, "PM", 1)], edit=edit)
    assert chosen(covered) == [Strategy.SPREAD]
    exposed, *_ = margin(items, [(0, "AM", 1), (0, "PM", -1)], edit=edit)
    assert chosen(exposed) == [Strategy.LONG_OPTION, Strategy.UNCOVERED]


def test_cash_accounts_hold_everything_in_full():
    items = [XYZ, call("C105", "XYZ", 105, 2, expiry=NEAR), put("P95", "XYZ", 95, 2, expiry=NEAR)]
    rows = [(0, "XYZ", 200), (0, "C105", -1), (0, "P95", -1)]
    result, *_ = margin(items, rows, [(0, "USD", 9500)], (MarginType.CASH,))
    assert chosen(result) == [Strategy.COVERED_CALL, Strategy.CASH_ACCOUNT, Strategy.CASH_ACCOUNT]
    assert column(result, "maintenance") == 10_000 + 10_000 + 9500
    assert column(result, "maintenance_excess") == 0
    assert column(result, "sma") == column(result, "minimum_equity") == 0


def test_a_short_in_a_cash_account_is_listed():
    result, *_ = margin([XYZ], [(0, "XYZ", -100)], margin_types=(MarginType.CASH,))
    assert Reason(int(result.positions.reason[0])) == Reason.NOT_PERMITTED
    assert column(result, "maintenance") == 10_000


def test_portfolio_accounts_are_computed_for_comparison_without_sma_or_call():
    activity = SmaActivity(np.array([0, 0]), np.array([micros(-9000), micros(-9000)]))
    rows = [(0, "XYZ", 100), (1, "XYZ", 100)]
    cash = [(0, "USD", -7000), (1, "USD", -7000)]
    result, *_ = margin([XYZ], rows, cash, (MarginType.REG_T, MarginType.PORTFOLIO), activity=activity)
    assert [column(result, "maintenance", a) for a in (0, 1)] == [2500, 2500]
    assert [column(result, "reg_t_call", a) for a in (0, 1)] == [2000, 0]
    assert [column(result, "sma", a) for a in (0, 1)] == [0, 0]


def test_a_falling_market_brings_a_maintenance_call_but_no_regulation_t_call():
    result, *_ = margin([XYZ], [(0, "XYZ", 100)], [(0, "USD", -8000)])
    assert column(result, "maintenance_call") == 500
    assert column(result, "reg_t_call") == 0


def test_both_sides_of_a_stock_are_short_against_the_box():
    result, *_ = margin([XYZ], [(0, "XYZ", 300), (0, "XYZ", -200)])
    assert chosen(result) == [Strategy.LONG_STOCK, Strategy.SHORT_AGAINST_BOX]
    assert column(result, "maintenance") == 1000 + 2500


def test_a_position_beyond_the_range_of_micros_is_refused_by_name():
    with pytest.raises(MoneyOverflowError, match="market value of position 0"):
        margin([Item("X", 1_000_000)], [(0, "X", 10**8)])


ITEMS = [
    XYZ, call("C105", "XYZ", 105, 2, expiry=NEAR), call("C110", "XYZ", 110, 1, expiry=NEAR),
    put("P95", "XYZ", 95, 2, expiry=NEAR), put("P90", "XYZ", 90, 1, expiry=NEAR), Item("ABC", 33),
]  # fmt: skip
ROWS = [
    (0, "XYZ", 250),
    (0, "C105", -3),
    (0, "C110", 1),
    (0, "P95", -1),
    (0, "P90", 1),
    (1, "ABC", -70),
    (1, "P95", -4),
]


def test_row_order_changes_nothing():
    both = [(a, "USD", 10_000) for a in (0, 1)]
    types = (MarginType.REG_T,) * 2
    first, *_ = margin(ITEMS, ROWS, both, types)
    second, *_ = margin(ITEMS, ROWS[::-1], both[::-1], types)
    for name in ("account", "underlying", "strategy", "maintenance", "initial", "leg_start", "leg_position"):
        assert (getattr(first.treatments, name) == getattr(second.treatments, name)).all()
    for name in first.accounts.__dataclass_fields__:
        assert (getattr(first.accounts, name) == getattr(second.accounts, name)).all()


def test_treatments_sum_to_the_account_and_consume_every_position_once():
    result, *_ = margin(ITEMS, ROWS, [(0, "USD", 0)], (MarginType.REG_T,) * 2)
    rows = result.treatments
    for name in ("maintenance", "initial"):
        sums = np.zeros(2, np.int64)
        np.add.at(sums, rows.account, getattr(rows, name))
        assert (sums == getattr(result.accounts, name)).all()
    used = np.zeros(len(result.positions), np.int64)
    np.add.at(used, rows.leg_position, rows.leg_quantity)
    assert (used == result.positions.quantity).all()


def test_explanations_sum_to_the_requirement_and_say_how():
    result, instruments, accounts = margin(ITEMS, ROWS, [(0, "USD", 0)], (MarginType.REG_T,) * 2)
    table = explanation_table(result, instruments, accounts, RULES)
    assert table.schema == TABLE
    assert sum(table["maintenance"].to_pylist()) == result.accounts.maintenance.sum()
    assert sum(table["initial"].to_pylist()) == result.accounts.initial.sum()
    assert sum(table["premium"].to_pylist()) == result.accounts.short_option_value.sum()
    first = {row.requirement.strategy: row for row in explanations(result, instruments, accounts, RULES, 0)}
    assert set(first) == {"covered call", "iron condor", "long stock"}
    assert first["covered call"].sentence == (
        "Covered call on XYZ: short 2 C105, long 200 XYZ. FINRA 4210(f)(2)(H)(iv) requires 25% of the stock at no more "
        "than the strike; nothing for the call, for 200 shares at 100.00, strikes 105.00 = 5,000.00."
    )
    assert first["iron condor"].requirement.inputs["maximum loss"] == "500.00"


def test_explanations_in_another_currency_sum_exactly():
    items = [replace(item, currency="EUR") for item in ITEMS]
    fx = {"EUR": 1_083_457, "USD": MICRO}
    result, instruments, accounts = margin(items, ROWS, [(0, "USD", 0)], (MarginType.REG_T,) * 2, fx=fx)
    for account in (0, 1):
        rows = list(explanations(result, instruments, accounts, RULES, account))
        assert sum(row.requirement.value for row in rows) == result.accounts.maintenance[account]


def test_every_treatment_has_a_sentence():
    held = [
        ("XYZ", 100, "C105", -1), ("XYZ", -100, "P95", -1), ("XYZ", 100, "P95", 1), ("XYZ", -100, "C105", 1),
        ("C105", -1, "P95", -1), ("C105", 1, "XYZ", 0), ("C105", -1, "XYZ", 0),
    ]  # fmt: skip
    for first, quantity, second, other in held:
        rows = [(0, name, q) for name, q in ((first, quantity), (second, other)) if q]
        result, instruments, accounts = margin(ITEMS, rows)
        for row in explanations(result, instruments, accounts, RULES):
            assert row.requirement.rule in row.sentence
            assert f"{row.requirement.value / MICRO:,.2f}" in row.sentence


def test_accounts_outside_combine_are_margined_each_position_for_itself():
    items = [XYZ, call("C110", "XYZ", 110, 2, expiry=NEAR)]
    rows = [(account, name, size) for account in (0, 1) for name, size in (("C110", -1), ("XYZ", 100))]
    both = (MarginType.REG_T, MarginType.PORTFOLIO)
    cash = ((0, "USD", 0), (1, "USD", 0))
    apart, *_ = margin(items, rows, cash, both, combine=np.array([True, False]))
    together, *_ = margin(items, rows, cash, both)
    assert column(apart, "maintenance", 0) == column(together, "maintenance", 0)
    assert column(together, "maintenance", 1) == column(together, "maintenance", 0)
    assert column(apart, "maintenance", 1) > column(together, "maintenance", 1)
    mine = np.flatnonzero(apart.treatments.account == 1)
    assert (np.diff(apart.treatments.leg_start)[mine] == 1).all()
