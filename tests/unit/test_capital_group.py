"""The group view's own funds, credit-risk assets and leverage exposure; capital's stressed inputs: worked numbers."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.capital import group, stressing
from streaming.risk.capital.inputs import Line, Location, Party
from streaming.risk.capital.marking import marks
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind, Right
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 1))
STOCKS = kit.instruments(
    {"id": "AAA"}, {"id": "BBB"}, kit.option("AAA   261218P00100000", Right.PUT, 100, expiry=kit.day("2026-12-18"))
)
OWNERS = kit.accounts(AccountKind.CUSTOMER, AccountKind.CUSTOMER, AccountKind.HOUSE, clients=("C", "C", "H"))
PRICES = kit.prices(100, 50, 5)
READY = marks(STOCKS, PRICES)


def values(lines):
    return {item.code: item.value / MICRO for item in lines if item.supplied}


@pytest.mark.parametrize(
    ("days", "counted"), [(5 * 365, 100.0), (4_000, 100.0), (365, 20.0), (0, 0.0), (-3, 0.0), (730, 40.0)]
)
def test_tier_2_is_amortised_over_its_last_five_years(days, counted):
    sheet = kit.sheet((Line.OWNERSHIP_EQUITY, 1_000))
    found = group.own_funds(sheet, [(days, 100 * MICRO)], RULES)
    assert (found.cet1, found.additional_tier1, found.tier2) == (1_000 * MICRO, 0, counted * MICRO)


def test_a_clients_accounts_net_and_collateral_counts_after_the_haircut():
    book = kit.book(
        STOCKS, OWNERS, kit.holdings((0, 0, 100), (1, 1, -40), (2, 0, 7)), kit.cash((0, -8_000), (1, 3_000))
    )
    found = group.client_exposures([book], READY, PRICES, OWNERS, RULES)
    assert found.client.tolist() == ["C"], "the firm's own account is no client"
    # long 10,000 x 70%, short 2,000 x 130%, cash -5,000
    assert found.cover.tolist() == [(7_000 - 2_600 - 5_000) * MICRO]
    assert found.uncovered.tolist() == [600 * MICRO]
    assert found.default.tolist() == [0]


def test_a_written_option_is_an_exposure_that_free_collateral_reduces():
    def default(cash):
        book = kit.book(STOCKS, OWNERS, kit.holdings((0, 2, -10)), kit.cash((0, cash)))
        return int(group.client_exposures([book], READY, PRICES, OWNERS, RULES).default[0])

    assert default(0) > default(100_000) > 0
    flat = kit.book(STOCKS, OWNERS, kit.holdings((0, 2, 10), (1, 2, -10)), kit.cash((0, 0)))
    assert group.client_exposures([flat], READY, PRICES, OWNERS, RULES).default.tolist() == [0]


def test_credit_risk_assets_by_kind_of_exposure():
    sheet = kit.sheet(
        (Line.OWNERSHIP_EQUITY, 1_000),
        (Line.CASH, 500),
        (Line.CLEARING_DEPOSIT, 1_000),
        (Line.RECEIVABLE, 300, {"party": Party.BROKER_DEALER}),
        (Line.FIXED_ASSET, 40),
    )
    record = kit.record(
        (0, Location.BORROWED, 100, 10_200),
        (1, Location.FAIL_TO_DELIVER, 10, 530),
        (1, Location.FAIL_TO_RECEIVE, -10, 530),
    )
    none = np.empty(0, np.int64)
    clients = group.ClientExposure(np.array(["C"], object), np.array([-600 * MICRO]), none, np.array([70 * MICRO]))
    found = values(group.credit_lines(sheet, record, READY, clients, 50 * MICRO, RULES))
    assert found == {
        "credit.margin_loans": 600.0,
        "credit.client_options": 70.0,
        "credit.house_options": 1.0,
        "credit.stock_borrow": (10_200 - 7_000) * 0.5,
        "credit.fails": 30.0,
        "credit.banks": 100.0,
        "credit.clearing": 20.0,
        "credit.other": 150.0 + 40.0,
    }


def test_without_a_stock_record_its_exposures_are_not_supplied():
    none = np.empty(0, np.int64)
    clients = group.ClientExposure(none.astype(object), none, none, none)
    found = group.credit_lines(kit.sheet((Line.CASH, 1)), None, READY, clients, 0, RULES)
    assert {item.code for item in found if not item.supplied} == {"credit.stock_borrow", "credit.fails"}


def test_the_leverage_exposure_counts_assets_without_collateral():
    sheet = kit.sheet((Line.CASH, 500), (Line.REVERSE_REPO, 200), (Line.PAYABLE, 90))
    record = kit.record((0, Location.BORROWED, 100, 10_200), (1, Location.LOANED, -10, 510))
    positions = np.array([700, -400]) * MICRO
    found = values(group.leverage_lines(sheet, record, positions, 8_000 * MICRO, 15 * MICRO))
    assert found == {
        "leverage.ledger": 700.0, "leverage.positions": 700.0, "leverage.debits": 8_000.0, "leverage.street": 10_200.0,
        "leverage.options": 15.0,
    }  # fmt: skip


def test_operational_capital_is_the_coefficient_of_the_indicator():
    assert group.operational_capital(kit.sheet((Line.OWNERSHIP_EQUITY, 1_000)), RULES) == 1_000 * MICRO * 36 // 1_000
    assert group.operational_capital(kit.sheet((Line.OWNERSHIP_EQUITY, -1_000)), RULES) == 0


def test_prices_move_by_the_change_of_model_value_and_never_to_nothing():
    base, shocked = np.array([98, 50, 6]) * MICRO, np.array([88, 0, MISSING_VALUE // MICRO]) * MICRO
    shocked[2] = MISSING_VALUE
    found = stressing.stressed_prices(PRICES, base, shocked, None)
    assert found.price.tolist() == [90 * MICRO, stressing.LEAST_PRICE, 5 * MICRO]
    assert found.status.tolist() == [PriceStatus.GOOD, PriceStatus.GOOD, PriceStatus.MISSING]


def test_a_scenario_of_one_name_moves_that_name_only():
    base, shocked = np.array([100, 50, 5]) * MICRO, np.array([50, 25, 20]) * MICRO
    found = stressing.stressed_prices(PRICES, base, shocked, np.array([True, False, True]))
    assert found.price.tolist() == [50 * MICRO, 50 * MICRO, 20 * MICRO]


def test_the_worst_part_is_the_name_that_takes_most_from_the_firm():
    held = kit.holdings((0, 0, 100), (0, 1, 300), (2, 0, 10))
    book = kit.book(STOCKS, OWNERS, held, kit.cash((0, -20_000)))
    equity = np.array([100 * 100 + 300 * 50 - 20_000, 0, 1_000]) * MICRO
    after = marks(STOCKS, kit.prices(50, 25, 5))
    worst = stressing.worst_part([book], np.arange(3), equity, READY, after, STOCKS)
    # AAA: client loses 5,000 with equity 5,000, the house 500; BBB: client loses 7,500, 2,500 beyond its equity
    assert (worst.part, worst.effect) == (1, 2_500 * MICRO)


def test_a_rise_hits_no_part_of_a_long_book():
    book = kit.book(STOCKS, OWNERS, kit.holdings((2, 0, 10)), kit.cash((0, 0)))
    after = marks(STOCKS, kit.prices(110, 50, 5))
    assert stressing.worst_part([book], np.arange(3), np.zeros(3, np.int64), READY, after, STOCKS).part == -1


@pytest.mark.parametrize(("price", "amount"), [(80, 8_200), (120, 12_200), (0.01, 201)])
def test_stock_loans_are_marked_in_cash(price, amount):
    record = kit.record((0, Location.BORROWED, 100, 10_200), (0, Location.PLEDGED, -10, 800))
    after = marks(STOCKS, kit.prices(price, 50, 5))
    found = stressing.marked_contracts(record, READY, after, RULES)
    assert found.amount.tolist() == [amount * MICRO, 800 * MICRO]


def test_only_options_of_the_house_face_the_clearing_house():
    held = kit.holdings((2, 0, 10))
    assert STOCKS.kind[0] == Kind.STOCK
    assert group.house_option_exposure(held, STOCKS, READY, PRICES, RULES) == 0
    assert group.house_option_exposure(kit.holdings((2, 2, 10)), STOCKS, READY, PRICES, RULES) > 0
