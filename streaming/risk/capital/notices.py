"""Early warnings, SEC 17a-11, FINRA 4120 and 15c3-1(e): every test by itself, with its headroom in dollars.

A test never stops another. "Less than" and "more than" are strict: met exactly, a test does not fire.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np

from streaming.risk import money
from streaming.risk.capital.inputs import BalanceSheet, Line, Location, Method, OpenDeposit, StockRecord
from streaming.risk.capital.net_capital import Requirement
from streaming.risk.reference import Instruments, Kind
from streaming.risk.rulebook import Rules


class Timing(StrEnum):
    """What a test that fires asks for."""

    SAME_DAY = "notice the same day"
    DAY = "notice within 24 hours"
    NO_EXPANSION = "no expansion of business"
    REDUCE = "reduce business"
    FORBIDDEN = "the withdrawal is not permitted"
    AFTER = "notice within two business days after the withdrawal"
    BEFORE = "notice two business days before the withdrawal"


class Level(StrEnum):
    """Colour of the firm's capital position."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Test:
    """One test at one level. Micros."""

    code: str
    text: str
    rule: str
    timing: Timing
    fires: bool | None
    """None where an input was not supplied."""
    value: int
    level: int
    """What ``value`` is compared with, rounded to the micro; the comparison itself is exact."""
    headroom: int
    """Dollars of net capital (or of the measured quantity) to the level; negative when beyond."""


def early_warnings(position: Requirement, rules: Rules) -> tuple[Test, ...]:
    """17a-11 tests of one method: alternative on debits, basic on indebtedness; the 120% test; the minimum itself."""
    if position.method == Method.ALTERNATIVE:
        first = _share_test(position, "debits_5pct", "notice", Timing.DAY, "17a-11(b)(2)", rules)
        least = position.required
    else:
        first = _indebtedness_test(position, "indebtedness_12x", "notice", Timing.DAY, "17a-11(b)(1)", rules)
        least = position.dollar_minimum
    return (
        first,
        _minimum_test(position, least, "minimum_120pct", "notice", Timing.DAY, "17a-11(b)(3)", rules),
        _at_least(
            "below_minimum", "below required minimum", "17a-11(b)", Timing.SAME_DAY, position.net, position.required
        ),
    )


def restrictions(position: Requirement, rules: Rules) -> tuple[Test, ...]:
    """FINRA 4120: no expansion, and reduction."""
    tests: list[Test] = []
    for topic, timing, paragraph in (("expansion", Timing.NO_EXPANSION, "b"), ("reduction", Timing.REDUCE, "c")):
        rule = f"FINRA 4120({paragraph})"
        if position.method == Method.ALTERNATIVE:
            tests.append(_share_test(position, f"{topic}_debits", topic, timing, rule, rules))
            least = position.required
        else:
            tests.append(_indebtedness_test(position, f"{topic}_indebtedness", topic, timing, rule, rules))
            least = position.dollar_minimum
        tests.append(_minimum_test(position, least, f"{topic}_minimum", topic, timing, rule, rules))
    return tuple(tests)


def withdrawal(position: Requirement, haircuts: int, amount: int, rules: Rules) -> tuple[Test, ...]:
    """15c3-1(e): whether ``amount`` micros may leave, and which notice that needs. ``haircuts`` as in net capital."""
    after = Requirement(
        position.method, position.net - amount, position.base, position.dollar_minimum, position.required
    )
    tests = [
        _minimum_test(
            after, after.required, "withdrawal_minimum", "withdrawal", Timing.FORBIDDEN, "15c3-1(e)(2)", rules
        ),
        _at_least(
            "withdrawal_haircuts",
            "below 25% of haircuts after the withdrawal",
            "15c3-1(e)(2)",
            Timing.FORBIDDEN,
            after.net,
            Fraction(haircuts) * _rate("net_capital.withdrawal.haircuts", rules),
        ),
    ]
    if position.method == Method.ALTERNATIVE:
        tests.append(_share_test(after, "withdrawal_debits", "withdrawal", Timing.FORBIDDEN, "15c3-1(e)(2)", rules))
    for name, timing in (("notice_after", Timing.AFTER), ("notice_before", Timing.BEFORE)):
        share = _rate(f"net_capital.withdrawal.{name}", rules)
        level = Fraction(max(position.excess, 0)) * share
        text = f"withdrawal above {_percent(share)} of excess net capital"
        tests.append(_at_most(f"withdrawal_{name}", text, "15c3-1(e)(1)", timing, amount, level))
    return tuple(tests)


