"""How the streams stand: rows, lag, progress of the live jobs, age of the newest checkpoint, the last sealed cut."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from orchestration.console.desk import Desk, opened, streams_alive
from orchestration.console.topology import topology
from orchestration.settings import Settings
from streaming.engine.epochs import EPOCHS, EpochIndex
from streaming.schema.raw import FEEDS

if TYPE_CHECKING:
    from orchestration.pipeline import Home

LAG_MAX = timedelta(minutes=5)
"""Desk time by which the clock or a job may be behind before the streams count as unhealthy."""
RUNNING, STOPPED = "RUNNING", "stopped"


@dataclass(frozen=True)
class JobStanding:
    """One live job."""

    state: str
    lag_epochs: int
    lag_seconds: float
    """Between the newest epoch and the newest that every shard has applied, on the clock's own time."""
    checkpoint_age_s: float | None


@dataclass(frozen=True)
class Standing:
    """All streams of the desk's day."""

    wanted: bool
    """Whether somebody started the live jobs and nobody stopped them."""
    jobs: Mapping[str, JobStanding]
    rows: Mapping[str, int]
    """Messages by topic."""
    clock_time: datetime | None
    """When the newest epoch was closed; None before the first."""
    clock_lag_s: float
    """Desk time since then, within the session; 0 outside."""
    last_cut: str

    @property
    def troubles(self) -> list[str]:
        """What is wrong, one line each; empty when the streams are as they should be."""
        found = []
        if self.wanted:
            limit = LAG_MAX.total_seconds()
            for name, job in self.jobs.items():
                if job.state != RUNNING:
                    found.append(f"job {name}: expected {RUNNING}, found {job.state}")
                elif job.lag_seconds > limit:
                    found.append(f"job {name}: expected a lag of at most {limit:.0f} s, found {job.lag_seconds:.0f} s")
            if self.clock_lag_s > limit:
                found.append(f"clock: expected a lag of at most {limit:.0f} s, found {self.clock_lag_s:.0f} s")
        return found


def shards(home: "Home") -> list[tuple[str, int]]:
    """``accounts-2`` -> the first epoch that this shard of a live job has not committed."""
    from streaming.apps import chain

    home.index.refresh()
    count = home.log.topics()["trades"]
    names = [f"{job.name}-{shard}" for job in chain.jobs() for shard in job.shards(count)]
    return [(name, home.index.number_at(home.log.progress_of(name).get((EPOCHS, 0), 0))) for name in names]


def wanted_file(settings: Settings) -> Path:
    """There while the in-process engine should run."""
    return settings.home / "streams.wanted"


def heartbeat_file(settings: Settings) -> Path:
    """What the in-process engine last did: wall-clock time of its newest commit."""
    return settings.home / "streams.json"


def standing(desk: Desk) -> Standing:
    """Of the day that it is at the desk."""
    from orchestration.console.clock import today

    now = desk.now()
    settings = desk.settings(today(now))
    with opened(settings) as home:
        return _standing(desk, settings, home, now)


def _standing(desk: Desk, settings: Settings, home: "Home", now: datetime) -> Standing:
    from streaming.cuts import list_cuts

    home.index.refresh()
    end = home.index.end
    newest = home.index[end - 1] if end else None
    closed = datetime.fromtimestamp(newest.time / 1e6, UTC) if newest else None
    rows = {
        topic.name: sum(home.log.end(topic.name, part) for part in range(home.log.topics()[topic.name]))
        for topic in FEEDS
    }
    cuts = list_cuts(settings.store)
    jobs = _flink(desk) if desk.stack else _embedded(home)
    wanted = bool(desk.stack) or wanted_file(settings).exists()
    return Standing(wanted, jobs, rows, closed, _clock_lag(now, closed), cuts[-1] if cuts else "")


def _clock_lag(now: datetime, closed: datetime | None) -> float:
    """Seconds of the session that the clock has not covered."""
    from orchestration import calendar
    from orchestration.console.clock import today

    day = today(now)
    if not calendar.is_session(day):
        return 0.0
    times = calendar.session(day)
    until = min(now, times.end_of_day)
    return max(0.0, (until - max(closed or times.open, times.open)).total_seconds())


def _embedded(home: "Home") -> dict[str, JobStanding]:
    state = RUNNING if streams_alive(home.settings) else STOPPED
    beat = heartbeat_file(home.settings)
    age = None
    if beat.exists():
        age = max(0.0, datetime.now(UTC).timestamp() - orjson.loads(beat.read_bytes())["committed"])
    found: dict[str, JobStanding] = {}
    for name, following in shards(home):
        job = name.rpartition("-")[0]
        made = JobStanding(state, *_lag(home.index, following, job), age)
        found[job] = max(found.get(job, made), made, key=lambda one: one.lag_epochs)
    return found


def _lag(index: EpochIndex, following: int, job: str) -> tuple[int, float]:
    """Epochs and seconds that a shard is behind what it can have applied, when ``following`` is its next epoch."""
    end = index.end
    if topology().cut_to_cut(job):
        end = max(index.cuts().values(), default=-1) + 1
    if following >= end:
        return 0, 0.0
    return end - following, (index[end - 1].time - index[max(following - 1, 0)].time) / 1e6


def _flink(desk: Desk) -> dict[str, JobStanding]:
    from orchestration.jobs.control import Cluster
    from orchestration.jobs.deployment import load_deployment
    from orchestration.jobs.standing import standings

    cluster, found = Cluster(Path(desk.stack)), {}
    log = cluster.log()
    index = EpochIndex(log)
    end = index.refresh()
    for one in standings(cluster, load_deployment()):
        behind = max(lag.epochs for lag in one.lags)
        age = one.checkpoint.age_s if one.checkpoint else None
        found[one.job] = JobStanding(one.state, *_lag(index, max(end - behind, 0), one.job), age)
    log.close()
    return found
