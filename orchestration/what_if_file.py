"""A what-if file: a sealed cut, and what should have happened before it. TOML or JSON, read into plain data.

cut = "2020-03-16/1030"        # the sealed cut that is asked about
version = 1                    # optional: the newest
name = "index-down"            # optional: folder under branch/; the file's own name
rule_date = 2026-06-04         # optional: the rulebook of another date

[[trade]]
account = "A0001"
instrument = "AAPL"
side = "buy"                   # or sell
quantity = 1000
price = "60.25"                # optional: the cut's price
fee = "0"                      # optional
settle_date = 2020-03-17       # optional: the settlement cycle of the rule date

[[price]]
instrument = "AAPL"
change = "-0.10"               # relative; or price = "54.00"
options = "revalue"            # optional: its options move with it at their volatilities; or keep

[[cash]]
account = "A0001"
amount = "-250000"             # a deposit, or negative: a withdrawal
currency = "USD"               # optional

[[transfer]]                   # between two accounts: cash ...
from = "A0001"
to = "A0002"
amount = "100000"
currency = "USD"               # optional

[[transfer]]                   # ... or a position with its share of the cost
from = "A0001"
to = "A0002"
instrument = "AAPL"
quantity = 500                 # positive: the size; its sign is that of the position
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from orchestration.errors import UserError

REVALUE, KEEP = "revalue", "keep"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_EVENTS_MAX = 1_000
_QUANTITY_MAX = 100_000_000
_AMOUNT_MAX = 1_000_000_000_000
_PRICE_MAX = 1_000_000
"""Bounds of one event, as the book's."""


class WhatIfError(UserError):
    """Everything that is wrong with a file, one line each."""

    def __init__(self, problems: list[str]):
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Trade:
    account: str
    instrument: str
    side: str
    quantity: int
    price: Decimal | None
    """None: the cut's price."""
    fee: Decimal
    settle_date: date | None
    """None: by the settlement cycle."""


@dataclass(frozen=True, slots=True)
class Price:
    instrument: str
    price: Decimal | None
    change: Decimal | None
    """Relative to the cut's price; exactly one of the two is given."""
    options: str
    """``revalue``: the options on it move with it at their volatilities; ``keep``: their prices stay."""


