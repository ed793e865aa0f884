"""capital.xlsx: net capital, reserve, notices, line by line as they were sealed."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pyarrow.compute as pc

from reports import charts
from reports.book import Book, Page
from reports.capital_close import (
    AROUND,
    CONFIRM,
    FAMILIES,
    HEADER,
    STRESS,
    WIDTHS,
    close_details,
    close_reconciliations,
    closes,
    family_sheets,
)
from reports.charts import AMBER, BLUE, GREEN, RED, WATERFALL, WATERFALL_COLOURS, ChartData, no_source
from reports.closing import Reconciliation, about_sheet, checks_sheet, parameters_sheet
from reports.context import Context
from reports.exceptions import Exceptions, exceptions_sheets
from reports.sources import Source, Tables, at, cents, read
from reports.summary import Figure, Summary, none_is_green, none_or_breach, not_negative

PURPOSE = "Net capital, reserve deposits and notices of the firm."


def capital_book(tables: Tables, context: Context, previous: Tables | None) -> Book:
    """The capital workbook of a cut."""
    book = Book("capital", "Capital", tables)
    exceptions = Exceptions(tables, context)
    summary = Summary(book, context, previous, exceptions, PURPOSE)
    summary.section("Net capital, SEC 15c3-1")
    summary.figures(_NET_CAPITAL)
    summary.section("Headroom and notices")
    summary.figures(_HEADROOM)
    summary.section("Reserve, SEC 15c3-3")
    summary.figures(_RESERVE)
    if closes(tables):
        summary.section("Capital under stress")
        summary.figures(STRESS)
        summary.section("Around capital")
        summary.figures(AROUND)
    more = _other_headlines(tables)
    if more:
        summary.section("Further key figures")
        summary.figures(more)
    _bridge_sheet(book)
    _statements(book)
    book.detail("Rows below the lines", "capital_inputs")
    book.detail("Notices", "notices")
    book.detail("Headlines", "headlines")
    if closes(tables):
        close_details(book)
    _pictures(summary, ChartData(book), tables, context)
    book.detail("Account list", "accounts", "Input")
    book.detail("Cash", "cash", "Input")
    book.detail("Positions", "positions", "Input")
    book.detail("Prices", "prices", "Input")
    book.detail("FX", "fx", "Input")
    parameters_sheet(book)
    checks_sheet(book, context, [*_reconciliations(tables), *close_reconciliations(tables)])
    exceptions_sheets(book, exceptions)
    summary.finish()
    about_sheet(book, context, PURPOSE)
    return book


def _headline(name: str) -> Source:
    return at("headlines", "value", name=name)


def _headroom(code: str) -> Source:
    return at("notices", "headroom", code=code)


def _may_be_negative(value: object) -> str:
    """Headroom: amber where a notice is due."""
    return "green" if not_negative(value) == "green" else "amber"


_NET_CAPITAL = (
    Figure("net_capital", "Net capital", _headline("net_capital")),
    Figure("tentative", "Tentative net capital", _headline("tentative_net_capital"), note="before haircuts"),
    Figure("required", "Required net capital", _headline("required"), note="of the elected method"),
    Figure("excess", "Excess net capital", _headline("excess"), limit=not_negative),
    Figure("pct_of_debits", "Net capital, % of aggregate debits", _headline("pct_of_debits"), "percent", "Rate"),
    Figure("aggregate_debits", "Aggregate debit items", _headline("aggregate_debits")),
)
_HEADROOM = (
    Figure("headroom_5pct", "Headroom to 5% of debits", _headroom("debits_5pct"), limit=_may_be_negative),
    Figure("headroom_120pct", "Headroom to 120% of the minimum", _headroom("minimum_120pct"), limit=_may_be_negative),
    Figure("headroom_minimum", "Headroom to the minimum itself", _headroom("below_minimum"), limit=not_negative),
    Figure(
        "headroom_financing_payable",
        "Headroom to 2,500%: loaned and repo",
        _headroom("financing_payable"),
        limit=_may_be_negative,
    ),
    Figure(
        "headroom_financing_receivable",
        "Headroom to 2,500%: borrowed and reverse repo",
        _headroom("financing_receivable"),
        limit=_may_be_negative,
    ),
    Figure(
        "headroom_portfolio_margin",
        "Headroom of portfolio margin to ten times net capital",
        _headroom("portfolio_margin_10x"),
        limit=_may_be_negative,
    ),
    Figure(
        "notices_fired",
        "Notices that fire",
        Source("notices", "code", "count", (("fires", "=", "True"),)),
        "notices",
        "Whole",
        none_or_breach,
        "see Notices for what each asks and by when",
    ),
    Figure(
        "notices_red",
        "Notices at red",
        Source("notices", "code", "count", (("level", "=", "red"),)),
        "notices",
        "Whole",
        none_or_breach,
    ),
    Figure(
        "notices_amber",
        "Notices at amber, or not testable",
        Source("notices", "code", "count", (("level", "=", "amber"),)),
        "notices",
        "Whole",
        none_is_green,
    ),
)


def _reserve_line(statement: str, code: str) -> Source:
    return at("capital_lines", "amount", statement=statement, code=code)


_RESERVE = (
    Figure("reserve_required", "Customer reserve required", _headline("reserve_customer_required")),
    Figure("reserve_held", "Customer reserve bank account", _headline("reserve_customer_on_deposit")),
    Figure(
        "reserve_to_deposit",
        "Customer reserve to deposit",
        _reserve_line("reserve_customer", "shortfall"),
        note="negative: may be withdrawn",
    ),
    Figure(
        "reserve_due",
        "Customer deposit due",
        at("headlines", "label", name="reserve_customer_due"),
        "",
        "Word",
        note="15c3-3(e)(3): one hour after the opening of the second business day",
    ),
    Figure("pab_required", "PAB reserve required", _headline("reserve_pab_required")),
    Figure("pab_held", "PAB reserve bank account", _headline("reserve_pab_on_deposit")),
    Figure(
        "pab_to_deposit",
        "PAB reserve to deposit",
        _reserve_line("reserve_pab", "shortfall"),
        note="negative: may be withdrawn",
    ),
    Figure("pab_due", "PAB deposit due", at("headlines", "label", name="reserve_pab_due"), "", "Word"),
    Figure("segregation_deficits", "Segregation deficits", _headline("segregation_deficits"), limit=none_or_breach),
    Figure(
        "deposits_missed",
        "Reserve deposits missed",
        Source("notices", "code", "count", (("code", "starts", "reserve_deposit_"), ("fires", "=", "True"))),
        "notices",
        "Whole",
        none_or_breach,
    ),
)


_OF_STRESS = ("stress_", "smallest_breaching_move", "no_breach_", "var_")
_STYLES = {"USD": "Money", "fraction": "Rate", "percent": "Rate", "hours": "Rate"}
"""Unit of a headline -> how it is shown; what is counted is whole."""


def _other_headlines(tables: Tables) -> list[Figure]:
    """Key figures of the cut that neither a group above nor the stress workbook shows."""
    rows = tables.get("headlines")
    if rows is None:
        return []
    shown = {
        value
        for figure in (*_NET_CAPITAL, *_HEADROOM, *_RESERVE)
        if figure.source is not None and figure.source.table == "headlines"
        for _, _, value in figure.source.where
    }
    found = []
    for row in rows.select(["name", "unit", "label"]).to_pylist():
        if row["name"] not in shown and not row["name"].startswith(_OF_STRESS):
            style = _STYLES.get(row["unit"], "Whole")
            found.append(Figure(row["name"], row["label"], _headline(row["name"]), row["unit"], style))
    return found


_BRIDGE: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("Ownership equity", "add", ("ownership_equity",), True),
    ("Subordinated loans", "add", ("subordinated_loans",), False),
    ("Non-allowable assets", "less", ("non_allowable.",), False),
    ("Charges and deductions", "less", ("deduction.",), False),
    ("Haircuts", "less", ("haircut.",), False),
    ("Undue concentration", "less", ("concentration.",), False),
)
"""From equity to net capital: label, sign, codes of the statement's lines, whether it is where the bridge begins."""
_NET = _reserve_line("net_capital", "net_capital")


