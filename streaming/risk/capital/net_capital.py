"""Net capital, SEC 15c3-1: from ownership equity to net capital, line by line, and what the firm must have.

Steps: 1 ownership equity; 2 + subordinated loans; 3 - non-allowable assets; 4 - other deductions; 5 = tentative net
capital; 6 - haircuts, options, undue concentration; 7 = net capital. Deductions and charges are positive numbers.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from streaming.risk import money
from streaming.risk.capital.clients import AccountRows
from streaming.risk.capital.inputs import (
    BalanceSheet,
    Cut,
    Elections,
    Line,
    Location,
    MarginCalls,
    MarginDeficiencies,
    Method,
    Party,
    StockRecord,
)
from streaming.risk.capital.lines import Rows, StatementLine, line, missing, not_supplied, total
from streaming.risk.capital.marking import Marks
from streaming.risk.reference import AccountKind, Accounts, MarginType
from streaming.risk.rulebook import Rules


@dataclass(frozen=True, slots=True)
class NetCapital:
    """The computation; micros of the reporting currency."""

    equity: tuple[StatementLine, ...]
    subordinated: tuple[StatementLine, ...]
    non_allowable: tuple[StatementLine, ...]
    deductions: tuple[StatementLine, ...]
    charges: tuple[StatementLine, ...]
    """Haircuts, options and undue concentration."""
    indebtedness: tuple[StatementLine, ...]
    """Aggregate indebtedness; what reduces it is negative."""
    tentative: int
    haircuts: int
    net: int

    @property
    def lines(self) -> tuple[StatementLine, ...]:
        return self.equity + self.subordinated + self.non_allowable + self.deductions + self.charges

    @property
    def missing(self) -> tuple[str, ...]:
        """Lines whose input was not supplied; the total stands without them."""
        return missing(self.lines + self.indebtedness)

    @property
    def aggregate_indebtedness(self) -> int:
        return max(0, total(self.indebtedness))


@dataclass(frozen=True, slots=True)
class Requirement:
    """What net capital must be under one method, and where it stands. Micros."""

    method: Method
    net: int
    base: int
    """Aggregate debit items, or aggregate indebtedness."""
    dollar_minimum: int
    required: int

    @property
    def excess(self) -> int:
        return self.net - self.required

    @property
    def percent(self) -> Decimal | None:
        """Net capital as a percentage of the base, exact; None where the base is 0."""
        return Decimal(self.net) * 100 / Decimal(self.base) if self.base else None

    @property
    def ratio(self) -> Decimal | None:
        """Base as a multiple of net capital, exact; None where net capital is not positive."""
        return Decimal(self.base) / Decimal(self.net) if self.net > 0 else None


def alternative(net: int, debits: int, dollar_minimum: int, rules: Rules) -> Requirement:
    """(a)(1)(ii): the greater of the dollar minimum and 2% of aggregate debit items, before any reduction of these."""
    share = int(money.fraction(debits, rules.ppm("net_capital.minimum.alternative_debits")))
    return Requirement(Method.ALTERNATIVE, net, debits, dollar_minimum, max(dollar_minimum, share))


def basic(net: int, indebtedness: int, dollar_minimum: int, rules: Rules, first_year: bool = False) -> Requirement:
    """(a)(1)(i): the greater of the dollar minimum and aggregate indebtedness / 15 (/ 8 in the first 12 months)."""
    name = "ai_multiple_first_year" if first_year else "ai_multiple"
    share = divided(indebtedness, rules.value(f"net_capital.minimum.{name}"))
    return Requirement(Method.BASIC, net, indebtedness, dollar_minimum, max(dollar_minimum, share))


def divided(amount: int, by: Decimal) -> int:
    """``amount / by`` in micros, rounded half away from zero; ``by`` > 0."""
    return money.micros(money.decimal(amount) / by)


def dollar_minimum(elections: Elections, rules: Rules) -> int:
    """(a)(2)(i) for a firm that carries accounts; more for a prime broker (1994 staff letter). Micros."""
    least = [rules.micros("net_capital.minimum.carrying_dollars")]
    if elections.method == Method.ALTERNATIVE:
        least.append(rules.micros("net_capital.minimum.alternative_dollars"))
    if elections.prime_broker:
        least.append(rules.micros("net_capital.minimum.prime_broker_dollars"))
    return max(least)


def tentative(*parts: tuple[StatementLine, ...]) -> int:
    """Step 5 from the lines of steps 1 to 4, in this order."""
    equity, subordinated, non_allowable, deductions = parts
    return total(equity) + total(subordinated) - total(non_allowable) - total(deductions)


def equity_lines(sheet: BalanceSheet | None) -> tuple[StatementLine, ...]:
    """Step 1."""
    return (sheet_line(sheet, Line.OWNERSHIP_EQUITY, "ownership_equity", "Ownership equity", "15c3-1(c)(2)"),)


def subordinated_lines(sheet: BalanceSheet | None) -> tuple[StatementLine, ...]:
    """Step 2."""
    return (
        sheet_line(
            sheet, Line.SUBORDINATED_LOAN, "subordinated_loans", "Subordinated liabilities allowable", "15c3-1d"
        ),
    )


def sheet_line(
    sheet: BalanceSheet | None, which: Line, code: str, name: str, rule: str, kind: AccountKind | None = None
) -> StatementLine:
    """A line that adds up the ledger items of one balance-sheet line (of one account kind)."""
    rows = np.empty(0, dtype=np.int64) if sheet is None else sheet.rows(which)
    if sheet is None or not len(rows):
        return not_supplied(code, name)
    if kind is not None:
        rows = rows[sheet.account_kind[rows] == kind]
    return line(code, name, rule, Rows("reference", sheet.reference[rows], sheet.amount[rows]))


def non_allowable_lines(
    sheet: BalanceSheet | None, clients: AccountRows, unsecured: np.ndarray, ids: np.ndarray, as_of: int, rules: Rules
) -> tuple[StatementLine, ...]:
    """Step 3. ``unsecured`` is the deduction per account row (:class:`MarginDeductions`), ``ids`` the account ids."""
    rule = "15c3-1(c)(2)(iv)"
    in_full = (
        (Line.FIXED_ASSET, "fixed_assets", "Fixed assets"),
        (Line.PREPAID, "prepaid", "Prepaid expenses"),
        (Line.MEMBERSHIP, "memberships", "Exchange memberships at cost"),
        (Line.UNMARKETABLE_INVESTMENT, "unmarketable", "Investments without a ready market"),
        (Line.OPERATIONAL, "operational", "Operational debits"),
    )
    own = clients.kind == AccountKind.NON_CUSTOMER
    names = ids[clients.account]
    return (
        _receivables(sheet, rule),
        _old_dividends(sheet, as_of, rule, rules),
        *(sheet_line(sheet, which, f"non_allowable.{code}", name, rule) for which, code, name in in_full),
        line(
            "non_allowable.unsecured_debits",
            "Unsecured and partly secured debits of customers and broker-dealers",
            f"{rule}(B)",
            Rows("account", names[~own], unsecured[~own]),
            "trade-date debit above collateral, less calls outstanding five business days or less",
        ),
        line(
            "non_allowable.non_customer_deficits",
            "Deficits in non-customer and employee accounts",
            f"{rule}(B)",
            Rows("account", names[own], unsecured[own]),
        ),
    )


def _receivables(sheet: BalanceSheet | None, rule: str) -> StatementLine:
    """What a receivable exceeds its collateral by, unless a broker-dealer, clearing agency or bank owes it."""
    code, name = "non_allowable.receivables", "Unsecured and partly secured receivables"
    rows = np.empty(0, dtype=np.int64) if sheet is None else sheet.rows(Line.RECEIVABLE)
    if sheet is None or not len(rows):
        return not_supplied(code, name)
    allowed = np.isin(sheet.party[rows], (Party.BROKER_DEALER, Party.CLEARING_AGENCY, Party.BANK))
    short = np.where(allowed, 0, np.maximum(sheet.amount[rows] - sheet.secured[rows], 0))
    return line(code, name, f"{rule}(B)", Rows("reference", sheet.reference[rows], short))


def _old_dividends(sheet: BalanceSheet | None, as_of: int, rule: str, rules: Rules) -> StatementLine:
    code, name = "non_allowable.dividends", "Dividends receivable over 30 days"
    rows = np.empty(0, dtype=np.int64) if sheet is None else sheet.rows(Line.DIVIDEND_RECEIVABLE)
    if sheet is None or not len(rows):
        return not_supplied(code, name)
    limit = int(rules.value("net_capital.deduction.dividend_days"))
    old = np.where(as_of - sheet.since[rows] > limit, sheet.amount[rows], 0)
    return line(code, name, f"{rule}(C)", Rows("reference", sheet.reference[rows], old), inputs={"days": limit})


@dataclass(frozen=True, slots=True)
class MarginDeductions:
    """Deductions per client account row, int64 micros >= 0; together never more than the account's deficiency."""

    unsecured: np.ndarray
    undermargined: np.ndarray
    portfolio_margin: np.ndarray
    supplied: bool
    """False where the margin deficiencies were not supplied: only ``unsecured`` is then known."""


