"""What a column, a table and a topic are."""

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

MONEY = pa.decimal128(18, 6)
"""Amounts and prices: exact, six decimals; held as int64 micros inside the engine."""
RATE = pa.decimal128(18, 6)
"""Fractions (0.25 = 25%), betas, volatilities, factors: held as int64 parts per million."""
FINE = pa.decimal128(18, 12)
"""Small model numbers such as gamma."""
WHOLE = pa.int64()
TEXT = pa.string()
FLAG = pa.bool_()
INSTANT = pa.timestamp("us", "UTC")
DAY = pa.date32()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, unit and meaning."""

    name: str
    type: pa.DataType
    unit: str = ""
    text: str = ""
    locator: bool = False
    """Where something came from (offsets): sealed and traceable, but outside every digest."""
    required: bool = True
    """In an event: the field must be there. In a table: the value is never null."""


@dataclass(frozen=True)
class Table:
    """A sealed table: rows are unique by ``key`` and sorted by it."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    text: str = ""
    version: int = 1

    def __post_init__(self):
        missing = [name for name in self.key if name not in {column.name for column in self.columns}]
        if missing:
            raise ValueError(f"table {self.name}: key columns {missing} are no columns")

    @cached_property
    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type, nullable=not c.required) for c in self.columns])

    @property
    def business(self) -> tuple[Column, ...]:
        """The columns inside the digest."""
        return tuple(column for column in self.columns if not column.locator)


@dataclass(frozen=True)
class Topic:
    """A topic of the log. ``sharded`` topics have one partition per shard, the others exactly one."""

    name: str
    sharded: bool
    columns: tuple[Column, ...] = ()
    """For raw topics: the documented fields of one JSON event."""
    text: str = ""
    key: str = ""
    version: int = 1
    raw: bool = field(default=False)

    def partitions(self, shards: int) -> int:
        return shards if self.sharded else 1
