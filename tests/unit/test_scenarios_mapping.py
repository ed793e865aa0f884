"""From a market shock to each instrument (stress testing, section 2)."""

from datetime import date
from math import sqrt

import numpy as np
import pytest

from streaming.risk.money import MICRO
from streaming.risk.reference import Kind, Right
from streaming.risk.scenarios.dates import date_scenario, date_scenarios
from streaming.risk.scenarios.debt import price_factor
from streaming.risk.scenarios.library import Scenario, ScenarioError
from streaming.risk.scenarios.mapping import Market, Moves, moves_table
from streaming.risk.scenarios.shipped import load
from streaming.risk.var.history import PriceHistory, days, returns
from tests.unit.real_history import market
from tests.unit.stress_books import DAY, RULES, Item, instruments_of, option, prices_of, table_of


def scenario(id_="S", **shocks) -> Scenario:
    return Scenario(id=id_, name=id_, family="test", source="test", **shocks)


def moves(items, *scenarios, **more) -> dict[str, list[int]]:
    """Relative moves in ppm by instrument."""
    table = table_of(items, scenarios, **more)
    ids = [i.id for i in items]
    return {ids[code]: list(table.spot[row] - MICRO) for row, code in enumerate(table.instrument)}


def test_a_stock_moves_by_beta_and_the_index_by_itself():
    found = moves(
        [Item("A", beta="1.5"), Item("B", beta="-0.2"), Item("SPX", kind=Kind.INDEX, beta="3")],
        scenario(index=-100_000),
    )
    assert found == {"A": [-150_000], "B": [20_000], "SPX": [-100_000]}


def test_an_unknown_beta_is_one_and_flagged():
    table = table_of([Item("A", beta=None), Item("B")], [scenario(index=-100_000)])
    assert list(table.spot[:, 0]) == [900_000, 900_000]
    assert list(table.proxied[:, 0]) == [True, False]


def test_a_leveraged_fund_is_floored_at_minus_100_percent_and_listed():
    table = table_of([Item("TQ", kind=Kind.ETF, leverage=3), Item("SQ", kind=Kind.ETF, leverage=-3)],
                     [scenario(index=-580_000), scenario("T", index=-330_000)])  # fmt: skip
    assert list(table.spot[0]) == [0, 10_000]
    assert list(table.spot[1]) == [2_740_000, 1_990_000]
    assert list(table.clipped[0]) == [True, False]
    assert not table.clipped[1].any()


def test_a_leveraged_fund_compounds_daily_over_a_path():
    found = moves([Item("TQ", kind=Kind.ETF, leverage=3)], scenario(index=-190_000, days=2))
    daily = sqrt(0.81) - 1  # two days of -10% each
    assert found["TQ"] == [round(((1 + 3 * daily) ** 2 - 1) * MICRO)]


def test_a_leveraged_fund_follows_the_loaded_daily_closes_of_the_index():
    closes = np.array([[100], [80], [100]], dtype=np.int64) * MICRO
    history = PriceHistory(np.array([10, 11, 12], dtype=np.int32), ("SPX",), closes)
    path = scenario(index=0, start=10, end=12, days=2)
    found = moves([Item("TQ", kind=Kind.ETF, leverage=2)], path, history=history, index="SPX")
    assert found["TQ"] == [round(0.6 * 1.5 * MICRO) - MICRO]  # -40% then +50%, although the index is unchanged


def test_a_vix_target_is_scaled_down_for_long_expiries():
    table = table_of([Item("A")], [scenario(vix_to=70 * MICRO), scenario("T", vix_from=20 * MICRO, vix_to=40 * MICRO)],
                     vix=35)  # fmt: skip
    vols = table.vols(np.array([200_000, 200_000, 200_000]), np.array([7, 30, 120]))
    assert vols[:, 0] == pytest.approx([0.4, 0.4, 0.3])  # x 2 up to 30 days, x 1.5 at 120
    assert vols[:, 1] == pytest.approx([0.4, 0.4, 0.3])  # own pair: independent of today's VIX


