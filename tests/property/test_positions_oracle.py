"""Positions against an independent oracle: a slow, plain Decimal loop over the raw events."""

import tempfile
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.apps.routing import shard_of
from tests.kit import tiny_day
from tests.kit.tiny_day import ACCOUNTS, OPTION, STOCKS, TinyDay

MULTIPLIER = {OPTION: 100}
STRIKE = Decimal(10)
MICRO = Decimal("0.000001")


def rounded(value: Decimal) -> Decimal:
    return value.quantize(MICRO, rounding=ROUND_HALF_UP)


class Oracle:
    """Accepts events one by one, as a careful clerk would, and folds each position from the start of the day."""

    def __init__(self, steps):
        self.trades: dict[str, dict[int, tuple]] = defaultdict(dict)
        self.waiting: list[tuple] = []
        self.places: dict[str, tuple] = {}
        self.events: dict[tuple, list] = defaultdict(list)
        self.actions: dict[str, dict[int, dict]] = defaultdict(dict)
        self.action_places: dict[str, tuple] = {}
        self.actions_waiting: list[tuple] = []
        self.first_set = 0
        self.cash: dict[str, dict[int, dict]] = defaultdict(dict)
        self.cash_waiting: list[tuple] = []
        self.opened: set[str] = set()
        ordinals: dict[tuple, int] = defaultdict(int)
        for number, (events, mark) in enumerate(steps, start=1):
            for wanted in ("actions", "cash", "custody", "trades"):
                batch = []
                for topic, account, payload in events:
                    if topic == wanted:
                        where = topic, shard_of(account, tiny_day.SHARDS) if account else 0
                        batch.append((ordinals[where], where, orjson.loads(payload)))
                        ordinals[where] += 1
                for ordinal, _, event in sorted(batch, key=lambda item: (item[1], item[0])):
                    getattr(self, f"take_{wanted}")(number, ordinal, event)
            if mark and not self.first_set:
                self.first_set = number

    def take_actions(self, number, ordinal, event):
        self.actions_waiting.append((number, ordinal, event))
        for number, _, event in self.acceptable(self.actions_waiting, self.actions):
            late = event["kind"] != "expiry" and self.first_set
            place = self.first_set if late else number, 0, len(self.action_places)
            self.action_places.setdefault(event["id"], place)

    @staticmethod
    def acceptable(waiting, known):
        """Take what can be taken out of ``waiting`` into the versions ``known`` by id, one by one."""
        moved = True
        while moved:
            moved = False
            for item in sorted(waiting, key=lambda entry: entry[:2]):
                versions, version = known[item[2]["id"]], item[2]["version"]
                before = versions.get(version - 1)
                if version in versions or (before is not None and before["action"] == "cancel"):
                    waiting.remove(item)  # a duplicate, a conflict, or a correction of something cancelled
                elif version == 1 or before is not None:
                    versions[version] = item[2]
                    waiting.remove(item)
                    yield item
                    moved = True
                    break

    def take_cash(self, number, ordinal, event):
        self.cash_waiting.append((number, ordinal, event))
        list(self.acceptable(self.cash_waiting, self.cash))

    def take_custody(self, number, ordinal, event):
        if event["id"] not in self.opened:
            self.opened.add(event["id"])
            key = event["account"], event["instrument"]
            self.events[key].append(
                ((number, 1, ordinal), "open", event["quantity"], Decimal(event["cost"]), Decimal(0))
            )

    def take_trades(self, number, ordinal, event):
        self.waiting.append((number, ordinal, event))
        for number, ordinal, event in self.acceptable(self.waiting, self.trades):
            self.places.setdefault(event["id"], (number, 2, ordinal))

    def positions(self) -> dict[tuple, tuple[int, Decimal, Decimal, Decimal]]:
        """(account, instrument) -> quantity, cost, realised, flow."""
        for id_, versions in self.trades.items():
            if not versions:
                continue
            last = versions[max(versions)]
            keys = {(event["account"], event["instrument"]) for event in versions.values()}
            for key in keys:
                self.events[key]  # a key that was touched has a row, even when nothing is left of it
            if last["action"] != "cancel":
                quantity = last["quantity"] * (1 if last["side"] == "buy" else -1)
                event = (self.places[id_], "trade", quantity, Decimal(str(last["price"])), Decimal(last["fee"]))
                self.events[last["account"], last["instrument"]].append(event)
        found = {}
        for key in sorted(self.events, key=lambda k: k[1] != OPTION):
            found[key] = self.fold(key)
        for key in list(self.events):
            if key not in found:
                found[key] = self.fold(key)
        return found

    @staticmethod
    def before(place, expired):
        """Whatever comes behind an expiry counts before it."""
        return place if expired is None or place[0] < expired else (expired, place[1] - 4, place[2])

    def fold(self, key):
        account, instrument = key
        multiplier = MULTIPLIER.get(instrument, 1)
        newest = [
            (self.action_places[id_], versions[max(versions)]) for id_, versions in self.actions.items() if versions
        ]
        own = [
            (place, event["kind"], event)
            for place, event in newest
            if event["instrument"] == instrument and event["action"] != "cancel"
        ]
        quantity, cost, realised, flow = 0, Decimal(0), Decimal(0), Decimal(0)
        expired = min((place[0] for place, kind, _ in own if kind == "expiry"), default=None)
        events = [(self.before(place, expired), *rest) for place, *rest in self.events[key]]
        for place, kind, *rest in sorted([*own, *events], key=lambda item: item[0]):
            if kind == "open":
                quantity, cost = quantity + rest[0], cost + rest[1]
            elif kind in ("trade", "deliver"):
                size, price, fee = rest
                flow -= size * price * multiplier + fee
                closed = min(abs(quantity), abs(size)) if quantity * size < 0 else 0
                if closed:
                    released = rounded(cost * closed / abs(quantity))
                    sign = 1 if quantity > 0 else -1
                    realised += sign * closed * price * multiplier - released
                    cost -= released
                opened = size + closed * (1 if quantity > 0 else -1)
                quantity, cost = quantity + size, cost + opened * price * multiplier
            elif kind == "split":
                total = abs(quantity) * rest[0]["numerator"]
                whole, part = divmod(total, rest[0]["denominator"])
                if part:
                    released = rounded(cost * part / total)
                    sign = 1 if quantity > 0 else -1
                    paid = sign * rounded(Decimal(rest[0]["price"]) * part / rest[0]["denominator"])
                    flow, realised, cost = flow + paid, realised + paid - released, cost - released
                quantity = whole if quantity >= 0 else -whole
            elif kind == "cash_dividend":
                flow += quantity * Decimal(rest[0]["amount"])
            elif kind == "expiry":
                realised -= cost
                if Decimal(rest[0]["price"]) > STRIKE and quantity:
                    place = (place[0], 3, place[2])
                    self.events[account, "AAA"].append((place, "deliver", quantity * 100, STRIKE, Decimal(0)))
                quantity, cost = 0, Decimal(0)
        return quantity, cost, realised, flow


