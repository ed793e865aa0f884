"""Alerts and instants for tests."""

from datetime import UTC, datetime, timedelta

from orchestration.alerts.alert import CRITICAL, WARNING, Alert

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
"""Noon in New York."""
NIGHT = datetime(2026, 11, 21, 3, tzinfo=UTC)
"""22:00 in New York, quiet."""
MINUTE = timedelta(minutes=1)
CUT = "2020-03-16/eod"


def alert(check: str = "prices.held.fresh", severity: str = CRITICAL, **more: object) -> Alert:
    fields = {
        "check": check,
        "where": CUT,
        "severity": severity,
        "what": "No held instrument has a stale price.",
        "when": "2020-03-16T20:30:00+00:00",
        "expected": "no held instrument has a stale price",
        "found": "1 of 56 rows",
        "owner": "market data",
        "next_step": "Send the close.",
        "rows": ({"instrument": "MSFT", "topic": "prices", "partition": 0, "offset": 4711},),
        "count": 1,
        "version": 1,
    }
    return Alert(**{**fields, **more})


def warning(check: str = "prices.set.not_idle", **more: object) -> Alert:
    return alert(check, WARNING, **more)
