"""Any date of a loaded price history as a scenario: each security's own move, the others by proxy."""

from datetime import date

import numpy as np

from streaming.risk.money import MICRO
from streaming.risk.reference import NO_DATE
from streaming.risk.scenarios.library import Scenario, ScenarioError
from streaming.risk.var.history import PriceHistory, days, iso


def date_scenario(
    history: PriceHistory, day: date, index: str, vix: str | None = None, start: date | None = None
) -> Scenario:
    """The move into ``day`` from the date before (or from ``start``) as a scenario ``D2020-03-16``.

    ``index`` and ``vix`` are symbols of the history: the market index, and the VIX where it is loaded.
    :class:`ScenarioError` when the dates are not in the history or the index has no close on them.
    """
    last = history.row(days(day))
    first = (last - 1 if last is not None else None) if start is None else history.row(days(start))
    if last is None or first is None or not 0 <= first < last:
        covered = f"{iso(history.dates[0])} to {iso(history.dates[-1])}" if len(history.dates) else "no dates"
        raise ScenarioError(
            f"history: expected {start or 'the date before'} and {day} among its dates, found {covered}"
        )
    return _scenario(history, first, last, index, vix)


def date_scenarios(
    history: PriceHistory, count: int, index: str, vix: str | None = None, day: date | None = None
) -> tuple[list[Scenario], np.ndarray]:
    """The ``count`` newest one-day moves up to ``day``, oldest first, and the dates dropped on the way.

    A date is dropped for all when a symbol that has closes before and after lacks one for the move; a symbol not yet
    (or no longer) listed is no reason: it is proxied. Fewer than ``count`` come back when the history is short.
    """
    present = history.close > 0
    begun = np.maximum.accumulate(present, axis=0)
    lasting = np.maximum.accumulate(present[::-1], axis=0)[::-1]
    whole = ~np.any(begun & lasting & ~present, axis=1)
    for symbol in (index, vix):
        if symbol is not None:
            whole &= present[:, history.column(symbol)]
    moves = np.flatnonzero(whole[1:] & whole[:-1]) + 1
    lost = np.flatnonzero(~(whole[1:] & whole[:-1])) + 1
    if day is not None:
        moves = moves[history.dates[moves] <= days(day)]
    moves = moves[max(0, len(moves) - count) :]
    if len(moves):
        lost = lost[(lost > moves[0]) & (lost < moves[-1])]
    return [_scenario(history, int(row) - 1, int(row), index, vix) for row in moves], history.dates[lost]


def own_moves(history: PriceHistory, scenario: Scenario) -> np.ndarray | None:
    """Each symbol's price factor in the scenario, int64 ppm, -1 where it has no closes; None when the scenario's dates
    are not in the history."""
    rows = dated_rows(history, scenario)
    if rows is None:
        return None
    first, last = history.close[rows[0]], history.close[rows[1]]
    known = (first > 0) & (last > 0)
    base = np.where(known, first, 1)
    factor = (last // base) * MICRO + ((last % base) * MICRO + base // 2) // base
    return np.where(known, factor, -1)


def dated_rows(history: PriceHistory, scenario: Scenario) -> tuple[int, int] | None:
    """The history's rows of a scenario's start and end; without a start, the date before."""
    if scenario.end == NO_DATE:
        return None
    last = history.row(scenario.end)
    first = history.row(scenario.start) if scenario.start != NO_DATE else (last - 1 if last else None)
    return None if first is None or last is None else (first, last)


def _scenario(history: PriceHistory, first: int, last: int, index: str, vix: str | None) -> Scenario:
    column = history.column(index)
    before, after = int(history.close[first, column]), int(history.close[last, column])
    if before == 0 or after == 0:
        raise ScenarioError(f"history {index}: expected closes on {iso(history.dates[first])} and "
                            f"{iso(history.dates[last])}, found none")  # fmt: skip
    levels = (0, 0)
    if vix is not None:
        levels = tuple(int(history.close[row, history.column(vix)]) for row in (first, last))  # type: ignore[assignment]
        if 0 in levels:
            levels = (0, 0)
    label = iso(history.dates[last])
    return Scenario(
        id=f"D{label}" if last == first + 1 else f"D{iso(history.dates[first])}/{label}",
        name=f"closes of {iso(history.dates[first])} to {label}",
        family="date",
        source="loaded price history",
        index=_ratio(after, before),
        vix_from=levels[0],
        vix_to=levels[1],
        start=int(history.dates[first]),
        end=int(history.dates[last]),
        days=last - first,
        evidence=(("index", "V"),),
        note="" if levels[0] else "no volatility pair: volatility unchanged unless the run sets a shift",
    )


def _ratio(after: int, before: int) -> int:
    """Relative move in ppm, half away from zero."""
    change = (abs(after - before) * MICRO + before // 2) // before
    return change if after >= before else -change
