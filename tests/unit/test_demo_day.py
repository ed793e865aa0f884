"""The generated day as a stream: the same bytes every time, in order, readable, with what was planted and no more."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import orjson
import pytest

from streaming.apps.events import parse
from streaming.apps.routing import shard_of
from streaming.demo import DaySpec, Truth, generate, joined, small_day
from streaming.demo.blemishes import CASH_BREAKS, PRICE_BREAKS, TRADE_BREAKS
from streaming.demo.history import closes
from streaming.demo.world import build
from streaming.schema.raw import FEEDS, TRADES

ROOT = Path(__file__).parents[2]
UNREADABLE = {"not_json", "not_an_object", "wrong_type", "nan", "infinite"}
"""Malformed so that no JSON reader of the schema accepts them; the others are readable events to be refused."""


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth()


@pytest.fixture(scope="module")
def day(truth):
    return joined(generate(small_day(), truth))


def digest(topics) -> str:
    sha = hashlib.sha256()
    for name in sorted(topics):
        sha.update(name.encode() + topics[name].arrival.tobytes())
        sha.update("\n".join(topics[name].key).encode() + b"\n".join(topics[name].payload))
    return sha.hexdigest()


def good(payloads) -> list[dict]:
    """The readable events that were not planted as malformed."""
    found = []
    for payload in payloads:
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            continue
        planted = not isinstance(event, dict) or str(event.get("id", "")).startswith("BAD-")
        if not planted and event.get("source") != "generated:malformed":
            found.append(event)
    return found


def test_the_same_seed_gives_the_same_bytes_in_another_process_with_another_hash_seed(day):
    code = (
        "from tests.unit.test_demo_day import digest;"
        "from streaming.demo import *;print(digest(joined(generate(small_day()))))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    again = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == digest(day)


def test_another_seed_gives_another_day(day):
    other = joined(generate(small_day(seed=1)))
    assert {name for name in day if other[name].payload != day[name].payload} >= {"trades", "prices", "custody"}


@pytest.mark.parametrize("every", [timedelta(minutes=1), timedelta(seconds=777), timedelta(days=1)])
def test_the_size_of_the_chunks_changes_nothing(day, every):
    assert digest(joined(generate(small_day(), every=every))) == digest(day)


def test_chunks_cover_arrival_time_in_order():
    end = 0
    for chunk in generate(small_day(), every=timedelta(minutes=20)):
        assert chunk.start >= end
        end = chunk.end
        for arrivals in chunk.topics.values():
            assert chunk.start <= arrivals.arrival[0]
            assert arrivals.arrival[-1] < chunk.end
            assert (np.diff(arrivals.arrival) >= 0).all()


def test_more_trades_change_neither_accounts_nor_openings_nor_quotes(day):
    more = joined(generate(replace(small_day(), trades=6_000)))
    for name in ("accounts", "instruments", "custody", "firm", "closes"):
        assert more[name].payload == day[name].payload
    assert good(more["prices"].payload) == good(day["prices"].payload)


def test_more_accounts_leave_the_first_ones_as_they_are(day):
    more = joined(generate(replace(small_day(), accounts=25)))
    ids = lambda topics: [orjson.loads(payload)["id"] for payload in topics["accounts"].payload]  # noqa: E731
    assert ids(more)[: len(ids(day))] == ids(day)
    openings = lambda topics: {  # noqa: E731
        (e["account"], e["instrument"], e["quantity"])
        for e in map(orjson.loads, topics["custody"].payload)
        if e["kind"] == "opening"
    }
    assert openings(day) <= openings(more)


@pytest.mark.parametrize("topic", FEEDS, ids=lambda topic: topic.name)
def test_every_event_but_the_planted_ones_is_read_by_its_schema(day, truth, topic):
    payloads = day[topic.name].payload
    unreadable = {payloads[bad.row] for bad in parse(topic, payloads).malformed}
    expected = sum(
        count
        for name, count in truth.malformed.items()
        if name.startswith(topic.name) and name.split(".")[1] in UNREADABLE
    )
    assert len(unreadable) == expected
    required = {column.name for column in topic.columns if column.required}
    for event in good(payloads):
        assert {name for name in required if event.get(name) is None} == set()


def test_every_planted_reason_is_there_and_counted(day, truth):
    expected = {f"trades.{r}" for r in TRADE_BREAKS} | {f"cash.{r}" for r in CASH_BREAKS}
    assert set(truth.malformed) == expected | {f"prices.{r}" for r in PRICE_BREAKS}
    assert truth.events == {name: len(arrivals) for name, arrivals in day.items()}
    planted = sum(count for name, count in truth.malformed.items() if name.startswith("trades."))
    assert len(day["trades"].payload) - len(good(day["trades"].payload)) == planted


def test_counts_of_trade_life_are_those_found_in_the_messages(day, truth):
    trades = [event for event in good(day["trades"].payload) if event["id"].startswith("T")]
    said = Counter(map(orjson.dumps, trades))
    versions: dict[tuple[str, int], set[bytes]] = {}
    for text in said:
        event = orjson.loads(text)
        versions.setdefault((event["id"], event["version"]), set()).add(text)
    distinct = [orjson.loads(next(iter(texts))) for texts in versions.values()]
    assert sum(said.values()) - len(said) == truth.planted["trades.duplicate"]
    assert sum(len(texts) - 1 for texts in versions.values()) == truth.planted["trades.conflict"]
    actions = Counter((event["action"], event["version"]) for event in distinct)
    assert actions["new", 1] == truth.planted["trades.new"] == small_day().trades
    assert actions["cancel", 2] == truth.planted["trades.cancel"]
    assert actions["correct", 2] == truth.planted["trades.correct"] + truth.planted["trades.correct_before_new"]
    assert actions["correct", 3] == truth.planted["trades.correct_again"]


def test_corrects_before_their_new_arrive_before_it(day, truth):
    seen: set[str] = set()
    early = set()
    for event in good(day["trades"].payload):
        if event["action"] == "new":
            seen.add(event["id"])
        elif event["id"] not in seen:
            early.add(event["id"])
    assert len(early) == truth.planted["trades.correct_before_new"]


def test_parked_trades_arrive_before_their_series_and_within_the_same_minute(day, truth):
    listed = {orjson.loads(p)["id"]: t for p, t in zip(day["instruments"].payload, day["instruments"].arrival)}
    waiting = 0
    for payload, arrival in zip(day["trades"].payload, day["trades"].arrival):
        for event in good([payload]):
            since = listed.get(event["instrument"], arrival + 1)
            if arrival < since:
                waiting += 1
                assert since // 60_000_000 == arrival // 60_000_000
    assert waiting == truth.planted["trades.parked_then_released"]


def test_every_message_is_sent_to_its_accounts_shard_but_the_planted(day, truth):
    elsewhere = 0
    for name in ("trades", "cash", "custody", "firm"):
        for key, payload in zip(day[name].key, day[name].payload):
            for event in good([payload]):
                assert key == event["account"]
    for key, payload in zip(day["trades"].key, day["trades"].payload):
        if b"BAD-wrong_partition" in payload:
            elsewhere += all(shard_of(key, n) != shard_of(orjson.loads(payload)["account"], n) for n in range(2, 17))
    assert elsewhere == truth.malformed["trades.wrong_partition"]


def test_crossed_one_sided_and_delayed_quotes_are_counted(day, truth):
    quotes = [event for event in good(day["prices"].payload) if event["kind"] == "quote"]
    two_sided = [event for event in quotes if event["bid"] is not None and event["ask"] is not None]
    assert sum(event["bid"] > event["ask"] for event in two_sided) == truth.planted["prices.crossed"]
    assert len(quotes) - len(two_sided) == truth.planted["prices.one_sided"]
    times = [event["event_time"] for event in quotes]
    assert any(later < earlier for earlier, later in zip(times, times[1:]))


def test_the_last_good_mid_and_the_close_are_the_real_close(day):
    real = dict(zip(closes().symbols, closes().on(date(2020, 3, 16)).tolist()))
    mids, official = {}, {}
    for event in sorted(good(day["prices"].payload), key=lambda event: (event["event_time"], event["sequence"])):
        if event["kind"] == "close":
            official[event["instrument"]] = round(event["last"] * 1_000_000)
        elif event["kind"] == "quote" and event["bid"] is not None and event["ask"] is not None:
            mids[event["instrument"]] = round((event["bid"] + event["ask"]) * 500_000)
    assert {symbol: mids[symbol] for symbol in real} == real
    assert {symbol: official[symbol] for symbol in real} == real


def test_every_listed_series_is_quoted_early_and_late_and_has_a_close(day):
    world = build(small_day())
    early, late, closed = set(), set(), set()
    for payload, arrival in zip(day["prices"].payload, day["prices"].arrival):
        for event in good([payload]):
            early |= {event["instrument"]} if event["kind"] == "quote" and arrival < world.day.at(9, 35) else set()
            late |= {event["instrument"]} if event["kind"] == "quote" and arrival > world.day.at(15, 57) else set()
            closed |= {event["instrument"]} if event["kind"] == "close" else set()
    everything = set(world.universe.id)
    listed_intraday = {world.universe.id[r] for r in np.flatnonzero(world.universe.listed > world.day.open)}
    assert early >= everything - listed_intraday
    assert late == closed == everything


def test_the_stale_symbol_is_silent_for_seventy_minutes_and_back_before_half_past_three(day):
    world = build(small_day())
    quotes = [
        arrival
        for payload, arrival in zip(day["prices"].payload, day["prices"].arrival)
        for event in good([payload])
        if event["instrument"] == "XOM"
    ]
    gaps = np.diff(quotes)
    assert gaps.max() >= 70 * 60 * 1_000_000
    assert quotes[int(gaps.argmax()) + 1] < world.day.at(15, 30)


def test_nothing_arrives_after_the_cut_unless_asked_for(day, truth):
    cut = build(small_day()).day.cut
    assert max(arrivals.arrival[-1] for arrivals in day.values()) < cut
    late_truth = Truth()
    late = joined(generate(replace(small_day(), late=True), late_truth))
    after = late["trades"].arrival >= cut
    assert int(after.sum()) == late_truth.planted["trades.after_cut"] > 0
    assert late["trades"].payload[: len(day["trades"])] == day["trades"].payload


def test_settlement_follows_the_rule_date_on_the_exchange_calendar():
    settle = lambda rule_date: build(replace(small_day(), rule_date=rule_date)).day.settle  # noqa: E731
    assert settle(date(2026, 11, 1)) == date(2020, 3, 17)
    assert settle(date(2020, 3, 16)) == date(2020, 3, 18)
    assert settle(date(2010, 1, 1)) == date(2020, 3, 19)


def test_every_expiring_series_expires_at_the_real_close_and_some_are_in_the_money(day):
    world = build(small_day())
    spot = dict(zip(world.universe.id, world.close.tolist()))
    expiries = [e for e in map(orjson.loads, day["actions"].payload) if e["kind"] == "expiry"]
    held = {e["instrument"] for e in map(orjson.loads, day["custody"].payload) if e["kind"] == "opening"}
    in_the_money = 0
    for event in expiries:
        row = world.universe.row(event["instrument"])
        underlying = world.universe.id[world.universe.underlying[row]]
        assert round(event["price"] * 1_000_000) == spot[underlying]
        deep = world.universe.right[row] * (event["price"] - world.universe.strike[row])
        in_the_money += deep > 0 and event["instrument"] in held
    assert {e["instrument"] for e in expiries} == {world.universe.id[r] for r in world.universe.expiring}
    assert in_the_money > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"date": date(2020, 3, 15)}, "expected a session of the New York Stock Exchange"),
        ({"date": date(2020, 11, 27)}, "found an early close"),
        ({"date": date(1990, 3, 1)}, "expected more than 250 closes"),
        ({"faults": ("no-such-fault",)}, "expected one of .*found no-such-fault"),
    ],
)
def test_a_day_that_cannot_be_generated_is_refused_clearly(changed, message):
    with pytest.raises(ValueError, match=message):
        list(generate(replace(small_day(), **changed)))


def test_sizes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="accounts: expected 1 to 5,000, found 0"):
        DaySpec(accounts=0)
    with pytest.raises(ValueError, match="trades: expected"):
        DaySpec(trades=-1)


@pytest.mark.parametrize("business_date", [date(2008, 9, 15), date(2018, 2, 5), date(2020, 3, 20)])
def test_other_dates_of_the_history_work_too(business_date):
    topics = joined(generate(replace(small_day(), date=business_date)))
    assert len(good(topics["trades"].payload)) > 5_000
    sources = {event["source"] for event in good(topics["prices"].payload)}
    assert ("generated:vix" in sources) == (business_date == date(2018, 2, 5))


def test_the_adjusted_contract_and_the_schema_version_are_as_documented(day):
    instruments = [orjson.loads(payload) for payload in day["instruments"].payload]
    assert [e["id"][:5] for e in instruments if e.get("multiplier") not in (None, 100)] == ["GE1  "]
    assert {event["schema"] for event in good(day["trades"].payload)} == {TRADES.version}
