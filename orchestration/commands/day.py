"""Commands that work on one day: ``run``, ``replay``, ``check``, ``publish``, ``override``."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.commands.days import GATE_SHUT, UNEQUAL, Day, Moment, host_option, tell
from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.stack.paths import DEFAULT_DATA

if TYPE_CHECKING:
    from orchestration.pipeline import Home
    from orchestration.progress import Display

_DIFFERENCES_SHOWN = 50


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@click.option("--rule-date", type=Day(), default="2026-11-01", show_default=True, help="Rules in force on that date.")
@host_option
@click.pass_obj
def run(settings: Settings, day: date, rule_date: date, host: str) -> None:
    """Run a day: close its epochs, apply them, seal, prove, check and publish.

    Events that arrived since the day's end of day was sealed make its next version.
    """
    from orchestration import calendar
    from orchestration.commands.days import valid
    from orchestration.days import close_day
    from orchestration.edge import code_version
    from orchestration.pipeline import Home, run_day
    from orchestration.progress import display
    from streaming.apps.rules import versions_in_force

    valid(calendar.session, day)
    with settings.locked(), display() as show:
        home = Home.open(settings)
        if not any(home.log.end("trades", shard) for shard in range(home.log.topics()["trades"])):
            raise UserError(f"home {settings.home}: expected events (`plumbline ingest` or `demo`), found none")
        close_day(home.log, day, versions_in_force(rule_date, code_version()))
        outcome = run_day(home, day, show, host)
    tell(outcome)


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@click.argument("cut", metavar="[CUT]", required=False)
@click.option("--host", type=click.Choice(["loop", "flink"]), default="loop", show_default=True, help="What runs it.")
@click.option(
    "--stack", type=click.Path(path_type=Path), default=DEFAULT_DATA, help="Of --host flink: its data directory."
)
@click.pass_obj
def replay(settings: Settings, day: date, cut: str | None, host: str, stack: Path) -> None:
    """Recompute sealed cuts from raw events and compare every table and state.

    Without CUT all cuts of the day, from its opening. CUT is 0930 or eod: an intraday cut is recomputed from the state
    sealed before it, the end of day from the opening. With --host flink as bounded jobs on a running stack. Exit code 1
    when anything differs.
    """
    from orchestration.pipeline import Home, prove
    from orchestration.progress import display

    with display() as show:
        home = Home.open(settings)
        certificates = prove(home, day, show, cut) if host == "loop" else _on_flink(home, day, show, cut, stack)
    differences = 0
    for document in certificates:
        word = "equal" if document["equal"] else "UNEQUAL"
        click.echo(f"{document['cut']} v{document['version']}  {word}, from {document['replayed_from']}")
        differences += not document["equal"]
        for side in ("tables", "states"):
            for name, pair in document[side].items():
                if not pair["equal"]:
                    click.echo(f"  {side[:-1]} {name}: live {pair['live'][:16]}, replayed {pair['replayed'][:16]}")
        for item in document["differences"][:_DIFFERENCES_SHOWN]:
            key = ", ".join(f"{name} {value}" for name, value in item["key"].items())
            field = item["column"] or "the row"
            click.echo(f"  {item['table']}: {key}: {field}: live {item['live']}, replayed {item['replayed']}")
    if differences:
        raise SystemExit(UNEQUAL)


def _on_flink(home: "Home", day: date, show: "Display", cut: str | None, stack: Path) -> list[dict]:
    from orchestration.jobs.control import Cluster
    from orchestration.jobs.deployment import load_deployment
    from orchestration.jobs.replay import replay_on_flink
    from orchestration.pipeline import to_prove
    from streaming.engine.replay import certify

    wanted, start = to_prove(home, day, cut)
    stage, done = show.stage("replay on Flink", wanted[-1].epoch.number + 1), [0]

    def passed(epoch: int) -> None:
        stage.advance(epoch - done[0])
        done[0] = epoch

    raw = {"kind": "files", "folder": str(home.settings.log.absolute())}
    begin = (home.store, *start) if start else None
    found = replay_on_flink(Cluster(stack), raw, load_deployment(), [one.epoch for one in wanted], begin, passed)
    stage.finish(f"{len(found)} cuts")
    pairs = zip(found, wanted, strict=True)
    return [certify(home.store, made, one.version, start[0] if start else "").document() for made, one in pairs]


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@click.option("--again", is_flag=True, help="Run them even where their results are there.")
@click.pass_obj
def check(settings: Settings, day: date, again: bool) -> None:
    """Run the expectations over a day's newest end of day; exit code 2 when they hold the gate shut."""
    from orchestration import edge, pipeline, summary
    from orchestration.gate import gate
    from orchestration.progress import display

    with settings.locked(), display() as show:
        home = pipeline.Home.open(settings)
        sealed = home.end_of_day(day)
        found = pipeline.check(home, sealed, show, again)
        decision = gate(sealed, home.ledger, edge.now())
    for line in summary.checks(found):
        click.echo(line)
    for hold in decision.holds:
        click.echo(f"gate shut: {hold.check}: {hold.reason}", err=True)
    if not decision.is_open:
        raise SystemExit(GATE_SHUT)
    click.echo(f"gate of {decision.cut} v{decision.version}: open")


@click.command()
@click.argument("day", metavar="DATE", type=Day())
@click.pass_obj
def publish(settings: Settings, day: date) -> None:
    """Publish a day's newest end of day as the next version, if its gate is open."""
    from orchestration.pipeline import Home, publish_cut
    from orchestration.progress import display

    with settings.locked(), display() as show:
        home = Home.open(settings)
        made = publish_cut(home, home.end_of_day(day), show)
    click.echo(f"v{made.version}" + ("" if made.fresh else ", as before"))
    for path in made.files:
        click.echo(f"  {path}")


@click.command()
@click.argument("cut")
@click.argument("check")
@click.option("--by", required=True, help="Who asks for it.")
@click.option("--approved-by", required=True, help="Who approves it: somebody else.")
@click.option("--reason", required=True, help="Why the cut may be published all the same.")
@click.option("--until", required=True, type=Moment(), help="When it ends.")
@click.pass_obj
def override(settings: Settings, cut: str, check: str, by: str, approved_by: str, reason: str, until: datetime) -> None:
    """Answer for a failed CHECK of the newest version of CUT (2020-03-16/eod). It goes into the ledger."""
    from orchestration import edge, gate
    from orchestration.pipeline import Home
    from streaming.cuts import open_cut

    home = Home.open(settings)
    gate.override(open_cut(settings.store, cut), check, by, approved_by, reason, until, home.ledger, edge.now())
    click.echo(f"{cut}: {check} overridden until {until.isoformat()}")
