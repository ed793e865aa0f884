"""``plumbline trace``."""

from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path

import click

from orchestration.commands.days import Day
from orchestration.errors import UserError
from orchestration.settings import Settings

_SHOWN = 20


@click.command()
@click.argument("workbook", required=False)
@click.argument("cell", required=False)
@click.option("--event", metavar="TOPIC/PARTITION/OFFSET", help="Print every cell that this event touched.")
@click.option("--date", "day", type=Day(), help="Date of the published workbook; the newest unless given.")
@click.option(
    "--effects", "most", type=click.IntRange(0), default=0, help="Leave out so many of its events, one by one."
)
@click.option("--all", "everything", is_flag=True, help="Print every row, event and cell.")
@click.pass_obj
def trace(
    settings: Settings,
    workbook: str | None,
    cell: str | None,
    event: str | None,
    day: date | None,
    most: int,
    everything: bool,
) -> None:
    """Where a cell comes from (WORKBOOK 'Accounts!G17'), or which cells an event touched (--event trades/3/1842).

    A cell leads to the rows of the sealed table, the rule paragraph with its parameters, the application and code
    version, and the events it is computed from, by a bounded replay of these alone. WORKBOOK is a file, or the name of
    a published one.
    """
    from orchestration.pipeline import Home

    shown = None if everything else _SHOWN
    home = Home.open(settings)
    if event is not None:
        if cell is not None:
            raise UserError("trace: expected a cell or --event, found both")
        lines = _touched(home, event, published(settings, workbook, day), shown)
    elif workbook is None or cell is None:
        raise UserError("trace: expected WORKBOOK and CELL such as margin.xlsx 'Accounts!G17', or --event")
    else:
        (path,) = published(settings, workbook, day)
        lines = _lineage(home, path, cell, most, shown)
    for line in lines:
        click.echo(line)


def published(settings: Settings, workbook: str | None, day: date | None) -> list[Path]:
    """The workbook named, a file or published; without a name all of the date's."""
    if workbook is not None and Path(workbook).is_file():
        return [Path(workbook)]
    dates = sorted(path.parent.name for path in settings.out.glob("*/current"))
    if not dates or (day is not None and day.isoformat() not in dates):
        raise UserError(f"workbook: expected published reports in {settings.out}, found {', '.join(dates) or 'none'}")
    folder = settings.out / (day.isoformat() if day else dates[-1])
    books = sorted(folder.glob("*.xlsx"))
    found = [path for path in books if workbook in (None, path.name, path.stem)]
    if not found:
        raise UserError(f"workbook: expected one of {', '.join(path.name for path in books)}, found {workbook}")
    return found


def _lineage(home, path: Path, cell: str, most: int, shown: int | None) -> Iterator[str]:
    from orchestration.contributing import count
    from orchestration.tracing import effects, listed
    from orchestration.tracing import trace as lineage_of

    found = lineage_of(home, path, cell)
    source, manifest = found.source, found.cut.manifest
    how = "" if source.how == "cell" else f"{source.how} over {len(source.keys):,} rows of "
    sign = ", sign turned" if source.negated else ""
    yield f"{found.where} = {source.value}"
    yield f"  {how}table {source.table}, column {source.column}{sign}"
    for key, row in islice(zip(source.keys, found.rows, strict=True), shown):
        yield f"    {', '.join(f'{name} {value}' for name, value in key.items())}: {row[source.column]}"
    yield from _more(len(source.keys), shown)
    yield "rule"
    for rule in islice(found.rules, shown):
        yield f"    {rule}"
    for row in islice(found.parameters, shown):
        scope = "".join(f", {name} {row[name]}" for name in ("client", "product") if row[name])
        yield f"    {row['id']} = {row['value']} {row['unit']} [{row['evidence']}]{scope}, {row['rule']}"
    yield from _more(len(found.parameters), shown)
    versions = manifest["versions"]
    yield f"made by {', '.join(found.apps)}; code {versions['code']}, rulebook {versions['rulebook']}"
    yield f"    rule date {versions['rule_date']}, price set {manifest['price_set']}"
    yield f"cut {found.cut.id} v{found.cut.version}, epoch {manifest['epoch']:,}"
    begun = (
        "the beginning of the log" if found.start is None else f"the state sealed at {found.start[0]} v{found.start[1]}"
    )
    yield f"events: {count(found.events):,}, {found.chosen_by}, from {begun}"
    for (topic, partition), offsets in sorted(found.events.items()):
        if len(offsets):
            yield f"    {topic}/{partition}: {spans(offsets.tolist(), shown)}"
    yield f"    {found.proof}"
    if most:
        yield "without one event"
        for effect in effects(home, found, listed(found.events)[-most:]):
            place = "/".join(map(str, effect.event))
            told = "zero effect" if not effect.changed else ", ".join(map(_value, effect.without[:3]))
            yield f"    {place}: {told}"


def _value(value: object) -> str:
    return "no row" if value is None else str(value)


def _more(count: int, shown: int | None) -> Iterator[str]:
    if shown is not None and count > shown:
        yield f"    and {count - shown:,} more (--all)"


def spans(offsets: list[int], shown: int | None) -> str:
    """Offsets as spans, ``3, 7-12``."""
    found: list[list[int]] = []
    for offset in offsets:
        if found and offset == found[-1][1] + 1:
            found[-1][1] = offset
        else:
            found.append([offset, offset])
    texts = [f"{low}" if low == high else f"{low}-{high}" for low, high in found[:shown]]
    rest = len(found) - len(texts)
    return ", ".join(texts) + (f" and {rest:,} more spans" if rest else "") + f" ({len(offsets):,} events)"


def _touched(home, text: str, books: list[Path], shown: int | None) -> Iterator[str]:
    from orchestration.tracing import parse_event, touched
    from reports.provenance import load_cells
    from streaming.cuts import open_cut

    document = load_cells(books[0])
    cut = open_cut(home.settings.store, document["cut"], document["version"])
    found = touched(home, parse_event(text), cut, books)
    yield f"{text} in epoch {found.epoch:,}: {found.content}"
    yield f"cut {cut.id} v{cut.version}: " + ("zero effect" if not found.rows else "would be otherwise without it:")
    for table, rows in found.rows.items():
        yield f"    table {table}: {rows:,} rows"
    for book, cells in found.cells.items():
        yield f"{book}: {len(cells):,} cells"
        for cell in cells[:shown]:
            yield f"    {cell}"
        yield from _more(len(cells), shown)
