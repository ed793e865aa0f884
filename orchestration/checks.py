"""The expectations over a sealed cut, and their results beside it: what the gate reads."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from streaming.cuts import SealedCut

if TYPE_CHECKING:
    from expectations import Child

RESULTS = "checks.json"
CRITICAL = "critical"


def manifest_digest(cut: SealedCut) -> str:
    """SHA-256 of the manifest: names one sealed cut for ever."""
    return sha256((cut_folder(cut) / "manifest.json").read_bytes()).hexdigest()


def cut_folder(cut: SealedCut) -> Path:
    """Where a cut's manifest lies, and beside it what was found out about the cut."""
    return cut.folder / "cuts" / cut.id / f"v{cut.version}"


def run_checks(
    cut: SealedCut,
    certificate: Mapping | None,
    previous: SealedCut | None,
    opening: SealedCut | None,
    scratch: Path,
    docs: Path | None = None,
    child: "Child | None" = None,
) -> Mapping:
    """Judge a cut, in a process with a time limit, and store ``{cut, version, manifest, results}`` beside it.

    ``previous`` is the cut before of the same day, ``opening`` the end of the day before; Data Docs go to ``docs``;
    ``child`` is a process that was started before. What crashes, hangs or has nothing to judge comes as a failure.
    """
    from expectations import run_isolated
    from streaming.engine.sealing import write_atomically

    results = run_isolated(cut, certificate, previous, opening, folder=scratch, docs=docs, child=child)
    found = {
        "cut": cut.id,
        "version": cut.version,
        "manifest": manifest_digest(cut),
        "results": [result.as_dict() for result in results],
    }
    content = orjson.dumps(found, option=orjson.OPT_INDENT_2, default=str)
    write_atomically(cut_folder(cut) / RESULTS, content)
    return orjson.loads(content)


def read_checks(cut: SealedCut) -> Mapping | None:
    """The stored results of this sealed cut; None when its checks never ran."""
    path = cut_folder(cut) / RESULTS
    if not path.exists():
        return None
    found = orjson.loads(path.read_bytes())
    return found if found["manifest"] == manifest_digest(cut) else None


def failed(results: Sequence[Mapping]) -> list[Mapping]:
    """The results that did not pass, critical ones first."""
    return sorted((row for row in results if not row["passed"]), key=lambda row: row["severity"] != CRITICAL)
