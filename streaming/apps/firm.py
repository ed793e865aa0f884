"""The firm: net capital, reserves, notices and reconciliations at every cut, from the sealed tables of all shards.

Sums are exact and every account lies in one shard, so the number of shards never changes a cent. What the next day has
to know (since when an account is deficient, calls, deposits due) is carried from end of day to end of day: cuts in
between change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from streaming.apps import views
from streaming.apps.book import CASH_KINDS
from streaming.apps.firm_carry import Carry, open_at
from streaming.apps.firm_checks import reconcile, sealed_checks
from streaming.apps.firm_close import TABLES as CLOSE_TABLES
from streaming.apps.firm_close import EndOfDay, close
from streaming.apps.firm_headlines import deposits_due, segregation, stress_headlines
from streaming.apps.firm_inputs import Ids, Records, balance_sheet, book, calendar, codes, numbers, stock_record, summed
from streaming.apps.firm_options import scan_table
from streaming.apps.firm_parameters import parameters_table
from streaming.apps.firm_statements import (
    Statement,
    headlines_table,
    inputs_table,
    lines_table,
    notices_table,
    statements,
)
from streaming.apps.firm_stress import stress_table
from streaming.apps.firm_view import FirmView, account_equity, padded_values, whole_valuation
from streaming.apps.margin_limits import firm_limits
from streaming.apps.policies import policies_of
from streaming.apps.rules import rules_in_force
from streaming.engine.canonical import decimal_to_int64
from streaming.engine.epochs import Epoch
from streaming.engine.stretch import Stretch
from streaming.risk.capital import clients
from streaming.risk.capital.computation import Capital, Ledger, compute
from streaming.risk.capital.inputs import Book, Cut, Elections
from streaming.risk.capital.marking import marks, rates
from streaming.risk.capital.options_haircut import ScanTable
from streaming.risk.margin.groups import MarginGroups
from streaming.risk.market import PriceSet
from streaming.risk.money import fraction
from streaming.risk.reference import AccountKind, Accounts, Instruments, MarginType
from streaming.risk.rulebook import Rules
from streaming.schema import results, sealed

ELECTIONS = Elections()
"""The alternative method, theoretical options haircut, daily reserve computation; a prime broker."""
_EPOCH_DAY = date(1970, 1, 1)
_SEALED = {
    "positions.sealed": ("positions", "cash", "trades"),
    "exposure.sealed": ("pnl",),
    "margin.sealed": ("margin", "margin_lines"),
    "stress.sealed": ("stress",),
}
"""What is taken from the sealed topics of other applications."""
_RECORDS = {
    "items": (
        ("instrument", "account_kind", "sale", "counterparty", "since", "location"),
        {"quantity": "sum", "cost": "sum", "reference": "min"},
    ),
    "ledger": (
        ("line", "reference", "currency", "account_kind", "party"),
        {"amount": "sum", "secured": "sum", "since": "min", "due": "max"},
    ),
    "cash": (("account", "currency", "kind"), {"amount": "sum"}),
    "settlements": (("instrument", "settle"), {"quantity": "sum"}),
}
"""How the records of the shards add up: keys and measures."""
_INCOME = (CASH_KINDS.index("interest"), CASH_KINDS.index("fee"))
"""Kinds of cash movements that are the firm's income when charged."""
_TABLES = (
    sealed.CAPITAL_LINES,
    sealed.CAPITAL_INPUTS,
    sealed.NOTICES,
    sealed.LIMITS,
    sealed.CHECKS,
    sealed.HEADLINES,
    sealed.STRESS_FIRM,
    sealed.PARAMETERS,
)


@dataclass(slots=True)
class FirmState:
    """The newest results, and what is carried from day to day."""

    instruments: pa.Table = field(default_factory=results.INSTRUMENTS.empty_table)
    accounts: pa.Table = field(default_factory=results.ACCOUNTS.empty_table)
    rates: pa.Table = field(default_factory=results.RATES.empty_table)
    policies: pa.Table = field(default_factory=results.POLICIES.empty_table)
    carry: Carry = field(default_factory=Carry)
    tables: dict = field(default_factory=lambda: {table.name: table.arrow.empty_table() for table in _TABLES})
    """The sealed tables of the newest cut."""


