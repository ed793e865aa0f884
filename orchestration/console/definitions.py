"""What Dagster loads: ``plumbline dev``, or ``dagster dev -m orchestration.console.definitions`` with the variables."""

import dagster as dg

from orchestration.console import schedules
from orchestration.console.assets import ASSETS
from orchestration.console.clock import played_session
from orchestration.console.desk import Desk
from orchestration.console.engine import live_jobs
from orchestration.console.jobs import JOBS
from orchestration.console.sensors import CHECKS, SENSORS

defs = dg.Definitions(
    assets=[*ASSETS, live_jobs],
    asset_checks=CHECKS,
    jobs=JOBS,
    schedules=schedules.build(played=played_session() is not None),
    sensors=SENSORS,
    resources={
        "desk": Desk(
            home=dg.EnvVar("PLUMBLINE_HOME"),
            out=dg.EnvVar("PLUMBLINE_OUT"),
            base_url=dg.EnvVar("PLUMBLINE_BASE_URL"),
            stack=dg.EnvVar("PLUMBLINE_STACK"),
        )
    },
    executor=dg.in_process_executor,  # a step in a process of its own would load every model again
)
