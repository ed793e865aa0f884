"""margin.xlsx: what every account must hold, what it has, and who is called."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reports import charts
from reports.book import Book
from reports.charts import AMBER, BLUE, RED, ChartData, no_source
from reports.closing import Reconciliation, about_sheet, checks_sheet, parameters_sheet
from reports.context import Context
from reports.exceptions import Exceptions, exceptions_sheets
from reports.sources import Source, Tables, at, cents, read, selected
from reports.summary import Figure, Summary, none_is_green, none_or_breach

PURPOSE = "Equity, requirement, deficits and calls of every account."
TOP = 20
_BANDS = (-10_000_000, -1_000_000, -100_000, 0, 100_000, 1_000_000, 10_000_000, 100_000_000)
"""Edges of the excess distribution, USD: a choice of display."""

_IN_DEFICIT = (("excess", "<", "0"),)
_UNSECURED = (("equity", "<", "0"),)
_REG_T = (("margin_type", "=", "reg_t"), ("reg_t_excess", "<", "0"))
_PORTFOLIO = (("margin_type", "=", "portfolio"), ("excess", "<", "0"))
_CALLED = (("maintenance_call", ">", "0"), ("margin_type", "=", "reg_t"))


def margin_book(tables: Tables, context: Context, previous: Tables | None) -> Book:
    """The margin workbook of a cut."""
    book = Book("margin", "Margin", tables)
    exceptions = Exceptions(tables, context)
    summary = Summary(book, context, previous, exceptions, PURPOSE)
    summary.section("What accounts have and must hold")
    summary.figures(_TOTALS)
    summary.section("Deficits and calls")
    summary.figures(_DEFICITS)
    summary.section("Calls by type and due date")
    _calls(summary, tables)
    summary.section("Against the firm")
    summary.figures(_FIRM)
    _sheets(book)
    _pictures(summary, ChartData(book), tables)
    _inputs(book)
    parameters_sheet(book)
    checks_sheet(book, context, _reconciliations(tables))
    exceptions_sheets(book, exceptions)
    summary.finish()
    about_sheet(book, context, PURPOSE)
    return book


_TOTALS = (
    Figure("equity", "Equity of all accounts", Source("margin", "equity", "sum")),
    Figure(
        "requirement",
        "Regulatory requirement",
        Source("margin", "requirement", "sum"),
        note="each account under its own regime: FINRA 4210 strategy-based, or 4210(g) portfolio margin",
    ),
    Figure(
        "house_requirement",
        "House requirement",
        Source("margin_house", "house_requirement", "sum"),
        note="what the firm asks beyond the regulation, never less",
    ),
    Figure(
        "effective_requirement",
        "Effective requirement",
        Source("margin_house", "effective_requirement", "sum"),
        note="the greater of regulatory and house, account by account",
    ),
    Figure("excess", "Excess over the regulatory requirement", Source("margin", "excess", "sum")),
    Figure("accounts", "Accounts", Source("margin", "account", "count"), "accounts", "Whole"),
)
_DEFICITS = (
    Figure(
        "deficit_accounts",
        "Accounts in deficit",
        Source("margin", "account", "count", _IN_DEFICIT),
        "accounts",
        "Whole",
        none_is_green,
        "excess below zero",
    ),
    Figure("deficit", "Deficit", Source("margin", "excess", "sum", _IN_DEFICIT, negate=True), limit=none_is_green),
    Figure(
        "reg_t_restricted",
        "Restricted: below Regulation T initial",
        Source("margin", "account", "count", _REG_T),
        "accounts",
        "Whole",
        note="no call by itself: the account may not be bought in further without cover",
    ),
    Figure(
        "unsecured_accounts",
        "Accounts with negative equity",
        Source("margin", "account", "count", _UNSECURED),
        "accounts",
        "Whole",
        none_or_breach,
    ),
    Figure(
        "unsecured_debits",
        "Unsecured debits",
        Source("margin", "equity", "sum", _UNSECURED, negate=True),
        limit=none_or_breach,
        note="a non-allowable asset of the firm",
    ),
    Figure(
        "peak_deficit", "Largest peak intraday deficit", Source("margin", "peak_deficit", "max"), limit=none_is_green
    ),
    Figure("peak_account", "Its account", Source("margin", "account", by="-peak_deficit"), "account id", "Word"),
    Figure(
        "peak_price_set",
        "Its price set",
        Source("margin", "peak_price_set", by="-peak_deficit"),
        "New York time",
        "Word",
    ),
    Figure("peak_cause", "Its cause", Source("margin", "peak_cause", by="-peak_deficit"), "", "Word"),
)
_CALLS_OF_MARGIN = (
    Figure(
        "maintenance_calls",
        "Maintenance calls: accounts",
        Source("margin", "account", "count", _CALLED),
        "accounts",
        "Whole",
        none_is_green,
        "Regulation T accounts below maintenance; due dates on Calls",
    ),
    Figure(
        "maintenance_call",
        "Maintenance calls",
        Source("margin", "maintenance_call", "sum", _CALLED),
        limit=none_is_green,
    ),
    Figure(
        "portfolio_deficits",
        "Portfolio margin deficiencies: accounts",
        Source("margin", "account", "count", _PORTFOLIO),
        "accounts",
        "Whole",
        none_is_green,
        "portfolio-margined accounts below 4210(g)",
    ),
    Figure(
        "portfolio_deficit",
        "Portfolio margin deficiencies",
        Source("margin", "excess", "sum", _PORTFOLIO, negate=True),
        limit=none_is_green,
    ),
)


def _no_breach(value: object) -> str:
    return "red" if value else "green"


_TEN_TIMES = "portfolio_margin_10x"
_FIRM = (
    Figure("portfolio_total", "Portfolio margin requirements together", at("notices", "value", code=_TEN_TIMES)),
    Figure(
        "portfolio_limit", "Ten times net capital", at("notices", "threshold", code=_TEN_TIMES), note="FINRA 4210(g)"
    ),
    Figure("portfolio_headroom", "Headroom", at("notices", "headroom", code=_TEN_TIMES)),
    Figure("portfolio_breach", "Limit exceeded", at("notices", "fires", code=_TEN_TIMES), "", "Word", _no_breach),
    Figure("net_capital", "Net capital", at("headlines", "value", name="net_capital")),
    Figure(
        "limits_red",
        "Limits at red",
        Source("limits", "metric", "count", (("status", "=", "RED"),)),
        "limits",
        "Whole",
        none_or_breach,
        "see Limits",
    ),
    Figure(
        "limits_amber",
        "Limits at amber",
        Source("limits", "metric", "count", (("status", "=", "AMBER"),)),
        "limits",
        "Whole",
        none_is_green,
    ),
    Figure(
        "limits_not_evaluated",
        "Limits not evaluated",
        Source("limits", "metric", "count", (("status", "=", "NOT_EVALUATED"),)),
        "limits",
        "Whole",
        none_is_green,
    ),
    Figure(
        "limits_reached",
        "Limits at red during the day",
        Source("limit_breaches", "metric", "count", (("worst", "=", "RED"),)),
        "limits",
        "Whole",
        none_is_green,
        "see Limit breaches",
    ),
)


def _calls(summary: Summary, tables: Tables) -> None:
    """Calls by type and due date; without the table of calls, what margin itself says."""
    rows = tables.get("calls")
    if rows is None:
        summary.figures(_CALLS_OF_MARGIN)
        return
    groups = rows.group_by(["kind", "due"]).aggregate([("account", "count")])
    found = []
    for row in groups.sort_by([("kind", "ascending"), ("due", "ascending")]).to_pylist():
        where = (("kind", "=", row["kind"]), ("due", "=", row["due"].isoformat()))
        source = Source("calls", "amount", "sum", where)
        label = f"Calls: {row['kind'].replace('_', ' ')}, due {row['due']}"
        found.append((label, read(tables, source), "USD", f"{row['account_count']:,} accounts", "amber", source))
    summary.lines(
        found or [("Calls", 0, "calls", "no account is called", "green", Source("calls", "account", "count"))]
    )


def _sheets(book: Book) -> None:
    book.detail("Accounts", "margin")
    book.detail("Calls", "calls")
    book.detail("House margin", "margin_house")
    book.detail("Limits", "limits")
    book.detail("Limit breaches", "limit_breaches")
    book.detail("Policies", "policies", "Input")
    book.detail("Strategies", "margin_lines")
    book.detail("Portfolio groups", "margin_groups")
    book.detail("Portfolio lines", "margin_scan_lines")
    book.detail("Shocks", "margin_shocks")
    book.detail("House lines", "margin_house_lines")
    _path(book)


def _path(book: Book) -> None:
    """The day's path of the accounts with the largest peaks; the whole path is in the table beside the workbook."""
    margin, path = book.tables.get("margin"), book.tables.get("margin_path")
    if margin is None or path is None:
        book.detail("Day path", "margin_path")
        return
    top = _largest(book.tables, Source("margin", "account", "count", (("peak_deficit", ">", "0"),), "-peak_deficit"))
    names = margin["account"].take(pa.array(top))
    rows = np.flatnonzero(pc.is_in(path["account"], value_set=names.combine_chunks()).to_numpy())
    book.detail(
        "Day path",
        "margin_path",
        rows=rows,
        purpose=f"The day by price set, of the {len(top)} accounts with the largest peak deficits.",
    )


