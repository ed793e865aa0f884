"""The rulebook: every numeric parameter of every rule, as data with its source.

The TOML files beside this module hold ``[[parameter]]`` tables::

    [[parameter]]
    id = "regt.maintenance.long_equity"    # file stem . topic . name
    value = "0.25"                         # decimal text; or a list / table of them
    unit = "fraction of market value"
    rule = "FINRA 4210(c)(1)"
    valid_from = 2008-01-01                # optional valid_to: last day, inclusive
    evidence = "V"                         # V found in a public copy, K professional knowledge, H house policy
    source = "4210(c), stored public copy"

House parameters may be overridden for a client or a product by ``[[override]]`` tables (``id``, ``value``, ``client``
and/or ``product``, ``valid_from``, ``valid_to``, ``reason``). The *rule date* that selects entries is separate from the
business date.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal
from functools import cache, cached_property
from importlib import resources

from streaming.risk.money import MICRO


class RuleError(LookupError):
    """A parameter that the rulebook does not have for the date asked."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value of one rule parameter over its validity."""

    id: str
    value: object
    unit: str
    rule: str
    valid_from: date
    valid_to: date | None
    evidence: str
    source: str

    def covers(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Override:
    """A house value for one client and/or product, with its reason."""

    id: str
    value: object
    client: str | None
    product: str | None
    valid_from: date
    valid_to: date | None
    reason: str

    def covers(self, day: date, client: str | None, product: str | None) -> bool:
        return (
            self.valid_from <= day
            and (self.valid_to is None or day <= self.valid_to)
            and self.client in (None, client)
            and self.product in (None, product)
        )


class Rulebook:
    """All parameters over all time. Immutable; its ``version`` is a digest of its content."""

    def __init__(self, parameters: Iterable[Parameter], overrides: Iterable[Override] = ()):
        self.parameters = tuple(sorted(parameters, key=lambda p: (p.id, p.valid_from)))
        self.overrides = tuple(sorted(overrides, key=lambda o: (o.id, o.client or "", o.product or "", o.valid_from)))
        self._by_id: dict[str, list[Parameter]] = {}
        for parameter in self.parameters:
            self._check(parameter)
            self._by_id.setdefault(parameter.id, []).append(parameter)
        for override in self.overrides:
            if any(p.evidence != "H" for p in self._by_id.get(override.id, [])) or override.id not in self._by_id:
                raise RuleError(f"override {override.id}: expected a house (H) parameter of the rulebook")

    def _check(self, parameter: Parameter) -> None:
        if parameter.evidence not in ("V", "K", "H"):
            raise RuleError(f"{parameter.id}: expected evidence V, K or H, found {parameter.evidence!r}")
        for other in self._by_id.get(parameter.id, []):
            if other.valid_to is None or other.valid_to >= parameter.valid_from:
                raise RuleError(f"{parameter.id}: two values on {parameter.valid_from}")

    @cached_property
    def version(self) -> str:
        """SHA-256 over every parameter and override, first 16 hex digits."""
        entries: list[Parameter | Override] = [*self.parameters, *self.overrides]
        content = repr([tuple(map(str, astuple(entry))) for entry in entries])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def lookup(self, id: str, as_of: date, client: str | None = None, product: str | None = None) -> Parameter:  # noqa: A002
        """The parameter in force on ``as_of``; the most specific override that covers it wins."""
        found = next((p for p in self._by_id.get(id, []) if p.covers(as_of)), None)
        if found is None:
            raise RuleError(f"rulebook: no value of {id!r} on {as_of}")
        matching = [o for o in self.overrides if o.id == id and o.covers(as_of, client, product)]
        if not matching:
            return found
        best = max(matching, key=lambda o: ((o.client is not None) + (o.product is not None), o.valid_from))
        return Parameter(id, best.value, found.unit, found.rule, best.valid_from, best.valid_to, "H", best.reason)

    def at(self, rule_date: date) -> "Rules":
        """The rulebook bound to one rule date."""
        return Rules(self, rule_date)


class Rules:
    """A rulebook at a rule date: what rule functions take as an argument."""

    def __init__(self, rulebook: Rulebook, rule_date: date):
        self.rulebook, self.rule_date = rulebook, rule_date
        self._ppm: dict[str, int] = {}

    @property
    def version(self) -> str:
        return self.rulebook.version

    def parameter(self, id: str, client: str | None = None, product: str | None = None) -> Parameter:  # noqa: A002
        return self.rulebook.lookup(id, self.rule_date, client, product)

    def value(self, id: str, **scope: str | None) -> Decimal:  # noqa: A002
        """A scalar parameter as a decimal."""
        value = self.parameter(id, **scope).value
        if isinstance(value, (list, Mapping)):
            raise RuleError(f"{id}: expected one number, found a {type(value).__name__}")
        return Decimal(str(value))

    def ppm(self, id: str, **scope: str | None) -> int:  # noqa: A002
        """A rate in parts per million, or an amount of currency units in micros: the exact integer of ``value``."""
        if not scope and id in self._ppm:
            return self._ppm[id]
        scaled = self.value(id, **scope) * MICRO
        if scaled != scaled.to_integral_value():
            raise RuleError(f"{id}: expected at most six decimals, found {scaled / MICRO}")
        if not scope:
            self._ppm[id] = int(scaled)
        return int(scaled)

    micros = ppm

    def values(self, id: str) -> tuple[Decimal, ...]:  # noqa: A002
        """A list parameter as decimals, in the rulebook's order."""
        value = self.parameter(id).value
        if not isinstance(value, list):
            raise RuleError(f"{id}: expected a list, found {value!r}")
        return tuple(Decimal(str(item)) for item in value)

    def table(self, id: str) -> dict[str, object]:  # noqa: A002
        """A table parameter as it stands in the rulebook."""
        value = self.parameter(id).value
        if not isinstance(value, Mapping):
            raise RuleError(f"{id}: expected a table, found {value!r}")
        return dict(value)


def parse(text: str, where: str) -> tuple[list[Parameter], list[Override]]:
    """Parameters and overrides of one TOML text; errors name ``where`` and the entry."""
    data = tomllib.loads(text)
    unknown = set(data) - {"parameter", "override"}
    if unknown:
        raise RuleError(f"{where}: expected [[parameter]] and [[override]], found {sorted(unknown)}")
    parameters = [_entry(Parameter, item, where) for item in data.get("parameter", [])]
    overrides = [_entry(Override, item, where) for item in data.get("override", [])]
    return parameters, overrides


def _entry(kind, item: dict, where: str):
    optional = {"valid_to": None, "client": None, "product": None}
    names = kind.__dataclass_fields__
    missing = [name for name in names if name not in item and name not in optional]
    if missing or set(item) - set(names):
        raise RuleError(f"{where}: {item.get('id', '?')}: missing {missing}, unknown {sorted(set(item) - set(names))}")
    return kind(**{name: item.get(name, optional.get(name)) for name in names})


@cache
def load() -> Rulebook:
    """The rulebook that ships with the code."""
    parameters: list[Parameter] = []
    overrides: list[Override] = []
    for entry in sorted(resources.files(__package__).iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            more, house = parse(entry.read_text("utf-8"), entry.name)
            parameters += more
            overrides += house
    return Rulebook(parameters, overrides)
