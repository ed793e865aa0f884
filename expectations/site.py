"""Data Docs of a cut's results, by Great Expectations' own builder.

The pages are made from the results as recorded, so they show crashed and timed-out suites too.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expectations.check import CheckResult
from expectations.pages import INDEX, finish
from expectations.running import SUITES, catalogue, context, expectation, suites
from expectations.view import MICROS, Cut


def docs(cut: Cut, results: Sequence[CheckResult], folder: Path | str, module: str = SUITES) -> Path:
    """Write the site into ``folder``, whole or not at all, and return its first page.

    Pages carry the cut's time, not the clock's. ``checks/SUITE.html`` leads to a suite's page under a name that can be
    linked to.
    """
    folder = Path(folder).resolve()
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _build(cut, results, part, module)
    finish(part, cut, results)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(part, folder)
    return folder / INDEX


def _build(cut: Cut, results: Sequence[CheckResult], folder: Path, module: str) -> None:
    context()
    import great_expectations as gx

    made = gx.get_context(mode="ephemeral")
    for name in list(made.variables.data_docs_sites or {}):
        made.delete_data_docs_site(name)
    site: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    made.add_data_docs_site("cut", site)
    known = catalogue(module)
    by_suite: dict[str, list[CheckResult]] = {}
    for result in results:
        by_suite.setdefault(result.suite, []).append(result)
    for suite in suites(module):
        expectations = [expectation(suite, check) for check in suite.all_checks]
        made.suites.add(gx.ExpectationSuite(suite.name, expectations=expectations, notes=suite.text))
        found = [_their_result(known[row.check], row) for row in by_suite.get(suite.name, [])]
        _store(made, cut, suite.name, found)
    made.build_data_docs()


def _their_result(known: tuple, row: CheckResult) -> Any:
    """One of our results as one of theirs."""
    from great_expectations.core import ExpectationValidationResult

    suite, check = known
    told = f"{check.text} ({row.severity}, {row.owner})" + ("" if row.passed else f" Next: {row.next_step}")
    config = expectation(suite, replace(check, text=told)).configuration
    config.severity = row.severity
    result = {
        "observed_value": row.observed,
        "element_count": row.rows,
        "unexpected_count": row.unexpected_count,
        "unexpected_percent": 100 * row.unexpected_count / row.rows if row.rows else 0.0,
        "partial_unexpected_list": [", ".join(f"{k} {v}" for k, v in sample.items()) for sample in row.sample],
    }
    raised = {"raised_exception": row.crashed, "exception_message": row.observed, "exception_traceback": row.observed}
    return ExpectationValidationResult(
        success=row.passed,
        expectation_config=config,
        result=result,
        exception_info=raised if row.crashed else {**raised, "exception_message": None, "exception_traceback": None},
    )


def _store(made: Any, cut: Cut, suite: str, found: list) -> None:
    from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    passed = sum(result.success for result in found)
    statistics = {
        "evaluated_expectations": len(found),
        "successful_expectations": passed,
        "unsuccessful_expectations": len(found) - passed,
        "success_percent": 100 * passed / len(found) if found else 0.0,
    }
    run = RunIdentifier(cut.id.replace("/", "-"), datetime.fromtimestamp(cut.manifest["time"] / MICROS, UTC))
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(suite), run, suite)
    whole = ExpectationSuiteValidationResult(
        success=bool(found) and passed == len(found),
        results=found,
        suite_name=suite,
        statistics=statistics,
        meta={"run_id": run, "cut": cut.id, "active_batch_definition": {"data_asset_name": suite}},
    )
    made.validation_results_store.set(key, whole)
