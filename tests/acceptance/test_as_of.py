"""Any moment of the small day, from the cut before it: as sealed, and as a replay from zero finds it."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.kit.small_day import DATE, TIME_MAX_S

pytestmark = pytest.mark.timeout(TIME_MAX_S)


def test_as_of_a_cut_equals_the_sealed_cut(desk, tmp_path):
    import pyarrow.parquet

    from streaming.cuts import open_cut

    ended = desk.call("as-of", f"{DATE}T16:30:00", "--to", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    cut = open_cut(desk.folder / "home" / "store", f"{DATE}/eod", 1)
    for name in ("positions", "pnl", "cash", "margin"):
        assert pyarrow.parquet.read_table(tmp_path / f"{name}.parquet").equals(cut.table(name)), name


def test_as_of_between_cuts_shows_one_account(desk):
    ended = desk.call("as-of", f"{DATE}T10:45:07", "--account", "A0001")
    assert ended.returncode == 0, ended.stderr
    assert f"replayed from {DATE}/1030" in ended.stdout
    unknown = desk.call("as-of", f"{DATE}T10:45:07", "--account", "nobody")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("times", [20, pytest.param(1_000, marks=[pytest.mark.soak, pytest.mark.timeout(4 * 3_600)])])
def test_as_of_random_times_equals_a_replay_from_zero(desk, tmp_path, times):
    from orchestration.asof import tables_at
    from orchestration.pipeline import Home
    from streaming.engine.canonical import table_digest
    from streaming.schema.sealed import TABLES

    home = Home.open(desk.settings)
    last = home.index.refresh()
    numbers = sorted(random.Random(times).sample(range(last), times))
    for number, expected in from_zero(home, numbers, tmp_path):
        epoch = home.index[number]
        found = tables_at(home, datetime.fromtimestamp(epoch.time / 1e6, UTC))
        assert found.epoch.time == epoch.time
        digests = {name: table_digest(TABLES[name], table) for name, table in found.tables.items()}
        differ = sorted(name for name in digests if digests[name] != expected.get(name))
        assert not differ, f"epoch {number}: {differ}"


def from_zero(home, numbers: list[int], scratch: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The digests of all tables after each epoch, in one pass from the beginning."""
    import pyarrow as pa

    from streaming.apps import chain
    from streaming.engine.canonical import sort_by_key, table_digest
    from streaming.engine.replay import ReplayLog
    from streaming.engine.runner import ShardRunner
    from streaming.engine.stretch import StretchReader
    from streaming.schema.sealed import TABLES

    log, shards = ReplayLog(home.log, scratch), home.log.topics()["trades"]
    hosts = []
    for job in chain.jobs():
        log.create(job.topics(shards))
        for shard in job.shards(shards):
            runner = ShardRunner(job, shard, shards)
            hosts.append((runner, StretchReader(log, home.index, job, shard), log.writer(f"{job.name}-{shard}")))
    for number in numbers:
        parts: dict[str, list] = {}
        for runner, reader, writer in hosts:
            while runner.at.position.epoch <= number:
                for stretch in reader.read(number):
                    writer.commit(runner.apply(stretch))
            for app in runner.job.apps:
                for name, table in app.seal(runner.at.states[app.name], home.index[number]).items():
                    parts.setdefault(name, []).append(table)
        tables = {name: sort_by_key(TABLES[name], pa.concat_tables(found)) for name, found in parts.items()}
        yield number, {name: table_digest(TABLES[name], table) for name, table in tables.items()}
