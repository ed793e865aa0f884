"""The whole capital computation at one cut: net capital, both reserves, requirements, notices; and under stress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from streaming.risk.capital import clients, concentration, haircuts, net_capital, notices, options_haircut, reserve
from streaming.risk.capital.allocation import Allocation, allocate
from streaming.risk.capital.clients import Part
from streaming.risk.capital.haircuts import Inventory
from streaming.risk.capital.inputs import (
    BalanceSheet,
    Book,
    Cut,
    Elections,
    Line,
    MarginCalls,
    MarginDeficiencies,
    Method,
    OpenDeposit,
    OptionMethod,
    StockRecord,
    Traits,
)
from streaming.risk.capital.lines import total
from streaming.risk.capital.marking import Marks, marks
from streaming.risk.capital.net_capital import NetCapital, Requirement
from streaming.risk.capital.notices import Level, Test
from streaming.risk.capital.options_haircut import OptionsHaircut, ScanTable
from streaming.risk.capital.reserve import Reserve
from streaming.risk.margin.groups import assign_groups
from streaming.risk.margin.portfolio import MISSING_VALUE, POINTS
from streaming.risk.market import PriceSet
from streaming.risk.reference import AccountKind, Accounts, Instruments, Kind
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class Ledger:
    """The firm's side of a cut; None = not supplied."""

    sheet: BalanceSheet | None = None
    record: StockRecord | None = None
    deficiencies: MarginDeficiencies | None = None
    calls: MarginCalls | None = None
    traits: Traits | None = None
    scan: ScanTable | None = None
    """Needed for the theoretical options haircut; without it options are charged in full."""
    month_end_credits: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Customer plus PAB total credits of past month ends, oldest first."""
    portfolio_margin: int | None = None
    """Sum of all portfolio-margin requirements."""
    differences: int | None = None
    """Number of reconciliation checks that do not balance."""
    open_deposits: tuple[OpenDeposit, ...] = ()
    """Of the last reserve computations; none on the first day."""


@dataclass(frozen=True, slots=True)
class Capital:
    """Everything the capital report shows for one cut."""

    net_capital: NetCapital
    inventory: Inventory
    """The firm's positions that the class haircuts charge (hedged stock has left)."""
    options: OptionsHaircut
    customer: Reserve
    pab: Reserve
    allocation: Allocation | None
    alternative: Requirement
    basic: Requirement
    method: Method
    tests: tuple[Test, ...]
    """Every test of the elected method and of the firm as a whole."""

    @property
    def elected(self) -> Requirement:
        return self.alternative if self.method == Method.ALTERNATIVE else self.basic

    @property
    def level(self) -> Level:
        return notices.colour(self.tests)


def compute(
    part: Part,
    instruments: Instruments,
    accounts: Accounts,
    ledger: Ledger,
    cut: Cut,
    elections: Elections,
    rules: Rules,
) -> Capital:
    """Capital of the firm from the merged account parts (``clients.merge``) and its own ledger."""
    ready = marks(instruments, cut.prices)
    net, inventory, options = _net_capital(part, instruments, accounts, ledger, ready, cut, elections, rules)
    allocation = None if ledger.record is None else allocate(part.securities, ledger.record, rules)
    often = reserve.frequency(elections, ledger.month_end_credits, rules)
    customer, pab = (
        reserve.compute(
            kind,
            part,
            accounts,
            instruments,
            ledger.record,
            allocation,
            ledger.sheet,
            ready,
            elections,
            often,
            cut,
            rules,
        )
        for kind in (AccountKind.CUSTOMER, AccountKind.PAB)
    )
    least = net_capital.dollar_minimum(elections, rules)
    alternative = net_capital.alternative(net.net, customer.deposit.total_debits, least, rules)
    basic = net_capital.basic(net.net, net.aggregate_indebtedness, least, rules, elections.first_year)
    elected = alternative if elections.method == Method.ALTERNATIVE else basic
    banks = {found.kind: found.on_deposit for found in (customer, pab)}
    tests = (
        *notices.early_warnings(elected, rules),
        *notices.restrictions(elected, rules),
        *notices.financing(net.tentative, ledger.record, ledger.sheet, instruments, rules),
        notices.portfolio_margin(net.net, ledger.portfolio_margin, rules),
        *(
            notices.missed_deposit(
                open_deposit,
                banks[open_deposit.kind].value if banks[open_deposit.kind].supplied else None,
                cut.prices.time,
            )
            for open_deposit in ledger.open_deposits
        ),
        notices.books_not_current(ledger.differences),
    )
    return Capital(net, inventory, options, customer, pab, allocation, alternative, basic, elections.method, tests)


