"""Why the house asks what it asks: one line per component and name, summing to the house requirement of an account."""

import numpy as np

from streaming.risk.explained import Explained
from streaming.risk.margin.add_ons import AddOn
from streaming.risk.margin.house import COMPONENTS, HOUSE_POINTS, NAME_COMPONENTS, HouseResult
from streaming.risk.margin.portfolio import PortfolioMarginResult
from streaming.risk.money import MICRO, cents

_RULES = {
    "regulatory": "FINRA 4210",
    "non_marginable": "FINRA 4210(c), (g); house: incomplete data is charged in full",
    "var_floor": "house.var: 5-day VaR over two years",
    "discretionary": "house: discretionary add-ons in force",
    "concentration": "house.concentration; FINRA 4210(d), RN 08-41",
    "extreme_move": "house.extreme_move",
    "liquidity": "house.liquidity",
    "gap": "house.gap",
    "vega": "house.vega",
    "event": "house.event",
    "borrow": "house.borrow",
}
_SENTENCES = {
    "regulatory": "the requirement of the rules on positions that can be margined",
    "non_marginable": "positions that cannot be margined or lack data, in full or under their own rule",
    "var_floor": "what the 5-day value at risk exceeds the requirement so far",
    "discretionary": "an add-on set by the firm for this account or client",
    "concentration": "the loss or higher rate of a concentrated position beyond its requirement",
    "extreme_move": "a share of the loss in a move of twice the range, beyond its requirement",
    "liquidity": "the risk of the days it takes to close the position at its average volume",
    "gap": "short options that expire within days could jump past their strikes",
    "vega": "a change of implied volatility",
    "event": "earnings or another event ahead",
    "borrow": "short stock that is expensive to borrow",
}


def explain_house(result: HouseResult, margin: PortfolioMarginResult, account: int) -> list[Explained]:
    """The components of one account's house requirement (code ``account``), zero ones left out.

    The values sum to ``result.requirement`` of the account; per-name components are split by name.
    """
    at = int(np.searchsorted(result.account, account))
    if at == len(result.account) or result.account[at] != account:
        raise LookupError(f"house margin: expected an account with positions, found code {account}")
    parts = [
        Explained(int(result.components[name][at]), _RULES[name], name)
        for name in COMPONENTS
        if name not in (*NAME_COMPONENTS, "discretionary") and result.components[name][at]
    ]
    parts += [
        Explained(int(amount[at]), _RULES["discretionary"], "discretionary", inputs=_of_add_on(add_on))
        for add_on, amount in result.add_ons
        if amount[at]
    ]
    names = result.names
    for row in np.flatnonzero(names.account == account):
        inputs: dict[str, str | int] = {
            "name": str(margin.groups.class_name[names.class_group[row]]),
            "base": int(names.base[row]),
            "days_to_liquidate_ppm": int(names.days_to_liquidate[row]),
        }
        inputs |= {point: int(names.shocks[row, k]) for k, point in enumerate(HOUSE_POINTS)}
        parts += [
            Explained(int(names.components[name][row]), _RULES[name], name, inputs=inputs)
            for name in NAME_COMPONENTS
            if names.components[name][row]
        ]
    return parts


def _of_add_on(add_on: AddOn) -> dict[str, str | int]:
    """Who asks, since when, until when and why."""
    return {"who": add_on.who, "since": add_on.since.isoformat(), "until": add_on.until.isoformat(), "why": add_on.why}


def house_sentence(part: Explained) -> str:
    """What a client reads: whose name, how much, and why."""
    subject = f"{part.inputs['name']}: " if "name" in part.inputs else ""
    detail = ""
    if part.strategy == "discretionary":
        detail = ", by {who}, from {since} to {until}: {why}".format(**part.inputs)
    days = part.inputs.get("days_to_liquidate_ppm", 0)
    if part.strategy == "liquidity":
        assert isinstance(days, int)
        detail = ", average volume not known" if days < 0 else f", {days / MICRO:.1f} days"
    return f"{subject}{cents(part.value):,} dollars for {_SENTENCES[part.strategy]}{detail} ({part.rule})."
