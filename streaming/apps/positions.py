"""Positions and cash: every accepted event folded into quantity, cost basis, realised result and cash flow.

The day's events are kept by place (epoch, feed, ordinal). A correct takes its original's place, a cancel removes it,
and what it touched is folded again from the opening of the day: positions are as if the error had never happened. So
with corporate actions: one that is corrected, or comes late, folds every position in its instrument again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.book import OPENING, TRADE
from streaming.apps.corporate_actions import CASH_DIVIDEND, EXPIRY, SPLIT
from streaming.apps.growing import Growing
from streaming.apps.rules import rules_in_force
from streaming.apps.sequence import CANCEL
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.positions import fold as folding
from streaming.risk.positions.fold import COST, FLOW, MEASURES, OPEN_COST, OPEN_QUANTITY, QUANTITY, FoldEvents, fold
from streaming.risk.reference import Kind
from streaming.schema import results, sealed

_EVENT = (
    "key",
    "epoch",
    "rank",
    "ordinal",
    "kind",
    "quantity",
    "price",
    "amount",
    "denominator",
    "source",
    "id_high",
    "id_low",
    "version",
    "settle_date",
)
_RANKS = 4
_RANK_ACTION, _RANK_CUSTODY, _RANK_TRADE, _RANK_DELIVERY = range(_RANKS)
"""Order inside an epoch; in the fold ``_RANKS`` less stands before that epoch's actions."""
_NO_SOURCE = -1
_STATIC_DELIVERY = -2
"""The underlying's leg of an exercise or assignment that came as an event of its own."""
CODE = 1 << 32
_OVERFLOW = "overflow of a sum"


_CASH = pa.schema([("account", pa.int32()), ("currency", pa.string()), ("amount", pa.int64())])
_UNSETTLED = pa.schema([*_CASH, ("settle_date", pa.int32())])
_CASH_EVENTS = pa.schema(
    [
        ("high", pa.uint64()),
        ("low", pa.uint64()),
        ("account", pa.int32()),
        ("currency", pa.string()),
        ("amount", pa.int64()),
        ("settle_date", pa.int32()),
        ("opening", pa.bool_()),
    ]
)


@dataclass(slots=True)
class PositionsState:
    """One shard's positions and cash. Keys are account code x 2^32 + instrument code, ascending."""

    day: int = -1
    exercise_threshold: int = 0
    """Micros in the money from which an expiring option is exercised."""
    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    measures: np.ndarray = field(default_factory=lambda: np.empty((0, MEASURES), np.int64))
    opening: np.ndarray = field(default_factory=lambda: np.empty((0, MEASURES), np.int64))
    """The measures with which the day began."""
    events: Growing = field(default_factory=lambda: Growing(_EVENT))
    """The day's effective events."""
    trades: pa.Table = field(default_factory=results.TRADES.empty_table, metadata={"locator": True})
    """The day's accepted trades, every version; what they amount to is in ``events``."""
    actions: pa.Table = field(default_factory=results.ACTIONS.empty_table)
    """The day's corporate actions, as the reference has them; row number = ordinal of their events."""
    cash_ids: pa.Table = field(default_factory=lambda: _CASH_EVENTS.empty_table())
    """The day's effective cash movements."""
    cash: pa.Table = field(default_factory=lambda: _CASH.empty_table())
    """Cash with which the day began, by account and currency."""
    unsettled: pa.Table = field(default_factory=lambda: _UNSETTLED.empty_table())
    """Flows of former days that settle later: account, currency, settle date, amount."""
    rejects: pa.Table = field(default_factory=lambda: sealed.REJECTS.arrow.empty_table())


