"""Columns of a sealed table, and the raw events that decide them.

Which topics reach an application is exact: it follows from the chain. Within a topic the lineage names the column of
the same name, else the one that identifies the event: a model's result depends on all fields of an event.
"""

from functools import cache

import dagster as dg

from orchestration.console.streams import topic_key
from orchestration.console.topology import topology
from streaming.schema.model import Topic
from streaming.schema.raw import FEEDS
from streaming.schema.sealed import TABLES


@cache
def schema(name: str) -> dg.TableSchema:
    """The columns of a sealed table, with unit and meaning."""
    columns = [
        dg.TableColumn(
            column.name,
            str(column.type),
            "; ".join(part for part in (column.unit, column.text) if part),
            dg.TableColumnConstraints(nullable=not column.required, unique=(column.name,) == TABLES[name].key),
        )
        for column in TABLES[name].columns
    ]
    return dg.TableSchema(columns)


@cache
def lineage(name: str) -> dg.TableColumnLineage:
    """Each column of a sealed table down to the raw topics."""
    topics = {topic.name: topic for topic in FEEDS}
    sources = [topics[topic] for topic in topology().table_topics(name)]
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(topic_key(topic.name), _column(topic, column.name)) for topic in sources]
            for column in TABLES[name].columns
        }
    )


def _column(topic: Topic, name: str) -> str:
    names = [column.name for column in topic.columns]
    return next((wanted for wanted in (name, "id", topic.key) if wanted in names), names[0])
