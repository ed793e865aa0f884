"""The options part of the rule calculator: thin adapters over the functions that the stream uses."""

import numpy as np

from streaming.risk.calc import Case, kind
from streaming.risk.pricing import black_scholes, lattice
from streaming.risk.pricing.contracts import Contracts, Dividends
from streaming.risk.pricing.finite_difference import DividendModel
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Right, Style

_TERMS = "type (call/put), style, S, K, q, r, T, vol"
_DIVIDEND_TERMS = "type (call/put), style, S, K, r, T, vol, dividends [[time, amount], ...]"


@kind("european_value", inputs=f"{_TERMS}, rate_convention (continuous)", result="value")
def european_value(case: Case) -> dict[str, object]:
    return {"value": _value(case, Style.EUROPEAN)}


@kind(
    "european_greek",
    inputs=f"{_TERMS}, greek (delta, gamma, vega, theta_per_year, theta_per_day, rho, dividend_rho, elasticity)",
    result="value",
)
def european_greek(case: Case) -> dict[str, object]:
    _contract(case, Style.EUROPEAN)  # refuses what is not a valid option
    spot = _at_least_zero(case, "S")
    greeks = black_scholes.greeks(
        _right(case), spot, case.number("K"), case.number("r"), case.number("q", 0.0), _at_least_zero(case, "vol"),
        _at_least_zero(case, "T"),
    )  # fmt: skip
    values = {
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "vega": greeks.vega,
        "theta_per_year": greeks.theta,
        "theta_per_day": greeks.theta / black_scholes.DAYS_PER_YEAR,
        "rho": greeks.rho,
        "dividend_rho": greeks.dividend_rho,
        "elasticity": greeks.elasticity(np.float64(spot)),
    }
    return {"value": float(values[case.text("greek", among=values)])}


@kind("american_value", inputs=f"{_TERMS}, rate_convention (continuous)", result="value_true")
def american_value(case: Case) -> dict[str, object]:
    return {"value_true": _value(case, Style.AMERICAN)}


@kind("american_crr_steps", inputs=f"{_TERMS}, method (CRR), steps", result="value")
def american_crr_steps(case: Case) -> dict[str, object]:
    _convention(case)
    case.text("method", "CRR", among=("CRR",))
    style = Style.EUROPEAN if case.text("style", "american").lower() == "european" else Style.AMERICAN
    contract = _contract(case, style)
    steps = case.whole("steps")
    if not 1 <= steps <= _MOST_STEPS:
        raise case.refuse("steps", f"a whole number from 1 to {_MOST_STEPS}")
    value = lattice.crr(
        int(contract.right[0]), style, _at_least_zero(case, "S"), float(contract.strike[0]), float(contract.rate[0]),
        float(contract.carry_yield[0]), _at_least_zero(case, "vol"), float(contract.expiry[0]), steps,
    )  # fmt: skip
    return {"value": value}


@kind("european_discrete_dividend", inputs=f"{_DIVIDEND_TERMS}, model (escrowed)", result="value")
def european_discrete_dividend(case: Case) -> dict[str, object]:
    case.text("model", "escrowed", among=("escrowed",))
    return {"value": _value(case, Style.EUROPEAN)}


@kind(
    "american_discrete_dividend",
    inputs=f"{_DIVIDEND_TERMS}, model (escrowed; both models are answered)",
    result="value_escrowed, value_spot_jump_model, european_escrowed",
)
def american_discrete_dividend(case: Case) -> dict[str, object]:
    case.text("model", "escrowed", among=("escrowed", "spot_jump"))
    return {
        "value_escrowed": _value(case, Style.AMERICAN),
        "value_spot_jump_model": _value(case, Style.AMERICAN, DividendModel.SPOT_JUMP),
        "european_escrowed": _value(case, Style.EUROPEAN, check_style=False),
    }


_MOST_STEPS = 20_000


def _value(
    case: Case, style: Style, model: DividendModel = DividendModel.ESCROWED, *, check_style: bool = True
) -> float:
    _convention(case)
    contract = _contract(case, style, check_style)
    spot, vol = _at_least_zero(case, "S"), _at_least_zero(case, "vol")
    return float(revalue(contract, np.array([[spot]]), np.array([vol]), dividend_model=model, threads=1)[0, 0])


def _contract(case: Case, style: Style, check_style: bool = True) -> Contracts:
    if check_style and case.has("style") and case.text("style").lower() != style.name.lower():
        raise case.refuse("style", style.name.lower())
    strike = case.number("K")
    if not strike > 0.0:
        raise case.refuse("K", "a strike above 0")
    rows = np.zeros(1)
    return Contracts(
        right=rows + _right(case), style=rows + style, strike=rows + strike, expiry=rows + _at_least_zero(case, "T"),
        rate=rows + case.number("r"), carry_yield=rows + case.number("q", 0.0), underlying=rows,
        dividends=_dividends(case),
    )  # fmt: skip


def _right(case: Case) -> Right:
    return Right.CALL if case.text("type", among=("call", "put")) == "call" else Right.PUT


def _at_least_zero(case: Case, name: str) -> float:
    value = case.number(name)
    if value < 0.0:
        raise case.refuse(name, "a number of at least 0")
    return value


def _convention(case: Case) -> None:
    case.text("rate_convention", "continuous", among=("continuous",))


def _dividends(case: Case) -> Dividends | None:
    pairs = []
    for i, item in enumerate(case.items("dividends", [])):
        pair = Case({"pair": item}, f"dividends[{i}]").numbers("pair")
        if len(pair) != 2 or pair[1] < 0.0:
            raise case.refuse("dividends", "a list of [time in years, amount of at least 0]")
        pairs.append(pair)
    if not pairs:
        return None
    pairs.sort()
    times, amounts = np.array(pairs).T
    return Dividends(np.array([0, len(pairs)]), times, amounts)
