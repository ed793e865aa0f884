"""The sheets of capital.xlsx that only an end of day has: stress, FOCUS, group view, operations, credit, resolution."""

from collections.abc import Callable, Sequence

import pyarrow.compute as pc

from reports.book import Book, Page
from reports.closing import Reconciliation
from reports.sources import Source, Tables, at, cents, read
from reports.summary import Figure, none_is_green, none_or_breach, not_negative

HEADER = ("Line code", "Item", "Amount (USD)", "Rule", "Evidence", "How it comes about", "Inputs")
WIDTHS = (26, 54, 24, 26, 11, 60, 44)
"""Of a statement's sheet."""
CONFIRM = "Evidence: V found in public; K professional knowledge and H house policy: confirm before filing."
FAMILIES = {
    "focus_": (
        "FOCUS Part II",
        f"FOCUS Part II layout, each line under its line code. {CONFIRM}",
    ),
    "group_": (
        "Group view",
        "What the same book would need under the Basel standards. A US broker-dealer is bound by net capital: this is "
        f"no headline. {CONFIRM}",
    ),
}
"""Prefix of statements that share a sheet -> its title and purpose."""
_ORDER = {
    "focus_": ("net_capital", "basic_requirement", "alternative_requirement", "customer_reserve", "pab_reserve",
               "balance_sheet"),
    "group_": ("own_funds", "assets", "ratios", "leverage", "credit_risk", "market_risk", "buckets"),
}  # fmt: skip
"""The order of a family's statements; what is not named comes after."""
_BEFORE = "before stress"
_LOWEST = "net_capital"


def _watched(value: object) -> str:
    """Below zero under a scenario is no breach of today: amber."""
    return "green" if not_negative(value) == "green" else "amber"


def _lowest(column: str) -> Source:
    return Source("stress_capital", column, where=(("scenario", "!=", _BEFORE),), by=_LOWEST)


def _firm_reverse(column: str) -> Source:
    return Source("reverse_stress", column, where=(("target", "starts", "firm"),))


STRESS = (
    Figure("stressed_scenario", "Scenario with the lowest net capital", _lowest("name"), "", "Word"),
    Figure(
        "stressed_net_capital",
        "Net capital after it",
        _lowest("net_capital"),
        limit=_watched,
        note="computed in full; requirements and calls of accounts as at the cut",
    ),
    Figure("stressed_excess", "Excess net capital after it", _lowest("excess"), limit=_watched),
    Figure("stressed_unsecured", "Unsecured debits in it", _lowest("unsecured_debits"), limit=none_is_green),
    Figure(
        "stressed_warning",
        "Lowest headroom to an early warning",
        Source("stress_capital", "warning_headroom", "min"),
        limit=_watched,
        note="of all scenarios; negative = beyond the 17a-11 level",
    ),
    Figure(
        "stressed_reserve", "Largest customer reserve required", Source("stress_capital", "reserve_customer", "max")
    ),
    Figure(
        "reverse_spot",
        "Smallest move that brings an early warning: spots",
        _firm_reverse("spot"),
        "fraction",
        "Rate",
        note="joint move of every spot and every volatility; n/a: none within the range searched",
    ),
    Figure("reverse_vol", "... and volatility", _firm_reverse("vol"), "fraction", "Rate"),
    Figure("reverse_distance", "... in standard deviations of a day", _firm_reverse("distance"), "sd", "Rate"),
)
AROUND = (
    Figure(
        "fails_overdue",
        "Fails past their close-out date",
        Source("open_items", "reference", "count", (("overdue", "=", "True"),)),
        "fails",
        "Whole",
        none_is_green,
        "Reg SHO 204(a)",
    ),
    Figure(
        "hypothecation_headroom",
        "Hypothecation: headroom",
        at("capital_lines", "amount", statement="hypothecation", code="hypothecation.headroom"),
        limit=not_negative,
        note="customers' securities in use <= 140% of debits, loans on them <= debits; 15c3-3(a)(5), 8c-1",
    ),
    Figure("expected_credit_loss", "Expected credit loss, IFRS 9", Source("credit_losses", "loss", "sum")),
    Figure(
        "impaired_exposures",
        "Exposures in stage 3",
        Source("credit_losses", "exposure", "count", (("stage", "=", "3"),)),
        "exposures",
        "Whole",
        none_is_green,
    ),
    Figure(
        "resolution_need",
        "Resolution: funding need that remains",
        Source("funding_path", "amount", "max", (("flow", "=", "need that remains"),)),
        limit=none_is_green,
        note="at the worst day of the horizon",
    ),
    Figure(
        "portable_accounts",
        "Accounts that could be ported as they are",
        Source("portability", "account", "count", (("portable", "=", "True"),)),
        "accounts",
        "Whole",
    ),
    Figure(
        "transaction_reports",
        "Transaction reports (RTS 22)",
        Source("transaction_reports", "f01_report_status", "count"),
        "reports",
        "Whole",
        note="the file transaction_reports.csv of the published tables",
    ),
    Figure(
        "transactions_held_back",
        "Transactions held back by a fault",
        Source("transaction_faults", "reference", "count", (("status", "=", "held back"),)),
        "faults",
        "Whole",
        none_or_breach,
    ),
)
_DETAILS = (
    ("Capital by scenario", "stress_capital"),
    ("Reverse stress", "reverse_stress"),
    ("Group stack", "capital_stack"),
    ("Fails and dividends", "open_items"),
    ("Possession or control", "possession"),
    ("Stock loans", "stock_loans"),
    ("Security use", "security_use"),
    ("Expected credit loss", "credit_losses"),
    ("Credit loss movement", "credit_movement"),
    ("Portability", "portability"),
    ("Transaction faults", "transaction_faults"),
)


