"""Publication: one pointer, versions that never change, and a publisher that may die at any moment."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from published_cuts import critical_check, passing, result, sealed_cut

from orchestration import publish as publishing
from orchestration.errors import GateShutError, UserError
from orchestration.ledger import Ledger
from orchestration.publish import current, publish, verify_published
from streaming.cuts import SealedCut

AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
DATE = "2020-03-16"
BOOKS = ("stress.xlsx", "capital.xlsx", "margin.xlsx")
STEPS = ("rename", "replace", "symlink", "mkdir", "fsync", "open")
KILLED = 9


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def publish_to(out: Path, cut: SealedCut, ledger: Ledger) -> publishing.Published:
    def build(folder: Path) -> Mapping[str, Path]:
        for book in BOOKS:
            (folder / book).write_bytes(f"{book} of {cut.id} v{cut.version}".encode())
        return {book: folder / book for book in BOOKS}

    return publish(cut, out, ledger, build, "ada", AT)


def shown(out: Path) -> set[str]:
    """What a reader finds behind the names in the date's folder."""
    return {(out / DATE / book).read_text() for book in BOOKS if (out / DATE / book).exists()}


def test_the_first_publication_is_version_1_and_its_files_stand_in_the_date_folder(tmp_path, ledger):
    made = publish_to(tmp_path / "out", sealed_cut(tmp_path), ledger)
    assert (made.version, made.fresh) == (1, True)
    assert shown(tmp_path / "out") == {f"{book} of 2020-03-16/eod v1" for book in BOOKS}
    assert orjson.loads((tmp_path / "out" / DATE / "certificate.json").read_bytes())["equal"] is True
    (entry,) = ledger.entries("publication")
    assert (entry.what["version"], entry.what["cut_version"], entry.who) == (1, 1, "ada")


def test_publishing_the_same_cut_again_changes_nothing(tmp_path, ledger):
    cut = sealed_cut(tmp_path)
    publish_to(tmp_path / "out", cut, ledger)
    again = publish_to(tmp_path / "out", cut, ledger)
    assert (again.version, again.fresh) == (1, False)
    assert len(ledger.entries("publication")) == 1


def test_the_next_version_of_a_cut_is_the_next_version_of_its_date_and_the_first_stays(tmp_path, ledger):
    first = publish_to(tmp_path / "out", sealed_cut(tmp_path), ledger)
    before = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    second = publish_to(tmp_path / "out", sealed_cut(tmp_path, version=2), ledger)
    assert second.version == 2
    assert shown(tmp_path / "out") == {f"{book} of 2020-03-16/eod v2" for book in BOOKS}
    assert {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()} == before
    assert verify_published(first.folder) == []


def test_a_shut_gate_publishes_nothing_and_leaves_the_former_version(tmp_path, ledger):
    publish_to(tmp_path / "out", sealed_cut(tmp_path), ledger)
    name = critical_check()
    bad = [result(name, passed=False) if row["check"] == name else row for row in passing()]
    with pytest.raises(GateShutError, match=name):
        publish_to(tmp_path / "out", sealed_cut(tmp_path, version=2, results=bad), ledger)
    assert shown(tmp_path / "out") == {f"{book} of 2020-03-16/eod v1" for book in BOOKS}
    assert not (tmp_path / "out" / DATE / "v2").exists()


def test_a_changed_byte_of_a_published_version_is_found(tmp_path, ledger):
    made = publish_to(tmp_path / "out", sealed_cut(tmp_path), ledger)
    (made.folder / "margin.xlsx").write_bytes(b"another margin")
    assert verify_published(made.folder) == ["margin.xlsx"]


def test_a_publisher_that_lost_its_turn_stops_before_the_swap(tmp_path, ledger):
    out = tmp_path / "out"
    publish_to(out, sealed_cut(tmp_path), ledger)
    cut = sealed_cut(tmp_path, version=2)

    def overtaken(folder: Path) -> Mapping[str, Path]:
        (out / DATE / ".fence").write_text("99")
        return {}

    with pytest.raises(UserError, match="expected to be publisher 2, found 99"):
        publish(cut, out, ledger, overtaken, "ada", AT)
    assert current(out, DATE).version == 1


def die_at(step: int) -> None:
    """From now on the process ends, without any clearing up, at the given file operation."""
    left = [step]

    def counting(real: Callable) -> Callable:
        def counted(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                os._exit(KILLED)
            return real(*arguments, **named)

        return counted

    for name in STEPS:
        setattr(os, name, counting(getattr(os, name)))


def test_a_publisher_killed_at_any_file_operation_leaves_the_old_version_or_the_new(tmp_path, ledger):
    old = {f"{book} of 2020-03-16/eod v1" for book in BOOKS}
    new = {f"{book} of 2020-03-16/eod v2" for book in BOOKS}
    seen = []
    for step in range(1, 1_000):
        home = tmp_path / f"{step}"
        record = Ledger(home / "ledger.jsonl")
        publish_to(home / "out", sealed_cut(home), record)
        cut = sealed_cut(home, version=2)
        child = os.fork()
        if child == 0:
            die_at(step)
            publish_to(home / "out", cut, record)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = shown(home / "out")
        assert found in (old, new), f"killed at operation {step}"
        seen.append(found)
        again = publish_to(home / "out", cut, record)
        assert again.version == 2
        assert shown(home / "out") == new
        assert verify_published(again.folder) == []
        assert len(record.entries("publication")) == 2
        if code == 0:
            break
    assert code == 0
    assert old in seen
    assert new in seen
