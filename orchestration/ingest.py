"""Your own events: files checked field by field against the raw topics, then appended in one transaction.

A column is a field of ``streaming/schema/raw.py``. Nothing is loaded unless every row of every file is good; whether an
event fits the others (a known account, a version that follows) is the book's to judge, with a reason in quarantine.
"""

import csv
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path

import orjson
import pyarrow as pa

from orchestration.calendar import microseconds
from orchestration.errors import UserError
from streaming.apps.routing import shard_of
from streaming.engine.epochs import EPOCHS, Epoch
from streaming.log import Log, Record
from streaming.schema.model import DAY, FLAG, INSTANT, MONEY, RATE, TEXT, WHOLE, Column, Topic
from streaming.schema.raw import FEEDS, REFERENCE_FEEDS

TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in FEEDS}
WRITER = "ingest"
_DECIMALS = 6
_WHOLE_MAX = 2**63
_ERRORS_MAX = 20
_ID_MAX = 64


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, as found."""

    line: int
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """One checked event: when it arrives, whose it is, and its message."""

    topic: str
    time: int
    """Microseconds UTC."""
    key: str
    payload: bytes


class _FieldError(ValueError):
    """Expected and found, without the place."""


def ingest(log: Log, files: Iterable[tuple[str, Path]], day: date | None = None) -> dict[str, int]:
    """Check (topic, file) pairs and append all their events at once; events by topic.

    ``day`` stands in for a business date or, for reference data, an event time that a file does not give. Raises
    UserError naming file, line, column, expected and found, and then nothing was appended.
    """
    errors: list[str] = []
    events = [event for name, path in files for event in read_events(TOPICS[name], path, day, errors)]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise UserError(errors[0] + more)
    events.sort(key=lambda event: event.time)
    floor = _after_newest_epoch(log)
    shards = log.topics()
    records = [
        Record(
            event.topic,
            shard_of(event.key, shards[event.topic]) if TOPICS[event.topic].sharded else 0,
            event.payload,
            max(event.time, floor),
        )
        for event in events
    ]
    log.writer(WRITER).commit(records)
    return {name: sum(event.topic == name for event in events) for name in {event.topic for event in events}}


def read_events(topic: Topic, path: Path, day: date | None, errors: list[str]) -> Iterator[Event]:
    """The checked events of one file; what is wrong with a row goes to ``errors`` instead."""
    fields = {column.name: column for column in topic.columns}
    defaults = _defaults(topic, day)
    for row in _rows(path, fields):
        if len(errors) >= _ERRORS_MAX:
            return
        event: dict[str, object] = dict(defaults)
        for name, column in fields.items():
            value = row.values.get(name)
            if value is None and (name in defaults or not column.required):
                continue
            try:
                event[name] = _field(column, value)
            except _FieldError as error:
                errors.append(f"{path}, line {row.line}, column {name}: {error}")
        if all(name in event for name, column in fields.items() if column.required):
            time = microseconds(datetime.fromisoformat(str(event["event_time"])))
            yield Event(topic.name, time, str(event.get("account", "")), orjson.dumps(event))


def _defaults(topic: Topic, day: date | None) -> dict[str, object]:
    """What a file need not say."""
    found: dict[str, object] = {"schema": topic.version}
    names = {column.name for column in topic.columns}
    if day is not None and "business_date" in names:
        found["business_date"] = day.isoformat()
    if day is not None and topic in REFERENCE_FEEDS:
        found["event_time"] = datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat()
    return found


def _after_newest_epoch(log: Log) -> int:
    """The earliest arrival that the clock has not passed."""
    end = log.end(EPOCHS, 0)
    return Epoch.decode(log.read(EPOCHS, 0, end - 1, end).payloads[0]).time + 1 if end else 0


def _rows(path: Path, fields: Mapping[str, Column]) -> Iterator[Row]:
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows, ".parquet": _parquet_rows}
    if {"metric", "scope"} <= set(fields):
        readers[".toml"] = _policy_rows
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: expected a file ending in {', '.join(readers)}, found {path.suffix or 'none'}")
    for row in readers[path.suffix.lower()](path, fields):
        unknown = [name for name in row.values if name not in fields]
        if unknown:
            raise UserError(f"{path}, line {row.line}: expected columns {', '.join(fields)}; found {unknown[0]}")
        yield row


def _csv_rows(path: Path, fields: Mapping[str, Column]) -> Iterator[Row]:
    """An empty cell is an absent value; lists are separated by semicolons."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            names = next(reader, None)
            if names is None:
                raise UserError(f"{path}, line 1: expected a line of column names, found an empty file")
            for cells in reader:
                if len(cells) != len(names):
                    raise UserError(f"{path}, line {reader.line_num}: expected {len(names)} cells, found {len(cells)}")
                values = {name: _cell(fields.get(name), cell) for name, cell in zip(names, cells) if cell != ""}
                yield Row(reader.line_num, values)
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: expected CSV, found {error}") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#04x}") from None


def _cell(column: Column | None, cell: str) -> object:
    return cell.split(";") if column is not None and pa.types.is_list(column.type) else cell