class FirmApp:
    """Capital of the firm at every cut; at the end of day also what ``firm_close`` computes from it."""

    name = "capital"
    inputs = ("reference", "price_sets", "valuation", "firm_records", *_SEALED)
    sharded = False
    state = FirmState

    def __init__(self) -> None:
        self._instruments, self._accounts = views.instruments_view(), views.accounts_view()
        self._groups = views.groups_view()

    def empty(self, shard: int, shards: int) -> FirmState:
        return FirmState()

    def apply(self, state: FirmState, stretch: Stretch) -> tuple[FirmState, Mapping[str, pa.Table]]:
        for name in ("instruments", "accounts", "rates", "policies"):
            for table in stretch.tables("reference", name):
                setattr(state, name, table)
        priced, held = stretch.tables("price_sets", "prices"), stretch.tables("positions.sealed", "positions")
        if not stretch.last.cut or not priced or not held:
            return state, {}
        instruments, accounts = self._instruments(state.instruments), self._accounts(state.accounts)
        groups = self._groups(instruments, rules_in_force(stretch.versions))
        firm = _Firm(state, stretch, instruments, accounts, groups)
        if views.is_end_of_day(stretch.last):
            end_of_day = firm.end_of_day()
            state.tables, state.carry = firm.tables(end_of_day.statements) | end_of_day.tables, end_of_day.carry
        else:
            state.tables = firm.tables()
        return state, {}

    def seal(self, state: FirmState, epoch: Epoch) -> Mapping[str, pa.Table]:
        if not views.is_end_of_day(epoch):
            return state.tables
        return {table.name: table.arrow.empty_table() for table in CLOSE_TABLES} | state.tables


