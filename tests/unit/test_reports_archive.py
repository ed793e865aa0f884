"""Writing report files: whole or not at all, and errors a user can act on."""

import errno
import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from reports import archive


def test_a_replaced_file_has_the_new_content_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "margin.xlsx"
    archive.replace_file(path, b"old")
    archive.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["margin.xlsx"]


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "found it full"), (errno.EACCES, "found it locked"), (errno.EIO, "Input/output error")],
)
def test_a_full_disk_or_a_locked_file_is_one_clear_error_and_the_old_file_stays(tmp_path, monkeypatch, code, said):
    path = tmp_path / "margin.xlsx"
    archive.replace_file(path, b"old")

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(archive.ReportWriteError, match=said) as caught:
        archive.replace_file(path, b"new")
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["margin.xlsx"]


def test_a_target_that_cannot_be_replaced_is_named(tmp_path):
    (tmp_path / "margin.xlsx").mkdir()
    with pytest.raises(archive.ReportWriteError, match=r"margin\.xlsx"):
        archive.replace_file(tmp_path / "margin.xlsx", b"new")


def test_a_kill_during_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "margin.xlsx"
    archive.replace_file(path, b"old")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from reports import archive\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "archive.replace_file(Path(sys.argv[1]), b'new' * 1000)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def zipped(entries: dict[str, bytes]) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return out.getvalue()


def rewritten(made: bytes) -> bytes:
    out = BytesIO()
    archive.rewrite(made, {}, out)
    return out.getvalue()


def test_archives_with_the_same_entries_in_another_order_become_the_same_bytes():
    entries = {"b.xml": b"<b/>", "a.xml": b"<a/>" * 1000}
    turned = dict(reversed(entries.items()))
    assert zipped(entries) != zipped(turned)
    assert rewritten(zipped(entries)) == rewritten(zipped(turned))


def test_the_content_digest_does_not_depend_on_the_compression(tmp_path):
    plain, packed = tmp_path / "plain.xlsx", tmp_path / "packed.xlsx"
    made = zipped({"a.xml": b"<a/>" * 1000})
    plain.write_bytes(made)
    packed.write_bytes(rewritten(made))
    assert plain.read_bytes() != packed.read_bytes()
    assert archive.content_digest(plain) == archive.content_digest(packed)
    plain.write_bytes(zipped({"a.xml": b"<a/>" * 999}))
    assert archive.content_digest(plain) != archive.content_digest(packed)
