"""The evidence pack: one archive per published version, with everything that another machine needs to do it again.

    cut/            manifest, certificate and check results of the sealed cut
    published/      workbooks with their maps of cells, headline figures, the list of files with their digests
    log/            the raw events and epochs from the opening of the day to the cut
    start/          manifest and states of the cut before the day, where there is one
    rulebook/       every parameter file
    code.json       digest of each source file that decides a number; requirements.lock the dependencies
    inputs.json     digest, events and offsets of each partition of the log span
    context.json    what the reports were told beside the cut: overrides, what is generated
    signatures.json and ledger.jsonl, up to the last entry that concerns the version

The same version packed again has the same bytes.
"""

from collections.abc import Mapping
from datetime import date, datetime
from hashlib import sha256
from importlib import resources
from pathlib import Path

import orjson

from orchestration import generated
from orchestration.checks import RESULTS, cut_folder
from orchestration.container import pack_bytes
from orchestration.edge import code_digests
from orchestration.errors import UserError
from orchestration.gate import overrides_of
from orchestration.ledger import Entry, Ledger
from orchestration.pipeline import Home, opening
from orchestration.process import ROOT
from orchestration.proof import CERTIFICATE
from orchestration.publish import PUBLICATION, read_publication, verify_published
from orchestration.signing import publication_digest, sign_off
from orchestration.spans import cut_out, encode_span
from reports.archive import replace_file
from streaming.cuts import SealedCut, open_cut
from streaming.engine.epochs import EPOCHS

FORMAT = 1
LOCK = "requirements.lock"
RECREATED = ("tables/",)
"""Published files that are left out: they are made again from the sealed tables."""


def write_pack(home: Home, folder: Path, path: Path | None = None) -> tuple[Path, bytes]:
    """Put the pack of a published version into a file, ``out/DATE/pack-vN.zip`` unless named; file and bytes."""
    content = pack(home, folder)
    path = path or folder.parent / f"pack-{folder.name}.zip"
    replace_file(path, content)
    return path, content


def pack(home: Home, folder: Path) -> bytes:
    """The pack of the version published in ``out/DATE/vN``; UserError when a published file was changed."""
    damaged = verify_published(folder)
    if damaged:
        raise UserError(f"pack: expected {folder} as published, found changed: {', '.join(damaged)}")
    home.index.refresh()
    recorded = read_publication(folder)
    cut = open_cut(home.settings.store, recorded["cut"], recorded["cut_version"])
    signed, lines = sign_off(home.ledger, folder), _ledger_lines(home.ledger, folder, cut)
    entries = {
        **_published(folder, recorded["files"]),
        **{f"cut/{name}": (cut_folder(cut) / name).read_bytes() for name in ("manifest.json", CERTIFICATE, RESULTS)},
        **_log(home, cut),
        **_start(home, cut),
        **rulebook_files(),
        "code.json": _json({"version": cut.manifest["versions"]["code"], "files": code_digests()}),
        LOCK: (ROOT / LOCK).read_bytes(),
        "context.json": _json(_context(home, cut, folder)),
        "signatures.json": _json(signed.document()),
        "ledger.jsonl": b"".join(entry.encode() for entry in lines),
    }
    about = {
        "format": FORMAT,
        "date": signed.date,
        "version": signed.version,
        "status": signed.status,
        "cut": cut.id,
        "cut_version": cut.version,
        "versions": cut.manifest["versions"],
        "publication": publication_digest(folder),
        "ledger_head": lines[-1].hash if lines else "",
    }
    return pack_bytes(about, entries)


def _json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def _published(folder: Path, files: Mapping[str, str]) -> dict[str, bytes]:
    kept = [name for name in files if not name.startswith(RECREATED)]
    return {f"published/{name}": (folder / name).read_bytes() for name in (*kept, PUBLICATION)}


def _log(home: Home, cut: SealedCut) -> dict[str, bytes]:
    """The spans, and what they hold."""
    epoch, start = home.index[cut.manifest["epoch"]], opening(home, date.fromisoformat(cut.manifest["business_date"]))
    begun = open_cut(home.settings.store, *start).manifest if start else None
    first = home.index.offset(begun["epoch"]) if begun else home.log.first(EPOCHS, 0)
    spans = cut_out(home.log, epoch, (first, home.index.next_offset(epoch.number + 1)), begun and begun["offsets"])
    encoded = {f"log/{topic}-{partition}": encode_span(span) for (topic, partition), span in spans.spans.items()}
    inputs = {
        f"{topic}/{partition}": {
            "from": span.start,
            "to": span.stop,
            "events": len(span.payloads),
            "sha256": sha256(b"".join(span.payloads)).hexdigest(),
        }
        for (topic, partition), span in spans.spans.items()
    }
    return {**encoded, "inputs.json": _json(inputs)}


def _start(home: Home, cut: SealedCut) -> dict[str, bytes]:
    """The state that the day began with."""
    start = opening(home, date.fromisoformat(cut.manifest["business_date"]))
    if start is None:
        return {}
    folder = home.store.path(*start)
    files = [folder / "manifest.json", *sorted((folder / "state").iterdir())]
    return {f"start/{path.relative_to(folder)}": path.read_bytes() for path in files}


def rulebook_files() -> dict[str, bytes]:
    """Every parameter file, as ``rulebook/<name>``."""
    folder = resources.files("streaming.risk.rulebook")
    return {f"rulebook/{item.name}": item.read_bytes() for item in folder.iterdir() if item.name.endswith(".toml")}


def _context(home: Home, cut: SealedCut, folder: Path) -> dict[str, object]:
    """What the reports were told beside the cut when they were published."""
    digest = publication_digest(folder)
    (entry,) = [entry for entry in home.ledger.entries("publication") if entry.what["publication"] == digest]
    in_force = overrides_of(cut, home.ledger, datetime.fromisoformat(entry.time))
    overrides = [{"who": found.who, **found.what} for found in in_force if found.number < entry.number]
    return {"overrides": overrides, "generated": list(generated.sentences(home.settings))}


def _ledger_lines(ledger: Ledger, folder: Path, cut: SealedCut) -> list[Entry]:
    """The ledger up to the last entry that concerns the version; its chain begins at the first."""
    digest, entries = publication_digest(folder), ledger.entries()
    concerned = [number for number, entry in enumerate(entries) if entry.what.get("publication") == digest]
    if not concerned:
        raise UserError(f"pack: expected the publication of {folder} in the ledger, found no entry")
    return entries[: concerned[-1] + 1]
