"""Customer and PAB reserve, SEC 15c3-3 Exhibit A: items 1 to 15, the deposit they require, and when it is due.

Credits are what the firm owes to or because of customers, debits what it has lent them; the excess of credits must lie
in the special reserve bank account. Items found from the stock record are *not supplied* without one.
"""

from dataclasses import dataclass

import numpy as np

from streaming.risk import money
from streaming.risk.capital.allocation import Allocation
from streaming.risk.capital.clients import Part
from streaming.risk.capital.inputs import (
    BalanceSheet,
    Cut,
    Elections,
    Frequency,
    Line,
    Location,
    Method,
    Sessions,
    StockRecord,
)
from streaming.risk.capital.lines import Rows, StatementLine, line, missing, not_supplied, total
from streaming.risk.capital.marking import Marks
from streaming.risk.capital.net_capital import sheet_line
from streaming.risk.reference import AccountKind, Accounts, Instruments, Kind
from streaming.risk.rulebook import RuleError, Rules

HOUR_MICROS = 3_600 * 10**6


@dataclass(frozen=True, slots=True)
class Deposit:
    """From totals to the deposit. Micros."""

    total_credits: int
    total_debits: int
    """Before the reduction: also the base of the 2% minimum of net capital."""
    reduction: int
    required: int
    """max(0, credits - reduced debits)."""
    if_monthly: int
    """105% of it."""

    @property
    def debits(self) -> int:
        return self.total_debits - self.reduction


@dataclass(frozen=True, slots=True)
class Reserve:
    """One formula, for customers or for PAB accounts."""

    kind: AccountKind
    method: Method
    frequency: Frequency
    items: tuple[StatementLine, ...]
    """Items 1 to 15, codes ``i1`` to ``i15``."""
    reductions: tuple[StatementLine, ...]
    """What Note E has taken out of item 10 already, >= 0."""
    deposit: Deposit
    due: int
    """Microseconds since 1970-01-01 UTC: when the deposit must be there."""
    on_deposit: StatementLine
    """Balance of the reserve bank account."""

    @property
    def required(self) -> int:
        """Deposit required at this frequency."""
        return self.deposit.if_monthly if self.frequency == Frequency.MONTHLY else self.deposit.required

    @property
    def missing(self) -> tuple[str, ...]:
        return missing(self.items + (self.on_deposit,))

    @property
    def shortfall(self) -> int | None:
        """To be deposited (> 0) or free to withdraw (< 0); None where the balance was not supplied."""
        return self.required - self.on_deposit.value if self.on_deposit.supplied else None


def deposit(
    total_credits: int, item_10: int, other_debits: int, method: Method, frequency: Frequency, rules: Rules
) -> Deposit:
    """Basic: item 10 less 1%. Alternative: total debits less 3%, or less 2% where computed daily."""
    debits = item_10 + other_debits
    if method == Method.BASIC:
        reduction = money.fraction(item_10, rules.ppm("reserve.basic.debit_reduction"))
    elif frequency == Frequency.DAILY:
        reduction = money.fraction(debits, rules.ppm("reserve.alternative.debit_reduction_daily"))
    else:
        reduction = money.fraction(debits, rules.ppm("reserve.alternative.debit_reduction"))
    required = max(0, total_credits - (debits - int(reduction)))
    monthly = int(money.fraction(required, rules.ppm("reserve.frequency.monthly_multiple")))
    return Deposit(total_credits, debits, int(reduction), required, monthly)


def frequency(elections: Elections, month_end_credits: np.ndarray, rules: Rules) -> Frequency:
    """How often the reserve is to be computed: daily is mandatory for large firms, else the firm's election.

    ``month_end_credits``: customer plus PAB total credits of past month ends, oldest first, micros; the last twelve
    (or as many as there are) are averaged. Before the rule is in force only the election counts.
    """
    try:
        level = rules.micros("reserve.frequency.daily_threshold")
    except RuleError:
        return elections.frequency
    last = month_end_credits[-int(rules.value("reserve.frequency.average_months")) :].tolist()
    large = bool(last) and sum(last) >= level * len(last)
    return Frequency.DAILY if large else elections.frequency


def due_time(sessions: Sessions, computed: int, rules: Rules) -> int:
    """One hour after the opening of the second business day after the computation date. Microseconds UTC."""
    session = sessions.after(computed, int(rules.value("reserve.deposit.due_sessions")))
    return int(sessions.open[session]) + int(rules.value("reserve.deposit.due_hours")) * HOUR_MICROS


