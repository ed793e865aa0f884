"""The rules in force in a stretch: the epoch's versions say which rulebook, at which rule date."""

from collections.abc import Mapping
from datetime import date
from functools import cache

from streaming.risk import rulebook
from streaming.risk.rulebook import RuleError, Rules


def rules_in_force(versions: Mapping[str, str]) -> Rules:
    """The rulebook at the announced rule date; RuleError when this code ships another rulebook than announced."""
    book = rulebook.load()
    if versions.get("rulebook") != book.version:
        raise RuleError(f"rulebook: expected version {versions.get('rulebook')!r}, found {book.version!r}")
    return _at(versions["rule_date"])


@cache
def _at(rule_date: str) -> Rules:
    """One object per rule date, so that what is derived from it can be kept."""
    return rulebook.load().at(date.fromisoformat(rule_date))


def versions_in_force(rule_date: date, code: str) -> dict[str, str]:
    """What the clock announces: this code's rulebook at a rule date."""
    return {"rulebook": rulebook.load().version, "rule_date": rule_date.isoformat(), "code": code}
