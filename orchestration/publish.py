"""Publishing: ``out/DATE/vN`` is written once and never changed; one atomic swap of a pointer makes it the current one.

    out/2020-03-16/v1/ v2/            everything of a version: workbooks, certificate, headline figures, tables
    out/2020-03-16/current -> v2      the pointer
    out/2020-03-16/margin.xlsx -> current/margin.xlsx

A process killed at any moment leaves the old version current, or the new. Publishers serialise on a lock; each gets a
fencing number, and one that finds a greater number has lost its turn and stops.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path

import orjson

from orchestration.checks import manifest_digest, read_checks
from orchestration.errors import UserError
from orchestration.gate import Decision, gate
from orchestration.ledger import Ledger
from orchestration.proof import certificate
from streaming.cuts import SealedCut

POINTER = "current"
PUBLICATION = "publication.json"
"""What a version holds: cut, manifest, and the digest of each file."""
Build = Callable[[Path], Mapping[str, Path]]
"""Writes the workbooks into a folder; returns them by name."""


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a date's reports."""

    folder: Path
    version: int
    fresh: bool
    """False when this cut was the current version already."""

    @property
    def files(self) -> list[Path]:
        """What the date's folder shows of it."""
        return [self.folder.parent / path.name for path in sorted(self.folder.iterdir()) if path.is_file()]


def current(out: Path, date: str) -> Published | None:
    """The current version of a date, or None."""
    pointer = out / date / POINTER
    if not pointer.is_symlink():
        return None
    name = os.readlink(pointer)
    return Published(out / date / name, int(name.removeprefix("v")), fresh=False)


def publish(cut: SealedCut, out: Path, ledger: Ledger, build: Build, who: str, at: datetime) -> Published:
    """Publish an end-of-day cut as the next version of its date; GateShutError while its gate is shut.

    The current version is returned as it is when it is of the same sealed cut.
    """
    decision = gate(cut, ledger, at)
    decision.require_open()
    date = str(cut.manifest["business_date"])
    with _turn(out / date) as turn:
        found = current(out, date)
        if found is not None and _of_cut(found.folder, cut):
            _record(ledger, found, cut, decision, turn.fence, who, at)
            return found
        version = found.version + 1 if found else 1
        folder = out / date / f"v{version}"
        shutil.rmtree(folder, ignore_errors=True)  # of a publisher that was killed before its swap: never published
        staging = _fresh(out / date / f".v{version}.part")
        _write(staging, cut, decision, build)
        turn.check()
        os.rename(staging, folder)
        _link_files(out / date, folder)
        turn.check()
        _swap(out / date, folder.name)
        made = Published(folder, version, fresh=True)
        _record(ledger, made, cut, decision, turn.fence, who, at)
    return made


def read_publication(folder: Path) -> Mapping:
    """What a version holds: cut, version, manifest digest, and the digest of each file."""
    return orjson.loads((folder / PUBLICATION).read_bytes())


def verify_published(folder: Path) -> list[str]:
    """The files of a version that are not what was published, by name; empty when all are."""
    recorded = read_publication(folder)["files"]
    return [name for name, digest in recorded.items() if not _matches(folder / name, digest)]


def _matches(path: Path, digest: str) -> bool:
    return path.is_file() and _digest(path) == digest


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _of_cut(folder: Path, cut: SealedCut) -> bool:
    return read_publication(folder)["manifest"] == manifest_digest(cut)


