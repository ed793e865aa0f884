"""stress.xlsx: what scenarios would cost clients and the firm, and value at risk with its backtest."""

from decimal import Decimal

import numpy as np
import pyarrow.compute as pc

from reports import charts
from reports.book import Book
from reports.charts import LOSS_COLOURS, RED, WATERFALL, ChartData, no_source
from reports.closing import Reconciliation, about_sheet, checks_sheet, parameters_sheet
from reports.context import Context
from reports.exceptions import Exceptions, exceptions_sheets
from reports.heat import heat_map
from reports.sources import Source, Tables, at, cents, read
from reports.summary import Figure, Summary, none_is_green, not_negative

PURPOSE = "Losses of clients and of the firm under every scenario, and value at risk."
TOP = 20
_GRID = "GRID/"
_NAMES = 12
_SCENARIOS = 24


def stress_book(tables: Tables, context: Context, previous: Tables | None) -> Book:
    """The stress workbook of a cut."""
    book = Book("stress", "Stress", tables)
    exceptions = Exceptions(tables, context)
    summary = Summary(book, context, previous, exceptions, PURPOSE)
    worst = worst_scenario(tables)
    summary.section("The worst scenario")
    summary.figures(_worst_figures(tables, worst))
    summary.section("Clients and the firm")
    summary.figures((*_FIRM, *_capital_figures(tables), *_reverse_figures(tables)))
    summary.section("Value at risk")
    summary.figures(_VAR)
    _sheets(book)
    heat_map(book)
    _pictures(summary, ChartData(book), tables, worst)
    for title, table in (
        ("Scenarios", "scenarios"),
        ("Exposure", "exposure"),
        ("Valuation", "valuation"),
        ("Prices", "prices"),
        ("Instruments", "instruments"),
        ("Account list", "accounts"),
    ):
        book.detail(title, table, "Input")
    parameters_sheet(book)
    checks_sheet(book, context, _reconciliations(tables))
    exceptions_sheets(book, exceptions)
    summary.finish()
    about_sheet(book, context, PURPOSE)
    return book


def losses(tables: Tables) -> tuple[list[tuple[str, Decimal]], str]:
    """Loss of all accounts by scenario, largest first, and the table it is from; the grid's cells are left out."""
    firm = tables.get("stress_firm")
    if firm is not None:
        found = list(zip(firm["scenario"].to_pylist(), firm["loss"].to_pylist(), strict=True))
    else:
        rows = tables.get("stress")
        if rows is None:
            return [], "stress"
        sums = rows.group_by("scenario").aggregate([("loss", "sum")])
        found = list(zip(sums["scenario"].to_pylist(), sums["loss_sum"].to_pylist(), strict=True))
    kept = [(name, loss) for name, loss in found if not name.startswith(_GRID)]
    return sorted(kept, key=lambda pair: (-pair[1], pair[0])), "stress_firm" if firm is not None else "stress"


def _loss_source(table: str, scenario: str) -> Source:
    return Source(table, "loss", "sum", (("scenario", "=", scenario),))


def worst_scenario(tables: Tables) -> str:
    """The scenario with the largest loss of all accounts; empty when there is none."""
    found, _ = losses(tables)
    return found[0][0] if found else ""


def _worst_figures(tables: Tables, worst: str) -> list[Figure]:
    _, table = losses(tables)
    here = (("scenario", "=", worst),)
    short = (*here, ("equity_after", "<", "0"))
    name = Source(table, "scenario", where=here)
    return [
        Figure("worst_scenario", "Worst scenario for the firm", name, "scenario id", "Word"),
        Figure(
            "worst_loss", "Loss of all accounts in it", _loss_source(table, worst), note=_scenario_name(tables, worst)
        ),
        Figure(
            "worst_accounts_short",
            "Accounts short in it",
            Source("stress", "account", "count", short),
            "accounts",
            "Whole",
            none_is_green,
            "equity after the loss below zero",
        ),
        Figure(
            "worst_accounts_shortfall",
            "Their shortfall together",
            Source("stress", "equity_after", "sum", short, negate=True),
            limit=none_is_green,
        ),
        Figure(
            "worst_account",
            "Account with the largest shortfall",
            Source("stress", "account", where=short, by="equity_after"),
            "account id",
            "Word",
        ),
        Figure(
            "worst_account_shortfall",
            "Its shortfall",
            Source("stress", "equity_after", where=short, by="equity_after", negate=True),
            limit=none_is_green,
        ),
    ]


