"""``plumbline topics``: the topics, settings and ACLs that the chain wants, against a cluster."""

from pathlib import Path

import click

from orchestration.stack.paths import DEFAULT_DATA

DIFFERENT = 1

cluster_option = click.option(
    "--cluster",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="TOML: how to reach a cluster, and what it is.  [default: the local stack]",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DATA,
    show_default=True,
    help="Data directory of the local stack.",
)
deployment_option = click.option(
    "--deployment", type=click.Path(path_type=Path, dir_okay=False), help="TOML: which applications are one job."
)


@click.group()
def topics() -> None:
    """Topics, their settings and ACLs, generated from the chain."""


@topics.command("list")
@cluster_option
@deployment_option
def list_wanted(cluster: Path | None, deployment: Path | None) -> None:
    """Show what is wanted; asks no cluster."""
    from orchestration.jobs.deployment import load_deployment
    from orchestration.topics.wanted import ClusterSettings, load_cluster, wanted_acls, wanted_topics

    wanted, settings = load_deployment(deployment), load_cluster(cluster) if cluster else ClusterSettings({})
    for topic in wanted_topics(wanted, settings):
        click.echo(f"{topic.name:28} {topic.kind:9} {topic.partitions:>4} partitions  {topic.replication} replicas")
        click.echo("".join(f"    {name}={value}\n" for name, value in topic.settings.items()), nl=False)
    for acl in sorted(wanted_acls(wanted, settings)):
        click.echo(acl)


@topics.command()
@cluster_option
@data_option
@deployment_option
@click.pass_context
def diff(context: click.Context, cluster: Path | None, data: Path, deployment: Path | None) -> None:
    """Print how a cluster differs; exit code 1 when it does. Changes nothing."""
    admin, wanted = _opened(cluster, data, deployment)
    found = admin.compare(*wanted)
    for line in found.lines():
        click.echo(line)
    if found:
        context.exit(DIFFERENT)
    click.echo("nothing differs")


@topics.command()
@cluster_option
@data_option
@deployment_option
def apply(cluster: Path | None, data: Path, deployment: Path | None) -> None:
    """Create topics and partitions, set settings, grant access. Never deletes, shrinks or revokes."""
    admin, wanted = _opened(cluster, data, deployment)
    found = admin.apply(*wanted)
    for line in found.lines():
        click.echo(line)
    if not found.changes:
        click.echo("nothing to change")


def _opened(cluster: Path | None, data: Path, deployment: Path | None):
    """An administrator of the cluster, and the topics and ACLs that the deployment wants of it."""
    from orchestration.jobs.control import Cluster
    from orchestration.jobs.deployment import load_deployment
    from orchestration.topics.cluster import TopicAdmin
    from orchestration.topics.wanted import ClusterSettings, load_cluster, wanted_acls, wanted_topics

    wanted = load_deployment(deployment)
    if cluster is not None:
        settings = load_cluster(cluster)
    else:
        settings = ClusterSettings({"bootstrap.servers": Cluster(data).plan.endpoints.bootstrap_servers})
    return TopicAdmin(settings), (wanted_topics(wanted, settings), wanted_acls(wanted, settings))
