"""What a deployment wants of its Kafka cluster: every topic with its settings, and what each principal may do.

A job is one principal. It reads its own inputs, writes its own outputs, and owns the writer names (transactional ids
and consumer groups) that begin with its own. Kafka implies DESCRIBE where it grants READ, WRITE or ALTER.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import permutations
from pathlib import Path
from typing import Any

from orchestration.errors import UserError
from orchestration.jobs.deployment import Deployment
from streaming.apps import chain
from streaming.engine.frames import sealed_topic
from streaming.schema.raw import CONTROL, EPOCHS, FEEDS

DAY_MS = 86_400_000
MESSAGE_BYTES_MAX = 8_388_608
"""A writer's message with its framing."""
READER_GROUP = "plumbline-reader"
"""The group that every reader names and none commits to: the client asks who coordinates it."""
PROGRESS_TOPICS = ("progress.feed",)
"""Progress whose key is no topic (see streaming/log/kafka.py)."""
LITERAL, PREFIXED = "literal", "prefixed"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What one cluster is: how to reach it, and what of the topics' settings depends on it."""

    client: Mapping[str, object]
    prefix: str = ""
    replication: int = 1
    in_sync_min: int = 1
    keep_everything: bool = True
    """No limit of age: for clusters that replay past days."""
    tiered: bool = False
    """Old segments go to remote storage."""
    acls: bool = False
    """Access is granted by name; without it the cluster has no authorizer."""


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as it should be. ``name`` is Kafka's."""

    name: str
    kind: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One thing that one principal may do, from any host."""

    principal: str
    resource: str
    name: str
    pattern: str
    operation: str

    def __str__(self) -> str:
        star = "*" if self.pattern == PREFIXED else ""
        return f"{self.principal} may {self.operation.upper()} {self.resource} {self.name}{star}"


@dataclass(frozen=True, slots=True)
class Role:
    """What one principal reads, writes and calls its writers. A writer name ending in ``-`` stands for all that
    begin with it."""

    name: str
    reads: frozenset[str]
    writes: frozenset[str]
    writers: tuple[str, ...] = ()
    watches: tuple[str, ...] = field(default=())
    """Writers of others whose progress it may see."""

    @property
    def principal(self) -> str:
        return f"User:plumbline-{self.name}"


def load_cluster(path: Path) -> ClusterSettings:
    """Read a cluster's TOML file; UserError when it is wrong."""
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"cluster {path}: {error}") from None
    try:
        made = ClusterSettings(**found)
    except TypeError:
        known = ", ".join(ClusterSettings.__dataclass_fields__)
        raise UserError(f"cluster {path}: expected client and any of {known}; found {', '.join(found)}") from None
    if "bootstrap.servers" not in made.client:
        raise UserError(f"cluster {path}: [client]: expected bootstrap.servers, found {sorted(made.client)}")
    if not 1 <= made.in_sync_min <= made.replication:
        expected = f"expected in_sync_min from 1 to the replication {made.replication}"
        raise UserError(f"cluster {path}: {expected}, found {made.in_sync_min}")
    return made


def wanted_topics(deployment: Deployment, cluster: ClusterSettings) -> tuple[WantedTopic, ...]:
    """Every topic of the deployment, raw ones first."""
    counts = deployment.topics() | dict.fromkeys(PROGRESS_TOPICS, 1)
    return tuple(_topic(name, count, cluster) for name, count in counts.items())


def wanted_acls(deployment: Deployment, cluster: ClusterSettings) -> frozenset[Acl]:
    """Everything that every principal may do; nothing when the cluster grants nothing by name."""
    if not cluster.acls:
        return frozenset()
    made = roles(deployment)
    granted = {acl for role in made for acl in _granted(role, cluster.prefix)}
    return frozenset(granted | set(_administration(deployment, cluster.prefix)))


