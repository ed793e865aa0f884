"""Jobs, applications, their inputs and sealed tables, as ``streaming/apps/chain.py`` has them.

Importing the chain loads every model and takes seconds, which a console that only draws the graph cannot spend: it
reads ``topology.json``. ``python -m orchestration.console.topology`` writes that file; a test compares it with the
chain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path

import orjson

FILE = "topology.json"
_SEALED = ".sealed"


@dataclass(frozen=True)
class Topology:
    """Who reads what and seals what."""

    jobs: Mapping[str, tuple[str, ...]]
    """Job -> its applications."""
    inputs: Mapping[str, tuple[str, ...]]
    """Application -> raw topics and applications it reads."""
    tables: Mapping[str, tuple[str, ...]]
    """Sealed table -> the applications that seal rows of it."""

    def job_of(self, app: str) -> str:
        return next(job for job, apps in self.jobs.items() if app in apps)

    def topics_of(self, app: str) -> tuple[str, ...]:
        """Every raw topic that an application depends on, sorted."""
        found: set[str] = set()
        for name in self.inputs[app]:
            reader = name.removesuffix(_SEALED)
            found |= set(self.topics_of(reader)) if reader in self.inputs else {name}
        return tuple(sorted(found))

    def job_topics(self, job: str) -> tuple[str, ...]:
        """The raw topics that a job reads itself."""
        found = {name for app in self.jobs[job] for name in self.inputs[app]}
        return tuple(sorted(name for name in found if name.removesuffix(_SEALED) not in self.inputs))

    def job_inputs(self, job: str) -> tuple[str, ...]:
        """The jobs whose rows a job reads, upstream first."""
        names = {name.removesuffix(_SEALED) for app in self.jobs[job] for name in self.inputs[app]}
        upstream = {self.job_of(name) for name in names if name in self.inputs}
        return tuple(name for name in self.jobs if name in upstream and name != job)

    def cut_to_cut(self, job: str) -> bool:
        """Whether a job takes sealed tables, so that it moves from cut to cut and stands still in between."""
        return any(name.endswith(_SEALED) for app in self.jobs[job] for name in self.inputs[app])

    def table_topics(self, table: str) -> tuple[str, ...]:
        """The raw topics that decide a sealed table."""
        return tuple(sorted({topic for app in self.tables[table] for topic in self.topics_of(app)}))


@cache
def topology() -> Topology:
    """As last written."""
    found = orjson.loads(files("orchestration.console").joinpath(FILE).read_bytes())
    return Topology(*({name: tuple(names) for name, names in found[part].items()} for part in found))


def of_chain() -> Topology:
    """From the chain itself: what an application seals is what its empty state seals."""
    from streaming.apps import chain
    from streaming.engine.epochs import Epoch
    from streaming.schema.raw import FEEDS

    ends = {topic.name: (0,) * topic.partitions(chain.SHARDS) for topic in FEEDS}
    day = date(2020, 3, 16)
    epoch = Epoch(0, 0, day, ends, f"{day}/163000", f"{day}/eod", {})
    tables: dict[str, tuple[str, ...]] = {}
    for app in chain.apps():
        for name in app.seal(app.empty(0, chain.SHARDS), epoch):
            tables[name] = (*tables.get(name, ()), app.name)
    return Topology(dict(chain.FUSED), {app.name: app.inputs for app in chain.apps()}, tables)


def main() -> None:
    found = of_chain()
    content = {"jobs": found.jobs, "inputs": found.inputs, "tables": found.tables}
    Path(__file__).with_name(FILE).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
