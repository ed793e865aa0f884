"""The topics and ACLs the chain wants, and what is done about a cluster that differs. No broker."""

from dataclasses import replace

import pytest

from orchestration.errors import UserError
from orchestration.jobs.deployment import load_deployment
from orchestration.topics.cluster import TopicAdmin
from orchestration.topics.differences import FoundCluster, FoundTopic, differences
from orchestration.topics.wanted import (
    DAY_MS,
    ClusterSettings,
    load_cluster,
    roles,
    wanted_acls,
    wanted_topics,
)
from streaming.apps import chain
from streaming.schema.raw import EPOCHS, FEEDS

CLIENT = {"bootstrap.servers": "nowhere:1"}
MANAGED = ClusterSettings(CLIENT, replication=3, in_sync_min=2, keep_everything=False, tiered=True, acls=True)
LOCAL = ClusterSettings(CLIENT)
EACH_ALONE = "\n".join(f'[jobs.{app.name}]\napps = ["{app.name}"]' for app in chain.apps())


@pytest.fixture
def deployment():
    return replace(load_deployment(), shards=4)


@pytest.fixture
def each_alone(tmp_path):
    path = tmp_path / "deployment.toml"
    path.write_text(EACH_ALONE)
    return load_deployment(path)


def as_found(topics, acls=frozenset(), used=True):
    """A cluster that is exactly as wanted, plus settings of its own."""
    settings = {"segment.bytes": "1073741824"}
    return FoundCluster(
        {t.name: FoundTopic(t.partitions, t.replication, {**settings, **t.settings}, used) for t in topics}, acls
    )


def but(found, name, **changes):
    return replace(found, topics={**found.topics, name: replace(found.topics[name], **changes)})


def may(acls, principal, operation, resource="topic"):
    return {
        acl.name
        for acl in acls
        if (acl.principal, acl.operation, acl.resource) == (f"User:plumbline-{principal}", operation, resource)
    }


def test_every_topic_of_the_chain_is_wanted_with_its_partitions(deployment):
    wanted = {topic.name: topic.partitions for topic in wanted_topics(deployment, MANAGED)}
    assert wanted == {**chain.topics(4), "progress.feed": 1}


