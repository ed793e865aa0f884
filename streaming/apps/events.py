"""Raw JSON events into columns, a whole poll at once; what cannot be read is named, never lost."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from streaming.engine.canonical import decimal_to_int64
from streaming.engine.stretch import RawBatch
from streaming.schema.model import DAY, FLAG, INSTANT, MONEY, TEXT, WHOLE, Topic


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is no event of its topic."""

    row: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """The readable messages as columns, and the others."""

    rows: np.ndarray
    """int64: which messages the table's rows are, ascending."""
    table: pa.Table
    malformed: list[Malformed]
    source: "tuple[Parsed, int] | None" = None
    """What this is a part of, and the row there at which it begins."""
    read: dict[tuple, Any] = field(default_factory=dict)
    """The columns that somebody has asked for: read once for all parts."""

    def part(self, low: int, high: int) -> "Parsed":
        """The messages [low, high), renumbered from 0."""
        first, stop = np.searchsorted(self.rows, [low, high]).tolist()
        bad = [Malformed(item.row - low, item.reason, item.detail) for item in self.malformed if low <= item.row < high]
        whole, begin = self.source or (self, 0)
        return Parsed(self.rows[first:stop] - low, self.table.slice(first, stop - first), bad, (whole, begin + first))

    def followed_by(self, other: "Parsed", messages: int) -> "Parsed":
        """This one's ``messages`` messages and then the other's."""
        bad = [Malformed(item.row + messages, item.reason, item.detail) for item in other.malformed]
        table = pa.concat_tables([self.table, other.table]).combine_chunks()
        return Parsed(np.concatenate([self.rows, other.rows + messages]), table, self.malformed + bad)

    def whole(self, name: str, absent: int = 0) -> np.ndarray:
        """A numeric column as int64: micros, ppm, whole numbers, microseconds or days since 1970-01-01."""
        return self._column(_whole, name, absent)

    def absent(self, name: str) -> np.ndarray:
        return self._column(_absent, name)

    def text(self, name: str) -> pa.Array:
        """A text column, empty where absent."""
        return self._column(_text, name)

    def flag(self, name: str, absent: bool) -> np.ndarray:
        return self._column(_flag, name, absent)

    def among(self, name: str, values: tuple[str, ...], absent: int = -1) -> np.ndarray:
        """The position of a text among ``values``, int64; -1 when it is none of them, ``absent`` when not given."""
        return self._column(_among, name, values, absent)

    def _column(self, read: Callable[..., Any], *arguments: Any) -> Any:
        """This part's rows of a column that is read for the whole."""
        whole, begin = self.source or (self, 0)
        key = (read, *arguments)
        if key not in whole.read:
            whole.read[key] = read(whole.table, *arguments)
        return whole.read[key][begin : begin + len(self.rows)]


def _whole(table: pa.Table, name: str, absent: int) -> np.ndarray:
    column = table.column(name).combine_chunks()
    if pa.types.is_decimal(column.type):
        values = decimal_to_int64(column)
    elif pa.types.is_temporal(column.type):
        values = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        values = values // 86_400 if column.type == _JSON_DAY else values
    else:
        values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return _shared(np.where(_absent(table, name), absent, values) if column.null_count and absent else values)


def _absent(table: pa.Table, name: str) -> np.ndarray:
    return _shared(pc.is_null(table.column(name)).to_numpy())


def _text(table: pa.Table, name: str) -> pa.Array:
    return pc.fill_null(table.column(name).combine_chunks(), "")


def _flag(table: pa.Table, name: str, absent: bool) -> np.ndarray:
    return _shared(pc.fill_null(table.column(name).combine_chunks(), absent).to_numpy(zero_copy_only=False))


def _among(table: pa.Table, name: str, values: tuple[str, ...], absent: int) -> np.ndarray:
    found = pc.index_in(table.column(name).combine_chunks(), pa.array(values))
    places = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _shared(np.where(_absent(table, name), absent, places))


def _shared(values: np.ndarray) -> np.ndarray:
    """Read-only: several parts, and several applications, read it."""
    values.flags.writeable = False
    return values


