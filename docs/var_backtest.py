"""Draws ``var_backtest.svg``: P&L of twenty equally weighted stocks against its VaR, 2006 to 2022, exceptions marked.

Run: ``python docs/var_backtest.py`` from the repository root. The same data give the same bytes.
"""

import sys
from datetime import date
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pyarrow import csv

from streaming.risk.money import MICRO
from streaming.risk.rulebook import load
from streaming.risk.var.backtest import backtest
from streaming.risk.var.history import PriceHistory, days, returns
from streaming.risk.var.rolling import var_series

FOLDER = Path(__file__).resolve().parent
CLOSES = FOLDER.parent / "streaming" / "demo" / "data" / "us_equities_daily_close.csv.gz"
WINDOW, CONFIDENCE = 250, 990_000


def main() -> None:
    rules = load().at(date(2026, 11, 20))
    history = PriceHistory.from_table(csv.read_csv(CLOSES))
    first = int(np.searchsorted(history.dates, days(date(2006, 1, 1)))) - WINDOW - 1
    moves = returns(PriceHistory(history.dates[first:], history.symbols, history.close[first:]))
    exposure = np.full(len(history.symbols), 1_000_000 * MICRO // len(history.symbols), dtype=np.int64)
    mpl.rcParams.update({"svg.hashsalt": "plumbline", "font.size": 8})
    figure, panels = plt.subplots(2, 1, figsize=(10, 6), sharex=True, sharey=True)
    for panel, method in zip(panels, ("historical", "filtered")):
        found = var_series(moves, exposure, WINDOW, CONFIDENCE, rules, method)  # type: ignore[arg-type]
        tested = backtest(found.dates, found.pnl, found.var, CONFIDENCE, rules)
        when, pnl = found.dates.astype("datetime64[D]"), found.pnl / MICRO / 1e3
        panel.plot(when, pnl, color="#7a8794", linewidth=0.5, label="P&L of the day")
        panel.plot(when, -found.var / MICRO / 1e3, color="#1f4e79", linewidth=0.9, label="99% VaR of the day before")
        panel.scatter(when[tested.hit], pnl[tested.hit], color="#c0392b", s=9, zorder=3, label="exception")
        panel.set_title(
            f"{method}: {tested.hit.sum()} exceptions in {len(found.dates):,} days (expected "
            f"{len(found.dates) * 0.01:.0f}), Kupiec p = {tested.kupiec.p_value:.2g}, "
            f"independence p = {tested.independence.p_value:.2g}"
        )
        panel.set_ylabel("thousand USD on 1 million")
        panel.legend(loc="lower left", ncols=3, frameon=False)
        years = found.dates[tested.hit].astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
        print(method, len(found.dates), dict(zip(*(v.tolist() for v in np.unique(years, return_counts=True)))))
        print(f"  kupiec {tested.kupiec}, independence {tested.independence}, window {tested.window.zone}")
    figure.tight_layout()
    figure.savefig(FOLDER / "var_backtest.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