def _largest(tables: Tables, source: Source) -> np.ndarray:
    return selected(tables, source)[:TOP]


def _inputs(book: Book) -> None:
    for title, table in (
        ("Account list", "accounts"),
        ("Cash", "cash"),
        ("Positions", "positions"),
        ("Prices", "prices"),
        ("FX", "fx"),
        ("Instruments", "instruments"),
    ):
        book.detail(title, table, "Input")


def _reconciliations(tables: Tables) -> tuple[Reconciliation, ...]:
    newest = (("price_set", "=", str(tables.cut.manifest["price_set"])),)
    excess = Source("margin", "excess", "sum")
    return (
        Reconciliation(
            "Accounts: equity = equity of exposure",
            (Source("exposure", "equity", "sum"),),
            (Source("margin", "equity", "sum"),),
        ),
        Reconciliation(
            "Accounts: requirement = requirement of the day's path at the cut",
            (Source("margin_path", "requirement", "sum", newest),),
            (Source("margin", "requirement", "sum"),),
        ),
        Reconciliation(
            "Accounts: excess = excess of the day's path at the cut",
            (Source("margin_path", "excess", "sum", newest),),
            (excess,),
        ),
        Reconciliation(
            "Strategies: maintenance less premium = maintenance of Accounts",
            (Source("margin", "maintenance", "sum"),),
            (Source("margin_lines", "maintenance", "sum"), Source("margin_lines", "premium", "sum", negate=True)),
        ),
        Reconciliation(
            "Strategies: initial less premium = initial of Accounts",
            (Source("margin", "initial", "sum"),),
            (Source("margin_lines", "initial", "sum"), Source("margin_lines", "premium", "sum", negate=True)),
        ),
        Reconciliation(
            "House lines = house requirement of House margin",
            (Source("margin_house", "house_requirement", "sum"),),
            (Source("margin_house_lines", "amount", "sum"),),
        ),
        Reconciliation(
            "Accounts: deficits and surpluses = excess",
            (excess,),
            (
                Source("margin", "excess", "sum", _IN_DEFICIT),
                Source("margin", "excess", "sum", (("excess", ">=", "0"),)),
            ),
        ),
    )


