"""``plumbline alerts``."""

from pathlib import Path

import click

from orchestration.settings import Settings

SILENT = 2


@click.group()
def alerts() -> None:
    """What somebody must know, and whether it reached Slack."""


@alerts.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only what is wrong now.")
@click.pass_obj
def list_alerts(settings: Settings, only_open: bool) -> None:
    """Print what is wrong now, then every message: waiting, sent, refused or withdrawn."""
    from orchestration.alerts.desk import outbox_of
    from orchestration.alerts.message import headline

    outbox = outbox_of(settings)
    for alert in outbox.open_alerts():
        click.echo(f"open  {alert.severity:<9} {alert.where:<16} {alert.check:<40} {alert.found}")
    if only_open:
        return
    for message in outbox.messages():
        state = f"{message.state} {message.stamp}".strip() + (f" ({message.problem})" if message.problem else "")
        when = message.created.isoformat(timespec="seconds")
        click.echo(f"{message.number:>6}  {when}  {headline(message):<70} {state}")


@alerts.command()
@click.option(
    "--stack",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Data directory of a running stack: also look how far its jobs are behind.",
)
@click.pass_obj
def deliver(settings: Settings, stack: Path | None) -> None:
    """Look what is late, at risk or beyond a limit, then bring everything due to Slack.

    Exit code 2 when token or channel are refused. Needs PLUMBLINE_SLACK_TOKEN and PLUMBLINE_SLACK_CHANNEL;
    PLUMBLINE_BASE_URL builds the links.
    """
    from orchestration import edge
    from orchestration.alerts import desk

    desk.watch_clock(settings, edge.now())
    desk.watch_limits(settings, edge.now())
    if stack is not None:
        desk.watch_lags(settings, _lags(stack), edge.now())
    _deliver(settings)


@alerts.command()
@click.option("--verify", is_flag=True, help="Send none; exit code 2 when none has arrived for too long.")
@click.pass_obj
def heartbeat(settings: Settings, verify: bool) -> None:
    """Send a heartbeat through the whole path, for a scheduler to call every quarter of an hour."""
    from orchestration import edge
    from orchestration.alerts import desk
    from orchestration.alerts.settings import house

    if not verify:
        desk.beat(settings, edge.now())
        _deliver(settings)
        return
    silent, limit = desk.silent_for(settings, edge.now()), house()["heartbeat"]["silent_max_min"]
    if silent is None or silent.total_seconds() > 60 * limit:
        told = "none ever" if silent is None else f"the last {silent.total_seconds() / 60:.0f} min ago"
        click.echo(f"heartbeat: expected one within {limit} min, found {told}", err=True)
        raise SystemExit(SILENT)
    click.echo(f"heartbeat: the last arrived {silent.total_seconds() / 60:.0f} min ago")


@alerts.command()
@click.pass_obj
def test(settings: Settings) -> None:
    """Send a test message and look it up again: proves token, channel and the rights to post and to read."""
    import os

    from orchestration import edge
    from orchestration.alerts import desk
    from orchestration.alerts.settings import SlackAccess
    from orchestration.alerts.slack import SlackChannel
    from orchestration.errors import UserError

    channel = SlackChannel(SlackAccess.of(os.environ))
    number = desk.test_message(settings, edge.now())
    desk.deliver(settings, os.environ, edge.user(), edge.now, channel)
    message = desk.outbox_of(settings).message(number)
    if not message.stamp:
        raise UserError(f"Slack: expected the test message to arrive, found {message.problem or message.state}")
    found = channel.find(message.id, message.created, "")
    if found != message.stamp:
        raise UserError(
            "Slack: expected to read the test message again, found none: does the bot have channels:history?"
        )
    click.echo(f"{channel.name}: message {message.stamp} posted and found again")


def _deliver(settings: Settings) -> None:
    import os

    from orchestration import edge
    from orchestration.alerts import desk

    done = desk.deliver(settings, os.environ, edge.user(), edge.now)
    told = f"{done.posted} posted, {done.found} found there already, {done.refused} refused, {done.waiting} waiting"
    click.echo(told + (f": {done.problem}" if done.problem else ""))


def _lags(stack: Path) -> dict[str, float]:
    from orchestration.jobs.control import Cluster
    from orchestration.jobs.deployment import load_deployment
    from orchestration.jobs.standing import standings

    found = standings(Cluster(stack), load_deployment(None))
    return {f"{standing.job}-{lag.shard}": lag.seconds for standing in found for lag in standing.lags}
