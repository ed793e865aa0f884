"""The firm's own records: where its securities are, its ledger, and what the day's trades leave to settle.

Each shard keeps the effective custody and firm events of its accounts and hands their sums to the firm application at
cuts. Splits reach the locations as they reach positions: what arrived in an earlier epoch is multiplied.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.book import LOCATION, LOCATIONS, OPENING, TRADE
from streaming.apps.corporate_actions import SPLIT, effective
from streaming.apps.growing import Growing
from streaming.apps.rules import rules_in_force
from streaming.apps.sequence import CANCEL
from streaming.apps.settlement import Flows, Terms, openings, trades, with_actions
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.schema import results

_OPENING = ("id_high", "id_low", "account", "instrument", "epoch", "quantity")
_TRADE = (*_OPENING, "price", "fee", "settle", "exercised")
_EXERCISE_THRESHOLD = "positions.exercise_by_exception"
_EPOCH_DAY = date(1970, 1, 1)
_BEFORE = -1
"""Epoch of what former days left: every action of the day applies to it."""

_PENDING = pa.schema([("instrument", pa.int64()), ("settle", pa.int64()), ("quantity", pa.int64())])
_DEPOSITORY = "depository"


def _event_schema(schema: pa.Schema) -> pa.Schema:
    """Book rows without where they came from."""
    return pa.schema([item for item in schema if item.name not in ("ordinal", "partition", "offset")])


_ITEMS, _LEDGER, _CASH = _event_schema(results.CUSTODY), _event_schema(results.FIRM), _event_schema(results.CASH)


@dataclass(slots=True)
class FirmRecordsState:
    """One shard's part of the firm's records."""

    day: int = -1
    exercise_threshold: int = 0
    """Micros in the money from which an expiring option is exercised."""
    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    items: pa.Table = field(default_factory=lambda: _ITEMS.empty_table())
    """Effective changes of the stock record, in the order of their first versions."""
    ledger: pa.Table = field(default_factory=lambda: _LEDGER.empty_table())
    """Effective changes of the balance sheet."""
    cash: pa.Table = field(default_factory=lambda: _CASH.empty_table())
    """The day's effective cash movements."""
    openings: Growing = field(default_factory=lambda: Growing(_OPENING))
    """Positions with which accounts began the day."""
    trades: Growing = field(default_factory=lambda: Growing(_TRADE))
    """The day's effective trades; a cancelled one has quantity, price and fee 0."""
    actions: pa.Table = field(default_factory=results.ACTIONS.empty_table)
    """The day's corporate actions."""
    pending: pa.Table = field(default_factory=lambda: _PENDING.empty_table())
    """What trades of former days still have to settle."""


class FirmRecordsApp:
    """Stock record, ledger and settlement of a shard."""

    name = "firm_records"
    inputs = ("reference", "book")
    sharded = True
    state = FirmRecordsState

    def empty(self, shard: int, shards: int) -> FirmRecordsState:
        return FirmRecordsState()

    def apply(self, state: FirmRecordsState, stretch: Stretch) -> tuple[FirmRecordsState, Mapping[str, pa.Table]]:
        day = (stretch.last.day - _EPOCH_DAY).days
        if day != state.day:
            _begin_day(state, day)
            state.exercise_threshold = rules_in_force(stretch.versions).micros(_EXERCISE_THRESHOLD)
        for table in stretch.tables("reference", "instruments"):
            state.instruments = table
        for table in stretch.tables("reference", "actions"):
            state.actions = table
        for table in stretch.tables("book", "custody"):
            _take(state.openings, _opening_columns(table.filter(pc.equal(table["kind"], OPENING))))
            state.items = _with_events(state.items, table.filter(pc.equal(table["kind"], LOCATION)))
        for table in stretch.tables("book", "firm"):
            state.ledger = _with_events(state.ledger, table)
        for table in stretch.tables("book", "cash"):
            state.cash = _with_events(state.cash, table)
        for table in stretch.tables("book", "trades"):
            _take(state.trades, _trade_columns(table))
        if not stretch.last.cut:
            return state, {}
        flows = _flows(state)
        return state, {
            "items": stock_items(state),
            "ledger": ledger_items(state),
            "cash": cash_movements(state, flows),
            "settlements": settlements(flows),
        }

    def seal(self, state: FirmRecordsState, epoch: Epoch) -> Mapping[str, pa.Table]:
        return {}


def _begin_day(state: FirmRecordsState, day: int) -> None:
    """Former trades settle on their day, at the depository; what fails to is reported by custody events."""
    if state.day >= 0:
        flows = _flows(state)
        left = settlements(flows)
        state.items = _split_items(state)
        settled = pc.less_equal(left["settle"], day)
        state.items = _settled(state.items, left.filter(settled), day)
        state.pending = left.filter(pc.invert(settled))
        state.openings.clear()
        state.openings.append(_by_account(flows))
    state.trades.clear()
    state.day, state.actions, state.cash = day, results.ACTIONS.empty_table(), _CASH.empty_table()