def _pictures(summary: Summary, data: ChartData, tables: Tables) -> None:
    timeline = data.block(
        "Deficit timeline: deficit of all accounts (USD) by price set", ["Deficit (USD)"], *_timeline(tables)
    )
    if timeline:
        summary.chart(charts.area(timeline, "Deficit through the day", RED))
    top = data.block(f"Largest {TOP} deficits (USD)", ["Deficit (USD)"], *_top_deficits(tables))
    if top:
        summary.chart(charts.bars(top, f"Top {TOP} deficits", [RED], flat=True))
    spread = data.block("Distribution of excess: accounts by excess (USD)", ["Accounts"], *_distribution(tables))
    if spread:
        summary.chart(charts.bars(spread, "Accounts by excess over requirement", [BLUE], amounts=False))
    names = data.block(
        "Concentration: strategy-based requirement by underlying (USD)", ["Requirement (USD)"], *_concentration(tables)
    )
    if names:
        summary.chart(charts.bars(names, "Requirement by name, largest 15", [AMBER], flat=True))


def _timeline(tables: Tables):
    path = tables.get("margin_path")
    if path is None:
        return (), no_source
    short = pc.if_else(pc.less(path["excess"], 0), pc.negate(path["excess"]), pa.scalar(0, path["excess"].type))
    sums = (
        pa.table({"price_set": path["price_set"], "deficit": short})
        .group_by("price_set")
        .aggregate([("deficit", "sum")])
    )
    found = sorted(zip(sums["price_set"].to_pylist(), sums["deficit_sum"].to_pylist(), strict=True))
    rows = [(set_time(name), (cents(value),)) for name, value in found]

    def source(row: int, _: int) -> Source:
        where = (("price_set", "=", found[row][0]), ("excess", "<", "0"))
        return Source("margin_path", "excess", "sum", where, negate=True)

    return rows, source


