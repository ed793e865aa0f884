"""Close-outs, possession or control, ageing, the matched book, hypothecation, use by account: worked numbers."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.capital import clients, computation, operations
from streaming.risk.capital.allocation import allocate
from streaming.risk.capital.inputs import Line, Location, Sale
from streaming.risk.capital.marking import marks
from streaming.risk.capital.operations import OpenDeficits
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))
CUSTOMER, PAB, HOUSE, NON_CUSTOMER = AccountKind
STOCKS = kit.instruments({"id": "AAA"}, {"id": "BBB"})
PRICES = kit.prices(10, 20)
MARKS = marks(STOCKS, PRICES)
NOTHING_OPEN = OpenDeficits(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64))
FRIDAY = kit.MONDAY - 3


def dates(days):
    return [str(np.datetime64(int(day), "D")) for day in days]


@pytest.mark.parametrize(
    ("sale", "close_out"),
    [
        (Sale.NONE, "2026-11-16"),  # unknown origin: the earliest date
        (Sale.SHORT, "2026-11-16"),
        (Sale.LONG, "2026-11-18"),
        (Sale.MARKET_MAKER, "2026-11-18"),
        (Sale.DEEMED_OWNED, "2026-12-17"),  # traded Thursday 12 November, plus 35 calendar days
    ],
)
def test_close_out_day_of_a_fail_that_settled_on_a_friday(sale, close_out):
    record = kit.record((0, Location.FAIL_TO_DELIVER, 100, 1_000, {"since": FRIDAY, "sale": sale}))
    found = operations.close_outs(record, kit.cut(PRICES), RULES)
    assert dates(found.close_out) == [close_out]
    assert found.overdue.tolist() == [close_out <= "2026-11-16"]
    assert found.business_age.tolist() == [1]


def part_of(owners, held, money):
    return computation.merged_part([kit.book(STOCKS, owners, held, money)], PRICES, RULES)


def possession(part, record, known=NOTHING_OPEN, kind=CUSTOMER, claimed=None):
    return operations.possession(kind, part.securities, record, MARKS, kit.cut(PRICES), known, RULES, claimed)


FULLY_PAID = part_of(kit.accounts(CUSTOMER), kit.holdings((0, 0, 100), (0, 1, 10)), kit.cash((0, 0)))


def test_deficit_is_what_customers_own_beyond_what_is_in_control():
    record = kit.record(
        (0, Location.BOX, -20, 0),
        (0, Location.SEGREGATED, -30, 0),
        (0, Location.TRANSFER, -5, 0, {"since": kit.MONDAY - 40}),
        (0, Location.TRANSFER, -7, 0, {"since": kit.MONDAY - 41}),
        (0, Location.LOANED, -45, 450),
        (1, Location.DEPOSITORY, -15, 0),
    )
    found = possession(FULLY_PAID, record)
    assert found.in_control.tolist() == [55, 15]
    assert found.deficit.tolist() == [45, 0]
    assert found.value.tolist() == [450 * MICRO, 0]


def test_deficit_keeps_its_first_day_until_it_is_gone():
    loaned = kit.record((0, Location.LOANED, -100, 1_000), (1, Location.BOX, -10, 0))
    known = OpenDeficits(np.array([0, 1], dtype=np.int32), np.array([FRIDAY, FRIDAY]))
    found = possession(FULLY_PAID, loaned, known)
    assert (found.since.tolist(), found.business_age.tolist()) == ([FRIDAY, kit.MONDAY], [1, 0])
    carried = operations.open_deficits(found)
    assert (carried.instrument.tolist(), carried.since.tolist()) == ([0], [FRIDAY])
    cured = possession(FULLY_PAID, kit.record((0, Location.BOX, -100, 0), (1, Location.BOX, -10, 0)), carried)
    assert len(operations.open_deficits(cured).instrument) == 0


def test_deficit_is_cured_from_bank_loans_then_stock_loans_then_fails_to_receive():
    record = kit.record(
        (0, Location.PLEDGED, -30, 300), (0, Location.LOANED, -40, 400), (0, Location.FAIL_TO_RECEIVE, -20, 200)
    )
    found = operations.cures(possession(FULLY_PAID, record), record, kit.cut(PRICES), RULES)
    rows = list(zip(found.instrument, found.source, found.quantity.tolist(), dates(found.cure)))
    assert rows == [
        (0, "FAIL_TO_RECEIVE", 20, "2026-12-16"),
        (0, "LOANED", 40, "2026-11-23"),
        (0, "OTHER", 10, "2026-11-18"),
        (0, "PLEDGED", 30, "2026-11-18"),
        (1, "OTHER", 10, "2026-11-18"),
    ]


def test_customers_come_before_pab_accounts():
    part = part_of(kit.accounts(CUSTOMER, PAB), kit.holdings((0, 0, 100), (1, 0, 50)), kit.cash((0, 0), (1, 0)))
    record = kit.record((0, Location.BOX, -120, 0))
    customer = possession(part, record)
    claimed = np.array([100, 0])
    assert customer.deficit.tolist() == [0]
    assert possession(part, record, kind=PAB, claimed=claimed).deficit.tolist() == [30]


def test_fails_and_dividends_are_aged_in_both_calendars():
    record = kit.record(
        (0, Location.FAIL_TO_DELIVER, 10, 90, {"since": kit.MONDAY - 4}),
        (1, Location.FAIL_TO_RECEIVE, -10, 190, {"since": kit.MONDAY - 5}),
        (1, Location.DIVIDEND_RECEIVABLE, -1, 0, {"since": kit.MONDAY - 30}),
    )
    sheet = kit.sheet((Line.DIVIDEND_RECEIVABLE, 7, {"since": kit.MONDAY}))
    found = operations.ageing(record, sheet, MARKS, kit.cut(PRICES), RULES)
    rows = list(zip(found.what, found.value // MICRO, found.business_age, found.calendar_age, found.bucket))
    assert rows == [
        ("CASH_DIVIDEND", 7, 0, 0, "0-4"),
        ("DIVIDEND_RECEIVABLE", 20, 21, 30, "30+"),
        ("FAIL_TO_DELIVER", 100, 2, 4, "0-4"),
        ("FAIL_TO_RECEIVE", 200, 3, 5, "5-9"),
    ]


def test_ageing_of_nothing_is_empty():
    assert len(operations.ageing(None, None, MARKS, kit.cut(PRICES), RULES).what) == 0


def test_matched_book_is_the_lesser_of_borrowed_and_loaned():
    record = kit.record(
        (0, Location.BORROWED, 60, 610), (0, Location.BORROWED, 40, 405), (0, Location.LOANED, -70, 720),
        (1, Location.LOANED, -5, 101),
    )  # fmt: skip
    found = operations.matched_book(record, MARKS)
    assert found.matched.tolist() == [70, 0]
    assert found.borrowed_amount.tolist() == [1_015 * MICRO, 0]
    assert found.value_matched.tolist() == [700 * MICRO, 0]


def used_book():
    """Three customers in AAA with debits; the firm has pledged and lent their stock."""
    owners = kit.accounts(CUSTOMER, CUSTOMER, CUSTOMER, HOUSE)
    held = kit.holdings((0, 0, 100), (1, 0, 100), (2, 0, 100), (3, 0, 5))
    money = kit.cash((0, -500), (1, -250), (2, 0), (3, 0))
    record = kit.record((0, Location.PLEDGED, -40, 400), (0, Location.LOANED, -25, 250))
    return kit.book(STOCKS, owners, held, money), record


def test_hypothecation_measures_value_against_140_percent_of_debits_and_loans_against_debits():
    book, record = used_book()
    part = computation.merged_part([book], PRICES, RULES)
    found = operations.hypothecation(part, record, allocate(part.securities, record, RULES), MARKS, RULES)
    # Of the 25 lent 5 are the firm's.
    assert (found.used, found.limit) == (600 * MICRO, 1_050 * MICRO)
    assert (found.loans, found.debits) == (400 * MICRO, 750 * MICRO)
    assert found.headroom == 350 * MICRO


def test_use_is_given_to_accounts_in_proportion_to_what_may_be_used():
    book, record = used_book()
    part = clients.part(book, MARKS, PRICES, RULES)
    used = operations.used_by_security(record, allocate(part.securities, record, RULES), 2)
    rows = operations.account_use([operations.account_rows(book, part.accounts)], used)
    assert rows.account.tolist() == [0, 1, 2]
    assert rows.usable.tolist() == [70, 35, 0]
    assert rows.segregated.tolist() == [30, 65, 100]
    assert rows.used.tolist() == [40, 20, 0]


def test_use_beyond_what_is_usable_falls_on_segregated_stock_and_shows():
    book, _ = used_book()
    part = clients.part(book, MARKS, PRICES, RULES)
    rows = operations.account_use([operations.account_rows(book, part.accounts)], np.array([300, 0]))
    assert rows.used.tolist() == [100, 100, 100]
    assert (rows.used > rows.usable).all()


def test_options_are_not_in_the_allocation_by_account():
    stocks = kit.instruments({"id": "AAA"}, {"id": "C", "kind": Kind.OPTION, "underlying": 0})
    book = kit.book(stocks, kit.accounts(CUSTOMER), kit.holdings((0, 1, 5)), kit.cash((0, -1)))
    part = clients.part(book, marks(stocks, PRICES), PRICES, RULES)
    assert len(operations.account_rows(book, part.accounts).account) == 0
