"""Trades: none twice, none absurd, none at an odd time, with an odd party or in an odd place."""

import numpy as np
import pandas as pd

from expectations.check import CRITICAL, OPERATIONS, REFERENCE, WARNING, Check, Suite
from expectations.thresholds import threshold
from expectations.view import ZONE, View

_T = {
    name: threshold("trades", name)
    for name in ("notional_max", "adv_share_max", "price_distance_max", "fee_share_max", "fee_min", "settle_days_max")
}
_GAP = threshold("streams", "trade_gap_max")


def _trades(view: View) -> pd.DataFrame:
    """The day's effective trades beside instrument, price range and notional."""
    trades = view.frame("trades")
    known = view.instruments
    for name in ("underlying", "multiplier", "adv"):
        trades[name] = trades["instrument"].map(known[name])
    trades["instrument_kind"] = trades["instrument"].map(known["kind"])
    trades["account_known"] = trades["account"].isin(view.frame("accounts")["id"])
    prices = view.frame("prices").set_index("instrument")
    factor = trades["instrument"].map(view.split_factor).fillna(1)
    price = trades["instrument"].map(prices["price"])
    before = trades["instrument"].map(prices["previous_close"]) / factor
    before = before.where(before > 0, price)
    spot = trades["underlying"].map(prices["price"]).where(trades["instrument_kind"] == "option", price)
    low, high = np.minimum(price, before), np.maximum(price, before)
    outside = np.maximum(np.maximum(low - trades["price"], trades["price"] - high), 0)
    trades["executed"] = trades["kind"] == "trade"
    trades["price_distance"] = (outside / spot.where(spot > 0)).where(trades["executed"])
    trades["notional"] = (trades["quantity"] * trades["price"] * trades["multiplier"]).abs()
    adv = trades["adv"].where(trades["adv"] > 0)
    trades["adv_share"] = (trades["quantity"].abs() / adv).where(trades["instrument_kind"] == "stock")
    local = trades["event_time"].dt.tz_convert(ZONE)
    late = trades["event_time"] > view.close
    trades["after_close"] = trades["executed"] & (trades["version"] == 1) & late
    settle = (pd.to_datetime(trades["settle_date"]) - local.dt.tz_localize(None).dt.normalize()).dt.days
    trades["settles_in"] = settle
    trades["gap"] = _gaps(trades.loc[trades["executed"] & ~late, "event_time"], view.close)
    trades["gap"] = trades["gap"].fillna(0)
    return trades


def _gaps(times: pd.Series, close: pd.Timestamp) -> pd.Series:
    """Seconds without a trade: before each, and after the last one until the close. Of few trades they say nothing."""
    order = times.sort_values(kind="stable")
    if len(order) < threshold("trades", "gap_trades_min"):
        return pd.Series(0.0, order.index)
    gaps = order.diff().dt.total_seconds().fillna(0)
    gaps.iloc[-1] = max(gaps.iloc[-1], (close - order.iloc[-1]).total_seconds())
    return gaps


_ASK = "Ask the sender; a correct or cancel of the trade folds the position again."

TRADES = Suite(
    "trades.day",
    "trades",
    "the day's effective trades",
    OPERATIONS,
    _trades,
    (
        Check("id_once", "A trade id has one effective version.", CRITICAL, OPERATIONS, "Replay the shard.",
              "ExpectColumnValuesToBeUnique", {"column": "id"}),
        Check("not_repeated", "No two trades agree in account, instrument, quantity, price, time and counterparty.",
              WARNING, OPERATIONS, "Ask the sender whether the second is a duplicate; if so, a cancel.",
              "ExpectNoRepeats", {"columns": ["account", "instrument", "kind", "quantity", "price", "event_time",
                                              "counterparty"], "where": "executed"}),
        Check("notional", f"No trade is above {_T['notional_max']:,} in value.", CRITICAL, OPERATIONS, _ASK,
              "ExpectNoRowsWhere", {"condition": f"notional > {_T['notional_max']}", "worst": "notional"}),
        Check("volume", f"No trade in a share is above {_T['adv_share_max']:.0%} of its daily volume.", WARNING,
              OPERATIONS, _ASK, "ExpectNoRowsWhere",
              {"condition": f"adv_share > {_T['adv_share_max']}", "worst": "adv_share"}),
        Check("price_distance", "No price lies further than "
              f"{_T['price_distance_max']:.0%} of the underlying outside the range of previous close and price.",
              CRITICAL, OPERATIONS, _ASK, "ExpectNoRowsWhere",
              {"condition": f"price_distance > {_T['price_distance_max']}", "worst": "price_distance"}),
        Check("price_positive", "No execution is at a price of zero or less.", CRITICAL, OPERATIONS, _ASK,
              "ExpectNoRowsWhere", {"condition": "executed and price <= 0"}),
        Check("quantity", "No trade is of nothing.", CRITICAL, OPERATIONS, _ASK, "ExpectNoRowsWhere",
              {"condition": "quantity == 0"}),
        Check("fee", f"No fee is above {_T['fee_share_max']:.0%} of the value (above {_T['fee_min']}).", CRITICAL,
              OPERATIONS, _ASK, "ExpectNoRowsWhere",
              {"condition": f"fee > {_T['fee_min']} and fee > {_T['fee_share_max']} * notional", "worst": "fee"}),
        Check("before_close", "No trade was executed after the close.", WARNING, OPERATIONS, _ASK,
              "ExpectNoRowsWhere", {"condition": "after_close"}),
        Check("counterparty_known", "Every counterparty is one we trade with.", WARNING, REFERENCE,
              "Ask the sender; add the counterparty when it is right.", "ExpectColumnValuesToBeInSet",
              {"column": "counterparty", "value_set": threshold("trades", "counterparties")}),
        Check("venue_known", "Every venue is a market identifier that we use.", WARNING, REFERENCE,
              "Ask the sender; add the market when it is right.", "ExpectColumnValuesToBeInSet",
              {"column": "venue", "value_set": threshold("trades", "venues")}),
        Check("settles_after", "A trade settles on its date or within "
              f"{_T['settle_days_max']} days after.", CRITICAL, OPERATIONS, _ASK, "ExpectNoRowsWhere",
              {"condition": f"settles_in < 0 or settles_in > {_T['settle_days_max']}", "worst": "settles_in"}),
        Check("account_known", "Every trade is of a known account.", CRITICAL, REFERENCE, "Load the account.",
              "ExpectNoRowsWhere", {"condition": "not account_known"}),
        Check("instrument_known", "Every trade is in a known instrument.", CRITICAL, REFERENCE, "Load the instrument.",
              "ExpectColumnValuesToNotBeNull", {"column": "instrument_kind"}),
        Check("no_gap", f"While the market is open there is a trade every {_GAP} seconds.", CRITICAL, OPERATIONS,
              "Ask the feed's operator for the trades of the gap; they count when they arrive.", "ExpectNoRowsWhere",
              {"condition": f"gap > {_GAP}", "worst": "gap"}),
    ),
    applies=lambda view: view.is_end_of_day,
    key=("id", "version", "account", "instrument", "event_time"),
)  # fmt: skip

SUITES = (TRADES,)
