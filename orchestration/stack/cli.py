"""``plumbline stack``: the real Kafka and Flink on this machine."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestration.stack.errors import StackError
from orchestration.stack.paths import DEFAULT_DATA, paths_under

if TYPE_CHECKING:
    from orchestration.stack.control import Status

NOT_READY = 3  # exit code of `status`, as that of service managers
COLOURS = {"ready": "green", "starting": "yellow", "waiting": "red", "down": "bold red", "stopped": "dim"}

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DATA,
    show_default=True,
    help="Data directory of the stack.",
)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except StackError as error:
        raise click.ClickException(str(error)) from None


@click.group()
def stack() -> None:
    """Kafka, Flink and their workers on this machine, supervised."""


@stack.command()
@data_option
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML laid over infra/local/*.toml.")
@click.option("--new-ports", is_flag=True, help="Choose all free ports again instead of keeping the recorded ones.")
def up(data: Path, config: Path | None, new_ports: bool) -> None:
    """Start the stack, or wait for the one that is starting."""
    from orchestration.stack import control

    started = time.monotonic()
    with _errors_in_one_line(), _display() as show:
        found = control.up(data, config, new_ports=new_ports, say=click.echo, progress=show)
    click.echo(f"ready in {time.monotonic() - started:.1f} s")
    click.echo(f"  Kafka            {found.bootstrap_servers}")
    click.echo(f"  Flink            {found.flink_rest}")
    click.echo(f"  Beam job server  {found.job_endpoint}")
    click.echo(f"  Python workers   {', '.join(found.worker_endpoints)}")


@stack.command()
@data_option
def down(data: Path) -> None:
    """Stop exactly what was started here; topics, checkpoints and wanted jobs stay for the next `up`."""
    from orchestration.stack import control

    with _errors_in_one_line(), _display() as show:
        was_running = control.down(data, progress=show)
    click.echo("stopped" if was_running else f"no stack runs in {paths_under(data).data}")


@stack.command()
@data_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(data: Path, as_json: bool) -> None:
    """Show every process and job; exit code 0 when all are ready, else 3."""
    from orchestration.stack import control

    with _errors_in_one_line():
        found = control.status(data)
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=1))
    elif found is None:
        click.echo(f"no stack was ever started in {paths_under(data).data}")
    else:
        _print_status(found)
    raise SystemExit(0 if found and found.is_ready else NOT_READY)


@stack.command()
@click.argument("name", required=False)
@data_option
@click.option("-n", "lines", type=click.IntRange(1), default=40, show_default=True, help="Lines from the end.")
@click.option("-f", "follow", is_flag=True, help="Go on showing what is appended.")
def logs(name: str | None, data: Path, lines: int, follow: bool) -> None:
    """Show the log of one process, or without a name the record of starts, deaths and restarts."""
    from orchestration.stack import logs as log_files

    paths = paths_under(data)
    path = paths.events if name is None else paths.log(name)
    if not path.is_file():
        known = sorted(found.stem for found in paths.logs.glob("*.log"))
        raise click.ClickException(f"no log {path.name} in {paths.logs}; there are: {', '.join(known) or 'none'}")
    for line in log_files.last_lines(path, lines):
        click.echo(line)
    if follow:
        try:
            for line in log_files.follow(path):
                click.echo(line)
        except KeyboardInterrupt:
            return


@contextmanager
def _display() -> Iterator[Any]:
    """Show the processes while they change: a live table on a terminal, else a line per change."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield lambda state: live.update(_progress_table(state))


def _lines(console: Any) -> Any:
    seen: dict[str, str] = {}
    started = time.monotonic()

    def show(state: Mapping[str, Any]) -> None:
        for service in state["services"]:
            if seen.get(service["name"]) != service["condition"]:
                seen[service["name"]] = service["condition"]
                elapsed = time.monotonic() - started
                console.print(f"{elapsed:6.1f} s  {service['name']:<16} {service['condition']}", highlight=False)

    return show


def _progress_table(state: Mapping[str, Any]) -> Any:
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for service in state["services"]:
        condition = service["condition"]
        settled = condition in ("ready", "stopped", "down")
        mark = Text("●", style=COLOURS[condition]) if settled else Spinner("dots", style=COLOURS[condition])
        table.add_row(mark, service["name"], Text(condition, style=COLOURS[condition]), service["address"])
    return table


def _print_status(found: "Status") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"stack: {found.phase}", title_justify="left", box=None, header_style="bold")
    for heading in ("process", "condition", "pid", "memory MB", "restarts", "address"):
        table.add_column(heading, justify="right" if heading in ("pid", "memory MB", "restarts") else "left")
    for service in found.services:
        condition, memory = service["condition"], found.memory_mb.get(service["name"])
        style = COLOURS[condition]
        pid, restarts = str(service["pid"] or "–"), str(service["restarts"])
        used = "–" if memory is None else f"{memory:,.0f}"
        table.add_row(service["name"], f"[{style}]{condition}[/]", pid, used, restarts, service["address"])
    console.print(table)
    for job in found.jobs:
        console.print(f"job {job['name']}: {job['state']}, submitted {job['submitted']} times", highlight=False)
        if job["problem"]:
            console.print(f"  {job['problem']}", style="red", highlight=False, markup=False)
    if found.problem:
        console.print(found.problem, style="red", markup=False)
    if found.phase == "lost":
        console.print("the supervisor died: `plumbline stack up` starts afresh, `down` clears up", style="red")


def _as_json(found: "Status | None") -> dict[str, Any]:
    if found is None:
        return {"phase": "never started", "problem": None, "services": [], "jobs": []}
    services = [{**service, "memory_mb": found.memory_mb.get(service["name"])} for service in found.services]
    return {"phase": found.phase, "problem": found.problem, "services": services, "jobs": list(found.jobs)}
