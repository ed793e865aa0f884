"""Regulation T with exact pairing: the time of one price set, and the pairing's share of it.

    python -m tests.benchmarks.bench_regt [accounts] [positions per account] [underlyings per account]

A seeded book over 100 underlyings with 50 series each (two expiries, strikes on the listed grid), long and short, with
stock against most of them: harder than a client's book, which holds strategies. Correctness comes first: treatments sum
to the accounts, every position is consumed once, and no account is above leg by leg. Times are also given as a ratio to
margining every leg alone in the same run.
"""

import sys
from dataclasses import replace
from time import perf_counter

import numpy as np

from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.margin import regt
from streaming.risk.reference import Kind, MarginType, Style
from tests.unit.margin_portfolio_books import Item, accounts_of, call, instruments_of, prices_of, put
from tests.unit.margin_regt_books import RULES

TODAY, UNDERLYINGS, EXPIRIES, STRIKES = 20_400, 100, 2, 12


def market(rng: np.random.Generator) -> list[Item]:
    """Stocks first, then their series: a strike grid around each price."""
    prices = rng.uniform(8, 400, UNDERLYINGS).round(2)
    items = [Item(f"S{u:03}", price) for u, price in enumerate(prices)]
    for u, price in enumerate(prices):
        grid = 1 if price < 25 else 2.5 if price < 100 else 5
        for expiry in range(EXPIRIES):
            for step in range(STRIKES):
                strike = max(grid, (round(price / grid) + step - STRIKES // 2) * grid)
                for make, right in ((call, 1), (put, -1)):
                    value = round(max(right * (price - strike), 0) + price * 0.03 * (expiry + 1), 2)
                    name = f"S{u:03} {expiry} {strike} {make.__name__}"
                    items.append(make(name, f"S{u:03}", strike, value, expiry=TODAY + 20 + 30 * expiry))
    return items


def book(rng: np.random.Generator, accounts: int, positions: int, names: int) -> Holdings:
    """Positions per account in so many underlyings, stock in most of them."""
    series = EXPIRIES * STRIKES * 2
    rows = []
    for account in range(accounts):
        for u in np.sort(rng.choice(UNDERLYINGS, names, replace=False)):
            if rng.random() < 0.6:
                rows.append((account, u, 100 * (int(rng.integers(-20, 21)) or 1)))
            chosen = np.sort(rng.choice(series, min(max(positions // names, 1), series), replace=False))
            rows += [(account, UNDERLYINGS + u * series + k, int(rng.integers(-20, 21)) or 1) for k in chosen]
    account, instrument, quantity = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Holdings(account.astype(np.int32), instrument.astype(np.int32), quantity, np.zeros(len(rows), np.int64))


def check(result: regt.MarginResult, apart: regt.MarginResult) -> None:
    rows = result.treatments
    total = np.zeros(len(result.accounts.maintenance), np.int64)
    np.add.at(total, rows.account, rows.maintenance)
    used = np.zeros(len(result.positions), np.int64)
    np.add.at(used, rows.leg_position, rows.leg_quantity)
    assert (total == result.accounts.maintenance).all()
    assert (used == result.positions.quantity).all()
    assert (result.accounts.maintenance <= apart.accounts.maintenance).all()


def main(accounts: int = 2000, positions: int = 40, names: int = 12) -> None:
    rng = np.random.default_rng(20261102)
    items = market(rng)
    plain = instruments_of(items)
    instruments = replace(plain, style=np.where(plain.kind == Kind.OPTION, Style.AMERICAN, Style.NONE))
    owners = replace(accounts_of(accounts), margin_type=np.full(accounts, MarginType.REG_T, dtype=np.int8))
    holdings, prices = book(rng, accounts, positions, names), prices_of(items)
    none = np.zeros(accounts, np.int64)
    cash = CashBalances(np.arange(accounts), np.full(accounts, "USD", dtype=object), none, none, none)

    def run(combine: np.ndarray | None = None) -> tuple[regt.MarginResult, float]:
        start = perf_counter()
        result = regt.regulation_t(holdings, cash, instruments, owners, prices, TODAY, RULES, combine=combine)
        return result, perf_counter() - start

    result, _ = run()  # compiles
    times = [run()[1] for _ in range(3)]
    nobody = np.zeros(accounts, bool)
    apart, _ = run(nobody)
    alone = min(run(nobody)[1] for _ in range(3))
    check(result, apart)
    saved = 1 - result.accounts.maintenance.sum() / apart.accounts.maintenance.sum()
    books = len(np.unique(result.treatments.account * len(items) + result.treatments.underlying))
    print(f"{accounts:,} accounts, {len(items) - UNDERLYINGS:,} series, {len(holdings):,} positions, {books:,} books")
    print(f"exact pairing {min(times):.2f} to {max(times):.2f} s a price set; {min(times) / alone:.1f} x leg by leg")
    print(f"requirement {saved:.1%} below leg by leg")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