def _bridge(tables: Tables) -> list[tuple[str, Decimal, tuple[Source, ...]]]:
    """Steps from equity to net capital with their exact amounts; empty where the cut has no statement."""
    if read(tables, _NET) is None:
        return []
    steps = []
    for label, sign, prefixes, _ in _BRIDGE:
        sources = tuple(
            Source(
                "capital_lines",
                "amount",
                "sum",
                (("statement", "=", "net_capital"), ("code", "starts", prefix)),
                negate=sign == "less",
            )
            for prefix in prefixes
        )
        values = [read(tables, source) or Decimal(0) for source in sources]
        steps.append((label, sum(values, Decimal(0)), sources))
    return steps


def _bridge_sheet(book: Book) -> None:
    page = book.page("Bridge", "Result", "From ownership equity to net capital; each line rounded once.")
    page.widths(44, 24, 60)
    page.head(["Step", "Amount (USD)", "Made of"])
    page.freeze()
    steps = _bridge(book.tables)
    if not steps:
        page.line(["Not computed at this cut."])
        return
    net = read(book.tables, _NET)
    printed = Decimal(0)
    for (label, amount, sources), (_, sign, prefixes, _) in zip(steps, _BRIDGE, strict=True):
        shown = cents(amount)
        printed += shown
        page.put(1, label, "Label")
        page.put(2, shown, "Money", sources[0])
        page.put(3, f"{sign}: lines {', '.join(prefixes)} of the statement net_capital", "Wrapped note")
        page.row += 1
    _rounding(page, 1, cents(net) - printed)
    page.put(1, "Net capital", "Label")
    page.put(2, cents(net), "Total", _NET)
    page.put(3, "rounded once from the sealed line", "Wrapped note")
    page.row += 1


