"""Verifying an evidence pack: is it what was packed, and does doing it again give the same.

It needs the pack and this code, and neither the network nor the home that it came from.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

import orjson
import pyarrow as pa

from orchestration.container import DamagedPackError, read_pack
from orchestration.days import marked_cuts, newest_versions
from orchestration.edge import code_digests
from orchestration.errors import UserError
from orchestration.evidence import FORMAT, LOCK, rulebook_files
from orchestration.ledger import GENESIS, Entry
from orchestration.process import ROOT
from orchestration.publish import headlines_bytes, write_tables
from orchestration.signing import ROLES
from orchestration.spans import SpanLog, decode_span, with_versions
from streaming.apps import chain
from streaming.cuts import SealedCut, open_cut
from streaming.engine.canonical import sort_by_key, table_digest
from streaming.engine.epochs import Epoch, EpochIndex
from streaming.engine.replay import replay
from streaming.engine.runner import restore
from streaming.engine.sealing import Cut, CutStore
from streaming.log import Log
from streaming.schema.sealed import TABLES


@dataclass(frozen=True, slots=True)
class Finding:
    """One digest against the other."""

    what: str
    expected: str
    found: str

    @property
    def equal(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared."""

    about: Mapping
    signatures: Mapping
    findings: tuple[Finding, ...]

    @property
    def unequal(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.equal]


def verify(
    path: Path, work: Path, log: Log | None = None, progress: Callable[[str], None] = lambda _: None
) -> Verified:
    """Check a pack and run it again in the folder ``work``, from its own log span or from ``log``.

    DamagedPackError names the first thing in the pack that is not what was packed; what differs when done again is
    among the findings. Afterwards ``work/published`` holds every published file, made again.
    """
    about, entries = read_pack(path)
    if about["format"] != FORMAT:
        raise UserError(f"{path}: expected format {FORMAT}, found {about['format']}")
    progress("whole")
    publication = orjson.loads(entries["published/publication.json"])
    _belongs_together(path, about, entries, publication)
    findings = [*environment(entries)]
    spans = _spans(path, entries)
    findings += _inputs(entries, spans, log)
    progress("inputs")
    store = CutStore(work / "store")
    sealed, again, earlier = _sealed_again(entries, log or spans, store, work / "scratch")
    manifest = orjson.loads(entries["cut/manifest.json"])
    findings += [
        Finding(f"table {name}", entry["digest"], again.digests.get(name, "none"))
        for name, entry in manifest["tables"].items()
    ]
    findings += [
        Finding(f"state {name}", digest, again.state_digests.get(name, "none"))
        for name, digest in manifest["states"].items()
    ]
    progress("tables and states")
    files = _published_again(entries, sealed, earlier, store, work / "published")
    findings += [Finding(name, digest, files.get(name, "none")) for name, digest in publication["files"].items()]
    progress("reports")
    return Verified(about, orjson.loads(entries["signatures.json"]), tuple(findings))


def _belongs_together(path: Path, about: Mapping, entries: Mapping[str, bytes], publication: Mapping) -> None:
    """The parts name one another by digest, and the ledger's chain holds."""
    pairs = [
        ("published/publication.json", about["publication"], _digest(entries["published/publication.json"])),
        ("cut/manifest.json", publication["manifest"], _digest(entries["cut/manifest.json"])),
        ("cut/checks.json", publication["manifest"], orjson.loads(entries["cut/checks.json"])["manifest"]),
    ]
    pairs += [
        (f"published/{name}", digest, _digest(entries[f"published/{name}"]))
        for name, digest in publication["files"].items()
        if f"published/{name}" in entries
    ]
    for name, expected, found in pairs:
        if expected != found:
            raise DamagedPackError(f"{path}: {name}: expected digest {expected}, found {found}")
    head, signed = GENESIS, []
    for number, line in enumerate(entries["ledger.jsonl"].splitlines()):
        entry = Entry(**orjson.loads(line))
        if entry.number != number or entry.previous != head or not entry.intact:
            raise DamagedPackError(
                f"{path}: ledger.jsonl, line {number + 1}: the entry does not fit the chain of hashes"
            )
        head = entry.hash
        if entry.kind == "signature" and entry.what["publication"] == about["publication"]:
            signed.append((entry.what["role"], entry.what["name"], entry.time))
    if head != about["ledger_head"]:
        raise DamagedPackError(f"{path}: ledger.jsonl: expected head {about['ledger_head']}, found {head}")
    shown = orjson.loads(entries["signatures.json"])
    if [(one["role"], one["name"], one["time"]) for one in shown["signatures"]] != signed:
        raise DamagedPackError(f"{path}: signatures.json: expected the signatures of the ledger, found others")
    if (shown["status"] == "SIGNED") != (len(signed) == len(ROLES)):
        raise DamagedPackError(f"{path}: signatures.json: expected a status that fits {len(signed)} signatures")


def environment(entries: Mapping[str, bytes]) -> Iterator[Finding]:
    """This machine's code, rules and dependencies against the pack's; the code file by file."""
    packed, here = orjson.loads(entries["code.json"])["files"], code_digests()
    for name in sorted({*packed, *here}):
        if packed.get(name) != here.get(name):
            yield Finding(f"code streaming/{name}", packed.get(name, "none"), here.get(name, "none"))
    yield Finding("code", _digest(orjson.dumps(packed)), _digest(orjson.dumps(here)))
    rules = rulebook_files()
    for name in sorted({*rules, *(entry for entry in entries if entry.startswith("rulebook/"))}):
        yield Finding(name, _digest(entries.get(name, b"")), _digest(rules.get(name, b"")))
    lock = ROOT / LOCK
    if lock.exists():
        yield Finding(LOCK, _digest(entries[LOCK]), _digest(lock.read_bytes()))