def roles(deployment: Deployment) -> tuple[Role, ...]:
    """Every job, and the programs beside them. UserError when one could write under another's name."""
    feeds = frozenset(topic.name for topic in FEEDS)
    sealed = frozenset(sealed_topic(app.name) for app in chain.apps())
    jobs = [
        Role(
            job.name,
            reads=frozenset({*job.inputs, EPOCHS.name, *(sealed_topic(app.name) for app in job.apps)}),
            writes=frozenset(job.topics(deployment.shards)),
            writers=(f"{job.name}-",),
        )
        for job in deployment.jobs()
    ]
    beside = [
        Role("clock", feeds | {CONTROL.name, EPOCHS.name}, frozenset({EPOCHS.name}), ("clock",)),
        Role("feeds", frozenset(PROGRESS_TOPICS), feeds, ("feed-", "ingest")),
        Role("sealer", sealed | {EPOCHS.name}, frozenset()),
        Role(
            "console",
            feeds | sealed | {EPOCHS.name},
            frozenset({CONTROL.name}),
            ("console",),
            watches=tuple(f"{job.name}-" for job in deployment.jobs()),
        ),
    ]
    made = (*jobs, *beside)
    _refuse_shared_names(made)
    return made


def _refuse_shared_names(made: Iterable[Role]) -> None:
    for one, other in permutations(made, 2):
        if one.name == other.name:
            raise UserError(f"deployment: expected a name of its own for each job and program, found {one.name} twice")
        for mine in one.writers:
            for theirs in other.writers:
                if mine == theirs or (mine.endswith("-") and theirs.startswith(mine)):
                    raise UserError(
                        f"deployment: writers of {other.name} ({theirs}) would be within {one.name}'s ({mine})"
                    )


def _granted(role: Role, prefix: str) -> Iterator[Acl]:
    who = role.principal
    for topic in role.reads:
        yield Acl(who, "topic", prefix + topic, LITERAL, "read")
        yield Acl(who, "topic", prefix + topic, LITERAL, "describe_configs")  # a reader refuses compacted topics
    for topic in role.writes:
        yield Acl(who, "topic", prefix + topic, LITERAL, "write")
    for writer in role.writers:
        pattern = PREFIXED if writer.endswith("-") else LITERAL
        yield Acl(who, "transactional_id", prefix + writer, pattern, "write")
        yield Acl(who, "group", prefix + writer, pattern, "read")
    for writer in role.watches:
        yield Acl(who, "group", prefix + writer, PREFIXED, "describe")
    yield Acl(who, "group", READER_GROUP, LITERAL, "describe")


def _administration(deployment: Deployment, prefix: str) -> Iterator[Acl]:
    """What ``plumbline topics`` itself needs. Never CLUSTER_ACTION: an ACL on it would shut out MSK's own brokers."""
    who = "User:plumbline-admin"
    for operation in ("create", "alter", "describe"):
        yield Acl(who, "cluster", "kafka-cluster", LITERAL, operation)
    for topic in (*deployment.topics(), *PROGRESS_TOPICS):
        for operation in ("alter", "alter_configs", "describe_configs"):
            yield Acl(who, "topic", prefix + topic, LITERAL, operation)


def _topic(name: str, partitions: int, cluster: ClusterSettings) -> WantedTopic:
    kind = _kind(name)
    given = _kinds()[kind]
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": "-1" if cluster.keep_everything else str(given["retention_days"] * DAY_MS),
        "retention.bytes": "-1",
        "min.insync.replicas": str(cluster.in_sync_min),
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
        "message.timestamp.type": "CreateTime",  # the events' own times are what the clock closes epochs by
        "unclean.leader.election.enable": "false",
    }
    if cluster.tiered and "local_days" in given:
        settings |= {"remote.storage.enable": "true", "local.retention.ms": str(given["local_days"] * DAY_MS)}
    return WantedTopic(cluster.prefix + name, kind, partitions, cluster.replication, settings)


def _kind(name: str) -> str:
    if name in PROGRESS_TOPICS:
        return "progress"
    if name in {topic.name for topic in (*FEEDS, EPOCHS, CONTROL)}:
        return "raw"
    return "sealed" if name in {sealed_topic(app.name) for app in chain.apps()} else "rows"


@cache
def _kinds() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(resources.files(__package__).joinpath("kinds.toml").read_text(encoding="utf-8"))
