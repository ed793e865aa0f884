"""``plumbline dev``."""

from datetime import datetime, timedelta

import click

from orchestration.commands.days import Day
from orchestration.settings import Settings


@click.command()
@click.option("--port", type=int, default=3000, show_default=True, help="Of the console.")
@click.option("--files-port", type=int, default=3001, show_default=True, help="Of published files and Data Docs.")
@click.option("--date", "day", type=Day(), default="2020-03-24", show_default=True, help="The session to play.")
@click.option("--history", type=int, default=5, show_default=True, help="Days before it, so that plots show something.")
@click.option("--speed", type=float, default=60.0, show_default=True, help="Seconds of the session in one second.")
@click.option("--no-session", is_flag=True, help="Live by the wall clock, and play nothing.")
@click.pass_obj
def dev(settings: Settings, port: int, files_port: int, day, history: int, speed: float, no_session: bool) -> None:
    """Open the console on this machine: days of history, and a session played faster than it was.

    Dagster runs with schedules and sensors on; everything listens on the loopback interface only. The same command
    again goes on where it stopped.
    """
    from orchestration.console import files, instance
    from orchestration.console.desk import Desk, served

    settings = Settings(settings.home.absolute(), settings.out.absolute())
    desk = Desk(home=str(settings.home), out=str(settings.out), base_url=f"http://{instance.LOOPBACK}:{files_port}")
    instance.write(settings)
    server = files.serve(lambda: served(settings), files_port, f"http://{instance.LOOPBACK}:{port}")
    variables = instance.variables(desk, None if no_session else day)
    _history(settings, day, history, variables)
    if not no_session:
        _session(settings, day, speed)
    click.echo(f"console  http://{instance.LOOPBACK}:{port}")
    click.echo(f"files    {desk.base_url}/out/DATE/margin.xlsx")
    instance.run_until_stopped(port, variables)
    server.shutdown()
    if not no_session:
        _leave(settings, day)


def _history(settings: Settings, day, count: int, variables) -> None:
    from orchestration.console import history
    from orchestration.progress import display

    wanted = history.missing(settings, history.days_before(day, count))
    if wanted:
        with display() as show:
            stage = show.stage("days of history", len(wanted))
            history.make(settings, wanted, variables)
            stage.finish(f"{len(wanted)} days")


def _session(settings: Settings, day, speed: float) -> None:
    """Start the desk clock where the session stands, and the in-process engine."""
    from orchestration import calendar
    from orchestration.console import history, player
    from orchestration.console.clock import DeskClock
    from orchestration.pipeline import Home

    history.prepare_session(settings, day)
    of_day = history.home_of(settings, day)
    index = Home.open(of_day).index
    end = index.refresh()
    begin = calendar.session(day).open - timedelta(minutes=1)
    if end:
        begin = max(begin, datetime.fromtimestamp(index[end - 1].time / 1e6, begin.tzinfo))
    evening = calendar.session(day).end_of_day + timedelta(hours=1)
    DeskClock.start(min(begin, evening), speed, evening).write(settings)
    player.start(of_day, settings, day)


def _leave(settings: Settings, day) -> None:
    from orchestration.console import history, player

    player.stop(history.home_of(settings, day))
