"""Charges on the firm's own options, 15c3-1a: theoretical (the default) or, where elected, by strategy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from streaming.risk import money
from streaming.risk.capital.lines import NO_ROWS, Rows, StatementLine, line
from streaming.risk.capital.marking import Marks, rates
from streaming.risk.holdings import Holdings
from streaming.risk.margin.groups import MarginGroups
from streaming.risk.margin.portfolio import POINTS, Treatment, full_charge, theoretical_haircut
from streaming.risk.market import PriceSet
from streaming.risk.reference import Accounts, Instruments, Kind, Right
from streaming.risk.rulebook import Rules

_EXPLAIN = "ten points, full revaluation, offsets at the same point"


@dataclass(frozen=True, slots=True)
class OptionsHaircut:
    """The options charge and what it leaves to the other haircuts."""

    charge: StatementLine
    time_value: StatementLine | None
    """Strategy method only: time value of long options less that of short ones, deducted from net worth first."""
    hedged: np.ndarray
    """int64 by instrument: signed quantity of stock charged here, which leaves (J)."""
    group: np.ndarray
    """Names of the theoretical method's groups (text), with their signed P&L at the ten points and minimum, micros."""
    points: np.ndarray
    minimum: np.ndarray


@dataclass(frozen=True, slots=True)
class ScanTable:
    """Model values at the ten points of the haircut schedule (``margin.portfolio.scan_moves`` with its ``Moves``)."""

    scan: np.ndarray
    """int64 micros per unit, [instrument, 10]."""
    baseline: np.ndarray
    groups: MarginGroups


def no_options(n_instruments: int) -> OptionsHaircut:
    """The theoretical charge of a firm that holds no options: a supplied zero."""
    none = np.empty(0, dtype=np.int64)
    charge = line("haircut.options", "Options, theoretical", "15c3-1a(b)(1)", NO_ROWS, _EXPLAIN)
    hedged = np.zeros(n_instruments, dtype=np.int64)
    return OptionsHaircut(charge, None, hedged, none.astype(object), none.reshape(0, POINTS), none)


def theoretical(
    quantity: np.ndarray,
    cost: np.ndarray,
    instruments: Instruments,
    accounts: Accounts,
    prices: PriceSet,
    table: ScanTable,
    rules: Rules,
) -> OptionsHaircut:
    """15c3-1a(b)(1): the largest loss of each group over the ten points, at least 0.25 x multiplier per contract.

    ``quantity`` and ``cost`` are the firm's net positions by instrument. Stock in a product group that holds options is
    charged here and leaves (J), except where it has no usable price; an option that cannot be revalued is charged in
    full.
    """
    held = _with_options(quantity, instruments, table.groups)
    positions = Holdings(np.zeros(len(held), np.int32), held.astype(np.int32), quantity[held], cost[held])
    result = theoretical_haircut(
        positions, instruments, accounts, prices, table.scan, table.baseline, table.groups, rules
    )
    option = instruments.kind[held] == Kind.OPTION
    scanned = result.treatment == Treatment.SCANNED
    hedged = np.zeros(len(instruments), dtype=np.int64)
    hedged[held[scanned & ~option]] = quantity[held[scanned & ~option]]
    full = option & ~scanned
    top = result.portfolios
    names = table.groups.portfolio_name[top.group].astype(object)
    key = np.concatenate([names, instruments.id[held[full]]])
    amount = np.concatenate([top.requirement, result.charge[full]]).astype(np.int64)
    charge = line("haircut.options", "Options, theoretical", "15c3-1a(b)(1)", Rows("group", key, amount), _EXPLAIN)
    return OptionsHaircut(charge, None, hedged, names, top.pnl, top.minimum)


def _with_options(quantity: np.ndarray, instruments: Instruments, groups: MarginGroups) -> np.ndarray:
    """Instrument codes of the options held and of the stock in their product groups."""
    product = groups.product_group[groups.class_group]
    held = np.flatnonzero(quantity)
    option = instruments.kind[held] == Kind.OPTION
    stock = np.isin(instruments.kind[held], (Kind.STOCK, Kind.ETF))
    return held[option | (stock & np.isin(product[held], np.unique(product[held[option]])))]


