"""From scenarios to instruments: spot, volatility and rate of everything that is revalued (stress testing, section 2).

Spot factors are exact integers in ppm of the old price (1,000,000 = unchanged), so a scenario of nothing changes
nothing. What had to be assumed is listed: a proxied move, a clipped fall, a volatility target without today's VIX.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streaming.risk.money import MICRO, checked_sum, fraction, round_model
from streaming.risk.reference import NO_DATE, UNKNOWN_BETA, Instruments, Kind
from streaming.risk.rulebook import Rules
from streaming.risk.scenarios import dates, debt
from streaming.risk.scenarios.library import Scenario
from streaming.risk.var.history import PriceHistory


@dataclass(frozen=True, slots=True)
class Market:
    """Today's market, as far as scenarios depend on it."""

    price: np.ndarray
    """int64 micros per unit by instrument code; 0 = missing."""
    day: int
    """Business date, days since 1970-01-01."""
    vix: int = 0
    """Micros of index points; 0 = not known."""
    relative_vol: np.ndarray | None = None
    """float64 by instrument code: the security's volatility / the index's; NaN = not known."""


@dataclass(frozen=True, slots=True)
class ShockTable:
    """Shocks of every instrument that is not an option (a *row*) in every scenario; options take their underlying's."""

    scenarios: tuple[str, ...]
    instrument: np.ndarray
    """int32 [row]: instrument code of the row."""
    row_of: np.ndarray
    """int32 [instrument]: the row whose spot moves the instrument (an option: its underlying's); -1 where the
    underlying is unknown, and nothing can be valued."""
    spot: np.ndarray
    """int64 [row, scenario]: new price in ppm of the old, >= 0."""
    proxied: np.ndarray
    """bool [row, scenario]: the move rests on a proxy (own history missing, or the beta unknown)."""
    clipped: np.ndarray
    """bool [row, scenario]: a fall beyond -100% was cut to -100%."""
    vix_ratio: np.ndarray
    """int64 [scenario], ppm: new VIX / old VIX, damped for long expiries; 1,000,000 = none."""
    vol_relative: np.ndarray
    """int64 [scenario], ppm: relative change of every volatility."""
    vol_points: np.ndarray
    """int64 [scenario], ppm: absolute change of every volatility."""
    rate: np.ndarray
    """int64 [scenario], ppm: parallel shift of rates."""
    notes: tuple[tuple[str, str], ...]
    """(scenario, what had to be assumed)."""
    rules: Rules

    def values(self, price: np.ndarray) -> np.ndarray:
        """int64 micros [row, scenario]: shocked prices of the rows themselves, at least 0: the loss of a stock."""
        return fraction(price[self.instrument][:, None], self.spot)

    def spots(self, price: np.ndarray) -> np.ndarray:
        """float64 currency units [row, scenario]: spots that options are valued at, not below the price floor (an
        unshocked price below the floor stays what it is)."""
        now = price[self.instrument][:, None]
        return np.maximum(self.values(price), np.minimum(now, self.rules.micros("stress.price.floor"))) / MICRO

    def vols(self, vol: np.ndarray, days_to_expiry: np.ndarray) -> np.ndarray:
        """float64 per year [option, scenario] from ``vol`` (ppm) and whole days to expiry.

        vol x (1 + (VIX ratio - 1) sqrt(30 / max(30, days))) x (1 + relative) + points, between floor and cap (an
        unshocked volatility outside them stays what it is).
        """
        now = (vol / MICRO)[:, None]
        reference = float(self.rules.value("stress.vix.reference_days"))
        damping = np.sqrt(reference / np.maximum(reference, days_to_expiry))[:, None]
        ratio = 1.0 + (self.vix_ratio - MICRO) / MICRO * damping
        moved = now * ratio * (1.0 + self.vol_relative / MICRO) + self.vol_points / MICRO
        floor, cap = (float(self.rules.value(f"stress.vol.{end}")) for end in ("floor", "cap"))
        return np.clip(moved, np.minimum(now, floor), np.maximum(now, cap))

    def rates(self, rate: np.ndarray) -> np.ndarray:
        """float64 per year [option, scenario]: shifted rates, kept above the curve's floor."""
        now = np.asarray(rate, dtype=np.float64)[:, None]
        return np.maximum(now + self.rate / MICRO, np.minimum(now, float(self.rules.value("stress.rate.floor"))))

    def proxied_share(self, gross: np.ndarray) -> np.ndarray:
        """int64 ppm [scenario]: gross exposure (micros by row, >= 0) whose move rests on a proxy, rounded down."""
        total = checked_sum(gross, "gross exposure")
        shares = gross @ self.proxied.astype(np.int64)
        return np.array([int(share) * MICRO // total if total else 0 for share in shares], dtype=np.int64)


def shock_table(
    scenarios: Sequence[Scenario],
    instruments: Instruments,
    market: Market,
    rules: Rules,
    history: PriceHistory | None = None,
    index: str = "",
) -> ShockTable:
    """Shocks of every row under every scenario; a column depends on its scenario alone, never on the others.

    ``history``: dated scenarios take own moves from it where it covers them; ``index`` is its symbol of the market.
    """
    mapper = _Mapper(instruments, market, rules, history, index)
    columns = [mapper.column(scenario) for scenario in scenarios]
    shape = (len(mapper.rows), len(columns))
    factor = np.array([c.factor for c in columns], dtype=np.int64).reshape(shape[::-1]).T
    notes = [note for c in columns for note in c.notes]
    notes += [(s.id, s.note) for s in scenarios if s.note]
    return ShockTable(
        scenarios=tuple(s.id for s in scenarios),
        instrument=mapper.rows.astype(np.int32),
        row_of=mapper.row_of,
        spot=np.ascontiguousarray(np.maximum(factor, 0)),
        proxied=np.array([c.proxied for c in columns], dtype=bool).reshape(shape[::-1]).T.copy(),
        clipped=np.ascontiguousarray(factor < 0),
        vix_ratio=np.array([c.vix_ratio for c in columns], dtype=np.int64),
        vol_relative=np.array([s.vol_relative for s in scenarios], dtype=np.int64),
        vol_points=np.array([s.vol_points for s in scenarios], dtype=np.int64),
        rate=np.array([s.rate for s in scenarios], dtype=np.int64),
        notes=tuple(notes),
        rules=rules,
    )


@dataclass(frozen=True, slots=True)
class Moves:
    """Joint moves of loaded symbols: simulated, filtered, or any other, one row a scenario."""

    labels: tuple[str, ...]
    symbols: tuple[str, ...]
    values: np.ndarray
    """float64 [scenario, symbol]: relative moves, 0.01 = up 1%."""
    index: str
    """The symbol of the market index."""
    vix: str | None = None
    """The symbol of the VIX; None: volatility unchanged."""


def moves_table(moves: Moves, instruments: Instruments, market: Market, rules: Rules) -> ShockTable:
    """Shocks from joint moves: own move where the symbol is among them, else beta x index (leverage x index), proxied.

    Volatility follows the VIX symbol's relative move, damped for long expiries. A move below -100% is clipped, listed.
    """
    mapper = _Mapper(instruments, market, rules, None, "")
    at = {symbol: number for number, symbol in enumerate(moves.symbols)}
    steps = round_model(moves.values).T  # ppm, like micros, counts millionths
    index = steps[at[moves.index]][None, :]
    ratio = MICRO + (steps[at[moves.vix]] if moves.vix is not None else np.zeros(len(moves.labels), dtype=np.int64))
    slope = np.where(mapper.leveraged, mapper.leverage, mapper.beta)[:, None]
    shock = np.where(mapper.equity[:, None], fraction(index, slope), 0)
    shock = np.where((mapper.kind == Kind.INDEX)[:, None], index, shock)
    shock = np.where(mapper.volatility[:, None], mapper.vix_moves(np.maximum(0, ratio)[None, :] - MICRO), shock)
    own = np.array([at.get(str(id_), -1) for id_ in mapper.ids], dtype=np.int64)
    known = own >= 0
    shock[known] = steps[own[known]]
    exposed = ((mapper.equity | mapper.volatility) & ~known)[:, None]
    nothing = np.zeros(len(moves.labels), dtype=np.int64)
    return ShockTable(
        scenarios=moves.labels,
        instrument=mapper.rows.astype(np.int32),
        row_of=mapper.row_of,
        spot=np.maximum(MICRO + shock, 0),
        proxied=np.broadcast_to(exposed, shock.shape).copy(),
        clipped=MICRO + shock < 0,
        vix_ratio=np.maximum(0, ratio),
        vol_relative=nothing,
        vol_points=nothing,
        rate=nothing,
        notes=() if moves.vix is not None else (("all", "no VIX among the moves: volatility unchanged"),),
        rules=rules,
    )


def instrument_values(
    table: ShockTable, price: np.ndarray, options: np.ndarray, option_values: np.ndarray
) -> np.ndarray:
    """int64 micros [instrument, scenario]: model values of options from the pricer, shocked prices of the rest."""
    values = table.values(price)[table.row_of]
    values[options] = option_values
    return values


@dataclass(frozen=True, slots=True)
class _Column:
    factor: np.ndarray
    proxied: np.ndarray
    vix_ratio: int
    notes: list[tuple[str, str]]


class _Mapper:
    """What does not depend on the scenario, computed once."""

    def __init__(
        self, instruments: Instruments, market: Market, rules: Rules, history: PriceHistory | None, index: str
    ):
        self.market, self.rules, self.history, self.index = market, rules, history, index
        rows = np.flatnonzero(instruments.kind != Kind.OPTION)
        self.rows = rows
        row_of = np.full(len(instruments), -1, dtype=np.int32)
        row_of[rows] = np.arange(len(rows))
        moved_by = np.where(instruments.kind == Kind.OPTION, instruments.underlying, np.arange(len(row_of)))
        self.row_of = np.where(moved_by < 0, -1, row_of[moved_by]).astype(np.int32)
        self.ids, self.kind = instruments.id[rows], instruments.kind[rows]
        self.sector = instruments.sector[rows].astype(str)
        names, self.sector_code = np.unique(self.sector, return_inverse=True)
        self.sectors = len(names)
        self.unknown_beta = instruments.beta[rows] == UNKNOWN_BETA
        self.beta = np.where(self.unknown_beta, rules.ppm("stress.beta.default"), instruments.beta[rows])
        self.leverage = instruments.leverage[rows]
        self.volatility = self.sector == str(rules.parameter("stress.vix_linked.sector").value)
        self.equity = ((self.kind == Kind.STOCK) | (self.kind == Kind.ETF)) & ~self.volatility
        self.leveraged = self.equity & (self.leverage != MICRO) & (self.leverage != 0)
        self.debt = np.flatnonzero((self.kind == Kind.TREASURY) | (self.kind == Kind.BOND))
        self.coupon, self.maturity = instruments.coupon[rows], instruments.expiry[rows]
        self.shorted = self.equity & (instruments.borrow_fee[rows] >= rules.ppm("stress.squeeze.borrow_fee"))
        relative = market.relative_vol
        self.relative_vol = np.full(len(rows), np.nan) if relative is None else relative[rows]
        self.in_history = self._history_columns()

    def _history_columns(self) -> np.ndarray:
        at = {symbol: number for number, symbol in enumerate(self.history.symbols)} if self.history else {}
        return np.array([at.get(str(id_), -1) for id_ in self.ids], dtype=np.int64)

    def column(self, scenario: Scenario) -> _Column:
        notes: list[tuple[str, str]] = []
        ratio = self._vix_ratio(scenario, notes)
        own = dates.own_moves(self.history, scenario) if self.history is not None else None
        index = self._index_move(scenario, own)
        if scenario.scope == "market":
            shock, proxied = self._market(scenario, index, ratio)
        else:
            hit = self.equity | ((self.kind == Kind.INDEX) & (scenario.scope == "spot"))
            hit &= (self.sector != "") | (scenario.scope != "sector")
            shock, proxied = np.where(hit, scenario.gap, 0), np.zeros(len(self.rows), dtype=bool)
        factor = MICRO + shock
        if scenario.end != NO_DATE:
            factor, proxied = self._own(factor, own, index, scenario)
        for name, move in scenario.names:
            at = self.ids == name
            factor, proxied = np.where(at, MICRO + move, factor), proxied & ~at
        factor = self._debt(scenario, factor)
        return _Column(factor, proxied, ratio, notes)

    def _vix_ratio(self, scenario: Scenario, notes: list[tuple[str, str]]) -> int:
        if scenario.vix_to == 0:
            return MICRO
        base = scenario.vix_from or self.market.vix
        if base == 0:
            base = self.rules.micros("stress.vix.assumed")
            notes.append((scenario.id, f"VIX target without today's VIX: compared with {base / MICRO:g}"))
        return (scenario.vix_to * MICRO + base // 2) // base

    def _index_move(self, scenario: Scenario, own: np.ndarray | None) -> int:
        if own is None or self.history is None or self.index not in self.history.symbols:
            return scenario.index
        loaded = int(own[self.history.column(self.index)])
        return scenario.index if loaded < 0 else loaded - MICRO

    def _market(self, scenario: Scenario, index: int, ratio: int) -> tuple[np.ndarray, np.ndarray]:
        """Relative moves of every row in ppm, and which of them rest on an assumed beta."""
        beta, assumed = self.beta, self.unknown_beta & self.equity & ~self.leveraged
        if scenario.correlation is not None:
            known = np.isfinite(self.relative_vol)
            measured = np.rint(np.where(known, self.relative_vol, 0.0) * scenario.correlation).astype(np.int64)
            beta = np.where(known, measured, fraction(self.beta, scenario.correlation))
            assumed = ~known & self.equity & ~self.leveraged
        shock = np.where(self.equity, fraction(index, beta), 0)
        for sector, move in scenario.sectors:
            shock = np.where(self.equity & (self.sector == sector), shock + move, shock)
        if scenario.squeeze:
            shock = np.where(self.shorted, scenario.squeeze, shock)
        lever = self.leveraged & ~(self.shorted & bool(scenario.squeeze))
        shock = np.where(lever, self._compounded(index, scenario), shock)
        shock = np.where(self.kind == Kind.INDEX, index, shock)
        vol_move = fraction(ratio, MICRO + scenario.vol_relative) - MICRO
        return np.where(self.volatility, self.vix_moves(np.array([[vol_move]]))[:, 0], shock), assumed

    def vix_moves(self, vol_move: np.ndarray) -> np.ndarray:
        """[row, scenario] ppm from relative VIX moves [1, scenario]: the index itself, or products on its futures."""
        product = fraction(fraction(vol_move, self.rules.ppm("stress.vix_linked.beta")), self.leverage[:, None])
        return np.where((self.kind == Kind.INDEX)[:, None], vol_move, product)

    def _compounded(self, index: int, scenario: Scenario) -> np.ndarray:
        """Moves of leveraged funds in ppm: L x index in one day, compounded daily over several."""
        if scenario.days == 1:
            return fraction(index, self.leverage)
        daily = self._daily_moves(index, scenario)
        factor = np.ones(len(self.rows))
        for move in daily:
            factor *= np.maximum(0.0, 1.0 + self.leverage / MICRO * move)
        return np.rint(np.minimum(factor, 1e9) * MICRO).astype(np.int64) - MICRO

    def _daily_moves(self, index: int, scenario: Scenario) -> np.ndarray:
        """The index's daily moves: loaded closes where they cover the path, else equal moves to the same end."""
        rows = dates.dated_rows(self.history, scenario) if self.history is not None else None
        if rows is not None and self.history is not None and self.index in self.history.symbols:
            closes = self.history.close[rows[0] : rows[1] + 1, self.history.column(self.index)]
            if np.all(closes > 0):
                return closes[1:] / closes[:-1] - 1.0
        equal = (1.0 + index / MICRO) ** (1.0 / scenario.days) - 1.0
        return np.full(scenario.days, equal)

    def _own(
        self, factor: np.ndarray, own: np.ndarray | None, index: int, scenario: Scenario
    ) -> tuple[np.ndarray, np.ndarray]:
        """Own moves where loaded; the others take beta x index plus their sector's average excess over it."""
        exposed = self.equity | self.volatility
        if own is None:
            return factor, exposed
        loaded = np.where(self.in_history >= 0, own[self.in_history], -1)
        has = loaded >= 0
        excess = loaded - factor
        plain = exposed & ~has & ~self.leveraged & ~self.volatility & ~(self.shorted & bool(scenario.squeeze))
        members = has & self.equity & ~self.leveraged & (self.sector != "")
        count = np.bincount(self.sector_code[members], minlength=self.sectors)
        total = np.zeros(self.sectors, dtype=np.int64)
        np.add.at(total, self.sector_code[members], excess[members])
        average = np.rint(total / np.maximum(count, 1)).astype(np.int64)
        factor = np.where(plain, factor + average[self.sector_code], factor)
        indexed = (self.kind == Kind.INDEX) & ~has
        factor = np.where(has, loaded, np.where(indexed & ~self.volatility, MICRO + index, factor))
        return factor, exposed & ~has

    def _debt(self, scenario: Scenario, factor: np.ndarray) -> np.ndarray:
        """Bonds by their yield: Treasuries move with rates, other debt with rates and spreads."""
        if scenario.rate == 0 and scenario.spread == 0:
            return factor
        factor, floor = factor.copy(), float(self.rules.value("stress.rate.floor"))
        for row in self.debt:
            shift = scenario.rate + (scenario.spread if self.kind[row] == Kind.BOND else 0)
            price = self.market.price[self.rows[row]] / MICRO
            years = debt.years_to(int(self.maturity[row]), self.market.day)
            moved = debt.price_factor(price, self.coupon[row] / MICRO, years, shift / MICRO, floor)
            factor[row] = np.rint(moved * MICRO)
        return factor
