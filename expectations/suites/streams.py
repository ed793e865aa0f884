"""Streams: every raw event is accounted for, none is missing, few are refused."""

import numpy as np
import pandas as pd

from expectations.check import CRITICAL, OPERATIONS, PLATFORM, REFERENCE, WARNING, Check, Suite
from expectations.thresholds import threshold
from expectations.view import View

_REFERENCE_TOPICS = ("accounts", "actions", "closes", "custody", "firm", "fx", "instruments", "policies", "rates")
_SHARE = threshold("streams", "quarantine_share_max")
_LEAST = threshold("streams", "quarantine_events_min")
_FEW = threshold("streams", "quarantine_few_max")
_QUIET = threshold("streams", "quarantine_quiet_share_max")
_LAG = threshold("streams", "lag_max")


def _counts(view: View) -> pd.DataFrame:
    """One row per app, topic, partition, beside the manifest's next offset."""
    counts = view.frame("counts")
    counts["found"] = counts[["applied", "duplicate", "quarantined", "parked"]].sum(axis=1)
    offsets = view.manifest["offsets"]
    ends = {(topic, place): end for topic, ends in offsets.items() for place, end in enumerate(ends)}
    counts["offset_end"] = [ends.get(key, -1) for key in zip(counts["topic"], counts["partition"], strict=True)]
    return counts


def _topics(view: View) -> pd.DataFrame:
    """One row per raw topic of the manifest; NaN counts where no application counted what is in it."""
    counted = view.frame("counts").drop(columns=["app", "partition"]).groupby("topic").sum()
    offsets = view.manifest["offsets"]
    topics = pd.DataFrame({"topic": sorted(offsets)}).join(counted, on="topic")
    empty = np.array([not any(offsets[topic]) for topic in topics["topic"]], bool)
    topics.loc[empty, counted.columns] = topics.loc[empty, counted.columns].fillna(0)
    listed = view.frame("quarantine").groupby("topic").size() if view.has("quarantine") else pd.Series(dtype=int)
    topics["listed"] = topics["topic"].map(listed).fillna(0).astype(int)
    topics["resent"] = topics["topic"].map(_resent(view)).fillna(0).astype(int)
    refused = topics["quarantined"] - topics["resent"]
    topics["refused_share"] = (refused / topics["events"].replace(0, np.nan)).fillna(0)
    topics["is_reference"] = topics["topic"].isin(_REFERENCE_TOPICS)
    return topics


def _resent(view: View) -> dict[str, int]:
    """Refused trades that came again and were accepted: known at the end of the day, when trades are sealed."""
    if not view.has("quarantine", "trades"):
        return {}
    refused = view.frame("quarantine").query("topic == 'trades'")
    return {"trades": int(refused["event"].isin(set(view.frame("trades")["id"])).sum())}


def _rejects(view: View) -> pd.DataFrame:
    """One row per account, with what its applications could not apply."""
    rejects = view.frame("rejects").groupby("account")
    accounts = view.frame("accounts")[["id"]].rename(columns={"id": "account"})
    accounts["rejects"] = accounts["account"].map(rejects.size()).fillna(0).astype(int)
    accounts["reason"] = accounts["account"].map(rejects["reason"].first()).astype(object).fillna("")
    return accounts


def _path(view: View) -> pd.DataFrame:
    """One row per price set: the share of accounts whose equity and requirement did not move since the one before."""
    path = view.frame("margin_path")
    wide = path.pivot(index="price_set", columns="account", values="equity").sort_index()
    live = wide.loc[:, wide.nunique() > 1]
    still = live.diff().iloc[1:].eq(0).mean(axis=1)
    sets = int(threshold("streams", "frozen_sets"))
    open_sets = still[[name.rpartition("/")[2] <= "160000" for name in still.index]]
    return pd.DataFrame(
        {"price_set": open_sets.index, "still": open_sets.rolling(sets, min_periods=sets).mean().fillna(0).to_numpy()}
    )


def _lags(view: View) -> pd.DataFrame:
    """One row per stream: seconds from its newest event to the cut, or to the close if that was before."""
    until = min(view.time, view.close)
    prices = view.frame("prices").query("age >= 0")
    newest = {"prices": view.time - pd.Timedelta(seconds=int(prices["age"].min()))} if len(prices) else {}
    if view.has("trades"):
        live = view.frame("trades").query("kind == 'trade'")["event_time"]
        if len(live) >= threshold("trades", "gap_trades_min"):
            newest["trades"] = live.max()
    rows = [(stream, time.isoformat(), (until - time).total_seconds()) for stream, time in newest.items()]
    return pd.DataFrame(rows, columns=["stream", "newest", "lag"])