def _write(folder: Path, cut: SealedCut, decision: Decision, build: Build) -> None:
    """Everything of a version, the list of its files last."""
    import reports.cells  # noqa: F401 -- before the second thread: openpyxl's circular imports fail in two at once

    with ThreadPoolExecutor(1) as beside:
        tables = beside.submit(write_tables, folder / "tables", cut)
        build(folder)
        tables.result()
    _write_json(folder / "certificate.json", certificate(cut.folder, cut.id, cut.version))
    _write_json(folder / "checks.json", {**(read_checks(cut) or {}), "overridden": list(decision.overridden)})
    (folder / "headlines.json").write_bytes(headlines_bytes(cut))
    files = {str(path.relative_to(folder)): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    what = {"cut": cut.id, "cut_version": cut.version, "manifest": manifest_digest(cut), "files": files}
    _write_json(folder / PUBLICATION, what)
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def headlines(cut: SealedCut) -> dict[str, object]:
    """The key figures as text, exact, with what they are figures of."""
    manifest = cut.manifest
    return {
        "cut": cut.id,
        "version": cut.version,
        "as_of": datetime.fromtimestamp(manifest["time"] // 1_000_000, UTC).isoformat(),
        "price_set": manifest["price_set"],
        "versions": manifest["versions"],
        "figures": {
            name: {"value": str(row["value"]), "unit": row["unit"], "label": row["label"]}
            for name, row in figures(cut).items()
        },
    }


def headlines_bytes(cut: SealedCut) -> bytes:
    """``headlines.json`` of a cut."""
    return _json(headlines(cut))


def figures(cut: SealedCut) -> dict[str, Mapping]:
    """The rows of the cut's headlines by name."""
    return {row["name"]: row for row in cut.table("headlines").to_pylist()} if "headlines" in cut.tables else {}


def write_tables(folder: Path, cut: SealedCut) -> None:
    """Every sealed table as Parquet, exactly, and as CSV, safe to open in a spreadsheet."""
    import pyarrow.csv
    import pyarrow.parquet

    from reports.cells import formula_safe

    folder.mkdir()
    for name in cut.tables:
        rows = cut.table(name)
        pyarrow.parquet.write_table(rows, folder / f"{name}.parquet", compression="zstd")
        pyarrow.csv.write_csv(formula_safe(rows), folder / f"{name}.csv")


def _write_json(path: Path, content: object) -> None:
    path.write_bytes(_json(content))


def _json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n"


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _link_files(folder: Path, version: Path) -> None:
    """Names beside the versions, through the pointer; before the swap they lead where they led."""
    for path in version.iterdir():
        link = folder / path.name
        if path.is_file() and not link.is_symlink():
            link.symlink_to(Path(POINTER) / path.name)


def _swap(folder: Path, version: str) -> None:
    temporary = folder / f".{POINTER}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(version)
    os.replace(temporary, folder / POINTER)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _record(
    ledger: Ledger, made: Published, cut: SealedCut, decision: Decision, fence: int, who: str, at: datetime
) -> None:
    """Into the ledger, once: also when a publisher was killed between its swap and its entry."""
    digest = _digest(made.folder / PUBLICATION)
    if any(entry.what["publication"] == digest for entry in ledger.entries("publication")):
        return
    what = {
        "date": made.folder.parent.name,
        "version": made.version,
        "cut": cut.id,
        "cut_version": cut.version,
        "publication": digest,
        "overridden": list(decision.overridden),
        "fence": fence,
    }
    ledger.append("publication", who, what, at)


@dataclass(frozen=True, slots=True)
class _Turn:
    file: Path
    fence: int

    def check(self) -> None:
        found = int(self.file.read_text())
        if found != self.fence:
            raise UserError(f"{self.file.parent}: expected to be publisher {self.fence}, found {found} at work")


@contextmanager
def _turn(folder: Path) -> Iterator[_Turn]:
    """The lock of a date, and the next fencing number."""
    folder.mkdir(parents=True, exist_ok=True)
    number = folder / ".fence"
    with open(folder / ".lock", "a+") as lock:
        flock(lock, LOCK_EX)
        fence = int(number.read_text()) + 1 if number.exists() else 1
        temporary = folder / f".fence.{os.getpid()}"
        temporary.write_text(str(fence))
        os.replace(temporary, number)
        yield _Turn(number, fence)
