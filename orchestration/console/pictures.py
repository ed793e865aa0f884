"""Small pictures of sealed tables, inline in a run's metadata. They draw what is sealed and compute nothing else."""

import base64
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from streaming.cuts import SealedCut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREEN, AMBER, GREY, INK = "#2F6DB5", "#C2413B", "#2E8B57", "#D9902F", "#9CA3AF", "#1F2A37"
_SIZE = (8.4, 3.4)
_DPI = 110
_MILLION = Decimal(1_000_000)
HEAT_ACCOUNTS, HEAT_SCENARIOS = 12, 10
BACKTEST_DAYS = 250
"""Days of the backtest shown: those that the traffic light counts."""


def _figure(title: str, size: tuple[float, float] = _SIZE) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=8)
    return figure, axes


def _inline(figure: "Figure", words: str) -> dg.MetadataValue:
    """As an image that needs no server; the words for those who cannot see it."""
    content = BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return dg.MetadataValue.md(f"![{words}](data:image/png;base64,{base64.b64encode(content.getvalue()).decode()})")


def _millions(values: Sequence[Decimal]) -> list[float]:
    return [float(value / _MILLION) for value in values]


def deficit_timeline(cut: SealedCut) -> dg.MetadataValue | None:
    """The sum of the accounts' margin deficits at each price set; None where no path is sealed."""
    path = cut.table("margin_path")
    if path.num_rows == 0:
        return None
    zero = pa.scalar(Decimal(0), path["excess"].type)
    short = pc.if_else(pc.less(path["excess"], zero), pc.negate(path["excess"]), zero)
    grouped = pa.table({"at": path["price_set"], "short": short}).group_by("at").aggregate([("short", "sum")])
    rows = sorted(zip(grouped["at"].to_pylist(), grouped["short_sum"].to_pylist(), strict=True))
    figure, axes = _figure(f"Margin deficits through {cut.id}, USD million")
    places = range(len(rows))
    values = _millions([value for _, value in rows])
    axes.fill_between(places, values, color=RED, alpha=0.18, linewidth=0)
    axes.plot(places, values, color=RED, linewidth=1.6)
    hours = [place for place in places if _clock_time(rows[place][0]).endswith(":00")]
    axes.set_xticks(hours, [_clock_time(rows[place][0]) for place in hours])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#E5E7EB", linewidth=0.8)
    return _inline(figure, "Margin deficits through the day")


def _clock_time(price_set: str) -> str:
    """``2020-03-16/093000`` -> ``09:30``."""
    text = price_set.partition("/")[2]
    return f"{text[:2]}:{text[2:4]}"


def stress_waterfall(cut: SealedCut) -> dg.MetadataValue | None:
    """What makes up the firm's worst explained loss: delta, gamma, vega, the rest."""
    rows = [
        row for row in cut.table("stress_totals").to_pylist() if row["level"] == "firm" and row["delta"] is not None
    ]
    if not rows:
        return None
    worst = max(rows, key=lambda row: (row["loss"], row["scenario"]))
    names = ("delta", "gamma", "vega", "residual")
    steps = _millions([worst[name] for name in names])
    figure, axes = _figure(f"{worst['scenario']}: loss of all accounts, USD million")
    level = 0.0
    for place, step in enumerate(steps):
        axes.bar(place, step, bottom=level, color=RED if step > 0 else GREEN, width=0.6)
        axes.plot([place - 0.3, place + 1.3], [level + step] * 2, color=GREY, linewidth=0.8)
        level += step
    axes.bar(len(steps), float(worst["loss"] / _MILLION), color=BLUE, width=0.6)
    axes.set_xticks(range(len(names) + 1), [*names, "loss"])
    axes.axhline(0, color=GREY, linewidth=0.8)
    for place, value in enumerate([*steps, float(worst["loss"] / _MILLION)]):
        top = max(sum(steps[:place]), sum(steps[: place + 1])) if place < len(steps) else max(value, 0)
        axes.annotate(f"{value:,.1f}", (place, top), ha="center", va="bottom", fontsize=8, color=INK)
    axes.margins(y=0.15)
    return _inline(figure, "What makes up the worst loss")


def stress_heat(cut: SealedCut) -> dg.MetadataValue | None:
    """The accounts that lose most in the scenarios that cost most."""
    stress = cut.table("stress").select(["account", "scenario", "loss"]).to_pylist()
    if not stress:
        return None
    losses = {(row["account"], row["scenario"]): row["loss"] for row in stress}
    scenarios = _largest(stress, "scenario")[:HEAT_SCENARIOS]
    accounts = _largest([row for row in stress if row["scenario"] in scenarios], "account")[:HEAT_ACCOUNTS]
    cells = [_millions([losses.get((account, name), Decimal(0)) for name in scenarios]) for account in accounts]
    figure, axes = _figure("Stress losses by account, USD million", (8.4, 0.9 + 0.3 * len(accounts)))
    bound = max((abs(value) for line in cells for value in line), default=1.0) or 1.0
    axes.imshow(cells, cmap="RdYlGn_r", vmin=-bound, vmax=bound, aspect="auto")
    axes.set_xticks(range(len(scenarios)), scenarios, rotation=30, ha="right", fontsize=7)
    axes.set_yticks(range(len(accounts)), accounts, fontsize=8)
    for row, line in enumerate(cells):
        for column, value in enumerate(line):
            ink = "white" if abs(value) > 0.6 * bound else INK
            axes.annotate(f"{value:,.1f}", (column, row), ha="center", va="center", fontsize=7, color=ink)
    axes.spines[:].set_visible(False)
    return _inline(figure, "Stress losses by account and scenario")


def _largest(rows: Sequence[Mapping], name: str) -> list[str]:
    """The values of a column, the greatest total loss first."""
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row[name]] = totals.get(row[name], Decimal(0)) + row["loss"]
    return sorted(totals, key=lambda key: (-totals[key], key))


def capital_bars(figures: Mapping[str, Mapping]) -> dg.MetadataValue | None:
    """From equity to net capital, beside what is required."""
    names = ("equity", "tentative_net_capital", "net_capital", "required", "excess")
    shown = [name for name in names if name in figures]
    if not shown:
        return None
    values = _millions([figures[name]["value"] for name in shown])
    colours = {"required": AMBER, "excess": GREEN}
    picture, axes = _figure("Net capital, USD million")
    labels = [str(figures[name]["label"]).partition(",")[0] for name in shown]
    bars = axes.barh(labels, values, color=[colours.get(name, BLUE) for name in shown], height=0.6)
    axes.bar_label(bars, [f"{value:,.1f}" for value in values], padding=4, fontsize=8, color=INK)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    return _inline(picture, "From equity to net capital")


def backtest(cut: SealedCut) -> dg.MetadataValue | None:
    """Daily results against the VaR known the day before."""
    rows = cut.table("var_backtest").to_pylist()[-BACKTEST_DAYS:]
    if not rows:
        return None
    days = [row["date"] for row in rows]
    figure, axes = _figure(f"Results and VaR, last {len(rows)} days, USD million")
    results, limit = _millions([row["pnl"] for row in rows]), _millions([-row["var"] for row in rows])
    axes.bar(days, results, color=[RED if row["exception"] else GREY for row in rows], width=1.0)
    axes.plot(days, limit, color=BLUE, linewidth=1.4, label="VaR, known the day before")
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    return _inline(figure, "VaR backtest")