@dataclass(slots=True)
class _Lot:
    """An option position while it is being paired."""

    instrument: int
    contracts: int
    """Not yet paired, > 0; the side is known from the list it is in."""
    right: int
    strike: int
    expiry: int
    multiplier: int


@dataclass(slots=True)
class _Side:
    """Lots of one underlying on one side, in a fixed order."""

    calls: list[_Lot] = field(default_factory=list)
    puts: list[_Lot] = field(default_factory=list)


@dataclass(slots=True)
class _Chain:
    """The firm's position in one underlying: stock in shares, options in lots."""

    underlying: int
    spot: int
    rate: int
    """Reporting-currency micros per unit of currency."""
    stock: int
    long: _Side = field(default_factory=_Side)
    short: _Side = field(default_factory=_Side)


def strategy(
    quantity: np.ndarray,
    cost: np.ndarray,
    instruments: Instruments,
    prices: PriceSet,
    marks: Marks,
    rules: Rules,
) -> OptionsHaircut:
    """15c3-1a(b)(2), for a firm that elected it.

    Order: spreads of one right (the long leg expires no earlier), stock against short options, stock against long
    options, then each leg by itself. What lacks a price is charged in full.
    """
    held = np.flatnonzero(quantity)
    held = held[instruments.kind[held] == Kind.OPTION]
    underlying = instruments.underlying[held]
    usable = marks.ready[held] & marks.ready[underlying] & (underlying != held)
    hedged = np.zeros(len(instruments), dtype=np.int64)
    charges: list[tuple[str, int]] = []
    for chain in _chains(held[usable], quantity, instruments, prices, marks):
        before = chain.stock
        name = instruments.id[chain.underlying]
        charges += [(f"{name} {what}", charge) for what, charge in _charges(chain, marks, rules)]
        hedged[chain.underlying] = before - chain.stock
    unusable = held[~usable]
    if len(unusable):
        rows = Holdings(np.zeros(len(held), np.int32), held.astype(np.int32), quantity[held], cost[held])
        rate, _ = rates(instruments.currency, prices)
        full = full_charge(rows, instruments, prices, np.flatnonzero(~usable), rate, rules)
        charges += zip(instruments.id[unusable].tolist(), full.tolist(), strict=True)
    key, amount = np.array([c[0] for c in charges], dtype=object), np.array([c[1] for c in charges], dtype=np.int64)
    summed = line("haircut.options", "Options, strategy-based", "15c3-1a(b)(2)", Rows("strategy", key, amount))
    time_value = _time_value(held[usable], quantity, instruments, prices, marks)
    none = np.empty(0, dtype=np.int64)
    return OptionsHaircut(summed, time_value, hedged, none.astype(object), none.reshape(0, POINTS), none)


def _time_value(
    held: np.ndarray, quantity: np.ndarray, instruments: Instruments, prices: PriceSet, marks: Marks
) -> StatementLine:
    intrinsic = np.maximum(
        instruments.right[held].astype(np.int64)
        * (prices.price[instruments.underlying[held]] - instruments.strike[held]),
        0,
    )
    unit = np.maximum(prices.price[held] - intrinsic, 0) * instruments.multiplier[held]
    amount = np.asarray(money.fraction(unit * quantity[held], marks.rate[held]), dtype=np.int64)
    rows = Rows("instrument", instruments.id[held], amount)
    return line("deduction.option_time_value", "Time value of options, long less short", "15c3-1a(b)(2)", rows)


def _chains(
    held: np.ndarray, quantity: np.ndarray, instruments: Instruments, prices: PriceSet, marks: Marks
) -> list[_Chain]:
    """Positions by underlying; lots ordered by expiry, strike and id so that the pairing never depends on codes."""
    chains: dict[int, _Chain] = {}
    order = np.lexsort((instruments.id[held].astype(str), instruments.strike[held], instruments.expiry[held]))
    for code in held[order].tolist():
        head = int(instruments.underlying[code])
        if head not in chains:
            chains[head] = _Chain(head, int(prices.price[head]), int(marks.rate[head]), int(quantity[head]))
        size = int(quantity[code])
        lot = _Lot(
            code, abs(size), int(instruments.right[code]), int(instruments.strike[code]),
            int(instruments.expiry[code]), int(instruments.multiplier[code]),
        )  # fmt: skip
        side = chains[head].long if size > 0 else chains[head].short
        (side.calls if lot.right == Right.CALL else side.puts).append(lot)
    return sorted(chains.values(), key=lambda chain: str(instruments.id[chain.underlying]))


