"""What clients and lenders owe, as the exposures of the expected-credit-loss computation, from the same cut."""

from dataclasses import dataclass

import numpy as np

from streaming.risk.capital.clients import AccountRows
from streaming.risk.capital.ifrs9 import LIQUIDITY, MarginLoans
from streaming.risk.capital.inputs import Location, MarginCalls, Sessions, StockRecord
from streaming.risk.capital.marking import Marks
from streaming.risk.capital.parameters import decimals
from streaming.risk.holdings import Holdings
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Accounts, Instruments, Kind
from streaming.risk.rulebook import Rules

BORROW = "stock borrow "
"""Prefix of an exposure that is cash given for borrowed stock; the counterparty follows."""


@dataclass(frozen=True, slots=True)
class Collateral:
    """What secures each of some owners, one row per owner."""

    daily_volatility: np.ndarray
    """float64 of value, moves of names added without diversification; NaN where nothing is known."""
    liquidity: np.ndarray
    """Index into ``ifrs9.LIQUIDITY``: the class whose close-out days hold the value-weighted days to sell."""
    concentrated: np.ndarray


def collateral_profile(
    owner: np.ndarray,
    owners: int,
    instrument: np.ndarray,
    quantity: np.ndarray,
    value: np.ndarray,
    instruments: Instruments,
    daily_vol: np.ndarray,
    rules: Rules,
) -> Collateral:
    """The profile of collateral rows (value > 0, micros); ``daily_vol`` ppm by instrument, 0 = unknown, taken as 100%.

    Days to sell follow the share of the day's volume that ``stress.liquidity.participation`` allows; without volume a
    position takes the longest class.
    """
    days = decimals("ifrs9.collateral.close_out_days", rules)
    bounds = np.array([float(days[name]) for name in LIQUIDITY])
    pace = float(rules.value("stress.liquidity.participation")) * instruments.adv[instrument]
    to_sell = np.where(pace > 0, quantity / np.where(pace > 0, pace, 1.0), bounds[-1])
    to_sell = np.where(np.isin(instruments.kind[instrument], (Kind.TREASURY, Kind.FUND)), 0.0, to_sell)
    vol = np.where(daily_vol[instrument] > 0, daily_vol[instrument], MICRO) / MICRO
    whole, largest = np.zeros(owners, np.int64), np.zeros(owners, np.int64)
    np.add.at(whole, owner, value)
    names, of = np.unique(np.stack([owner, instruments.underlying[instrument]]), axis=1, return_inverse=True)
    by_name = np.zeros(names.shape[1], np.int64)
    np.add.at(by_name, of.ravel(), value)
    np.maximum.at(largest, names[0], by_name)
    scale = np.where(whole > 0, whole, 1) / MICRO

    def weighted(amounts: np.ndarray) -> np.ndarray:
        order = np.lexsort((amounts, value, instrument, owner))  # a fixed order of the float sums
        total = np.zeros(owners)
        np.add.at(total, owner[order], (amounts * (value / MICRO))[order])
        return total / scale

    share = float(rules.value("ifrs9.collateral.concentrated_share"))
    return Collateral(
        np.where(whole > 0, weighted(vol), np.nan),
        np.minimum(np.searchsorted(bounds, weighted(to_sell)), len(LIQUIDITY) - 1),
        largest > share * whole,
    )


