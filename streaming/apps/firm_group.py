"""The Basel view of the group at the end of day: market-risk capital, assets, own funds, and the stack under stress."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

from streaming.apps.firm_inputs import numbers
from streaming.apps.firm_statements import Statement
from streaming.apps.firm_stressed import BEFORE, Stressed
from streaming.apps.firm_view import FirmView
from streaming.apps.tables import build
from streaming.apps.valuation import dividend_yields, option_contracts, priceable
from streaming.risk.capital import group
from streaming.risk.capital.debt_rates import debt_rate_rows
from streaming.risk.capital.drc import default_risk_charge, equity_default_rows
from streaming.risk.capital.frtb_buckets import equity_buckets, spot_weights
from streaming.risk.capital.frtb_rates_fx import currency_delta, rate_delta
from streaming.risk.capital.frtb_sensitivities import Revaluation, equity_sensitivities, revaluation
from streaming.risk.capital.inputs import BalanceSheet, Line
from streaming.risk.capital.lines import StatementLine, formula, total
from streaming.risk.capital.market_risk import MarketRiskCapital, market_risk_capital
from streaming.risk.capital.marking import rates
from streaming.risk.capital.ratios import (
    LEVELS,
    TIERS,
    OwnFunds,
    Stack,
    StressImpact,
    requirements,
    stressed_stacks,
)
from streaming.risk.capital.rrao import EXEMPT, residual_risk_add_on
from streaming.risk.explained import Explained
from streaming.risk.holdings import Holdings
from streaming.risk.money import MICRO, fraction
from streaming.risk.reference import AccountKind
from streaming.schema import sealed

REPORTING = "USD"
_DOUBTFUL = {"evidence": "K"}
_LEVEL_COLUMNS = {"pillar 1": "p1", "TSCR": "tscr", "OCR": "ocr", "OCR + P2G": "p2g"}


@dataclass(frozen=True, slots=True)
class GroupView:
    """The group's statements and what its ratios are made of."""

    statements: tuple[Statement, ...]
    stacks: tuple[Stack, ...]
    """Before stress, then after each scenario."""


def group_view(firm: FirmView, states: Sequence[Stressed]) -> GroupView | None:
    """The Basel view; None without a balance sheet, or where nothing would be weighted."""
    sheet = firm.ledger.sheet
    if sheet is None:
        return None
    held = _house(firm)
    market = market_capital(firm, held)
    clients = group.client_exposures(firm.books, firm.ready, firm.market, firm.accounts, firm.rules)
    own = group.house_option_exposure(held, firm.instruments, firm.ready, firm.market, firm.rules)
    credit = group.credit_lines(sheet, firm.ledger.record, firm.ready, clients, own, firm.rules)
    values = firm.ready.value(held.instrument, held.quantity, held.cost)
    debits = int(firm.part.accounts.debit[firm.part.accounts.kind != AccountKind.HOUSE].sum())
    options = own + int(clients.default.sum())
    exposure = group.leverage_lines(sheet, firm.ledger.record, values, debits, options)
    funds = group.own_funds(sheet, _loans(firm), firm.rules)
    operational = group.operational_capital(sheet, firm.rules)
    if not total(credit) + market.total + operational or not total(exposure):
        return None
    stacks = stressed_stacks(
        funds,
        total(credit),
        market.total,
        operational,
        total(exposure),
        [_impact(state, states[0]) for state in states if state.scenario != BEFORE],
        requirements(firm.rules),
        firm.rules,
    )
    statements = (
        Statement("group_own_funds", _funds_lines(sheet, funds)),
        Statement("group_credit_risk", (*credit, _sum("credit.total", "Credit-risk-weighted assets", credit, "CRE20"))),
        Statement("group_market_risk", _market_lines(market)),
        Statement("group_buckets", _bucket_lines(market)),
        Statement("group_assets", _asset_lines(firm, stacks[0], total(credit), market.total, operational)),
        Statement("group_leverage", (*exposure, _sum("leverage.total", "Leverage exposure", exposure, "LEV30"))),
        Statement("group_ratios", _ratio_lines(stacks[0])),
    )
    return GroupView(statements, stacks)


