"""A small firm as sealed frames of any number of shards: three stocks, an option series, an index, six accounts, in
balance.
"""

from datetime import date

import numpy as np
import pyarrow as pa

from streaming.apps.book import CASH_KINDS, LOCATIONS
from streaming.apps.rules import versions_in_force
from streaming.apps.tables import build
from streaming.apps.views import matrix_rows, valuation_rows, with_house
from streaming.engine.epochs import Epoch
from streaming.engine.frames import Frame
from streaming.engine.stretch import Position, Stretch
from streaming.risk.margin.house import HOUSE_POINTS
from streaming.risk.market import Valuation
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind, MarginType, Right
from streaming.risk.rulebook import load
from streaming.schema import results, sealed
from streaming.schema.model import TEXT, Table
from tests.unit.capital_books import accounts, day, instruments, option

DAY = date(2020, 3, 16)
CLOSE = int(np.datetime64("2020-03-16T20:30:00").astype("datetime64[us]").astype(int))
KINDS = (
    AccountKind.HOUSE,
    AccountKind.CUSTOMER,
    AccountKind.CUSTOMER,
    AccountKind.CUSTOMER,
    AccountKind.PAB,
    AccountKind.NON_CUSTOMER,
)
STOCKS = instruments(
    {"id": "AAA", "issuer": "A"},
    {"id": "BBB", "issuer": "B"},
    {"id": "CCC", "issuer": "C", "currency": "EUR"},
    option("AAA   200417C00100000", Right.CALL, 100, expiry=day("2020-04-17")),
    {"id": "SPX", "kind": Kind.INDEX},
)
OWNERS = accounts(*KINDS, margin=MarginType.REG_T)
PRICE = {0: 90, 1: 40, 2: 20, 3: 3, 4: 2_400}
PREVIOUS = {0: 100, 1: 50, 2: 20, 3: 5, 4: 2_700}
RATE = {"USD": MICRO, "EUR": 1_100_000}

# account, instrument, quantity with which the day began, bought today
POSITIONS = (
    (0, 0, 1_000, 100), (0, 1, -2_000, 0), (1, 0, 5_000, -300), (1, 3, -10, 0), (2, 1, 8_000, 0), (2, 2, 700, 50),
    (3, 0, -1_500, 0), (4, 1, 900, -100), (5, 0, 300, 0), (5, 3, 4, 6),
)  # fmt: skip
CASH = {(1, "USD"): -300_000, (2, "USD"): -150_000, (2, "EUR"): 5_000, (3, "USD"): 400_000, (4, "USD"): 60_000}
FEE = 7
EQUITY = 5_000_000


def reference_tables() -> dict[str, pa.Table]:
    """Instruments and accounts as the reference application hands them on."""
    found = {}
    for name, view, schema in (
        ("instruments", STOCKS, results.INSTRUMENTS),
        ("accounts", OWNERS, results.ACCOUNTS),
    ):
        columns = {item.name: getattr(view, item.name, np.zeros(len(view), np.int64)) for item in schema}
        arrays = [pa.array(columns[item.name].tolist()).cast(item.type) for item in schema]
        found[name] = pa.Table.from_arrays(arrays, schema=schema)
    return found


def price_tables() -> dict[str, pa.Table]:
    n = len(PRICE)
    prices = pa.table(
        {
            "price": [PRICE[i] * MICRO for i in range(n)],
            "status": pa.array([0] * n, pa.int64()),
            "age": pa.array([0] * n, pa.int64()),
            "previous_close": [PREVIOUS[i] * MICRO for i in range(n)],
        }
    )
    return {"prices": prices, "fx": pa.table({"currency": list(RATE), "rate": list(RATE.values())})}


CORE, FULL = {"M-10": -100_000, "M+10": 100_000}, {"H2008d": -500_000}
"""Scenario -> what it does to every stock, ppm; an option keeps its value."""
DAILY_VOL = 20_000


