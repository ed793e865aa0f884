"""Price sets: whatever is held has a fresh, plausible price, and at the end of day an official close."""

import numpy as np
import pandas as pd

from expectations.check import CRITICAL, MARKET_DATA, WARNING, Check, Suite
from expectations.thresholds import threshold, thresholds
from expectations.view import View

_JUMP = threshold("prices", "jump_max")
_SINCE = threshold("prices", "since_last_cut_max")
_ONE_SIDED = threshold("prices", "one_sided_share_max")


def _prices(view: View) -> pd.DataFrame:
    """The price set beside what is known and held of each instrument, how it moved, and how its market moved."""
    known = view.instruments
    prices = view.frame("prices").join(known[["kind", "underlying", "expiry", "multiplier", "beta"]], on="instrument")
    prices["held"] = prices["instrument"].map(view.held["accounts"]).fillna(0).astype(int)
    needed = known.loc[known.index.intersection(view.held.index), "underlying"]
    prices["needed"] = (prices["held"] > 0) | prices["instrument"].isin(needed)
    opened = view.frame("positions").query("open_quantity != 0")["instrument"]
    prices["opened"] = prices["instrument"].isin(opened)
    prices["is_option"] = prices["kind"] == "option"
    factor = prices["instrument"].map(view.split_factor).fillna(1)
    usual = prices["previous_close"] > 0
    shares = prices["kind"].isin(["stock", "etf", "index"])
    prices["beta"] = prices["beta"].astype(float).fillna(1.0).where(shares)

    def against_market(price: pd.Series) -> tuple[pd.Series, float]:
        """Each share's move less what its beta implies, and the market's: the median move over beta."""
        move = (price * factor / prices["previous_close"].where(usual) - 1).where(price > 0)
        market = float((move / prices["beta"].where(prices["beta"] > 0)).median())
        return move - prices["beta"] * market, market

    prices["residual"], prices["market_move"] = against_market(prices["price"])
    prices["repeated"] = shares & usual & (prices["close"] == prices["previous_close"])
    prices["before"] = np.nan
    if view.previous is not None:
        earlier = view.previous.frame("prices").set_index("instrument")
        before = prices["instrument"].map(earlier["price"])
        fresh = prices["instrument"].map(earlier["status"]) == "good"
        odd, _ = against_market(before)  # a price that was wrong itself says nothing about the close
        prices["before"] = before.where((before > 0) & fresh & ~(odd.abs() > _JUMP))
    prices["since_last_cut"] = (prices["price"] / prices["before"] - 1).fillna(0)
    return prices


def _held(view: View) -> pd.DataFrame:
    """One row per held instrument and underlying of one: its price, NaN where the set does not know it."""
    known = view.instruments
    underlyings = known.loc[known.index.intersection(view.held.index), "underlying"]
    names = sorted((set(view.held.index) | set(underlyings)) - {""})
    prices = view.frame("prices").set_index("instrument")
    frame = prices.reindex(names).rename_axis("instrument").reset_index()
    frame["accounts"] = frame["instrument"].map(view.held["accounts"]).fillna(0).astype(int)
    frame["kind"] = frame["instrument"].map(known["kind"])
    frame["status"] = frame["status"].fillna("absent")
    frame["is_end_of_day"] = view.is_end_of_day
    earlier = view.previous.frame("prices").set_index("instrument")["status"] if view.previous else {}
    frame["status_before"] = frame["instrument"].map(earlier)
    frame["needs_price"] = view.is_end_of_day | (frame["previous_close"] > 0)
    frame["price_set_of_cut"] = view.manifest["price_set"]
    return frame


