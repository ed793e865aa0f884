"""A day for the risk applications: a small market and book, driven epoch by epoch without a log."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from streaming.apps.rules import versions_in_force
from streaming.apps.valuation import ValuationApp
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Position, Stretch
from streaming.risk.reference import AccountKind, Kind, MarginType, Right, Style, UnderlyingClass
from streaming.schema import results

MICRO = 1_000_000
DAY = date(2026, 11, 20)
CODES = {name: code for code, name in enumerate(("IDX", "AAA", "BBB", "AAA C100", "AAA P100", "NOM"))}
SECTORS = {"AAA": "Energy", "BBB": "Energy", "NOM": "Utilities"}
PRICES = {"IDX": 4000, "AAA": 100, "BBB": 50, "AAA C100": 6, "AAA P100": 5, "NOM": 20}
ACCOUNTS = (
    ("A-REGT", "C-1", MarginType.REG_T, "hedged"),
    ("A-PM", "C-1", MarginType.PORTFOLIO, "hedged"),
    ("A-CASH", "C-2", MarginType.CASH, "long only"),
)
HOLDINGS = (
    (0, "AAA", 1_000),
    (0, "BBB", -400),
    (1, "AAA", 500),
    (1, "AAA C100", -5),
    (1, "AAA P100", 5),
    (1, "NOM", 100),
    (2, "BBB", 200),
)


def instruments() -> pa.Table:
    rows = []
    for name, code in CODES.items():
        option = name.startswith("AAA ")
        kind = Kind.OPTION if option else Kind.INDEX if name == "IDX" else Kind.STOCK
        rows.append(
            {
                "id": name,
                "kind": int(kind),
                "underlying": CODES["AAA"] if option else code,
                "currency": "USD",
                "multiplier": 100 if option else 1,
                "right": int((Right.CALL if " C" in name else Right.PUT) if option else Right.NONE),
                "strike": 100 * MICRO if option else 0,
                "expiry": (DAY + timedelta(days=90)).toordinal() - 719_163 if option else -1,
                "style": int(Style.AMERICAN if option else Style.NONE),
                "am_settled": False,
                "underlying_class": int(UnderlyingClass.BROAD_INDEX if kind == Kind.INDEX else UnderlyingClass.EQUITY),
                "leverage": MICRO,
                "sector": SECTORS.get(name, ""),
                "issuer": name,
                "adv": 1_000_000,
                "shares_outstanding": 100_000_000,
                "market_cap": -1,
                "beta": MICRO,
                "borrow_fee": 0,
                "dividend_yield": 0,
                "marginable": name != "NOM",
                "product_group": "",
                "isin": "",
                "coupon": 0,
                "known_from": 0,
            }
        )
    return pa.Table.from_pylist(rows, results.INSTRUMENTS)


def accounts() -> pa.Table:
    rows = [
        {"id": id_, "client": client, "kind": int(AccountKind.CUSTOMER), "margin_type": int(kind), "strategy": strategy,
         "prime_broker": True, "currency": "USD", "lei": "", "country": "US", "known_from": 0}
        for id_, client, kind, strategy in ACCOUNTS
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, results.ACCOUNTS)


def holdings(rows=HOLDINGS) -> pa.Table:
    columns = [np.array(column, np.int64) for column in zip(*((a, CODES[name], n) for a, name, n in rows))]
    return pa.table(dict(zip(("account", "instrument", "quantity"), columns)) | {"cost": np.zeros(len(rows), np.int64)})


def cash(amounts=(20_000, 10_000, 5_000)) -> pa.Table:
    amount = np.array(amounts, np.int64) * MICRO
    return pa.table(
        {
            "account": np.arange(len(amounts)),
            "currency": ["USD"] * len(amounts),
            "amount": amount,
            "settled": amount,
            "short_proceeds": np.zeros(len(amounts), np.int64),
        }
    )


def closes(days: int = 600, seed: int = 7) -> pa.Table:
    """Random walks of the index and both stocks; ``days`` closes up to the day before."""
    moves = np.random.default_rng(seed).normal(0, 0.01, (days, 3))
    levels = np.exp(np.cumsum(moves, axis=0)) * [PRICES[name] for name in ("IDX", "AAA", "BBB")]
    first = DAY.toordinal() - 719_163 - days
    return pa.table(
        {
            "day": pa.array(np.repeat(np.arange(days) + first, 3), pa.int32()),
            "instrument": pa.array(np.tile([0, 1, 2], days), pa.int32()),
            "price": np.rint(levels * MICRO).astype(np.int64).reshape(-1),
        },
        results.CLOSES,
    )


def prices(changes: dict[str, float] | None = None, status: int = 0) -> pa.Table:
    now = [round((PRICES | (changes or {}))[name] * MICRO) for name in CODES]
    n = len(now)
    return pa.table(
        {
            "price": np.array(now, np.int64),
            "status": np.array([3 if p == 0 else status for p in now], np.int8),
            "age": np.zeros(n, np.int64),
            "previous_close": np.array([round(PRICES[name] * MICRO) for name in CODES], np.int64),
        }
    )


def stretch(number: int, rows: dict[str, dict[str, pa.Table]], cut: str = "", minute: int = 0) -> Stretch:
    """One marked epoch with what the applications upstream wrote in it."""
    instant = datetime(2026, 11, 20, 10, minute, tzinfo=ZoneInfo("America/New_York"))
    mark = f"{DAY}/10{minute:02d}00"
    epoch = Epoch(number, round(instant.timestamp() * 1e6), DAY, {}, mark, f"{DAY}/{cut}" if cut else "")
    versions = versions_in_force(DAY, "test")
    fx = pa.table({"currency": ["USD"], "rate": np.array([MICRO], np.int64)})
    found = {app: dict(tables) for app, tables in rows.items()}
    found.setdefault("price_sets", {}).setdefault("fx", fx)
    return Stretch(number, epoch, versions, {}, {}, Position(number + 1), found)


class Day:
    """Runs applications one after the other over stretches, as a job of one shard does."""

    def __init__(self, *apps, history: bool = True):
        self.apps = {app.name: app for app in (ValuationApp(), *apps)}
        self.states = {name: app.empty(0, 1) for name, app in self.apps.items()}
        self._reference = {"instruments": instruments(), "accounts": accounts()}
        if history:
            self._reference["closes"] = closes()
        self._number = 0
        self.last: Stretch | None = None

    def step(self, cut: str = "", changes=None, held=None, trades=None, money=None, status: int = 0) -> None:
        """One price set: prices with ``changes``, holdings ``held`` and cash ``money`` (as before when None)."""
        rows: dict[str, dict[str, pa.Table]] = {"price_sets": {"prices": prices(changes, status)}}
        rows["reference"] = self._reference if self._number == 0 else {}
        positions = {"cash": cash(), "holdings": holdings()} if self._number == 0 else {}
        if held is not None:
            positions["holdings"] = holdings(held)
        if money is not None:
            positions["cash"] = cash(money)
        rows["positions"] = positions
        rows["book"] = {} if trades is None else {"trades": trades}
        equity = np.array([100_000, 50_000, 15_000], np.int64) * MICRO
        rows["exposure"] = {"live": pa.table({"account": np.arange(3), "equity": equity})}
        self.last = stretch(self._number, rows, cut, self._number)
        for name, app in self.apps.items():
            self.states[name], self.last.rows[name] = app.apply(self.states[name], self.last)
            if name == "margin" and cut:
                self.last.rows["margin.sealed"] = app.seal(self.states[name], self.last.last)
        self._number += 1

    def sealed(self, app: str, table: str) -> list[dict]:
        return self.apps[app].seal(self.states[app], self.last.last)[table].to_pylist()
