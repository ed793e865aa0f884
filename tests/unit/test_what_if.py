"""What-if on a small real day: the branch equals a real run, figures move as they must, filed numbers do not."""

import hashlib
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow.parquet
import pytest

from orchestration import what_if
from orchestration.cli import USER_ERROR, plumbline
from orchestration.errors import UserError
from orchestration.pipeline import Home
from orchestration.what_if_events import Events
from orchestration.what_if_file import Price, Trade, WhatIf, WhatIfError, parse, read
from orchestration.what_if_rules import rules_on
from streaming.cuts import SealedCut, open_cut
from tests.unit import traced_day
from tests.unit.traced_day import CALL, DAY, EOD, PUT

MORNING = f"{DAY}/1030"
EVERYTHING = {
    "name": "everything",
    "cut": MORNING,
    "trade": [{"account": "A2", "instrument": "CCC", "side": "buy", "quantity": 25, "price": "30.5", "fee": "1.25"}],
    "price": [{"instrument": "AAA", "change": "-0.15"}, {"instrument": "BBB", "price": "21.5"}],
    "cash": [{"account": "A1", "amount": "-750.5"}],
    "transfer": [
        {"from": "A1", "to": "A3", "instrument": "AAA", "quantity": 300},
        {"from": "A3", "to": "A2", "amount": "100"},
    ],
}


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> tuple[Home, SealedCut]:
    return traced_day.sealed_day(tmp_path_factory.mktemp("what-if"))


def epoch_of(home: Home, cut: SealedCut):
    return home.index[cut.manifest["epoch"]]


def really(folder: Path, mark: str, events: Events) -> SealedCut:
    """The cut of another home, whose feeds did send the events in that cut's epoch."""
    home = traced_day.home_at(folder)
    more = [
        (topic, orjson.loads(body).get("account", ""), body)
        for (topic, _), bodies in events.payloads.items()
        for body in bodies
    ]
    steps = [([*sent, *more] if name == mark else sent, name) for sent, name in traced_day.steps()]
    traced_day.append(home, steps)
    traced_day.run(home)
    return open_cut(home.settings.store, f"{DAY}/{mark}")


@pytest.mark.parametrize("mark", ["1030", "eod"])
def test_a_branch_equals_a_real_run_with_those_events(day, tmp_path, mark):
    home, _ = day
    cut = open_cut(home.settings.store, f"{DAY}/{mark}")
    question = parse(EVERYTHING | {"cut": cut.id})
    answer = what_if.ask(home, question)
    real = really(tmp_path, mark, Events(home, cut, epoch_of(home, cut), question)).manifest["tables"]
    assert {name: table["digest"] for name, table in real.items()} == dict(answer.branch.after.digests)
    filed = cut.manifest["tables"]
    differ = {name for name in filed if filed[name]["digest"] != real[name]["digest"]}
    assert {"positions", "cash", "prices", "valuation", "pnl", "margin", "margin_house", "capital_lines"} <= differ


def test_a_rule_date_on_a_branch_equals_a_run_under_that_date(day, tmp_path, monkeypatch):
    home, _ = day
    other = date(2026, 6, 1)
    question = WhatIf("before-the-intraday-rule", MORNING, None, other)
    answer = what_if.ask(home, question)
    announced = traced_day.versions_in_force
    monkeypatch.setattr(traced_day, "versions_in_force", lambda _, code: announced(other, code))
    nothing = Events(home, open_cut(home.settings.store, MORNING), epoch_of(home, day[1]), question)
    real = really(tmp_path, "1030", nothing).manifest
    assert real["versions"]["rule_date"] == answer.branch.after.versions["rule_date"] == "2026-06-01"
    assert {name: table["digest"] for name, table in real["tables"].items()} == dict(answer.branch.after.digests)


