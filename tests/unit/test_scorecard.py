"""The scorecard says what the records say: planted defects lower the score they must, and only that."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest
from click.testing import CliRunner

from orchestration.checks import cut_folder
from orchestration.cli import plumbline
from orchestration.ledger import Ledger
from orchestration.proof import CERTIFICATE
from orchestration.publish import publish
from orchestration.scorecard import scorecard
from streaming.cuts import SealedCut
from streaming.schema.sealed import TABLES
from tests.unit.published_cuts import CUT, passing, write_results
from tests.unit.report_cuts import CLOSE_US, seal

AT = datetime.fromtimestamp(CLOSE_US / 1e6, UTC) + timedelta(minutes=7, seconds=30)
ENDS = {"trades": (10, 20), "prices": (30,)}
FULL = Decimal(100)


def counts(**changed: int) -> pa.Table:
    """Every offset of the invented cut counted; ``changed`` alters the first partition of trades."""
    rows = []
    for topic, ends in ENDS.items():
        for partition, events in enumerate(ends):
            row = {"app": "book", "topic": topic, "partition": partition, "events": events, "applied": events,
                   "duplicate": 0, "quarantined": 0, "parked": 0}  # fmt: skip
            rows.append(row | changed if (topic, partition) == ("trades", 0) else row)
    return pa.Table.from_pylist(rows, TABLES["counts"].arrow)


def compared(*differences: int) -> pa.Table:
    rows = [{"check": "stock_record", "key": f"K{i}", "expected": Decimal(100), "found": Decimal(100 + difference),
             "difference": Decimal(difference)} for i, difference in enumerate(differences)]  # fmt: skip
    return pa.Table.from_pylist(rows, TABLES["checks"].arrow)


class Desk:
    """A published version with its records."""

    def __init__(self, folder, tables=None, results=None):
        self.store, self.ledger = folder / "store", Ledger(folder / "ledger.jsonl")
        self.home, self.out = folder, folder / "out"
        self.cut: SealedCut = seal(self.store, tables or {"counts": counts(), "checks": compared(0, 0)}, CUT)
        digests = {name: {"live": "a", "replayed": "a", "equal": True} for name in ("counts", "checks")}
        document = {"cut": CUT, "version": 1, "equal": True, "tables": digests, "states": {}}
        (cut_folder(self.cut) / CERTIFICATE).write_bytes(orjson.dumps(document))
        write_results(self.cut, results or passing())
        self.ledger.append("run", "tester", {"date": "2020-03-16"}, AT - timedelta(minutes=3))
        self.ledger.append("seal", "tester", {"cut": CUT, "version": 1, "manifest": "m"}, AT)

    def scores(self, at: datetime = AT) -> dict[str, object]:
        def build(folder):
            (folder / "margin.xlsx").write_bytes(b"book")
            return {}

        self.made = publish(self.cut, self.out, self.ledger, build, "tester", at)
        return {score.measure: score for score in scorecard(self.store, self.ledger, self.made.folder)}


@pytest.fixture
def desk(tmp_path) -> Desk:
    return Desk(tmp_path)


def test_a_day_without_a_flaw_has_full_scores(desk):
    scores = desk.scores()
    assert {score.score for score in scores.values()} == {FULL, None}
    assert all(score.proof and score.found for score in scores.values())


def test_offsets_that_nobody_counted_lower_the_coverage_and_are_named(tmp_path):
    scores = Desk(tmp_path, {"counts": counts(events=9, applied=9), "checks": compared(0)}).scores()
    assert scores["offset coverage"].score == Decimal("98.33")
    assert "trades/0" in scores["offset coverage"].found
    assert scores["events accepted"].score == FULL


def test_refused_and_parked_events_lower_what_is_accepted(tmp_path):
    tables = {"counts": counts(applied=7, quarantined=2, parked=1), "checks": compared(0)}
    scores = Desk(tmp_path, tables).scores()
    assert scores["offset coverage"].score == FULL
    assert scores["events accepted"].score == Decimal("95.00")
    assert scores["events accepted"].found == "2 quarantined and 1 parked of 60"


def test_breaks_are_counted_and_all_is_never_rounded_up(tmp_path):
    differences = [0] * 19_999 + [5]
    scores = Desk(tmp_path, {"counts": counts(), "checks": compared(*differences)}).scores()
    assert scores["reconciliation breaks"].found == "1 breaks of 20,000 comparisons"
    assert scores["reconciliation breaks"].score == Decimal("99.99")


def test_minutes_run_from_the_cut_when_it_was_live(desk):
    assert desk.scores()["minutes from cut to pack"].found == f"7.50 minutes since cut {CUT}"


def test_minutes_of_a_played_day_run_from_its_run(tmp_path):
    desk = Desk(tmp_path)
    later = AT + timedelta(days=900)
    desk.ledger.append("run", "tester", {"date": "2020-03-16"}, later - timedelta(minutes=4))
    assert desk.scores(later)["minutes from cut to pack"].found.startswith("4.00 minutes since the run of a played day")


def test_overrides_and_loads_by_hand_are_told_with_their_entries(desk):
    desk.ledger.append("ingest", "somebody", {"files": [], "events": {}}, AT)
    found = desk.scores()["manual touches"].found
    assert found == "1: ingest by somebody (entry 2)"


def test_a_changed_published_file_is_named(desk):
    desk.scores()
    (desk.made.folder / "margin.xlsx").write_bytes(b"bOok")
    scores = {score.measure: score for score in scorecard(desk.store, desk.ledger, desk.made.folder)}
    assert "margin.xlsx" in scores["published files as published"].found
    assert scores["published files as published"].score < FULL


def test_a_failed_warning_lowers_the_checks(tmp_path):
    results = passing()
    warned = next(row for row in results if row["severity"] != "critical")
    warned["passed"] = False
    scores = Desk(tmp_path, results=results).scores()
    assert scores["checks"].found == f"1 of {len(results)} checks failed"


def test_the_command_prints_every_score_with_its_proof(desk):
    desk.scores()
    asked = ["--home", str(desk.home), "--out", str(desk.out), "scorecard", "2020-03-16"]
    told = CliRunner().invoke(plumbline, asked)
    assert told.exit_code == 0, told.output
    assert told.output.count("proof: ") == 9
    as_json = orjson.loads(CliRunner().invoke(plumbline, [*asked, "--json"]).output)
    assert [row["principle"] for row in as_json][:2] == ["completeness", "completeness"]