def _scenario_name(tables: Tables, scenario: str) -> str:
    found = read(tables, at("scenarios", "name", scenario=scenario))
    return found or "positive = loss"


_FIRM = (
    Figure(
        "shortfall_scenario",
        "Scenario with the largest client shortfall",
        Source("stress_firm", "scenario", by="-client_shortfall"),
        "scenario id",
        "Word",
    ),
    Figure(
        "client_shortfall",
        "Client shortfall in it",
        Source("stress_firm", "client_shortfall", "max"),
        limit=none_is_green,
        note="what clients' equity does not cover; accounts of one client net",
    ),
    Figure(
        "top_client",
        "Top client",
        Source("stress_firm", "largest_client", by="-largest_shortfall"),
        "client id",
        "Word",
    ),
    Figure(
        "top_client_shortfall", "Its shortfall", Source("stress_firm", "largest_shortfall", "max"), limit=none_is_green
    ),
    Figure(
        "top_five_shortfall",
        "Top five clients",
        Source("stress_firm", "top_five_shortfall", "max"),
        limit=none_is_green,
    ),
    Figure(
        "clients_short",
        "Most clients short in one scenario",
        Source("stress_firm", "clients_short", "max"),
        "clients",
        "Whole",
        none_is_green,
    ),
    Figure("house_loss", "Largest loss of the firm's own positions", Source("stress_firm", "house_loss", "max")),
    Figure(
        "calls_raised",
        "Calls raised in the worst scenario",
        at("headlines", "value", name="stress_calls"),
        "accounts",
        "Whole",
        none_is_green,
    ),
    Figure(
        "calls_raised_amount",
        "Their amount",
        at("headlines", "value", name="stress_calls_amount"),
        note="accounts without a deficit whose equity after the loss is below today's requirement",
    ),
    Figure(
        "unpriced_charge",
        "Charged in full: positions no scenario can value",
        Source("stress_unpriced", "charge", "sum"),
        limit=none_is_green,
    ),
)


def _capital_figures(tables: Tables) -> tuple[Figure, ...]:
    """Net capital after the worst scenario: computed in full at the end of day, before that only its direct effect."""
    full = "stress_capital" in tables
    source = (
        Source("stress_capital", "net_capital", "min") if full else Source("stress_firm", "net_capital_after", "min")
    )
    note = "computed in full" if full else "less house loss and client shortfall; in full at the end of day"
    lowest = Figure("net_capital_after", "Lowest net capital after a scenario", source, limit=not_negative, note=note)
    return (lowest, *_FIRM_REVERSE) if full else (lowest,)


def _firm_reverse(column: str) -> Source:
    return Source("reverse_stress", column, where=(("target", "starts", "firm"),))


_FIRM_REVERSE = (
    Figure(
        "reverse_spot",
        "Smallest move to an early warning of the firm: spots",
        _firm_reverse("spot"),
        "fraction",
        "Rate",
        note="joint move of every spot and volatility; n/a: none within the range searched",
    ),
    Figure("reverse_vol", "... and volatility", _firm_reverse("vol"), "fraction", "Rate"),
)


def zone_colour(value: object) -> str:
    """The colour of a zone in words."""
    zone = str(value).partition(":")[0]
    return {"green": "green", "yellow": "amber", "red": "red"}.get(zone, "none")


def _firm_var(column: str, confidence: str) -> Source:
    where = (
        ("level", "=", "firm"),
        ("method", "starts", "historical"),
        ("horizon_days", "=", "1"),
        ("confidence", "=", confidence),
    )
    return Source("var", column, where=where)


