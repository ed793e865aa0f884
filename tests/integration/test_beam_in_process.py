"""The Beam graph in this process gives what the bare loop gives, also when it loses its live states or starts again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import tally

from streaming.engine import beam, stretch_codec
from streaming.engine.beam import JobReference, Polling
from streaming.engine.epochs import EPOCHS, Epoch, EpochIndex
from streaming.engine.frames import Frame, decode_frames, encode_frame
from streaming.engine.in_process import run_in_process
from streaming.engine.runner import (
    LostProgressError,
    ShardCommitter,
    ShardHost,
    Tally,
    counts_of,
    records_from,
    run_bounded,
)
from streaming.engine.stretch import StretchReader
from streaming.engine.stretch_codec import Outputs, decode_stretches, encode_stretches
from streaming.log import FencedError, Log, Record
from streaming.log.files import FilesLog
from streaming.schema.raw import FEEDS

SHARDS = 2
EPOCH_COUNT = 60
PRICE_SETS = {4: "2020-03-16/0945", 11: "2020-03-16/0950"}
CUTS = {19: "2020-03-16/1000", 39: "2020-03-16/1200", EPOCH_COUNT - 1: "2020-03-16/eod"}
TALLYING = JobReference("tally:job", {})


def messages(number: int) -> tuple[list[Record], Callable[[Mapping[str, tuple[int, ...]]], Record]]:
    """The seeded events of an epoch, and the epoch's record for given next offsets; some epochs are empty."""
    random = np.random.default_rng([7, number])
    events = [
        Record(topic, shard, random.bytes(20), number)
        for topic in tally.RAW
        for shard in range(SHARDS)
        for _ in range(random.integers(0, 6))
    ]

    def epoch(ends: Mapping[str, tuple[int, ...]]) -> Record:
        nothing = {topic.name: (0,) * topic.partitions(SHARDS) for topic in FEEDS}
        marks = PRICE_SETS.get(number, ""), CUTS.get(number, "")
        made = Epoch(number, number * 200_000, date(2020, 3, 16), nothing | dict(ends), *marks)
        return Record(EPOCHS, 0, made.encode(), made.time)

    return events, epoch


def filled(folder: Path) -> FilesLog:
    """A log with all epochs and their events."""
    log = FilesLog(folder)
    log.create(dict.fromkeys(tally.RAW, SHARDS) | {EPOCHS: 1} | tally.job().topics(SHARDS))
    writer = log.writer("filling")
    for number in range(EPOCH_COUNT):
        events, epoch = messages(number)
        writer.commit(events)
        writer.commit([epoch({topic: tuple(log.end(topic, s) for s in range(SHARDS)) for topic in tally.RAW})])
    return log


def published(log: Log) -> tuple[list, list]:
    """Every row that was written, and the digest of every sealed state, by shard."""
    rows, states = [], []
    for shard in range(SHARDS):
        frames = decode_frames(log.read("tally", shard, 0, log.end("tally", shard)).payloads)
        assert [frame.first for frame in frames[1:]] == [frame.last + 1 for frame in frames[:-1]]
        assert (frames[0].first, frames[-1].last) == (0, EPOCH_COUNT - 1)
        rows.append([row for frame in frames for row in frame.tables["tallies"].to_pylist()])
        sealed: list[Frame] = decode_frames(log.read("tally.sealed", shard, 0, log.end("tally.sealed", shard)).payloads)
        states.append([(frame.last, frame.blobs["digest"]) for frame in sealed])
    return rows, states


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    log = filled(tmp_path_factory.mktemp("bare"))
    index = EpochIndex(log)
    index.refresh()
    hosts = [ShardHost(log, index, tally.job(), shard, SHARDS) for shard in range(SHARDS)]
    run_bounded(hosts, EPOCH_COUNT - 1)
    found = published(log)
    assert [len(states) for states in found[1]] == [len(CUTS)] * SHARDS
    assert sum(map(len, found[0])) > EPOCH_COUNT
    return found


def run(log: FilesLog, through: int = EPOCH_COUNT - 1, polling: Polling | None = None, **more: int):
    return run_in_process({"kind": "files", "folder": str(log.folder)}, TALLYING, through, SHARDS, polling, **more)


