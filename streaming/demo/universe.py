"""The instruments of the day: the real stocks and index, and what is generated around them."""

from dataclasses import dataclass, replace
from datetime import date, time, timedelta

import numpy as np

from streaming.demo.history import INDEX, Closes
from streaming.demo.identifiers import isin, occ_symbol, random_characters
from streaming.demo.session import Session, instant
from streaming.demo.spec import DaySpec, stream
from streaming.risk.money import MICRO

LEVERAGED = "SPXL3"
"""A generated fund of three times the index's daily return."""
LEVERAGE = 3

INDEX_PM_ROOT = "SPXW"
"""Option root of the index series settled at the close; those settled at the open have the index's own."""

SPLIT = "UNH"
DIVIDEND = "JNJ"
HARD_TO_BORROW = "RRC"
NON_MARGINABLE = "BBY"
STALE = "XOM"
"""Stops quoting for some seventy minutes and recovers before 15:30."""
HEAVILY_HELD = "MSFT"
ADJUSTED = "GE"
"""Has one adjusted option contract, of its own multiplier."""
ADJUSTED_MULTIPLIER = 125

SPLIT_FACTOR = 2
"""New shares for each old one. The closes are adjusted, so prices before the split are this many times theirs."""

SECTORS = {
    "AAPL": "Information Technology",
    "AMD": "Information Technology",
    "BAC": "Financials",
    "BBY": "Consumer Discretionary",
    "CVX": "Energy",
    "GE": "Industrials",
    "HD": "Consumer Discretionary",
    "JNJ": "Health Care",
    "JPM": "Financials",
    "KO": "Consumer Staples",
    "LLY": "Health Care",
    "MRK": "Health Care",
    "MSFT": "Information Technology",
    "PEP": "Consumer Staples",
    "PFE": "Health Care",
    "PG": "Consumer Staples",
    "RRC": "Energy",
    "UNH": "Health Care",
    "WMT": "Consumer Staples",
    "XOM": "Energy",
}
_CONTINUOUS = ("AAPL", "AMD", "GE", "LLY", "RRC", "UNH")
"""Stocks whose dividends are given as a yield; the others have expected cash dividends."""
_DIVIDENDS_PER_YEAR = 4
_INDEX_YIELD = 0.021
_FEW_STRIKES, _MANY_STRIKES = 4, 10
_FEW_INDEX_STRIKES, _MANY_INDEX_STRIKES = 6, 20


@dataclass(frozen=True, slots=True)
class Universe:
    """Columns over the instruments: underlyings first (stocks, index, leveraged fund), then bills, then options."""

    id: list[str]
    kind: list[str]
    underlying: np.ndarray
    """Row of the underlying; its own row when there is none."""
    multiplier: np.ndarray
    right: np.ndarray
    """1 call, -1 put, 0 none."""
    strike: np.ndarray
    """float64, currency units."""
    expiry: list[date | None]
    expires: np.ndarray
    """The instant of expiry, microseconds UTC; 0 = never."""
    style: list[str | None]
    am_settled: np.ndarray
    listed: np.ndarray
    """When the reference event arrives, microseconds UTC: a few series are listed during the day."""
    underlyings: int
    bills: int
    dividend_yield: np.ndarray
    """Continuous, per underlying."""
    dividends: list[list[tuple[date, float]]]
    """Expected cash dividends (ex-date, amount) per underlying."""
    previous: np.ndarray
    """Previous close per underlying in today's (split) shares, currency units."""
    close: np.ndarray
    """Today's official close per underlying, currency units."""
    beta: np.ndarray

    def __len__(self) -> int:
        return len(self.id)

    @property
    def options(self) -> np.ndarray:
        return np.arange(self.underlyings + self.bills, len(self.id))

    @property
    def stocks(self) -> np.ndarray:
        """Rows of what trades as shares: the stocks and the leveraged fund."""
        return np.array([row for row in range(self.underlyings) if self.kind[row] != "index"])

    @property
    def expiring(self) -> np.ndarray:
        """Series that expire on the business date."""
        options = self.options
        return options[self.expires[options] == self.expires[options].min()]

    def row(self, instrument: str) -> int:
        return self.id.index(instrument)


@dataclass(frozen=True, slots=True)
class _Series:
    root: str
    underlying: int
    expiry: date
    right: str
    strike: int
    multiplier: int
    am_settled: bool
    listed: int


