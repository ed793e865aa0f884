"""Calculator kinds of the Basel and IFRS 9 rules: thin adapters over the functions of this folder."""

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import date

import numpy as np

from streaming.risk import rulebook
from streaming.risk.calc import Case, CaseError, kind, money
from streaming.risk.capital import frtb, ifrs9, ratios, sa_ccr
from streaming.risk.capital.frtb_sensitivities import DOWN, UP, option_sensitivities, revaluation
from streaming.risk.capital.market_risk import CURVATURE_SIDES
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.reference import Right, Style
from streaming.risk.rulebook import Rules

DEFAULT_MULTIPLIER = 100
POSITION = re.compile(r"(long|short)\s+([1-9]\d*)\s+(call|put)s?", re.IGNORECASE)
CHARGE_RESULT = "Low, Medium, High, binding"


def _rules() -> Rules:
    """The rulebook at its latest date."""
    return rulebook.load().at(date.max)


def _rows(case: Case, *columns: str) -> list[Case]:
    """The rows of a table case as objects; ``columns``, where given, must be those of the kind."""
    named = case.items("columns", list(columns))
    if named != list(columns):
        raise case.refuse("columns", ", ".join(columns))
    rows = []
    for i, row in enumerate(case.items("rows")):
        if not isinstance(row, list) or len(row) != len(columns):
            raise CaseError(f"inputs.rows[{i}]: expected {', '.join(columns)}, found {row!r}")
        rows.append(Case(dict(zip(columns, row)), f"inputs.rows[{i}]"))
    return rows


def _bucket(row: Case) -> int:
    bucket = row.whole("bucket")
    if bucket not in frtb.EQUITY_BUCKETS:
        raise row.refuse("bucket", "1 to 13")
    return bucket


def _names(rows: Sequence[Case]) -> np.ndarray:
    return np.unique(np.array([str(row.raw("name")) for row in rows], dtype=str), return_inverse=True)[1]


def _charges(charge: frtb.Charge) -> dict[str, object]:
    return {**dict(zip(frtb.SCENARIOS, charge.total.tolist())), "binding": charge.binding}


@kind("frtb_equity_delta", inputs="columns = bucket, name, spot_or_repo, net_sensitivity; rows", result=CHARGE_RESULT)
def frtb_equity_delta(case: Case) -> dict[str, object]:
    rows = _rows(case, "bucket", "name", "spot_or_repo", "net_sensitivity")
    factors = {"Spot": frtb.EquityFactor.SPOT, "Repo": frtb.EquityFactor.REPO}
    net = frtb.net_sensitivities(
        [_bucket(row) for row in rows],
        _names(rows),
        [factors[row.text("spot_or_repo", among=factors)] for row in rows],
        np.array([row.number("net_sensitivity") for row in rows], dtype=np.float64),
        len(factors),
    )
    return _charges(frtb.equity_delta(net, _rules()))


@kind(
    "frtb_equity_vega",
    inputs="columns = bucket, name, option_maturity_years, net_sensitivity (vega x vol); rows",
    result=CHARGE_RESULT,
)
def frtb_equity_vega(case: Case) -> dict[str, object]:
    rows, rules = _rows(case, "bucket", "name", "option_maturity_years", "net_sensitivity"), _rules()
    years = np.array([row.number("option_maturity_years") for row in rows], dtype=np.float64)
    if (years < 0).any():
        raise CaseError(f"inputs.rows: expected an option maturity of 0 or more, found {years.min()}")
    amount = np.array([row.number("net_sensitivity") for row in rows], dtype=np.float64)
    tenor, part = frtb.allocate_tenor(years, amount, "frtb.vega.tenors", rules)
    net = frtb.net_sensitivities(
        np.repeat([_bucket(row) for row in rows], 2),
        np.repeat(_names(rows), 2),
        tenor.ravel(),
        part.ravel(),
        len(rules.values("frtb.vega.tenors")),
    )
    return _charges(frtb.equity_vega(net, rules))


@kind("frtb_equity_curvature", inputs="columns = bucket, name, cvr_up, cvr_down; rows", result=CHARGE_RESULT)
def frtb_equity_curvature(case: Case) -> dict[str, object]:
    rows = _rows(case, "bucket", "name", "cvr_up", "cvr_down")
    sides = [row.number(side) for side in ("cvr_up", "cvr_down") for row in rows]
    net = frtb.net_sensitivities(
        [_bucket(row) for row in rows] * CURVATURE_SIDES,
        np.tile(_names(rows), CURVATURE_SIDES),
        np.repeat([UP, DOWN], len(rows)),
        np.array(sides, dtype=np.float64),
        CURVATURE_SIDES,
    )
    return _charges(frtb.equity_curvature(net, _rules()))


