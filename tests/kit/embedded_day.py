"""A generated day run and sealed by the bare loop in this process: the undisturbed run that others are held against."""

from collections.abc import Sequence
from pathlib import Path

from orchestration import generated
from orchestration.pipeline import Home, run_jobs, seal
from orchestration.progress import Silent
from orchestration.settings import Settings
from streaming.demo import DaySpec
from streaming.engine.epochs import Mark


def embedded(folder: Path, spec: DaySpec, marks: Sequence[Mark] | None = None) -> Home:
    """Its home, in a folder of its own."""
    settings = Settings(folder / "home", folder / "out")
    generated.prepare(settings, spec)
    generated.feed_generated(settings, spec, lambda _: None, marks)
    home = Home.open(settings)
    run_jobs(home, Silent())
    seal(home, Silent())
    return home
