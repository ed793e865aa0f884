"""The real closes that ship with the demo, as price histories."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv

from streaming.risk.var.history import PriceHistory

FOLDER = Path(__file__).resolve().parents[2] / "streaming" / "demo" / "data"


@cache
def equities() -> PriceHistory:
    """Twenty US companies, 1990 to 2022."""
    return PriceHistory.from_table(csv.read_csv(FOLDER / "us_equities_daily_close.csv.gz"))


@cache
def index() -> PriceHistory:
    """The S&P 500, symbol ``SP500``, same dates."""
    return PriceHistory.from_table(csv.read_csv(FOLDER / "sp500_index_daily_close.csv.gz"))


@cache
def market() -> PriceHistory:
    """Equities, ``SP500`` and ``VIX`` (from 2014 to 2019, else no close) on the equities' dates."""
    text = csv.read_csv(FOLDER / "vix_daily_close.csv.gz", convert_options=csv.ConvertOptions(null_values=["."]))
    days = compute.strptime(text["Date"].cast(pa.string()), format="%m/%d/%Y", unit="s").cast(pa.date32())
    vix = PriceHistory.from_table(pa.table({"Date": days, "VIX": text["vix"]}))
    shares, level = equities(), index()
    column = np.zeros((len(shares.dates), 1), dtype=np.int64)
    for row, day in enumerate(shares.dates):
        at = vix.row(int(day))
        column[row, 0] = 0 if at is None else vix.close[at, 0]
    return PriceHistory(
        shares.dates, (*shares.symbols, "SP500", "VIX"), np.concatenate((shares.close, level.close, column), axis=1)
    )
