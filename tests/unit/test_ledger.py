"""The ledger: chained, append-only, torn writes cut off, every changed byte found."""

from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.ledger import GENESIS, DamagedLedgerError, Ledger

AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.jsonl")
    for number in range(3):
        made.append("run", "ada", {"date": "2020-03-16", "attempt": number}, AT)
    return made


def test_entries_are_numbered_and_chained(ledger: Ledger):
    first, second, third = ledger.entries()
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert first.previous == GENESIS
    assert (second.previous, third.previous) == (first.hash, second.hash)
    verified = ledger.verify()
    assert (verified.entries, verified.head, verified.torn_bytes) == (3, third.hash, 0)


def test_a_ledger_that_was_never_written_is_empty_and_intact(tmp_path: Path):
    verified = Ledger(tmp_path / "none.jsonl").verify()
    assert (verified.entries, verified.head) == (0, GENESIS)


def test_every_flipped_bit_is_found(ledger: Ledger):
    content = ledger.path.read_bytes()
    for place in range(len(content)):
        for bit in (0x01, 0x10, 0x80):
            ledger.path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            with pytest.raises(DamagedLedgerError, match="line"):
                ledger.verify()


@pytest.mark.parametrize("missing", [0, 1])
def test_a_removed_line_is_found(ledger: Ledger, missing: int):
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(line for number, line in enumerate(lines) if number != missing))
    with pytest.raises(DamagedLedgerError, match=f"line {missing + 1}"):
        ledger.verify()


def test_exchanged_lines_are_found(ledger: Ledger):
    first, second, third = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(second + first + third)
    with pytest.raises(DamagedLedgerError, match="line 1"):
        ledger.verify()


def test_a_write_torn_at_any_byte_leaves_the_entries_before_and_is_overwritten(ledger: Ledger):
    content = ledger.path.read_bytes()
    whole = content.rindex(b"\n", 0, len(content) - 1) + 1
    for size in range(whole, len(content)):
        ledger.path.write_bytes(content[:size])
        verified = ledger.verify()
        assert (verified.entries, verified.torn_bytes) == (2, size - whole)
        ledger.append("run", "ada", {"date": "2020-03-16", "attempt": 2}, AT)
        assert ledger.path.read_bytes() == content


def test_nothing_is_appended_behind_a_damaged_entry(ledger: Ledger):
    damaged = ledger.path.read_bytes().replace(b'"attempt":2', b'"attempt":7')
    ledger.path.write_bytes(damaged)
    with pytest.raises(DamagedLedgerError, match="line 3"):
        ledger.append("run", "ada", {}, AT)
    assert ledger.path.read_bytes() == damaged


def test_unknown_kinds_and_times_without_zone_are_refused(ledger: Ledger):
    with pytest.raises(ValueError, match="'rumour'"):
        ledger.append("rumour", "ada", {}, AT)
    with pytest.raises(ValueError, match="zone"):
        ledger.append("run", "ada", {}, AT.replace(tzinfo=None))
    assert len(ledger.entries()) == 3


def _append(path: Path) -> None:
    for number in range(20):
        Ledger(path).append("run", "grace", {"attempt": number}, AT)


def test_writers_of_several_processes_share_one_chain(ledger: Ledger):
    with ProcessPoolExecutor(3) as pool:
        for done in [pool.submit(_append, ledger.path) for _ in range(3)]:
            done.result()
    assert ledger.verify().entries == 63