def valuation_tables() -> dict[str, pa.Table]:
    """Model values of the end of day: two core scenarios, another one, and the nodes of reverse stress."""
    rules = load().at(date(2026, 11, 1))
    spots, vols = (rules.values(f"stress.reverse.{name}") for name in ("spots", "vols"))
    nodes = {f"GRID/{float(s):+.0%}/{float(v):+.0%}": int(s * MICRO) for s in spots for v in vols}
    n = len(PRICE)
    base = np.array([PRICE[i] * MICRO for i in range(n)], np.int64)
    stock = np.array([kind != Kind.OPTION for kind in STOCKS.kind])

    def shocked(moves: dict[str, int]) -> np.ndarray:
        return np.stack([base + np.where(stock, base * move // MICRO, 0) for move in moves.values()], axis=1)

    zero, scan = np.zeros(n, np.int64), np.tile(base[:, None], (1, 10))
    valued = Valuation("s", tuple(CORE), base, shocked(CORE), zero, zero, zero, zero + 300_000, scan)
    rows = with_house(valuation_rows(valued), np.tile(base[:, None], (1, len(HOUSE_POINTS))), zero + DAILY_VOL)
    more = FULL | nodes
    return {"valuation": rows, "full": matrix_rows(list(more), shocked(more))}


def _flow(code: int, bought: int) -> int:
    """Cash effect of a trade at the previous close, with its fee."""
    fee = FEE * MICRO if bought else 0
    return -bought * PREVIOUS[code] * int(STOCKS.multiplier[code]) * MICRO - fee


def _sealed(schema: Table, columns: dict[str, object]) -> pa.Table:
    """Rows of a sealed table; columns that are not given are empty or 0."""
    n = len(columns[schema.key[0]])  # type: ignore[arg-type]
    blank = {c.name: [""] * n if c.type == TEXT else np.zeros(n, np.int64) for c in schema.columns}
    return build(schema, blank | columns)


def sealed_tables(chosen: set[int]) -> dict[str, dict[str, pa.Table]]:
    """What the account applications seal for some of the accounts."""
    rows = [row for row in POSITIONS if row[0] in chosen]
    ids, symbols = OWNERS.id, STOCKS.id
    account = [ids[a] for a, *_ in rows]
    held = np.array([begun + bought for _, _, begun, bought in rows], np.int64)
    begun = np.array([row[2] for row in rows], np.int64)
    unit = np.array([PRICE[i] * int(STOCKS.multiplier[i]) * MICRO for _, i, *_ in rows], np.int64)
    before = np.array([PREVIOUS[i] * int(STOCKS.multiplier[i]) * MICRO for _, i, *_ in rows], np.int64)
    flow = np.array([_flow(i, bought) for _, i, _, bought in rows], np.int64)
    rate = np.array([RATE[STOCKS.currency[i]] for _, i, *_ in rows], np.int64)
    texts = {
        "account": account,
        "instrument": [symbols[i] for _, i, *_ in rows],
        "currency": [STOCKS.currency[i] for _, i, *_ in rows],
    }
    positions = _sealed(
        sealed.POSITIONS,
        texts
        | {"quantity": held, "cost": held * before, "open_quantity": begun, "open_cost": begun * before}
        | {"fees": np.array([FEE * MICRO if bought else 0 for *_, bought in rows]), "flow": flow},
    )
    profit = held * unit - begun * before + flow
    pnl = _sealed(
        sealed.PNL,
        texts
        | {"quantity": held, "market_value": held * unit}
        | {"day_pnl": profit, "market_value_usd": held * unit * rate // MICRO, "day_pnl_usd": profit * rate // MICRO}
        | {"price_status": ["good"] * len(rows), "price_set": ["s"] * len(rows)},
    )
    money: dict[tuple[int, str], int] = {key: amount * MICRO for key, amount in CASH.items() if key[0] in chosen}
    for a, i, _, bought in rows:
        key = (a, STOCKS.currency[i])
        money[key] = money.get(key, 0) + _flow(i, bought)
    keys = sorted(money)
    amounts = np.array([money[key] for key in keys], np.int64)
    cash = _sealed(
        sealed.CASH,
        {"account": [ids[a] for a, _ in keys], "currency": [c for _, c in keys], "amount": amounts}
        | {"settled": amounts, "short_proceeds": np.zeros(len(keys), np.int64)},
    )
    return {
        "positions.sealed": {"positions": positions, "cash": cash},
        "exposure.sealed": {"pnl": pnl},
        "margin.sealed": _margin(sorted(chosen)),
        "stress.sealed": {"stress": _stress(sorted(chosen))},
    }


EXCESS = {1: -20_000, 5: 3_000}


def _margin(chosen: list[int]) -> dict[str, pa.Table]:
    """Every account has two lines of 100 dollars maintenance, one with a premium of 30."""
    n, ids = len(chosen), [OWNERS.id[a] for a in chosen]
    zero = np.zeros(n, np.int64)
    columns: dict[str, object] = {"account": ids, "margin_type": ["reg_t"] * n, "price_set": ["s"] * n}
    columns |= {"maintenance": zero + 170 * MICRO, "portfolio": zero + 50 * MICRO}
    columns["excess"] = np.array([EXCESS.get(a, 0) * MICRO for a in chosen], np.int64)
    twice = [name for name in ids for _ in range(2)]
    lines = {
        "account": twice, "underlying": ["AAA"] * 2 * n, "line": [1, 2] * n, "strategy": ["x"] * 2 * n,
        "legs": [""] * 2 * n, "maintenance": np.full(2 * n, 100 * MICRO), "initial": np.zeros(2 * n, np.int64),
        "premium": np.array([0, 30 * MICRO] * n), "rule": [""] * 2 * n,
    }  # fmt: skip
    return {"margin": _sealed(sealed.MARGIN, columns), "margin_lines": _sealed(sealed.MARGIN_LINES, lines)}


STRESSED = {0: (100, 0), 1: (50, -40), 2: (10, 15), 3: (20, -5), 4: (1, 9), 5: (2, -60)}
"""Account -> loss, and equity after it, under M-10 in dollars."""


def _stress(chosen: list[int]) -> pa.Table:
    columns = {
        "account": [OWNERS.id[a] for a in chosen],
        "scenario": ["M-10"] * len(chosen),
        "loss": np.array([STRESSED[a][0] * MICRO for a in chosen], np.int64),
        "equity_after": np.array([STRESSED[a][1] * MICRO for a in chosen], np.int64),
        "price_set": ["s"] * len(chosen),
    }
    return _sealed(sealed.STRESS, columns)


def record_items(extra: int = 0) -> list[dict]:
    """Locations that hold what the accounts began the day with; ``extra`` more AAA at the depository."""
    begun = {i: sum(row[2] for row in POSITIONS if row[1] == i) for i in range(4)}
    rows = [
        (0, "borrowed", -1_200, 110_000), (0, "segregated", 3_000, 0), (0, "depository", begun[0] - 1_800 + extra, 0),
        (1, "loaned", 400, 21_000), (1, "depository", begun[1] - 400, 0),
        (2, "fail_to_receive", 100, 2_000), (2, "box", begun[2] - 100, 0), (3, "depository", begun[3], 0),
    ]  # fmt: skip
    return [
        {
            "instrument": i, "account_kind": int(AccountKind.CUSTOMER), "sale": 0, "counterparty": "DEPO", "since": -1,
            "location": LOCATIONS.index(name), "quantity": quantity, "cost": money * MICRO, "reference": f"L{place}",
        }
        for place, (i, name, quantity, money) in enumerate(rows)
    ]  # fmt: skip


def ledger_items(cash_off: int = 0) -> list[dict]:
    """A ledger that balances in both currencies: bank cash is what is left over, ``cash_off`` dollars off."""
    paid = {"USD": 110_000 - 21_000, "EUR": -2_000}
    inventory = sum(begun * PREVIOUS[i] for a, i, begun, _ in POSITIONS if a == 0)
    owed = {name: sum(v for (_, c), v in CASH.items() if c == name) for name in RATE}
    rows = [
        ("ownership_equity", "EQUITY", "USD", EQUITY),
        ("reserve_deposit", "RESERVE", "USD", 200_000),
        ("payable", "ACCRUALS", "USD", 10_000),
        ("cash", "BANK", "USD", owed["USD"] - paid["USD"] - inventory + EQUITY - 200_000 + 10_000 + cash_off),
        ("cash", "BANK-EUR", "EUR", owed["EUR"] - paid["EUR"]),
    ]
    return [
        {
            "line": line, "reference": name, "currency": currency, "account_kind": int(AccountKind.CUSTOMER),
            "party": 0, "amount": amount * MICRO, "secured": 0, "since": day("2020-03-16"), "due": -1,
        }
        for line, name, currency, amount in rows
    ]  # fmt: skip


def record_tables(chosen: set[int], extra: int = 0, cash_off: int = 0) -> dict[str, pa.Table]:
    """What ``firm_records`` hands over for a shard with these accounts."""
    rows = [row for row in POSITIONS if row[0] in chosen and row[3]]
    cash = [
        {"account": a, "currency": STOCKS.currency[i], "kind": -1, "amount": _flow(i, bought)}
        for a, i, _, bought in rows
    ]
    opened = CASH_KINDS.index("opening")
    cash += [
        {"account": a, "currency": c, "kind": opened, "amount": v * MICRO} for (a, c), v in CASH.items() if a in chosen
    ]
    settled = [{"instrument": i, "settle": day("2020-03-18"), "quantity": bought} for _, i, _, bought in rows]
    tables = {"cash": cash, "settlements": settled}
    if 0 in chosen:
        tables |= {"items": record_items(extra), "ledger": ledger_items(cash_off)}
    return {name: pa.Table.from_pylist(found) for name, found in tables.items() if found}


def stretch(
    shards: int = 1, cut: str = "2020-03-16/eod", extra: int = 0, cash_off: int = 0, valued: bool = False
) -> Stretch:
    """A cut of the firm as its shards seal it: account i lies in shard i modulo ``shards``; ``valued``: with model
    values under scenarios."""
    epoch = Epoch(9, CLOSE, DAY, {}, "s", cut)
    frames: dict[str, list[Frame]] = {
        "reference": [Frame(9, 9, reference_tables())],
        "price_sets": [Frame(9, 9, price_tables())],
    }
    if valued:
        frames["valuation"] = [Frame(9, 9, valuation_tables())]
    for shard in range(shards):
        chosen = {a for a in range(len(KINDS)) if a % shards == shard}
        for topic, tables in sealed_tables(chosen).items():
            frames.setdefault(topic, []).append(Frame(9, 9, tables))
        frames.setdefault("firm_records", []).append(Frame(9, 9, record_tables(chosen, extra, cash_off)))
    return Stretch(9, epoch, versions_in_force(date(2026, 11, 1), "test"), {}, frames, Position(10))
