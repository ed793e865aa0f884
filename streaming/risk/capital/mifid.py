"""MiFIR transaction report extract (RTS 22): the day's trades as the 65 fields of annex I table 2, validated.

Only for an entity that executes in the EU or UK. RTS 27 and RTS 28 reports are no longer produced and not built. A
trade with a fault is held back and listed by field; a trade out of scope is excluded and counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa

from streaming.risk.capital.parameters import texts
from streaming.risk.money import decimal
from streaming.risk.reference import NO_DATE, AccountKind, Accounts, Instruments, Kind, Right, Style
from streaming.risk.rulebook import Rules

LEI_SHAPE = re.compile(r"[A-Z0-9]{18}[0-9]{2}")
ISIN_SHAPE = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
MIC_SHAPE = re.compile(r"[A-Z0-9]{4}")
UTC_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")
COUNTRY_SHAPE = re.compile(r"[A-Z]{2}")
CURRENCY_SHAPE = re.compile(r"[A-Z]{3}")
DECISION_SHAPE = re.compile(r"[A-Z0-9]{1,50}")
"""National client identifier, algorithm id, or NORE (no person: the client decided the execution)."""
REFERENCE_NOISE = re.compile(r"[^A-Z0-9]")
LEI_MODULUS, LEI_REMAINDER, LUHN_MODULUS, LUHN_CARRY = 97, 1, 10, 9
"""ISO 7064 MOD 97-10, and the modulus-10 double-add-double."""
_HOUSE, _OPTION, _SHARES = int(AccountKind.HOUSE), int(Kind.OPTION), (int(Kind.STOCK), int(Kind.ETF))
"""As plain integers: they are compared once a trade."""
CHECKED_CODES = 65_536
"""Identifiers whose check is remembered: a day repeats few of them very often."""

REQUIRED = ("reference", "account", "instrument", "buy", "quantity", "price", "time", "venue", "counterparty_lei")
OPTIONAL = {
    "cancelled": pa.bool_(),
    "venue_reference": pa.string(),
    "capacity": pa.string(),
    "net_amount": pa.int64(),
    "complex_trade": pa.string(),
    "decision_maker": pa.string(),
    "executor": pa.string(),
    "waiver": pa.string(),
    "short_sale": pa.bool_(),
    "otc_flag": pa.string(),
    "financing": pa.bool_(),
}
"""Columns that may be absent or null: the field stays blank or takes its default."""


@dataclass(frozen=True, slots=True)
class Entity:
    """Who executes and who submits."""

    executing_lei: str
    submitting_lei: str
    investment_firm: bool
    country: str
    """ISO 3166 code of the branch."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a trade is held back."""

    reference: str
    field: int
    name: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Extract:
    """Reports of one day, in the order of the trades."""

    reports: pa.Table
    """One text column per field, named as in the rulebook; blank = not applicable. Only trades without fault."""
    faults: tuple[Fault, ...]
    excluded: dict[str, int]
    """Trades out of scope, counted by reason."""
    due: str
    """Day by whose close the reports must be in, ISO."""


@lru_cache(maxsize=CHECKED_CODES)
def lei_is_valid(text: str) -> bool:
    """Legal entity identifier: 18 letters or digits and two check digits, whole number mod 97 = 1 (ISO 17442)."""
    return bool(LEI_SHAPE.fullmatch(text)) and int("".join(_digits(text))) % LEI_MODULUS == LEI_REMAINDER