_BREACH = (
    Figure(
        "smallest_breaching_move",
        "Smallest breaching move",
        at("headlines", "value", name="smallest_breaching_move"),
        "fraction",
        "Rate",
        note="move of the index that leaves one client short; a dash: one is short without any move",
    ),
    Figure(
        "breaching_client",
        "What it breaches",
        at("headlines", "label", name="smallest_breaching_move"),
        "",
        "Wrapped text",
    ),
)
_NO_BREACH = (
    Figure(
        "no_breach_up_to",
        "No client short up to a move of",
        at("headlines", "value", name="no_breach_up_to"),
        "fraction",
        "Rate",
        note="where no move that was run leaves a client short",
    ),
)


def _reverse_figures(tables: Tables) -> tuple[Figure, ...]:
    """The smallest move that breaches; where none does, how far was looked."""
    return _NO_BREACH if read(tables, at("headlines", "value", name="no_breach_up_to")) is not None else _BREACH


_EXCEPTIONS = (("exception", "=", "True"),)
_VAR = (
    Figure("var_99", "VaR, one day, 99%, historical", _firm_var("var", "0.99")),
    Figure("es_99", "Expected shortfall, one day, 99%", _firm_var("es", "0.99")),
    Figure("es_975", "Expected shortfall, one day, 97.5%", _firm_var("es", "0.975")),
    Figure("var_proxied", "Proxied share of gross exposure", _firm_var("proxied", "0.99"), "fraction", "Rate"),
    Figure("backtest_days", "Backtest: days", Source("var_backtest", "date", "count"), "days", "Whole"),
    Figure(
        "backtest_exceptions",
        "Backtest: exceptions",
        Source("var_backtest", "date", "count", _EXCEPTIONS),
        "days",
        "Whole",
        note="days with a loss above VaR",
    ),
    Figure(
        "backtest_recent",
        "Exceptions of the newest window",
        at("headlines", "value", name="var_zone"),
        "days",
        "Whole",
        note="green, yellow or red by MAR32: four exceptions in 250 days are still green",
    ),
    Figure("backtest_zone", "Zone", at("headlines", "label", name="var_zone"), "", "Wrapped text", zone_colour),
)


def _sheets(book: Book) -> None:
    tables = book.tables
    if "stress_firm" in tables:
        book.detail("Firm by scenario", "stress_firm")
    if "stress_totals" in tables:
        book.detail("Totals by level", "stress_totals")
    for title, table in (("Capital by scenario", "stress_capital"), ("Reverse stress", "reverse_stress")):
        if table in tables:
            book.detail(title, table)
    rows = tables.get("stress")
    core = (
        None
        if rows is None
        else np.flatnonzero(~pc.starts_with(rows["scenario"], _GRID).to_numpy(zero_copy_only=False))
    )
    book.detail("Accounts", "stress", rows=core)
    book.detail("By underlying", "stress_underlying")
    for title, table in (
        ("Worst cells", "stress_surface"),
        ("Not priced", "stress_unpriced"),
        ("VaR", "var"),
        ("VaR components", "var_components"),
        ("VaR backtest", "var_backtest"),
    ):
        book.detail(title, table)


def _reconciliations(tables: Tables) -> list[Reconciliation]:
    """Accounts against the firm, and underlyings against accounts, scenario by scenario."""
    found = []
    ranked, table = losses(tables)
    parts = tables.get("stress_underlying")
    scopes = {}
    if "scenarios" in tables:
        rows = tables.get("scenarios")
        assert rows is not None
        scopes = dict(zip(rows["scenario"].to_pylist(), rows["scope"].to_pylist(), strict=True))
    split = set() if parts is None else set(pc.unique(parts["scenario"]).to_pylist())
    for scenario, _ in sorted(ranked):
        here = (("scenario", "=", scenario),)
        whole = Source("stress", "loss", "sum", here)
        if table == "stress_firm" and scopes.get(scenario) not in _ONE_PART:
            found.append(
                Reconciliation(f"Accounts: losses in {scenario} = firm", (_loss_source(table, scenario),), (whole,))
            )
        if scenario in split and scopes.get(scenario) not in _ONE_PART:
            found.append(
                Reconciliation(
                    f"By underlying: losses in {scenario} = accounts",
                    (whole,),
                    (Source("stress_underlying", "loss", "sum", here),),
                )
            )
    return found


_ONE_PART = ("name", "sector")
"""Scopes of scenarios that hit one name or sector alone: the worst one counts, so parts do not add up."""


