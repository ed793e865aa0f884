"""Historical VaR by full revaluation: 500 days x 20,000 option series, the update after one position's change, and the
stress of the default day at a cut.

Run: ``python tests/benchmarks/bench_var.py [series] [days] [american share]``. Correctness first: P&L vectors against a
plain loop, the update against a full run, option values against Black-Scholes in numpy. Nothing here is a limit.
"""

import sys
from datetime import date
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streaming.risk.holdings import Holdings
from streaming.risk.market import Valuation
from streaming.risk.money import MICRO, round_model
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Kind, Right, Style
from streaming.risk.scenarios.dates import date_scenarios
from streaming.risk.scenarios.grid import grid
from streaming.risk.scenarios.mapping import ShockTable, instrument_values
from streaming.risk.scenarios.shipped import load
from streaming.risk.stress.book import losses, stressed_book
from streaming.risk.stress.surface import surface
from streaming.risk.var.historical import measures
from streaming.risk.var.tail import tails
from streaming.risk.var.vectors import changed, vectors
from tests.unit.real_history import market
from tests.unit.stress_books import (
    RATE,
    RULES,
    Item,
    accounts_of,
    european,
    instruments_of,
    option,
    prices_of,
    table_of,
)

ACCOUNTS, POSITIONS = 200, 100_000


def universe(series: int, rng: np.random.Generator) -> list[Item]:
    """The twenty loaded companies at their last close, with listed options spread over strikes and a year."""
    history = market()
    names = history.symbols[:20]
    items = [Item(name, price=history.close[-1, i] / MICRO, sector=f"S{i % 4}") for i, name in enumerate(names)]
    for k in range(series):
        stock = items[k % len(names)]
        right = Right.CALL if rng.random() < 0.5 else Right.PUT
        strike = round(float(stock.price) * rng.uniform(0.7, 1.3), 2)
        more = {"days": int(rng.integers(5, 365)), "vol": round(rng.uniform(0.15, 0.7), 4)}
        items.append(option(f"{stock.id} {k:05d}", stock.id, right, strike, **more))
    return items


def contracts_of(items: list[Item], table: ShockTable, american: float) -> Contracts:
    options = [i for i in items if i.kind == Kind.OPTION]
    count = len(options)
    style = np.where(np.arange(count) < american * count, Style.AMERICAN, Style.EUROPEAN)
    return Contracts(
        right=np.array([i.right for i in options]),
        style=style,
        strike=np.array([float(i.strike) for i in options]),
        expiry=np.array([i.days / 365 for i in options]),
        rate=np.full(count, RATE),
        carry_yield=np.zeros(count),
        underlying=table.row_of[len(items) - count :],
    )


def value(items: list[Item], table: ShockTable, american: float) -> Valuation:
    """Full revaluation of every series in every scenario, rounded once."""
    price = prices_of(items).price
    options = np.arange(20, len(items))
    vol = np.array([round(i.vol * MICRO) for i in items[20:]], dtype=np.int64)
    days = np.array([i.days for i in items[20:]])
    contracts = contracts_of(items, table, american)
    shift = table.rates(np.array([RATE]))[0] - RATE
    shocked = round_model(revalue(contracts, table.spots(price), table.vols(vol, days), shift))
    now = (price / MICRO)[table.instrument][:, None]
    baseline = price.copy()
    baseline[options] = round_model(revalue(contracts, now, vol / MICRO))[:, 0]
    zeros = np.zeros(len(items), dtype=np.int64)
    return Valuation("bench", table.scenarios, baseline, instrument_values(table, price, options, shocked),
                     zeros, zeros, zeros, zeros, np.zeros((len(items), 10), dtype=np.int64))  # fmt: skip


