"""Discretionary add-ons: what the file may say, and what it may not."""

import pytest

from streaming.risk.margin.add_ons import AddOnError, parse_add_ons

VALID = {
    "account": '"ACC-1"',
    "amount": '"250000.50"',
    "who": '"credit risk"',
    "since": "2026-11-02",
    "until": "2027-01-31",
    "why": '"audit pending"',
}


def text_of(**change):
    entry = {name: value for name, value in (VALID | change).items() if value is not None}
    return "[[add_on]]\n" + "\n".join(f"{name} = {value}" for name, value in entry.items())


def test_an_add_on_is_read_with_who_when_why_and_expiry():
    (add_on,) = parse_add_ons(text_of())
    assert (add_on.account, add_on.amount, add_on.who, add_on.why) == (
        "ACC-1", 250_000_500_000, "credit risk", "audit pending",
    )  # fmt: skip
    assert add_on.covers(add_on.since)
    assert add_on.covers(add_on.until)
    assert not add_on.covers(add_on.until.replace(month=2, day=1))


def test_a_file_without_add_ons_is_empty():
    assert parse_add_ons("") == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"who": None}, "add-on 1: expected text in who, found None"),
        ({"why": '" "'}, "expected text in why"),
        ({"since": '"2026-11-02"'}, "expected a date in since"),
        ({"until": "2026-11-01"}, "expected until at or after 2026-11-02, found 2026-11-01"),
        ({"client": '"C"'}, "expected either account or client"),
        ({"account": None}, "expected either account or client"),
        ({"share": '"0.1"'}, "expected either amount or share"),
        ({"account": None, "client": '"C"'}, "expected a share for a client"),
        ({"amount": '"-5"'}, "expected a positive number in amount"),
        ({"amount": '"NaN"'}, "expected a positive number in amount"),
        ({"amount": '"lots"'}, "expected a positive number in amount"),
        ({"colour": '"red"'}, "found \\['colour'\\]"),
    ],
)
def test_incomplete_or_contradicting_add_ons_are_refused(change, message):
    with pytest.raises(AddOnError, match=message):
        parse_add_ons(text_of(**change))


def test_unknown_tables_and_broken_files_are_refused():
    with pytest.raises(AddOnError, match=r"expected \[\[add_on\]\] only"):
        parse_add_ons("[other]\na = 1")
    with pytest.raises(AddOnError, match="expected TOML"):
        parse_add_ons("[[add_on")
