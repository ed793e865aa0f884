"""What runs beside the jobs: the programs archive, watch and submit; the commands clock and sealer."""

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from types import SimpleNamespace

import manifests  # puts the programs on the path
import pytest
import requests
from pyarrow import fs

from orchestration.calendar import NEW_YORK
from orchestration.errors import UserError
from orchestration.jobs import clock, sealer
from orchestration.jobs.cli import jobs_group
from orchestration.jobs.flink import Checkpoint
from orchestration.jobs.standing import ShardLag, Standing
from streaming.apps import chain
from streaming.engine.epochs import EPOCHS, EpochIndex
from streaming.engine.sealing import CutStore
from streaming.log import FencedError, Record
from streaming.log.files import FilesLog
from streaming.schema.raw import CONTROL, FEEDS
from streaming.schema.raw import EPOCHS as EPOCHS_TOPIC

archive, submit, watch = map(import_module, ("archive", "submit", "watch"))

JOB_ID = "0" * 32

# ------------------------------------------------------------------------------------------------------------- archive


@pytest.fixture
def places(tmp_path):
    """A folder with one whole and one half-made version, and an empty archive."""
    store = tmp_path / "store"
    whole, half = (store / "cuts" / "2020-03-16" / "eod" / version for version in ("v1", "v2"))
    for version in (whole, half):
        (version / "margin").mkdir(parents=True)
        (version / "margin" / "part.parquet").write_bytes(b"rows of " + version.name.encode())
    (whole / "manifest.json").write_text("{}")
    (store / "cuts" / "2020-03-16" / "current").symlink_to("eod/v1")
    (store / ".half.123").write_text("not yet")
    target = tmp_path / "archive"
    target.mkdir()
    return store, target


def archived(target):
    return fs.SubTreeFileSystem(str(target), fs.LocalFileSystem())


def test_whole_versions_are_archived_and_nothing_else(places):
    store, target = places
    assert archive.archive(store, archived(target)) == 2
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert found == {"cuts/2020-03-16/eod/v1/margin/part.parquet", "cuts/2020-03-16/eod/v1/manifest.json"}
    assert (target / "cuts/2020-03-16/eod/v1/margin/part.parquet").read_bytes() == b"rows of v1"


def test_archiving_again_copies_only_what_is_new(places):
    store, target = places
    archive.archive(store, archived(target))
    assert archive.archive(store, archived(target)) == 0
    (store / "cuts" / "2020-03-16" / "eod" / "v2" / "manifest.json").write_text("{}")
    assert archive.archive(store, archived(target)) == 2


def test_an_archived_file_is_never_replaced_and_one_that_differs_is_named(places):
    store, target = places
    archive.archive(store, archived(target))
    changed = store / "cuts" / "2020-03-16" / "eod" / "v1" / "margin" / "part.parquet"
    changed.write_bytes(b"longer than before")
    with pytest.raises(
        archive.ArchiveError, match="v1/margin/part.parquet: expected 18 bytes in the archive, found 10"
    ):
        archive.archive(store, archived(target))
    assert (target / changed.relative_to(store)).read_bytes() == b"rows of v1"


def test_the_manifest_goes_last(places, monkeypatch):
    store, target = places
    order = []
    copy = fs.copy_files
    monkeypatch.setattr(fs, "copy_files", lambda name, *rest, **more: (order.append(name), copy(name, *rest, **more)))
    archive.archive(store, archived(target))
    assert order[-1].endswith("manifest.json")


def test_folders_and_addresses_come_in_pairs(places, capsys):
    store, target = places
    archive.main([f"{store}={target.as_uri()}"])
    assert capsys.readouterr().out == f"{store}: 2 files archived\n"
    assert (target / "cuts/2020-03-16/eod/v1/manifest.json").exists()


# --------------------------------------------------------------------------------------------------------------- watch


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def sealed(store, *cuts):
    for cut in cuts:
        version = store / "cuts" / cut / "v1"
        version.mkdir(parents=True)
        (version / "manifest.json").write_text("{}")


