"""House margin, limits and calls at a cut, as sealed tables."""

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.margin_limits import ACCOUNT, ACCOUNT_METRICS, account_values, evaluated
from streaming.apps.policies import Policies
from streaming.apps.sessions import sessions
from streaming.apps.tables import build
from streaming.risk.holdings import Holdings
from streaming.risk.margin import calls
from streaming.risk.margin.add_ons import AddOn
from streaming.risk.margin.house import COMPONENTS, HouseInputs, HouseResult, StrategyRows, house_requirement
from streaming.risk.margin.house_explain import explain_house, house_sentence
from streaming.risk.margin.intraday import IntradayPath, intraday_calls
from streaming.risk.margin.portfolio import PortfolioMarginResult
from streaming.risk.margin.regt import MarginResult
from streaming.risk.market import PriceSet
from streaming.risk.reference import AccountKind, Accounts, Instruments, MarginType
from streaming.risk.rulebook import RuleError, Rules
from streaming.schema import sealed

_MAINTENANCE, _REG_T, _HOUSE, _PORTFOLIO, _INTRADAY = "maintenance", "regulation_t", "house", "portfolio", "intraday"
_RULES = {
    _MAINTENANCE: "FINRA 4210(f)(6)",
    _REG_T: "12 CFR 220.3(b), 220.4(c)",
    _HOUSE: "house policy",
    _PORTFOLIO: "FINRA 4210(g)(9)",
    _INTRADAY: "FINRA 4210(d)(2)",
}


def house(
    holdings: Holdings,
    instruments: Instruments,
    accounts: Accounts,
    market: PriceSet,
    strategy: MarginResult,
    portfolio: PortfolioMarginResult,
    valued: pa.Table,
    var_floor: np.ndarray,
    add_ons: tuple[AddOn, ...],
    day: int,
    rules: Rules,
) -> HouseResult:
    """House requirement of every account with positions. ``valued``: the rows of a cut; ``var_floor`` by account code.

    No event calendar is loaded: that layer is zero.
    """
    found, columns = strategy.accounts, views.matrix(valued, ("baseline", "delta", "vega", "daily_vol"))
    on_scan = accounts.margin_type == MarginType.PORTFOLIO
    treated = strategy.treatments
    inputs = HouseInputs(
        values=views.matrix(valued, views.HOUSE),
        baseline=columns[:, 0],
        delta=columns[:, 1],
        vega=columns[:, 2],
        daily_vol=columns[:, 3],
        event=np.zeros(len(instruments), bool),
        var=var_floor,
        equity=np.where(on_scan, found.equity, found.margin_equity),
        add_ons=add_ons,
        as_of=day,
        sessions=sessions(),
    )
    rows = StrategyRows(treated.account, treated.underlying, treated.maintenance - treated.premium)
    return house_requirement(holdings, instruments, accounts, market, portfolio, rows, inputs, rules)


def house_rows(result: HouseResult, accounts: Accounts, price_set: str) -> pa.Table:
    columns: dict[str, object] = {name: result.components[name] for name in COMPONENTS}
    columns |= {
        "account": pa.array(accounts.id[result.account].tolist(), pa.string()),
        "scan_requirement": result.scan_requirement,
        "strategy_requirement": result.strategy_requirement,
        "regulatory_requirement": result.regulatory_requirement,
        "house_requirement": result.requirement,
        "effective_requirement": result.effective_requirement,
        "binding": pa.array(result.binding.tolist(), pa.string()),
        "house_excess": result.house_excess,
        "effective_excess": result.effective_excess,
        "price_set": pa.array([price_set] * len(result.account), pa.string()),
    }
    return build(sealed.MARGIN_HOUSE, columns)


def house_lines(result: HouseResult, portfolio: PortfolioMarginResult, accounts: Accounts) -> pa.Table:
    """Every component with its name, amount and sentence; an account's lines sum to its house requirement."""
    parts = [
        (code, line, part)
        for code in result.account.tolist()
        for line, part in enumerate(explain_house(result, portfolio, code), 1)
    ]
    columns = {
        "account": pa.array([str(accounts.id[code]) for code, _, _ in parts], pa.string()),
        "line": np.array([line for _, line, _ in parts], np.int64),
        "component": pa.array([part.strategy for _, _, part in parts], pa.string()),
        "name": pa.array([str(part.inputs.get("name", "")) for _, _, part in parts], pa.string()),
        "amount": np.array([part.value for _, _, part in parts], np.int64),
        "rule": pa.array([part.rule for _, _, part in parts], pa.string()),
        "sentence": pa.array([house_sentence(part) for _, _, part in parts], pa.string()),
    }
    return build(sealed.MARGIN_HOUSE_LINES, columns)


