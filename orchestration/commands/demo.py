"""``plumbline demo`` and ``warm-up``."""

import tempfile
from datetime import date
from pathlib import Path

import click

from orchestration.commands.days import Day, host_option, tell, valid
from orchestration.settings import Settings


@click.command()
@click.option("--date", "day", type=Day(), default="2020-03-16", show_default=True, help="Business date.")
@click.option("--accounts", type=int, default=300, show_default=True, help="Client accounts.")
@click.option("--trades", type=int, default=250_000, show_default=True, help="New trades.")
@click.option("--prices", type=int, default=500_000, show_default=True, help="Price events.")
@click.option("--seed", type=int, default=20_200_316, show_default=True, help="Everything generated comes from it.")
@click.option("--fault", "faults", multiple=True, metavar="NAME", help="Plant a named fault; `--fault list` shows all.")
@click.option("--correct", is_flag=True, help="Then append the events that put the faults right, and run again.")
@host_option
@click.option("--fresh", is_flag=True, help="Begin again, even where the same day is there.")
@click.pass_obj
def demo(
    settings: Settings,
    day: date,
    accounts: int,
    trades: int,
    prices: int,
    seed: int,
    faults: tuple[str, ...],
    correct: bool,
    host: str,
    fresh: bool,
) -> None:
    """Generate a trading day, run it, prove it and publish its reports.

    The same options again take up where a stopped run was, or show the finished one.
    """
    from streaming.demo import FAULTS, DaySpec

    if "list" in faults:
        for name, fault in FAULTS.items():
            click.echo(f"{name:<28} {fault.text}")
        return
    spec = valid(DaySpec, day, accounts, trades, prices, seed, faults)
    _run(settings, spec, correct, fresh, host)


def _run(settings: Settings, spec, correct: bool, fresh: bool, host: str) -> None:
    from orchestration import generated
    from orchestration.feeding import Feeding
    from orchestration.pipeline import Home, beside, run_day
    from orchestration.progress import display

    with settings.locked(), display() as show:
        generated.prepare(settings, spec, fresh)
        complete = generated.marked_at_end(generated.open_log(settings), spec)
        if complete:
            outcome = run_day(Home.open(settings), spec.date, show, host)
        else:
            stage = show.stage("generate and append", spec.trades + spec.prices)
            with beside(settings) as started, Feeding(settings, stage) as growing:
                outcome = run_day(Home.open(settings), spec.date, show, host, started, growing)
        if correct:
            stage = show.stage("correct")
            stage.finish(f"{generated.feed_correction(settings, spec)} events")
            outcome = run_day(Home.open(settings), spec.date, show, host)
    tell(outcome)


@click.command("warm-up")
def warm_up() -> None:
    """Compile the models once, by running a tiny day; the compiled code stays beside the sources."""
    from orchestration import generated
    from orchestration.pipeline import Home, run_jobs
    from orchestration.progress import display
    from streaming.demo import DaySpec

    with tempfile.TemporaryDirectory() as folder, display() as show:
        settings = Settings(Path(folder) / "home", Path(folder) / "out")
        spec = DaySpec(accounts=4, trades=200, prices=0)
        generated.prepare(settings, spec)
        generated.feed_generated(settings, spec, lambda _: None)
        run_jobs(Home.open(settings), show)
