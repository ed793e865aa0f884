"""Portfolio margin, FINRA 4210(g): points, offsets, minimum, and positions outside the scan."""

import re
from decimal import Decimal

import numpy as np
import pytest

from streaming.risk.margin.groups import Moves, assign_groups, sample_groups
from streaming.risk.margin.portfolio import (
    MISSING_VALUE,
    Treatment,
    contract_minimum,
    eligible,
    offset_points,
    portfolio_margin,
    requirement_by_row,
    scan_moves,
    scan_points,
    theoretical_haircut,
)
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO, MoneyOverflowError
from streaming.risk.reference import Kind, UnderlyingClass
from tests.unit.margin_portfolio_books import (
    BROAD,
    EQUITY,
    HIGH_CAP,
    RULES,
    Item,
    accounts_of,
    call,
    dollars,
    instruments_of,
    margined,
    put,
)


def moves_of(item: Item, schedule=Moves.CUSTOMER, lists=None):
    instruments = instruments_of([item])
    groups = assign_groups(instruments, RULES, lists)
    return (scan_moves(instruments, RULES, groups, schedule)[0] / 10_000).tolist()


def test_high_cap_index_moves_six_up_and_eight_down_in_five_steps_each():
    assert moves_of(Item("SPX", 6000, Kind.INDEX, HIGH_CAP)) == [6, 4.8, 3.6, 2.4, 1.2, -1.6, -3.2, -4.8, -6.4, -8]


@pytest.mark.parametrize(
    ("cls", "largest"), [(BROAD, 10), (EQUITY, 15), (UnderlyingClass.NARROW_INDEX, 15)], ids=lambda v: str(v)
)
def test_other_classes_move_symmetrically(cls, largest):
    moves = moves_of(Item("X", 50, Kind.ETF, cls))
    assert (moves[0], moves[4], moves[5], moves[9]) == (largest, largest / 5, -largest / 5, -largest)


def test_leveraged_fund_moves_by_its_factor_and_an_inverse_fund_falls_where_its_index_rises():
    double = moves_of(Item("L", 50, Kind.ETF, UnderlyingClass.LEVERAGED_BROAD, leverage=2))
    inverse = moves_of(Item("I", 50, Kind.ETF, UnderlyingClass.LEVERAGED, leverage=-2))
    assert (double[0], double[9]) == (20, -20)
    assert (inverse[0], inverse[9]) == (-30, 30)


def test_leveraged_fund_in_a_listed_product_group_takes_the_published_range():
    moves = moves_of(Item("SDS", 50, Kind.ETF, UnderlyingClass.LEVERAGED_BROAD, leverage=-2), lists=sample_groups())
    assert (moves[0], moves[9]) == (-12, 16)


def test_spot_never_falls_below_zero():
    item = Item("T", 50, Kind.ETF, UnderlyingClass.LEVERAGED, leverage=10)
    assert scan_points(instruments_of([item]), RULES)[0].min() == 0


@pytest.mark.parametrize(
    ("schedule", "cls", "up", "down"),
    [
        (Moves.BROKER_DEALER, HIGH_CAP, 10, -10),
        (Moves.BROKER_DEALER, BROAD, 15, -15),
        (Moves.MARKET_MAKER, HIGH_CAP, 6, -8),
        (Moves.MARKET_MAKER, BROAD, 10, -10),
    ],
)
def test_haircut_schedules_have_their_own_moves(schedule, cls, up, down):
    moves = moves_of(Item("X", 50, Kind.INDEX, cls), schedule)
    assert (moves[0], moves[9]) == (up, down)


def test_option_follows_the_class_of_its_underlying():
    instruments = instruments_of([Item("SPX", 6000, Kind.INDEX, HIGH_CAP), call("SPX C", "SPX", 6000)])
    moves = scan_moves(instruments, RULES)
    assert (moves[1] == moves[0]).all()


