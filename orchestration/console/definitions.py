"""What Dagster loads: ``dagster dev -m orchestration.console.definitions``, or ``plumbline dev``."""

import dagster as dg

from orchestration.console.assets import ASSETS
from orchestration.console.desk import Desk

defs = dg.Definitions(
    assets=ASSETS,
    resources={
        "desk": Desk(
            home=dg.EnvVar("PLUMBLINE_HOME"),
            out=dg.EnvVar("PLUMBLINE_OUT"),
        )
    },
    executor=dg.in_process_executor,  # a step in a process of its own would load every model again
)