def _net_capital(
    part: Part,
    instruments: Instruments,
    accounts: Accounts,
    ledger: Ledger,
    ready: Marks,
    cut: Cut,
    elections: Elections,
    rules: Rules,
) -> tuple[NetCapital, Inventory, OptionsHaircut]:
    which = haircuts.classes(instruments, ready, ledger.traits, rules)
    rate = haircuts.rates(instruments, which, cut.as_of, rules)
    quantity, cost = part.securities.net[AccountKind.HOUSE], part.securities.cost[AccountKind.HOUSE]
    options = _options(quantity, cost, instruments, accounts, ledger, ready, cut.prices, elections, rules)
    everything = haircuts.inventory(quantity, cost, ready, which, rate)
    inventory = haircuts.inventory(quantity - options.hedged, cost, ready, which, rate)
    margin = net_capital.margin_deductions(part.accounts, accounts, ledger.deficiencies, ledger.calls, cut, rules)
    equity, subordinated = net_capital.equity_lines(ledger.sheet), net_capital.subordinated_lines(ledger.sheet)
    non_allowable = net_capital.non_allowable_lines(
        ledger.sheet, part.accounts, margin.unsecured, accounts.id, cut.as_of, rules
    )
    deductions = net_capital.deduction_lines(
        margin, part.accounts, accounts.id, ledger.record, ledger.sheet, ready, rate, cut, rules
    ) + ((options.time_value,) if options.time_value is not None else ())
    tentative = net_capital.tentative(equity, subordinated, non_allowable, deductions)
    # Stock hedged by options stays concentrated: the whole position is measured, not only what is left in (J).
    concentrated = concentration.lines(everything, tentative, instruments, ready, ledger.traits, cut, rules)
    charges = (*haircuts.lines(inventory, instruments.id, rules), options.charge, *concentrated)
    owed = net_capital.indebtedness_lines(ledger.sheet, ledger.record, part.accounts, accounts.id)
    charged = total(charges)
    net = NetCapital(
        equity, subordinated, non_allowable, deductions, charges, owed, tentative, charged, tentative - charged
    )
    return net, inventory, options


def _options(
    quantity: np.ndarray,
    cost: np.ndarray,
    instruments: Instruments,
    accounts: Accounts,
    ledger: Ledger,
    ready: Marks,
    prices: PriceSet,
    elections: Elections,
    rules: Rules,
) -> OptionsHaircut:
    if elections.options == OptionMethod.STRATEGY:
        return options_haircut.strategy(quantity, cost, instruments, prices, ready, rules)
    if not quantity[instruments.kind == Kind.OPTION].any():
        return options_haircut.no_options(len(instruments))
    table = ledger.scan if ledger.scan is not None else _no_scan(instruments, rules)
    return options_haircut.theoretical(quantity, cost, instruments, accounts, prices, table, rules)


def _no_scan(instruments: Instruments, rules: Rules) -> ScanTable:
    """No model values: options are charged in full, and stock stays with the class haircuts."""
    values = np.full((len(instruments), POINTS), MISSING_VALUE, dtype=np.int64)
    return ScanTable(values, values[:, 0], assign_groups(instruments, rules))


