"""The rule calculator's registry: one door to every formula.

A rule module's ``cases.py`` registers thin adapters over the functions that the stream uses::

    @kind("equity_haircut", inputs="long_mv, short_mv", result="haircut")
    def equity_haircut(case: Case) -> dict[str, object]:
        return {"haircut": haircuts.equity(case.micros("long_mv"), case.micros("short_mv")), ...}

``calculate`` answers a list of cases in order; a case that cannot be computed gives an error and the others still run.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isfinite

from streaming.risk.money import decimal, micros

CASE_MODULES = (
    "streaming.risk.pricing.cases",
    "streaming.risk.var.cases",
    "streaming.risk.margin.cases",
    "streaming.risk.margin.portfolio_cases",
    "streaming.risk.capital.cases",
)


class CaseError(ValueError):
    """A case that cannot be computed: what was expected, what was found."""


class Case:
    """Typed, checked access to one case's inputs."""

    def __init__(self, inputs: Mapping[str, object], path: str = "inputs"):
        if not isinstance(inputs, Mapping):
            raise CaseError(f"{path}: expected an object, found {inputs!r}")
        self._inputs, self._path = inputs, path

    def has(self, name: str) -> bool:
        return self._inputs.get(name) is not None

    def raw(self, name: str) -> object:
        if not self.has(name):
            raise CaseError(f"{self._path}.{name}: expected a value, found none")
        return self._inputs[name]

    def decimal(self, name: str, default: Decimal | int | str | None = None) -> Decimal:
        if default is not None and not self.has(name):
            return Decimal(default)
        return self._decimal(self.raw(name), name)

    def micros(self, name: str, default: Decimal | int | str | None = None) -> int:
        """A price or amount in micros."""
        return micros(self.decimal(name, default))

    def number(self, name: str, default: float | None = None) -> float:
        """A model input as a float: finite."""
        if default is not None and not self.has(name):
            return default
        return float(self._decimal(self.raw(name), name))

    def whole(self, name: str, default: int | None = None) -> int:
        value = self.decimal(name, default)
        if value != value.to_integral_value():
            raise CaseError(f"{self._path}.{name}: expected a whole number, found {value}")
        return int(value)

    def text(self, name: str, default: str | None = None, among: Iterable[str] = ()) -> str:
        value = default if default is not None and not self.has(name) else self.raw(name)
        allowed = tuple(among)
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise CaseError(f"{self._path}.{name}: expected {' or '.join(allowed) or 'text'}, found {value!r}")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = default if default is not None and not self.has(name) else self.raw(name)
        if not isinstance(value, bool):
            raise CaseError(f"{self._path}.{name}: expected true or false, found {value!r}")
        return value

    def items(self, name: str, default: list | None = None) -> list:
        value = default if default is not None and not self.has(name) else self.raw(name)
        if not isinstance(value, list):
            raise CaseError(f"{self._path}.{name}: expected a list, found {value!r}")
        return value

    def numbers(self, name: str) -> list[float]:
        return [float(self._decimal(item, f"{name}[{i}]")) for i, item in enumerate(self.items(name))]

    def cases(self, name: str, default: list | None = None) -> list["Case"]:
        """A list of objects, each as a case of its own."""
        return [Case(item, f"{self._path}.{name}[{i}]") for i, item in enumerate(self.items(name, default))]

    def case(self, name: str) -> "Case":
        return Case(self.raw(name), f"{self._path}.{name}")  # type: ignore[arg-type]

    def refuse(self, name: str, expected: str) -> CaseError:
        return CaseError(f"{self._path}.{name}: expected {expected}, found {self._inputs.get(name)!r}")

    def _decimal(self, value: object, name: str) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
            raise CaseError(f"{self._path}.{name}: expected a number, found {value!r}")
        try:
            number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        except InvalidOperation:
            raise CaseError(f"{self._path}.{name}: expected a number, found {value!r}") from None
        if not number.is_finite():
            raise CaseError(f"{self._path}.{name}: expected a finite number, found {value!r}")
        return number


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of case: its name, its documented inputs and results, and the adapter."""

    name: str
    inputs: str
    result: str
    compute: Callable[[Case], Mapping[str, object]]


_KINDS: dict[str, Kind] = {}


def kind(name: str, *, inputs: str, result: str) -> Callable[[Callable[[Case], Mapping[str, object]]], Callable]:
    """Register an adapter under ``name``; ``inputs`` and ``result`` are what ``plumbline calc --list`` prints."""

    def register(compute: Callable[[Case], Mapping[str, object]]) -> Callable:
        if name in _KINDS and _KINDS[name].compute.__module__ != compute.__module__:
            raise ValueError(f"calc kind {name!r} is registered twice")
        _KINDS[name] = Kind(name, inputs, result, compute)
        return compute

    return register


def kinds() -> dict[str, Kind]:
    """Every registered kind by name; loads the rule modules' adapters on first use."""
    for module in CASE_MODULES:
        importlib.import_module(module)
    return dict(_KINDS)


def money(amount: int) -> Decimal:
    """Micros as an unrounded dollar result."""
    return decimal(amount)


def calculate(cases: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Answer each ``{"id", "kind", "inputs"}`` in order with ``{"id", "result"}`` or ``{"id", "error"}``."""
    known, answers = kinds(), []
    for item in cases:
        identifier = item.get("id") if isinstance(item, Mapping) else None
        try:
            if not isinstance(item, Mapping):
                raise CaseError(f"case: expected an object with id, kind and inputs, found {item!r}")
            name = item.get("kind")
            if not isinstance(name, str) or name not in known:
                raise CaseError(f"kind: expected one of {len(known)} kinds (plumbline calc --list), found {name!r}")
            result = known[name].compute(Case(item.get("inputs", {})))  # type: ignore[arg-type]
            answers.append({"id": identifier, "result": _plain(result, name)})
        except (CaseError, ArithmeticError, ValueError) as error:
            answers.append({"id": identifier, "error": str(error)})
    return answers


def _plain(value: object, path: str) -> object:
    """Results as plain JSON values; a NaN or infinity is an error, never an answer."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, path) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _plain(value.tolist(), path)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not isfinite(value):
        raise CaseError(f"{path}: expected a finite result, found {value!r}")
    return value
