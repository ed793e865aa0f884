"""``plumbline ingest``: one option a raw topic."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import click

from orchestration.commands.days import Day
from orchestration.settings import Settings

FEEDS = {
    "instruments": "reference data of instruments",
    "accounts": "reference data of accounts",
    "actions": "corporate actions and expiries",
    "rates": "zero rates and expected dividends",
    "closes": "history of official closes",
    "policies": "limits and add-ons, also as TOML",
    "cash": "cash movements and opening balances",
    "custody": "opening positions and the stock record",
    "firm": "the firm's balance sheet and financing",
    "trades": "executions, exercises and assignments",
    "prices": "quotes and closes",
    "fx": "conversion rates",
}


def _options(command: Callable) -> Callable:
    for name, text in reversed(FEEDS.items()):
        path = click.Path(path_type=Path, exists=True, dir_okay=False)
        command = click.option(f"--{name}", name, type=path, multiple=True, metavar="FILE", help=text)(command)
    return command


@click.command()
@_options
@click.option("--date", "day", type=Day(), help="Business date, where a file gives none.")
@click.option("--columns", metavar="FEED", type=click.Choice(list(FEEDS)), help="Print the columns of a feed.")
@click.pass_obj
def ingest(settings: Settings, day: date | None, columns: str | None, **files: tuple[Path, ...]) -> None:
    """Load your own events from CSV, JSON lines or Parquet (policies also from TOML), then `plumbline run DATE`.

    Columns are the fields of a feed (`--columns trades`). Every row of every file is checked first: either all events
    are loaded or none. Dates and times are ISO 8601, times with zone; empty cells are absent values.
    """
    from orchestration import ingest as loading
    from orchestration.errors import UserError

    if columns:
        for column in loading.TOPICS[columns].columns:
            need = "required" if column.required else "optional"
            click.echo(f"{column.name:<20} {column.type!s:<18} {need}  {column.text} {column.unit}".rstrip())
        return
    named = [(name, path) for name in FEEDS for path in files[name]]
    if not named:
        raise UserError("ingest: expected at least one file, such as --trades FILE; found none")
    _load(settings, named, day)


def _load(settings: Settings, files: list[tuple[str, Path]], day: date | None) -> None:
    from orchestration import generated
    from orchestration import ingest as loading
    from orchestration.pipeline import Home

    with settings.locked():
        home = Home.open(settings)
        counts = loading.ingest(home.log, files, day)
        generated.keep(settings)
        home.record("ingest", {"files": [f"{name} {path}" for name, path in files], "events": counts})
    for name in FEEDS:
        if name in counts:
            click.echo(f"{name:<12} {counts[name]:>10,} events")
