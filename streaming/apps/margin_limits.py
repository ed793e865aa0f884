"""Limits after every price set: who stands beyond one now, and the day's breaches.

House layers are computed at cuts. In between, an account's requirement is the regulatory one of the price set and the
layers of the newest cut of the day; at a cut both are of the same prices. Like the day's peaks, limits are looked at
from the first price set that holds a price of the day: before it everything is charged as stale.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streaming.apps.policies import Policies
from streaming.apps.tables import build
from streaming.engine.canonical import int64_to_decimal
from streaming.risk.margin import limits
from streaming.risk.margin.limits import Status, Thresholds
from streaming.risk.money import MICRO
from streaming.risk.reference import Accounts
from streaming.risk.rulebook import Rules
from streaming.schema import sealed
from streaming.schema.model import MONEY

ACCOUNT, CLIENT, FIRM = "account", "client", "firm"
ACCOUNT_METRICS = ("house_excess", "requirement_over_equity")
_BREACH = ("metric", "code", "status", "value", "worst", "first", "worst_set", "worst_value")
_NAMES = pa.array([status.name for status in Status])
_EXACT_MAX = 9_000_000_000_000_000
LARGEST_SHARE = 999_999 * MICRO


@dataclass(slots=True)
class Breaches:
    """Limits reached at a price set of the day, by metric and code: numbers into the day's price sets."""

    columns: dict[str, np.ndarray] = field(default_factory=lambda: {name: np.empty(0, np.int64) for name in _BREACH})

    def observe(self, metric: int, status: np.ndarray, value: np.ndarray, price_set: int) -> None:
        """Take one more price set: ``status`` and ``value`` of one metric by code."""
        known, reached = self.columns, np.flatnonzero(status)
        mine = np.flatnonzero(known["metric"] == metric)
        if not len(reached) and not len(mine):
            return
        codes = known["code"][mine]
        now = status[codes]
        worse = now > known["worst"][mine]
        known["status"][mine], known["value"][mine] = now, value[codes]
        fresh = {"worst": now, "worst_set": np.full(len(mine), price_set), "worst_value": value[codes]}
        for name, column in fresh.items():
            known[name][mine] = np.where(worse, column, known[name][mine])
        new = np.setdiff1d(reached, codes)
        if len(new):
            at, level = np.full(len(new), price_set), status[new].astype(np.int64)
            rows = (np.full(len(new), metric), new, level, value[new], level, at, at, value[new])
            joined = {name: np.concatenate([known[name], row]) for name, row in zip(_BREACH, rows, strict=True)}
            order = np.lexsort((joined["code"], joined["metric"]))
            self.columns = {name: column[order] for name, column in joined.items()}

    def now(self, metrics: tuple[str, ...], names: np.ndarray, price_set: str) -> pa.Table:
        """Those that stand at the newest price set, as live rows: metric, name, status, value, price set."""
        there = self.columns["status"] > Status.GREEN
        metric, code, status, value = (self.columns[name][there] for name in ("metric", "code", "status", "value"))
        return pa.table(
            {
                "metric": pa.array(metrics, pa.string()).take(pa.array(metric)),
                "name": pa.array(names[code].tolist(), pa.string()),
                "status": _NAMES.take(pa.array(status)),
                "value": value,
                "price_set": pa.array([price_set] * len(code), pa.string()),
            }
        )


def account_thresholds(policies: Policies, accounts: Accounts, rules: Rules) -> tuple[Thresholds, ...]:
    """The limits on accounts by code, in the order of ``ACCOUNT_METRICS``."""
    return tuple(
        limits.thresholds(policies.limits, metric, ACCOUNT, accounts.id, rules.rule_date) for metric in ACCOUNT_METRICS
    )


def account_values(equity: np.ndarray, house: np.ndarray, effective: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The metrics of accounts, in the order of ``ACCOUNT_METRICS``."""
    return equity - house, share(effective, equity)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """int64 ppm, rounded down; where nothing is left to hold a requirement with, the largest that is written."""
    kept = np.maximum(whole, 1)
    if len(kept) and kept.max() >= _EXACT_MAX:
        ratio = np.array([min(p * MICRO // w, LARGEST_SHARE) for p, w in zip(part.tolist(), kept.tolist())], np.int64)
    else:  # three decimals at a time: the products stay in 64 bits
        ratio, rest = np.divmod(part, kept)
        ratio = np.minimum(ratio, LARGEST_SHARE // MICRO)
        for _ in range(2):
            more, rest = np.divmod(rest * 1_000, kept)
            ratio = ratio * 1_000 + more
    return np.where(whole > 0, np.minimum(ratio, LARGEST_SHARE), LARGEST_SHARE * (part > 0))


def breach_rows(
    found: Breaches, metrics: tuple[str, ...], level: str, names: np.ndarray, price_sets: tuple[str, ...]
) -> pa.Table:
    """The day's breaches as a sealed table; ``names`` by code."""
    columns, sets = found.columns, pa.array(price_sets, pa.string())
    rows: dict[str, object] = {
        "metric": pa.array(metrics, pa.string()).take(pa.array(columns["metric"])),
        "level": pa.array([level] * len(columns["code"]), pa.string()),
        "name": pa.array(names[columns["code"]].tolist(), pa.string()),
        "status": _NAMES.take(pa.array(columns["status"])),
        "worst": _NAMES.take(pa.array(columns["worst"])),
        "first_price_set": sets.take(pa.array(columns["first"])),
        "worst_price_set": sets.take(pa.array(columns["worst_set"])),
        "worst_value": columns["worst_value"],
    }
    return build(sealed.LIMIT_BREACHES, rows)


def limit_rows(found: pa.Table) -> pa.Table:
    """Evaluated limits as a sealed table."""
    absent = np.asarray(found["value"].is_null())
    columns: dict[str, object] = {name: found[name] for name in ("metric", "level", "name", "status", "owner")}
    columns |= {name: found[name] for name in ("amber", "red")}
    columns["value"] = int64_to_decimal(found["value"].fill_null(0).to_numpy(), MONEY, absent)
    columns["valid_from"] = found["valid_from"].cast(pa.int32())
    return build(sealed.LIMITS, columns)


def evaluated(
    policies: Policies, level: str, metrics: dict[str, tuple[np.ndarray, np.ndarray]], rules: Rules, whole: bool = True
) -> pa.Table:
    """The limits of one level against their metrics (name -> names and values), as sealed rows.

    Without ``whole`` a limit on a name that is not there is somebody else's (another shard's), not a missing one.
    """
    names = {str(name) for found, _ in metrics.values() for name in found}
    chosen = tuple(
        limit for limit in policies.limits if limit.level == level and (whole or limit.name in (limits.ALL, *names))
    )
    given = {(metric, level): limits.Metric(found, value) for metric, (found, value) in metrics.items()}
    return limit_rows(limits.evaluate(chosen, given, rules.rule_date))


def firm_limits(policies: Policies, portfolio_margin: int, net_capital: int, debits: int, rules: Rules) -> pa.Table:
    """The limits on the firm as sealed rows: customers' portfolio margin over net capital, and that over debits."""
    pairs = {
        "portfolio_margin_over_net_capital": (portfolio_margin, net_capital),
        "net_capital_over_debits": (net_capital, debits),
    }
    metrics = {
        metric: (np.array([""], object), share(np.array([part], np.int64), np.array([whole], np.int64)))
        for metric, (part, whole) in pairs.items()
    }
    return evaluated(policies, FIRM, metrics, rules)