@lru_cache(maxsize=CHECKED_CODES)
def isin_is_valid(text: str) -> bool:
    """Securities identifier: country, nine characters, Luhn check digit over the letters as numbers (ISO 6166)."""
    if not ISIN_SHAPE.fullmatch(text):
        return False
    digits = [int(digit) for digit in reversed("".join(_digits(text)))]
    doubled = (2 * digit - (LUHN_CARRY if 2 * digit > LUHN_CARRY else 0) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % LUHN_MODULUS == 0


def mic_is_valid(text: str, rules: Rules) -> bool:
    """Market identifier code: four capital letters or digits, and one of ``mifid.venues`` (it has no check digit)."""
    return bool(MIC_SHAPE.fullmatch(text)) and text in texts("mifid.venues", rules)


def transaction_reports(
    trades: pa.Table,
    accounts: Accounts,
    instruments: Instruments,
    in_scope: np.ndarray,
    entity: Entity,
    rules: Rules,
    *,
    trade_day: str,
    holidays: Sequence[str] = (),
) -> Extract:
    """The day's transaction reports.

    ``trades`` has the columns ``REQUIRED`` (account and instrument codes, buy as flag, quantity in units, price in
    micros, time in microseconds UTC) and any of ``OPTIONAL``; ``in_scope`` tells per instrument whether it, or its
    underlying, is admitted to or traded on an EU or UK venue. Raises ValueError for a missing column.
    """
    missing = [name for name in REQUIRED if name not in trades.column_names]
    if missing:
        raise ValueError(f"trades: expected columns {', '.join(REQUIRED)}, found none of {', '.join(missing)}")
    kept, excluded = _scope(trades, instruments, in_scope)
    rows = _with_optional(trades).take(pa.array(kept, pa.int64())).to_pylist()
    details = cache(lambda code: _option_details(code, instruments))
    names = texts("mifid.rts22.fields", rules)
    reports, faults, seen = [], [], set()
    checks = tuple(_checks(rules).items())
    for row in rows:
        report = _report(row, accounts, instruments, entity, details, len(names))
        found = [
            Fault(report[1], number, names[number - 1], expected, report[number - 1])
            for number, (expected, passes) in checks
            if not passes(report[number - 1])
        ]
        key = (report[0], report[1])
        if key in seen:
            found.append(Fault(report[1], 2, names[1], "a reference used once", report[1]))
        seen.add(key)
        faults += found
        if not found:
            reports.append(report)
    columns = list(zip(*reports)) if reports else [()] * len(names)
    table = pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns)})
    days = int(rules.value("mifid.due_business_days"))
    due = str(np.busday_offset(np.datetime64(trade_day, "D"), days, roll="backward", holidays=list(holidays)))
    return Extract(table, tuple(faults), dict(sorted(excluded.items())), due)


def _scope(trades: pa.Table, instruments: Instruments, in_scope: np.ndarray) -> tuple[list[int], Counter[str]]:
    """Rows to report; a listed option without ISIN is reported by its details if the underlying has one."""
    kept: list[int] = []
    excluded: Counter[str] = Counter()
    for row, code in enumerate(trades.column("instrument").to_pylist()):
        underlying = int(instruments.underlying[code])
        identified = bool(instruments.isin[code]) or (
            instruments.kind[code] == _OPTION and bool(instruments.isin[underlying])
        )
        if not in_scope[code]:
            excluded["instrument outside EU and UK scope"] += 1
        elif not identified:
            excluded["instrument without ISIN"] += 1
        else:
            kept.append(row)
    return kept, excluded


def _with_optional(trades: pa.Table) -> pa.Table:
    for name, kind in OPTIONAL.items():
        if name not in trades.column_names:
            trades = trades.append_column(name, pa.nulls(len(trades), kind))
    return trades


def _report(
    row: dict,
    accounts: Accounts,
    instruments: Instruments,
    entity: Entity,
    details: Callable[[int], dict[int, str]],
    fields: int,
) -> list[str]:
    """One trade's fields as text; what the stream does not know stays blank. ``details`` of an option by code."""
    account, code, buys = row["account"], row["instrument"], bool(row["buy"])
    house = accounts.kind[account] == _HOUSE
    client = entity.executing_lei if house else str(accounts.lei[account] or "")
    buyer, seller = (client, row["counterparty_lei"]) if buys else (row["counterparty_lei"], client)
    currency = str(instruments.currency[code])
    isin = str(instruments.isin[code] or "")
    values = {
        1: "CANC" if row["cancelled"] else "NEWT",
        2: REFERENCE_NOISE.sub("", str(row["reference"]).upper()),
        3: row["venue_reference"],
        4: entity.executing_lei,
        5: _flag(entity.investment_firm),
        6: entity.submitting_lei,
        7: buyer,
        8: entity.country if buys and not house else "",
        16: seller,
        17: "" if buys or house else entity.country,
        25: _flag(False),
        28: _utc(row["time"]),
        29: row["capacity"] or ("DEAL" if house else "AOTC"),
        30: str(row["quantity"]),
        33: _plain(row["price"]),
        34: currency,
        35: "" if row["net_amount"] is None else _plain(row["net_amount"]),
        36: row["venue"],
        37: entity.country if row["venue"] not in ("XOFF", "XXXX") else "",
        40: row["complex_trade"],
        41: isin,
        57: row["decision_maker"] if house else "",
        58: entity.country if house and row["decision_maker"] else "",
        59: row["executor"] or "NORE",
        60: entity.country if row["executor"] else "",
        61: row["waiver"],
        62: _short_sale(row, instruments.kind[code], buys),
        63: row["otc_flag"],
        65: _flag(bool(row["financing"])),
    }
    if not isin:
        values |= details(code)
    report = [""] * fields
    for number, value in values.items():
        if value:
            report[number - 1] = str(value)
    return report


