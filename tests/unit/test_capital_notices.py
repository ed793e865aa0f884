"""Early warnings and notices: every test by itself, strict at its level, with its headroom."""

from datetime import date

import pytest

from streaming.risk.capital import net_capital, notices
from streaming.risk.capital.inputs import Line, Location, OpenDeposit
from streaming.risk.capital.notices import Level, Timing
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))


def alternative(net, debits, least=250_000):
    return net_capital.alternative(net, debits * MICRO, least * MICRO, RULES)


def basic(net, owed, least=250_000):
    return net_capital.basic(net, owed * MICRO, least * MICRO, RULES)


def firing(tests):
    return [test.code for test in tests if test.fires]


@pytest.mark.parametrize(
    ("net", "debits", "expected"),
    [
        (2_500_000 * MICRO, 50_000_000, []),  # exactly 5%: less than is the test
        (2_500_000 * MICRO - 1, 50_000_000, ["debits_5pct"]),
        (300_000 * MICRO, 1_000_000, []),  # exactly 120% of 250,000
        (300_000 * MICRO - 1, 1_000_000, ["minimum_120pct"]),
        (250_000 * MICRO, 1_000_000, ["minimum_120pct"]),  # exactly the minimum
        (250_000 * MICRO - 1, 1_000_000, ["minimum_120pct", "below_minimum"]),
        (1_100_000 * MICRO, 50_000_000, ["debits_5pct", "minimum_120pct"]),
        (999_999 * MICRO, 50_000_000, ["debits_5pct", "minimum_120pct", "below_minimum"]),
        (-1, 0, ["debits_5pct", "minimum_120pct", "below_minimum"]),
    ],
)
def test_alternative_early_warnings_each_by_itself(net, debits, expected):
    assert firing(notices.early_warnings(alternative(net, debits), RULES)) == expected


def test_headroom_is_dollars_of_net_capital_to_each_level():
    tests = notices.early_warnings(alternative(3_000_000 * MICRO, 50_000_000), RULES)
    headroom = {test.code: test.headroom / MICRO for test in tests}
    assert headroom == {"debits_5pct": 500_000, "minimum_120pct": 1_800_000, "below_minimum": 2_000_000}


@pytest.mark.parametrize(
    ("net", "owed", "expected"),
    [
        (1_000_000 * MICRO, 12_000_000, []),  # exactly 12 times
        (1_000_000 * MICRO - 1, 12_000_000, ["indebtedness_12x"]),
        (800_000 * MICRO, 12_000_000, ["indebtedness_12x"]),  # exactly 15 times: the minimum is met
        (800_000 * MICRO - 1, 12_000_000, ["indebtedness_12x", "below_minimum"]),
        (290_000 * MICRO, 1_000, ["minimum_120pct"]),
    ],
)
def test_basic_early_warnings_each_by_itself(net, owed, expected):
    assert firing(notices.early_warnings(basic(net, owed), RULES)) == expected


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (2_500_000, []),
        (2_400_000, ["expansion_debits"]),
        (2_000_000, ["expansion_debits"]),  # exactly 4%
        (1_900_000, ["expansion_debits", "reduction_debits"]),
        (1_400_000, ["expansion_debits", "expansion_minimum", "reduction_debits"]),
        (1_200_000, ["expansion_debits", "expansion_minimum", "reduction_debits", "reduction_minimum"]),
    ],
)
def test_finra_restrictions_on_the_alternative_method(net, expected):
    assert firing(notices.restrictions(alternative(net * MICRO, 50_000_000), RULES)) == expected


def test_finra_restrictions_on_indebtedness():
    assert firing(notices.restrictions(basic(1_000_000 * MICRO, 10_000_000), RULES)) == []
    assert firing(notices.restrictions(basic(1_000_000 * MICRO, 11_000_000), RULES)) == ["expansion_indebtedness"]
    found = firing(notices.restrictions(basic(1_000_000 * MICRO, 12_000_001), RULES))
    assert found == ["expansion_indebtedness", "reduction_indebtedness"]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (400_000, []),  # exactly 20% of the excess of 2,000,000
        (400_001, ["withdrawal_notice_after"]),
        (600_001, ["withdrawal_debits", "withdrawal_notice_after", "withdrawal_notice_before"]),
        (1_900_000, ["withdrawal_minimum", "withdrawal_haircuts", "withdrawal_debits", "withdrawal_notice_after",
                     "withdrawal_notice_before"]),
    ],
)  # fmt: skip
def test_withdrawals_are_measured_after_they_leave(amount, expected):
    position = alternative(3_000_000 * MICRO, 48_000_000, 1_000_000)
    tests = notices.withdrawal(position, 5_000_000 * MICRO, amount * MICRO, RULES)
    assert firing(tests) == expected
    assert all(t.timing == Timing.FORBIDDEN for t in tests if t.code in ("withdrawal_haircuts", "withdrawal_debits"))


STOCKS = kit.instruments({"id": "AAA"}, {"id": "UST", "kind": Kind.TREASURY})


def financing(loaned, borrowed, repo=0, tentative=100):
    record = kit.record(
        (0, Location.LOANED, -1, loaned), (0, Location.BORROWED, 1, borrowed), (1, Location.LOANED, -1, 10**6)
    )
    sheet = kit.sheet((Line.REPO_PAYABLE, repo), (Line.REVERSE_REPO, 0))
    return notices.financing(tentative * MICRO, record, sheet, STOCKS, RULES)


def test_financing_above_2500_percent_of_tentative_net_capital_leaves_governments_out():
    assert firing(financing(2_400, 2_500, repo=100)) == []
    assert firing(financing(2_401, 2_500, repo=100)) == ["financing_payable"]
    assert firing(financing(0, 2_501)) == ["financing_receivable"]
    assert firing(financing(0, 0, tentative=-5)) == []


def test_tests_without_their_input_are_unknown_rather_than_passed():
    assert [test.fires for test in notices.financing(MICRO, None, None, STOCKS, RULES)] == [None, None]
    assert notices.books_not_current(None).fires is None
    assert notices.portfolio_margin(MICRO, None, RULES).fires is None


def test_portfolio_margin_above_ten_times_net_capital():
    assert not notices.portfolio_margin(MICRO, 10 * MICRO, RULES).fires
    assert notices.portfolio_margin(MICRO, 10 * MICRO + 1, RULES).fires


def test_missed_reserve_deposit_fires_only_once_due():
    deposit = OpenDeposit(AccountKind.CUSTOMER, 100, due=1_000)
    assert not notices.missed_deposit(deposit, 99, now=999).fires
    assert notices.missed_deposit(deposit, 99, now=1_000).fires
    assert not notices.missed_deposit(deposit, 100, now=1_000).fires


def test_colour_is_red_for_a_same_day_notice_and_amber_for_any_other():
    good = notices.early_warnings(alternative(10**13, 1), RULES)
    warned = notices.early_warnings(alternative(2_400_000 * MICRO, 50_000_000), RULES)
    below = notices.early_warnings(alternative(0, 1), RULES)
    assert [notices.colour(tests) for tests in (good, warned, below)] == [Level.GREEN, Level.AMBER, Level.RED]
    assert notices.colour([*good, notices.books_not_current(1)]) == Level.RED
