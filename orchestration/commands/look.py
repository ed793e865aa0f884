"""Commands that only look: ``cuts`` and ``as-of``."""

from datetime import datetime
from pathlib import Path

import click

from orchestration.commands.days import Moment
from orchestration.settings import Settings


@click.command()
@click.pass_obj
def cuts(settings: Settings) -> None:
    """List every version of every sealed cut: epoch, price set, tables, proof, gate."""
    from orchestration import edge
    from orchestration.gate import gate
    from orchestration.ledger import Ledger
    from orchestration.proof import certificate
    from streaming.cuts import list_cuts, open_cut

    ledger, found = Ledger(settings.ledger), list_cuts(settings.store)
    if not found:
        click.echo(f"no cut is sealed in {settings.store}")
    for name in found:
        newest = open_cut(settings.store, name)
        for version in range(1, newest.version + 1):
            cut = open_cut(settings.store, name, version)
            proof = certificate(settings.store, name, version)
            proved = "not replayed" if proof is None else ("equal" if proof["equal"] else "UNEQUAL")
            state = ""
            if name.endswith("/eod"):
                state = "gate open" if gate(cut, ledger, edge.now()).is_open else "gate shut"
            rows = sum(table["rows"] for table in cut.manifest["tables"].values())
            click.echo(
                f"{name:<16} v{version:<3} epoch {cut.manifest['epoch']:>8,}  {len(cut.tables)} tables "
                f"{rows:>10,} rows  {proved:<12}  {state}".rstrip()
            )


@click.command("as-of")
@click.argument("time", type=Moment())
@click.option("--account", help="Only this account.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Also write every table there (Parquet).")
@click.pass_obj
def as_of(settings: Settings, time: datetime, account: str | None, to: Path | None) -> None:
    """Positions, P&L and margin at TIME (2020-03-16T10:45:00, New York time unless it names a zone).

    They stand as of the last epoch closed at or before TIME, at the price set then in force.
    """
    from orchestration import asof
    from orchestration.pipeline import Home

    found = asof.tables_at(Home.open(settings), time, account)
    if to is not None:
        asof.write(found, to)
    for line in asof.lines(found, account):
        click.echo(line)
