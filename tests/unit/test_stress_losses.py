"""Losses of a small book: by every level, beside the Taylor terms, alone by name, and what clients fall short of."""

from dataclasses import replace

import numpy as np
import pytest

from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO, MoneyOverflowError
from streaming.risk.reference import Kind, Right
from streaming.risk.scenarios.grid import grid
from streaming.risk.scenarios.library import Scenario
from streaming.risk.scenarios.shipped import load
from streaming.risk.stress.book import alone, charges, grouped_pnl, losses, stressed_book, unit_pnl
from streaming.risk.stress.explain import explain
from streaming.risk.stress.liquidity import adjusted_loss, liquidity
from streaming.risk.stress.path import run_path
from streaming.risk.stress.shortfall import client_shortfall
from streaming.risk.stress.surface import surface
from tests.unit.stress_books import (
    RULES,
    Item,
    accounts_of,
    holdings_of,
    instruments_of,
    option,
    prices_of,
    table_of,
    valuation_of,
)

ITEMS = [
    Item("ACME", price=100, sector="tech", beta="1.2"),
    Item("BANK", price=40, sector="banks"),
    option("ACME P95", "ACME", Right.PUT, 95, vol=0.3),
    option("ACME C110", "ACME", Right.CALL, 110, vol=0.25, days=30),
    option("BANK C40", "BANK", Right.CALL, 40, vol=0.35),
]
ROWS = [(0, "ACME", 1_000), (0, "ACME P95", 10), (1, "ACME C110", -20), (1, "BANK", -500), (3, "BANK C40", 15)]
ACCOUNTS = accounts_of([("alpha", "long-short"), ("beta", "vol"), ("beta", "vol"), ("gamma", "long-short")])
INSTRUMENTS, PRICES = instruments_of(ITEMS), prices_of(ITEMS)
DAYS = np.array([i.days for i in ITEMS])
CORE = [replace(s) for s in load().core()]


def stressed(items=ITEMS, rows=ROWS, scenarios=CORE, vix=20):
    table = table_of(items, scenarios, vix=vix)
    valuation = valuation_of(items, table)
    instruments = instruments_of(items)
    book, unpriced = stressed_book(holdings_of(items, rows), instruments, prices_of(items), RULES)
    return book, unpriced, valuation, table, losses(book, ACCOUNTS, instruments, valuation)


def column(valuation, name: str) -> int:
    return valuation.scenarios.index(name)


def test_worked_book_of_stock_alone():
    down = Scenario("D", "D", "test", "test", index=-100_000)
    *_, found = stressed(rows=[(0, "ACME", 1_000), (1, "BANK", -500)], scenarios=[down])
    assert found.account[:, 0].tolist() == [12_000 * MICRO, -2_000 * MICRO, 0, 0]
    assert found.clients.tolist() == ["alpha", "beta", "gamma"]
    assert found.client[:, 0].tolist() == [12_000 * MICRO, -2_000 * MICRO, 0]
    assert dict(zip(found.strategies, found.strategy[:, 0])) == {"long-short": 12_000 * MICRO, "vol": -2_000 * MICRO}
    assert dict(zip(found.sectors, found.sector[:, 0])) == {"tech": 12_000 * MICRO, "banks": -2_000 * MICRO}
    assert found.firm.tolist() == [10_000 * MICRO]


def test_every_level_sums_to_the_firm_exactly():
    *_, found = stressed()
    for level in (found.account, found.client, found.strategy, found.underlying, found.sector):
        assert np.array_equal(level.sum(axis=0), found.firm)
    assert np.any(found.firm != 0)


def test_losses_agree_with_a_loop_over_positions_in_whole_numbers():
    book, _, valuation, _, found = stressed()
    for s in range(len(valuation.scenarios)):
        expected = [0] * 4
        for account, name, quantity in ROWS:
            code = [i.id for i in ITEMS].index(name)
            move = int(valuation.shocked[code, s]) - int(valuation.baseline[code])
            expected[account] -= move * quantity * ITEMS[code].multiplier
        assert found.account[:, s].tolist() == expected
    assert len(book) == len(ROWS)


def test_the_control_scenario_is_exactly_zero_and_an_empty_account_a_row_of_zeros():
    *_, valuation, _, found = stressed()
    zero = column(valuation, "ZERO")
    for level in (found.account, found.client, found.strategy, found.underlying, found.sector):
        assert not level[:, zero].any()
    assert not found.account[2].any()


