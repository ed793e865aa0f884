"""The stressed book: open positions in units of the underlying, and exact sums of their P&L over any grouping.

Everything is an int64 micro amount of the reporting currency; a position in another currency is converted once, at
the position, so totals are exact and no order of rows can change them.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from streaming.risk.holdings import Holdings
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import PriceSet, PriceStatus, Valuation
from streaming.risk.money import LIMIT, MICRO, MoneyOverflowError, fraction, fraction_kernel
from streaming.risk.reference import Accounts, Instruments, Kind
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class Book:
    """Positions that can be revalued, one row each, in the order of the holdings."""

    account: np.ndarray
    """int32 account codes."""
    instrument: np.ndarray
    """int32 instrument codes."""
    units: np.ndarray
    """int64, signed: quantity x multiplier."""
    fx: np.ndarray
    """int64: reporting-currency micros per unit of the instrument's currency."""

    def __len__(self) -> int:
        return len(self.account)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Positions that no scenario can value: listed, and charged in full whatever the scenario."""

    account: np.ndarray
    instrument: np.ndarray
    charge: np.ndarray
    """int64 micros of the reporting currency, >= 0."""
    reason: np.ndarray
    """Text: ``no price``, ``no multiplier``, ``no exchange rate``, ``no underlying`` or ``no model value``."""


def stressed_book(
    holdings: Holdings, instruments: Instruments, prices: PriceSet, rules: Rules, valuation: Valuation | None = None
) -> tuple[Book, Unpriced]:
    """Split the holdings into what can be revalued and what is charged at 100%.

    With ``valuation``, an instrument that it has no model value for in every scenario cannot be revalued either.

    The charge is the larger of cost basis and last known value (price, else previous close; the standard multiplier
    where it is missing). Without an exchange rate the amount is taken one to one and listed.
    """
    code = holdings.instrument
    fx = np.array([prices.fx.get(str(name), 0) for name in instruments.currency], dtype=np.int64)[code]
    multiplier = instruments.multiplier[code]
    missing = {
        "no price": prices.status[code] == PriceStatus.MISSING,
        "no multiplier": multiplier == 0,
        "no exchange rate": fx == 0,
        "no underlying": (instruments.kind[code] == Kind.OPTION) & (instruments.underlying[code] < 0),
        "no model value": np.zeros(len(code), dtype=bool) if valuation is None else _unvalued(valuation)[code],
    }
    lost = np.logical_or.reduce(list(missing.values()))
    reason = np.select(list(missing.values()), list(missing), default="")
    standard = int(rules.value("stress.missing.multiplier"))
    assumed = np.where(multiplier == 0, np.where(instruments.kind[code] == Kind.OPTION, standard, 1), multiplier)
    price = np.where(prices.price[code] > 0, prices.price[code], prices.previous_close[code])
    known = np.where(lost, np.abs(holdings.quantity), 0) * assumed
    _check_products(known, price, "charge on unpriced positions")
    charge = np.maximum(np.abs(holdings.cost), known * price)
    charge = fraction(charge, np.where(fx == 0, MICRO, fx))
    kept = ~lost
    book = Book(holdings.account[kept], code[kept], (holdings.quantity * multiplier)[kept], fx[kept])
    return book, Unpriced(holdings.account[lost], code[lost], charge[lost], reason[lost])


def unit_pnl(valuation: Valuation) -> np.ndarray:
    """int64 micros per unit [instrument, scenario]: shocked less baseline model value; 0 without model values, whose
    positions :func:`stressed_book` charges in full."""
    pnl = valuation.shocked - valuation.baseline[:, None]
    pnl[_unvalued(valuation)] = 0
    return pnl


def grouped_pnl(book: Book, group: np.ndarray, groups: int, pnl: np.ndarray, what: str) -> np.ndarray:
    """Exact P&L [group, scenario] in micros of the reporting currency; an empty group is a row of zeros.

    ``group`` gives each position's group, ``pnl`` the P&L per unit [instrument, scenario]. :class:`MoneyOverflowError`
    naming ``what`` when a group's sum of magnitudes could leave the money range.
    """
    if np.any(np.bincount(group, weights=_bounds(book, pnl), minlength=groups) >= float(LIMIT)):
        raise MoneyOverflowError(f"{what}: the sum leaves the range of 9e12 currency units")
    total = np.zeros((groups, pnl.shape[1]), dtype=np.int64)
    _accumulate(book.instrument, book.units, book.fx, group.astype(np.int64), np.ascontiguousarray(pnl), total)
    return total


def regrouped(pnl: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Sum rows of an exact table [row, scenario] into groups: clients from accounts, sectors from underlyings."""
    total = np.zeros((groups, pnl.shape[1]), dtype=np.int64)
    np.add.at(total, group, pnl)
    return total


@dataclass(frozen=True, slots=True)
class Groups:
    """A grouping: its names in sorted order, and the group of each code."""

    names: np.ndarray
    of: np.ndarray