def _pictures(summary: Summary, data: ChartData, tables: Tables, worst: str) -> None:
    ranked, table = losses(tables)
    rows = [(name, (cents(loss),)) for name, loss in ranked[:_SCENARIOS]]
    block = data.block(
        f"Loss of all accounts by scenario (USD), positive = loss, largest {_SCENARIOS}",
        ["Loss (USD)"],
        rows,
        lambda row, _: _loss_source(table, ranked[row][0]),
    )
    if block:
        summary.chart(charts.bars(block, f"Loss of all accounts by scenario, largest {_SCENARIOS}", [RED]))
    steps = data.block(
        f"Worst scenario {worst}: from the largest names to the whole (USD)", WATERFALL, _by_name(tables, worst)
    )
    if steps:
        summary.chart(charts.stacked(steps, f"Scenario {worst}: loss by name", LOSS_COLOURS))
    short = data.block(f"Largest client shortfalls in {worst} (USD)", ["Shortfall (USD)"], *_shortfalls(tables, worst))
    if short:
        summary.chart(charts.bars(short, f"Top client shortfalls in {worst}", [RED], flat=True))
    backtest = data.block("VaR backtest (USD)", ["P&L (USD)", "-VaR (USD)", "Exception (USD)"], *_backtest(tables))
    if backtest:
        summary.chart(charts.backtest(backtest, "VaR backtest: P&L, -VaR, exceptions"))


def _by_name(tables: Tables, worst: str):
    """A waterfall of the worst scenario: its largest names, the rest, the sum."""
    rows = tables.get("stress_underlying")
    if rows is None or not worst:
        return []
    here = rows.filter(pc.equal(rows["scenario"], worst))
    sums = here.group_by("underlying").aggregate([("loss", "sum")])
    pairs = list(zip(sums["underlying"].to_pylist(), sums["loss_sum"].to_pylist(), strict=True))
    pairs.sort(key=lambda pair: (-abs(pair[1]), pair[0]))
    steps = [(name, cents(loss), False) for name, loss in pairs[:_NAMES]]
    total = sum((loss for _, loss in pairs), Decimal(0))
    if len(pairs) > _NAMES:
        rest = sum((loss for _, loss in pairs[_NAMES:]), Decimal(0))
        steps.append((f"{len(pairs) - _NAMES} others", cents(rest), False))
    return charts.waterfall([*steps, ("All names", cents(total), True)]) if steps else []


def _shortfalls(tables: Tables, worst: str):
    """Clients that fall short, largest first: the accounts of a client stand for one another."""
    rows, accounts = tables.get("stress"), tables.get("accounts")
    if rows is None or accounts is None or not worst:
        return (), no_source
    here = rows.filter(pc.equal(rows["scenario"], worst)).select(["account", "equity_after"])
    owners = accounts.filter(pc.not_equal(accounts["kind"], "house")).select(["id", "client"])
    joined = here.join(owners.rename_columns(["account", "client"]), "account", join_type="inner")
    sums = joined.group_by("client", use_threads=False).aggregate([("equity_after", "sum"), ("account", "list")])
    short = [row for row in sums.to_pylist() if row["equity_after_sum"] < 0]
    short.sort(key=lambda row: (row["equity_after_sum"], row["client"]))
    found = [(row["client"], (cents(-row["equity_after_sum"]),)) for row in short[:TOP]]

    def source(row: int, _: int) -> Source | None:
        """A client with one account has one row."""
        held = short[row]["account_list"]
        where = (("account", "=", held[0]), ("scenario", "=", worst))
        return Source("stress", "equity_after", where=where, negate=True) if len(held) == 1 else None

    return found, source


def _backtest(tables: Tables):
    rows = tables.get("var_backtest")
    if rows is None:
        return (), no_source
    found = rows.to_pylist()
    shown = [
        (
            row["date"].isoformat(),
            (cents(row["pnl"]), cents(-row["var"]), cents(row["pnl"]) if row["exception"] else None),
        )
        for row in found
    ]
    columns = ("pnl", "var", "pnl")

    def source(row: int, column: int) -> Source:
        return Source("var_backtest", columns[column], where=(("date", "=", shown[row][0]),), negate=column == 1)

    return shown, source
