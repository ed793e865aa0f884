"""What a check, a suite and a check's result are. Plain data: nothing here imports Great Expectations."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from expectations.view import View

CRITICAL, WARNING, INFO = "critical", "warning", "info"
"""Critical shuts the gate, a warning alerts, info is only recorded."""
SEVERITIES = (CRITICAL, WARNING, INFO)

MARKET_DATA, OPERATIONS, STOCK_RECORD = "market data", "trade operations", "stock record"
REFERENCE, MARGIN, FINANCE, PLATFORM = "reference data", "margin", "regulatory reporting", "platform"
OWNERS = (MARKET_DATA, OPERATIONS, STOCK_RECORD, REFERENCE, MARGIN, FINANCE, PLATFORM)
"""The roles that answer for a failed check."""

ROWS = "rows"
"""Last part of the name of the check that every suite has: it found something to judge."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation on the frame of its suite."""

    name: str
    text: str
    """What is expected, in plain language."""
    severity: str
    owner: str
    next_step: str
    kind: str
    """Name of an expectation class: Great Expectations' own, or one of ``expectations/own.py``."""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, found, allowed in (("severity", self.severity, SEVERITIES), ("owner", self.owner, OWNERS)):
            if found not in allowed:
                raise ValueError(f"check {self.name}: {what}: expected one of {', '.join(allowed)}, found {found!r}")


@dataclass(frozen=True)
class Suite:
    """Checks on one frame, which is made from the tables of a cut."""

    name: str
    table: str
    """The sealed table that the frame's rows stand for."""
    text: str
    owner: str
    frame: "Callable[[View], pd.DataFrame]"
    checks: tuple[Check, ...]
    needs: tuple[str, ...] = ()
    """Tables without which the suite reports "not computed" (info), and does not fail."""
    applies: "Callable[[View], bool]" = lambda _: True
    """Whether the suite can be judged at all: some need the end of day, or a previous cut."""
    otherwise: str = ""
    """Why it is not judged where it does not apply."""
    key: tuple[str, ...] = ()
    """The columns of the frame that name a row in samples."""

    def __post_init__(self) -> None:
        doubled = {check.name for check in self.checks if [c.name for c in self.checks].count(check.name) > 1}
        if doubled or any(check.name == ROWS for check in self.checks):
            raise ValueError(f"suite {self.name}: expected one check of each name, and none named {ROWS!r}")

    @property
    def all_checks(self) -> tuple[Check, ...]:
        """The row count first: expectations on rows pass where there are none."""
        rows = Check(
            ROWS,
            f"There is something to judge: {self.text}",
            CRITICAL,
            self.owner,
            "Look why the table is empty: a check over nothing proves nothing.",
            "ExpectTableRowCountToBeBetween",
            {"min_value": 1},
        )
        return (rows, *self.checks)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of one check on one cut."""

    check: str
    """``suite.check``, unique."""
    suite: str
    table: str
    severity: str
    passed: bool
    expected: str
    observed: str
    unexpected_count: int
    rows: int
    """Rows judged."""
    sample: tuple[Mapping[str, Any], ...]
    """Up to three failing rows, worst first, with topic, partition and offset where known."""
    owner: str
    next_step: str
    crashed: bool = False
    """The check could not be carried out, which is a critical failure."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it again."""
        return asdict(self) | {"sample": [dict(row) for row in self.sample]}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "CheckResult":
        return cls(**{**row, "sample": tuple(row["sample"])})


def passed_over(suite: Suite, check: Check, observed: str) -> CheckResult:
    """A check that this cut gives nothing to judge by: recorded, no failure."""
    return _result(suite, check, INFO, True, observed, crashed=False)


def not_carried_out(suite: Suite, check: Check, observed: str) -> CheckResult:
    """A check that should have been carried out and was not: a critical failure whatever its severity."""
    return _result(suite, check, CRITICAL, False, observed, crashed=True)


def full_name(suite: Suite, check: Check) -> str:
    return f"{suite.name}.{check.name}"


def _result(suite: Suite, check: Check, severity: str, passed: bool, observed: str, crashed: bool) -> CheckResult:
    return CheckResult(
        check=full_name(suite, check),
        suite=suite.name,
        table=suite.table,
        severity=severity,
        passed=passed,
        expected=check.text,
        observed=observed,
        unexpected_count=0,
        rows=0,
        sample=(),
        owner=check.owner,
        next_step=check.next_step,
        crashed=crashed,
    )
