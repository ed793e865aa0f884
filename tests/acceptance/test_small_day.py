"""The small day from end to end through the command line: events to workbooks and certificate, faults, corrections."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from orchestration import calendar
from streaming.demo import DaySpec
from tests.kit.embedded_day import embedded
from tests.kit.small_day import BOOKS, DATE, SMALL, TIME_MAX_S, Desk

pytestmark = pytest.mark.timeout(TIME_MAX_S)


def test_the_summary_tells_what_went_in_and_what_came_out(finished):
    desk, ended = finished
    assert ended.returncode == 0, ended.stderr
    words = ("events in", "duplicates", "quarantined", "parked", "accounts", "cuts", "digest live", "digest replayed")
    for word in (*words, "failed checks", "margin deficits", "worst stress", "net capital", "published"):
        assert f"  {word} " in ended.stdout, word
    assert "15 sealed, 15 equal when replayed" in ended.stdout


def test_workbooks_and_certificate_are_there_and_the_certificate_is_equal(desk):
    for book in BOOKS:
        assert (desk.published / book).read_bytes().startswith(b"PK")
    certificate = orjson.loads((desk.published / "certificate.json").read_bytes())
    assert certificate["equal"] is True
    assert certificate["cut"] == f"{DATE}/eod"
    assert certificate["tables"]
    assert certificate["states"]


def test_every_event_is_accounted_for(desk):
    import pyarrow.parquet

    counts = pyarrow.parquet.read_table(desk.published / "current" / "tables" / "counts.parquet").to_pylist()
    for row in counts:
        assert row["events"] == row["applied"] + row["duplicate"] + row["quarantined"] + row["parked"]
    assert sum(row["events"] for row in counts) > 25_000


def test_the_same_demo_again_changes_nothing(desk):
    before = (desk.published / "publication.json").read_bytes()
    ended = desk.call("demo", *SMALL)
    assert ended.returncode == 0, ended.stderr
    assert "v1 (as before)" in ended.stdout
    assert (desk.published / "publication.json").read_bytes() == before


def test_the_ledger_of_the_day_is_intact_and_holds_one_publication(desk):
    assert "intact" in desk.call("ledger", "verify").stdout
    assert len(desk.call("ledger", "list", "--kind", "publication").stdout.splitlines()) == 1


def test_one_cent_more_on_one_fee_in_the_log_is_found_and_located(desk, tmp_path):
    shutil.copytree(desk.folder, tmp_path, dirs_exist_ok=True)
    trade = _one_cent_more(tmp_path / "home" / "log" / "trades")
    ended = Desk(tmp_path).call("replay", DATE, "eod")
    assert ended.returncode == 1, ended.stderr
    assert "UNEQUAL" in ended.stdout
    located = [line for line in ended.stdout.splitlines() if "positions: account" in line and ": fees: " in line]
    assert any(f"account {trade['account']}, instrument {trade['instrument']}" in line for line in located)
    assert f"trades: id {trade['id']}: fee: " in ended.stdout


def _one_cent_more(folder: Path) -> dict:
    """Change the fee of a trade of the day in place, to the same length."""
    for path in sorted(folder.glob("*.data")):
        content = path.read_bytes()
        for line in content.replace(b"}{", b"}\n{").splitlines():
            trade = _good_trade(line)
            old = f'"fee":{trade["fee"]}'.encode() if trade else b""
            new = f'"fee":{trade["fee"] + 0.01:.2f}'.encode() if trade else b""
            if trade and len(old) == len(new) and line.count(old) == 1:
                path.write_bytes(content.replace(line, line.replace(old, new), 1))
                return trade
    raise AssertionError("no trade whose fee can be changed in place")


def _good_trade(line: bytes) -> dict | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    good = isinstance(event, dict) and event.get("action") == "new" and isinstance(event.get("fee"), float)
    return event if good and event.get("version") == 1 else None


def test_a_stale_close_shuts_the_gate_and_its_correction_opens_it_with_version_2(desk, tmp_path):
    shutil.copytree(desk.folder / "out", tmp_path / "out", symlinks=True)
    before = {book: (desk.published / book).read_bytes() for book in BOOKS}
    other = Desk(tmp_path)
    ended = other.call("demo", *SMALL, "--fault", "stale-close")
    assert ended.returncode == 2, ended.stderr
    assert "gate shut" in ended.stderr
    assert "critical:" in ended.stdout
    assert {book: (other.published / book).read_bytes() for book in BOOKS} == before
    corrected = other.call("demo", *SMALL, "--fault", "stale-close", "--correct")
    assert corrected.returncode == 0, corrected.stderr
    assert f"{DATE}/eod v2" in corrected.stdout
    assert (other.published / "current").readlink() == Path("v2")
    assert orjson.loads((other.published / "certificate.json").read_bytes())["version"] == 2


def test_the_seed_alone_decides_the_day(tmp_path):
    same, again, other = (sealed(tmp_path / name, seed) for name, seed in (("same", 7), ("again", 7), ("other", 8)))
    assert same == again
    assert same["tables"].keys() == other["tables"].keys()
    assert same["tables"]["positions"] != other["tables"]["positions"]
    assert same["states"] != other["states"]


def sealed(folder: Path, seed: int) -> Mapping:
    """The manifest of a tiny day's end, with few price sets."""
    spec = DaySpec(accounts=4, trades=300, prices=1_500, seed=seed)
    return embedded(folder, spec, calendar.history_marks(spec.date)).end_of_day(spec.date).manifest


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 21))
def test_live_equals_replayed_whatever_the_seed(tmp_path, seed):
    ended = Desk(tmp_path).call("demo", *SMALL, "--seed", str(seed))
    assert ended.returncode == 0, ended.stderr
    assert "15 sealed, 15 equal when replayed" in ended.stdout
    assert "failed checks          0 of" in ended.stdout
