"""What each kind of client plausibly holds, and trades in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streaming.demo.clients import Client
from streaming.demo.universe import HEAVILY_HELD, LEVERAGED, NON_MARGINABLE, SPLIT, Universe
from streaming.risk.money import MICRO

Book = dict[int, int]
"""Quantity by instrument row."""

_MENU = 16
_STANDARD = 100
"""Multiplier of a contract that is not adjusted."""
_UNSECURED_GROSS, _DEFICIT_GROSS = 9.5, 3.4
"""Long value over equity of the accounts that end the day unsecured or with a maintenance deficit."""


class Chains:
    """Series by underlying and expiry, and the stocks a client may hold."""

    def __init__(self, universe: Universe, opening: int):
        """``opening``: microseconds UTC; what is listed later nobody holds overnight."""
        self.stocks = [row for row in universe.stocks if universe.id[row] != LEVERAGED]
        self.fund = universe.row(LEVERAGED)
        self.optionable = [row for row in range(universe.underlyings) if row != universe.row(SPLIT)]
        """Series of the split stock are listed in new terms, so nobody holds them over the split."""
        self._rows: dict[tuple[int, int, int], list[int]] = {}
        ranks = {when: place for place, when in enumerate(sorted(set(universe.expires[universe.options].tolist())))}
        self.expiries = len(ranks)
        for row in universe.options:
            if universe.multiplier[row] == _STANDARD and universe.listed[row] < opening:
                key = (int(universe.underlying[row]), ranks[int(universe.expires[row])], int(universe.right[row]))
                self._rows.setdefault(key, []).append(int(row))
        self._strike = universe.strike
        self.adjusted = next(int(r) for r in universe.options if universe.multiplier[r] != _STANDARD)

    def ladder(self, underlying: int, rank: int, right: int) -> list[int]:
        """The series of an expiry by rising strike; empty where none is listed."""
        return sorted(self._rows.get((underlying, rank, right), []), key=lambda row: self._strike[row])

    def ranks(self, underlying: int) -> list[int]:
        return [rank for rank in range(self.expiries) if (underlying, rank, 1) in self._rows]


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a client's portfolio is drawn from."""

    random: np.random.Generator
    universe: Universe
    chains: Chains
    client: Client
    marks: np.ndarray
    """Previous close of every instrument, micros."""


def portfolio(desk: Desk) -> Book:
    """The opening positions of the desk's client."""
    return _BY_STYLE[desk.client.style.name](desk)


def menu(desk: Desk, book: Book) -> list[int]:
    """Sixteen instruments that the client trades in during the day: some of what it holds."""
    kind = desk.universe.kind
    shares = [row for row in book if kind[row] in ("stock", "etf")]
    series = [row for row in book if kind[row] == "option" and desk.universe.multiplier[row] == _STANDARD]
    weighted = {
        "option_writer": series + series + shares,
        "long_short": shares + shares + series,
        "market_neutral": shares + shares + series,
        "house": shares + shares + series,
        "broker_dealer": shares + shares + series,
    }.get(desk.client.style.name, shares)
    return [weighted[int(place)] for place in desk.random.integers(0, len(weighted), _MENU)]


def _shares(desk: Desk, book: Book, row: int, dollars: float, lot: int = 1) -> None:
    """Shares worth about so many dollars; negative = short."""
    quantity = int(abs(dollars) * MICRO / desk.marks[row]) // lot * lot
    if quantity:
        book[row] = book.get(row, 0) + (quantity if dollars > 0 else -quantity)


def _basket(desk: Desk, names: list[int], count: int) -> list[int]:
    return [names[place] for place in desk.random.permutation(len(names))[:count]]


def _long_short(desk: Desk) -> Book:
    book: Book = {}
    names = _basket(desk, desk.chains.stocks, 14)
    heavy = desk.universe.row(HEAVILY_HELD)
    client, moderate = desk.client, float(desk.random.uniform(0.9, 1.5))
    gross = _UNSECURED_GROSS if client.unsecured else _DEFICIT_GROSS if client.deficit else moderate
    troubled = client.unsecured or client.deficit
    longs = names if troubled else names[:9]
    longs = longs if heavy in longs else [heavy, *longs]
    for row in longs:
        _shares(desk, book, row, desk.client.equity * gross / len(longs), 100)
    for row in [] if troubled else [name for name in names[9:] if name != heavy]:
        _shares(desk, book, row, -desk.client.equity * float(desk.random.uniform(0.04, 0.1)), 100)
    if not troubled:
        _protect(desk, book, longs[:3])
    return book


def _protect(desk: Desk, book: Book, names: list[int]) -> None:
    """Long puts on some of the stock held: protective puts, some of them deep in the money."""
    for row in names:
        ranks = desk.chains.ranks(row) if row in desk.chains.optionable else []
        if ranks and book.get(row, 0) >= 1_000:
            ladder = desk.chains.ladder(row, ranks[int(desk.random.integers(1, len(ranks)))], -1)
            book[ladder[int(desk.random.integers(len(ladder)))]] = book[row] // 200