def test_long_stock_requires_fifteen_percent():
    book = margined([Item("AAPL", 200)], [(0, "AAPL", 1000)])
    assert dollars(book.result.requirement[0]) == Decimal(30_000)
    assert book.result.portfolios.worst_point[0] == 10
    assert [dollars(p) for p in book.result.classes.pnl[0]] == [30000, 24000, 18000, 12000, 6000] + [
        -6000, -12000, -18000, -24000, -30000,
    ]  # fmt: skip


def test_short_stock_loses_most_at_the_largest_up_point():
    book = margined([Item("AAPL", 200)], [(0, "AAPL", -1000)])
    assert dollars(book.result.requirement[0]) == Decimal(30_000)
    assert book.result.portfolios.worst_point[0] == 1


def test_long_stock_with_equal_short_stock_of_another_name_is_not_offset():
    book = margined([Item("AAPL", 100), Item("MSFT", 100)], [(0, "AAPL", 100), (0, "MSFT", -100)])
    assert dollars(book.result.requirement[0]) == Decimal(3_000)
    assert len(book.result.portfolios) == 2


def test_minimum_is_37_50_per_contract_long_or_short_and_may_exceed_the_value_of_long_options():
    items = [Item("XYZ", 10), call("XYZ C", "XYZ", 30, years=0.02)]
    book = margined(items, [(0, "XYZ C", 7), (1, "XYZ C", -7)])
    assert [dollars(r) for r in book.result.requirement] == [Decimal("262.5")] * 2
    assert (book.result.portfolios.scenario_loss < book.result.portfolios.minimum).all()


def test_minimum_uses_the_contracts_own_multiplier_and_stock_has_none():
    assert contract_minimum(np.array([-3]), np.array([150]), 375_000)[0] == 168_750_000
    book = margined([Item("XYZ", 0.01)], [(0, "XYZ", 1)])
    assert book.result.portfolios.minimum[0] == 0


def test_long_options_lose_at_most_their_value():
    items = [Item("XYZ", 100), put("XYZ P", "XYZ", 100, years=0.05)]
    book = margined(items, [(0, "XYZ P", 10)])
    assert 0 < book.result.portfolios.scenario_loss[0] <= book.valuation.baseline[1] * 1000


def test_worst_point_can_be_an_inner_point():
    items = [Item("XYZ", 100), *(call(f"C{k}", "XYZ", k, years=0) for k in (100, 106, 112))]
    book = margined(items, [(0, "C100", -10), (0, "C106", 20), (0, "C112", -10)])
    # A short butterfly at expiry loses most where the spot meets its middle strike: +6% is the fourth point.
    assert book.result.portfolios.worst_point[0] == 4
    assert dollars(book.result.portfolios.scenario_loss[0]) == Decimal(6_000)


def test_option_expiring_now_is_worth_its_intrinsic_value_at_the_shocked_spot():
    items = [Item("XYZ", 100), put("XYZ P", "XYZ", 95, years=0)]
    book = margined(items, [(0, "XYZ P", -1)])
    assert [dollars(p) for p in book.result.classes.pnl[0]][5:] == [0, -100, -400, -700, -1000]


def test_option_and_its_stock_offset_in_full_at_the_same_point():
    items = [Item("XYZ", 100), put("XYZ P", "XYZ", 100, years=0)]
    book = margined(items, [(0, "XYZ", 100), (0, "XYZ P", 1)])
    assert book.result.portfolios.scenario_loss[0] == 0
    assert dollars(book.result.requirement[0]) == Decimal("37.5")


def test_index_and_the_fund_on_it_are_one_class_by_default():
    items = [Item("SPX", 6000, Kind.INDEX, HIGH_CAP), Item("SPY", 600, Kind.ETF, HIGH_CAP, "SPX")]
    items.append(call("SPX C", "SPX", 1, years=0))
    book = margined(items, [(0, "SPY", 1000), (0, "SPX C", -1)])
    assert len(book.result.classes) == 1
    assert dollars(book.result.requirement[0]) == Decimal("37.5")


