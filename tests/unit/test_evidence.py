"""Evidence packs of a small real day: the same bytes, done again elsewhere, and no byte that can change unseen."""

import os
import random
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import orjson
import pytest
from click.testing import CliRunner

from orchestration import evidence, verifying
from orchestration.cli import plumbline
from orchestration.container import INDEX, DamagedPackError, pack_bytes, read_pack
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.publish import Published
from orchestration.signing import ROLES, sign
from orchestration.spans import decode_span, encode_span
from orchestration.verifying import verify
from streaming.cuts import SealedCut
from streaming.log.files import FilesLog
from tests.unit.published_day import AT, publish, published_day
from tests.unit.test_changes import NEXT, late, next_day
from tests.unit.traced_day import DAY, append, run

ROOT = Path(__file__).resolve().parents[2]
FLIPS = 150
SEED = 3


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> tuple[Home, SealedCut, Published]:
    return published_day(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def packed(day, tmp_path_factory) -> Path:
    home, _, made = day
    for role in ROLES:
        sign(home.ledger, made.folder, role, f"The {role}", "tester", AT)
    path = tmp_path_factory.mktemp("pack") / "pack-v1.zip"
    path.write_bytes(evidence.pack(home, made.folder))
    return path


def repacked(path: Path, to: Path, **changed: bytes) -> Path:
    """A pack whose list of entries was made anew over changed entries: only doing it again can tell."""
    about, entries = read_pack(path)
    named = {name.replace("__", "/"): content for name, content in changed.items()}
    to.write_bytes(pack_bytes({k: v for k, v in about.items() if k != "entries"}, {**entries, **named}))
    return to


def test_the_same_version_packed_again_has_the_same_bytes(day, packed):
    home, _, made = day
    home.record("run", {"date": DAY.isoformat(), "code": "later", "host": "loop"})
    assert evidence.pack(home, made.folder) == packed.read_bytes()


def test_a_pack_holds_what_is_needed_to_do_it_again(packed):
    about, entries = read_pack(packed)
    assert (about["status"], about["cut"], about["cut_version"]) == ("SIGNED", f"{DAY}/eod", 1)
    wanted = {"cut/manifest.json", "cut/certificate.json", "cut/checks.json", "published/margin.xlsx", "log/trades-0",
              "log/epochs-0", "code.json", "requirements.lock", "inputs.json", "ledger.jsonl", "signatures.json",
              "rulebook/regt.toml", "published/margin.cells.json", "published/headlines.json"}  # fmt: skip
    assert wanted <= set(entries)
    assert [one["name"] for one in orjson.loads(entries["signatures.json"])["signatures"]] == [
        f"The {role}" for role in ROLES
    ]


def test_another_machine_without_network_does_it_again_and_every_digest_is_equal(day, packed, tmp_path):
    _, _, made = day
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    shutil.copy(packed, alone / "pack.zip")
    (alone / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*_, **__):\n"
        "    raise OSError('no network here')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
    )
    settings = {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "77", "PYTHONPATH": f"{alone}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "orchestration.cli", "--home", str(alone / "none"), "verify", "pack.zip"]
    done = subprocess.run(
        [*command, "--to", "again"],
        cwd=alone,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 unequal" in done.stdout
    assert "SIGNED" in done.stdout
    published = {str(path.relative_to(made.folder)) for path in made.folder.rglob("*") if path.is_file()}
    for name in published - {"publication.json"}:
        assert (alone / "again" / name).read_bytes() == (made.folder / name).read_bytes(), name


def test_a_byte_flipped_anywhere_is_found(packed, tmp_path):
    content = packed.read_bytes()
    chosen = random.Random(SEED)
    changed = tmp_path / "pack.zip"
    for at in [0, len(content) - 1, *(chosen.randrange(len(content)) for _ in range(FLIPS))]:
        changed.write_bytes(content[:at] + bytes([content[at] ^ (1 << chosen.randrange(8))]) + content[at + 1 :])
        with pytest.raises(DamagedPackError, match=r"pack\.zip: "):
            read_pack(changed)


def test_a_byte_flipped_in_any_entry_names_the_entry(packed, tmp_path):
    content = packed.read_bytes()
    with ZipFile(BytesIO(content)) as archive:
        places = {entry.filename: entry.header_offset + 30 + len(entry.filename) + entry.file_size // 2
                  for entry in archive.infolist() if entry.file_size}  # fmt: skip
    changed = tmp_path / "pack.zip"
    for name, at in places.items():
        changed.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(DamagedPackError) as caught:
            read_pack(changed)
        assert name in str(caught.value) or (name == "PACK.sha256" and INDEX in str(caught.value))


@pytest.mark.parametrize("more", [b"x", b"PK\x05\x06" + bytes(18)])
def test_bytes_behind_or_before_the_archive_are_found(packed, tmp_path, more):
    for content in (packed.read_bytes() + more, more + packed.read_bytes()):
        (tmp_path / "pack.zip").write_bytes(content)
        with pytest.raises(DamagedPackError):
            read_pack(tmp_path / "pack.zip")


def test_a_forged_event_changes_what_comes_out(packed, tmp_path):
    _, entries = read_pack(packed)
    name = next(name for name, content in entries.items() if name.startswith("log/trades")
                and b'"T2"' in b"".join(decode_span(content).payloads))  # fmt: skip
    span = decode_span(entries[name])
    forged = [payload.replace(b'"quantity":40', b'"quantity":41') for payload in span.payloads]
    path = repacked(packed, tmp_path / "pack.zip", **{name: encode_span(span._replace(payloads=forged))})
    found = verify(path, tmp_path / "work")
    unequal = {finding.what for finding in found.unequal}
    assert {f"input {name.removeprefix('log/').replace('-', '/')}", "table positions", "table margin"} <= unequal
    assert "margin.xlsx" in unequal


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("published/margin.xlsx", lambda content: content + b"x", "published/margin.xlsx"),
        ("cut/manifest.json", lambda content: content.replace(b'"version": 1', b'"version": 2'), "cut/manifest.json"),
        ("ledger.jsonl", lambda content: content.replace(b"The reviewer", b"Somebody els"), "ledger.jsonl, line"),
        ("signatures.json", lambda content: content.replace(b"The reviewer", b"Somebody els"), "signatures.json"),
    ],
)
def test_parts_that_do_not_belong_together_are_named(packed, tmp_path, name, change, said):
    _, entries = read_pack(packed)
    path = repacked(packed, tmp_path / "pack.zip", **{name: change(entries[name])})
    with pytest.raises(DamagedPackError, match=said):
        verify(path, tmp_path / "work")


