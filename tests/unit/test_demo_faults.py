"""Named faults change the day in their one way, and their correction puts it right."""

from dataclasses import replace

import orjson
import pytest

from streaming.demo import FAULTS, DaySpec, Truth, correction, generate, joined
from streaming.demo.world import build
from streaming.schema.raw import FEEDS

SPEC = DaySpec(accounts=8, trades=1_000, prices=5_000)
VERSIONED = ("trades", "cash", "custody", "firm", "actions")


@pytest.fixture(scope="module")
def clean():
    return joined(generate(SPEC))


def with_fault(name):
    return replace(SPEC, faults=(name,))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_its_topic_and_nothing_else(clean, name):
    truth = Truth()
    faulty = joined(generate(with_fault(name), truth))
    changed = {topic.name for topic in FEEDS if topic.name not in faulty
               or faulty[topic.name].payload != clean[topic.name].payload}  # fmt: skip
    assert changed == {FAULTS[name].topic}
    assert truth.faults[name] > 0


@pytest.mark.parametrize("name", FAULTS)
def test_the_correction_of_a_fault_arrives_after_the_cut_with_what_was_true(clean, name):
    chunk = correction(with_fault(name))
    topic = FAULTS[name].topic
    assert set(chunk.topics) == {topic}
    assert chunk.topics[topic].arrival[0] > build(SPEC).day.cut
    true = set(clean[topic].payload)
    for payload in chunk.topics[topic].payload:
        event = orjson.loads(payload)
        if event.get("action") == "cancel" and event["id"].endswith("-B"):
            continue
        if topic in VERSIONED and event["version"] == 2 and event["action"] == "correct" and payload not in true:
            event |= {"version": 1, "action": "new"}
        elif "sequence" in event:
            event["sequence"] -= 1_000_000_000
        assert orjson.dumps(event) in true


def test_the_stale_close_leaves_no_price_after_two_and_is_corrected_by_the_real_close(clean):
    faulty = joined(generate(with_fault("stale-close")))["prices"]
    two = build(SPEC).day.at(14)
    assert not any(b'"MSFT"' in payload for payload, t in zip(faulty.payload, faulty.arrival) if t >= two)
    (event,) = map(orjson.loads, correction(with_fault("stale-close")).topics["prices"].payload)
    assert (event["instrument"], event["kind"], event["last"]) == ("MSFT", "close", 131.395)


def test_two_faults_can_be_planted_together(clean):
    truth = Truth()
    joined(generate(replace(SPEC, faults=("stale-close", "fat-finger-price")), truth))
    assert set(truth.faults) == {"stale-close", "fat-finger-price"}


def test_the_faults_of_one_trade_concern_a_trade_to_which_nothing_else_happens(clean):
    (event,) = map(orjson.loads, correction(with_fault("fat-finger-price")).topics["trades"].payload)
    same = [payload for payload in clean["trades"].payload if f'"{event["id"]}"'.encode() in payload]
    assert len(same) == 1