def main(series: int, days: int, american: float) -> None:
    rng = np.random.default_rng(20)
    items = universe(series, rng)
    instruments, prices = instruments_of(items), prices_of(items)
    history = market().between(date(2015, 1, 1), date(2018, 12, 31))
    scenarios, dropped = date_scenarios(history, days, "SP500", "VIX")
    holdings = Holdings(
        np.sort(rng.integers(0, ACCOUNTS, POSITIONS)).astype(np.int32),
        rng.integers(0, len(items), POSITIONS).astype(np.int32),
        rng.integers(1, 50, POSITIONS) * rng.choice([-1, 1], POSITIONS),
        np.zeros(POSITIONS, dtype=np.int64),
    )
    accounts = accounts_of([(f"C{i // 2}", f"S{i % 5}") for i in range(ACCOUNTS)])
    book, _ = stressed_book(holdings, instruments, prices, RULES)

    def full_run(scenarios):
        marks = [perf_counter()]
        table = table_of(items, scenarios, history=history, index="SP500")
        marks.append(perf_counter())
        valuation = value(items, table, american)
        marks.append(perf_counter())
        pnl = valuation.shocked - valuation.baseline[:, None]
        state = vectors(book, accounts, instruments, pnl)
        found = [measures(level, RULES) for level in (state.account, state.strategy, state.underlying, state.firm)]
        marks.append(perf_counter())
        return table, valuation, pnl, state, found, np.diff(marks)

    full_run(scenarios[:2])  # compile
    table, valuation, pnl, state, found, spent = full_run(scenarios)

    sample = rng.choice(series, min(200, series), replace=False)
    vol = np.array([round(items[20 + k].vol * MICRO) for k in sample], dtype=np.int64)
    shown = table.spots(prices.price)[table.row_of[20 + sample]]
    plain = european(
        np.array([[float(items[20 + k].right)] for k in sample]),
        shown,
        np.array([[float(items[20 + k].strike)] for k in sample]),
        RATE,
        table.vols(vol, np.array([items[20 + k].days for k in sample])),
        np.array([[items[20 + k].days / 365] for k in sample]),
    )
    is_european = sample >= american * series
    error = np.abs(valuation.shocked[20 + sample] / MICRO - plain)[is_european].max(initial=0.0)
    slow = np.zeros(days, dtype=np.int64)
    for row in np.flatnonzero(holdings.account == 7):
        slow += (
            pnl[holdings.instrument[row]]
            * int(holdings.quantity[row])
            * int(instruments.multiplier[holdings.instrument[row]])
        )
    assert np.array_equal(slow, state.account[7])
    assert np.array_equal(state.account.sum(axis=0), state.firm[0])

    code = int(book.instrument[0])
    repeats = 200
    start = perf_counter()
    for _ in range(repeats):
        change = changed(
            state, int(book.account[0]), int(instruments.underlying[code]), int(book.units[0]) + 100, MICRO, pnl[code],
            int(book.units[0]),
        )  # fmt: skip
        tails(change.rows, 990_000)
    update = (perf_counter() - start) / repeats
    book.units[0] += 100
    assert np.array_equal(vectors(book, accounts, instruments, pnl).firm[0], change.rows[3])

    full = float(spent.sum())
    print(f"series {series:,}, days {days} ({len(dropped)} dropped), positions {POSITIONS:,}, American {american:.0%}")
    print(f"  scenario table   {spent[0]:8.3f} s")
    print(f"  revaluation      {spent[1]:8.3f} s   {series * days / spent[1] / 1e6:8.1f} million values/s")
    print(f"  vectors and VaR  {spent[2]:8.3f} s   {POSITIONS * days / spent[2] / 1e6:8.1f} million position-days/s")
    print(f"  full run         {full:8.3f} s   99% VaR of the firm {found[3].var[0, 2, 0] / MICRO:,.2f}")
    print(f"  one position     {update * 1e3:8.3f} ms  1/{full / update:,.0f} of the full run, the same bits")
    compared = int(is_european.sum())
    print(f"  accuracy: vectors exact; {compared} European series against numpy Black-Scholes"
          + (f", largest difference {error:.1e} per share" if compared else ": none in this book"))  # fmt: skip

    everything = [*load().scenarios, *grid(RULES).scenarios]
    start = perf_counter()
    table = table_of(items, everything, vix=20, history=history, index="SP500")
    mapped = perf_counter()
    stressed = value(items, table, american)
    valued = perf_counter()
    found_losses = losses(book, accounts, instruments, stressed)
    summed = perf_counter()
    cells = surface(book, instruments, stressed, grid(RULES), RULES)
    done = perf_counter()
    zero = stressed.scenarios.index("ZERO")
    assert not found_losses.account[:, zero].any()
    assert np.array_equal(found_losses.client.sum(axis=0), found_losses.firm)
    print(f"stress, {len(everything)} scenarios: map {mapped - start:.3f} s, value {valued - mapped:.3f} s, "
          f"losses {summed - valued:.3f} s, {len(cells.account):,} surfaces {done - summed:.3f} s, "
          f"total {done - start:.3f} s; zero scenario exactly zero")  # fmt: skip


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        int(arguments[0]) if arguments else 20_000,
        int(arguments[1]) if len(arguments) > 1 else 500,
        float(arguments[2]) if len(arguments) > 2 else 0.0,
    )
