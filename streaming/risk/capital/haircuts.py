"""Haircuts on the firm's own securities by class, 15c3-1(c)(2)(vi) and (vii)."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from streaming.risk import money
from streaming.risk.capital.inputs import Traits
from streaming.risk.capital.lines import Rows, StatementLine, formula, line
from streaming.risk.capital.marking import Marks
from streaming.risk.reference import NO_DATE, Instruments, Kind
from streaming.risk.rulebook import Rules


class HaircutClass(IntEnum):
    """The paragraph of (c)(2) that a security falls under."""

    EQUITY = 0
    """(vi)(J): everything else with a ready market."""
    LIMITED_MARKET = 1
    """(vi)(K): one or two market makers."""
    NO_READY_MARKET = 2
    """(vii): also what has no usable price."""
    GOVERNMENT = 3
    """(vi)(A)."""
    DEBT = 4
    """(vi)(F): investment grade with a maturity."""
    FUND = 5
    """(vi)(D): money-market fund."""
    OPTION = 6
    """Appendix A."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The firm's own positions, netted by security over all its accounts; sorted by instrument code."""

    instrument: np.ndarray
    quantity: np.ndarray
    value: np.ndarray
    """Signed market value, micros of the reporting currency."""
    haircut_class: np.ndarray
    rate: np.ndarray
    """ppm of the market value, by class and maturity; 0 for options."""


def classes(instruments: Instruments, marks: Marks, traits: Traits | None, rules: Rules) -> np.ndarray:
    """The haircut class of every instrument, int8. Debt of unknown rating takes the higher rate of (J)."""
    kind = instruments.kind
    found = np.full(len(instruments), HaircutClass.EQUITY, dtype=np.int8)
    if traits is not None:
        few = (traits.market_makers > 0) & (traits.market_makers <= int(rules.value(MAKERS)))
        found[few] = HaircutClass.LIMITED_MARKET
        found[(kind == Kind.BOND) & traits.investment_grade & (instruments.expiry != NO_DATE)] = HaircutClass.DEBT
    found[kind == Kind.TREASURY] = HaircutClass.GOVERNMENT
    found[kind == Kind.FUND] = HaircutClass.FUND
    unready = ~marks.ready | (kind == Kind.INDEX)
    if traits is not None:
        unready |= traits.market_makers == 0
    found[unready] = HaircutClass.NO_READY_MARKET
    found[kind == Kind.OPTION] = HaircutClass.OPTION
    return found


def rates(instruments: Instruments, haircut_class: np.ndarray, as_of: int, rules: Rules) -> np.ndarray:
    """The haircut rate of every instrument, ppm, before any offset of long against short; 0 for options."""
    by_class = np.zeros(len(HaircutClass), dtype=np.int64)
    by_class[HaircutClass.EQUITY] = rules.ppm("net_capital.haircut.equity")
    by_class[HaircutClass.LIMITED_MARKET] = rules.ppm("net_capital.haircut.limited_market")
    by_class[HaircutClass.NO_READY_MARKET] = rules.ppm("net_capital.haircut.no_ready_market")
    by_class[HaircutClass.FUND] = rules.ppm("net_capital.haircut.money_market_fund")
    found = by_class[haircut_class]
    for which, name in ((HaircutClass.GOVERNMENT, "government"), (HaircutClass.DEBT, "debt")):
        chosen = haircut_class == which
        category = maturity_category(
            instruments.expiry[chosen], as_of, rules.values(f"net_capital.haircut.{name}_months")
        )
        schedule = [int(rate * money.MICRO) for rate in rules.values(f"net_capital.haircut.{name}")]
        found[chosen] = np.array(schedule, dtype=np.int64)[category]
    return found


def maturity_category(expiry: np.ndarray, as_of: int, months: tuple) -> np.ndarray:
    """Index of the maturity category: the first whose upper bound lies after the maturity; no maturity = the last.

    Bounds are calendar months after ``as_of``; a day that the month does not have becomes its last.
    """
    bounds = np.array([add_months(as_of, int(count)) for count in months], dtype=np.int64)
    return np.where(expiry == NO_DATE, len(bounds), np.searchsorted(bounds, expiry, side="right"))