def test_two_high_cap_indices_offset_at_ninety_percent_of_the_gain():
    items = [Item("SPY", 600, Kind.ETF, HIGH_CAP), Item("DIA", 400, Kind.ETF, HIGH_CAP)]
    book = margined(items, [(0, "SPY", 100), (0, "DIA", -150)])
    # Both worth 60,000; at -8% the long loses 4,800 and the short gains 4,800, of which 90% count.
    assert dollars(book.result.requirement[0]) == Decimal(480)


def test_broad_indices_of_different_groups_offset_at_seventy_five_percent():
    items = [Item("SPY", 600, Kind.ETF, HIGH_CAP), Item("IWM", 200, Kind.ETF, BROAD)]
    book = margined(items, [(0, "SPY", 100), (0, "IWM", -300)])
    # At -8% / -10% the long loses 4,800, the short gains 6,000: 90% within no group (alone), 75% across.
    # At +6% / +10% the long gains 3,600 (x 0.9 x 0.75), the short loses 6,000.
    assert dollars(book.result.requirement[0]) == Decimal(6_000) - Decimal(3_600) * Decimal("0.9") * Decimal("0.75")
    assert book.groups.level[book.result.portfolios.group[0]] == "portfolio"


def test_offsets_are_taken_at_the_same_point_never_between_worst_points():
    alpha = np.array([400, -100], dtype=np.int64) * MICRO
    beta = np.array([-500, 300], dtype=np.int64) * MICRO
    # Worst points apart would give max loss 500 - 0.9 x 400; at the same point both tell the story.
    assert offset_points(np.stack((alpha, beta)), 900_000).tolist() == [-140 * MICRO, 170 * MICRO]


def test_missing_stock_price_is_charged_at_the_whole_previous_value():
    item = Item("XYZ", 0, status=PriceStatus.MISSING, previous_close=80)
    book = margined([item], [(0, "XYZ", 100)])
    assert book.result.treatment[0] == Treatment.MISSING_PRICE
    assert dollars(book.result.requirement[0]) == dollars(book.result.conservative[0]) == Decimal(8_000)


def test_missing_price_without_history_is_charged_at_cost_and_never_at_zero():
    item = Item("XYZ", 0, status=PriceStatus.MISSING)
    book = margined([item], [(0, "XYZ", 100), (1, "XYZ", 100)], cost={0: 4321})
    assert [dollars(r) for r in book.result.requirement] == [Decimal(4_321), Decimal(10_000)]


def test_missing_underlying_price_charges_a_short_option_on_all_it_delivers():
    items = [Item("XYZ", 0, status=PriceStatus.MISSING), call("XYZ C", "XYZ", 50, price=2)]
    book = margined(items, [(0, "XYZ C", -3)])
    assert dollars(book.result.requirement[0]) == Decimal(3 * 100 * (2 + 50))


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (call("O", "XYZ", 50, price=2, multiplier=0), Treatment.MISSING_MULTIPLIER),
        (call("O", "GONE", 50, price=2), Treatment.MISSING_UNDERLYING),
        (call("O", "XYZ", 50, price=2, currency="XXX"), Treatment.MISSING_RATE),
        (call("O", "ODD", 50, price=2), Treatment.UNKNOWN_CLASS),
        (call("O", "OLD", 50, price=2), Treatment.STALE_PRICE),
        (call("O", "XYZ", 50, price=0, status=PriceStatus.MISSING), Treatment.MISSING_PRICE),
        (call("O", "NEG", 50, price=2), Treatment.MISSING_PRICE),
    ],
    ids=lambda v: v.name if isinstance(v, Treatment) else "",
)
def test_incomplete_data_is_charged_in_full_and_listed(option, reason):
    items = [
        Item("XYZ", 60),
        Item("ODD", 60, cls=UnderlyingClass.NONE),
        Item("OLD", 60, status=PriceStatus.STALE),
        Item("NEG", -5),
        option,
    ]
    book = margined(items, [(0, "O", -1)])
    assert book.result.treatment[0] == reason
    assert book.result.requirement[0] == book.result.conservative[0] >= 5_000 * MICRO


