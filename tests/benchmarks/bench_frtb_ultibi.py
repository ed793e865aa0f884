"""The other side of ``bench_frtb.py``: the same sensitivities in ultibi, in an interpreter that has it.

Run by ``bench_frtb.py --beside PYTHON``; takes a Parquet file of sensitivities in ultibi's columns, prints JSON:
seconds to prepare and to compute, and the equity charges by measure and correlation scenario.
"""

import json
import sys
from time import perf_counter

import polars as pl
import ultibi as ul

SCENARIOS = ("Low", "Medium", "High")
MEASURES = [f"EQ {measure}Charge {scenario}" for measure in ("Delta", "Vega", "Curvature") for scenario in SCENARIOS]


def request(measures: list[str]) -> dict:
    pairs = [[name, "scalar"] for name in measures]
    return {"measures": pairs, "groupby": ["RiskClass"], "type": "AggregationRequest", "hide_zeros": False}


def main(path: str) -> None:
    data = ul.FRTBDataSet.from_frame(
        pl.read_parquet(path), build_params={"DayCountConvention": "2", "DateFormat": "DD/MM/YYYY"}
    )
    start = perf_counter()
    data.prepare()
    prepared = perf_counter() - start
    start = perf_counter()
    found = data.compute(request(MEASURES))  # once: a second time it answers from its cache
    seconds = perf_counter() - start
    charges = {name: found[name][0] for name in MEASURES}
    print(json.dumps({"prepare": prepared, "compute": seconds, "charges": charges}))


if __name__ == "__main__":
    main(sys.argv[1])
