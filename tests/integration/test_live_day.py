"""The demo day live through Kafka and Flink, its jobs killed under load: every digest as embedded, and a certificate
with three sides."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
import openpyxl
import pytest
import requests
import victims
from click.testing import CliRunner
from live_day import LiveDay, manifests
from programs import command
from stack_fixture import RunningStack
from waiting import wait_for

import reports
from orchestration.cli import plumbline
from orchestration.jobs.control import Cluster
from orchestration.jobs.deployment import load_deployment
from orchestration.jobs.replay import replay_on_flink
from orchestration.pipeline import Home
from orchestration.stack.paths import paths_under
from orchestration.stack.ports import assign_ports
from streaming.cuts import open_cut
from streaming.demo import DaySpec
from streaming.engine.replay import certify, replay
from streaming.engine.sealing import CutStore
from streaming.schema.raw import FEEDS
from tests.kit.embedded_day import embedded

KILLS = max(4, int(os.environ.get("KILLS", "20")) // 10)
SEED = int(os.environ.get("SEED", "5"))
VICTIMS = (victims.WORKER, "taskmanager-1", "jobmanager", victims.WORKER)

pytestmark = [pytest.mark.stack, pytest.mark.kills, pytest.mark.timeout(2400 + 600 * KILLS)]

CUTS = 15
SIZES = [(6, 600, 2_500), pytest.param((20, 5_000, 20_000), marks=pytest.mark.soak)]


@pytest.fixture(scope="module", params=SIZES, ids=str)
def spec(request: pytest.FixtureRequest) -> DaySpec:
    accounts, trades, prices = request.param
    return DaySpec(accounts=accounts, trades=trades, prices=prices)


@pytest.fixture(scope="module")
def home(spec: DaySpec, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return embedded(tmp_path_factory.mktemp("embedded"), spec)


@pytest.fixture(scope="module")
def live(spec: DaySpec, stack: RunningStack) -> Iterator[LiveDay]:
    """The day, wholly through Kafka and Flink, with kills while a part just fed is worked on; the jobs run on."""
    day = LiveDay.submitted(Cluster(stack.data, f"{uuid4().hex[:8]}."), load_deployment(), spec)
    try:
        day.feed(disturb=kills(day))
        day.caught_up()
        yield day
    finally:
        day.stop()


def kills(day: LiveDay) -> list[Callable[[], None]]:
    """A kill each at a random moment, and then the wait until everything fed has come through."""
    random = np.random.default_rng(SEED)
    chosen = [VICTIMS[i % len(VICTIMS)] for i in range(KILLS)]
    random.shuffle(chosen)

    def disturbance(number: int, victim: str) -> Callable[[], None]:
        def disturb() -> None:
            day.passes("the first epoch", 1)
            fed = day.index.refresh()
            time.sleep(float(random.uniform(0, 2)))
            victims.kill(day.cluster.data, victim, random)
            day.passes(f"what was fed before kill {number} of {KILLS}, of {victim}", fed)

        return disturb

    return [disturbance(number, victim) for number, victim in enumerate(chosen, 1)]


@pytest.fixture(scope="module")
def store(live: LiveDay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cuts of the live day, sealed by the command beside the jobs."""
    folder = tmp_path_factory.mktemp("live")
    said, sealed = folder / "said", folder / "store" / "cuts"
    with command("jobs", "seal", *at(live), "--store", str(folder / "store"), output=said):
        wait_for("every cut sealed", lambda: len(list(sealed.rglob("manifest.json"))) == CUTS, found=said.read_text)
    return folder / "store"


def at(live: LiveDay) -> list[str]:
    return ["--data", str(live.cluster.data), "--prefix", live.cluster.prefix]


def test_every_cut_has_the_digests_of_the_embedded_run_whatever_was_killed(home: Home, store: Path) -> None:
    expected = manifests(home.settings.store)
    assert len(expected) == CUTS
    assert all(manifest["tables"] and manifest["states"] for manifest in expected.values())
    assert manifests(store) == expected


def test_every_epoch_was_published_exactly_once_whatever_was_killed(live: LiveDay) -> None:
    live.assert_published_once()


def test_the_jobs_are_listed_with_lag_work_and_checkpoints(live: LiveDay) -> None:
    wait_for("a checkpoint of each job", lambda: listed(live, "list").count("checkpoint ") == len(live.deployment.apps))
    shown = listed(live, "list")
    for job in live.deployment.apps:
        assert re.search(rf"^{job} +RUNNING", shown, re.MULTILINE)
    shards = [line for line in shown.splitlines() if line.startswith("  shard")]
    assert len(shards) == 4, "two of the accounts, one each of market and firm"
    assert all(re.search(r"lag +0 offsets +0 epochs +0\.0 s +0 rows/s +transaction +\d", line) for line in shards)


