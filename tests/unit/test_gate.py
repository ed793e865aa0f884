"""The gate reads data only: results, certificate, overrides."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from published_cuts import CUT, critical_check, passing, result, sealed_cut, write_results

from orchestration.checks import RESULTS, cut_folder
from orchestration.errors import GateShutError, UserError
from orchestration.gate import gate, override
from orchestration.ledger import Ledger
from orchestration.proof import CERTIFICATE

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def with_one(**changed: object) -> list[dict]:
    """All checks passed but one critical check, changed."""
    name = critical_check()
    return [result(name, **changed) if row["check"] == name else row for row in passing()]


def test_the_gate_is_open_when_every_critical_check_passed_and_the_replay_was_equal(tmp_path, ledger):
    decision = gate(sealed_cut(tmp_path), ledger, NOW)
    assert decision.is_open
    decision.require_open()


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        (with_one(passed=False, observed="3 bad"), "3 bad"),
        (with_one(passed=False, crashed=True, observed="crashed: signal 9"), "crashed"),
        (with_one(rows=0), "no rows"),
        ([row for row in passing() if row["check"] != critical_check()], "missing"),
        ([], "no critical check ran"),
    ],
    ids=["failed", "crashed", "judged nothing", "missing", "none"],
)
def test_a_critical_check_that_did_not_really_pass_shuts_the_gate(tmp_path, ledger, results, reason):
    decision = gate(sealed_cut(tmp_path, results=results), ledger, NOW)
    assert not decision.is_open
    with pytest.raises(GateShutError, match=reason):
        decision.require_open()


def test_a_failed_warning_leaves_the_gate_open(tmp_path, ledger):
    results = [*passing(), result("own.warning", "warning", passed=False)]
    assert gate(sealed_cut(tmp_path, results=results), ledger, NOW).is_open


def test_checks_that_never_ran_shut_the_gate(tmp_path, ledger):
    cut = sealed_cut(tmp_path)
    (cut_folder(cut) / RESULTS).unlink()
    assert [hold.check for hold in gate(cut, ledger, NOW).holds] == ["checks"]


def test_results_of_another_sealed_cut_do_not_count(tmp_path, ledger):
    cut = sealed_cut(tmp_path)
    manifest = cut_folder(cut) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert [hold.check for hold in gate(cut, ledger, NOW).holds] == ["checks"]


def test_an_unequal_or_missing_replay_shuts_the_gate_and_cannot_be_overridden(tmp_path, ledger):
    cut = sealed_cut(tmp_path, equal=False)
    assert [hold.check for hold in gate(cut, ledger, NOW).holds] == ["certificate"]
    with pytest.raises(UserError, match="expected a check that holds the gate"):
        override(cut, "certificate", "ada", "grace", "in a hurry", LATER, ledger, NOW)
    (cut_folder(cut) / CERTIFICATE).unlink()
    assert "never replayed" in gate(cut, ledger, NOW).holds[0].reason


def test_an_override_opens_the_gate_until_it_ends_and_only_for_that_version(tmp_path, ledger):
    name = critical_check()
    first = sealed_cut(tmp_path, results=with_one(passed=False))
    second = sealed_cut(tmp_path, version=2, results=with_one(passed=False))
    override(first, name, "ada", "grace", "the close was confirmed by phone", LATER, ledger, NOW)
    decision = gate(first, ledger, NOW)
    assert decision.is_open
    assert decision.overridden == (name,)
    assert not gate(first, ledger, LATER).is_open
    assert not gate(second, ledger, NOW).is_open
    (entry,) = ledger.entries("override")
    assert (entry.who, entry.what["approved_by"], entry.what["cut"]) == ("ada", "grace", CUT)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"approved_by": "Ada "}, "two different people"),
        ({"reason": " "}, "reason"),
        ({"until": NOW}, "end after now"),
        ({"check": "no such check"}, "no such check"),
    ],
)
def test_an_override_needs_two_people_a_reason_an_end_and_a_failed_check(tmp_path, ledger, changed, complaint):
    cut = sealed_cut(tmp_path, results=with_one(passed=False))
    plain = {"check": critical_check(), "by": "ada", "approved_by": "grace", "reason": "known", "until": LATER}
    with pytest.raises(UserError, match=complaint):
        override(cut, ledger=ledger, at=NOW, **{**plain, **changed})
    assert ledger.entries() == []


def test_a_check_that_passes_again_needs_no_override(tmp_path, ledger):
    cut = sealed_cut(tmp_path, results=with_one(passed=False))
    write_results(cut, passing())
    assert gate(cut, ledger, NOW).overridden == ()
