"""Operations that feed capital: close-outs, possession or control, ageing, the stock-loan book, use of securities.

Every function returns columns, one row per item in a fixed order, ready to be sealed. Quantities here are unsigned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from streaming.risk import money
from streaming.risk.capital.allocation import Allocation
from streaming.risk.capital.clients import AccountRows, Part, SecuritySums
from streaming.risk.capital.inputs import BalanceSheet, Book, Cut, Line, Location, Sale, StockRecord
from streaming.risk.capital.marking import Marks
from streaming.risk.reference import AccountKind, Kind
from streaming.risk.rulebook import Rules

IN_CONTROL = (Location.BOX, Location.DEPOSITORY, Location.SEGREGATED)


@dataclass(frozen=True, slots=True)
class CloseOuts:
    """Fails to deliver with the day by whose opening Reg SHO 204 wants them closed out."""

    reference: np.ndarray
    instrument: np.ndarray
    quantity: np.ndarray
    sale: np.ndarray
    settlement: np.ndarray
    business_age: np.ndarray
    close_out: np.ndarray
    """Day: the fail must be closed out by the opening of this session."""
    overdue: np.ndarray
    """True once that opening has passed (a cut of that day comes after it)."""


def close_outs(record: StockRecord, cut: Cut, rules: Rules) -> CloseOuts:
    """Reg SHO 204(a): a fail of unknown origin is treated as a short sale, the earliest date."""
    rows = record.rows(Location.FAIL_TO_DELIVER)
    since, sale = record.since[rows], record.sale[rows]
    short = int(rules.value("reserve.close_out.short_sale_days"))
    long = int(rules.value("reserve.close_out.long_sale_days"))
    later = np.where(np.isin(sale, (Sale.LONG, Sale.MARKET_MAKER)), long, short)
    sessions = cut.sessions
    day = np.array(
        [sessions.day[sessions.after(s, n)] for s, n in zip(since.tolist(), later.tolist(), strict=True)],
        dtype=np.int64,
    )
    owned = np.flatnonzero(sale == Sale.DEEMED_OWNED)
    if len(owned):
        day[owned] = _deemed_owned(since[owned], cut, rules)
    return CloseOuts(
        record.reference[rows],
        record.instrument[rows],
        record.quantity[rows],
        sale,
        since,
        sessions.age(since, cut.as_of),
        day,
        cut.as_of >= day,
    )


def _deemed_owned(settlement: np.ndarray, cut: Cut, rules: Rules) -> np.ndarray:
    """35 calendar days after the trade date, on the next session where that day is none."""
    days = cut.sessions.day
    cycle = int(rules.value("reserve.close_out.settlement_days"))
    traded = days[np.maximum(np.searchsorted(days, settlement, side="right") - 1 - cycle, 0)]
    last = traded + int(rules.value("reserve.close_out.deemed_owned_days"))
    return np.array([days[cut.sessions.after(int(day) - 1, 1)] for day in last.tolist()], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class OpenDeficits:
    """Since when each security of a kind of account has been in deficit: carried from cut to cut."""

    instrument: np.ndarray
    since: np.ndarray


@dataclass(frozen=True, slots=True)
class Possession:
    """Possession or control by security, one row per security with a claim; sorted by instrument."""

    instrument: np.ndarray
    fully_paid: np.ndarray
    excess_margin: np.ndarray
    in_control: np.ndarray
    """Box, depository, segregated, and in transfer not over 40 days."""
    deficit: np.ndarray
    """Fully paid and excess margin beyond what is in control, >= 0."""
    value: np.ndarray
    """Market value of the deficit, micros."""
    since: np.ndarray
    """Day on which the deficit arose; NO deficit: the cut's day."""
    business_age: np.ndarray


@dataclass(frozen=True, slots=True)
class Cures:
    """Each deficit by the street item it is to be cured from, with the date: pledged, loaned, failed, other."""

    instrument: np.ndarray
    source: np.ndarray
    """Text: PLEDGED, LOANED, FAIL_TO_RECEIVE or OTHER."""
    quantity: np.ndarray
    cure: np.ndarray
    """Day by which the securities must be obtained."""


