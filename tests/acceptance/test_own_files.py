"""A user's own files, loaded and run through the command line; a result table read by another program."""

import csv
import re
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet
import pytest

from streaming.apps.events import parse
from streaming.cuts import open_cut
from streaming.demo import DaySpec, generate, joined
from streaming.schema.model import Topic
from streaming.schema.raw import FEEDS
from tests.kit.small_day import BOOKS, DATE, TIME_MAX_S, Desk

pytestmark = pytest.mark.timeout(TIME_MAX_S)

SPEC = DaySpec(accounts=4, trades=300, prices=1_500)
README = Path(__file__).resolve().parents[2] / "README.md"


def good(topic: Topic, payloads: list[bytes]) -> list[dict]:
    """The events that a careful user's system would hand over: no malformed ones among them."""
    needed = {column.name for column in topic.columns if column.required}
    known = {column.name for column in topic.columns}
    events = [orjson.loads(payloads[row]) for row in parse(topic, payloads).rows.tolist()]
    return [
        event
        for event in events
        if needed <= {name for name, value in event.items() if value is not None} and set(event) <= known
        and event["schema"] == topic.version and 0 < len(event.get("id", "-")) <= 64
    ]  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> tuple[Desk, dict[str, list[dict]]]:
    """A day run from files: trades as CSV, prices as Parquet, everything else as JSON lines."""
    folder = tmp_path_factory.mktemp("own")
    day = joined(generate(SPEC))
    events = {topic.name: good(topic, day[topic.name].payload) for topic in FEEDS if topic.name in day}
    events = {name: rows for name, rows in events.items() if rows}
    arguments = []
    for name, rows in events.items():
        arguments += [f"--{name}", str(_written(folder, name, rows))]
    desk = Desk(folder)
    loaded = desk.call("ingest", *arguments, "--date", DATE)
    assert loaded.returncode == 0, loaded.stderr
    for name, rows in events.items():
        assert re.search(rf"^{name} +{len(rows):,} events$", loaded.stdout, re.M), name
    ended = desk.call("run", DATE)
    assert ended.returncode in (0, 2), ended.stderr  # so tiny a book need not pass every check
    assert "15 sealed, 15 equal when replayed" in ended.stdout
    return desk, events


def _written(folder: Path, name: str, rows: list[dict]) -> Path:
    if name == "trades":
        path = folder / f"{name}.csv"
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    elif name == "prices":
        path = folder / f"{name}.parquet"
        columns = list(dict.fromkeys(column for row in rows for column in row))
        texts = {column: [None if row.get(column) is None else str(row[column]) for row in rows] for column in columns}
        pyarrow.parquet.write_table(pa.table(texts), path)
    else:
        path = folder / f"{name}.jsonl"
        path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return path


def test_own_files_become_sealed_and_proved_cuts_with_the_events_of_the_files(own):
    desk, events = own
    cut = open_cut(desk.settings.store, f"{DATE}/eod")
    counts = {}
    for row in cut.table("counts").to_pylist():
        counts[row["topic"]] = counts.get(row["topic"], 0) + row["events"]
    assert {name: counts[name] for name in ("trades", "prices", "cash")} == {
        name: len(events[name]) for name in ("trades", "prices", "cash")
    }
    accounts = {row["account"] for row in cut.table("positions").to_pylist()}
    assert accounts <= {event["id"] for event in events["accounts"]}
    assert len(accounts) >= SPEC.accounts


def test_own_files_are_published_or_every_reason_why_not_is_named(own):
    desk, _ = own
    ended = desk.call("check", DATE)
    if ended.returncode == 0:
        desk.call("publish", DATE)
        assert all((desk.published / book).exists() for book in BOOKS)
    else:
        assert "gate shut: " in ended.stderr
        assert not desk.published.exists() or not any((desk.published / book).exists() for book in BOOKS)


def test_the_example_of_the_readme_reads_a_table_with_duckdb(own, monkeypatch, capsys):
    desk, _ = own
    (code,) = re.findall(r"```python\n(import duckdb\n.*?)```", README.read_text(), re.S)
    (desk.folder / ".plumbline").symlink_to(desk.folder / "home")
    monkeypatch.chdir(desk.folder)
    exec(code, {})  # noqa: S102 the project's own example
    shown = capsys.readouterr().out
    realised: dict[str, object] = {}
    for row in open_cut(desk.settings.store, f"{DATE}/eod").table("positions").to_pylist():
        realised[row["account"]] = realised.get(row["account"], 0) + row["realised"]
    worst = sorted(realised.items(), key=lambda item: item[1])[:5]
    assert all(account in shown and f"{amount:f}" in shown for account, amount in worst)
