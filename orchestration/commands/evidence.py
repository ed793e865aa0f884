"""``plumbline sign``, ``pack``, ``verify`` and ``scorecard``."""

import tempfile
from datetime import date
from pathlib import Path

import click

from orchestration.commands.days import UNEQUAL, Day
from orchestration.errors import UserError
from orchestration.settings import Settings


def version_folder(settings: Settings, day: date, version: str | None) -> Path:
    """``out/DATE/vN``: the version named, else the current one."""
    from orchestration.publish import PUBLICATION, current

    if version is None:
        found = current(settings.out, day.isoformat())
        if found is None:
            raise UserError(f"{day}: expected a published version in {settings.out}, found none")
        return found.folder
    folder = settings.out / day.isoformat() / f"v{version.removeprefix('v')}"
    if not (folder / PUBLICATION).exists():
        raise UserError(f"version: expected a published one of {day}, found {version}")
    return folder


_version = click.option("--version", metavar="vN", help="Which version; the current one unless given.")


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@click.option("--as", "role", type=click.Choice(["preparer", "reviewer", "finop"]), help="In which role.")
@click.option("--name", help="Who signs.")
@_version
@click.pass_obj
def sign(settings: Settings, day: date, role: str | None, name: str | None, version: str | None) -> None:
    """Sign a published version of DATE, or show who has. It is a DRAFT until three people have signed, in order.

    Signatures go into the ledger and the evidence pack; the workbooks stay as they are.
    """
    from orchestration import edge, signing
    from orchestration.ledger import Ledger

    folder, ledger = version_folder(settings, day, version), Ledger(settings.ledger)
    if role is None:
        found = signing.sign_off(ledger, folder)
    elif name is None:
        raise UserError("sign: expected --name beside --as, found none")
    else:
        with settings.locked():
            found = signing.sign(ledger, folder, role, name, edge.user(), edge.now())
    click.echo(f"{found.date} v{found.version}: {found.status}")
    for signature in found.signatures:
        click.echo(f"  {signature['role']:<10} {signature['name']}  {signature['time']}")
    for missing in found.missing:
        click.echo(f"  {missing:<10} not signed")


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@_version
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: out/DATE/pack-vN.zip]"
)
@click.pass_obj
def pack(settings: Settings, day: date, version: str | None, to: Path | None) -> None:
    """Put everything behind a published version of DATE into one archive; the same version gives the same bytes."""
    from hashlib import sha256

    from orchestration import evidence
    from orchestration.pipeline import Home

    path, content = evidence.write_pack(Home.open(settings), version_folder(settings, day, version), to)
    click.echo(f"{path}: {len(content):,} bytes, SHA-256 {sha256(content).hexdigest()}")


@click.command()
@click.argument("pack", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--log", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Use this log, not the pack's."
)
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Keep the published files, made again, there."
)
def verify(pack: Path, log: Path | None, to: Path | None) -> None:
    """Do PACK again from its raw events on this machine, and compare every digest; exit code 1 names what differs.

    Neither the network nor the home it came from is needed. Exit code 2: the pack itself was changed, and where.
    """
    from orchestration.verifying import verify as verified
    from streaming.log.files import FilesLog

    with tempfile.TemporaryDirectory() as folder:
        given = FilesLog(log) if log is not None else None
        found = verified(pack, Path(folder), given, lambda stage: click.echo(f"  {stage}"))
        if to is not None:
            _keep(Path(folder) / "published", to)
    about, signed = found.about, found.signatures
    click.echo(f"{about['date']} v{about['version']}: cut {about['cut']} v{about['cut_version']}, {signed['status']}")
    for signature in signed["signatures"]:
        click.echo(f"  {signature['role']:<10} {signature['name']}  {signature['time']}")
    click.echo(f"  ledger head {about['ledger_head']}")
    click.echo(f"{len(found.findings):,} digests compared, {len(found.unequal)} unequal")
    for finding in found.unequal:
        click.echo(f"  {finding.what}: expected {finding.expected}, found {finding.found}")
    if found.unequal:
        raise SystemExit(UNEQUAL)


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@_version
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def scorecard(settings: Settings, day: date, version: str | None, as_json: bool) -> None:
    """BCBS 239 scores of a published version of DATE, computed from its run records, each with its proof."""
    import orjson

    from orchestration.ledger import Ledger
    from orchestration.scorecard import scorecard as scores_of

    folder = version_folder(settings, day, version)
    found = scores_of(settings.store, Ledger(settings.ledger), folder)
    if as_json:
        click.echo(orjson.dumps([score.document() for score in found], option=orjson.OPT_INDENT_2).decode())
        return
    click.echo(f"{day} {folder.name}")
    for score in found:
        shown = "" if score.score is None else f"{score.score}%"
        click.echo(f"  {score.principle:<13} {score.measure:<28} {shown:>8}  {score.found}")
        click.echo(f"  {'':<13} proof: {score.proof}")


def _keep(made: Path, to: Path) -> None:
    import shutil

    if to.exists() and any(to.iterdir()):
        raise UserError(f"--to: expected an empty folder, found files in {to}")
    shutil.copytree(made, to, dirs_exist_ok=True)
