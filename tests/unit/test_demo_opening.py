"""The opening balances, checked from the messages alone."""

from collections import Counter, defaultdict
from decimal import Decimal

import orjson
import pytest

from streaming.demo import DaySpec, generate, small_day
from streaming.demo.world import build
from streaming.risk.capital.inputs import Line

ASSETS = {
    Line.CASH, Line.RECEIVABLE, Line.DIVIDEND_RECEIVABLE, Line.FIXED_ASSET, Line.PREPAID, Line.MEMBERSHIP,
    Line.CLEARING_DEPOSIT, Line.RESERVE_DEPOSIT, Line.OPTION_MARGIN, Line.REVERSE_REPO,
}  # fmt: skip


def before_the_open(spec: DaySpec) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = defaultdict(list)
    for chunk in generate(spec):
        for name in ("instruments", "accounts", "custody", "cash", "firm", "prices"):
            if name in chunk.topics:
                found[name] += [orjson.loads(payload) for payload in chunk.topics[name].payload]
        if "firm" in found and "prices" in found:
            return found
    raise AssertionError("no opening found")


def exact(value: float) -> Decimal:
    return Decimal(repr(value))


@pytest.fixture(scope="module", params=[small_day(), small_day(seed=3), DaySpec(trades=1_000, prices=0, seed=5)])
def opening(request):
    return before_the_open(request.param)


def test_by_security_the_accounts_equal_the_locations(opening):
    balance: Counter[str] = Counter()
    for event in opening["custody"]:
        balance[event["instrument"]] += event["quantity"] if event["kind"] == "opening" else -event["quantity"]
    assert len(balance) > 100
    assert {name: left for name, left in balance.items() if left} == {}


def test_locations_have_the_sign_of_their_kind(opening):
    options = {event["id"] for event in opening["instruments"] if event["kind"] == "option"}
    for event in opening["custody"]:
        if event["kind"] == "location" and event["instrument"] not in options:
            owed = event["location"] in ("borrowed", "fail_to_deliver")
            assert (event["quantity"] < 0) == owed
            assert event["account"] == "HOUSE"
            assert event["cost"] >= 0


def test_locations_of_every_kind_and_fails_of_several_ages_are_there(opening):
    locations = Counter(event["location"] for event in opening["custody"] if event["kind"] == "location")
    assert set(locations) == {
        "box", "depository", "segregated", "loaned", "borrowed", "pledged", "fail_to_deliver", "fail_to_receive",
        "transfer",
    }  # fmt: skip
    assert len({e["since"] for e in opening["custody"] if str(e.get("location")).startswith("fail")}) >= 4


def test_assets_equal_liabilities_and_equity_in_each_currency(opening):
    prices = {e["instrument"]: exact(e["last"]) for e in opening["prices"] if e["kind"] == "previous_close"}
    multiplier = {event["id"]: event.get("multiplier", 1) for event in opening["instruments"]}
    net: dict[str, Decimal] = defaultdict(Decimal)
    for event in opening["firm"]:
        amount = exact(event["amount"])
        net[event["currency"]] += amount if event["line"] in ASSETS else -amount
    for event in opening["custody"]:
        if event["kind"] == "location":
            paid = event["location"] in ("borrowed", "fail_to_deliver")
            net["USD"] += exact(event["cost"]) if paid else -exact(event["cost"])
        elif event["account"] == "HOUSE":
            net["USD"] += event["quantity"] * prices[event["instrument"]] * multiplier[event["instrument"]]
    for event in opening["cash"]:
        if event["kind"] == "opening":
            net[event["currency"]] -= exact(event["amount"])
    assert dict(net) == {"USD": 0, "EUR": 0}


def test_every_line_of_the_ledger_is_one_that_capital_knows(opening):
    assert {event["line"] for event in opening["firm"]} <= set(Line)
    assert all(event["amount"] >= 0 for event in opening["firm"])


def test_short_proceeds_are_the_proceeds_of_the_short_shares(opening):
    options = {event["id"] for event in opening["instruments"] if event["kind"] == "option"}
    owed: dict[str, Decimal] = defaultdict(Decimal)
    for event in opening["custody"]:
        if event["kind"] == "opening" and event["quantity"] < 0 and event["instrument"] not in options:
            owed[event["account"]] -= exact(event["cost"])
    told = {e["account"]: exact(e["short_proceeds"]) for e in opening["cash"] if e.get("short_proceeds")}
    assert told == owed


def test_equity_is_sensible_and_exactly_one_account_is_unsecured_after_the_fall():
    world = build(DaySpec())
    market, held = world.universe, world.opening
    quantity = held.quantity * (1 + (held.instrument == market.row("UNH")))
    value = quantity * world.close[held.instrument] * market.multiplier[held.instrument]
    equity = Counter(dict(enumerate(held.cash.tolist())))
    for account, amount in zip(held.account.tolist(), value.tolist()):
        equity[account] += amount
    negative = [world.account_ids[account] for account, amount in equity.items() if amount < 0]
    assert negative == ["A0000"]


def test_clients_are_of_all_kinds_and_both_margin_regimes():
    accounts = before_the_open(small_day())["accounts"]
    assert Counter(event["kind"] for event in accounts) == {"customer": 20, "pab": 3, "non_customer": 2, "house": 1}
    assert {event["margin_type"] for event in accounts} == {"reg_t", "portfolio", "cash"}
    strategies = {event["strategy"] for event in accounts if event["kind"] == "customer"}
    assert strategies == {
        "long_short", "option_writer", "market_neutral", "covered_call", "retail", "concentrated", "cash_only",
    }  # fmt: skip
    assert len({event["client"] for event in accounts}) < len(accounts)


def test_nobody_holds_options_on_the_stock_that_splits(opening):
    assert not [event for event in opening["custody"] if event["instrument"].startswith("UNH ")]


@pytest.mark.parametrize("seed", [1, 5, 9, 13, 15])
def test_nobody_holds_overnight_what_is_listed_during_the_day(seed):
    world = build(DaySpec(accounts=12, trades=100, prices=0, seed=seed))
    assert (world.universe.listed[world.opening.instrument] < world.day.open).all()
