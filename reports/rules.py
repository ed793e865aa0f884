"""Which rule stands behind a sealed column, and which parameters it was computed with.

A row that names its own paragraph (lines of margin, of capital, notices, calls) is asked first; this says it for the
rest, by table and where needed by column.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Basis:
    """A paragraph, and how the ids of its parameters begin."""

    rule: str
    parameters: tuple[str, ...] = ()


_PRICES = Basis("conventions 4: one price set, a missing or stale price is an exception", ("prices.",))
_BOOK = Basis("trade-date accounting of positions and cash; weighted average cost", ("positions.",))
_INTRADAY = Basis("FINRA 4210(d): intraday margin deficits", ("intraday.",))
_HOUSE = Basis("house margin policy", ("house.",))
_STRATEGY = Basis("FINRA 4210(c), (f)(2): strategy-based maintenance", ("regt.maintenance", "regt.option"))
_SCAN = Basis("FINRA 4210(g): portfolio margin", ("portfolio_margin.",))
_STRESS = Basis("stress testing, full revaluation", ("stress.",))
_VAR = Basis("value at risk and expected shortfall, historical simulation", ("var.",))
_CREDIT = Basis("IFRS 9 5.5; ASC 326-20-35-6 beside it", ("ifrs9.",))
_RESOLUTION = Basis("resolution planning: funding and transfer", ("resolution.",))
_RTS22 = Basis("MiFIR article 26, RTS 22 annex I table 2", ("mifid.",))
_CAPITAL = Basis("SEC 15c3-1, 15c3-3", ("net_capital.", "reserve."))

_TABLES: Mapping[str, Basis] = {
    "positions": _BOOK,
    "cash": _BOOK,
    "trades": _BOOK,
    "rejects": _BOOK,
    "pnl": Basis("day P&L against the previous close; one price set", ("prices.",)),
    "exposure": Basis("net equity: cash plus market value; conventions 7 for currencies", ("prices.",)),
    "prices": _PRICES,
    "fx": _PRICES,
    "valuation": Basis("option pricing: American and European options, implied volatility", ("pricing.",)),
    "margin": Basis("FINRA 4210, Regulation T 220.4", ("regt.", "portfolio_margin.")),
    "margin_lines": _STRATEGY,
    "margin_path": _INTRADAY,
    "margin_groups": _SCAN,
    "margin_scan_lines": _SCAN,
    "margin_shocks": _SCAN,
    "margin_house": _HOUSE,
    "margin_house_lines": _HOUSE,
    "limits": Basis("limit policy of the house"),
    "limit_breaches": Basis("limit policy of the house"),
    "policies": Basis("limit policy and discretionary add-ons of the house"),
    "calls": Basis("Regulation T 220.4(c); FINRA 4210(f)(6), (g)(10)", ("regt.call", "portfolio_margin.call_days")),
    "stress": _STRESS,
    "stress_underlying": _STRESS,
    "stress_surface": Basis("spot x volatility grid", ("stress.grid",)),
    "stress_unpriced": Basis("conventions 4: what cannot be priced is charged in full", ("stress.missing",)),
    "stress_totals": _STRESS,
    "stress_firm": _STRESS,
    "scenarios": _STRESS,
    "stress_capital": Basis("SEC 15c3-1, 15c3-3 under stress", ("net_capital.", "reserve.", "stress.firm")),
    "reverse_stress": Basis("reverse stress: the smallest joint shock", ("stress.reverse",)),
    "capital_stack": Basis("Basel RBC20, RBC30, LEV20; SREP", ("basel.", "frtb.")),
    "open_items": Basis("Reg SHO 204; 15c3-1(c)(2)(ix); 15c3-3a", ("reserve.close_out", "reserve.ageing")),
    "possession": Basis("SEC 15c3-3(b), (d): possession or control", ("reserve.cure", "reserve.segregation")),
    "stock_loans": Basis("SEC 15c3-3a items 3, 11: matched book", ("reserve.allocation",)),
    "security_use": Basis("SEC 8c-1, 15c3-3(a)(5)", ("reserve.segregation",)),
    "credit_losses": _CREDIT,
    "credit_movement": _CREDIT,
    "funding_path": _RESOLUTION,
    "portability": _RESOLUTION,
    "transaction_reports": _RTS22,
    "transaction_faults": _RTS22,
    "var": _VAR,
    "var_components": _VAR,
    "var_backtest": Basis("backtest of VaR: MAR32, Kupiec, Christoffersen", ("backtest.", "var.")),
    "capital_lines": _CAPITAL,
    "capital_inputs": _CAPITAL,
    "notices": Basis("SEC 17a-11; early warnings and restrictions", ("net_capital.notice", "net_capital.expansion")),
    "checks": Basis("reconciliation: the same thing by two routes"),
    "headlines": _CAPITAL,
    "counts": Basis("every raw event is exactly one of applied, duplicate, quarantined, parked"),
    "quarantine": Basis("every raw event is exactly one of applied, duplicate, quarantined, parked"),
    "parameters": Basis("the rulebook"),
}
_COLUMNS: Mapping[tuple[str, str], Basis] = {
    ("margin", "initial"): Basis("Regulation T 220.12, 220.18: initial requirement", ("regt.initial",)),
    ("margin", "maintenance"): _STRATEGY,
    ("margin", "maintenance_excess"): _STRATEGY,
    ("margin", "maintenance_call"): Basis("FINRA 4210(f)(6): maintenance call", ("regt.maintenance", "regt.call")),
    ("margin", "portfolio"): _SCAN,
    ("margin", "sma"): Basis("Regulation T 220.5: special memorandum account", ("regt.sma",)),
    ("margin", "buying_power"): Basis("Regulation T 220.12: buying power", ("regt.initial", "regt.day_trading")),
    ("margin", "reg_t_excess"): Basis("Regulation T 220.4", ("regt.initial",)),
    ("margin", "equity"): Basis("FINRA 4210(a)(5): equity"),
    ("margin", "margin_equity"): Basis("FINRA 4210(f)(2): stock under short calls", ("regt.option",)),
    ("margin", "cash"): _BOOK,
    ("margin", "lmv"): _PRICES,
    ("margin", "smv"): _PRICES,
    ("margin", "peak_deficit"): _INTRADAY,
    ("margin", "peak_price_set"): _INTRADAY,
    ("margin", "peak_cause"): _INTRADAY,
}
_UNKNOWN = Basis("reference data as delivered")


def basis(table: str, column: str) -> Basis:
    """The rule behind a column of a sealed table."""
    return _COLUMNS.get((table, column)) or _TABLES.get(table, _UNKNOWN)


def named_parameters(basis_: Basis, ids: list[str]) -> list[str]:
    """The ids of the parameters that belong to a rule, of those in force."""
    return [name for name in ids if name.startswith(basis_.parameters)] if basis_.parameters else []
