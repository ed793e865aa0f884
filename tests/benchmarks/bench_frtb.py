"""Sensitivities-based equity charge of 800,000 sensitivities: netting, delta, vega, curvature, three scenarios.

Run: ``python tests/benchmarks/bench_frtb.py``. The charges of a part are first checked against sums over every pair of
risk factors; the time of that plain way, for the part, stands beside the time for the whole.

``--beside PYTHON`` also runs ultibi on the same sensitivities in an interpreter that has it (``pip install ultibi``),
compares the delta and vega charges, and prints both times.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streaming.risk import rulebook
from streaming.risk.capital.frtb import SCENARIOS, maturity_correlations, net_sensitivities, scenario_correlations
from streaming.risk.capital.frtb_sensitivities import DOWN, UP, Exceptions, FactorRows, Sensitivities
from streaming.risk.capital.market_risk import equity_charges, market_risk_capital
from streaming.risk.money import MICRO

RULES = rulebook.load().at(date(2026, 11, 1))
DELTA_ROWS, VEGA_ROWS, CURVATURE_ROWS, NAMES = 300_000, 300_000, 200_000, 20_000
PART = 3_000
"""Rows of the check by pairs."""
REPETITIONS = 5
RELATIVE = 1e-9


@dataclass(frozen=True)
class Size:
    delta: int
    vega: int
    curvature: int


def book(size: Size, seed: int = 11) -> Sensitivities:
    """Random sensitivities of names spread over all 13 buckets; a curvature row has an up and a down amount."""
    rng = np.random.default_rng(seed)
    bucket_of = rng.integers(1, 14, NAMES)

    def rows(count: int, factors: int) -> FactorRows:
        name = rng.integers(0, NAMES, count)
        amount = rng.integers(-(10**6), 2 * 10**6, count) * MICRO
        return FactorRows(bucket_of[name], name, rng.integers(0, factors, count), amount)

    up, down = rows(size.curvature, 1), rows(size.curvature, 1)
    curvature = FactorRows(
        np.tile(up.bucket, 2),
        np.tile(up.name, 2),
        np.repeat([UP, DOWN], size.curvature),
        np.concatenate([up.amount, down.amount]),
    )
    none = Exceptions(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64))
    return Sensitivities(rows(size.delta, 2), rows(size.vega, 5), curvature, none)


def vega_by_pairs(rows: FactorRows) -> np.ndarray:
    """The vega charge with the full correlation matrix of every bucket."""
    maturity = maturity_correlations(RULES)
    net = net_sensitivities(rows.bucket, rows.name, rows.factor, rows.amount, len(maturity))
    rho = [float(value) for value in RULES.values("frtb.equity.rho")]
    position, total = np.zeros((3, 13)), np.zeros(13)
    for b in range(1, 14):
        weight = 1.0 if b in (9, 10, 11) else 0.55 * np.sqrt(2)
        table = net.amount[net.bucket == b] * weight
        name, factor = np.divmod(np.arange(table.size), len(maturity))
        flat, total[b - 1] = table.ravel(), table.sum()
        one_name = np.where(name[:, None] == name[None, :], 1.0, rho[b - 1])
        matrix = scenario_correlations(one_name * maturity[factor[:, None], factor[None, :]], RULES)
        position[:, b - 1] = np.abs(flat).sum() if b == 11 else np.sqrt(np.maximum(matrix @ flat @ flat, 0))
    sector, index = np.arange(13) < 10, np.arange(13) > 10
    gamma = 0.15 * np.outer(sector, sector) + 0.75 * np.outer(index, index)
    gamma += 0.45 * (np.outer(sector, index) + np.outer(index, sector))
    np.fill_diagonal(gamma, 0.0)
    square = (position**2).sum(1) + scenario_correlations(gamma, RULES) @ total @ total
    return np.sqrt(square)


def best_of(times: int, run) -> float:
    seconds = []
    for _ in range(times):
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return min(seconds)


def in_columns_of_ultibi(book_: Sensitivities) -> pa.Table:
    """The sensitivities as ultibi takes them: a column per option maturity, curvature as gains of both shocks."""
    tenors = ("05Y", "1Y", "3Y", "5Y", "10Y")
    parts = []
    for kind, rows in (("Delta", book_.delta), ("Vega", book_.vega)):
        amount = rows.amount / MICRO
        columns = {"SensitivitySpot": np.where(kind == "Delta", amount, 0.0)}
        for number, tenor in enumerate(tenors):
            columns[f"Sensitivity_{tenor}"] = np.where((kind == "Vega") & (rows.factor == number), amount, 0.0)
        columns |= {"PnL_Up": np.full(len(rows), np.nan), "PnL_Down": np.full(len(rows), np.nan)}
        repo = np.where(rows.factor == 1, "EqRepo", "EqSpot") if kind == "Delta" else np.full(len(rows), "")
        parts.append(_ultibi_rows(kind, rows.bucket, rows.name, repo, columns))
    half = len(book_.curvature) // 2
    up, down = (-book_.curvature.amount[side] / MICRO for side in (slice(0, half), slice(half, None)))
    columns = {name: np.zeros(half) for name in ("SensitivitySpot", *(f"Sensitivity_{tenor}" for tenor in tenors))}
    columns |= {"PnL_Up": up, "PnL_Down": down}
    bucket, name = book_.curvature.bucket[:half], book_.curvature.name[:half]
    parts.append(_ultibi_rows("Delta", bucket, name, np.full(half, "EqSpot"), columns))
    table = pa.concat_tables(parts)
    texts = ("Tranche", "CommodityLocation", "GirrVegaUnderlyingMaturity", "BucketCRR2", "CsrSector", "CreditQuality",
             "CsrCreditQuality", "MaturityDate", "Seniority", "RRAO")  # fmt: skip
    numbers = ("Sensitivity_025Y", "Sensitivity_2Y", "Sensitivity_15Y", "Sensitivity_20Y", "Sensitivity_30Y")
    for column in texts:
        table = table.append_column(column, pa.nulls(len(table), pa.string()))
    for column in numbers:
        table = table.append_column(column, pa.nulls(len(table), pa.float64()))
    for column in ("ScaleFactor", "GrossJTD"):
        table = table.append_column(column, pa.array(np.zeros(len(table))))
    for column in ("CoveredBondReducedWeight", "FxCurvDivEligibility"):
        table = table.append_column(column, pa.array(np.zeros(len(table), bool)))
    return table


def _ultibi_rows(kind: str, bucket: np.ndarray, name: np.ndarray, factor: np.ndarray, columns: dict) -> pa.Table:
    n = len(bucket)
    texts = {
        "COB": ["22/07/2022"] * n,
        "TradeId": [str(row) for row in range(n)],
        "RiskCategory": [kind] * n,
        "RiskClass": ["Equity"] * n,
        "RiskFactor": [f"N{code}" for code in name.tolist()],
        "RiskFactorType": [text or None for text in factor.tolist()],
        "BucketBCBS": [str(number) for number in bucket.tolist()],
        "SensitivityCcy": ["USD"] * n,
    }
    arrays = {column: pa.array(values, pa.string()) for column, values in texts.items()}
    return pa.table(arrays | {column: pa.array(values, from_pandas=True) for column, values in columns.items()})


def beside(python: str, whole: Sensitivities) -> dict:
    """What ultibi finds for the same sensitivities, and how long it takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sensitivities.parquet"
        pa.parquet.write_table(in_columns_of_ultibi(whole), path)
        script = Path(__file__).with_name("bench_frtb_ultibi.py")
        done = subprocess.run([python, script, path], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", metavar="PYTHON", help="an interpreter that has ultibi")
    other = parser.parse_args().beside
    part = book(Size(10, PART, 10))
    np.testing.assert_allclose(equity_charges(part, RULES)[1].total, vega_by_pairs(part.vega), rtol=RELATIVE)
    by_pairs = best_of(1, lambda: vega_by_pairs(part.vega))
    whole = book(Size(DELTA_ROWS, VEGA_ROWS, CURVATURE_ROWS))
    count = DELTA_ROWS + VEGA_ROWS + CURVATURE_ROWS
    seconds = best_of(REPETITIONS, lambda: market_risk_capital(whole, RULES))
    capital = market_risk_capital(whole, RULES)
    charges = dict(zip(SCENARIOS, (capital.sensitivities_based // MICRO).tolist()))
    print(f"{count:,} sensitivities, {sum(c.factors for c in capital.charges):,} net: {seconds:.3f} s ({charges})")
    rate = (by_pairs / PART) / (seconds / count)
    if other:
        found = beside(other, whole)
        ours = {charge.measure: charge.total for charge in capital.charges}
        for place, scenario in enumerate(SCENARIOS):
            for measure in ("delta", "vega"):
                theirs = found["charges"][f"EQ {measure.capitalize()}Charge {scenario}"]
                np.testing.assert_allclose(ours[measure][place], theirs, rtol=RELATIVE)
        times = found["compute"] / seconds
        print(
            f"ultibi, the same: {found['compute']:.3f} s after {found['prepare']:.3f} s of preparing, {times:.1f} times"
        )
    print(f"by pairs, {PART:,} vega sensitivities: {by_pairs:.3f} s, {rate:.0f} times as long per sensitivity")


if __name__ == "__main__":
    main()