def figures(now, tmp_path):
    return {figure.name: figure.value for figure in watch.overdue(at(now), tmp_path / "store", tmp_path / "out")}


def test_nothing_is_overdue_before_the_first_cut_and_on_a_holiday(tmp_path):
    assert set(figures("2020-03-16T09:00:00", tmp_path).values()) == {0.0}
    assert set(figures("2020-03-15T18:00:00", tmp_path).values()) == {0.0}  # a Sunday


def test_a_cut_is_overdue_from_its_own_time_on(tmp_path):
    first = min(watch.due_cuts(at("2020-03-16T23:00:00").date(), at("2020-03-16T23:00:00")).items(), key=lambda c: c[1])
    now = datetime.fromtimestamp(first[1] + 420, NEW_YORK)
    assert watch.overdue(now, tmp_path / "store", tmp_path / "out")[0] == watch.Figure(watch.CUT, 420.0)
    sealed(tmp_path / "store", first[0])
    assert watch.overdue(now, tmp_path / "store", tmp_path / "out")[0] == watch.Figure(watch.CUT, 0.0)


def test_the_oldest_missing_cut_counts(tmp_path):
    due = watch.due_cuts(at("2020-03-16T12:10:00").date(), at("2020-03-16T12:10:00"))
    assert len(due) > 3
    ordered = sorted(due, key=due.get)
    sealed(tmp_path / "store", *ordered[:1], *ordered[2:])
    expected = at("2020-03-16T12:10:00").timestamp() - due[ordered[1]]
    assert figures("2020-03-16T12:10:00", tmp_path)[watch.CUT] == expected


def test_reports_are_overdue_from_the_end_of_day_until_they_are_published(tmp_path, monkeypatch):
    assert figures("2020-03-16T23:00:00", tmp_path)[watch.PACK] > 3600
    monkeypatch.setattr(watch, "current", lambda out, day: SimpleNamespace(date=day))
    assert figures("2020-03-16T23:00:00", tmp_path)[watch.PACK] == 0.0


def test_each_shard_is_as_far_behind_the_clock_as_its_committed_progress(flink, desk):
    for second in (1, 2, 3):
        desk.arrive(f"2020-03-16T09:00:0{second}")
        desk.tick(f"2020-03-16T09:00:0{second}.500")
    index = EpochIndex(desk.log)
    index.refresh()
    note = json.dumps({"rows": 2, "quarantined": 1, "transaction_us": 12_500, "time_us": 1})
    desk.log.writer("accounts-0").commit([], {(EPOCHS, 0): index.next_offset(2)}, note)
    flink.known[JOB_ID] = "RUNNING"
    job = SimpleNamespace(name="accounts", sharded=True, shards=range, raw_inputs=("trades",))
    (found,) = watch.standings(desk.log, [job], 2, {"accounts": JOB_ID}, flink.rest)
    assert [(lag.shard, lag.epochs, lag.offsets) for lag in found.lags] == [(0, 1, 1), (1, 3, 0)]
    assert found.lags[0].seconds == pytest.approx(1.0)
    assert (found.state, found.checkpoint.number, found.checkpoint.size_bytes) == ("RUNNING", 7, 11)
    told = watch.prometheus([found], []).splitlines()
    for line in (
        'plumbline_lag_seconds{job="accounts",shard="0"} 1.0',
        'plumbline_lag_offsets{job="accounts",shard="0"} 1.0',
        'plumbline_rows_total{job="accounts",shard="0"} 2.0',
        'plumbline_quarantined_total{job="accounts",shard="0"} 1.0',
        'plumbline_transaction_ms{job="accounts",shard="0"} 12.5',
        'plumbline_rows_total{job="accounts",shard="1"} 0.0',
        'plumbline_checkpoint_bytes{job="accounts"} 11.0',
        'plumbline_job_running{job="accounts"} 1.0',
    ):
        assert line in told


