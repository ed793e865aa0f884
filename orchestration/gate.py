"""The gate: whether a sealed cut may be published. It reads data only: check results, certificate, overrides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import expectations
from orchestration.checks import CRITICAL, manifest_digest, read_checks
from orchestration.errors import GateShutError, UserError
from orchestration.ledger import Entry, Ledger
from orchestration.proof import certificate
from streaming.cuts import SealedCut

CERTIFICATE_CHECK = "certificate"


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason to keep the gate shut."""

    check: str
    reason: str
    overridable: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the gate is open, what holds it shut, and what somebody answered for."""

    cut: str
    version: int
    holds: Sequence[Hold]
    overridden: Sequence[str] = ()

    @property
    def is_open(self) -> bool:
        return not self.holds

    def require_open(self) -> None:
        """GateShutError naming every hold."""
        if self.holds:
            reasons = "; ".join(f"{hold.check}: {hold.reason}" for hold in self.holds)
            raise GateShutError(f"{self.cut} v{self.version}: the gate is shut: {reasons}")


def gate(cut: SealedCut, ledger: Ledger, at: datetime) -> Decision:
    """The decision as of ``at``: overrides count until they expire."""
    holds = [*_certificate_holds(cut), *_check_holds(cut)]
    answered = {entry.what["check"] for entry in overrides_of(cut, ledger, at)}
    kept = [hold for hold in holds if not (hold.overridable and hold.check in answered)]
    overridden = tuple(sorted({hold.check for hold in holds if hold not in kept}))
    return Decision(cut.id, cut.version, tuple(kept), overridden)


def override(
    cut: SealedCut, check: str, by: str, approved_by: str, reason: str, until: datetime, ledger: Ledger, at: datetime
) -> None:
    """Answer for a failed check of one version of a cut: two people, a reason, an end."""
    if by.strip().casefold() == approved_by.strip().casefold():
        raise UserError(f"override: expected two different people, found {by} twice")
    for name, text in (("by", by), ("approved-by", approved_by), ("reason", reason)):
        if not text.strip():
            raise UserError(f"override: expected a text for --{name}, found none")
    if until <= at:
        raise UserError(f"override: expected an end after now, found {until.isoformat()}")
    holds = [*_certificate_holds(cut), *_check_holds(cut)]
    names = [hold.check for hold in holds if hold.overridable]
    if check not in names:
        raise UserError(
            f"override: expected a check that holds the gate of {cut.id} v{cut.version} shut and may be overridden "
            f"({', '.join(names) or 'none'}), found {check}"
        )
    what = {
        "cut": cut.id,
        "version": cut.version,
        "manifest": manifest_digest(cut),
        "check": check,
        "approved_by": approved_by,
        "reason": reason,
        "until": until.isoformat(),
    }
    ledger.append("override", by, what, at)


def _certificate_holds(cut: SealedCut) -> list[Hold]:
    found = certificate(cut.folder, cut.id, cut.version)
    if found is None:
        return [Hold(CERTIFICATE_CHECK, "the cut was never replayed", overridable=False)]
    if not found["equal"]:
        return [Hold(CERTIFICATE_CHECK, "live and replayed differ", overridable=False)]
    return []


def _check_holds(cut: SealedCut) -> list[Hold]:
    """Critical checks that failed, crashed, judged nothing or are missing."""
    found = read_checks(cut)
    if found is None:
        return [Hold("checks", "they never ran on this sealed cut", overridable=False)]
    results = {row["check"]: row for row in found["results"]}
    holds = [
        Hold(name, "it is missing from the results", overridable=False)
        for name, (_, check) in expectations.catalogue().items()
        if check.severity == CRITICAL and name not in results
    ]
    critical = [row for row in results.values() if row["severity"] == CRITICAL]
    if not critical:
        holds.append(Hold("checks", "no critical check ran", overridable=False))
    holds += [_hold(row) for row in critical if row["crashed"] or not row["passed"] or not row["rows"]]
    return holds


def _hold(row: Mapping) -> Hold:
    if not row["crashed"] and row["passed"]:
        return Hold(row["check"], "it judged no rows")
    return Hold(row["check"], f"expected {row['expected']}, found {row['observed']}")


def overrides_of(cut: SealedCut, ledger: Ledger, at: datetime) -> list[Entry]:
    """The overrides of a cut's version that are in force."""
    manifest = manifest_digest(cut)
    return [
        entry
        for entry in ledger.entries("override")
        if entry.what["manifest"] == manifest and datetime.fromisoformat(entry.what["until"]) > at
    ]