@st.composite
def events(draw) -> tuple[str, str, bytes]:
    kind = draw(st.sampled_from(["trade"] * 6 + ["correct", "cancel", "cash", "opening", "action", "action"]))
    account, instrument = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from([*STOCKS, OPTION]))
    number = draw(st.integers(0, 15))
    if kind == "cash":
        version, action = draw(st.sampled_from([(1, "new"), (1, "new"), (2, "correct"), (3, "correct"), (2, "cancel")]))
        more = {"version": version, "action": action}
        id_ = f"C{number % 4}-{account}"
        return "cash", account, tiny_day.cash(id_, account, draw(st.sampled_from(["5", "-7.25"])), **more)
    if kind == "opening":
        cost = draw(st.sampled_from(["77.77", "-0.000001", "100"]))
        id_ = f"O{number}-{account}-{instrument}"
        return "custody", account, tiny_day.opening(id_, account, instrument, draw(st.integers(-50, 50)), cost)
    if kind == "action":
        name = draw(st.sampled_from(["split", "cash_dividend", "expiry"]))
        version, action = draw(st.sampled_from([(1, "new"), (1, "new"), (2, "correct"), (3, "correct"), (2, "cancel")]))
        fields = {"id": f"CA{draw(st.integers(0, 3))}", "kind": name, "version": version, "action": action}
        stock, ratio = draw(st.sampled_from(["AAA", "AAA", "BBB"])), draw(st.sampled_from([(3, 2), (2, 1)]))
        fields |= {"instrument": OPTION if name == "expiry" else stock, "numerator": ratio[0], "denominator": ratio[1]}
        return "actions", "", tiny_day.event(**fields, amount="0.25", price=draw(st.sampled_from(["11.5", "9"])))
    account, version = ACCOUNTS[number % len(ACCOUNTS)], 1 if kind == "trade" else draw(st.integers(2, 3))
    side, price = draw(st.sampled_from(["buy", "sell"])), draw(st.sampled_from(["1.01", "10", "9.999999"]))
    more = {"version": version, "action": "new" if kind == "trade" else kind}
    return (
        "trades",
        account,
        tiny_day.trade(f"T{number}", account, instrument, side, draw(st.integers(1, 300)), price, **more),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.lists(events(), max_size=8), st.sampled_from(["", "", "set"])), max_size=8))
def test_positions_equal_a_plain_decimal_loop(batches):
    steps = [*batches, ([], "cut")]
    jobs = tiny_day.account_jobs()
    with tempfile.TemporaryDirectory() as folder:
        log = TinyDay(steps, jobs).write(Path(folder))
        (cut,) = tiny_day.run(log, jobs)
        log.close()
    oracle = Oracle(steps)
    expected = oracle.positions()
    found = {
        (row["account"], row["instrument"]): (row["quantity"], row["cost"], row["realised"], row["flow"])
        for row in cut.tables["positions"].to_pylist()
    }
    nothing = (0, Decimal(0), Decimal(0), Decimal(0))
    assert {key: value for key, value in found.items() if value != nothing} == {
        key: value for key, value in expected.items() if value != nothing
    }
    balances = defaultdict(Decimal)
    for last in (versions[max(versions)] for versions in oracle.cash.values() if versions):
        balances[last["account"]] += Decimal(last["amount"]) if last["action"] != "cancel" else 0
    for (account, _), (_, _, _, flow) in expected.items():
        balances[account] += flow
    amounts = {row["account"]: row["amount"] for row in cut.tables["cash"].to_pylist() if row["amount"]}
    assert amounts == {account: amount for account, amount in balances.items() if amount}
