"""Option prices: no arbitrage between series, with their underlying, and with the model."""

import numpy as np
import pandas as pd

from expectations.check import CRITICAL, MARKET_DATA, WARNING, Check, Suite
from expectations.thresholds import threshold
from expectations.view import View

_TICK = threshold("options", "tick_tolerance")
_PARITY = threshold("options", "parity_tolerance")
_SPOT = threshold("options", "spot_tolerance")
_VOL = threshold("options", "vol_difference_max")
_MODEL = threshold("options", "model_share_max")
_YEAR_DAYS = 365.25
_SERIES = ["root", "underlying", "style", "expiry", "strike"]


def _chain(view: View) -> pd.DataFrame:
    """Every priced standard series that is still alive, beside its underlying's price and its model value.

    Adjusted series (their root ends in a digit) are left out: what they deliver is not the share alone.
    """
    known = view.instruments
    series = known[known["kind"] == "option"].reset_index(drop=True)
    prices = view.frame("prices").set_index("instrument")
    model = view.frame("valuation").set_index("instrument")
    series["root"] = series["id"].str[:6].str.strip()
    for name in ("price", "status"):
        series[name] = series["id"].map(prices[name])
    for name in ("model_value", "vol", "vol_source"):
        series[name] = series["id"].map(model[name])
    series["spot"] = series["underlying"].map(prices["price"])
    alive = series["expiry"] > view.business_date.isoformat()
    priced = (series["price"] > 0) & (series["spot"] > 0)
    series = series[alive & priced & ~series["root"].str[-1].str.isdigit()].rename(columns={"id": "instrument"})
    days = (pd.to_datetime(series["expiry"]) - pd.Timestamp(view.business_date)).dt.days
    later = series.sort_values("expiry").groupby(["root", "right", "strike"])["expiry"].shift(1)
    between = (pd.to_datetime(series["expiry"]) - pd.to_datetime(later)).dt.days / _YEAR_DAYS
    rate = np.where(series["style"] == "european", threshold("options", "carry_rate"), 0.0)
    series["carry"] = rate * series["spot"] * between
    slack = rate * np.maximum(series["spot"], series["strike"]) * days / _YEAR_DAYS
    is_call = series["right"] == "call"
    inner = np.where(is_call, series["spot"] - series["strike"], series["strike"] - series["spot"])
    series["below_intrinsic"] = inner - slack - series["price"]
    series["above_bound"] = series["price"] - np.where(is_call, series["spot"], series["strike"])
    allowed = threshold("options", "model_distance") * series["price"] + _TICK
    series["off_model"] = (series["model_value"] - series["price"]).abs() - allowed
    return series


def _pairs(view: View) -> pd.DataFrame:
    """Every call beside the put of the same strike.

    ``off_line``: distance of call less put from the straight line in the strike that the whole expiry lies on; the
    line is fitted by medians, so that one wrong price does not bend it. Share of spot.
    """
    chain = _chain(view)
    call, put = (chain[chain["right"] == right].set_index(_SERIES) for right in ("call", "put"))
    pairs = call.join(put[["instrument", "price", "vol"]], suffixes=("", "_put"), how="inner").reset_index()
    pairs["forward"] = pairs["price"] - pairs["price_put"]
    by = pairs.groupby(["root", "expiry"])
    pairs["slope"] = by[["strike", "forward"]].apply(_median_slope).reindex(
        pd.MultiIndex.from_frame(pairs[["root", "expiry"]])
    ).to_numpy() if len(pairs) else np.nan  # fmt: skip
    residual = pairs["forward"] - pairs["slope"] * pairs["strike"]
    middle = residual.groupby([pairs["root"], pairs["expiry"]]).transform("median")
    pairs["off_line"] = (residual - middle).abs() / pairs["spot"]
    pairs["vol_difference"] = (pairs["vol"] - pairs["vol_put"]).abs()
    return pairs


def _median_slope(expiry: pd.DataFrame) -> float:
    """Median of the slopes between all pairs of strikes."""
    strike, forward = expiry["strike"].to_numpy(), expiry["forward"].to_numpy()
    low, high = np.triu_indices(len(strike), 1)
    return float(np.median((forward[high] - forward[low]) / (strike[high] - strike[low]))) if len(low) else -1.0


