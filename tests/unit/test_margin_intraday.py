"""Intraday margin: peak deficits, when they arose, the trade or price that made them, calls and bars."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk.holdings import Holdings
from streaming.risk.margin.intraday import (
    NO_CAUSE,
    CashFlows,
    Cause,
    CauseKind,
    IntradayPath,
    Observation,
    Scales,
    Trades,
    attribute,
    intraday_calls,
    largest,
    path_of,
    path_table,
)
from streaming.risk.money import MICRO
from streaming.risk.rulebook import RuleError, load
from tests.unit.margin_portfolio_books import RULES

MONDAY = (date(2026, 11, 16) - date(1970, 1, 1)).days
SESSIONS = np.array([MONDAY + n for n in (0, 1, 2, 3, 4, 7, 8)])
SCALES = Scales(
    np.array(["XYZ", "XYZ C", "ABC"], dtype=object), np.array([1, 100, 1]), np.full(3, MICRO), np.array([0, 0, 1])
)


def column(*dollars):
    return np.array(dollars, dtype=np.int64) * MICRO


def observed(price, rows, equity, requirement, groups=()):
    """An observation; ``rows`` are (account, instrument, quantity), ``groups`` (account, group, requirement)."""
    held = [np.array([row[i] for row in rows], dtype=np.int64) for i in range(3)]
    return Observation(
        Holdings(held[0], held[1], held[2], held[2] * 0), column(*price), column(*equity), column(*requirement),
        np.array([g[0] for g in groups], dtype=np.int64), np.array([g[1] for g in groups], dtype=np.int64),
        column(*(g[2] for g in groups)),
    )  # fmt: skip


def trades(*rows):
    columns = list(zip(*rows)) or [()] * 5
    return Trades(
        np.array(columns[0], dtype=object), *(np.array(c, dtype=np.int64) for c in columns[1:4]), column(*columns[4])
    )


def cash(*rows):
    columns = list(zip(*rows)) or [()] * 3
    return CashFlows(np.array(columns[0], dtype=object), np.array(columns[1], dtype=np.int64), column(*columns[2]))


def test_peak_is_the_largest_deficit_and_keeps_its_time():
    path = IntradayPath.start(2)
    for time, equity in ((1, (10, 10)), (2, (4, 9)), (3, (1, 12)), (4, (3, 8))):
        path = path.observe(time, column(*equity), column(5, 9), {})
    assert (path.peak / MICRO).tolist() == [4, 1]
    assert path.peak_time.tolist() == [3, 4]
    assert (path.peak_equity / MICRO).tolist() == [1, 8]
    assert path.opened_time.tolist() == [2, 4]


def test_an_equal_later_deficit_does_not_move_the_peak():
    path = IntradayPath.start(1)
    for time in (1, 2):
        path = path.observe(time, column(3), column(5), {})
    assert path.peak_time.tolist() == [1]


def test_the_peak_remembers_the_deficit_that_led_to_it_not_an_earlier_one():
    path, first, second, third = IntradayPath.start(1), *(Cause(CauseKind.TRADE, name, 1) for name in "abc")
    story = ((1, 3, first), (2, 9, None), (3, 4, second), (4, 1, third))
    for time, equity, cause in story:
        assert path.rising(column(equity), column(5)).tolist() == ([0] if cause else [])
        path = path.observe(time, column(equity), column(5), {0: cause} if cause else {})
    assert (path.peak_time[0], path.made_by[0]) == (4, third)
    assert (path.opened_time[0], path.opened_by[0]) == (3, second)


def test_account_without_a_deficit_has_no_peak():
    path = IntradayPath.start(1).observe(1, column(5), column(5), {})
    assert (path.peak[0], path.peak_time[0], path.made_by) == (0, -1, {})


def test_path_survives_its_table_and_goes_on_from_there():
    path, cause = IntradayPath.start(3), Cause(CauseKind.TRADE, "T1", 7)
    path = path.observe(5, column(1, 9, 4), column(3, 3, 5), {0: cause})
    again = path_of(path_table(path))
    assert path_table(again).equals(path_table(path))
    later = [p.observe(6, column(0, 0, 9), column(3, 3, 5), {1: cause}) for p in (path, again)]
    assert path_table(later[0]).equals(path_table(later[1]))
    assert (again.made_by, again.opened_by) == ({0: cause}, {0: cause})


def test_price_that_made_the_deficit_is_named():
    before = observed((100, 2, 50), [(0, 0, 100), (0, 2, 100)], [4_000], [3_750], [(0, 0, 2_500), (0, 1, 1_250)])
    after = observed((90, 2, 49), [(0, 0, 100), (0, 2, 100)], [2_900], [3_475], [(0, 0, 2_250), (0, 1, 1_225)])
    parts = attribute(np.array([0]), before, after, trades(), cash(), SCALES)[0]
    assert parts == {(CauseKind.PRICE, "XYZ"): 750 * MICRO, (CauseKind.PRICE, "ABC"): 75 * MICRO}
    assert largest(parts) == Cause(CauseKind.PRICE, "XYZ", 750 * MICRO)


def test_trade_that_made_the_deficit_is_named_with_its_requirement_and_its_loss():
    before = observed((100, 2, 50), [(0, 0, 100)], [3_000], [2_500], [(0, 0, 2_500)])
    after = observed((99, 2, 50), [(0, 0, 100), (0, 2, 80)], [2_860], [3_475], [(0, 0, 2_475), (0, 1, 1_000)])
    done = trades(("T1", 0, 2, 60, 50), ("T2", 0, 2, 20, 52))
    parts = attribute(np.array([0]), before, after, done, cash(), SCALES)[0]
    assert parts[CauseKind.TRADE, "T1"] == 1_000 * MICRO * 3_000 // 4_040
    assert parts[CauseKind.TRADE, "T1"] + parts[CauseKind.TRADE, "T2"] == (1_000 + 40) * MICRO
    assert parts[CauseKind.PRICE, "XYZ"] == 75 * MICRO
    assert largest(parts).id == "T1"


def test_withdrawal_that_made_the_deficit_is_named():
    before = observed((100, 2, 50), [(0, 0, 10)], [400], [250], [(0, 0, 250)])
    after = observed((100, 2, 50), [(0, 0, 10)], [100], [250], [(0, 0, 250)])
    parts = attribute(np.array([0]), before, after, trades(), cash(("W1", 0, -300)), SCALES)[0]
    assert largest(parts) == Cause(CauseKind.CASH, "W1", 300 * MICRO)


def test_what_neither_trades_nor_prices_explain_is_other():
    before = observed((100, 2, 50), [(0, 0, 10)], [400], [250], [(0, 0, 250)])
    after = observed((100, 2, 50), [(0, 0, 10)], [400], [999], [(0, 0, 250)])
    parts = attribute(np.array([0]), before, after, trades(), cash(), SCALES)[0]
    assert largest(parts) == Cause(CauseKind.OTHER, "", 749 * MICRO)


def test_equal_causes_are_decided_by_kind_and_then_by_id():
    parts = {(CauseKind.PRICE, "A"): 5, (CauseKind.TRADE, "T2"): 5, (CauseKind.TRADE, "T1"): 5}
    assert largest(parts) == Cause(CauseKind.TRADE, "T1", 5)
    assert largest({(CauseKind.TRADE, "T1"): -5}) == NO_CAUSE


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-50, 50)), max_size=4, unique_by=lambda r: r[:2]
    ),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-50, 50), st.integers(1, 200)), max_size=6),
    st.lists(st.integers(1, 200), min_size=6, max_size=6),
    st.lists(st.integers(0, 10_000), min_size=12, max_size=12),
)
def test_parts_sum_to_the_change_of_the_shortfall(rows, done, prices, numbers):
    groups = [[(a, g, numbers[6 * t + 2 * a + g]) for a in range(3) for g in range(2)] for t in range(2)]
    requirement = [[sum(n for b, _, n in groups[t] if b == a) for a in range(3)] for t in range(2)]
    filled = trades(*((f"T{i}", *trade) for i, trade in enumerate(done)))
    equity_after = [
        sum(q * int(SCALES.multiplier[i]) * (prices[3 + i] - prices[i]) for b, i, q in rows if b == a)
        + sum(q * int(SCALES.multiplier[i]) * (prices[3 + i] - p) for b, i, q, p in done if b == a)
        for a in range(3)
    ]
    before = observed(prices[:3], rows, [0, 0, 0], requirement[0], groups[0])
    after = observed(prices[3:], rows, equity_after, requirement[1], groups[1])
    for account, parts in attribute(np.arange(3), before, after, filled, cash(), SCALES).items():
        change = after.requirement[account] - after.equity[account] - before.requirement[account]
        assert sum(parts.values()) == change
        # With complete inputs only a requirement of a group neither held before nor traded is left over.
        touched = {int(SCALES.group[row[1]]) for row in (*rows, *done) if row[0] == account}
        rest = sum(groups[1][2 * account + g][2] - groups[0][2 * account + g][2] for g in {0, 1} - touched)
        assert parts.get((CauseKind.OTHER, ""), 0) == rest * MICRO


def path_with(peak, equity):
    return IntradayPath.start(1).observe(1, column(equity), column(equity + peak), {})


@pytest.mark.parametrize(
    ("peak", "equity", "excepted"),
    [(1_000, 50_000, True), (1_001, 50_000, False), (500, 10_000, True), (501, 10_000, False), (1, -5_000, False)],
)
def test_small_deficits_are_excepted_up_to_the_lesser_of_five_percent_and_a_thousand(peak, equity, excepted):
    calls = intraday_calls(path_with(peak, equity), np.array([False]), np.array([0]), MONDAY, MONDAY, SESSIONS, RULES)
    assert bool(calls.excepted[0]) is excepted


@pytest.mark.parametrize(
    ("as_of", "cured", "misses", "overdue", "barred"),
    [
        (MONDAY + 7, False, 0, False, False),
        (MONDAY + 8, False, 0, True, False),
        (MONDAY + 8, False, 1, True, True),
        (MONDAY + 8, True, 1, False, False),
    ],
)
def test_deficit_not_cured_by_the_fifth_business_day_closes_and_a_practice_bars(as_of, cured, misses, overdue, barred):
    calls = intraday_calls(
        path_with(9_000, 50_000), np.array([cured]), np.array([misses]), MONDAY, as_of, SESSIONS, RULES
    )
    assert calls.due[0] == MONDAY + 7
    assert (bool(calls.overdue[0]), bool(calls.closing_only[0])) == (overdue, overdue)
    assert calls.barred_until[0] == (MONDAY + 97 if barred else -1)


def test_rule_is_not_there_before_june_2026_and_short_calendars_are_refused():
    arguments = (path_with(9_000, 50_000), np.array([False]), np.array([0]), MONDAY, MONDAY)
    with pytest.raises(RuleError, match="intraday.excepted_equity_share"):
        intraday_calls(*arguments, SESSIONS, load().at(date(2026, 6, 3)))
    with pytest.raises(ValueError, match="business days to cure"):
        intraday_calls(*arguments, SESSIONS[:4], RULES)
