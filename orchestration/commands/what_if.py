"""``plumbline what-if`` and ``plumbline rules-on``."""

from datetime import date
from pathlib import Path

import click

from orchestration.commands.days import Day
from orchestration.settings import Settings

_SHOWN = 20
INVALID = 2


@click.command("what-if")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--all", "everything", is_flag=True, help="Print every touched account.")
@click.pass_obj
def what_if(settings: Settings, file: Path, everything: bool) -> None:
    """Trades, prices, transfers or a rule date that never were, on a branch of a sealed cut.

    FILE (TOML or JSON, see docs/what-if.md) names the cut and what should have happened before it. Prints P&L,
    Regulation T, portfolio margin, house margin, net capital and reserve before and after, for the firm and every
    touched account, and writes them with the branch's tables below branch/. Filed numbers stay as they are.
    """
    from orchestration import what_if as asking
    from orchestration.pipeline import Home
    from orchestration.what_if_file import WhatIfError, read

    try:
        question = read(file)
        answer = asking.ask(Home.open(settings), question)
    except WhatIfError as error:
        for problem in error.problems:
            click.echo(f"Error: {problem}", err=True)
        raise SystemExit(INVALID) from None
    folder = settings.out / asking.BRANCH / question.name
    asking.write(answer, folder)
    for line in asking.lines(answer, None if everything else _SHOWN):
        click.echo(line)
    click.echo(f"\n{folder}")


@click.command("rules-on")
@click.argument("rule_date", metavar="DATE", type=Day())
@click.option("--cut", required=True, metavar="CUT", help="A sealed cut, such as 2020-03-16/eod.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Also write the lists there (Parquet).")
@click.option("--all", "everything", is_flag=True, help="Print every difference.")
@click.pass_obj
def rules_on(settings: Settings, rule_date: date, cut: str, to: Path | None, everything: bool) -> None:
    """Every requirement of a sealed cut under the rulebook of DATE, and what differs, with its paragraph.

    The cut is computed again on a branch: positions and prices stay, only the rule date differs.
    """
    from orchestration import what_if_rules
    from orchestration.pipeline import Home

    found = what_if_rules.rules_on(Home.open(settings), rule_date, cut)
    if to is not None:
        what_if_rules.write(found, to)
    for line in what_if_rules.lines(found, None if everything else _SHOWN):
        click.echo(line)
