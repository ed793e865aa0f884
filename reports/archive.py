"""Workbook files: the same content gives the same bytes, and a reader never sees half a file."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip entry can carry: workbooks carry none of their own."""
_LEVEL = 6
_CHUNK = 1 << 20


class ReportWriteError(OSError):
    """A report file could not be written; the file that was there is untouched."""


def rewrite(made: bytes, inserts: Mapping[str, Callable[[bytes], Iterator[bytes]]], out: BytesIO) -> None:
    """Write a zip archive again with sorted entries and one fixed time; ``inserts`` replace an entry's content."""
    with ZipFile(BytesIO(made)) as old, ZipFile(out, "w", ZIP_DEFLATED, compresslevel=_LEVEL) as new:
        for name in sorted(old.namelist()):
            entry = ZipInfo(name, _TIME)
            entry.compress_type, entry.external_attr, entry.create_system = ZIP_DEFLATED, 0o600 << 16, 3
            content = old.read(name)
            with new.open(entry, "w", force_zip64=False) as file:
                for piece in inserts[name](content) if name in inserts else (content,):
                    file.write(piece)


def content_digest(path: Path) -> str:
    """SHA-256 over the names and contents of a workbook's entries: the same whatever compressed them."""
    found = hashlib.sha256()
    with ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            content = archive.read(name)
            found.update(f"{name} {len(content)}\n".encode())
            found.update(content)
    return found.hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place as a whole; :class:`ReportWriteError` says in one line why it could not be done."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            for start in range(0, len(content), _CHUNK):
                file.write(content[start : start + _CHUNK])
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ReportWriteError(error.errno, f"{path}: {_reason(error)}; the file was left as it was") from error
    finally:
        _discard(temporary)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the write error that is being reported says what is wrong with the folder


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "expected room on the disk, found it full"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EROFS, errno.ETXTBSY):
        return "expected a file that may be replaced, found it locked or protected (close it in other programs)"
    return error.strerror or str(error)
