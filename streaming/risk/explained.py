"""A number together with the reason for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a position that a requirement consumed."""

    instrument: str
    quantity: int
    """Signed: contracts for options, shares for stock."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A requirement, charge or deduction, never a bare number.

    ``value`` is in micros of the reporting currency; a requirement is positive. ``rule`` is the rulebook parameter's or
    the regulation's paragraph, ``strategy`` the treatment chosen, ``inputs`` what entered the formula, by name.
    """

    value: int
    rule: str
    strategy: str
    legs: tuple[Leg, ...] = ()
    inputs: Mapping[str, str | int] = field(default_factory=dict)