def _fx(view: View) -> pd.DataFrame:
    """One row per currency that any account, position or instrument is in."""
    names = set(view.frame("cash")["currency"]) | set(view.frame("positions")["currency"])
    rates = view.frame("fx").set_index("currency")
    frame = rates.reindex(sorted(names | set(rates.index))).rename_axis("currency").reset_index()
    usual = thresholds()["fx"]["range"]
    frame["rate_min"] = [usual.get(name, [0, np.inf])[0] for name in frame["currency"]]
    frame["rate_max"] = [usual.get(name, [0, np.inf])[1] for name in frame["currency"]]
    earlier = view.previous.frame("fx").set_index("currency")["rate"] if view.previous else pd.Series(dtype=float)
    before = frame["currency"].map(earlier)
    frame["before"] = before.where((before >= frame["rate_min"]) & (before <= frame["rate_max"]))
    frame["since_last_cut"] = (frame["rate"] / frame["before"] - 1).fillna(0)
    return frame


HELD = Suite(
    "prices.held",
    "prices",
    "held instruments and their underlyings",
    MARKET_DATA,
    _held,
    (
        Check("priced", "Every held instrument and underlying has a price; intraday, if not new today.",
              CRITICAL, MARKET_DATA,
              "Get a price from another source and send it; until then the position is charged at 100%.",
              "ExpectNoRowsWhere", {"condition": "needs_price and (status in ['absent', 'missing'] or not price > 0)",
                                    "worst": "accounts"}),
        Check("fresh", "At the end of the day no held instrument or underlying has a stale price.", CRITICAL,
              MARKET_DATA, "Ask the feed why it stopped; send the close or a quote of this instrument.",
              "ExpectNoRowsWhere", {"condition": "is_end_of_day and status == 'stale'", "worst": "accounts"}),
        Check("fresh_intraday", "During the day no held instrument or underlying has a stale price.", WARNING,
              MARKET_DATA, "Ask the feed why it stopped; until it recovers the position is charged conservatively.",
              "ExpectNoRowsWhere", {"condition": "not is_end_of_day and status == 'stale'", "worst": "accounts"}),
        Check("two_sided", f"At most {_ONE_SIDED:.0%} of the held prices are a last good one, behind a crossed or "
              "one-sided quote.", WARNING, MARKET_DATA, "Look at the newest quotes of these instruments.",
              "ExpectShareToBeAtMost", {"condition": "status == 'last_good'", "share_max": _ONE_SIDED}),
        Check("two_sided_close", "At the end of the day no held price stands behind a crossed or one-sided quote.",
              CRITICAL, MARKET_DATA, "Send the close, or a quote with both sides.",
              "ExpectNoRowsWhere", {"condition": "is_end_of_day and (status == 'last_good' or "
                                    "(status == 'stale' and status_before == 'last_good'))", "worst": "accounts"}),
        Check("of_this_set", "Every price is of the cut's own price set.", CRITICAL, MARKET_DATA,
              "The cut mixes price sets: seal it again.", "ExpectNoRowsWhere",
              {"condition": "status != 'absent' and price_set != price_set_of_cut"}),
    ),
    key=("instrument", "accounts", "status", "age", "source"),
)  # fmt: skip

SET = Suite(
    "prices.set",
    "prices",
    "the price set",
    MARKET_DATA,
    _prices,
    (
        Check("status_known", "The status of a price is good, last_good, stale or missing.", CRITICAL, MARKET_DATA,
              "The price set is of another version than these checks.", "ExpectColumnValuesToBeInSet",
              {"column": "status", "value_set": ["good", "last_good", "stale", "missing"]}),
        Check("not_negative", "No price is negative.", CRITICAL, MARKET_DATA, "Correct the price event.",
              "ExpectColumnValuesToBeBetween", {"column": "price", "min_value": 0}),
        Check("once", "An instrument has one price in the set.", CRITICAL, MARKET_DATA,
              "The price set repeats an instrument: seal it again.", "ExpectColumnValuesToBeUnique",
              {"column": "instrument"}),
        Check("instrument_known", "Every priced instrument is in the reference data.", CRITICAL, MARKET_DATA,
              "Load the instrument.", "ExpectColumnValuesToNotBeNull", {"column": "kind"}),
        Check("age_not_negative", "A price that is there has an age.", WARNING, MARKET_DATA,
              "The event time of the price lies after the cut: ask the sender about its clock.", "ExpectNoRowsWhere",
              {"condition": "status != 'missing' and age < 0"}),
        Check("previous_close_present", "What was held overnight has a previous close.", CRITICAL, MARKET_DATA,
              "Send the previous close: the day's result of these positions is not known without it.",
              "ExpectNoRowsWhere", {"condition": "opened and previous_close <= 0", "worst": "held"}),
        Check("moved_with_market", f"No share moves {_JUMP:.0%} away from what its beta implies, splits taken out.",
              CRITICAL, MARKET_DATA, "Look for a split nobody announced, a shifted decimal or news; correct the price.",
              "ExpectNoRowsWhere", {"condition": f"residual < -{_JUMP} or residual > {_JUMP}", "worst": "residual"}),
        Check("not_idle", "No share stands exactly at its previous close on a day on which its market moved.", WARNING,
              MARKET_DATA, "Ask whether yesterday's close was sent again.", "ExpectNoRowsWhere",
              {"condition": "repeated and (market_move > 0.01 or market_move < -0.01)", "worst": "held"}),
    ),
    key=("instrument", "price", "previous_close", "status", "source"),
)  # fmt: skip

