"""Stock-record allocation: by security, whose securities a loan uses and which shorts a borrow covers.

Bank pledges, fails and transfers carry their origin (customers' and the firm's securities may not be pledged together,
8c-1). Loans and borrows do not: they are allocated by the firm's own fixed order (``reserve.allocation.*``).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from streaming.risk.capital.clients import SecuritySums
from streaming.risk.capital.inputs import Location, StockRecord
from streaming.risk.reference import AccountKind
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class Allocation:
    """One row per security with a loan, a borrow or a firm short, by instrument. Quantities >= 0, money micros."""

    instrument: np.ndarray
    loaned: dict[str, np.ndarray]
    """Quantity lent by whose it is: borrowed (matched book), firm, customer, pab, unexplained."""
    loaned_amount: dict[str, np.ndarray]
    """Cash collateral of the loans, the same keys; adds up to the loans exactly."""
    borrowed: dict[str, np.ndarray]
    """Quantity borrowed by what it covers: loaned (matched book), firm, customer, pab (shorts), unexplained."""
    borrowed_amount: dict[str, np.ndarray]
    firm_short_from_customers: np.ndarray
    """Firm shorts that no borrow covers, up to what customers are long: sold to, or delivered from, customers."""


UNEXPLAINED = "unexplained"


def allocate(sums: SecuritySums, record: StockRecord, rules: Rules) -> Allocation:
    """Allocate the loans and borrows of every security."""
    own = [AccountKind.HOUSE, AccountKind.NON_CUSTOMER]
    firm = sums.long[own].sum(axis=0) - sums.short[own].sum(axis=0)
    loaned, loaned_money = _street(record, Location.LOANED, firm.shape[0])
    borrowed, borrowed_money = _street(record, Location.BORROWED, firm.shape[0])
    chosen = np.flatnonzero((loaned != 0) | (borrowed != 0) | (firm < 0))
    lent, taken, net = loaned[chosen], borrowed[chosen], firm[chosen]
    matched = np.minimum(lent, taken)
    longs = {
        "borrowed": matched,
        "firm": np.maximum(net, 0),
        "customer": sums.long[AccountKind.CUSTOMER][chosen],
        "pab": sums.long[AccountKind.PAB][chosen],
    }
    shorts = {
        "loaned": matched,
        "firm": np.maximum(-net, 0),
        "customer": sums.short[AccountKind.CUSTOMER][chosen],
        "pab": sums.short[AccountKind.PAB][chosen],
    }
    lent_by = in_order(lent, longs, _order(rules, "loaned", longs))
    taken_for = in_order(taken, shorts, _order(rules, "borrowed", shorts))
    free_long = longs["customer"] - lent_by["customer"]
    return Allocation(
        chosen.astype(np.int32),
        lent_by,
        pro_rata(loaned_money[chosen], lent, lent_by),
        taken_for,
        pro_rata(borrowed_money[chosen], taken, taken_for),
        np.minimum(shorts["firm"] - taken_for["firm"], free_long),
    )


def in_order(quantity: np.ndarray, available: dict[str, np.ndarray], order: Iterable[str]) -> dict[str, np.ndarray]:
    """Fill ``quantity`` from ``available`` in this order; what nothing fills is ``unexplained``."""
    rest, parts = quantity.copy(), {}
    for name in order:
        parts[name] = np.minimum(rest, available[name])
        rest = rest - parts[name]
    return parts | {UNEXPLAINED: rest}


def pro_rata(money: np.ndarray, quantity: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Split ``money`` by the parts of ``quantity``; running shares are rounded, so the parts add up exactly."""
    done, before = np.zeros_like(quantity), np.zeros_like(money)
    split = {}
    for name, part in parts.items():
        done = done + part
        upto = [
            (2 * amount * share + whole) // (2 * whole) if whole else 0  # Python integers: the product may pass 64 bits
            for amount, share, whole in zip(money.tolist(), done.tolist(), quantity.tolist(), strict=True)
        ]
        running = np.array(upto, dtype=np.int64)
        split[name], before = running - before, running
    return split


def _street(record: StockRecord, location: Location, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Quantity >= 0 and contract money by instrument at a location."""
    rows = record.rows(location)
    quantity, amount = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    np.add.at(quantity, record.instrument[rows], np.abs(record.quantity[rows]))
    np.add.at(amount, record.instrument[rows], record.amount[rows])
    return quantity, amount


def _order(rules: Rules, which: str, names: dict[str, np.ndarray]) -> tuple[str, ...]:
    order = rules.parameter(f"reserve.allocation.{which}").value
    if not isinstance(order, list) or sorted(order) != sorted(names):
        raise ValueError(f"reserve.allocation.{which}: expected an order of {sorted(names)}, found {order}")
    return tuple(order)
