"""Reconciliation checks: zero when the books agree, the key named when they do not."""

import numpy as np

from streaming.risk.capital.inputs import Location
from streaming.risk.checks import reconciliation
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind
from tests.unit import capital_books as kit

STOCKS = kit.instruments({"id": "BBB"}, {"id": "AAA"}, {"id": "C", "kind": Kind.OPTION, "underlying": 0})
OWNERS = kit.accounts(*[AccountKind.CUSTOMER] * 3)
SHARDS = [
    kit.book(STOCKS, OWNERS, kit.holdings((0, 0, 100), (0, 1, -30), (0, 2, 4)), kit.cash((0, -500))),
    kit.book(STOCKS, OWNERS, kit.holdings((1, 0, 50), (2, 1, 10)), kit.cash((1, 200), (2, 50))),
]
HELD = [book.holdings for book in SHARDS]
RECORD = kit.record((0, Location.DEPOSITORY, -150, 0), (1, Location.BORROWED, 20, 200))


def rows(check):
    return list(zip(check.check, check.key, check.expected.tolist(), check.found.tolist(), check.difference.tolist()))


def test_stock_record_is_long_equals_short_by_security_without_options():
    check = reconciliation.stock_record(HELD, RECORD, STOCKS)
    assert rows(check) == [("stock_record", "AAA", 30, 30, 0), ("stock_record", "BBB", 150, 150, 0)]
    assert len(check.failing) == 0


def test_a_planted_imbalance_is_named():
    short = kit.record((0, Location.DEPOSITORY, -149, 0), (1, Location.BORROWED, 20, 200))
    check = reconciliation.stock_record(HELD, short, STOCKS)
    assert check.key[check.failing].tolist() == ["BBB"]
    assert check.difference[check.failing].tolist() == [-1]


def test_cash_agrees_with_the_ledger_by_currency():
    cash = [book.cash for book in SHARDS]
    assert rows(reconciliation.cash_to_ledger(cash, {"USD": -250 * MICRO})) == [
        ("cash_to_ledger", "USD", -250 * MICRO, -250 * MICRO, 0)
    ]
    check = reconciliation.cash_to_ledger(cash, {"USD": -250 * MICRO, "EUR": 5})
    assert (check.key[check.failing].tolist(), check.difference[check.failing].tolist()) == (["EUR"], [-5])
    assert check.unit.tolist() == ["micros EUR", "micros USD"]


def test_client_totals_agree_with_the_firms():
    firm = np.array([150, -20, 4])
    assert not len(reconciliation.clients_to_firm(SHARDS, firm, {"USD": -250 * MICRO}).failing)
    check = reconciliation.clients_to_firm(SHARDS, firm + [0, 0, 1], {"USD": -250 * MICRO - 1})
    assert check.key[check.failing].tolist() == ["C", "USD"]
    assert check.difference[check.failing].tolist() == [1, -1]


def test_market_value_is_quantity_times_the_price_set():
    prices = kit.prices(10, 20, 1.5)
    reported = np.array([1_500, -400, 600]) * MICRO
    assert not len(reconciliation.market_value(HELD, reported, STOCKS, prices).failing)
    check = reconciliation.market_value(HELD, reported + [7, 0, 0], STOCKS, prices)
    assert (check.key[check.failing].tolist(), check.difference[check.failing].tolist()) == (["BBB"], [7])


def test_held_instrument_without_a_price_is_named():
    check = reconciliation.unpriced(HELD, STOCKS, kit.prices(10, None, 1))
    assert check.key[check.failing].tolist() == ["AAA"]


def test_checks_join_into_one_table():
    both = reconciliation.together(
        [reconciliation.stock_record(HELD, RECORD, STOCKS), reconciliation.unpriced(HELD, STOCKS, kit.prices(1, 1, 1))]
    )
    assert set(both.check) == {"stock_record", "held_instrument_has_price"}
    assert len(both.key) == len(both.difference) == 5
