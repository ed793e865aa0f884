"""Great Expectations' results as asset checks: the same verdict as the gate's."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

import expectations
from orchestration import gate
from orchestration.console import checks
from orchestration.console.assets import publication
from orchestration.console.checks import CHECKS, check_name
from orchestration.console.desk import Desk
from orchestration.ledger import Ledger
from tests.unit import published_cuts

DAY = date(2020, 3, 16)
NOW = datetime(2020, 3, 16, 21, tzinfo=UTC)
LINK = dg.MetadataValue.path("docs")


def bridged(rows, overridden=()) -> dict[str, dg.AssetCheckResult]:
    return {result.check_name: result for result in checks.results(rows, overridden, LINK)}


def blocks(result: dg.AssetCheckResult) -> bool:
    """What Dagster does with a result: only a failed blocking check of severity ERROR stops what comes after."""
    spec = next(spec for spec in checks.specs() if spec.name == result.check_name)
    return not result.passed and spec.blocking and result.severity == dg.AssetCheckSeverity.ERROR


def test_every_expectation_is_one_check_of_its_own_partitioned_and_described():
    specs = checks.specs()
    assert [spec.name for spec in specs] == [check_name(name) for name in expectations.catalogue()]
    assert len({spec.name for spec in specs}) == len(specs)
    assert all(spec.description and spec.partitions_def for spec in specs)


def test_exactly_the_critical_expectations_block():
    blocking = {spec.name for spec in checks.specs() if spec.blocking}
    critical = {name for name, (_, check) in expectations.catalogue().items() if check.severity == "critical"}
    assert blocking == {check_name(name) for name in critical}
    assert critical


def test_one_run_gives_one_result_for_every_check():
    found = bridged(published_cuts.passing())
    assert len(found) == len(expectations.catalogue())
    assert all(result.passed for result in found.values())


def test_a_failed_critical_check_blocks_and_tells_expected_observed_and_rows():
    name = published_cuts.critical_check()
    row = published_cuts.result(
        name, passed=False, expected="1 row", observed="3 rows", unexpected_count=3, next_step="look",
        sample=[{"instrument": "AAPL", "offset": 7}],
    )  # fmt: skip
    rows = [row if one["check"] == name else one for one in published_cuts.passing()]
    result = bridged(rows)[check_name(name)]
    assert blocks(result)
    assert result.description == "expected 1 row, found 3 rows"
    assert result.metadata["unexpected"].value == 3
    assert result.metadata["next_step"].value == "look"
    assert result.metadata["sample"].records[0].data == {"instrument": "AAPL", "offset": 7}
    assert result.metadata["data_docs"] == LINK


def test_a_failed_warning_shows_and_does_not_block():
    name = next(n for n, (_, check) in expectations.catalogue().items() if check.severity == "warning")
    rows = [
        published_cuts.result(name, "warning", passed=False) if one["check"] == name else one
        for one in published_cuts.passing()
    ]
    result = bridged(rows)[check_name(name)]
    assert not result.passed
    assert not blocks(result)


def test_what_is_missing_from_the_results_has_failed():
    name = published_cuts.critical_check()
    rows = [one for one in published_cuts.passing() if one["check"] != name]
    assert checks.incomplete(rows)
    assert not checks.incomplete(published_cuts.passing())
    assert blocks(bridged(rows)[check_name(name)])


def test_results_that_the_catalogue_no_longer_has_are_left_out():
    rows = [*published_cuts.passing(), published_cuts.result("gone.by.now", passed=False)]
    assert check_name("gone.by.now") not in bridged(rows)


def test_dagster_blocks_exactly_where_the_gate_is_shut(tmp_path):
    """For each critical check failed, crashed or without rows in turn: the bridge mirrors the gate."""
    critical = [name for name, (_, check) in expectations.catalogue().items() if check.severity == "critical"]
    for number, name in enumerate(critical[::16]):
        for changed in ({"passed": False}, {"crashed": True, "passed": False}):
            rows = [
                published_cuts.result(name, **changed) if one["check"] == name else one
                for one in published_cuts.passing()
            ]
            cut = published_cuts.sealed_cut(tmp_path / f"{number}-{len(changed)}", results=rows)
            decision = gate.gate(cut, Ledger(tmp_path / "ledger"), NOW)
            stopped = {result.check_name for result in bridged(rows).values() if blocks(result)}
            assert not decision.is_open
            assert stopped == {check_name(hold.check) for hold in decision.holds}


def test_an_overridden_check_stays_red_and_blocks_no_more(tmp_path):
    name = published_cuts.critical_check()
    rows = [
        published_cuts.result(name, passed=False) if one["check"] == name else one for one in published_cuts.passing()
    ]
    cut = published_cuts.sealed_cut(tmp_path / "store", results=rows)
    ledger = Ledger(tmp_path / "ledger")
    gate.override(cut, name, "one", "another", "known", NOW + timedelta(hours=1), ledger, NOW)
    decision = gate.gate(cut, ledger, NOW)
    assert decision.is_open
    result = bridged(rows, decision.overridden)[check_name(name)]
    assert not result.passed
    assert not blocks(result)
    assert result.metadata["overridden"].value is True


@pytest.fixture
def shut(tmp_path) -> Desk:
    """A home whose sealed end of day has a failed critical check."""
    name = published_cuts.critical_check()
    rows = [
        published_cuts.result(name, passed=False, expected="a price", observed="none") if one["check"] == name else one
        for one in published_cuts.passing()
    ]
    published_cuts.sealed_cut(tmp_path / "home" / "store", results=rows)
    return Desk(home=str(tmp_path / "home"), out=str(tmp_path / "out"))


def test_a_report_materialised_alone_after_a_failed_check_refuses_and_publishes_nothing(shut, tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [publication],
            selection=[dg.AssetKey("margin")],
            partition_key=DAY.isoformat(),
            resources={"desk": shut},
            instance=instance,
            raise_on_error=False,
        )
    assert not result.success
    (failure,) = result.get_step_failure_events()
    words = failure.step_failure_data.user_failure_data.description
    assert words.startswith("2020-03-16/eod v1: the gate is shut:")
    assert "expected a price, found none" in words
    assert not list((tmp_path / "out").glob("**/*.xlsx"))
    assert not result.get_asset_materialization_events()


def test_checks_hang_on_the_asset_that_runs_them():
    assert {spec.asset_key for spec in checks.specs()} == {CHECKS}
