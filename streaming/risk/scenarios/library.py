"""The scenario library: what each scenario shocks, as data with source and evidence.

A scenario file is TOML with ``[[scenario]]`` tables::

    [[scenario]]
    id = "M-10"
    name = "index -10%, volatility +50%"
    family = "hypothetical"
    core = true                      # runs at every price set; the others at the end of day and on request
    index = "-0.10"                  # relative move of the market index
    vol = { relative = "0.50" }      # and/or points = "0.05"
    vix = { from = "17.3", to = "37.3" }   # without from: to is a target, compared with today's VIX
    rate_bp = "100"                  # parallel shift
    spread_bp = "200"                # corporate spreads
    start = 2020-02-19               # close-to-close dates: own moves where prices are loaded;
    end = 2020-03-23                 # without start: from the close before
    days = 23                        # trading days the index move took (leveraged funds compound daily)
    names = { GME = "10.19" }        # moves of single instruments
    sectors = { energy = "-0.30" }   # moves of sectors on top of the index
    squeeze = "1"                    # move of heavily shorted names
    correlation = "1"                # correlation of every name with the index
    scope = "name"                   # gap applies to each name alone (or each "sector" alone)
    gap = "-0.50"
    evidence = { index = "H", vol = "H" }  # V found in public, K professional knowledge, H house
    source = "house"

Decimal numbers are text, so that they are exact. A user's file has the same form; its evidence defaults to H.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from streaming.risk.money import MICRO, micros
from streaming.risk.reference import NO_DATE
from streaming.risk.var.history import days

BASIS_POINT = 100
"""ppm in one basis point."""

SCOPES = ("market", "name", "sector")
_TEXTS = ("id", "name", "family", "scope", "source", "note")
_RANGES: dict[str, tuple[Decimal, Decimal]] = {
    "index": (Decimal(-1), Decimal(10)),
    "gap": (Decimal(-1), Decimal(10)),
    "squeeze": (Decimal(-1), Decimal(100)),
    "correlation": (Decimal(-1), Decimal(1)),
    "vol.relative": (Decimal(-1), Decimal(100)),
    "vol.points": (Decimal(-5), Decimal(5)),
    "vix.from": (Decimal("0.01"), Decimal(1000)),
    "vix.to": (Decimal("0.01"), Decimal(1000)),
    "rate_bp": (Decimal(-5000), Decimal(5000)),
    "spread_bp": (Decimal(-5000), Decimal(5000)),
    "names": (Decimal(-1), Decimal(1000)),
    "sectors": (Decimal(-1), Decimal(10)),
}
"""What a scenario may ask for: wide enough for any history, narrow enough to catch 50 written for 50%."""
_FIELDS = {*_TEXTS, "core", "index", "vol", "vix", "rate_bp", "spread_bp", "start", "end", "days", "names", "sectors"}
_FIELDS |= {"squeeze", "correlation", "gap", "evidence", "variable"}


class ScenarioError(ValueError):
    """A scenario file with a mistake: file, entry, expected, found."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A published number that goes with a scenario and shocks no position by itself."""

    name: str
    value: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. Relative moves, points and rates are in ppm, VIX levels in micros; 0 = not shocked."""

    id: str
    name: str
    family: str
    source: str
    core: bool = False
    scope: str = "market"
    """``market``: one state of the world. ``name`` / ``sector``: ``gap`` hits each name / sector alone.
    ``spot``: a cell of the grid, ``gap`` hits every spot alike."""
    index: int = 0
    gap: int = 0
    vol_relative: int = 0
    vol_points: int = 0
    vix_from: int = 0
    vix_to: int = 0
    rate: int = 0
    spread: int = 0
    start: int = NO_DATE
    end: int = NO_DATE
    days: int = 1
    names: tuple[tuple[str, int], ...] = ()
    sectors: tuple[tuple[str, int], ...] = ()
    squeeze: int = 0
    correlation: int | None = None
    evidence: tuple[tuple[str, str], ...] = ()
    note: str = ""
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class Library:
    """Scenarios by id, in a fixed order, with the digest that runs name."""

    scenarios: tuple[Scenario, ...]
    digest: str

    def __getitem__(self, id: str) -> Scenario:  # noqa: A002
        found = next((s for s in self.scenarios if s.id == id), None)
        if found is None:
            raise ScenarioError(f"scenario library: expected {id!r} among {len(self.scenarios)} scenarios, found none")
        return found

    def core(self) -> tuple[Scenario, ...]:
        """The scenarios that run at every price set."""
        return tuple(s for s in self.scenarios if s.core)


def library(scenarios: Iterable[Scenario]) -> Library:
    """A library in order of id; its digest is SHA-256 over the content, first 16 hex digits."""
    ordered = tuple(sorted(scenarios, key=lambda s: s.id))
    for before, after in zip(ordered, ordered[1:]):
        if before.id == after.id:
            raise ScenarioError(f"scenario library: expected each id once, found {after.id!r} twice")
    content = repr([astuple(s) for s in ordered])
    return Library(ordered, hashlib.sha256(content.encode()).hexdigest()[:16])


def parse(text: str, where: str, evidence: str | None = "H") -> list[Scenario]:
    """Scenarios of one TOML text. Errors name ``where`` and the entry; ``evidence`` is the mark where none is given
    (None: every shock must carry its own)."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: expected TOML, found a mistake: {error}") from None
    unknown = sorted(set(data) - {"scenario"})
    if unknown or not isinstance(data.get("scenario"), list) or not data["scenario"]:
        raise ScenarioError(f"{where}: expected [[scenario]] tables, found {unknown or 'none'}")
    return [_Entry(item, where, position, evidence).scenario() for position, item in enumerate(data["scenario"])]