def standing(job, lags, checkpoint):
    return Standing(job, "RUNNING", [ShardLag(n, 1, seconds) for n, seconds in enumerate(lags)], checkpoint)


def test_a_jobs_worst_shard_and_its_newest_checkpoint_are_reported():
    found = watch.of_jobs([standing("accounts", [0.2, 7.5], Checkpoint(4, 3.0, 1, 1)), standing("firm", [0.0], None)])
    assert found == [
        watch.Figure(watch.LAG, 7.5, "accounts"),
        watch.Figure(watch.LAG, 0.0, "firm"),
        watch.Figure(watch.AGE, 3.0, "accounts"),
        watch.Figure(watch.AGE, watch.NEVER_S, "firm"),
    ]


def test_a_log_line_makes_one_metric_with_its_dimensions():
    (line,) = watch.log_lines([watch.Figure(watch.LAG, 7.5, "accounts")], "plumbline-test", at("2020-03-16T10:00:00"))
    found = json.loads(line)
    (metric,) = found["_aws"]["CloudWatchMetrics"]
    assert metric["Namespace"] == "Plumbline"
    assert metric["Dimensions"] == [["environment", "job"]]
    assert [entry["Name"] for entry in metric["Metrics"]] == [watch.LAG]
    assert (found["environment"], found["job"], found[watch.LAG]) == ("plumbline-test", "accounts", 7.5)


def test_prometheus_is_answered_with_the_newest_text():
    place = watch.serve(0)
    place["text"] = "plumbline_cut_overdue_seconds 0.0\n"
    assert requests.get(f"http://127.0.0.1:{place['port']}/metrics", timeout=5).text == place["text"]


# -------------------------------------------------------------------------------------------------------------- submit


@pytest.fixture
def flink(tmp_path):
    """A Flink that answers what jobs it knows; a submission writes a file, after which it knows the job."""
    submitted = tmp_path / "submitted"
    known: dict[str, str] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            state = known | ({JOB_ID: "RUNNING"} if submitted.exists() else {})
            answer = {"jobs": [{"jid": name, "state": value} for name, value in state.items()]}
            if self.path == f"/jobs/{JOB_ID}/checkpoints":
                newest = {"id": 7, "latest_ack_timestamp": 0, "state_size": 11, "end_to_end_duration": 3}
                answer = {"latest": {"completed": newest}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(rest=f"http://127.0.0.1:{server.server_port}", known=known, submitted=submitted)
    server.shutdown()
    server.server_close()


def handing_over(flink):
    return ["-c", f"open({str(flink.submitted)!r}, 'x').close()"]


def test_a_job_that_flink_does_not_know_is_submitted(flink):
    assert submit.main([flink.rest, JOB_ID, "--", *handing_over(flink)]) == 0
    assert flink.submitted.exists()


def test_a_job_that_flink_runs_is_left_alone(flink):
    flink.known[JOB_ID] = "RUNNING"
    assert submit.submit(flink.rest, JOB_ID, handing_over(flink), 20) == 0
    assert not flink.submitted.exists()


def test_a_job_that_ended_is_not_started_again_by_itself(flink, capsys):
    flink.known[JOB_ID] = "FAILED"
    assert submit.submit(flink.rest, JOB_ID, handing_over(flink), 20) == 1
    assert not flink.submitted.exists()
    assert "expected it to run, found FAILED" in capsys.readouterr().err


def test_a_program_that_fails_fails_the_submission(flink):
    assert submit.submit(flink.rest, JOB_ID, ["-c", "raise SystemExit(3)"], 20) == 3


def test_a_submission_that_flink_never_learns_of_fails(flink, capsys):
    assert submit.submit(flink.rest, JOB_ID, ["-c", "pass"], 0.1) == 1
    assert "not known to Flink" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------------- clock


class Desk:
    """A log, and a clock beside it whose time is set by hand."""

    def __init__(self, folder):
        self.log = FilesLog(folder)
        self.log.create({topic.name: topic.partitions(2) for topic in (*FEEDS, EPOCHS_TOPIC)})
        self._feed, self._clock, self.time = self.log.writer("feed"), None, 0

    def arrive(self, time, topic="trades", partition=0):
        self._feed.commit([Record(topic, partition, b"{}", micros(time))])

    def tick(self, time):
        self.time = micros(time)
        self._clock = clock.tick(self.log, self._clock, lambda: self.time)

    def restart(self):
        self._clock = None

    @property
    def epochs(self):
        index = EpochIndex(self.log)
        return [index[number] for number in range(index.refresh())]


def micros(text):
    return int(at(text).timestamp() * 1_000_000)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "log")
    made.tick("2020-03-16T09:00:00")
    return made


