"""The rule time machine: differences of parameters and requirements between rule dates."""

from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from streaming.risk.margin.portfolio_explain import account_report
from streaming.risk.margin.time_machine import compare, parameter_differences
from streaming.risk.money import MICRO
from streaming.risk.rulebook import Override, Parameter, Rulebook, load
from tests.unit.margin_portfolio_books import Item, call, margined

BEFORE, AFTER = date(2026, 11, 20), date(2027, 2, 1)


def changed_rulebook(name="portfolio_margin.scan.equity", value=None):
    """The rulebook that ships, with one parameter replaced from 2027 on."""
    shipped = load()
    old = next(p for p in shipped.parameters if p.id == name)
    later = Parameter(
        name, value or {"up": "0.20", "down": "0.20"}, old.unit, old.rule, date(2027, 1, 1), None, old.evidence, "test"
    )
    earlier = [replace(p, valid_to=date(2026, 12, 31)) if p is old else p for p in shipped.parameters]
    return Rulebook([*earlier, later], shipped.overrides)


def book_report(rules):
    items = [Item("AAA", 100), Item("BBB", 50), call("BBB C", "BBB", 500, years=0.01)]
    book = margined(items, [(0, "AAA", 10), (1, "BBB C", 2)], rules=rules)
    return account_report(book.result, book.accounts).select(["account", "group", "minimum", "requirement"])


def test_requirement_under_another_date_lists_only_what_differs():
    comparison = compare({"portfolio margin": book_report}, changed_rulebook(), BEFORE, AFTER)
    assert comparison.differences.to_pylist() == [
        {
            "requirement": "portfolio margin",
            "key": "account = ACC-0000; group = AAA",
            "column": "requirement",
            "value": 150 * MICRO,
            "other_value": 200 * MICRO,
            "difference": 50 * MICRO,
        }
    ]
    (parameter,) = comparison.parameters.to_pylist()
    assert (parameter["id"], parameter["rule"]) == ("portfolio_margin.scan.equity", "FINRA 4210(g)(2)")


def test_the_same_date_differs_in_nothing():
    comparison = compare({"portfolio margin": book_report}, changed_rulebook(), BEFORE, BEFORE)
    assert (len(comparison.differences), len(comparison.parameters), len(comparison.refused)) == (0, 0, 0)


def test_a_date_without_rules_is_refused_and_named():
    comparison = compare({"portfolio margin": book_report}, load(), BEFORE, date(1990, 1, 1))
    (row,) = comparison.refused.to_pylist()
    assert (row["requirement"], row["rule_date"]) == ("portfolio margin", date(1990, 1, 1))
    assert "no value of 'portfolio_margin" in row["reason"]


def test_rows_of_only_one_side_are_listed_with_the_missing_value_empty():
    tables = {
        BEFORE: pa.table({"account": ["A", "B"], "requirement": [1, 2]}),
        AFTER: pa.table({"account": ["A"], "requirement": [1]}),
    }
    comparison = compare({"r": lambda rules: tables[rules.rule_date]}, load(), BEFORE, AFTER)
    (row,) = comparison.differences.to_pylist()
    assert (row["key"], row["value"], row["other_value"], row["difference"]) == ("account = B", 2, None, -2)


def test_intraday_rule_appears_in_june_2026():
    table = parameter_differences(load(), date(2026, 6, 3), date(2026, 6, 4))
    rows = {row["id"]: (row["value"], row["other_value"]) for row in table.to_pylist()}
    assert rows["intraday.cure_days"] == (None, "5")


def test_overrides_count_as_parameters():
    shipped = load()
    override = Override("house.vega.vol_points", "0.10", "CLIENT-1", None, date(2027, 1, 1), None, "volatile book")
    rulebook = Rulebook(shipped.parameters, (*shipped.overrides, override))
    assert parameter_differences(rulebook, BEFORE, AFTER).to_pylist() == [
        {"id": "house.vega.vol_points [CLIENT-1]", "value": None, "other_value": "0.10", "rule": "volatile book"}
    ]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"account": ["A", "A"], "x": [1, 2]}] * 2, "expected unique keys, found 'account = A' twice"),
        ([{"account": ["A"], "x": [1]}, {"account": ["A"], "y": [1]}], "expected the same columns"),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(tables, message):
    answers = iter(tables)
    with pytest.raises(ValueError, match=message):
        compare({"r": lambda rules: pa.table(next(answers))}, load(), BEFORE, AFTER)
