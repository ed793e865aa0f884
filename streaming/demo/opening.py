"""Opening positions and cash of every account."""

from dataclasses import dataclass

import numpy as np

from streaming.demo.clients import Client
from streaming.demo.portfolios import Chains, Desk, menu, portfolio
from streaming.demo.session import session
from streaming.demo.spec import DaySpec, stream
from streaming.demo.universe import SPLIT, SPLIT_FACTOR, Universe
from streaming.risk.money import MICRO

EURO_BALANCE = 2_000_000
COST_GRID = 100
"""Micros to which a unit's cost is rounded."""


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
    chains = Chains(universe, session(spec.date, spec.rule_date).open)
    for place, client in enumerate(clients):
        random = stream(spec.seed, "opening", client.id)
        desk = Desk(random, universe, chains, client, marks)
        book = portfolio(desk)
        value = short = 0
        for row, quantity in sorted(book.items()):
            unit = int(marks[row]) * int(universe.multiplier[row])
            luck = 1.0 if universe.kind[row] == "treasury" else float(random.normal(1.0, 0.08))
            paid = max(1, round(unit * luck / COST_GRID)) * COST_GRID
            columns.append((place, row, quantity, quantity * paid))
            value += quantity * unit
            if quantity < 0 and universe.kind[row] != "option":
                short -= quantity * paid
        menus.append(menu(desk, book))
        euro.append(EURO_BALANCE * MICRO if client.euro else 0)
        equity = 0 if client.kind == "house" else round(client.equity * MICRO)
        cash.append((equity - value) // 10_000 * 10_000 if client.kind != "house" else 0)  # whole cents
        proceeds.append(short)
    held = np.array(columns, dtype=np.int64)
    balances = np.array([cash, euro, proceeds], dtype=np.int64)
    return Opening(held[:, 0], held[:, 1], held[:, 2], held[:, 3], balances[0], balances[1], balances[2],
                   np.array(menus, dtype=np.int64))  # fmt: skip


def split_marks(universe: Universe, marks: np.ndarray) -> np.ndarray:
    """Previous closes in micros as traded before the split."""
    before = marks.copy()
    before[universe.row(SPLIT)] *= SPLIT_FACTOR
    return before