class PositionsApp:
    """Book rows into positions and cash."""

    name = "positions"
    inputs = ("reference", "book")
    sharded = True
    state = PositionsState

    def empty(self, shard: int, shards: int) -> PositionsState:
        return PositionsState()

    def apply(self, state: PositionsState, stretch: Stretch) -> tuple[PositionsState, Mapping[str, pa.Table]]:
        day = (stretch.last.day - _EPOCH_DAY).days
        if day != state.day:
            _begin_day(state, day)
            state.exercise_threshold = rules_in_force(stretch.versions).micros(_EXERCISE_THRESHOLD)
        for table in stretch.tables("reference", "instruments"):
            state.instruments = table
        for table in stretch.tables("reference", "accounts"):
            state.accounts = table
        for table in stretch.tables("book", "cash"):
            _take_cash(state, table)
        fresh, again = _fresh_events(state, stretch)
        if len(fresh["key"]) or len(again):
            _fold(state, fresh, again)
        if not stretch.last.marked:
            return state, {}
        return state, {"holdings": holdings(state), "cash": cash_balances(state)}

    def seal(self, state: PositionsState, epoch: Epoch) -> Mapping[str, pa.Table]:
        tables = {
            "positions": build(sealed.POSITIONS, _position_columns(state)),
            "cash": build(sealed.CASH, _cash_columns(state)),
            "rejects": state.rejects,
        }
        if epoch.cut.endswith("/eod"):
            tables["trades"] = build(sealed.TRADES, _trade_columns(state))
        return tables


_EPOCH_DAY = date(1970, 1, 1)
_EXERCISE_THRESHOLD = "positions.exercise_by_exception"


