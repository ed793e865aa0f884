"""Resolution planning at the end of day: funding need and sources by horizon, and which clients could move away."""

import numpy as np
import pyarrow as pa

from streaming.apps.firm_inputs import numbers
from streaming.apps.firm_operations import Operations
from streaming.apps.firm_view import FirmView
from streaming.apps.tables import build
from streaming.engine.canonical import sort_by_key
from streaming.risk.capital import resolution
from streaming.risk.capital.inputs import Line, Location
from streaming.risk.capital.marking import rates
from streaming.risk.capital.operations import matched_book
from streaming.risk.capital.resolution import RULE, FundingInputs, FundingPath, Obstacle, PortingAccounts
from streaming.risk.margin.portfolio import MISSING_VALUE
from streaming.risk.money import fraction
from streaming.risk.reference import AccountKind, Kind
from streaming.risk.var.historical import measures
from streaming.schema import sealed

INFLOW, OUTFLOW, RESULT = "inflow", "outflow", "result"
_BORROWINGS = (Line.BORROWED_UNSECURED, Line.BORROWED_SECURED, Line.REPO_PAYABLE)
_CLASSES = {
    Kind.TREASURY: "treasury",
    Kind.FUND: "money_market_fund",
    Kind.STOCK: "main_index_equity",
    Kind.ETF: "main_index_equity",
}


def funding_inputs(firm: FirmView) -> FundingInputs:
    """The firm at the start of a wind-down."""
    clients, rules = firm.part.accounts, firm.rules
    street = clients.kind != AccountKind.HOUSE
    term, overnight = _borrowings(firm)
    matched, unmatched, pledged = _stock_funding(firm)
    sheet = firm.ledger.sheet
    equity = 0 if sheet is None else max(0, int(sheet.amount[sheet.rows(Line.OWNERSHIP_EQUITY)].sum()))
    return FundingInputs(
        free_credits=int(np.maximum(clients.margin, 0)[street].sum()),
        short_proceeds=int(clients.short_credit[street].sum()),
        cleared_var=_cleared_var(firm),
        overnight_funding=overnight + unmatched + pledged,
        term_funding=tuple(term),
        matched_book=((0, matched),),
        annual_cost=int(fraction(equity, rules.ppm("resolution.cost_share"))),
        reserve_account=_ledger(firm, Line.RESERVE_DEPOSIT),
        cash=_ledger(firm, Line.CASH),
        liquid_assets=_liquid_assets(firm),
        debits=int(clients.debit[street].sum()),
        capital=firm.capital.net_capital.net,
    )


def _ledger(firm: FirmView, line: Line) -> int:
    sheet = firm.ledger.sheet
    return 0 if sheet is None else int(sheet.amount[sheet.rows(line)].sum())


def _borrowings(firm: FirmView) -> tuple[list[tuple[int, int]], int]:
    """Term borrowings as (days to maturity, micros), and what falls due by the next day or has no date."""
    ledger = firm.records.ledger
    if not ledger.num_rows:
        return [], 0
    amount, due = numbers(ledger, "amount", "due")
    rate, _ = rates(ledger["currency"].to_numpy(zero_copy_only=False), firm.market)
    line = ledger["line"].to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(np.isin(line, [str(item) for item in _BORROWINGS]) & (amount > 0))
    dollars = fraction(amount[rows], rate[rows])
    left = due[rows] - firm.cut.as_of
    soon = (due[rows] < 0) | (left <= 1)
    return list(zip(left[~soon].tolist(), dollars[~soon].tolist(), strict=True)), int(dollars[soon].sum())


def _stock_funding(firm: FirmView) -> tuple[int, int, int]:
    """Cash of stock loans that borrows match, of those that nothing matches, and call loans on pledged securities."""
    record = firm.ledger.record
    if record is None:
        return 0, 0, 0
    book = matched_book(record, firm.ready)
    share = [
        amount * part // whole if whole else 0  # Python integers: the product may pass 64 bits
        for amount, part, whole in zip(
            book.loaned_amount.tolist(), book.matched.tolist(), book.loaned.tolist(), strict=True
        )
    ]
    matched = sum(share)
    pledged = int(record.amount[record.rows(Location.PLEDGED)].sum())
    return matched, int(book.loaned_amount.sum()) - matched, pledged


def _cleared_var(firm: FirmView) -> int:
    """Ten-day 99% value at risk of all accounts' options together; without a history their whole market value."""
    option = firm.instruments.kind == Kind.OPTION
    net = firm.part.securities.net.sum(axis=0)
    held = np.flatnonzero(option & (net != 0))
    if firm.history is None or firm.valuation is None:
        return int(np.abs(firm.ready.value(held, net[held])).sum())
    baseline, moved = firm.valuation.baseline[held, None], firm.history[held]
    known = (baseline[:, 0] != MISSING_VALUE) & (moved != MISSING_VALUE).all(axis=1)
    unit = (moved - baseline)[known]
    units = (net * firm.instruments.multiplier)[held[known]]
    pnl = fraction(unit * units[:, None], firm.ready.rate[held[known]][:, None]).sum(axis=0)
    found = measures(pnl[None, :], firm.rules)
    confidence, days = (
        firm.rules.ppm("resolution.clearing_confidence"),
        int(firm.rules.value("resolution.clearing_days")),
    )
    place = found.confidences.index(confidence), found.horizons.index(days)
    lost = int(np.abs(firm.ready.value(held[~known], net[held[~known]])).sum())
    if not found.available[place[0]]:
        return int(np.abs(firm.ready.value(held, net[held])).sum())
    return max(0, int(found.var[0, *place])) + lost


