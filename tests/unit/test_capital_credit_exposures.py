"""Exposures of the expected-credit-loss computation from the accounts and the stock record: worked numbers."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.capital import clients, ifrs9
from streaming.risk.capital.credit_exposures import collateral_profile, margin_loans
from streaming.risk.capital.ifrs9 import LIQUIDITY, Trigger
from streaming.risk.capital.inputs import Location, MarginCalls
from streaming.risk.capital.marking import marks
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 1))
STOCKS = kit.instruments(
    {"id": "AAA", "adv": 100_000}, {"id": "BBB", "adv": 1_000}, {"id": "BILL", "kind": Kind.TREASURY}
)
OWNERS = kit.accounts(
    AccountKind.CUSTOMER, AccountKind.CUSTOMER, AccountKind.PAB, AccountKind.HOUSE, clients=("C", "C", "P", "H")
)
PRICES = kit.prices(100, 50, 1)
READY = marks(STOCKS, PRICES)
VOL = np.array([20_000, 40_000, 0])
DAYS = kit.weekdays()


def loans(held, money, record=None, calls=None):
    book = kit.book(STOCKS, OWNERS, held, money)
    part = clients.part(book, READY, PRICES, RULES)
    return margin_loans(
        part.accounts, OWNERS, held, record, calls, STOCKS, READY, VOL, DAYS, kit.MONDAY, RULES
    )  # fmt: skip


def test_debits_of_a_clients_accounts_add_up_and_clients_without_any_are_left_out():
    found = loans(kit.holdings((0, 0, 100), (1, 0, 50), (2, 0, 10)), kit.cash((0, -3_000), (1, -2_000), (2, 500)))
    assert found.id.tolist() == ["C"]
    assert found.debit.tolist() == [5_000 * MICRO]
    assert found.collateral.tolist() == [15_000 * MICRO]
    assert found.daily_volatility.tolist() == [0.02]
    assert LIQUIDITY[int(found.liquidity[0])] == "liquid"
    assert found.concentrated.tolist() == [True], "one name is all there is"


def test_the_firms_own_account_is_no_exposure():
    assert not len(loans(kit.holdings((3, 0, 100)), kit.cash((3, -9_000))))


def test_collateral_that_does_not_cover_the_debit_is_stage_three():
    found = loans(kit.holdings((0, 0, 10)), kit.cash((0, -5_000)))
    assert found.negative_after_close_out.tolist() == [True]
    allowance = ifrs9.allowances(found, RULES)
    assert (allowance.stage[0], allowance.trigger[0]) == (3, Trigger.NEGATIVE_AFTER_CLOSE_OUT)
    assert allowance.expedient.tolist() == [4_000 * MICRO]


@pytest.mark.parametrize(("age", "stage"), [(3, 1), (4, 2), (10, 3)])
def test_the_oldest_unmet_call_decides_the_stage(age, stage):
    sessions = DAYS.day[DAYS.day <= kit.MONDAY]
    issued = np.array([int(sessions[-1]), int(sessions[-1 - age])])
    calls = MarginCalls(np.array([0, 1]), np.array([MICRO, MICRO]), issued)
    found = loans(kit.holdings((0, 0, 100)), kit.cash((0, -3_000), (1, -1)), calls=calls)
    assert found.call_age.tolist() == [age]
    assert ifrs9.allowances(found, RULES).stage.tolist() == [stage]


def test_cash_for_borrowed_stock_is_an_exposure_to_its_lender():
    record = kit.record(
        (0, Location.BORROWED, 100, 10_200, {"counterparty": "SL-01"}),
        (1, Location.BORROWED, 10, 510, {"counterparty": "SL-01"}),
        (0, Location.LOANED, -10, 1_020, {"counterparty": "SL-02"}),
    )
    found = loans(kit.holdings((0, 0, 1)), kit.cash((0, 1)), record)
    assert found.id.tolist() == ["stock borrow SL-01"]
    assert found.debit.tolist() == [10_710 * MICRO]
    assert found.collateral.tolist() == [10_500 * MICRO]
    assert found.annual_pd.tolist() == [0.005]


def test_illiquid_and_unknown_collateral_takes_the_longest_class_and_full_volatility():
    one = np.zeros(1, np.int64)
    slow = collateral_profile(one, 1, one + 1, one + 9_000, one + 450_000 * MICRO, STOCKS, VOL, RULES)
    assert LIQUIDITY[int(slow.liquidity[0])] == "illiquid"
    unknown = collateral_profile(one, 1, one, one + 10, one + 1_000 * MICRO, STOCKS, np.zeros(3, np.int64), RULES)
    assert unknown.daily_volatility.tolist() == [1.0]
    bill = collateral_profile(one, 1, one + 2, one + 10**9, one + 10**9 * MICRO, STOCKS, VOL, RULES)
    assert LIQUIDITY[int(bill.liquidity[0])] == "liquid"


def test_without_collateral_nothing_is_known_of_it():
    none = np.empty(0, np.int64)
    found = collateral_profile(none, 2, none, none, none, STOCKS, VOL, RULES)
    assert np.isnan(found.daily_volatility).all()
    assert not found.concentrated.any()
