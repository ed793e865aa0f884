"""How a cluster differs from what is wanted: what can be made so, what is refused, and what nobody asked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestration.topics.wanted import Acl, WantedTopic


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as a cluster has it."""

    partitions: int
    replication: int
    settings: Mapping[str, str]
    used: bool
    """It has held a message; only asked where it has too few partitions."""


@dataclass(frozen=True, slots=True)
class FoundCluster:
    """The topics under the prefix, and every ACL; ``acls`` is None where the cluster has no authorizer."""

    topics: Mapping[str, FoundTopic]
    acls: frozenset[Acl] | None
    denials: tuple[str, ...] = ()
    """ACLs that deny, or that name a host: never ours."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one topic that differs."""

    topic: str
    name: str
    found: str | None
    wanted: str


@dataclass(frozen=True, slots=True)
class Growth:
    """A topic with too few partitions."""

    topic: str
    found: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Differences:
    """Everything that differs. Only the first four can be made so; ``extra`` stays until somebody removes it."""

    missing: tuple[WantedTopic, ...] = ()
    growing: tuple[Growth, ...] = ()
    settings: tuple[Setting, ...] = ()
    grants: tuple[Acl, ...] = ()
    refused: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.missing, self.growing, self.settings, self.grants, self.refused, self.extra))

    @property
    def changes(self) -> bool:
        """Whether there is anything to make so."""
        return any((self.missing, self.growing, self.settings, self.grants))

    def lines(self) -> Iterator[str]:
        """One line a difference."""
        for topic in self.missing:
            kept = topic.settings["retention.ms"]
            yield f"create   topic {topic.name}: {topic.partitions} partitions, {topic.kind}, retention.ms {kept}"
        for growth in self.growing:
            yield f"grow     topic {growth.topic}: {growth.found} -> {growth.wanted} partitions"
        for setting in self.settings:
            yield f"set      topic {setting.topic}: {setting.name} {setting.found} -> {setting.wanted}"
        for acl in self.grants:
            yield f"grant    {acl}"
        for text in self.refused:
            yield f"refused  {text}"
        for text in self.extra:
            yield f"extra    {text}"


def differences(topics: Iterable[WantedTopic], acls: frozenset[Acl], found: FoundCluster) -> Differences:
    """Compare. Nothing is ever removed or made smaller, and a topic in use keeps its partitions: keys would move."""
    missing: list[WantedTopic] = []
    growing: list[Growth] = []
    settings: list[Setting] = []
    refused: list[str] = []
    names: set[str] = set()
    for topic in topics:
        names.add(topic.name)
        there = found.topics.get(topic.name)
        if there is None:
            missing.append(topic)
            continue
        refused += _refusals(topic, there)
        if topic.partitions > there.partitions and not there.used:
            growing.append(Growth(topic.name, there.partitions, topic.partitions))
        settings += [
            Setting(topic.name, name, there.settings.get(name), value)
            for name, value in topic.settings.items()
            if there.settings.get(name) != value
        ]
    extra = [
        f"topic {name}: {there.partitions} partitions"
        for name, there in sorted(found.topics.items())
        if name not in names
    ]
    if acls and found.acls is None:
        refused.append("acls: expected an authorizer on the cluster, found none")
    else:
        extra += [f"{acl}" for acl in sorted((found.acls or frozenset()) - acls)] + list(found.denials)
    grants = sorted(acls - found.acls) if found.acls is not None else []
    return Differences(tuple(missing), tuple(growing), tuple(settings), tuple(grants), tuple(refused), tuple(extra))


def _refusals(topic: WantedTopic, there: FoundTopic) -> Iterator[str]:
    if topic.partitions < there.partitions:
        yield f"topic {topic.name}: expected {topic.partitions} partitions, found {there.partitions}: never shrunk"
    if topic.partitions > there.partitions and there.used:
        yield (
            f"topic {topic.name}: expected {topic.partitions} partitions, found {there.partitions} in use: "
            "its keys would move to other shards; grow by a new prefix (docs/runbook.md)"
        )
    if topic.replication != there.replication:
        expected = f"expected {topic.replication} replicas, found {there.replication}"
        yield f"topic {topic.name}: {expected}: reassign them by hand"