@dataclass(frozen=True, slots=True)
class Cash:
    account: str
    amount: Decimal
    """Positive = credit to the account."""
    currency: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """From one account to another: cash, or part of a position with its share of the cost."""

    source: str
    target: str
    amount: Decimal | None
    currency: str
    instrument: str
    quantity: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A question to a sealed cut."""

    name: str
    cut: str
    version: int | None
    """None: the newest."""
    rule_date: date | None
    trades: tuple[Trade, ...] = ()
    prices: tuple[Price, ...] = ()
    cash: tuple[Cash, ...] = ()
    transfers: tuple[Transfer, ...] = ()


def read(path: Path) -> WhatIf:
    """The question in a file (``.json``, else TOML); WhatIfError lists everything that is wrong with it."""
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".json":
            document = json.loads(text, parse_float=Decimal)
        else:
            document = tomllib.loads(text, parse_float=Decimal)
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise WhatIfError([f"{path.name}: expected {kind}, found {error}"]) from None
    if not isinstance(document, dict):
        raise WhatIfError([f"{path.name}: expected an object, found {type(document).__name__}"])
    return parse({"name": path.stem.lower().replace("_", "-")} | document)


def parse(document: Mapping[str, Any]) -> WhatIf:
    """The question in a document; WhatIfError lists everything that is wrong with it."""
    problems: list[str] = []
    head = _Fields(document, "what-if", problems)
    lists = {
        name: [_entry(entry, f"{name} {number}", make, problems) for number, entry in enumerate(rows, 1)]
        for name, make in _LISTS.items()
        if (rows := _rows(document, name, problems))
    }
    found = WhatIf(
        head.text("name", matching=_NAME, expected="small letters, digits and hyphens"),
        head.text("cut"),
        head.whole("version", 1, 1_000_000, default=None),
        head.day("rule_date"),
        *(tuple(entry for entry in lists.get(name, ()) if entry is not None) for name in _LISTS),
    )
    head.finish(*_LISTS)
    if not problems and found.rule_date is None and not any(lists.values()):
        problems.append("what-if: expected a trade, price, cash, transfer or rule_date, found none")
    if sum(len(rows) for rows in lists.values()) > _EVENTS_MAX:
        problems.append(f"what-if: expected at most {_EVENTS_MAX:,} entries")
    problems += _repeated(found)
    if problems:
        raise WhatIfError(problems)
    return found


def _rows(document: Mapping[str, Any], name: str, problems: list[str]) -> list[Any]:
    rows = document.get(name, [])
    if not isinstance(rows, list):
        problems.append(f"{name}: expected a list of entries, found {rows!r}")
        return []
    return rows


def _entry(entry: Any, where: str, make: "Callable[[_Fields], Any]", problems: list[str]) -> Any:
    """One entry of a list; None when it is no table, or wrong."""
    if not isinstance(entry, Mapping):
        problems.append(f"{where}: expected a table, found {entry!r}")
        return None
    before = len(problems)
    fields = _Fields(entry, where, problems)
    made = make(fields)
    fields.finish()
    return made if len(problems) == before else None


def _repeated(found: WhatIf) -> Iterator[str]:
    names = [price.instrument for price in found.prices]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"price: expected {name} once, found it {names.count(name)} times"


class _Fields:
    """The fields of one entry: each is read once, what is wrong is noted, what is left over is unknown."""

    def __init__(self, entry: Mapping[str, Any], where: str, problems: list[str]):
        self._entry, self._where, self._problems = entry, where, problems
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        self._read.add(name)
        return self._entry.get(name) is not None

    def text(
        self, name: str, default: str | None = None, among: tuple[str, ...] = (), matching: re.Pattern | None = None,
        expected: str = "text",
    ) -> str:  # fmt: skip
        value = self._entry[name] if self.has(name) else default
        wanted = " or ".join(among) if among else expected
        good = isinstance(value, str) and value.strip() and (not among or value in among)
        if not good or (matching is not None and not matching.fullmatch(str(value))):
            self._wrong(name, wanted, value)
            return ""
        return str(value)

    def whole(self, name: str, least: int, most: int, default: int | None) -> Any:
        value = self._entry[name] if self.has(name) else default
        if value is None and default is None and not self.has(name):
            return None
        if type(value) is not int or not least <= value <= most:
            self._wrong(name, f"a whole number from {least:,} to {most:,}", value)
            return least
        return value

    def decimal(self, name: str, least: Decimal, most: Decimal, default: str | None = None) -> Any:
        """None where it is absent and has no default."""
        value = self._entry[name] if self.has(name) else default
        if value is None:
            return None
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        exact = number.is_finite() and number == round(number, 6)
        if isinstance(value, bool) or not exact or not least <= number <= most:
            self._wrong(name, f"a number from {least:,} to {most:,} with at most six decimals", value)
            return Decimal(1)
        return number

    def day(self, name: str) -> date | None:
        if not self.has(name):
            return None
        value = self._entry[name]
        if isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        self._wrong(name, "a date such as 2026-06-04", value)
        return None

    def one_of(self, *names: str) -> None:
        given = [name for name in names if self.has(name)]
        if len(given) != 1:
            told = " and ".join(given) or "none"
            self._problems.append(f"{self._where}: expected one of {', '.join(names)}, found {told}")

    def finish(self, *more: str) -> None:
        unknown = sorted(set(self._entry) - self._read - set(more))
        if unknown:
            known = ", ".join(sorted({*self._read, *more}))
            self._problems.append(f"{self._where}: expected fields {known}, found {', '.join(unknown)}")

    def _wrong(self, name: str, expected: str, found: Any) -> None:
        told = "nothing" if found is None else repr(found) if isinstance(found, str) else str(found)
        self._problems.append(f"{self._where}: {name}: expected {expected}, found {told}")


_CURRENCY = re.compile(r"[A-Z]{3}")


def _currency(fields: _Fields) -> str:
    return fields.text("currency", "USD", matching=_CURRENCY, expected="three capital letters")


def _trade(fields: _Fields) -> Trade:
    return Trade(
        fields.text("account"),
        fields.text("instrument"),
        fields.text("side", among=("buy", "sell")),
        fields.whole("quantity", 1, _QUANTITY_MAX, default=0),
        fields.decimal("price", Decimal(0), Decimal(_PRICE_MAX)),
        fields.decimal("fee", Decimal(0), Decimal(_AMOUNT_MAX), default="0"),
        fields.day("settle_date"),
    )


def _price(fields: _Fields) -> Price:
    fields.one_of("price", "change")
    return Price(
        fields.text("instrument"),
        fields.decimal("price", Decimal("0.000001"), Decimal(_PRICE_MAX)),
        fields.decimal("change", Decimal("-0.999999"), Decimal(1_000)),
        fields.text("options", REVALUE, among=(REVALUE, KEEP)),
    )


def _cash(fields: _Fields) -> Cash:
    amount = fields.decimal("amount", Decimal(-_AMOUNT_MAX), Decimal(_AMOUNT_MAX))
    if not amount:
        fields.text("amount", expected="an amount other than 0")
    return Cash(fields.text("account"), amount or Decimal(0), _currency(fields))


def _transfer(fields: _Fields) -> Transfer:
    fields.one_of("amount", "instrument")
    source, target = fields.text("from"), fields.text("to")
    is_cash = fields.has("amount")
    amount = fields.decimal("amount", Decimal("0.000001"), Decimal(_AMOUNT_MAX))
    instrument = "" if is_cash or not fields.has("instrument") else fields.text("instrument")
    quantity = fields.whole("quantity", 1, _QUANTITY_MAX, default=0) if instrument else 0
    return Transfer(source, target, amount, _currency(fields) if is_cash else "", instrument, quantity)


_LISTS: Mapping[str, Callable[[_Fields], Any]] = {
    "trade": _trade, "price": _price, "cash": _cash, "transfer": _transfer,
}  # fmt: skip
"""List of a document -> how one of its entries is read, in the order of WhatIf."""