def _house(firm: FirmView) -> Holdings:
    """The firm's own positions, net by instrument."""
    quantity = firm.part.securities.net[AccountKind.HOUSE]
    held = np.flatnonzero(quantity)
    cost = firm.part.securities.cost[AccountKind.HOUSE][held]
    return Holdings(np.zeros(len(held), np.int32), held.astype(np.int32), quantity[held], cost)


def market_capital(firm: FirmView, held: Holdings) -> MarketRiskCapital:
    """Market-risk capital of the firm's own positions: sensitivities, default risk, residual risk."""
    instruments, rules = firm.instruments, firm.rules
    buckets = equity_buckets(instruments, rules)
    values = _revaluation(firm, held, spot_weights(buckets, rules))
    equity = equity_sensitivities(held, instruments, firm.market, values, rules, buckets=buckets)
    debt = debt_rate_rows(held, instruments, firm.market, rules)
    value = firm.ready.value(held.instrument, held.quantity, held.cost)
    return market_risk_capital(
        equity,
        rules,
        other_charges=(
            rate_delta(debt.currency.tolist(), debt.curve.tolist(), debt.tenor, debt.amount, rules, REPORTING),
            currency_delta(*_currencies(firm, held, value), rules, REPORTING),
        ),
        other_exceptions=(debt.exceptions,),
        default_risk=default_risk_charge(equity_default_rows(held, instruments, firm.market, values, rules), rules),
        residual_risk=residual_risk_add_on(np.full(len(held), EXEMPT), value, rules),
    )


def _revaluation(firm: FirmView, held: Holdings, weight: np.ndarray) -> Revaluation:
    """Shocked values of the option series that the firm holds."""
    n = len(firm.instruments)
    vol = np.zeros(n, np.int64) if firm.valuation is None else firm.valuation.vol
    codes = priceable(firm.instruments, firm.market, firm.cut.as_of)
    codes = codes[np.isin(codes, held.instrument) & (vol[codes] > 0)]
    if not len(codes):
        return Revaluation(*np.full((7, n), np.nan))
    paid = dividend_yields(firm.rates, firm.instruments, codes, firm.epoch.time, firm.market.price)
    contracts = option_contracts(firm.rates, firm.instruments, codes, firm.epoch.time, paid)
    spot = firm.market.price / MICRO
    return revaluation(contracts, codes, n, spot, vol[codes] / MICRO, weight, firm.rules)


def _currencies(firm: FirmView, held: Holdings, value: np.ndarray) -> tuple[list[str], np.ndarray]:
    """What is held in each currency: positions at market and the ledger's cash."""
    ledger = firm.records.ledger
    cash = ledger["line"].to_numpy(zero_copy_only=False) == Line.CASH
    (amount,) = numbers(ledger, "amount")
    currency = ledger["currency"].to_numpy(zero_copy_only=False)
    rate, _ = rates(currency[cash], firm.market)
    return (
        [*firm.instruments.currency[held.instrument].tolist(), *currency[cash].tolist()],
        np.concatenate([value, np.asarray(fraction(amount[cash], rate), np.int64)]),
    )


def _loans(firm: FirmView) -> list[tuple[int, int]]:
    """Subordinated loans as (days to maturity, micros); without a date the whole life counts."""
    ledger = firm.records.ledger
    amount, due = numbers(ledger, "amount", "due")
    rate, _ = rates(ledger["currency"].to_numpy(zero_copy_only=False), firm.market)
    loans = np.flatnonzero(ledger["line"].to_numpy(zero_copy_only=False) == Line.SUBORDINATED_LOAN)
    whole = int(firm.rules.value("basel.tier2.amortisation_years")) * group.DAYS_PER_YEAR
    left = np.where(due < 0, whole, due - firm.cut.as_of)
    return [(int(left[row]), int(fraction(amount[row], rate[row]))) for row in loans.tolist()]


