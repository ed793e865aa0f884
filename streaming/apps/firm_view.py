"""One cut of the firm as its end-of-day computations take it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.firm_inputs import Ids, Records
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.capital.clients import Part
from streaming.risk.capital.computation import Capital, Ledger
from streaming.risk.capital.inputs import Book, Cut, Elections
from streaming.risk.capital.marking import Marks, rates
from streaming.risk.capital.options_haircut import ScanTable
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import PriceSet, Valuation
from streaming.risk.money import fraction
from streaming.risk.reference import Accounts, Instruments
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class FirmView:
    """Everything that is known of the firm at a cut."""

    epoch: Epoch
    rules: Rules
    elections: Elections
    instruments: Instruments
    accounts: Accounts
    ids: Ids
    market: PriceSet
    cut: Cut
    books: Sequence[Book]
    """Client and house accounts, one book per shard."""
    ready: Marks
    part: Part
    ledger: Ledger
    records: Records
    rows: Mapping[str, Sequence[pa.Table]]
    """Sealed tables of the account applications by name, one per shard."""
    excess: np.ndarray
    """int64 micros by account code: equity less requirement; 0 for an account without margin."""
    equity: np.ndarray
    """int64 micros by account code: cash and positions at the cut's prices."""
    capital: Capital
    scan: Callable[[PriceSet], ScanTable | None]
    """Model values for the haircut on the firm's own options around other prices."""
    valuation: Valuation | None
    """Model values of the cut under every scenario that was run, grid included; None without any."""
    daily_vol: np.ndarray
    """int64 ppm per day by instrument code; 0 = not known."""
    history: np.ndarray | None
    """Model values under the one-day moves of the price history, int64 micros [instrument, day]."""
    rates: pa.Table
    """Zero rates of the reference data."""


def whole_valuation(stretch: Stretch, price_set: str, count: int) -> Valuation | None:
    """The cut's model values with those of the end of day's scenarios beside them, one row for each of ``count``
    instruments; None without a valuation."""
    valued = stretch.tables("valuation", "valuation")
    if not valued:
        return None
    found = views.valuation_view(price_set, valued[-1])
    for table in stretch.tables("valuation", "full"):
        shocked = np.concatenate([found.shocked, views.matrix(table)], axis=1)
        found = replace(found, scenarios=(*found.scenarios, *table.column_names), shocked=shocked)
    return replace(
        found,
        baseline=padded_values(found.baseline, count),
        shocked=padded_values(found.shocked, count),
        scan=padded_values(found.scan, count),
        delta=_grown(found.delta, count, 0),
        gamma=_grown(found.gamma, count, 0),
        vega=_grown(found.vega, count, 0),
        vol=_grown(found.vol, count, 0),
    )


def padded_values(values: np.ndarray, count: int) -> np.ndarray:
    """Model values with room for instruments that became known later: they have none."""
    return _grown(values, count, MISSING_VALUE)


def _grown(values: np.ndarray, count: int, blank: int) -> np.ndarray:
    more = count - len(values)
    return values if more <= 0 else np.concatenate([values, np.full((more, *values.shape[1:]), blank, np.int64)])


def account_equity(books: Sequence[Book], marked: Marks, prices: PriceSet) -> np.ndarray:
    """Cash and positions of each account, int64 micros by account code."""
    found = np.zeros(len(books[0].accounts), np.int64)
    for book in books:
        rate, _ = rates(book.cash.currency, prices)
        np.add.at(found, book.cash.account, fraction(book.cash.amount, rate))
        held = book.holdings
        np.add.at(found, held.account, marked.value(held.instrument, held.quantity, held.cost))
    return found
