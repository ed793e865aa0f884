"""Limits as data: metric, scope, amber, red, owner, valid-from; evaluated on columns after every price set.

The file is TOML with ``[[limit]]`` tables (``data/limits.toml`` is the sample that ships). ``scope`` is ``firm``, or a
level and a name such as ``account:ACC-0001``, or all names of a level: ``client:*``. A named scope stands before the
scope of all names; of two limits on the same metric and scope the later ``valid_from`` stands. ``amber`` below ``red``
means that high values breach, ``amber`` above ``red`` that low values do; reaching a threshold is breaching it. An
entry may end with ``valid_to``, its last day.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from importlib import resources

import numpy as np
import pyarrow as pa

from streaming.risk.money import MICRO

FIRM, ALL = "firm", "*"


class LimitError(ValueError):
    """A limits file that cannot be used: where, what was expected, what was found."""


class Status(IntEnum):
    """Where a value stands; ordered by severity."""

    GREEN = 0
    AMBER = 1
    RED = 2
    NOT_EVALUATED = 3
    """A limit in force whose metric or name was not there: shown, never passed over."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit. Thresholds in micros (amounts) or ppm (ratios)."""

    metric: str
    level: str
    """``firm``, ``client``, ``account`` or another level that metrics are given for."""
    name: str
    """The name within the level; ``*`` = every name; empty for the firm."""
    amber: int
    red: int
    owner: str
    valid_from: date
    valid_to: date | None = None
    """Last day; None = until another one stands."""

    def covers(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    @property
    def scope(self) -> str:
        return self.level if self.level == FIRM else f"{self.level}:{self.name}"


@dataclass(frozen=True, slots=True)
class Metric:
    """The values of one metric at one level."""

    name: np.ndarray
    """Text; for the firm one empty name."""
    value: np.ndarray
    """int64 micros or ppm."""


def parse_limits(text: str) -> tuple[Limit, ...]:
    """The limits of one file.

    Raises:
        LimitError: An entry is incomplete, a threshold is no number, amber equals red, or two entries are the same.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LimitError(f"limits: expected TOML, found {error}") from None
    if set(data) - {"limit"}:
        raise LimitError(f"limits: expected [[limit]] only, found {sorted(set(data) - {'limit'})}")
    limits = tuple(limit_of(item, f"limit {number}") for number, item in enumerate(data.get("limit", []), 1))
    seen: set[tuple[str, str, date]] = set()
    for limit in limits:
        key = (limit.metric, limit.scope, limit.valid_from)
        if key in seen:
            raise LimitError(f"limit {limit.metric}, {limit.scope}: expected one from {limit.valid_from}, found two")
        seen.add(key)
    return limits


def sample_limits() -> tuple[Limit, ...]:
    """The limits that ship with the code."""
    return parse_limits((resources.files(__package__) / "data" / "limits.toml").read_text("utf-8"))


def evaluate(limits: tuple[Limit, ...], metrics: Mapping[tuple[str, str], Metric], day: date) -> pa.Table:
    """Every limit in force on ``day`` against its metric: one row per limited name, most severe first.

    ``metrics`` are keyed by (metric, level). Columns: metric, level, name, value, amber, red (int64 micros or ppm,
    value null where not evaluated), status, owner, valid_from. Rows of equal status are ordered by metric, level, name.
    """
    parts: list[tuple[Limit, np.ndarray, np.ndarray | None]] = []
    for (metric, level), members in _in_force(limits, day).items():
        column = metrics.get((metric, level))
        for name, limit in members.items():
            if column is None:
                parts.append((limit, np.array([limit.name], dtype=object), None))
                continue
            others = np.array([other for other in members if other != ALL], dtype=object)
            chosen = ~np.isin(column.name, others) if name == ALL else column.name == name
            if name != ALL and not chosen.any():
                parts.append((limit, np.array([name], dtype=object), None))
            else:
                parts.append((limit, column.name[chosen], column.value[chosen]))
    return _table(parts)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The limit that stands for each of some names, as columns."""

    amber: np.ndarray
    red: np.ndarray
    limited: np.ndarray
    """Whether there is one."""

    def status(self, value: np.ndarray) -> np.ndarray:
        """:class:`Status` of each name's value: int8; GREEN where no limit stands."""
        high = self.amber < self.red
        reached = [np.where(high, value >= side, value <= side) & self.limited for side in (self.red, self.amber)]
        return np.select(reached, [np.int8(Status.RED), np.int8(Status.AMBER)], np.int8(Status.GREEN))


def thresholds(limits: tuple[Limit, ...], metric: str, level: str, names: np.ndarray, day: date) -> Thresholds:
    """The limits on one metric in force on ``day``, by name: as :func:`evaluate` chooses them."""
    standing = _in_force(limits, day).get((metric, level), {})
    chosen = [standing.get(str(name), standing.get(ALL)) for name in names]
    amber, red = (
        np.array([getattr(limit, side) if limit else 0 for limit in chosen], np.int64) for side in ("amber", "red")
    )
    return Thresholds(amber, red, np.array([limit is not None for limit in chosen], bool))


def status_of(limit: Limit, value: np.ndarray) -> np.ndarray:
    """:class:`Status` of each value: int8."""
    high = limit.amber < limit.red
    reached = [value >= level if high else value <= level for level in (limit.red, limit.amber)]
    return np.select(reached, [np.int8(Status.RED), np.int8(Status.AMBER)], np.int8(Status.GREEN))


_SCHEMA = pa.schema(
    [
        ("metric", pa.string()),
        ("level", pa.string()),
        ("name", pa.string()),
        ("value", pa.int64()),
        ("amber", pa.int64()),
        ("red", pa.int64()),
        ("status", pa.string()),
        ("owner", pa.string()),
        ("valid_from", pa.date32()),
    ]
)
_FIELDS = ("metric", "scope", "amber", "red", "owner", "valid_from")
_VALID_TO = "valid_to"


def _in_force(limits: tuple[Limit, ...], day: date) -> dict[tuple[str, str], dict[str, Limit]]:
    """(metric, level) to name to the limit that stands on ``day``."""
    standing: dict[tuple[str, str], dict[str, Limit]] = {}
    for limit in sorted(limits, key=lambda entry: entry.valid_from):
        if limit.covers(day):
            standing.setdefault((limit.metric, limit.level), {})[limit.name] = limit
    return standing


_SEVERITY = {Status.RED: 0, Status.NOT_EVALUATED: 1, Status.AMBER: 2, Status.GREEN: 3}


def _table(parts: list[tuple[Limit, np.ndarray, np.ndarray | None]]) -> pa.Table:
    """The evaluated limits as columns, most severe first; values of None were not evaluated."""
    if not parts:
        return _SCHEMA.empty_table()
    limits = [limit for limit, _, _ in parts]
    which = np.repeat(np.arange(len(parts)), [len(names) for _, names, _ in parts])
    name = np.concatenate([names for _, names, _ in parts])
    value = np.concatenate([np.zeros(len(n), dtype=np.int64) if v is None else v for _, n, v in parts])
    unknown = np.array([values is None for _, _, values in parts])[which]
    status = np.concatenate(
        [
            np.full(len(names), Status.NOT_EVALUATED) if values is None else status_of(limit, values)
            for limit, names, values in parts
        ]
    )
    severity = np.array([_SEVERITY[Status(s)] for s in range(len(_SEVERITY))])[status]
    order = np.lexsort((np.unique(name, return_inverse=True)[1], _ranks(limits)[which], severity))

    def of(attribute: str) -> np.ndarray:
        return np.array([getattr(limit, attribute) for limit in limits])[which[order]]

    labels = np.array([Status(s).name for s in range(len(_SEVERITY))], dtype=object)
    columns = [
        of("metric"), of("level"), name[order], pa.array(value[order], pa.int64(), mask=unknown[order]), of("amber"),
        of("red"), labels[status[order]], of("owner"), of("valid_from"),
    ]  # fmt: skip
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, _SCHEMA)], schema=_SCHEMA)


