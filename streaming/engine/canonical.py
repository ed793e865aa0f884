"""Canonical bytes: one value, one encoding, on every machine; and the digests over them.

States and tables are encoded column by column: names, types, then little-endian values. Equal business content gives
equal bytes whatever the batches, chunks, dictionaries or padding it was made of. Never pickle: decoding runs no code.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from streaming.schema import model
from streaming.schema.model import Table

_NUMPY_KINDS = "biuf"


class EncodingError(TypeError):
    """A value that has no canonical encoding, or bytes that are none."""


def encode(value: Any) -> bytes:
    """Canonical bytes of nested dataclasses, dicts, tuples, arrays, text, whole numbers, bytes, flags and None."""
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def decode(data: bytes, kind: type | None = None) -> Any:
    """The value; ``kind`` is the dataclass that the outermost record must fill."""
    value, end = _decode(memoryview(data), 0, kind)
    if end != len(data):
        raise EncodingError(f"expected {end} bytes, found {len(data)}")
    return value


def encode_state(state: Any) -> tuple[bytes, str]:
    """A state's canonical bytes, and the SHA-256 of its business content: without fields marked as locators."""
    parts, digest = _parts_and_digest(state)
    return b"".join(parts), digest


def state_digest(state: Any) -> str:
    """The SHA-256 of a state's business content alone."""
    return _parts_and_digest(state)[1]


def _parts_and_digest(state: Any) -> tuple[list[bytes], str]:
    out: list[bytes] = []
    business: list[bytes] = []
    _encode(state, out, business)
    digest = hashlib.sha256()
    for part in business:
        digest.update(part)
    return out, digest.hexdigest()


def table_digest(schema: Table, rows: pa.Table) -> str:
    """SHA-256 over the business columns of ``rows``, which must be sorted by the table's key."""
    digest = hashlib.sha256(f"{schema.name}/{schema.version}/{rows.num_rows}".encode())
    for column in schema.business:
        digest.update(f"/{column.name}:{column.type}/".encode())
        for tag, part in _column_parts(rows.column(column.name)):
            digest.update(tag.encode() + part)
    return digest.hexdigest()


def sort_by_key(schema: Table, rows: pa.Table) -> pa.Table:
    """``rows`` in the table's column order, sorted by key; the key must be unique."""
    rows = rows.select(schema.arrow.names).cast(schema.arrow)
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in schema.key]) if schema.key else None
    rows = rows.take(order).combine_chunks() if order is not None else rows
    if schema.key and rows.num_rows > 1:
        same = None
        for name in schema.key:
            column = rows.column(name).combine_chunks()
            equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
            same = equal if same is None else pc.and_(same, equal)
        if pc.any(same).as_py():
            at = pc.index(same, True).as_py() + 1
            key = {name: rows.column(name)[at].as_py() for name in schema.key}
            raise ValueError(f"table {schema.name}: expected unique keys, found twice {key}")
    return rows


