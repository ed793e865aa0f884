"""The ``plumbline`` command. Commands are imported when they are called, so that ``--help`` answers at once."""

import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from orchestration.errors import UserError
from orchestration.process import leave

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo:demo", "Generate a trading day, run it, prove it and publish its reports."),
    "dev": ("dev:dev", "Open the console: Dagster with days of history and a played session."),
    "ingest": ("ingest:ingest", "Load your own events from CSV, JSON lines or Parquet."),
    "run": ("day:run", "Run a day: jobs, cuts, proof, checks, gate, reports."),
    "replay": ("day:replay", "Recompute sealed cuts from raw events and compare every value."),
    "check": ("day:check", "Run the expectations over a day's newest end of day."),
    "publish": ("day:publish", "Publish a day's newest end of day, if its gate is open."),
    "override": ("day:override", "Answer for a failed check: two people, a reason, an end."),
    "cuts": ("look:cuts", "List sealed cuts: versions, digests, proof, gate."),
    "as-of": ("look:as_of", "Positions, P&L and margin at any time of a day."),
    "what-if": ("what_if:what_if", "Trades, prices, transfers or rules that never were, on a branch of a cut."),
    "rules-on": ("what_if:rules_on", "Every requirement of a cut under the rulebook of another date."),
    "trace": ("trace:trace", "From a cell to the events it was made of, and from an event to its cells."),
    "diff": ("diff:diff", "What changed between two versions of a date, and which events made it."),
    "sign": ("evidence:sign", "Sign a published version: preparer, reviewer, FinOp."),
    "pack": ("evidence:pack", "Put everything behind a published version into one archive."),
    "verify": ("evidence:verify", "Do an evidence pack again from its log, and compare every digest."),
    "scorecard": ("evidence:scorecard", "BCBS 239 scores of a published version, each with its proof."),
    "calc": ("calc:calc", "Put your own cases to the production rules."),
    "ledger": ("ledger:ledger", "The record of everything that was done."),
    "alerts": ("alerts:alerts", "What somebody must know, and its way to Slack."),
    "stack": ("orchestration.stack.cli:stack", "Kafka, Flink and their workers on this machine."),
    "jobs": ("orchestration.jobs.cli:jobs_group", "The applications as Flink jobs on that stack."),
    "topics": ("topics:topics", "The topics, settings and access that the chain wants of Kafka."),
    "warm-up": ("demo:warm_up", "Compile the models once, so that the first day runs at full speed."),
}
"""Command -> where it lives, and its line in the help."""


DEFECT = 1
USER_ERROR = 2
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        path = module if "." in module else f"orchestration.commands.{module}"
        return getattr(import_module(path), attribute)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the log, the sealed cuts and the ledger.  [default: $PLUMBLINE_HOME or .plumbline]",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the reports.  [default: out]")
@click.version_option(package_name="plumbline", prog_name="plumbline")
@click.pass_context
def plumbline(context: click.Context, home: Path | None, out: Path | None) -> None:
    """Intraday prime-broker risk and end-of-day reports from one streamed state, with proof."""
    import os

    from orchestration.settings import Settings

    context.obj = Settings.of(home, out, os.environ)


def main() -> NoReturn:
    """The entry point."""
    leave(run())


def run() -> int:
    """Carry out the command line; the exit code. Every error that a user can cause is one line, and exit code 2."""
    try:
        code = plumbline.main(prog_name="plumbline", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        help_wanted.show()
        return USER_ERROR
    except click.Abort:
        return INTERRUPTED
    except SystemExit as ended:
        if isinstance(ended.code, str):
            click.echo(ended.code, err=True)
            return DEFECT
        code = ended.code
    except Exception as error:
        if not is_user_error(error):
            traceback.print_exc()
            return DEFECT
        click.echo(f"Error: {one_line(error)}", err=True)
        return USER_ERROR
    return code if isinstance(code, int) else 0


def is_user_error(error: Exception) -> bool:
    """What a user, a file or a disk can cause; everything else is a defect and keeps its traceback."""
    if isinstance(error, (click.ClickException, UserError, OSError)):
        return True
    from streaming.cuts import UnknownCutError
    from streaming.log import LogError

    return isinstance(error, (UnknownCutError, LogError))


def one_line(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = str(error)
    return " ".join(text.split())


if __name__ == "__main__":
    main()