def _option_writer(desk: Desk) -> Book:
    """Verticals, straddles, condors, butterflies, calendars, boxes and uncovered options on some underlyings."""
    book: Book = {}
    structures = ("vertical", "straddle", "condor", "uncovered", "calendar", "box", "butterfly")
    first = int(desk.random.integers(len(structures)))
    for place, under in enumerate(_basket(desk, desk.chains.optionable, 7)):
        ranks = desk.chains.ranks(under)
        rank = ranks[int(desk.random.integers(len(ranks)))]
        calls, puts = desk.chains.ladder(under, rank, 1), desk.chains.ladder(under, rank, -1)
        later = desk.chains.ladder(under, ranks[-1], 1)
        contracts = max(1, int(desk.client.equity * 0.05 / (100 * desk.universe.previous[under])))
        _structure(structures[(first + place) % len(structures)], book, calls, puts, later, contracts)
    _shares(desk, book, desk.universe.row("KO"), desk.client.equity * 0.2, 100)
    if desk.client.number % 20 == 3:
        book[desk.chains.adjusted] = -4
    return {row: quantity for row, quantity in book.items() if quantity}


def _structure(name: str, book: Book, calls: list[int], puts: list[int], later: list[int], contracts: int) -> None:
    middle = len(calls) // 2
    legs = {
        "vertical": [(puts[middle], -1), (puts[middle - 1], 1)],
        "straddle": [(calls[middle], -1), (puts[middle], -1)],
        "condor": [(puts[0], 1), (puts[1], -1), (calls[-2], -1), (calls[-1], 1)],
        "uncovered": [(puts[middle - 1], -1)],
        "calendar": [(calls[middle], -1), (later[len(later) // 2], 1)],
        "box": [(calls[0], 1), (calls[1], -1), (puts[1], 1), (puts[0], -1)],
        "butterfly": [(calls[0], 1), (calls[1], -2), (calls[2], 1)],
    }[name]
    for row, sign in legs:
        book[row] = book.get(row, 0) + sign * contracts


def _market_neutral(desk: Desk) -> Book:
    book: Book = {}
    names = _basket(desk, desk.chains.stocks, 20)
    for place, row in enumerate(names):
        side = desk.client.equity * 1.1 / 10
        _shares(desk, book, row, side if place < 10 else -side, 100)
    ladder = desk.chains.ladder(desk.universe.row("SPX"), 1, -1)
    contracts = max(1, int(desk.client.equity * 0.2 / (100 * desk.universe.previous[desk.universe.row("SPX")])))
    book[ladder[len(ladder) // 2]], book[ladder[len(ladder) // 2 - 2]] = contracts, -contracts
    return book


def _covered_call(desk: Desk) -> Book:
    book: Book = {}
    for row in _basket(desk, [name for name in desk.chains.stocks if name in desk.chains.optionable], 6):
        _shares(desk, book, row, desk.client.equity * 0.2, 100)
        ranks = desk.chains.ranks(row)
        ladder = desk.chains.ladder(row, ranks[int(desk.random.integers(len(ranks)))], 1)
        if book.get(row, 0) >= 100:
            book[ladder[len(ladder) // 2 + int(desk.random.integers(len(ladder) - len(ladder) // 2))]] = -(
                book[row] // 100
            )
    return book


def _retail(desk: Desk) -> Book:
    book: Book = {}
    for row in _basket(desk, desk.chains.stocks, 5):
        _shares(desk, book, row, desk.client.equity * float(desk.random.uniform(0.1, 0.25)))
    _shares(desk, book, desk.chains.fund, desk.client.equity * 0.05)
    ladder = desk.chains.ladder(desk.universe.row("AAPL"), desk.chains.ranks(desk.universe.row("AAPL"))[1], 1)
    book[ladder[-1]] = 1 + int(desk.random.integers(3))
    return book


def _concentrated(desk: Desk) -> Book:
    book: Book = {}
    _shares(desk, book, _basket(desk, desk.chains.stocks, 1)[0], desk.client.equity * 1.15, 100)
    _shares(desk, book, desk.universe.row(NON_MARGINABLE), desk.client.equity * 0.1, 100)
    return book


def _cash_only(desk: Desk) -> Book:
    book: Book = {}
    for row in _basket(desk, desk.chains.stocks, 7):
        _shares(desk, book, row, desk.client.equity * 0.08)
    return book


def _house(desk: Desk) -> Book:
    book: Book = {}
    for bill in range(desk.universe.underlyings, desk.universe.underlyings + desk.universe.bills):
        book[bill] = 50_000_000
    for place, row in enumerate(_basket(desk, desk.chains.stocks, 6)):
        _shares(desk, book, row, 2_000_000 if place % 2 else -1_500_000, 100)
    ladder = desk.chains.ladder(desk.universe.row("SPX"), 1, -1)
    book[ladder[1]] = 5
    return book


_BY_STYLE: dict[str, Callable[[Desk], Book]] = {
    "long_short": _long_short,
    "option_writer": _option_writer,
    "market_neutral": _market_neutral,
    "covered_call": _covered_call,
    "retail": _retail,
    "concentrated": _concentrated,
    "cash_only": _cash_only,
    "house": _house,
    "broker_dealer": _market_neutral,
    "employee": _retail,
}
