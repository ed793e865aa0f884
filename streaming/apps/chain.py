"""The whole topology on one screen.

  instruments accounts actions rates closes policies   prices fx               trades cash custody firm
                      |                                    |                             |
                  reference -------------+                 |                             |            1 shard
                      |                  +---------- price_sets                          |            1 shard
                      |                  |                 |                             |
                      |                  +----------- valuation                          |            1 shard
                      |                                    |                             |
                      +------------------------------------|-------------------------- book           P shards
                      |                                    |                             |
                      |                                    |                         positions        P shards
                      |                                    +--- exposure, stress, margin -----+       P shards
                      |                                    |                             |    |
                      +------------------------------------|----------------- firm_records    |       P shards
                      |                                    |                             |    |
                      +------------------------------------+---- capital -----------------+---+       1 shard

Capital takes the sealed tables of the account applications, so it moves from cut to cut.
An application names its inputs; everything else about the topology follows from that.
"""

from collections.abc import Mapping

from streaming.apps.book import BookApp
from streaming.apps.exposure import ExposureApp
from streaming.apps.firm import FirmApp
from streaming.apps.firm_records import FirmRecordsApp
from streaming.apps.firm_risk import FirmRiskApp
from streaming.apps.margin import MarginApp
from streaming.apps.positions import PositionsApp
from streaming.apps.price_sets import PriceSetsApp
from streaming.apps.reference import ReferenceApp
from streaming.apps.stress import StressApp
from streaming.apps.valuation import ValuationApp
from streaming.apps.var import VarApp
from streaming.engine.app import RAW_TOPICS, App, Job
from streaming.schema.raw import CONTROL, EPOCHS, FEEDS

SHARDS = 2


def apps() -> tuple[App, ...]:
    """Every application, upstream first."""
    return (
        ReferenceApp(),
        PriceSetsApp(),
        ValuationApp(),
        BookApp(),
        PositionsApp(),
        ExposureApp(),
        StressApp(),
        VarApp(),
        MarginApp(),
        FirmRecordsApp(),
        FirmRiskApp(),
        FirmApp(),
    )


FUSED: Mapping[str, tuple[str, ...]] = {
    "market": ("reference", "price_sets", "valuation"),
    "accounts": ("book", "positions", "exposure", "stress", "var", "margin", "firm_records"),
    "firm": ("firm_risk", "capital"),
}
"""The default deployment."""


def jobs(deployment: Mapping[str, tuple[str, ...]] = FUSED) -> tuple[Job, ...]:
    """The jobs of a deployment, upstream first. An application's rows get a topic where another job reads them."""
    by_name = {app.name: app for app in apps()}
    if by_name.keys() & RAW_TOPICS:
        raise ValueError(f"applications: expected names other than raw topics, found {by_name.keys() & RAW_TOPICS}")
    named = [name for names in deployment.values() for name in names]
    if sorted(named) != sorted(by_name):
        raise ValueError(f"deployment: expected each application once, {', '.join(by_name)}; found {', '.join(named)}")
    made = []
    for job, names in deployment.items():
        outside = {name for app in by_name.values() if app.name not in names for name in app.inputs}
        made.append(Job(job, tuple(by_name[name] for name in names), frozenset(outside & set(names))))
    return tuple(made)


def job(name: str, deployment: Mapping[str, tuple[str, ...]] = FUSED) -> Job:
    """One job of a deployment: what a worker process is told by name."""
    found = {made.name: made for made in jobs(deployment)}
    if name not in found:
        raise ValueError(f"deployment: expected a job of {', '.join(found)}; found {name}")
    return found[name]


def topics(shards: int = SHARDS, deployment: Mapping[str, tuple[str, ...]] = FUSED) -> dict[str, int]:
    """Every topic with its number of partitions."""
    made = {topic.name: topic.partitions(shards) for topic in (*FEEDS, EPOCHS, CONTROL)}
    for job in jobs(deployment):
        made |= job.topics(shards)
    return made