def test_a_book_without_positions_gives_zeros():
    book, _, valuation, _, found = stressed(rows=[])
    assert len(book) == 0
    assert found.account.shape == (4, len(valuation.scenarios))
    assert not found.account.any()
    assert not found.firm.any()


def test_a_bought_option_loses_at_most_its_value():
    book, _, valuation, _, found = stressed(rows=[(0, "ACME P95", 1), (1, "ACME C110", 1)])
    worth = valuation.baseline[[2, 3]] * 100
    assert np.all(found.account[0] <= worth[0])
    assert np.all(found.account[1] <= worth[1])
    assert found.account[1, column(valuation, "SA2026")] == pytest.approx(worth[1], rel=1e-5)  # the call is gone


def test_another_currency_is_converted_once_at_the_position():
    items = [Item("EUR", price="10.000001", currency="EUR")]
    down = table_of(items, [Scenario("D", "D", "t", "t", index=-500_000)])
    valuation = valuation_of(items, down)
    prices = prices_of(items, {"EUR": 1_100_000})
    book, _ = stressed_book(holdings_of(items, [(0, "EUR", 3), (1, "EUR", -1)]), instruments_of(items), prices, RULES)
    found = losses(book, ACCOUNTS, instruments_of(items), valuation)
    assert int(unit_pnl(valuation)[0, 0]) == -5_000_000  # 5.0000005 rounds away from zero onto 5.000001
    assert found.account[:2, 0].tolist() == [16_500_000, -5_500_000]


def test_what_cannot_be_priced_is_charged_in_full_and_listed():
    items = [
        Item("GONE", price=0, status=PriceStatus.MISSING, previous_close=7),
        Item("NEW", price=0, status=PriceStatus.MISSING),
        option("ODD", "BANK", Right.CALL, 40, multiplier=0),
        Item("YEN", price=1_000, currency="JPY"),
        Item("BANK", price=40),
        option("LOST", "NOWHERE", Right.PUT, 5),
    ]
    rows = [(0, "GONE", 10), (0, "NEW", -10), (1, "ODD", 2), (1, "YEN", 1), (2, "BANK", 1), (3, "LOST", 1)]
    cost = {0: 50, 1: -300, 2: 900, 3: 12, 5: 80}
    book, unpriced = stressed_book(holdings_of(items, rows, cost), instruments_of(items), prices_of(items), RULES)
    assert book.instrument.tolist() == [4]
    assert unpriced.reason.tolist() == ["no price", "no price", "no multiplier", "no exchange rate", "no underlying"]
    assert unpriced.charge.tolist() == [70 * MICRO, 300 * MICRO, 900 * MICRO, 1_000 * MICRO, 80 * MICRO]
    assert charges(unpriced, 4).tolist() == [370 * MICRO, 1_900 * MICRO, 0, 80 * MICRO]


def test_an_instrument_without_a_model_value_is_charged_in_full_and_moves_nothing():
    table = table_of(ITEMS, CORE, vix=20)
    valuation = valuation_of(ITEMS, table)
    valuation.baseline[3], valuation.shocked[3] = MISSING_VALUE, MISSING_VALUE
    holdings = holdings_of(ITEMS, [(0, "ACME", 10), (1, "ACME C110", -2)], {1: 640})
    book, unpriced = stressed_book(holdings, INSTRUMENTS, PRICES, RULES, valuation)
    assert book.instrument.tolist() == [0]
    assert unpriced.reason.tolist() == ["no model value"]
    assert unpriced.charge.tolist() == [640 * MICRO]
    assert not unit_pnl(valuation)[3].any()


def test_a_sum_beyond_the_money_range_is_a_named_refusal():
    items = [Item("A", price=4_000_000)]
    valuation = valuation_of(items, table_of(items, [Scenario("D", "D", "t", "t", index=-1_000_000)]))
    rows = [(0, "A", 1_000_000), (1, "A", 1_000_000), (2, "A", 1_000_000)]
    book, _ = stressed_book(holdings_of(items, rows), instruments_of(items), prices_of(items), RULES)
    with pytest.raises(MoneyOverflowError, match="stress P&L of the firm"):
        losses(book, ACCOUNTS, instruments_of(items), valuation)
    with pytest.raises(MoneyOverflowError, match="one group"):
        grouped_pnl(book, np.zeros(3, dtype=np.int64), 1, unit_pnl(valuation), "one group")


