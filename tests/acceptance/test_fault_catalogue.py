"""The fault catalogue: a generated day with a fault, run by the real applications, is caught by the check meant for it.

Faults that do not touch each other share a day, so that the whole catalogue is five days; each fault is a test of its
own. Then the corrected events arrive, and the gate is open again but for the certificate, which has its own tests: a
day here is not replayed. Twenty clean days raise nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations import CRITICAL, WARNING
from orchestration.alerts import desk
from orchestration.alerts.delivery import Delivery
from orchestration.alerts.links import Links
from orchestration.alerts.settings import SlackAccess
from orchestration.alerts.slack import SlackChannel
from orchestration.gate import Decision
from orchestration.ledger import Ledger
from orchestration.settings import Settings
from streaming.demo import FAULTS, DaySpec
from streaming.demo.world import build
from streaming.engine.epochs import Mark
from tests.kit.faulty_day import FaultyDay, Judged, closing_marks, minutes_of
from tests.kit.slack_fake import SlackFake

ACCOUNTS, TRADES, PRICES = 12, 2_500, 20_000
"""The smallest day on which every fault can be seen: held options, a thousand trades, quotes until the bell."""


@dataclass(frozen=True)
class Planted:
    """What a fault must be caught by."""

    check: str
    severity: str = CRITICAL
    subject: str = ""
    """What a sample row must name; empty = what the fault's needle names."""


CATALOGUE: Mapping[str, Mapping[str, Planted]] = {
    "first": {
        "stale-close": Planted("prices.held.fresh"),
        "crossed-close": Planted("prices.held.two_sided_close"),
        "one-sided-close": Planted("prices.held.two_sided_close"),
        "missing-previous-close": Planted("prices.set.previous_close_present"),
        "wrong-close": Planted("prices.close.near_last_cut"),
        "repeated-close": Planted("prices.set.not_idle", WARNING),
        "shifted-decimal": Planted("prices.set.moved_with_market"),
        "jump-without-beta": Planted("prices.set.moved_with_market"),
        "option-parity-break": Planted("options.pairs.parity"),
        "calendar-arbitrage": Planted("options.chain.calendar"),
        "strikes-not-monotone": Planted("options.chain.monotone"),
        "option-below-intrinsic": Planted("options.chain.intrinsic"),
        "option-above-underlying": Planted("options.chain.bound"),
        "fat-finger-quantity": Planted("trades.day.notional"),
        "fat-finger-price": Planted("trades.day.price_distance"),
        "zero-price-trade": Planted("trades.day.price_positive"),
        "duplicate-trade-new-id": Planted("trades.day.not_repeated", WARNING),
        "trade-after-close": Planted("trades.day.before_close", WARNING),
        "unknown-counterparty": Planted("trades.day.counterparty_known", WARNING),
        "wrong-settlement": Planted("trades.day.settles_after"),
        "wrong-venue": Planted("trades.day.venue_known", WARNING),
        "excessive-fee": Planted("trades.day.fee"),
        "lost-trade-feed": Planted("trades.day.no_gap", subject="T"),
        "missing-dividend": Planted("actions.announced.dividend_expected", subject="JNJ"),
        "missing-fx": Planted("prices.fx.present", subject="EUR"),
        "missing-expiry": Planted("actions.announced.all_expired"),
        "stock-record-imbalance": Planted("capital.reconciliation.stock_record"),
        "cash-imbalance": Planted("capital.reconciliation.cash_to_ledger", subject="USD"),
        "missing-multiplier": Planted("reference.instruments.multiplier"),
        "bad-isin": Planted("reference.instruments.isin", WARNING),
        "bad-lei": Planted("reference.accounts.lei", WARNING),
        "missing-adv": Planted("reference.instruments.volume", WARNING),
    },
    "second": {
        "missing-close": Planted("prices.close.present"),
        "stale-index": Planted("prices.held.fresh"),
        "missing-option-close": Planted("prices.held.fresh"),
        "strikes-not-convex": Planted("options.chain.convex"),
        "fx-jump": Planted("prices.fx.plausible"),
        "quarantine-surge": Planted("streams.topics.quarantine_share", subject="trades"),
        "missing-opening-position": Planted("capital.reconciliation.stock_record", subject="LLY"),
        "missing-ledger-line": Planted("capital.lines.supplied"),
        "wrong-multiplier": Planted("reference.instruments.multiplier_of_class"),
        "unknown-underlying-class": Planted("reference.instruments.underlying_class"),
        "wrong-settlement-price": Planted("actions.announced.settlement_price", subject="MSFT"),
        "dividend-applied-twice": Planted("actions.announced.dividend_once", subject="JNJ"),
    },
    "third": {
        "rates-in-percent": Planted("options.pairs.volatility", subject="SPX"),
        "ledger-imbalance": Planted("capital.reconciliation.cash_to_ledger", subject="USD"),
        "missing-split": Planted("prices.set.moved_with_market", subject="UNH"),
    },
    "fourth": {
        "split-applied-twice": Planted("actions.announced.split_once", subject="UNH"),
        "price-gap": Planted("streams.path.moving", WARNING, subject="2020-03-16/11"),
    },
    "fifth": {
        "wrong-split-ratio": Planted("prices.set.moved_with_market", subject="UNH"),
    },
}

_SOON = ("first", "second")
"""The days of ``make test``: 44 faults. The others need the long form."""
MINUTES = ("10:40", "11:20")
DENSE = 80_000
"""Price events with which every account moves every minute, as on the full day."""
SEEDS = range(1, 21)

_FAULTS = [
    pytest.param(day, name, marks=() if day in _SOON else pytest.mark.soak, id=name)
    for day, faults in CATALOGUE.items()
    for name in faults
]
pytestmark = pytest.mark.timeout(900)


