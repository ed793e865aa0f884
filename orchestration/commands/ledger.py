"""``plumbline ledger``."""

import click

from orchestration.settings import Settings


@click.group()
def ledger() -> None:
    """The record of everything that was done."""


@ledger.command()
@click.pass_obj
def verify(settings: Settings) -> None:
    """Follow the chain of hashes; exit code 2 names the first entry that is not what was written."""
    from orchestration.ledger import Ledger

    found = Ledger(settings.ledger).verify()
    click.echo(f"{settings.ledger}: {found.entries:,} entries, intact, head {found.head}")
    if found.torn_bytes:
        click.echo(f"  {found.torn_bytes} bytes of a torn write follow; the next entry takes their place")


@ledger.command("list")
@click.option("--kind", default="", help="Only entries of one kind.")
@click.pass_obj
def list_entries(settings: Settings, kind: str) -> None:
    """Print the entries, oldest first."""
    import orjson

    from orchestration.ledger import Ledger

    for entry in Ledger(settings.ledger).entries(kind):
        what = orjson.dumps(entry.what).decode()
        click.echo(f"{entry.number:>6}  {entry.time}  {entry.kind:<12} {entry.who:<12} {what}")