def _ranks(limits: list[Limit]) -> np.ndarray:
    """Limits of the same metric and level share a rank, in the order of their texts."""
    keys = [(limit.metric, limit.level) for limit in limits]
    position = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return np.array([position[key] for key in keys])


def limit_of(item: Mapping[str, object], where: str) -> Limit:
    """The limit that the fields of one entry say; LimitError names ``where``."""
    if set(item) - {_VALID_TO} != set(_FIELDS):
        missing, unknown = sorted(set(_FIELDS) - set(item)), sorted(set(item) - {*_FIELDS, _VALID_TO})
        raise LimitError(f"{where}: expected {list(_FIELDS)}, missing {missing}, unknown {unknown}")
    metric, scope, owner = (_text(item, name, where) for name in ("metric", "scope", "owner"))
    valid_from, valid_to = item["valid_from"], item.get(_VALID_TO)
    if type(valid_from) is not date:
        raise LimitError(f"{where}: expected a date in valid_from, found {valid_from!r}")
    if valid_to is not None and (type(valid_to) is not date or valid_to < valid_from):
        raise LimitError(f"{where}: expected a date from {valid_from} on in valid_to, found {valid_to!r}")
    level, separator, name = scope.partition(":")
    if (level == FIRM) == bool(separator) or (separator and not name):
        raise LimitError(f"{where}: expected scope firm, or level:name, or level:*, found {scope!r}")
    amber, red = (_threshold(item, side, where) for side in ("amber", "red"))
    if amber == red:
        raise LimitError(f"{where}: expected amber and red to differ, found {item['amber']} twice")
    return Limit(metric, level, name, amber, red, owner, valid_from, valid_to)


def _text(item: Mapping[str, object], name: str, where: str) -> str:
    value = item[name]
    if not isinstance(value, str) or not value.strip():
        raise LimitError(f"{where}: expected text in {name}, found {value!r}")
    return value


def _threshold(item: Mapping[str, object], side: str, where: str) -> int:
    try:
        value = Decimal(str(item[side])) * MICRO
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value % 1:
        raise LimitError(f"{where}: expected a number with at most six decimals in {side}, found {item[side]!r}")
    return int(value)
