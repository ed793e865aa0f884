"""Customer and PAB reserve, 15c3-3: items, reductions, deposit, frequency and due time on worked numbers."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.capital import computation, reserve
from streaming.risk.capital.allocation import allocate, in_order, pro_rata
from streaming.risk.capital.computation import Ledger
from streaming.risk.capital.inputs import Elections, Frequency, Line, Location, Method
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind, MarginType
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))
BEFORE_DAILY = load().at(date(2026, 6, 29))
CUSTOMER, PAB, HOUSE, NON_CUSTOMER = AccountKind
ONE_STOCK = kit.instruments({"id": "AAA"})
EMPTY_SHEET = kit.sheet((Line.OPTION_MARGIN, 0))


def capital(
    owners, held, money, record=None, sheet=None, stocks=ONE_STOCK, price_set=None, elections=None, rules=RULES
):
    price_set = price_set or kit.prices(*[10] * len(stocks))
    part = computation.merged_part([kit.book(stocks, owners, held, money)], price_set, rules)
    ledger = Ledger(sheet=sheet, record=record)
    return computation.compute(part, stocks, owners, ledger, kit.cut(price_set), elections or Elections(), rules)


def items(found):
    return {item.code: item.value / MICRO for item in found.items if item.supplied}


@pytest.mark.parametrize(
    ("method", "frequency", "rules", "reduction"),
    [
        (Method.BASIC, Frequency.WEEKLY, RULES, 5.00),  # 1% of item 10
        (Method.BASIC, Frequency.DAILY, RULES, 5.00),
        (Method.ALTERNATIVE, Frequency.DAILY, RULES, 14.00),  # 2% of all debits
        (Method.ALTERNATIVE, Frequency.WEEKLY, RULES, 21.00),  # 3%
        (Method.ALTERNATIVE, Frequency.MONTHLY, RULES, 21.00),
        (Method.ALTERNATIVE, Frequency.DAILY, BEFORE_DAILY, 21.00),  # the 2% came on 30 June 2026
    ],
)
def test_debit_reduction_by_method_and_frequency(method, frequency, rules, reduction):
    found = reserve.deposit(1_000 * MICRO, 500 * MICRO, 200 * MICRO, method, frequency, rules)
    assert found.reduction == reduction * MICRO
    assert found.required == (1_000 - 700 + reduction) * MICRO
    assert found.if_monthly == round(found.required * 1.05)
    assert found.total_debits == 700 * MICRO  # the base of the 2% minimum is gross


def test_no_deposit_when_debits_exceed_credits():
    assert reserve.deposit(100, 10_000, 0, Method.BASIC, Frequency.DAILY, RULES).required == 0


def test_free_credits_and_short_balances_are_kept_apart_in_item_1():
    owners = kit.accounts(CUSTOMER, CUSTOMER)
    held = kit.holdings((0, 0, -30))
    found = capital(owners, held, kit.cash((0, 1_000, 250), (1, 70))).customer
    line = found.items[0]
    assert line.value == 1_070 * MICRO
    assert line.explained.inputs == {"free_credits": 770 * MICRO, "short_balances": 300 * MICRO}


def test_short_mark_above_cash_is_a_debit_beside_the_short_credit():
    found = items(capital(kit.accounts(CUSTOMER), kit.holdings((0, 0, -100)), kit.cash((0, 900, 900))).customer)
    assert found["i1"] == 1_000
    assert found["i10"] == 0  # the debit of 100 has no collateral: unsecured


def test_secured_part_of_a_debit_is_item_10():
    owners = kit.accounts(*[CUSTOMER] * 5)
    held = kit.holdings(*((i, 0, 100) for i in range(5)))
    found = capital(owners, held, kit.cash((0, -1_200), *((i, -1_000) for i in range(1, 5)))).customer
    assert found.items[9].explained.inputs["unsecured"] == 200 * MICRO


def spread_customers(n=10, debit=-500):
    """n customers with as many stocks, so that no Note E limit binds."""
    stocks = kit.instruments(*({"id": f"S{i:02d}"} for i in range(n)))
    held = kit.holdings(*((i, i, 100) for i in range(n)))
    return stocks, kit.accounts(*[CUSTOMER] * n), held, kit.cash(*((i, debit) for i in range(n)))


def test_debits_of_many_customers_in_many_stocks_stay_whole():
    stocks, owners, held, money = spread_customers()
    assert items(capital(owners, held, money, stocks=stocks).customer)["i10"] == 5_000


def test_note_e1_takes_out_one_security_above_15_percent_of_margin_collateral():
    stocks = kit.instruments(*({"id": f"S{i:02d}"} for i in range(10)))
    held = kit.holdings(*((i, min(i, 6), 100) for i in range(10)))  # four customers hold S06
    found = capital(kit.accounts(*[CUSTOMER] * 10), held, kit.cash(*((i, -500) for i in range(10))), stocks=stocks)
    one_security = found.customer.reductions[0]
    # Counted collateral: 140% of each debit of 500 = 700, together 7,000; S06 counts 2,800, the limit is 1,050.
    assert one_security.value == 1_750 * MICRO
    assert one_security.rows.key.tolist() == ["S06"]
    assert items(found.customer)["i10"] == 5_000 - 1_750


def test_note_e1_exempts_treasuries():
    stocks = kit.instruments({"id": "UST", "kind": Kind.TREASURY, "expiry": kit.day("2030-01-01")})
    found = capital(kit.accounts(CUSTOMER), kit.holdings((0, 0, 100)), kit.cash((0, -500)), stocks=stocks)
    assert found.customer.reductions[0].value == 0


def test_note_e5_takes_out_what_one_customer_has_above_a_quarter_of_debits():
    stocks, _, held, _ = spread_customers()
    owners = kit.accounts(*[CUSTOMER] * 10, clients=("big", "big", "big", *(f"c{i}" for i in range(7))))
    found = capital(owners, held, kit.cash(*((i, -500) for i in range(10))), stocks=stocks).customer
    assert found.reductions[1].value == (1_500 - 1_250) * MICRO
    assert found.reductions[1].rows.key.tolist() == ["big"]


def test_note_e_never_makes_item_10_negative():
    found = capital(kit.accounts(CUSTOMER), kit.holdings((0, 0, 100)), kit.cash((0, -700))).customer
    assert found.reductions[0].value + found.reductions[1].value > 700 * MICRO
    assert items(found)["i10"] == 0


def test_stock_record_items_without_a_record_are_not_supplied_rather_than_zero():
    found = capital(kit.accounts(CUSTOMER), kit.holdings(), kit.cash((0, 1))).customer
    expected = {"i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9", "i11", "i12", "i13", "i14", "i15", "on_deposit"}
    assert set(found.missing) == expected
    assert found.shortfall is None


def test_street_items_enter_by_origin_and_age():
    old, young = kit.MONDAY - 31, kit.MONDAY - 30
    record = kit.record(
        (0, Location.PLEDGED, -10, 80),
        (0, Location.PLEDGED, -10, 5, {"account_kind": HOUSE}),
        (0, Location.FAIL_TO_RECEIVE, -1, 11),
        (0, Location.FAIL_TO_RECEIVE, -1, 13, {"account_kind": PAB}),
        (0, Location.DIVIDEND_RECEIVABLE, -2, 0, {"since": old}),
        (0, Location.DIVIDEND_RECEIVABLE, -2, 0, {"since": young}),
        (0, Location.DIFFERENCE, -3, 0, {"since": old}),
        (0, Location.DIFFERENCE, 3, 0, {"since": old}),
        (0, Location.SUSPENSE, -4, 0, {"since": old}),
        (0, Location.TRANSFER, -5, 0, {"since": kit.MONDAY - 41}),
        (0, Location.TRANSFER, -5, 0, {"since": kit.MONDAY - 40}),
        (0, Location.FAIL_TO_DELIVER, 6, 66, {"since": young}),
        (0, Location.FAIL_TO_DELIVER, 6, 67, {"since": old}),
    )
    sheet = kit.sheet(
        (Line.SUSPENSE_CREDIT, 9, {"since": old}),
        (Line.SUSPENSE_CREDIT, 9, {"since": young}),
        (Line.OPTION_MARGIN, 17, {"account_kind": CUSTOMER}),
        (Line.OPTION_MARGIN, 19, {"account_kind": PAB}),
        (Line.SECURITY_FUTURES_MARGIN, 23, {"account_kind": CUSTOMER}),
        (Line.TREASURY_MARGIN, 29, {"account_kind": CUSTOMER}),
        (Line.RESERVE_DEPOSIT, 1_000, {"account_kind": CUSTOMER}),
    )
    found = capital(kit.accounts(CUSTOMER), kit.holdings(), kit.cash((0, 0)), record, sheet)
    assert items(found.customer) == {
        "i1": 0, "i2": 80, "i3": 0, "i4": 11, "i5": 0, "i6": 20, "i7": 30, "i8": 49, "i9": 50,
        "i10": 0, "i11": 0, "i12": 66, "i13": 17, "i14": 23, "i15": 29,
    }  # fmt: skip
    assert items(found.pab)["i4"] == 13
    assert items(found.pab)["i13"] == 19
    assert found.customer.shortfall == found.customer.required - 1_000 * MICRO


def test_loans_and_borrows_are_allocated_by_security():
    owners = kit.accounts(CUSTOMER, CUSTOMER, HOUSE)
    held = kit.holdings((0, 0, 100), (1, 0, -40), (2, 0, 30))
    record = kit.record((0, Location.LOANED, -120, 1_200), (0, Location.BORROWED, 60, 600))
    found = items(capital(owners, held, kit.cash((0, 0), (1, 400, 400)), record).customer)
    # Lent 120: 60 matched with the borrow, 30 of the firm's, 30 of the customer's. The borrow is then used up.
    assert (found["i3"], found["i11"]) == (300, 0)


def test_borrow_covers_customers_shorts_after_the_firms():
    owners = kit.accounts(CUSTOMER, HOUSE)
    held = kit.holdings((0, 0, -100), (1, 0, -20))
    record = kit.record((0, Location.BORROWED, 90, 990))
    found = items(capital(owners, held, kit.cash((0, 1_000, 1_000)), record).customer)
    assert found["i11"] == 770  # 70 of 90


def test_firm_short_delivered_from_customers_longs_is_item_5():
    owners = kit.accounts(CUSTOMER, HOUSE)
    held = kit.holdings((0, 0, 100), (1, 0, -50))
    record = kit.record((0, Location.BORROWED, 20, 200), (0, Location.BOX, -70, 0))
    assert items(capital(owners, held, kit.cash((0, 0)), record).customer)["i5"] == 300


def test_item_5_is_at_most_what_customers_are_long():
    held = kit.holdings((0, 0, 30), (1, 0, -50))
    found = items(capital(kit.accounts(CUSTOMER, HOUSE), held, kit.cash((0, 0)), kit.record()).customer)
    assert found["i5"] == 300


def test_allocation_that_nothing_explains_is_shown():
    owners = kit.accounts(CUSTOMER)
    price_set = kit.prices(10)
    part = computation.merged_part([kit.book(ONE_STOCK, owners, kit.holdings(), kit.cash((0, 0)))], price_set, RULES)
    found = allocate(part.securities, kit.record((0, Location.LOANED, -5, 50)), RULES)
    assert found.loaned["unexplained"].tolist() == [5]
    assert found.loaned_amount["unexplained"].tolist() == [50 * MICRO]


def test_money_is_split_by_quantity_without_losing_a_micro():
    quantity = np.array([3, 7_000_000_001])
    parts = in_order(quantity, {"a": np.array([1, 10**9]), "b": np.array([1, 10**9])}, ("a", "b"))
    split = pro_rata(np.array([100, 9 * 10**18]), quantity, parts)
    assert sum(split.values()).tolist() == [100, 9 * 10**18]
    assert split["a"].tolist()[0] == 33


@pytest.mark.parametrize(
    ("average", "expected"), [(499_999_999, Frequency.WEEKLY), (500_000_000, Frequency.DAILY)]
)  # at 500 million daily becomes mandatory
def test_daily_computation_is_mandatory_from_an_average_of_500_million(average, expected):
    swings = np.array([1, -1] * 6) * 10_000_000 * MICRO
    month_ends = np.full(12, average * MICRO) + swings
    assert reserve.frequency(Elections(frequency=Frequency.WEEKLY), month_ends, RULES) == expected


def test_average_takes_the_last_twelve_month_ends_only():
    month_ends = np.array([10**10 * MICRO] + [400_000_000 * MICRO] * 12)
    assert reserve.frequency(Elections(frequency=Frequency.WEEKLY), month_ends, RULES) == Frequency.WEEKLY


def test_daily_is_not_mandatory_before_30_june_2026():
    month_ends = np.full(12, 10**10 * MICRO)
    assert reserve.frequency(Elections(frequency=Frequency.WEEKLY), month_ends, BEFORE_DAILY) == Frequency.WEEKLY
    assert reserve.frequency(Elections(frequency=Frequency.WEEKLY), month_ends, RULES) == Frequency.DAILY


def test_deposit_is_due_an_hour_after_opening_on_the_second_business_day():
    friday = kit.day("2026-11-13")
    expected = kit.day("2026-11-17") * kit.DAY_MICROS + kit.OPEN_MICROS + 3_600 * 10**6
    assert reserve.due_time(kit.weekdays(), friday, RULES) == expected


def test_due_time_past_the_calendar_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="expected 2 sessions after day"):
        reserve.due_time(kit.weekdays(last="2026-11-18"), kit.day("2026-11-16"), RULES)


def test_monthly_computation_requires_105_percent():
    elections = Elections(frequency=Frequency.MONTHLY)
    found = capital(kit.accounts(CUSTOMER), kit.holdings(), kit.cash((0, 100)), elections=elections).customer
    assert found.required == 105 * MICRO


def test_fully_paid_and_excess_margin_are_locked_up_and_the_rest_is_usable():
    owners = kit.accounts(CUSTOMER, CUSTOMER)
    owners.margin_type[1] = MarginType.CASH
    held, money = kit.holdings((0, 0, 100), (1, 0, 50)), kit.cash((0, -500), (1, 0))
    part = computation.merged_part([kit.book(ONE_STOCK, owners, held, money)], kit.prices(10), RULES)
    # 140% of the debit of 500 is 700 of 1,000: 70 shares are usable.
    assert part.securities.excess_margin[CUSTOMER].tolist() == [30]
    assert part.securities.fully_paid[CUSTOMER].tolist() == [50]


def test_usable_stock_is_rounded_down_so_that_the_customer_keeps_the_odd_share():
    held, money = kit.holdings((0, 0, 42)), kit.cash((0, -100))
    part = computation.merged_part([kit.book(ONE_STOCK, kit.accounts(CUSTOMER), held, money)], kit.prices(10), RULES)
    # 140 of 420 dollars is a third, which no decimal rate states: 13 of 14 shares.
    assert part.securities.excess_margin[CUSTOMER].tolist() == [29]
