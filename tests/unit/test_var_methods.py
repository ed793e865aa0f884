"""History, volatility filter, correlation repair, Monte Carlo, attribution, and the incremental update."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from streaming.risk.money import MICRO, round_model
from streaming.risk.scenarios.dates import date_scenarios
from streaming.risk.scenarios.mapping import Market, Moves, moves_table
from streaming.risk.stress.book import stressed_book, unit_pnl
from streaming.risk.var.attribution import attribute, component, diversified, incremental, marginal, standalone
from streaming.risk.var.history import HistoryError, PriceHistory, days, returns
from streaming.risk.var.matrix import cholesky, correlation_of, eigen, shifted
from streaming.risk.var.montecarlo import BLOCK, generator, monte_carlo, sampling_error
from streaming.risk.var.parametric import delta_normal, sample_covariance
from streaming.risk.var.tail import tails
from streaming.risk.var.vectors import changed, vectors
from streaming.risk.var.volatility import ewma, filtered, realised
from tests.unit.real_history import equities, market
from tests.unit.stress_books import (
    DAY,
    RULES,
    Item,
    accounts_of,
    holdings_of,
    instruments_of,
    option,
    prices_of,
    table_of,
)
from tests.unit.stress_books import valuation_of as value_book

FLOOR = float(RULES.value("var.monte_carlo.eigenvalue_floor"))


def test_history_is_read_from_a_table_in_date_order_and_nulls_are_missing():
    table = pa.table({"Date": [date(2020, 1, 3), date(2020, 1, 2)], "A": [1.1, None], "B": [0.1, 0.2]})
    found = PriceHistory.from_table(table)
    assert found.dates.tolist() == [days(date(2020, 1, 2)), days(date(2020, 1, 3))]
    assert found.close.tolist() == [[0, 200_000], [1_100_000, 100_000]]
    assert found.select(["B"]).close.tolist() == [[200_000], [100_000]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"Day": [date(2020, 1, 2)], "A": [1.0]}, "expected a column Date and symbols"),
        ({"Date": [date(2020, 1, 2)], "A": ["x"]}, "history A: expected numbers, found 'x'"),
        ({"Date": [date(2020, 1, 2)], "A": [float("nan")]}, "history A: expected numbers, found nan"),
        ({"Date": [date(2020, 1, 2)] * 2, "A": [1.0, 2.0]}, "expected increasing dates, found 2020-01-02"),
    ],
)
def test_a_table_that_is_no_history_is_refused(table, message):
    with pytest.raises(HistoryError, match=message):
        PriceHistory.from_table(pa.table(table))


def test_a_date_with_a_missing_price_is_dropped_for_all():
    close = np.array([[100, 50], [110, 0], [121, 55], [121, 66]], dtype=np.int64) * MICRO
    history = PriceHistory(np.arange(4, dtype=np.int32), ("A", "B"), close)
    found = returns(history)
    assert found.dates.tolist() == [3]
    assert found.dropped.tolist() == [1, 2]
    assert found.moves == pytest.approx(np.array([[0.0, 0.2]]))
    assert found.stale.tolist() == [1, 0]
    assert returns(history.select(["A"]), "log").moves[:, 0] == pytest.approx(np.log([1.1, 1.1, 1.0]))
    assert returns(history.select(["A"]), horizon=2).moves[:, 0] == pytest.approx([0.21, 0.1])


def test_ewma_is_causal_and_follows_its_recursion():
    moves = np.array([[0.01], [-0.02], [0.03], [0.10]])
    sigma = ewma(moves, 0.94, 2)
    first = (0.01**2 + 0.02**2) / 2
    second = 0.94 * first + 0.06 * 0.01**2
    assert sigma[:2, 0] == pytest.approx(np.sqrt([first, second]))
    other = moves.copy()
    other[3] = 0.5  # what happens later does not reach back
    assert np.array_equal(ewma(other, 0.94, 2)[:4], sigma[:4])


def test_filtered_returns_have_todays_volatility():
    rng = np.random.default_rng(6)
    moves = rng.standard_normal((2_000, 2)) * np.linspace(0.005, 0.03, 2_000)[:, None]
    scaled = filtered(moves, ewma(moves, 0.94, 20))
    assert realised(scaled[200:1_000]) / realised(scaled[1_000:]) == pytest.approx([1, 1], abs=0.1)
    assert not filtered(np.zeros((5, 1)), ewma(np.zeros((5, 1)), 0.94, 2)).any()


def test_cholesky_of_a_good_matrix_is_not_repaired_and_agrees_with_numpy():
    matrix = correlation_of(sample_covariance(returns(equities()).moves))[0]
    found = cholesky(matrix, FLOOR)
    assert not found.repaired
    assert found.lower == pytest.approx(np.linalg.cholesky(matrix), abs=1e-12)


def test_an_indefinite_matrix_is_repaired_and_the_repair_is_reported():
    matrix = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    found = cholesky(matrix, FLOOR)
    assert found.repaired
    assert found.smallest_eigenvalue == pytest.approx(np.linalg.eigvalsh(matrix)[0])
    again = found.lower @ found.lower.T
    assert np.diag(again) == pytest.approx([1, 1, 1])
    assert found.largest_change == pytest.approx(np.abs(again - matrix).max())
    assert np.linalg.eigvalsh(again)[0] > 0


def test_jacobi_agrees_with_numpy_eigenvalues():
    rng = np.random.default_rng(7)
    root = rng.standard_normal((12, 12))
    values, vectors_ = eigen(root + root.T)
    assert np.sort(values) == pytest.approx(np.linalg.eigvalsh(root + root.T))
    assert vectors_ @ np.diag(values) @ vectors_.T == pytest.approx(root + root.T)


def test_a_correlation_shift_to_one_makes_everything_move_together():
    matrix = shifted(np.array([[1.0, 0.2], [0.2, 1.0]]), 1.0, 0.5)
    assert matrix == pytest.approx(np.array([[1.0, 0.6], [0.6, 1.0]]))
    assert cholesky(shifted(matrix, 1.0, 1.0), FLOOR).repaired


def test_a_matrix_that_is_no_correlation_is_refused():
    with pytest.raises(ValueError, match="symmetric matrix with ones"):
        cholesky(np.array([[1.0, 0.1], [0.2, 1.0]]), FLOOR)


COVARIANCE = np.array([[4e-4, 1e-4], [1e-4, 1e-4]])
EXPOSURE = np.array([1e6, -5e5])


def linear(moves: np.ndarray) -> np.ndarray:
    return round_model(moves * EXPOSURE).sum(axis=1)[None, :]


def test_monte_carlo_of_a_linear_normal_book_is_the_parametric_var_within_its_error():
    found = monte_carlo(generator(COVARIANCE, 11, RULES), linear, 990_000, RULES)
    exact = delta_normal(EXPOSURE, COVARIANCE, 990_000)
    assert found.paths >= 10_000
    assert found.converged
    assert abs(found.var[0] / MICRO - exact.var) < 3 * found.standard_error / MICRO
    assert abs(found.es[0] / MICRO - exact.es) < 4 * found.standard_error / MICRO
    assert found.interval[0] < found.var[0] < found.interval[1]


def test_one_seed_is_bit_identical_and_another_is_not():
    first, second = (monte_carlo(generator(COVARIANCE, 11, RULES), linear, 990_000, RULES) for _ in range(2))
    assert np.array_equal(first.pnl, second.pnl)
    other = monte_carlo(generator(COVARIANCE, 12, RULES), linear, 990_000, RULES)
    assert not np.array_equal(first.pnl, other.pnl)


def test_a_path_does_not_depend_on_how_many_there_are():
    moves = generator(COVARIANCE, 11, RULES)
    assert np.array_equal(moves.moves(0, 100), moves.moves(0, 3 * BLOCK)[:100])
    assert np.array_equal(moves.moves(BLOCK, BLOCK + 7), moves.moves(0, 2 * BLOCK)[BLOCK : BLOCK + 7])


def test_moves_have_the_covariance_asked_for_and_the_t_has_fatter_tails():
    normal = generator(COVARIANCE, 13, RULES).moves(0, 200_000)
    fat = generator(COVARIANCE, 13, RULES, "t").moves(0, 200_000)
    for sample in (normal, fat):
        assert np.cov(sample.T) == pytest.approx(COVARIANCE, rel=0.05)
    assert stats.kurtosis(normal[:, 0]) == pytest.approx(0.0, abs=0.1)
    assert stats.kurtosis(fat[:, 0]) > 2.0
    degrees = float(RULES.value("var.monte_carlo.degrees_of_freedom"))
    quantile = stats.t.ppf(0.99, degrees) / np.sqrt(degrees / (degrees - 2)) * 0.02
    assert np.quantile(fat[:, 0], 0.99) == pytest.approx(quantile, rel=0.02)


def test_antithetic_pairs_mirror_each_other():
    moves = generator(COVARIANCE, 11, RULES, antithetic=True).moves(0, BLOCK)
    assert np.array_equal(moves[0::2], -moves[1::2])


def test_fewer_paths_than_the_minimum_are_refused():
    with pytest.raises(ValueError, match="expected at least 10000 paths, found 500"):
        monte_carlo(generator(COVARIANCE, 1, RULES), linear, 990_000, RULES, paths=500)


def test_the_stop_rule_doubles_until_the_error_is_small_or_gives_up():
    def spiky(moves):  # one path in fifty loses anything up to a million
        return round_model(np.where(moves[:, 0] < -0.041, moves[:, 0] * 1e3 + moves[:, 1] * 1e8, 0.0))[None, :]

    found = monte_carlo(generator(COVARIANCE, 5, RULES), spiky, 990_000, RULES)
    assert found.paths > 10_000
    assert found.converged == (found.standard_error <= 0.03 * abs(found.var[0]))


def test_sampling_error_covers_the_true_quantile_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        losses = round_model(np.random.default_rng(seed).standard_normal(2_000))
        low, high = sampling_error(losses, 990_000)[1]
        covered += low <= 2.326348 * MICRO <= high
    assert 180 <= covered <= 200  # 95% of 200, within three standard deviations


RNG = np.random.default_rng(8)
PARTS = RNG.integers(-1_000, 1_000, (6, 500)) * MICRO


def test_component_var_sums_exactly_and_smoothing_keeps_the_sum():
    whole = diversified(PARTS, 990_000)
    assert component(PARTS, 990_000).sum() == whole
    smoothed = component(PARTS, 990_000, neighbours=2)
    assert smoothed.sum() == whole
    assert not np.array_equal(smoothed, component(PARTS, 990_000))


def test_component_is_the_loss_of_the_kth_scenario():
    order = np.argsort(PARTS.sum(axis=0), kind="stable")
    assert np.array_equal(component(PARTS, 990_000), -PARTS[:, order[4]])


def test_incremental_is_the_var_with_less_the_var_without():
    found = incremental(PARTS, 990_000)
    for part in range(6):
        without = np.delete(PARTS, part, axis=0)
        assert found[part] == diversified(PARTS, 990_000) - diversified(without, 990_000)


def test_attribution_shows_every_view():
    exposure = np.array([10, -20, 0, 5, 8, 100]) * 1_000 * MICRO
    found = attribute(PARTS, exposure, 990_000, RULES)
    assert np.array_equal(found.standalone, standalone(PARTS, 990_000))
    assert found.component.sum() == found.smoothed.sum() == found.diversified
    assert found.marginal[2] == 0
    assert found.marginal[0] == round(found.component[0] / exposure[0] * MICRO)
    assert np.array_equal(found.marginal, marginal(found.component, exposure))


ITEMS = [Item("AAPL"), Item("JPM", price=40), Item("NEW", beta="1.3"), option("AAPL C", "AAPL", 1, 105, vol=0.3)]
ACCOUNTS = accounts_of([("a", "x"), ("b", "y"), ("b", "x")])
ROWS = [(0, "AAPL", 100), (0, "AAPL C", -3), (1, "JPM", -70), (2, "NEW", 55)]


def book_vectors(rows):
    history = market().between(date(2016, 1, 1), date(2018, 12, 31))
    scenarios, _ = date_scenarios(history, 300, "SP500", "VIX")
    valuation = value_book(ITEMS, table_of(ITEMS, scenarios, history=history, index="SP500"))
    book, _ = stressed_book(holdings_of(ITEMS, rows), instruments_of(ITEMS), prices_of(ITEMS), RULES)
    return vectors(book, ACCOUNTS, instruments_of(ITEMS), unit_pnl(valuation)), unit_pnl(valuation)


def test_vectors_add_up_at_every_level():
    found, _ = book_vectors(ROWS)
    assert found.firm.shape == (1, 300)
    for level in (found.account, found.strategy, found.underlying):
        assert np.array_equal(level.sum(axis=0), found.firm[0])
    assert tails(found.firm, 990_000)[0][0] > 0


def test_one_positions_change_updates_to_the_same_bits_as_a_full_run():
    state, pnl = book_vectors(ROWS)
    after, _ = book_vectors([*ROWS[:1], (0, "AAPL C", 8), *ROWS[2:]])
    change = changed(state, account=0, underlying=0, units=800, fx=MICRO, pnl=pnl[3], units_before=-300)
    assert np.array_equal(change.rows[3], after.firm[0])
    state.apply(change)
    for name in ("account", "strategy", "underlying", "firm"):
        assert np.array_equal(getattr(state, name), getattr(after, name))


def test_a_change_in_an_unknown_underlying_is_refused():
    state, pnl = book_vectors(ROWS)
    with pytest.raises(ValueError, match="expected an underlying of the book, found code 77"):
        changed(state, 0, 77, 1, MICRO, pnl[0])


def option_book(rows):
    """A full-revaluation pricer of a book: moves [path, (AAPL, JPM, SP500, VIX)] -> P&L vectors [account, path]."""
    instruments, prices = instruments_of(ITEMS), prices_of(ITEMS)
    book, _ = stressed_book(holdings_of(ITEMS, rows), instruments, prices, RULES)

    def revalue(moves: np.ndarray) -> np.ndarray:
        labels = tuple(str(p) for p in range(len(moves)))
        joint = Moves(labels, ("AAPL", "JPM", "SP500", "VIX"), moves, "SP500", "VIX")
        table = moves_table(joint, instruments, Market(prices.price, DAY), RULES)
        return vectors(book, ACCOUNTS, instruments, unit_pnl(value_book(ITEMS, table))).account

    return revalue


def test_monte_carlo_revalues_options_in_full():
    history = market().between(date(2016, 1, 1), date(2018, 12, 31))
    kept = returns(history.select(["AAPL", "JPM", "SP500", "VIX"]))
    moves = generator(sample_covariance(kept.moves), 21, RULES)
    long = monte_carlo(moves, option_book([(0, "AAPL C", 10), (1, "JPM", 100)]), 990_000, RULES, watched=1)
    short = monte_carlo(moves, option_book([(0, "AAPL C", -10)]), 990_000, RULES)
    assert 0 < long.var[0] < short.var[0]  # bounded loss of the bought option, gamma against the written one
    sigma = kept.moves[:, 1].std()
    assert long.var[1] / MICRO == pytest.approx(100 * 40 * sigma * 2.326, rel=0.1)
    assert long.var[2] == long.es[2] == 0


def test_filtered_history_revalues_options_in_full():
    history = market().between(date(2016, 1, 1), date(2018, 12, 31))
    kept = returns(history.select(["AAPL", "JPM", "SP500", "VIX"]))
    decay, seed = float(RULES.value("var.ewma.lambda")), int(RULES.value("var.ewma.seed_days"))
    scaled = filtered(kept.moves, ewma(kept.moves, decay, seed))[-500:]
    revalue = option_book(ROWS[:3])
    plain, now = (tails(revalue(m), 990_000)[0] for m in (kept.moves[-500:], scaled))
    assert now[1] > plain[1]  # December 2018 was wilder than the two years before it
