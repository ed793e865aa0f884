"""Portfolio margin of the reference book: 5,000 series x 2,000 accounts per price set, and 300 accounts intraday.

Run: ``python tests/benchmarks/bench_portfolio_margin.py``. The valuation is shared by all accounts and not timed here.
The result is first checked against a plain loop over one account.
"""

import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streaming.risk.holdings import Holdings
from streaming.risk.margin.groups import assign_groups
from streaming.risk.margin.house import HouseInputs, StrategyRows, house_requirement
from streaming.risk.margin.portfolio import portfolio_margin, scan_points
from streaming.risk.money import MICRO
from tests.unit.margin_portfolio_books import RULES, Item, accounts_of, call, instruments_of, prices_of, valuation_of

NAMES, SERIES = 100, 5_000


def book(n_accounts: int, positions_per_account: int, seed: int = 7):
    """An option book over 100 single names: every account holds the given number of different series or shares."""
    rng = np.random.default_rng(seed)
    items = [Item(f"N{i:03d}", int(rng.integers(20, 500))) for i in range(NAMES)]
    for k in range(SERIES):
        name = items[k % NAMES]
        items.append(call(f"S{k:04d}", name.id, int(name.price * rng.uniform(0.7, 1.3)), years=rng.uniform(0.02, 1.5)))
    chosen = [np.sort(rng.choice(len(items), positions_per_account, replace=False)) for _ in range(n_accounts)]
    quantity = rng.integers(1, 200, n_accounts * positions_per_account) * rng.choice(
        [-1, 1], len(chosen) * len(chosen[0])
    )
    holdings = Holdings(
        np.repeat(np.arange(n_accounts), positions_per_account).astype(np.int32),
        np.concatenate(chosen).astype(np.int32),
        quantity.astype(np.int64),
        np.zeros(len(quantity), dtype=np.int64),
    )
    return items, holdings


def plain_requirement(holdings, instruments, valuation, account: int) -> int:
    """One account by a plain loop: every name stands alone."""
    pnl, minimum = {}, {}
    for row in np.flatnonzero(holdings.account == account):
        code, quantity = int(holdings.instrument[row]), int(holdings.quantity[row])
        name, multiplier = int(instruments.underlying[code]), int(instruments.multiplier[code])
        points = [(int(v) - int(valuation.baseline[code])) * multiplier * quantity for v in valuation.scan[code]]
        pnl[name] = [a + b for a, b in zip(pnl.get(name, [0] * 10), points)]
        minimum[name] = minimum.get(name, 0) + (375_000 * multiplier * abs(quantity) if code >= NAMES else 0)
    return sum(max(0, -min(points), minimum[name]) for name, points in pnl.items())


def house_run(holdings, instruments, accounts, prices, valuation, margin):
    """House margin of the same book: every layer on, no strategy-based accounts."""
    n = len(instruments)
    none = np.zeros(0, dtype=np.int64)
    inputs = HouseInputs(
        values=valuation.scan[:, [0, 9, 0, 9]],
        baseline=valuation.baseline,
        delta=np.full(n, 500_000),
        vega=np.full(n, 10 * MICRO),
        daily_vol=np.full(n, 20_000),
        event=np.arange(n) % 7 == 0,
        var=np.full(len(accounts), 1_000_000 * MICRO),
        equity=np.zeros(len(accounts), dtype=np.int64),
        add_ons=(),
        as_of=20_490,
        sessions=np.arange(20_480, 20_600),
    )
    strategy = StrategyRows(none, none, none)
    return lambda: house_requirement(holdings, instruments, accounts, prices, margin, strategy, inputs, RULES)


def best_of(times: int, run) -> float:
    seconds = []
    for _ in range(times):
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return min(seconds)


def main() -> None:
    for n_accounts, per_account, times in ((300, 40, 20), (2_000, 100, 5), (2_000, 1_000, 3)):
        items, holdings = book(n_accounts, per_account)
        instruments, prices, accounts = instruments_of(items), prices_of(items), accounts_of(n_accounts)
        groups = assign_groups(instruments, RULES)
        valuation = valuation_of(items, scan_points(instruments, RULES, groups))

        def run(holdings=holdings, arguments=(instruments, accounts, prices, valuation, groups, RULES)):
            return portfolio_margin(holdings, *arguments)

        result = run()
        for account in (0, n_accounts - 1):
            assert result.requirement[account] == plain_requirement(holdings, instruments, valuation, account)
        shuffle = np.random.default_rng(1).permutation(len(holdings))
        again = run(replace(holdings, **{f: getattr(holdings, f)[shuffle] for f in holdings.__slots__}))
        assert (again.requirement == result.requirement).all()
        seconds = best_of(times, run)
        house = house_run(holdings, instruments, accounts, prices, valuation, result)
        checked = house()
        assert (sum(checked.components.values()) == checked.requirement).all()
        house_seconds = best_of(times, house)
        print(
            f"{len(items):,} instruments x {n_accounts:,} accounts, {len(holdings):,} positions: "
            f"scan {seconds * 1e3:,.1f} ms, house layers {house_seconds * 1e3:,.1f} ms, "
            f"total requirement {result.requirement.sum() / MICRO:,.2f}"
        )


if __name__ == "__main__":
    main()
