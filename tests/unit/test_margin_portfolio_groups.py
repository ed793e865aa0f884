"""The clearing house's lists: reading, refusing, and putting instruments in their groups."""

import pytest

from streaming.risk.margin.groups import GroupError, Moves, assign_groups, parse_groups, sample_groups
from streaming.risk.margin.portfolio import scan_moves
from streaming.risk.reference import Kind, UnderlyingClass
from tests.unit.margin_portfolio_books import BROAD, HIGH_CAP, RULES, Item, call, instruments_of

CLASSES = "class_group,symbol,product_group,basket_id\nSPX,SPX,LARGE,\nSPX,SPY,LARGE,\nNDX,QQQ,LARGE,\nXYZ,XYZ,,\n"
PRODUCTS = (
    "product_group,offset_percent,customer_up_percent,customer_down_percent,broker_dealer_up_percent,"
    "broker_dealer_down_percent,market_maker_up_percent,market_maker_down_percent\nLARGE,90,6,8,10,10,6,8\n"
)
PORTFOLIOS = "portfolio_group,offset_percent,product_group\nUS,75,LARGE\n"


def test_lists_are_read_with_shares_and_moves():
    lists = parse_groups(CLASSES, PRODUCTS, PORTFOLIOS)
    assert lists.class_of == {"SPX": "SPX", "SPY": "SPX", "QQQ": "NDX", "NDX": "NDX", "XYZ": "XYZ"}
    assert lists.product_of == {"SPX": "LARGE", "NDX": "LARGE"}
    assert lists.products["LARGE"].share == 900_000
    assert lists.products["LARGE"].moves[Moves.CUSTOMER] == (60_000, 80_000)
    assert lists.portfolio_share == {"US": 750_000}


@pytest.mark.parametrize(
    ("classes", "products", "portfolios", "message"),
    [
        ("class_group,symbol\n", PRODUCTS, PORTFOLIOS, r"class groups: .* missing \['product_group'\]"),
        (CLASSES + "SPX,SPY,LARGE,\n", PRODUCTS, PORTFOLIOS, "line 6: expected each symbol once, found 'SPY' again"),
        (CLASSES + "RUT,RUT,SMALL,\n", PRODUCTS, PORTFOLIOS, "line 6: expected a listed product group, found 'SMALL'"),
        (CLASSES + "SPX,VOO,,\n", PRODUCTS, PORTFOLIOS, "expected one product group for class 'SPX', found two"),
        (CLASSES + ",VOO,,\n", PRODUCTS, PORTFOLIOS, r"line 6: expected a value in \['class_group'\], found none"),
        (CLASSES, PRODUCTS.replace("90,", "109,"), PORTFOLIOS, "expected 0 to 100 percent.*found '109'"),
        (CLASSES, PRODUCTS.replace("90,", "all,"), PORTFOLIOS, "expected a percentage in offset_percent, found 'all'"),
        (CLASSES, PRODUCTS.replace(",6,8,10", ",0,8,10"), PORTFOLIOS, "expected moves above 0 percent"),
        (CLASSES, PRODUCTS + "LARGE,80,6,8,10,10,6,8\n", PORTFOLIOS, "expected each product group once"),
        (CLASSES, PRODUCTS, PORTFOLIOS + "US,75,SMALL\n", "line 3: expected a listed product group, found 'SMALL'"),
        (CLASSES, PRODUCTS, PORTFOLIOS + "EU,75,LARGE\n", "expected each product group once, found 'LARGE' again"),
        (
            CLASSES,
            PRODUCTS + "SMALL,90,10,10,15,15,10,10\n",
            PORTFOLIOS + "US,50,SMALL\n",
            "expected one offset for 'US'",
        ),
    ],
)
def test_contradicting_or_incomplete_lists_are_refused_with_their_line(classes, products, portfolios, message):
    with pytest.raises(GroupError, match=message):
        parse_groups(classes, products, portfolios)


def test_version_changes_with_any_list():
    base = parse_groups(CLASSES, PRODUCTS, PORTFOLIOS).version
    assert parse_groups(CLASSES, PRODUCTS, PORTFOLIOS.replace("75", "70")).version != base