def compute(
    kind: AccountKind,
    clients: Part,
    accounts: Accounts,
    instruments: Instruments,
    record: StockRecord | None,
    allocation: Allocation | None,
    sheet: BalanceSheet | None,
    marks: Marks,
    elections: Elections,
    how_often: Frequency,
    cut: Cut,
    rules: Rules,
) -> Reserve:
    """The formula for accounts of ``kind`` (CUSTOMER or PAB): proprietary accounts never enter it."""
    street = _Street(kind, record, allocation, marks, instruments, cut, rules)
    reductions = _note_e(kind, clients, accounts, instruments, rules)
    items = (
        _credit_balances(kind, clients, accounts),
        street.money("i2", "Borrowed on customers' securities", Location.PLEDGED),
        street.loaned("i3", "Payable on customers' securities loaned"),
        street.money("i4", "Fails to receive", Location.FAIL_TO_RECEIVE),
        street.principal_sales("i5", "Credit balances in firm accounts from principal sales"),
        street.aged("i6", "Stock dividends and splits receivable over 30 days", Location.DIVIDEND_RECEIVABLE, "fail"),
        street.aged("i7", "Short count differences over 30 days", Location.DIFFERENCE, "fail"),
        _suspense(street, sheet, cut, rules),
        street.aged("i9", "In transfer over 40 days", Location.TRANSFER, "transfer"),
        _debit_balances(kind, clients, accounts, reductions),
        street.borrowed("i11", "Borrowed for customers' shorts"),
        street.money("i12", "Fails to deliver not over 30 days", Location.FAIL_TO_DELIVER, young=True),
        sheet_line(sheet, Line.OPTION_MARGIN, "i13", "Margin at the options clearing house", _item(13), kind),
        sheet_line(sheet, Line.SECURITY_FUTURES_MARGIN, "i14", "Margin on security futures", _item(14), kind),
        sheet_line(sheet, Line.TREASURY_MARGIN, "i15", "Margin on Treasury positions, Note H", _item(15), kind),
    )
    first_debit = 9
    found = deposit(
        total(items[:first_debit]),
        items[first_debit].value,
        total(items[first_debit + 1 :]),
        elections.method,
        how_often,
        rules,
    )
    bank = sheet_line(sheet, Line.RESERVE_DEPOSIT, "on_deposit", "Reserve bank account", "15c3-3(e)(1)", kind)
    due = due_time(cut.sessions, cut.as_of, rules)
    return Reserve(kind, elections.method, how_often, items, reductions, found, due, bank)


def _item(number: int) -> str:
    return f"15c3-3a item {number}"


def _credit_balances(kind: AccountKind, clients: Part, accounts: Accounts) -> StatementLine:
    """Item 1: free credits, and the short balances as other credits."""
    rows = clients.accounts
    chosen = rows.kind == kind
    free, other = np.maximum(rows.margin[chosen], 0), rows.short_credit[chosen]
    return line(
        "i1",
        "Free and other credit balances",
        _item(1),
        Rows("account", accounts.id[rows.account[chosen]], free + other),
        inputs={"free_credits": int(free.sum()), "short_balances": int(other.sum())},
    )


def _debit_balances(
    kind: AccountKind, clients: Part, accounts: Accounts, reductions: tuple[StatementLine, ...]
) -> StatementLine:
    """Item 10: secured debits less Note E(1) and E(5), never below 0."""
    rows = clients.accounts
    chosen = rows.kind == kind
    secured = rows.secured_debit[chosen]
    excluded = min(int(secured.sum()), total(reductions))
    keys = np.concatenate([accounts.id[rows.account[chosen]], np.array(["Note E"], dtype=object)])
    return line(
        "i10",
        "Debit balances",
        _item(10),
        Rows("account", keys, np.concatenate([secured, [-excluded]]).astype(np.int64)),
        inputs={"unsecured": int((rows.debit[chosen] - secured).sum()), "note_e": excluded},
    )


