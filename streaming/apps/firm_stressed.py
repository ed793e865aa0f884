"""Capital under stress at the end of day: net capital and reserve computed anew under every scenario of the cut.

Prices move by the change of their model values; from them follow the accounts' debits, what secures them, the firm's
own result, haircuts, stock-record items and both reserve formulas. Stock borrow and loan contracts are marked in cash.
Requirements and calls of accounts stay those of the cut, and so does the volatility at the points of the haircut on
the firm's own options.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from streaming.apps.firm_view import FirmView
from streaming.apps.losses import scopes, sectors
from streaming.apps.tables import build
from streaming.risk.capital import stressing
from streaming.risk.capital.computation import Capital, house_profit, under_stress
from streaming.risk.capital.marking import marks
from streaming.risk.capital.notices import Test, Timing, early_warnings
from streaming.risk.market import PriceSet
from streaming.risk.scenarios import shipped
from streaming.schema import sealed

BEFORE = "before stress"
"""Scenario id of the cut itself."""
GRID = "GRID/"
_UNSECURED = ("non_allowable.unsecured_debits", "non_allowable.non_customer_deficits")
_UNDERMARGINED = ("deduction.undermargined", "deduction.portfolio_margin")


@dataclass(frozen=True, slots=True)
class Stressed:
    """The firm after one scenario, or before any."""

    scenario: str
    part: str
    """The name or sector that was hit alone; empty where the scenario moves everything."""
    house_profit: int
    """Of the firm's own positions, micros."""
    capital: Capital

    def line(self, *codes: str) -> int:
        """Sum of lines of the net capital computation, micros."""
        return sum(item.value for item in self.capital.net_capital.lines if item.code in codes)

    @property
    def unsecured(self) -> int:
        """Unsecured and partly secured debits, micros: what clients could not pay."""
        return self.line(*_UNSECURED)


def at_prices(firm: FirmView, prices: PriceSet) -> tuple[Capital, np.ndarray]:
    """Capital at other prices, and the change of each account's value from the cut (micros by account code)."""
    after, ledger = marks(firm.instruments, prices), firm.ledger
    change = stressing.account_change(firm.books, firm.ready, after)
    lacking = None
    if ledger.deficiencies is not None:
        lacking = stressing.stressed_deficiencies(
            firm.excess, change, firm.part.accounts, ledger.deficiencies, firm.cut.as_of
        )
    if ledger.record is not None:
        ledger = replace(ledger, record=stressing.marked_contracts(ledger.record, firm.ready, after, firm.rules))
    capital = under_stress(firm.books, ledger, firm.cut, prices, firm.scan(prices), firm.elections, firm.rules, lacking)
    return capital, change


def stressed_states(firm: FirmView) -> tuple[Stressed, ...]:
    """The firm before stress, then after each scenario of the cut; the spot x volatility grid is left out."""
    found = [Stressed(BEFORE, "", 0, firm.capital)]
    if firm.valuation is None:
        return tuple(found)
    names = firm.valuation.scenarios
    for column, (name, scope) in enumerate(zip(names, scopes(names).tolist(), strict=True)):
        if not name.startswith(GRID):
            prices, part = _prices(firm, column, scope)
            capital, _ = at_prices(firm, prices)
            profit = house_profit(firm.part, firm.instruments, firm.cut, prices)
            found.append(Stressed(name, part, profit, capital))
    return tuple(found)


def _prices(firm: FirmView, column: int, scope: str) -> tuple[PriceSet, str]:
    """The price set under a scenario, and which name or sector it hits alone."""
    assert firm.valuation is not None
    baseline, shocked = firm.valuation.baseline, firm.valuation.shocked[:, column]
    everything = stressing.stressed_prices(firm.market, baseline, shocked, None)
    if scope not in ("name", "sector"):
        return everything, ""
    names, of = (
        (firm.instruments.id, np.arange(len(firm.instruments))) if scope == "name" else sectors(firm.instruments)
    )
    after = marks(firm.instruments, everything)
    worst = stressing.worst_part(firm.books, of, firm.equity, firm.ready, after, firm.instruments)
    hit = of[firm.instruments.underlying] == worst.part
    return stressing.stressed_prices(firm.market, baseline, shocked, hit), "" if worst.part < 0 else str(
        names[worst.part]
    )


def warnings(capital: Capital, firm: FirmView) -> tuple[Test, ...]:
    """The early-warning tests of 17a-11 for the elected method."""
    return early_warnings(capital.elected, firm.rules)


def warning_room(capital: Capital, firm: FirmView) -> int:
    """Headroom in micros to the nearest early warning; negative beyond it."""
    return min(test.headroom for test in warnings(capital, firm))


def _severest(capital: Capital) -> str:
    """Code of the first notice that fires, same-day ones first; empty without any."""
    firing = sorted((test for test in capital.tests if test.fires), key=lambda test: test.timing != Timing.SAME_DAY)
    return firing[0].code if firing else ""


def capital_table(firm: FirmView, states: Sequence[Stressed]) -> pa.Table:
    """``stress_capital``: one row per scenario, and one of the cut itself."""
    titles = {item.id: item.name for item in shipped.load().scenarios}
    amounts: dict[str, Callable[[Stressed], int]] = {
        "house_profit": lambda s: s.house_profit,
        "unsecured_debits": lambda s: s.unsecured,
        "undermargined": lambda s: s.line(*_UNDERMARGINED),
        "tentative_net_capital": lambda s: s.capital.net_capital.tentative,
        "haircuts": lambda s: s.capital.net_capital.haircuts,
        "net_capital": lambda s: s.capital.net_capital.net,
        "required": lambda s: s.capital.elected.required,
        "excess": lambda s: s.capital.elected.excess,
        "aggregate_debits": lambda s: s.capital.alternative.base,
        "warning_headroom": lambda s: warning_room(s.capital, firm),
        "reserve_customer": lambda s: s.capital.customer.required,
        "reserve_pab": lambda s: s.capital.pab.required,
        "customer_to_deposit": lambda s: s.capital.customer.shortfall or 0,
    }
    columns: dict[str, object] = {
        name: np.array([read(state) for state in states], np.int64) for name, read in amounts.items()
    }
    texts = {
        "scenario": [s.scenario for s in states],
        "name": [titles.get(s.scenario, s.scenario) for s in states],
        "part": [s.part for s in states],
        "level": [str(s.capital.level) for s in states],
        "severest": [_severest(s.capital) for s in states],
    }
    columns |= {name: pa.array(values, pa.string()) for name, values in texts.items()}
    columns["fires"] = np.array([sum(bool(test.fires) for test in s.capital.tests) for s in states], np.int64)
    return build(sealed.STRESS_CAPITAL, columns)
