"""The scenario library: what it holds, its digest, and what a user's file is told when it is wrong."""

from datetime import date

import pytest

from streaming.risk.scenarios.grid import grid
from streaming.risk.scenarios.library import ScenarioError, library, parse
from streaming.risk.scenarios.shipped import load
from streaming.risk.scenarios.supervisory import path
from streaming.risk.var.history import days
from tests.unit.real_history import index
from tests.unit.stress_books import RULES

USER = """
[[scenario]]
id = "MY-1"
name = "my own"
source = "desk"
index = "-0.12"
vix = { from = "20", to = "40" }
vol = { points = "0.05" }
rate_bp = "-25"
names = { ACME = "-0.5" }
start = 2020-03-13
end = 2020-03-16
"""


def test_every_scenario_the_rules_name_is_there():
    ids = {s.id for s in load().scenarios}
    assert {"SA2024", "SA2025", "SA2026"} <= ids
    assert {
        "H1987", "H1998", "H2000", "H2008a", "H2008b", "H2008c", "H2008d", "H2010", "H2011", "H2015", "H2018",
        "H2020a", "H2020b", "H2021", "H2024", "H2025",
    } <= ids  # fmt: skip


def test_every_shock_of_the_shipped_library_carries_a_source_and_an_evidence_mark():
    for scenario in load().scenarios:
        assert scenario.source
        assert scenario.evidence, scenario.id
        assert all(mark in "VKH" for _, mark in scenario.evidence)


def test_core_set_has_at_least_eight_scenarios_and_the_control():
    core = [s.id for s in load().core()]
    assert len(core) >= 8
    assert "ZERO" in core


@pytest.mark.parametrize(
    ("name", "index_move", "vix"),
    [("SA2024", -550_000, 70), ("SA2025", -500_000, 65), ("SA2026", -580_000, 72), ("H2020a", -119_800, 82.69)],
)
def test_published_sizes(name, index_move, vix):
    assert load()[name].index == index_move
    assert load()[name].vix_to == round(vix * 1_000_000)


@pytest.mark.parametrize(("year", "trough", "quarter", "peak"), [
    ("2024", -550_000, 4, 70), ("2025", -500_000, 4, 65), ("2026", -580_000, 3, 72),
])  # fmt: skip
def test_path_reaches_the_published_trough_and_peak_in_thirteen_quarters(year, trough, quarter, peak):
    quarters = path(year)
    moves = [s.index for s in quarters]
    assert len(quarters) == 13
    assert min(moves) == trough == moves[quarter - 1]
    assert max(s.vix_to for s in quarters) == peak * 1_000_000
    assert {v.name for v in quarters[0].variables} >= {"unemployment", "treasury_3m", "bbb_yield"}


def test_path_ends_where_the_publication_says_that_equities_recover():
    assert path("2025")[-1].index == pytest.approx(0, abs=5)  # the 13th level is the jump-off level to the cent


@pytest.mark.parametrize("name", ["H1998", "H2000", "H2015"])
def test_moves_marked_as_loaded_data_are_those_of_the_loaded_closes(name):
    scenario, history = load()[name], index()
    last = history.row(scenario.end)
    first = history.row(scenario.start) if scenario.start >= 0 else last - 1
    move = history.close[last, 0] / history.close[first, 0] - 1
    assert round(move, 3) == round(scenario.index / 1e6, 3)
    assert scenario.days == last - first


def test_digest_depends_on_content_and_not_on_order():
    scenarios = list(load().scenarios)
    assert library(reversed(scenarios)).digest == load().digest
    assert library(scenarios[1:]).digest != load().digest


def test_grid_has_twenty_spots_by_nine_vols_and_one_cell_without_a_move():
    found = grid(RULES)
    assert found.shape == (20, 9)
    assert len(found.scenarios) == 180
    assert [s.id for s in found.scenarios if s.gap == 0 and s.vol_relative == 0] == ["GRID/+0%/+0%"]


def test_a_users_scenario_is_read_exactly():
    (found,) = parse(USER, "mine.toml")
    assert (found.family, found.index, found.rate) == ("user", -120_000, -2_500)
    assert (found.vix_from, found.vix_to, found.vol_points) == (20_000_000, 40_000_000, 50_000)
    assert found.names == (("ACME", -500_000),)
    assert (found.start, found.end) == (days(date(2020, 3, 13)), days(date(2020, 3, 16)))
    assert dict(found.evidence)["index"] == "H"


def test_a_shipped_file_without_a_mark_is_refused():
    with pytest.raises(ScenarioError, match=r"lib.toml: scenario MY-1: evidence.index: expected V, K or H, found None"):
        parse(USER, "lib.toml", evidence=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('index = "-50"', r"mine.toml: scenario MY-1: index: expected a number from -1 to 10, found '-50'"),
        ("index = -0.1", r"index: expected a decimal number as text, such as \"-0.10\", found -0.1"),
        ('index = "x"', r"index: expected a decimal number, found 'x'"),
        ('indx = "-0.1"', r"indx: expected one of .*, found 'an unknown field'"),
        ('index = "0"\nscope = "name"', r"gap: expected a gap exactly where scope is name or sector, found None"),
        ('index = "0"\nscope = "planet"\ngap = "0.1"', r"scope: expected market or name or sector, found 'planet'"),
        ('vix = { from = "20" }', r"vix: expected to beside from"),
        ('vol = { speed = "1" }', r"vol: expected a table of relative and points"),
        ('names = { ACME = "-1.5" }', r"names.ACME: expected a number from -1 to 1000, found '-1.5'"),
        ('index = "0"\ndays = 0', r"days: expected a whole number of trading days from 1, found 0"),
        ("start = 2020-03-16\nend = 2020-03-16", r"end: expected a date after start"),
        ('end = "2020-03-16"', r"end: expected a date such as 2020-03-16"),
        ('index = "0"\nevidence = { index = "X" }', r"evidence.index: expected V, K or H, found 'X'"),
        (
            'index = "0"\nevidence = { vix = "H" }',
            r"evidence: expected marks of shocks that are given, found \['vix'\]",
        ),
        ('index = "0"\ncore = "yes"', r"core: expected true or false, found 'yes'"),
    ],
)
def test_a_mistake_in_a_users_file_names_file_entry_expected_and_found(change, message):
    text = f'[[scenario]]\nid = "MY-1"\nname = "n"\nsource = "s"\n{change}\n'
    with pytest.raises(ScenarioError, match=message):
        parse(text, "mine.toml")


@pytest.mark.parametrize("text", ["", "[[szenario]]\nid='x'", "scenario = 3", "[[scenario]\n"])
def test_a_file_that_is_no_scenario_file_is_refused(text):
    with pytest.raises(ScenarioError, match=r"^mine.toml: expected"):
        parse(text, "mine.toml")


def test_an_entry_without_an_id_is_named_by_its_number():
    with pytest.raises(ScenarioError, match=r"mine.toml: scenario number 1: id: expected text, found None"):
        parse('[[scenario]]\nname = "n"\nsource = "s"\n', "mine.toml")


def test_an_id_may_be_used_once():
    with pytest.raises(ScenarioError, match="expected each id once, found 'ZERO' twice"):
        library([load()["ZERO"], load()["ZERO"]])
