"""A line of a capital computation, with the reason for it and the rows below it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from streaming.risk import money
from streaming.risk.explained import Explained


@dataclass(frozen=True, slots=True)
class Rows:
    """What a line is made of: one amount per key, in micros; the amounts add up to the line."""

    label: str = ""
    """What the keys are: account, instrument, reference."""
    key: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    amount: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        assert len(self.key) == len(self.amount)


NO_ROWS = Rows()


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One reported line. ``explained`` is None where the input was not supplied: that is not zero."""

    code: str
    name: str
    explained: Explained | None
    rows: Rows = NO_ROWS

    @property
    def supplied(self) -> bool:
        return self.explained is not None

    @property
    def value(self) -> int:
        """Micros; what enters a total (nothing where not supplied)."""
        return 0 if self.explained is None else self.explained.value


def line(
    code: str,
    name: str,
    rule: str,
    rows: Rows,
    treatment: str = "",
    inputs: Mapping[str, str | int] | None = None,
) -> StatementLine:
    """A line that is the sum of its rows (rows of amount 0 are dropped)."""
    kept = rows.amount != 0
    total = money.checked_sum(rows.amount, name)
    shown = Rows(rows.label, rows.key[kept], rows.amount[kept])
    return StatementLine(code, name, Explained(total, rule, treatment or name, inputs=inputs or {}), shown)


def formula(
    code: str, name: str, value: int, rule: str, treatment: str = "", inputs: Mapping[str, str | int] | None = None
) -> StatementLine:
    """A line that a formula over its inputs gives."""
    return StatementLine(code, name, Explained(int(value), rule, treatment or name, inputs=inputs or {}))


def not_supplied(code: str, name: str) -> StatementLine:
    """A line whose input is missing."""
    return StatementLine(code, name, None)


def total(lines: Iterable[StatementLine]) -> int:
    """Exact sum of the supplied lines."""
    return sum(item.value for item in lines)


def missing(lines: Iterable[StatementLine]) -> tuple[str, ...]:
    """Codes of the lines that were not supplied."""
    return tuple(item.code for item in lines if not item.supplied)
