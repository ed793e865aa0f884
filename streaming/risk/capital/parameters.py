"""Rulebook lists of text and tables of numbers, typed."""

from collections.abc import Mapping
from decimal import Decimal

from streaming.risk.money import micros
from streaming.risk.rulebook import RuleError, Rules


def texts(id: str, rules: Rules) -> tuple[str, ...]:  # noqa: A002
    """A list parameter as texts, in the rulebook's order."""
    value = rules.parameter(id).value
    if not isinstance(value, list):
        raise RuleError(f"{id}: expected a list, found {value!r}")
    return tuple(str(item) for item in value)


def decimals(id: str, rules: Rules) -> Mapping[str, Decimal]:  # noqa: A002
    """A table parameter as decimals by name, in the rulebook's order."""
    return {name: Decimal(str(value)) for name, value in rules.table(id).items()}


def rates_ppm(id: str, rules: Rules) -> Mapping[str, int]:  # noqa: A002
    """A table parameter as parts per million by name."""
    return {name: micros(value) for name, value in decimals(id, rules).items()}
