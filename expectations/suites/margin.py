"""Margin and stress: every number follows from the lines below it and from the account's equity."""

import numpy as np
import pandas as pd

from expectations.check import CRITICAL, MARGIN, WARNING, Check, Suite
from expectations.thresholds import threshold
from expectations.view import MICROS, View

_CHANGE, _LEAST = threshold("margin", "requirement_change_max"), threshold("margin", "requirement_change_min")

_FACTOR = threshold("margin", "day_factor_max")


def _accounts(view: View) -> pd.DataFrame:
    """Every account of the reference data: its margin beside exposure, lines, groups, path and the cut before."""
    margin = view.frame("margin").set_index("account")
    exact = pd.DataFrame(
        {name: view.exact("margin", name) for name in _EXACT}, index=pd.Index(view.frame("margin")["account"])
    )
    frame = pd.DataFrame({"account": view.frame("accounts")["id"]}).join(margin, on="account")
    exact = exact.reindex(frame["account"])
    exposure = pd.DataFrame(
        {name: view.exact("exposure", name) for name in ("long_value", "short_value", "equity")},
        index=pd.Index(view.frame("exposure")["account"]),
    ).reindex(frame["account"])
    frame["present"] = frame["margin_type"].notna()
    unpriced = view.frame("exposure").set_index("account")["unpriced"]
    frame["priced"] = frame["present"] & (frame["account"].map(unpriced) == 0)
    for name, other in (("lmv", "long_value"), ("smv", "short_value"), ("equity", "equity")):
        frame[f"{name}_difference"] = (exact[name] - exposure[other]).to_numpy() / MICROS
    lines = view.frame("margin_lines")[["account"]]
    for name in ("maintenance", "initial"):
        lines[name] = view.exact("margin_lines", name) - view.exact("margin_lines", "premium")
    sums = lines.groupby("account")[["maintenance", "initial"]].sum().reindex(frame["account"]).fillna(0)
    for name in ("maintenance", "initial"):
        frame[f"{name}_difference"] = (exact[name].to_numpy() - sums[name].to_numpy()) / MICROS
    own = np.where(frame["margin_type"] == "portfolio", exact["portfolio"], exact["maintenance"])
    frame["requirement_difference"] = (exact["requirement"].to_numpy() - own) / MICROS
    equity = np.where(frame["margin_type"] == "portfolio", exact["equity"], exact["margin_equity"])
    frame["excess_difference"] = (exact["excess"].to_numpy() - equity + exact["requirement"].to_numpy()) / MICROS
    frame["peak_short"] = np.maximum(0, -frame["excess"]) - frame["peak_deficit"]
    frame["price_set_of_cut"] = view.manifest["price_set"]
    before = view.previous.frame("margin").set_index("account")["requirement"] if view.previous else None
    frame["before"] = frame["account"].map(before) if before is not None else np.nan
    frame["change"] = ((frame["requirement"] - frame["before"]).abs() / frame["before"].abs()).where(
        frame["before"].abs() > _LEAST
    )
    return frame


_EXACT = ("lmv", "smv", "equity", "margin_equity", "initial", "maintenance", "portfolio", "requirement", "excess")


def _movement(view: View) -> pd.DataFrame:
    """Accounts of some size at both ends of day: the requirement on a dollar of gross value, then and now."""
    assert view.opening is not None
    now, before = (v.frame("margin").set_index("account") for v in (view, view.opening))
    frame = now[["margin_type", "requirement"]].join(before["requirement"].rename("before"), how="inner")
    gross = now["lmv"] + now["smv"]
    gross_before = before["lmv"] + before["smv"]
    of_size = (frame["requirement"] > _LEAST) & (frame["before"] > _LEAST)
    rate, rate_before = frame["requirement"] / gross, frame["before"] / gross_before
    frame["factor"] = np.maximum(rate / rate_before, rate_before / rate).where(of_size)
    return frame.reset_index()


def _groups(view: View) -> pd.DataFrame:
    """Portfolio-margin groups."""
    groups = view.frame("margin_groups")
    worst = np.maximum(groups["scenario_loss"], groups["minimum"])
    groups["beyond_worst"] = worst - groups["requirement"]
    return groups


def _stress(view: View) -> pd.DataFrame:
    """Every account and scenario beside the sum over underlyings, where that is sealed and the scenario is additive."""
    stress = view.frame("stress")
    parts = view.frame("stress_underlying")[["account", "scenario"]]
    parts["loss"] = view.exact("stress_underlying", "loss")
    sums = parts.groupby(["account", "scenario"])["loss"].sum()
    key = pd.MultiIndex.from_frame(stress[["account", "scenario"]])
    added = sums.reindex(key).fillna(0).astype("int64").to_numpy()
    # a name or sector scenario takes its worst part alone; the larger grids have no rows by underlying
    alone = stress.loc[stress["part"].fillna("") != "", "scenario"].unique()
    stress["compared"] = stress["scenario"].isin(parts["scenario"].unique()) & ~stress["scenario"].isin(alone)
    stress["loss_difference"] = (view.exact("stress", "loss") - added) / MICROS
    stress["scenarios"] = stress.groupby("account")["scenario"].transform("size")
    stress["scenarios_of_cut"] = stress["scenario"].nunique()
    stress["price_set_of_cut"] = view.manifest["price_set"]
    return stress


_REPLAY = "Replay the account and compare line by line; no call goes out before."