def test_metrics_count_every_event_once_whatever_was_killed_and_are_served_to_prometheus(
    home: Home, live: LiveDay, store: Path, tmp_path: Path
) -> None:
    told = metrics(listed(live, "metrics"))
    accounts = next(job for job in live.deployment.jobs() if job.name == "accounts")
    for shard in range(2):
        of_shard = f'{{job="accounts",shard="{shard}"}}'
        spans = [live.log.read(topic, shard, 0, live.log.end(topic, shard)) for topic in accounts.raw_inputs]
        assert told[f"plumbline_rows_total{of_shard}"] == sum(len(span.payloads) for span in spans)
        assert told[f"plumbline_transaction_ms{of_shard}"] > 0
    refused = sum(value for name, value in told.items() if name.startswith("plumbline_quarantined_total"))
    assert refused == open_cut(store, f"{home.index[0].day}/eod").table("quarantine").num_rows

    port = assign_ports({"metrics": 0}, paths_under(tmp_path))["metrics"]
    said = tmp_path / "said"
    with command("jobs", "metrics", "--serve", str(port), *at(live), output=said):
        served = wait_for("an answer to Prometheus", lambda: scraped(port), found=said.read_text)
    assert served.keys() == told.keys()
    for job in live.deployment.apps:
        assert served[f'plumbline_job_running{{job="{job}"}}'] == 1
        assert served[f'plumbline_checkpoint_bytes{{job="{job}"}}'] > 0
    counters = {name for name in told if name.startswith(("plumbline_rows", "plumbline_quarantined", "plumbline_lag"))}
    assert {name: served[name] for name in counters} == {name: told[name] for name in counters}


def metrics(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(plumbline\w+\{[^}]*\}) (\S+)$", text, re.MULTILINE)}


def scraped(port: int) -> dict[str, float] | None:
    try:
        return metrics(requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text)
    except requests.RequestException:
        return None


def test_the_workbooks_have_the_cells_of_the_embedded_run_except_the_logs_own_offsets(
    home: Home, store: Path, tmp_path: Path
) -> None:
    end = f"{home.index[0].day}/eod"
    books = [
        reports.build(open_cut(place, end), tmp_path / name, reports.Context())
        for name, place in (("embedded", home.settings.store), ("live", store))
    ]
    assert books[0].keys() == books[1].keys()
    for expected, found in zip(*(book.values() for book in books), strict=True):
        mine, theirs = cells(expected), cells(found)
        assert mine.keys() == theirs.keys()
        differ = [where for where in mine if mine[where] != theirs[where]]
        assert {sheet for sheet, _, _ in differ} >= {"About"}
        assert [where for where in differ if not is_offset(mine, *where)] == []


def is_offset(of: Mapping[tuple[str, int, int], object], sheet: str, row: int, column: int) -> bool:
    """Where the cut ends in a topic, or where a refused event lies in it."""
    if sheet == "About":
        return of[sheet, row, 1] in {topic.name for topic in FEEDS}
    return sheet == "Quarantine" and "Offset" in (of.get((sheet, above, column)) for above in range(1, row))


def listed(live: LiveDay, command: str) -> str:
    ended = CliRunner().invoke(plumbline, ["jobs", command, *at(live)], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


def cells(book: Path) -> dict[tuple[str, int, int], object]:
    loaded = openpyxl.load_workbook(book, read_only=True)
    return {
        (sheet.title, row, column): value
        for sheet in loaded
        for row, values in enumerate(sheet.iter_rows(values_only=True), 1)
        for column, value in enumerate(values, 1)
        if value is not None
    }


def test_the_certificate_has_three_equal_sides(live: LiveDay, store: Path, tmp_path: Path) -> None:
    live.stop()  # its part is done
    cuts = [cut.epoch for cut in live.cuts()]
    of_day = {"in process": replay(live.log, live.deployment.jobs(), cuts, tmp_path / "scratch")}
    of_day["on Flink"] = replay_on_flink(live.cluster, live.cluster.log_spec, live.deployment, cuts)
    for side, found in of_day.items():
        certificates = [certify(CutStore(store), cut, 1) for cut in found]
        assert [item.cut for item in certificates] == [cut.cut for cut in cuts], side
        assert all(item.equal for item in certificates), [item.document() for item in certificates if not item.equal]


def test_the_command_replays_a_homes_cut_on_flink_from_the_cut_before(home: Home, stack: RunningStack) -> None:
    day = str(home.index[0].day)
    asked = ["--home", str(home.settings.home), "replay", day, "1330", "--host", "flink", "--stack", str(stack.data)]
    ended = CliRunner().invoke(plumbline, asked, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    assert f"{day}/1330 v1  equal, from {day}/1300" in ended.output
