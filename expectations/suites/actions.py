"""Corporate actions and expiries: each once, plausible, and carried through to the positions."""

import numpy as np
import pandas as pd

from expectations.check import CRITICAL, REFERENCE, STOCK_RECORD, WARNING, Check, Suite
from expectations.thresholds import threshold
from expectations.view import View

_RATIO = threshold("actions", "split_ratio_max")
_DIVIDEND = threshold("actions", "dividend_share_max")
_TOLERANCE = 1e-6


def _instruments(view: View) -> pd.DataFrame:
    """Every instrument with the actions on it: mostly none."""
    known = view.frame("instruments").rename(columns={"id": "instrument"})
    actions = view.frame("actions")
    prices = view.frame("prices").set_index("instrument")
    for kind, column in (("split", "split"), ("cash_dividend", "cash_dividend"), ("expiry", "expiry_count")):
        of_kind = actions[actions["kind"] == kind].groupby("instrument")
        known[column] = known["instrument"].map(of_kind.size()).fillna(0).astype(int)
    last = actions.drop_duplicates(["instrument", "kind"], keep="last").set_index(["kind", "instrument"])
    expiries = last.loc[last.index.get_level_values(0) == "expiry"].droplevel(0)
    dividends = last.loc[last.index.get_level_values(0) == "cash_dividend"].droplevel(0)
    known["settlement"] = known["instrument"].map(expiries["price"])
    known["underlying_close"] = known["underlying"].map(prices["close"])
    closed = known["underlying_close"].where(known["underlying_close"] > 0)  # a close that is missing fails elsewhere
    known["off_settlement"] = (known["settlement"] - closed).abs() / closed
    price = known["instrument"].map(prices["price"])
    known["dividend_share"] = known["instrument"].map(dividends["amount"]) / price.where(price > 0)
    known["ratio"] = known["instrument"].map(view.split_factor)
    known["expected_dividend"], known["announced_dividend"] = np.nan, known["instrument"].map(dividends["amount"])
    if view.has("expected_dividends"):
        expected = view.frame("expected_dividends").query(f"ex_date == '{view.business_date}' and amount > 0")
        known["expected_dividend"] = known["instrument"].map(expected.set_index("instrument")["amount"])
    known["held"] = known["instrument"].isin(view.held.index)
    known["is_end_of_day"] = view.is_end_of_day
    known["expires"] = (known["kind"] == "option") & (known["expiry"] == view.business_date.isoformat())
    return known


def _positions(view: View) -> pd.DataFrame:
    """Every position beside its split and its expiry."""
    positions = view.frame("positions")
    known = view.instruments
    positions["ratio"] = positions["instrument"].map(view.split_factor)
    rolled = positions["open_quantity"] * positions["ratio"] + positions["bought"] - positions["sold"]
    positions["off_split"] = (positions["quantity"] - rolled).abs()
    expiry = positions["instrument"].map(known["expiry"]).where(positions["instrument"].map(known["kind"]) == "option")
    today = view.business_date.isoformat()
    positions["past_expiry"] = np.array([isinstance(day, str) and day <= today for day in expiry], dtype=bool)
    dividends = view.frame("actions").query("kind == 'cash_dividend'")["instrument"]
    positions["is_end_of_day"] = view.is_end_of_day
    positions["paid"] = positions["instrument"].isin(dividends)
    return positions


_CANCEL_IT = "Send a cancel of the wrong one: what it reached is folded again without it."

