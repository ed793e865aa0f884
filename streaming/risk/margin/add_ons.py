"""Discretionary add-ons: what a risk officer asks of one account or client, with who, when, why and until when.

The file is TOML::

    [[add_on]]
    account = "ACC-0001"             # or client = "...", then only a share
    amount = "250000"                # dollars; or share = "0.10" of the risk-based requirement
    who = "credit risk"
    since = 2026-11-02
    until = 2027-01-31               # last day, inclusive
    why = "pending audit of the fund's valuation"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from streaming.risk.money import MICRO, fraction
from streaming.risk.reference import Accounts


class AddOnError(ValueError):
    """An add-on that cannot be used: where, what was expected, what was found."""


@dataclass(frozen=True, slots=True)
class AddOn:
    """One discretionary add-on. ``amount`` in micros, or ``share`` in ppm of the risk-based requirement."""

    account: str | None
    client: str | None
    amount: int
    share: int
    who: str
    since: date
    until: date
    why: str

    def covers(self, day: date) -> bool:
        return self.since <= day <= self.until


def parse_add_ons(text: str) -> tuple[AddOn, ...]:
    """The add-ons of one file, in the order of the file.

    Raises:
        AddOnError: An entry is incomplete, ends before it begins, or does not say exactly one scope and one size.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AddOnError(f"add-ons: expected TOML, found {error}") from None
    if set(data) - {"add_on"}:
        raise AddOnError(f"add-ons: expected [[add_on]] only, found {sorted(set(data) - {'add_on'})}")
    return tuple(add_on_of(item, f"add-on {number}") for number, item in enumerate(data.get("add_on", []), 1))


Charge = tuple[AddOn, np.ndarray]
"""An add-on in force and what it charges each account: int64 micros."""


def charges(
    add_ons: tuple[AddOn, ...], accounts: Accounts, codes: np.ndarray, risk_based: np.ndarray, day: date
) -> tuple[Charge, ...]:
    """The add-ons in force on ``day``, each with its charges in the order of the account ``codes``; they add up.

    ``risk_based`` is the requirement that a share refers to, in the same order.
    """
    found = []
    for add_on in add_ons:
        if add_on.covers(day):
            charged = add_on.amount + fraction(risk_based, add_on.share)
            found.append((add_on, np.where(in_scope(add_on, accounts, codes), charged, 0)))
    return tuple(found)


def in_scope(add_on: AddOn, accounts: Accounts, codes: np.ndarray) -> np.ndarray:
    """Which of the account ``codes`` an add-on applies to: a boolean column."""
    if add_on.account is not None:
        return accounts.id[codes] == add_on.account
    return accounts.client[codes] == add_on.client


_TEXTS, _DAYS = ("who", "why"), ("since", "until")
_OPTIONAL = ("account", "client", "amount", "share")


def add_on_of(item: Mapping[str, Any], where: str) -> AddOn:
    """The add-on that the fields of one entry say; AddOnError names ``where``."""
    unknown = set(item) - {*_TEXTS, *_DAYS, *_OPTIONAL}
    if unknown:
        raise AddOnError(f"{where}: expected {[*_OPTIONAL, *_TEXTS, *_DAYS]}, found {sorted(unknown)}")
    for name in _TEXTS:
        if not isinstance(item.get(name), str) or not item[name].strip():
            raise AddOnError(f"{where}: expected text in {name}, found {item.get(name)!r}")
    for name in _DAYS:
        if type(item.get(name)) is not date:
            raise AddOnError(f"{where}: expected a date in {name}, found {item.get(name)!r}")
    if item["until"] < item["since"]:
        raise AddOnError(f"{where}: expected until at or after {item['since']}, found {item['until']}")
    if ("account" in item) == ("client" in item):
        raise AddOnError(f"{where}: expected either account or client")
    if ("amount" in item) == ("share" in item):
        raise AddOnError(f"{where}: expected either amount or share")
    if "client" in item and "amount" in item:
        raise AddOnError(f"{where}: expected a share for a client, an amount belongs to one account")
    return AddOn(
        item.get("account"), item.get("client"), _scaled(item, "amount", where), _scaled(item, "share", where),
        item["who"], item["since"], item["until"], item["why"],
    )  # fmt: skip


def _scaled(item: Mapping[str, Any], name: str, where: str) -> int:
    if name not in item:
        return 0
    try:
        value = Decimal(str(item[name])) * MICRO
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0 or value % 1:
        raise AddOnError(f"{where}: expected a positive number in {name}, six decimals at most, found {item[name]!r}")
    return int(value)
