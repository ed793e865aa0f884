"""The builder's pages made fit for a closed network: nothing loaded from elsewhere, and a first page without scripts.

Great Expectations' pages take style, icons and even the rows of their index from other hosts. Without those the index
is empty and a failed check looks like a passed one.
"""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from expectations.check import CheckResult
from expectations.view import Cut

INDEX, STYLE, SCRIPT = "index.html", "site.css", "site.js"
_ELSEWHERE = (
    r'<link\b[^>]*href="https?://[^"]*"[^>]*>',
    r'<link\b[^>]*rel="shortcut icon"[^>]*>',
    r'<script\b[^>]*src="https?://[^"]*"[^>]*>\s*</script>',
    r'<img\b[^>]*src="https?://[^"]*"[^>]*/?>',
    r"<footer>.*?</footer>",
)
"""What the pages load or link elsewhere: style, scripts, the logo, an invitation to a newsletter."""
_STATIC = "static"


def finish(folder: Path, cut: Cut, results: Sequence[CheckResult]) -> None:
    """Make a site self-contained and give it a first page and a fixed name for the page of each suite."""
    shutil.rmtree(folder / _STATIC, ignore_errors=True)
    for name in (STYLE, SCRIPT):
        (folder / name).write_text(files("expectations").joinpath(name).read_text())
    pages = {path.stem: path.relative_to(folder) for path in folder.glob("validations/**/*.html")}
    for path in folder.glob("**/*.html"):
        path.write_text(_contained(path.read_text(), os.path.relpath(folder, path.parent)))
    _lead(folder / "checks", pages)
    (folder / INDEX).write_text(_index(cut, results, pages))


def _contained(page: str, root: str) -> str:
    for pattern in _ELSEWHERE:
        page = re.sub(pattern, "", page, flags=re.DOTALL)
    page = page.replace("</head>", f'<link rel="stylesheet" href="{root}/{STYLE}">\n</head>', 1)
    return page.replace("</body>", f'<script src="{root}/{SCRIPT}"></script>\n</body>', 1)


def _lead(folder: Path, pages: dict[str, Path]) -> None:
    """``checks/SUITE.html`` leads to the page of a suite, whose own path tells the time of the cut."""
    folder.mkdir()
    for suite, page in pages.items():
        content = f'<!doctype html><title>{suite}</title><meta http-equiv="refresh" content="0; url=../{page}">\n'
        (folder / f"{suite}.html").write_text(content + f'<a href="../{page}">{suite}</a>\n')


def _index(cut: Cut, results: Sequence[CheckResult], pages: dict[str, Path]) -> str:
    failed = sorted((row for row in results if not row.passed), key=lambda row: (row.severity != "critical", row.check))
    by_suite: dict[str, list[CheckResult]] = {}
    for row in results:
        by_suite.setdefault(row.suite, []).append(row)
    title = f"Data quality of {escape(cut.id)}"
    told = f"{len(results)} checks in {len(by_suite)} suites, {len(failed)} failed. Price set {escape(_set(cut))}."
    head = ("severity", "check", "expected", "observed", "owner", "next step")
    rows = [
        (_severity(row), _linked(row.check, pages.get(row.suite)), *map(escape, (row.expected, row.observed)),
         escape(row.owner), escape(row.next_step))
        for row in failed
    ]  # fmt: skip
    parts = [f"<h1>{title}</h1>", f"<p>{told}</p>"]
    if failed:
        parts += ["<h2>Failed</h2>", _table(head, rows)]
    suites = [
        (_state(found), _linked(suite, pages.get(suite)), str(len(found)), str(sum(not row.passed for row in found)))
        for suite, found in by_suite.items()
    ]
    parts += ["<h2>Suites</h2>", _table(("state", "suite", "checks", "failed"), suites)]
    style = f'<link rel="stylesheet" href="{STYLE}">'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{style}</head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>\n"

    return "<table>\n" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def _linked(name: str, page: Path | None) -> str:
    return f'<a href="{page}">{escape(name)}</a>' if page else escape(name)


def _severity(row: CheckResult) -> str:
    return f'<span class="badge {row.severity}">{row.severity}</span>' + (" (not carried out)" if row.crashed else "")


def _state(found: Sequence[CheckResult]) -> str:
    worst = {row.severity for row in found if not row.passed}
    if not worst:
        return '<span class="text-success">✓ passed</span>'
    severity = "critical" if "critical" in worst else min(worst)
    return f'<span class="{severity}">✗ {severity}</span>'


def _set(cut: Cut) -> str:
    return str(cut.manifest.get("price_set", ""))