def margin_deductions(
    clients: AccountRows,
    accounts: Accounts,
    deficiencies: MarginDeficiencies | None,
    calls: MarginCalls | None,
    cut: Cut,
    rules: Rules,
) -> MarginDeductions:
    """Unsecured debits, undermargined accounts and open portfolio-margin deficiencies, (c)(2)(iv)(B) and (xii).

    Calls outstanding five business days or less reduce the first two, the unsecured part first. They do not help a
    portfolio-margin deficiency still open at the close of the next business day, nor a non-customer's account; a
    deficiency is deducted beyond what the unsecured debit of the same account already takes.
    """
    relief = _recent_calls(clients, calls, cut, rules)
    customer = np.isin(clients.kind, (AccountKind.CUSTOMER, AccountKind.PAB))
    relief = np.where(customer, relief, 0)
    deficit = np.where(clients.kind == AccountKind.HOUSE, 0, clients.deficit)
    nothing = np.zeros(len(deficit), dtype=np.int64)
    if deficiencies is None:
        return MarginDeductions(np.maximum(deficit - relief, 0), nothing, nothing, False)
    where = _account_rows(clients, deficiencies.account, "margin deficiencies")
    portfolio = accounts.margin_type[deficiencies.account] == MarginType.PORTFOLIO
    closes = cut.sessions.age(deficiencies.since, cut.as_of) - (0 if cut.after_close else 1)
    late = portfolio & (closes >= int(rules.value("net_capital.deduction.portfolio_margin_closes")))
    lacking, overdue = nothing.copy(), nothing.copy()
    np.add.at(lacking, where[~portfolio], deficiencies.amount[~portfolio])
    np.add.at(overdue, where[late], deficiencies.amount[late])
    unsecured = np.where(overdue > 0, deficit, np.maximum(deficit - relief, 0))
    unused = np.maximum(relief - deficit, 0)
    undermargined = np.where(customer, np.maximum(np.maximum(lacking - deficit, 0) - unused, 0), 0)
    return MarginDeductions(unsecured, undermargined, np.where(customer, np.maximum(overdue - deficit, 0), 0), True)


