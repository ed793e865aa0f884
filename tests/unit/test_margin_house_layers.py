"""House margin: each layer by a worked number, overrides, and the decomposition that sums."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from streaming.risk.margin.add_ons import parse_add_ons
from streaming.risk.margin.house import (
    COMPONENTS,
    HouseInputs,
    StrategyRows,
    house_points,
    house_requirement,
    member_shocks,
)
from streaming.risk.margin.house_explain import explain_house, house_sentence
from streaming.risk.margin.portfolio import MISSING_VALUE, scan_points
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO, MoneyOverflowError
from streaming.risk.reference import Kind, MarginType
from streaming.risk.rulebook import Override, Rulebook, load
from tests.unit.margin_portfolio_books import (
    HIGH_CAP,
    RULES,
    Item,
    call,
    dollars,
    instruments_of,
    margined,
    prices_of,
    put,
    valuation_of,
)

FRIDAY = (date(2026, 11, 20) - date(1970, 1, 1)).days
SESSIONS = np.array([FRIDAY + n for n in (0, 3, 4, 5, 7, 10, 11, 12)])


def house(items, rows, *, rules=RULES, margin_type=MarginType.PORTFOLIO, strategy=None, event=(), **inputs):
    """House margin of a book; ``strategy`` is {(account, instrument id): dollars}."""
    book = margined(items, rows, rules=rules)
    n, codes = len(items), {item.id: i for i, item in enumerate(items)}
    accounts = replace(book.accounts, margin_type=np.full(len(book.accounts), margin_type, dtype=np.int8))
    flags = np.array([item.id in event for item in items])
    factors = house_points(book.instruments, book.prices, rules, flags)
    strategy = strategy or {}
    defaults = {
        "values": valuation_of(items, factors).scan,
        "baseline": book.valuation.baseline,
        "delta": np.zeros(n, dtype=np.int64),
        "vega": np.zeros(n, dtype=np.int64),
        "daily_vol": np.full(n, 20_000),
        "event": flags,
        "var": np.zeros(len(accounts), dtype=np.int64),
        "equity": np.full(len(accounts), 1_000_000 * MICRO),
        "add_ons": (),
        "as_of": FRIDAY,
        "sessions": SESSIONS,
    }
    return house_requirement(
        book.holdings, book.instruments, accounts, book.prices, book.result,
        StrategyRows(
            np.array([key[0] for key in strategy], dtype=np.int64),
            np.array([codes[key[1]] for key in strategy], dtype=np.int64),
            np.array([value * MICRO for value in strategy.values()], dtype=np.int64),
        ),
        HouseInputs(**(defaults | inputs)), rules,
    ), book  # fmt: skip


def parts(result, account=0):
    return {name: dollars(amount[account]) for name, amount in result.components.items() if amount[account]}


def overridden(*overrides):
    base = load()
    return Rulebook(base.parameters, (*base.overrides, *overrides)).at(date(2026, 11, 20))


def override(name, value, client=None, product=None):
    return Override(f"house.{name}", value, client, product, date(2026, 1, 1), None, "a test")


@pytest.mark.parametrize(
    ("item", "event", "down"),
    [
        (Item("X", 100), (), 0.70),
        (Item("X", 5), (), 0.70),
        (Item("X", 4.99), (), 0.60),
        (Item("X", 100, sector="Biotechnology"), (), 0.50),
        (Item("X", 100), ("X",), 0.50),
        (Item("X", 600, Kind.ETF, HIGH_CAP), (), 1.00),
    ],
)
def test_single_name_move_depends_on_price_sector_and_events(item, event, down):
    instruments, prices = instruments_of([item]), prices_of([item])
    factors = house_points(instruments, prices, RULES, np.array([item.id in event]))
    assert factors[0, 1] == down
    assert factors[0, 0] == 2 - down


def test_extreme_points_are_twice_the_scan_range():
    item = Item("SPY", 600, Kind.ETF, HIGH_CAP)
    assert house_points(instruments_of([item]), prices_of([item]), RULES, np.array([False]))[0, 2:].tolist() == [
        1.12, 0.84,
    ]  # fmt: skip


def test_concentration_tops_the_scan_up_to_the_single_name_loss():
    result, _ = house([Item("XYZ", 100)], [(0, "XYZ", 1_000)])
    assert parts(result) == {"regulatory": 15_000, "concentration": 15_000}
    assert dollars(result.requirement[0]) == 30_000
    assert (result.binding[0], dollars(result.house_excess[0])) == ("house", 970_000)


def test_broad_index_has_no_single_name_stress():
    result, _ = house([Item("SPY", 600, Kind.ETF, HIGH_CAP)], [(0, "SPY", 100)])
    assert parts(result) == {"regulatory": 4_800}
    assert result.binding[0] == "scan"


def test_hedged_name_has_a_concentration_loss_that_is_what_it_is():
    items = [Item("XYZ", 100), put("XYZ P", "XYZ", 95, years=0)]
    result, _ = house(items, [(0, "XYZ", 100), (0, "XYZ P", 1)])
    # The put caps the loss at 500, which the scan has found already.
    assert parts(result) == {"regulatory": 500}


def test_extreme_move_catches_short_far_out_options():
    items = [Item("SPY", 600, Kind.ETF, HIGH_CAP), put("SPY P", "SPY", 546, years=0)]
    result, _ = house(items, [(0, "SPY P", -10)])
    # At -8% the put is still out of the money: the minimum. At -16% it loses (546 - 504) x 1,000, of which 30% count.
    assert parts(result) == {"regulatory": 375, "extreme_move": Decimal("12600") - 375}


@pytest.mark.parametrize(
    ("shares", "adv", "expected"),
    [
        (200_000, 1_000_000, 0),
        (800_000, 1_000_000, Decimal(80_000_000) * Decimal("0.02") * Decimal("2.33")),
        (-800_000, 1_000_000, Decimal(80_000_000) * Decimal("0.02") * Decimal("2.33")),
        (10, -1, 1_000),
    ],
)
def test_liquidity_add_on_follows_the_days_to_liquidate(shares, adv, expected):
    # D = position / (20% of ADV): 1 day, 4 days (square root of 3/3), unknown volume in full.
    result, _ = house([Item("XYZ", 100, adv=adv)], [(0, "XYZ", shares)])
    assert dollars(result.components["liquidity"][0]) == expected
    assert result.names.days_to_liquidate[0] == (-1 if adv < 0 else abs(shares) * MICRO * 5 // adv)


def test_liquidity_counts_options_by_their_delta_and_index_options_not_at_all():
    items = [
        Item("XYZ", 100, adv=1_000),
        call("XYZ C", "XYZ", 100),
        Item("SPX", 6000, Kind.INDEX, HIGH_CAP, adv=-1),
        call("SPX C", "SPX", 6000),
    ]
    result, _ = house(
        items, [(0, "XYZ", -500), (0, "XYZ C", 10), (0, "SPX C", 5)], delta=np.array([10**6, 500_000, 10**6, 500_000])
    )
    assert result.components["liquidity"][0] == 0


def test_gap_charges_short_options_within_five_trading_days():
    items = [
        Item("XYZ", 100),
        call("NEAR", "XYZ", 300, years=0.01, expiry=FRIDAY + 7),
        call("FAR", "XYZ", 300, years=0.01, expiry=FRIDAY + 12),
    ]
    result, _ = house(items, [(0, "NEAR", -2), (1, "FAR", -2), (2, "NEAR", 2)])
    # Friday 27 November is the fourth session ahead: half of 15% of 300 x 200.
    assert [dollars(amount) for amount in result.components["gap"]] == [4_500, 0, 0]


def test_vega_nets_within_a_name_and_not_across_names():
    items = [Item("A"), call("A1", "A", 100), call("A2", "A", 110), Item("B"), call("B1", "B", 100)]
    vega = np.array([0, 20, 10, 0, 20]) * MICRO
    result, _ = house(items, [(0, "A1", 10), (0, "A2", -10), (0, "B1", -10)], vega=vega)
    assert dollars(result.components["vega"][0]) == Decimal("0.05") * (10_000 + 20_000)


def test_event_and_borrow_points():
    result, _ = house([Item("XYZ", 100, borrow_fee=250_001)], [(0, "XYZ", -100)], event=("XYZ",))
    assert parts(result)["event"] == 500
    assert parts(result)["borrow"] == 1_000
    at_threshold, _ = house([Item("XYZ", 100, borrow_fee=250_000)], [(0, "XYZ", -100), (1, "XYZ", 100)])
    assert at_threshold.components["borrow"].tolist() == [0, 0]


def test_var_is_a_floor_under_the_risk_based_requirement():
    result, _ = house([Item("XYZ", 100)], [(0, "XYZ", 1_000)], var=np.array([31_500 * MICRO]))
    assert parts(result) == {"regulatory": 15_000, "concentration": 15_000, "var_floor": 1_500}


ADD_ONS = """
[[add_on]]
account = "ACC-0000"
amount = "1000"
who = "credit risk"
since = 2026-11-02
until = 2026-11-20
why = "audit pending"

