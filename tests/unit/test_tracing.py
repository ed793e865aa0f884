"""Lineage on a small real day: cells come out of their listed events alone, and an event tells what it touched."""

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

import reports
from orchestration import tracing
from orchestration.cli import plumbline
from orchestration.contributing import ACCOUNT_TOPICS, RawEvents, count
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.rerun import all_but, needed, only, rerun
from orchestration.tracing import EventId, Lineage, Memo, effects, less, listed, trace
from reports.provenance import load_cells
from streaming.apps import chain
from streaming.cuts import SealedCut
from streaming.engine.canonical import table_digest
from streaming.schema.sealed import TABLES
from tests.unit.traced_day import sealed_day

CELLS, DROPPED = 200, 4
"""Cells recomputed, and cells of which one event is left out (the soak leaves one out of each)."""
SEED = 11


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> tuple[Home, SealedCut, Path]:
    folder = tmp_path_factory.mktemp("traced")
    home, cut = sealed_day(folder)
    reports.build(cut, folder / "books", reports.Context())
    return home, cut, folder / "books"


def shown_cells(books: Path, chosen: random.Random) -> list[tuple[Path, str]]:
    """Cells that show sealed values, of every workbook."""
    found = []
    for name in ("margin", "capital", "stress"):
        path = books / f"{name}.xlsx"
        for sheet, place in load_cells(path)["sheets"].items():
            found += [(path, f"{sheet}!{cell}") for cell in place.get("cells", ())]
            rows = range(place["first_row"], place["first_row"] + place["count"]) if "columns" in place else ()
            found += [(path, f"{sheet}!{letter}{row}") for row in rows for letter in place["columns"]]
    return chosen.sample(found, CELLS)


@pytest.fixture(scope="module")
def lineages(day) -> list[Lineage]:
    """Random cells; cells of the same row have the same lineage but for the column."""
    home, _, books = day
    memo = Memo()
    return [trace(home, path, cell, memo) for path, cell in shown_cells(books, random.Random(SEED))]


def event_of(home: Home, topic: str, text: str, count: int = 0) -> EventId:
    """The ``count``-th event of a topic whose payload holds a text."""
    found = [
        (topic, partition, offset)
        for partition in range(home.log.topics()[topic])
        for offset, payload in enumerate(home.log.read(topic, partition, 0, home.log.end(topic, partition)).payloads)
        if text.encode() in payload
    ]
    return found[count]


def independently(home: Home, cut: SealedCut, keep, apps=None) -> dict:
    """Tables of the cut from chosen events (every table, or what some applications need): all shards, nothing taken
    from the live log."""
    shards, jobs = home.log.topics()["trades"], chain.jobs() if apps is None else needed(apps)
    with rerun(home, home.index[cut.manifest["epoch"]], keep, None) as again:
        return again.tables([(job, range(shards) if job.sharded else [0]) for job in jobs])


def cell_rows(tables: dict, found: Lineage) -> list:
    rows = {tuple(row[name] for name in key): row for key in [TABLES[found.source.table].key]
            for row in tables[found.source.table].to_pylist()}  # fmt: skip
    picked = [rows.get(tuple(key.values())) for key in found.source.keys]
    return [None if row is None else [row[name] for name in found.source.decided_by] for row in picked]


def test_running_everything_again_gives_the_sealed_tables(day):
    home, cut, _ = day
    again = independently(home, cut, all_but())
    assert {name: table_digest(TABLES[name], rows) for name, rows in again.items()} == {
        name: entry["digest"] for name, entry in cut.manifest["tables"].items()
    }


def test_random_cells_come_out_of_their_listed_events_alone(day, lineages):
    home, cut, _ = day
    made: dict[tuple, dict] = {}
    for found in lineages:
        key = (found.apps, tuple(listed(found.events)))
        if key not in made:
            made[key] = independently(home, cut, only(found.events), found.apps)
        assert cell_rows(made[key], found) == [[row[name] for name in found.source.decided_by] for row in found.rows]
    own = [found for found in lineages if found.recomputed]
    assert len(own) > CELLS / 10, f"only {len(own)} of {CELLS} cells have events of their own"
    assert max(count(found.events) for found in own) < sum(map(len, _everything(home, cut).values()))


def _everything(home: Home, cut: SealedCut) -> dict:
    epoch = home.index[cut.manifest["epoch"]]
    raw = RawEvents(home.log, epoch)
    return {(topic, p): raw.of(topic, p).every for topic, ends in epoch.ends.items() for p in range(len(ends))}


def test_cells_of_everything_together_list_every_event_up_to_the_cut(day, lineages):
    home, cut, _ = day
    whole = [found for found in lineages if not found.recomputed]
    assert whole
    everything = _everything(home, cut)
    for found in whole:
        for partition, offsets in found.events.items():
            assert offsets.tolist() == everything[partition].tolist()


