"""Why each portfolio-margined account must hold what it must: tables and sentences that sum to the requirement.

One row per top group (the scan) and one per position outside the scan; the values of an account's rows add up to its
requirement exactly. Columns of the account report: margin_portfolio_tims section 6.
"""

import numpy as np
import pyarrow as pa

from streaming.risk.explained import Explained, Leg
from streaming.risk.holdings import Holdings
from streaming.risk.margin.portfolio import POINTS, PortfolioMarginResult, Treatment, scan_moves
from streaming.risk.money import MICRO, cents
from streaming.risk.reference import Accounts, Instruments
from streaming.risk.rulebook import Rules

_SCAN_RULE = "FINRA 4210(g)(2)"
_STRATEGY_RULE = "FINRA 4210(g)"
_FULL_RULE = "house: incomplete data is charged in full"
_WHY = {
    Treatment.MISSING_PRICE: "there is no price",
    Treatment.STALE_PRICE: "the price of the underlying is older than allowed",
    Treatment.MISSING_VALUE: "the model has no value",
    Treatment.MISSING_MULTIPLIER: "reference data has no multiplier",
    Treatment.MISSING_UNDERLYING: "reference data has no underlying",
    Treatment.MISSING_RATE: "there is no exchange rate",
    Treatment.UNKNOWN_CLASS: "the class of the underlying is unknown",
}


def account_report(result: PortfolioMarginResult, accounts: Accounts) -> pa.Table:
    """One row per account and top group: the scan at P1..P10 and what it requires. Amounts in micros."""
    rows = result.portfolios
    columns: dict[str, object] = {
        "account": accounts.id[rows.account],
        "group": result.groups.portfolio_name[rows.group],
        "level": result.groups.level[rows.group],
        "instruments": rows.instruments,
    }
    columns |= {f"p{k + 1}": rows.pnl[:, k] for k in range(POINTS)}
    columns |= {
        "worst_point": rows.worst_point,
        "scenario_loss": rows.scenario_loss,
        "minimum": rows.minimum,
        "requirement": rows.requirement,
    }
    return pa.table(columns)


def exceptions(
    result: PortfolioMarginResult, holdings: Holdings, instruments: Instruments, accounts: Accounts
) -> pa.Table:
    """Every position that could not be scanned and was charged in full: account, instrument, reason, charge."""
    rows = np.flatnonzero(result.treatment > Treatment.NOT_ELIGIBLE)
    order = rows[np.lexsort((holdings.instrument[rows], holdings.account[rows]))]
    return pa.table(
        {
            "account": pa.array(accounts.id[holdings.account[order]], pa.string()),
            "instrument": pa.array(instruments.id[holdings.instrument[order]], pa.string()),
            "quantity": pa.array(holdings.quantity[order], pa.int64()),
            "reason": pa.array([Treatment(int(t)).name.lower() for t in result.treatment[order]], pa.string()),
            "charge": pa.array(result.charge[order], pa.int64()),
        }
    )


def explain(
    result: PortfolioMarginResult,
    holdings: Holdings,
    instruments: Instruments,
    rules: Rules,
    accounts: np.ndarray | None = None,
) -> list[tuple[int, Explained]]:
    """The requirements of ``accounts`` (codes; default all), taken apart: pairs of account code and part.

    Ordered by account; first its groups, then its positions outside the scan. An account's values sum to its
    ``requirement`` in ``result``.
    """
    chosen = result.account if accounts is None else np.unique(accounts)
    moves = scan_moves(instruments, rules, result.groups)
    scanned = result.class_row >= 0
    top = np.full(len(holdings), -1, dtype=np.int64)
    top[scanned] = _top_row(result)[result.class_row[scanned]]
    order = np.lexsort((holdings.instrument, top))
    ends = np.searchsorted(top[order], np.arange(len(result.portfolios) + 1))
    parts: list[tuple[int, Explained]] = []
    for row in np.flatnonzero(np.isin(result.portfolios.account, chosen)):
        held = order[ends[row] : ends[row + 1]]
        part = _explain_group(result, holdings, instruments, int(row), held, moves)
        parts.append((int(result.portfolios.account[row]), part))
    outside = np.flatnonzero((top < 0) & np.isin(holdings.account, chosen))
    for row in outside[np.lexsort((holdings.instrument[outside], holdings.account[outside]))]:
        parts.append((int(holdings.account[row]), _explain_position(result, holdings, instruments, int(row))))
    return sorted(parts, key=lambda part: part[0])


