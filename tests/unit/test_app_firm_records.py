"""Settlement straight from book rows, the firm's records of a shard, and what the book refuses of them."""

from datetime import date

import numpy as np
import orjson
import pyarrow as pa
import pytest

from streaming.apps.book import BookApp
from streaming.apps.corporate_actions import CASH_DIVIDEND, EXPIRY, SPLIT
from streaming.apps.firm_records import FirmRecordsApp, FirmRecordsState
from streaming.apps.rules import versions_in_force
from streaming.apps.sequence import CANCEL, CORRECT, NEW
from streaming.apps.settlement import Flows, Terms, openings, trades, with_actions
from streaming.engine.canonical import encode
from streaming.engine.epochs import Epoch
from streaming.engine.frames import Frame
from streaming.engine.stretch import Position, RawBatch, Stretch
from streaming.risk.money import MICRO
from streaming.risk.reference import Kind
from streaming.schema import raw, results
from tests.unit.capital_books import day
from tests.unit.firm_books import reference_tables

# codes: 0 a stock, 1 a call on it at 100, 2 an index, 3 a put on the index at 3,000
TERMS = Terms(
    kind=np.array([Kind.STOCK, Kind.OPTION, Kind.INDEX, Kind.OPTION]),
    underlying=np.array([0, 0, 2, 2]),
    right=np.array([0, 1, 0, -1]),
    strike=np.array([0, 100, 0, 3_000]) * MICRO,
    multiplier=np.array([1, 100, 1, 100]),
)
THRESHOLD = 10_000


def held(*rows: tuple[int, int, int]) -> Flows:
    """Openings: (account, instrument, quantity)."""
    columns = np.array(rows, np.int64).T
    return openings(
        {"account": columns[0], "instrument": columns[1], "quantity": columns[2], "epoch": np.zeros(len(rows), int)}
    )


def traded(account, instrument, quantity, price, fee=0, exercised=0, epoch=1) -> Flows:
    names = ("account", "instrument", "quantity", "price", "fee", "exercised", "epoch", "settle")
    values = (account, instrument, quantity, price * MICRO, fee * MICRO, exercised, epoch, 99)
    return trades({name: np.array([value], np.int64) for name, value in zip(names, values, strict=True)}, TERMS)


def actions(*rows: dict) -> pa.Table:
    blank = {"numerator": 1, "denominator": 1, "amount": 0, "price": 0, "pay_date": -1, "id": "A"}
    blank |= {"version": 1, "action": NEW}
    return pa.Table.from_pylist([{**blank, **row} for row in rows], schema=results.ACTIONS)


def after(flows: Flows, *rows: dict) -> Flows:
    return with_actions(flows, actions(*rows), TERMS, THRESHOLD)


def net(flows: Flows, instrument: int, street: bool | None = None) -> int:
    chosen = (flows.instrument == instrument) & (True if street is None else flows.street == street)
    return int(flows.quantity[chosen].sum())


def test_a_trade_takes_securities_from_the_street_and_pays_price_and_fee():
    flows = traded(0, 0, 200, 50, fee=3)
    assert (net(flows, 0, street=True), int(flows.money.sum())) == (200, -10_003 * MICRO)


def test_an_exercised_call_brings_the_shares_at_the_strike():
    flows = traded(0, 1, -2, 7, fee=1, exercised=1)
    assert (net(flows, 1), net(flows, 0)) == (-2, 200)
    assert int(flows.money.sum()) == -(200 * 100 + 1) * MICRO


def test_an_exercised_index_put_is_paid_in_cash_and_brings_nothing():
    flows = traded(0, 3, -2, 12, exercised=1)
    assert (net(flows, 3), net(flows, 2)) == (-2, 0)
    assert int(flows.money.sum()) == 2 * 12 * 100 * MICRO


def test_a_split_reaches_what_came_before_it_and_pays_fractions_by_account():
    flows = held((0, 0, 101), (1, 0, -101)).joined(traded(2, 0, 10, 1, epoch=9))
    split = {"epoch": 5, "kind": SPLIT, "instrument": 0, "numerator": 3, "denominator": 2, "price": 20 * MICRO}
    found = after(flows, split)
    by_account = {a: int(found.quantity[found.account == a].sum()) for a in (0, 1, 2)}
    assert by_account == {0: 151, 1: -151, 2: 10}
    assert [int(found.money[found.account == a].sum()) for a in (0, 1)] == [10 * MICRO, -10 * MICRO]


def test_a_dividend_is_paid_on_what_came_before_it():
    flows = held((0, 0, 100), (1, 0, -40)).joined(traded(2, 0, 10, 0, epoch=9))
    found = after(flows, {"epoch": 5, "kind": CASH_DIVIDEND, "instrument": 0, "amount": 2 * MICRO})
    assert int(found.money.sum()) == (100 - 40) * 2 * MICRO