def groups(labels: np.ndarray) -> Groups:
    """Group codes by their text label (client, strategy, sector ...)."""
    names, of = np.unique(labels.astype(str), return_inverse=True)
    return Groups(names, of.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses in micros (positive = loss) at every level; each level sums exactly to ``firm``."""

    scenarios: tuple[str, ...]
    account: np.ndarray
    """[account code, scenario]"""
    clients: np.ndarray
    client: np.ndarray
    strategies: np.ndarray
    strategy: np.ndarray
    underlyings: np.ndarray
    """Instrument codes of the underlyings, sorted: the rows of ``underlying``."""
    underlying: np.ndarray
    sectors: np.ndarray
    sector: np.ndarray
    firm: np.ndarray
    """[scenario]"""


def losses(book: Book, accounts: Accounts, instruments: Instruments, valuation: Valuation) -> Losses:
    """Full-revaluation losses of every scenario by account, client, strategy, underlying, sector and firm.

    A scenario of scope ``name`` or ``sector`` shows here what all names losing together would cost; the loss of the
    worst part alone, which is its meaning, comes from :func:`alone` and :meth:`Alone.worst`.
    """
    pnl = unit_pnl(valuation)
    if _bounds(book, pnl).sum() >= float(LIMIT):  # the firm's sum holds every other
        raise MoneyOverflowError("stress P&L of the firm: the sum leaves the range of 9e12 currency units")
    account = grouped_pnl(book, book.account, len(accounts), pnl, "stress P&L by account")
    codes, compact = np.unique(instruments.underlying, return_inverse=True)
    underlying = grouped_pnl(book, compact[book.instrument], len(codes), pnl, "stress P&L by underlying")
    clients, strategies = groups(accounts.client), groups(accounts.strategy)
    sectors = groups(instruments.sector[codes])
    return Losses(
        scenarios=valuation.scenarios,
        account=-account,
        clients=clients.names,
        client=-regrouped(account, clients.of, len(clients.names)),
        strategies=strategies.names,
        strategy=-regrouped(account, strategies.of, len(strategies.names)),
        underlyings=codes,
        underlying=-underlying,
        sectors=sectors.names,
        sector=-regrouped(underlying, sectors.of, len(sectors.names)),
        firm=-account.sum(axis=0, dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class Alone:
    """Losses where a scenario hits one part of the book alone (one name, one sector), by account and part."""

    account: np.ndarray
    part: np.ndarray
    """Code of the underlying, or number of the sector."""
    loss: np.ndarray
    """int64 micros [pair, scenario]."""

    def worst(self, accounts: int) -> tuple[np.ndarray, np.ndarray]:
        """(loss, part) [account, scenario] of the part whose fall alone costs an account most; 0 and -1 without loss.
        Ties go to the lower part."""
        loss = np.zeros((accounts, self.loss.shape[1]), dtype=np.int64)
        part = np.full(loss.shape, -1, dtype=np.int64)
        for pair, account in enumerate(self.account):
            higher = self.loss[pair] > loss[account]
            loss[account] = np.where(higher, self.loss[pair], loss[account])
            part[account] = np.where(higher, self.part[pair], part[account])
        return loss, part


def alone(book: Book, part: np.ndarray, valuation: Valuation, scenarios: np.ndarray | slice = slice(None)) -> Alone:
    """Loss by account and part (``part`` by instrument code), as if each part alone were shocked. Pairs are sorted."""
    of_position = part[book.instrument].astype(np.int64)
    width = int(part.max(initial=0)) + 1
    keys, pair = np.unique(book.account.astype(np.int64) * width + of_position, return_inverse=True)
    pnl = unit_pnl(valuation)[:, scenarios]
    loss = -grouped_pnl(book, pair, len(keys), pnl, "stress P&L by account and part")
    return Alone((keys // width).astype(np.int32), keys % width, loss)


def charges(unpriced: Unpriced, accounts: int) -> np.ndarray:
    """int64 micros [account]: what unpriced positions are charged; it stands beside every scenario's loss."""
    total = np.zeros(accounts, dtype=np.int64)
    np.add.at(total, unpriced.account, unpriced.charge)
    if np.any(np.bincount(unpriced.account, weights=unpriced.charge, minlength=1) >= float(LIMIT)):
        raise MoneyOverflowError("charge on unpriced positions: the sum leaves the range of 9e12 currency units")
    return total


def _unvalued(valuation: Valuation) -> np.ndarray:
    """bool [instrument]: a model value is missing."""
    return (valuation.baseline == MISSING_VALUE) | np.any(valuation.shocked == MISSING_VALUE, axis=1)


def _bounds(book: Book, pnl: np.ndarray) -> np.ndarray:
    """float64 [position]: a magnitude that the position's P&L does not exceed in any scenario, in micros."""
    largest = np.maximum(pnl.max(axis=1, initial=0), -pnl.min(axis=1, initial=0)).astype(np.float64)
    return np.abs(book.units.astype(np.float64)) * largest[book.instrument] * np.maximum(1.0, book.fx / MICRO)


def _check_products(units: np.ndarray, price: np.ndarray, what: str) -> None:
    if np.any(np.abs(units.astype(np.float64)) * price >= float(LIMIT)):
        raise MoneyOverflowError(f"{what}: a product leaves the range of 9e12 currency units")


@njit(cache=True, nogil=True)
def _accumulate(instrument, units, fx, group, pnl, total):
    """total[group] += units x pnl[instrument], converted at the position."""
    for p in range(len(instrument)):
        row, target, size, rate = pnl[instrument[p]], total[group[p]], units[p], fx[p]
        if rate == MICRO:
            for s in range(len(row)):
                target[s] += size * row[s]
        else:
            for s in range(len(row)):
                target[s] += fraction_kernel(size * row[s], rate)
