"""Options of the firm, 15c3-1a: theoretical and strategy-based charges on worked numbers."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.capital import haircuts, options_haircut
from streaming.risk.capital.marking import marks
from streaming.risk.margin.groups import Moves
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind, Right, UnderlyingClass
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))
LATER = kit.day("2027-06-18")
OWNERS = kit.accounts(AccountKind.HOUSE)
option = kit.option


def theoretical(stocks, price_set, quantities, table=None, **kwargs):
    table = table or kit.intrinsic_scan(stocks, price_set, **kwargs)
    quantity = np.array(quantities, dtype=np.int64)
    return options_haircut.theoretical(quantity, np.zeros_like(quantity), stocks, OWNERS, price_set, table, RULES)


def test_short_call_loses_its_intrinsic_value_at_the_top_point():
    stocks = kit.instruments({"id": "AAA"}, option("C", Right.CALL, 100))
    found = theoretical(stocks, kit.prices(100, 0.5), [0, -2])
    assert found.charge.value == 2 * 100 * 15 * MICRO


def test_covered_call_leaves_j_and_is_charged_by_the_scan():
    stocks = kit.instruments({"id": "AAA"}, option("C", Right.CALL, 100))
    found = theoretical(stocks, kit.prices(100, 0.5), [100, -1])
    assert found.hedged.tolist() == [100, 0]
    assert found.charge.value == 100 * 15 * MICRO  # down 15%: the call is worthless


def test_minimum_is_25_dollars_per_contract_of_100():
    stocks = kit.instruments({"id": "AAA"}, option("C", Right.CALL, 100), option("P", Right.PUT, 10))
    found = theoretical(stocks, kit.prices(100, 0.5, 0.01), [0, 0, -3])
    assert found.charge.value == 75 * MICRO


def test_conversion_is_charged_the_minimum_only():
    stocks = kit.instruments({"id": "AAA"}, option("C", Right.CALL, 100), option("P", Right.PUT, 100))
    found = theoretical(stocks, kit.prices(100, 5, 5), [100, -1, 1])
    assert found.charge.value == 50 * MICRO


@pytest.mark.parametrize(("schedule", "down"), [(Moves.BROKER_DEALER, 10), (Moves.MARKET_MAKER, 8)])
def test_high_cap_index_moves_depend_on_who_holds_it(schedule, down):
    index = {"kind": Kind.INDEX, "underlying_class": UnderlyingClass.BROAD_INDEX_HIGH_CAP}
    stocks = kit.instruments(
        {"id": "SPX"} | index,
        option("P", Right.PUT, 100, underlying_class=UnderlyingClass.BROAD_INDEX_HIGH_CAP),
    )
    found = theoretical(stocks, kit.prices(100, 1), [0, -1], schedule=schedule)
    assert found.charge.value == 100 * down * MICRO


def test_fund_hedged_with_options_on_its_index_is_one_group():
    high_cap = {"underlying_class": UnderlyingClass.BROAD_INDEX_HIGH_CAP}
    stocks = kit.instruments(
        {"id": "SPX", "kind": Kind.INDEX} | high_cap,
        {"id": "SPY", "kind": Kind.ETF, "underlying": 0} | high_cap,
        option("P", Right.PUT, 1000) | high_cap,
    )
    hedged = theoretical(stocks, kit.prices(1000, 100, 1), [0, 1_000, 1])
    assert hedged.hedged.tolist() == [0, 1_000, 0]
    assert hedged.charge.value == 25 * MICRO  # the put makes up for every fall; the minimum per contract remains


def test_stock_without_options_on_it_stays_in_j():
    stocks = kit.instruments({"id": "AAA"}, {"id": "BBB"}, option("C", Right.CALL, 100))
    assert theoretical(stocks, kit.prices(100, 100, 1), [50, 70, -1]).hedged.tolist() == [50, 0, 0]


def test_option_without_a_model_value_is_charged_in_full_and_named():
    stocks = kit.instruments({"id": "AAA"}, option("C", Right.CALL, 100))
    price_set = kit.prices(100, 5)
    table = kit.intrinsic_scan(stocks, price_set)
    table.scan[1], table.baseline[1] = MISSING_VALUE, MISSING_VALUE
    found = theoretical(stocks, price_set, [0, -1], table)
    assert found.charge.rows.key.tolist() == ["C"]
    assert found.charge.value == (5 + 100) * 100 * MICRO


def strategy(stocks, price_set, quantities):
    quantity = np.array(quantities, dtype=np.int64)
    ready = marks(stocks, price_set)
    found = options_haircut.strategy(quantity, np.zeros_like(quantity), stocks, price_set, ready, RULES)
    return found, dict(zip(found.charge.rows.key, found.charge.rows.amount / MICRO))


CHAIN = kit.instruments(
    {"id": "AAA"},
    option("C100", Right.CALL, 100),
    option("C110", Right.CALL, 110),
    option("P100", Right.PUT, 100),
    option("P90", Right.PUT, 90),
    option("C110L", Right.CALL, 110, LATER),
)
PRICES = kit.prices(102, 4, 1, 2, 0.5, 3)


@pytest.mark.parametrize(
    ("quantities", "expected"),
    [
        ([0, -1, 0, 0, 0, 0], {"AAA uncovered call": 0.15 * 10_200}),  # in the money: nothing off
        ([0, 0, -2, 0, 0, 0], {"AAA uncovered call": 2 * (1_530 - 800)}),
        ([0, 0, 0, 0, -1, 0], {"AAA uncovered put": 1_530 - 1_200}),
        ([0, 0, 0, 2, 0, 0], {"AAA long put": 200}),
        ([0, 1, -1, 0, 0, 0], {}),  # debit call spread: no strike gap against the firm
        ([0, -1, 1, 0, 0, 0], {"AAA spread": 1_000}),
        ([0, 0, 0, -1, 1, 0], {"AAA spread": 1_000}),
        ([0, -1, 0, 0, 0, 1], {"AAA spread": 1_000}),  # the long leg may expire later
        ([100, -1, 0, 0, 0, 0], {"AAA covered call": 1_530 - 200}),
        ([-100, 0, 0, -1, 0, 0], {"AAA covered put": 1_530}),
        ([100, 0, 0, 1, 0, 0], {"AAA protective put": 200}),
        ([100, 0, 0, 0, 1, 0], {"AAA protective put": 1_200}),
        ([-100, 1, 0, 0, 0, 0], {"AAA protective call": 25}),  # in the money: the minimum
    ],
)
def test_strategy_based_charges(quantities, expected):
    assert strategy(CHAIN, PRICES, quantities)[1] == pytest.approx(expected)


def test_uncovered_short_is_at_least_250_dollars_per_contract():
    stocks = kit.instruments({"id": "AAA"}, option("C", Right.CALL, 200))
    assert strategy(stocks, kit.prices(102, 0.01), [0, -3])[1] == {"AAA uncovered call": 750}


def test_short_leg_that_outlives_the_long_leg_is_no_spread():
    charges = strategy(CHAIN, PRICES, [0, 1, 0, 0, 0, -1])[1]
    assert set(charges) == {"AAA uncovered call", "AAA long call"}


def test_only_whole_contracts_are_covered_and_the_rest_of_the_stock_stays_in_j():
    found, charges = strategy(CHAIN, PRICES, [250, -3, 0, 0, 0, 0])
    assert found.hedged.tolist()[0] == 200
    assert charges == {"AAA covered call": 2 * 1_330, "AAA uncovered call": 1_530}


def test_time_value_of_longs_less_shorts_leaves_net_worth_first():
    found, _ = strategy(CHAIN, PRICES, [0, 3, -1, 0, 0, 0])
    # C100 at 4 is 2 in the money: 2 of time value x 300; C110 at 1 is all time value x 100, short.
    assert found.time_value.value == (600 - 100) * MICRO


def test_strategy_charges_an_option_without_a_price_in_full():
    found, charges = strategy(CHAIN, kit.prices(102, None, 1, 2, 0.5, 3), [0, -1, 0, 0, 0, 0])
    assert charges == {"C100": 10_200}
    assert found.hedged.tolist() == [0] * 6


def test_hedged_stock_is_charged_once():
    ready = marks(CHAIN, PRICES)
    which = haircuts.classes(CHAIN, ready, None, RULES)
    rate = haircuts.rates(CHAIN, which, kit.MONDAY, RULES)
    quantity = np.array([250, -2, 0, 0, 0, 0])
    found, _ = strategy(CHAIN, PRICES, quantity)
    held = haircuts.inventory(quantity - found.hedged, np.zeros_like(quantity), ready, which, rate)
    assert haircuts.lines(held, CHAIN.id, RULES)[0].value == round(0.15 * 50 * 102 * MICRO)