def spec_of(day: str, faults: tuple[str, ...] = (), seed: int | None = None) -> DaySpec:
    spec = DaySpec(accounts=ACCOUNTS, trades=TRADES, prices=DENSE if day == "fourth" else PRICES, faults=faults)
    return spec if seed is None else replace(spec, seed=seed)


def marks_of(day: str, spec: DaySpec) -> list[Mark]:
    return minutes_of(spec, *MINUTES) if day == "fourth" else closing_marks(spec)


class Days:
    """The days of the catalogue, each run when it is first asked for."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._days: dict[str, FaultyDay] = {}
        self._judged: dict[tuple[str, str], Judged] = {}

    def faulty(self, name: str) -> Judged:
        spec = spec_of(name, tuple(CATALOGUE[name]))
        self._days.setdefault(name, FaultyDay(self._folder / name, spec, marks_of(name, spec)))
        return self._once(name, "faulty", lambda: self._days[name].run())

    def corrected(self, name: str) -> Judged:
        self.faulty(name)
        return self._once(name, "corrected", lambda: self._days[name].correct())

    def replayed(self, name: str) -> Decision:
        self.corrected(name)
        return self._days[name].replay()

    def _once(self, name: str, kind: str, make) -> Judged:
        if (name, kind) not in self._judged:
            self._judged[name, kind] = make()
        return self._judged[name, kind]


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> Days:
    return Days(tmp_path_factory.mktemp("catalogue"))


def subject_of(day: str, name: str) -> str:
    """What the fault's needle names: a symbol, an id, a line."""
    planted = CATALOGUE[day][name]
    if planted.subject:
        return planted.subject
    needle = FAULTS[name].needle
    text = needle if isinstance(needle, str) else needle(build(spec_of(day)))
    found = re.search(r'"(?:id|instrument|line|currency)":"([^"]+)"', text)
    assert found, text
    return found[1]


@pytest.mark.parametrize(("day", "name"), _FAULTS)
def test_a_fault_is_caught_by_its_check_with_its_severity(days, day, name):
    planted, judged = CATALOGUE[day][name], days.faulty(day)
    result = judged.results[planted.check]
    assert not result["passed"]
    assert not result["crashed"], result["observed"]
    assert result["severity"] == planted.severity
    subject = subject_of(day, name)
    assert any(str(value).startswith(subject) for row in result["sample"] for value in row.values()), result["sample"]
    assert (planted.check in judged.held_by) == (planted.severity == CRITICAL)


@pytest.mark.parametrize(("day", "name"), _FAULTS)
def test_a_corrected_fault_recovers_without_manual_work(days, day, name):
    planted = CATALOGUE[day][name]
    judged = days.corrected(day)
    assert judged.cut.version == 2
    assert planted.check not in judged.failed
    assert planted.check not in judged.held_by


@pytest.mark.parametrize("day", [pytest.param(d, marks=() if d in _SOON else pytest.mark.soak) for d in CATALOGUE])
def test_the_gate_of_a_corrected_day_is_held_by_nothing_but_the_missing_replay(days, day):
    assert days.corrected(day).failed == {}
    assert days.corrected(day).held_by == {"certificate"}


@pytest.mark.soak
@pytest.mark.parametrize("day", CATALOGUE)
def test_a_corrected_day_replays_to_the_same_digests_and_its_gate_is_open(days, day):
    decision = days.replayed(day)
    assert decision.is_open, decision.holds


def test_every_failure_of_a_day_reaches_slack_and_its_correction_recovers_in_the_same_thread(days, tmp_path):
    settings = Settings(tmp_path / "home", tmp_path / "out")
    outbox, noon = desk.outbox_of(settings), datetime(2026, 11, 20, 17, tzinfo=UTC)
    with SlackFake() as slack:
        channel = SlackChannel(SlackAccess(slack.token, slack.channel, slack.url))
        work = Delivery(outbox, channel, Ledger(settings.ledger), Links(), "test", lambda: noon, lambda _: None)
        for judged in (days.faulty("first"), days.corrected("first")):
            desk.checked(settings, judged.cut, list(judged.results.values()), noon)
            done = work.run()
            assert (done.waiting, done.refused) == (0, 0)
        opened = {m["metadata"]["event_payload"]["key"]: m for m in slack.messages if "thread_ts" not in m}
        recovered = [m for m in slack.messages if m["metadata"]["event_payload"]["kind"] == "recovered"]
    failed = days.faulty("first").failed
    for check, severity in failed.items():
        assert opened[f"2020-03-16/eod:{check}"]["text"].startswith(f"{severity.upper()}: {check}")
    threads = {m["metadata"]["event_payload"]["key"]: m["thread_ts"] for m in recovered}
    assert {f"2020-03-16/eod:{check}" for check in failed} <= set(threads)
    assert all(opened[key]["ts"] == thread for key, thread in threads.items())


def test_the_clean_day_raises_no_alarm(tmp_path):
    judged = FaultyDay(tmp_path, spec_of("first")).run()
    assert judged.failed == {}
    assert judged.held_by == {"certificate"}


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_a_clean_seed_raises_no_alarm(tmp_path, seed):
    spec = spec_of("fourth", seed=seed)
    assert FaultyDay(tmp_path, spec, marks_of("fourth", spec)).run().failed == {}


def test_the_catalogue_holds_every_fault_but_those_named():
    planted = {name for faults in CATALOGUE.values() for name in faults}
    assert planted == set(FAULTS)
    assert len(planted) >= 40
    assert sum(len(CATALOGUE[day]) for day in _SOON) >= 40