[[add_on]]
client = "CLIENT-0000"
share = "0.10"
who = "credit risk"
since = 2026-11-02
until = 2027-01-31
why = "two late calls"

[[add_on]]
account = "ACC-0001"
amount = "9999"
who = "credit risk"
since = 2026-10-01
until = 2026-11-19
why = "expired yesterday"
"""


def test_discretionary_add_ons_apply_by_account_and_client_until_they_expire():
    result, _ = house(
        [Item("XYZ", 100)], [(0, "XYZ", 10), (1, "XYZ", 10), (2, "XYZ", 10)], add_ons=parse_add_ons(ADD_ONS)
    )
    assert [dollars(amount) for amount in result.components["discretionary"]] == [1_030, 30, 0]


def test_non_marginable_positions_are_a_component_of_their_own():
    items = [Item("XYZ", 100), Item("PINK", 2, marginable=False), Item("GONE", 0, status=PriceStatus.MISSING)]
    items[2].previous_close = 5
    result, _ = house(items, [(0, "XYZ", 10), (0, "PINK", 100), (0, "GONE", 10)])
    assert parts(result) == {"regulatory": 150, "non_marginable": 250, "concentration": 150}


@pytest.mark.parametrize(
    ("price", "quantity", "others", "more", "rate"),
    [
        (100, 100, 300, {}, None),
        (100, 101, 300, {}, "0.35"),
        (100, 301, 300, {}, "0.50"),
        (100, 901, 300, {}, "0.75"),
        (100, 100, 900, {"shares_outstanding": 3_999}, "0.50"),
        (100, 100, 900, {"shares_outstanding": 1_999}, "1.00"),
        (2.99, 100, 9_000, {}, "1.00"),
        (100, 101, 300, {"adv": 50}, "0.45"),
    ],
)
def test_strategy_based_accounts_take_the_concentration_rates(price, quantity, others, more, rate):
    # Market values: the name against three others, 100 dollars a share; base maintenance 25%.
    items = [Item("XYZ", price, **more), *(Item(f"O{i}", 100) for i in range(3))]
    rows = [(0, "XYZ", quantity), *((0, f"O{i}", others // 3) for i in range(3))]
    strategy = {(0, item.id): int(25 * quantity * Decimal(str(price)) / 100) for item in items[:1]}
    strategy |= {(0, f"O{i}"): others // 3 * 25 for i in range(3)}
    result, _ = house(items, rows, margin_type=MarginType.REG_T, strategy=strategy)
    base = strategy[0, "XYZ"]
    expected = 0 if rate is None else Decimal(rate) * quantity * Decimal(str(price)) - base
    assert dollars(result.names.components["concentration"][0]) == expected
    assert result.regulatory_requirement[0] == sum(strategy.values()) * MICRO
    assert result.binding[0] == ("strategy" if rate is None else "house")


def test_strategy_based_requirement_of_positions_without_values_is_non_marginable():
    items = [Item("XYZ", 100), Item("PINK", 2, marginable=False)]
    result, _ = house(
        items, [(0, "XYZ", 10), (0, "PINK", 100)],
        margin_type=MarginType.REG_T, strategy={(0, "XYZ"): 250, (0, "PINK"): 200, (7, "XYZ"): 5},
    )  # fmt: skip
    assert parts(result)["regulatory"] == 250
    assert parts(result)["non_marginable"] == 200


def test_parameters_are_overridable_per_client_and_product():
    rules = overridden(
        override("vega.vol_points", "0.10", client="CLIENT-0000"),
        override("vega.vol_points", "0.20", client="CLIENT-0000", product="A"),
        override("concentration.move", "0.20", product="A"),
    )
    items = [Item("A"), call("A1", "A", 500, years=0.01), Item("B"), call("B1", "B", 500, years=0.01)]
    vega = np.array([0, 1, 0, 1]) * MICRO
    result, book = house(items, [(0, "A1", 1), (0, "B1", 1), (2, "A1", 1)], rules=rules, vega=vega)
    assert [dollars(v) for v in result.names.components["vega"]] == [20, 10, 5]
    factors = house_points(book.instruments, book.prices, rules, np.zeros(4, dtype=bool))
    assert (factors[0, 1], factors[2, 1]) == (0.80, 0.70)


def test_shared_points_refuse_an_override_for_one_client():
    rules = overridden(override("concentration.move", "0.20", client="CLIENT-0000"))
    with pytest.raises(ValueError, match=r"override of house.concentration.move: expected a product only"):
        house([Item("A")], [(0, "A", 1)], rules=rules)


def test_components_sum_to_the_requirement_and_explanations_to_the_components():
    items = [Item("XYZ", 100, adv=1_000), Item("GONE", 0, status=PriceStatus.MISSING, previous_close=5)]
    result, book = house(
        items, [(0, "XYZ", 1_000), (0, "GONE", 3), (1, "XYZ", -7)], var=np.array([10**12, 0]), event=("XYZ",)
    )
    assert set(result.components) == set(COMPONENTS)
    for row, account in enumerate(result.account):
        assert result.requirement[row] == sum(int(amount[row]) for amount in result.components.values())
        lines = explain_house(result, book.result, int(account))
        assert sum(line.value for line in lines) == result.requirement[row]
    text = [house_sentence(line) for line in explain_house(result, book.result, 0)]
    assert any(line.startswith("XYZ: 5,380.90 dollars") and ", 5.0 days (house.liquidity)" in line for line in text)
    assert any("5-day value at risk" in line for line in text)
    with pytest.raises(LookupError, match="found code 9"):
        explain_house(result, book.result, 9)


def test_member_shocks_sum_to_the_class_groups():
    items = [Item("XYZ", 100), call("XYZ C", "XYZ", 105), Item("SAP", 90)]
    book = margined(items, [(0, "XYZ", 10), (0, "XYZ C", -3), (0, "SAP", 4)])
    values = valuation_of(items, scan_points(book.instruments, RULES, book.groups))
    shocks = member_shocks(book.holdings, book.instruments, book.prices, values.scan, values.baseline)
    for row in range(len(book.result.classes)):
        assert (shocks[book.result.class_row == row].sum(axis=0) == book.result.classes.pnl[row]).all()


def test_scanned_instrument_without_a_house_value_is_refused():
    with pytest.raises(ValueError, match="house values: expected one at every point .* none of XYZ"):
        house([Item("XYZ")], [(0, "XYZ", 1)], values=np.full((1, 4), MISSING_VALUE))


def test_house_sums_beyond_the_range_are_refused_by_name():
    with pytest.raises(MoneyOverflowError, match="house margin of account ACC-0000"):
        house([Item("XYZ")], [(0, "XYZ", 1)], var=np.array([9_100_000_000_000_000_000]))