@pytest.mark.parametrize("epochs_max", [7, 10_000])
def test_beam_in_process_gives_the_rows_and_states_of_the_bare_loop(tmp_path, expected, epochs_max):
    log = filled(tmp_path)
    counts = run(log, polling=Polling(epochs_max=epochs_max))
    assert published(log) == expected
    events = sum(log.end(topic, shard) for topic in tally.RAW for shard in range(SHARDS))
    assert (counts.epochs, counts.rows) == (EPOCH_COUNT * SHARDS, events)


def test_what_a_poll_made_is_one_transaction_however_many_parts_it_travels_in(tmp_path, expected, monkeypatch):
    monkeypatch.setattr(stretch_codec, "PART_BYTES", 100)
    parts, transactions = [], []
    decode, commit = beam.decode_outputs, ShardCommitter.commit

    def decoded(data):
        parts.append(decode(data))
        return parts[-1]

    def committed(self, first, stop, records, counts):
        transactions.append((self.name, first, stop))
        commit(self, first, stop, records, counts)

    monkeypatch.setattr(beam, "decode_outputs", decoded)
    monkeypatch.setattr(ShardCommitter, "commit", committed)
    log = filled(tmp_path)
    run(log, polling=Polling(epochs_max=7))
    assert published(log) == expected
    assert max(part.parts for part in parts) > 1
    assert len(transactions) == len(set(transactions)) == sum(part.part == 0 for part in parts)


def test_a_part_without_those_before_it_is_refused(tmp_path):
    outputs = Outputs(0, 5, [Record("tally", 0, bytes(3 << 20), 1) for _ in range(3)], counts_of([]))
    first, second, third = outputs.split()
    commit = beam._Commit(beam.HostedJob({"kind": "files", "folder": str(tmp_path)}, TALLYING, SHARDS))
    assert commit._whole(0, first) is None
    with pytest.raises(LostProgressError, match="expected part 1 of what epochs up to 5 made, found part 2"):
        commit._whole(0, third)
    with pytest.raises(LostProgressError, match="expected part 0"):
        commit._whole(0, second)
    assert [commit._whole(0, part) for part in (first, second)] == [None, None]
    assert commit._whole(0, first) is None, "sent again after a restore"
    assert commit._whole(1, replace(first, part=0, parts=1)) == Outputs.joined([first]), "another shard"
    assert [commit._whole(0, part) for part in (second, third)] == [None, Outputs.joined([first, second, third])]
    assert Outputs.joined([first, second, third]).records == outputs.records


@pytest.mark.parametrize("compaction_bytes", [0, 2_000, 1 << 20])
def test_a_worker_that_loses_its_live_states_rebuilds_them_from_beams(
    tmp_path, expected, monkeypatch, compaction_bytes
):
    kept = beam._put
    monkeypatch.setattr(beam, "_put", lambda key, value: None if key[1] in ("runner", "reader") else kept(key, value))
    log = filled(tmp_path)
    run(log, polling=Polling(epochs_max=5), compaction_bytes=compaction_bytes)
    assert published(log) == expected


@pytest.mark.parametrize("stops", [(18,), (19,), (20, 21, 50)])
def test_a_run_that_starts_again_goes_on_from_the_cut_and_drops_what_is_committed(tmp_path, expected, stops):
    log = filled(tmp_path)
    for through in stops:
        run(log, through)
    run(log, polling=Polling(epochs_max=9))
    assert published(log) == expected


def test_the_suite_notices_when_duplicates_are_not_dropped(tmp_path, expected, monkeypatch):
    log = filled(tmp_path)
    run(log, 30)

    def commit_blindly(self, first, stop, records, counts):
        self._writer.commit(records, {(EPOCHS, 0): self._index.next_offset(stop)})

    monkeypatch.setattr(ShardCommitter, "commit", commit_blindly)
    run(log)
    with pytest.raises(AssertionError):
        assert published(log) == expected


@pytest.mark.parametrize("stops", [(), (18,), (3, 25, 50)])
def test_what_is_counted_beside_the_progress_is_counted_once(tmp_path, stops):
    log = filled(tmp_path)
    for through in (*stops, EPOCH_COUNT - 1):
        run(log, through, polling=Polling(epochs_max=7))
    counted = [Tally(log.note_of(f"tallying-{shard}")) for shard in range(SHARDS)]
    assert [tally_.rows for tally_ in counted] == [
        sum(log.end(topic, shard) for topic in tally.RAW) for shard in range(SHARDS)
    ]
    assert all(tally_.transaction_us > 0 and tally_.time_us > 0 for tally_ in counted)