def test_relative_and_absolute_vol_shocks_stay_between_floor_and_cap():
    shocks = [scenario("A", vol_relative=500_000), scenario("B", vol_points=100_000)]
    shocks += [scenario("C", vol_relative=-990_000), scenario("D", vol_relative=9_000_000)]
    table = table_of([Item("A")], shocks)
    vols = table.vols(np.array([200_000, 3_000_000]), np.array([30, 30]))
    assert vols[0] == pytest.approx([0.3, 0.3, 0.01, 2.0])
    assert vols[1] == pytest.approx([4.5, 3.1, 0.03, 5.0])


def test_a_vix_target_without_todays_vix_is_compared_with_a_calm_one_and_says_so():
    table = table_of([Item("A")], [scenario(vix_to=70 * MICRO)])
    assert list(table.vix_ratio) == [3_500_000]
    assert table.notes == (("S", "VIX target without today's VIX: compared with 20"),)


def test_rates_stay_above_minus_one_percent_unless_they_are_below_already():
    table = table_of([Item("A")], [scenario(rate=-50_000), scenario("U", rate=10_000)])
    assert table.rates(np.array([0.03, -0.02])) == pytest.approx(np.array([[-0.01, 0.04], [-0.02, -0.01]]))


def test_option_spots_keep_the_price_floor_and_stock_losses_do_not():
    items = [Item("A", price=100), Item("P", price="0.004")]
    table = table_of(items, [scenario(index=-999_990), scenario("Z")])
    price = prices_of(items).price
    assert table.spots(price) == pytest.approx(np.array([[0.01, 100.0], [0.004, 0.004]]))
    assert table.values(price)[0, 0] == 1_000  # the stock itself is worth 0.001


def test_an_option_takes_its_underlyings_row():
    items = [option("A C", "A", Right.CALL, 100), Item("B"), Item("A")]
    table = table_of(items, [scenario(names=(("A", -500_000),))])
    assert table.row_of[0] == table.row_of[2] == 1
    assert list(table.spot[table.row_of[0]]) == [500_000]


def test_an_option_without_an_underlying_has_no_row():
    assert table_of([option("A C", "GONE", Right.CALL, 100), Item("B")], [scenario()]).row_of[0] == -1


def test_sectors_names_and_gaps():
    items = [Item("A", sector="energy"), Item("B", sector="banks"), Item("SPX", kind=Kind.INDEX),
             Item("T", kind=Kind.TREASURY), Item("M", kind=Kind.FUND)]  # fmt: skip
    found = moves(
        items,
        scenario("X", index=-100_000, sectors=(("energy", -200_000),), names=(("B", 1_000_000),)),
        scenario("N", scope="name", gap=-500_000),
        scenario("G", scope="spot", gap=80_000),
    )
    assert found["A"] == [-300_000, -500_000, 80_000]
    assert found["B"] == [1_000_000, -500_000, 80_000]
    assert found["SPX"] == [-100_000, 0, 80_000]
    assert found["T"] == found["M"] == [0, 0, 0]


def test_a_squeeze_lifts_heavily_shorted_names_and_nothing_else():
    found = moves([Item("A", borrow_fee="0.25"), Item("B", borrow_fee="0.01"), Item("GME")], load()["H2021"])
    assert found["A"] == [1_000_000]
    assert found["B"] == [-26_000]
    assert found["GME"] == [10_193_548]


def test_correlation_scenarios_replace_beta_by_relative_volatility():
    found = moves(
        [Item("A", beta="0.5"), Item("B", beta="0.5")],
        scenario("UP", index=-100_000, correlation=MICRO),
        scenario("DOWN", index=-100_000, correlation=0),
        relative_vol=np.array([2.0, np.nan]),
    )
    assert found["A"] == [-200_000, 0]
    assert found["B"] == [-50_000, 0]