def _spots(view: View) -> pd.DataFrame:
    """One row per underlying: its price, and the one that its nearest expiry implies by put-call parity."""
    pairs = _pairs(view)
    nearest = pairs.groupby("underlying")["expiry"].transform("min")
    pairs = pairs[pairs["expiry"] == nearest].copy()
    pairs["implied_spot"] = pairs["forward"] + pairs["strike"]
    return pairs.groupby("underlying")[["spot", "implied_spot"]].median().reset_index()


def _at_the_close(view: View) -> bool:
    """Only closes are taken at one instant; intraday quotes of different ages are no arbitrage."""
    known = view.frame("instruments")
    return view.is_end_of_day and bool((known["kind"] == "option").any())


_RECHECK = "Compare the two prices with a second source and correct the wrong one."

CHAIN = Suite(
    "options.chain",
    "prices",
    "option series that are still alive",
    MARKET_DATA,
    _chain,
    (
        Check("monotone", "A call is worth no more at a higher strike, a put no less.", CRITICAL, MARKET_DATA,
              _RECHECK, "ExpectStrikesToBeMonotone", {"tolerance": _TICK}),
        Check("convex", "Prices are convex in the strike: no butterfly costs less than nothing.", CRITICAL,
              MARKET_DATA, _RECHECK, "ExpectPricesToBeConvexInStrike", {"tolerance": _TICK}),
        Check("calendar", "Of two expiries the later is worth no less, but for carry.", CRITICAL, MARKET_DATA, _RECHECK,
              "ExpectLaterExpiriesToBeDearer", {"tolerance": _TICK, "carry": "carry"}),
        Check("intrinsic", "No option is worth less than exercising it, but for carry.", CRITICAL, MARKET_DATA,
              _RECHECK, "ExpectNoRowsWhere",
              {"condition": f"below_intrinsic > {_TICK}", "worst": "below_intrinsic"}),
        Check("bound", "No call is worth more than its underlying, no put more than its strike.", CRITICAL,
              MARKET_DATA, _RECHECK, "ExpectNoRowsWhere", {"condition": "above_bound > 0", "worst": "above_bound"}),
        Check("model", f"The model values all but {_MODEL:.0%} of the series at their prices.", WARNING, MARKET_DATA,
              "Look at the volatilities and rates of these series.", "ExpectShareToBeAtMost",
              {"condition": "off_model > 0", "share_max": _MODEL}),
    ),
    applies=_at_the_close,
    key=("instrument", "price", "strike", "expiry", "spot"),
)  # fmt: skip

PAIRS = Suite(
    "options.pairs",
    "prices",
    "calls beside the puts of the same strike",
    MARKET_DATA,
    _pairs,
    (
        Check("parity", f"Call less put lies within {_PARITY:.1%} of spot on one line in the strike.", CRITICAL,
              MARKET_DATA, _RECHECK, "ExpectNoRowsWhere",
              {"condition": f"style == 'european' and off_line > {_PARITY}", "worst": "off_line"}),
        Check("volatility", f"A European call and put of one strike have one volatility, within {_VOL:g}.", CRITICAL,
              MARKET_DATA, "Look at the zero rates and the dividend yield before the prices: both sides of a strike "
              "can only disagree about carry.", "ExpectNoRowsWhere",
              {"condition": f"style == 'european' and vol_difference > {_VOL}", "worst": "vol_difference"}),
    ),
    applies=_at_the_close,
    key=("instrument", "instrument_put", "price", "price_put", "spot"),
)  # fmt: skip

SPOTS = Suite(
    "options.spot",
    "prices",
    "underlyings with options",
    MARKET_DATA,
    _spots,
    (
        Check("agrees", f"The close agrees within {_SPOT:.0%} with the spot that its options imply.", CRITICAL,
              MARKET_DATA, "The options are an independent source: compare the close with a third.",
              "ExpectColumnsToAgree", {"expected": "spot", "found": "implied_spot", "relative": _SPOT}),
    ),
    applies=_at_the_close,
    key=("underlying",),
)  # fmt: skip

SUITES = (CHAIN, PAIRS, SPOTS)