COUNTS = Suite(
    "streams.counts",
    "counts",
    "counts of every topic and partition",
    PLATFORM,
    _counts,
    (
        Check("conserved", "Every raw event is exactly one of applied, duplicate, quarantined, parked.", CRITICAL,
              PLATFORM, "Stop publishing; replay the partition and compare its ordinals with the counts.",
              "ExpectColumnsToAgree", {"expected": "events", "found": "found"}),
        Check("covered", "As many events were counted as the cut's offsets cover: no gap in a partition.", CRITICAL,
              PLATFORM, "Compare the manifest's offsets with the log's; replay from the cut before.",
              "ExpectColumnsToAgree", {"expected": "offset_end", "found": "events"}),
        Check("not_negative", "No count is negative.", CRITICAL, PLATFORM, "A counter is broken: replay the partition.",
              "ExpectNoRowsWhere",
              {"condition": "events < 0 or applied < 0 or duplicate < 0 or quarantined < 0 or parked < 0"}),
        Check("one_row_each", "A topic's partition is counted by one application only.", CRITICAL, PLATFORM,
              "Two applications take the same partition: look at the topology.", "ExpectNoRepeats",
              {"columns": ["topic", "partition"]}),
        Check("nothing_parked", "No event still waits for a predecessor or for reference data.", WARNING, OPERATIONS,
              "Find the missing new or instrument of the parked events and send it.", "ExpectNoRowsWhere",
              {"condition": "parked > 0", "worst": "parked"}),
    ),
    key=("app", "topic", "partition"),
)  # fmt: skip

TOPICS = Suite(
    "streams.topics",
    "counts",
    "raw topics of the cut",
    PLATFORM,
    _topics,
    (
        Check("counted", "Every raw topic of the cut is counted by an application.", CRITICAL, PLATFORM,
              "An application does not run or does not read this topic.", "ExpectColumnValuesToNotBeNull",
              {"column": "events"}),
        Check("not_silent", "Trades, prices, instruments, accounts and custody have events.", CRITICAL, PLATFORM,
              "Ask the feed's operator: nothing arrived at all.", "ExpectNoRowsWhere",
              {"condition": "events == 0 and topic in ['trades', 'prices', 'instruments', 'accounts', 'custody']"}),
        Check("quarantine_listed", "Every quarantined event of the day is listed with its offset and reason.", CRITICAL,
              PLATFORM, "The quarantine lost rows: replay the day.", "ExpectNoRowsWhere",
              {"condition": "listed > quarantined", "worst": "listed"}),
        Check("quarantine_share", f"Less than {_SHARE:.0%} of a busy topic's events are refused for good.", CRITICAL,
              OPERATIONS, "Read the reasons in the quarantine; ask the sender for corrected events.",
              "ExpectNoRowsWhere",
              {"condition": f"events >= {_LEAST} and refused_share > {_SHARE}", "worst": "refused_share"}),
        Check("quarantine_few", f"At most {_QUIET:.0%} of a quiet topic's events are refused, or {_FEW} of very few.",
              WARNING, OPERATIONS, "Read the reasons in the quarantine; ask the sender for corrected events.",
              "ExpectNoRowsWhere",
              {"condition": f"events < {_LEAST} and quarantined > {_FEW} and quarantined > {_QUIET} * events",
               "worst": "quarantined"}),
        Check("reference_not_refused", "No reference, custody, ledger or rate event is refused.", CRITICAL, REFERENCE,
              "Correct the refused event: what depends on it is missing or old.", "ExpectNoRowsWhere",
              {"condition": "is_reference and quarantined > 0", "worst": "quarantined"}),
    ),
    key=("topic", "events", "quarantined"),
)  # fmt: skip

REJECTS = Suite(
    "streams.rejects",
    "rejects",
    "accounts with what could not be applied",
    OPERATIONS,
    _rejects,
    (
        Check("none", "Every accepted event could be applied.", CRITICAL, OPERATIONS,
              "Read the reason; correct or cancel the event, and the position is folded again.", "ExpectNoRowsWhere",
              {"condition": "rejects > 0", "worst": "rejects"}),
    ),
    needs=("rejects",),
    key=("account", "reason"),
)  # fmt: skip

PATH = Suite(
    "streams.path",
    "margin_path",
    "price sets of the day",
    PLATFORM,
    _path,
    (
        Check("moving", "Accounts with positions move from price set to price set while the market is open.", WARNING,
              PLATFORM, "Prices stood still: look for a gap in the price feed.", "ExpectNoRowsWhere",
              {"condition": f"still > {threshold('streams', 'frozen_share_max')}", "worst": "still"}),
    ),
    needs=("margin_path",),
    applies=lambda view: view.is_end_of_day and not view.restated,
    otherwise="the path of the day is what it was: no later event changes it, and its first version has the judgement",
    key=("price_set",),
)  # fmt: skip

LAG = Suite(
    "streams.lag",
    "prices",
    "streams with their newest event",
    PLATFORM,
    _lags,
    (
        Check("newest", f"The newest price and trade are at most {_LAG} seconds older than the cut, or than the close.",
              CRITICAL, PLATFORM, "Ask the feed's operator; look how far the jobs are behind the clock.",
              "ExpectNoRowsWhere", {"condition": f"lag > {_LAG}", "worst": "lag"}),
    ),
    key=("stream", "newest", "lag"),
)  # fmt: skip

SUITES = (COUNTS, TOPICS, REJECTS, LAG, PATH)