def add_months(day: int, months: int) -> int:
    """The same day of the month ``months`` later, or the month's last day."""
    start = np.datetime64(day, "D")
    month = start.astype("datetime64[M]")
    offset = (start - month.astype("datetime64[D]")).astype(np.int64)
    target = month + np.timedelta64(months, "M")
    length = ((target + np.timedelta64(1, "M")).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(
        np.int64
    )
    return int(target.astype("datetime64[D]").astype(np.int64) + min(offset, length - 1))


def inventory(
    quantity: np.ndarray,
    cost: np.ndarray,
    marks: Marks,
    haircut_class: np.ndarray,
    rate: np.ndarray,
) -> Inventory:
    """Inventory from the firm's net quantity and cost of every instrument (row number = instrument code)."""
    held = np.flatnonzero(quantity)
    value = marks.value(held, quantity[held], cost[held])
    return Inventory(held.astype(np.int32), quantity[held], value, haircut_class[held], rate[held])


def equity(long_mv: int, short_mv: int, rules: Rules) -> int:
    """(vi)(J): 15% of the greater side, and of the lesser side's part above 25% of the greater. Micros, both >= 0."""
    greater, lesser = max(long_mv, short_mv), min(long_mv, short_mv)
    free = int(money.fraction(greater, rules.ppm("net_capital.haircut.equity_offset")))
    return int(money.fraction(greater + max(0, lesser - free), rules.ppm("net_capital.haircut.equity")))


def lines(held: Inventory, ids: np.ndarray, rules: Rules) -> tuple[StatementLine, ...]:
    """The haircut of each class but options. ``ids`` names the instruments for the rows below."""
    chosen = held.haircut_class == HaircutClass.EQUITY
    long_mv, short_mv = _sides(held.value[chosen], "equity haircut")
    stock = formula(
        "haircut.equity",
        "Stocks and other securities with a ready market",
        equity(long_mv, short_mv, rules),
        "15c3-1(c)(2)(vi)(J)",
        inputs={"long_market_value": long_mv, "short_market_value": short_mv, "positions": int(chosen.sum())},
    )
    return (
        stock,
        _by_name(held, HaircutClass.LIMITED_MARKET, "haircut.limited_market", "Limited market", "(vi)(K)", ids),
        _by_name(held, HaircutClass.NO_READY_MARKET, "haircut.no_ready_market", "No ready market", "(vii)", ids),
        _by_name(held, HaircutClass.FUND, "haircut.fund", "Money-market funds", "(vi)(D)", ids),
        _by_maturity(held, HaircutClass.GOVERNMENT, "haircut.government", "US governments", "(vi)(A)"),
        _by_maturity(held, HaircutClass.DEBT, "haircut.debt", "Investment-grade debt", "(vi)(F)"),
    )


def _sides(value: np.ndarray, what: str) -> tuple[int, int]:
    """Total long and total short market value, both >= 0."""
    return money.checked_sum(np.maximum(value, 0), what), money.checked_sum(np.maximum(-value, 0), what)


def _by_name(held: Inventory, which: int, code: str, name: str, paragraph: str, ids: np.ndarray) -> StatementLine:
    chosen = held.haircut_class == which
    charge = np.asarray(money.fraction(np.abs(held.value[chosen]), held.rate[chosen]), dtype=np.int64)
    return line(code, name, f"15c3-1(c)(2){paragraph}", Rows("instrument", ids[held.instrument[chosen]], charge))


def _by_maturity(held: Inventory, which: int, code: str, name: str, paragraph: str) -> StatementLine:
    """Categories of equal rate are one: governments at the net position, other debt at the greater side."""
    chosen = held.haircut_class == which
    rate, value = held.rate[chosen], held.value[chosen]
    categories = np.unique(rate)
    charge = np.zeros(len(categories), dtype=np.int64)
    for row, category in enumerate(categories):
        long_mv, short_mv = _sides(value[rate == category], name)
        exposed = abs(long_mv - short_mv) if which == HaircutClass.GOVERNMENT else max(long_mv, short_mv)
        charge[row] = money.fraction(exposed, category)
    key = np.array([f"{category / money.MICRO:.2%}" for category in categories], dtype=object)
    return line(code, name, f"15c3-1(c)(2){paragraph}", Rows("rate", key, charge))


MAKERS = "net_capital.haircut.limited_market_makers"