def possession(
    kind: AccountKind,
    sums: SecuritySums,
    record: StockRecord,
    marks: Marks,
    cut: Cut,
    known: OpenDeficits,
    rules: Rules,
    claimed: np.ndarray | None = None,
) -> Possession:
    """What customers (or PAB accounts) own outright against what is in possession or control, 15c3-3(b).

    ``claimed`` is the quantity in control by instrument that others claim first: customers come before PAB accounts.
    """
    paid, excess = sums.fully_paid[kind], sums.excess_margin[kind]
    held = np.flatnonzero(paid + excess)
    required = (paid + excess)[held]
    control = _quantity(record, record.rows(*IN_CONTROL), len(paid))
    transfers = record.rows(Location.TRANSFER)
    young = cut.as_of - record.since[transfers] <= int(rules.value("reserve.age.transfer_days"))
    control = control + _quantity(record, transfers[young], len(paid))
    control = (control if claimed is None else np.maximum(control - claimed, 0))[held]
    deficit = np.maximum(required - control, 0)
    since = np.full(len(paid), cut.as_of, dtype=np.int64)
    since[known.instrument] = known.since
    since = np.where(deficit > 0, since[held], cut.as_of)
    return Possession(
        held.astype(np.int32),
        paid[held],
        excess[held],
        control,
        deficit,
        marks.value(held, deficit),
        since,
        cut.sessions.age(since, cut.as_of),
    )


def open_deficits(found: Possession) -> OpenDeficits:
    """What the next cut must know: a deficit keeps its first day until it is gone."""
    still = found.deficit > 0
    return OpenDeficits(found.instrument[still], found.since[still])


def cures(found: Possession, record: StockRecord, cut: Cut, rules: Rules) -> Cures:
    """Recall from bank loans first, then stock loans, then fails to receive, 15c3-3(d); the rest as soon as any."""
    rest = found.deficit.copy()
    size = int(max(found.instrument.max(initial=-1), record.instrument.max(initial=-1))) + 1
    parts: list[tuple[np.ndarray, str, np.ndarray, np.ndarray]] = []
    for location in (Location.PLEDGED, Location.LOANED, Location.FAIL_TO_RECEIVE):
        away = _quantity(record, record.rows(location), size)[found.instrument]
        taken = np.minimum(rest, away)
        rest = rest - taken
        parts.append((found.instrument, location.name, taken, _cure_day(found.since, location.name, cut, rules)))
    parts.append((found.instrument, "OTHER", rest, _cure_day(found.since, "OTHER", cut, rules)))
    instrument, quantity, day = (np.concatenate([part[i] for part in parts]) for i in (0, 2, 3))
    source = np.concatenate([np.full(len(part[0]), part[1], dtype=object) for part in parts])
    order = np.lexsort((source.astype(str), instrument))
    order = order[quantity[order] > 0]
    return Cures(instrument[order], source[order], quantity[order], day[order])


def _cure_day(since: np.ndarray, source: str, cut: Cut, rules: Rules) -> np.ndarray:
    days = int(rules.value(f"reserve.cure.{source.lower()}_days"))
    if source == Location.FAIL_TO_RECEIVE.name:
        return since + days
    return np.array([cut.sessions.day[cut.sessions.after(day, days)] for day in since.tolist()], dtype=np.int64)


def _quantity(record: StockRecord, rows: np.ndarray, size: int) -> np.ndarray:
    """Unsigned quantity of the rows by instrument."""
    dense = np.zeros(size, dtype=np.int64)
    np.add.at(dense, record.instrument[rows], np.abs(record.quantity[rows]))
    return dense


@dataclass(frozen=True, slots=True)
class Ageing:
    """Open items with both ages; sorted by what they are and their reference."""

    what: np.ndarray
    """Text: FAIL_TO_DELIVER, FAIL_TO_RECEIVE, DIVIDEND_RECEIVABLE (stock), CASH_DIVIDEND."""
    reference: np.ndarray
    instrument: np.ndarray
    """-1 for cash."""
    amount: np.ndarray
    """Contract money, or the dividend."""
    value: np.ndarray
    """Market value of the securities; the amount for cash."""
    business_age: np.ndarray
    calendar_age: np.ndarray
    bucket: np.ndarray
    """Text: calendar days, for example 0-4."""