def _column_parts(column: pa.ChunkedArray) -> Iterable[tuple[str, bytes]]:
    """A column as named byte strings: nulls (if any), then lengths and text, or bits, or values."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # no chunk at all
        array = pa.array([], column.type)
    if array.null_count:
        yield "nulls", np.packbits(pc.is_null(array).to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_string(array.type):
        array = pc.fill_null(array, "")
        yield "lengths", pc.binary_length(array).to_numpy(zero_copy_only=False).astype("<i4").tobytes()
        text = b""
        if len(array):
            offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
            if offsets[-1] > offsets[0]:
                text = bytes(memoryview(array.buffers()[2])[offsets[0] : offsets[-1]])
        yield "text", text
    elif pa.types.is_boolean(array.type):
        yield "bits", np.packbits(pc.fill_null(array, False).to_numpy(zero_copy_only=False)).tobytes()
    elif pa.types.is_decimal(array.type):
        yield "values", decimal_to_int64(array).astype("<i8").tobytes()
    elif pa.types.is_integer(array.type) or pa.types.is_temporal(array.type):
        yield "values", pc.fill_null(_as_integers(array), 0).to_numpy(zero_copy_only=False).tobytes()
    else:
        raise EncodingError(f"no canonical encoding for a column of type {array.type}")


def _as_integers(array: pa.Array) -> pa.Array:
    if pa.types.is_integer(array.type):
        return array
    return array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())


def _column_from_parts(type_: pa.DataType, parts: Mapping[str, bytes], rows: int) -> pa.Array:
    absent = None
    if "nulls" in parts:
        absent = np.unpackbits(np.frombuffer(parts["nulls"], np.uint8), count=rows).astype(bool)
    if pa.types.is_string(type_):
        ends = np.cumsum(np.frombuffer(parts["lengths"], "<i4"), dtype=np.int32)
        offsets = np.concatenate([np.zeros(1, np.int32), ends])
        validity = pa.py_buffer(np.packbits(~absent, bitorder="little").tobytes()) if absent is not None else None
        return pa.Array.from_buffers(
            type_, rows, [validity, pa.py_buffer(offsets.tobytes()), pa.py_buffer(parts["text"])]
        )
    if pa.types.is_boolean(type_):
        return pa.array(np.unpackbits(np.frombuffer(parts["bits"], np.uint8), count=rows).astype(bool), mask=absent)
    if pa.types.is_decimal(type_):
        return int64_to_decimal(np.frombuffer(parts["values"], "<i8"), type_, absent)
    width = type_ if pa.types.is_integer(type_) else (pa.int32() if type_.bit_width == 32 else pa.int64())
    values = np.frombuffer(parts["values"], width.to_pandas_dtype())
    return pa.array(values, width, mask=absent).view(type_)


def decimal_to_int64(array: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The unscaled 64-bit integers of a decimal column (micros for scale 6); null counts as 0."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if len(array) == 0:
        return np.empty(0, np.int64)
    halves = np.frombuffer(array.buffers()[1], np.int64).reshape(-1, 2)[array.offset : array.offset + len(array)]
    low, high = halves[:, 0], halves[:, 1]
    if array.null_count:
        absent = pc.is_null(array).to_numpy(zero_copy_only=False)
        low, high = np.where(absent, 0, low), np.where(absent, 0, high)
    if not np.array_equal(high, low >> 63):
        raise EncodingError("a decimal leaves the 64-bit range")
    return low.copy() if not array.null_count else low


def int64_to_decimal(values: np.ndarray, type_: pa.Decimal128Type, absent: np.ndarray | None = None) -> pa.Array:
    """A decimal column from unscaled 64-bit integers; null where ``absent``."""
    values = np.ascontiguousarray(values, dtype=np.int64)
    halves = np.empty((len(values), 2), np.int64)
    halves[:, 0], halves[:, 1] = values, values >> 63
    validity = None
    if absent is not None and absent.any():
        validity = pa.py_buffer(np.packbits(~absent, bitorder="little").tobytes())
    return pa.Array.from_buffers(type_, len(values), [validity, pa.py_buffer(halves.tobytes())])


def _encode(value: Any, *outs: list[bytes]) -> None:
    """Append to each of ``outs``; the second one, if there is one, goes without locators."""
    if value is None:
        _put(b"N", outs)
    elif value is True or value is False:
        _put(b"T" if value else b"F", outs)
    elif isinstance(value, int) and not isinstance(value, np.generic):
        _put(b"i" + struct.pack("<q", value), outs)
    elif isinstance(value, str):
        _put_sized(b"s", value.encode(), outs)
    elif isinstance(value, bytes):
        _put_sized(b"b", value, outs)
    elif isinstance(value, np.ndarray):
        _encode_array(value, outs)
    elif isinstance(value, pa.Table):
        _encode_table(value, outs)
    elif isinstance(value, (tuple, list)):
        _put(b"l" + struct.pack("<q", len(value)), outs)
        for item in value:
            _encode(item, *outs)
    elif isinstance(value, dict):
        _put(b"d" + struct.pack("<q", len(value)), outs)
        for key in sorted(value):
            _encode(key, *outs)
            _encode(value[key], *outs)
    elif hasattr(value, "__canonical__"):
        _encode(value.__canonical__(), *outs)
    elif is_dataclass(value):
        _encode_record(value, outs)
    else:
        raise EncodingError(f"no canonical encoding for {type(value).__name__}")


def _put(part: bytes, outs: tuple[list[bytes], ...]) -> None:
    for out in outs:
        out.append(part)


def _put_sized(tag: bytes, content: bytes, outs: tuple[list[bytes], ...]) -> None:
    _put(tag + struct.pack("<q", len(content)), outs)
    _put(content, outs)


def _encode_record(value: Any, outs: tuple[list[bytes], ...]) -> None:
    whole = fields(value)
    business = [item for item in whole if not item.metadata.get("locator")]
    for out, kept in zip(outs, (whole, business), strict=False):
        out.append(b"r" + struct.pack("<q", len(kept)))
    for item in whole:
        into = outs[:1] if item.metadata.get("locator") else outs
        _encode(item.name, *into)
        _encode(getattr(value, item.name), *into)


def _encode_array(value: np.ndarray, outs: tuple[list[bytes], ...]) -> None:
    if value.dtype == object:
        texts = [text.encode() for text in value.tolist()]
        head = {"t": "text", "n": len(texts)}
        body = np.array([len(text) for text in texts], "<i4").tobytes() + b"".join(texts)
    elif value.dtype.kind in _NUMPY_KINDS:
        plain = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        head, body = {"t": plain.dtype.str, "n": list(value.shape)}, plain.tobytes()
    else:
        raise EncodingError(f"no canonical encoding for an array of {value.dtype}")
    _put_sized(b"h", orjson.dumps(head), outs)
    _put_sized(b"b", body, outs)


def _encode_table(value: pa.Table, outs: tuple[list[bytes], ...]) -> None:
    columns = [[field.name, str(field.type), field.nullable] for field in value.schema]
    parts = [dict(_column_parts(column)) for column in value.columns]
    _put_sized(b"h", orjson.dumps({"t": "table", "n": value.num_rows, "columns": columns}), outs)
    _encode(parts, *outs)


def _decode(data: memoryview, at: int, kind: type | None = None) -> tuple[Any, int]:
    tag = bytes(data[at : at + 1])
    if tag in (b"N", b"T", b"F"):
        return {b"N": None, b"T": True, b"F": False}[tag], at + 1
    if tag not in (b"i", b"s", b"b", b"h", b"l", b"d", b"r"):
        raise EncodingError(f"expected a value at byte {at}, found {tag!r}")
    (number,) = struct.unpack_from("<q", data, at + 1)
    at += 9
    if tag == b"i":
        return number, at
    if tag in (b"s", b"b"):
        content = bytes(data[at : at + number])
        return (content.decode() if tag == b"s" else content), at + number
    if tag == b"h":
        return _decode_array(orjson.loads(data[at : at + number]), data, at + number)
    if tag == b"l":
        items = []
        for _ in range(number):
            item, at = _decode(data, at)
            items.append(item)
        return tuple(items), at
    record: dict[Any, Any] = {}
    nested = {item.name: item.type for item in fields(kind)} if tag == b"r" and kind else {}
    for _ in range(number):
        key, at = _decode(data, at)
        inner = nested.get(key)
        record[key], at = _decode(data, at, inner if isinstance(inner, type) and is_dataclass(inner) else None)
        if isinstance(inner, type) and hasattr(inner, "from_canonical"):
            record[key] = inner.from_canonical(record[key])
    if tag == b"r" and kind:
        if set(record) != set(nested):
            raise EncodingError(f"{kind.__name__}: expected fields {sorted(nested)}, found {sorted(record)}")
        return kind(**record), at
    return record, at


def _decode_array(head: dict, data: memoryview, at: int) -> tuple[np.ndarray | pa.Table, int]:
    if head["t"] == "table":
        return _decode_table(head, data, at)
    body, at = _decode(data, at)
    if head["t"] != "text":
        return np.frombuffer(body, head["t"]).reshape(head["n"]).copy(), at
    lengths = np.frombuffer(body, "<i4", head["n"])
    values, position = np.empty(head["n"], object), 4 * head["n"]
    for i, length in enumerate(lengths.tolist()):
        values[i] = body[position : position + length].decode()
        position += length
    return values, at


def _decode_table(head: dict, data: memoryview, at: int) -> tuple[pa.Table, int]:
    parts, at = _decode(data, at)
    schema = pa.schema([pa.field(name, _type(text), nullable) for name, text, nullable in head["columns"]])
    columns = [_column_from_parts(field.type, part, head["n"]) for field, part in zip(schema, parts, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema), at


def _type(text: str) -> pa.DataType:
    """The column type that prints as ``text``."""
    return _TYPES[text] if text in _TYPES else pa.type_for_alias(text)


_TYPES = {str(type_): type_ for type_ in (model.MONEY, model.FINE, model.INSTANT, model.DAY, pa.timestamp("us"))}
