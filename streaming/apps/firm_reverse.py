"""Reverse stress at the end of day: the smallest joint move of spots and volatility that brings the firm to an early
warning, or a client to a margin call or out of equity.

Capital is computed in full at the nodes of the rulebook's grid; between them room is linear.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streaming.apps.firm_stressed import GRID, at_prices, warning_room
from streaming.apps.firm_view import FirmView
from streaming.apps.revaluation import market_index
from streaming.apps.tables import build
from streaming.engine.canonical import int64_to_decimal
from streaming.risk.capital import stressing
from streaming.risk.money import MICRO, round_model
from streaming.risk.reference import AccountKind
from streaming.risk.rulebook import Rules
from streaming.risk.stress.reverse import index_vix_covariance, interpolated, smallest_breach
from streaming.schema import sealed
from streaming.schema.model import RATE

FIRM, CALL, EQUITY = "firm: early warning", "client: margin call", "client: equity"
_STEPS = 8
"""Points of the search between two nodes."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Where the firm was computed: moves of every spot (relative), moves of volatility (change of its logarithm)."""

    spot: np.ndarray
    vol: np.ndarray
    column: np.ndarray
    """Column of the valuation by [spot, vol]."""


def nodes(firm: FirmView) -> Nodes | None:
    """The rulebook's nodes that the cut's valuation holds; None unless all are there."""
    if firm.valuation is None:
        return None
    place = {name: column for column, name in enumerate(firm.valuation.scenarios)}
    spots, vols = (firm.rules.values(f"stress.reverse.{name}") for name in ("spots", "vols"))
    ids = [[f"{GRID}{float(s):+.0%}/{float(v):+.0%}" for v in vols] for s in spots]
    if any(name not in place for row in ids for name in row):
        return None
    column = np.array([[place[name] for name in row] for row in ids])
    return Nodes(np.array([float(s) for s in spots]), np.log1p([float(v) for v in vols]), column)


def reverse_table(firm: FirmView) -> pa.Table:
    """``reverse_stress``: the firm, and the clients nearest to a call and to the end of their equity."""
    grid = nodes(firm)
    sigma = _index_sigma(firm)
    if grid is None or not sigma:
        return sealed.REVERSE_STRESS.arrow.empty_table()
    assert firm.valuation is not None
    shape = grid.column.shape
    room = np.zeros(shape, np.int64)
    change = np.zeros((len(firm.accounts), *shape), np.int64)
    for at in np.ndindex(*shape):
        shocked = firm.valuation.shocked[:, grid.column[at]]
        prices = stressing.stressed_prices(firm.market, firm.valuation.baseline, shocked, None)
        capital, change[(slice(None), *at)] = at_prices(firm, prices)
        room[at] = warning_room(capital, firm)
    covariance = index_vix_covariance(sigma, float(firm.rules.value("stress.reverse.vix_volatility")), firm.rules)
    rows = [_row(FIRM, "firm", room, grid, covariance)]
    for what, start in ((CALL, firm.excess), (EQUITY, firm.equity)):
        rooms = _by_client(firm, start, change)
        rows += [
            _row(what, name, rooms[name], grid, covariance) for name in _nearest(rooms, grid, covariance, firm.rules)
        ]
    return _table(rows)


def _index_sigma(firm: FirmView) -> float:
    index = market_index(firm.instruments)
    return 0.0 if index < 0 or index >= len(firm.daily_vol) else firm.daily_vol[index] / MICRO


def _by_client(firm: FirmView, start: np.ndarray, change: np.ndarray) -> dict[str, np.ndarray]:
    """Room [spot, vol] of each client, whose accounts stand for one another; the firm's own are left out."""
    present = firm.part.accounts.account[firm.part.accounts.kind != AccountKind.HOUSE]
    names, of = np.unique(firm.accounts.client[present].astype(str), return_inverse=True)
    total = np.zeros((len(names), *change.shape[1:]), np.int64)
    np.add.at(total, of, start[present][:, None, None] + change[present])
    return dict(zip(names.tolist(), total, strict=True))


def _nearest(rooms: Mapping[str, np.ndarray], grid: Nodes, covariance: np.ndarray, rules: Rules) -> list[str]:
    """The clients whose nearest breaching node lies nearest to no move, by distance and name."""
    spot, vol = np.meshgrid(grid.spot, grid.vol, indexing="ij")
    points = np.stack([spot, vol], axis=-1)
    distance = np.einsum("svi,ij,svj->sv", points, np.linalg.inv(covariance), points)
    found = [(float(distance[room < 0].min()), name) for name, room in rooms.items() if (room < 0).any()]
    return [name for _, name in sorted(found)[: int(rules.value("stress.reverse.clients"))]]


def _row(what: str, name: str, room: np.ndarray, grid: Nodes, covariance: np.ndarray) -> dict[str, object]:
    margin = interpolated((grid.spot, grid.vol), room / MICRO)
    found = smallest_breach(margin, (_finer(grid.spot), _finer(grid.vol)), covariance)
    now = room[np.flatnonzero(grid.spot == 0.0)[0], np.flatnonzero(grid.vol == 0.0)[0]]
    plain = {"target": what, "name": name, "room": int(now), "points": found.grid_points, "breaches": False}
    if found.breach is None:
        return plain | {"spot": None, "vol": None, "distance": None}
    spot, vol = found.breach.shock.tolist()
    moves = round_model(np.array([spot, np.expm1(vol), found.breach.distance]))
    return plain | {"breaches": True} | dict(zip(("spot", "vol", "distance"), moves.tolist(), strict=True))


def _finer(axis: np.ndarray) -> np.ndarray:
    """Points between the nodes, the nodes exactly among them."""
    between = [np.linspace(low, high, _STEPS, endpoint=False) for low, high in zip(axis[:-1], axis[1:], strict=True)]
    return np.concatenate([*between, axis[-1:]])


def _table(rows: list[dict[str, object]]) -> pa.Table:
    columns: dict[str, object] = {
        name: pa.array([row[name] for row in rows], pa.string()) for name in ("target", "name")
    }
    columns |= {"breaches": pa.array([row["breaches"] for row in rows], pa.bool_())}
    columns |= {name: np.array([row[name] for row in rows], np.int64) for name in ("room", "points")}
    for name in ("spot", "vol", "distance"):
        values = [row[name] for row in rows]
        absent = np.array([value is None for value in values])
        columns[name] = int64_to_decimal(np.array([value or 0 for value in values], np.int64), RATE, absent)
    return build(sealed.REVERSE_STRESS, columns)