def test_missing_model_value_is_charged_in_full():
    items = [Item("XYZ", 60), call("O", "XYZ", 50, price=11)]
    book = margined(items, [(0, "O", 1)])
    book.valuation.baseline[1] = MISSING_VALUE
    result = portfolio_margin(
        book.holdings, book.instruments, book.accounts, book.prices, book.valuation, book.groups, RULES
    )
    assert result.treatment[0] == Treatment.MISSING_VALUE
    assert dollars(result.requirement[0]) == Decimal(1_100)


def test_products_that_are_not_eligible_take_the_strategy_based_requirement():
    items = [Item("BOND", 100, Kind.TREASURY, UnderlyingClass.NONE), Item("PINK", 3, marginable=False)]
    book = margined(items, [(0, "BOND", 1000), (0, "PINK", 500)], strategy=[6000, 1500])
    assert (book.result.treatment == Treatment.NOT_ELIGIBLE).all()
    assert dollars(book.result.strategy_based[0]) == dollars(book.result.requirement[0]) == Decimal(7_500)


def test_strategy_based_requirements_become_a_column_of_the_holdings():
    items = [Item("BOND", 100, Kind.TREASURY, UnderlyingClass.NONE), Item("PINK", 3, marginable=False), Item("XYZ")]
    book = margined(items, [(1, "PINK", 5), (0, "PINK", 5), (0, "BOND", 7)])
    assert eligible(book.instruments).tolist() == [False, False, True]
    accounts, securities, amounts = np.array([0, 1, 0]), np.array([1, 1, 0]), np.array([15, 16, 42])
    assert requirement_by_row(book.holdings, accounts, securities, amounts).tolist() == [16, 15, 42]
    with pytest.raises(ValueError, match="found account 1, security 0"):
        requirement_by_row(book.holdings, np.array([1]), np.array([0]), np.array([1]))


def test_products_that_are_not_eligible_are_charged_in_full_without_a_strategy_based_requirement():
    book = margined([Item("PINK", 3, marginable=False)], [(0, "PINK", 500)])
    assert dollars(book.result.requirement[0]) == Decimal(1_500)


def test_foreign_positions_convert_at_the_sets_rate():
    item = Item("SAP", 100, currency="EUR")
    book = margined([item], [(0, "SAP", 10)], fx={"USD": MICRO, "EUR": 1_100_000})
    assert dollars(book.result.requirement[0]) == Decimal(165)


def test_an_account_with_only_unscanned_positions_and_a_book_without_rows_are_answered():
    book = margined([Item("PINK", 3, marginable=False)], [(3, "PINK", 1)])
    assert book.result.account.tolist() == [3]
    assert len(margined([Item("XYZ")], []).result.requirement) == 0


def test_sums_beyond_the_range_are_refused_by_name():
    items = [Item("XYZ", 900_000_000)]
    with pytest.raises(MoneyOverflowError, match="account ACC-0000"):
        margined(items, [(0, "XYZ", 1_000_000)])


def test_wrong_shapes_are_refused():
    book = margined([Item("XYZ")], [(0, "XYZ", 1)])
    book.valuation.scan = book.valuation.scan[:, :9]
    with pytest.raises(ValueError, match=re.escape("expected shapes (1, 10)")):
        portfolio_margin(
            book.holdings, book.instruments, book.accounts, book.prices, book.valuation, book.groups, RULES
        )


def test_theoretical_haircut_has_the_wider_index_range_and_the_lower_minimum():
    items = [Item("SPY", 600, Kind.ETF, HIGH_CAP), call("SPY C", "SPY", 2000, years=0.01)]
    book = margined(items, [(0, "SPY", 100), (1, "SPY C", -1)])
    factors = scan_points(book.instruments, RULES, book.groups, Moves.BROKER_DEALER)
    scan = np.round(factors * np.array([[600.0], [0.0]]) * MICRO).astype(np.int64)
    haircut = theoretical_haircut(
        book.holdings, book.instruments, accounts_of(2), book.prices, scan, scan[:, 0] * 0 + [600 * MICRO, 0],
        book.groups, RULES,
    )  # fmt: skip
    assert [dollars(r) for r in haircut.requirement] == [Decimal(6_000), Decimal(25)]