def _rounding(page: Page, column: int, difference: Decimal) -> None:
    """What the printed items lack to the printed total; only where there is any."""
    if difference:
        page.put(column, "Rounding", "Label")
        page.put(column + 1, difference, "Rounding")
        page.put(column + 2, "printed items are rounded one by one, the total once", "Wrapped note")
        page.row += 1


_TOTALS = {
    ("net_capital", "haircuts"): ("haircut.", "concentration."),
    ("indebtedness", "ai.total"): ("ai.",),
    ("reserve_customer", "credits"): tuple(f"i{n}" for n in range(1, 10)),
    ("reserve_customer", "debits"): tuple(f"i{n}" for n in range(10, 16)),
    ("reserve_pab", "credits"): tuple(f"i{n}" for n in range(1, 10)),
    ("reserve_pab", "debits"): tuple(f"i{n}" for n in range(10, 16)),
    ("group_credit_risk", "credit.total"): ("credit.",),
    ("group_leverage", "leverage.total"): ("leverage.",),
    ("group_assets", "rwa.total"): ("rwa.",),
}
"""(statement, code of a total) -> the lines above it that it adds up; a code ending in a point is a family of lines."""


def _statements(book: Book) -> None:
    """One sheet per statement or family of them, lines in order, rounded; the rows below have a sheet of their own."""
    rows = book.tables.get("capital_lines")
    if rows is None:
        book.detail("Statements", "capital_lines")
        return
    for statement in pc.unique(rows["statement"]).to_pylist():
        if not statement.startswith(tuple(FAMILIES)):
            _statement(book, statement, rows.filter(pc.equal(rows["statement"], statement)).to_pylist())
    family_sheets(book, _lines)


def _statement(book: Book, statement: str, lines: Sequence[dict]) -> None:
    title = statement.replace("_", " ").capitalize()[:31]
    page = book.page(title, "Result", f"Statement {statement}, line by line. {CONFIRM}")
    page.widths(*WIDTHS)
    page.head(HEADER)
    page.freeze(filtered=len(HEADER))
    _lines(page, statement, lines)


def _lines(page: Page, statement: str, lines: Sequence[dict]) -> None:
    """The lines of one statement, with what the printed items of a total lack to it."""
    for line in lines:
        amount = line["amount"]
        items = _items(statement, line["code"], lines)
        page.put(1, line["code"], "Wrapped text")
        page.put(2, line["label"], "Label")
        ratio = line["code"] in _RATIOS or line["code"].startswith("ratio.")
        style = "Rate" if ratio else "Total" if items or line["code"] in _RESULTS else "Money"
        shown = amount if ratio or amount is None else cents(amount)
        page.put(3, shown, style, at("capital_lines", "amount", statement=statement, line=line["line"]))
        for column, name in ((4, "rule"), (5, "evidence"), (6, "formula"), (7, "inputs")):
            page.put(column, line[name] or "", "Wrapped text")
        page.row += 1
        if items and amount is not None and sum(items, Decimal(0)) == amount:
            _rounding(page, 2, cents(amount) - sum(map(cents, items), Decimal(0)))


_RATIOS = frozenset({"percent_of_debits", "ratio", "3851"})
_RESULTS = frozenset({"tentative", "net_capital", "excess", "required", "shortfall", "market.total", "3750"})


def _items(statement: str, code: str, lines: Sequence[dict]) -> list[Decimal]:
    """Amounts of the lines that a total adds up; empty when it is not one."""
    parts = _TOTALS.get((statement, code), ())
    return [
        line["amount"]
        for line in lines
        if line["amount"] is not None
        and line["code"] != code
        and any(line["code"].startswith(part) if part.endswith(".") else line["code"] == part for part in parts)
    ]