ACCOUNTS = Suite(
    "margin.accounts",
    "margin",
    "accounts with their margin",
    MARGIN,
    _accounts,
    (
        Check("present", "Every account has a margin row.", CRITICAL, MARGIN, "Replay the account.",
              "ExpectColumnValuesToNotBeNull", {"column": "margin_type"}),
        Check("one_set", "Every margin is of the cut's own price set.", CRITICAL, MARGIN, "Seal the cut again.",
              "ExpectNoRowsWhere", {"condition": "present and price_set != price_set_of_cut"}),
        Check("long_value", "If all is priced, margin starts from the account's long value, to the micro.", CRITICAL,
              MARGIN, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "priced and lmv_difference != 0", "worst": "lmv_difference"}),
        Check("short_value", "If all is priced, margin starts from the account's short value, to the micro.", CRITICAL,
              MARGIN, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "priced and smv_difference != 0", "worst": "smv_difference"}),
        Check("equity", "If all is priced, margin starts from the account's equity, to the micro.", CRITICAL,
              MARGIN, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "priced and equity_difference != 0", "worst": "equity_difference"}),
        Check("maintenance_sum", "Maintenance is the sum of the account's lines.", CRITICAL, MARGIN, _REPLAY,
              "ExpectNoRowsWhere",
              {"condition": "present and maintenance_difference != 0", "worst": "maintenance_difference"}),
        Check("initial_sum", "The initial requirement is the sum of the account's lines.", CRITICAL, MARGIN, _REPLAY,
              "ExpectNoRowsWhere",
              {"condition": "present and initial_difference != 0", "worst": "initial_difference"}),
        Check("regime", "The requirement is that of the account's own regime.", CRITICAL, MARGIN, _REPLAY,
              "ExpectNoRowsWhere",
              {"condition": "present and requirement_difference != 0", "worst": "requirement_difference"}),
        Check("excess", "Excess is equity less requirement.", CRITICAL, MARGIN, _REPLAY, "ExpectNoRowsWhere",
              {"condition": "present and excess_difference != 0", "worst": "excess_difference"}),
        Check("portfolio_not_negative", "A portfolio requirement is not negative.", CRITICAL, MARGIN, _REPLAY,
              "ExpectColumnValuesToBeBetween", {"column": "portfolio", "min_value": 0}),
        Check("margin_equity", "Margin equity is at most equity: the cap on covered stock only takes away.", CRITICAL,
              MARGIN, _REPLAY, "ExpectNoRowsWhere",
              {"condition": "present and margin_equity > equity", "worst": "margin_equity"}),
        Check("call_not_negative", "A call, a credit and buying power are not negative.", CRITICAL, MARGIN, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "present and (maintenance_call < 0 or buying_power < 0)"}),
        Check("peak", "The day's largest deficit is at least the deficit of now.", CRITICAL, MARGIN, _REPLAY,
              "ExpectNoRowsWhere", {"condition": "peak_short > 0", "worst": "peak_short"}),
        Check("explained", f"No requirement above {_LEAST:,} changes by more than {_CHANGE:.0%} between cuts.",
              WARNING, MARGIN, "Look at the trades and prices since the cut before.", "ExpectNoRowsWhere",
              {"condition": f"change > {_CHANGE}", "worst": "change"}),
    ),
    key=("account", "margin_type"),
)  # fmt: skip

MOVEMENT = Suite(
    "margin.movement",
    "margin",
    "accounts with margin at this end of day and the one before",
    MARGIN,
    _movement,
    (
        Check("explained", f"What a requirement above {_LEAST:,} takes of a dollar of gross value changes by at most "
              f"the factor {_FACTOR:g} from one end of day to the next.", WARNING, MARGIN,
              "Look for a hedge that was closed, a concentration, a change of rules or of the margin type.",
              "ExpectNoRowsWhere", {"condition": f"factor > {_FACTOR}", "worst": "factor"}),
    ),
    applies=lambda view: view.is_end_of_day and view.opening is not None,
    key=("account", "margin_type", "requirement", "before", "factor"),
)  # fmt: skip

GROUPS = Suite(
    "margin.groups",
    "margin_groups",
    "portfolio-margin groups",
    MARGIN,
    _groups,
    (
        Check("worst", "A group's requirement covers its worst scenario and its minimum.", CRITICAL, MARGIN, _REPLAY,
              "ExpectNoRowsWhere",
              {"condition": "level == 'class' and beyond_worst > 0", "worst": "beyond_worst"}),
        Check("point", "The worst point is one of ten, or none.", CRITICAL, MARGIN, _REPLAY,
              "ExpectColumnValuesToBeBetween", {"column": "worst_point", "min_value": 0, "max_value": 10}),
        Check("level", "A group is a class, product or portfolio group.", CRITICAL, MARGIN, _REPLAY,
              "ExpectColumnValuesToBeInSet", {"column": "level", "value_set": ["class", "product", "portfolio"]}),
    ),
    needs=("margin_groups",),
    key=("account", "margin_group"),
)  # fmt: skip

STRESS = Suite(
    "margin.stress",
    "stress",
    "accounts and scenarios",
    MARGIN,
    _stress,
    (
        Check("sum", "An account's stress loss is the sum over its underlyings, to the micro.", CRITICAL, MARGIN,
              _REPLAY, "ExpectNoRowsWhere",
              {"condition": "compared and loss_difference != 0", "worst": "loss_difference"}),
        Check("complete", "Every account has every scenario.", CRITICAL, MARGIN, "Replay the account.",
              "ExpectColumnsToAgree", {"expected": "scenarios_of_cut", "found": "scenarios"}),
        Check("one_set", "Every loss is of the cut's own price set.", CRITICAL, MARGIN, "Seal the cut again.",
              "ExpectNoRowsWhere", {"condition": "price_set != price_set_of_cut"}),
    ),
    needs=("stress", "stress_underlying"),
    key=("account", "scenario"),
)  # fmt: skip

SUITES = (ACCOUNTS, MOVEMENT, GROUPS, STRESS)
