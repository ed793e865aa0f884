"""The graph as the desk sees it: loaded whole, compared with what it was, and derived from the chain."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import orjson
import pytest

from orchestration.console import lineage, versions
from orchestration.console.definitions import defs
from orchestration.console.topology import of_chain, topology
from streaming.schema.raw import FEEDS
from streaming.schema.sealed import TABLES

SNAPSHOT = Path(__file__).with_name("console_graph.json")
GROUP_MAX = 12
"""Assets of a group that fit a screen."""


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def graph(specs) -> dict:
    return {
        name: {
            "group": spec.group_name,
            "owners": list(spec.owners),
            "kinds": sorted(spec.kinds),
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        }
        for name, spec in sorted(specs.items())
    }


def test_the_graph_is_as_it_was(specs):
    """After a change that is meant: run this module from the root, and look at the difference."""
    assert graph(specs) == orjson.loads(SNAPSHOT.read_bytes())


def test_every_asset_has_a_group_an_owner_a_kind_and_words(specs):
    for name, spec in specs.items():
        assert spec.group_name != "default", name
        assert spec.owners, name
        assert spec.kinds, name
        assert spec.description, name


def test_a_group_fits_a_screen(specs):
    groups = [spec.group_name for spec in specs.values()]
    assert max(groups.count(name) for name in groups) <= GROUP_MAX


def test_streams_are_external_and_unpartitioned(specs):
    graph_ = defs.resolve_asset_graph()
    for topic in FEEDS:
        key = dg.AssetKey(["streams", topic.name])
        assert not graph_.get(key).is_materializable
        assert graph_.get(key).partitions_def is None


def test_filed_assets_accept_no_configuration():
    """No scenario, date or rulebook can be given to what is filed: a run has its partition and nothing else."""
    for node in defs.resolve_asset_graph().asset_nodes:
        if node.is_materializable:
            fields = node.assets_def.node_def.config_schema.config_type
            assert fields.given_name == "Any" or not getattr(fields, "fields", {}), node.key


def test_the_topology_file_is_what_the_chain_says():
    """After a change of the chain: `python -m orchestration.console.topology`."""
    assert topology() == of_chain()


def test_every_sealed_table_has_an_application_and_its_raw_topics():
    assert set(topology().tables) == set(TABLES)
    assert topology().table_topics("prices") == (
        "accounts", "actions", "closes", "fx", "instruments", "policies", "prices", "rates",
    )  # fmt: skip
    assert "trades" in topology().table_topics("margin")


def test_every_column_of_a_sealed_table_leads_to_columns_of_raw_topics():
    columns = {topic.name: {column.name for column in topic.columns} for topic in FEEDS}
    for name, table in TABLES.items():
        found = lineage.lineage(name).deps_by_column
        assert set(found) == {column.name for column in table.columns}
        for deps in found.values():
            assert deps
            assert all(dep.column_name in columns[dep.asset_key.path[-1]] for dep in deps)


def test_a_column_of_the_same_name_is_the_one_that_is_named():
    fees = {dep.asset_key.path[-1]: dep.column_name for dep in lineage.lineage("trades").deps_by_column["fee"]}
    assert fees["trades"] == "fee"


def test_a_changed_rule_changes_the_code_version(tmp_path, monkeypatch):
    import streaming

    risk = tmp_path / "streaming" / "risk" / "rulebook"
    risk.mkdir(parents=True)
    (risk / "margin.toml").write_text("value = 25\n")
    monkeypatch.setattr(streaming, "__file__", str(tmp_path / "streaming" / "__init__.py"))
    before = versions.code_version.__wrapped__()
    (risk / "margin.toml").write_text("value = 30\n")
    assert versions.code_version.__wrapped__() != before


def test_the_definitions_load_without_the_models():
    """The chain and its models take seconds to import; drawing the graph does not need them."""
    code = "import sys, orchestration.console.definitions; print(sorted(m for m in sys.modules if m in %r))"
    heavy = ("apache_beam", "great_expectations", "matplotlib", "streaming.apps.chain", "streaming.apps.valuation")
    command = [sys.executable, "-W", "ignore", "-c", code % (heavy,)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert found.stdout.strip() == "[]"


def test_every_job_schedule_and_sensor_is_there_and_described():
    repository = defs.get_repository_def()
    names = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert names == {
        "day", "cut", "reserve_morning", "backtest_week", "start_streams", "stop_streams", "deliver_alerts",
        "as_of", "what_if",
    }  # fmt: skip
    assert {one.name for one in repository.schedule_defs} == {"intraday", "end_of_day", "reserve", "backtest"}
    assert {one.name for one in repository.sensor_defs} == {"streams_sensor", "restatement_sensor", "alerts_sensor"}
    assert all(one.description for one in (*repository.schedule_defs, *repository.sensor_defs))


def test_every_job_has_a_longest_runtime():
    repository = defs.get_repository_def()
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            assert int(job.tags["dagster/max_runtime"]) > 0, job.name


def write_snapshot() -> None:
    found = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    SNAPSHOT.write_bytes(orjson.dumps(graph(found), option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    write_snapshot()