def closes(tables: Tables) -> bool:
    """Whether the cut holds what only an end of day computes."""
    return "stress_capital" in tables


def close_details(book: Book) -> None:
    """The sealed tables of the end of day, one sheet each, and the funding path by horizon."""
    for title, table in _DETAILS:
        book.detail(title, table)
    _funding_sheet(book)


def family_sheets(book: Book, write: Callable[[Page, str, Sequence[dict]], None]) -> None:
    """One sheet per family of statements, ``write`` lays out the lines of one statement."""
    rows = book.tables.get("capital_lines")
    if rows is None:
        return
    for prefix, (title, purpose) in FAMILIES.items():
        chosen = rows.filter(pc.starts_with(rows["statement"], prefix))
        if not chosen.num_rows:
            continue
        page = book.page(title, "Result", purpose)
        page.widths(*WIDTHS)
        found = [name.removeprefix(prefix) for name in pc.unique(chosen["statement"]).to_pylist()]
        for section in (
            *(name for name in _ORDER[prefix] if name in found),
            *(n for n in found if n not in _ORDER[prefix]),
        ):
            statement = prefix + section
            page.put(1, section.replace("_", " ").capitalize(), "Section")
            page.row += 1
            page.head(HEADER)
            write(page, statement, chosen.filter(pc.equal(chosen["statement"], statement)).to_pylist())
            page.row += 1


def _funding_sheet(book: Book) -> None:
    """Cumulative flows of a wind-down: a line per flow, a column per day."""
    rows = book.tables.get("funding_path")
    page = book.page("Resolution funding", "Result", "Cumulative flows from the start of a wind-down.")
    if rows is None or not rows.num_rows:
        page.line(["Not computed at this cut."])
        return
    days = sorted(set(rows["days"].to_pylist()))
    page.widths(12, 44, *[22] * len(days), 24, 11)
    page.head(["Direction", "Flow", *[f"Day {day} (USD)" for day in days], "Rule", "Evidence"])
    page.freeze()
    for direction in ("outflow", "inflow", "result"):
        chosen = rows.filter(pc.equal(rows["direction"], direction))
        for flow in pc.unique(chosen["flow"]).to_pylist():
            page.put(1, direction, "Wrapped text")
            page.put(2, flow, "Label")
            for column, day in enumerate(days, 3):
                source = at("funding_path", "amount", direction=direction, flow=flow, days=day)
                amount = read(book.tables, source)
                page.put(column, None if amount is None else cents(amount), "Money", source)
            for column, name in ((3 + len(days), "rule"), (4 + len(days), "evidence")):
                page.put(
                    column, read(book.tables, at("funding_path", name, direction=direction, flow=flow)), "Wrapped text"
                )
            page.row += 1


def close_reconciliations(tables: Tables) -> list[Reconciliation]:
    """The end of day's tables against the statement and each other."""
    if not closes(tables):
        return []
    net = at("capital_lines", "amount", statement="net_capital", code="net_capital")
    found = [
        Reconciliation("Capital by scenario: before stress = net capital", (net,),
                       (at("stress_capital", "net_capital", scenario=_BEFORE),)),
        Reconciliation("FOCUS 3750 = net capital", (net,),
                       (at("capital_lines", "amount", statement="focus_net_capital", code="3750"),)),
        Reconciliation(
            "Capital by scenario: excess = net capital - required",
            (Source("stress_capital", "excess", "sum"),),
            (Source("stress_capital", "net_capital", "sum"), Source("stress_capital", "required", "sum", negate=True)),
        ),
    ]  # fmt: skip
    for measure in ("gross", "loss"):
        for stage in ("1", "2", "3"):
            found.append(
                Reconciliation(
                    f"Credit loss movement: closing {measure} of stage {stage} = its exposures",
                    (Source("credit_losses", measure, "sum", (("stage", "=", stage),)),),
                    (at("credit_movement", "closing", measure=measure, stage=stage),),
                )
            )
    return found