def merged_part(shards: Sequence[Book], prices: PriceSet, rules: Rules) -> Part:
    """The parts of all shards at one price set, merged."""
    ready = marks(shards[0].instruments, prices)
    return clients.merge([clients.part(book, ready, prices, rules) for book in shards])


def under_stress(
    shards: Sequence[Book],
    ledger: Ledger,
    cut: Cut,
    prices: PriceSet,
    scan: ScanTable | None,
    elections: Elections,
    rules: Rules,
    deficiencies: MarginDeficiencies | None = None,
) -> Capital:
    """The full computation at stressed prices: nothing is scaled or approximated.

    The firm's own profit or loss from the cut's prices to ``prices`` enters ownership equity as a row of its own.
    ``scan`` holds model values at the ten points around the stressed prices; ``deficiencies`` the stressed margin
    deficiencies (None = those of the cut).
    """
    instruments, accounts = shards[0].instruments, shards[0].accounts
    part = merged_part(shards, prices, rules)
    sheet = None if ledger.sheet is None else with_profit(ledger.sheet, house_profit(part, instruments, cut, prices))
    stressed = replace(
        ledger,
        sheet=sheet,
        scan=scan,
        deficiencies=ledger.deficiencies if deficiencies is None else deficiencies,
    )
    return compute(part, instruments, accounts, stressed, replace(cut, prices=prices), elections, rules)


def house_profit(part: Part, instruments: Instruments, cut: Cut, prices: PriceSet) -> int:
    """Change in value of the firm's own positions from the cut's prices to ``prices``, micros."""
    quantity, cost = part.securities.net[AccountKind.HOUSE], part.securities.cost[AccountKind.HOUSE]
    held = np.flatnonzero(quantity)
    before = marks(instruments, cut.prices).value(held, quantity[held], cost[held])
    after = marks(instruments, prices).value(held, quantity[held], cost[held])
    return int((after - before).sum())


def with_profit(sheet: BalanceSheet, profit: int) -> BalanceSheet:
    """The balance sheet with a scenario's profit (or loss) as a row of ownership equity."""
    row = {
        "line": str(Line.OWNERSHIP_EQUITY), "reference": "scenario profit or loss", "amount": profit, "secured": 0,
        "since": 0, "party": 0, "account_kind": int(AccountKind.HOUSE),
    }  # fmt: skip
    columns = {item.name: getattr(sheet, item.name) for item in fields(BalanceSheet) if item.init}
    return BalanceSheet(
        **{name: np.append(column, [row[name]]).astype(column.dtype) for name, column in columns.items()}
    )


@dataclass(frozen=True, slots=True)
class Breach:
    """Where a reverse stress meets a test."""

    shock: int
    """ppm: the smallest shock on the resolution's grid at which the test fires."""
    capital: Capital
    test: Test


def reverse_stress(at: Callable[[int], Capital], code: str, shocks: Sequence[int], resolution: int) -> Breach | None:
    """The first shock at which the test ``code`` fires, or None if none of ``shocks`` makes it fire.

    ``at(shock)`` recomputes capital (:func:`under_stress`); ``shocks`` (ppm) grow in severity from one end. Between the
    last shock that holds and the first that fires, bisection narrows to ``resolution`` ppm.
    """
    holds: int | None = None
    for shock in shocks:
        capital = at(shock)
        if _test(capital, code).fires:
            break
        holds = shock
    else:
        return None
    fires = shock
    while holds is not None and abs(fires - holds) > resolution:
        middle = (fires + holds) // 2
        tried = at(middle)
        if _test(tried, code).fires:
            fires, capital = middle, tried
        else:
            holds = middle
    return Breach(fires, capital, _test(capital, code))


def _test(capital: Capital, code: str) -> Test:
    found = next((test for test in capital.tests if test.code == code), None)
    if found is None:
        raise ValueError(f"reverse stress: expected one of {sorted(t.code for t in capital.tests)}, found {code!r}")
    return found
