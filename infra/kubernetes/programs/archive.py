"""Copy what is sealed and published to where nobody can change it: ``archive.py FOLDER=URI ...``.

Only whole versions go (a sealed one has its manifest, which is written last), file by file, the manifest last here,
too. A file that is there already is compared by size and left alone: under its lock it could not be replaced. Pointers
(symbolic links) and half-made files (names beginning with a dot) stay behind.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from pyarrow import fs

LAST = frozenset({"manifest.json"})
"""Whoever finds it finds the rest."""


class ArchiveError(RuntimeError):
    """What is archived differs from what is here."""


def archive(folder: Path, target: fs.FileSystem) -> int:
    """Copy every new file of a folder; returns how many. ArchiveError when one that is there has another size."""
    source = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    copied = 0
    for path in sorted(_files(folder), key=lambda path: (path.parent.as_posix() if path.name in LAST else "", path)):
        name = path.relative_to(folder).as_posix()
        found = target.get_file_info(name)
        if found.type == fs.FileType.NotFound:
            if not isinstance(target, fs.S3FileSystem):
                target.create_dir(Path(name).parent.as_posix(), recursive=True)
            fs.copy_files(name, name, source_filesystem=source, destination_filesystem=target)
            copied += 1
        elif found.size != path.stat().st_size:
            raise ArchiveError(f"{name}: expected {path.stat().st_size} bytes in the archive, found {found.size}")
    return copied


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inner = path.relative_to(folder)
        if any(part.startswith(".") for part in inner.parts) or any((folder / p).is_symlink() for p in _parts(inner)):
            continue
        if path.is_file() and _is_complete(folder, inner):
            yield path


def _is_complete(folder: Path, inner: Path) -> bool:
    """Whether the version that a file belongs to is finished; files of no version are."""
    for part in _parts(inner):
        if part.name.startswith("v") and part.name[1:].isdigit():
            return (folder / part / "manifest.json").exists()
    return True


def _parts(inner: Path) -> Iterator[Path]:
    """The path itself and its folders."""
    yield inner
    yield from (parent for parent in inner.parents if parent != Path())


def main(arguments: list[str]) -> None:
    """Archive each folder under its address."""
    for argument in arguments:
        folder, _, uri = argument.partition("=")
        target, root = fs.FileSystem.from_uri(uri)
        print(f"{folder}: {archive(Path(folder), fs.SubTreeFileSystem(root, target))} files archived")


if __name__ == "__main__":
    main(sys.argv[1:])
