"""Calculator kinds of net capital and the customer reserve: thin adapters over the functions of this folder."""

from datetime import date

from streaming.risk import rulebook
from streaming.risk.calc import Case, CaseError, kind, money
from streaming.risk.capital import basel_cases, concentration, haircuts, net_capital, notices, reserve
from streaming.risk.capital.inputs import Frequency, Method
from streaming.risk.money import fraction
from streaming.risk.rulebook import Rules

__all__ = ["basel_cases"]  # imported so that its kinds are registered with these

CREDITS = tuple(f"i{number}" for number in range(1, 10))
DEBITS = tuple(f"i{number}" for number in range(10, 16))
RESERVE_METHODS = {
    "aggregate_indebtedness": (Method.BASIC, Frequency.WEEKLY),
    "alternative_daily": (Method.ALTERNATIVE, Frequency.DAILY),
    "alternative_weekly_or_monthly": (Method.ALTERNATIVE, Frequency.WEEKLY),
}


def _rules() -> Rules:
    """The rulebook at its latest date."""
    return rulebook.load().at(date.max)


def _unsigned(case: Case, name: str) -> int:
    amount = case.micros(name)
    if amount < 0:
        raise case.refuse(name, "an amount >= 0")
    return amount


@kind("equity_haircut", inputs="long_mv, short_mv", result="haircut")
def equity_haircut(case: Case) -> dict[str, object]:
    """Market values in dollars; a short one may be given with either sign."""
    charge = haircuts.equity(_unsigned(case, "long_mv"), abs(case.micros("short_mv")), _rules())
    return {"haircut": money(charge)}


@kind(
    "undue_concentration",
    inputs="tentative_net_capital, position_mv (or shares, price), security (equity)",
    result="threshold, base_haircut, concentration, total",
)
def undue_concentration(case: Case) -> dict[str, object]:
    rules = _rules()
    case.text("security", "equity", among=("equity",))
    lot = 0
    if case.has("price") or not case.has("position_mv"):
        lot = int(rules.value("net_capital.concentration.equity_shares")) * _unsigned(case, "price")
    if case.has("shares"):
        position = abs(case.whole("shares")) * _unsigned(case, "price")
        if case.has("position_mv") and abs(case.micros("position_mv")) != position:
            raise case.refuse("position_mv", f"shares x price = {money(position)}")
    else:
        position = abs(case.micros("position_mv"))
    found = concentration.equity(case.micros("tentative_net_capital"), position, lot, rules)
    base = int(fraction(position, rules.ppm("net_capital.haircut.equity")))
    return {
        "threshold": money(int(found.threshold)),
        "base_haircut": money(base),
        "concentration": money(int(found.charge)),
        "total": money(base + int(found.charge)),
    }


@kind(
    "net_capital_alternative",
    inputs="tentative_net_capital, haircuts, aggregate_debits, dollar_minimum",
    result="net_capital, required, excess, pct_of_debits, early_warning, early_warnings, early_warning_reason, "
    "deficiency",
)
def net_capital_alternative(case: Case) -> dict[str, object]:
    rules = _rules()
    net = case.micros("tentative_net_capital") - case.micros("haircuts", 0)
    least = case.micros("dollar_minimum", rules.value("net_capital.minimum.alternative_dollars"))
    position = net_capital.alternative(net, _unsigned(case, "aggregate_debits"), least, rules)
    tests = notices.early_warnings(position, rules)
    firing = [test for test in tests if test.fires]
    return {
        "net_capital": money(net),
        "required": money(position.required),
        "excess": money(position.excess),
        "pct_of_debits": position.percent,
        "early_warning": bool(firing),
        "early_warnings": [test.code for test in firing],
        "early_warning_reason": firing[0].text if firing else None,
        "deficiency": position.excess < 0,
        "headroom": {test.code: money(test.headroom) for test in tests},
    }


@kind(
    "net_capital_aggregate_indebtedness",
    inputs="net_capital, aggregate_indebtedness, dollar_minimum",
    result="ratio, required, warn, violation",
)
def net_capital_aggregate_indebtedness(case: Case) -> dict[str, object]:
    rules = _rules()
    least = case.micros("dollar_minimum", rules.value("net_capital.minimum.carrying_dollars"))
    net, owed = case.micros("net_capital"), _unsigned(case, "aggregate_indebtedness")
    position = net_capital.basic(net, owed, least, rules)
    *warnings, below = notices.early_warnings(position, rules)
    return {
        "ratio": position.ratio,
        "required": money(position.required),
        "warn": any(test.fires for test in warnings),
        "violation": below.fires,
    }


@kind(
    "customer_reserve",
    inputs="credits {i1 ... i9}, debits {i10 ... i15}, method (" + ", ".join(RESERVE_METHODS) + ")",
    result="total_credits, total_debits_before_reduction, debits_after_reduction, required_deposit, deposit_if_monthly",
)
def customer_reserve(case: Case) -> dict[str, object]:
    method, frequency = RESERVE_METHODS[case.text("method", among=RESERVE_METHODS)]
    owed, lent = _items(case, "credits", CREDITS), _items(case, "debits", DEBITS)
    item_10 = lent.pop("i10", 0)
    found = reserve.deposit(sum(owed.values()), item_10, sum(lent.values()), method, frequency, _rules())
    return {
        "total_credits": money(found.total_credits),
        "total_debits_before_reduction": money(found.total_debits),
        "debits_after_reduction": money(found.debits),
        "required_deposit": money(found.required),
        "deposit_if_monthly": money(found.if_monthly),
    }


def _items(case: Case, name: str, allowed: tuple[str, ...]) -> dict[str, int]:
    """The supplied items in micros; an item of another name is refused rather than ignored."""
    raw = case.raw(name)
    items = case.case(name)
    if not isinstance(raw, dict) or set(raw) - set(allowed):
        raise CaseError(f"inputs.{name}: expected {allowed[0]} to {allowed[-1]}, found {raw!r}")
    return {item: _unsigned(items, item) for item in allowed if items.has(item)}