def financing(
    tentative: int, record: StockRecord | None, sheet: BalanceSheet | None, instruments: Instruments, rules: Rules
) -> tuple[Test, ...]:
    """17a-11: securities loaned and repo payable, or securities borrowed and reverse repo, above 2,500% of TNC.

    Governments are left out; the balance-sheet lines exclude them already.
    """
    level = Fraction(max(tentative, 0)) * _rate("net_capital.notice.financing", rules)
    sides = (
        ("financing_payable", "securities loaned and repo payable", Location.LOANED, Line.REPO_PAYABLE),
        ("financing_receivable", "securities borrowed and reverse repo", Location.BORROWED, Line.REVERSE_REPO),
    )
    tests = []
    for code, what, location, ledger in sides:
        rows = None if sheet is None else sheet.rows(ledger)
        text = f"{what} above 2,500% of tentative net capital"
        if record is None or sheet is None or rows is None or not len(rows):
            tests.append(Test(code, text, "17a-11(b)(5)", Timing.DAY, None, 0, _rounded(level), _rounded(level)))
            continue
        lent = record.rows(location)
        lent = lent[instruments.kind[record.instrument[lent]] != Kind.TREASURY]
        value = money.checked_sum(np.concatenate([record.amount[lent], sheet.amount[rows]]), what)
        tests.append(_at_most(code, text, "17a-11(b)(5)", Timing.DAY, value, level))
    return tuple(tests)


def portfolio_margin(net: int, requirement: int | None, rules: Rules) -> Test:
    """All portfolio-margin requirements together against ten times net capital, FINRA 4210(g)."""
    level = Fraction(max(net, 0)) * _rate("portfolio_margin.net_capital_multiple", rules)
    code, text, rule = "portfolio_margin_10x", "portfolio margin above ten times net capital", "FINRA 4210(g)"
    if requirement is None:
        return Test(code, text, rule, Timing.NO_EXPANSION, None, 0, _rounded(level), _rounded(level))
    return _at_most(code, text, rule, Timing.NO_EXPANSION, requirement, level)


def missed_deposit(deposit: OpenDeposit, on_deposit: int | None, now: int) -> Test:
    """15c3-3(i): the deposit of an earlier computation was not in the bank account when due. ``now`` as ``due``."""
    code = f"reserve_deposit_{deposit.kind.name.lower()}"
    text, rule, required = "reserve deposit missed", "15c3-3(i); 17a-11", deposit.required
    if on_deposit is None:
        return Test(code, text, rule, Timing.SAME_DAY, None, 0, required, -required)
    missed = now >= deposit.due and on_deposit < required
    return Test(code, text, rule, Timing.SAME_DAY, missed, on_deposit, required, on_deposit - required)


def books_not_current(differences: int | None) -> Test:
    """17a-11(c): reconciliation checks that do not balance (a count); None where none was run."""
    fires = None if differences is None else differences > 0
    count = differences or 0
    return Test(
        "books_not_current", "books and records not current", "17a-11(c)", Timing.SAME_DAY, fires, count, 0, -count
    )


def colour(tests: Iterable[Test]) -> Level:
    """Red below the minimum or with a same-day notice, amber with any other that fires."""
    firing = [test for test in tests if test.fires]
    if any(test.timing == Timing.SAME_DAY for test in firing):
        return Level.RED
    return Level.AMBER if firing else Level.GREEN


def _rate(name: str, rules: Rules) -> Fraction:
    return Fraction(rules.value(name))


def _percent(share: Fraction) -> str:
    return f"{float(share):.0%}"


def _rounded(level: Fraction) -> int:
    """Micros, half away from zero."""
    return int(abs(level) + Fraction(1, 2)) * (1 if level >= 0 else -1)


def _at_least(code: str, text: str, rule: str, timing: Timing, value: int, level: Fraction | int) -> Test:
    return Test(
        code, text, rule, timing, value < level, value, _rounded(Fraction(level)), value - _rounded(Fraction(level))
    )


def _at_most(code: str, text: str, rule: str, timing: Timing, value: int, level: Fraction) -> Test:
    return Test(code, text, rule, timing, value > level, value, _rounded(level), _rounded(level) - value)


def _share_test(position: Requirement, code: str, topic: str, timing: Timing, rule: str, rules: Rules) -> Test:
    share = _rate(f"net_capital.{topic}.debits", rules)
    text = f"below {_percent(share)} of aggregate debits"
    return _at_least(code, text, rule, timing, position.net, Fraction(position.base) * share)


def _minimum_test(
    position: Requirement, least: int, code: str, topic: str, timing: Timing, rule: str, rules: Rules
) -> Test:
    share = _rate(f"net_capital.{topic}.minimum", rules)
    text = f"below {_percent(share)} of required minimum"
    return _at_least(code, text, rule, timing, position.net, Fraction(least) * share)


def _indebtedness_test(position: Requirement, code: str, topic: str, timing: Timing, rule: str, rules: Rules) -> Test:
    """Indebtedness above a multiple of net capital, put as net capital below indebtedness / multiple."""
    multiple = _rate(f"net_capital.{topic}.ai_multiple", rules)
    text = f"aggregate indebtedness above {multiple} times net capital"
    return _at_least(code, text, rule, timing, position.net, Fraction(position.base) / multiple)
