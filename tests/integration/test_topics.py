"""``plumbline topics`` on real brokers: the local stack, and one that knows its users and checks what they may."""

import gc
import secrets
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from click.testing import CliRunner
from stack_fixture import RunningStack

from orchestration.cli import plumbline
from orchestration.errors import UserError
from orchestration.jobs.deployment import Deployment, load_deployment
from orchestration.stack.paths import paths_under
from orchestration.stack.ports import assign_ports
from orchestration.stack.services import format_command, write_configuration
from orchestration.topics.cluster import TopicAdmin
from orchestration.topics.differences import Differences
from orchestration.topics.wanted import (
    PROGRESS_TOPICS,
    Acl,
    ClusterSettings,
    Role,
    roles,
    wanted_acls,
    wanted_topics,
)
from streaming.apps import chain
from streaming.apps.rules import versions_in_force
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.runner import ShardHost, run_bounded
from streaming.log import LogError, Record
from streaming.log.kafka import KafkaLog
from streaming.schema.raw import FEEDS
from tests.kit.tiny_day import DAY, OPEN, cash, reference

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

SHARDS = 2
READY_S = 300
EACH_ALONE = Deployment(
    {app.name: (app.name,) for app in chain.apps()},
    {app.name: SHARDS if app.sharded else 1 for app in chain.apps()},
    SHARDS,
)


@dataclass(frozen=True)
class GuardedBroker:
    """A broker that starts as a managed one does: users log in, and who has no ACL to meet may do anything."""

    bootstrap_servers: str
    passwords: dict[str, str]

    def client(self, user: str) -> dict[str, object]:
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": f"plumbline-{user}",
            "sasl.password": self.passwords[user],
        }

    def log(self, user: str) -> KafkaLog:
        return KafkaLog(self.client(user))

    @property
    def cluster(self) -> ClusterSettings:
        return ClusterSettings(self.client("admin"), acls=True)


@pytest.fixture(scope="module")
def guarded(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    users = [*(role.name for role in roles(EACH_ALONE)), "admin"]
    passwords = {user: secrets.token_hex(16) for user in users}
    paths = paths_under(tmp_path_factory.mktemp("guarded"))
    ports = {**stack.plan.ports, **assign_ports({"kafka": 0, "kafka_controller": 0}, paths)}
    plan = replace(stack.plan, paths=paths, ports=ports)
    write_configuration(plan)
    address = f"127.0.0.1:{ports['kafka']}"
    with open(paths.kafka_config, "a", encoding="utf-8") as file:  # the last line of a name counts
        file.writelines(f"{name}={value}\n" for name, value in _guards(address, ports, passwords).items())
    subprocess.run(format_command(plan, uuid.uuid4().hex[:22]), check=True, capture_output=True)
    argv = [str(plan.java), "-Xmx384m", "-cp", f"{plan.libraries.kafka}/*", "kafka.Kafka", str(paths.kafka_config)]
    with (
        open(paths.data / "broker.log", "wb") as output,
        subprocess.Popen(argv, stdout=output, stderr=output) as broker,
    ):
        try:
            made = GuardedBroker(address, passwords)
            _await(made)
            yield made
        finally:
            gc.collect()  # clients that a refusal's traceback held would ask for the broker until the session's end
            broker.terminate()


def _guards(address: str, ports: dict[str, int], passwords: dict[str, str]) -> dict[str, str]:
    own = secrets.token_hex(16)
    known = {"broker": own} | {f"plumbline-{user}": password for user, password in passwords.items()}
    users = " ".join(f'user_{user}="{password}"' for user, password in known.items())
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "listeners": f"SASL_PLAINTEXT://{address},CONTROLLER://127.0.0.1:{ports['kafka_controller']}",
        "advertised.listeners": f"SASL_PLAINTEXT://{address}",
        "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            f'{module} required username="broker" password="{own}" {users};'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:broker;User:ANONYMOUS",  # the broker itself, on its controller's own listener
    }


def _await(broker: GuardedBroker) -> None:
    for attempt in range(READY_S):
        try:
            TopicAdmin(broker.cluster).found((), acls=True)
        except Exception:
            if attempt == READY_S - 1:
                raise
        else:
            return
        time.sleep(1)


def wanted(deployment: Deployment, cluster: ClusterSettings):
    return wanted_topics(deployment, cluster), wanted_acls(deployment, cluster)


def compare(deployment: Deployment, cluster: ClusterSettings) -> Differences:
    return TopicAdmin(cluster).compare(*wanted(deployment, cluster))


def apply(deployment: Deployment, cluster: ClusterSettings) -> Differences:
    return TopicAdmin(cluster).apply(*wanted(deployment, cluster))


def described(stack: RunningStack, prefix: str) -> ClusterSettings:
    return ClusterSettings({"bootstrap.servers": stack.bootstrap_servers}, prefix=prefix)


def test_apply_makes_the_local_stack_as_wanted_and_leaves_it_alone_then(stack, tmp_path):
    path = tmp_path / "cluster.toml"
    path.write_text(f'prefix = "applied."\n[client]\n"bootstrap.servers" = "{stack.bootstrap_servers}"\n')
    arguments = ["--cluster", str(path)]
    call = CliRunner().invoke
    before = call(plumbline, ["topics", "diff", *arguments])
    assert before.exit_code == 1
    assert f"create   topic applied.trades: {chain.SHARDS} partitions, raw, retention.ms -1" in before.output
    applied = call(plumbline, ["topics", "apply", *arguments])
    assert (applied.exit_code, applied.output) == (0, before.output)
    after = call(plumbline, ["topics", "diff", *arguments], catch_exceptions=False)
    assert (after.exit_code, after.output) == (0, "nothing differs\n")
    assert call(plumbline, ["topics", "apply", *arguments]).output == "nothing to change\n"
    log = KafkaLog({"bootstrap.servers": stack.bootstrap_servers}, prefix="applied.")
    assert dict(log.topics()) == chain.topics()
    log.close()