def _spans(path: Path, entries: Mapping[str, bytes]) -> SpanLog:
    spans = {}
    for name, content in entries.items():
        if name.startswith("log/"):
            topic, _, partition = name.removeprefix("log/").rpartition("-")
            spans[topic, int(partition)] = decode_span(content)
    if not spans:
        raise DamagedPackError(f"{path}: expected the span of the log, found none")
    found = SpanLog(spans)
    start = entries.get("start/manifest.json")
    return with_versions(found, orjson.loads(start)["versions"]) if start else found


def _inputs(entries: Mapping[str, bytes], spans: SpanLog, log: Log | None) -> Iterator[Finding]:
    """The raw events: of the pack, and where another log is given its own, by partition."""
    for name, entry in orjson.loads(entries["inputs.json"]).items():
        topic, _, partition = name.rpartition("/")
        if topic == "epochs" and log is None:
            continue  # its first record may carry the versions in force
        source = log or spans
        span = source.read(topic, int(partition), entry["from"], entry["to"])
        yield Finding(f"input {name}", entry["sha256"], _digest(b"".join(span.payloads)))


def _sealed_again(
    entries: Mapping[str, bytes], log: Log, store: CutStore, scratch: Path
) -> tuple[SealedCut, Cut, list[SealedCut]]:
    """Every cut of the day recomputed and sealed: the published one, that as it was computed, and the earlier ones."""
    manifest = orjson.loads(entries["cut/manifest.json"])
    start = _restored(entries, store) if "start/manifest.json" in entries else None
    begin = store.epoch(*start[1:]) + 1 if start else 0
    of_day = marked_cuts(EpochIndex(log), date.fromisoformat(manifest["business_date"]))
    wanted = [cut for cut in of_day if begin <= cut.epoch.number <= manifest["epoch"]]
    if not wanted or (wanted[-1].id, wanted[-1].version) != (manifest["cut"], manifest["version"]):
        known = ", ".join(map(str, wanted)) or "none"
        raise UserError(f"log: expected the cut {manifest['cut']} v{manifest['version']} as its last, found {known}")
    cuts = list(replay(log, chain.jobs(), [cut.epoch for cut in wanted], scratch, start))
    store.write([(cut, marked.version) for cut, marked in zip(cuts, wanted, strict=True)])
    before = [cut for cut in newest_versions(wanted) if cut.id != manifest["cut"]]
    earlier = [open_cut(store.folder, cut.id, cut.version) for cut in before]
    return open_cut(store.folder, manifest["cut"], manifest["version"]), cuts[-1], earlier


def _restored(entries: Mapping[str, bytes], store: CutStore) -> tuple[CutStore, str, int]:
    """The cut before the day: its states as packed, and its tables, sealed again from them as its manifest says."""
    manifest = orjson.loads(entries["start/manifest.json"])
    cut, version = manifest["cut"], manifest["version"]
    folder = store.path(cut, version)
    for name, content in entries.items():
        if name.startswith("start/state/"):
            target = folder / name.removeprefix("start/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    found = _sealed_from_states(manifest, store, cut, version)
    wrong = [name for name, entry in manifest["tables"].items() if found.digests.get(name) != entry["digest"]]
    if wrong:
        raise UserError(f"start {cut}: expected the sealed tables from its states, found others: {', '.join(wrong)}")
    store.write([(found, version)])
    return store, cut, version


def _sealed_from_states(manifest: Mapping, store: CutStore, cut: str, version: int) -> Cut:
    """A sealed cut from its states alone."""
    epoch = Epoch(
        manifest["epoch"],
        manifest["time"],
        date.fromisoformat(manifest["business_date"]),
        {topic: tuple(ends) for topic, ends in manifest["offsets"].items()},
        manifest["price_set"],
        cut,
    )
    parts: dict[str, list[pa.Table]] = {}
    states: dict[str, Mapping[str, bytes]] = {}
    for job in chain.jobs():
        shards = sorted(
            int(name.rpartition("/")[2]) for name in manifest["states"] if name.rpartition("/")[0] == job.apps[0].name
        )
        for shard in shards:
            blobs = {app.name: store.state(cut, version, app.name, shard) for app in job.apps}
            at = restore(job, blobs)
            for app in job.apps:
                states[f"{app.name}/{shard}"] = blobs[app.name]
                for name, table in app.seal(at.states[app.name], epoch).items():
                    parts.setdefault(name, []).append(table)
    tables = {name: sort_by_key(TABLES[name], pa.concat_tables(found)) for name, found in parts.items()}
    digests = {name: table_digest(TABLES[name], table) for name, table in tables.items()}
    return Cut(epoch, manifest["versions"], tables, digests, states)


def _published_again(
    entries: Mapping[str, bytes], sealed: SealedCut, earlier: Sequence[SealedCut], store: CutStore, folder: Path
) -> dict[str, str]:
    """Every published file made again from the recomputed cut; name -> digest."""
    import reports

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    told = orjson.loads(entries["context.json"])
    context = reports.Context(
        orjson.loads(entries["cut/certificate.json"]),
        orjson.loads(entries["cut/checks.json"])["results"],
        told["overrides"],
        told["generated"],
        earlier,
    )
    before = None
    if "start/manifest.json" in entries:
        start = orjson.loads(entries["start/manifest.json"])
        before = open_cut(store.folder, start["cut"], start["version"])
    reports.build(sealed, folder, context, before)
    (folder / "headlines.json").write_bytes(headlines_bytes(sealed))
    write_tables(folder / "tables", sealed)
    for name in ("certificate.json", "checks.json"):
        (folder / name).write_bytes(entries[f"published/{name}"])
    return {str(path.relative_to(folder)): _digest(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()
