"""What a scenario does to the inputs of the capital computation: prices, margin deficiencies, the one name it hits.

Everything else (accounts, stock record, ledger, calls) is that of the cut; :func:`computation.under_stress` then runs
the same functions on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streaming.risk.capital.clients import AccountRows
from streaming.risk.capital.inputs import Book, Location, MarginDeficiencies, StockRecord
from streaming.risk.capital.marking import Marks
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import PriceSet, PriceStatus
from streaming.risk.money import fraction
from streaming.risk.reference import AccountKind, Instruments, one_of
from streaming.risk.rulebook import Rules

LEAST_PRICE = 1
"""Micros: what is worth nothing under a scenario still has a price; 0 would say that there is none."""


def stressed_prices(prices: PriceSet, baseline: np.ndarray, shocked: np.ndarray, hit: np.ndarray | None) -> PriceSet:
    """The price set under a scenario: each price moves by the change of its model value, never below ``LEAST_PRICE``.

    ``baseline`` and ``shocked`` are model values by instrument code (int64 micros); ``hit`` says which instruments the
    scenario moves (None = all). A price without model value stays as it is and counts as missing: no ready market.
    """
    known = (prices.price > 0) & (baseline != MISSING_VALUE) & (shocked != MISSING_VALUE)
    moved = known if hit is None else known & hit
    price = np.where(moved, np.maximum(prices.price + shocked - baseline, LEAST_PRICE), prices.price)
    lost = ~known & (hit if hit is not None else True)
    return replace(prices, price=price, status=np.where(lost, np.int8(PriceStatus.MISSING), prices.status))


def marked_contracts(record: StockRecord, before: Marks, after: Marks, rules: Rules) -> StockRecord:
    """The stock record with borrow and loan contracts marked to new prices: cash collateral moves with the securities.

    ``stress.firm.marked_share`` of the change of value is exchanged in cash, never more than the contract holds.
    """
    rows = np.flatnonzero(one_of(record.location, Location.BORROWED, Location.LOANED))
    quantity, amount = np.abs(record.quantity[rows]), record.amount[rows]
    now, then = (m.value(record.instrument[rows], quantity, amount) for m in (after, before))
    marked = record.amount.copy()
    moved = fraction(now - then, rules.ppm("stress.firm.marked_share"))
    marked[rows] = np.maximum(amount + moved, 0)
    return replace(record, amount=marked)


def account_change(shards: Sequence[Book], before: Marks, after: Marks) -> np.ndarray:
    """Change of market value by account code from ``before`` to ``after``, int64 micros, gain positive."""
    change = np.zeros(len(shards[0].accounts), np.int64)
    for book in shards:
        held = book.holdings
        now, then = (m.value(held.instrument, held.quantity, held.cost) for m in (after, before))
        np.add.at(change, held.account, now - then)
    return change


def stressed_deficiencies(
    excess: np.ndarray, change: np.ndarray, clients: AccountRows, known: MarginDeficiencies, as_of: int
) -> MarginDeficiencies:
    """Deficiencies where ``excess`` by account code (int64 micros) plus the change of value is negative.

    The requirement is that of the cut. What was deficient keeps its day, what becomes so arises on ``as_of``; the
    firm's own accounts have none.
    """
    account = clients.account[clients.kind != AccountKind.HOUSE].astype(np.int64)
    lacking = -(excess + change)[account]
    account, lacking = account[lacking > 0], lacking[lacking > 0]
    since = np.full(len(account), as_of, np.int64)
    before = np.isin(account, known.account)
    order = np.argsort(known.account, kind="stable")
    since[before] = known.since[order][np.searchsorted(known.account[order], account[before])]
    return MarginDeficiencies(account, lacking, since)


@dataclass(frozen=True, slots=True)
class WorstPart:
    """The name or sector whose fall alone takes most from net capital, directly."""

    part: int
    """Group number; -1 where no part takes anything."""
    effect: int
    """House loss plus what the fall makes of unsecured debits, int64 micros."""


def worst_part(
    shards: Sequence[Book], part: np.ndarray, equity: np.ndarray, before: Marks, after: Marks, instruments: Instruments
) -> WorstPart:
    """Which part (``part`` by instrument code, of the underlying) a scenario of scope name or sector is computed for.

    ``equity`` is net equity by account code. The direct effect of a part is the loss of the firm's own positions in it
    and, for each other account, the loss beyond its equity. Ties go to the lower part.
    """
    accounts = shards[0].accounts
    of = part[instruments.underlying].astype(np.int64)
    width = int(of.max(initial=0)) + 1
    loss = np.zeros(len(accounts) * width, np.int64)
    for book in shards:
        held = book.holdings
        now, then = (m.value(held.instrument, held.quantity, held.cost) for m in (after, before))
        np.add.at(loss, held.account.astype(np.int64) * width + of[held.instrument], then - now)
    by_account = loss.reshape(len(accounts), width)
    house = accounts.kind == AccountKind.HOUSE
    short = np.maximum(-equity, 0)[:, None]
    beyond = np.maximum(by_account - equity[:, None], 0) - short
    effect = np.where(house[:, None], by_account, beyond).sum(axis=0)
    worst = int(np.argmax(effect)) if width else -1
    return WorstPart(worst, int(effect[worst])) if width and effect[worst] > 0 else WorstPart(-1, 0)
