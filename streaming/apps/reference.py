"""Reference data: instruments, accounts, corporate actions, rates and the history of closes, checked and coded.

Writes its complete tables whenever one of them changed in a stretch, so that a reader only ever replaces what it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.apps.corporate_actions import (
    ACTION_KINDS,
    ActionsState,
    begin_day,
    effective,
    note_price_set,
    take_actions,
)
from streaming.apps.events import Parsed
from streaming.apps.intake import (
    Check,
    Counts,
    Quarantine,
    accept_batch,
    rows_of,
    sealed_quarantine,
)
from streaming.apps.policies import policy_columns, take_policies
from streaming.apps.tables import build
from streaming.engine.canonical import decimal_to_int64, int64_to_decimal
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import RawBatch, Stretch
from streaming.risk.reference import NO_DATE, UNKNOWN_BETA, AccountKind, Kind, MarginType, Right, Style, UnderlyingClass
from streaming.schema import raw, results, sealed

_KINDS = tuple(kind.name.lower() for kind in Kind)
_CLASSES = tuple(item.name.lower() for item in UnderlyingClass)
_ACCOUNT_KINDS = tuple(kind.name.lower() for kind in AccountKind)
_MARGIN_TYPES = tuple(kind.name.lower() for kind in MarginType)
_STYLES = tuple(style.name.lower() for style in Style)
_RATE_KINDS = ("zero", "dividend")
_UNKNOWN = -1


@dataclass(slots=True)
class ReferenceState:
    """Everything known of instruments and accounts."""

    instruments: pa.Table
    accounts: pa.Table
    rates: pa.Table
    closes: pa.Table
    actions: ActionsState = field(default_factory=ActionsState)
    day: int = NO_DATE
    policies: pa.Table = field(default_factory=results.POLICIES.empty_table)
    counts: Counts = field(default_factory=Counts)
    quarantine: pa.Table = field(default_factory=results.QUARANTINE.empty_table, metadata={"locator": True})


class ReferenceApp:
    """Checks and codes reference data for everybody else."""

    name = "reference"
    inputs = tuple(topic.name for topic in raw.REFERENCE_FEEDS)
    sharded = False
    state = ReferenceState

    def empty(self, shard: int, shards: int) -> ReferenceState:
        return ReferenceState(
            results.INSTRUMENTS.empty_table(),
            results.ACCOUNTS.empty_table(),
            results.RATES.empty_table(),
            results.CLOSES.empty_table(),
        )

    def apply(self, state: ReferenceState, stretch: Stretch) -> tuple[ReferenceState, Mapping[str, pa.Table]]:
        day = (stretch.last.day - _EPOCH_DAY).days
        if day != state.day:
            state.day, state.quarantine = day, results.QUARANTINE.empty_table()
            begin_day(state.actions, day)
        quarantine = Quarantine()
        rows: dict[str, pa.Table] = {}
        for batch in rows_of(stretch.raw, raw.INSTRUMENTS):
            state.instruments = _take_instruments(state, batch, quarantine)
            rows["instruments"] = state.instruments
        for batch in rows_of(stretch.raw, raw.ACCOUNTS):
            state.accounts = _take_accounts(state, batch, quarantine)
            rows["accounts"] = state.accounts
        for batch in rows_of(stretch.raw, raw.RATES):
            state.rates = _take_rates(state, batch, quarantine)
            rows["rates"] = state.rates
        for batch in rows_of(stretch.raw, raw.CLOSES):
            state.closes = _take_closes(state, batch, quarantine)
            rows["closes"] = state.closes
        for batch in rows_of(stretch.raw, raw.ACTIONS):
            ids = state.instruments.column("id").combine_chunks()
            take_actions(state.actions, batch, ids, state.counts, quarantine)
            rows["actions"] = state.actions.table
        for batch in rows_of(stretch.raw, raw.POLICIES):
            state.policies = take_policies(state.policies, batch, state.counts, quarantine)
            rows["policies"] = state.policies
        refused = quarantine.table()
        if refused.num_rows:
            state.quarantine = pa.concat_tables([state.quarantine, refused]).combine_chunks()
            rows["quarantine"] = refused
        if stretch.last.price_set:
            note_price_set(state.actions, stretch.last.number)
        return state, rows

    def seal(self, state: ReferenceState, epoch: Epoch) -> Mapping[str, pa.Table]:
        return {
            "instruments": build(sealed.INSTRUMENTS, _instrument_columns(state.instruments)),
            "accounts": build(sealed.ACCOUNTS, _account_columns(state.accounts)),
            "actions": build(sealed.ACTIONS, _action_columns(state)),
            "expected_dividends": build(sealed.EXPECTED_DIVIDENDS, _dividend_columns(state)),
            "policies": build(sealed.POLICIES, policy_columns(state.policies)),
            "counts": state.counts.sealed(self.name),
            "quarantine": sealed_quarantine(state.quarantine),
        }


def _instrument_columns(table: pa.Table) -> dict[str, object]:
    names = [column.name for column in sealed.INSTRUMENTS.columns]
    return {name: table[name] for name in names} | {
        "kind": _names(Kind).take(table["kind"]),
        "underlying": table["id"].combine_chunks().take(table["underlying"].combine_chunks()),
        "right": pa.array(["put", "none", "call"]).take(pc.add(table["right"], 1)),
        "style": _names(Style).take(table["style"]),
        "underlying_class": _names(UnderlyingClass).take(table["underlying_class"]),
        "beta": _known(table["beta"], UNKNOWN_BETA, sealed.INSTRUMENTS.arrow.field("beta").type),
    }


def _known(values: pa.ChunkedArray, unknown: int, type_: pa.DataType) -> pa.Array:
    """Whole numbers as decimals, null where unknown."""
    numbers = values.combine_chunks()
    absent = pc.equal(numbers, int(unknown))
    return pc.if_else(absent, None, int64_to_decimal(pc.if_else(absent, 0, numbers).to_numpy(), type_))


def _account_columns(table: pa.Table) -> dict[str, object]:
    names = [column.name for column in sealed.ACCOUNTS.columns]
    return {name: table[name] for name in names} | {
        "kind": _names(AccountKind).take(table["kind"]),
        "margin_type": _names(MarginType).take(table["margin_type"]),
    }


def _action_columns(state: ReferenceState) -> dict[str, object]:
    table = effective(state.actions.table)
    ids = state.instruments["id"].combine_chunks()
    return {name: table[name] for name in table.column_names if name not in ("epoch", "action")} | {
        "kind": pa.array(ACTION_KINDS).take(table["kind"].combine_chunks()),
        "instrument": ids.take(table["instrument"].combine_chunks()),
    }


_EPOCH_DAY = date(1970, 1, 1)


def _dividend_columns(state: ReferenceState) -> dict[str, object]:
    expected = state.rates.filter(pc.equal(state.rates["kind"], _RATE_KINDS.index("dividend")))
    instrument = state.instruments["id"].combine_chunks().take(expected["instrument"].combine_chunks())
    return {"instrument": instrument, "ex_date": expected["ex_date"], "amount": expected["value"]}


def _names(kind) -> pa.Array:
    return pa.array([item.name.lower() for item in kind])


def _take_instruments(state: ReferenceState, batch: RawBatch, quarantine: Quarantine) -> pa.Table:
    checks = partial(_instrument_checks, state=state)
    parsed, good = accept_batch(raw.INSTRUMENTS, batch, state.counts, quarantine, checks)
    kind = parsed.among("kind", _KINDS)
    id_ = parsed.text("id")
    old = state.instruments.column("id").combine_chunks()
    new_ids = [text for text in dict.fromkeys(id_.take(pa.array(good)).to_pylist()) if text is not None]
    known = set(old.to_pylist())
    all_ids = pa.array([*old.to_pylist(), *(text for text in new_ids if text not in known)], pa.string())
    own = pc.index_in(id_, all_ids)
    under = pc.coalesce(pc.index_in(parsed.text("underlying"), all_ids), own)
    option = kind == Kind.OPTION
    columns = {
        "id": id_,
        "kind": kind,
        "underlying": pc.fill_null(under, 0),
        "currency": parsed.text("currency"),
        "multiplier": parsed.whole("multiplier", absent=0) + np.where(parsed.absent("multiplier") & ~option, 1, 0),
        "right": np.array([Right.NONE, Right.CALL, Right.PUT])[
            parsed.among("right", ("none", "call", "put"), absent=0)
        ],
        "strike": parsed.whole("strike"),
        "expiry": parsed.whole("expiry", absent=NO_DATE),
        "style": parsed.among("style", _STYLES, absent=0),
        "am_settled": parsed.flag("am_settled", absent=False),
        "underlying_class": parsed.among("underlying_class", _CLASSES, absent=int(UnderlyingClass.NONE)),
        "leverage": parsed.whole("leverage", absent=1_000_000),
        "sector": parsed.text("sector"),
        "issuer": parsed.text("issuer"),
        "adv": parsed.whole("adv", absent=_UNKNOWN),
        "shares_outstanding": parsed.whole("shares_outstanding", absent=_UNKNOWN),
        "market_cap": parsed.whole("market_cap", absent=_UNKNOWN),
        "beta": parsed.whole("beta", absent=int(UNKNOWN_BETA)),
        "borrow_fee": parsed.whole("borrow_fee"),
        "dividend_yield": parsed.whole("dividend_yield"),
        "marginable": parsed.flag("marginable", absent=True),
        "product_group": parsed.text("product_group"),
        "isin": parsed.text("isin"),
        "coupon": parsed.whole("coupon"),
        "known_from": batch.epochs[parsed.rows],
    }
    return _upsert(state.instruments, _table(columns, results.INSTRUMENTS).take(pa.array(good)))


def _instrument_checks(parsed: Parsed, state: ReferenceState) -> list[Check]:
    kind, option = parsed.among("kind", _KINDS), parsed.among("kind", _KINDS) == Kind.OPTION
    known = pa.concat_arrays([state.instruments.column("id").combine_chunks(), parsed.text("id")])
    unknown = pc.is_null(pc.index_in(parsed.text("underlying"), known)).to_numpy(zero_copy_only=False)
    return [
        Check(kind < 0, "unknown kind", f"kind: expected one of {', '.join(_KINDS)}"),
        Check(_bad_text(parsed, "id"), "bad id", "id: expected 1 to 64 printable characters"),
        Check(_bad_currency(parsed), "bad currency", "currency: expected three capital letters"),
        Check(option & unknown, "unknown underlying", "underlying: expected a known instrument"),
        Check(option & (parsed.among("right", ("call", "put")) < 0), "bad option", "right: expected call or put"),
        Check(option & (parsed.whole("strike") <= 0), "bad option", "strike: expected above 0"),
        Check(option & parsed.absent("expiry"), "bad option", "expiry: expected a date"),
        Check(option & (parsed.among("style", _STYLES) < 1), "bad option", "style: expected american or european"),
        Check(parsed.whole("multiplier") < 0, "bad multiplier", "multiplier: expected 0 or above"),
        Check(parsed.whole("multiplier") > 1_000_000, "bad multiplier", "multiplier: expected at most 1,000,000"),
        Check(
            parsed.among("underlying_class", _CLASSES, absent=0) < 0,
            "unknown class",
            f"underlying_class: expected one of {', '.join(_CLASSES)}",
        ),
    ]


def _take_accounts(state: ReferenceState, batch: RawBatch, quarantine: Quarantine) -> pa.Table:
    def checks(parsed: Parsed) -> list[Check]:
        return [
            Check(
                parsed.among("kind", _ACCOUNT_KINDS) < 0,
                "unknown kind",
                f"kind: expected one of {', '.join(_ACCOUNT_KINDS)}",
            ),
            Check(
                parsed.among("margin_type", _MARGIN_TYPES) < 0,
                "unknown margin type",
                f"margin_type: expected one of {', '.join(_MARGIN_TYPES)}",
            ),
            Check(_bad_text(parsed, "id"), "bad id", "id: expected 1 to 64 printable characters"),
            Check(_bad_currency(parsed), "bad currency", "currency: expected three capital letters"),
        ]

    parsed, good = accept_batch(raw.ACCOUNTS, batch, state.counts, quarantine, checks)
    columns = {
        "id": parsed.text("id"),
        "client": parsed.text("client"),
        "kind": parsed.among("kind", _ACCOUNT_KINDS),
        "margin_type": parsed.among("margin_type", _MARGIN_TYPES),
        "strategy": parsed.text("strategy"),
        "prime_broker": parsed.flag("prime_broker", absent=False),
        "currency": parsed.text("currency"),
        "lei": parsed.text("lei"),
        "country": parsed.text("country"),
        "known_from": batch.epochs[parsed.rows],
    }
    return _upsert(state.accounts, _table(columns, results.ACCOUNTS).take(pa.array(good)))


def _take_rates(state: ReferenceState, batch: RawBatch, quarantine: Quarantine) -> pa.Table:
    ids = state.instruments.column("id").combine_chunks()

    def checks(parsed: Parsed) -> list[Check]:
        kind = parsed.among("kind", _RATE_KINDS)
        unknown = pc.is_null(pc.index_in(parsed.text("instrument"), ids)).to_numpy(zero_copy_only=False)
        value = parsed.whole("value")
        return [
            Check(kind < 0, "unknown kind", "kind: expected zero or dividend"),
            Check((kind == 0) & parsed.absent("tenor_days"), "missing field", "tenor_days: expected a value"),
            Check((kind == 0) & (np.abs(value) > 1_000_000), "absurd rate", "value: expected within -1 and 1"),
            Check((kind == 1) & unknown, "unknown instrument", "instrument: expected a known instrument"),
            Check((kind == 1) & parsed.absent("ex_date"), "missing field", "ex_date: expected a date"),
        ]

    parsed, good = accept_batch(raw.RATES, batch, state.counts, quarantine, checks)
    instrument = pc.fill_null(pc.index_in(parsed.text("instrument"), ids), -1)
    columns = {
        "kind": parsed.among("kind", _RATE_KINDS),
        "currency": parsed.text("currency"),
        "instrument": instrument,
        "tenor_days": parsed.whole("tenor_days"),
        "ex_date": parsed.whole("ex_date", absent=NO_DATE),
        "value": parsed.whole("value"),
    }
    both = pa.concat_tables([state.rates, _table(columns, results.RATES).take(pa.array(good))])
    return _last_by(both, ["kind", "currency", "instrument", "tenor_days", "ex_date"])


def _take_closes(state: ReferenceState, batch: RawBatch, quarantine: Quarantine) -> pa.Table:
    ids = state.instruments.column("id").combine_chunks()

    def checks(parsed: Parsed) -> list[Check]:
        names, prices = parsed.table.column("instruments"), parsed.table.column("prices")
        uneven = pc.fill_null(pc.not_equal(pc.list_value_length(names), pc.list_value_length(prices)), True)
        return [Check(uneven.to_numpy(), "uneven lists", "prices: expected as many as instruments")]

    parsed, good = accept_batch(raw.CLOSES, batch, state.counts, quarantine, checks)
    taken = parsed.table.take(pa.array(good))
    days = parsed.whole("business_date")[good]
    names, prices = taken.column("instruments").combine_chunks(), taken.column("prices").combine_chunks()
    parent = pc.list_parent_indices(names).to_numpy(zero_copy_only=False)
    columns = {
        "day": days[parent],
        "instrument": pc.fill_null(pc.index_in(pc.list_flatten(names), ids), -1),
        "price": decimal_to_int64(pc.list_flatten(prices)),
    }
    fresh = _table(columns, results.CLOSES)
    fresh = fresh.filter(pc.and_(pc.greater_equal(fresh["instrument"], 0), pc.greater(fresh["price"], 0)))
    return _last_by(pa.concat_tables([state.closes, fresh]), ["day", "instrument"])


def _table(columns: Mapping[str, object], schema: pa.Schema) -> pa.Table:
    arrays = []
    for item in schema:
        values = columns[item.name]
        array = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(np.asarray(values))
        arrays.append(array.cast(item.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _upsert(table: pa.Table, fresh: pa.Table) -> pa.Table:
    """New ids go to the end, in order; a known id keeps its row (its code) and first epoch and takes the new values."""
    both = pa.concat_tables([table, fresh]).combine_chunks()
    ids = both.column("id").combine_chunks()
    places = ids.dictionary_encode().indices.to_numpy()  # order of first appearance
    last = np.zeros(places.max(initial=-1) + 1, np.int64)
    last[places] = np.arange(len(places))
    first = np.full(len(last), len(places), np.int64)
    np.minimum.at(first, places, np.arange(len(places)))
    known_from = both.column("known_from").take(pa.array(first))
    result = both.take(pa.array(last))
    return result.set_column(result.schema.get_field_index("known_from"), "known_from", known_from).combine_chunks()


def _last_by(table: pa.Table, key: list[str]) -> pa.Table:
    """The last row of each key, sorted by key."""
    columns = [_ranks(table.column(name)) for name in key]
    order = np.lexsort(columns[::-1])
    if not len(order):
        return table
    differs = np.any([column[order[1:]] != column[order[:-1]] for column in columns], axis=0)
    return table.take(pa.array(order[np.append(differs, True)])).combine_chunks()


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers in the order of the values."""
    if column.type != pa.string():
        return column.to_numpy()
    return np.unique(column.to_numpy().astype(str), return_inverse=True)[1]


def _bad_text(parsed: Parsed, name: str) -> np.ndarray:
    return ~pc.match_substring_regex(parsed.text(name), r"^[ -~]{1,64}$").to_numpy(zero_copy_only=False)


def _bad_currency(parsed: Parsed) -> np.ndarray:
    return ~pc.match_substring_regex(parsed.text("currency"), r"^[A-Z]{3}$").to_numpy(zero_copy_only=False)
