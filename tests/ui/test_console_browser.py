"""What the desk does in a browser: open the graph, materialise a day, see checks, read a report, meet a shut gate."""

import time

import pytest
import requests

from orchestration import pipeline
from orchestration.console.instance import MODULE
from orchestration.gate import gate
from tests.ui.conftest import CLEAN, FAULTY

pytestmark = [pytest.mark.ui, pytest.mark.timeout(1_800)]

RUN_S = 900
_RUNS = """
query Runs($partition: String!) {
  runsOrError(filter: {tags: [{key: "dagster/partition", value: $partition}]}) {
    ... on Runs { results { runId status } }
  }
}
"""
_CHECKS = """
query Checks($run: ID!) {
  runOrError(runId: $run) {
    ... on Run { assetChecks { name } status
      eventConnection(limit: 5000) { events { __typename ... on AssetCheckEvaluationEvent {
        evaluation { checkName success severity } } } } }
  }
}
"""


def materialise(page, console, day) -> str:
    """Through the page of the job, as a user does; returns the run's id."""
    page.goto(f"{console.url}/locations/{MODULE}/jobs/day")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    sure, field = dialog.get_by_role("button", name="Confirm"), dialog.locator("input[type=text]").first
    sure.or_(field).first.wait_for()
    if sure.count():  # the live jobs were never started: what has arrived needs none
        sure.click()
    field.wait_for()
    older = dialog.get_by_text("Show all partitions")
    if older.count():
        older.click()
    field.fill(day.isoformat())
    field.press("Tab")
    dialog.get_by_role("button", name="Launch").click()
    return finished(console, day)


def finished(console, day) -> str:
    deadline = time.monotonic() + RUN_S
    while time.monotonic() < deadline:
        runs = console.ask(_RUNS, partition=day.isoformat())["runsOrError"]["results"]
        if runs and runs[0]["status"] in ("SUCCESS", "FAILURE"):
            return runs[0]["runId"]
        time.sleep(1)
    raise AssertionError(f"the run of {day} did not end within {RUN_S} s")


def status(console, run: str) -> str:
    return console.ask(_CHECKS, run=run)["runOrError"]["status"]


def evaluations(console, run: str) -> list[dict]:
    events = console.ask(_CHECKS, run=run)["runOrError"]["eventConnection"]["events"]
    return [event["evaluation"] for event in events if event["__typename"] == "AssetCheckEvaluationEvent"]


@pytest.fixture(scope="module")
def clean_run(browser, console) -> str:
    page = browser.new_page(viewport={"width": 1500, "height": 940})
    page.set_default_timeout(90_000)
    run = materialise(page, console, CLEAN)
    page.close()
    return run


def test_the_graph_opens_with_its_groups(page, console, clean_run, picture):
    page.goto(f"{console.url}/locations/{MODULE}/asset-groups/cuts/lineage")
    for name in ("intraday_cut", "end_of_day", "certificate", "checks"):
        page.get_by_text(name, exact=True).first.wait_for()
    picture("console-graph")
    page.goto(f"{console.url}/locations/{MODULE}/asset-groups/reports/lineage")
    for name in ("stress", "margin", "capital", "ledger"):
        page.get_by_text(name, exact=True).first.wait_for()
    picture("console-reports")


def test_materialising_the_day_in_the_browser_publishes_what_the_command_line_would(page, console, clean_run, picture):
    assert status(console, clean_run) == "SUCCESS"
    day = CLEAN.isoformat()
    settings = console.desk.settings(CLEAN)
    for book in ("stress.xlsx", "margin.xlsx", "capital.xlsx"):
        answer = requests.get(f"{console.desk.base_url}/out/{day}/{book}", timeout=30)
        assert answer.content.startswith(b"PK")
    home = pipeline.Home.open(settings)
    proved = pipeline.prove(home, CLEAN, pipeline_display())
    assert [document["equal"] for document in proved] == [True]
    page.goto(f"{console.url}/runs/{clean_run}")
    page.get_by_text("Success").first.wait_for()
    picture("console-run")


def pipeline_display():
    from orchestration.progress import Silent

    return Silent()


def test_the_checks_go_green(page, console, clean_run, picture):
    found = evaluations(console, clean_run)
    assert len(found) > 100
    assert not [one for one in found if not one["success"] and one["severity"] == "ERROR"]
    page.goto(f"{console.url}/assets/checks?view=checks")
    page.get_by_text("Execution history").wait_for()
    page.get_by_text("Passed").first.wait_for()
    picture("console-checks")


def test_a_report_shows_figures_table_and_picture(page, console, clean_run, picture):
    page.goto(f"{console.url}/assets/margin?view=partitions&partition={CLEAN}")
    page.get_by_text("deficit_usd").first.wait_for()
    page.get_by_text("top_deficits").first.wait_for()
    page.get_by_text("margin.xlsx").first.wait_for()
    picture("console-margin")
    page.get_by_text("[Show Markdown]").first.click()
    page.locator("img[src^='data:image/png']").first.wait_for()
    picture("console-margin-timeline")
    page.goto(f"{console.url}/assets/stress?view=partitions&partition={CLEAN}")
    page.get_by_text("worst_loss_usd").first.wait_for()
    picture("console-stress")


def test_a_planted_fault_blocks_the_reports(page, console, picture):
    run = materialise(page, console, FAULTY)
    assert status(console, run) == "FAILURE"
    failed = [one for one in evaluations(console, run) if not one["success"] and one["severity"] == "ERROR"]
    assert failed
    assert not (console.desk.settings().out / FAULTY.isoformat() / "current").exists()
    home = pipeline.Home.open(console.desk.settings(FAULTY))
    decision = gate(home.end_of_day(FAULTY), home.ledger, pipeline.edge.now())
    assert {one["checkName"] for one in failed} == {hold.check.replace(".", "__") for hold in decision.holds}
    page.goto(f"{console.url}/assets/checks?view=checks&checkDetail={failed[0]['checkName']}")
    page.get_by_text("Execution history").wait_for()
    page.get_by_text("This is a blocking asset check").wait_for()
    page.get_by_text("Failed").first.wait_for()
    picture("console-blocked")
    page.goto(f"{console.url}/runs/{run}")
    page.get_by_text("Failure").first.wait_for()
    picture("console-blocked-run")
