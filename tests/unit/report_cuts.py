"""Sealed cuts for the report tests: invented but consistent, so that every reconciliation of a workbook holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from streaming.cuts import SealedCut, open_cut
from streaming.engine.canonical import int64_to_decimal, sort_by_key, table_digest
from streaming.engine.epochs import Epoch
from streaming.engine.sealing import Cut, CutStore
from streaming.schema.sealed import TABLES

DAY = date(2020, 3, 16)
CLOSE_US = 1_584_390_600_000_000
NASTY = ("=1+1", "+2 x XYZ", "-cmd", "@SUM(A1)", "bell\x07 and & < >", "_x0041_ literal", "tab\tkept", "ünïcode ☂")
"""Texts that a workbook must keep as they are and never take for a formula."""
NAMES = ("ABC", "DEF", "GHI", "JKL", "MNO")


def table(name: str, rows: int, /, **columns: object) -> pa.Table:
    """Rows of a sealed table; columns not given get a plain value of their type. Integers are micros in decimals."""
    schema = TABLES[name]
    unknown = set(columns) - {column.name for column in schema.columns}
    assert not unknown, f"{name}: no columns {unknown}"
    arrays = []
    for column in schema.columns:
        values = columns.get(column.name)
        if isinstance(values, pa.Array):
            arrays.append(values)
        elif pa.types.is_decimal(column.type):
            numbers = np.asarray(np.zeros(rows) if values is None else values).astype(np.int64)
            arrays.append(int64_to_decimal(np.broadcast_to(numbers, rows).copy(), column.type))
        elif values is None or isinstance(values, (str, int, bool, date)):
            plain = {"string": "", "int64": 0, "bool": False}.get(str(column.type)) if values is None else values
            arrays.append(pa.array([plain] * rows, column.type))
        else:
            arrays.append(pa.array(list(values), column.type))
    return sort_by_key(schema, pa.Table.from_arrays(arrays, schema=schema.arrow))


@dataclass(frozen=True)
class Size:
    """How large a cut is."""

    accounts: int = 12
    series: int = 30
    sets: int = 8
    holdings: int = 4
    """Positions of each account."""
    seed: int = 7


def seal(folder: Path, tables: Mapping[str, pa.Table], cut: str = "2020-03-16/eod", version: int = 1) -> SealedCut:
    """Seal some tables as a cut, the way the engine does."""
    ends = {"trades": (10, 20), "prices": (30,)}
    epoch = Epoch(4321, CLOSE_US, DAY, ends, "2020-03-16/163000", cut)
    versions = {"rulebook": "0123456789abcdef", "rule_date": "2026-11-01", "code": "test"}
    digests = {name: table_digest(TABLES[name], rows) for name, rows in tables.items()}
    states = {"book/0": {"digest": b"ab" * 32}}
    CutStore(folder).write([(Cut(epoch, versions, tables, digests, states), version)])
    return open_cut(folder, cut, version)


def day_end(folder: Path, size: Size | None = None, without: tuple[str, ...] = (), **more: object) -> SealedCut:
    """A whole end of day; ``without`` some tables."""
    found = {name: rows for name, rows in all_tables(size or Size()).items() if name not in without}
    return seal(folder, found, **more)  # type: ignore[arg-type]


def all_tables(size: Size) -> dict[str, pa.Table]:
    """Every table of an end of day, consistent where the reports reconcile."""
    rng = np.random.default_rng(size.seed)
    accounts = [f"A{n:05}" for n in range(size.accounts)]
    made = _reference(size, accounts) | _positions(size, accounts, rng)
    made |= _margin(size, accounts, rng)
    made |= _stress(size, accounts, made, rng)
    return made | _capital() | _value_at_risk(rng)


def _reference(size: Size, accounts: list[str]) -> dict[str, pa.Table]:
    series = [f"{NAMES[n % len(NAMES)]} {n:05}C" for n in range(size.series)]
    ids = [*NAMES, *series]
    n = len(ids)
    kinds = ["stock"] * len(NAMES) + ["option"] * len(series)
    expiry = pa.array([None] * len(NAMES) + [date(2020, 4, 17)] * len(series), pa.date32())
    status = ["stale" if k == 1 else "missing" if k == 2 else "good" for k in range(n)]
    nasty = [NASTY[k % len(NASTY)] for k in range(3)]
    return {
        "accounts": table(
            "accounts",
            len(accounts),
            id=accounts,
            client=[f"C{k // 2:05}" for k in range(len(accounts))],
            kind="customer",
            margin_type="reg_t",
            currency="USD",
            country="US",
        ),
        "instruments": table(
            "instruments",
            n,
            id=ids,
            kind=kinds,
            underlying=[name[:3] for name in ids],
            currency="USD",
            multiplier=[1] * len(NAMES) + [100] * len(series),
            expiry=expiry,
            adv=-1,
            market_cap=-1,
            shares_outstanding=-1,
            strike=np.arange(n) * 1_000_000,
        ),
        "prices": table(
            "prices",
            n,
            instrument=ids,
            currency="USD",
            price=np.arange(1, n + 1) * 1_234_567,
            status=status,
            age=60,
            source="test",
            price_set="2020-03-16/163000",
        ),
        "fx": table("fx", 2, currency=["EUR", "USD"], rate=[1_121_100, 1_000_000], price_set="2020-03-16/163000"),
        "counts": table("counts", 1, app="book", topic="trades", events=30, applied=27, quarantined=3),
        "quarantine": table(
            "quarantine",
            3,
            topic="trades",
            partition=0,
            ordinal=[1, 2, 3],
            epoch=5,
            reason="bad field",
            detail=nasty,
            payload_digest="0" * 32,
        ),
        "rejects": table("rejects", 1, account="A00001", instrument="ABC", epoch=7, reason="sum out of range"),
    }


def _positions(size: Size, accounts: list[str], rng) -> dict[str, pa.Table]:
    n = size.accounts * size.holdings
    owner = np.repeat(np.arange(size.accounts), size.holdings)
    places = np.tile(np.arange(size.holdings), size.accounts) + 7 * owner
    ids = [f"{NAMES[k % len(NAMES)]} {k:05}C" for k in (places % size.series).tolist()]
    return {
        "positions": table(
            "positions",
            n,
            account=[accounts[k] for k in owner],
            instrument=ids,
            currency="USD",
            quantity=rng.integers(-500, 500, n),
            cost=rng.integers(-(10**12), 10**12, n),
        ),
        "cash": table(
            "cash",
            size.accounts,
            account=accounts,
            currency="USD",
            amount=rng.integers(-(10**13), 10**13, size.accounts),
        ),
    }


def _margin(size: Size, accounts: list[str], rng) -> dict[str, pa.Table]:
    n, lines = size.accounts, 3
    maintenance = rng.integers(10**9, 10**12, (n, lines))
    premium = rng.integers(0, 10**8, (n, lines))
    initial = maintenance * 2
    requirement = (maintenance - premium).sum(axis=1)
    equity = requirement + rng.integers(-(10**12), 3 * 10**12, n)
    excess = equity - requirement
    sets = [f"2020-03-16/{9 + k // 60:02}{k % 60:02}00" for k in range(30, 30 + size.sets - 1)] + ["2020-03-16/163000"]
    drift = rng.integers(-(10**12), 10**12, (n, size.sets))
    drift[:, -1] = 0
    peak = np.maximum(0, -(excess[:, None] + drift)).max(axis=1)
    when = [sets[k] if peak[row] else "" for row, k in enumerate((excess[:, None] + drift).argmin(axis=1).tolist())]
    owner = np.repeat(np.arange(n), size.sets)
    short = np.flatnonzero(excess < 0).tolist()
    by_line = np.repeat(np.arange(n), lines)
    return {
        "margin": table(
            "margin",
            n,
            account=accounts,
            margin_type=["reg_t" if k % 3 else "portfolio" for k in range(n)],
            equity=equity,
            margin_equity=equity,
            requirement=requirement,
            maintenance=requirement,
            initial=(initial - premium).sum(axis=1),
            excess=excess,
            reg_t_excess=excess - 10**10,
            maintenance_excess=excess,
            maintenance_call=np.maximum(0, -excess),
            peak_deficit=peak,
            peak_price_set=when,
            price_set="2020-03-16/163000",
        ),
        "margin_lines": table(
            "margin_lines",
            n * lines,
            account=[accounts[k] for k in by_line],
            underlying=[NAMES[k % len(NAMES)] for k in range(n * lines)],
            line=list(range(n * lines)),
            strategy="long stock",
            legs=[f"+{k + 1} x ABC" for k in range(n * lines)],
            maintenance=maintenance.ravel(),
            initial=initial.ravel(),
            premium=premium.ravel(),
            rule="FINRA 4210(c)",
        ),
        "margin_groups": table(
            "margin_groups",
            n,
            account=accounts,
            margin_group="ABC",
            level="class",
            requirement=requirement,
            rule="FINRA 4210(g)",
        ),
        "margin_path": table(
            "margin_path",
            n * size.sets,
            account=[accounts[k] for k in owner],
            price_set=sets * n,
            requirement=requirement[owner],
            equity=(equity[owner] + drift.ravel()),
            excess=(excess[owner] + drift.ravel()),
        ),
        "margin_house": table(
            "margin_house",
            n,
            account=accounts,
            house_requirement=requirement,
            binding="scan",
            effective_requirement=requirement,
        ),
        "margin_house_lines": table(
            "margin_house_lines", n, account=accounts, amount=requirement, component="regulatory"
        ),
        "calls": table(
            "calls",
            len(short),
            account=[accounts[k] for k in short],
            kind="maintenance",
            amount=-excess[short],
            due=date(2020, 3, 20),
            rule="FINRA 4210(f)(6)",
        ),
        "limits": table(
            "limits",
            2,
            metric="margin_deficit",
            level="firm",
            name=["a", "b"],
            status=["RED", "GREEN"],
            value=10**9,
            amber=10**8,
            red=10**9,
            owner="head of risk",
            valid_from=date(2026, 1, 1),
        ),
        "limit_breaches": table(
            "limit_breaches",
            2,
            metric="house_excess",
            level="account",
            name=["a", "b"],
            status=["GREEN", "RED"],
            worst=["AMBER", "RED"],
            first_price_set="2020-03-16/103000",
            worst_price_set="2020-03-16/104500",
            worst_value=-(10**9),
        ),
        "exposure": table("exposure", n, account=accounts, equity=equity, price_set="2020-03-16/163000"),
    }


SPOTS, VOLS = (-30, -10, 0, 10), (-25, 0, 50)
CORE = ("CRASH", "DROP", "RALLY")


def _stress(size: Size, accounts: list[str], made: Mapping[str, pa.Table], rng) -> dict[str, pa.Table]:
    grid = [f"GRID/{spot:+d}%/{vol:+d}%" for spot in SPOTS for vol in VOLS]
    scenarios = [*CORE, *grid]
    n, k = size.accounts, len(NAMES)
    sign = np.array([3, 1, -2])[None, :, None]
    parts = sign * rng.integers(0, 10**11, (n, len(CORE), k))
    core = parts.sum(axis=2)
    move = np.array([-spot * 10**9 - vol * 10**7 for spot in SPOTS for vol in VOLS])
    loss = np.concatenate([core, np.broadcast_to(move, (n, len(grid)))], axis=1)
    equity = np.array([int(value * 10**6) for value in made["margin"]["equity"].to_pylist()])
    after = equity[:, None] - loss
    owner = [name for name in accounts for _ in scenarios]
    totals = loss.sum(axis=0)
    shortfall = np.maximum(0, -after)
    cells = [(a, u, s) for a in accounts for s in CORE for u in NAMES]
    return {
        "scenarios": table(
            "scenarios",
            len(scenarios),
            scenario=scenarios,
            name=[f"scenario {s}" for s in scenarios],
            family=["house"] * len(CORE) + ["grid"] * len(grid),
            scope="market",
        ),
        "stress": table(
            "stress",
            n * len(scenarios),
            account=owner,
            scenario=scenarios * n,
            loss=loss.ravel(),
            equity_after=after.ravel(),
            price_set="2020-03-16/163000",
        ),
        "stress_underlying": table(
            "stress_underlying",
            len(cells),
            account=[a for a, _, _ in cells],
            underlying=[u for _, u, _ in cells],
            scenario=[s for _, _, s in cells],
            loss=parts.ravel(),
        ),
        "stress_surface": table(
            "stress_surface",
            n,
            account=accounts,
            underlying="ABC",
            worst_loss=10**9,
            worst_spot=-150_000,
            worst_vol=250_000,
        ),
        "stress_unpriced": table(
            "stress_unpriced", 1, account=accounts[0], instrument="ABC", charge=10**9, reason="no price"
        ),
        "stress_totals": table(
            "stress_totals", len(scenarios), level="firm", name="firm", scenario=scenarios, loss=totals
        ),
        "stress_firm": table(
            "stress_firm",
            len(scenarios),
            scenario=scenarios,
            name=scenarios,
            family="house",
            loss=totals,
            house_loss=totals // 10,
            client_shortfall=shortfall.sum(axis=0),
            largest_shortfall=shortfall.max(axis=0),
            largest_client="C00001",
            top_five_shortfall=shortfall.sum(axis=0),
            clients_short=(shortfall > 0).sum(axis=0),
            net_capital_after=10**14 - totals,
        ),
        "valuation": table("valuation", len(NAMES), instrument=list(NAMES), delta=10**6, price_set="2020-03-16/163000"),
    }


NET = {
    "ownership_equity": 90_000_000_004_000,
    "subordinated_loans": 20_000_000_004_000,
    "non_allowable.prepaid": 1_000_000_000_000,
    "deduction.aged_fails": 500_000_000_000,
    "haircut.equity": 3_000_000_004_000,
    "haircut.options": 2_000_000_004_000,
    "concentration.equity": 250_000_000_000,
}
"""Amounts in micros, four with a tail of 0.4 cent, so that printed items do not add up to the printed total."""


def net_capital() -> int:
    """Net capital of :data:`NET`, micros."""
    return sum(value if code in ("ownership_equity", "subordinated_loans") else -value for code, value in NET.items())


def _capital() -> dict[str, pa.Table]:
    net = net_capital()
    haircuts = sum(value for code, value in NET.items() if code.startswith(("haircut.", "concentration.")))
    lines = [("net_capital", code, value) for code, value in NET.items()]
    lines += [("net_capital", "tentative", net + haircuts), ("net_capital", "haircuts", haircuts)]
    lines += [("net_capital", "net_capital", net)]
    for statement in ("reserve_customer", "reserve_pab"):
        items = [(f"i{n}", n * 10**12 + 4_000) for n in range(1, 16)]
        owed, due = (sum(v for c, v in items[a:b]) for a, b in ((0, 9), (9, 15)))
        lines += [(statement, code, value) for code, value in items[:9]] + [(statement, "credits", owed)]
        lines += [(statement, code, value) for code, value in items[9:]] + [(statement, "debits", due)]
        lines += [(statement, "on_deposit", None), (statement, "shortfall", -5 * 10**12)]
    place: dict[str, int] = {}
    numbers = []
    for statement, _, _ in lines:
        place[statement] = place.get(statement, 0) + 1
        numbers.append(place[statement])
    amounts = pa.array(
        [None if v is None else Decimal(v).scaleb(-6) for _, _, v in lines],
        TABLES["capital_lines"].arrow.field("amount").type,
    )
    below = [
        (s, n, p, v // 2 if p == 1 else v - v // 2)
        for (s, c, v), n in zip(lines, numbers, strict=True)
        if c in NET
        for p in (1, 2)
    ]
    heads = {
        "net_capital": net,
        "tentative_net_capital": net + haircuts,
        "required": 30 * 10**12,
        "excess": net - 30 * 10**12,
        "aggregate_debits": 900 * 10**12,
        "pct_of_debits": 11_472_222,
        "reserve_customer_required": 45 * 10**12,
        "equity": NET["ownership_equity"],
    }
    units = ["percent" if name == "pct_of_debits" else "USD" for name in heads]
    codes = [
        "debits_5pct",
        "minimum_120pct",
        "below_minimum",
        "portfolio_margin_10x",
        "expansion_debits",
        "financing_payable",
    ]
    room = pa.array(
        [Decimal(n) * 1_000_000 for n in (50, 60, 70, -3, 40)] + [None], TABLES["notices"].arrow.field("headroom").type
    )
    return {
        "capital_lines": table(
            "capital_lines",
            len(lines),
            statement=[s for s, _, _ in lines],
            line=numbers,
            code=[c for _, c, _ in lines],
            label=[c.replace("_", " ") for _, c, _ in lines],
            amount=amounts,
            rule="15c3-1(c)(2)",
            evidence="K",
            formula="sum",
        ),
        "capital_inputs": table(
            "capital_inputs",
            len(below),
            statement=[s for s, *_ in below],
            line=[n for _, n, *_ in below],
            place=[p for _, _, p, _ in below],
            item="A00001",
            amount=[v for *_, v in below],
            detail="account",
        ),
        "headlines": table(
            "headlines",
            len(heads),
            name=list(heads),
            value=list(heads.values()),
            unit=units,
            label=[name.replace("_", " ") for name in heads],
        ),
        "notices": table(
            "notices",
            len(codes),
            code=codes,
            label=codes,
            level=["green"] * 3 + ["amber"] * 3,
            value=10**12,
            threshold=2 * 10**12,
            headroom=room,
            fires=[False] * 3 + [True, False, False],
            timing="notice within 24 hours",
            rule="17a-11(b)",
        ),
        "checks": table(
            "checks", 2, check=["stock_record", "clients_to_firm"], key=["ABC", "USD"], expected=10**9, found=10**9
        ),
    }


def _value_at_risk(rng) -> dict[str, pa.Table]:
    days = 60
    pnl, var = rng.integers(-(10**12), 10**12, days), 8 * 10**11
    return {
        "var": table(
            "var",
            2,
            level="firm",
            name="firm",
            method="historical",
            horizon_days=1,
            confidence=[975_000, 990_000],
            var=[var, var * 2],
            es=[var * 2, var * 3],
            scenarios=500,
            proxied=120_000,
        ),
        "var_components": table(
            "var_components", 2, level="underlying", name=["ABC", "DEF"], confidence=990_000, component=var
        ),
        "var_backtest": table(
            "var_backtest",
            days,
            date=[DAY - timedelta(days=days - k) for k in range(days)],
            pnl=pnl,
            var=var,
            es=var * 2,
            exception=(pnl < -var).tolist(),
        ),
    }