def _recent_calls(clients: AccountRows, calls: MarginCalls | None, cut: Cut, rules: Rules) -> np.ndarray:
    relief = np.zeros(len(clients.account), dtype=np.int64)
    if calls is not None:
        recent = cut.sessions.age(calls.issued, cut.as_of) <= int(rules.value("net_capital.deduction.call_days"))
        where = _account_rows(clients, calls.account, "margin calls")
        np.add.at(relief, where[recent], calls.amount[recent])
    return relief


def _account_rows(clients: AccountRows, account: np.ndarray, what: str) -> np.ndarray:
    where = np.minimum(np.searchsorted(clients.account, account), max(len(clients.account) - 1, 0))
    if len(account) and (not len(clients.account) or (clients.account[where] != account).any()):
        raise ValueError(f"{what}: expected accounts with holdings or cash, found a code without either")
    return where


def deduction_lines(
    margin: MarginDeductions,
    clients: AccountRows,
    ids: np.ndarray,
    record: StockRecord | None,
    sheet: BalanceSheet | None,
    marks: Marks,
    rate: np.ndarray,
    cut: Cut,
    rules: Rules,
) -> tuple[StatementLine, ...]:
    """Step 4. ``rate`` is the haircut of every instrument in ppm (``haircuts.rates``)."""
    under, late = "deduction.undermargined", "deduction.portfolio_margin"
    under_name, late_name = "Undermargined accounts", "Portfolio-margin deficiencies past the next close"
    names = ids[clients.account]
    if margin.supplied:
        accounts = (
            line(under, under_name, "15c3-1(c)(2)(xii)", Rows("account", names, margin.undermargined)),
            line(late, late_name, "15c3-1(c)(2)(xii)", Rows("account", names, margin.portfolio_margin)),
        )
    else:
        accounts = (not_supplied(under, under_name), not_supplied(late, late_name))
    return (
        *accounts,
        _aged_fails(record, marks, rate, cut, rules),
        _short_differences(record, marks, cut, rules),
        _stock_deficits(record, marks, Location.BORROWED),
        _stock_deficits(record, marks, Location.LOANED),
        _commitments(sheet, rules),
    )