def test_an_epoch_is_closed_where_something_arrived(desk):
    desk.arrive("2020-03-16T09:00:00.500")
    desk.tick("2020-03-16T09:00:01")
    (epoch,) = desk.epochs
    assert epoch.ends["trades"] == (1, 0)
    assert epoch.time == micros("2020-03-16T09:00:00.600")
    assert epoch.versions["rule_date"] == "2020-03-16"


def test_a_message_seen_late_comes_in_the_next_epoch_and_time_goes_forwards(desk):
    desk.arrive("2020-03-16T09:00:00.900")
    desk.tick("2020-03-16T09:00:01")
    desk.arrive("2020-03-16T09:00:00.300", partition=1)  # its transaction ended after the other's
    desk.tick("2020-03-16T09:00:01.200")
    first, second = desk.epochs
    assert (first.ends["trades"], second.ends["trades"]) == ((1, 0), (1, 1))
    assert first.time < second.time <= micros("2020-03-16T09:00:01.200")


def test_a_message_from_the_future_does_not_wait_for_it(desk):
    desk.arrive("2020-03-16T12:00:00")
    desk.tick("2020-03-16T09:00:01")
    assert [epoch.ends["trades"] for epoch in desk.epochs] == [(1, 0)]
    assert desk.epochs[0].time <= micros("2020-03-16T09:00:01")


def test_cuts_and_price_sets_come_at_their_times(desk):
    desk.tick("2020-03-16T10:00:30")
    marked = {epoch.cut: epoch.time for epoch in desk.epochs if epoch.cut}
    assert marked == {
        "2020-03-16/0930": micros("2020-03-16T09:30:00"),
        "2020-03-16/1000": micros("2020-03-16T10:00:00"),
    }
    assert sum(bool(epoch.price_set) for epoch in desk.epochs) == 31


def test_what_arrives_after_the_end_of_day_belongs_to_the_next_session(desk):
    desk.tick("2020-03-20T18:00:00")
    desk.arrive("2020-03-20T18:00:01")  # a Friday
    desk.tick("2020-03-20T18:00:02")
    assert desk.epochs[-1].day.isoformat() == "2020-03-23"


def test_a_clock_that_stood_still_closes_the_days_it_missed(desk):
    desk.arrive("2020-03-16T15:59:59")
    desk.restart()
    desk.tick("2020-03-16T16:00:00")
    desk.arrive("2020-03-16T16:00:05")
    desk.arrive("2020-03-18T09:00:00")
    desk.restart()
    desk.tick("2020-03-18T09:00:01")
    ends = {epoch.cut: epoch for epoch in desk.epochs if epoch.cut.endswith("/eod")}
    assert list(ends) == ["2020-03-16/eod", "2020-03-17/eod"]
    assert ends["2020-03-16/eod"].ends["trades"] == (2, 0)
    assert desk.epochs[-1].ends["trades"] == (3, 0)
    times = [epoch.time for epoch in desk.epochs]
    assert times == sorted(set(times))


def cuts_of(desk):
    return [epoch.cut for epoch in desk.epochs if epoch.cut]


def asked(desk, *payloads):
    desk.log.create({CONTROL.name: 1})
    desk.log.writer("asking").commit([Record(CONTROL.name, 0, payload, desk.time) for payload in payloads])


