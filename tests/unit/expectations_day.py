"""A sealed day in memory, made by hand: few accounts, exact tables, option prices free of arbitrage.

Independent of the engine and of the generated day, so that one cell can be spoilt at a time.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import erf, log, sqrt

import pyarrow as pa

from streaming.schema.sealed import TABLES

DAY = date(2020, 3, 16)
CUT, BEFORE = f"{DAY}/eod", f"{DAY}/1600"
SET = f"{DAY}/163000"
OPEN, CLOSE = datetime(2020, 3, 16, 13, 30, tzinfo=UTC), datetime(2020, 3, 16, 20, 0, tzinfo=UTC)
TRADES = 1_200
Rows = dict[str, list[dict]]

SPOT = {"AAA": "100", "BBB": "50", "CCC": "30", "IDX": "2000"}
PREVIOUS = {"AAA": "104", "BBB": "52", "CCC": "62.4", "IDX": "2080"}
ISINS = {"AAA": "US0378331005", "BBB": "US5949181045", "CCC": "US0231351067", "IDX": ""}
LEI = "5493001KJTIIGC8Y1R12"
EXPIRIES = (date(2020, 4, 17), date(2020, 6, 19), date(2021, 1, 15))
STRIKES = {"AAA": (80, 90, 100, 110, 120), "IDX": (1600, 1800, 2000, 2200, 2400)}
EXPIRED = "AAA   200316C00100000"
HELD_CALL, HELD_PUT = "AAA   200417C00100000", "IDX   200619P02000000"


@dataclass
class MemoryCut:
    """A cut whose tables are in memory."""

    id: str
    rows: Rows
    manifest: Mapping = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def table(self, name: str) -> pa.Table:
        return pa.Table.from_pylist(self.rows[name], schema=TABLES[name].arrow)


def money(value: object) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.000001"))


def symbol(root: str, expiry: date, right: str, strike: int) -> str:
    return f"{root:<6}{expiry:%y%m%d}{right[0].upper()}{strike * 1000:08d}"


def black_scholes(spot: float, strike: float, years: float, right: str, vol: float = 0.4) -> float:
    """Without rates or dividends, where American and European prices are the same."""
    deviation = vol * sqrt(years)
    d1 = log(spot / strike) / deviation + deviation / 2
    normal = [(1 + erf(d / sqrt(2))) / 2 for d in (d1, d1 - deviation)]
    call = spot * normal[0] - strike * normal[1]
    return call if right == "call" else call - spot + strike


def clean_rows() -> Rows:
    """Every table of a clean end of day."""
    rows: Rows = {name: [] for name in ("quarantine", "rejects")}
    rows["instruments"] = [_instrument(name) for name in SPOT] + _series()
    rows["accounts"] = [_account(name) for name in ("A1", "A2", "HOUSE")]
    rows["actions"] = [
        _action("CA-1", "split", "CCC", numerator=2, denominator=1),
        _action("CA-2", "cash_dividend", "AAA", amount=money("0.5")),
        _action("CA-3", "expiry", EXPIRED, price=money(SPOT["AAA"])),
    ]
    rows["expected_dividends"] = [{"instrument": "AAA", "ex_date": DAY, "amount": money("0.5")}]
    rows["fx"] = [
        {"currency": name, "rate": money(rate), "price_set": SET} for name, rate in (("EUR", 1.1), ("USD", 1))
    ]
    prices = {name: (money(SPOT[name]), money(PREVIOUS[name])) for name in SPOT}
    for series in rows["instruments"][len(SPOT) :]:
        years = (series["expiry"] - DAY).days / 365
        value = 0.01 if years == 0 else black_scholes(
            float(SPOT[series["underlying"]]), float(series["strike"]), years, series["right"]
        )  # fmt: skip
        prices[series["id"]] = (money(max(round(value, 2), 0.01)), money(5))
    rows["prices"] = [
        {"instrument": name, "currency": "USD", "price": price, "status": "good", "age": 1_800, "source": "tape",
         "previous_close": before, "close": price, "price_set": SET}
        for name, (price, before) in prices.items()
    ]  # fmt: skip
    rows["valuation"] = [
        {"instrument": name, "model_value": price, "vol": money(0.4 if len(name) > 3 else 0), "vol_source": "implied",
         "delta": money(1), "gamma": Decimal("0.000000000000"), "vega": money(0), "price_set": SET}
        for name, (price, _) in prices.items()
    ]  # fmt: skip
    rows["trades"] = [_trade(i) for i in range(TRADES)]
    _books(rows, {name: price for name, (price, _) in prices.items()})
    rows["counts"] = [_count("trades", TRADES + 2), _count("prices", 600), _count("instruments", 40)]
    rows["counts"] += [_count(name, 3) for name in ("accounts", "actions", "cash", "custody")]
    rows["counts"][0] |= {"duplicate": 1, "quarantined": 1, "applied": TRADES}
    rows["quarantine"] = [
        {"topic": "trades", "partition": 0, "ordinal": 7, "epoch": 1, "reason": "not JSON", "detail": "",
         "event": "T-BAD", "payload_digest": "0" * 32, "offset": 7}
    ]  # fmt: skip
    return rows


def cut(change: Callable[[Rows], None] = lambda _: None, id_: str = CUT) -> MemoryCut:
    """The clean day, spoilt by ``change``."""
    rows = deepcopy(_CLEAN)
    change(rows)
    manifest = {
        "cut": id_,
        "business_date": str(DAY),
        "price_set": SET,
        "time": 1_584_390_600_000_000 if id_ == CUT else int(CLOSE.timestamp() * 1_000_000),
        "offsets": {row["topic"]: [row["events"]] for row in _CLEAN["counts"]},
        "tables": {name: {"rows": len(found), "digest": f"digest of {name}"} for name, found in rows.items()},
        "states": {"book/0": "digest of book/0"},
    }
    return MemoryCut(id_, rows, manifest)


def certificate() -> dict:
    """Live and replayed, equal."""
    sealed = cut().manifest
    tables = {name: {"live": item["digest"], "replayed": item["digest"]} for name, item in sealed["tables"].items()}
    states = {name: {"live": digest, "replayed": digest} for name, digest in sealed["states"].items()}
    return {"cut": CUT, "version": 1, "tables": tables, "states": states}


def where(rows: Rows, table: str, **key: object) -> dict:
    """The one row of a table with this key."""
    (found,) = [row for row in rows[table] if all(row[name] == value for name, value in key.items())]
    return found


def _instrument(name: str, **terms: object) -> dict:
    usual = {
        "id": name, "kind": "index" if name == "IDX" else "stock", "underlying": name, "currency": "USD",
        "multiplier": 1, "right": "none", "strike": money(0), "expiry": None, "style": "none", "sector": "Energy",
        "issuer": name, "adv": 5_000_000, "shares_outstanding": 10**9, "market_cap": 10**11,
        "beta": money(1), "underlying_class": "broad_index" if name.startswith("IDX") else "equity",
        "isin": ISINS.get(name, ""),
    }  # fmt: skip
    blank = {name: column.type for name, column in ((c.name, c) for c in TABLES["instruments"].columns)}
    return {name: value for name, value in (usual | terms).items() if name in blank}


def _series() -> list[dict]:
    wanted = [(root, expiry, right, strike) for root, strikes in STRIKES.items() for expiry in EXPIRIES
              for right in ("call", "put") for strike in strikes]  # fmt: skip
    wanted.append(("AAA", DAY, "call", 100))
    return [
        _instrument(
            symbol(root, expiry, right, strike), kind="option", underlying=root, multiplier=100, right=right,
            strike=money(strike), expiry=expiry, style="european" if root == "IDX" else "american", adv=-1,
            shares_outstanding=-1, market_cap=-1, sector="", issuer="",
        )
        for root, expiry, right, strike in wanted
    ]  # fmt: skip


def _account(name: str) -> dict:
    return {"id": name, "client": f"C-{name}", "kind": "house" if name == "HOUSE" else "customer",
            "margin_type": "reg_t", "strategy": "", "prime_broker": True, "currency": "USD", "lei": LEI,
            "country": "US"}  # fmt: skip


def _action(id_: str, kind: str, instrument: str, **more: object) -> dict:
    return {"id": id_, "version": 1, "kind": kind, "instrument": instrument, "numerator": 0, "denominator": 0,
            "amount": money(0), "price": money(0), "pay_date": None} | more  # fmt: skip


def _trade(i: int) -> dict:
    time = OPEN + (CLOSE - OPEN) * i / TRADES
    return {"id": f"T{i:05d}", "version": 1, "account": "A1", "instrument": "AAA", "kind": "trade",
            "quantity": 1 if i % 2 else -1, "price": money("101.5"), "fee": money("0.35"), "event_time": time,
            "settle_date": DAY + timedelta(days=1), "counterparty": "BRK01", "venue": "XNYS", "topic": "trades",
            "partition": 0, "offset": i}  # fmt: skip


def _count(topic: str, events: int) -> dict:
    return {"app": "book", "topic": topic, "partition": 0, "events": events, "applied": events, "duplicate": 0,
            "quarantined": 0, "parked": 0}  # fmt: skip


def _books(rows: Rows, price: Mapping[str, Decimal]) -> None:
    """Positions, and what valuation, exposure, margin and stress make of them."""
    half = TRADES // 2
    held = [
        ("A1", "AAA", 1_000, 1_000, half, half, "0.5"), ("A1", "CCC", 200, 100, 0, 0, "0"),
        ("A1", HELD_CALL, -10, -10, 0, 0, "0"), ("A2", "AAA", -500, -500, 0, 0, "0.5"),
        ("A2", HELD_PUT, 5, 5, 0, 0, "0"), ("HOUSE", "BBB", 100, 100, 0, 0, "0"), ("A2", EXPIRED, 0, 3, 0, 0, "0"),
    ]  # fmt: skip
    multiplier = {row["id"]: row["multiplier"] for row in rows["instruments"]}
    for name in ("positions", "pnl", "cash", "exposure", "margin", "margin_lines", "margin_groups", "margin_path"):
        rows[name] = []
    rows["stress"], rows["stress_underlying"] = [], []
    for account, instrument, quantity, opened, bought, sold, dividend in held:
        cost = money(quantity * 40)
        value = quantity * multiplier[instrument] * price[instrument]
        rows["positions"].append(
            {"account": account, "instrument": instrument, "currency": "USD", "quantity": quantity, "cost": cost,
             "open_quantity": opened, "open_cost": money(opened * 40), "realised": money(0), "fees": money(0),
             "dividends": money(opened * Decimal(dividend)), "flow": money(0), "bought": bought, "sold": sold}
        )  # fmt: skip
        rows["pnl"].append(
            {"account": account, "instrument": instrument, "currency": "USD", "quantity": quantity,
             "price": price[instrument], "market_value": money(value), "unrealised": money(value - cost),
             "realised": money(0), "day_pnl": money(quantity), "market_value_usd": money(value),
             "day_pnl_usd": money(quantity), "price_status": "good", "price_set": SET}
        )  # fmt: skip
    for account in ("A1", "A2", "HOUSE"):
        _account_results(rows, account)


def _account_results(rows: Rows, account: str) -> None:
    values = [row["market_value_usd"] for row in rows["pnl"] if row["account"] == account]
    long, short = sum((v for v in values if v > 0), Decimal(0)), -sum((v for v in values if v < 0), Decimal(0))
    cash, zero = money(200_000), money(0)
    equity = money(long - short + cash)
    rows["cash"].append({"account": account, "currency": "USD", "amount": cash, "settled": cash,
                         "short_proceeds": zero})  # fmt: skip
    rows["exposure"].append(
        {"account": account, "long_value": money(long), "short_value": money(short), "cash": cash, "equity": equity,
         "day_pnl": money(sum(row["day_pnl_usd"] for row in rows["pnl"] if row["account"] == account)),
         "delta_value": zero, "vega": zero, "unpriced": 0, "price_set": SET}
    )  # fmt: skip
    required = money(30_000)
    rows["margin_lines"].append(
        {"account": account, "underlying": "AAA", "line": 1, "strategy": "stock", "legs": "", "maintenance": required,
         "initial": money(50_000), "premium": zero, "rule": "4210(c)"}
    )  # fmt: skip
    rows["margin"].append(
        {"account": account, "margin_type": "reg_t", "cash": cash, "lmv": money(long), "smv": money(short),
         "equity": equity, "margin_equity": equity, "initial": money(50_000), "maintenance": required,
         "portfolio": money(20_000), "requirement": required, "excess": equity - required,
         "reg_t_excess": equity - money(50_000), "maintenance_excess": equity - required, "maintenance_call": zero,
         "sma": zero, "buying_power": zero, "peak_deficit": zero, "peak_price_set": "", "price_set": SET}
    )  # fmt: skip
    rows["margin_groups"].append(
        {"account": account, "margin_group": "AAA", "level": "class", "scenario_loss": money(20_000), "worst_point": 1,
         "minimum": zero, "requirement": money(20_000), "rule": "4210(g)"}
    )  # fmt: skip
    for minute in range(60):
        rows["margin_path"].append(
            {"account": account, "price_set": f"{DAY}/10{minute:02d}00", "equity": equity + minute,
             "requirement": required, "excess": equity + minute - required}
        )  # fmt: skip
    for scenario in ("DOWN", "UP"):
        columns = {"account": account, "underlying": "AAA", "scenario": scenario}
        extra = {c.name: zero for c in TABLES["stress_underlying"].columns if c.name not in (*columns, "loss")}
        rows["stress_underlying"].append(columns | extra | {"loss": money(1_000)})
        rows["stress"].append({"account": account, "scenario": scenario, "loss": money(1_000),
                               "equity_after": equity - 1_000, "price_set": SET})  # fmt: skip


_CLEAN = clean_rows()
