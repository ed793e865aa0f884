"""Small books, ledgers and stock records for the capital tests: dollars in, columns out."""

from datetime import date

import numpy as np

from streaming.risk.capital.inputs import (
    BalanceSheet,
    Book,
    Cut,
    Line,
    Location,
    MarginCalls,
    MarginDeficiencies,
    Sessions,
    StockRecord,
    Traits,
)
from streaming.risk.capital.options_haircut import ScanTable
from streaming.risk.holdings import CashBalances, Holdings
from streaming.risk.margin.groups import Moves, assign_groups
from streaming.risk.margin.portfolio import scan_moves
from streaming.risk.market import PriceSet, PriceStatus
from streaming.risk.money import MICRO
from streaming.risk.reference import (
    NO_DATE,
    AccountKind,
    Accounts,
    Instruments,
    Kind,
    MarginType,
    Right,
    Style,
    UnderlyingClass,
)
from streaming.risk.rulebook import load

MONDAY = int(np.datetime64("2026-11-16").astype(int))
DAY_MICROS = 86_400 * 10**6
OPEN_MICROS = 14 * 3600 * 10**6 + 30 * 60 * 10**6


def day(text: str) -> int:
    return int(np.datetime64(text).astype(int))


def weekdays(first: str = "2025-01-01", last: str = "2028-12-31") -> Sessions:
    """Every weekday, opening at 14:30 UTC."""
    days = np.arange(np.datetime64(first), np.datetime64(last))
    chosen = days[np.is_busday(days)].astype(np.int64)
    return Sessions(chosen, chosen * DAY_MICROS + OPEN_MICROS)


def instruments(*rows: dict) -> Instruments:
    """Each row: id and any column; the rest is a plain marginable stock. Options: ``underlying`` by row number."""
    columns: dict[str, list] = {name: [] for name in Instruments.__dataclass_fields__}
    for code, row in enumerate(rows):
        kind = row.get("kind", Kind.STOCK)
        plain = {
            "kind": kind, "underlying": code, "currency": "USD", "multiplier": 100 if kind == Kind.OPTION else 1,
            "right": Right.NONE, "strike": 0, "expiry": NO_DATE, "am_settled": False, "leverage": MICRO,
            "style": Style.AMERICAN if kind == Kind.OPTION else Style.NONE,
            "underlying_class": UnderlyingClass.EQUITY, "sector": "", "issuer": "", "adv": -1,
            "shares_outstanding": -1, "market_cap": -1, "beta": MICRO, "borrow_fee": 0, "dividend_yield": 0,
            "marginable": kind != Kind.OPTION, "product_group": "", "isin": "", "coupon": 0,
        }  # fmt: skip
        for name in columns:
            value = row[name] if name in row else plain[name]
            columns[name].append(round(value * MICRO) if name == "strike" else value)
    text = {"id", "currency", "sector", "issuer", "product_group", "isin"}
    return Instruments(**{k: np.array(v, dtype=object if k in text else None) for k, v in columns.items()})


def accounts(*kinds: AccountKind, margin: MarginType = MarginType.REG_T, clients: tuple = ()) -> Accounts:
    n = len(kinds)
    return Accounts(
        id=np.array([f"A{i}" for i in range(n)], dtype=object),
        client=np.array(clients or [f"C{i}" for i in range(n)], dtype=object),
        kind=np.array(kinds, dtype=np.int8),
        margin_type=np.full(n, margin, dtype=np.int8),
        strategy=np.array([""] * n, dtype=object),
        prime_broker=np.zeros(n, dtype=bool),
        currency=np.array(["USD"] * n, dtype=object),
        lei=np.array([""] * n, dtype=object),
        country=np.array(["US"] * n, dtype=object),
    )


def prices(*dollars: float | None, status: dict[int, PriceStatus] | None = None, **fx: float) -> PriceSet:
    """Prices by instrument code; None = missing (without a previous close)."""
    found = np.array([0 if p is None else round(p * MICRO) for p in dollars], dtype=np.int64)
    states = np.array([PriceStatus.MISSING if p is None else PriceStatus.GOOD for p in dollars], dtype=np.int8)
    for code, state in (status or {}).items():
        states[code] = state
    rates = {"USD": MICRO} | {name: round(rate * MICRO) for name, rate in fx.items()}
    return PriceSet("set-1", 0, found, states, np.zeros(len(found), dtype=np.int64), found.copy(), rates)


def holdings(*rows: tuple) -> Holdings:
    """(account, instrument, quantity[, cost in dollars])."""
    rows = tuple(sorted(rows))
    column = lambda i, d: np.array([r[i] if len(r) > i else 0 for r in rows], dtype=d)  # noqa: E731
    return Holdings(column(0, np.int32), column(1, np.int32), column(2, np.int64), column(3, np.int64) * MICRO)