def test_delta_gamma_vega_and_residual_add_up_to_the_full_revaluation():
    tiny = Scenario("TINY", "TINY", "t", "t", index=-10_000, vol_relative=20_000)
    book, _, valuation, table, found = stressed(scenarios=[*CORE, tiny])
    taylor = explain(book, book.account, 4, INSTRUMENTS, valuation, table, PRICES.price, DAYS)
    assert np.array_equal(taylor.delta + taylor.gamma + taylor.vega + taylor.residual, taylor.total)
    assert np.array_equal(-taylor.total, found.account)
    zero, small, large = (column(valuation, name) for name in ("ZERO", "TINY", "SA2026"))
    assert not taylor.residual[:, zero].any()
    assert not taylor.delta[:, zero].any()
    assert abs(taylor.residual[1, small]) < abs(taylor.total[1, small]) / 20
    assert abs(taylor.residual[1, large]) > abs(taylor.residual[1, small])


def test_stock_is_explained_by_delta_alone():
    book, _, valuation, table, _ = stressed(rows=[(0, "ACME", 1_000)])
    taylor = explain(book, book.account, 4, INSTRUMENTS, valuation, table, PRICES.price, DAYS)
    assert np.array_equal(taylor.delta, taylor.total)
    assert not taylor.residual.any()


def test_each_name_alone_is_the_full_revaluation_of_that_name_only():
    book, _, valuation, _, found = stressed()
    gap = column(valuation, "GAP-50")
    names = alone(book, INSTRUMENTS.underlying, valuation)
    assert list(zip(names.account, names.part)) == [(0, 0), (1, 0), (1, 1), (3, 1)]
    by_hand, _, lone, _, _ = stressed(scenarios=[Scenario("A", "A", "t", "t", names=(("ACME", -500_000),))])
    only = losses(by_hand, ACCOUNTS, INSTRUMENTS, lone).account[:, 0]
    assert names.loss[0, gap] == only[0]
    assert names.loss[1, gap] == only[1]
    worst, part = names.worst(4)
    assert worst[:, gap].tolist() == [max(0, names.loss[0, gap]), 0, 0, names.loss[3, gap]]
    assert part[:, gap].tolist() == [0, -1, -1, 1]
    assert np.array_equal(found.account[3], names.loss[3])


def test_surface_is_zero_where_nothing_moves_and_names_its_worst_cells():
    axes = grid(RULES)
    items, rows = ITEMS, [(0, "ACME", 100), (1, "ACME C110", -20), (3, "BANK C40", 15)]
    valuation = valuation_of(items, table_of(items, axes.scenarios))
    book, _ = stressed_book(holdings_of(items, rows), INSTRUMENTS, PRICES, RULES)
    found = surface(book, INSTRUMENTS, valuation, axes, RULES)
    at_zero = (int(np.flatnonzero(axes.spot == 0)[0]), int(np.flatnonzero(axes.vol == 0)[0]))
    assert found.loss.shape == (3, 20, 9)
    assert not found.loss[:, at_zero[0], at_zero[1]].any()
    assert found.worst[0] == 5_000 * MICRO  # 100 shares at 100, -50%
    assert found.inner[0] == 1_500 * MICRO
    assert found.worst_cell[1].tolist() == [19, 8]  # a short call fears +50% spot and +200% vol
    assert axes.spot[found.inner_cell[1, 0]] == 150_000
    assert found.worst[2] == valuation.baseline[4] * 1_500 - valuation.shocked[4].min() * 1_500
    assert np.array_equal(found.worst, found.loss.reshape(3, -1).max(axis=1))


def test_surface_refuses_a_valuation_without_the_grid():
    book, _, valuation, _, _ = stressed()
    with pytest.raises(ValueError, match="expected every grid cell in the valuation"):
        surface(book, INSTRUMENTS, valuation, grid(RULES), RULES)