def test_inverse_volatility_products_lost_ninety_percent_on_5_february_2018():
    items = [
        Item("INV", kind=Kind.ETF, leverage=-1, sector="volatility"),
        Item("V", kind=Kind.INDEX, sector="volatility"),
    ]
    table = table_of(items, [load()["H2018"]], vix="17.3")
    assert table.spot[0, 0] <= 100_000
    assert table.spot[1, 0] == pytest.approx(37.3 / 17.3 * MICRO, abs=1)


def test_any_date_of_the_history_gives_each_security_its_own_move():
    history = market()
    found = date_scenario(history, date(2015, 8, 24), "SP500", "VIX")
    assert (found.id, found.index) == ("D2015-08-24", -39_414)
    assert (found.vix_from, found.vix_to) == (28_030_000, 40_740_000)
    own = moves([Item("AAPL"), Item("JPM"), Item("NEW", beta="2")], found, history=history, index="SP500")
    row = history.row(found.end)
    for name in ("AAPL", "JPM"):
        before, after = history.close[row - 1 : row + 1, history.column(name)]
        assert own[name] == [round(after / before * MICRO) - MICRO]
    assert own["NEW"] == [-78_828]


def test_a_security_without_history_takes_beta_and_its_sectors_average_excess():
    closes = np.array([[100, 50, 1000], [90, 48, 950]], dtype=np.int64) * MICRO
    history = PriceHistory(np.array([10, 11], dtype=np.int32), ("A", "B", "SPX"), closes)
    items = [Item("A", sector="x"), Item("B", sector="x"), Item("C", sector="x"), Item("D", sector="y")]
    table = table_of(items, [scenario(end=11)], history=history, index="SPX")
    excess = ((-100_000 + 50_000) + (-40_000 + 50_000)) / 2
    assert list(table.spot[:, 0] - MICRO) == [-100_000, -40_000, -50_000 + excess, -50_000]
    assert list(table.proxied[:, 0]) == [False, False, True, True]
    assert list(table.proxied_share(np.array([25, 25, 40, 10]))) == [500_000]


def test_dates_outside_the_history_fall_back_to_beta_and_count_as_proxied():
    table = table_of([Item("AAPL", beta="1.2")], [load()["H1987"]], vix=20, history=market(), index="SP500")
    assert list(table.spot[:, 0] - MICRO) == [-245_640]
    assert table.proxied.all()


@pytest.mark.parametrize("day", [date(2015, 8, 23), date(1990, 1, 2), date(2030, 1, 1)])
def test_a_date_that_is_not_in_the_history_is_refused(day):
    with pytest.raises(
        ScenarioError, match=r"history: expected the date before and .* among its dates, found 1990-01-02 to"
    ):
        date_scenario(market(), day, "SP500")


def test_a_hole_in_one_symbol_drops_the_date_for_all_and_a_late_listing_does_not():
    close = np.array([[1, 0, 9], [2, 0, 9], [3, 5, 0], [4, 6, 9], [5, 7, 9]], dtype=np.int64) * MICRO
    history = PriceHistory(np.arange(10, 15, dtype=np.int32), ("SPX", "NEW", "HOLE"), close)
    found, dropped = date_scenarios(history, 10, "SPX")
    assert [s.end for s in found] == [11, 14]
    assert list(dropped) == [12, 13]
    assert [s.end for s in date_scenarios(history, 1, "SPX", day=date(1970, 1, 13))[0]] == [11]


def test_bonds_are_revalued_by_yield():
    par = price_factor(1.0, 0.05, 10.0, 0.0, -0.01)
    up, down = (price_factor(1.0, 0.05, 10.0, shift, -0.01) for shift in (0.01, -0.01))
    assert par == 1.0
    assert up < 1.0 < down
    assert (down - up) / 0.02 == pytest.approx(7.8, abs=0.3)  # duration of a ten-year 5% par bond
    assert down - 1.0 > 1.0 - up  # convexity
    assert price_factor(1.0, 0.05, 0.0, 0.01, -0.01) == 1.0