def cash(*rows: tuple) -> CashBalances:
    """(account, settled dollars[, short proceeds[, trade-date amount]])."""
    rows = tuple(sorted(rows))
    settled = [round(r[1] * MICRO) for r in rows]
    return CashBalances(
        account=np.array([r[0] for r in rows], dtype=np.int32),
        currency=np.array(["USD"] * len(rows), dtype=object),
        amount=np.array([round(r[3] * MICRO) if len(r) > 3 else s for r, s in zip(rows, settled)], dtype=np.int64),
        settled=np.array(settled, dtype=np.int64),
        short_proceeds=np.array([round(r[2] * MICRO) if len(r) > 2 else 0 for r in rows], dtype=np.int64),
    )


def book(stocks: Instruments, owners: Accounts, held: Holdings, money: CashBalances) -> Book:
    return Book(stocks, owners, held, money)


def cut(price_set: PriceSet, as_of: int = MONDAY, after_close: bool = True) -> Cut:
    return Cut(as_of, weekdays(), price_set, after_close)


def sheet(*rows: tuple) -> BalanceSheet:
    """(line, dollars[, {secured, since, party, account_kind}])."""
    extra = [r[2] if len(r) > 2 else {} for r in rows]
    return BalanceSheet(
        line=np.array([str(Line(r[0])) for r in rows], dtype=object),
        reference=np.array([f"L{i:03d}" for i in range(len(rows))], dtype=object),
        amount=np.array([round(r[1] * MICRO) for r in rows], dtype=np.int64),
        secured=np.array([round(e.get("secured", 0) * MICRO) for e in extra], dtype=np.int64),
        since=np.array([e.get("since", MONDAY) for e in extra], dtype=np.int64),
        party=np.array([e.get("party", 0) for e in extra], dtype=np.int8),
        account_kind=np.array([e.get("account_kind", AccountKind.HOUSE) for e in extra], dtype=np.int8),
    )


def record(*rows: tuple) -> StockRecord:
    """(instrument, location, quantity, dollars[, {since, account_kind, sale, counterparty}])."""
    extra = [r[4] if len(r) > 4 else {} for r in rows]
    return StockRecord(
        instrument=np.array([r[0] for r in rows], dtype=np.int32),
        location=np.array([Location(r[1]) for r in rows], dtype=np.int8),
        quantity=np.array([r[2] for r in rows], dtype=np.int64),
        amount=np.array([round(r[3] * MICRO) for r in rows], dtype=np.int64),
        since=np.array([e.get("since", MONDAY) for e in extra], dtype=np.int64),
        account_kind=np.array([e.get("account_kind", AccountKind.CUSTOMER) for e in extra], dtype=np.int8),
        sale=np.array([e.get("sale", 0) for e in extra], dtype=np.int8),
        counterparty=np.array([e.get("counterparty", "") for e in extra], dtype=object),
        reference=np.array([f"R{i:03d}" for i in range(len(rows))], dtype=object),
    )


def deficiencies(*rows: tuple) -> MarginDeficiencies:
    """(account, dollars, since)."""
    return MarginDeficiencies(
        np.array([r[0] for r in rows], dtype=np.int32),
        np.array([round(r[1] * MICRO) for r in rows], dtype=np.int64),
        np.array([r[2] for r in rows], dtype=np.int64),
    )


def calls(*rows: tuple) -> MarginCalls:
    """(account, dollars, issued)."""
    plain = deficiencies(*rows)
    return MarginCalls(plain.account, plain.amount, plain.since)


def traits(n: int, makers: dict | None = None, grade: set | frozenset = frozenset(), underwritten: dict | None = None):
    found = Traits(np.full(n, -1), np.zeros(n, dtype=bool), np.full(n, NO_DATE, dtype=np.int64))
    for code, count in (makers or {}).items():
        found.market_makers[code] = count
    for code in grade:
        found.investment_grade[code] = True
    for code, since in (underwritten or {}).items():
        found.underwritten[code] = since
    return found


FIRST_EXPIRY = day("2027-01-15")


def option(name, right, strike, expiry=FIRST_EXPIRY, underlying=0, **more):
    """A row for :func:`instruments`."""
    shown = {"kind": Kind.OPTION, "right": right, "strike": strike, "expiry": expiry, "underlying": underlying}
    return {"id": name} | shown | more


def intrinsic_scan(stocks: Instruments, price_set: PriceSet, schedule: Moves = Moves.BROKER_DEALER) -> ScanTable:
    """Model values at the ten points with every option at its intrinsic value: exact worked numbers."""
    rules = load().at(date(2026, 11, 16))
    groups = assign_groups(stocks, rules)
    moves = scan_moves(stocks, rules, groups, schedule)
    spot = np.where(stocks.kind == Kind.OPTION, price_set.price[stocks.underlying], price_set.price)
    shocked = spot[:, None] + spot[:, None] * moves // MICRO

    def value(level: np.ndarray) -> np.ndarray:
        sign, strike = stocks.right.astype(np.int64), stocks.strike.astype(np.int64)
        shape = (slice(None),) + (None,) * (level.ndim - 1)
        worth = np.maximum(sign[shape] * (level - strike[shape]), 0)
        return np.where((stocks.kind == Kind.OPTION)[shape], worth, level)

    return ScanTable(value(shocked), value(spot), groups)