def _opening_columns(table: pa.Table) -> dict[str, np.ndarray]:
    columns = {name: table[name].to_numpy().astype(np.int64) for name in ("account", "instrument", "epoch", "quantity")}
    return columns | _identity(table)


def _trade_columns(table: pa.Table) -> dict[str, np.ndarray]:
    names = ("account", "instrument", "epoch", "quantity", "price", "fee")
    columns = {name: table[name].to_numpy().astype(np.int64) for name in names} | _identity(table)
    columns["settle"] = table["settle_date"].to_numpy().astype(np.int64)
    columns["exercised"] = (table["kind"].to_numpy() != TRADE).astype(np.int64)
    return columns


def _identity(table: pa.Table) -> dict[str, np.ndarray]:
    return {
        "id_high": table["key_high"].to_numpy().view(np.int64),
        "id_low": table["key_low"].to_numpy().view(np.int64),
        "version": table["version"].to_numpy(),
        "live": table["action"].to_numpy() != CANCEL,
    }


def _take(kept: Growing, rows: dict[str, np.ndarray]) -> None:
    """Append new rows; a correct takes its original's place and epoch, a cancel leaves nothing of it.

    A correct of what is none of the day's belongs to a restatement, and is refused where positions are folded.
    """
    version, live = rows.pop("version"), rows.pop("live")
    kept.append({name: column[version == 1] for name, column in rows.items()})
    for i in np.flatnonzero(version > 1).tolist():
        stored = kept.where("id_low", rows["id_low"][i], "id_high", rows["id_high"][i])
        for place in stored.tolist():
            for name in kept.names:
                if name != "epoch":
                    kept[name][place] = rows[name][i]
            if not live[i]:
                for name in set(kept.names) & {"quantity", "price", "fee"}:
                    kept[name][place] = 0


def _with_events(kept: pa.Table, fresh: pa.Table) -> pa.Table:
    """The effective events after ``fresh``; a correct takes its original's place and epoch, a cancel removes it."""
    new = pc.equal(fresh["version"], 1)
    kept = pa.concat_tables([kept, fresh.filter(new).select(kept.column_names)])
    for i in np.flatnonzero(~new.to_numpy()).tolist():
        row = fresh.slice(i, 1).select(kept.column_names)
        same = pc.and_(
            pc.equal(kept["key_low"], row["key_low"][0]), pc.equal(kept["key_high"], row["key_high"][0])
        ).to_numpy()
        if not same.any():
            continue
        place = int(np.argmax(same))
        row = row.set_column(row.column_names.index("epoch"), "epoch", kept["epoch"].slice(place, 1))
        instead = [row] if row["action"][0].as_py() != CANCEL else []
        kept = pa.concat_tables([kept.slice(0, place), *instead, kept.slice(place + 1)])
    return kept.combine_chunks()


def _flows(state: FirmRecordsState) -> Flows:
    """Openings, pending settlements and trades of the day, after its corporate actions."""
    terms = Terms.of(state.instruments)
    rows = openings(state.openings.columns()).joined(_carried(state.pending))
    if len(state.trades):
        rows = rows.joined(trades(state.trades.columns(), terms))
    return with_actions(rows, effective(state.actions), terms, state.exercise_threshold)


def _carried(pending: pa.Table) -> Flows:
    """Securities that settle for trades of former days: no account's any more, and paid for by the ledger."""
    n = pending.num_rows
    none = np.full(n, -1)
    instrument, settle, quantity = (pending[name].to_numpy() for name in ("instrument", "settle", "quantity"))
    return Flows(none, instrument, np.full(n, _BEFORE), quantity, np.zeros(n, np.int64), settle, np.ones(n, bool))


def settlements(flows: Flows) -> pa.Table:
    """What accounts have from trades, exercises and expiries that locations do not show yet; zeros left out."""
    street = flows.street
    table = pa.table(
        {
            "instrument": flows.instrument[street],
            "settle": flows.settle[street],
            "quantity": flows.quantity[street],
        },
        schema=_PENDING,
    )
    sums = _summed(table, ["instrument", "settle"], {"quantity": "sum"})
    return sums.filter(pc.not_equal(sums["quantity"], 0))


