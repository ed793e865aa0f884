"""A sealed cut as pandas frames, which the suites join and judge.

Decimals become float64 for reading only where nothing exact hangs on them; ``exact`` gives whole micros for sums.
"""

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from streaming.schema.sealed import TABLES

MICROS = 1_000_000
ZONE, USUAL_CLOSE = "America/New_York", 16
END_OF_DAY = "eod"


class Cut(Protocol):
    """What a suite reads: ``streaming.cuts.SealedCut``, or anything with the same tables."""

    @property
    def id(self) -> str: ...

    @property
    def manifest(self) -> Mapping: ...

    @property
    def tables(self) -> tuple[str, ...]: ...

    def table(self, name: str) -> pa.Table: ...


class View:
    """The tables of a cut, read once each; beside it what it is compared with, where there is any.

    ``previous`` is the cut before of the same day, ``opening`` the end of the business day before.
    """

    def __init__(
        self,
        cut: Cut,
        certificate: Mapping | None = None,
        previous: Cut | None = None,
        opening: Cut | None = None,
    ):
        self.cut = cut
        self.certificate = certificate
        self.previous = View(previous) if previous is not None else None
        self.opening = View(opening) if opening is not None else None
        self._arrow: dict[str, pa.Table] = {}
        self._frames: dict[str, pd.DataFrame] = {}

    @property
    def manifest(self) -> Mapping:
        return self.cut.manifest

    @property
    def is_end_of_day(self) -> bool:
        return self.cut.id.endswith(f"/{END_OF_DAY}")

    @property
    def business_date(self) -> date:
        return date.fromisoformat(self.cut.manifest["business_date"])

    @property
    def time(self) -> pd.Timestamp:
        """When the clock closed the cut's epoch, UTC."""
        return pd.Timestamp(self.cut.manifest["time"], unit="us", tz="UTC")

    @property
    def close(self) -> pd.Timestamp:
        """The closing bell, UTC: the time of the last cut before the end of day; the usual hour where there is none."""
        if self.is_end_of_day and self.previous is not None:
            return self.previous.time
        local = pd.Timestamp(self.business_date).tz_localize(ZONE) + pd.Timedelta(hours=USUAL_CLOSE)
        return local.tz_convert("UTC")

    @property
    def restated(self) -> bool:
        """Whether this is a later version of a cut."""
        return self.manifest.get("version", 1) > 1

    def has(self, *tables: str) -> bool:
        return set(tables) <= set(self.cut.tables)

    def arrow(self, table: str) -> pa.Table:
        if table not in self._arrow:
            self._arrow[table] = self.cut.table(table)
        return self._arrow[table]

    def frame(self, table: str) -> pd.DataFrame:
        """A copy of a table with decimals as float64, days as ISO text, text as objects."""
        if table not in self._frames:
            self._frames[table] = _frame(self.arrow(table))
        return self._frames[table].copy()

    def exact(self, table: str, column: str) -> np.ndarray:
        """A decimal column as int64 in units of its last place (micros, parts per million)."""
        values = self.arrow(table)[column]
        scale = values.type.scale
        factor = pa.scalar(10**scale, pa.decimal128(scale + 1, 0))
        return pc.multiply(values, factor).cast(pa.decimal128(38, 0), safe=False).cast(pa.int64()).to_numpy()

    @cached_property
    def instruments(self) -> pd.DataFrame:
        """By id."""
        return self.frame("instruments").set_index("id", drop=False)

    @cached_property
    def held(self) -> pd.DataFrame:
        """Instruments that some account holds, by id: ``accounts`` and gross ``units``."""
        positions = self.frame("positions")
        positions = positions[positions["quantity"] != 0]
        gross = positions["quantity"].abs().groupby(positions["instrument"])
        return pd.DataFrame({"accounts": gross.size(), "units": gross.sum()})

    @cached_property
    def split_factor(self) -> pd.Series:
        """New units for one old, by instrument with a split today."""
        actions = self.frame("actions")
        splits = actions[(actions["kind"] == "split") & (actions["denominator"] > 0)]
        return (splits["numerator"] / splits["denominator"]).groupby(splits["instrument"]).prod()


def _frame(table: pa.Table) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in table.column_names:
        values = table[name]
        if pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        elif pa.types.is_date(values.type):
            values = values.cast(pa.string())
        columns[name] = values.to_pandas()
    frame = pd.DataFrame(columns)
    return frame.astype({name: object for name in frame.columns if isinstance(frame[name].dtype, pd.StringDtype)})


def locators(table: str) -> tuple[str, ...]:
    """The columns of a sealed table that say where a row came from."""
    return tuple(column.name for column in TABLES[table].columns if column.locator) if table in TABLES else ()
