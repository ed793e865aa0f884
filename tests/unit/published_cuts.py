"""Cuts without tables, and what the gate reads beside them: enough for gate and publication."""

from collections.abc import Mapping
from pathlib import Path

import orjson

import expectations
from orchestration.checks import RESULTS, cut_folder, manifest_digest
from orchestration.proof import CERTIFICATE
from streaming.cuts import SealedCut

CUT = "2020-03-16/eod"


def sealed_cut(store: Path, version: int = 1, equal: bool = True, results: list[dict] | None = None) -> SealedCut:
    """A sealed cut that was replayed and checked; all checks pass unless other results are given."""
    cut = SealedCut(store, CUT, version)
    cut_folder(cut).mkdir(parents=True)
    manifest = {
        "cut": CUT,
        "version": version,
        "epoch": 100 + version,
        "time": 1_584_390_600_000_000,
        "business_date": "2020-03-16",
        "price_set": "2020-03-16/163000",
        "versions": {"rule_date": "2026-11-01"},
        "tables": {},
        "states": {},
    }
    (cut_folder(cut) / "manifest.json").write_bytes(orjson.dumps(manifest))
    (cut_folder(cut) / CERTIFICATE).write_bytes(orjson.dumps({"cut": CUT, "version": version, "equal": equal}))
    write_results(cut, passing() if results is None else results)
    return cut


def write_results(cut: SealedCut, results: list[dict]) -> None:
    found = {"cut": cut.id, "version": cut.version, "manifest": manifest_digest(cut), "results": results}
    (cut_folder(cut) / RESULTS).write_bytes(orjson.dumps(found))


def passing() -> list[dict]:
    """Every check of the catalogue, passed."""
    return [result(name, check.severity) for name, (_, check) in expectations.catalogue().items()]


def result(name: str, severity: str = "critical", **changed: object) -> dict:
    plain: Mapping[str, object] = {
        "check": name,
        "severity": severity,
        "passed": True,
        "crashed": False,
        "rows": 10,
        "expected": "good",
        "observed": "good",
    }
    return {**plain, **changed}


def critical_check() -> str:
    """The name of one critical check."""
    return next(name for name, (_, check) in expectations.catalogue().items() if check.severity == "critical")