def sentence(part: Explained) -> str:
    """What a client reads: the amount, why, and where it comes from."""
    amount = f"{cents(part.value):,} dollars"
    if part.strategy == "scan" and not part.value:
        return f"{part.inputs['group']}: nothing; no move of the scan makes these positions lose ({part.rule})."
    if part.strategy == "scan":
        group, move = part.inputs["group"], part.inputs["worst_move"]
        return f"{group}: {amount}, the loss of these positions together if the market moved {move} ({part.rule})."
    if part.strategy == "minimum per contract":
        return (
            f"{part.inputs['group']}: {amount}, the minimum for the option contracts held; the largest loss of the "
            f"scan, {cents(int(part.inputs['scenario_loss'])):,} dollars, is smaller ({part.rule})."
        )
    instrument = part.legs[0].instrument
    if part.strategy == "strategy-based":
        return f"{instrument}: {amount} under the strategy-based rule: not eligible for portfolio margin ({part.rule})."
    return f"{instrument}: {amount}, charged in full because {part.inputs['reason']} ({part.rule})."


def explanation_table(parts: list[tuple[int, Explained]], accounts: Accounts) -> pa.Table:
    """Explanations as a table: account, rule, strategy, legs, inputs, value (micros), sentence."""
    rows = [
        {
            "account": accounts.id[account],
            "rule": part.rule,
            "strategy": part.strategy,
            "legs": "; ".join(f"{leg.quantity} {leg.instrument}" for leg in part.legs),
            "inputs": "; ".join(f"{name} = {value}" for name, value in part.inputs.items()),
            "value": part.value,
            "sentence": sentence(part),
        }
        for account, part in parts
    ]
    return pa.Table.from_pylist(rows, _EXPLANATION)


_EXPLANATION = pa.schema(
    [(name, pa.int64() if name == "value" else pa.string())
     for name in ("account", "rule", "strategy", "legs", "inputs", "value", "sentence")]
)  # fmt: skip


def _top_row(result: PortfolioMarginResult) -> np.ndarray:
    return result.products.parent[result.classes.parent]


def _explain_group(
    result: PortfolioMarginResult,
    holdings: Holdings,
    instruments: Instruments,
    row: int,
    held: np.ndarray,
    moves: np.ndarray,
) -> Explained:
    top, groups = result.portfolios, result.groups
    legs = tuple(Leg(str(instruments.id[holdings.instrument[i]]), int(holdings.quantity[i])) for i in held)
    points = top.pnl[row]
    loss, minimum = max(0, -int(points.min())), int(top.minimum[row])
    worst = int(points.argmin()) + 1 if loss else 0
    inputs: dict[str, str | int] = {
        "group": str(groups.portfolio_name[top.group[row]]),
        "worst_point": worst,
        "worst_move": _span(moves[holdings.instrument[held], worst - 1]) if worst else "nowhere",
        "scenario_loss": loss,
        "minimum": minimum,
    }
    inputs |= {f"p{k + 1}": int(points[k]) for k in range(POINTS)}
    strategy = "scan" if loss >= minimum else "minimum per contract"
    return Explained(max(loss, minimum), _SCAN_RULE, strategy, legs, inputs)


def _explain_position(
    result: PortfolioMarginResult, holdings: Holdings, instruments: Instruments, row: int
) -> Explained:
    leg = Leg(str(instruments.id[holdings.instrument[row]]), int(holdings.quantity[row]))
    why = Treatment(int(result.treatment[row]))
    if why == Treatment.NOT_ELIGIBLE:
        return Explained(int(result.charge[row]), _STRATEGY_RULE, "strategy-based", (leg,))
    return Explained(int(result.charge[row]), _FULL_RULE, "full charge", (leg,), {"reason": _WHY[why]})


def _span(moves: np.ndarray) -> str:
    """``-8%``, or ``-8% to -10%`` where the members of a group move differently."""
    low, high = (f"{100 * value / MICRO:+g}%" for value in (min(moves, key=abs), max(moves, key=abs)))
    return low if low == high else f"{low} to {high}"
