"""Engine rows as the columns that the risk maths takes: reference data, holdings, prices, valuations."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pyarrow as pa

from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.market import PriceSet, Valuation
from streaming.risk.reference import Accounts, Instruments

T = TypeVar("T")


class Cached:
    """The last result of a function of a table, kept as long as the same table object comes again."""

    def __init__(self, make: Callable[[pa.Table], T]):
        self._make = make
        self._table: pa.Table | None = None
        self._made: T | None = None

    def __call__(self, table: pa.Table) -> T:
        if table is not self._table or self._made is None:
            self._made, self._table = self._make(table), table
        return self._made


def instruments_view() -> Cached:
    return Cached(Instruments.from_table)


def accounts_view() -> Cached:
    return Cached(Accounts.from_table)


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
    n = rows.num_rows

    def matrix(columns: tuple[str, ...] | list[str]) -> np.ndarray:
        return np.stack([_column(rows, name) for name in columns], axis=1) if columns else np.zeros((n, 0), np.int64)

    model = {name: _column(rows, name) for name in MODEL}
    return Valuation(price_set_id, tuple(name[2:] for name in names), shocked=matrix(names), scan=matrix(SCAN), **model)


def _column(rows: pa.Table, name: str) -> np.ndarray:
    return rows.column(name).combine_chunks().to_numpy(zero_copy_only=False)
