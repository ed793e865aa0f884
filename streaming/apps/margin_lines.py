"""Why each account must hold what it must: every strategy, every group of the scan, with legs, rule and a sentence."""

import numpy as np
import pyarrow as pa

from streaming.apps.tables import build
from streaming.risk.holdings import Holdings
from streaming.risk.margin.house import member_shocks
from streaming.risk.margin.portfolio import POINTS, PortfolioMarginResult
from streaming.risk.margin.portfolio_explain import explain, sentence
from streaming.risk.margin.regt import MarginResult
from streaming.risk.margin.spreads import SpreadLeg, name
from streaming.risk.margin.strategies import LABELS, PARAGRAPHS, Strategy
from streaming.risk.market import PriceSet
from streaming.risk.money import cents
from streaming.risk.reference import Accounts, Instruments, MarginType
from streaming.risk.rulebook import Rules
from streaming.schema import sealed

_RULE_PORTFOLIO = "FINRA 4210(g)"


def strategy_lines(found: MarginResult, instruments: Instruments, accounts: Accounts) -> pa.Table:
    """The chosen treatments with their legs, in words; they sum to the account's requirement."""
    rows, code = found.treatments, found.positions.instrument[found.treatments.leg_position]
    ids = instruments.id[code].tolist()
    legs = [f"{quantity:+d} x {id_}" for quantity, id_ in zip(rows.leg_quantity.tolist(), ids, strict=True)]
    under = np.maximum(rows.underlying, 0).astype(np.int64)
    group = rows.account.astype(np.int64) * len(instruments) + under
    spans = list(zip(rows.leg_start[:-1].tolist(), rows.leg_start[1:].tolist(), strict=True))
    kinds = [Strategy(kind) for kind in rows.strategy.tolist()]
    labels = [
        _spread(instruments, code[a:b], rows.leg_quantity[a:b]) if kind == Strategy.SPREAD else LABELS[kind]
        for kind, (a, b) in zip(kinds, spans, strict=True)
    ]
    joined, rules = [" + ".join(legs[a:b]) for a, b in spans], [PARAGRAPHS[kind] for kind in kinds]
    amounts = zip(rows.maintenance.tolist(), rows.premium.tolist(), strict=True)
    sentences = [
        _sentence(label, text, *amount, rule) for label, text, amount, rule in zip(labels, joined, amounts, rules)
    ]
    columns = {
        "account": _texts(accounts.id[rows.account].tolist()),
        "underlying": _texts(instruments.id[under].tolist()),
        "line": np.arange(len(group)) - np.searchsorted(group, group, side="left") + 1,
        "strategy": _texts(labels),
        "legs": _texts(joined),
        "maintenance": rows.maintenance,
        "initial": rows.initial,
        "premium": rows.premium,
        "rule": _texts(rules),
        "sentence": _texts(sentences),
    }
    return build(sealed.MARGIN_LINES, columns)


def group_rows(found: PortfolioMarginResult, accounts: Accounts) -> pa.Table:
    """The top groups of the scan, of every account (for strategy-based accounts a comparison)."""
    rows = found.portfolios
    columns = {
        "account": _texts(accounts.id[rows.account].tolist()),
        "margin_group": _texts(found.groups.portfolio_name[rows.group].tolist()),
        "level": _texts(found.groups.level[rows.group].tolist()),
        "scenario_loss": rows.scenario_loss,
        "worst_point": rows.worst_point,
        "minimum": rows.minimum,
        "requirement": rows.requirement,
        "rule": _texts([_RULE_PORTFOLIO] * len(rows)),
    }
    return build(sealed.MARGIN_GROUPS, columns)


def shock_rows(
    found: PortfolioMarginResult,
    holdings: Holdings,
    instruments: Instruments,
    accounts: Accounts,
    market: PriceSet,
    scan: np.ndarray,
    baseline: np.ndarray,
) -> pa.Table:
    """P&L at the ten points of every top group and every scanned position of portfolio accounts.

    ``scan`` [instrument, point] and ``baseline`` are model values in micros per unit.
    """
    tops, groups = found.portfolios, found.groups
    chosen = accounts.margin_type[tops.account] == MarginType.PORTFOLIO
    rows = np.flatnonzero((found.class_row >= 0) & (accounts.margin_type[holdings.account] == MarginType.PORTFOLIO))
    part = Holdings(*(getattr(holdings, name)[rows] for name in ("account", "instrument", "quantity", "cost")))
    members = member_shocks(part, instruments, market, scan, baseline)
    top = groups.portfolio_group[groups.product_group[groups.class_group[part.instrument]]]
    account = np.concatenate([tops.account[chosen], part.account])
    pnl = np.concatenate([tops.pnl[chosen], members])
    columns: dict[str, object] = {
        "account": _texts(accounts.id[account].tolist()),
        "margin_group": _texts(groups.portfolio_name[np.concatenate([tops.group[chosen], top])].tolist()),
        "instrument": _texts([""] * int(chosen.sum()) + instruments.id[part.instrument].tolist()),
    }
    return build(sealed.MARGIN_SHOCKS, columns | {f"p{point + 1}": pnl[:, point] for point in range(POINTS)})


def scan_lines(
    found: PortfolioMarginResult, holdings: Holdings, instruments: Instruments, accounts: Accounts, rules: Rules
) -> pa.Table:
    """The requirement of portfolio accounts taken apart; an account's lines sum to it."""
    on_scan = found.account[accounts.margin_type[found.account] == MarginType.PORTFOLIO]
    parts = explain(found, holdings, instruments, rules, on_scan)
    account = np.array([code for code, _ in parts], np.int64)
    columns = {
        "account": _texts(accounts.id[account].tolist()),
        "line": np.arange(len(parts)) - np.searchsorted(account, account, side="left") + 1,
        "strategy": _texts([part.strategy for _, part in parts]),
        "legs": _texts([" + ".join(f"{leg.quantity:+d} x {leg.instrument}" for leg in part.legs) for _, part in parts]),
        "inputs": _texts(["; ".join(f"{key} = {value}" for key, value in part.inputs.items()) for _, part in parts]),
        "amount": np.array([part.value for _, part in parts], np.int64),
        "rule": _texts([part.rule for _, part in parts]),
        "sentence": _texts([sentence(part) for _, part in parts]),
    }
    return build(sealed.MARGIN_SCAN_LINES, columns)


def _sentence(label: str, legs: str, maintenance: int, premium: int, rule: str) -> str:
    held = f"{cents(maintenance):,} dollars" if maintenance else "nothing"
    of_premium = f", of which {cents(premium):,} is the value of the short options" if premium and maintenance else ""
    return f"{legs}: {held} as {label}{of_premium} ({rule})."


def _spread(instruments: Instruments, code: np.ndarray, quantity: np.ndarray) -> str:
    columns = zip(
        instruments.right[code].tolist(), instruments.strike[code].tolist(), instruments.expiry[code].tolist(),
        quantity.tolist(),
    )  # fmt: skip
    return name([SpreadLeg(*column) for column in columns])


def _texts(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())