def set_time(price_set: str) -> str:
    """The time of a price set's id: ``2020-03-16/093000`` is 09:30."""
    time = price_set.rpartition("/")[2]
    return f"{time[:2]}:{time[2:4]}"


def _top_deficits(tables: Tables):
    margin = tables.get("margin")
    if margin is None:
        return (), no_source
    top = _largest(tables, Source("margin", "excess", "count", _IN_DEFICIT, "excess"))
    accounts = margin["account"].take(pa.array(top)).to_pylist()
    values = margin["excess"].take(pa.array(top)).to_pylist()
    rows = [(name, (cents(-value),)) for name, value in zip(accounts, values, strict=True)]

    def source(row: int, _: int) -> Source:
        return Source("margin", "excess", where=(("account", "=", accounts[row]),), negate=True)

    return rows, source


def _distribution(tables: Tables):
    if "margin" not in tables:
        return (), no_source
    edges = [None, *_BANDS, None]
    bands = list(zip(edges[:-1], edges[1:], strict=True))
    sources = [
        Source(
            "margin",
            "account",
            "count",
            tuple(("excess", compare, str(edge)) for compare, edge in ((">=", low), ("<", high)) if edge is not None),
        )
        for low, high in bands
    ]
    rows = [(_band(low, high), (read(tables, item),)) for (low, high), item in zip(bands, sources, strict=True)]
    return rows, lambda row, _: sources[row]


def _band(low: int | None, high: int | None) -> str:
    if low is None:
        return f"below {_short(high)}"
    return f"from {_short(low)}" if high is None else f"{_short(low)} to {_short(high)}"


def _short(amount: int | None) -> str:
    assert amount is not None
    size = abs(amount)
    text = f"{size // 1_000_000}m" if size >= 1_000_000 else f"{size // 1_000}k" if size else "0"
    return f"-{text}" if amount < 0 else text


_NAMES = 15


def _concentration(tables: Tables):
    lines = tables.get("margin_lines")
    if lines is None:
        return (), no_source
    sums = lines.group_by("underlying").aggregate([("maintenance", "sum")])
    pairs: Sequence[tuple[str, Decimal]] = list(
        zip(sums["underlying"].to_pylist(), sums["maintenance_sum"].to_pylist(), strict=True)
    )
    top = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:_NAMES]
    rows = [(name, (cents(value),)) for name, value in top]
    return rows, lambda row, _: Source("margin_lines", "maintenance", "sum", (("underlying", "=", top[row][0]),))
