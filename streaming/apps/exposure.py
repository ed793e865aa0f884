"""P&L and exposure: positions at the prices of the set, exactly.

Intraday P&L is everything since the previous close: market value now, less the opening position at the previous close,
plus the cash that today's events moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.tables import build
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.market import PriceStatus, cash_value, conversion
from streaming.risk.money import fraction
from streaming.risk.reference import Kind
from streaming.schema import results, sealed


@dataclass(slots=True)
class ExposureState:
    """The newest positions, cash and prices of one shard."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    holdings: pa.Table = field(default_factory=lambda: pa.table({}))
    cash: pa.Table = field(default_factory=lambda: pa.table({}))
    prices: pa.Table = field(default_factory=lambda: pa.table({}))
    fx: pa.Table = field(default_factory=lambda: pa.table({}))
    delta: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    vega: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    price_set: str = ""


class ExposureApp:
    """Profit and loss by position, exposure by account."""

    name = "exposure"
    inputs = ("reference", "price_sets", "valuation", "positions")
    sharded = True
    state = ExposureState

    def empty(self, shard: int, shards: int) -> ExposureState:
        return ExposureState()

    def apply(self, state: ExposureState, stretch: Stretch) -> tuple[ExposureState, Mapping[str, pa.Table]]:
        for app, names in (
            ("reference", ("instruments", "accounts")),
            ("positions", ("holdings", "cash")),
            ("price_sets", ("prices", "fx")),
        ):
            for name in names:
                for table in stretch.tables(app, name):
                    setattr(state, name, table)
        if stretch.last.cut:
            for table in stretch.tables("valuation", "valuation"):
                state.delta, state.vega = table["delta"].to_numpy(), table["vega"].to_numpy()
        if not stretch.last.price_set or not state.prices.num_rows or not state.holdings.num_rows:
            return state, {}
        state.price_set = stretch.last.price_set
        lines = position_values(state)
        return state, {"live": _by_account(state, lines, codes=True)}

    def seal(self, state: ExposureState, epoch: Epoch) -> Mapping[str, pa.Table]:
        if not state.price_set or not state.holdings.num_rows:
            return {"pnl": sealed.PNL.arrow.empty_table(), "exposure": sealed.EXPOSURE.arrow.empty_table()}
        lines = position_values(state)
        ids, currencies = state.instruments["id"].combine_chunks(), state.instruments["currency"].combine_chunks()
        code = pa.array(lines["instrument"])
        statuses = pa.array([status.name.lower() for status in PriceStatus])
        columns = dict(lines) | {
            "account": state.accounts["id"].combine_chunks().take(pa.array(lines["account"])),
            "instrument": ids.take(code),
            "currency": currencies.take(code),
            "price_status": statuses.take(pa.array(lines["status"])),
            "price_set": pa.array([state.price_set] * len(code), pa.string()),
        }
        accounts = _by_account(state, lines, codes=False)
        return {"pnl": build(sealed.PNL, columns), "exposure": accounts}


def position_values(state: ExposureState) -> dict[str, np.ndarray]:
    """Market value and P&L by position, micros in the instrument's currency and in the reporting currency."""
    rows = {name: state.holdings[name].to_numpy() for name in state.holdings.column_names}
    code = rows["instrument"]
    n = state.instruments.num_rows
    market = views.padded(views.price_set(state.price_set, 0, state.prices, state.fx), n)
    multiplier = state.instruments["multiplier"].to_numpy()[code]
    rate, rated = (column[code] for column in conversion(state.instruments["currency"].to_numpy(), market.fx))
    price, previous = market.price[code], market.previous_close[code]
    value = rows["quantity"] * price * multiplier
    opening = rows["open_quantity"] * previous * multiplier
    opening = np.where((previous == 0) & (rows["open_quantity"] != 0), rows["open_cost"], opening)
    day_pnl = value - opening + rows["flow"]
    return {
        "account": rows["account"],
        "instrument": code,
        "quantity": rows["quantity"],
        "price": price,
        "market_value": value,
        "unrealised": value - rows["cost"],
        "realised": rows["realised"],
        "day_pnl": day_pnl,
        "market_value_usd": fraction(value, rate),
        "day_pnl_usd": fraction(day_pnl, rate),
        "status": market.status[code],
        "rated": rated,
    }


def _by_account(state: ExposureState, lines: dict[str, np.ndarray], codes: bool) -> pa.Table:
    """Sums by account, of positions and cash; accounts with neither are left out."""
    rates = dict(zip(*(state.fx[n].to_pylist() for n in ("currency", "rate"))))
    cash_account = state.cash["account"].to_numpy()
    cash = cash_value(state.cash["amount"].to_numpy(), state.cash["currency"].to_numpy(), rates)
    account = np.unique(np.concatenate([lines["account"], cash_account]))
    at, at_cash = np.searchsorted(account, lines["account"]), np.searchsorted(account, cash_account)

    def total(values: np.ndarray, places: np.ndarray = at) -> np.ndarray:
        sums = np.zeros(len(account), np.int64)
        np.add.at(sums, places, values)
        return sums

    value = lines["market_value_usd"]
    unpriced = ((lines["status"] == PriceStatus.MISSING) | ~lines["rated"]) & (lines["quantity"] != 0)
    spot, delta, vega = _greeks(state, lines)
    columns: dict[str, object] = {
        "long_value": total(np.maximum(value, 0)),
        "short_value": total(np.maximum(-value, 0)),
        "cash": total(cash, at_cash),
        "equity": total(value) + total(cash, at_cash),
        "day_pnl": total(lines["day_pnl_usd"]),
        "delta_value": total(fraction(spot, delta)),
        "vega": total(vega),
        "unpriced": total(unpriced.astype(np.int64)),
    }
    if codes:
        return pa.table({"account": account, **columns})
    columns["account"] = state.accounts["id"].combine_chunks().take(pa.array(account))
    columns["price_set"] = pa.array([state.price_set] * len(account), pa.string())
    return build(sealed.EXPOSURE, columns)


def _greeks(state: ExposureState, lines: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value of the underlying units (USD micros), delta (ppm) and vega (USD micros) of each position."""
    code = lines["instrument"]
    under = np.maximum(state.instruments["underlying"].to_numpy(), 0)
    kind, multiplier = state.instruments["kind"].to_numpy(), state.instruments["multiplier"].to_numpy()
    prices = state.prices["price"].to_numpy()
    prices = np.concatenate([prices, np.zeros(max(0, len(kind) - len(prices)), np.int64)])
    price = np.where(kind == Kind.OPTION, prices[under], prices)[code]
    units = lines["quantity"] * multiplier[code]
    known = code < len(state.delta)
    safe = np.where(known, code, 0)
    delta = np.where(known, state.delta[safe] if len(state.delta) else 0, 0)
    vega = np.where(known, state.vega[safe] if len(state.vega) else 0, 0)
    return units * price, np.where(delta == MISSING_VALUE, 0, delta), units * vega