def ageing(record: StockRecord | None, sheet: BalanceSheet | None, marks: Marks, cut: Cut, rules: Rules) -> Ageing:
    """Fails and dividends by age."""
    columns: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    if record is not None:
        for location in (Location.FAIL_TO_DELIVER, Location.FAIL_TO_RECEIVE, Location.DIVIDEND_RECEIVABLE):
            rows = record.rows(location)
            value = marks.value(record.instrument[rows], np.abs(record.quantity[rows]), record.amount[rows])
            item = (record.reference[rows], record.instrument[rows], record.amount[rows], value, record.since[rows])
            columns.append((location.name, *item))
    if sheet is not None:
        rows = sheet.rows(Line.DIVIDEND_RECEIVABLE)
        cash = np.full(len(rows), -1, dtype=np.int32)
        amount = sheet.amount[rows]
        columns.append(("CASH_DIVIDEND", sheet.reference[rows], cash, amount, amount, sheet.since[rows]))
    what = np.array([name for name, reference, *_ in columns for _ in reference], dtype=object)
    reference, instrument, amount, value, since = (
        np.concatenate([column[i] for column in columns]) if columns else np.empty(0, dtype=np.int64)
        for i in range(1, 6)
    )
    bounds = [0, *(int(bound) for bound in rules.values("reserve.ageing.bounds"))]
    names = [f"{low}-{high - 1}" for low, high in zip(bounds, bounds[1:])] + [f"{bounds[-1]}+"]
    calendar = np.maximum(cut.as_of - since, 0)
    bucket = np.array(names, dtype=object)[np.searchsorted(bounds, calendar, side="right") - 1]
    age = cut.sessions.age(since, cut.as_of)
    order = np.lexsort((reference.astype(str), what.astype(str)))
    found = Ageing(what, reference, instrument, amount, value, age, calendar, bucket)
    return Ageing(**{item.name: getattr(found, item.name)[order] for item in fields(Ageing)})


@dataclass(frozen=True, slots=True)
class MatchedBook:
    """Stock borrowed against stock lent by security, sorted by instrument; money in micros."""

    instrument: np.ndarray
    borrowed: np.ndarray
    loaned: np.ndarray
    matched: np.ndarray
    borrowed_amount: np.ndarray
    loaned_amount: np.ndarray
    value_matched: np.ndarray
    """Market value of the matched quantity."""


def matched_book(record: StockRecord, marks: Marks) -> MatchedBook:
    """The stock-loan book: what is borrowed to lend on, and what is open on either side."""
    borrows, loans = record.rows(Location.BORROWED), record.rows(Location.LOANED)
    held = np.unique(np.concatenate([record.instrument[borrows], record.instrument[loans]]))

    def by_security(rows: np.ndarray, amounts: np.ndarray) -> np.ndarray:
        dense = np.zeros(len(held), dtype=np.int64)
        np.add.at(dense, np.searchsorted(held, record.instrument[rows]), np.abs(amounts[rows]))
        return dense

    borrowed, loaned = by_security(borrows, record.quantity), by_security(loans, record.quantity)
    matched = np.minimum(borrowed, loaned)
    return MatchedBook(
        held,
        borrowed,
        loaned,
        matched,
        by_security(borrows, record.amount),
        by_security(loans, record.amount),
        marks.value(held, matched),
    )


@dataclass(frozen=True, slots=True)
class Hypothecation:
    """Customers' securities in use against 140% of their debits, 15c3-3(a)(5), 8c-1, 15c2-1. Micros."""

    used: int
    """Market value of customers' securities pledged to banks or lent."""
    limit: int
    """140% of customers' debits."""
    loans: int
    """Bank loans on customers' securities."""
    debits: int
    """Customers' debits: the loans may not exceed them."""

    @property
    def headroom(self) -> int:
        return min(self.limit - self.used, self.debits - self.loans)


def used_by_security(record: StockRecord, allocation: Allocation, size: int) -> np.ndarray:
    """Customers' quantity in use by instrument: pledged for them, and lent from their longs."""
    rows = record.rows(Location.PLEDGED)
    used = _quantity(record, rows[record.account_kind[rows] == AccountKind.CUSTOMER], size)
    used[allocation.instrument] += allocation.loaned["customer"]
    return used