def test_client_shortfall_largest_default_and_top_five():
    net = np.array([100, 50, 10, 0, 30, 5, 1]) * MICRO
    loss = np.array([[120, 0], [40, 60], [10, 9], [7, 0], [31, -5], [25, 1], [2, 0]]) * MICRO
    found = client_shortfall(net, loss)
    assert (found.client / MICRO).tolist() == [[20, 0], [0, 10], [0, 0], [7, 0], [1, 0], [20, 0], [1, 0]]
    assert (found.total / MICRO).tolist() == [49, 10]
    assert (found.largest / MICRO).tolist() == [20, 10]
    assert found.largest_client.tolist() == [0, 1]  # of two equal ones the lower number
    assert found.top.tolist() == [[0, 5, 3, 4, 6], [1, -1, -1, -1, -1]]
    assert (found.top_sum / MICRO).tolist() == [49, 10]
    extra = client_shortfall(net, loss, extra=np.full(7, 2 * MICRO))
    assert (extra.client[:, 0] / MICRO).tolist() == [22, 0, 2, 9, 3, 22, 3]


def test_no_client_no_shortfall():
    found = client_shortfall(np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64))
    assert found.total.tolist() == found.largest.tolist() == [0, 0, 0]
    assert np.all(found.top == -1)


def test_path_calls_are_met_from_cash_until_it_runs_out():
    found = run_path(
        equity=np.array([100]), cash=np.array([50]), loss=np.array([[40, 80, 30]]), requirement=np.array([[80, 70, 60]])
    )
    assert found.call.tolist() == [[20, 30, 0]]
    assert found.met.tolist() == [[20, 30, 0]]
    assert found.cash.tolist() == [[30, 0, 0]]
    assert found.equity.tolist() == [[80, 70, 120]]
    broke = run_path(np.array([100]), np.array([5]), np.array([[40, 80]]), np.array([[80, 70]]))
    assert broke.unmet.tolist() == [[15, 45]]


def liquid(items, rows, daily_vol, half_spread=0):
    valuation = valuation_of(items, table_of(items, CORE[:1]))
    instruments = instruments_of(items)
    book, _ = stressed_book(holdings_of(items, rows), instruments, prices_of(items), RULES)
    n = len(items)
    return liquidity(book, instruments, valuation, prices_of(items), np.full(n, daily_vol),
                     np.full(n, half_spread), RULES)  # fmt: skip


def test_liquidation_cost_and_days_worked():
    found = liquid([Item("A", price=50, adv=1_000_000)], [(0, "A", 400_000)], 0.02, half_spread=1_000)
    assert found.days.tolist() == [4.0]  # 400,000 / (20% of half of a million)
    rate = 0.001 + 0.7 * 0.02 * np.sqrt(0.4)
    assert found.cost[0] == pytest.approx(20e6 * rate * MICRO, abs=1)
    assert found.move[0] == pytest.approx(20e6 * 0.02 * (np.sqrt(1 + 3 / 3) - 1) * MICRO, abs=1)
    assert adjusted_loss(np.array([[7]]), found)[0, 0] == 7 + found.cost[0] + found.move[0]


def test_a_small_liquid_holding_costs_the_minimum_and_no_time():
    found = liquid([Item("A", price=50)], [(0, "A", 100)], 0.01)
    assert found.cost.tolist() == [25 * MICRO]  # 0.5% of 5,000
    assert found.move.tolist() == [0]


def test_missing_volume_or_volatility_is_charged_in_full_and_listed():
    found = liquid([Item("A", price=50, adv=-1)], [(0, "A", 10)], 0.02)
    assert (found.cost[0], found.days[0], found.missing[0]) == (500 * MICRO, np.inf, True)
    blind = liquid([Item("A", price=50)], [(0, "A", 10)], np.nan)
    assert (blind.cost[0], blind.missing[0]) == (500 * MICRO, True)


def test_options_count_delta_shares_and_net_with_stock():
    items = [Item("A", price=100), option("A P100", "A", Right.PUT, 100, vol=0.3)]
    valuation = valuation_of(items, table_of(items, CORE[:1]))
    found = liquid(items, [(0, "A", 1_000), (0, "A P100", 10)], 0.02)
    assert found.shares.tolist() == [1_000 + round(1_000 * valuation.delta[1] / MICRO)]


def test_ownership_flags_and_recall_of_shorts():
    items = [Item("A", price=10, adv=100_000, shares_outstanding=2_000_000), Item("I", kind=Kind.INDEX, adv=-1)]
    found = liquid(items, [(0, "A", 100_001), (1, "A", -125_001), (2, "A", 100_000)], 0.02)
    assert found.over_outstanding.tolist() == [True, True, False]
    assert found.over_volume.tolist() == [False, True, False]
    assert found.recall.tolist() == [0, 125_001 * MICRO, 0]