def _aged_fails(record: StockRecord | None, marks: Marks, rate: np.ndarray, cut: Cut, rules: Rules) -> StatementLine:
    """Haircut on the securities not delivered, plus what the contract exceeds their market value by; not below 0."""
    code, name = "deduction.aged_fails", "Fails to deliver of five business days or more"
    if record is None:
        return not_supplied(code, name)
    rows = record.rows(Location.FAIL_TO_DELIVER)
    limit = int(rules.value("net_capital.deduction.aged_fail_days"))
    rows = rows[cut.sessions.age(record.since[rows], cut.as_of) >= limit]
    value = marks.value(record.instrument[rows], record.quantity[rows], record.amount[rows])
    haircut = money.fraction(value, rate[record.instrument[rows]])
    charge = np.maximum(haircut + record.amount[rows] - value, 0)
    return line(code, name, "15c3-1(c)(2)(ix)", Rows("reference", record.reference[rows], charge))


def _short_differences(record: StockRecord | None, marks: Marks, cut: Cut, rules: Rules) -> StatementLine:
    """25/50/75/100% of the market value of short count differences by age since discovery."""
    code, name = "deduction.short_differences", "Short securities differences"
    if record is None:
        return not_supplied(code, name)
    rows = record.rows(Location.DIFFERENCE)
    rows = rows[record.quantity[rows] < 0]
    days = np.array([int(day) for day in rules.values("net_capital.deduction.difference_days")])
    steps = np.array([0, *(int(r * money.MICRO) for r in rules.values("net_capital.deduction.difference_rates"))])
    charged = steps[np.searchsorted(days, cut.sessions.age(record.since[rows], cut.as_of), side="right")]
    value = marks.value(record.instrument[rows], -record.quantity[rows], record.amount[rows])
    charge = np.asarray(money.fraction(value, charged), dtype=np.int64)
    return line(code, name, "15c3-1(c)(2)(v)", Rows("reference", record.reference[rows], charge))


def _stock_deficits(record: StockRecord | None, marks: Marks, side: Location) -> StatementLine:
    """Borrow: cash given above the value received. Loan: value given above the cash received. By contract.

    A security without a price counts nothing when received, and its previous close or the cash when given.
    """
    borrow = side == Location.BORROWED
    code = "deduction.stock_borrow" if borrow else "deduction.stock_loan"
    name = "Stock borrow deficits" if borrow else "Stock loan deficits"
    if record is None:
        return not_supplied(code, name)
    rows = record.rows(side)
    value = marks.value(record.instrument[rows], np.abs(record.quantity[rows]), record.amount[rows])
    if borrow:
        value = np.where(marks.priced[record.instrument[rows]], value, 0)
        short = record.amount[rows] - value
    else:
        short = value - record.amount[rows]
    return line(code, name, "15c3-1(c)(2)(iv)", Rows("reference", record.reference[rows], np.maximum(short, 0)))