_JSON_DAY = pa.timestamp("s")
_EXPECTED = {
    MONEY: "a decimal with at most six places",
    INSTANT: "an ISO 8601 instant",
    _JSON_DAY: "an ISO 8601 date",
    WHOLE: "a whole number",
    TEXT: "text",
    FLAG: "true or false",
}


_BLOCK = 4_096
"""Messages read at once: few enough for the processor's caches, and for one that is malformed to cost little."""


def parse_batch(topic: Topic, batch: RawBatch) -> Parsed:
    """The events of a batch; its whole is read once, however many parts ask."""
    whole = batch.whole or batch
    if "parsed" not in whole.memo:
        whole.memo["parsed"] = parse(topic, whole.payloads)
    parsed: Parsed = whole.memo["parsed"]  # type: ignore[assignment]
    return parsed if whole is batch else parsed.part(batch.low, batch.low + len(batch))


def parse(topic: Topic, payloads: list[bytes]) -> Parsed:
    """Read JSON messages of one topic. Every message ends up in exactly one of ``rows`` and ``malformed``."""
    schema = _json_schema(topic)
    malformed: list[Malformed] = []
    rows, tables = [], []
    for block in range(0, len(payloads), _BLOCK):
        for first, table in _parse_range(schema, payloads, block, min(block + _BLOCK, len(payloads)), malformed):
            rows.append(np.arange(first, first + table.num_rows))
            tables.append(table)
    if not tables:
        return Parsed(np.empty(0, np.int64), schema.empty_table(), malformed)
    return Parsed(np.concatenate(rows), pa.concat_tables(tables).combine_chunks(), malformed)


def _json_schema(topic: Topic) -> pa.Schema:
    return pa.schema([(column.name, _JSON_DAY if column.type == DAY else column.type) for column in topic.columns])


def _parse_range(schema: pa.Schema, payloads: list[bytes], start: int, stop: int, malformed: list[Malformed]):
    """Yield (first row, table) over [start, stop); what cannot be read is halved until the culprit stands alone."""
    if start >= stop:
        return
    table = _read(schema, payloads[start:stop])
    if table is not None:
        yield start, table
    elif stop - start == 1:
        malformed.append(_explain(schema, payloads[start], start))
    else:
        middle = (start + stop) // 2
        yield from _parse_range(schema, payloads, start, middle, malformed)
        yield from _parse_range(schema, payloads, middle, stop, malformed)


def _read(schema: pa.Schema, payloads: list[bytes]) -> pa.Table | None:
    joined = b"\n".join(payloads)
    if not _each_in_braces(payloads, joined):
        return None
    try:
        table = pj.read_json(
            io.BytesIO(joined),
            read_options=pj.ReadOptions(use_threads=False, block_size=max(len(joined) + 1, 1024)),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    return table if table.num_rows == len(payloads) else None


def _each_in_braces(payloads: list[bytes], joined: bytes) -> bool:
    """A line break between messages can then only be white space at the top level: rows and messages match."""
    lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
    if not lengths.all():
        return False
    ends = np.cumsum(lengths + 1) - 2
    text = np.frombuffer(joined, np.uint8)
    return bool((text[ends - lengths + 1] == ord("{")).all() and (text[ends] == ord("}")).all())


def _explain(schema: pa.Schema, payload: bytes, row: int) -> Malformed:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return Malformed(row, "not JSON", str(error)[:200])
    if not isinstance(value, dict):
        return Malformed(row, "not an object", f"expected an object, found {type(value).__name__}")
    for item in schema:
        if value.get(item.name) is not None:
            single = orjson.dumps({item.name: value[item.name]}) if _dumps(value[item.name]) else b""
            if not single or _read(schema, [single]) is None:
                expected = _EXPECTED.get(item.type, str(item.type))
                return Malformed(
                    row, "wrong type", f"{item.name}: expected {expected}, found {value[item.name]!r}"[:200]
                )
    return Malformed(row, "not one object", "expected exactly one JSON object without surrounding text")


def _dumps(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True
