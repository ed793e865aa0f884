"""The sheets every workbook ends with: parameters, checks, About."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isfinite

import pyarrow.compute as pc

from reports.book import Book, as_time
from reports.context import Context
from reports.looks import KINDS
from reports.sources import Source, read

_ROLES = (
    ("Figures and margin calls", "margin desk lead"),
    ("Stress and scenarios", "head of market risk"),
    ("Capital, reserve, notices", "financial and operations principal (FinOp)"),
    ("Rules and parameters", "regulatory compliance"),
    ("Data, cuts, this file", "risk technology on call"),
)
"""Whom to ask: roles, not people."""
EVIDENCE = (
    ("V", "found in a public copy of the rule or a published worked example"),
    ("K", "professional knowledge: confirm with compliance before filing"),
    ("H", "house policy: configurable per client and product"),
)


def parameters_sheet(book: Book) -> None:
    """The rule parameters in force; their evidence marks say what still needs confirming."""
    versions = book.tables.cut.manifest["versions"]
    purpose = f"Rule parameters of rulebook {versions['rulebook']} in force on the rule date {versions['rule_date']}."
    if "parameters" in book.tables:
        book.detail("Parameters", "parameters", "Parameter", purpose=purpose)
        return
    page = book.page("Parameters", "Parameter", purpose)
    page.head(["Version of", "Value", "Meaning"])
    page.freeze(filtered=3)
    page.widths(20, 30, 90)
    meaning = {
        "rulebook": "digest of every parameter with its unit, paragraph, validity, evidence mark and source",
        "rule_date": "the date whose rules apply; separate from the business date",
        "code": "the code that computed the cut",
    }
    for name, value in sorted(versions.items()):
        page.line([name, value, meaning.get(name, "announced with the epoch of the cut")])
    page.line(
        ["parameters", "not computed at this cut", "the cut has no table of parameters; the version above names them"]
    )


@dataclass(frozen=True)
class Reconciliation:
    """Two ways to one number: totals on a sheet against the sealed total elsewhere."""

    check: str
    expected: Sequence[Source]
    found: Sequence[Source]

    def sums(self, tables) -> tuple[Decimal | None, Decimal | None]:
        """Expected and found; None where a table is missing."""
        both = []
        for side in (self.expected, self.found):
            values = [read(tables, source) for source in side]
            both.append(None if None in values else sum(values, Decimal(0)))
        return both[0], both[1]


def checks_sheet(book: Book, context: Context, reconciliations: Sequence[Reconciliation]) -> None:
    """Expected, found, difference, pass or fail: of this workbook, of the sealed tables, of the expectations."""
    page = book.page("Checks", "Check", "Expected, found, difference and result of every check.")
    page.head(["Kind", "Check", "Severity", "Expected", "Found", "Difference", "Result", "Owner", "Next step"])
    page.freeze(filtered=9)
    page.widths(16, 62, 12, 30, 30, 20, 18, 26, 60)
    for item in reconciliations:
        expected, found = item.sums(book.tables)
        _check_line(
            page,
            "workbook",
            item.check,
            "critical",
            expected,
            found,
            None,
            "risk technology on call",
            "compare the sheets named in the check",
        )
    for title, place in book.sheets.items():
        if "rows" not in place and place["first"] == 0:
            sheets = [
                other for other in book.sheets.values() if other["table"] == place["table"] and "rows" not in other
            ]
            count = sum(int(str(other["count"])) for other in sheets)
            expected_rows = book.tables.cut.manifest["tables"][place["table"]]["rows"]
            _check_line(
                page,
                "rows",
                f"{title}: rows of table {place['table']}",
                "critical",
                Decimal(expected_rows),
                Decimal(count),
                None,
                "risk technology on call",
                "build the workbook again",
            )
    _sealed_checks(book, page)
    for judged in sorted(context.checks, key=lambda one: (str(one["suite"]), str(one["check"]))):
        _check_line(
            page,
            "expectation",
            f"{judged['suite']}: {judged['check']}",
            str(judged["severity"]),
            judged["expected"],
            judged["observed"],
            bool(judged["passed"]),
            str(judged["owner"]),
            str(judged["next_step"]),
        )
    for override in context.overrides:
        text = "; ".join(f"{name} {value}" for name, value in sorted(override.items()))
        page.line(["override", text, "", "", "", "", "overridden", "", ""])
    if "checks" in book.tables:
        book.detail("Reconciliations", "checks", "Check")


def _sealed_checks(book: Book, page) -> None:
    """One line per sealed reconciliation: compared keys, and how many differ."""
    sealed = book.tables.get("checks")
    if sealed is None:
        return
    for name in sorted(pc.unique(sealed["check"]).to_pylist()):
        compared = read(book.tables, Source("checks", "key", "count", (("check", "=", name),)))
        where = (("check", "=", name), ("difference", "=", "0"))
        equal = read(book.tables, Source("checks", "key", "count", where))
        _check_line(
            page,
            "reconciliation",
            f"{name}: keys compared and equal",
            "critical",
            Decimal(compared),
            Decimal(equal),
            None,
            "operations control",
            "see Reconciliations",
        )


def _check_line(page, kind, check, severity, expected, found, passed, owner, next_step) -> None:
    """One check; without a verdict of its own it passes when the difference is exactly zero."""
    left, right = _as_number(expected), _as_number(found)
    difference = right - left if left is not None and right is not None else None
    if passed is None and (left is None or right is None):
        result = "none"
    else:
        result = "green" if (passed if passed is not None else difference == 0) else "red"
    for column, value in enumerate((kind, check, severity), 1):
        page.put(column, value, "Wrapped text")
    for column, value, number in ((4, expected, left), (5, found, right), (6, difference, difference)):
        lost = value is None or (isinstance(value, float) and not isfinite(value))
        shown = number if number is not None else None if lost else str(value)
        style = "Wrapped text" if number is None else "Money" if number % 1 else "Whole"
        page.put(column, shown, style)
    page.put(7, {"green": "● pass", "red": "■ FAIL", "none": "○ not computed"}[result], f"Status {result}")
    page.put(8, owner, "Wrapped text")
    page.put(9, next_step if result != "green" else "", "Wrapped text")
    page.row += 1


def _as_number(value: object) -> Decimal | None:
    if isinstance(value, (Decimal, int)) and not isinstance(value, bool):
        return Decimal(value)
    try:
        found = Decimal(str(value)) if isinstance(value, (str, float)) else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def about_sheet(book: Book, context: Context, purpose: str) -> None:
    """What the file is, what it was made from, what it contains, whom to ask."""
    manifest = book.tables.cut.manifest
    page = book.page("About", "Check", purpose, "About this workbook")
    page.widths(34, 70, 70)
    _list(page, "This report", _identity(manifest, context))
    page.head(["Sheet", "Kind", "Purpose"])
    for entry in book.entries:
        page.link(1, entry.title, entry.title)
        page.put(2, entry.kind, f"{entry.kind} header")
        page.put(3, entry.purpose, "Wrapped text")
        page.row += 1
    page.row += 1
    _list(page, "Looks", [(kind, _KIND_TEXT[kind], "") for kind in KINDS])
    _list(page, "Evidence marks", [(mark, text, "") for mark, text in EVIDENCE])
    generated = [("Generated", text, "") for text in context.generated] or [("Generated", "nothing", "")]
    _list(page, "What is generated", generated)
    _list(page, "Whom to ask", [(subject, role, "") for subject, role in _ROLES])
    _list(
        page,
        "Offsets: first event after the cut, by partition",
        [(topic, ", ".join(map(str, ends)), "") for topic, ends in manifest["offsets"].items()],
    )
    page.head(["Table", "SHA-256 of its business rows", "Rows"])
    for name, entry in manifest["tables"].items():
        page.line([name, entry["digest"], entry["rows"]], ["Label", "Text", "Whole"])


_KIND_TEXT = {
    "Result": "blue header and tab: results; dark ink",
    "Input": "green header and tab: inputs as sealed; blue ink",
    "Parameter": "brown header and tab: rule parameters",
    "Check": "purple header and tab: checks, exceptions and this sheet",
}


def _identity(manifest: Mapping, context: Context) -> list[tuple[str, str, str]]:
    certificate = context.certificate
    equal = "not certified" if certificate is None else "equal" if certificate["equal"] else "UNEQUAL"
    passed = sum(bool(item["passed"]) for item in context.checks)
    return [
        ("Business date", manifest["business_date"], ""),
        ("As of", as_time(manifest["time"]), ""),
        ("Rule date", manifest["versions"]["rule_date"], ""),
        ("Cut", f"{manifest['cut']} v{manifest['version']}", "in the folder of cuts, with its manifest"),
        ("Epoch", str(manifest["epoch"]), "the last epoch of the stream inside the cut"),
        ("Price set", manifest["price_set"], "one price per instrument, the same in every table"),
        *((f"Version of {name}", value, "") for name, value in sorted(manifest["versions"].items())),
        ("Certificate", equal, "live and replayed digests of every table and state"),
        ("Checks passed", f"{passed} of {len(context.checks)}", "see Checks"),
        ("Status", "DRAFT until signed", "signatures are kept in the ledger and the evidence pack, not in this file"),
        ("Missing values", "n/a", "negative amounts are red with a minus sign, zeros a dash"),
    ]


def _list(page, title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    page.head([title, "", ""])
    for row in rows:
        page.line(row, ["Label", "Wrapped text", "Wrapped note"])
    page.row += 1
