"""Engine rows as the columns that the risk maths takes: reference data, holdings, prices, valuations."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.margin.groups import GroupLists, MarginGroups, assign_groups, sample_groups
from streaming.risk.margin.house import HOUSE_POINTS
from streaming.risk.market import PriceSet, Valuation
from streaming.risk.reference import Accounts, Instruments

T = TypeVar("T")


class Cached(Generic[T]):
    """The last result of a function, kept as long as the same objects (tables, views, rules) come again."""

    def __init__(self, make: Callable[..., T]):
        self._make = make
        self._sources: tuple[object, ...] = ()
        self._made: T | None = None

    def __call__(self, *sources: object) -> T:
        same = len(sources) == len(self._sources) and all(new is old for new, old in zip(sources, self._sources))
        if self._made is None or not same:
            self._made, self._sources = self._make(*sources), sources
        return self._made


def instruments_view() -> Cached[Instruments]:
    return Cached(Instruments.from_table)


def accounts_view() -> Cached[Accounts]:
    return Cached(Accounts.from_table)


def groups_view() -> Cached[MarginGroups]:
    """Margin groups by (instruments, rules), from the lists that ship with the code."""
    return Cached(lambda instruments, rules: assign_groups(instruments, rules, _group_lists()))


@cache
def _group_lists() -> GroupLists:
    return sample_groups()


def open_holdings(rows: pa.Table) -> Holdings:
    """Positions that are open, from the positions application's rows."""
    quantity = _column(rows, "quantity")
    held = quantity != 0
    return Holdings(
        _column(rows, "account")[held].astype(np.int32),
        _column(rows, "instrument")[held].astype(np.int32),
        quantity[held],
        _column(rows, "cost")[held],
    )


def cash_balances(rows: pa.Table) -> CashBalances:
    return CashBalances(
        _column(rows, "account").astype(np.int32),
        rows["currency"].combine_chunks().to_numpy(zero_copy_only=False),
        _column(rows, "amount"),
        _column(rows, "settled"),
        _column(rows, "short_proceeds"),
    )


def price_set(id_: str, time: int, prices: pa.Table, fx: pa.Table) -> PriceSet:
    return PriceSet(
        id_,
        time,
        _column(prices, "price"),
        _column(prices, "status"),
        _column(prices, "age"),
        _column(prices, "previous_close"),
        dict(zip(fx["currency"].to_pylist(), fx["rate"].to_pylist(), strict=True)),
    )


def padded(prices: PriceSet, count: int) -> PriceSet:
    """The price set with room for instruments that became known after it was taken: missing prices."""
    more = count - len(prices.price)
    if more <= 0:
        return prices
    blank = {"price": 0, "status": 3, "age": -1, "previous_close": 0}
    grown = {name: np.concatenate([getattr(prices, name), np.full(more, value)]) for name, value in blank.items()}
    return PriceSet(prices.id, prices.time, **grown, fx=prices.fx)


def market(stretch: Stretch, count: int) -> PriceSet:
    """The price set taken at the end of a stretch, with room for ``count`` instruments."""
    (prices,), (fx,) = stretch.tables("price_sets", "prices"), stretch.tables("price_sets", "fx")
    return padded(price_set(stretch.last.price_set, stretch.last.time, prices, fx), count)


SCAN = tuple(f"scan_{i}" for i in range(10))
MODEL = ("baseline", "delta", "gamma", "vega", "vol")


def valuation_rows(valuation: Valuation) -> pa.Table:
    """One row per instrument code; ``scan_*`` the ten points, ``s:*`` the scenarios."""
    columns = {name: getattr(valuation, name) for name in MODEL}
    columns |= {name: valuation.scan[:, i] for i, name in enumerate(SCAN)}
    columns |= {f"s:{name}": valuation.shocked[:, i] for i, name in enumerate(valuation.scenarios)}
    arrays = [pa.array(np.ascontiguousarray(column, np.int64)) for column in columns.values()]
    return pa.Table.from_arrays(arrays, names=list(columns))


def valuation_view(price_set_id: str, rows: pa.Table) -> Valuation:
    names = [name for name in rows.column_names if name.startswith("s:")]
    model = {name: _column(rows, name) for name in MODEL}
    shocked, scan = matrix(rows, names), matrix(rows, SCAN)
    return Valuation(price_set_id, tuple(name[2:] for name in names), shocked=shocked, scan=scan, **model)


HOUSE = tuple(f"house_{i}" for i in range(len(HOUSE_POINTS)))
TAYLOR = ("delta", "gamma", "vega")
END_OF_DAY = "/eod"


def is_end_of_day(epoch: Epoch) -> bool:
    """Whether the epoch is the end-of-day cut, at which everything is revalued in full."""
    return epoch.cut.endswith(END_OF_DAY)


def with_house(rows: pa.Table, house: np.ndarray, daily_vol: np.ndarray) -> pa.Table:
    """Valuation rows with the values at the house margin points, and volatility per day (ppm, 0 = not known)."""
    for name, values in zip((*HOUSE, "daily_vol"), (*house.T, daily_vol)):
        rows = rows.append_column(name, pa.array(np.ascontiguousarray(values, np.int64)))
    return rows


def matrix_rows(names: Sequence[str], values: np.ndarray) -> pa.Table:
    """A matrix as a table: one int64 column a name."""
    return pa.Table.from_arrays([pa.array(np.ascontiguousarray(column)) for column in values.T], names=list(names))


def matrix(rows: pa.Table, names: Sequence[str] | None = None) -> np.ndarray:
    """The columns ``names`` (all when None) of a table as a matrix."""
    names = rows.column_names if names is None else names
    if not names:
        return np.zeros((rows.num_rows, 0), np.int64)
    return np.stack([_column(rows, name) for name in names], axis=1)


def _column(rows: pa.Table, name: str) -> np.ndarray:
    return rows.column(name).combine_chunks().to_numpy(zero_copy_only=False)
