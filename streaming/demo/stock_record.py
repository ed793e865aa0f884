"""Where the firm's securities are: by security, the sum over the accounts equals the sum over the locations."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from streaming.demo.spec import stream
from streaming.demo.world import World
from streaming.risk.money import MICRO

LENDERS = ("SL-01", "SL-02", "SL-03")
BROKERS = ("BRK01", "BRK02", "BRK03", "BRK04", "BRK05", "BRK06")
DEPOSITORY, OPTION_CLEARER, BANK = "DEPO", "OPTCLEAR", "BANK1"
_CASH_COLLATERAL = 102  # percent of market value, for borrowed and loaned stock
_PLEDGE_LOAN = 80  # percent of market value that the bank lends


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the record. Held or receivable is positive, owed negative."""

    instrument: int
    location: str
    quantity: int
    money: int = 0
    """Contract money in micros: collateral of a borrow or loan, price of a fail, loan on a pledge."""
    since: date | None = None
    counterparty: str | None = None
    account_kind: str = "customer"
    sale: str | None = None
    """Of a fail to deliver: whether it comes from a long or a short sale."""


def build(world: World) -> list[Item]:
    """The opening record, security by security."""
    position, short = net_positions(world)
    items: list[Item] = []
    for row in np.flatnonzero((position != 0) | (short != 0)).tolist():
        kind = world.universe.kind[row]
        if kind == "option":
            items.append(Item(row, "depository", int(position[row]), counterparty=OPTION_CLEARER))
        elif kind == "treasury":
            items.append(Item(row, "depository", int(position[row]), counterparty=DEPOSITORY, account_kind="house"))
        else:
            items += _security(world, row, int(position[row]), int(short[row]))
    return [item for item in items if item.quantity]


def net_positions(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Per instrument: the sum over all accounts, and the sum of the short ones as a magnitude."""
    position, short = np.zeros(len(world.universe), dtype=np.int64), np.zeros(len(world.universe), dtype=np.int64)
    np.add.at(position, world.opening.instrument, world.opening.quantity)
    np.add.at(short, world.opening.instrument, np.maximum(-world.opening.quantity, 0))
    return position, short


def _security(world: World, row: int, position: int, short: int) -> list[Item]:
    random = stream(world.spec.seed, "stock-record", world.universe.id[row])
    price = int(world.previous[row])
    fails = _fails(world, row, random, max(position + short, 0), price)
    transfer = _lot(random.uniform(0, 0.002) * max(position, 0))
    moving = sum(item.quantity for item in fails) + transfer
    borrowed = _lot(short * random.uniform(0.7, 0.95)) + 100
    loaned = _lot(max(position, 0) * random.uniform(0.0, 0.06))
    held = position - moving - loaned + borrowed
    if held < 0:
        borrowed, held = borrowed - held, 0
    pledged, segregated, box = _lot(held * 0.12), _lot(held * 0.62), _lot(held * 0.01)
    since = world.day.past[int(random.integers(1, 30))]
    lender, taker = LENDERS[int(random.integers(3))], LENDERS[int(random.integers(3))]
    return [
        Item(row, "borrowed", -borrowed, _share(borrowed * price, _CASH_COLLATERAL), since, lender),
        Item(row, "loaned", loaned, _share(loaned * price, _CASH_COLLATERAL), since, taker),
        Item(row, "pledged", pledged, _share(pledged * price, _PLEDGE_LOAN), since, BANK),
        Item(row, "segregated", segregated, counterparty=DEPOSITORY),
        Item(row, "box", box),
        Item(row, "transfer", transfer, since=world.day.past[2], counterparty=BROKERS[3]),
        *fails,
        Item(row, "depository", held - pledged - segregated - box, counterparty=DEPOSITORY),
    ]


def _lot(shares: float) -> int:
    """Down to round lots."""
    return int(shares) // 100 * 100


def _share(amount: int, percent: int) -> int:
    """A percentage of an amount in micros, down to whole cents."""
    return amount * percent // 100 // 10_000 * 10_000


def _fails(world: World, row: int, random: np.random.Generator, long: int, price: int) -> list[Item]:
    """A few fails of one to four business days, here and there an aged one."""
    items = []
    for location, sign in (("fail_to_deliver", -1), ("fail_to_receive", 1)):
        quantity = int(long * random.uniform(0.0005, 0.004)) // 100 * 100
        age = int(random.integers(0, 4))
        if random.random() < 0.12:
            age = int(random.integers(6, 40))
        paid = quantity * (price + price * int(random.integers(-40, 40)) // 1_000) // 10_000 * 10_000
        sale = None if sign > 0 else ("short" if random.random() < 0.2 else "long")
        counterparty = BROKERS[int(random.integers(len(BROKERS)))]
        since = world.day.past[age]
        items.append(Item(row, location, sign * quantity, paid, since, counterparty, sale=sale))
    return items


def money(items: list[Item], location: str) -> int:
    """Contract money at a location, micros."""
    return sum(item.money for item in items if item.location == location)


def rows(world: World, items: list[Item]) -> list[dict]:
    """The custody events of the record, under the house account."""
    return [
        {
            "id": f"L{place:06d}",
            "version": 1,
            "action": "new",
            "account": "HOUSE",
            "instrument": world.universe.id[item.instrument],
            "kind": "location",
            "location": item.location,
            "quantity": item.quantity,
            "cost": item.money / MICRO,
            "since": None if item.since is None else str(item.since),
            "counterparty": item.counterparty,
            "account_kind": item.account_kind,
            "sale": item.sale,
            "business_date": str(world.day.business_date),
        }
        for place, item in enumerate(items)
    ]
