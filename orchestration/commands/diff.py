"""``plumbline diff``."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import click

from orchestration.commands.days import Day
from orchestration.errors import UserError
from orchestration.settings import Settings

_SHOWN = 25


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@click.argument("old", required=False, metavar="V1")
@click.argument("new", required=False, metavar="V2")
@click.option("--day-before", is_flag=True, help="Explain the movement since the end of the day before instead.")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="Where the Difference workbook goes.")
@click.option("--all", "everything", is_flag=True, help="Print every changed cell.")
@click.pass_obj
def diff(
    settings: Settings, day: date, old: str | None, new: str | None, day_before: bool, to: Path | None, everything: bool
) -> None:
    """What changed from V1 to V2 of DATE, cell by cell, with the events that made it; parts add up exactly.

    Also writes the Difference workbook.
    """
    from orchestration import changes
    from orchestration.pipeline import Home
    from reports.difference import difference_workbook, with_causes

    home = Home.open(settings)
    home.index.refresh()
    if day_before:
        found = changes.movement(home, home.end_of_day(day))
        name = "movement.xlsx"
    elif old is None or new is None:
        raise UserError("diff: expected two versions such as v1 v2, or --day-before")
    else:
        found = changes.restatement(home, changes.version_of(home, day, old), changes.version_of(home, day, new))
        name = f"difference-{old}-{new}.xlsx"
    path = to or settings.out / day.isoformat() / name
    listed = difference_workbook(found.old, found.new, path, found.parts)
    click.echo(
        f"{found.old.id} v{found.old.version} to {found.new.id} v{found.new.version}: {listed.num_rows:,} cells changed"
    )
    rows = with_causes(listed, found.parts).to_pylist()
    for row in rows if everything else rows[:_SHOWN]:
        before, after = ((row[side], row[f"{side}_text"]) for side in ("old", "new"))
        told = f"{_shown(*before)} -> {_shown(*after)}"
        click.echo(f"  {row['table']}: {row['key']}: {row['column']}: {told}")
        click.echo(f"      {row['causes']}")
    if len(rows) > _SHOWN and not everything:
        click.echo(f"  and {len(rows) - _SHOWN:,} more (--all)")
    click.echo(str(path))


def _shown(number: Decimal | None, text: str | None) -> str:
    if number is not None:
        return f"{number.normalize():f}"
    return "none" if text is None else text