def test_a_cut_on_request_is_taken_once_with_a_price_set_of_its_own(desk):
    asked(desk, b'{"request": "cut", "by": "desk"}')
    desk.tick("2020-03-16T09:00:01")
    desk.restart()
    desk.tick("2020-03-16T09:00:02")
    assert cuts_of(desk) == ["2020-03-16/request-0"]
    (epoch,) = (epoch for epoch in desk.epochs if epoch.cut)
    assert (epoch.time, epoch.price_set) == (micros("2020-03-16T09:00:01"), "2020-03-16/090001.0")


def test_what_is_no_request_is_passed_over_and_each_request_gets_a_cut(desk, caplog):
    asked(desk, b"{", b'{"request": "tea"}', b'{"request": "cut"}', b'{"request": "cut"}')
    for second in range(1, 5):
        desk.tick(f"2020-03-16T09:00:0{second}")
    assert cuts_of(desk) == ["2020-03-16/request-2", "2020-03-16/request-3"]
    assert "control/0 offset 1: expected a request for a cut" in caplog.text


def test_a_request_never_takes_the_place_of_a_mark(desk):
    asked(desk, b'{"request": "cut"}')
    desk.tick("2020-03-16T09:30:00")
    assert cuts_of(desk) == ["2020-03-16/0930"]
    desk.tick("2020-03-16T09:30:00.200")
    assert cuts_of(desk) == ["2020-03-16/0930", "2020-03-16/request-0"]


def test_who_asks_is_told_the_cuts_id_and_is_refused_where_no_clock_runs(desk, monkeypatch):
    asked(desk)
    ticking = threading.Timer(0.3, lambda: clock.tick(FilesLog(desk.log.folder), None, lambda: desk.time + 10**6))
    ticking.start()
    assert clock.request_cut(FilesLog(desk.log.folder), "desk") == "2020-03-16/request-0"
    ticking.join()
    monkeypatch.setattr(clock, "ANSWER_S", 0.0)
    with pytest.raises(UserError, match="expected a clock that takes the cut"):
        clock.request_cut(desk.log, "desk")


def test_a_second_clock_fences_the_first(desk):
    desk.arrive("2020-03-16T09:00:00.500")
    clock.tick(FilesLog(desk.log.folder), None, lambda: micros("2020-03-16T09:00:01"))
    desk.arrive("2020-03-16T09:00:01.500")
    with pytest.raises(FencedError):
        desk.tick("2020-03-16T09:00:02")
    assert len(desk.epochs) == 1


# -------------------------------------------------------------------------------------------------------------- sealer


def test_the_sealer_looks_again_until_it_is_stopped(tmp_path, monkeypatch):
    log = FilesLog(tmp_path / "log")
    log.create({EPOCHS: 1} | chain.topics(2))
    log.close()
    looks = []

    def pause(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(sealer.time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        sealer.run(FilesLog(tmp_path / "log"), chain.jobs(), CutStore(tmp_path / "store"))
    assert looks == [sealer.PAUSE_S] * 3


@pytest.mark.parametrize("command", ["clock", "seal"])
def test_clock_and_sealer_are_called_as_the_command_line_has_them(command):
    called = [
        container["args"]
        for pod in manifests.pods(manifests.rendered("production")).values()
        for container in pod["spec"]["containers"]
        if container.get("args", [])[:3] == ["plumbline", "jobs", command]
    ]
    (arguments,) = called
    with jobs_group.commands[command].make_context(command, arguments[3:]) as context:
        assert json.loads(context.params["log_json"])["kind"] == "kafka"


def test_every_program_is_found_where_the_manifests_call_it():
    called = {
        word.rsplit("/", 1)[1]
        for pod in manifests.pods(manifests.rendered("production")).values()
        for container in pod["spec"]["containers"]
        for word in container.get("args", [])
        if word.startswith("/opt/plumbline/programs/")
    }
    assert called == {path.name for path in (manifests.KUBERNETES / "programs").glob("*.py")}