def test_raw_topics_stay_for_years_sealed_ones_for_a_year_and_rows_for_days(deployment):
    wanted = {t.name: int(t.settings["retention.ms"]) // DAY_MS for t in wanted_topics(deployment, MANAGED)}
    assert {wanted[topic.name] for topic in (*FEEDS, EPOCHS)} == {2192}
    assert wanted["positions.sealed"] == 400
    assert wanted["valuation"] == 14


def test_no_topic_is_compacted_and_a_write_needs_two_replicas_in_step(deployment):
    for topic in wanted_topics(deployment, MANAGED):
        assert topic.settings["cleanup.policy"] == "delete"
        assert topic.settings["min.insync.replicas"] == "2"
        assert topic.settings["message.timestamp.type"] == "CreateTime"
        assert topic.replication == 3


def test_a_cluster_that_replays_past_days_keeps_everything(deployment):
    wanted = wanted_topics(deployment, LOCAL)
    assert {topic.settings["retention.ms"] for topic in wanted} == {"-1"}
    assert not any("remote.storage.enable" in topic.settings for topic in wanted)


def test_old_raw_segments_are_tiered_where_the_cluster_can(deployment):
    wanted = {topic.name: topic.settings for topic in wanted_topics(deployment, MANAGED)}
    assert wanted["trades"]["local.retention.ms"] == str(7 * DAY_MS)
    assert "local.retention.ms" not in wanted["valuation"]


def test_a_job_reads_its_inputs_and_writes_its_outputs_only(deployment):
    acls = wanted_acls(deployment, MANAGED)
    for job in chain.jobs():
        own = {f"{app.name}.sealed" for app in job.apps}
        assert may(acls, job.name, "read") == {*job.inputs, "epochs", *own}
        assert may(acls, job.name, "write") == set(job.topics(deployment.shards))
        assert may(acls, job.name, "write", "transactional_id") == {f"{job.name}-"}
        assert may(acls, job.name, "read", "group") == {f"{job.name}-"}


@pytest.mark.parametrize("fixture", ["deployment", "each_alone"])
def test_each_topic_has_one_writing_principal(fixture, request):
    acls = wanted_acls(request.getfixturevalue(fixture), MANAGED)
    writers = [(acl.name, acl.principal) for acl in acls if acl.resource == "topic" and acl.operation == "write"]
    assert len(writers) == len({name for name, _ in writers}) > 10


def test_one_job_per_application_makes_one_principal_each(each_alone):
    acls = wanted_acls(each_alone, MANAGED)
    assert may(acls, "positions", "write") == {"positions", "positions.sealed"}
    assert "book" in may(acls, "positions", "read")
    assert "trades" not in may(acls, "margin", "read")


def test_nobody_is_granted_everything_nor_what_only_brokers_do(deployment):
    acls = wanted_acls(deployment, MANAGED)
    assert "*" not in {acl.name for acl in acls}
    assert not {"all", "any", "cluster_action", "delete"} & {acl.operation for acl in acls}
    assert {acl.principal for acl in acls if acl.resource == "cluster"} == {"User:plumbline-admin"}


def test_a_prefix_stands_before_topics_groups_and_transactional_ids(deployment):
    acls = wanted_acls(deployment, replace(MANAGED, prefix="staging."))
    named = [acl for acl in acls if acl.resource != "cluster" and acl.name != "plumbline-reader"]
    assert named
    assert all(acl.name.startswith("staging.") for acl in named)


def test_jobs_whose_writers_could_meet_are_refused(tmp_path):
    path = tmp_path / "deployment.toml"
    names = [app.name for app in chain.apps() if app.name not in ("book", "positions")]
    alone = "\n".join(f'[jobs.{name}]\napps = ["{name}"]' for name in names)
    path.write_text(f'{alone}\n[jobs.desk]\napps = ["book"]\n[jobs.desk-two]\napps = ["positions"]\n')
    with pytest.raises(UserError, match="writers of desk-two"):
        roles(load_deployment(path))


def test_a_job_called_like_a_program_beside_the_jobs_is_refused(tmp_path):
    path = tmp_path / "deployment.toml"
    path.write_text(EACH_ALONE.replace("[jobs.book]", "[jobs.clock]"))
    with pytest.raises(UserError, match="found clock twice"):
        roles(load_deployment(path))


def test_an_empty_cluster_misses_every_topic_and_every_grant(deployment):
    topics, acls = wanted_topics(deployment, MANAGED), wanted_acls(deployment, MANAGED)
    found = differences(topics, acls, FoundCluster({}, frozenset()))
    assert found.missing == topics
    assert set(found.grants) == acls
    assert not found.refused


def test_a_cluster_as_wanted_differs_in_nothing(deployment):
    topics, acls = wanted_topics(deployment, MANAGED), wanted_acls(deployment, MANAGED)
    found = differences(topics, acls, as_found(topics, acls))
    assert not found
    assert list(found.lines()) == []


def test_a_changed_setting_is_set_back(deployment):
    topics = wanted_topics(deployment, MANAGED)
    there = as_found(topics)
    shorter = {**there.topics["trades"].settings, "retention.ms": "86400000"}
    found = differences(topics, frozenset(), but(there, "trades", settings=shorter))
    assert list(found.lines()) == [f"set      topic trades: retention.ms 86400000 -> {2192 * DAY_MS}"]


def test_partitions_are_never_shrunk(deployment):
    topics = wanted_topics(deployment, MANAGED)
    found = differences(topics, frozenset(), but(as_found(topics), "trades", partitions=8))
    assert found.refused == ("topic trades: expected 4 partitions, found 8: never shrunk",)
    assert not found.changes


def test_an_unused_topic_grows_and_a_used_one_is_refused(deployment):
    topics = wanted_topics(deployment, MANAGED)
    fresh, used = as_found(topics, used=False), as_found(topics)
    assert [g.topic for g in differences(topics, frozenset(), but(fresh, "cash", partitions=2)).growing] == ["cash"]
    found = differences(topics, frozenset(), but(used, "cash", partitions=2))
    assert not found.growing
    assert "topic cash: expected 4 partitions, found 2 in use" in found.refused[0]


def test_what_nobody_asked_for_is_named_and_stays(deployment):
    topics, acls = wanted_topics(deployment, MANAGED), wanted_acls(deployment, MANAGED)
    stranger = replace(next(iter(acls)), principal="User:somebody")
    there = as_found(topics, acls | {stranger})
    there = replace(there, topics={**there.topics, "old": FoundTopic(1, 3, {}, True)}, denials=("DENY",))
    found = differences(topics, acls, there)
    assert found.extra == ("topic old: 1 partitions", str(stranger), "DENY")
    assert not found.changes


def test_access_by_name_needs_a_cluster_that_checks_it(deployment):
    topics, acls = wanted_topics(deployment, MANAGED), wanted_acls(deployment, MANAGED)
    found = differences(topics, acls, as_found(topics, None))
    assert found.refused == ("acls: expected an authorizer on the cluster, found none",)


def test_nothing_is_changed_when_anything_is_refused(deployment):
    topics = wanted_topics(deployment, MANAGED)
    found = differences(topics, frozenset(), FoundCluster({"trades": FoundTopic(8, 3, {}, True)}, frozenset()))
    assert found.changes
    with pytest.raises(UserError, match="nothing was changed: topic trades: expected 4 partitions, found 8"):
        TopicAdmin(LOCAL).make(found)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[client", "cluster"),
        ("replicas = 3\n[client]\n", "found replicas, client"),
        ("replication = 3\n", "expected client"),
        ("[client]\n", "expected bootstrap.servers"),
        (
            'replication = 1\nin_sync_min = 2\n[client]\n"bootstrap.servers" = "x"\n',
            "from 1 to the replication 1, found 2",
        ),
    ],
)
def test_a_wrong_cluster_file_is_named_with_what_was_expected(tmp_path, text, complaint):
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=complaint):
        load_cluster(path)