def dropping_changes_the_cell_or_is_marked(day, lineages, most: int) -> None:
    home, cut, _ = day
    chosen = random.Random(SEED)
    own = [found for found in lineages if found.recomputed and count(found.events)]
    seen = set()
    for number, found in enumerate(chosen.sample(own, min(most, len(own)))):
        events = listed(found.events)
        accounts = [event for event in events if event[0] in ACCOUNT_TOPICS]
        event = chosen.choice(accounts if number % 2 and accounts else events)
        (effect,) = effects(home, found, [event])
        without = independently(home, cut, only(less(found.events, event)), found.apps)
        sealed = [[row[name] for name in found.source.decided_by] for row in found.rows]
        assert effect.changed == (cell_rows(without, found) != sealed), (found.where, event)
        seen.add(effect.changed)
    assert seen == {True, False}


def test_dropping_a_listed_event_changes_the_cell_or_is_marked_zero_effect(day, lineages):
    dropping_changes_the_cell_or_is_marked(day, lineages, DROPPED)


@pytest.mark.soak
def test_dropping_one_listed_event_of_every_cell(day, lineages):
    dropping_changes_the_cell_or_is_marked(day, lineages, CELLS)


def test_a_cells_own_trades_are_among_its_events(day):
    home, _, books = day
    found = trace(home, books / "margin.xlsx", "Positions!D4")
    assert found.source.keys == ({"account": "A1", "instrument": "AAA"},)
    made_it = {
        event_of(home, "trades", '"T1"'),
        event_of(home, "trades", '"T1"', 1),
        event_of(home, "custody", 'O-A1-AAA"'),
    }
    assert len(made_it) == 3
    assert event_of(home, "trades", '"T2"') not in listed(found.events), "a trade in another name"
    assert {effect.event for effect in effects(home, found, listed(found.events)) if effect.changed} >= made_it


def test_an_event_tells_every_cell_it_touched(day):
    home, cut, books = day
    event = event_of(home, "trades", '"T1"', 1)
    paths = sorted(books.glob("*.xlsx"))
    found = tracing.touched(home, event, cut, paths)
    without = independently(home, cut, all_but(event))
    changed = {
        name for name, rows in without.items()
        if table_digest(TABLES[name], rows) != cut.manifest["tables"][name]["digest"]
    }  # fmt: skip
    assert set(found.rows) == changed
    assert {"Accounts!F4", "Positions!D4"} <= set(found.cells["margin.xlsx"])
    assert "Account list!A4" not in found.cells["margin.xlsx"]


def test_every_touched_cell_traces_back_to_the_event(day):
    home, cut, books = day
    event = event_of(home, "trades", '"T3"')
    cells = tracing.touched(home, event, cut, [books / "margin.xlsx"]).cells["margin.xlsx"]
    for cell in random.Random(SEED).sample(list(cells), 3):
        assert event in listed(trace(home, books / "margin.xlsx", cell).events)


@pytest.mark.parametrize(
    ("topic", "text", "count"), [("trades", '"T3"', 1), ("trades", "{broken", 0), ("prices", '"IDX","bid"', 1)]
)
def test_duplicates_refused_events_and_replaced_prices_touch_no_amount(day, topic, text, count):
    home, cut, books = day
    event = event_of(home, topic, text, count)
    found = tracing.touched(home, event, cut, [books / "margin.xlsx", books / "capital.xlsx"])
    assert set(found.rows) <= {"counts", "quarantine"}
    assert all(
        cell.startswith(("Exceptions!", "Quarantine!", "Summary!")) for cells in found.cells.values() for cell in cells
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("trades/1", "topic/partition/offset"), ("trades/9/0", "trades/0"), ("trades/0/99", "from 0 below")],
)
def test_events_that_the_cut_does_not_hold_are_refused_by_name(day, text, expected):
    home, cut, _ = day
    with pytest.raises(UserError, match=expected):
        tracing.touched(home, tracing.parse_event(text), cut, [])


@pytest.mark.parametrize("cell", ["G17", "Nowhere!A1", "Accounts!A1"])
def test_cells_without_a_sealed_value_are_refused_by_name(day, cell):
    home, _, books = day
    with pytest.raises(UserError, match="expected|shows no sealed value"):
        trace(home, books / "margin.xlsx", cell)


def test_the_command_prints_value_rows_rule_parameters_code_and_offsets(day):
    home, cut, books = day
    asked = ["--home", str(home.settings.home), "--out", str(home.settings.out), "trace"]
    told = CliRunner().invoke(plumbline, [*asked, str(books / "margin.xlsx"), "Strategies!F4", "--effects", "2"])
    assert told.exit_code == 0, told.output
    line = cut.table("margin_lines").to_pylist()[0]
    for text in (
        f"= {line['maintenance']}", "table margin_lines", line["rule"], "regt.maintenance", "made by margin",
        "code test", "trades/", "computed again from these",
    ):  # fmt: skip
        assert text in told.output
    event = "/".join(map(str, event_of(home, "trades", '"T1"')))
    touched = CliRunner().invoke(plumbline, [*asked, str(books / "margin.xlsx"), "--event", event])
    assert touched.exit_code == 0, touched.output
    assert "Positions!D4" in touched.output or "more (--all)" in touched.output


def test_the_account_topics_are_those_that_lie_in_shards():
    assert {"trades", "cash", "custody", "firm"} == ACCOUNT_TOPICS
