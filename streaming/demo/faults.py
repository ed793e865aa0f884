"""Named faults: each changes the generated day in one documented way. What corrects it follows from what it changed.

A fault looks at the good events of one topic that contain its needle and says what arrives instead: nothing, the event
changed, or the event and another.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson

from streaming.demo.encode import instants
from streaming.demo.session import MINUTE, SECOND
from streaming.demo.spec import Truth
from streaming.demo.trading import Trading
from streaming.demo.universe import DIVIDEND, HEAVILY_HELD, INDEX_PM_ROOT, SPLIT, Universe
from streaming.demo.world import World
from streaming.risk.money import MICRO
from streaming.schema.raw import ACCOUNTS, ACTIONS, CASH, CUSTODY, FIRM, FX, INSTRUMENTS, PRICES, RATES, TRADES

Event = dict

ARRIVES = "arrives"
"""An edit may add this to an event: microseconds UTC at which it arrives instead, not before its own time."""


@dataclass(frozen=True, slots=True)
class Message:
    """A good event on its way into the log."""

    world: World
    arrival: int
    """Microseconds UTC."""
    event: Event


Edit = Callable[[Message], Sequence[Event]]
"""What arrives instead of a message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a day can be wrong."""

    name: str
    text: str
    topic: str
    needle: str | Callable[[World], str]
    """Text that the payload of every event concerned contains."""
    edit: Edit


def _instrument(symbol: str) -> str:
    return f'"instrument":"{symbol}"'


def _named(symbol: str) -> str:
    return f'"id":"{symbol}"'


def _last_account(world: World) -> str:
    return _named(world.account_ids[-1])


def _series(place: int, expiry: int, right: str = "call", root: str = "AAPL") -> Callable[[World], str]:
    return lambda world: _instrument(series(world.universe, root, expiry, right, place))


def _named_series(place: int, expiry: int) -> Callable[[World], str]:
    return lambda world: _named(series(world.universe, "AAPL", expiry, "call", place))


def series(universe: Universe, root: str, expiry: int, right: str, place: int) -> str:
    """Id of a standard series: root, which expiry (0 = the business date), right, which strike from the lowest."""
    sign = 1 if right == "call" else -1
    padded = f"{root:<6}"
    rows = [r for r in universe.options.tolist() if universe.id[r].startswith(padded) and universe.right[r] == sign]
    expiries = sorted({universe.expires[r] for r in rows})
    chain = sorted((universe.strike[r], r) for r in rows if universe.expires[r] == expiries[expiry])
    return universe.id[chain[place][1]]


@lru_cache(maxsize=4)
def _quiet_trades(world: World) -> Sequence[str]:
    """Share trades of the first five minutes to which nothing else happens: what faults of a single trade concern."""
    found = [orjson.loads(payload) for _, _, _, payloads in Trading(world, Truth()).slot(0) for payload in payloads]
    seen = Counter(event["id"] for event in found)
    shares = {world.universe.id[row] for row in world.universe.stocks}
    return [e["id"] for e in found if seen[e["id"]] == 1 and e["instrument"] in shares]


def _chosen_trade(place: int) -> Callable[[World], str]:
    """Each fault of a single trade has a trade of its own, so that several can be planted in one day."""

    def needle(world: World) -> str:
        quiet = _quiet_trades(world)
        if place >= len(quiet):
            raise ValueError(
                f"fault: expected {place + 1} quiet share trades in the first five minutes, found {len(quiet)}; "
                "ask for more trades"
            )
        return _named(quiet[place])

    return needle


def _drop(message: Message) -> Sequence[Event]:
    return []


def _set(**values: object) -> Edit:
    return lambda m: [{**m.event, **values}]


def _without(name: str) -> Edit:
    return lambda m: [{key: value for key, value in m.event.items() if key != name}]


def _scale(name: str, factor: float, digits: int = 6) -> Edit:
    return lambda m: [{**m.event, name: round(m.event[name] * factor, digits)}]


def _add(name: str, more: float) -> Edit:
    return lambda m: [{**m.event, name: round(m.event[name] + more, 3)}]


def _times(name: str, factor: int) -> Edit:
    return lambda m: [{**m.event, name: m.event[name] * factor}]


def _again(message: Message) -> Sequence[Event]:
    """The event, and once more under another id."""
    return [message.event, {**message.event, "id": message.event["id"] + "-B"}]


def _only(kind: str, edit: Edit) -> Edit:
    """Only events of a kind."""
    return lambda m: edit(m) if m.event.get("kind") == kind else [m.event]


def _from(hour: int, edit: Edit, minute: int = 0) -> Edit:
    """Only what arrives from a New York time on."""
    return lambda m: edit(m) if m.arrival >= m.world.day.at(hour, minute) else [m.event]


def _silence(hour: int, minutes: int) -> Edit:
    """Nothing comes for some minutes from the hour on."""
    return lambda m: [] if 0 <= m.arrival - m.world.day.at(hour) < minutes * MINUTE else [m.event]


def _moved(factor: float) -> Edit:
    """Every price in the event is off by a factor."""

    def edit(message: Message) -> Sequence[Event]:
        event = message.event
        return [{**event, **{n: round(event[n] * factor, 3) for n in ("bid", "ask", "last") if event.get(n)}}]

    return edit


def _late_quotes(change: Callable[[Event], Event]) -> Edit:
    """Quotes from 15:50 on are changed, and there is no official close."""

    def edit(message: Message) -> Sequence[Event]:
        event = message.event
        if event["kind"] == "close":
            return []
        usable = event["kind"] == "quote" and event["bid"] is not None and event["ask"] is not None
        return [change(event)] if usable and message.arrival >= message.world.day.at(15, 50) else [event]

    return edit


def _crossed(event: Event) -> Event:
    return {**event, "bid": round(event["ask"] + 0.5, 3), "ask": event["bid"]}


def _no_ask(event: Event) -> Event:
    return {**event, "ask": None}


def _yesterday(message: Message) -> Sequence[Event]:
    world = message.world
    previous = int(world.previous[world.universe.row(message.event["instrument"])])
    return [{**message.event, "last": previous / MICRO}]


def _after_close(message: Message) -> Sequence[Event]:
    time = message.world.day.at(16, 12)
    return [{**message.event, "event_time": instants(np.array([time]))[0], ARRIVES: time + SECOND}]


def _settled_before(message: Message) -> Sequence[Event]:
    return [{**message.event, "settle_date": str(message.world.day.previous)}]


def _every_tenth_spoilt(message: Message) -> Sequence[Event]:
    return [{**message.event, "quantity": None}] if message.event["id"].endswith("0") else [message.event]


def _wrong_check_digit(message: Message) -> Sequence[Event]:
    right = message.event["isin"]
    return [{**message.event, "isin": right[:-1] + str((int(right[-1]) + 1) % 10)}]


def _wrong_check_digits(message: Message) -> Sequence[Event]:
    right = message.event["lei"]
    return [{**message.event, "lei": f"{right[:-2]}{(int(right[-2:]) + 1) % 100:02d}"}]


_OF_ONE_TRADE: Sequence[tuple[str, str, Edit]] = (
    ("fat-finger-quantity", "one trade has ten thousand times its quantity", _times("quantity", 10_000)),
    ("fat-finger-price", "one trade has ten times its price", _scale("price", 10)),
    ("zero-price-trade", "one trade has the price zero", _set(price=0)),
    ("duplicate-trade-new-id", "one trade comes again under another id", _again),
    ("trade-after-close", "one trade was executed after the close", _after_close),
    ("unknown-counterparty", "one trade names a counterparty nobody knows", _set(counterparty="BRK99")),
    ("wrong-settlement", "one trade settles before it was made", _settled_before),
    ("wrong-venue", "one trade names a market that does not exist", _set(venue="XXXX")),
    ("excessive-fee", "one trade is charged a fee of a million", _set(fee=1_000_000.0)),
)

_CATALOGUE = (
    # closes and quotes
    Fault("stale-close", f"{HEAVILY_HELD}, which many hold, stops quoting at 14:00 and gets no close", PRICES.name,
          _instrument(HEAVILY_HELD), _from(14, _drop)),
    Fault("missing-close", "PG quotes until the bell but gets no official close", PRICES.name,
          _instrument("PG"), _only("close", _drop)),
    Fault("crossed-close", "JPM is crossed from 15:50 and gets no close", PRICES.name,
          _instrument("JPM"), _late_quotes(_crossed)),
    Fault("one-sided-close", "BAC has no ask from 15:50 and gets no close", PRICES.name,
          _instrument("BAC"), _late_quotes(_no_ask)),
    Fault("missing-previous-close", "KO has no previous close", PRICES.name,
          _instrument("KO"), _only("previous_close", _drop)),
    Fault("wrong-close", "the close of PFE is a tenth too high", PRICES.name,
          _instrument("PFE"), _only("close", _scale("last", 1.1, 3))),
    Fault("repeated-close", "the close of MRK is the previous one again", PRICES.name,
          _instrument("MRK"), _only("close", _yesterday)),
    Fault("shifted-decimal", "the close of LLY is a hundredth of itself", PRICES.name,
          _instrument("LLY"), _only("close", _scale("last", 0.01, 3))),
    Fault("jump-without-beta", "PEP is a third higher from 15:30, against the market", PRICES.name,
          _instrument("PEP"), _from(15, _moved(4 / 3), minute=30)),
    Fault("stale-index", "the index stops at 13:00 and gets no close", PRICES.name,
          _instrument("SPX"), _from(13, _drop)),
    Fault("price-gap", "no price of anything arrives for twelve minutes from 11:00", PRICES.name,
          '"kind":"quote"', _silence(11, 12)),
    # options
    Fault("option-parity-break", "the close of one index call is forty dollars too high", PRICES.name,
          _series(2, 1, "call", INDEX_PM_ROOT), _only("close", _add("last", 40))),
    Fault("calendar-arbitrage", "the longest AAPL call closes at a fifth of its value", PRICES.name,
          _series(-1, 3), _only("close", _scale("last", 0.2, 2))),
    Fault("strikes-not-monotone", "the highest AAPL call closes far above the lower strikes", PRICES.name,
          _series(-1, 2), _only("close", _set(last=40.0))),
    Fault("strikes-not-convex", "one AAPL put in the middle closes two dollars too high", PRICES.name,
          _series(2, 2, "put"), _only("close", _add("last", 2))),
    Fault("option-below-intrinsic", "an index put in the money closes at one cent", PRICES.name,
          _series(-1, 1, "put", INDEX_PM_ROOT), _only("close", _set(last=0.01))),
    Fault("option-above-underlying", "an AAPL call closes above the stock", PRICES.name,
          _series(0, 1), _only("close", _set(last=500.0))),
    Fault("missing-option-close", "the longest AAPL call is not quoted after the open and has no close", PRICES.name,
          _series(0, 3), _from(9, _drop, minute=31)),
    # currencies and rates
    Fault("missing-fx", "there is no EUR rate", FX.name, '"currency":"EUR"', _drop),
    Fault("fx-jump", "EUR is half as much again from noon", FX.name, '"currency":"EUR"',
          _from(12, _scale("rate", 1.5, 4))),
    Fault("rates-in-percent", "the USD zero rates are given in percent", RATES.name,
          '"kind":"zero","currency":"USD"', _scale("value", 100)),
    # trades
    *(Fault(name, text, TRADES.name, _chosen_trade(place), edit)
      for place, (name, text, edit) in enumerate(_OF_ONE_TRADE)),
    Fault("lost-trade-feed", "no trade arrives for half an hour from 14:00", TRADES.name, '"id":"T',
          _silence(14, 30)),
    Fault("quarantine-surge", "a tenth of the afternoon's trades have no quantity", TRADES.name, '"id":"T',
          _from(14, _every_tenth_spoilt)),
    # corporate actions
    Fault("split-applied-twice", f"the split of {SPLIT} comes again under another id", ACTIONS.name,
          '"CA-SPLIT"', _again),
    Fault("missing-split", f"the split of {SPLIT} is not announced", ACTIONS.name, '"CA-SPLIT"', _drop),
    Fault("wrong-split-ratio", f"the split of {SPLIT} is 20 for 1", ACTIONS.name, '"CA-SPLIT"',
          _set(numerator=20)),
    Fault("dividend-applied-twice", f"the dividend of {DIVIDEND} comes again under another id", ACTIONS.name,
          '"CA-DIVIDEND"', _again),
    Fault("missing-dividend", f"the dividend of {DIVIDEND} is not announced", ACTIONS.name,
          '"CA-DIVIDEND"', _drop),
    Fault("missing-expiry", "one in-the-money AAPL series does not expire", ACTIONS.name, _series(-1, 0, "put"), _drop),
    Fault("wrong-settlement-price", "the MSFT series expire at a price ten dollars off", ACTIONS.name,
          '"instrument":"MSFT  ', _add("price", 10)),
    # stock record, cash, ledger
    Fault("stock-record-imbalance", "the depository holds a hundred AAPL more than the record", CUSTODY.name,
          '"instrument":"AAPL","kind":"location","location":"depository"',
          _add("quantity", 100)),
    Fault("missing-opening-position", "the opening position of one account is missing", CUSTODY.name,
          '"id":"P000020"', _drop),
    Fault("cash-imbalance", "the opening cash of one account is a million too high", CASH.name,
          '"id":"O00006-USD"', _add("amount", 1_000_000)),
    Fault("ledger-imbalance", "the bank balance is one dollar short", FIRM.name, '"reference":"CASH-USD"',
          _add("amount", -1)),
    Fault("missing-ledger-line", "the firm's equity is not supplied", FIRM.name,
          '"line":"ownership_equity"', _drop),
    # reference data
    Fault("missing-multiplier", "an AAPL series has no multiplier", INSTRUMENTS.name, _named_series(1, 1),
          _without("multiplier")),
    Fault("wrong-multiplier", "an AAPL series has the multiplier 1,000", INSTRUMENTS.name, _named_series(1, 1),
          _set(multiplier=1_000)),
    Fault("bad-isin", "the ISIN of CVX has a wrong check digit", INSTRUMENTS.name, _named("CVX"),
          _wrong_check_digit),
    Fault("bad-lei", "the LEI of one client has wrong check digits", ACCOUNTS.name,
          _last_account,
          _wrong_check_digits),
    Fault("missing-adv", "WMT has no average daily volume", INSTRUMENTS.name, _named("WMT"), _without("adv")),
    Fault("unknown-underlying-class", "the index has no class", INSTRUMENTS.name, _named("SPX"),
          _without("underlying_class")),
)  # fmt: skip

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _CATALOGUE}
"""All named faults."""
