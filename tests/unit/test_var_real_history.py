"""Backtest of 2006 to 2022 on the real closes: an equally weighted book of twenty stocks, and the index."""

from datetime import date

import numpy as np
import pytest

from streaming.risk.money import MICRO
from streaming.risk.var.backtest import backtest, expected_shortfall_z2, rolling_exceptions
from streaming.risk.var.history import PriceHistory, days, returns
from streaming.risk.var.rolling import Series, var_series
from tests.unit.real_history import equities, index
from tests.unit.stress_books import RULES

WINDOW, CONFIDENCE = 250, 990_000


def series(history: PriceHistory, method, window: int = WINDOW) -> Series:
    """Forecasts for every date from 2006 to 2022: the window before the first of them comes from 2005."""
    moves = returns(history)
    first = int(np.searchsorted(moves.dates, days(date(2006, 1, 1))))
    kept = returns(PriceHistory(history.dates[first - window :], history.symbols, history.close[first - window :]))
    exposure = np.full(len(history.symbols), 1_000_000 * MICRO // len(history.symbols), dtype=np.int64)
    return var_series(kept, exposure, window, CONFIDENCE, RULES, method)


def years(found: np.ndarray) -> dict[int, int]:
    which, count = np.unique(
        found.astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970, return_counts=True
    )
    return dict(zip(which.tolist(), count.tolist()))


@pytest.fixture(scope="module")
def plain() -> Series:
    return series(equities(), "historical")


def test_every_trading_day_of_the_seventeen_years_is_compared(plain):
    assert str(plain.dates[0].astype("datetime64[D]")) == "2006-01-03"
    assert str(plain.dates[-1].astype("datetime64[D]")) == "2022-12-28"
    assert len(plain.dates) == np.count_nonzero(equities().dates >= days(date(2006, 1, 1)))


def test_2008_and_2020_break_historical_var(plain):
    found = backtest(plain.dates, plain.pnl, plain.var, CONFIDENCE, RULES)
    by_year = years(found.exception_dates)
    expected = plain.dates.size // 17 * 0.01
    assert by_year[2008] > 4 * expected
    assert by_year[2020] > 2 * expected
    named = set(found.exception_dates.astype("datetime64[D]").astype(str))
    assert {"2008-09-15", "2008-09-29", "2008-10-15", "2020-03-09", "2020-03-12", "2020-03-16"} <= named
    assert found.kupiec.rejects(0.05)
    assert found.independence.rejects(0.05)
    assert found.window.zone == "red"
    assert rolling_exceptions(found.hit, 250).max() >= 10  # the red zone of 2008


def test_filtering_follows_volatility_and_mends_the_clusters(plain):
    filtered = series(equities(), "filtered")
    old, new = (backtest(s.dates, s.pnl, s.var, CONFIDENCE, RULES) for s in (plain, filtered))
    assert new.hit.sum() < old.hit.sum()
    assert rolling_exceptions(new.hit, 250).max() < rolling_exceptions(old.hit, 250).max()
    assert new.independence.statistic < old.independence.statistic


def test_age_weights_react_sooner_than_equal_ones(plain):
    aged = series(equities(), "age-weighted")
    crisis = (plain.dates >= days(date(2008, 9, 15))) & (plain.dates <= days(date(2008, 12, 31)))
    assert aged.exceptions[crisis].sum() <= plain.exceptions[crisis].sum()
    assert np.mean(aged.var[crisis]) > np.mean(plain.var[crisis])


def test_expected_shortfall_of_the_plain_method_is_understated(plain):
    assert expected_shortfall_z2(plain.pnl, plain.var, plain.es, CONFIDENCE) > 0


@pytest.mark.parametrize("window", [250, 500])
def test_the_index_tells_the_same_story_with_longer_windows(window):
    found = series(index(), "historical", window)
    assert years(found.dates[found.exceptions])[2008] >= 8
    assert years(found.dates[found.exceptions])[2020] >= 6
    assert found.dates.size == index().dates[index().dates >= days(date(2006, 1, 1))].size


def test_a_forecast_agrees_with_a_plain_loop_and_never_sees_its_own_day(plain):
    moves = returns(equities())
    day = days(date(2020, 3, 16))
    at = int(np.searchsorted(moves.dates, day))
    each = [
        sum(int(np.sign(m) * np.floor(abs(m) * 50_000 * MICRO + 0.5)) for m in row)
        for row in moves.moves[at - 250 : at]
    ]
    worst = sorted(-pnl for pnl in each)[::-1]
    row = int(np.searchsorted(plain.dates, day))
    assert plain.var[row] == worst[2]
    assert plain.exceptions[row]


def test_a_history_shorter_than_its_window_is_refused():
    short = PriceHistory(index().dates[:100], ("SP500",), index().close[:100])
    with pytest.raises(ValueError, match="expected more than 250 dates and 1 exposures, found 99 and 1"):
        var_series(returns(short), np.array([MICRO]), 250, CONFIDENCE, RULES)