ACTIONS = Suite(
    "actions.announced",
    "actions",
    "instruments with the actions on them",
    REFERENCE,
    _instruments,
    (
        Check("split_once", "A share is split at most once a day.", CRITICAL, REFERENCE, _CANCEL_IT,
              "ExpectColumnValuesToBeBetween", {"column": "split", "max_value": 1}),
        Check("dividend_once", "A share pays at most one cash dividend a day.", CRITICAL, REFERENCE, _CANCEL_IT,
              "ExpectColumnValuesToBeBetween", {"column": "cash_dividend", "max_value": 1}),
        Check("expiry_once", "A series expires at most once.", CRITICAL, REFERENCE, _CANCEL_IT,
              "ExpectColumnValuesToBeBetween", {"column": "expiry_count", "max_value": 1}),
        Check("split_ratio", f"A split is at most {_RATIO} for 1, or 1 for {_RATIO}.", WARNING, REFERENCE,
              "Compare the ratio with the issuer's announcement.", "ExpectNoRowsWhere",
              {"condition": f"ratio > {_RATIO} or ratio < 1 / {_RATIO}", "worst": "ratio"}),
        Check("dividend_amount", f"A cash dividend is positive and at most {_DIVIDEND:.0%} of the price.", WARNING,
              REFERENCE, "Compare the amount with the issuer's announcement.", "ExpectNoRowsWhere",
              {"condition": f"dividend_share <= 0 or dividend_share > {_DIVIDEND}", "worst": "dividend_share"}),
        Check("dividend_expected", "A held share that is expected to pay a dividend today has announced one.", CRITICAL,
              REFERENCE, "Send the dividend, or take back the expectation: a rate of kind dividend with value 0.",
              "ExpectNoRowsWhere",
              {"condition": "held and expected_dividend > 0 and not announced_dividend > 0",
               "worst": "expected_dividend"}),
        Check("dividend_as_expected", "A dividend is as large as was expected.", WARNING, REFERENCE,
              "Compare the amount with the issuer's announcement.", "ExpectColumnsToAgree",
              {"expected": "expected_dividend", "found": "announced_dividend", "absolute": 0.000001,
               "where": "expected_dividend > 0 and announced_dividend > 0"}),
        Check("all_expired", "At the end of the day every series of the day has expired.", CRITICAL, REFERENCE,
              "Send the expiry with its settlement price.", "ExpectNoRowsWhere",
              {"condition": "is_end_of_day and expires and expiry_count == 0"}),
        Check("settlement_price", "Series settle at the official close of their underlying.", CRITICAL, REFERENCE,
              "Compare with the exchange's settlement price and correct the expiry.", "ExpectNoRowsWhere",
              {"condition": f"is_end_of_day and expiry_count > 0 and off_settlement > {_TOLERANCE}",
               "worst": "off_settlement"}),
    ),
    key=("instrument", "settlement", "underlying_close", "ratio", "expected_dividend", "announced_dividend"),
)  # fmt: skip

APPLIED = Suite(
    "actions.applied",
    "positions",
    "positions with the actions on them",
    STOCK_RECORD,
    _positions,
    (
        Check("split", "A split position is the opening times the ratio, plus bought, less sold, but for fractions.",
              CRITICAL, STOCK_RECORD, "Replay the account.", "ExpectNoRowsWhere",
              {"condition": "off_split >= 1", "worst": "off_split"}),
        Check("none_past_expiry", "At the end of the day nobody holds a series that has expired.", CRITICAL,
              STOCK_RECORD, "Send the expiry; look whether the position came after it.", "ExpectNoRowsWhere",
              {"condition": "is_end_of_day and past_expiry and quantity != 0", "worst": "quantity"}),
        Check("dividend_only_when_paid", "Only holders of an instrument that paid have dividends.", CRITICAL,
              STOCK_RECORD, "Replay the account.", "ExpectNoRowsWhere",
              {"condition": "dividends != 0 and not paid", "worst": "dividends"}),
        Check("dividend_sign", "Long openings receive dividends, short ones pay them.", CRITICAL, STOCK_RECORD,
              "Replay the account.", "ExpectNoRowsWhere",
              {"condition": "dividends * open_quantity < 0", "worst": "dividends"}),
    ),
    key=("account", "instrument", "quantity", "open_quantity"),
)  # fmt: skip

SUITES = (ACTIONS, APPLIED)
