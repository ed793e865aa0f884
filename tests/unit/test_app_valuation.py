"""The valuation application: volatilities stay between cuts, and a new series gets its own without moving others'."""

import numpy as np
import pyarrow as pa

from streaming.apps.valuation import VOL_SOURCES, ValuationApp
from streaming.risk.reference import Kind, Right, Style
from streaming.schema import results
from tests.unit.app_days import CODES, MICRO, closes, instruments, prices, stretch

LISTED = "BBB C55"
NEW = len(CODES)


def with_new_series() -> pa.Table:
    like = instruments().to_pylist()[CODES["AAA C100"]]
    row = like | {"id": LISTED, "underlying": CODES["BBB"], "strike": 55 * MICRO, "known_from": 2}
    assert (row["kind"], row["right"], row["style"]) == (int(Kind.OPTION), int(Right.CALL), int(Style.AMERICAN))
    return pa.Table.from_pylist([*instruments().to_pylist(), row], results.INSTRUMENTS)


def priced(changes: dict[str, float], new: float = 0.0) -> pa.Table:
    """The small market's prices, with the new series behind where it is listed."""
    rows = prices(changes)
    if not new:
        return rows
    own = {name: [0] for name in rows.column_names} | {"price": [round(new * MICRO)], "status": [0]}
    return pa.concat_tables([rows, pa.table(own, rows.schema)])


class Market:
    """The application over price sets, one a minute."""

    def __init__(self) -> None:
        self.app = ValuationApp()
        self.state, self._number = self.app.empty(0, 1), 0

    def step(self, changes: dict[str, float], new: float = 0.0, cut: str = "", listing: bool = False) -> pa.Table:
        reference: dict[str, pa.Table] = {}
        if self._number == 0:
            reference = {"instruments": instruments(), "closes": closes()}
        if listing:
            reference = {"instruments": with_new_series()}
        rows = {"reference": reference, "price_sets": {"prices": priced(changes, new)}}
        made = stretch(self._number, rows, cut, self._number)
        self._number += 1
        self.state, found = self.app.apply(self.state, made)
        return found["valuation"]


def test_a_series_listed_between_cuts_gets_its_own_volatility_and_moves_nobody_elses():
    with_listing, without = Market(), Market()
    for market in (with_listing, without):
        market.step({}, cut="1030")
    first = with_listing.state.vol.copy(), with_listing.state.vol_time
    moved = {"AAA": 97, "AAA C100": 4.2, "AAA P100": 6.1}
    after, plain = with_listing.step(moved, new=1.5, listing=True), without.step(moved)
    assert with_listing.state.vol_time == first[1]
    assert np.array_equal(with_listing.state.vol[:NEW], first[0])
    assert after.slice(0, NEW).equals(plain)
    assert VOL_SOURCES[with_listing.state.vol_source[NEW]] == "implied"
    assert abs(after["baseline"][NEW].as_py() - 1.5 * MICRO) < 100  # it is worth its own mid


def test_a_volatility_stays_until_the_next_cut_and_is_renewed_there():
    market = Market()
    market.step({}, cut="1030")
    market.step({"BBB": 51}, new=1.5, listing=True)
    vol = market.state.vol.copy()
    market.step({"BBB": 52, "AAA C100": 9}, new=2.5)
    assert np.array_equal(market.state.vol, vol)
    market.step({"BBB": 52, "AAA C100": 9}, new=2.5, cut="1100")
    assert market.state.vol[NEW] != vol[NEW]
    assert market.state.vol[CODES["AAA C100"]] > vol[CODES["AAA C100"]]


def test_a_new_series_without_a_price_takes_the_volatility_of_its_smile():
    market = Market()
    market.step({}, cut="1030")
    market.step({"BBB": 51}, new=0.0, listing=True)
    assert VOL_SOURCES[market.state.vol_source[NEW]] == "proxy"
    assert market.state.vol[NEW] > 0
