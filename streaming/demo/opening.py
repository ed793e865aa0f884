"""Opening positions and cash of every account: what each kind of client plausibly holds."""

from dataclasses import dataclass

import numpy as np

from streaming.demo.clients import Client
from streaming.demo.spec import DaySpec, stream
from streaming.demo.universe import ADJUSTED, HEAVILY_HELD, LEVERAGED, NON_MARGINABLE, SPLIT, SPLIT_FACTOR, Universe
from streaming.risk.money import MICRO

EURO_BALANCE = 2_000_000
COST_GRID = 100
"""Micros to which a unit's cost is rounded."""
_MENU = 16
"""Instruments that an account trades in during the day."""


@dataclass(frozen=True, slots=True)
class Opening:
    """All opening positions as rows, and cash and trading menu per account."""

    account: np.ndarray
    instrument: np.ndarray
    quantity: np.ndarray
    cost: np.ndarray
    """Signed, micros."""
    cash: np.ndarray
    """USD micros per account."""
    euro: np.ndarray
    """EUR micros per account."""
    short_proceeds: np.ndarray
    """USD micros per account, inside ``cash``."""
    menu: np.ndarray
    """[account, 16]: instrument rows."""


def build(spec: DaySpec, universe: Universe, clients: list[Client], marks: np.ndarray) -> Opening:
    """``marks``: the previous close of every instrument in micros, before the split."""
    columns: list[tuple[int, int, int, int]] = []
    cash, euro, proceeds, menus = [], [], [], []
    chains = _Chains(universe)
    for place, client in enumerate(clients):
        random = stream(spec.seed, "opening", client.id)
        book = _WRITERS[client.style.name](random, universe, chains, client, marks)
        value = short = 0
        for row, quantity in sorted(book.items()):
            unit = int(marks[row]) * int(universe.multiplier[row])
            luck = 1.0 if universe.kind[row] == "treasury" else float(random.normal(1.0, 0.08))
            paid = max(1, round(unit * luck / COST_GRID)) * COST_GRID
            columns.append((place, row, quantity, quantity * paid))
            value += quantity * unit
            if quantity < 0 and universe.kind[row] != "option":
                short -= quantity * paid
        menus.append(_menu(random, universe, chains, client, book))
        euro.append(EURO_BALANCE * MICRO if client.euro else 0)
        equity = 0 if client.kind == "house" else round(client.equity * MICRO)
        cash.append((equity - value) // 10_000 * 10_000 if client.kind != "house" else 0)  # whole cents
        proceeds.append(short)
    held = np.array(columns, dtype=np.int64)
    balances = np.array([cash, euro, proceeds], dtype=np.int64)
    return Opening(held[:, 0], held[:, 1], held[:, 2], held[:, 3], balances[0], balances[1], balances[2],
                   np.array(menus, dtype=np.int64))  # fmt: skip


class _Chains:
    """Series by underlying and expiry, and the stocks a client may hold."""

    def __init__(self, universe: Universe):
        self.stocks = [row for row in universe.stocks if universe.id[row] != LEVERAGED]
        self.fund = universe.row(LEVERAGED)
        self.split = universe.row(SPLIT)
        self.optionable = [row for row in range(universe.underlyings) if row != self.split]
        """Series of the split stock are listed in new terms, so nobody holds them over the split."""
        self._rows: dict[tuple[int, int, int], list[int]] = {}
        ranks = {when: place for place, when in enumerate(sorted(set(universe.expires[universe.options].tolist())))}
        self.expiries = len(ranks)
        for row in universe.options:
            if universe.multiplier[row] == 100 and universe.listed[row] < universe.expires[universe.options].min():
                key = (int(universe.underlying[row]), ranks[int(universe.expires[row])], int(universe.right[row]))
                self._rows.setdefault(key, []).append(int(row))
        self._strike = universe.strike
        self.adjusted = next(int(r) for r in universe.options if universe.multiplier[r] != 100)

    def ladder(self, underlying: int, rank: int, right: int) -> list[int]:
        """The series of an expiry by rising strike; empty where none is listed."""
        return sorted(self._rows.get((underlying, rank, right), []), key=lambda row: self._strike[row])

    def ranks(self, underlying: int) -> list[int]:
        return [rank for rank in range(self.expiries) if (underlying, rank, 1) in self._rows]


def _shares(book: dict[int, int], row: int, dollars: float, marks: np.ndarray, lot: int = 1) -> None:
    quantity = int(abs(dollars) * MICRO / marks[row]) // lot * lot
    if quantity:
        book[row] = book.get(row, 0) + (quantity if dollars > 0 else -quantity)


def _basket(random: np.random.Generator, names: list[int], count: int) -> list[int]:
    return [names[place] for place in random.permutation(len(names))[:count]]


def _long_short(random, universe, chains, client, marks) -> dict[int, int]:
    book: dict[int, int] = {}
    names = _basket(random, chains.stocks, 14)
    heavy = universe.row(HEAVILY_HELD)
    gross = 9.5 if client.unsecured else 3.4 if client.deficit else float(random.uniform(0.9, 1.5))
    longs = names if client.unsecured or client.deficit else names[:9]
    longs = longs if heavy in longs else [heavy, *longs]
    for row in longs:
        _shares(book, row, client.equity * gross / len(longs), marks, 100)
    for row in [] if len(longs) > 10 else [name for name in names[9:] if name not in longs]:
        _shares(book, row, -client.equity * float(random.uniform(0.04, 0.1)), marks, 100)
    if not client.unsecured and not client.deficit:
        _protect(random, chains, book, longs[:3])
    return book


def _protect(random, chains, book, names) -> None:
    """Long puts on some of the stock held: protective puts, some of them deep in the money."""
    for row in names:
        ranks = chains.ranks(row) if row in chains.optionable else []
        if ranks and book.get(row, 0) >= 1_000:
            ladder = chains.ladder(row, ranks[int(random.integers(1, len(ranks)))], -1)
            book[ladder[int(random.integers(len(ladder)))]] = book[row] // 200


def _option_writer(random, universe, chains, client, marks) -> dict[int, int]:
    """Verticals, straddles, condors, butterflies, calendars, boxes and uncovered options on some underlyings."""
    book: dict[int, int] = {}
    structures = ("vertical", "straddle", "condor", "uncovered", "calendar", "box", "butterfly")
    first = int(random.integers(len(structures)))
    for place, under in enumerate(_basket(random, chains.optionable, 7)):
        ranks = chains.ranks(under)
        rank = ranks[int(random.integers(len(ranks)))]
        calls, puts = chains.ladder(under, rank, 1), chains.ladder(under, rank, -1)
        later = chains.ladder(under, ranks[-1], 1)
        contracts = max(1, int(client.equity * 0.05 / (100 * universe.previous[under])))
        _structure(structures[(first + place) % len(structures)], book, calls, puts, later, contracts)
    _shares(book, universe.row("KO"), client.equity * 0.2, marks, 100)
    if client.number % 20 == 3:
        book[chains.adjusted] = -4
    return {row: quantity for row, quantity in book.items() if quantity}


def _structure(name, book, calls, puts, later, contracts) -> None:
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


def _market_neutral(random, universe, chains, client, marks) -> dict[int, int]:
    book: dict[int, int] = {}
    names = _basket(random, chains.stocks, 20)
    for place, row in enumerate(names):
        side = client.equity * 1.1 / 10
        _shares(book, row, side if place < 10 else -side, marks, 100)
    ladder = chains.ladder(universe.row("SPX"), 1, -1)
    contracts = max(1, int(client.equity * 0.2 / (100 * universe.previous[universe.row("SPX")])))
    book[ladder[len(ladder) // 2]], book[ladder[len(ladder) // 2 - 2]] = contracts, -contracts
    return book


def _covered_call(random, universe, chains, client, marks) -> dict[int, int]:
    book: dict[int, int] = {}
    for row in _basket(random, [name for name in chains.stocks if name in chains.optionable], 6):
        _shares(book, row, client.equity * 0.2, marks, 100)
        ranks = chains.ranks(row)
        ladder = chains.ladder(row, ranks[int(random.integers(len(ranks)))], 1)
        if book.get(row, 0) >= 100:
            book[ladder[len(ladder) // 2 + int(random.integers(len(ladder) - len(ladder) // 2))]] = -(book[row] // 100)
    return book


def _retail(random, universe, chains, client, marks) -> dict[int, int]:
    book: dict[int, int] = {}
    for row in _basket(random, chains.stocks, 5):
        _shares(book, row, client.equity * float(random.uniform(0.1, 0.25)), marks)
    _shares(book, chains.fund, client.equity * 0.05, marks)
    ladder = chains.ladder(universe.row("AAPL"), chains.ranks(universe.row("AAPL"))[1], 1)
    book[ladder[-1]] = 1 + int(random.integers(3))
    return book


def _concentrated(random, universe, chains, client, marks) -> dict[int, int]:
    book: dict[int, int] = {}
    _shares(book, _basket(random, chains.stocks, 1)[0], client.equity * 1.15, marks, 100)
    _shares(book, universe.row(NON_MARGINABLE), client.equity * 0.1, marks, 100)
    return book


def _cash_only(random, universe, chains, client, marks) -> dict[int, int]:
    book: dict[int, int] = {}
    for row in _basket(random, chains.stocks, 7):
        _shares(book, row, client.equity * 0.08, marks)
    return book


def _house(random, universe, chains, client, marks) -> dict[int, int]:
    book: dict[int, int] = {}
    for bill in range(universe.underlyings, universe.underlyings + universe.bills):
        book[bill] = 50_000_000
    for place, row in enumerate(_basket(random, chains.stocks, 6)):
        _shares(book, row, 2_000_000 if place % 2 else -1_500_000, marks, 100)
    ladder = chains.ladder(universe.row("SPX"), 1, -1)
    book[ladder[1]] = 5
    return book


_WRITERS = {
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


def _menu(random, universe, chains, client, book) -> list[int]:
    """What the account trades in: what it holds, and for those who use options some more series."""
    shares = [row for row in book if universe.kind[row] in ("stock", "etf")]
    series = [row for row in book if universe.kind[row] == "option" and universe.multiplier[row] == 100]
    if client.style.name == "option_writer":
        menu = series + series + shares
    elif client.style.name in ("long_short", "market_neutral", "house", "broker_dealer"):
        menu = shares + shares + series
    elif client.style.name == "covered_call":
        menu = shares
    else:
        menu = shares
    return [menu[int(place)] for place in random.integers(0, len(menu), _MENU)]


def split_marks(universe: Universe, marks: np.ndarray) -> np.ndarray:
    """Previous closes in micros as traded before the split."""
    before = marks.copy()
    before[universe.row(SPLIT)] *= SPLIT_FACTOR
    return before


def adjusted_contract(universe: Universe) -> int:
    """The row of the one adjusted option contract."""
    return next(row for row in universe.options if universe.id[row].startswith(ADJUSTED + "1"))
