"""Rule calculator kinds of portfolio margin and the theoretical haircut: thin adapters over the scan.

A case may carry ``rule_date`` (ISO); without it the newest rules apply.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import numpy as np

from streaming.risk.calc import Case, CaseError, kind, money
from streaming.risk.margin.portfolio import POINTS, contract_minimum, offset_points
from streaming.risk.money import MICRO, round_model
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Right, Style
from streaming.risk.rulebook import Rules, load

_RIGHTS = {"C": Right.CALL, "P": Right.PUT}
_STYLES = {"european": Style.EUROPEAN, "american": Style.AMERICAN}
_OPTIONS = "options [{cp, K, T, vol, r, q, qty, style, multiplier}]"


@kind(
    "tims_class_group",
    inputs=f"name, S, stock_qty, {_OPTIONS}, up, down, vol_held_constant (only true)",
    result="points, pnl, scenario_loss, minimum, requirement",
)
def tims_class_group(case: Case) -> Mapping[str, object]:
    """One class group under FINRA 4210(g): P&L at the ten points, largest loss, minimum, and the greater of both."""
    if not case.flag("vol_held_constant", True):
        raise case.refuse("vol_held_constant", "true (implied volatility is held in the scan)")
    rules = _rules(case)
    points, pnl, minimum = _class_group(case, rules, rules.ppm("portfolio_margin.minimum_per_contract"))
    loss = max(0, -int(pnl.min()))
    return {
        "points": points,
        "pnl": [money(amount) for amount in pnl],
        "scenario_loss": money(loss),
        "minimum": money(minimum),
        "requirement": money(max(loss, minimum)),
    }


@kind(
    "tims_product_group",
    inputs="offset, class_groups [{name, pnl at the ten points}]",
    result="requirement_before_minimum",
)
def tims_product_group(case: Case) -> Mapping[str, object]:
    """One product group: at each point losses less ``offset`` x gains; the largest over the points."""
    offset = case.decimal("offset")
    if not 0 <= offset <= 1 or (offset * MICRO) % 1:
        raise case.refuse("offset", "a share between 0 and 1 with at most six decimals")
    groups = case.cases("class_groups")
    if not groups:
        raise case.refuse("class_groups", "at least one class group")
    rows = []
    for group in groups:
        pnl = group.numbers("pnl")
        if len(pnl) != POINTS:
            raise CaseError(f"class_groups.pnl: expected {POINTS} points, found {len(pnl)}")
        rows.append(round_model(np.array(pnl)))
    points = offset_points(np.stack(rows), int(offset * MICRO))
    return {"requirement_before_minimum": money(max(0, -int(points.min())))}


@kind(
    "theoretical_haircut",
    inputs=f"name, S, stock_qty, {_OPTIONS}, up, down, minimum_per_contract (dollars)",
    result="scenario_loss, minimum, haircut",
)
def theoretical_haircut_case(case: Case) -> Mapping[str, object]:
    """The theoretical haircut of one class group, SEC 15c3-1a(b)(1); the minimum is the rule's unless given."""
    rules = _rules(case)
    _, pnl, minimum = _class_group(case, rules, rules.ppm("portfolio_margin.haircut_minimum_per_contract"))
    loss = max(0, -int(pnl.min()))
    return {"scenario_loss": money(loss), "minimum": money(minimum), "haircut": money(max(loss, minimum))}


def _class_group(case: Case, rules: Rules, minimum_rate: int) -> tuple[list[Decimal], np.ndarray, int]:
    """Points (signed decimals), P&L at each in micros, and the minimum in micros, of one underlying's positions."""
    spot, points = case.decimal("S"), _points(case, rules)
    if spot < 0:
        raise case.refuse("S", "a price of at least 0")
    options = case.cases("options", [])
    quantity = np.array([option.whole("qty") for option in options], dtype=np.int64)
    multiplier = np.array([option.whole("multiplier", 100) for option in options], dtype=np.int64)
    if (multiplier <= 0).any():
        raise CaseError(f"options.multiplier: expected more than 0, found {int(multiplier.min())}")
    shares = case.decimal("stock_qty", 0)
    stock = [int((shares * spot * point * MICRO).to_integral_value()) for point in points]
    pnl = np.array(stock, dtype=np.int64)
    if options:
        factors = np.maximum(0.0, np.array([1.0, *(float(1 + point) for point in points)]))
        values = revalue(_contracts(options), float(spot) * factors[None, :], _vols(options), threads=1)
        # Position totals leave the model here, once: rounding each unit value would be scaled up by the contracts.
        pnl = pnl + round_model(((values[:, 1:] - values[:, :1]) * (quantity * multiplier)[:, None]).sum(axis=0))
    if case.has("minimum_per_contract"):
        per_contract = case.micros("minimum_per_contract")
        return points, pnl, int(np.abs(quantity).sum()) * per_contract
    return points, pnl, int(contract_minimum(quantity, multiplier, minimum_rate).sum())


def _points(case: Case, rules: Rules) -> list[Decimal]:
    up, down = case.decimal("up"), case.decimal("down")
    for name, value in (("up", up), ("down", down)):
        if value < 0:
            raise case.refuse(name, "a positive decimal (down is positive too)")
    steps = int(rules.value("portfolio_margin.scan.steps"))
    rising = [up * k / steps for k in range(steps, 0, -1)]
    return rising + [-down * k / steps for k in range(1, steps + 1)]


def _contracts(options: list[Case]) -> Contracts:
    return Contracts(
        right=np.array([_RIGHTS[option.text("cp", among=_RIGHTS)] for option in options]),
        style=np.array([_style(option) for option in options]),
        strike=np.array([option.number("K") for option in options]),
        expiry=np.array([option.number("T") for option in options]),
        rate=np.array([option.number("r", 0.0) for option in options]),
        carry_yield=np.array([option.number("q", 0.0) for option in options]),
        underlying=np.zeros(len(options), dtype=np.int64),
    )


def _style(option: Case) -> Style:
    text = option.text("style", "european").lower()
    if text not in _STYLES:
        raise option.refuse("style", " or ".join(_STYLES))
    return _STYLES[text]


def _vols(options: list[Case]) -> np.ndarray:
    vols = [option.number("vol") for option in options]
    for option, vol in zip(options, vols):
        if vol < 0:
            raise option.refuse("vol", "a volatility of at least 0")
    return np.array(vols)


def _rules(case: Case) -> Rules:
    if not case.has("rule_date"):
        return load().at(date.max)
    try:
        return load().at(date.fromisoformat(case.text("rule_date")))
    except ValueError:
        raise case.refuse("rule_date", "an ISO date") from None
