"""The file of an evidence pack: a zip archive that has exactly one form, so that no byte of it can change unseen.

Entries lie in order of their names, uncompressed, with one fixed time; ``PACK.json`` lists each with its SHA-256 and
``PACK.sha256`` holds the digest of that list. Reading checks the digests, writes the archive again from what was read,
and compares every byte.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import orjson

from orchestration.errors import UserError

INDEX, SEAL = "PACK.json", "PACK.sha256"
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16


class DamagedPackError(UserError):
    """A pack is not what was packed; names what."""


def pack_bytes(about: Mapping[str, object], entries: Mapping[str, bytes]) -> bytes:
    """The archive; ``about`` goes into the list of entries."""
    listed = {name: sha256(content).hexdigest() for name, content in entries.items()}
    index = orjson.dumps({**about, "entries": listed}, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    return _archive({**entries, INDEX: index, SEAL: sha256(index).hexdigest().encode() + b"\n"})


def _archive(entries: Mapping[str, bytes]) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        for name in sorted(entries):
            entry = ZipInfo(name, _TIME)
            entry.external_attr, entry.create_system = _MODE, 3
            archive.writestr(entry, entries[name])
    return out.getvalue()


def read_pack(path: Path) -> tuple[Mapping, dict[str, bytes]]:
    """The list and the entries of a pack; DamagedPackError names the first thing that is not what was packed."""
    content = path.read_bytes()
    entries = dict(_entries(path, content))
    for name in (INDEX, SEAL):
        if name not in entries:
            raise DamagedPackError(f"{path}: expected an entry {name}, found {', '.join(sorted(entries)) or 'none'}")
    index, seal = entries.pop(INDEX), entries.pop(SEAL)
    if seal != sha256(index).hexdigest().encode() + b"\n":
        raise DamagedPackError(f"{path}: {INDEX}: expected the digest that {SEAL} holds, found another")
    about = orjson.loads(index)
    listed = about["entries"]
    for name in sorted({*listed, *entries}):
        found = sha256(entries[name]).hexdigest() if name in entries else "no such entry"
        if found != listed.get(name):
            raise DamagedPackError(f"{path}: {name}: expected {listed.get(name, 'no such entry')}, found {found}")
    again = _archive({**entries, INDEX: index, SEAL: seal})
    if again != content:
        raise DamagedPackError(f"{path}: {_place(content, again)}: expected the archive's one form, found another")
    return about, entries


def _entries(path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise DamagedPackError(f"{path}: expected each entry once, found one twice")
            for name in names:
                try:
                    yield name, archive.read(name)
                except (BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError) as error:
                    raise DamagedPackError(f"{path}: {name}: cannot be read: {error}") from None
    except (BadZipFile, NotImplementedError, ValueError, OSError, EOFError, UnicodeDecodeError) as error:
        raise DamagedPackError(f"{path}: the archive's directory cannot be read: {error}") from None


def _place(found: bytes, expected: bytes) -> str:
    """Where two archives first differ: the entry whose header or the directory that holds the byte."""
    at = next(
        (i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), min(len(found), len(expected))
    )
    with ZipFile(BytesIO(expected)) as archive:
        before = [entry.filename for entry in archive.infolist() if entry.header_offset <= at < archive.start_dir]
    return f"byte {at} ({f'header of {before[-1]}' if before else 'the directory'})"
