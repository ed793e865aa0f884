"""Start, stop and resume the live jobs: Flink jobs of a stack, or the in-process engine."""

from datetime import date
from pathlib import Path

from orchestration.console import player
from orchestration.console.clock import today
from orchestration.console.desk import Desk
from orchestration.errors import UserError


def start(desk: Desk) -> dict[str, str]:
    """Start every live job, or let it go on where it stopped; job -> from where."""
    return _submit(desk) if desk.stack else _start_engine(desk)


def stop(desk: Desk) -> dict[str, str]:
    """Stop every live job with a savepoint; job -> what it goes on from."""
    if desk.stack:
        from orchestration.jobs import control
        from orchestration.stack import jobs

        cluster = control.Cluster(Path(desk.stack))
        return {spec.name: control.stop(cluster, spec.name) for spec in jobs.wanted(cluster.plan.paths)}
    day = today(desk.now())
    player.stop(desk.settings(day))
    return dict.fromkeys(_names(), "what is committed")


def _submit(desk: Desk) -> dict[str, str]:
    from orchestration.jobs import control
    from orchestration.jobs.deployment import load_deployment
    from orchestration.stack import jobs

    cluster, deployment = control.Cluster(Path(desk.stack)), load_deployment()
    running = {spec.name for spec in jobs.wanted(cluster.plan.paths)}
    found = dict.fromkeys(running, "running already")
    for name in deployment.apps:
        if name not in running:
            found[name] = control.submit(cluster, deployment, name) or "its newest cut"
    return found


def _start_engine(desk: Desk) -> dict[str, str]:
    day = playable(desk)
    process = player.start(desk.settings(day), desk.settings(), day)
    return dict.fromkeys(_names(), f"what is committed, in process {process}")


def playable(desk: Desk) -> date:
    """The day whose events the in-process engine plays; UserError where there is none."""
    day = today(desk.now())
    if not (desk.settings(day).home / "generated.json").exists():
        raise UserError(
            f"{day}: expected a generated session in {desk.settings(day).home} (`plumbline dev`), found none; ingested "
            "events need no live jobs: materialise end_of_day"
        )
    return day


def _names() -> list[str]:
    from orchestration.console.topology import topology

    return list(topology().jobs)
