"""Running the suites: a clean day passes, and whatever cannot be judged has failed."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import expectations_day as day
import pytest
from deltalake import write_deltalake

from expectations import CRITICAL, INFO, CheckResult, catalogue, docs, run, run_isolated
from expectations.isolated import _complete
from expectations.listing import page
from expectations.running import judge
from expectations.view import View
from streaming.cuts import SealedCut

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clean() -> list[CheckResult]:
    return run(day.cut(), day.certificate(), day.cut(id_=day.BEFORE))


@pytest.fixture
def sealed(tmp_path) -> SealedCut:
    """A cut on disk with one small table."""
    cut = SealedCut(tmp_path / "store", day.CUT, 1)
    manifest = dict(day.cut().manifest) | {"tables": {"counts": {"rows": 1}}}
    folder = cut.folder / "cuts" / cut.id / "v1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rows = day.cut().table("counts")
    for name in ("cut", "cut_version"):
        rows = rows.append_column(name, [[{"cut": day.CUT, "cut_version": "1"}[name]] * rows.num_rows])
    write_deltalake(str(cut.folder / "tables" / "counts"), rows, partition_by=["cut", "cut_version"])
    return cut


def test_a_clean_day_has_no_false_alarm(clean):
    assert [(row.check, row.observed) for row in clean if not row.passed] == []


def test_every_check_has_one_result_in_the_order_of_the_catalogue(clean):
    assert [row.check for row in clean] == list(catalogue())


def test_there_are_at_least_sixty_expectations_each_with_text_owner_and_next_step():
    checks = [check for _, check in catalogue().values() if check.name != "rows"]
    assert len(checks) >= 60
    assert all(check.text.endswith(".") and check.owner and check.next_step for check in checks)


def test_every_suite_counts_its_rows(clean):
    counted = {row.suite for row in clean if row.check.endswith(".rows") and row.severity in (CRITICAL, INFO)}
    assert counted == {suite.name for suite, _ in catalogue().values()}


def test_absent_capital_tables_are_reported_as_not_computed(clean):
    rows = [row for row in clean if row.suite == "capital.lines"]
    assert rows
    assert {(row.severity, row.passed, row.observed) for row in rows} == {
        (INFO, True, "not computed: no table capital_lines")
    }


def test_a_required_table_that_is_missing_fails_every_check_of_its_suites():
    def without_prices(rows: day.Rows) -> None:
        del rows["prices"]

    suite, _ = catalogue()["prices.held.fresh"]
    results = judge(suite, View(day.cut(without_prices)))
    assert len(results) == len(suite.all_checks)
    assert all(row.crashed and row.severity == CRITICAL and not row.passed for row in results)


def test_a_suite_over_zero_rows_has_failed():
    def without_trades(rows: day.Rows) -> None:
        rows["trades"] = []

    suite, _ = catalogue()["trades.day.notional"]
    results = judge(suite, View(day.cut(without_trades)))
    assert {(row.passed, row.severity, row.observed) for row in results} == {
        (False, CRITICAL, "nothing to judge: 0 rows")
    }


def test_a_sample_holds_the_worst_three_rows_and_where_they_came_from():
    def four_large_trades(rows: day.Rows) -> None:
        for i in range(1, 5):
            rows["trades"][i]["quantity"] = i * 1_000_000

    suite, _ = catalogue()["trades.day.notional"]
    (found,) = [row for row in judge(suite, View(day.cut(four_large_trades))) if row.check == "trades.day.notional"]
    assert found.unexpected_count == 4
    assert [row["id"] for row in found.sample] == ["T00004", "T00003", "T00002"]
    assert {name: found.sample[0][name] for name in ("topic", "partition", "offset")} == {
        "topic": "trades",
        "partition": 0,
        "offset": 4,
    }


def test_results_survive_json(clean):
    assert [CheckResult.from_dict(json.loads(json.dumps(row.as_dict()))) for row in clean] == clean


def test_importing_the_package_and_its_catalogue_does_not_import_great_expectations():
    code = (
        "import sys, expectations; expectations.catalogue(); "
        "sys.exit(any(name.startswith('great_expectations') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_isolation_fails_what_crashes_hangs_or_finds_nothing_and_still_runs_the_rest(sealed, tmp_path):
    site = tmp_path / "docs"
    results = run_isolated(
        sealed, folder=tmp_path / "run", docs=site, suite_s=10, module="tests.unit.expectations_broken"
    )
    by_suite: dict[str, set] = {}
    for row in results:
        by_suite.setdefault(row.suite, set()).add((row.passed, row.severity if not row.passed else ""))
    failed = {(False, CRITICAL)}
    assert by_suite == {
        "fine.first": {(True, "")},
        "raises": failed,
        "ends": failed,
        "fine.second": {(True, "")},
        "hangs": failed,
        "nothing": failed,
        "no_such_column": {(True, ""), (False, CRITICAL)},
        "fine.third": {(True, "")},
    }
    said = {row.suite: row.observed for row in results if not row.passed}
    assert said["raises"] == "RuntimeError: no such thing"
    assert said["ends"].startswith("crashed")
    assert said["hangs"].startswith("timed out")
    assert "absent" in said["no_such_column"]
    pages = {path.stem: path.read_text() for path in site.glob("validations/**/*.html")}
    assert set(pages) == set(by_suite)
    assert "timed out" in pages["hangs"]


def test_a_check_without_a_result_has_failed():
    suite, _ = catalogue()["streams.counts.conserved"]
    delivered = judge(suite, View(day.cut()))[:-1]
    last = _complete(suite, delivered)[-1]
    assert (last.passed, last.severity, last.crashed) == (False, CRITICAL, True)
    assert last.observed.startswith("missing")


def test_data_docs_show_every_suite_with_texts_and_failures(clean, tmp_path):
    spoilt = [
        dataclasses.replace(row, passed=False, unexpected_count=1, sample=({"instrument": "AAA"},))
        if row.check == "prices.held.fresh"
        else row
        for row in clean
    ]
    index = docs(day.cut(), spoilt, tmp_path)
    assert index == tmp_path / "index.html"
    pages = {path.stem: path.read_text() for path in tmp_path.glob("validations/**/*.html")}
    assert set(pages) == {suite.name for suite, _ in catalogue().values()}
    held = pages["prices.held"]
    assert "no held instrument or underlying has a stale price." in held
    assert "Failed" in held
    assert "AAA" in held
    assert f"critical, market data) Next: {catalogue()['prices.held.fresh'][1].next_step}" in held
    first = index.read_text()
    assert "1 failed" in first
    assert f'<a href="{next(tmp_path.glob("validations/**/prices.held.html")).relative_to(tmp_path)}">' in first


def test_data_docs_load_nothing_from_elsewhere(clean, tmp_path):
    docs(day.cut(), clean, tmp_path / "v1")
    paths = list((tmp_path / "v1").glob("**/*.html"))
    assert len(paths) > 2 * len({row.suite for row in clean})
    for path in paths:
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', path.read_text()), path
        for name in re.findall(r'(?:src|href)="([^"#]+\.(?:css|js|html))"', path.read_text()):
            assert (path.parent / name).is_file(), (path, name)


def test_every_suite_has_a_page_under_a_name_that_can_be_linked_to(clean, tmp_path):
    docs(day.cut(), clean, tmp_path / "v1")
    leads = {path.stem: path for path in (tmp_path / "v1" / "checks").iterdir()}
    assert set(leads) == {suite.name for suite, _ in catalogue().values()}
    for name, path in leads.items():
        (target,) = re.findall(r'href="([^"]+)"', path.read_text())
        assert (path.parent / target).resolve().name == f"{name}.html"
        assert (path.parent / target).is_file()


def test_data_docs_are_replaced_as_a_whole(clean, tmp_path):
    docs(day.cut(), clean, tmp_path / "v1")
    (tmp_path / "v1" / "left over").touch()
    docs(day.cut(), clean, tmp_path / "v1")
    assert not (tmp_path / "v1" / "left over").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_the_page_of_all_checks_is_what_the_suites_say():
    assert (ROOT / "docs" / "expectations.md").read_text() == page()
