"""Positions: they follow from the opening and the day's events, and all accounts see one price."""

import numpy as np
import pandas as pd

from expectations.check import CRITICAL, MARKET_DATA, OPERATIONS, STOCK_RECORD, WARNING, Check, Suite
from expectations.view import MICROS, View


def _positions(view: View) -> pd.DataFrame:
    """Every position beside what opening, trades and actions make of it."""
    positions = view.frame("positions")
    known = view.instruments
    positions = positions.join(known[["kind", "expiry"]].rename(columns={"kind": "instrument_kind"}), on="instrument")
    positions["account_known"] = positions["account"].isin(view.frame("accounts")["id"])
    acted = set(view.frame("actions").query("kind != 'cash_dividend'")["instrument"])
    positions["acted_on"] = positions["instrument"].isin(acted)
    positions["rolled"] = positions["open_quantity"] + positions["bought"] - positions["sold"]
    today = view.business_date.isoformat()
    positions["expired"] = (positions["instrument_kind"] == "option") & (positions["expiry"].fillna("9") <= today)
    cost, quantity = view.exact("positions", "cost"), positions["quantity"].to_numpy()
    positions["cost_sign_wrong"] = np.sign(cost) * np.sign(quantity) < 0
    positions["cost_left"] = (quantity == 0) & (cost != 0)
    return positions


def _pnl(view: View) -> pd.DataFrame:
    """Every valued position beside the price set, the position and the instrument it should agree with."""
    pnl = view.frame("pnl")
    prices = view.frame("prices").set_index("instrument")
    known = view.instruments
    pnl["price_of_set"] = pnl["instrument"].map(prices["price"])
    pnl["price_set_of_cut"] = view.manifest["price_set"]
    positions = view.frame("positions").set_index(["account", "instrument"])
    key = pd.MultiIndex.from_frame(pnl[["account", "instrument"]])
    pnl["quantity_of_position"] = positions["quantity"].reindex(key).to_numpy()
    micros = pd.Series(view.exact("prices", "price"), view.frame("prices")["instrument"])
    multiplier = pnl["instrument"].map(known["multiplier"]).fillna(0).astype("int64").to_numpy()
    price = pnl["instrument"].map(micros).fillna(0).astype("int64").to_numpy()
    expected = pnl["quantity"].to_numpy() * multiplier * price
    pnl["value_difference"] = (view.exact("pnl", "market_value") - expected) / MICROS
    cost = pd.Series(view.exact("positions", "cost"), positions.index).reindex(key).fillna(0).astype("int64")
    unrealised = view.exact("pnl", "market_value") - cost.to_numpy() - view.exact("pnl", "unrealised")
    pnl["unrealised_difference"] = unrealised / MICROS
    pnl["priced"] = pnl["price_status"] != "missing"
    return pnl


def _accounts(view: View) -> pd.DataFrame:
    """Every account's exposure beside the sums of its positions."""
    exposure = view.frame("exposure").set_index("account")
    pnl = view.frame("pnl")[["account", "quantity", "price_status"]]
    for name in ("market_value_usd", "day_pnl_usd"):
        pnl[name] = view.exact("pnl", name)
    pnl["long"], pnl["short"] = pnl["market_value_usd"].clip(lower=0), -pnl["market_value_usd"].clip(upper=0)
    sums = pnl.groupby("account")[["long", "short", "day_pnl_usd"]].sum().reindex(exposure.index).fillna(0)
    frame = pd.DataFrame({"account": exposure.index})
    for name, column in (("long_value", "long"), ("short_value", "short"), ("day_pnl", "day_pnl_usd")):
        frame[name] = exposure[name].to_numpy()
        difference = view.exact("exposure", name) - sums[column].astype("int64").to_numpy()
        frame[f"{name}_difference"] = difference / MICROS
    whole = {name: view.exact("exposure", name) for name in ("long_value", "short_value", "cash", "equity")}
    parts = whole["long_value"] - whole["short_value"] + whole["cash"]
    frame["equity"], frame["unpriced"] = exposure["equity"].to_numpy(), exposure["unpriced"].to_numpy()
    frame["is_end_of_day"] = view.is_end_of_day
    frame["equity_difference"] = (whole["equity"] - parts) / MICROS
    return frame


_REPLAY = "Replay the account from the raw events and compare row by row; do not correct a position by hand."