def test_spreads_move_corporates_and_rates_move_both():
    items = [Item("UST", price=1, kind=Kind.TREASURY, coupon="0.04", days=3650),
             Item("CORP", price=1, kind=Kind.BOND, coupon="0.06", days=3650)]  # fmt: skip
    found = moves(items, scenario("R", rate=10_000), scenario("C", spread=20_000))
    assert found["UST"][0] < 0
    assert found["UST"][1] == 0
    assert found["CORP"][1] < found["CORP"][0] < 0


def test_no_change_changes_no_bit_and_order_of_scenarios_does_not_matter():
    items = [Item("A", price="12.345678", beta="1.37"), Item("L", kind=Kind.ETF, leverage=-2)]
    chosen = [load()[name] for name in ("ZERO", "SA2026", "H2020b", "H2018", "GAP-50")]
    table = table_of(items, chosen, vix=20)
    back = table_of(items, chosen[::-1], vix=20)
    assert np.array_equal(table.spot, back.spot[:, ::-1])
    assert np.array_equal(table.vix_ratio, back.vix_ratio[::-1])
    assert list(table.spot[:, 0]) == [MICRO, MICRO]
    vol = np.array([1_000, 234_567, 9_000_000])
    assert np.array_equal(table.vols(vol, np.array([1, 40, 400]))[:, 0], vol / MICRO)


def test_history_refuses_what_is_no_history():
    with pytest.raises(ValueError, match="expected increasing dates, found 1970-01-02"):
        PriceHistory(np.array([5, 1], dtype=np.int32), ("A",), np.ones((2, 1), dtype=np.int64))
    with pytest.raises(ValueError, match="expected a positive close, found -1 micros"):
        PriceHistory(np.array([1], dtype=np.int32), ("A",), np.array([[-1]]))
    assert days(date(1970, 1, 2)) == 1


def test_joint_moves_and_dated_scenarios_give_the_same_shocks():
    history = market().between(date(2016, 1, 1), date(2016, 12, 31))
    items = [Item("AAPL"), Item("NEW", beta="1.4"), Item("TQ", kind=Kind.ETF, leverage=3),
             Item("VX", kind=Kind.ETF, leverage=-1, sector="volatility"), Item("SP500", kind=Kind.INDEX)]  # fmt: skip
    scenarios, _ = date_scenarios(history, 100, "SP500", "VIX")
    dated = table_of(items, scenarios, history=history, index="SP500")
    moved = returns(history)
    moves = Moves(tuple(s.id for s in scenarios), moved.symbols, moved.moves[-100:], "SP500", "VIX")
    joint = moves_table(moves, instruments_of(items), Market(prices_of(items).price, DAY), RULES)
    assert np.abs(joint.spot - dated.spot).max() <= 3  # one ppm of rounding times a leverage of three
    assert np.abs(joint.vix_ratio - dated.vix_ratio).max() <= 1
    assert np.array_equal(joint.proxied, dated.proxied)
    assert joint.scenarios == dated.scenarios


def test_joint_moves_without_a_vix_leave_volatility_alone_and_clip_at_minus_100_percent():
    moves = Moves(("a", "b"), ("SPX", "A"), np.array([[-0.5, -1.2], [0.0, 0.0]]), "SPX")
    items = [Item("A"), Item("TQ", kind=Kind.ETF, leverage=3)]
    table = moves_table(moves, instruments_of(items), Market(prices_of(items).price, DAY), RULES)
    assert table.spot.tolist() == [[0, MICRO], [0, MICRO]]
    assert table.clipped.tolist() == [[True, False], [True, False]]
    assert table.vix_ratio.tolist() == [MICRO, MICRO]
    assert table.notes == (("all", "no VIX among the moves: volatility unchanged"),)