def _note_e(
    kind: AccountKind, clients: Part, accounts: Accounts, instruments: Instruments, rules: Rules
) -> tuple[StatementLine, ...]:
    """E(1): one non-exempt security above 15% of all margin collateral. E(5): one customer above 25% of the debits.

    Debits of affiliates, E(4), are of kind NON_CUSTOMER and never in the formula.
    """
    counted = clients.securities.counted[kind]
    limit = int(
        money.fraction(money.checked_sum(counted, "margin collateral"), rules.ppm("reserve.note_e.security_share"))
    )
    heavy = np.flatnonzero((counted > limit) & (instruments.kind != Kind.TREASURY))
    one_security = line(
        "note_e1",
        "One security above 15% of margin collateral",
        "15c3-3a Note E(1)",
        Rows("instrument", instruments.id[heavy], counted[heavy] - limit),
        inputs={"limit": limit},
    )
    rows = clients.accounts
    chosen = rows.kind == kind
    owner, where = np.unique(accounts.client[rows.account[chosen]].astype(str), return_inverse=True)
    debits = np.zeros(len(owner), dtype=np.int64)
    np.add.at(debits, where, rows.secured_debit[chosen])
    share = int(money.fraction(money.checked_sum(debits, "debits"), rules.ppm("reserve.note_e.customer_share")))
    one_customer = line(
        "note_e5",
        "One customer above 25% of debits",
        "15c3-3a Note E(5)",
        Rows("client", owner.astype(object), np.maximum(debits - share, 0)),
        inputs={"limit": share},
    )
    return one_security, one_customer


def _suspense(street: "_Street", sheet: BalanceSheet | None, cut: Cut, rules: Rules) -> StatementLine:
    """Item 8: market value of short securities and credits in suspense, not offset by longs or debits."""
    code, name = "i8", "Suspense shorts and credits over 30 days"
    securities = street.aged(code, name, Location.SUSPENSE, "fail")
    if not securities.supplied or sheet is None:
        return not_supplied(code, name)
    rows = sheet.rows(Line.SUSPENSE_CREDIT)
    mine = (sheet.account_kind[rows] == AccountKind.PAB) == (street.kind == AccountKind.PAB)
    rows = rows[mine & (cut.as_of - sheet.since[rows] > int(rules.value("reserve.age.fail_days")))]
    key = np.concatenate([securities.rows.key, sheet.reference[rows]])
    return line(
        code, name, _item(8), Rows("reference", key, np.concatenate([securities.rows.amount, sheet.amount[rows]]))
    )


@dataclass(frozen=True, slots=True)
class _Street:
    """The items that come from the stock record, for one formula."""

    kind: AccountKind
    record: StockRecord | None
    allocation: Allocation | None
    marks: Marks
    instruments: Instruments
    cut: Cut
    rules: Rules

    def money(self, code: str, name: str, location: Location, young: bool = False) -> StatementLine:
        """Contract money of the items of this kind of account; ``young``: only those not over 30 days."""
        if self.record is None:
            return not_supplied(code, name)
        rows = self.record.rows(location)
        rows = rows[self.record.account_kind[rows] == self.kind]
        if young:
            age = self.cut.as_of - self.record.since[rows]
            rows = rows[age <= int(self.rules.value("reserve.age.fail_days"))]
        return line(
            code, name, _item(int(code[1:])), Rows("reference", self.record.reference[rows], self.record.amount[rows])
        )

    def aged(self, code: str, name: str, location: Location, limit: str) -> StatementLine:
        """Market value of the short side items above an age; items of no PAB account are the customers'."""
        if self.record is None:
            return not_supplied(code, name)
        record, rows = self.record, self.record.rows(location)
        mine = (record.account_kind[rows] == AccountKind.PAB) == (self.kind == AccountKind.PAB)
        old = self.cut.as_of - record.since[rows] > int(self.rules.value(f"reserve.age.{limit}_days"))
        rows = rows[mine & old & (record.quantity[rows] < 0)]
        value = self.marks.value(record.instrument[rows], -record.quantity[rows], record.amount[rows])
        return line(code, name, _item(int(code[1:])), Rows("reference", record.reference[rows], value))

    def loaned(self, code: str, name: str) -> StatementLine:
        return self._allocated(code, name, None if self.allocation is None else self.allocation.loaned_amount)

    def borrowed(self, code: str, name: str) -> StatementLine:
        return self._allocated(code, name, None if self.allocation is None else self.allocation.borrowed_amount)

    def _allocated(self, code: str, name: str, amount: dict[str, np.ndarray] | None) -> StatementLine:
        if amount is None or self.allocation is None:
            return not_supplied(code, name)
        part = amount["pab" if self.kind == AccountKind.PAB else "customer"]
        return line(
            code, name, _item(int(code[1:])), Rows("instrument", self.instruments.id[self.allocation.instrument], part)
        )

    def principal_sales(self, code: str, name: str) -> StatementLine:
        """Market value of firm shorts delivered from customers' longs; none in the PAB formula."""
        if self.allocation is None:
            return not_supplied(code, name)
        code_of = self.allocation.instrument
        short = self.allocation.firm_short_from_customers * (self.kind == AccountKind.CUSTOMER)
        value = self.marks.value(code_of, short)
        return line(code, name, _item(int(code[1:])), Rows("instrument", self.instruments.id[code_of], value))
