"""The streams as the desk sees them: raw topics and live jobs, none of which Dagster computes. Unpartitioned."""

import dagster as dg

from orchestration.console.topology import topology
from streaming.schema.raw import EPOCHS, FEEDS, REFERENCE_FEEDS

GROUP, REFERENCE_GROUP = "streams", "reference"
JOBS_GROUP = "jobs"
OWNER = "team:platform"
_PURPOSE = {
    "market": "Reference data, price sets, valuation of every instrument in every core scenario.",
    "accounts": "Book, positions, P&L, exposure, stress, VaR and margin, account by account.",
    "firm": "Sums over the shards: firm risk, net capital, reserve, early warnings.",
}


def topic_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["streams", name])


def job_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["jobs", name])


def topics() -> list[dg.AssetSpec]:
    """Every raw topic, and the clock that orders them."""
    made = []
    for topic in (*FEEDS, EPOCHS):
        columns = [
            dg.TableColumn(
                column.name, str(column.type), "; ".join(part for part in (column.unit, column.text) if part)
            )
            for column in topic.columns
        ]
        metadata = {"dagster/column_schema": dg.TableSchema(columns)} if columns else {}
        deps = [topic_key(feed.name) for feed in FEEDS] if topic is EPOCHS else []
        made.append(
            dg.AssetSpec(
                topic_key(topic.name),
                deps=deps,
                description=topic.text or "The clock: which messages of every topic belong together.",
                group_name=REFERENCE_GROUP if topic in REFERENCE_FEEDS else GROUP,
                owners=[OWNER],
                kinds={"kafka"},
                metadata={**metadata, "schema_version": topic.version, "sharded": topic.sharded},
            )
        )
    return made


def jobs() -> list[dg.AssetSpec]:
    """The live jobs, from the topics they read to the cuts they seal."""
    found = topology()
    return [
        dg.AssetSpec(
            job_key(name),
            deps=[
                *map(topic_key, found.job_topics(name)),
                *map(job_key, found.job_inputs(name)),
                topic_key(EPOCHS.name),
            ],
            description=f"{_PURPOSE.get(name, 'A live job.')} Applications: {', '.join(apps)}.",
            group_name=JOBS_GROUP,
            owners=[OWNER],
            kinds={"beam", "flink"},
        )
        for name, apps in found.jobs.items()
    ]