def test_listed_symbols_share_a_class_and_unlisted_ones_stand_alone():
    items = [
        Item("SPX", 6000, Kind.INDEX, HIGH_CAP),
        Item("SPY", 600, Kind.ETF, HIGH_CAP),
        Item("QQQ", 500, Kind.ETF, HIGH_CAP),
        Item("ABC", 50),
        call("SPX C", "SPX", 6000),
        call("ABC C", "ABC", 50),
    ]
    groups = assign_groups(instruments_of(items), RULES, parse_groups(CLASSES, PRODUCTS, PORTFOLIOS))
    names = groups.class_name[groups.class_group].tolist()
    assert names == ["SPX", "SPX", "NDX", "ABC", "SPX", "ABC"]
    products = groups.product_name[groups.product_group[groups.class_group]].tolist()
    assert products == ["LARGE", "LARGE", "LARGE", "ABC", "LARGE", "ABC"]
    tops = groups.portfolio_group[groups.product_group[groups.class_group]]
    assert groups.level[tops].tolist() == ["portfolio"] * 3 + ["class", "portfolio", "class"]


def test_a_symbol_that_has_the_name_of_a_group_stays_apart_from_it():
    items = [Item("SPY", 600, Kind.ETF, HIGH_CAP), Item("LARGE", 50), Item("US", 50)]
    groups = assign_groups(instruments_of(items), RULES, parse_groups(CLASSES, PRODUCTS, PORTFOLIOS))
    tops = groups.portfolio_group[groups.product_group[groups.class_group]]
    assert len(set(tops.tolist())) == 3
    assert groups.level[tops].tolist() == ["portfolio", "class", "class"]
    moves = scan_moves(instruments_of(items), RULES, groups)
    assert moves[:, 0].tolist() == [60_000, 150_000, 150_000]


def test_a_product_group_outside_every_portfolio_group_is_the_top_level():
    header = PORTFOLIOS.splitlines()[0] + "\n"
    groups = assign_groups(
        instruments_of([Item("SPY", 600, Kind.ETF, HIGH_CAP)]), RULES, parse_groups(CLASSES, PRODUCTS, header)
    )
    assert groups.level.tolist() == ["product"]
    assert (groups.product_share.tolist(), groups.portfolio_share.tolist()) == ([900_000], [1_000_000])


def test_single_stocks_never_share_a_product_group():
    lists = parse_groups(CLASSES.replace("XYZ,XYZ,,", "XYZ,XYZ,LARGE,\nABC,ABC,LARGE,"), PRODUCTS, PORTFOLIOS)
    with pytest.raises(GroupError, match="expected at most one single stock, found ABC and XYZ"):
        assign_groups(instruments_of([Item("ABC"), Item("XYZ")]), RULES, lists)


def test_defaults_group_broad_indices_only():
    items = [
        Item("SPY", 600, Kind.ETF, HIGH_CAP),
        Item("QQQ", 500, Kind.ETF, HIGH_CAP),
        Item("IWM", 200, Kind.ETF, BROAD),
        Item("XLF", 50, Kind.ETF, UnderlyingClass.NARROW_INDEX),
        Item("XYZ", 50),
    ]
    groups = assign_groups(instruments_of(items), RULES)
    product = groups.product_group[groups.class_group]
    assert product[0] == product[1]
    assert len(set(product.tolist())) == 4
    top = groups.portfolio_group[product]
    assert top[0] == top[1] == top[2]
    assert len(set(top.tolist())) == 3


def test_leveraged_fund_never_joins_the_class_of_its_index():
    items = [
        Item("SPX", 6000, Kind.INDEX, HIGH_CAP),
        Item("SSO", 90, Kind.ETF, UnderlyingClass.LEVERAGED_BROAD, "SPX", leverage=2),
    ]
    groups = assign_groups(instruments_of(items), RULES)
    assert groups.class_group[0] != groups.class_group[1]


def test_the_sample_that_ships_is_readable_and_puts_the_index_and_its_fund_in_one_class():
    lists = sample_groups()
    assert lists.class_of["SPX"] == lists.class_of["SPY"]
    assert lists.products[lists.product_of["RUT"]].moves[Moves.CUSTOMER] == (100_000, 100_000)
    assert set(lists.portfolio_of) == set(lists.products)