class _Entry:
    """One ``[[scenario]]`` table while it is read: every complaint names the file and the entry."""

    def __init__(self, item: Mapping[str, object], where: str, position: int, evidence: str | None):
        self.item, self.default_mark = item, evidence
        self.label = f"{where}: scenario {item.get('id', f'number {position + 1}')}"

    def scenario(self) -> Scenario:
        unknown = sorted(set(self.item) - _FIELDS)
        if unknown:
            raise self.error(unknown[0], f"one of {', '.join(sorted(_FIELDS))}", "an unknown field")
        vol, vix = self.table("vol", ("relative", "points")), self.table("vix", ("from", "to"))
        if "from" in vix and "to" not in vix:
            raise self.error("vix", "to beside from", sorted(vix))
        shocked = [name for name in sorted(_FIELDS - {"start", "end"}) if name in self.item and name not in _UNMARKED]
        result = Scenario(
            id=self.text("id"),
            name=self.text("name"),
            family=self.text("family", "user"),
            source=self.text("source"),
            core=self.flag("core"),
            scope=self.text("scope", "market"),
            index=self.ppm("index"),
            gap=self.ppm("gap"),
            vol_relative=self.limited(vol.get("relative", "0"), "vol.relative"),
            vol_points=self.limited(vol.get("points", "0"), "vol.points"),
            vix_from=self.limited(vix["from"], "vix.from") if "from" in vix else 0,
            vix_to=self.limited(vix["to"], "vix.to") if "to" in vix else 0,
            rate=self.ppm("rate_bp") * BASIS_POINT // MICRO,
            spread=self.ppm("spread_bp") * BASIS_POINT // MICRO,
            start=self.date("start"),
            end=self.date("end"),
            days=self.trading_days(),
            names=self.moves("names"),
            sectors=self.moves("sectors"),
            squeeze=self.ppm("squeeze"),
            correlation=self.ppm("correlation") if "correlation" in self.item else None,
            evidence=self.marks(shocked),
            note=self.text("note", ""),
            variables=self.variables(),
        )
        self.check(result)
        return result

    def check(self, found: Scenario) -> None:
        if found.scope not in SCOPES:
            raise self.error("scope", " or ".join(SCOPES), found.scope)
        if (found.scope == "market") != ("gap" not in self.item):
            raise self.error("gap", "a gap exactly where scope is name or sector", self.item.get("gap"))
        if found.start != NO_DATE and (found.end == NO_DATE or found.end <= found.start):
            raise self.error("end", "a date after start", self.item.get("end"))

    def error(self, field: str, expected: str, found: object) -> ScenarioError:
        return ScenarioError(f"{self.label}: {field}: expected {expected}, found {found!r}")

    def text(self, field: str, default: str | None = None) -> str:
        value = self.item.get(field, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self.error(field, "text", value)
        return value

    def flag(self, field: str) -> bool:
        value = self.item.get(field, False)
        if not isinstance(value, bool):
            raise self.error(field, "true or false", value)
        return value

    def date(self, field: str) -> int:
        value = self.item.get(field)
        if value is None:
            return NO_DATE
        if type(value) is not date:  # a TOML datetime is a date, too
            raise self.error(field, "a date such as 2020-03-16", value)
        return days(value)

    def trading_days(self) -> int:
        value = self.item.get("days", 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error("days", "a whole number of trading days from 1", value)
        return value

    def table(self, field: str, allowed: tuple[str, ...] = ()) -> dict[str, object]:
        value = self.item.get(field, {})
        if not isinstance(value, Mapping) or (allowed and set(value) - set(allowed)):
            raise self.error(field, f"a table of {' and '.join(allowed) or 'names'}", value)
        return dict(value)

    def moves(self, field: str) -> tuple[tuple[str, int], ...]:
        return tuple((key, self.limited(value, field, key)) for key, value in sorted(self.table(field).items()))

    def ppm(self, field: str) -> int:
        return self.limited(self.item.get(field, "0"), field)

    def limited(self, value: object, field: str, key: str = "") -> int:
        """A number inside its field's range, in millionths."""
        label = f"{field}.{key}" if key else field
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise self.error(label, 'a decimal number as text, such as "-0.10"', value)
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise self.error(label, "a decimal number", value) from None
        least, most = _RANGES[field]
        if not number.is_finite() or not least <= number <= most:
            raise self.error(label, f"a number from {least} to {most}", value)
        return micros(number)

    def marks(self, shocked: list[str]) -> tuple[tuple[str, str], ...]:
        given = self.table("evidence")
        extra = sorted(set(given) - set(shocked))
        if extra:
            raise self.error("evidence", "marks of shocks that are given", extra)
        found = {name: given.get(name, self.default_mark) for name in shocked}
        for name, mark in found.items():
            if mark not in ("V", "K", "H"):
                raise self.error(f"evidence.{name}", "V, K or H", mark)
        return tuple(sorted((name, str(mark)) for name, mark in found.items()))

    def variables(self) -> tuple[Variable, ...]:
        entries = self.item.get("variable", [])
        if not isinstance(entries, list):
            raise self.error("variable", "[[scenario.variable]] tables", entries)
        for entry in entries:
            if set(entry) != {"name", "value", "evidence"} or entry["evidence"] not in ("V", "K", "H"):
                raise self.error("variable", "name, value and evidence V, K or H", entry)
        return tuple(Variable(**entry) for entry in entries)


_UNMARKED = {*_TEXTS, "core", "evidence", "variable"}
"""Fields that are no shock and carry no evidence mark."""