def test_a_bounded_run_beyond_the_last_epoch_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match=f"no input reaches epoch {EPOCH_COUNT}"):
        run(filled(tmp_path), EPOCH_COUNT)


def test_a_committer_refuses_a_gap_and_is_fenced_by_its_successor(tmp_path):
    log = filled(tmp_path)
    index = EpochIndex(log)
    former = ShardCommitter(log, index, tally.job(), 0)
    former.commit(0, 10, [], counts_of([]))
    with pytest.raises(LostProgressError, match="expected epoch 10 to be next, found 11"):
        former.commit(11, 12, [], counts_of([]))
    latter = ShardCommitter(log, index, tally.job(), 0)
    assert latter.committed == 10
    with pytest.raises(FencedError):
        former.commit(10, 12, [], counts_of([]))


def test_a_state_without_its_progress_is_refused(tmp_path):
    log = filled(tmp_path)
    run(log)
    index = EpochIndex(log)
    log.writer("tallying-0").commit([], {(EPOCHS, 0): 0})
    with pytest.raises(LostProgressError, match=f"expected progress of epoch {EPOCH_COUNT} or later, found 0"):
        ShardHost(log, index, tally.job(), 0, SHARDS)


def test_progress_without_a_state_starts_only_from_a_sealed_cut(tmp_path):
    log = filled(tmp_path)
    spec = {"kind": "files", "folder": str(log.folder)}
    live = beam.HostedJob(spec, TALLYING, SHARDS)
    assert beam._first_position(live, 0).epoch == 0, "nothing is committed: it is new"
    run(log, 10)
    with pytest.raises(LostProgressError, match="tallying/0: expected a state, or a sealed cut to start from"):
        beam._first_position(live, 0)
    assert beam._first_position(replace(live, fresh=True), 0).epoch == 0
    run(log, 30)
    assert beam._first_position(live, 0).epoch == 20, "behind the cut"


def test_a_hosted_job_comes_back_from_its_json():
    hosted = beam.HostedJob({"kind": "files", "folder": "x"}, TALLYING, SHARDS, 7, Polling(5, 6, 0.5, True), True, 9)
    again = beam.from_json(beam.as_json(hosted))
    assert again.keys == SHARDS, "told, so that the program that submits it need not import the job"
    assert replace(again, run=hosted.run, keys=None) == hosted


@pytest.mark.parametrize("epoch", range(9))
def test_records_from_an_epoch_on_keep_exactly_its_rows(epoch):
    import pyarrow as pa

    frames = [
        Frame(0, 3, {"rows": pa.table({"epoch": [0, 2, 3]}), "late": pa.table({"value": [1]})}),
        Frame(4, 7, {"rows": pa.table({"epoch": [4, 7]})}, {"blob": bytes(range(256)) * 5000}),
    ]
    records = [Record("a", 0, payload, 5) for frame in frames for payload in encode_frame(frame)]
    kept = decode_frames(record.payload for record in records_from(epoch, records))
    rows = [row["epoch"] for frame in kept for row in frame.tables["rows"].to_pylist()]
    assert rows == [number for number in (0, 2, 3, 4, 7) if number >= epoch]
    assert sum("late" in frame.tables for frame in kept) == (epoch <= 3)
    assert sum("blob" in frame.blobs for frame in kept) == (epoch <= 7)


def test_stretches_come_back_from_their_bytes_with_one_whole_for_each_partition(tmp_path):
    log = filled(tmp_path)
    index = EpochIndex(log)
    index.refresh()
    stretches = StretchReader(log, index, tally.job(), 1).read()
    again = decode_stretches(encode_stretches(stretches))
    assert len(again) == len(stretches) > 2
    for one, other in zip(stretches, again, strict=True):
        assert (one.first, one.last, one.versions, one.after) == (other.first, other.last, other.versions, other.after)
        for topic in tally.RAW:
            (mine,), (theirs,) = one.raw[topic], other.raw[topic]
            assert mine.payloads == theirs.payloads
            assert mine.epochs.tolist() == theirs.epochs.tolist()
            assert mine.offsets.tolist() == theirs.offsets.tolist()
            assert mine.times.tolist() == theirs.times.tolist()
            assert theirs.whole is again[0].raw[topic][0].whole
    assert encode_stretches(again) == encode_stretches(stretches)
