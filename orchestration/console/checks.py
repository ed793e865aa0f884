"""Great Expectations on the graph: one asset check for every expectation, from one validation run.

The stored results decide, through the gate; a blocking check only shows the same in Dagster. So a failed check that
somebody answered for is a warning here, as the gate has it.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

import expectations
from expectations import CRITICAL, Check, Suite
from orchestration.console.metadata import Metadata, table
from orchestration.console.partitions import business_days

CHECKS = dg.AssetKey("checks")
SAMPLE_MAX = 5


def check_name(name: str) -> str:
    """An expectation's name as Dagster allows it: ``prices.close.in_set`` -> ``prices__close__in_set``."""
    return name.replace(".", "__")


def specs() -> list[dg.AssetCheckSpec]:
    """One for every expectation of the catalogue; critical ones block what comes after."""
    return [_spec(name, suite, check) for name, (suite, check) in expectations.catalogue().items()]


def _spec(name: str, suite: Suite, check: Check) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        check_name(name),
        asset=CHECKS,
        description=check.text,
        blocking=check.severity == CRITICAL,
        metadata={
            "suite": suite.name,
            "table": suite.table,
            "severity": check.severity,
            "owner": check.owner,
            "next_step": check.next_step,
        },
        partitions_def=business_days,
    )


def results(
    rows: Sequence[Mapping], overridden: Sequence[str], link: dg.MetadataValue
) -> Iterator[dg.AssetCheckResult]:
    """One for every expectation of the catalogue, from the stored results of a cut; ``link`` leads to their page.

    What is missing from the results has failed; what the catalogue no longer has is left out.
    """
    by_name = {row["check"]: row for row in rows}
    for name, (_, check) in expectations.catalogue().items():
        row = by_name.get(name) or _missing(name, check)
        passed = row["passed"] and not row["crashed"]
        answered = name in overridden
        error = row["severity"] == CRITICAL and not answered
        yield dg.AssetCheckResult(
            passed=passed,
            asset_key=CHECKS,
            check_name=check_name(name),
            severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
            description=None if passed else f"expected {row['expected'].rstrip('.')}, found {row['observed']}",
            metadata=_metadata(row, answered, link),
        )


def _missing(name: str, check: Check) -> Mapping:
    return {
        "check": name,
        "severity": check.severity,
        "passed": False,
        "crashed": True,
        "rows": 0,
        "expected": check.text,
        "observed": "no result",
        "next_step": "Materialise checks again.",
    }


def incomplete(rows: Sequence[Mapping]) -> bool:
    """Whether the catalogue has grown since these results were stored."""
    return bool(expectations.catalogue().keys() - {row["check"] for row in rows})


def _metadata(row: Mapping, answered: bool, link: dg.MetadataValue) -> Metadata:
    found: Metadata = {
        "expected": row["expected"],
        "observed": str(row["observed"]),
        "unexpected": row.get("unexpected_count", 0),
        "rows": row["rows"],
        "data_docs": link,
    }
    sample = row.get("sample") or []
    if sample:
        columns = list(dict.fromkeys(name for line in sample for name in line))
        found["sample"] = table(list(sample)[:SAMPLE_MAX], dict.fromkeys(columns, ""))
    if not row["passed"]:
        found["next_step"] = row.get("next_step", "")
    if answered:
        found["overridden"] = True
    return found


def failures(rows: Sequence[Mapping]) -> Metadata:
    """How many failed, and which."""
    bad = [row for row in rows if row["crashed"] or not row["passed"]]
    columns = {"severity": "", "check": "", "expected": "", "observed": "", "next_step": "what to do"}
    return {
        "checks": float(len(rows)),
        "failed": float(len(bad)),
        "failed_critical": float(sum(row["severity"] == CRITICAL for row in bad)),
        "failed_expectations": table(sorted(bad, key=lambda row: row["severity"] != CRITICAL), columns),
    }