def hypothecation(part: Part, record: StockRecord, allocation: Allocation, marks: Marks, rules: Rules) -> Hypothecation:
    """The firm-wide test; :func:`account_use` shows it account by account."""
    used = used_by_security(record, allocation, part.securities.long.shape[1])
    held = np.flatnonzero(used)
    value = money.checked_sum(marks.value(held, used[held]), "customers' securities in use")
    customer = part.accounts.kind == AccountKind.CUSTOMER
    debits = money.checked_sum(part.accounts.debit[customer], "customers' debits")
    rows = record.rows(Location.PLEDGED)
    loans = int(record.amount[rows][record.account_kind[rows] == AccountKind.CUSTOMER].sum())
    limit = int(money.fraction(debits, rules.ppm("reserve.segregation.margin_multiple")))
    return Hypothecation(value, limit, loans, debits)


@dataclass(frozen=True, slots=True)
class AccountUse:
    """Long securities of customer accounts, one row per account and instrument, sorted."""

    account: np.ndarray
    instrument: np.ndarray
    quantity: np.ndarray
    segregated: np.ndarray
    """Fully paid or excess margin: must be in possession or control."""
    usable: np.ndarray
    """May be pledged or lent: up to 140% of the account's debit."""
    used: np.ndarray
    """Share of what is in use; see :func:`account_use`."""


def account_rows(book: Book, rows: AccountRows) -> AccountUse:
    """A shard's customer longs, split into segregated and usable; ``used`` is still 0. ``rows``: ``clients.part``."""
    held = book.holdings
    customer = book.accounts.kind[held.account] == AccountKind.CUSTOMER
    chosen = np.flatnonzero(customer & (held.quantity > 0) & (book.instruments.kind[held.instrument] != Kind.OPTION))
    account, quantity = held.account[chosen], held.quantity[chosen]
    usable = quantity * rows.pledgeable[np.searchsorted(rows.account, account)] // money.MICRO
    return AccountUse(account, held.instrument[chosen], quantity, quantity - usable, usable, np.zeros_like(quantity))


def account_use(shards: Sequence[AccountUse], used: np.ndarray) -> AccountUse:
    """Give each security's use to the accounts in proportion to their usable quantity, then to segregated quantity.

    Running shares are rounded down in account order, so that the rows of a security add up to its use exactly; use
    beyond all longs stays unassigned (it shows as an allocation ``unexplained``).
    """
    joined = {item.name: np.concatenate([getattr(s, item.name) for s in shards]) for item in fields(AccountUse)}
    order = np.lexsort((joined["account"], joined["instrument"]))
    rows = AccountUse(**{name: column[order] for name, column in joined.items()})
    free = _spread(rows.instrument, rows.usable, used)
    over = used.copy()
    np.subtract.at(over, rows.instrument, free)
    taken = free + _spread(rows.instrument, rows.segregated, over)
    back = np.lexsort((rows.instrument, rows.account))
    found = AccountUse(rows.account, rows.instrument, rows.quantity, rows.segregated, rows.usable, taken)
    return AccountUse(**{item.name: getattr(found, item.name)[back] for item in fields(AccountUse)})


def _spread(instrument: np.ndarray, available: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Split ``wanted[instrument]`` over rows (grouped by instrument) in proportion to ``available``, never above it."""
    whole = np.zeros(len(wanted), dtype=np.int64)
    np.add.at(whole, instrument, available)
    target = np.minimum(wanted, whole)
    running: list[int] = []
    last, upto = -1, 0
    for code, amount in zip(instrument.tolist(), available.tolist(), strict=True):
        upto = amount if code != last else upto + amount
        last = code
        # Python integers: the product of two quantities may pass 64 bits.
        running.append(upto * int(target[code]) // int(whole[code]) if whole[code] else 0)
    shares = np.array(running, dtype=np.int64)
    first = np.r_[True, instrument[1:] != instrument[:-1]] if len(instrument) else np.empty(0, dtype=bool)
    return np.where(first, shares, shares - np.r_[0, shares[:-1]]) if len(shares) else shares