@kind(
    "frtb_equity_sensitivities",
    inputs="type, style, S, K, q, r, T, vol, quantity, multiplier, bucket, vega_bump (always one vol point up)",
    result="delta_sensitivity, cvr_up, cvr_down, vega_sensitivity, vega_bump",
)
def frtb_equity_sensitivities(case: Case) -> dict[str, object]:
    rules = _rules()
    right = {"call": Right.CALL, "put": Right.PUT}[case.text("type", among=("call", "put"))]
    style = {"european": Style.EUROPEAN, "american": Style.AMERICAN}[case.text("style", among=("european", "american"))]
    columns = {
        "right": right,
        "style": style,
        "strike": case.number("K"),
        "expiry": case.number("T"),
        "rate": case.number("r"),
        "carry_yield": case.number("q"),
        "underlying": 0,
    }
    case.text("vega_bump", "")  # the one convention there is; the result names it
    contracts = Contracts(**{name: np.array([value]) for name, value in columns.items()})  # type: ignore[arg-type]
    weight = np.array([float(rules.values("frtb.equity.delta_weight")[_bucket(case) - 1])])
    one = np.array([0])
    spot, vol = np.array([case.number("S")]), np.array([case.number("vol")])
    unit = option_sensitivities(revaluation(contracts, one, 1, spot, vol, weight, rules), weight, rules)
    units = case.number("quantity") * case.number("multiplier", DEFAULT_MULTIPLIER)
    renamed = {"delta": "delta_sensitivity", "vega": "vega_sensitivity"}
    totals = {renamed.get(item.name, item.name): units * getattr(unit, item.name)[0] for item in fields(unit)}
    return totals | {"vega_bump": "one vol point up, divided by 0.01, times vol"}


@kind(
    "basel_ratios",
    inputs="cet1, at1, t2, credit_rwa, market_capital, oprisk_capital, leverage_exposure, p2r, ccb, ccyb, p2g",
    result="rwa, cet1_ratio, t1_ratio, total_ratio, leverage, tscr_total, tscr_cet1, ocr_cet1, ocr_plus_p2g_cet1, "
    "mda_trigger_breached",
)
def basel_ratios(case: Case) -> dict[str, object]:
    rules = _rules()
    needs = ratios.Requirements(*(case.decimal(name, 0) for name in ("p2r", "ccb", "ccyb", "p2g")))
    assets = ratios.risk_weighted_assets(
        case.micros("credit_rwa"), case.micros("market_capital"), case.micros("oprisk_capital"), rules
    )
    funds = ratios.OwnFunds(case.micros("cet1"), case.micros("at1", 0), case.micros("t2", 0))
    stack = ratios.capital_stack(funds, assets, case.micros("leverage_exposure"), needs, rules)
    return {
        "rwa": money(assets.total),
        "cet1_ratio": stack.ratio["cet1"],
        "t1_ratio": stack.ratio["tier1"],
        "total_ratio": stack.ratio["total"],
        "leverage": stack.leverage,
        "tscr_total": stack.level("total", "TSCR").required_ratio,
        "tscr_cet1": stack.level("cet1", "TSCR").required_ratio,
        "ocr_cet1": stack.level("cet1", "OCR").required_ratio,
        "ocr_plus_p2g_cet1": stack.level("cet1", "OCR + P2G").required_ratio,
        "mda_trigger_breached": stack.payout_limited,
    }


@kind(
    "ifrs9_ecl", inputs="ead (by year), lgd, conditional_annual_pd (by year), eir", result="stage1_12m, stage2_lifetime"
)
def ifrs9_ecl(case: Case) -> dict[str, object]:
    exposure, pd = np.array([case.numbers("ead")]), np.array([case.numbers("conditional_annual_pd")])
    if not exposure.size:
        raise case.refuse("ead", "at least one year")
    yearly = ifrs9.expected_losses(exposure, np.array([case.number("lgd")]), pd, np.array([case.number("eir")]))[0]
    return {"stage1_12m": yearly[0], "stage2_lifetime": yearly.sum()}


@kind(
    "ifrs9_ecl_margin_loan",
    inputs="debit, collateral, shock, liquidation_cost, pd_12m, eir, time_to_default",
    result="collateral_after, shortfall, ecl",
)
def ifrs9_ecl_margin_loan(case: Case) -> dict[str, object]:
    left, uncovered = ifrs9.shortfall(
        case.number("debit"), case.number("collateral"), case.number("shock"), case.number("liquidation_cost")
    )
    loss = ifrs9.margin_loan_loss(uncovered, case.number("pd_12m"), case.number("eir"), case.number("time_to_default"))
    return {"collateral_after": left, "shortfall": uncovered, "ecl": loss}


@kind(
    "sa_ccr_equity_option",
    inputs="position (long|short N calls|puts), S, K, T, multiplier, sigma, sf, mtm, collateral",
    result="supervisory_delta, maturity_factor, effective_notional, addon, rc, multiplier, ead",
)
def sa_ccr_equity_option(case: Case) -> dict[str, object]:
    rules = _rules()
    match = POSITION.fullmatch(case.text("position").strip())
    if match is None:
        raise case.refuse("position", "long|short N calls|puts with N a whole number above 0")
    bought, call = match[1].lower() == "long", match[3].lower() == "call"
    price, years = case.number("S"), case.number("T")
    delta = float(
        sa_ccr.supervisory_delta(
            np.array(call), np.array(bought), np.array(price), np.array(case.number("K")), np.array(years),
            np.array(case.number("sigma")),
        )
    )  # fmt: skip
    factor = float(sa_ccr.maturity_factor(np.array(years), rules))
    units = int(match[2]) * case.number("multiplier", DEFAULT_MULTIPLIER)
    notional = float(sa_ccr.effective_notional(delta, price, units, factor))
    add_on = abs(case.number("sf") * notional)  # one entity: systematic and idiosyncratic parts add up to it
    exposure = sa_ccr.exposure_at_default(case.number("mtm"), case.number("collateral", 0.0), add_on, rules)
    return {
        "supervisory_delta": delta,
        "maturity_factor": factor,
        "effective_notional": notional,
        "addon": exposure.add_on,
        "rc": exposure.replacement_cost,
        "multiplier": exposure.multiplier,
        "ead": exposure.exposure,
    }
