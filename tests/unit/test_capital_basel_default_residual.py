"""Default risk charge and residual risk add-on."""

from datetime import date

import numpy as np
import pytest

from streaming.risk import rulebook
from streaming.risk.capital.drc import DefaultRows, default_risk_charge, jump_to_default
from streaming.risk.capital.rrao import residual_risk_add_on
from streaming.risk.money import MICRO

BOOK = rulebook.load()
RULES = BOOK.at(date(2026, 11, 1))


def charge(*rows, rules=RULES):
    """(obligor, quality, dollars[, years[, bucket]]) -> lines."""
    obligation = (np.nan, "corporates")
    rows = [(*row, *obligation[len(row) - 3 :]) for row in rows]
    obligor, quality, amount, years, bucket = zip(*rows)
    text = [np.array(column, dtype=object) for column in (bucket, obligor, quality)]
    return default_risk_charge(
        DefaultRows(*text, np.array([round(a * MICRO) for a in amount]), np.array(years, dtype=float)), rules
    )


@pytest.mark.parametrize(
    ("quality", "percent"),
    [
        ("AAA", 0.5),
        ("AA", 2),
        ("A", 3),
        ("BBB", 6),
        ("BB", 15),
        ("B", 30),
        ("CCC", 50),
        ("unrated", 15),
        ("", 15),
        ("default", 100),
    ],
)
def test_a_long_position_is_charged_by_quality(quality, percent):
    assert charge(("X", quality, 1000))[0].value == round(1000 * percent / 100 * MICRO)


def test_long_and_short_of_one_obligor_net_before_the_weight():
    assert charge(("X", "BB", 1000), ("X", "BB", -400))[0].value == 90 * MICRO


def test_shorts_of_other_obligors_help_by_the_hedge_benefit_ratio_only():
    line = charge(("X", "BB", 300), ("Y", "B", -100))[0]
    assert line.inputs["hedge benefit ppm"] == 750_000
    assert line.value == round((0.15 * 300 - 0.75 * 0.30 * 100) * MICRO)


def test_a_short_book_is_not_a_credit():
    assert charge(("X", "B", -1000), ("Y", "B", 10))[0].value >= 0
    assert charge(("X", "B", -1000))[0].value == 0


def test_buckets_do_not_diversify():
    lines = charge(("X", "BB", 100), ("STATE", "A", -100, np.nan, "sovereigns"))
    assert [line.strategy for line in lines] == ["default risk, corporates", "default risk, sovereigns"]
    assert sum(line.value for line in lines) == 15 * MICRO


def test_maturity_scales_between_three_months_and_a_year():
    assert charge(("X", "BB", 1000, 0.1))[0].value == 150 * MICRO // 4
    assert charge(("X", "BB", 1000, 0.5))[0].value == 75 * MICRO
    assert charge(("X", "BB", 1000, 9.0))[0].value == 150 * MICRO


def elected(years):
    entries = [p for p in BOOK.parameters if p.id != "frtb.drc.equity_maturity"]
    old = RULES.parameter("frtb.drc.equity_maturity")
    changed = type(old)(old.id, years, old.unit, old.rule, old.valid_from, None, "H", "test")
    return rulebook.Rulebook([*entries, changed]).at(date(2026, 11, 1))


def test_the_firm_may_elect_three_months_for_cash_equity_but_nothing_else():
    assert charge(("X", "BB", 1000), rules=elected("0.25"))[0].value == 150 * MICRO // 4
    with pytest.raises(ValueError, match="equity_maturity"):
        charge(("X", "BB", 1000), rules=elected("0.5"))


def test_jump_to_default_of_a_long_put_is_a_gain():
    assert jump_to_default(np.array([5 * MICRO]), np.array([95 * MICRO]), RULES).tolist() == [-90 * MICRO]


def test_an_unknown_quality_is_refused():
    with pytest.raises(ValueError, match="found Q"):
        charge(("X", "Q", 1))


def test_residual_risk_is_a_fraction_of_gross_notional_and_listed_options_are_exempt():
    kind = np.array(["exotic", "other", "other", "exempt"], dtype=object)
    lines = residual_risk_add_on(kind, np.array([100, 1000, -1000, 10**6]) * MICRO, RULES)
    assert [line.value for line in lines] == [1 * MICRO, 2 * MICRO, 0]


def test_an_unknown_residual_kind_is_refused():
    with pytest.raises(ValueError, match="found digital"):
        residual_risk_add_on(np.array(["digital"]), np.array([1]), RULES)
