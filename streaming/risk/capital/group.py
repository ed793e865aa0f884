"""The group view's other half: own funds, credit-risk assets and the leverage exposure, from the same cut.

Amounts are int64 micros of the reporting currency. The balance sheet is the broker-dealer's; a consolidated group adds
its other entities. Operational risk rests on a business indicator that the firm states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streaming.risk.capital.inputs import BalanceSheet, Book, Line, Location, Party, StockRecord
from streaming.risk.capital.lines import Rows, StatementLine, formula, line, not_supplied
from streaming.risk.capital.marking import Marks, rates
from streaming.risk.capital.parameters import rates_ppm
from streaming.risk.capital.ratios import OwnFunds
from streaming.risk.capital.sa_ccr import option_exposure, option_trades
from streaming.risk.holdings import Holdings
from streaming.risk.market import PriceSet
from streaming.risk.money import MICRO, fraction
from streaming.risk.reference import AccountKind, Accounts, Instruments, Kind
from streaming.risk.rulebook import Rules

DAYS_PER_YEAR = 365
_MARKS = {"evidence": "K"}
_PARTY = {
    Party.OTHER: "other",
    Party.BROKER_DEALER: "broker_dealer",
    Party.CLEARING_AGENCY: "clearing_agency",
    Party.BANK: "bank",
    Party.AFFILIATE: "other",
}
_BANK_LINES = (Line.CASH, Line.RESERVE_DEPOSIT)
_CLEARING_LINES = (Line.CLEARING_DEPOSIT, Line.OPTION_MARGIN, Line.SECURITY_FUTURES_MARGIN, Line.TREASURY_MARGIN)
_OTHER_LINES = (
    Line.RECEIVABLE,
    Line.DIVIDEND_RECEIVABLE,
    Line.FIXED_ASSET,
    Line.PREPAID,
    Line.MEMBERSHIP,
    Line.UNMARKETABLE_INVESTMENT,
    Line.OPERATIONAL,
)


@dataclass(frozen=True, slots=True)
class ClientExposure:
    """What each client could owe the firm, one row per client, sorted by name; micros."""

    client: np.ndarray
    cover: np.ndarray
    """Cash and securities other than options after the supervisory haircut; negative = uncovered."""
    option_value: np.ndarray
    """Market value of the client's options, signed."""
    default: np.ndarray
    """SA-CCR exposure at default of the client's options to the firm."""

    @property
    def uncovered(self) -> np.ndarray:
        """Exposure of the margin loan after collateral (CRE22 comprehensive approach)."""
        return np.maximum(-self.cover, 0)


