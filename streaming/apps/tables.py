"""From engine columns (codes, micros, days) to the public tables of a cut."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from streaming.engine.canonical import int64_to_decimal, sort_by_key
from streaming.schema.model import Table


def build(schema: Table, columns: Mapping[str, object]) -> pa.Table:
    """The rows of a sealed table, sorted by key. Integers fill decimal columns as unscaled values (micros, ppm)."""
    arrays = [_array(columns[column.name], column.type) for column in schema.columns]
    return sort_by_key(schema, pa.Table.from_arrays(arrays, schema=schema.arrow))


def _array(values: object, type_: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_decimal(type_) and not (isinstance(values, pa.Array) and pa.types.is_decimal(values.type)):
        numbers = values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else np.asarray(values)
        return int64_to_decimal(numbers, type_)
    array = values if isinstance(values, pa.Array) else pa.array(np.asarray(values))
    if pa.types.is_date(type_):
        days = array.cast(pa.int32())
        absent = np.asarray(days.to_numpy(zero_copy_only=False)) < 0
        return pa.array(days.to_numpy(zero_copy_only=False), pa.int32(), mask=absent).view(type_)
    if pa.types.is_timestamp(type_):
        return array.cast(pa.int64()).view(type_)
    return array.cast(type_)