def _liquid_assets(firm: FirmView) -> dict[str, int]:
    """The firm's own long securities by class of the rulebook's haircuts; other classes are worth nothing there."""
    net = firm.part.securities.net[AccountKind.HOUSE]
    found: dict[str, int] = {}
    for kind, name in _CLASSES.items():
        held = np.flatnonzero((firm.instruments.kind == kind) & (net > 0) & firm.ready.priced)
        found[name] = found.get(name, 0) + int(firm.ready.value(held, net[held]).sum())
    return found


def funding_table(firm: FirmView) -> pa.Table:
    """``funding_path``: cumulative flows, the gap, capital; and the need that remains with the day of the worst gap."""
    found = resolution.funding_path(funding_inputs(firm), firm.rules)
    rows: list[tuple[str, str, int, int]] = []
    for direction, flows in ((OUTFLOW, found.outflows), (INFLOW, found.inflows), (RESULT, _results(found))):
        for name, amounts in flows.items():
            rows += [
                (direction, name, day, amount)
                for day, amount in zip(found.days.tolist(), amounts.tolist(), strict=True)
            ]
    columns = {
        "direction": pa.array([row[0] for row in rows], pa.string()),
        "flow": pa.array([row[1] for row in rows], pa.string()),
        "days": np.array([row[2] for row in rows], np.int64),
        "amount": np.array([row[3] for row in rows], np.int64),
        "rule": pa.array([RULE] * len(rows), pa.string()),
        "evidence": pa.array(["H"] * len(rows), pa.string()),
    }
    return build(sealed.FUNDING_PATH, columns)


def _results(found: FundingPath) -> dict[str, np.ndarray]:
    """Gap, need and capital by day; the need is what the gap so far has left uncovered at its worst."""
    return {
        "cumulative gap": found.gap,
        "need that remains": np.maximum(0, -np.minimum.accumulate(found.gap)),
        "capital left": found.capital,
    }


def portability_table(firm: FirmView, operations: Operations) -> pa.Table:
    """``portability``: customers and broker-dealers, each against its own reserve account."""
    clients = firm.part.accounts
    calls = np.zeros(len(firm.accounts), np.int64)
    if firm.ledger.calls is not None:
        np.add.at(calls, firm.ledger.calls.account, firm.ledger.calls.amount)
    lacking = _deficit_by_account(firm, operations)
    parts = []
    for reserve in (firm.capital.customer, firm.capital.pab):
        rows = np.flatnonzero(clients.kind == reserve.kind)
        account = clients.account[rows].astype(np.int64)
        accounts = PortingAccounts(
            firm.equity[account], calls[account], lacking[account], np.maximum(clients.margin[rows], 0)
        )
        # Without a known bank balance the deposit counts as short.
        found = resolution.portability(accounts, -1 if reserve.shortfall is None else -reserve.shortfall)
        columns = {
            "account": pa.array(firm.accounts.id[account].tolist(), pa.string()),
            "portable": pa.array(found.obstacle == Obstacle.NONE),
            "obstacle": pa.array(
                [Obstacle(int(o)).name.lower().replace("_", " ") for o in found.obstacle], pa.string()
            ),
            "equity": accounts.equity,
            "open_call": accounts.open_call,
            "segregation_deficit": accounts.segregation_deficit,
            "free_credit": accounts.free_credit,
        }
        parts.append(build(sealed.PORTABILITY, columns))
    return sort_by_key(sealed.PORTABILITY, pa.concat_tables(parts))


def _deficit_by_account(firm: FirmView, operations: Operations) -> np.ndarray:
    """Value of the securities missing from control, by customer account, in proportion to what it owns outright."""
    found = np.zeros(len(firm.accounts), np.int64)
    held, use = operations.possession.get(AccountKind.CUSTOMER), operations.use
    if held is None or use is None:
        return found
    value, claim = np.zeros((2, len(firm.instruments)), np.int64)
    value[held.instrument], claim[held.instrument] = held.value, held.fully_paid + held.excess_margin
    rows = np.flatnonzero((value[use.instrument] > 0) & (use.segregated > 0))
    share = [
        -(-whole * own // owned)  # rounded up: any part missing stands against the transfer
        for whole, own, owned in zip(
            value[use.instrument[rows]].tolist(),
            use.segregated[rows].tolist(),
            claim[use.instrument[rows]].tolist(),
            strict=True,
        )
    ]
    np.add.at(found, use.account[rows], np.array(share, np.int64))
    return found