@pytest.mark.parametrize(("settlement", "shares"), [(100.02, 300), (100.0, 0), (90.0, 0)])
def test_an_expiring_call_is_exercised_from_the_threshold_on(settlement, shares):
    found = after(
        held((0, 1, 5), (1, 1, -2)), {"epoch": 5, "kind": EXPIRY, "instrument": 1, "price": round(settlement * MICRO)}
    )
    assert (net(found, 1), net(found, 0)) == (0, shares)
    assert int(found.money.sum()) == -shares * 100 * MICRO


def test_an_expiring_index_put_pays_its_value():
    found = after(held((0, 3, 4)), {"epoch": 5, "kind": EXPIRY, "instrument": 3, "price": 2_990 * MICRO})
    assert (net(found, 3), net(found, 2), int(found.money.sum())) == (0, 0, 4 * 10 * 100 * MICRO)


def test_shares_delivered_at_an_expiry_take_no_part_in_a_split_of_the_same_epoch():
    found = after(
        held((0, 1, 1)),
        {"epoch": 5, "kind": SPLIT, "instrument": 0, "numerator": 2},
        {"epoch": 5, "kind": EXPIRY, "instrument": 1, "price": 120 * MICRO},
    )
    assert net(found, 0) == 100


# the application

_EVENT = {"ordinal": 0, "partition": 0, "offset": 0, "version": 1, "action": 0, "account": 0}


def location(key: int, quantity: int, name: str = "depository", epoch: int = 1, **more) -> dict:
    row = {**_EVENT, "epoch": epoch, "key_high": 0, "key_low": key, "id": f"L{key}", "instrument": 0, "kind": 1}
    row |= {"location": name, "quantity": quantity, "cost": 0, "since": -1, "counterparty": "", "account_kind": 0}
    return {**row, "sale": 0, **more}


def trade(key: int, quantity: int, epoch: int = 2, settle: str = "2020-03-18", **more) -> dict:
    row = {**_EVENT, "epoch": epoch, "key_high": 1, "key_low": key, "id": f"T{key}", "instrument": 0, "kind": 0}
    row |= {"quantity": quantity, "price": 10 * MICRO, "fee": 0, "event_time": 0, "day": 0, "settle_date": day(settle)}
    return {**row, "counterparty": "", "venue": "", **more}


def step(
    state: FirmRecordsState, last: int, book: dict, cut: bool = True, on: date = date(2020, 3, 16), acts=()
) -> dict:
    """Apply one stretch that ends at epoch ``last``; the rows it makes."""
    schemas = {"custody": results.CUSTODY, "trades": results.TRADES}
    tables = {name: pa.Table.from_pylist(rows, schema=schemas[name]) for name, rows in book.items()}
    reference = reference_tables() | ({"actions": actions(*acts)} if acts else {})
    frames = {"reference": [Frame(last, last, reference)], "book": [Frame(last, last, tables)]}
    epoch = Epoch(last, 0, on, {}, "s" if cut else "", "c" if cut else "")
    versions = versions_in_force(date(2026, 11, 1), "test")
    _, rows = FirmRecordsApp().apply(state, Stretch(last, epoch, versions, {}, frames, Position()))
    return {name: table.to_pylist() for name, table in rows.items()}


SPLIT_AT_3 = {"epoch": 3, "kind": SPLIT, "instrument": 0, "numerator": 2}


def test_a_split_reaches_the_locations_that_came_before_it():
    state = FirmRecordsState()
    book = {"custody": [location(1, 700), location(2, 50, "box", epoch=4)]}
    items = step(state, 5, book, acts=[SPLIT_AT_3])["items"]
    assert {row["reference"]: row["quantity"] for row in items} == {"L1": 1_400, "L2": 50}


def test_trades_of_accounts_leave_a_settlement_and_a_split_reaches_it():
    found = step(FirmRecordsState(), 5, {"trades": [trade(1, 30), trade(2, -10)]}, acts=[SPLIT_AT_3])
    assert found["settlements"] == [{"instrument": 0, "settle": day("2020-03-18"), "quantity": 40}]
    assert found["cash"] == [{"account": 0, "currency": "USD", "kind": -1, "amount": -200 * MICRO}]