def _reconciliations(tables: Tables) -> list[Reconciliation]:
    found = [
        Reconciliation(
            "Bridge: steps = net capital",
            (_NET,),
            tuple(source for _, _, sources in _bridge(tables) for source in sources),
        ),
        Reconciliation("Headline net capital = statement", (_NET,), (_headline("net_capital"),)),
        Reconciliation(
            "Headline excess = net capital - required",
            (_headline("excess"),),
            (_headline("net_capital"), replace(_headline("required"), negate=True)),
        ),
    ]
    rows = tables.get("capital_lines")
    if rows is None or "capital_inputs" not in tables:
        return found
    below = tables.get("capital_inputs")
    assert below is not None
    pairs = (
        below.group_by(["statement", "line"], use_threads=False)
        .aggregate([])
        .sort_by([("statement", "ascending"), ("line", "ascending")])
    )
    for statement, line in zip(pairs["statement"].to_pylist(), pairs["line"].to_pylist(), strict=True):
        where = (("statement", "=", statement), ("line", "=", str(line)))
        code = read(tables, Source("capital_lines", "code", where=where))
        found.append(
            Reconciliation(
                f"Rows below the lines: {statement} {code} = its line",
                (at("capital_lines", "amount", statement=statement, line=line),),
                (Source("capital_inputs", "amount", "sum", where),),
            )
        )
    return found


def _pictures(summary: Summary, data: ChartData, tables: Tables, context: Context) -> None:
    steps = _bridge(tables)
    rows = []
    if steps:
        net = read(tables, _NET)
        walk = [(label, amount, begins) for (label, amount, _), (*_, begins) in zip(steps, _BRIDGE, strict=True)]
        rows = charts.waterfall(
            [*((label, cents(amount), begins) for label, amount, begins in walk), ("Net capital", cents(net), True)]
        )
    block = data.block("From equity to net capital (USD)", WATERFALL, rows)
    if block:
        summary.chart(charts.stacked(block, "From equity to net capital", WATERFALL_COLOURS))
    room = data.block("Headroom by notice (USD)", ["Headroom (USD)"], *_headrooms(tables))
    if room:
        summary.chart(charts.bars(room, "Headroom before each notice fires", [BLUE], flat=True))
    day = data.block(
        "Headroom through the day (USD)",
        [f"{label} (USD)" for _, label in _THROUGH],
        *_through_the_day(tables, context),
    )
    if day:
        summary.chart(charts.lines(day, "Headroom through the day", [GREEN, AMBER, BLUE]))
    sides = data.block("Reserve: credits and debits (USD)", ["Credits (USD)", "Debits (USD)"], *_credits_debits(tables))
    if sides:
        summary.chart(charts.bars(sides, "Reserve: credits against debits", [BLUE, RED]))


def _headrooms(tables: Tables):
    notices = tables.get("notices")
    if notices is None:
        return (), no_source
    found = [row for row in notices.to_pylist() if row["headroom"] is not None]
    rows = [(row["code"], (cents(row["headroom"]),)) for row in found]
    return rows, lambda row, _: _headroom(found[row]["code"])


_THROUGH = (("below_minimum", "To the minimum"), ("minimum_120pct", "To 120%"), ("debits_5pct", "To 5% of debits"))
"""Notices whose headroom is followed through the day."""


def _through_the_day(tables: Tables, context: Context):
    """One point per cut that has notices: the earlier ones of the day as given, then this one."""
    rows = []
    for cut in (*context.earlier, tables.cut):
        if "notices" in cut.tables:
            here = tables if cut is tables.cut else Tables(cut)
            values = [read(here, _headroom(code)) for code, _ in _THROUGH]
            if any(value is not None for value in values):
                shown = tuple(None if value is None else cents(value) for value in values)
                rows.append((cut.id.rpartition("/")[2], shown))
    last = len(rows) - 1

    def source(row: int, column: int) -> Source | None:
        return _headroom(_THROUGH[column][0]) if row == last else None  # the others are of earlier cuts

    return (rows if len(rows) > 1 else ()), source


def _credits_debits(tables: Tables):
    rows, sources = [], []
    for statement, label in (("reserve_customer", "Customer"), ("reserve_pab", "PAB")):
        pair = [_reserve_line(statement, code) for code in ("credits", "debits")]
        values = [read(tables, source) for source in pair]
        if None not in values:
            rows.append((label, tuple(map(cents, values))))
            sources.append(pair)
    return rows, lambda row, column: sources[row][column]
