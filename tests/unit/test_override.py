"""An override from the command line: two people, in the ledger, and printed on the workbooks that it lets out."""

import sys
from datetime import date
from pathlib import Path

import orjson
import pytest
import time_machine
from openpyxl import load_workbook
from published_cuts import critical_check, passing, result, write_results
from report_cuts import Size, day_end

from orchestration import cli, pipeline
from orchestration.checks import cut_folder
from orchestration.errors import GateShutError
from orchestration.pipeline import Home
from orchestration.progress import Silent
from orchestration.proof import CERTIFICATE
from orchestration.settings import Settings
from streaming.cuts import SealedCut
from streaming.engine.epochs import EPOCHS, Epoch
from streaming.log import Record
from streaming.schema.raw import FEEDS

REASON = "the close was confirmed by phone"
MORNING, EVENING, NEXT_DAY = "2026-11-20T12:00:00Z", "2026-11-20T22:00:00Z", "2026-11-21T12:00:00Z"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home", tmp_path / "out")


@pytest.fixture
def cut(settings) -> SealedCut:
    """A sealed end of day with tables, replayed, with one failed critical check."""
    found, name = day_end(settings.store, Size(accounts=3)), critical_check()
    texts = {"unexpected_count": 0, "owner": "market data", "next_step": "look"}
    rows = [result(name, passed=False) if row["check"] == name else row for row in passing()]
    write_results(found, [row | texts | {"suite": row["check"].rpartition(".")[0]} for row in rows])
    proof = {"cut": found.id, "version": 1, "equal": True, "tables": {}, "states": {}, "differences": []}
    (cut_folder(found) / CERTIFICATE).write_bytes(orjson.dumps(proof | {"replayed_from": "the beginning of the log"}))
    _mark(settings, found)
    return found


def _mark(settings: Settings, cut: SealedCut) -> None:
    """The clock's record of the cut, as the only one of its log."""
    log = Home.open(settings).log
    ends = {topic.name: (0,) * log.topics()[topic.name] for topic in FEEDS}
    day = date.fromisoformat(cut.manifest["business_date"])
    epoch = Epoch(0, cut.manifest["time"], day, ends, cut.manifest["price_set"], cut.id, cut.manifest["versions"])
    log.writer("clock").commit([Record(EPOCHS, 0, epoch.encode(), epoch.time)])


def plumbline(settings: Settings, monkeypatch, *arguments: str) -> int:
    places = ["--home", str(settings.home), "--out", str(settings.out)]
    monkeypatch.setattr(sys, "argv", ["plumbline", *places, *arguments])
    return cli.run()


def asked(cut: SealedCut, **changed: str) -> list[str]:
    options = {"by": "ada", "approved-by": "grace", "reason": REASON, "until": EVENING} | changed
    return ["override", cut.id, critical_check(), *(f"--{name}={value}" for name, value in options.items())]


def test_two_people_let_one_cut_out_and_its_workbooks_say_so(cut, settings, monkeypatch):
    home = Home.open(settings)
    with time_machine.travel(MORNING, tick=False):
        with pytest.raises(GateShutError):
            pipeline.publish_cut(home, cut, Silent())
        assert plumbline(settings, monkeypatch, *asked(cut)) == 0
        made = pipeline.publish_cut(home, cut, Silent())
    (entry,) = home.ledger.entries("override")
    assert (entry.who, entry.what["approved_by"], entry.what["reason"]) == ("ada", "grace", REASON)
    for name in ("margin", "stress", "capital"):
        sheet = load_workbook(made.folder / f"{name}.xlsx")["Checks"]
        (line,) = [row for row in sheet.iter_rows(values_only=True) if row[0] == "override"]
        for part in (critical_check(), "who ada", "approved_by grace", REASON, "until 2026-11-20T22:00"):
            assert part in line[1]
        assert "overridden" in line


def test_after_its_end_the_gate_is_shut_again(cut, settings, monkeypatch):
    with time_machine.travel(MORNING, tick=False):
        assert plumbline(settings, monkeypatch, *asked(cut)) == 0
    with time_machine.travel(NEXT_DAY, tick=False), pytest.raises(GateShutError):
        pipeline.publish_cut(Home.open(settings), cut, Silent())


def test_one_person_alone_is_refused(cut, settings, monkeypatch, capfd):
    with time_machine.travel(MORNING, tick=False):
        assert plumbline(settings, monkeypatch, *asked(cut, **{"approved-by": "Ada "})) == 2
    assert "two different people" in capfd.readouterr().err
    assert Home.open(settings).ledger.entries("override") == []