def _impact(state: Stressed, before: Stressed) -> StressImpact:
    """A scenario's loss: of the firm's own positions, and what more clients could not pay than before it."""
    return StressImpact(state.scenario, state.unsecured - before.unsecured - state.house_profit)


def _sum(code: str, name: str, lines: Sequence[StatementLine], rule: str) -> StatementLine:
    return formula(code, name, total(lines), rule, "sum of the lines above", _DOUBTFUL)


def _funds_lines(sheet: BalanceSheet, funds: OwnFunds) -> tuple[StatementLine, ...]:
    loans = int(sheet.amount[sheet.rows(Line.SUBORDINATED_LOAN)].sum())
    inputs: dict[str, str | int] = {"subordinated loans": loans, **_DOUBTFUL}
    return (
        formula(
            "own.cet1",
            "Common equity tier 1",
            funds.cet1,
            "CAP10.6",
            "ownership equity with the day's result",
            _DOUBTFUL,
        ),
        formula(
            "own.at1",
            "Additional tier 1",
            funds.additional_tier1,
            "CAP10.11",
            "the ledger has no such instrument",
            _DOUBTFUL,
        ),
        formula("own.tier1", "Tier 1", funds.tier("tier1"), "CAP10.1", "CET1 + additional tier 1", _DOUBTFUL),
        formula(
            "own.tier2",
            "Tier 2",
            funds.tier2,
            "CAP10.16",
            "subordinated loans, amortised over their last five years",
            inputs,
        ),
        formula("own.total", "Total capital", funds.tier("total"), "CAP10.1", "tier 1 + tier 2", _DOUBTFUL),
    )


def _market_lines(market: MarketRiskCapital) -> tuple[StatementLine, ...]:
    parts = tuple(_explained(f"market.{number:02}", found) for number, found in enumerate(market.explained(), 1))
    scenarios = tuple(
        formula(
            f"market.{name.lower()}",
            f"Sensitivities-based method, {name.lower()} correlations",
            int(amount),
            "MAR21.7",
            "sum over classes and measures",
            _DOUBTFUL,
        )
        for name, amount in zip(("Low", "Medium", "High"), market.sensitivities_based.tolist(), strict=True)
    )
    whole = formula(
        "market.total",
        "Market-risk capital",
        market.total,
        "MAR20.4",
        f"sum of the lines of the binding scenario ({market.binding.lower()})",
        _DOUBTFUL,
    )
    return (*parts, whole, *scenarios)


def _explained(code: str, found: Explained) -> StatementLine:
    return StatementLine(code, found.strategy[:1].upper() + found.strategy[1:], found)


def _bucket_lines(market: MarketRiskCapital) -> tuple[StatementLine, ...]:
    """K of every bucket in the binding scenario; those of one measure aggregate with correlations, not as a sum."""
    return tuple(
        _explained(f"{charge.risk_class}.{charge.measure}.{number:02}", found)
        for charge in market.charges
        for number, found in enumerate(charge.explained(market.binding), 1)
        if found.value
    )


def _asset_lines(firm: FirmView, stack: Stack, credit: int, market: int, operational: int) -> tuple[StatementLine, ...]:
    assets = stack.assets
    factor = str(firm.rules.value("frtb.rwa_factor"))
    return (
        formula("rwa.credit", "Credit risk", credit, "CRE20", "group_credit_risk", _DOUBTFUL),
        formula(
            "rwa.market",
            "Market risk",
            assets.market,
            "RBC20.9",
            f"{factor} x market-risk capital",
            {"capital": market, **_DOUBTFUL},
        ),
        formula(
            "rwa.operational",
            "Operational risk",
            assets.operational,
            "OPE25",
            f"{factor} x operational-risk capital",
            {"capital": operational, "evidence": "H"},
        ),
        formula(
            "rwa.total",
            "Risk-weighted assets",
            assets.total,
            "RBC20.9",
            "credit + market + operational",
            {"evidence": "H"},
        ),
    )