def _option_details(code: int, instruments: Instruments) -> dict[int, str]:
    """Fields 42-56 of a listed option that has no ISIN of its own."""
    underlying = int(instruments.underlying[code])
    index = instruments.kind[underlying] == Kind.INDEX
    call, american = instruments.right[code] == Right.CALL, instruments.style[code] == Style.AMERICAN
    delivery = "C" if index else "P"
    expiry = instruments.expiry[code]
    return {
        42: str(instruments.id[code]),
        43: f"O{'C' if call else 'P'}{'A' if american else 'E'}{'I' if index else 'S'}{delivery}S",
        44: str(instruments.currency[code]),
        46: str(instruments.multiplier[code]),
        47: str(instruments.isin[underlying]),
        48: str(instruments.id[underlying]) if index else "",
        50: "CALL" if call else "PUTO",
        51: _plain(int(instruments.strike[code])),
        52: str(instruments.currency[code]),
        53: "AMER" if american else "EURO",
        55: "" if expiry == NO_DATE else str(np.datetime64(int(expiry), "D")),
        56: "CASH" if index else "PHYS",
    }


def _checks(rules: Rules) -> dict:
    """By field number: what is expected, and the test."""
    length = int(rules.value("mifid.rts22.reference_length"))
    venues, capacities = frozenset(texts("mifid.venues", rules)), texts("mifid.rts22.capacities", rules)
    short = texts("mifid.rts22.short_sale_codes", rules)
    lei = ("an LEI with valid check digits", lei_is_valid)
    return {
        2: (f"1 to {length} capital letters and digits", lambda text: 0 < len(text) <= length),
        4: lei,
        6: lei,
        7: lei,
        16: lei,
        28: ("date and time in UTC to the microsecond, ending in Z", UTC_SHAPE.fullmatch),
        29: (" or ".join(capacities), capacities.__contains__),
        30: ("a quantity above zero", lambda text: text.isdigit() and int(text) > 0),
        33: ("a price of zero or more", lambda text: bool(text) and not text.startswith("-")),
        34: ("an ISO 4217 currency", CURRENCY_SHAPE.fullmatch),
        36: ("a market identifier code in use", lambda text: bool(MIC_SHAPE.fullmatch(text)) and text in venues),
        37: ("a country code or nothing", lambda text: not text or COUNTRY_SHAPE.fullmatch(text)),
        41: ("an ISIN with valid check digit", lambda text: not text or isin_is_valid(text)),
        47: ("an ISIN with valid check digit", lambda text: not text or isin_is_valid(text)),
        57: ("a person or algorithm code, no free text", lambda text: not text or DECISION_SHAPE.fullmatch(text)),
        59: ("a person or algorithm code, no free text", DECISION_SHAPE.fullmatch),
        62: (" or ".join(short) + " or nothing", lambda text: not text or text in short),
    }


def _short_sale(row: dict, kind: int, buys: bool) -> str:
    """Only for sales of shares and funds; UNDI where the stream does not know."""
    if buys or kind not in _SHARES:
        return ""
    return "UNDI" if row["short_sale"] is None else "SESH" if row["short_sale"] else "SELL"


def _digits(text: str) -> list[str]:
    """Letters as numbers, A = 10 to Z = 35."""
    return [str(int(character, 36)) for character in text]


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _utc(microseconds: int) -> str:
    return f"{np.datetime64(int(microseconds), 'us')}Z"


def _plain(amount: int) -> str:
    """Micros as decimal text without exponent or trailing zeros."""
    text = f"{decimal(amount):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