def account_limits(
    result: HouseResult, accounts: Accounts, equity: np.ndarray, policies: Policies, rules: Rules
) -> pa.Table:
    """The limits on accounts in force at the rule date; ``equity`` by account code."""
    names = accounts.id[result.account]
    values = account_values(equity[result.account], result.requirement, result.effective_requirement)
    metrics = {metric: (names, value) for metric, value in zip(ACCOUNT_METRICS, values, strict=True)}
    return evaluated(policies, ACCOUNT, metrics, rules, whole=False)


def call_rows(
    strategy: MarginResult, house_result: HouseResult, path: IntradayPath, accounts: Accounts, day: int, rules: Rules
) -> pa.Table:
    """What is called at this cut, under which rule and until when; the firm calls nothing from itself.

    Several calls of an account overlap, they do not add up.
    """
    days, kinds = sessions(), accounts.margin_type
    called = accounts.kind != AccountKind.HOUSE
    found: list[tuple[str, np.ndarray, np.ndarray, int]] = []
    maintenance = np.where(called & (kinds != MarginType.PORTFOLIO), strategy.accounts.maintenance_call, 0)
    found.append((_MAINTENANCE, *_positive(maintenance), calls.maintenance_due(day, days, rules)))
    small = calls.disregarded(strategy.accounts.reg_t_call, rules)
    reg_t = np.where(called & ~small, strategy.accounts.reg_t_call, 0)
    found.append((_REG_T, *_positive(reg_t), calls.reg_t_due(day, days, rules)))
    scan = np.zeros(len(accounts), np.int64)
    on_scan = called[house_result.account] & (kinds[house_result.account] == MarginType.PORTFOLIO)
    equity = house_result.effective_excess + house_result.effective_requirement
    scan[house_result.account] = np.where(on_scan, house_result.scan_requirement - equity, 0)
    due = calls.business_day(day, int(rules.value("portfolio_margin.call_days")), days)
    found.append((_PORTFOLIO, *_positive(scan), due))
    asked = np.zeros(len(accounts), np.int64)
    asked[house_result.account] = np.where(called[house_result.account], -house_result.effective_excess, 0)
    found.append((_HOUSE, *_positive(asked), calls.house_due(day, days, rules)))
    found += _intraday(path, accounts, day, days, rules)
    account = np.concatenate([codes for _, codes, _, _ in found])
    columns = {
        "account": pa.array(accounts.id[account].tolist(), pa.string()),
        "kind": pa.array([kind for kind, codes, _, _ in found for _ in codes], pa.string()),
        "amount": np.concatenate([amounts for _, _, amounts, _ in found]),
        "due": np.concatenate([np.full(len(codes), due) for _, codes, _, due in found]),
        "rule": pa.array([_RULES[kind] for kind, codes, _, _ in found for _ in codes], pa.string()),
    }
    return build(sealed.CALLS, columns)


def _intraday(
    path: IntradayPath, accounts: Accounts, day: int, days: np.ndarray, rules: Rules
) -> list[tuple[str, np.ndarray, np.ndarray, int]]:
    """Calls on the day's peak deficits; none where the rule date lies before the intraday rule."""
    count = len(accounts)
    try:
        raised = intraday_calls(path, np.zeros(count, bool), np.zeros(count, np.int64), day, day, days, rules)
    except RuleError:
        return []
    kept = ~raised.excepted & (accounts.margin_type[raised.account] != MarginType.CASH)
    kept &= accounts.kind[raised.account] != AccountKind.HOUSE
    due = int(raised.due[0]) if len(raised.due) else day
    return [(_INTRADAY, raised.account[kept], raised.deficit[kept], due)]


def _positive(amount: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes = np.flatnonzero(amount > 0)
    return codes, amount[codes]
