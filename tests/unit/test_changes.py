"""Restatement and movement on a small real day: every changed cell, its causes, and parts that add up exactly."""

from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from openpyxl import load_workbook

import reports
from orchestration import changes
from orchestration.changes import Explained
from orchestration.cli import plumbline
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.tracing import trace
from reports.difference import difference, difference_workbook
from streaming.cuts import open_cut
from tests.kit.tiny_day import cash, event, trade
from tests.unit.traced_day import CALL, DAY, EOD, STOCKS, Step, append, run, sealed_day

NEXT = DAY + timedelta(days=1)
LATE = "A3", "CCC"
LATE_PRICE, LATE_UNITS = Decimal("29.5"), 4


def late() -> list[Step]:
    """After the close: a trade that came late, a correction, a cash movement that came twice."""
    deposit = ("cash", "A2", cash("D2", "A2", "250"))
    trade_ = trade("T9", *LATE, "buy", LATE_UNITS, str(LATE_PRICE))
    corrected = trade("T4", "A3", "CCC", "buy", 12, "29.9", version=2, action="correct")
    return [([("trades", "A3", trade_), ("trades", "A3", corrected), deposit, deposit], "eod")]


def next_day() -> list[Step]:
    """The day after: prices first, then trades, a client whose margin type changes."""
    today = {"business_date": NEXT.isoformat(), "event_time": "2020-03-17T13:30:00Z"}

    def priced(instrument: str, mid: float) -> tuple[str, str, bytes]:
        fields = {
            "bid": f"{mid - 0.01:.6f}",
            "ask": f"{mid + 0.01:.6f}",
            "kind": "quote",
            "sequence": 99,
            "source": "X",
        }
        return "prices", "", event(instrument=instrument, **fields, **today)

    client = event(id="A1", client="C-A1", kind="customer", margin_type="cash", currency="USD", **today)
    quotes = [priced(name, float(base) * 0.95) for name, base in STOCKS.items()]
    bought = trade("N1", "A2", "AAA", "buy", 50, "9.6", business_date=NEXT.isoformat(), settle_date="2020-03-18")
    return [
        ([*quotes, ("accounts", "", client)], "set"),
        ([priced(CALL, 0.9), ("trades", "A2", bought)], "eod"),
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    made, _ = sealed_day(tmp_path_factory.mktemp("changes"))
    append(made, late())
    run(made)
    append(made, next_day(), NEXT)
    run(made)
    return made


@pytest.fixture(scope="module")
def restated(home) -> Explained:
    return changes.restatement(home, changes.version_of(home, DAY, "v1"), changes.version_of(home, DAY, "v2"))


@pytest.fixture(scope="module")
def moved(home) -> Explained:
    return changes.movement(home, home.end_of_day(NEXT))


def added(parts: pa.Table, cells: pa.Table) -> None:
    """Each cell's parts add up to its change, exactly; cells that only moved to and fro add up to zero."""
    names = ["table", "key", "column"]
    changed = {tuple(row[name] for name in names): row["change"] for row in cells.to_pylist()}
    sums: dict[tuple, Decimal] = {}
    for row in parts.to_pylist():
        if row["change"] is not None:
            key = tuple(row[name] for name in names)
            sums[key] = sums.get(key, Decimal(0)) + row["change"]
    assert {key for key, change in changed.items() if change is not None} <= set(sums)
    for key, total in sums.items():
        assert total == (changed.get(key) or 0), key


def of(parts: pa.Table, table: str, column: str, key: str) -> dict[str, Decimal]:
    rows = parts.filter(pc.equal(parts["table"], table))
    return {row["cause"]: row["change"] for row in rows.to_pylist() if (row["column"], row["key"]) == (column, key)}


def test_a_late_event_makes_version_2_and_version_1_stays(home):
    first, second = (open_cut(home.settings.store, EOD, version) for version in (1, 2))
    assert (first.version, second.version) == (1, 2)
    assert {row["id"] for row in second.table("trades").to_pylist()} - {
        row["id"] for row in first.table("trades").to_pylist()
    } == {"T9"}


def test_the_parts_of_a_restatement_add_up_exactly(home, restated):
    cells = difference(restated.old, restated.new)
    assert cells.num_rows
    added(restated.parts, cells)


def test_each_changed_cell_names_the_events_that_made_it(home, restated):
    causes = of(restated.parts, "cash", "amount", "account=A3, currency=USD")
    bought = next(cause for cause in causes if cause.startswith("trades/") and "A3 CCC" in cause)
    fee = Decimal("0.01")
    assert causes[bought] == -(LATE_PRICE * LATE_UNITS + fee)
    corrected = [cause for cause in causes if cause != bought]
    assert [causes[cause] for cause in corrected] == [-2 * Decimal("29.9")]
    deposits = of(restated.parts, "cash", "amount", "account=A2, currency=USD")
    assert list(deposits.values()) == [Decimal(250)], "the copy of the deposit has no part"


def test_what_the_clock_alone_changed_is_a_part_of_its_own(restated):
    rows = restated.parts.filter(pc.equal(restated.parts["cause"], changes.TIME)).to_pylist()
    assert rows
    assert not [row for row in rows if row["table"] in ("positions", "cash", "trades")]


def test_many_events_are_told_by_account_and_instrument(home, monkeypatch):
    monkeypatch.setattr(changes, "EVENTS_MAX", 1)
    first, second = (changes.version_of(home, DAY, name) for name in ("v1", "v2"))
    found = changes.restatement(home, first, second)
    added(found.parts, difference(first, second))
    assert set(found.parts["cause"].to_pylist()) == {"time", "trades (A3 CCC)", "cash (A2)"}


def test_the_movement_since_the_day_before_adds_up_by_kind(moved):
    assert (moved.old.id, moved.old.version) == (EOD, 2)
    added(moved.parts, difference(moved.old, moved.new))
    assert set(moved.parts["cause"].to_pylist()) <= {
        "time", "client", "reference data", "new trades", "cash and custody", "price", "volatility",
    }  # fmt: skip


def test_each_kind_moves_what_it_must(moved):
    value = of(moved.parts, "pnl", "market_value", "account=A3, instrument=CCC")
    assert set(value) == {"price"}
    quantity = of(moved.parts, "positions", "quantity", "account=A2, instrument=AAA")
    assert quantity == {"new trades": Decimal(50)}
    vol = of(moved.parts, "valuation", "vol", f"instrument={CALL}")
    assert "volatility" in vol
    assert set(of(moved.parts, "margin", "margin_type", "account=A1")) == {"client"}


def test_another_rule_date_is_a_cause_of_its_own(home, monkeypatch):
    new = home.end_of_day(NEXT)
    old = open_cut(home.settings.store, EOD)
    earlier = {**old.manifest["versions"], "rule_date": "2026-06-15"}
    manifest = {**old.manifest, "versions": earlier}
    monkeypatch.setattr(changes, "open_cut", lambda *_: _With(old, manifest))
    found = changes.movement(home, new)
    rules = found.parts.filter(pc.equal(found.parts["cause"], "rule"))
    assert rules.num_rows
    assert "parameters" in rules["table"].to_pylist()
    added(found.parts, difference(old, new))


class _With:
    """A cut with another manifest."""

    def __init__(self, cut, manifest):
        self._cut, self.manifest = cut, manifest

    def __getattr__(self, name):
        return getattr(self._cut, name)


def test_a_first_day_has_nothing_to_move_from(home):
    with pytest.raises(UserError, match="expected a day after another one"):
        changes.movement(home, open_cut(home.settings.store, EOD))


@pytest.mark.parametrize(
    ("old", "new", "said"), [("v2", "v1", "older and a newer"), ("v1", "v7", "v7"), ("x", "v1", "v1")]
)
def test_versions_that_cannot_be_compared_are_refused(home, old, new, said):
    with pytest.raises(UserError, match=said):
        changes.restatement(home, changes.version_of(home, DAY, old), changes.version_of(home, DAY, new))


def test_the_command_prints_cells_with_causes_and_writes_the_sheet(home, tmp_path):
    asked = ["--home", str(home.settings.home), "--out", str(home.settings.out), "diff", DAY.isoformat(), "v1", "v2"]
    told = CliRunner().invoke(plumbline, [*asked, "--all", "--to", str(tmp_path / "d.xlsx")])
    assert told.exit_code == 0, told.output
    assert "cash: account=A2, currency=USD: amount" in told.output
    workbook = load_workbook(tmp_path / "d.xlsx")
    assert workbook.sheetnames == ["Summary", "Difference", "Parts"]
    head = [cell.value for cell in workbook["Difference"][3]]
    rows = [dict(zip(head, row, strict=True)) for row in workbook["Difference"].iter_rows(min_row=4, values_only=True)]
    deposit = next(row for row in rows if row["Table"] == "cash" and row["Key"] == "account=A2, currency=USD")
    assert deposit["Causes"].endswith("(A2): +250")


def test_the_difference_workbook_with_parts_has_the_same_bytes_again(restated, tmp_path):
    paths = [tmp_path / "a.xlsx", tmp_path / "b.xlsx"]
    for path in paths:
        difference_workbook(restated.old, restated.new, path, restated.parts)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_cell_of_a_later_day_is_computed_from_that_days_events_and_the_state_it_began_with(home, tmp_path):
    cut = home.end_of_day(NEXT)
    path = reports.build(cut, tmp_path, reports.Context())["margin"]
    rows = cut.table("pnl").to_pylist()
    at = next(k for k, row in enumerate(rows) if (row["account"], row["instrument"]) == ("A3", "CCC"))
    assert rows[at]["quantity"] == 50 + 12 + LATE_UNITS
    accounts = [row["account"] for row in cut.table("margin").to_pylist()]
    found = trace(home, path, f"Accounts!F{accounts.index('A3') + 4}")
    assert found.start == (EOD, 2)
    assert found.recomputed
    begun = open_cut(home.settings.store, *found.start).manifest["offsets"]
    for (topic, partition), offsets in found.events.items():
        assert not len(offsets) or offsets[0] >= begun[topic][partition], "events of the day before are in its state"
    assert sum(len(offsets) for offsets in found.events.values()) < 10