class _Firm:
    """One cut of the firm."""

    def __init__(
        self,
        state: FirmState,
        stretch: Stretch,
        instruments: Instruments,
        accounts: Accounts,
        groups: MarginGroups,
    ) -> None:
        self.rules: Rules = rules_in_force(stretch.versions)
        self.policies = policies_of(state.policies)
        self.state, self.stretch, self.groups = state, stretch, groups
        market = views.market(stretch, len(instruments))
        self.instruments, self.accounts, self.market = instruments, accounts, market
        self.day = (stretch.last.day - _EPOCH_DAY).days
        self.ids = Ids(state.accounts["id"], state.instruments["id"])
        self.rows = {name: stretch.tables(topic, name) for topic, names in _SEALED.items() for name in names}
        self.records = Records(
            **{
                name: summed(stretch.tables("firm_records", name), keys, measures)
                for name, (keys, measures) in _RECORDS.items()
            }
        )
        sessions, closes = calendar()
        today = int(np.searchsorted(sessions.day, self.day))
        over = sessions.day[today] != self.day or stretch.last.time >= closes[today]
        self.cut = Cut(self.day, sessions, market, after_close=bool(over))
        self.books = self._books()
        self.ready = marks(instruments, market)
        self.part = clients.merge([clients.part(item, self.ready, market, self.rules) for item in self.books])
        self.carry = open_at(state.carry, self.day, *self._deficiencies())
        self.record = stock_record(self.records, instruments, market, self.day)
        self.checks = reconcile(self.books, self.part, self.record, self.records, self.rows, self.ids, market)
        self.ledger = self._ledger(self._scan(market))
        self.capital: Capital = compute(self.part, instruments, accounts, self.ledger, self.cut, ELECTIONS, self.rules)

    def _books(self) -> list[Book]:
        empty = {"positions": sealed.POSITIONS, "cash": sealed.CASH}
        shards = max(len(self.rows[name]) for name in empty)
        pairs = [
            [*self.rows[name], *[table.arrow.empty_table()] * (shards - len(self.rows[name]))]
            for name, table in empty.items()
        ]
        return [
            book(positions, cash, self.instruments, self.accounts, self.ids)
            for positions, cash in zip(*pairs, strict=True)
        ]

    def _deficiencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Accounts below their maintenance requirement, and by how much; the firm's own have none."""
        account, excess = self._by_account("margin", "excess")
        short = (excess < 0) & (self.accounts.kind[account] != AccountKind.HOUSE)
        order = np.argsort(account[short], kind="stable")
        return account[short][order], -excess[short][order]

    def _by_account(self, name: str, column: str) -> tuple[np.ndarray, np.ndarray]:
        tables: Sequence[pa.Table] = self.rows[name]
        none = np.empty(0, np.int64)
        account = [codes(table["account"], self.ids.accounts) for table in tables]
        return (
            np.concatenate(account or [none]),
            np.concatenate([decimal_to_int64(table[column]) for table in tables] or [none]),
        )

    def _scan(self, prices: PriceSet) -> ScanTable | None:
        """Model values around ``prices`` for the haircut on the firm's own options; None without a valuation."""
        valued = self.stretch.tables("valuation", "valuation")
        if not valued:
            return None
        vol = np.zeros(len(self.instruments), np.int64)
        vol[: valued[-1].num_rows] = valued[-1]["vol"].to_numpy()
        house, epoch = self.part.securities.net[AccountKind.HOUSE], self.stretch.last
        return scan_table(house, self.instruments, prices, self.groups, self.state.rates, vol, epoch, self.rules)

    def _ledger(self, scan: ScanTable | None) -> Ledger:
        return Ledger(
            sheet=balance_sheet(self.records, self._result(), self.market),
            record=self.record,
            deficiencies=self.carry.deficiencies(),
            calls=self.carry.margin_calls(),
            scan=scan,
            month_end_credits=self.carry.month_end_credits,
            portfolio_margin=self._portfolio_margin(),
            differences=len(self.checks.failing),
            open_deposits=self.carry.open_deposits(),
        )

    def _limits(self) -> pa.Table:
        """The limits on the firm in force at the rule date."""
        net, debits = self.capital.net_capital.net, self.capital.alternative.base
        return firm_limits(self.policies, self._portfolio_margin(), net, debits, self.rules)

    def _portfolio_margin(self) -> int:
        account, requirement = self._by_account("margin", "portfolio")
        counted = (self.accounts.margin_type[account] == MarginType.PORTFOLIO) & (
            self.accounts.kind[account] != AccountKind.HOUSE
        )
        return int(requirement[counted].sum())

    def _result(self) -> dict[str, int]:
        """The day's result by its source, USD micros: rows of equity, profit positive."""
        account, profit = self._by_account("pnl", "day_pnl_usd")
        house = self.accounts.kind == AccountKind.HOUSE
        owner, fees = self._by_account("positions", "fees")
        currency = np.concatenate(
            [table["currency"].to_numpy(zero_copy_only=False) for table in self.rows["positions"]]
        )
        fees = self._in_dollars(currency, fees)
        booked, kind, amount = numbers(self.records.cash, "account", "kind", "amount")
        amount = self._in_dollars(self.records.cash["currency"].to_numpy(zero_copy_only=False), amount)
        charged = np.isin(kind, _INCOME) & ~house[booked]
        return {
            "result of the day: own positions": int(profit[house[account]].sum()),
            "result of the day: commissions and fees": int(fees[~house[owner]].sum()),
            "result of the day: interest and charges": -int(amount[charged].sum()),
        }

    def _in_dollars(self, currency: np.ndarray, amount: np.ndarray) -> np.ndarray:
        rate, _ = rates(currency, self.market)
        return np.asarray(fraction(amount, rate), np.int64)

    def tables(self, more_statements: Sequence[Statement] = ()) -> dict[str, pa.Table]:
        """What is sealed at every cut, with further statements of the end of day."""
        found = (*statements(self.capital), *more_statements)
        failing = len(self.checks.failing)
        more = {
            "reconciliation_differences": (failing, "rows", "Reconciliation rows that do not balance"),
            **segregation(self.part, self.record, self.ready, self.cut, self.rules),
            **deposits_due((self.capital.customer, self.capital.pab), self.market.time),
            **stress_headlines(self.rows["stress"], self.rows["margin"], self.accounts, self.ids),
        }
        return {
            "capital_lines": lines_table(found, self.rules),
            "capital_inputs": inputs_table(found),
            "notices": notices_table(self.capital.tests),
            "limits": self._limits(),
            "checks": sealed_checks(self.checks),
            "headlines": headlines_table(self.capital, more),
            "stress_firm": stress_table(self.rows["stress"], self.accounts, self.ids, self.capital.net_capital.net),
            "parameters": parameters_table(self.rules),
        }

    def end_of_day(self) -> EndOfDay:
        """What is computed at the end of day only, and what the next day has to know of it."""
        return close(self.view(), self.carry)

    def view(self) -> FirmView:
        """The cut as the computations of the end of day take it."""
        count = len(self.instruments)
        account, excess = self._by_account("margin", "excess")
        by_account = np.zeros(len(self.accounts), np.int64)
        by_account[account] = excess
        valued = self.stretch.tables("valuation", "valuation")
        daily = np.zeros(count, np.int64)
        if valued and "daily_vol" in valued[-1].column_names:
            daily[: valued[-1].num_rows] = valued[-1]["daily_vol"].to_numpy()
        history = self.stretch.tables("valuation", "history")
        return FirmView(
            epoch=self.stretch.last,
            rules=self.rules,
            elections=ELECTIONS,
            instruments=self.instruments,
            accounts=self.accounts,
            ids=self.ids,
            market=self.market,
            cut=self.cut,
            books=self.books,
            ready=self.ready,
            part=self.part,
            ledger=self.ledger,
            records=self.records,
            rows=self.rows,
            excess=by_account,
            equity=account_equity(self.books, self.ready, self.market),
            capital=self.capital,
            scan=self._scan,
            valuation=whole_valuation(self.stretch, self.market.id, count),
            daily_vol=daily,
            history=padded_values(views.matrix(history[-1]), count) if history else None,
            rates=self.state.rates,
        )
