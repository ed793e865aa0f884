"""Properties of the scan: a plain decimal oracle, order independence, and bounds that hold for every book."""

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk.margin.groups import sample_groups
from streaming.risk.margin.portfolio import offset_points, portfolio_margin
from streaming.risk.margin.portfolio_explain import explain
from streaming.risk.money import MICRO
from streaming.risk.reference import Kind, UnderlyingClass
from tests.unit.margin_portfolio_books import BROAD, HIGH_CAP, RULES, Item, call, margined, put

FUNDS = [
    Item("SPY", 600, Kind.ETF, HIGH_CAP),
    Item("QQQ", 500, Kind.ETF, HIGH_CAP),
    Item("IWM", 200, Kind.ETF, BROAD),
    Item("SDS", 20, Kind.ETF, UnderlyingClass.LEVERAGED_BROAD, leverage=-2),
    Item("XYZ", 80),
    Item("ABC", 30),
]
OPTIONS = [
    make(f"{fund.id} {make.__name__} {share}", fund.id, int(fund.price * share), years=years)
    for fund in FUNDS
    for make in (call, put)
    for share, years in ((0.9, 0.02), (1.0, 0.3), (1.15, 1.0))
]
ITEMS = FUNDS + OPTIONS

POINT = st.lists(st.integers(-(10**12), 10**12), min_size=10, max_size=10)
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([item.id for item in ITEMS]), st.integers(-500, 500).filter(bool)),
    min_size=1,
    max_size=14,
    unique_by=lambda row: row[:2],
)


def decimal_offset(pnl: list[list[int]], share: Decimal) -> list[int]:
    """The offset rule in plain decimals: at each point share x gains - losses."""
    answer = []
    for k in range(len(pnl[0])):
        gains = sum((Decimal(row[k]) for row in pnl if row[k] > 0), Decimal(0))
        losses = sum((-Decimal(row[k]) for row in pnl if row[k] < 0), Decimal(0))
        answer.append(int((gains * share).quantize(Decimal(1), rounding=ROUND_HALF_UP) - losses))
    return answer


def oracle(book, groups) -> dict[int, int]:
    """Requirement by account: three plain loops over the levels, in decimals."""
    classes: dict[tuple[int, int], list[int]] = {}
    minimum: dict[tuple[int, int], int] = {}
    for account, code, quantity in zip(book.holdings.account, book.holdings.instrument, book.holdings.quantity):
        key, multiplier = (int(account), int(groups.class_group[code])), int(book.instruments.multiplier[code])
        base = int(book.valuation.baseline[code])
        moved = [(int(value) - base) * multiplier * int(quantity) for value in book.valuation.scan[code]]
        classes[key] = [a + b for a, b in zip(classes.get(key, [0] * 10), moved)]
        per_contract = 375_000 * multiplier if book.instruments.kind[code] == Kind.OPTION else 0
        minimum[key] = minimum.get(key, 0) + per_contract * abs(int(quantity))
    for code_of, share_of in (
        (groups.product_group, groups.product_share),
        (groups.portfolio_group, groups.portfolio_share),
    ):
        members: dict[tuple[int, int], list[list[int]]] = {}
        least: dict[tuple[int, int], int] = {}
        for (account, child), points in classes.items():
            key = (account, int(code_of[child]))
            members.setdefault(key, []).append(points)
            least[key] = least.get(key, 0) + minimum[account, child]
        classes = {key: decimal_offset(rows, Decimal(int(share_of[key[1]])) / MICRO) for key, rows in members.items()}
        minimum = least
    total: dict[int, int] = {}
    for key, points in classes.items():
        total[key[0]] = total.get(key[0], 0) + max(0, -min(points), minimum[key])
    return total


@settings(deadline=None)  # the first example compiles
@given(st.lists(POINT, min_size=1, max_size=5), st.integers(0, 100))
def test_offsets_equal_the_decimal_rule_at_every_point(pnl, percent):
    found = offset_points(np.array(pnl, dtype=np.int64), percent * 10_000)
    assert found.tolist() == decimal_offset(pnl, Decimal(percent) / 100)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.booleans())
def test_requirement_equals_the_plain_loops(rows, listed):
    book = margined(ITEMS, rows, sample_groups() if listed else None)
    assert dict(zip(book.result.account.tolist(), book.result.requirement.tolist())) == oracle(book, book.groups)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(rows, random):
    book = margined(ITEMS, rows, sample_groups())
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = replace(book.holdings, **{f: getattr(book.holdings, f)[order] for f in book.holdings.__slots__})
    again = portfolio_margin(shuffled, book.instruments, book.accounts, book.prices, book.valuation, book.groups, RULES)
    assert again.requirement.tolist() == book.result.requirement.tolist()
    assert again.portfolios.pnl.tolist() == book.result.portfolios.pnl.tolist()
    assert again.classes.pnl.tolist() == book.result.classes.pnl.tolist()


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_requirement_lies_between_the_minimum_and_the_classes_alone(rows):
    book = margined(ITEMS, rows, sample_groups())
    for position, account in enumerate(book.result.account):
        own, top = book.result.classes.account == account, book.result.portfolios.account == account
        requirement = book.result.requirement[position]
        assert requirement >= book.result.portfolios.minimum[top].sum()
        assert requirement <= (book.result.classes.scenario_loss[own] + book.result.classes.minimum[own]).sum()


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_explanations_sum_exactly(rows):
    book = margined(ITEMS, rows, sample_groups())
    totals = dict.fromkeys(book.result.account.tolist(), 0)
    for account, part in explain(book.result, book.holdings, book.instruments, RULES):
        totals[account] += part.value
    assert list(totals.values()) == book.result.requirement.tolist()


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(2, 9))
def test_requirement_scales_with_the_book(rows, factor):
    base = margined(ITEMS, rows)
    larger = margined(ITEMS, [(account, name, quantity * factor) for account, name, quantity in rows])
    # Shares of gains round once per group and point: at most one micro each way, times the factor.
    slack = 2 * factor * len(base.result.products)
    assert np.abs(larger.result.requirement - factor * base.result.requirement).max() <= slack