CLOSE = Suite(
    "prices.close",
    "prices",
    "the official closes",
    MARKET_DATA,
    _prices,
    (
        Check("present", "Every held instrument and underlying has an official close.", CRITICAL, MARKET_DATA,
              "Send the close; version 2 of the cut opens the gate.", "ExpectNoRowsWhere",
              {"condition": "needed and close <= 0", "worst": "held"}),
        Check("present_unheld", "Listed instruments that nobody holds have an official close too.", WARNING,
              MARKET_DATA, "Send the close: model values of its underlying lean on it.", "ExpectNoRowsWhere",
              {"condition": "not needed and close <= 0"}),
        Check("is_the_price", "Where there is a close, it is the price.", CRITICAL, MARKET_DATA,
              "The price set did not take the close: replay it.", "ExpectNoRowsWhere",
              {"condition": "close > 0 and price != close"}),
        Check("near_last_cut", f"The close of a share is within {_SINCE:.0%} of the price of the cut before, where "
              "that was fresh and sound.", CRITICAL, MARKET_DATA, "Compare with a second source and correct the close.",
              "ExpectNoRowsWhere",
              {"condition": f"not is_option and (since_last_cut > {_SINCE} or since_last_cut < -{_SINCE})",
               "worst": "since_last_cut"}),
    ),
    applies=lambda view: view.is_end_of_day,
    key=("instrument", "close", "price", "before", "held", "source"),
)  # fmt: skip

FX = Suite(
    "prices.fx",
    "fx",
    "currencies in use",
    MARKET_DATA,
    _fx,
    (
        Check("present", "Every currency of a balance or position has a rate.", CRITICAL, MARKET_DATA,
              "Send the rate: until then all that is in this currency is charged at 100%.",
              "ExpectColumnValuesToNotBeNull",
              {"column": "rate"}),
        Check("plausible", "A rate lies within its range since 1999.", CRITICAL, MARKET_DATA,
              "Compare with a second source; an inverted or shifted rate is the usual cause.", "ExpectNoRowsWhere",
              {"condition": "rate < rate_min or rate > rate_max", "worst": "rate"}),
        Check("near_last_cut", f"A rate is within {_SINCE:.0%} of that of the cut before, where that was plausible.",
              WARNING, MARKET_DATA, "Compare with a second source.", "ExpectNoRowsWhere",
              {"condition": f"since_last_cut > {_SINCE} or since_last_cut < -{_SINCE}", "worst": "since_last_cut"}),
        Check("usd_is_one", "A dollar is a dollar.", CRITICAL, MARKET_DATA, "Never send a rate of the own currency.",
              "ExpectNoRowsWhere", {"condition": "currency == 'USD' and rate != 1"}),
    ),
    key=("currency", "rate", "before"),
)  # fmt: skip

SUITES = (HELD, SET, CLOSE, FX)
