"""Named faults: each changes the generated day in one documented way. What corrects it follows from what it changed.

A fault looks at the good events of one topic that contain its needle and says what arrives instead: nothing, the event
changed, or the event and another. The correcting events are the good ones again: with the next version where the topic
has versions, with a later sequence where it has one, and a cancel for what should never have been.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import orjson

from streaming.demo.blemishes import PLANTED
from streaming.demo.encode import compact, instants
from streaming.demo.session import MINUTE, SECOND
from streaming.demo.spec import Arrivals, Chunk, Truth
from streaming.demo.trading import Trading
from streaming.demo.universe import DIVIDEND, HEAVILY_HELD, INDEX_PM_ROOT, SPLIT, Universe
from streaming.demo.world import World
from streaming.schema.raw import ACCOUNTS, ACTIONS, CASH, CUSTODY, FIRM, FX, INSTRUMENTS, PRICES, RATES, TRADES

Event = dict
Edit = Callable[[World, int, Event], Sequence[Event]]
"""World, arrival (microseconds UTC) and a good event in; the events that arrive instead out."""
Needle = Callable[[World], str]

ARRIVES = "arrives"
"""An edit may add this to an event: microseconds UTC at which it arrives instead, not before its own time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a day can be wrong."""

    name: str
    text: str
    topic: str
    needle: Needle
    """Text that the payload of every event concerned contains."""
    edit: Edit


def _instrument(symbol: str) -> Needle:
    return lambda world: f'"instrument":"{symbol}"'


def _says(text: str) -> Needle:
    return lambda world: text


def _series(place: int, expiry: int, right: str = "call", root: str = "AAPL") -> Needle:
    """The event's instrument is the ``place``-th strike of an underlying's ``expiry``-th expiry."""
    return lambda world: f'"instrument":"{series(world.universe, root, expiry, right, place)}"'


def series(universe: Universe, root: str, expiry: int, right: str, place: int) -> str:
    """Id of a standard series: root, which expiry (0 = the business date), right, which strike from the lowest."""
    sign = 1 if right == "call" else -1
    padded = f"{root:<6}"
    rows = [r for r in universe.options.tolist() if universe.id[r].startswith(padded) and universe.right[r] == sign]
    expiries = sorted({universe.expires[r] for r in rows})
    chain = sorted((universe.strike[r], r) for r in rows if universe.expires[r] == expiries[expiry])
    return universe.id[chain[place][1]]


def _drop(world: World, arrival: int, event: Event) -> Sequence[Event]:
    return []


def _drop_after(hour: int, minute: int = 0) -> Edit:
    return lambda world, arrival, event: [] if arrival >= world.day.at(hour, minute) else [event]


def _set(**values: object) -> Edit:
    return lambda world, arrival, event: [{**event, **values}]


def _without(name: str) -> Edit:
    return lambda world, arrival, event: [{key: value for key, value in event.items() if key != name}]


def _scale(name: str, factor: float, digits: int = 6) -> Edit:
    return lambda world, arrival, event: [{**event, name: round(event[name] * factor, digits)}]


def _add(name: str, more: float) -> Edit:
    return lambda world, arrival, event: [{**event, name: round(event[name] + more, 3)}]


def _only(kind: str, edit: Edit) -> Edit:
    """Only events of a kind."""
    return lambda world, arrival, event: edit(world, arrival, event) if event.get("kind") == kind else [event]


def _prices(factor: float, hour: int, minute: int = 0) -> Edit:
    """All quotes and the close from some time on are off by a factor."""

    def edit(world: World, arrival: int, event: Event) -> Sequence[Event]:
        if arrival < world.day.at(hour, minute):
            return [event]
        scaled = {name: round(event[name] * factor, 3) for name in ("bid", "ask", "last") if event.get(name)}
        return [{**event, **scaled}]

    return edit


def _late_quotes(change: Callable[[Event], Event]) -> Edit:
    """Quotes from 15:30 on are changed, and there is no official close."""

    def edit(world: World, arrival: int, event: Event) -> Sequence[Event]:
        if event["kind"] == "close":
            return []
        usable = event["kind"] == "quote" and event.get("bid") is not None and event.get("ask") is not None
        return [change(event)] if usable and arrival >= world.day.at(15, 30) else [event]

    return edit


def _crossed(event: Event) -> Event:
    return {**event, "bid": round(event["ask"] + 0.5, 3), "ask": event["bid"]}


def _again(**values: object) -> Edit:
    """The event, and once more under another id."""
    return lambda world, arrival, event: [event, {**event, "id": event["id"] + "-B", **values}]


@lru_cache(maxsize=4)
def _chosen_trade(world: World) -> str:
    """The first share trade to which nothing else happens: what the faults of a single trade concern."""
    found = [orjson.loads(payload) for _, _, _, payloads in Trading(world, Truth()).slot(0) for payload in payloads]
    seen = Counter(event["id"] for event in found)
    shares = {world.universe.id[row] for row in world.universe.stocks}
    for event in found:
        if seen[event["id"]] == 1 and event["instrument"] in shares:
            return f'"id":"{event["id"]}"'
    raise ValueError(
        "fault: expected a share trade in the first five minutes to change, found none; ask for more trades"
    )


def _trade(name: str, text: str, edit: Edit) -> Fault:
    return Fault(name, text, TRADES.name, _chosen_trade, edit)


def _after_close(world: World, arrival: int, event: Event) -> Sequence[Event]:
    time = world.day.at(16, 12)
    return [{**event, "event_time": instants(np.array([time]))[0], ARRIVES: time + SECOND}]


def _settled_before(world: World, arrival: int, event: Event) -> Sequence[Event]:
    return [{**event, "settle_date": str(world.day.previous)}]


def _yesterday(world: World, arrival: int, event: Event) -> Sequence[Event]:
    previous = int(world.previous[world.universe.row(event["instrument"])]) / 1_000_000
    return [{**event, "last": previous}]


def _silence(hour: int, minutes: int) -> Edit:
    """Nothing comes for some minutes from the hour on."""

    def edit(world: World, arrival: int, event: Event) -> Sequence[Event]:
        start = world.day.at(hour)
        return [] if start <= arrival < start + minutes * MINUTE else [event]

    return edit


def _every_tenth_spoilt(world: World, arrival: int, event: Event) -> Sequence[Event]:
    afternoon = arrival >= world.day.at(14) and event["id"].endswith("0")
    return [{**event, "quantity": None}] if afternoon else [event]


def _named(symbol: str) -> Needle:
    return lambda world: f'"id":"{symbol}"'


def _named_series(place: int, expiry: int) -> Needle:
    return lambda world: f'"id":"{series(world.universe, "AAPL", expiry, "call", place)}"'


_CATALOGUE = (
    # closes and quotes
    Fault("stale-close", f"{HEAVILY_HELD}, which many hold, stops quoting at 14:00 and gets no close", PRICES.name,
          _instrument(HEAVILY_HELD), _drop_after(14)),
    Fault("missing-close", "PG quotes until the bell but gets no official close", PRICES.name,
          _instrument("PG"), _only("close", _drop)),
    Fault("crossed-close", "JPM is crossed from 15:30 and gets no close", PRICES.name,
          _instrument("JPM"), _late_quotes(_crossed)),
    Fault("one-sided-close", "BAC has no ask from 15:30 and gets no close", PRICES.name,
          _instrument("BAC"), _late_quotes(lambda event: {**event, "ask": None})),
    Fault("missing-previous-close", "KO has no previous close", PRICES.name,
          _instrument("KO"), _only("previous_close", _drop)),
    Fault("wrong-close", "the close of PG is a tenth too high", PRICES.name,
          _instrument("PG"), _only("close", _scale("last", 1.1, 3))),
    Fault("repeated-close", "the close of MRK is the previous one again", PRICES.name,
          _instrument("MRK"), _only("close", _yesterday)),
    Fault("shifted-decimal", "the close of LLY is a hundredth of itself", PRICES.name,
          _instrument("LLY"), _only("close", _scale("last", 0.01, 3))),
    Fault("jump-without-beta", "PEP is a third higher from 15:30, against the market", PRICES.name,
          _instrument("PEP"), _prices(4 / 3, 15, 30)),
    Fault("stale-index", "the index stops at 13:00 and gets no close", PRICES.name,
          _instrument("SPX"), _drop_after(13)),
    Fault("price-gap", "no price of anything arrives for twelve minutes from 11:00", PRICES.name,
          _says('"kind":"quote"'), _silence(11, 12)),
    # options
    Fault("option-parity-break", "the close of one index call is forty dollars too high", PRICES.name,
          _series(2, 1, "call", INDEX_PM_ROOT), _only("close", _add("last", 40))),
    Fault("calendar-arbitrage", "the longest AAPL call closes at a fifth of its value", PRICES.name,
          _series(-1, 3), _only("close", _scale("last", 0.2, 2))),
    Fault("strikes-not-monotone", "the highest AAPL call closes far above the lower strikes", PRICES.name,
          _series(-1, 2), _only("close", lambda world, arrival, event: [{**event, "last": 40.0}])),
    Fault("strikes-not-convex", "one AAPL put in the middle closes two dollars too high", PRICES.name,
          _series(2, 2, "put"), _only("close", _add("last", 2))),
    Fault("option-below-intrinsic", "an index put in the money closes at one cent", PRICES.name,
          _series(-1, 1, "put", INDEX_PM_ROOT), _only("close", _set(last=0.01))),
    Fault("option-above-underlying", "an AAPL call closes above the stock", PRICES.name,
          _series(0, 1), _only("close", _set(last=500.0))),
    Fault("missing-option-close", "the longest AAPL call is not quoted after the open and has no close", PRICES.name,
          _series(0, 3), _drop_after(9, 31)),
    # currencies and rates
    Fault("missing-fx", "there is no EUR rate", FX.name, _says('"currency":"EUR"'), _drop),
    Fault("fx-jump", "EUR is half as much again from noon", FX.name, _says('"currency":"EUR"'),
          lambda world, arrival, event: [{**event, "rate": round(event["rate"] * 1.5, 4)}]
          if arrival >= world.day.at(12) else [event]),
    Fault("rates-in-percent", "the USD zero rates are given in percent", RATES.name,
          _says('"kind":"zero","currency":"USD"'), _scale("value", 100)),
    # trades
    _trade("fat-finger-quantity", "one trade has ten thousand times its quantity", _scale("quantity", 10_000, 0)),
    _trade("fat-finger-price", "one trade has ten times its price", _scale("price", 10)),
    _trade("zero-price-trade", "one trade has the price zero", _set(price=0)),
    _trade("duplicate-trade-new-id", "one trade comes again under another id", _again()),
    _trade("trade-after-close", "one trade was executed after the close", _after_close),
    _trade("unknown-counterparty", "one trade names a counterparty nobody knows", _set(counterparty="BRK99")),
    _trade("wrong-settlement", "one trade settles before it was made", _settled_before),
    _trade("wrong-venue", "one trade names a market that does not exist", _set(venue="XXXX")),
    _trade("excessive-fee", "one trade is charged a fee of a million", _set(fee=1_000_000.0)),
    Fault("lost-trade-feed", "no trade arrives for half an hour from 14:00", TRADES.name, _says('"id":"T'),
          _silence(14, 30)),
    Fault("quarantine-surge", "a tenth of the afternoon's trades have no quantity", TRADES.name, _says('"id":"T'),
          _every_tenth_spoilt),
    # corporate actions
    Fault("split-applied-twice", f"the split of {SPLIT} comes again under another id", ACTIONS.name,
          _says('"CA-SPLIT"'), _again()),
    Fault("missing-split", f"the split of {SPLIT} is not announced", ACTIONS.name, _says('"CA-SPLIT"'), _drop),
    Fault("wrong-split-ratio", f"the split of {SPLIT} is 20 for 1", ACTIONS.name, _says('"CA-SPLIT"'),
          _set(numerator=20)),
    Fault("dividend-applied-twice", f"the dividend of {DIVIDEND} comes again under another id", ACTIONS.name,
          _says('"CA-DIVIDEND"'), _again()),
    Fault("missing-dividend", f"the dividend of {DIVIDEND} is not announced", ACTIONS.name,
          _says('"CA-DIVIDEND"'), _drop),
    Fault("missing-expiry", "one in-the-money AAPL series does not expire", ACTIONS.name, _series(-1, 0, "put"), _drop),
    Fault("wrong-settlement-price", "the MSFT series expire at a price ten dollars off", ACTIONS.name,
          _says('"instrument":"MSFT  '), _add("price", 10)),
    # stock record, cash, ledger
    Fault("stock-record-imbalance", "the depository holds a hundred AAPL more than the record", CUSTODY.name,
          _says('"instrument":"AAPL","kind":"location","location":"depository"'),
          _add("quantity", 100)),
    Fault("missing-opening-position", "the opening position of one account is missing", CUSTODY.name,
          _says('"id":"P000020"'), _drop),
    Fault("cash-imbalance", "the opening cash of one account is a million too high", CASH.name,
          _says('"id":"O00006-USD"'), _add("amount", 1_000_000)),
    Fault("ledger-imbalance", "the bank balance is one dollar short", FIRM.name, _says('"reference":"CASH-USD"'),
          _add("amount", -1)),
    Fault("missing-ledger-line", "the firm's equity is not supplied", FIRM.name,
          _says('"line":"ownership_equity"'), _drop),
    # reference data
    Fault("missing-multiplier", "an AAPL series has no multiplier", INSTRUMENTS.name, _named_series(1, 1),
          _without("multiplier")),
    Fault("wrong-multiplier", "an AAPL series has the multiplier 1,000", INSTRUMENTS.name, _named_series(1, 1),
          _set(multiplier=1_000)),
    Fault("bad-isin", "the ISIN of CVX has a wrong check digit", INSTRUMENTS.name, _named("CVX"),
          lambda world, arrival, event: [{**event, "isin": event["isin"][:-1] + str((int(event["isin"][-1]) + 1) % 10)}]),
    Fault("bad-lei", "the LEI of one client has wrong check digits", ACCOUNTS.name,
          lambda world: f'"id":"{world.account_ids[-1]}"',
          lambda world, arrival, event: [{**event, "lei": event["lei"][:-2] + "00"}]),
    Fault("missing-adv", "WMT has no average daily volume", INSTRUMENTS.name, _named("WMT"), _without("adv")),
    Fault("unknown-underlying-class", "the index has no class", INSTRUMENTS.name, _named("SPX"),
          _without("underlying_class")),
)  # fmt: skip

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _CATALOGUE}


@dataclass(slots=True)
class Undo:
    """A good event and what came in its place, for the correction."""

    topic: str
    key: str
    good: Event
    bad: Sequence[Event]


@dataclass(slots=True)
class Plan:
    """The faults of a spec, applied to batches of messages."""

    faults: Sequence[Fault]
    undo: list[Undo] | None = None
    """Where to note what was changed; ``None`` = nowhere."""
    _needles: dict[str, bytes] = field(default_factory=dict)

    def edit(
        self, world: World, truth: Truth, topic: str, arrival: np.ndarray, key: list[str] | str, payload: list[bytes]
    ) -> tuple[np.ndarray, list[str] | str, list[bytes]]:
        """The batch as it arrives with the faults."""
        for fault in self.faults:
            if fault.topic == topic:
                arrival, key, payload = self._apply(fault, world, truth, arrival, key, payload)
        return arrival, key, payload

    def _apply(self, fault, world, truth, arrival, key, payload):
        if fault.name not in self._needles:
            self._needles[fault.name] = fault.needle(world).encode()
        needle = self._needles[fault.name]
        instead: dict[int, list[tuple[int, bytes]]] = {}
        for place in [place for place, message in enumerate(payload) if needle in message]:
            replaced = self._one(fault, world, int(arrival[place]), key if key == "" else key[place], payload[place])
            if replaced is not None:
                instead[place] = replaced
        if not instead:
            return arrival, key, payload
        truth.faults[fault.name] = truth.faults.get(fault.name, 0) + len(instead)
        times, keys, messages = [], [], []
        for place, (time, message) in enumerate(zip(arrival.tolist(), payload)):
            for later, kept in instead.get(place, [(time, message)]):
                times.append(later)
                keys.append("" if key == "" else key[place])
                messages.append(kept)
        return np.array(times, dtype=np.int64), keys, messages

    def _one(
        self, fault: Fault, world: World, arrival: int, key: str, payload: bytes
    ) -> list[tuple[int, bytes]] | None:
        """What comes instead of a message; ``None`` when it comes unchanged."""
        try:
            good = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return None  # planted malformed
        if not isinstance(good, dict) or good.get("source") == PLANTED:
            return None
        bad = fault.edit(world, arrival, good)
        if len(bad) == 1 and bad[0] == good:
            return None
        if self.undo is not None:
            self.undo.append(Undo(fault.topic, key, good, bad))
        return [(event.pop(ARRIVES, arrival), compact(event)) for event in ({**event} for event in bad)]


def plan(names: Sequence[str]) -> Plan:
    """The plan of some faults; :class:`ValueError` for a name that is not registered."""
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise ValueError(f"fault: expected one of {', '.join(sorted(FAULTS))}, found {', '.join(unknown)}")
    return Plan([FAULTS[name] for name in names])


def corrections(undo: Iterable[Undo], world: World) -> Chunk:
    """The events that put right what was changed, arriving half an hour after the end-of-day cut."""
    start = world.day.cut + 30 * MINUTE
    found: dict[tuple[str, str], tuple[str, Event]] = {}
    for item in undo:
        for name, event in _correcting(item):
            found[item.topic, name] = (item.key, event)
    topics: dict[str, list[tuple[str, Event]]] = {}
    for (topic, _), correction in found.items():
        topics.setdefault(topic, []).append(correction)
    arrivals = {
        topic: Arrivals(
            start + np.arange(len(events), dtype=np.int64),
            [key for key, _ in events],
            [compact(event) for _, event in events],
        )
        for topic, events in topics.items()
    }
    return Chunk(start, start + MINUTE, arrivals)


def _correcting(item: Undo) -> Iterable[tuple[str, Event]]:
    """Correcting events by what they replace: of several prices of an instrument only the last good one counts."""
    good = item.good
    if "action" in good:
        if not item.bad or item.bad[0].get("quantity", 0) is None:
            yield f"{good['id']}/{good['version']}", good  # never came, or was refused: it comes late
        elif item.bad[0] != good:
            yield f"{good['id']}/2", {**good, "version": good["version"] + 1, "action": "correct"}
        for extra in item.bad[1:]:
            yield f"{extra['id']}/2", {**extra, "version": 2, "action": "cancel"}
    elif "sequence" in good:
        name = f"{good.get('instrument', good.get('currency'))}/{good.get('kind') == 'previous_close'}"
        yield name, {**good, "sequence": good["sequence"] + 1_000_000_000}
    elif not item.bad or item.bad[0] != good:
        yield str(good.get("id", compact(good))), good
