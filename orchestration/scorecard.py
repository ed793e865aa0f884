"""BCBS 239 scorecard of a published version, from run records alone; each score with the way to its proof.

Principles 3 to 6 of risk data aggregation (accuracy and integrity, completeness, timeliness, adaptability) measured on
what was recorded: the sealed cut, its certificate and check results, and the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

from orchestration.checks import RESULTS, cut_folder, failed, read_checks
from orchestration.ledger import Entry, Ledger
from orchestration.proof import CERTIFICATE, certificate
from orchestration.publish import read_publication, verify_published
from orchestration.signing import publication_digest
from streaming.cuts import SealedCut, open_cut

_FULL = Decimal(100)
_POINT = Decimal("0.01")
_LIVE = timedelta(days=1)
"""A cut that lies further back was not sealed live: its day was played."""


@dataclass(frozen=True, slots=True)
class Score:
    """One measure: what was found, of how much, and where it is proved."""

    principle: str
    measure: str
    score: Decimal | None
    """0 to 100; None where the measure has no natural scale."""
    found: str
    proof: str
    """A file, a table of the cut, or entries of the ledger."""

    def document(self) -> dict[str, object]:
        score = None if self.score is None else str(self.score)
        return {"principle": self.principle, "measure": self.measure, "score": score, "found": self.found,
                "proof": self.proof}  # fmt: skip


def scorecard(store: Path, ledger: Ledger, folder: Path) -> list[Score]:
    """The scores of the version in ``out/DATE/vN``."""
    recorded = read_publication(folder)
    cut = open_cut(store, recorded["cut"], recorded["cut_version"])
    entries = ledger.entries()
    published = _publication(entries, publication_digest(folder))
    return [
        _coverage(cut),
        _accepted(cut),
        _reconciled(cut),
        _replayed(cut),
        _checked(cut),
        _whole(folder),
        _minutes(cut, entries, published),
        _manual(cut, entries, published),
        _adaptable(cut, entries),
    ]


def _share(part: int, whole: int) -> Decimal | None:
    """Percent, rounded down so that 100 means all; None of nothing."""
    return (_FULL * part / whole).quantize(_POINT, rounding=ROUND_DOWN) if whole else None


def _coverage(cut: SealedCut) -> Score:
    """Offsets of the epoch against events counted: every event is one of applied, duplicate, quarantined, parked."""
    rows = cut.table("counts").to_pylist()
    ends = {(topic, p): end for topic, parts in cut.manifest["offsets"].items() for p, end in enumerate(parts)}
    counted = {(row["topic"], row["partition"]): row["events"] for row in rows}
    explained = sum(row["applied"] + row["duplicate"] + row["quarantined"] + row["parked"] for row in rows)
    events = sum(ends.values())
    covered = sum(min(counted.get(place, 0), end) for place, end in ends.items())
    missing = sorted(f"{topic}/{p}" for (topic, p), end in ends.items() if counted.get((topic, p), 0) != end)
    found = f"{covered:,} of {events:,} offsets counted, {explained:,} explained"
    found += f"; short: {', '.join(missing)}" if missing else ""
    return Score(
        "completeness", "offset coverage", _share(min(covered, explained), events), found, _table(cut, "counts")
    )


def _accepted(cut: SealedCut) -> Score:
    rows = cut.table("counts").to_pylist()
    events, bad = (sum(row[name] for row in rows) for name in ("events", "quarantined"))
    waiting = sum(row["parked"] for row in rows)
    found = f"{bad:,} quarantined and {waiting:,} parked of {events:,}"
    return Score(
        "completeness", "events accepted", _share(events - bad - waiting, events), found, _table(cut, "quarantine")
    )


def _reconciled(cut: SealedCut) -> Score:
    rows = cut.table("checks").to_pylist() if "checks" in cut.tables else []
    breaks = sum(row["difference"] != 0 for row in rows)
    found = f"{breaks:,} breaks of {len(rows):,} comparisons"
    return Score(
        "accuracy", "reconciliation breaks", _share(len(rows) - breaks, len(rows)), found, _table(cut, "checks")
    )


def _replayed(cut: SealedCut) -> Score:
    document = certificate(cut.folder, cut.id, cut.version)
    parts = [*document["tables"].values(), *document["states"].values()] if document else []
    equal = sum(bool(part["equal"]) for part in parts)
    found = f"{equal} of {len(parts)} digests equal" if parts else "never replayed"
    return Score("accuracy", "live equals replay", _share(equal, len(parts)), found, str(cut_folder(cut) / CERTIFICATE))


def _checked(cut: SealedCut) -> Score:
    results: Sequence[Mapping] = (read_checks(cut) or {}).get("results", ())
    bad = failed(results)
    found = f"{len(bad)} of {len(results)} checks failed"
    return Score(
        "accuracy", "checks", _share(len(results) - len(bad), len(results)), found, str(cut_folder(cut) / RESULTS)
    )


def _whole(folder: Path) -> Score:
    files, changed = read_publication(folder)["files"], verify_published(folder)
    found = f"{len(changed)} of {len(files)} published files changed" + (f": {', '.join(changed)}" if changed else "")
    return Score(
        "accuracy", "published files as published", _share(len(files) - len(changed), len(files)), found, str(folder)
    )


def _minutes(cut: SealedCut, entries: Sequence[Entry], published: Entry) -> Score:
    """From the cut to its publication by the clock on the wall; of a day that was played, from the start of its run."""
    done = datetime.fromisoformat(published.time)
    marked = datetime.fromtimestamp(cut.manifest["time"] / 1e6, UTC)
    runs = [entry for entry in entries[: published.number] if entry.kind == "run"]
    begun, since = marked, f"cut {cut.id}"
    if done - marked > _LIVE and runs:
        begun, since = datetime.fromisoformat(runs[-1].time), f"the run of a played day (entry {runs[-1].number})"
    minutes = (Decimal((done - begun).total_seconds()) / 60).quantize(_POINT, rounding=ROUND_HALF_UP)
    proof = f"ledger entry {published.number}"
    return Score("timeliness", "minutes from cut to pack", None, f"{minutes:,} minutes since {since}", proof)


def _manual(cut: SealedCut, entries: Sequence[Entry], published: Entry) -> Score:
    """What people did by hand to the day: overrides of its checks, events they loaded."""
    day = cut.manifest["business_date"]
    touches = [
        entry
        for entry in entries[: published.number]
        if (entry.kind == "override" and entry.what["cut"].startswith(f"{day}/")) or entry.kind == "ingest"
    ]
    told = ", ".join(f"{entry.kind} by {entry.who} (entry {entry.number})" for entry in touches)
    return Score("accuracy", "manual touches", None, f"{len(touches)}{': ' if told else ''}{told}", "ledger.jsonl")


def _adaptable(cut: SealedCut, entries: Sequence[Entry]) -> Score:
    """How often the day was stated: each version is sealed from the log, none by hand."""
    versions = sorted(
        entry.what["version"] for entry in entries if entry.kind == "seal" and entry.what["cut"] == cut.id
    )
    found = f"{len(versions)} versions of {cut.id} sealed from the log"
    return Score("adaptability", "restatements", None, found, f"ledger entries of kind seal, cut {cut.id}")


def _table(cut: SealedCut, name: str) -> str:
    digest = cut.manifest["tables"].get(name, {}).get("digest", "not sealed")
    return f"table {name} of {cut.id} v{cut.version}, SHA-256 {digest[:16]}"


def _publication(entries: Sequence[Entry], digest: str) -> Entry:
    """The ledger's entry of a publication."""
    return next(e for e in entries if e.kind == "publication" and e.what["publication"] == digest)