POSITIONS = Suite(
    "positions.roll",
    "positions",
    "positions of every account",
    STOCK_RECORD,
    _positions,
    (
        Check("from_opening", "Without a corporate action a position is opening plus bought less sold.", CRITICAL,
              STOCK_RECORD, _REPLAY, "ExpectColumnsToAgree",
              {"expected": "rolled", "found": "quantity", "where": "not acted_on"}),
        Check("instrument_known", "Every position is in a known instrument.", CRITICAL, STOCK_RECORD,
              "Load the instrument.", "ExpectColumnValuesToNotBeNull", {"column": "instrument_kind"}),
        Check("account_known", "Every position is of a known account.", CRITICAL, STOCK_RECORD, "Load the account.",
              "ExpectNoRowsWhere", {"condition": "not account_known"}),
        Check("bought_sold_not_negative", "Bought and sold are not negative.", CRITICAL, OPERATIONS, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "bought < 0 or sold < 0"}),
        Check("fees_not_negative", "No fee was paid to an account.", WARNING, OPERATIONS,
              "Ask for a correct of the trades with a negative fee.", "ExpectColumnValuesToBeBetween",
              {"column": "fees", "min_value": 0}),
        Check("cost_of_nothing", "A closed position has no cost.", CRITICAL, STOCK_RECORD, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "cost_left", "worst": "cost"}),
        Check("cost_sign", "Cost has the sign of the quantity.", WARNING, STOCK_RECORD,
              "Look for a trade at a negative price or an opening cost of the wrong sign.", "ExpectNoRowsWhere",
              {"condition": "cost_sign_wrong", "worst": "cost"}),
    ),
    key=("account", "instrument"),
)  # fmt: skip

VALUED = Suite(
    "positions.valued",
    "pnl",
    "valued positions",
    MARKET_DATA,
    _pnl,
    (
        Check("one_price", "All accounts value an instrument at one price.", CRITICAL, MARKET_DATA,
              "The cut mixes price sets: seal it again.", "ExpectOneValuePerKey",
              {"by": ["instrument"], "column": "price"}),
        Check("price_of_set", "That price is the price set's.", CRITICAL, MARKET_DATA,
              "The cut mixes price sets: seal it again.", "ExpectColumnsToAgree",
              {"expected": "price_of_set", "found": "price"}),
        Check("one_set", "Every value is of the cut's own price set.", CRITICAL, MARKET_DATA,
              "The cut mixes price sets: seal it again.", "ExpectNoRowsWhere",
              {"condition": "price_set != price_set_of_cut"}),
        Check("quantity", "The valued quantity is the position's.", CRITICAL, STOCK_RECORD, _REPLAY,
              "ExpectColumnsToAgree", {"expected": "quantity_of_position", "found": "quantity"}),
        Check("market_value", "Market value is quantity times multiplier times price, to the micro.", CRITICAL,
              MARKET_DATA, _REPLAY, "ExpectNoRowsWhere",
              {"condition": "value_difference != 0", "worst": "value_difference"}),
        Check("unrealised", "The unrealised result is market value less cost, to the micro.", CRITICAL, STOCK_RECORD,
              _REPLAY, "ExpectNoRowsWhere",
              {"condition": "priced and unrealised_difference != 0", "worst": "unrealised_difference"}),
    ),
    key=("account", "instrument"),
)  # fmt: skip

ACCOUNTS = Suite(
    "positions.accounts",
    "exposure",
    "accounts with their sums",
    STOCK_RECORD,
    _accounts,
    (
        Check("long_value", "An account's long value is the sum of its positions'.", CRITICAL, STOCK_RECORD, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "long_value_difference != 0", "worst": "long_value_difference"}),
        Check("short_value", "An account's short value is the sum of its positions'.", CRITICAL, STOCK_RECORD, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "short_value_difference != 0", "worst": "short_value_difference"}),
        Check("day_pnl", "An account's result of the day is the sum of its positions'.", CRITICAL, STOCK_RECORD,
              _REPLAY, "ExpectNoRowsWhere", {"condition": "day_pnl_difference != 0", "worst": "day_pnl_difference"}),
        Check("equity", "Equity is cash plus long value less short value.", CRITICAL, STOCK_RECORD, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "equity_difference != 0", "worst": "equity_difference"}),
        Check("all_priced", "At the end of the day no account holds anything without a price.", CRITICAL, MARKET_DATA,
              "Send the missing prices; until then they are charged at 100%.", "ExpectNoRowsWhere",
              {"condition": "is_end_of_day and unpriced > 0", "worst": "unpriced"}),
    ),
    key=("account",),
)  # fmt: skip

SUITES = (POSITIONS, VALUED, ACCOUNTS)