def _ratio_lines(stack: Stack) -> tuple[StatementLine, ...]:
    """Ratios, then required and surplus at every level of every tier."""
    found = [
        formula(
            f"ratio.{tier}",
            f"{_TITLES[tier]} ratio",
            _micros(stack.ratio[tier]),
            "RBC20.1",
            "capital / risk-weighted assets",
            _DOUBTFUL,
        )
        for tier in TIERS
    ]
    found.append(
        formula(
            "ratio.leverage",
            "Leverage ratio",
            _micros(stack.leverage),
            "LEV20",
            "tier 1 / leverage exposure",
            _DOUBTFUL,
        )
    )
    for tier in TIERS:
        for name in LEVELS:
            level = stack.level(tier, name)
            code, inputs = (
                f"{tier}.{_LEVEL_COLUMNS[name]}",
                {"ratio": str(level.required_ratio), "evidence": level.evidence},
            )
            found.append(
                formula(
                    f"{code}.required",
                    f"{_TITLES[tier]}: {name} requires",
                    level.required,
                    level.rule,
                    f"{level.required_ratio:.4%} of risk-weighted assets",
                    inputs,
                )
            )
            found.append(
                formula(
                    f"{code}.surplus",
                    f"{_TITLES[tier]}: surplus over {name}",
                    level.surplus,
                    level.rule,
                    "capital - required",
                    inputs,
                )
            )
    found.append(
        formula(
            "leverage.surplus",
            "Tier 1 over 3% of the leverage exposure",
            stack.leverage_surplus,
            "LEV20.7",
            "tier 1 - minimum",
            _DOUBTFUL,
        )
    )
    found.append(
        formula(
            "ratio.buffer_left",
            "Left after TSCR, of risk-weighted assets",
            _micros(stack.buffer_left),
            "RBC30",
            "least over the tiers",
            _DOUBTFUL,
        )
    )
    found.append(
        formula(
            "ratio.payout",
            "Part of earnings that may be paid out",
            _micros(stack.payout_part),
            "RBC30.4",
            "all of it unless the combined buffer is short",
            _DOUBTFUL,
        )
    )
    return tuple(found)


_TITLES = {"cet1": "CET1", "tier1": "Tier 1", "total": "Total capital"}


def _micros(ratio: Decimal) -> int:
    return int((ratio * MICRO).to_integral_value())


def stack_table(stacks: Sequence[Stack], states: Sequence[Stressed]) -> pa.Table:
    """``capital_stack``: ratios, surplus over every level and payout limit, before stress and after each scenario."""
    losses = [0 if s.scenario == BEFORE else _impact(s, states[0]).loss for s in states]
    amounts: dict[str, list[int]] = {
        "loss": losses,
        "cet1": [s.own_funds.tier("cet1") for s in stacks],
        "tier1": [s.own_funds.tier("tier1") for s in stacks],
        "total": [s.own_funds.tier("total") for s in stacks],
        "risk_weighted_assets": [s.assets.total for s in stacks],
        "leverage_surplus": [s.leverage_surplus for s in stacks],
        "leverage_ratio": [_micros(s.leverage) for s in stacks],
        "buffer_left": [_micros(s.buffer_left) for s in stacks],
        "payout_part": [_micros(s.payout_part) for s in stacks],
    }
    for tier in TIERS:
        amounts[f"{tier}_ratio"] = [_micros(s.ratio[tier]) for s in stacks]
        for name, short in _LEVEL_COLUMNS.items():
            amounts[f"{tier}_over_{short}"] = [s.level(tier, name).surplus for s in stacks]
    columns: dict[str, object] = {name: np.array(values, np.int64) for name, values in amounts.items()}
    columns["scenario"] = pa.array([s.scenario for s in stacks], pa.string())
    columns["payout_limited"] = pa.array([s.payout_limited for s in stacks], pa.bool_())
    return build(sealed.CAPITAL_STACK, columns)
