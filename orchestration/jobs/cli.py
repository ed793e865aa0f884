"""``plumbline jobs``: the applications as Flink jobs on the local stack."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestration.settings import Settings
from orchestration.stack.paths import DEFAULT_DATA
from streaming.log import Log

if TYPE_CHECKING:
    from orchestration.jobs.control import Cluster


def on_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """A command of a running stack: it is given the cluster that ``--data`` and ``--prefix`` name."""

    @click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_DATA,
        show_default=True,
        help="Data directory of the stack.",
    )
    @click.option("--prefix", default="", help="Of the environment, where several share the stack's Kafka.")
    @wraps(command)
    def given(*arguments: Any, data: Path, prefix: str, **options: Any) -> None:
        from orchestration.jobs.control import Cluster

        command(*arguments, cluster=Cluster(data, prefix), **options)

    return given


deployment_option = click.option(
    "--deployment", type=click.Path(path_type=Path, dir_okay=False), help="TOML: which applications are one job."
)
SAMPLE_S = 1.0
name_argument = click.argument("name")
log_option = click.option(
    "--log", "log_json", metavar="JSON", help='Where the log is, instead of the stack\'s Kafka: {"kind": ...}.'
)


@click.group("jobs")
def jobs_group() -> None:
    """Long-lived Flink jobs on the local stack."""


@jobs_group.command()
@click.argument("names", nargs=-1)
@on_cluster
@deployment_option
@click.option("--from-beginning", is_flag=True, help="Even where progress is committed and no cut is sealed.")
def submit(names: tuple[str, ...], cluster: "Cluster", deployment: Path | None, from_beginning: bool) -> None:
    """Submit jobs, all of the deployment when none is named."""
    from orchestration.jobs import control
    from orchestration.jobs.deployment import load_deployment

    found = load_deployment(deployment)
    for name in names or found.apps:
        savepoint = control.submit(cluster, found, name, from_beginning=from_beginning)
        click.echo(f"{name}: submitted, {f'goes on from {savepoint}' if savepoint else 'starts from its newest cut'}")


@jobs_group.command("list")
@on_cluster
@deployment_option
@click.option("--prometheus", is_flag=True, help="In Prometheus' text format.")
def list_jobs(cluster: "Cluster", deployment: Path | None, prometheus: bool) -> None:
    """Show state, checkpoint, lag and work of every job and shard; rows/s are those of one second."""
    from orchestration.jobs.deployment import load_deployment
    from orchestration.jobs.standing import as_prometheus, standings

    found = standings(cluster, load_deployment(deployment), 0.0 if prometheus else SAMPLE_S)
    if prometheus:
        click.echo(as_prometheus(found), nl=False)
        return
    for standing in found:
        line = f"{standing.job:12} {standing.state:10}"
        if standing.checkpoint is not None:
            made = standing.checkpoint
            line += (
                f" checkpoint {made.number}: {made.size_bytes:,} bytes, {made.duration_ms} ms, {made.age_s:.0f} s ago"
            )
        click.echo(line)
        if standing.failure and standing.state != "RUNNING":
            click.echo(f"  failed: {standing.failure}")
        for lag, work in zip(standing.lags, standing.work, strict=True):
            click.echo(
                f"  shard {lag.shard:<3} lag {lag.offsets:>9,} offsets {lag.epochs:>7,} epochs {lag.seconds:>9,.1f} s"
                f" {work.rows_per_s:>10,.0f} rows/s   transaction {work.transaction_ms:>7,.1f} ms"
                f"   quarantined {work.quarantined:,}"
            )


@jobs_group.command()
@on_cluster
@deployment_option
@click.option("--serve", "port", type=click.IntRange(1, 65535), help="Answer Prometheus on this port, until stopped.")
def metrics(cluster: "Cluster", deployment: Path | None, port: int | None) -> None:
    """The same in Prometheus' text format; with --serve on the loopback address."""
    import threading

    from orchestration.jobs.deployment import load_deployment
    from orchestration.jobs.standing import HOST, as_prometheus, serve, standings

    found = load_deployment(deployment)
    if port is None:
        click.echo(as_prometheus(standings(cluster, found)), nl=False)
        return
    serve(lambda: standings(cluster, found), port)
    click.echo(f"http://{HOST}:{port}/metrics")
    threading.Event().wait()


@jobs_group.command()
@name_argument
@on_cluster
def stop(name: str, cluster: "Cluster") -> None:
    """Stop a job with a savepoint."""
    from orchestration.jobs import control

    click.echo(f"{name}: stopped, savepoint {control.stop(cluster, name)}")


@jobs_group.command()
@name_argument
@on_cluster
@deployment_option
def restart(name: str, cluster: "Cluster", deployment: Path | None) -> None:
    """Stop a job and let it go on from its savepoint."""
    from orchestration.jobs import control
    from orchestration.jobs.deployment import load_deployment

    click.echo(f"{name}: goes on from {control.restart(cluster, load_deployment(deployment), name)}")


@jobs_group.command()
@name_argument
@click.argument("parallelism", type=click.IntRange(1, 128))
@on_cluster
@deployment_option
def rescale(name: str, parallelism: int, cluster: "Cluster", deployment: Path | None) -> None:
    """Let a job go on at another parallelism, from its newest sealed cut."""
    from orchestration.jobs import control
    from orchestration.jobs.deployment import load_deployment

    control.rescale(cluster, load_deployment(deployment), name, parallelism)
    click.echo(f"{name}: starts at parallelism {parallelism} from its newest cut")


@jobs_group.command()
@on_cluster
@log_option
def clock(cluster: "Cluster", log_json: str | None) -> None:
    """Close epochs and mark cuts beside the running jobs, until stopped. A second clock takes over from the first."""
    from orchestration.jobs import clock as beside

    beside.run(_log(cluster, log_json, following=True))


@jobs_group.command()
@on_cluster
@log_option
@deployment_option
@click.option("--store", type=click.Path(path_type=Path, file_okay=False), help="Folder of the sealed cuts.")
@click.pass_obj
def seal(
    settings: Settings, cluster: "Cluster", log_json: str | None, deployment: Path | None, store: Path | None
) -> None:
    """Seal each cut as soon as all shards have, until stopped."""
    import logging

    from orchestration.jobs import sealer
    from orchestration.jobs.deployment import load_deployment
    from streaming.engine.sealing import CutStore

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-5s %(message)s")
    sealer.run(_log(cluster, log_json), load_deployment(deployment).jobs(), CutStore(store or settings.store))


@jobs_group.command()
@on_cluster
@log_option
def cut(cluster: "Cluster", log_json: str | None) -> None:
    """Ask the clock for a cut out of schedule; prints its id once it is marked."""
    from orchestration import edge
    from orchestration.jobs.clock import request_cut

    click.echo(request_cut(_log(cluster, log_json), edge.user()))


def _log(cluster: "Cluster", log_json: str | None, following: bool = False) -> Log:
    from streaming.log.opening import open_log

    return open_log(log_json or cluster.log_spec, following)