def test_a_setting_changed_by_hand_is_found_and_set_back(stack):
    cluster = described(stack, "drifted.")
    apply(load_deployment(), cluster)
    apply(load_deployment(), replace(cluster, keep_everything=False))
    found = compare(load_deployment(), cluster)
    assert {setting.name for setting in found.settings} == {"retention.ms"}
    assert {setting.wanted for setting in apply(load_deployment(), cluster).settings} == {"-1"}
    assert not compare(load_deployment(), cluster)


def test_topics_grow_until_they_hold_messages_and_never_shrink(stack):
    cluster = described(stack, "growing.")
    small, large = (replace(load_deployment(), shards=shards) for shards in (2, 4))
    apply(small, cluster)
    log = KafkaLog(cluster.client, prefix="growing.")
    log.writer("feed-1").commit([Record("trades", 0, b"{}", OPEN)])
    log.close()
    found = compare(large, cluster)
    assert "growing.cash" in {growth.topic for growth in found.growing}
    assert [text.split(":")[0] for text in found.refused] == ["topic growing.trades"]
    with pytest.raises(UserError, match="nothing was changed: topic growing.trades: expected 4 partitions, found 2"):
        apply(large, cluster)
    others = [topic for topic in wanted(large, cluster)[0] if topic.name != "growing.trades"]
    TopicAdmin(cluster).apply(others, frozenset())
    assert TopicAdmin(cluster).found((), acls=False).topics["growing.cash"].partitions == 4
    assert "topic growing.cash: expected 2 partitions, found 4: never shrunk" in compare(small, cluster).refused


def test_a_topic_nobody_asked_for_is_named_and_stays(stack):
    cluster = described(stack, "strange.")
    log = KafkaLog(cluster.client, prefix="strange.")
    log.create({"leftover": 3})
    log.close()
    apply(load_deployment(), cluster)
    assert compare(load_deployment(), cluster).extra == ("topic strange.leftover: 3 partitions",)


@pytest.fixture(scope="module")
def applied(guarded: GuardedBroker) -> GuardedBroker:
    """The guarded broker with the topics and ACLs of the chain, one principal an application."""
    assert apply(EACH_ALONE, guarded.cluster).grants
    return guarded


def test_access_is_as_wanted_after_apply(applied):
    assert not compare(EACH_ALONE, applied.cluster)


def test_a_tiny_day_passes_from_feeds_to_positions_each_with_its_own_rights_only(applied):
    feed(applied)
    for name in ("reference", "price_sets", "book", "positions"):
        log = applied.log(name)
        index = EpochIndex(log)
        last = index.refresh() - 1
        job = chain.job(name, EACH_ALONE.apps)
        hosts = [ShardHost(log, index, job, shard, SHARDS) for shard in job.shards(SHARDS)]
        run_bounded(hosts, last)
        progress = log.progress_of(f"{name}-0")
        assert progress[(EPOCHS, 0)] == index.next_offset(last + 1)
        log.close()
    sealer = applied.log("sealer")
    assert all(
        sealer.read("positions.sealed", shard, 0, sealer.end("positions.sealed", shard)).payloads for shard in (0, 1)
    )
    sealer.close()


def feed(broker: GuardedBroker) -> None:
    """Instruments, accounts and some cash, in one epoch that is a cut."""
    feeds, clock = broker.log("feeds"), broker.log("clock")
    events = [Record(topic, 0, payload, OPEN) for topic, _, payload in reference()]
    events += [Record("cash", 0, cash("C1", "HOUSE", "1000"), OPEN)]
    feeds.writer(f"feed-{DAY}").commit(events, {("feed", 0): 1})
    ends = {t.name: tuple(clock.end(t.name, p) for p in range(t.partitions(SHARDS))) for t in FEEDS}
    versions = versions_in_force(DAY.replace(year=2026), "test")
    epoch = Epoch(0, OPEN, DAY, ends, f"{DAY}/000000", f"{DAY}/0930", versions)
    clock.writer("clock").commit([Record(EPOCHS, 0, epoch.encode(), OPEN)])
    feeds.close()
    clock.close()


WRITING = [role for role in roles(EACH_ALONE) if role.writers]


@pytest.mark.parametrize("role", roles(EACH_ALONE), ids=lambda role: role.name)
def test_a_principal_is_refused_what_is_not_its_own(applied, role: Role):
    log = applied.log(role.name)
    assert set(log.topics()) == role.reads - set(PROGRESS_TOPICS) | role.writes  # it does not even see the others
    neighbour = WRITING[(WRITING.index(role) + 1) % len(WRITING) if role in WRITING else 0]
    with pytest.raises(LogError, match="AUTHORIZATION|authoriz"):
        log.writer(writer_of(neighbour))
    foreign = sorted(role.reads - role.writes - set(PROGRESS_TOPICS))
    if role.writers and foreign:
        with pytest.raises(LogError, match="authoriz"):
            log.writer(writer_of(role)).commit([Record(foreign[0], 0, b"forged", OPEN)])
    log.close()


def writer_of(role: Role) -> str:
    return f"{role.writers[0]}0" if role.writers[0].endswith("-") else role.writers[0]


def test_an_acl_given_by_hand_is_named(applied):
    stray = Acl("User:plumbline-clock", "topic", "trades", "literal", "write")
    TopicAdmin(applied.cluster).apply((), frozenset({stray}))
    assert compare(EACH_ALONE, applied.cluster).extra == (str(stray),)
