"""The command line: help that names every command, and one line for everything a user can get wrong."""

import sys
from pathlib import Path

import pytest

from orchestration import cli


class Ended:
    """What a call of ``plumbline`` came to."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def plumbline(monkeypatch, capfd, tmp_path):
    """Call ``plumbline`` with a home of its own."""

    def call(*arguments: str) -> Ended:
        places = ["--home", str(tmp_path / "home"), "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["plumbline", *places, *arguments])
        code = cli.run()
        return Ended(code, *capfd.readouterr())

    return call


def test_help_names_every_command(plumbline):
    ended = plumbline("--help")
    assert ended.code == 0
    assert all(f"  {name} " in ended.out for name in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(plumbline, command):
    ended = plumbline(command, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: plumbline {command}")


CASES = Path("cases.json")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-command"], "no-such-command"),
        (["demo", "--accounts", "0"], "accounts: expected 1 to 5,000, found 0"),
        (["demo", "--trades", "many"], "many"),
        (["demo", "--date", "yesterday"], "expected a date such as 2020-03-16, found 'yesterday'"),
        (["demo", "--date", "1985-01-02", "--accounts", "5", "--trades", "0"], "1985-01-02"),
        (["demo", "--fault", "no-such-fault", "--accounts", "5"], "found no-such-fault"),
        (["run", "2020-03-15"], "expected a session"),
        (["run", "2020-03-16"], "expected events"),
        (["replay", "2020-03-16"], "expected a day with events"),
        (["check", "2020-03-16"], "cut 2020-03-16/eod"),
        (["publish", "2020-03-16"], "cut 2020-03-16/eod"),
        (["as-of", "noon"], "expected a time such as"),
        (["as-of", "2020-03-16T10:45"], "first epoch"),
        (["calc"], "expected a file of cases"),
        (["calc", "no-such-file.json"], "no-such-file.json"),
        (["ingest"], "expected at least one file"),
        (["ingest", "--trades", "no-such-file.csv"], "no-such-file.csv"),
        (["ledger", "no-such-part"], "no-such-part"),
        (["override", "2020-03-16/eod", "x", "--by", "a"], "--approved-by"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_user_error_is_one_line_and_exit_code_2(plumbline, arguments, complaint):
    ended = plumbline(*arguments)
    assert ended.code == 2
    lines = ended.err.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    assert complaint in lines[-1]
    assert "Traceback" not in ended.err
    assert [line for line in lines if line.startswith("Error")] == [lines[-1]]


def test_calc_answers_cases_in_order_and_goes_on_after_a_wrong_one(plumbline, tmp_path):
    import orjson

    file = tmp_path / CASES
    haircut = {"kind": "equity_haircut", "inputs": {"long_mv": 1000, "short_mv": 0}}
    file.write_bytes(orjson.dumps([{"id": "a", "kind": "no such kind"}, {"id": "b", **haircut}]))
    ended = plumbline("calc", str(file))
    answers = orjson.loads(ended.out)
    assert ended.code == 0
    assert [answer["id"] for answer in answers] == ["a", "b"]
    assert "expected" in answers[0]["error"]
    assert answers[1]["result"]["haircut"] == 150


def test_calc_refuses_what_is_not_json(plumbline, tmp_path):
    (tmp_path / CASES).write_text("[{")
    ended = plumbline("calc", str(tmp_path / CASES))
    assert ended.code == 2
    assert "expected JSON" in ended.err


def test_a_damaged_ledger_is_named_with_its_line(plumbline, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "ledger.jsonl").write_text("not an entry\n")
    ended = plumbline("ledger", "verify")
    assert ended.code == 2
    assert "line 1" in ended.err