def holdings(state: PositionsState) -> pa.Table:
    """Every position touched today or open: the measures by account and instrument code, sorted."""
    columns = [state.keys // CODE, state.keys % CODE, *state.measures.T]
    return pa.Table.from_arrays([pa.array(np.ascontiguousarray(c)) for c in columns], names=HOLDINGS)


HOLDINGS = ["account", "instrument", "quantity", "cost", "open_quantity", "open_cost", "realised", "fees", "dividends"]
HOLDINGS += ["flow", "bought", "sold"]


def cash_balances(state: PositionsState) -> pa.Table:
    """Trade-date cash by account and currency: what the day began with, movements, and the flows of trading."""
    n, moves, later = len(state.keys), state.cash_ids, state.unsettled
    short = (state.measures[:, QUANTITY] < 0) & ~_is_option(state, state.keys)
    proceeds = np.where(short, -state.measures[:, COST], 0)
    moved = moves["amount"].to_numpy()
    settled = np.where(moves["settle_date"].to_numpy() <= state.day, moved, 0)
    traded = state.instruments["currency"].combine_chunks().take(pa.array(state.keys % CODE))
    parts = (
        (
            state.cash["account"],
            state.cash["currency"],
            state.cash["amount"].to_numpy(),
            state.cash["amount"].to_numpy(),
        ),
        (moves["account"], moves["currency"], moved, settled),
        (later["account"], later["currency"], np.zeros(len(later), np.int64), -later["amount"].to_numpy()),
        (pa.array(state.keys // CODE), traded, state.measures[:, FLOW], np.zeros(n, np.int64)),
    )
    account = np.concatenate([np.asarray(part[0], np.int64) for part in parts])
    currency = pa.concat_arrays([c for part in parts for c in _chunks(part[1])]).dictionary_encode()
    names = sorted(currency.dictionary.to_pylist())
    rank = np.array([names.index(name) for name in currency.dictionary.to_pylist()], np.int64)
    keys, rows = np.unique(account * CODE + rank[currency.indices.to_numpy()], return_inverse=True)
    amount, paid, credit = (np.zeros(len(keys), np.int64) for _ in range(3))
    np.add.at(amount, rows, np.concatenate([part[2] for part in parts]))
    np.add.at(paid, rows, np.concatenate([part[3] for part in parts]))
    np.add.at(credit, rows[len(rows) - n :], proceeds)
    columns = [pa.array(keys // CODE), pa.array(names, pa.string()).take(pa.array(keys % CODE))]
    columns += [pa.array(amount), pa.array(paid), pa.array(credit)]
    return pa.Table.from_arrays(columns, names=["account", "currency", "amount", "settled", "short_proceeds"])


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _begin_day(state: PositionsState, day: int) -> None:
    """Yesterday's end is today's beginning: the day's measures start again, its flows become balances."""
    if state.day >= 0:
        currency = state.instruments.column("currency").to_numpy(zero_copy_only=False)
        balances = cash_balances(state)
        later = _later_flows(state, currency, day)
        state.cash = balances.select(["account", "currency", "amount"]).cast(_CASH)
        state.unsettled = pa.concat_tables([state.unsettled, later]).filter(
            pc.greater(pa.concat_tables([state.unsettled, later])["settle_date"], day)
        )
    state.day = day
    kept = state.measures[:, QUANTITY] != 0
    state.keys, state.measures = state.keys[kept], state.measures[kept]
    for column in range(MEASURES):
        if column not in (QUANTITY, COST):
            state.measures[:, column] = 0
    state.measures[:, OPEN_QUANTITY] = state.measures[:, QUANTITY]
    state.measures[:, OPEN_COST] = state.measures[:, COST]
    state.opening = state.measures.copy()
    state.events.clear()
    state.trades = results.TRADES.empty_table()
    state.actions = results.ACTIONS.empty_table()
    state.cash_ids = _CASH_EVENTS.empty_table()
    state.rejects = sealed.REJECTS.arrow.empty_table()


def _later_flows(state: PositionsState, currency: np.ndarray, day: int) -> pa.Table:
    """The part of the ending day's trade flows that settles after ``day``, and cash movements likewise."""
    events = state.events
    rows = np.flatnonzero((events["kind"] == folding.TRADE) & (events["settle_date"] > day))
    key = events["key"][rows]
    multiplier = state.instruments.column("multiplier").to_numpy()[key % CODE]
    amount = -events["quantity"][rows] * events["price"][rows] * multiplier - events["amount"][rows]
    trades = pa.table(
        {
            "account": key // CODE,
            "currency": currency[key % CODE],
            "amount": amount,
            "settle_date": events["settle_date"][rows],
        }
    )
    moves = state.cash_ids.filter(pc.greater(state.cash_ids["settle_date"], day))
    return pa.concat_tables([trades.cast(_UNSETTLED), moves.select(_UNSETTLED.names).cast(_UNSETTLED)])


def _take_cash(state: PositionsState, rows: pa.Table) -> None:
    """Movements by id, sorted by it: the newest version of each counts, a cancelled one is gone.

    A correct of a movement that is none of the day's is refused: it belongs to a restatement of that movement's date.
    """
    rows = _of_the_day(state, rows)
    names = ("key_high", "key_low", "account", "currency", "amount", "settle_date")
    columns = [*(rows[name] for name in names), pc.equal(rows["kind"], 0)]
    fresh = pa.Table.from_arrays(columns, schema=_CASH_EVENTS)
    high, low = (np.concatenate([state.cash_ids[name].to_numpy(), fresh[name].to_numpy()]) for name in ("high", "low"))
    live = np.concatenate([np.ones(len(state.cash_ids), bool), rows["action"].to_numpy() != CANCEL])
    order = np.lexsort((np.arange(len(high)), low, high))
    newest = np.append((high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1]), True)
    kept = order[newest]
    both = pa.concat_tables([state.cash_ids, fresh])
    state.cash_ids = both.take(pa.array(kept[live[kept]])).combine_chunks()


def _of_the_day(state: PositionsState, rows: pa.Table) -> pa.Table:
    """Cash events without the corrections of earlier dates, which are rejected."""
    later = rows["version"].to_numpy() > 1
    if not later.any():
        return rows
    known = set(zip(state.cash_ids["high"].to_pylist(), state.cash_ids["low"].to_pylist(), strict=True))
    ids = list(zip(rows["key_high"].to_pylist(), rows["key_low"].to_pylist(), strict=True))
    known |= {id_ for id_, again in zip(ids, later.tolist(), strict=True) if not again}
    strange = np.array([id_ not in known for id_ in ids])
    refused = rows.filter(pa.array(strange))
    columns = {
        "account": _texts(state.accounts, refused["account"].to_numpy()),
        "instrument": pa.array([""] * len(refused), pa.string()),
        "epoch": refused["epoch"],
        "ordinal": refused["ordinal"],
        "reason": pa.array(["corrects a movement of an earlier business date"] * len(refused), pa.string()),
    }
    state.rejects = pa.concat_tables([state.rejects, build(sealed.REJECTS, columns)])
    return rows.filter(pa.array(~strange))


def _fresh_events(state: PositionsState, stretch: Stretch) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The stretch's events in fold form, and the keys that corrections touched (to be folded again)."""
    parts: list[dict[str, np.ndarray]] = []
    again: list[np.ndarray] = []
    known = state.keys
    changed, touched = _take_actions(state, stretch)
    again.append(touched)
    for table in stretch.tables("book", "custody"):
        opening = table.filter(pc.equal(table["kind"], OPENING))
        parts.append(_custody_events(opening))
    for table in stretch.tables("book", "trades"):
        state.trades = pa.concat_tables([state.trades, table])
        parts.append(_trade_events(state, table))
        parts.append(_exercise_legs(state, table))
    fresh = _joined(parts)
    again.append(_replace_corrected(state, fresh))
    live = fresh.pop("live")
    fresh = {name: column[live] for name, column in fresh.items()}
    again.append(_behind_expiry(state, fresh))
    new = _add_keys(state, np.concatenate([fresh["key"], *again]))  # what was cancelled at once has a row all the same
    actions = _joined([_action_events(state, changed, known), _action_events(state, _every_action(state), new)])
    actions.pop("live")
    state.events.append(fresh)
    state.events.append(actions)
    everything = {name: np.concatenate([fresh[name], actions[name]]) for name in _EVENT}
    return everything, np.unique(np.concatenate(again))


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = (*_EVENT, "live")
    return {
        name: np.concatenate([part[name] for part in parts])
        if parts
        else np.empty(0, bool if name == "live" else np.int64)
        for name in names
    }


def _columns(table: pa.Table, rank: int, **more: np.ndarray) -> dict[str, np.ndarray]:
    """The event columns of book rows; what ``more`` does not name is 0."""
    n = table.num_rows
    own = {
        "key": table["account"].to_numpy().astype(np.int64) * CODE + table["instrument"].to_numpy(),
        "epoch": table["epoch"].to_numpy(),
        "rank": np.full(n, rank),
        "ordinal": table["ordinal"].to_numpy(),
        "source": np.full(n, _NO_SOURCE),
        "id_high": table["key_high"].to_numpy().view(np.int64),
        "id_low": table["key_low"].to_numpy().view(np.int64),
        "version": table["version"].to_numpy(),
        "live": table["action"].to_numpy() != CANCEL,
    }
    return {name: np.zeros(n, np.int64) for name in _EVENT} | own | more


def _custody_events(table: pa.Table) -> dict[str, np.ndarray]:
    return _columns(
        table,
        _RANK_CUSTODY,
        kind=np.full(table.num_rows, folding.OPEN),
        quantity=table["quantity"].to_numpy(),
        amount=table["cost"].to_numpy(),
    )


def _trade_events(state: PositionsState, table: pa.Table) -> dict[str, np.ndarray]:
    code = table["instrument"].to_numpy()
    exercised = table["kind"].to_numpy() != TRADE
    cash_settled = _underlying_kind(state, code) == Kind.INDEX
    price = np.where(exercised & ~cash_settled, 0, table["price"].to_numpy())
    return _columns(
        table,
        _RANK_TRADE,
        kind=np.full(table.num_rows, folding.TRADE),
        quantity=table["quantity"].to_numpy(),
        price=price,
        amount=table["fee"].to_numpy(),
        settle_date=table["settle_date"].to_numpy().astype(np.int64),
    )


def _exercise_legs(state: PositionsState, table: pa.Table) -> dict[str, np.ndarray]:
    """The delivery of the underlying that an exercise or assignment brings with it."""
    code = table["instrument"].to_numpy()
    physical = (table["kind"].to_numpy() != TRADE) & (_underlying_kind(state, code) != Kind.INDEX)
    table, code = table.filter(pa.array(physical)), code[physical]
    delivered = _delivery(state, code, -table["quantity"].to_numpy())
    events = _columns(table, _RANK_DELIVERY, source=np.full(len(code), _STATIC_DELIVERY), **delivered)
    events["settle_date"] = table["settle_date"].to_numpy().astype(np.int64)
    events["key"] = events["key"] // CODE * CODE + _reference(state, "underlying", code)
    return events


def _delivery(state: PositionsState, option: np.ndarray, exercised: np.ndarray) -> dict[str, np.ndarray]:
    """Units of the underlying received for signed contracts exercised (long positive), at the strike."""
    quantity = exercised * _reference(state, "right", option) * _reference(state, "multiplier", option)
    return {
        "kind": np.full(len(option), folding.DELIVER),
        "quantity": quantity,
        "price": _reference(state, "strike", option),
    }


def _reference(state: PositionsState, name: str, code: np.ndarray) -> np.ndarray:
    values = state.instruments.column(name).to_numpy(zero_copy_only=False)
    return values[code].astype(np.int64) if len(values) else np.zeros(len(code), np.int64)


def _underlying_kind(state: PositionsState, code: np.ndarray) -> np.ndarray:
    return _reference(state, "kind", _reference(state, "underlying", code))


def _is_option(state: PositionsState, keys: np.ndarray) -> np.ndarray:
    return _reference(state, "kind", keys % CODE) == Kind.OPTION


def _replace_corrected(state: PositionsState, fresh: dict[str, np.ndarray]) -> np.ndarray:
    """Give each correct its original's place and remove what it replaces; the keys that this touches.

    A correct of a trade that is none of the day's is refused here: it belongs to a restatement of that trade's date.
    """
    events, touched, gone = state.events, [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    places: dict[tuple[int, int], tuple[int, int] | None] = {}
    """Epoch and ordinal of the original, by trade; None when it is none of the day's."""
    done: set[tuple[int, int, int]] = set()
    for i in np.flatnonzero(fresh["version"] > 1).tolist():
        high, low, version = (int(fresh[name][i]) for name in ("id_high", "id_low", "version"))
        if (high, low, version) in done:
            continue
        done.add((high, low, version))
        same = (fresh["id_low"] == low) & (fresh["id_high"] == high)
        this, older = same & (fresh["version"] == version), same & (fresh["version"] < version)
        if (high, low) not in places:
            stored = events.where("id_low", low, "id_high", high)
            gone.append(stored)
            touched.append(events["key"][stored])
            earlier, rows = (events, stored) if len(stored) else (fresh, np.flatnonzero(older))
            places[high, low] = (earlier["epoch"][rows[0]], earlier["ordinal"][rows[0]]) if len(rows) else None
        if (place := places[high, low]) is None:
            live = this & fresh["live"]
            _reject(state, {name: fresh[name][this] for name in _EVENT}, "corrects a trade of an earlier business date")
            fresh["live"][live] = False
            continue
        fresh["live"][older] = False
        fresh["epoch"][this], fresh["ordinal"][this] = place
        touched.append(fresh["key"][same])
    events.remove(np.concatenate(gone))
    return np.unique(np.concatenate(touched))


def _take_actions(state: PositionsState, stretch: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """Replace the day's actions, without the events of those that changed; the numbers of the new and the changed ones,
    and the keys to be folded again: what a changed one reached, and what one reaches behind whose place events are."""
    numbers, touched = np.empty(0, np.int64), [np.empty(0, np.int64)]
    for table in stretch.tables("reference", "actions"):
        former = np.zeros(table.num_rows, np.int64)
        former[: state.actions.num_rows] = state.actions["version"].to_numpy()
        numbers = np.flatnonzero(table["version"].to_numpy() != former)
        gone = (state.events["rank"] == _RANK_ACTION) & np.isin(state.events["ordinal"], numbers[former[numbers] > 0])
        touched.append(state.events["key"][gone])
        state.events.remove(gone)
        state.actions = table
        past = numbers[table["epoch"].to_numpy()[numbers] < stretch.first]
        touched.append(state.keys[np.isin(state.keys % CODE, table["instrument"].to_numpy()[past])])
    return numbers, np.unique(np.concatenate(touched))


def _expiries(state: PositionsState) -> tuple[np.ndarray, np.ndarray]:
    """Instrument codes that have expired, ascending, and the epoch of each one's first expiry."""
    actions = state.actions
    expired = (actions["kind"].to_numpy() == EXPIRY) & (actions["action"].to_numpy() != CANCEL)
    code, epoch = actions["instrument"].to_numpy()[expired].astype(np.int64), actions["epoch"].to_numpy()[expired]
    order = np.lexsort((epoch, code))
    codes, first = np.unique(code[order], return_index=True)
    return codes, epoch[order][first]


def _late_of(state: PositionsState, events: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which events of options came after their expiry, and the epoch of the expiry of each of those.

    A trade in an option was made while it lived, however late it is reported; so with an exercise.
    """
    codes, epochs = _expiries(state)
    late, code = np.zeros(len(events["key"]), bool), events["key"] % CODE
    if not len(codes):
        return late, epochs
    at = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
    late = (codes[at] == code) & (events["epoch"] >= epochs[at]) & (events["rank"] > _RANK_ACTION)
    return late, epochs[at][late]


def _behind_expiry(state: PositionsState, fresh: dict[str, np.ndarray]) -> np.ndarray:
    """The keys of fresh events that take a place before an expiry: they are folded again."""
    late, _ = _late_of(state, fresh)
    return np.unique(fresh["key"][late])


def _in_order(state: PositionsState, events: dict[str, np.ndarray]) -> np.ndarray:
    """The order in which events are folded: by key, then place; late events of expired options before the expiry."""
    late, expiry = _late_of(state, events)
    epoch, rank = events["epoch"], events["rank"]
    if late.any():
        epoch, rank = epoch.copy(), rank.copy()
        epoch[late] = expiry
        rank[late] -= _RANKS
    return np.lexsort((events["source"], events["ordinal"], rank, epoch, events["key"]))


def _every_action(state: PositionsState) -> np.ndarray:
    return np.arange(state.actions.num_rows)


def _action_events(state: PositionsState, numbers: np.ndarray, keys: np.ndarray) -> dict[str, np.ndarray]:
    """Effective actions for those of ``keys`` that are of their instrument, whatever is held: the fold knows."""
    if not len(keys) or not len(numbers):
        return _joined([])
    parts = []
    for number, action in zip(numbers.tolist(), state.actions.take(pa.array(numbers)).to_pylist(), strict=True):
        if action["action"] != CANCEL:
            parts.append(_action_for(state, number, action, keys[keys % CODE == action["instrument"]]))
    return _joined(parts)


def _action_for(state: PositionsState, number: int, action: dict, keys: np.ndarray) -> dict[str, np.ndarray]:
    n = len(keys)
    kind = {SPLIT: folding.SPLIT, CASH_DIVIDEND: folding.DIVIDEND, EXPIRY: folding.EXPIRE}[action["kind"]]
    price = action["amount"] if action["kind"] == CASH_DIVIDEND else action["price"]
    if action["kind"] == EXPIRY:
        code = np.array([action["instrument"]])
        in_the_money = max(
            int(_reference(state, "right", code)[0]) * (price - int(_reference(state, "strike", code)[0])), 0
        )
        price = in_the_money if _underlying_kind(state, code)[0] == Kind.INDEX else 0
    events = {name: np.zeros(n, np.int64) for name in _EVENT}
    events |= {
        "key": keys,
        "epoch": np.full(n, action["epoch"]),
        "rank": np.full(n, _RANK_ACTION),
        "ordinal": np.full(n, number),
        "kind": np.full(n, kind),
        "price": np.full(n, price),
        "amount": np.full(n, action["numerator"]),
        "denominator": np.full(n, action["denominator"]),
        "source": np.full(n, _NO_SOURCE),
        "version": np.ones(n, np.int64),
        "live": np.ones(n, bool),
    }
    return events


def _add_keys(state: PositionsState, keys: np.ndarray) -> np.ndarray:
    """Rows for keys seen for the first time; returns those.

    They get the day's earlier actions as well: a correct, or a delivery it brings, can take a place before an action.
    """
    new = np.setdiff1d(keys, state.keys)
    if len(new):
        at = np.searchsorted(state.keys, new)
        state.keys = np.insert(state.keys, at, new)
        state.measures = np.insert(state.measures, at, 0, axis=0)
        state.opening = np.insert(state.opening, at, 0, axis=0)
    return new


def _fold(state: PositionsState, fresh: dict[str, np.ndarray], again: np.ndarray) -> None:
    """Fold options first: what expires in the money is delivered into the underlyings, which come second."""
    option = _is_option(state, fresh["key"])
    again_option = _is_option(state, again)
    delivered, replaced = _fold_options(
        state, {name: column[option] for name, column in fresh.items()}, again[again_option]
    )
    actions = _action_events(state, _every_action(state), _add_keys(state, delivered["key"]))
    actions.pop("live")
    state.events.append(delivered)
    state.events.append(actions)
    rest = {name: np.concatenate([fresh[name][~option], delivered[name], actions[name]]) for name in _EVENT}
    late = delivered["key"][np.isin(delivered["source"], again)]  # behind which the day has gone on
    _fold_keys(state, rest, np.unique(np.concatenate([again[~again_option], replaced, late])))


def _fold_options(
    state: PositionsState, fresh: dict[str, np.ndarray], again: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fold option keys; returns the deliveries that follow, and the underlying keys whose old deliveries are gone."""
    stale = np.isin(state.events["source"], again) & (state.events["source"] >= 0)
    replaced = state.events["key"][stale].copy()
    if stale.any():
        state.events.remove(stale)
    events, expired = _fold_keys(state, fresh, again)
    rows = np.flatnonzero((events["kind"] == folding.EXPIRE) & (expired != 0))
    code = events["key"][rows] % CODE
    physical = _underlying_kind(state, code) != Kind.INDEX
    settlement = _settlement(state, events["ordinal"][rows])
    value = _reference(state, "right", code) * (settlement - _reference(state, "strike", code))
    rows = rows[physical & (value >= state.exercise_threshold)]
    code = events["key"][rows] % CODE
    deliveries = {name: np.zeros(len(rows), np.int64) for name in _EVENT}
    deliveries |= {
        "epoch": events["epoch"][rows],
        "rank": np.full(len(rows), _RANK_DELIVERY),
        "ordinal": events["ordinal"][rows],
        "source": events["key"][rows],
        "key": events["key"][rows] // CODE * CODE + _reference(state, "underlying", code),
        "version": np.ones(len(rows), np.int64),
    }
    return deliveries | _delivery(state, code, expired[rows]), replaced


def _settlement(state: PositionsState, action_numbers: np.ndarray) -> np.ndarray:
    prices = state.actions["price"].to_numpy()
    return prices[action_numbers] if len(prices) else np.zeros(len(action_numbers), np.int64)


def _fold_keys(
    state: PositionsState, fresh: dict[str, np.ndarray], again: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fold fresh events from where the keys stand, and the keys of ``again`` from the opening of the day."""
    if len(again):
        stored = np.flatnonzero(np.isin(state.events["key"], again))
        keep = ~np.isin(fresh["key"], again)
        old = state.events.take(stored)
        fresh = {name: np.concatenate([fresh[name][keep], old[name]]) for name in _EVENT}
        rows = np.searchsorted(state.keys, again)
        state.measures[rows] = state.opening[rows]
        _forget_overflows(state, again)
    order = _in_order(state, fresh)
    events = {name: column[order] for name, column in fresh.items()}
    expired = np.zeros(len(order), np.int64)
    if len(order):
        columns = FoldEvents(
            np.searchsorted(state.keys, events["key"]),
            events["kind"],
            events["quantity"],
            events["price"],
            events["amount"],
            events["denominator"],
            _reference(state, "multiplier", events["key"] % CODE),
        )
        refused = fold(state.measures, columns, expired)
        if refused.any():
            _reject(state, {name: column[refused] for name, column in events.items()}, _OVERFLOW)
    return events, expired


def _reject(state: PositionsState, events: dict[str, np.ndarray], reason: str) -> None:
    columns = {
        "account": _texts(state.accounts, events["key"] // CODE),
        "instrument": _texts(state.instruments, events["key"] % CODE),
        "epoch": events["epoch"],
        "ordinal": events["ordinal"],
        "reason": pa.array([reason] * len(events["key"]), pa.string()),
    }
    state.rejects = pa.concat_tables([state.rejects, build(sealed.REJECTS, columns)])


def _forget_overflows(state: PositionsState, keys: np.ndarray) -> None:
    """What could not be applied to these keys is found out again."""
    if state.rejects.num_rows:
        pairs = set(
            zip(_texts(state.accounts, keys // CODE).to_pylist(), _texts(state.instruments, keys % CODE).to_pylist())
        )
        rows = zip(*(state.rejects[name].to_pylist() for name in ("account", "instrument", "reason")), strict=True)
        kept = [(owner, name) not in pairs or reason != _OVERFLOW for owner, name, reason in rows]
        state.rejects = state.rejects.filter(pa.array(kept))


def _texts(table: pa.Table, codes: np.ndarray) -> pa.Array:
    return table.column("id").combine_chunks().take(pa.array(codes.astype(np.int64)))


def _position_columns(state: PositionsState) -> dict[str, object]:
    columns = holdings(state)
    code = state.keys % CODE
    return {name: columns[name] for name in HOLDINGS} | {
        "account": _texts(state.accounts, state.keys // CODE),
        "instrument": _texts(state.instruments, code),
        "currency": state.instruments.column("currency").take(pa.array(code)),
    }


def _cash_columns(state: PositionsState) -> dict[str, object]:
    balances = cash_balances(state)
    return {name: balances[name] for name in balances.column_names} | {
        "account": _texts(state.accounts, balances["account"].to_numpy())
    }


def _trade_columns(state: PositionsState) -> dict[str, object]:
    """The effective version of each of the day's trades."""
    trades = state.trades.combine_chunks()
    newest: dict[tuple[int, int], int] = {}
    for row, pair in enumerate(zip(trades["key_high"].to_pylist(), trades["key_low"].to_pylist(), strict=True)):
        newest[pair] = row
    trades = trades.take(pa.array(sorted(newest.values()), pa.int64()))
    trades = trades.filter(pc.not_equal(trades["action"], CANCEL))
    same = ("id", "version", "quantity", "price", "fee", "event_time", "settle_date", "counterparty", "venue")
    return {name: trades[name] for name in (*same, "partition", "offset")} | {
        "account": _texts(state.accounts, trades["account"].to_numpy()),
        "instrument": _texts(state.instruments, trades["instrument"].to_numpy()),
        "kind": pa.array(["trade", "exercise", "assignment"]).take(trades["kind"]),
        "topic": pa.array(["trades"] * trades.num_rows),
    }