def expiries(day: date, coming: tuple[date, ...]) -> tuple[date, date, date, date]:
    """The business date itself, the next monthly, the quarterly after it, and one more than nine months out."""
    sessions = set(coming)
    months = [(day.year + (day.month - 1 + n) // 12, (day.month - 1 + n) % 12 + 1) for n in range(14)]
    fridays = [_third_friday(year, month) for year, month in months]
    monthly = [f if f in sessions else f - timedelta(days=1) for f in fridays if f > day + timedelta(days=21)]
    quarterly = [f for f in monthly[1:] if f.month in (3, 6, 9, 12)]
    long = [f for f in monthly if f > day + timedelta(days=280) and f.month in (1, 3, 6, 9, 12)]
    return day, monthly[0], quarterly[0], long[0]


def _third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def strikes(spot: float, count: int, wide: int) -> list[int]:
    """Evenly spaced listed strikes around the spot, in micros; ``wide`` multiplies the spacing."""
    step = next((s for limit, s in ((5, 0.5), (50, 1.0), (200, 2.5), (500, 5.0)) if spot < limit), 25.0)
    spacing = max(1, round(0.045 * spot / step)) * wide
    centre = max(round(0.97 * spot / step), (count // 2 - 1) * spacing + 1)
    places = [centre + spacing * (n - count // 2 + 1) for n in range(count)]
    return [round(place * step * MICRO) for place in places if place > 0]


def build(spec: DaySpec, day: Session, history: Closes, today: np.ndarray) -> Universe:
    """The universe of a spec. ``today`` are the real closes of the business date, micros by symbol."""
    symbols = [*history.symbols, LEVERAGED]
    previous, close = history.micros[-1] / MICRO, today / MICRO
    generated = float(stream(spec.seed, "reference", LEVERAGED).integers(3_000, 9_000)) / 100
    moved = max(0.01, round(generated * (1 + LEVERAGE * (close[-1] / previous[-1] - 1)), 3))
    previous, close = np.append(previous, generated), np.append(close, moved)
    beta = np.append(history.beta(), LEVERAGE)
    yields, dividends = _expected_dividends(spec, day, symbols, previous)
    series = _series(spec, day, symbols, previous)
    bills = [day.business_date + timedelta(days=n) for n in (59, 150, 304)]
    bill_ids = [f"UST-{maturity:%Y%m%d}" for maturity in bills]
    basic = len(symbols) + len(bills)
    return Universe(
        id=[*symbols, *bill_ids, *(occ_symbol(s.root, s.expiry, s.right, s.strike) for s in series)],
        kind=["stock"] * len(SECTORS) + ["index", "etf"] + ["treasury"] * len(bills) + ["option"] * len(series),
        underlying=np.array([*range(basic), *(s.underlying for s in series)]),
        multiplier=np.array([1] * basic + [s.multiplier for s in series]),
        right=np.array([0] * basic + [1 if s.right == "call" else -1 for s in series]),
        strike=np.array([0.0] * basic + [s.strike / MICRO for s in series]),
        expiry=[*([None] * len(symbols)), *bills, *(s.expiry for s in series)],
        expires=np.array([0] * basic + [_expires(s) for s in series], dtype=np.int64),
        style=[None] * basic + ["european" if symbols[s.underlying] == INDEX else "american" for s in series],
        am_settled=np.array([False] * basic + [s.am_settled for s in series]),
        listed=np.array([day.start + n * 1_000 for n in range(basic)] + [s.listed for s in series], dtype=np.int64),
        underlyings=len(symbols),
        bills=len(bills),
        dividend_yield=yields,
        dividends=dividends,
        previous=previous,
        close=close,
        beta=beta,
    )


def _expires(series: _Series) -> int:
    return instant(series.expiry, time(9, 30) if series.am_settled else time(16))


def _series(spec: DaySpec, day: Session, symbols: list[str], spot: np.ndarray) -> list[_Series]:
    few = spec.prices < 100_000
    dates = expiries(day.business_date, day.coming)
    found: list[_Series] = []
    for row, symbol in enumerate(symbols):
        count = _FEW_STRIKES if few else _MANY_STRIKES
        if symbol == INDEX:
            count = _FEW_INDEX_STRIKES if few else _MANY_INDEX_STRIKES
        for place, expiry in enumerate(dates):
            for strike in strikes(float(spot[row]), count, 1 if place < 2 else 2):
                for right in ("call", "put"):
                    root = INDEX_PM_ROOT if symbol == INDEX else symbol
                    found.append(_Series(root, row, expiry, right, strike, 100, False, 0))
                    if symbol == INDEX and place == 1:
                        found.append(_Series(INDEX, row, expiry, right, strike, 100, True, 0))
    adjusted, leap = symbols.index(ADJUSTED), dates[3]
    standard = strikes(float(spot[adjusted]), 1, 1)[0]
    strike = standard * 100 // ADJUSTED_MULTIPLIER // 10_000 * 10_000  # the contract's value stays the same
    found.append(_Series(ADJUSTED + "1", adjusted, leap, "call", strike, ADJUSTED_MULTIPLIER, False, 0))
    start = day.start + MICRO
    placed = [replace(series, listed=start + n * 1_000) for n, series in enumerate(found)]
    return [*placed, *_listed_intraday(day, symbols, spot, {(s.underlying, s.expiry, s.strike) for s in found})]


def _listed_intraday(
    day: Session, symbols: list[str], spot: np.ndarray, taken: set[tuple[int, date, int]]
) -> list[_Series]:
    """Three strikes that the falling market brings: known twenty seconds after the first trades in them arrive."""
    expiry = expiries(day.business_date, day.coming)[1]
    found = []
    for n, symbol in enumerate(("AAPL", "JPM", "MSFT")):
        row = symbols.index(symbol)
        strike = max(1, round(spot[row] * 0.7)) * MICRO
        while (row, expiry, strike) in taken:
            strike += MICRO
        found.append(_Series(symbol, row, expiry, "put", strike, 100, False, day.at(10 + n, 12, 30)))
    return found


def _expected_dividends(
    spec: DaySpec, day: Session, symbols: list[str], previous: np.ndarray
) -> tuple[np.ndarray, list[list[tuple[date, float]]]]:
    """Continuous yields, and for most stocks instead the cash dividends expected within a year."""
    yields = np.zeros(len(symbols))
    dividends: list[list[tuple[date, float]]] = []
    for row, symbol in enumerate(symbols):
        random = stream(spec.seed, "dividends", symbol)
        annual = round(float(random.uniform(0.008, 0.035)), 4)
        first = int(random.integers(8, 55))
        dividends.append([])
        if symbol == INDEX:
            yields[row] = _INDEX_YIELD
        elif symbol in _CONTINUOUS:
            yields[row] = annual
        elif symbol in SECTORS:
            amount = round(float(previous[row]) * annual / _DIVIDENDS_PER_YEAR, 2)
            places = range(first, len(day.coming), 63)
            dividends[row] = [(day.coming[place], amount) for place in places][:_DIVIDENDS_PER_YEAR]
    return yields, dividends


def instrument_events(universe: Universe, spec: DaySpec) -> list[dict]:
    """The reference event of every instrument, in the order of the rows."""
    return [_event(universe, spec, row) for row in range(len(universe))]


def _event(universe: Universe, spec: DaySpec, row: int) -> dict:
    kind, under = universe.kind[row], int(universe.underlying[row])
    event: dict[str, object] = {"id": universe.id[row], "kind": kind, "currency": "USD"}
    if kind == "option":
        expiry = universe.expiry[row]
        event |= {
            "underlying": universe.id[under],
            "multiplier": int(universe.multiplier[row]),
            "right": "call" if universe.right[row] > 0 else "put",
            "strike": float(universe.strike[row]),
            "expiry": str(expiry),
            "style": universe.style[row],
            "am_settled": bool(universe.am_settled[row]),
            "underlying_class": _class(universe, under),
        }
        if universe.id[under] == LEVERAGED:
            event["leverage"] = LEVERAGE
    elif kind == "treasury":
        event |= {"expiry": str(universe.expiry[row]), "issuer": "US Treasury", "coupon": 0}
    else:
        event |= _share_event(universe, spec, row)
    return event


def _class(universe: Universe, row: int) -> str:
    return {"index": "broad_index_high_cap", "etf": "leveraged_broad"}.get(universe.kind[row], "equity")


def _share_event(universe: Universe, spec: DaySpec, row: int) -> dict:
    """A stock, the index or the fund: everything but the name and the beta is generated."""
    symbol, kind = universe.id[row], universe.kind[row]
    event: dict[str, object] = {"underlying_class": _class(universe, row), "beta": round(float(universe.beta[row]), 6)}
    if kind == "index":
        return event | {"dividend_yield": float(universe.dividend_yield[row])}
    random = stream(spec.seed, "reference", symbol, "traits")
    billions = 0.4 if symbol == HARD_TO_BORROW else float(np.exp(random.uniform(np.log(40), np.log(900))))
    shares = int(billions * 1e9 / universe.previous[row]) // 1_000 * 1_000
    event |= {
        "issuer": symbol,
        "adv": int(shares * random.uniform(0.005, 0.012)) // 100 * 100,
        "shares_outstanding": shares,
        "market_cap": int(shares * universe.previous[row]),
        "borrow_fee": 0.38 if symbol == HARD_TO_BORROW else round(float(random.uniform(0.0025, 0.006)), 4),
        "dividend_yield": float(universe.dividend_yield[row]),
        "marginable": symbol != NON_MARGINABLE,
        "isin": isin("US", "Z" + random_characters(random, 8)),
    }
    if kind == "etf":
        return event | {"leverage": LEVERAGE, "sector": "Fund"}
    return event | {"sector": SECTORS[symbol]}