def _policy_rows(path: Path, fields: Mapping[str, Column]) -> Iterator[Row]:
    """A file of limits or of add-ons as its owners write it: ``[[limit]]`` and ``[[add_on]]``, an entry an event.

    The id says whom and what it concerns, so that a file loaded again replaces its own entries.
    """
    from streaming.risk.margin.add_ons import AddOnError, add_on_of
    from streaming.risk.margin.limits import LimitError, limit_of

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: expected TOML, found {error}") from None
    if unknown := sorted(set(document) - {"limit", "add_on"}):
        raise UserError(f"{path}: expected [[limit]] and [[add_on]], found {', '.join(unknown)}")
    try:
        limits = [(limit_of(item, f"limit {n}"), item) for n, item in enumerate(document.get("limit", []), 1)]
        add_ons = [(add_on_of(item, f"add-on {n}"), item) for n, item in enumerate(document.get("add_on", []), 1)]
    except (LimitError, AddOnError) as error:
        raise UserError(f"{path}: {error}") from None
    for number, (limit, item) in enumerate(limits, 1):
        yield Row(number, {"kind": "limit", **item, "id": _short_id("L", limit.metric, limit.scope, limit.valid_from)})
    for number, (add_on, item) in enumerate(add_ons, 1):
        scope = f"account:{add_on.account}" if add_on.account is not None else f"client:{add_on.client}"
        days = {"valid_from": add_on.since, "valid_to": add_on.until}
        size = {name: item[name] for name in ("amount", "share") if name in item}
        made = {"kind": "add_on", "scope": scope, "owner": add_on.who, "why": add_on.why, **size, **days}
        yield Row(number, made | {"id": _short_id("A", scope, add_on.who, add_on.since)})


def _short_id(*parts: object) -> str:
    """A name made of parts; a digest where it would be longer than an id may be."""
    text = " ".join(map(str, parts))
    return text if len(text) <= _ID_MAX else f"{parts[0]} {sha256(text.encode()).hexdigest()[:32]}"


def _json_rows(path: Path, fields: Mapping[str, Column]) -> Iterator[Row]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    values = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise UserError(f"{path}, line {number}: expected a JSON object, found {error}") from None
                if not isinstance(values, dict):
                    raise UserError(f"{path}, line {number}: expected a JSON object, found {line.strip()[:40]!r}")
                yield Row(number, values)


def _parquet_rows(path: Path, fields: Mapping[str, Column]) -> Iterator[Row]:
    """Lines are rows, the first is 1."""
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: expected a Parquet file, found {error}") from None
    for number, values in enumerate(table.to_pylist(), 1):
        yield Row(number, values)


def _field(column: Column, value: object) -> object:
    """The value as it goes into the message: exact decimals as text, instants and days in ISO 8601."""
    if value is None:
        raise _FieldError(f"expected {_NAMES.get(column.type, 'a list')}, found none")
    if pa.types.is_list(column.type):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _FieldError(f"expected a list, found {value!r}")
        item = Column(column.name, column.type.value_type)
        return [_field(item, one) for one in value]
    return _READERS[column.type](value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _FieldError(f"expected text, found {value!r}")
    return value


def _whole(value: object) -> int:
    number = _number(value, "a whole number")
    if number != number.to_integral_value() or abs(number) >= _WHOLE_MAX:
        raise _FieldError(f"expected a whole number, found {value!r}")
    return int(number)


def _decimal(value: object) -> str:
    number = _number(value, "a decimal number")
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_DECIMALS:
        raise _FieldError(f"expected at most {_DECIMALS} decimals, found {value!r}")
    return f"{number:f}"


def _number(value: object, expected: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise _FieldError(f"expected {expected}, found {value!r}")
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        raise _FieldError(f"expected {expected}, found {value!r}") from None
    if not number.is_finite():
        raise _FieldError(f"expected {expected}, found {value!r}")
    return number


def _flag(value: object) -> bool:
    known = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in known:
        raise _FieldError(f"expected true or false, found {value!r}")
    return known[value.lower()]


def _instant(value: object) -> str:
    expected = "an instant with zone such as 2020-03-16T13:30:00Z"
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise _FieldError(f"expected {expected}, found {value!r}") from None
    if found.tzinfo is None:
        raise _FieldError(f"expected {expected}, found {value!r}")
    return found.astimezone(UTC).isoformat()


def _day(value: object) -> str:
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()
    except ValueError:
        raise _FieldError(f"expected a day such as 2020-03-16, found {value!r}") from None


_READERS: Mapping[pa.DataType, Callable[[object], object]] = {
    TEXT: _text,
    WHOLE: _whole,
    MONEY: _decimal,
    RATE: _decimal,
    FLAG: _flag,
    INSTANT: _instant,
    DAY: _day,
}
_NAMES: Mapping[pa.DataType, str] = {
    TEXT: "text",
    WHOLE: "a whole number",
    MONEY: "a decimal number",
    RATE: "a decimal number",
    FLAG: "true or false",
    INSTANT: "an instant",
    DAY: "a day",
}