def test_a_corrected_split_reaches_locations_and_settlements_and_a_cancelled_one_nothing():
    book = {"custody": [location(1, 700)], "trades": [trade(1, 30)]}
    state = FirmRecordsState()
    step(state, 4, book, acts=[SPLIT_AT_3 | {"numerator": 20}])
    found = step(state, 6, {}, acts=[SPLIT_AT_3 | {"version": 2, "action": CORRECT}])
    assert ([row["quantity"] for row in found["items"]], found["settlements"][0]["quantity"]) == ([1_400], 60)
    found = step(state, 8, {}, acts=[SPLIT_AT_3 | {"version": 3, "action": CANCEL}])
    assert ([row["quantity"] for row in found["items"]], found["settlements"][0]["quantity"]) == ([700], 30)


def test_a_correct_takes_its_originals_place_and_a_cancel_leaves_nothing():
    state = FirmRecordsState()
    step(state, 2, {"custody": [location(1, 700)], "trades": [trade(1, 30), trade(2, 5)]})
    again = {
        "custody": [location(1, 600, epoch=4, version=2, action=1)],
        "trades": [trade(1, 20, epoch=4, version=2, action=1), trade(2, 5, epoch=4, version=2, action=2)],
    }
    found = step(state, 5, again, acts=[SPLIT_AT_3])
    assert [row["quantity"] for row in found["items"]] == [1_200]
    assert [row["quantity"] for row in found["settlements"]] == [40]


def test_how_the_epochs_are_divided_into_stretches_changes_nothing():
    once, twice = FirmRecordsState(), FirmRecordsState()
    first, second = trade(1, 30), trade(1, 20, epoch=3, version=2, action=1)
    third = trade(2, 5, epoch=4)
    step(once, 4, {"trades": [first, second, third]})
    step(twice, 3, {"trades": [first, second]}, cut=False)
    step(twice, 4, {"trades": [third]})
    assert encode(once) == encode(twice)


def test_securities_settle_at_the_depository_on_their_day():
    state = FirmRecordsState()
    step(state, 2, {"custody": [location(1, 700)], "trades": [trade(1, 30)]})
    found = step(state, 3, {}, on=date(2020, 3, 17))
    assert ([row["quantity"] for row in found["items"]], len(found["settlements"])) == ([700], 1)
    found = step(state, 4, {}, on=date(2020, 3, 18))
    assert ([row["quantity"] for row in found["items"]], len(found["settlements"])) == ([730], 0)


# what the book refuses


def refused(topic, **event) -> list[str]:
    """Reasons for which the book quarantines an event."""
    texts = {
        "schema": 1,
        "id": "X1",
        "version": 1,
        "action": "new",
        "account": "A0",
        "event_time": "2020-03-16T14:00:00Z",
    }
    payload = orjson.dumps({**texts, "business_date": "2020-03-16", **event})
    one = np.zeros(1, np.int64)
    batches = {feed.name: [RawBatch(feed.name, 0, one[:0], one[:0], one[:0], [])] for feed in raw.ACCOUNT_FEEDS}
    batches[topic.name] = [RawBatch(topic.name, 0, one, one, one, [payload])]
    app = BookApp()
    epoch = Epoch(0, 0, date(2020, 3, 16), {}, "s")
    reference = [Frame(0, 0, reference_tables())]
    cut = Stretch(0, epoch, versions_in_force(date(2026, 11, 1), "test"), batches, {"reference": reference}, Position())
    _, rows = app.apply(app.empty(0, 1), cut)
    return rows["quarantine"]["reason"].to_pylist() if "quarantine" in rows else []


SHARES = {"instrument": "AAA", "kind": "trade", "side": "sell", "price": 10, "fee": 0, "settle_date": "2020-03-18"}


@pytest.mark.parametrize(("quantity", "reasons"), [(5, []), (0, ["absurd size"]), (-5, ["absurd size"])])
def test_the_quantity_of_a_trade_is_positive_whatever_its_side(quantity, reasons):
    assert refused(raw.TRADES, **SHARES, counterparty="B", quantity=quantity) == reasons


PLACE = {"instrument": "AAA", "kind": "location", "location": "box", "quantity": 5}
ITEM = {"line": "payable", "currency": "USD", "amount": 5}


@pytest.mark.parametrize(
    ("topic", "event", "reasons"),
    [
        (raw.CUSTODY, PLACE, []),
        (raw.CUSTODY, PLACE | {"account_kind": "client"}, ["unknown account kind"]),
        (raw.CUSTODY, PLACE | {"sale": "naked"}, ["unknown sale"]),
        (raw.FIRM, ITEM, []),
        (raw.FIRM, ITEM | {"line": "goodwill"}, ["unknown line"]),
        (raw.FIRM, ITEM | {"party": "friend"}, ["unknown party"]),
        (raw.FIRM, ITEM | {"secured": -1}, ["bad amount"]),
    ],
)
def test_the_book_refuses_records_of_unknown_kinds(topic, event, reasons):
    assert refused(topic, **event) == reasons
