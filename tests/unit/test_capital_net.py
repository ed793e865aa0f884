"""Net capital, 15c3-1: the steps from equity to net capital on worked numbers."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from streaming.risk.capital import computation, focus, net_capital
from streaming.risk.capital.computation import Ledger
from streaming.risk.capital.inputs import Elections, Line, Location, Method, OptionMethod, Party
from streaming.risk.capital.lines import total
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, MarginType, Right
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))
CUSTOMER, PAB, HOUSE, NON_CUSTOMER = AccountKind
FRIDAY, THURSDAY = kit.MONDAY - 3, kit.MONDAY - 4


def capital(stocks, owners, held, money, price_set, ledger=None, elections=None, as_of=kit.MONDAY, after_close=True):
    book = kit.book(stocks, owners, held, money)
    part = computation.merged_part([book], price_set, RULES)
    cut = kit.cut(price_set, as_of, after_close)
    return computation.compute(part, stocks, owners, ledger or Ledger(), cut, elections or Elections(), RULES)


def values(found):
    return {item.code: item.value / MICRO for item in found.net_capital.lines if item.supplied}


ONE_STOCK = kit.instruments({"id": "AAA"})


def lone(account, rows=(), price=10.0, **kwargs):
    """One account of a kind with cash rows and a stock position."""
    owners = kit.accounts(account, margin=kwargs.pop("margin", MarginType.REG_T))
    return capital(
        ONE_STOCK, owners, kit.holdings(*rows), kit.cash((0, kwargs.pop("money"))), kit.prices(price), **kwargs
    )


def test_every_step_from_ownership_equity_to_net_capital():
    ledger = Ledger(
        sheet=kit.sheet(
            (Line.OWNERSHIP_EQUITY, 10_000_000),
            (Line.SUBORDINATED_LOAN, 2_000_000),
            (Line.RECEIVABLE, 300_000, {"secured": 100_000, "party": Party.AFFILIATE}),
            (Line.RECEIVABLE, 500_000, {"party": Party.BROKER_DEALER}),
            (Line.DIVIDEND_RECEIVABLE, 40_000, {"since": kit.MONDAY - 31}),
            (Line.DIVIDEND_RECEIVABLE, 70_000, {"since": kit.MONDAY - 30}),
            (Line.FIXED_ASSET, 150_000),
            (Line.PREPAID, 20_000),
            (Line.MEMBERSHIP, 10_000),
            (Line.UNMARKETABLE_INVESTMENT, 80_000),
            (Line.OPERATIONAL, 5_000),
            (Line.CONTRACTUAL_COMMITMENT, 100_000),
        )
    )
    found = lone(HOUSE, [(0, 0, 100_000)], money=0, ledger=ledger)
    expected = {
        "ownership_equity": 10_000_000,
        "subordinated_loans": 2_000_000,
        "non_allowable.receivables": 200_000,
        "non_allowable.dividends": 40_000,
        "non_allowable.fixed_assets": 150_000,
        "non_allowable.prepaid": 20_000,
        "non_allowable.memberships": 10_000,
        "non_allowable.unmarketable": 80_000,
        "non_allowable.operational": 5_000,
        "deduction.commitments": 30_000,
        "haircut.equity": 150_000,
        "concentration.equity": 0,  # 1,000,000 is below 10% of tentative net capital
    }
    assert expected.items() <= values(found).items()
    tentative = 12_000_000 - 505_000 - 30_000
    assert found.net_capital.tentative == tentative * MICRO
    assert found.net_capital.net == (tentative - 150_000) * MICRO


def test_every_line_adds_up_to_the_rows_below_it():
    found = lone(CUSTOMER, [(0, 0, 10)], money=-500)
    for item in found.net_capital.lines:
        if len(item.rows.key):
            assert item.value == item.rows.amount.sum()


def test_what_is_not_supplied_is_listed_and_not_a_zero():
    found = lone(HOUSE, money=0)
    assert "ownership_equity" in found.net_capital.missing
    assert "deduction.aged_fails" in found.net_capital.missing
    assert "deduction.undermargined" in found.net_capital.missing
    zero = lone(HOUSE, money=0, ledger=Ledger(sheet=kit.sheet((Line.FIXED_ASSET, 0))))
    assert "non_allowable.fixed_assets" not in zero.net_capital.missing


def test_same_security_in_several_house_accounts_nets_first():
    owners = kit.accounts(HOUSE, HOUSE)
    held = kit.holdings((0, 0, 1_000), (1, 0, -900))
    found = capital(ONE_STOCK, owners, held, kit.cash((0, 0)), kit.prices(10))
    assert values(found)["haircut.equity"] == 0.15 * 1_000


def test_debit_above_collateral_is_unsecured_and_leaves_item_10():
    found = lone(CUSTOMER, [(0, 0, 100)], money=-1_500)
    assert values(found)["non_allowable.unsecured_debits"] == 500
    item_10 = next(i for i in found.customer.items if i.code == "i10")
    assert item_10.explained.inputs["unsecured"] == 500 * MICRO


def test_debit_whose_only_collateral_is_not_marginable_is_unsecured():
    stocks = kit.instruments({"id": "AAA", "marginable": False})
    found = capital(stocks, kit.accounts(CUSTOMER), kit.holdings((0, 0, 1000)), kit.cash((0, -700)), kit.prices(10))
    assert values(found)["non_allowable.unsecured_debits"] == 700
    assert next(i for i in found.customer.items if i.code == "i10").value == 0


def test_long_without_a_price_secures_nothing_whatever_it_cost():
    found = lone(CUSTOMER, [(0, 0, 100, 1_000)], price=None, money=-500)
    assert values(found)["non_allowable.unsecured_debits"] == 500


def test_deficits_of_non_customers_are_a_line_of_their_own_and_calls_do_not_help_them():
    found = lone(NON_CUSTOMER, [(0, 0, 10)], money=-500, ledger=Ledger(calls=kit.calls((0, 400, kit.MONDAY))))
    assert values(found)["non_allowable.non_customer_deficits"] == 400
    assert values(found)["non_allowable.unsecured_debits"] == 0


@pytest.mark.parametrize(("issued", "deducted"), [(kit.MONDAY - 7, 100), (kit.MONDAY - 10, 500)])
def test_calls_outstanding_five_business_days_or_less_reduce_an_unsecured_debit(issued, deducted):
    ledger = Ledger(calls=kit.calls((0, 400, issued)))
    found = lone(CUSTOMER, [(0, 0, 100)], money=-1_500, ledger=ledger)
    assert values(found)["non_allowable.unsecured_debits"] == deducted


def test_undermargined_account_is_deducted_after_calls_and_beyond_what_is_unsecured():
    ledger = Ledger(deficiencies=kit.deficiencies((0, 900, FRIDAY)), calls=kit.calls((0, 600, FRIDAY)))
    found = values(lone(CUSTOMER, [(0, 0, 100)], money=-1_500, ledger=ledger))
    assert found["non_allowable.unsecured_debits"] == 0  # 500 unsecured, met by 500 of the call
    assert found["deduction.undermargined"] == 300  # 900 - 500 - the remaining 100


@pytest.mark.parametrize(
    ("since", "after_close", "deducted"),
    [
        (kit.MONDAY, True, 0),  # arose today
        (FRIDAY, False, 0),  # the next business day has not closed
        (FRIDAY, True, 800),  # open at the close of the next business day, inside the client's three days
        (THURSDAY, False, 800),
    ],
)
def test_portfolio_margin_deficiency_is_deducted_once_open_at_the_next_close(since, after_close, deducted):
    ledger = Ledger(deficiencies=kit.deficiencies((0, 800, since)), calls=kit.calls((0, 800, since)))
    found = lone(
        CUSTOMER, [(0, 0, 100)], money=-900, ledger=ledger, margin=MarginType.PORTFOLIO, after_close=after_close
    )
    assert values(found)["deduction.portfolio_margin"] == deducted
    assert values(found)["deduction.undermargined"] == 0


def test_overdue_portfolio_margin_account_is_deducted_whole_and_calls_do_not_help():
    ledger = Ledger(deficiencies=kit.deficiencies((0, 800, FRIDAY)), calls=kit.calls((0, 800, FRIDAY)))
    found = values(lone(CUSTOMER, [(0, 0, 100)], money=-1_500, ledger=ledger, margin=MarginType.PORTFOLIO))
    assert found["non_allowable.unsecured_debits"] == 500
    assert found["deduction.portfolio_margin"] == 300


def test_calls_help_broker_dealers_accounts_too():
    ledger = Ledger(deficiencies=kit.deficiencies((0, 900, FRIDAY)), calls=kit.calls((0, 600, FRIDAY)))
    assert values(lone(PAB, [(0, 0, 100)], money=-900, ledger=ledger))["deduction.undermargined"] == 300


def test_stock_hedged_with_options_leaves_j_but_stays_concentrated():
    stocks = kit.instruments({"id": "AAA"}, kit.option("C", Right.CALL, 100))
    price_set = kit.prices(100, 1)
    ledger = Ledger(sheet=kit.sheet((Line.OWNERSHIP_EQUITY, 1_000_000)), scan=kit.intrinsic_scan(stocks, price_set))
    held = kit.holdings((0, 0, 2_000), (0, 1, -20))
    found = values(capital(stocks, kit.accounts(HOUSE), held, kit.cash((0, 0)), price_set, ledger))
    assert found["haircut.equity"] == 0
    assert found["haircut.options"] == 2_000 * 15
    assert found["concentration.equity"] == 0.15 * (200_000 - 100_000)


def test_options_without_a_scan_are_charged_in_full_and_stock_stays_in_j():
    stocks = kit.instruments({"id": "AAA"}, kit.option("C", Right.CALL, 100))
    held = kit.holdings((0, 0, 100), (0, 1, -1))
    found = values(capital(stocks, kit.accounts(HOUSE), held, kit.cash((0, 0)), kit.prices(100, 1)))
    assert found["haircut.options"] == 10_100
    assert found["haircut.equity"] == 1_500


def test_firm_that_elected_the_strategy_method_is_charged_by_it():
    stocks = kit.instruments({"id": "AAA"}, kit.option("C", Right.CALL, 100))
    elections = Elections(options=OptionMethod.STRATEGY)
    held = kit.holdings((0, 0, 150), (0, 1, -1))
    found = values(capital(stocks, kit.accounts(HOUSE), held, kit.cash((0, 0)), kit.prices(102, 4), None, elections))
    assert found["haircut.options"] == 0.15 * 10_200 - 200
    assert found["haircut.equity"] == 0.15 * 50 * 102
    assert found["deduction.option_time_value"] == -200


def test_unsettled_sale_is_not_an_unsecured_debit():
    money = kit.cash((0, -1_000, 0, 500))  # settled debit 1,000; sold everything for 1,500 on trade date
    found = capital(ONE_STOCK, kit.accounts(CUSTOMER), kit.holdings(), money, kit.prices(10))
    assert values(found)["non_allowable.unsecured_debits"] == 0


def test_unsettled_short_sale_is_neither_a_debit_nor_a_credit():
    money = kit.cash((0, 0, 1_000, 1_000))
    found = capital(ONE_STOCK, kit.accounts(CUSTOMER), kit.holdings((0, 0, -100)), money, kit.prices(10))
    assert values(found)["non_allowable.unsecured_debits"] == 0
    assert found.customer.deposit.total_credits == 0


def street(*rows, price=10.0, as_of=kit.MONDAY):
    return values(lone(HOUSE, money=0, price=price, ledger=Ledger(record=kit.record(*rows)), as_of=as_of))


@pytest.mark.parametrize(
    ("since", "contract", "charge"),
    [
        (kit.MONDAY - 7, 1_000, 150),  # five business days
        (kit.MONDAY - 6, 1_000, 0),  # four
        (kit.MONDAY - 7, 1_200, 350),  # contract above market adds
        (kit.MONDAY - 7, 900, 50),  # market above contract reduces
        (kit.MONDAY - 7, 500, 0),  # never below zero
    ],
)
def test_fail_to_deliver_of_five_business_days_is_charged_as_proprietary(since, contract, charge):
    assert street((0, Location.FAIL_TO_DELIVER, 100, contract, {"since": since}))["deduction.aged_fails"] == charge


@pytest.mark.parametrize(
    ("sessions", "percent"), [(6, 0), (7, 25), (13, 25), (14, 50), (20, 50), (21, 75), (27, 75), (28, 100), (90, 100)]
)
def test_short_difference_is_charged_by_age(sessions, percent):
    days = kit.weekdays().day
    since = int(days[np.searchsorted(days, kit.MONDAY) - sessions])
    found = street((0, Location.DIFFERENCE, -100, 0, {"since": since}))
    assert found["deduction.short_differences"] == 1_000 * percent / 100


def test_long_difference_is_not_charged():
    assert street((0, Location.DIFFERENCE, 100, 0, {"since": 0}))["deduction.short_differences"] == 0


def test_stock_borrow_and_loan_deficits_are_by_contract():
    found = street(
        (0, Location.BORROWED, 100, 1_020),
        (0, Location.BORROWED, 100, 900),  # its surplus helps no other contract
        (0, Location.LOANED, -100, 960),
        (0, Location.LOANED, -100, 1_050),
    )
    assert found["deduction.stock_borrow"] == 20
    assert found["deduction.stock_loan"] == 40


def test_borrowed_security_without_a_price_counts_nothing():
    assert street((0, Location.BORROWED, 100, 1_020), price=None)["deduction.stock_borrow"] == 1_020


def test_required_minimum_switches_between_dollars_and_two_percent():
    least = 250_000 * MICRO
    below = net_capital.alternative(0, 12_500_000 * MICRO - 50, least, RULES)
    above = net_capital.alternative(0, 12_500_000 * MICRO + 50, least, RULES)
    assert (below.required, above.required) == (least, least + 1)


def test_basic_requirement_is_a_fifteenth_and_an_eighth_in_the_first_year():
    owed = 30_000_000 * MICRO
    assert net_capital.basic(0, owed, 0, RULES).required == 2_000_000 * MICRO
    assert net_capital.basic(0, owed, 0, RULES, first_year=True).required == 3_750_000 * MICRO


def test_prime_broker_minimum_is_one_and_a_half_million():
    assert net_capital.dollar_minimum(Elections(prime_broker=True), RULES) == 1_500_000 * MICRO
    assert net_capital.dollar_minimum(Elections(prime_broker=False), RULES) == 250_000 * MICRO


def test_percent_and_ratio_are_exact_and_none_where_undefined():
    position = net_capital.alternative(1 * MICRO, 3 * MICRO, 0, RULES)
    assert position.percent == Decimal(100) / 3
    assert replace(position, base=0).percent is None
    assert replace(position, net=0).ratio is None


def test_aggregate_indebtedness_counts_credits_loans_fails_and_payables_less_reserve_deposits():
    owners = kit.accounts(CUSTOMER, PAB, HOUSE)
    ledger = Ledger(
        sheet=kit.sheet(
            (Line.BORROWED_UNSECURED, 50),
            (Line.PAYABLE, 7),
            (Line.BORROWED_SECURED, 1_000),
            (Line.RESERVE_DEPOSIT, 200),
        ),
        record=kit.record(
            (0, Location.PLEDGED, -10, 80),
            (0, Location.FAIL_TO_RECEIVE, -1, 11),
            (0, Location.FAIL_TO_RECEIVE, -1, 1_000, {"account_kind": HOUSE}),
            (0, Location.LOANED, -5, 60),
            (0, Location.BORROWED, 4, 45),
        ),
    )
    found = capital(ONE_STOCK, owners, kit.holdings(), kit.cash((0, 100), (1, 30), (2, 9_000)), kit.prices(10), ledger)
    assert found.net_capital.aggregate_indebtedness == (100 + 30 + 80 + 11 + 15 + 50 + 7 - 200) * MICRO


def test_house_and_pab_accounts_never_enter_the_customer_formula():
    owners = kit.accounts(HOUSE, PAB, NON_CUSTOMER)
    found = capital(ONE_STOCK, owners, kit.holdings(), kit.cash((0, 5), (1, 7), (2, 11)), kit.prices(10))
    assert found.customer.deposit.total_credits == 0
    assert found.pab.deposit.total_credits == 7 * MICRO


def test_focus_lines_carry_the_totals_and_the_elected_method():
    ledger = Ledger(sheet=kit.sheet((Line.OWNERSHIP_EQUITY, 1_000_000), (Line.CONTRACTUAL_COMMITMENT, 100_000)))
    found = lone(HOUSE, [(0, 0, 1_000)], money=0, ledger=ledger)
    lines = {(item.section, item.code): item.value for item in focus.layout(found)}
    assert lines["Net capital", "3480"] == 1_000_000 * MICRO
    assert lines["Net capital", "3640"] - lines["Net capital", "3740"] == lines["Net capital", "3750"]
    assert lines["Net capital", "3750"] == found.net_capital.net == (1_000_000 - 30_000 - 1_500) * MICRO
    assert lines["Net capital", "3520"] is None  # not supplied
    assert ("Alternative requirement (elected)", "3910") in lines
    basic = lone(HOUSE, money=0, ledger=ledger, elections=Elections(method=Method.BASIC))
    assert any(item.section == "Basic requirement (elected)" for item in focus.layout(basic))


def test_statement_tables_hold_every_line_and_the_rows_below():
    found = lone(CUSTOMER, [(0, 0, 100)], money=-1_500)
    heads, below = focus.tables("net capital", found.net_capital.lines)
    assert heads.num_rows == len(found.net_capital.lines)
    unsecured = [r for r in below.to_pylist() if r["code"] == "non_allowable.unsecured_debits"]
    assert [(r["key"], r["amount"]) for r in unsecured] == [("A0", 500 * MICRO)]
    assert [r["value"] for r in heads.to_pylist() if r["code"] == "ownership_equity"] == [None]


def test_balance_sheet_columns_add_up():
    sheet = kit.sheet((Line.FIXED_ASSET, 100), (Line.RECEIVABLE, 300, {"secured": 100}), (Line.CASH, 50))
    found = lone(HOUSE, money=0, ledger=Ledger(sheet=sheet))
    rows = {r.line: (r.allowable, r.non_allowable, r.total) for r in focus.balance_sheet(sheet, found)}
    assert rows == {
        "cash": (50 * MICRO, 0, 50 * MICRO),
        "fixed_asset": (0, 100 * MICRO, 100 * MICRO),
        "receivable": (100 * MICRO, 200 * MICRO, 300 * MICRO),
    }


def test_bad_input_says_where_what_was_expected_and_what_was_found():
    with pytest.raises(ValueError, match="L000: expected an amount >= 0, found -1000000"):
        kit.sheet((Line.CASH, -1))
    with pytest.raises(ValueError, match=r"R000 \(LOANED\): expected a quantity <= 0, found 5"):
        kit.record((0, Location.LOANED, 5, 0))
    with pytest.raises(ValueError, match="margin deficiencies: expected accounts with holdings or cash"):
        lone(CUSTOMER, money=1, ledger=Ledger(deficiencies=kit.deficiencies((7, 1, kit.MONDAY))))


def test_totals_are_the_sums_of_their_lines():
    net = lone(HOUSE, [(0, 0, 1_000)], money=0, ledger=Ledger(sheet=kit.sheet((Line.OWNERSHIP_EQUITY, 99)))).net_capital
    assert net.haircuts == total(net.charges)
    assert net.net == net.tentative - net.haircuts
