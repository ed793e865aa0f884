"""Portfolio margin accounts: minimum equity, eligibility, calls on the calendar, the tenfold ratio, explanations."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from streaming.risk.margin.portfolio_accounts import (
    Eligibility,
    net_capital_multiple,
    portfolio_accounts,
    portfolio_calls,
)
from streaming.risk.margin.portfolio_explain import (
    account_report,
    exceptions,
    explain,
    explanation_table,
    sentence,
)
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind
from tests.unit.margin_portfolio_books import BROAD, HIGH_CAP, RULES, Item, call, margined

FRIDAY = (date(2026, 11, 20) - date(1970, 1, 1)).days
# The week of Thanksgiving: Thursday 26 November is no session.
SESSIONS = np.array([FRIDAY + n for n in (-2, -1, 0, 3, 4, 5, 7, 10, 11)])


def summary(equity, *, approved=True, unlisted=False, monitoring=True, prime_broker=True, kind=AccountKind.CUSTOMER):
    book = margined([Item("XYZ")], [(0, "XYZ", 1_000)])
    accounts = replace(book.accounts, kind=np.array([kind]), prime_broker=np.array([prime_broker]))
    return portfolio_accounts(
        book.result, accounts, np.array([equity * MICRO]), RULES,
        approved=np.array([approved]), unlisted=np.array([unlisted]), real_time_monitoring=monitoring,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("prime_broker", "monitoring", "minimum"), [(True, True, 500_000), (False, True, 100_000), (False, False, 150_000)]
)
def test_minimum_equity_depends_on_executing_away_and_on_monitoring(prime_broker, monitoring, minimum):
    at = summary(minimum, prime_broker=prime_broker, monitoring=monitoring)
    below = summary(minimum - 1, prime_broker=prime_broker, monitoring=monitoring)
    assert at.minimum_equity[0] == minimum * MICRO
    assert (at.eligibility[0], below.eligibility[0]) == (Eligibility.ELIGIBLE, Eligibility.BELOW_MINIMUM)


def test_account_needs_approval_unless_it_is_a_broker_dealer():
    assert summary(900_000, approved=False).eligibility[0] == Eligibility.NOT_APPROVED
    assert summary(900_000, approved=False, kind=AccountKind.PAB).eligibility[0] == Eligibility.ELIGIBLE


def test_unlisted_derivatives_need_five_million():
    assert summary(4_999_999, unlisted=True).eligibility[0] == Eligibility.UNLISTED_EQUITY
    assert summary(5_000_000, unlisted=True).eligibility[0] == Eligibility.ELIGIBLE


def test_unlisted_derivatives_count_the_equity_of_identically_owned_accounts():
    book = margined([Item("XYZ")], [(0, "XYZ", 10), (1, "XYZ", 10), (2, "XYZ", 10)])
    status = portfolio_accounts(
        book.result, book.accounts, np.array([3, 2, 3]) * 1_000_000 * MICRO, RULES,
        approved=np.ones(3, bool), unlisted=np.ones(3, bool), real_time_monitoring=True,
    )  # fmt: skip
    assert status.eligibility.tolist() == [Eligibility.ELIGIBLE, Eligibility.ELIGIBLE, Eligibility.UNLISTED_EQUITY]


def test_excess_is_net_liquidating_value_less_requirement():
    assert summary(14_000).excess[0] == -1_000 * MICRO


def test_call_is_due_on_the_third_business_day_and_leaves_net_capital_at_the_next_close():
    def calls(as_of):
        return portfolio_calls(np.array([4, 9]), np.array([-70, 5]), np.array([FRIDAY, 0]), as_of, SESSIONS, RULES)

    assert calls(FRIDAY).account.tolist() == [4]
    assert calls(FRIDAY).due[0] == FRIDAY + 5
    assert [int(calls(day).deduction[0]) for day in (FRIDAY, FRIDAY + 3)] == [0, 70]
    assert [bool(calls(day).overdue[0]) for day in (FRIDAY + 5, FRIDAY + 7)] == [False, True]


def test_call_over_a_holiday_skips_it():
    calls = portfolio_calls(np.array([0]), np.array([-1]), np.array([FRIDAY + 4]), FRIDAY + 4, SESSIONS, RULES)
    assert calls.due[0] == FRIDAY + 10


def test_calendar_that_ends_too_early_is_refused():
    with pytest.raises(ValueError, match="later business days"):
        portfolio_calls(np.array([0]), np.array([-1]), np.array([FRIDAY + 11]), FRIDAY + 11, SESSIONS, RULES)


@pytest.mark.parametrize(
    ("requirement", "first", "as_of", "days", "stop"),
    [
        (1_000, None, FRIDAY, 0, False),
        (1_001, None, FRIDAY, 1, False),
        (1_001, FRIDAY, FRIDAY + 4, 3, False),
        (1_001, FRIDAY, FRIDAY + 5, 4, True),
    ],
)
def test_tenfold_net_capital_stops_new_accounts_on_the_fourth_day(requirement, first, as_of, days, stop):
    ratio = net_capital_multiple(requirement, 100, first, as_of, SESSIONS, RULES)
    assert (ratio.above, ratio.days_above, ratio.stop_opening) == (requirement > 1_000, days, stop)
    assert ratio.multiple_ppm == requirement * 10_000


def test_tenfold_ratio_without_net_capital_is_above_and_has_no_number():
    ratio = net_capital_multiple(1, -5, None, FRIDAY, SESSIONS, RULES)
    assert ratio.above
    assert ratio.multiple_ppm is None


@pytest.fixture(name="mixed")
def mixed_book():
    items = [
        Item("SPY", 600, Kind.ETF, HIGH_CAP),
        Item("XYZ", 100),
        call("XYZ C", "XYZ", 200, years=0.01),
        Item("GONE", 0, status=PriceStatus.MISSING, previous_close=7),
        Item("PINK", 3, marginable=False),
    ]
    rows = [(0, "SPY", 10), (0, "XYZ C", -2), (0, "GONE", 5), (0, "PINK", 10), (1, "XYZ", -3)]
    return margined(items, rows)


def parts_of(mixed, account):
    return [part for _, part in explain(mixed.result, mixed.holdings, mixed.instruments, RULES, np.array([account]))]


def test_explanations_sum_to_the_requirement_of_every_account(mixed):
    parts = explain(mixed.result, mixed.holdings, mixed.instruments, RULES)
    totals = [sum(part.value for code, part in parts if code == account) for account in mixed.result.account]
    assert totals == mixed.result.requirement.tolist()


def test_explanations_read_as_sentences_and_consume_every_position(mixed):
    parts = parts_of(mixed, 0)
    assert sorted((leg.instrument, leg.quantity) for part in parts for leg in part.legs) == [
        ("GONE", 5), ("PINK", 10), ("SPY", 10), ("XYZ C", -2),
    ]  # fmt: skip
    text = [sentence(part) for part in parts]
    assert any("480.00 dollars, the loss of these positions together if the market moved -8%" in line for line in text)
    assert any("XYZ: 75.00 dollars, the minimum for the option contracts held" in line for line in text)
    assert any("GONE: 35.00 dollars, charged in full because there is no price" in line for line in text)
    assert any("PINK: 30.00 dollars under the strategy-based rule" in line for line in text)


def test_a_hedged_group_without_a_loss_says_so():
    items = [Item("SPY", 600, Kind.ETF, HIGH_CAP), Item("SPX", 6000, Kind.INDEX, HIGH_CAP)]
    items.append(Item("VOO", 600, Kind.ETF, HIGH_CAP, "SPX"))
    items[0].underlying = "SPX"
    book = margined(items, [(0, "SPY", 10), (0, "VOO", -10)])
    (part,) = parts_of(book, 0)
    assert part.value == 0
    assert "nothing; no move of the scan makes these positions lose" in sentence(part)


def test_a_product_group_names_the_span_of_its_members_moves():
    items = [Item("SPY", 600, Kind.ETF, HIGH_CAP), Item("IWM", 200, Kind.ETF, BROAD)]
    (part,) = parts_of(margined(items, [(0, "SPY", 10), (0, "IWM", 10)]), 0)
    assert part.inputs["worst_move"] == "-8% to -10%"


def test_tables_carry_every_point_and_every_exception(mixed):
    report = account_report(mixed.result, mixed.accounts)
    assert sum(report["requirement"].to_pylist()) == mixed.result.scanned.sum()
    first = next(row for row in report.to_pylist() if row["level"] == "portfolio")
    assert (first["account"], first["p10"], first["worst_point"]) == ("ACC-0000", -480 * MICRO, 10)
    listed = exceptions(mixed.result, mixed.holdings, mixed.instruments, mixed.accounts).to_pylist()
    assert listed == [
        {"account": "ACC-0000", "instrument": "GONE", "quantity": 5, "reason": "missing_price", "charge": 35 * MICRO}
    ]
    table = explanation_table(explain(mixed.result, mixed.holdings, mixed.instruments, RULES), mixed.accounts)
    assert sum(table["value"].to_pylist()) == mixed.result.requirement.sum()
    assert set(table["account"].to_pylist()) == {"ACC-0000", "ACC-0001"}