def _charges(chain: _Chain, marks: Marks, rules: Rules) -> Iterator[tuple[str, int]]:
    """Every strategy of the chain with its charge in reporting-currency micros; consumes the chain."""
    rate = rules.ppm("net_capital.options.rate")
    hedge_minimum = rules.micros("net_capital.options.hedge_minimum")

    def reporting(amount: int) -> int:
        return int(money.fraction(amount, chain.rate))

    for short, long in ((chain.short.calls, chain.long.calls), (chain.short.puts, chain.long.puts)):
        for gap, contracts, multiplier in _spreads(short, long):
            yield "spread", reporting(gap * contracts * multiplier)
    sign = 1 if chain.stock > 0 else -1
    covered = chain.short.calls if sign > 0 else chain.short.puts
    for lot, contracts in _against_stock(chain, covered, sign):
        shares = contracts * lot.multiplier
        in_money = max(0, sign * (chain.spot - lot.strike))
        full = int(money.fraction(chain.spot * shares, rate))
        yield ("covered call" if sign > 0 else "covered put"), reporting(max(0, full - in_money * shares))
    protective = chain.long.puts if sign > 0 else chain.long.calls
    for lot, contracts in _against_stock(chain, protective, sign):
        shares = contracts * lot.multiplier
        out_money = max(0, sign * (chain.spot - lot.strike))
        full = int(money.fraction(chain.spot * shares, rate))
        charge = max(min(full, out_money * shares), hedge_minimum * contracts)
        yield ("protective put" if sign > 0 else "protective call"), reporting(charge)
    yield from _alone(chain, marks, rate, rules, reporting)


def _spreads(shorts: list[_Lot], longs: list[_Lot]) -> Iterator[tuple[int, int, int]]:
    """(strike gap against the firm, contracts, multiplier) of each pair; the cheapest long leg first."""
    for short in shorts:
        able = [x for x in longs if x.multiplier == short.multiplier and x.expiry >= short.expiry]
        able.sort(key=lambda x: max(0, short.right * (x.strike - short.strike)))
        for long in able:
            contracts = min(short.contracts, long.contracts)
            if contracts:
                short.contracts -= contracts
                long.contracts -= contracts
                yield max(0, short.right * (long.strike - short.strike)), contracts, short.multiplier


def _against_stock(chain: _Chain, lots: list[_Lot], sign: int) -> Iterator[tuple[_Lot, int]]:
    """Whole contracts of the lots that the remaining stock covers; the stock used leaves the chain."""
    for lot in lots:
        contracts = min(lot.contracts, abs(chain.stock) // lot.multiplier)
        if contracts:
            lot.contracts -= contracts
            chain.stock -= sign * contracts * lot.multiplier
            yield lot, contracts


def _alone(
    chain: _Chain, marks: Marks, rate: int, rules: Rules, reporting: Callable[[int], int]
) -> Iterator[tuple[str, int]]:
    minimum = rules.micros("net_capital.options.uncovered_minimum")
    half = rules.ppm("net_capital.options.long_rate")
    for lot in chain.short.calls + chain.short.puts:
        if lot.contracts:
            units = lot.contracts * lot.multiplier
            out_money = max(0, lot.right * (lot.strike - chain.spot))
            full = int(money.fraction(chain.spot * units, rate))
            charge = max(full - out_money * units, minimum * lot.contracts)
            yield ("uncovered call" if lot.right == Right.CALL else "uncovered put"), reporting(charge)
    for lot in chain.long.calls + chain.long.puts:
        if lot.contracts:
            value = int(marks.unit[lot.instrument]) * lot.contracts
            yield ("long call" if lot.right == Right.CALL else "long put"), reporting(int(money.fraction(value, half)))
