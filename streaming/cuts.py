"""Reading sealed cuts: their tables and manifest. Read-only; what reports and expectations build on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import orjson
import pyarrow as pa

from streaming.schema.sealed import TABLES


class UnknownCutError(LookupError):
    """There is no such cut, version or table."""


@dataclass(frozen=True)
class SealedCut:
    """One version of one cut."""

    folder: Path
    id: str
    """``2020-03-16/eod``, ``2020-03-16/1030``."""
    version: int

    @cached_property
    def manifest(self) -> Mapping:
        """Epoch, offsets, price set, versions, and rows and digest of each table."""
        return orjson.loads((self.folder / "cuts" / self.id / f"v{self.version}" / "manifest.json").read_bytes())

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.manifest["tables"])

    def table(self, name: str) -> pa.Table:
        """The rows of a table, sorted by its key; columns, units and meaning in ``streaming/schema/sealed.py``."""
        from deltalake import DeltaTable

        if name not in self.manifest["tables"]:
            raise UnknownCutError(f"cut {self.id} v{self.version}: no table {name!r}, found {', '.join(self.tables)}")
        mine = [("cut", "=", self.id), ("cut_version", "=", self.version)]
        rows = DeltaTable(str(self.folder / "tables" / name)).to_pyarrow_table(filters=mine)
        schema = TABLES[name]
        rows = rows.select(schema.arrow.names).cast(schema.arrow)
        return rows.sort_by([(key, "ascending") for key in schema.key]) if schema.key else rows


def open_cut(folder: Path | str, cut: str, version: int | None = None) -> SealedCut:
    """A sealed cut, in its newest version unless one is named."""
    folder = Path(folder)
    found = sorted(int(path.parent.name[1:]) for path in (folder / "cuts" / cut).glob("v*/manifest.json"))
    if not found or (version is not None and version not in found):
        what = f"cut {cut}" + (f" v{version}" if version is not None else "")
        raise UnknownCutError(f"{what}: not in {folder}; found {', '.join(list_cuts(folder)) or 'none'}")
    return SealedCut(folder, cut, found[-1] if version is None else version)


def list_cuts(folder: Path | str) -> list[str]:
    """The ids of all sealed cuts, oldest first."""
    found = {
        path.parent.parent.relative_to(Path(folder) / "cuts") for path in Path(folder).glob("cuts/*/*/v*/manifest.json")
    }
    return sorted((str(path) for path in found), key=lambda id_: (id_.partition("/")[0], id_.endswith("eod"), id_))