def margin_loans(
    clients: AccountRows,
    accounts: Accounts,
    holdings: Holdings,
    record: StockRecord | None,
    calls: MarginCalls | None,
    instruments: Instruments,
    marked: Marks,
    daily_vol: np.ndarray,
    sessions: Sessions,
    as_of: int,
    rules: Rules,
) -> MarginLoans:
    """Settled debits by client, then cash given for borrowed stock by counterparty; sorted by id, zeros left out.

    The accounts of a client stand for one another: debits add up, and so does what secures them.
    ``holdings`` are those of all accounts. The book knows no days past due and no commitment; a client whose collateral
    sold today would not cover its debit is negative after close-out.
    """
    mine = np.flatnonzero(clients.kind != AccountKind.HOUSE)
    account = clients.account[mine]
    names, of = np.unique(accounts.client[account].astype(str), return_inverse=True)
    n = len(names)
    client_of = np.full(len(accounts), -1, np.int64)
    client_of[account] = of
    amounts = {}
    for name in ("debit", "collateral"):
        amounts[name] = np.zeros(n, np.int64)
        np.add.at(amounts[name], of, getattr(clients, name)[mine])
    kind = np.zeros(n, np.int64)
    np.maximum.at(kind, of, clients.kind[mine].astype(np.int64))
    value = marked.value(holdings.instrument, holdings.quantity, holdings.cost)
    secures = (client_of[holdings.account] >= 0) & (value > 0) & marked.priced[holdings.instrument]
    rows = np.flatnonzero(secures & (instruments.kind[holdings.instrument] != Kind.OPTION))
    code = holdings.instrument[rows].astype(np.int64)
    profile = collateral_profile(
        client_of[holdings.account[rows]], n, code, holdings.quantity[rows], value[rows], instruments, daily_vol, rules
    )
    age = np.zeros(n, np.int64)
    if calls is not None:
        known = client_of[calls.account] >= 0
        np.maximum.at(age, client_of[calls.account[known]], sessions.age(calls.issued[known], as_of))
    default = decimals("ifrs9.annual_pd", rules)
    pd = np.array([float(default[AccountKind(int(item)).name.lower()]) for item in kind.tolist()])
    owing = amounts["debit"] > 0
    lent = _borrows(record, instruments, marked, daily_vol, rules)
    columns = {
        "id": np.concatenate([names[owing].astype(object), lent["id"]]),
        "debit": np.concatenate([amounts["debit"][owing], lent["debit"]]),
        "collateral": np.concatenate([amounts["collateral"][owing], lent["collateral"]]),
        "daily_volatility": np.concatenate([profile.daily_volatility[owing], lent["daily_volatility"]]),
        "liquidity": np.concatenate([profile.liquidity[owing], lent["liquidity"]]),
        "concentrated": np.concatenate([profile.concentrated[owing], lent["concentrated"]]),
        "annual_pd": np.concatenate([pd[owing], np.full(len(lent["id"]), float(default["lender"]))]),
        "call_age": np.concatenate([age[owing], np.zeros(len(lent["id"]), np.int64)]),
        "negative_after_close_out": np.concatenate(
            [(amounts["debit"] > amounts["collateral"])[owing], np.zeros(len(lent["id"]), bool)]
        ),
    }
    order = np.argsort(columns["id"].astype(str), kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    count = len(order)
    nothing, never = np.zeros(count, np.int64), np.zeros(count, bool)
    rate = np.full(count, float(rules.value("ifrs9.effective_rate")))
    return MarginLoans(
        accrued=nothing,
        undrawn=nothing,
        effective_rate=rate,
        days_past_due=nothing,
        credit_impaired=never,
        risk_increased=never,
        **columns,
    )


def _borrows(
    record: StockRecord | None, instruments: Instruments, marked: Marks, daily_vol: np.ndarray, rules: Rules
) -> dict[str, np.ndarray]:
    """Cash given for borrowed stock by counterparty, secured by the stock."""
    rows = np.empty(0, np.int64) if record is None else record.rows(Location.BORROWED)
    if record is None or not len(rows):
        none = np.empty(0, np.int64)
        plain = dict.fromkeys(("debit", "collateral", "liquidity"), none)
        return plain | {
            "id": none.astype(object),
            "daily_volatility": none.astype(float),
            "concentrated": none.astype(bool),
        }
    names, of = np.unique(record.counterparty[rows].astype(str), return_inverse=True)
    code = record.instrument[rows].astype(np.int64)
    value = np.where(marked.priced[code], marked.value(code, np.abs(record.quantity[rows])), 0)
    debit, collateral = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    np.add.at(debit, of, record.amount[rows])
    np.add.at(collateral, of, value)
    good = value > 0
    profile = collateral_profile(
        of[good],
        len(names),
        code[good],
        np.abs(record.quantity[rows])[good],
        value[good],
        instruments,
        daily_vol,
        rules,
    )
    owing = debit > 0
    return {
        "id": np.array([BORROW + name for name in names[owing].tolist()], object),
        "debit": debit[owing],
        "collateral": collateral[owing],
        "daily_volatility": profile.daily_volatility[owing],
        "liquidity": profile.liquidity[owing],
        "concentrated": profile.concentrated[owing],
    }
