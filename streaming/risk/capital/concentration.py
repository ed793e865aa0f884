"""Undue concentration, 15c3-1(c)(2)(vi)(M): an extra charge on what exceeds a share of tentative net capital."""

from dataclasses import dataclass

import numpy as np

from streaming.risk import money
from streaming.risk.capital.haircuts import HaircutClass, Inventory
from streaming.risk.capital.inputs import Cut, Traits
from streaming.risk.capital.lines import Rows, StatementLine, line
from streaming.risk.capital.marking import Marks
from streaming.risk.reference import NO_DATE, Instruments
from streaming.risk.rulebook import Rules

RULE = "15c3-1(c)(2)(vi)(M)"


@dataclass(frozen=True, slots=True)
class Concentration:
    """The charge on one side of one equity issuer; scalars or columns, micros."""

    threshold: np.ndarray
    excess: np.ndarray
    charge: np.ndarray


def threshold(tentative: int, least: int, rules: Rules) -> int:
    """10% of tentative net capital, nothing when that is negative, and at least ``least``. Micros."""
    return max(int(money.fraction(max(tentative, 0), rules.ppm("net_capital.concentration.threshold"))), least)


def equity(tentative: int, position: np.ndarray | int, lot_value: np.ndarray | int, rules: Rules) -> Concentration:
    """The charge on equity positions of market value ``position`` >= 0, scalar or column.

    ``lot_value`` is the value of 500 shares (0 = not known: that test is then left out).
    """
    least = threshold(tentative, rules.micros("net_capital.concentration.equity_dollars"), rules)
    level = np.maximum(least, lot_value)
    excess = np.maximum(0, position - level)
    return Concentration(level, excess, money.fraction(excess, rules.ppm("net_capital.concentration.equity_charge")))


def lines(
    held: Inventory,
    tentative: int,
    instruments: Instruments,
    marks: Marks,
    traits: Traits | None,
    cut: Cut,
    rules: Rules,
) -> tuple[StatementLine, ...]:
    """The charges on equities by issuer and on debt by issue, long and short separately.

    Governments, funds and what is charged in full already are exempt. A long position from an underwriting is charged
    only after eleven business days.
    """
    return (
        _equities(held, tentative, instruments, marks, _seasoned(held, traits, cut, rules), rules),
        _debt(held, tentative, instruments.id, _seasoned(held, traits, cut, rules), rules),
    )


def _seasoned(held: Inventory, traits: Traits | None, cut: Cut, rules: Rules) -> np.ndarray:
    """False for long positions still in the time allowed to an underwriter."""
    if traits is None:
        return np.ones(len(held.instrument), dtype=bool)
    since = traits.underwritten[held.instrument]
    allowed = int(rules.value("net_capital.concentration.underwriting_days"))
    return (since == NO_DATE) | (held.value < 0) | (cut.sessions.age(since, cut.as_of) > allowed)


def _equities(
    held: Inventory, tentative: int, instruments: Instruments, marks: Marks, seasoned: np.ndarray, rules: Rules
) -> StatementLine:
    chosen = np.flatnonzero(
        np.isin(held.haircut_class, (HaircutClass.EQUITY, HaircutClass.LIMITED_MARKET)) & seasoned & (held.value != 0)
    )
    code = held.instrument[chosen]
    side = np.where(held.value[chosen] > 0, "long", "short")
    issuer = np.where(instruments.issuer[code] == "", instruments.id[code], instruments.issuer[code])
    names, where = np.unique(np.char.add(np.char.add(issuer.astype(str), " "), side), return_inverse=True)
    lot = int(rules.value("net_capital.concentration.equity_shares"))
    lots = marks.value(code, np.full(len(code), lot, dtype=np.int64))
    money.checked_sum(held.value[chosen], "concentration")  # no sum below can then leave the range
    position, smallest = np.zeros(len(names), dtype=np.int64), np.full(len(names), money.LIMIT, dtype=np.int64)
    np.add.at(position, where, np.abs(held.value[chosen]))
    np.minimum.at(smallest, where, lots)
    charge = np.asarray(equity(tentative, position, smallest, rules).charge, dtype=np.int64)
    return line(
        "concentration.equity",
        "Undue concentration, equities",
        RULE,
        Rows("issuer and side", names.astype(object), charge),
        inputs={"tentative_net_capital": tentative},
    )


def _debt(held: Inventory, tentative: int, ids: np.ndarray, seasoned: np.ndarray, rules: Rules) -> StatementLine:
    chosen = (held.haircut_class == HaircutClass.DEBT) & seasoned
    level = threshold(tentative, rules.micros("net_capital.concentration.debt_dollars"), rules)
    excess = np.maximum(np.abs(held.value[chosen]) - level, 0)
    normal = np.asarray(money.fraction(excess, held.rate[chosen]), dtype=np.int64)
    charge = np.asarray(money.fraction(normal, rules.ppm("net_capital.concentration.debt_charge")), dtype=np.int64)
    return line(
        "concentration.debt",
        "Undue concentration, debt",
        RULE,
        Rows("instrument", ids[held.instrument[chosen]], charge),
        inputs={"tentative_net_capital": tentative, "threshold": level},
    )