def own_funds(sheet: BalanceSheet, loans: Sequence[tuple[int, int]], rules: Rules) -> OwnFunds:
    """CET1 = ownership equity; tier 2 = subordinated loans, amortised over their last five years (CAP10.16).

    ``loans``: (days to maturity, amount). The ledger knows no additional tier 1 instruments, and no intangible asset to
    deduct.
    """
    years = int(rules.value("basel.tier2.amortisation_years"))
    equity = int(sheet.amount[sheet.rows(Line.OWNERSHIP_EQUITY)].sum())
    counted = (amount * min(max(days, 0), years * DAYS_PER_YEAR) // (years * DAYS_PER_YEAR) for days, amount in loans)
    return OwnFunds(equity, 0, sum(counted))


def client_exposures(
    shards: Sequence[Book], marked: Marks, prices: PriceSet, accounts: Accounts, rules: Rules
) -> ClientExposure:
    """Margin loans and options by client; accounts of one client net, the firm's own are left out.

    Collateral counts less, and a short position more, by ``basel.credit.collateral_haircut``; what has no price secures
    nothing. What is left after the loan secures the options.
    """
    haircut = rules.ppm("basel.credit.collateral_haircut")
    instruments = shards[0].instruments
    names, of = np.unique(accounts.client.astype(str), return_inverse=True)
    cover, options = np.zeros((2, len(names)), np.int64)
    held: list[Holdings] = []
    for book in shards:
        mine = book.accounts.kind[book.holdings.account] != AccountKind.HOUSE
        rows = Holdings(*(getattr(book.holdings, name)[mine] for name in Holdings.__dataclass_fields__))
        value = marked.value(rows.instrument, rows.quantity, rows.cost)
        value = np.where(marked.priced[rows.instrument] | (value < 0), value, 0)
        option = instruments.kind[rows.instrument] == Kind.OPTION
        weighted = np.where(value > 0, fraction(value, MICRO - haircut), fraction(value, MICRO + haircut))
        np.add.at(cover, of[rows.account], np.where(option, 0, weighted))
        np.add.at(options, of[rows.account], np.where(option, value, 0))
        rate, _ = rates(book.cash.currency, prices)
        owner = book.cash.account
        client = accounts.kind[owner] != AccountKind.HOUSE
        np.add.at(cover, of[owner[client]], fraction(book.cash.amount, rate)[client])
        held.append(Holdings(*(getattr(rows, name)[option] for name in Holdings.__dataclass_fields__)))
    everything = Holdings(
        *(np.concatenate([getattr(part, name) for part in held]) for name in Holdings.__dataclass_fields__)
    )
    owners = of[everything.account]
    default = np.zeros(len(names), np.int64)
    for client in np.unique(owners).tolist():
        own = np.flatnonzero(owners == client)
        own = own[np.lexsort((everything.quantity[own], everything.instrument[own], everything.account[own]))]
        facing = Holdings(
            everything.account[own], everything.instrument[own], -everything.quantity[own], everything.cost[own]
        )
        trades, _ = option_trades(facing, instruments, prices)
        secured = max(int(cover[client]), 0)
        default[client] = option_exposure(trades, -int(options[client]) / MICRO, secured / MICRO, rules).micros
    present = np.unique(of[accounts.kind != AccountKind.HOUSE])
    return ClientExposure(names[present].astype(object), cover[present], options[present], default[present])


def house_option_exposure(
    held: Holdings, instruments: Instruments, marked: Marks, prices: PriceSet, rules: Rules
) -> int:
    """SA-CCR exposure at default of the firm's own options to the clearing house, without collateral, micros."""
    option = instruments.kind[held.instrument] == Kind.OPTION
    own = Holdings(*(getattr(held, name)[option] for name in Holdings.__dataclass_fields__))
    if not len(own):
        return 0
    trades, _ = option_trades(own, instruments, prices)
    value = int(marked.value(own.instrument, own.quantity, own.cost).sum())
    return option_exposure(trades, value / MICRO, 0.0, rules).micros


def credit_lines(
    sheet: BalanceSheet,
    record: StockRecord | None,
    marked: Marks,
    clients: ClientExposure,
    house_options: int,
    rules: Rules,
) -> tuple[StatementLine, ...]:
    """Credit-risk-weighted assets by kind of exposure (CRE20, CRE22, CRE52, CRE54), with the exposures' rows."""
    weight = rates_ppm("basel.credit.weight", rules)

    def weighted(
        code: str, name: str, rule: str, label: str, key: np.ndarray, amount: np.ndarray, ppm
    ) -> StatementLine:
        charged = np.asarray(fraction(np.asarray(amount, np.int64), ppm), np.int64)
        return line(code, name, rule, Rows(label, key, charged), "exposure x risk weight", _MARKS)

    def ledger(code: str, name: str, lines: Sequence[Line], fixed: str = "") -> StatementLine:
        rows = np.concatenate([sheet.rows(item) for item in lines])
        names = [fixed or _PARTY[Party(int(item))] for item in sheet.party[rows]]
        ppm = np.array([weight[item] for item in names], np.int64)
        return weighted(code, name, "CRE20", "reference", sheet.reference[rows], sheet.amount[rows], ppm)

    client = weight["client"]
    found = [
        weighted(
            "credit.margin_loans",
            "Margin loans after collateral",
            "CRE22.40",
            "client",
            clients.client,
            clients.uncovered,
            client,
        ),
        weighted(
            "credit.client_options",
            "Clients' options, SA-CCR",
            "CRE52",
            "client",
            clients.client,
            clients.default,
            client,
        ),
        weighted(
            "credit.house_options",
            "Own options at the clearing house, SA-CCR",
            "CRE52, CRE54.7",
            "netting set",
            np.array(["clearing house"], object),
            np.array([house_options]),
            weight["clearing_agency"],
        ),
    ]
    if record is None:
        found.append(not_supplied("credit.stock_borrow", "Stock borrowed: cash above the securities after haircut"))
        found.append(not_supplied("credit.fails", "Fails: what the market moved against the counterparty"))
    else:
        found += _street_lines(record, marked, weighted, weight, rules)
    return (
        *found,
        ledger("credit.banks", "Cash and reserve deposits at banks", _BANK_LINES, "bank"),
        ledger("credit.clearing", "Margin and deposits at clearing houses", _CLEARING_LINES, "clearing_agency"),
        ledger("credit.other", "Receivables and other assets", _OTHER_LINES),
    )


def _street_lines(record: StockRecord, marked: Marks, weighted, weight, rules: Rules) -> list[StatementLine]:
    haircut = rules.ppm("basel.credit.collateral_haircut")

    def values(rows: np.ndarray) -> np.ndarray:
        return marked.value(record.instrument[rows], np.abs(record.quantity[rows]), record.amount[rows])

    borrowed = record.rows(Location.BORROWED)
    uncovered = np.maximum(record.amount[borrowed] - fraction(values(borrowed), MICRO - haircut), 0)
    delivering, receiving = record.rows(Location.FAIL_TO_DELIVER), record.rows(Location.FAIL_TO_RECEIVE)
    moved = np.concatenate(
        [record.amount[delivering] - values(delivering), values(receiving) - record.amount[receiving]]
    )
    fails = np.concatenate([delivering, receiving])
    return [
        weighted(
            "credit.stock_borrow",
            "Stock borrowed: cash above the securities after haircut",
            "CRE22.40",
            "reference",
            record.reference[borrowed],
            uncovered,
            weight["broker_dealer"],
        ),
        weighted(
            "credit.fails",
            "Fails: what the market moved against the counterparty",
            "CRE70",
            "reference",
            record.reference[fails],
            np.maximum(moved, 0),
            weight["other"],
        ),
    ]


def leverage_lines(
    sheet: BalanceSheet,
    record: StockRecord | None,
    positions: np.ndarray,
    debits: int,
    options: int,
) -> tuple[StatementLine, ...]:
    """The leverage exposure: assets without netting or collateral, and options at their SA-CCR exposure (LEV30).

    ``positions``: signed market values of the firm's own positions; ``debits``: clients' debits; ``options``: exposure
    at default of clients' and own options.
    """
    rows = np.concatenate(
        [sheet.rows(item) for item in (*_BANK_LINES, *_CLEARING_LINES, *_OTHER_LINES, Line.REVERSE_REPO)]
    )
    assets = line(
        "leverage.ledger",
        "Ledger assets",
        "LEV30",
        Rows("reference", sheet.reference[rows], sheet.amount[rows]),
        inputs=_MARKS,
    )
    long = int(np.maximum(positions, 0).sum())
    street = _street_money(record)
    return (
        assets,
        formula("leverage.positions", "Own long positions at market", long, "LEV30", inputs=_MARKS),
        formula("leverage.debits", "Clients' debits", debits, "LEV30", inputs=_MARKS),
        street,
        formula("leverage.options", "Options, SA-CCR exposure at default", options, "LEV30.20, CRE52", inputs=_MARKS),
    )


def _street_money(record: StockRecord | None) -> StatementLine:
    code, name = "leverage.street", "Cash given for borrowed stock and fails to deliver"
    if record is None:
        return not_supplied(code, name)
    rows = record.rows(Location.BORROWED, Location.FAIL_TO_DELIVER)
    return line(code, name, "LEV30.37", Rows("reference", record.reference[rows], record.amount[rows]), inputs=_MARKS)


def operational_capital(sheet: BalanceSheet, rules: Rules) -> int:
    """Business indicator component (OPE25), micros: a part of ownership equity stands for the indicator."""
    equity = max(0, int(sheet.amount[sheet.rows(Line.OWNERSHIP_EQUITY)].sum()))
    indicator = fraction(equity, rules.ppm("basel.operational.indicator_share"))
    return int(fraction(indicator, rules.ppm("basel.operational.coefficient")))
