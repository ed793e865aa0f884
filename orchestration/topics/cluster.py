"""What a cluster has, and making it what is wanted, through Kafka's admin protocol."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from orchestration.errors import UserError
from orchestration.topics.differences import Differences, FoundCluster, FoundTopic, differences
from orchestration.topics.wanted import LITERAL, PREFIXED, Acl, ClusterSettings, WantedTopic
from streaming.log.kafka import KafkaLog, from_environment

TIMEOUT_S = 30.0
_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,  # what the client library calls the cluster
}
_PATTERNS = {LITERAL: ResourcePatternType.LITERAL, PREFIXED: ResourcePatternType.PREFIXED}
_ANY: Any = None
_EVERYTHING = AclBindingFilter(
    ResourceType.ANY, _ANY, ResourcePatternType.ANY, _ANY, _ANY, AclOperation.ANY, AclPermissionType.ANY
)


class TopicAdmin:
    """One cluster, as an administrator sees it."""

    def __init__(self, cluster: ClusterSettings):
        self._prefix, self._guarded = cluster.prefix, cluster.acls
        self._reached_by: dict[str, Any] = {n: from_environment(value) for n, value in cluster.client.items()}
        self._client = AdminClient(self._reached_by)

    def found(self, wanted: Iterable[WantedTopic], acls: bool) -> FoundCluster:
        """What is there under the prefix; the ACLs only where they are asked for."""
        listed = self._try("list topics", lambda: self._client.list_topics(timeout=TIMEOUT_S)).topics
        named = {
            name: topic for name, topic in listed.items() if name.startswith(self._prefix) and not name.startswith("__")
        }
        settings = self._settings(named)
        smaller = {t.name for t in wanted if t.name in named and len(named[t.name].partitions) < t.partitions}
        used = {name for name in smaller if self._holds_messages(name, len(named[name].partitions))}
        topics = {
            name: FoundTopic(len(topic.partitions), len(topic.partitions[0].replicas), settings[name], name in used)
            for name, topic in named.items()
        }
        granted, denials = self._acls() if acls else (None, ())
        return FoundCluster(topics, granted, denials)

    def compare(self, topics: Sequence[WantedTopic], acls: frozenset[Acl]) -> Differences:
        """How the cluster differs now."""
        return differences(topics, acls, self.found(topics, self._guarded))

    def apply(self, topics: Sequence[WantedTopic], acls: frozenset[Acl]) -> Differences:
        """Make it as wanted, and wait until every broker asked shows it; returns what was made so."""
        found = self.compare(topics, acls)
        self.make(found)
        deadline = time.monotonic() + TIMEOUT_S
        while self.compare(topics, acls).changes:
            if time.monotonic() > deadline:
                raise UserError(f"topics: applied, but not to be seen after {TIMEOUT_S:.0f} s: compare again")
            time.sleep(0.2)
        return found

    def make(self, wanted: Differences) -> None:
        """Make it so, in the order that a failure leaves safe: who may, then what is there. UserError when refused."""
        if wanted.refused:
            raise UserError(f"topics: nothing was changed: {'; '.join(wanted.refused)}")
        self._each("grant", self._client.create_acls([_binding(acl) for acl in wanted.grants]) if wanted.grants else {})
        fresh = [NewTopic(t.name, t.partitions, t.replication, config=dict(t.settings)) for t in wanted.missing]
        self._each("create", self._client.create_topics(fresh) if fresh else {})
        grown = [NewPartitions(growth.topic, growth.wanted) for growth in wanted.growing]
        self._each("grow", self._client.create_partitions(grown) if grown else {})
        altered = [
            ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
            for topic, entries in _entries(wanted).items()
        ]
        self._each("set", self._client.incremental_alter_configs(altered) if altered else {})

    def _settings(self, names: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        asked = self._client.describe_configs(resources) if resources else {}
        answers = self._each("describe", asked)
        return {asked.name: {key: entry.value for key, entry in found.items()} for asked, found in answers.items()}

    def _holds_messages(self, kafka_name: str, partitions: int) -> bool:
        log = KafkaLog(self._reached_by)
        try:
            return any(log.end(kafka_name, number) for number in range(partitions))
        finally:
            log.close()

    def _acls(self) -> tuple[frozenset[Acl] | None, tuple[str, ...]]:
        try:
            bindings = self._client.describe_acls(_EVERYTHING).result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.SECURITY_DISABLED:
                return None, ()
            raise UserError(f"topics: describe acls: {error.args[0].str()}") from None
        ours = [b for b in bindings if b.permission_type == AclPermissionType.ALLOW and b.host == "*"]
        others = [b for b in bindings if b not in ours]
        return frozenset(_acl(binding) for binding in ours), tuple(sorted(_text(binding) for binding in others))

    def _each(self, what: str, asked: Mapping[Any, "Future[Any]"]) -> dict[Any, Any]:
        return {key: self._try(f"{what} {key}", partial(future.result, TIMEOUT_S)) for key, future in asked.items()}

    def _try(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except KafkaException as error:
            raise UserError(f"topics: {what}: {error.args[0].str()}") from None


def _entries(wanted: Differences) -> dict[str, list[ConfigEntry]]:
    found: dict[str, list[ConfigEntry]] = {}
    for setting in wanted.settings:
        entry = ConfigEntry(setting.name, setting.wanted, incremental_operation=AlterConfigOpType.SET)
        found.setdefault(setting.topic, []).append(entry)
    return found


def _binding(acl: Acl) -> AclBinding:
    operation = AclOperation[acl.operation.upper()]
    where = _RESOURCES[acl.resource], acl.name, _PATTERNS[acl.pattern]
    return AclBinding(*where, acl.principal, "*", operation, AclPermissionType.ALLOW)


def _acl(binding: Any) -> Acl:
    named = {kind: name for name, kind in _RESOURCES.items()}
    resource = named.get(binding.restype, binding.restype.name.lower())
    pattern = binding.resource_pattern_type.name.lower()
    return Acl(binding.principal, resource, binding.name, pattern, binding.operation.name.lower())


def _text(binding: Any) -> str:
    return f"{binding.permission_type.name} from host {binding.host}: {_acl(binding)}"
