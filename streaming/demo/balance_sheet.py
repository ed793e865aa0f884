"""The firm's balance sheet at the opening: assets equal liabilities and equity, in each currency."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from streaming.demo.clients import HOUSE
from streaming.demo.stock_record import BANK, OPTION_CLEARER, Item, money
from streaming.demo.world import World
from streaming.risk.money import MICRO

ASSETS = frozenset(
    {"cash", "receivable", "dividend_receivable", "fixed_asset", "prepaid", "membership", "unmarketable_investment",
     "clearing_deposit", "reserve_deposit", "option_margin", "operational", "reverse_repo"}
)  # fmt: skip
"""The other lines are liabilities and equity. Amounts are positive in the sense of their line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger item."""

    line: str
    reference: str
    amount: int
    currency: str = "USD"
    counterparty: str | None = None
    since: date | None = None
    due: date | None = None
    account_kind: str = "house"
    secured: int = 0
    party: str = "other"


@dataclass(frozen=True, slots=True)
class Balances:
    """What the balance sheet takes from the accounts and the stock record, USD micros."""

    credits: int
    debits: int
    inventory: int
    """The house's securities at the previous close, net."""
    paid: int
    """Cash given: for borrowed stock and for fails to deliver (receivable)."""
    received: int
    """Cash taken: for loaned stock, pledges and fails to receive (payable)."""


def balances(world: World, items: list[Item]) -> Balances:
    """Client cash split into credits and debits, the house's inventory, and the money of the stock record."""
    clients = np.array([client.id != HOUSE for client in world.clients])
    cash = world.opening.cash[clients]
    house = world.opening.account == world.account_ids.index(HOUSE)
    rows = world.opening.instrument[house]
    inventory = (world.opening.quantity[house] * world.previous[rows] * world.universe.multiplier[rows]).sum()
    return Balances(
        credits=int(np.maximum(cash, 0).sum()),
        debits=int(np.maximum(-cash, 0).sum()),
        inventory=int(inventory) + int(world.opening.cash[~clients].sum()),
        paid=money(items, "borrowed") + money(items, "fail_to_deliver"),
        received=money(items, "loaned") + money(items, "pledged") + money(items, "fail_to_receive"),
    )


def build(world: World, items: list[Item]) -> list[Entry]:
    """The opening ledger; bank cash is what makes it balance, an unsecured bank loan keeps that above its floor."""
    have = balances(world, items)
    million = MICRO * MICRO
    scale = max(have.debits, have.credits, 100 * million) // 100  # one percent of the client business
    free = max(have.credits + have.received - have.debits - have.paid, 0)
    when = world.day.past
    fixed = [
        Entry("subordinated_loan", "SUB-1", 3 * scale, due=world.day.business_date + timedelta(days=900)),
        Entry("reserve_deposit", "RESERVE-CUSTOMER", free + 6 * scale, account_kind="customer", counterparty=BANK),
        Entry("reserve_deposit", "RESERVE-PAB", 4 * scale, account_kind="pab", counterparty=BANK),
        Entry("clearing_deposit", "CLEARING-FUND", 2 * scale, counterparty=OPTION_CLEARER, party="clearing_agency"),
        Entry("option_margin", "OPTION-MARGIN", 2 * scale, counterparty=OPTION_CLEARER, account_kind="customer"),
        Entry("receivable", "REC-CLEARING", scale // 2, counterparty="DEPO", party="clearing_agency"),
        Entry("receivable", "REC-VENDOR", scale // 20, since=when[40]),
        Entry("dividend_receivable", "DIV-1", scale // 20, since=when[8]),
        Entry("dividend_receivable", "DIV-2", scale // 100, since=when[35]),
        Entry("fixed_asset", "FIXED-1", scale // 10),
        Entry("prepaid", "PREPAID-1", scale // 25),
        Entry("membership", "MEMBERSHIP-1", scale // 25),
        Entry("unmarketable_investment", "INVESTMENTS", 0),
        Entry("operational", "SUSPENSE", 0),
        Entry("contractual_commitment", "UNDERWRITING", 0),
        Entry("borrowed_secured", "REPO-BILLS", 0, counterparty=BANK, due=world.day.coming[0], party="bank"),
        Entry("payable", "ACCRUALS", scale // 4),
        Entry("cash", "CASH-EUR", _euro(world), currency="EUR", counterparty="BANK2", party="bank"),
        Entry("ownership_equity", "EQUITY", 14 * scale),
        Entry("repo_payable", "REPO-EQUITIES", scale // 2, counterparty=BANK, due=world.day.coming[4], party="bank"),
        Entry("reverse_repo", "REVERSE-EQUITIES", scale // 4, counterparty=BANK, due=world.day.coming[4], party="bank"),
    ]
    rounded = [Entry(e.line, e.reference, e.amount // 10_000 * 10_000, *_rest(e)) for e in fixed]
    gap = have.credits + have.received - have.debits - have.paid - have.inventory - net_assets(rounded, "USD")
    floor = 2 * scale // 10_000 * 10_000
    loan = max(floor - gap, 0)
    loans = [Entry("borrowed_unsecured", "BANK-LINE", loan, counterparty=BANK, due=world.day.coming[60], party="bank")]
    return [*rounded, *loans, Entry("cash", "CASH-USD", gap + loan, counterparty=BANK, party="bank")]


def _rest(entry: Entry) -> tuple:
    return tuple(getattr(entry, name) for name in Entry.__slots__[3:])


def _euro(world: World) -> int:
    return int(world.opening.euro.sum())


def net_assets(entries: list[Entry], currency: str) -> int:
    """Assets less liabilities and equity of the ledger lines alone, micros."""
    return sum(e.amount if e.line in ASSETS else -e.amount for e in entries if e.currency == currency)


def rows(world: World, entries: list[Entry]) -> list[dict]:
    """The firm events of the ledger, under the house account."""
    return [
        {
            "id": f"F{place:06d}",
            "version": 1,
            "action": "new",
            "account": HOUSE,
            "line": entry.line,
            "reference": entry.reference,
            "currency": entry.currency,
            "amount": entry.amount / MICRO,
            "counterparty": entry.counterparty,
            "since": None if entry.since is None else str(entry.since),
            "due": None if entry.due is None else str(entry.due),
            "account_kind": entry.account_kind,
            "secured": entry.secured / MICRO,
            "party": entry.party,
            "business_date": str(world.day.business_date),
        }
        for place, entry in enumerate(entries)
    ]
