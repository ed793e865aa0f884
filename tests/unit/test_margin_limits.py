"""Limits: reading the file, amber and red, which limit stands, and what could not be evaluated."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.margin.limits import LimitError, Metric, evaluate, parse_limits, sample_limits
from streaming.risk.money import MICRO

DAY = date(2026, 11, 20)


def entry(metric="requirement", scope="account:*", amber="80", red="100", owner="desk", valid_from="2026-01-01"):
    return (
        f'[[limit]]\nmetric = "{metric}"\nscope = "{scope}"\namber = "{amber}"\nred = "{red}"\n'
        f'owner = "{owner}"\nvalid_from = {valid_from}\n'
    )


def metric(**values):
    names = np.array([name.replace("_", "-") for name in values], dtype=object)
    return Metric(names, np.array([int(value * MICRO) for value in values.values()], dtype=np.int64))


def statuses(text, values, day=DAY, key=("requirement", "account")):
    table = evaluate(parse_limits(text), {key: values}, day)
    return dict(zip(table["name"].to_pylist(), table["status"].to_pylist()))


def test_high_values_breach_where_amber_lies_below_red():
    values = metric(A=79.999999, B=80, C=99.99, D=100)
    assert statuses(entry(), values) == {"A": "GREEN", "B": "AMBER", "C": "AMBER", "D": "RED"}


def test_low_values_breach_where_amber_lies_above_red():
    values = metric(A=250_001, B=250_000, C=0.000001, D=0, E=-5)
    expected = {"A": "GREEN", "B": "AMBER", "C": "AMBER", "D": "RED", "E": "RED"}
    assert statuses(entry(amber="250000", red="0"), values) == expected


def test_limit_is_not_in_force_before_its_day():
    text = entry(valid_from="2026-11-21")
    assert statuses(text, metric(A=500)) == {}
    assert statuses(text, metric(A=500), date(2026, 11, 21)) == {"A": "RED"}


def test_later_limit_on_the_same_scope_stands_whatever_the_order_in_the_file():
    text = entry(amber="10", red="20", valid_from="2026-11-01") + entry()
    assert statuses(text, metric(A=50)) == {"A": "RED"}
    assert statuses(text, metric(A=50), date(2026, 10, 31)) == {"A": "GREEN"}


def test_named_scope_stands_before_all_names():
    text = entry() + entry(scope="account:B", amber="500", red="600")
    table = evaluate(parse_limits(text), {("requirement", "account"): metric(A=100, B=100)}, DAY)
    assert table.select(["name", "status", "red"]).to_pylist() == [
        {"name": "A", "status": "RED", "red": 100 * MICRO},
        {"name": "B", "status": "GREEN", "red": 600 * MICRO},
    ]


def test_firm_limits_have_no_name():
    firm = Metric(np.array([""], dtype=object), np.array([9 * MICRO]))
    text = entry("multiple", "firm", "8", "10")
    assert statuses(text, firm, key=("multiple", "firm")) == {"": "AMBER"}


def test_limit_without_its_metric_or_name_is_listed_as_not_evaluated():
    text = entry() + entry(scope="account:GONE")
    assert statuses(text, metric(A=1)) == {"GONE": "NOT_EVALUATED", "A": "GREEN"}
    table = evaluate(parse_limits(text), {}, DAY)
    assert table["status"].to_pylist() == ["NOT_EVALUATED"] * 2
    assert table["value"].to_pylist() == [None, None]


def test_most_severe_rows_come_first_and_carry_their_owner():
    table = evaluate(parse_limits(entry()), {("requirement", "account"): metric(A=1, B=90, C=120)}, DAY)
    assert table["name"].to_pylist() == ["C", "B", "A"]
    assert set(table["owner"].to_pylist()) == {"desk"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (entry() + entry(), "expected one from 2026-01-01, found two"),
        (entry(amber="100"), "expected amber and red to differ"),
        (entry(red="much"), "limit 1: expected a number with at most six decimals in red, found 'much'"),
        (entry(red="0.0000001"), "expected a number with at most six decimals in red"),
        (entry(scope="account"), "expected scope firm, or level:name"),
        (entry(scope="firm:A"), "expected scope firm, or level:name"),
        (entry(scope="account:"), "expected scope firm, or level:name"),
        (entry(owner=" "), "expected text in owner"),
        (entry(valid_from='"2026-01-01"'), "expected a date in valid_from"),
        (entry() + 'colour = "red"\n', r"unknown \['colour'\]"),
        ("[[limit]]\n", r"missing \['amber'"),
        ("[limits]\n", r"expected \[\[limit\]\] only"),
        ("[[limit", "expected TOML"),
    ],
)
def test_files_that_cannot_be_used_are_refused(text, message):
    with pytest.raises(LimitError, match=message):
        parse_limits(text)


def test_the_sample_that_ships_has_limits_for_accounts_clients_and_the_firm():
    assert {limit.level for limit in sample_limits()} == {"account", "client", "firm"}