def bytes_of(home: Home) -> str:
    """A digest over every byte that is filed."""
    digest = hashlib.sha256()
    settings = home.settings
    for path in sorted(p for p in settings.home.rglob("*") if p.is_file() and settings.scratch not in p.parents):
        digest.update(f"{path.relative_to(settings.home)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def call(home: Home, *arguments: str) -> None:
    places = ["--home", str(home.settings.home), "--out", str(home.settings.out)]
    plumbline.main([*places, *arguments], standalone_mode=False)


def test_the_command_writes_below_branch_and_leaves_every_filed_byte(day, tmp_path, capsys):
    home, _ = day
    file = tmp_path / "Sell_off.json"
    file.write_text(json.dumps({key: value for key, value in EVERYTHING.items() if key != "name"}))
    before = bytes_of(home)
    call(home, "what-if", str(file))
    assert bytes_of(home) == before
    folder = home.settings.out / "branch" / "sell-off"
    assert [path.name for path in home.settings.out.iterdir()] == ["branch"]
    assert not list(home.settings.scratch.iterdir())
    document = orjson.loads((folder / "what-if.json").read_bytes())
    assert document["touched"] == ["A1", "A2", "A3", "HOUSE"]
    summary = pyarrow.parquet.read_table(folder / "summary.parquet")
    measures = {"P&L", "Regulation T", "Portfolio margin", "House", "Net capital", "Reserve"}
    assert measures <= set(summary["measure"].to_pylist())
    positions = pyarrow.parquet.read_table(folder / "tables" / "positions.parquet")
    assert document["tables"]["positions"]["rows"] == positions.num_rows
    assert str(folder) in capsys.readouterr().out
    call(home, "what-if", str(file))  # an answer is replaced as a whole
    assert orjson.loads((folder / "what-if.json").read_bytes()) == document


def figures(answer: what_if.Answer, name: str) -> dict[str, tuple[Decimal, Decimal]]:
    rows = answer.summary.to_pylist()
    return {row["figure"]: (row["before"], row["after"]) for row in rows if row["name"] == name}


def test_a_deposit_moves_equity_and_every_excess_by_its_amount_and_nothing_else(day):
    home, _ = day
    answer = what_if.ask(home, parse({"name": "d", "cut": MORNING, "cash": [{"account": "A1", "amount": "500"}]}))
    found = figures(answer, "A1")
    assert answer.touched == ("A1",)
    for figure in ("Equity", "Initial excess", "Maintenance excess", "Excess", "Effective excess"):
        before, after = found[figure]
        assert after - before == 500, figure
    for figure in ("Day P&L", "Initial requirement", "Maintenance requirement", "House requirement"):
        before, after = found[figure]
        assert after == before, figure
    before, after = figures(answer, "")["Equity, all accounts"]
    assert after - before == 500


def test_a_trade_at_the_cuts_price_costs_its_fee_and_a_stock_of_unknown_class_its_whole_value(day):
    home, _ = day
    trade = {"account": "A2", "instrument": "CCC", "side": "buy", "quantity": 10, "fee": "2"}
    answer = what_if.ask(home, parse({"name": "t", "cut": MORNING, "trade": [trade]}))
    cut = open_cut(home.settings.store, MORNING)
    (price,) = [row["price"] for row in cut.table("prices").to_pylist() if row["instrument"] == "CCC"]
    found = figures(answer, "A2")
    assert found["Day P&L"][1] - found["Day P&L"][0] == -2
    assert found["Initial requirement"][1] - found["Initial requirement"][0] == price * 10


def test_a_transferred_position_takes_its_share_of_the_cost_and_the_firm_still_balances(day):
    home, _ = day
    move = {"from": "A1", "to": "A3", "instrument": "AAA", "quantity": 300}
    answer = what_if.ask(home, parse({"name": "m", "cut": MORNING, "transfer": [move]}))
    after = {(r["account"], r["instrument"]): r for r in answer.branch.after.tables["positions"].to_pylist()}
    before = {(r["account"], r["instrument"]): r for r in answer.branch.before["positions"].to_pylist()}
    assert after["A3", "AAA"]["quantity"] == 300
    left, held = after["A1", "AAA"], before["A1", "AAA"]
    assert left["quantity"] == held["quantity"] - 300
    assert left["cost"] + after["A3", "AAA"]["cost"] == held["cost"]
    assert figures(answer, "")["Equity, all accounts"][0] == figures(answer, "")["Equity, all accounts"][1]
    failing = [answer.branch.before, answer.branch.after.tables]
    assert len({sum(bool(r["difference"]) for r in side["checks"].to_pylist()) for side in failing}) == 1


def test_options_move_with_their_underlying_at_their_volatilities_or_stay(day):
    home, _ = day
    cut = open_cut(home.settings.store, MORNING)
    prices = {row["instrument"]: row["price"] for row in cut.table("prices").to_pylist()}
    for options, moves in (("revalue", True), ("keep", False)):
        down = {"instrument": "AAA", "change": "-0.15", "options": options}
        answer = what_if.ask(home, parse({"name": "o", "cut": MORNING, "price": [down]}))
        found = {r["instrument"]: r["price"] for r in answer.branch.after.tables["prices"].to_pylist()}
        assert found["AAA"] == round(prices["AAA"] * Decimal("0.85"), 6)
        assert (found[CALL] < prices[CALL], found[PUT] > prices[PUT]) == (moves, moves)
        if moves:
            vols = [
                {r["instrument"]: r["vol"] for r in side["valuation"].to_pylist()}
                for side in (answer.branch.before, answer.branch.after.tables)
            ]
            assert abs(vols[0][CALL] - vols[1][CALL]) < Decimal("0.001")


WRONG = [
    ({"cut": "2020-03-16/1030"}, "what-if: expected a trade, price, cash, transfer or rule_date, found none"),
    ({"rule_date": "2026-06-04"}, "what-if: cut: expected text, found nothing"),
    ({"cut": MORNING, "rule_date": "soon"}, "what-if: rule_date: expected a date such as 2026-06-04, found 'soon'"),
    ({"cut": MORNING, "trades": []}, "found trades"),
    ({"cut": MORNING, "cash": {"account": "A1"}}, "cash: expected a list of entries"),
    ({"cut": MORNING, "cash": [{"account": "A1", "amount": 0}]}, "cash 1: amount: expected an amount other than 0"),
    ({"cut": MORNING, "cash": [{"account": "A1", "amount": "1e-7"}]}, "with at most six decimals, found '1e-7'"),
    (
        {"cut": MORNING, "trade": [{"account": "A1", "instrument": "AAA", "side": "hold", "quantity": 1}]},
        "trade 1: side: expected buy or sell, found 'hold'",
    ),
    (
        {"cut": MORNING, "trade": [{"account": "A1", "instrument": "AAA", "side": "buy", "quantity": -5}]},
        "trade 1: quantity: expected a whole number from 1 to 100,000,000, found -5",
    ),
    (
        {"cut": MORNING, "price": [{"instrument": "AAA", "price": 1, "change": 1}]},
        "price 1: expected one of price, change, found price and change",
    ),
    (
        {"cut": MORNING, "price": [{"instrument": "AAA", "price": 1}, {"instrument": "AAA", "price": 2}]},
        "price: expected AAA once, found it 2 times",
    ),
    ({"cut": MORNING, "name": "../x", "rule_date": "2026-06-04"}, "name: expected small letters, digits and hyphens"),
]


@pytest.mark.parametrize(("fields", "complaint"), WRONG)
def test_a_wrong_file_is_told_field_by_field(fields, complaint):
    with pytest.raises(WhatIfError) as told:
        parse({"name": "x"} | fields)
    assert any(complaint in problem for problem in told.value.problems), told.value.problems


def test_everything_wrong_is_told_at_once_a_line_each(day, tmp_path, capsys):
    home, _ = day
    file = tmp_path / "wrong.toml"
    file.write_text(f"""
        cut = "{MORNING}"
        [[trade]]
        account = "NOBODY"
        instrument = "NOTHING"
        side = "buy"
        quantity = 1
        [[transfer]]
        from = "A1"
        to = "A1"
        amount = 5
    """)
    with pytest.raises(SystemExit) as ended:
        call(home, "what-if", str(file))
    assert ended.value.code == USER_ERROR
    assert capsys.readouterr().err.splitlines() == [
        "Error: transfer 1: to: expected another account than from, found A1",
        "Error: trade 1: account: expected one of the 4 accounts of the cut, found 'NOBODY'",
        "Error: trade 1: instrument: expected one of the 6 instruments of the cut, found 'NOTHING'",
    ]


def test_more_than_the_position_cannot_be_transferred(day):
    home, _ = day
    move = {"from": "A1", "to": "A3", "instrument": "AAA", "quantity": 3_000}
    with pytest.raises(WhatIfError, match="transfer 1: quantity: expected at most the position, A1 holds 1,100 AAA"):
        what_if.ask(home, parse({"name": "m", "cut": MORNING, "transfer": [move]}))


def test_what_the_book_refuses_is_an_error_and_no_answer(day):
    home, _ = day
    trade = Trade("A1", "AAA", "buy", 1, Decimal(5), Decimal(0), date(1999, 1, 4))
    question = WhatIf("x", MORNING, None, None, trades=(trade,))
    cut = open_cut(home.settings.store, MORNING)
    events = Events(home, cut, epoch_of(home, cut), question)
    ((where, (body,)),) = events.payloads.items()
    broken = {where: [body.replace(b'"quantity":1', b'"quantity":0')]}
    found = what_if.branch(home, cut, broken, {}, what_if.chain.jobs())
    with pytest.raises(UserError, match="trades: expected events that the book takes, 1 refused: .*quantity"):
        what_if._taken(found, events)


def test_toml_and_json_ask_the_same(tmp_path):
    (tmp_path / "one.toml").write_text(
        f'cut = "{EOD}"\nrule_date = 2026-06-04\n[[price]]\ninstrument = "AAA"\nprice = 9.15\n'
    )
    body = {"cut": EOD, "rule_date": "2026-06-04", "price": [{"instrument": "AAA", "price": "9.15"}]}
    (tmp_path / "one.json").write_text(json.dumps(body))
    asked = read(tmp_path / "one.toml")
    assert asked == read(tmp_path / "one.json")
    assert asked == WhatIf("one", EOD, None, date(2026, 6, 4), prices=(Price("AAA", Decimal("9.15"), None, "revalue"),))


def test_the_same_rule_date_differs_in_nothing(day):
    found = rules_on(day[0], date(2026, 11, 1), EOD)
    assert (found.differences.num_rows, found.found.parameters.num_rows, found.found.refused.num_rows) == (0, 0, 0)


def test_another_rule_date_lists_parameters_and_each_accounts_differences_with_their_paragraph(day, tmp_path, capsys):
    home, _ = day
    before = bytes_of(home)
    call(home, "rules-on", "2026-06-01", "--cut", EOD, "--to", str(tmp_path / "lists"))
    assert bytes_of(home) == before
    told = capsys.readouterr().out
    assert f"{EOD} v1: rules of 2026-06-01 beside those of 2026-11-01" in told
    assert "intraday.cure_days: 5 -> none" in told
    rows = pyarrow.parquet.read_table(tmp_path / "lists" / "differences.parquet").to_pylist()
    assert rows
    assert all(row["paragraph"] for row in rows)
    calls = [row for row in rows if row["requirement"] == "calls" and row["key"] == "intraday"]
    assert all(row["account"] and row["after"] is None and row["paragraph"] == "FINRA 4210(d)(2)" for row in calls)


def test_a_date_without_capital_rules_still_compares_margin_and_says_what_is_refused(day):
    found = rules_on(day[0], date(2013, 6, 3), EOD)
    refused = {row["requirement"] for row in found.found.refused.to_pylist()}
    assert refused == {"net capital and reserve", "notices"}


def test_a_date_without_rules_at_all_is_one_line(day):
    with pytest.raises(UserError, match="rules of 1950-01-01: rulebook: no value of"):
        rules_on(day[0], date(1950, 1, 1), EOD)


def test_dagsters_job_gives_the_commands_answer(day, tmp_path, monkeypatch):
    from orchestration.console.definitions import defs

    home, _ = day
    file = tmp_path / "from-the-console.json"
    file.write_text(json.dumps({key: value for key, value in EVERYTHING.items() if key != "name"}))
    call(home, "what-if", str(file))
    folder = home.settings.out / "branch" / "from-the-console"
    told = (folder / "what-if.json").read_bytes()
    renamed = {"trade": "trades", "price": "prices", "transfer": "transfers"}
    config = {renamed.get(name, name): value for name, value in EVERYTHING.items()} | {"name": folder.name}
    config["transfers"] = [
        {{"from": "source", "to": "target"}.get(name, name): value for name, value in entry.items()}
        for entry in EVERYTHING["transfer"]
    ]
    places = {"PLUMBLINE_HOME": str(home.settings.home), "PLUMBLINE_OUT": str(home.settings.out)}
    for name, value in (places | {"PLUMBLINE_BASE_URL": "", "PLUMBLINE_STACK": ""}).items():
        monkeypatch.setenv(name, value)
    before = bytes_of(home)
    asked = {"ops": {"branch_of_cut": {"config": config}}}
    assert defs.resolve_job_def("what_if").execute_in_process(run_config=asked).success
    assert bytes_of(home) == before
    assert (folder / "what-if.json").read_bytes() == told