def _commitments(sheet: BalanceSheet | None, rules: Rules) -> StatementLine:
    code, name = "deduction.commitments", "Contractual commitments"
    rows = np.empty(0, dtype=np.int64) if sheet is None else sheet.rows(Line.CONTRACTUAL_COMMITMENT)
    if sheet is None or not len(rows):
        return not_supplied(code, name)
    charge = money.fraction(sheet.amount[rows], rules.ppm("net_capital.haircut.commitment"))
    return line(code, name, "15c3-1(c)(2)(viii)", Rows("reference", sheet.reference[rows], charge))


def indebtedness_lines(
    sheet: BalanceSheet | None, record: StockRecord | None, clients: AccountRows, ids: np.ndarray
) -> tuple[StatementLine, ...]:
    """Aggregate indebtedness, (c)(1): money liabilities that the firm's own securities do not secure.

    Left out: subordinated loans, loans and repos on the firm's own securities, stock loans against a borrow of the
    same security; reserve bank balances reduce it.
    """
    rule, street = "15c3-1(c)(1)", np.isin(clients.kind, (AccountKind.HOUSE,), invert=True)
    owed = np.where(street, np.maximum(clients.margin, 0) + clients.short_credit, 0)
    return (
        line("ai.account_credits", "Credit balances of accounts", rule, Rows("account", ids[clients.account], owed)),
        _record_money(record, "ai.customer_loans", "Loans on customers' securities", Location.PLEDGED),
        _record_money(record, "ai.fails_to_receive", "Fails to receive", Location.FAIL_TO_RECEIVE),
        _unmatched_loans(record, rule),
        sheet_line(sheet, Line.BORROWED_UNSECURED, "ai.borrowed", "Unsecured borrowings", rule),
        sheet_line(sheet, Line.PAYABLE, "ai.payables", "Payables and accruals", rule),
        _reserve_deposits(sheet, rule),
    )


def _record_money(record: StockRecord | None, code: str, name: str, location: Location) -> StatementLine:
    """Contract money of the items held for accounts other than the firm's own."""
    if record is None:
        return not_supplied(code, name)
    rows = record.rows(location)
    rows = rows[record.account_kind[rows] != AccountKind.HOUSE]
    return line(code, name, "15c3-1(c)(1)", Rows("reference", record.reference[rows], record.amount[rows]))


def _unmatched_loans(record: StockRecord | None, rule: str) -> StatementLine:
    code, name = "ai.stock_loaned", "Stock loaned beyond borrows of the same security"
    if record is None:
        return not_supplied(code, name)
    loans, borrows = record.rows(Location.LOANED), record.rows(Location.BORROWED)
    security = np.unique(record.instrument[loans])
    owed = np.zeros(len(security), dtype=np.int64)
    np.add.at(owed, np.searchsorted(security, record.instrument[loans]), record.amount[loans])
    same = borrows[np.isin(record.instrument[borrows], security)]
    np.subtract.at(owed, np.searchsorted(security, record.instrument[same]), record.amount[same])
    return line(code, name, rule, Rows("instrument code", security.astype(object), np.maximum(owed, 0)))


def _reserve_deposits(sheet: BalanceSheet | None, rule: str) -> StatementLine:
    code, name = "ai.reserve_deposits", "Less reserve bank balances"
    rows = np.empty(0, dtype=np.int64) if sheet is None else sheet.rows(Line.RESERVE_DEPOSIT)
    if sheet is None or not len(rows):
        return not_supplied(code, name)
    return line(code, name, rule, Rows("reference", sheet.reference[rows], -sheet.amount[rows]))
