"""Properties of house margin: it sums, never falls below the regulation, and does not know the order of rows."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk.margin.house import HouseInputs, StrategyRows, house_points, house_requirement
from streaming.risk.margin.house_explain import explain_house
from streaming.risk.margin.portfolio import portfolio_margin
from streaming.risk.money import MICRO
from streaming.risk.reference import Kind, MarginType
from tests.unit.margin_portfolio_books import HIGH_CAP, RULES, Item, call, margined, put, valuation_of

ITEMS = [
    Item("SPY", 600, Kind.ETF, HIGH_CAP),
    Item("XYZ", 80, adv=2_000, borrow_fee=300_000),
    Item("ABC", 2, adv=-1, shares_outstanding=9_000),
    Item("PINK", 3, marginable=False),
    call("XYZ C", "XYZ", 85, expiry=20_779),
    put("XYZ P", "XYZ", 60, expiry=20_900),
    put("SPY P", "SPY", 560, expiry=20_779),
]
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([item.id for item in ITEMS]), st.integers(-900, 900).filter(bool)),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[:2],
)


def house(rows, order=None):
    book = margined(ITEMS, rows)
    holdings, n = book.holdings, len(book.accounts)
    if order is not None:
        holdings = replace(holdings, **{f: getattr(holdings, f)[order] for f in holdings.__slots__})
    accounts = replace(book.accounts, margin_type=np.where(np.arange(n) % 2, MarginType.REG_T, MarginType.PORTFOLIO))
    margin = portfolio_margin(holdings, book.instruments, accounts, book.prices, book.valuation, book.groups, RULES)
    event = np.arange(len(ITEMS)) == 1
    inputs = HouseInputs(
        values=valuation_of(ITEMS, house_points(book.instruments, book.prices, RULES, event)).scan,
        baseline=book.valuation.baseline,
        delta=np.array([0, 0, 0, 0, 450_000, -200_000, -100_000]),
        vega=np.array([0, 0, 0, 0, 15, 9, 70]) * MICRO,
        daily_vol=np.array([10_000, 25_000, 0, 0, 0, 0, 0]),
        event=event,
        var=np.full(n, 70_000 * MICRO),
        equity=np.zeros(n, dtype=np.int64),
        add_ons=(),
        as_of=20_775,
        sessions=np.arange(20_770, 20_800),
    )
    stock = np.flatnonzero(holdings.instrument < 4)
    value = np.abs(holdings.quantity[stock]) * book.prices.price[holdings.instrument[stock]] // 4
    strategy = StrategyRows(holdings.account[stock], holdings.instrument[stock], value)
    return house_requirement(holdings, book.instruments, accounts, book.prices, margin, strategy, inputs, RULES), margin


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_house_components_sum_and_never_fall_below_the_regulation(rows):
    result, margin = house(rows)
    assert (sum(result.components.values()) == result.requirement).all()
    assert all((amount >= 0).all() for amount in result.components.values())
    assert (result.requirement >= result.regulatory_requirement).all()
    assert (result.effective_requirement == result.requirement).all()
    risk_based = (
        result.components["regulatory"] + result.components["concentration"] + result.components["extreme_move"]
    )
    assert (risk_based + result.components["var_floor"] >= 70_000 * MICRO).all()
    for row, account in enumerate(result.account):
        assert sum(part.value for part in explain_house(result, margin, int(account))) == result.requirement[row]


@settings(max_examples=40, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    result, again = house(rows)[0], house(rows, order)[0]
    assert again.account.tolist() == result.account.tolist()
    for name, amount in result.components.items():
        assert again.components[name].tolist() == amount.tolist()
    assert again.names.days_to_liquidate.tolist() == result.names.days_to_liquidate.tolist()
