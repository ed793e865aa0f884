"""Judging a cut: every suite once, one result for every check."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from expectations.check import (
    CRITICAL,
    Check,
    CheckResult,
    Suite,
    full_name,
    not_carried_out,
    passed_over,
)
from expectations.view import Cut, View, locators

if TYPE_CHECKING:
    import pandas as pd

SUITES = "expectations.suites"
"""The module whose ``SUITES`` are judged."""
_SAMPLE = 3
_LISTED = 20
"""Failing rows that Great Expectations names of its own expectations."""


def suites(module: str = SUITES) -> tuple[Suite, ...]:
    return tuple(import_module(module).SUITES)


def catalogue(module: str = SUITES) -> dict[str, tuple[Suite, Check]]:
    """Every check by its full name, in the order in which they run. Does not import Great Expectations."""
    return {full_name(suite, check): (suite, check) for suite in suites(module) for check in suite.all_checks}


def run(
    cut: Cut,
    certificate: Mapping | None = None,
    previous: Cut | None = None,
    opening: Cut | None = None,
    module: str = SUITES,
) -> list[CheckResult]:
    """Judge a cut by every suite.

    ``certificate`` is the replay's (``tables`` and ``states``: name -> live and replayed digest), ``previous`` the cut
    before of the same day, ``opening`` the end of the day before. What raises or has nothing to judge comes back as a
    critical failure, not as an exception.
    """
    view = View(cut, certificate, previous, opening)
    return [result for suite in suites(module) for result in judge(suite, view)]


def judge(suite: Suite, view: View) -> list[CheckResult]:
    """The results of one suite, in the order of its checks."""
    absent = [table for table in suite.needs if not view.has(table)]
    if absent:
        return [passed_over(suite, check, f"not computed: no table {absent[0]}") for check in suite.all_checks]
    try:
        if not suite.applies(view):
            why = f"not judged at {view.cut.id}" + (f": {suite.otherwise}" if suite.otherwise else "")
            return [passed_over(suite, check, why) for check in suite.all_checks]
        frame = suite.frame(view).reset_index(drop=True)
        if frame.empty:
            return [not_carried_out(suite, check, "nothing to judge: 0 rows") for check in suite.all_checks]
        validated = _validate(suite, frame)
    except Exception as error:  # whatever a suite raises is its failure, and must not hide the other suites
        return [not_carried_out(suite, check, f"{type(error).__name__}: {error}") for check in suite.all_checks]
    return [_read(suite, check, frame, validated.get(full_name(suite, check))) for check in suite.all_checks]


@cache
def context() -> Any:
    """Great Expectations without network, files or progress bars."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    made = gx.get_context(mode="ephemeral")
    made.variables.progress_bars = ProgressBarsConfig(globally=False)
    return made


def expectation(suite: Suite, check: Check) -> Any:
    """A check as an expectation of Great Expectations."""
    import great_expectations.expectations as theirs

    from expectations import own

    kind = getattr(own, check.kind, None) or getattr(theirs, check.kind)
    meta = {"check": full_name(suite, check), "owner": check.owner, "next_step": check.next_step}
    return kind(**check.arguments, severity=check.severity, description=check.text, notes=check.next_step, meta=meta)


def _validate(suite: Suite, frame: "pd.DataFrame") -> dict[str, Any]:
    """Great Expectations' results by check."""
    made = context()
    from great_expectations import ExpectationSuite

    expected = ExpectationSuite(suite.name, expectations=[expectation(suite, check) for check in suite.all_checks])
    source = made.data_sources.add_or_update_pandas("cut")
    batch = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("rows")
    result_format = {"result_format": "SUMMARY", "partial_unexpected_count": _LISTED}
    result = batch.get_batch({"dataframe": frame}).validate(expected, result_format=result_format)
    return {row.expectation_config.meta["check"]: row for row in result.results}


def _read(suite: Suite, check: Check, frame: "pd.DataFrame", found: Any) -> CheckResult:
    if found is None:
        return not_carried_out(suite, check, "missing: Great Expectations gave no result")
    raised = _raised(found.exception_info)
    if raised:
        return not_carried_out(suite, check, raised)
    result = found.result
    rows, count = int(result.get("element_count", len(frame))), int(result.get("unexpected_count", 0))
    observed = result.get("observed_value")
    return CheckResult(
        check=full_name(suite, check),
        suite=suite.name,
        table=suite.table,
        severity=check.severity,
        passed=bool(found.success),
        expected=check.text,
        observed=f"{count} of {rows} rows" if observed is None else str(observed),
        unexpected_count=count,
        rows=rows,
        sample=_sample(suite, check, frame, result.get("partial_unexpected_index_list") or []),
        owner=check.owner,
        next_step=check.next_step,
    )


def _raised(info: Mapping | None) -> str:
    """The first exception message; empty when there was none. One expectation may report several, by metric."""
    entries = [info] if info and "raised_exception" in info else list((info or {}).values())
    return next((str(e.get("exception_message") or "raised") for e in entries if e.get("raised_exception")), "")


def _sample(suite: Suite, check: Check, frame: "pd.DataFrame", index: Sequence[int]) -> tuple[dict[str, Any], ...]:
    words = set(re.findall(r"[A-Za-z_]\w*", str(list(check.arguments.values()))))
    wanted = [*suite.key, *locators(suite.table)]
    columns = [name for name in frame.columns if name in words or name in wanted]
    rows = frame.loc[list(index[:_SAMPLE]), columns]
    return tuple({str(name): _plain(value) for name, value in row.items()} for row in rows.to_dict("records"))


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    if value is None or (isinstance(value, float) and value != value):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def worst_severity(results: Sequence[CheckResult]) -> str:
    """Of the failed results; empty when all passed."""
    failed = {result.severity for result in results if not result.passed}
    return next((severity for severity in (CRITICAL, "warning", "info") if severity in failed), "")