def _by_account(flows: Flows) -> dict[str, np.ndarray]:
    """What accounts hold, as openings of the next day."""
    own = flows.account >= 0
    size = int(flows.instrument.max(initial=0)) + 1
    keys, where = np.unique(flows.account[own] * size + flows.instrument[own], return_inverse=True)
    quantity = np.zeros(len(keys), np.int64)
    np.add.at(quantity, where, flows.quantity[own])
    keys, quantity = keys[quantity != 0], quantity[quantity != 0]
    none = np.zeros(len(keys), np.int64)
    columns = (none, none, keys // size, keys % size, np.full(len(keys), _BEFORE), quantity)
    return dict(zip(_OPENING, columns, strict=True))


def _split_items(state: FirmRecordsState) -> pa.Table:
    """The stock record after the day's splits; what is no whole unit is dropped."""
    quantity = state.items["quantity"].to_numpy().copy()
    instrument, epoch = state.items["instrument"].to_numpy(), state.items["epoch"].to_numpy()
    for action in effective(state.actions).to_pylist():
        if action["kind"] == SPLIT:
            rows = (instrument == action["instrument"]) & (epoch < action["epoch"])
            size = np.abs(quantity[rows]) * action["numerator"] // action["denominator"]
            quantity[rows] = np.sign(quantity[rows]) * size
    return _replaced(state.items, "quantity", quantity)


def _replaced(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def _settled(items: pa.Table, left: pa.Table, day: int) -> pa.Table:
    """What has settled lies at the depository: with the first item there of the same security, or as an item."""
    quantity = items["quantity"].to_numpy().copy()
    at_depository = pc.equal(items["location"], _DEPOSITORY).to_numpy()
    fresh = []
    for code, more in zip(left["instrument"].to_pylist(), left["quantity"].to_pylist(), strict=True):
        found = np.flatnonzero(at_depository & (items["instrument"].to_numpy() == code))
        if len(found):
            quantity[found[0]] += more
        else:
            fresh.append({"id": f"settled-{day}-{code}", "instrument": code, "quantity": more})
    plain = {"epoch": _BEFORE, "version": 1, "action": 0, "account": -1, "kind": LOCATION, "location": _DEPOSITORY}
    plain |= {"key_high": 0, "key_low": 0, "cost": 0, "since": -1, "counterparty": "", "account_kind": 0, "sale": 0}
    more_items = pa.Table.from_pylist([plain | row for row in fresh], schema=_ITEMS)
    return pa.concat_tables([_replaced(items, "quantity", quantity), more_items]).combine_chunks()


def stock_items(state: FirmRecordsState) -> pa.Table:
    """The stock record at its locations, changes of one item added up: held or receivable positive, owed negative."""
    items = _split_items(state)
    columns = {name: items[name] for name in ("instrument", "account_kind", "sale", "counterparty", "since")}
    columns["location"] = pc.index_in(items["location"], pa.array(LOCATIONS)).cast(pa.int8())
    keys = list(columns)
    table = pa.table(columns | {"reference": items["id"], "quantity": items["quantity"], "cost": items["cost"]})
    found = _summed(table, keys, {"quantity": "sum", "cost": "sum", "reference": "min"})
    return found.filter(pc.or_(pc.not_equal(found["quantity"], 0), pc.not_equal(found["cost"], 0)))


def ledger_items(state: FirmRecordsState) -> pa.Table:
    """The balance sheet by item, changes of one item added up."""
    table = state.ledger
    unnamed = pc.equal(table["reference"], "")
    reference = pc.if_else(unnamed, table["id"], table["reference"])
    since = pc.if_else(pc.less(table["since"], 0), state.day, table["since"])
    table = _replaced_all(table, {"reference": reference, "since": since})
    keys = ["line", "reference", "currency", "account_kind", "party"]
    return _summed(table, keys, {"amount": "sum", "secured": "sum", "since": "min", "due": "max"})


def _replaced_all(table: pa.Table, columns: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def cash_movements(state: FirmRecordsState, flows: Flows) -> pa.Table:
    """The day's money of accounts by account, currency and kind (a code of ``CASH_KINDS``; -1 = of trading)."""
    moved = np.flatnonzero(flows.money)
    currency = state.instruments["currency"].take(pa.array(flows.instrument[moved]))
    trading = pa.table(
        {
            "account": pa.array(flows.account[moved], pa.int64()),
            "currency": currency,
            "kind": pa.array(np.full(len(moved), -1), pa.int8()),
            "amount": pa.array(flows.money[moved], pa.int64()),
        }
    )
    booked = state.cash.select(["account", "currency", "kind", "amount"]).cast(trading.schema)
    return _summed(pa.concat_tables([trading, booked]), ["account", "currency", "kind"], {"amount": "sum"})


def _summed(table: pa.Table, keys: list[str], measures: Mapping[str, str]) -> pa.Table:
    """One row per key, sorted; sums, or the least of a column."""
    found = table.group_by(keys, use_threads=False).aggregate(list(measures.items()))
    found = found.rename_columns([*keys, *measures])
    return found.sort_by([(name, "ascending") for name in keys]).combine_chunks()
