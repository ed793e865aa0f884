"""The clock against a slow one that walks tick by tick, message by message."""

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streaming.engine.epochs import ClockRules, Epoch, Mark, close_epochs

DAY = date(2020, 3, 16)
STEP_US = 200_000
RULES = ClockRules(interval_ms=200, events_max=3)
TIMES = st.lists(st.integers(0, 20 * STEP_US), max_size=25).map(lambda some: np.array(sorted(some), np.int64))
MARKS = st.lists(st.integers(1, 20).map(lambda k: k * STEP_US), unique=True, max_size=4).map(
    lambda some: [Mark(time, f"set {time}", "cut" if time % (3 * STEP_US) == 0 else "") for time in some]
)


def plain(until, arrivals, marks, rules):
    """(time, ends, price set, cut) of each epoch."""
    at_mark = {mark.time: mark for mark in marks}
    every = sorted(time for parts in arrivals.values() for times in parts for time in times.tolist())
    ticks = sorted({-(-time // STEP_US) * STEP_US for time in every} | set(at_mark))
    reached = {(topic, p): 0 for topic, parts in arrivals.items() for p in range(len(parts))}
    found = []
    for tick in [tick for tick in ticks if tick <= until]:
        goal = {(t, p): sum(time <= tick for time in arrivals[t][p].tolist()) for t, p in reached}
        while True:
            reached = {place: min(goal[place], at + rules.events_max) for place, at in reached.items()}
            mark = at_mark.get(tick) if reached == goal else None
            found.append((tick, dict(reached), mark.price_set if mark else "", mark.cut if mark else ""))
            if reached == goal:
                break
    return found


@given(st.lists(TIMES, min_size=1, max_size=3), TIMES, MARKS, st.integers(0, 22 * STEP_US))
def test_epochs_are_those_of_a_clock_that_walks_message_by_message(sharded, single, marks, until):
    arrivals = {"trades": sharded, "prices": [single]}
    made = close_epochs(None, until, arrivals, marks, RULES, DAY, {"rulebook": "r"})
    walked = [
        (epoch.time, {(t, p): end for t, ends in epoch.ends.items() for p, end in enumerate(ends)},
         epoch.price_set, epoch.cut)
        for epoch in made
    ]  # fmt: skip
    assert walked == plain(until, arrivals, [mark for mark in marks if mark.time <= until], RULES)
    assert [epoch.number for epoch in made] == list(range(len(made)))
    assert [bool(epoch.versions) for epoch in made] == [True, *[False] * (len(made) - 1)][: len(made)]
    assert [Epoch.decode(epoch.encode()) for epoch in made] == made


@given(TIMES, MARKS, st.integers(0, 20 * STEP_US))
def test_epochs_do_not_depend_on_how_often_the_clock_is_asked(times, marks, between):
    rules = ClockRules(interval_ms=200)
    at_once = close_epochs(None, 21 * STEP_US, {"trades": [times]}, marks, rules, DAY, {})
    first = close_epochs(None, between, {"trades": [times]}, marks, rules, DAY, {})
    former = first[-1] if first else None
    rest = times[former.ends["trades"][0] if former else 0 :]
    assert first + close_epochs(former, 21 * STEP_US, {"trades": [rest]}, marks, rules, DAY, {}) == at_once


def test_ends_are_the_offsets_of_a_log_with_gaps():
    offsets = {("trades", 0): np.array([5, 6, 9, 11])}
    (epoch,) = close_epochs(
        None, STEP_US, {"trades": [np.array([1, 2, 3])]}, [], ClockRules(), DAY, {}, offsets
    )  # fmt: skip
    assert epoch.ends == {"trades": (11,)}