def test_other_code_is_named_file_by_file(packed, monkeypatch):
    here = {**verifying.code_digests(), "risk/money.py": "0" * 64}
    monkeypatch.setattr(verifying, "code_digests", lambda: here)
    _, entries = read_pack(packed)
    unequal = [finding.what for finding in verifying.environment(entries) if not finding.equal]
    assert unequal == ["code streaming/risk/money.py", "code"]


def test_a_given_log_takes_the_place_of_the_packs_span(day, packed, tmp_path):
    home, _, _ = day
    found = verify(packed, tmp_path / "work", FilesLog(home.settings.log))
    assert found.findings
    assert found.unequal == []


@pytest.mark.soak
def test_a_later_day_starts_from_the_packed_state_of_the_day_before(tmp_path):
    home, _, _ = published_day(tmp_path)
    append(home, late())
    publish(home, run(home), tmp_path)
    append(home, next_day(), NEXT)
    made = publish(home, run(home), tmp_path / "next")
    path = tmp_path / "pack.zip"
    path.write_bytes(evidence.pack(home, made.folder))
    _, entries = read_pack(path)
    assert decode_span(entries["log/trades-0"]).start + decode_span(entries["log/trades-1"]).start > 0
    found = verify(path, tmp_path / "work")
    assert found.unequal == []
    second = home.settings.out / DAY.isoformat() / "v2"
    path.write_bytes(evidence.pack(home, second))
    assert verify(path, tmp_path / "again").unequal == []


def test_a_changed_published_file_is_not_packed(day, tmp_path):
    home, _, made = day
    copied = tmp_path / DAY.isoformat() / made.folder.name
    shutil.copytree(made.folder, copied)
    (copied / "margin.xlsx").write_bytes(b"other")
    with pytest.raises(UserError, match=r"found changed: margin\.xlsx"):
        evidence.pack(home, copied)


def test_the_commands_sign_pack_and_refuse_what_was_changed(day, packed, tmp_path):
    home, _, made = day
    asked = ["--home", str(home.settings.home), "--out", str(home.settings.out)]
    shown = CliRunner().invoke(plumbline, [*asked, "sign", DAY.isoformat()])
    assert "SIGNED" in shown.output
    path = tmp_path / "mine.zip"
    told = CliRunner().invoke(plumbline, [*asked, "pack", DAY.isoformat(), "--version", "v1", "--to", str(path)])
    assert told.exit_code == 0, told.output
    assert path.read_bytes() == packed.read_bytes()
    path.write_bytes(path.read_bytes()[:-1])
    refused = CliRunner().invoke(plumbline, [*asked, "verify", str(path)])
    assert isinstance(refused.exception, DamagedPackError)
