"""Messages say everything once, keep within Slack's limits, and never carry what they must not."""

import pytest
from alert_cases import CUT, NOON, alert, warning

from orchestration.alerts.links import Links
from orchestration.alerts.message import BLOCKS_MAX, HEADER_MAX, SECTION_MAX, TEXT_MAX, blocks, headline, payload, text
from orchestration.alerts.outbox import CHANGED, OPENED, RECOVERED, REOPENED, WAITING, Message
from tests.kit.slack_fake import problem_of

LINKS = Links("https://desk.example")


def message(kind: str = OPENED, thread: str = "", **fields: object) -> Message:
    return Message(7, kind, alert(**fields), NOON, NOON, WAITING, 0, None, "", "", "", thread)


def test_a_message_says_severity_what_where_when_expected_found_rows_owner_and_next_step():
    for told in (text(message(), LINKS), str(blocks(message(), LINKS))):
        for part in (
            "CRITICAL", "prices.held.fresh", CUT, "v1", "No held instrument has a stale price.", "2020-03-16T20:30",
            "no held instrument has a stale price", "1 of 56 rows", "instrument MSFT", "topic prices", "partition 0",
            "offset 4711", "market data", "Send the close.",
        ):  # fmt: skip
            assert part in told, part


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (OPENED, "CRITICAL: prices.held.fresh, 2020-03-16/eod v1"),
        (CHANGED, "CRITICAL changed: prices.held.fresh, 2020-03-16/eod v1"),
        (REOPENED, "CRITICAL again: prices.held.fresh, 2020-03-16/eod v1"),
        (RECOVERED, "RECOVERED: prices.held.fresh, 2020-03-16/eod v1"),
    ],
)
def test_the_headline_says_what_became_of_it(kind, told):
    assert headline(message(kind)) == told


def test_a_recovery_names_what_it_was_and_no_rows():
    told = text(message(RECOVERED), LINKS)
    assert "Was: 1 of 56 rows" in told
    assert "MSFT" not in told


def test_links_lead_to_the_run_the_check_data_docs_and_the_workbook():
    assert LINKS.of_alert(alert()) == {
        "run": "https://desk.example/console/runs?q%5B0%5D=tag%3Adagster%2Fpartition=2020-03-16",
        "check": "https://desk.example/docs/2020-03-16/eod/v1/checks/prices.held.html",
        "Data Docs": "https://desk.example/docs/2020-03-16/eod/v1/index.html",
        "workbook": "https://desk.example/out/2020-03-16/margin.xlsx",
    }


@pytest.mark.parametrize(
    ("check", "book"),
    [("limits.house_excess", "margin"), ("notices.below_minimum", "capital"), ("capital.lines.supplied", "capital")],
)
def test_the_workbook_is_the_one_that_shows_it(check, book):
    assert LINKS.of_alert(alert(check))["workbook"].endswith(f"/{book}.xlsx")


def test_without_a_base_address_there_are_no_links():
    assert Links.of({}).of_alert(alert()) == {}
    assert "http" not in text(message(), Links.of({}))


def test_the_base_address_may_end_in_a_slash():
    assert Links.of({"PLUMBLINE_BASE_URL": "https://desk.example/"}) == LINKS


def test_controls_of_slack_in_data_are_shown_and_not_obeyed():
    told = payload(message(found="<!channel> & <@U1>"), LINKS)
    assert "<!channel>" not in told["text"] + str(told["blocks"])
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in told["text"]


@pytest.mark.parametrize("size", [0, 1, 3_000, 60_000])
def test_an_alert_of_any_size_keeps_slacks_limits(size):
    row = {f"column {i}": "v" * size for i in range(40)}
    huge = message(
        found="<" * size, expected="e" * size, what="w" * max(size, 1), next_step="n" * size, check="c" * max(size, 1),
        rows=(row,) * 10,
    )  # fmt: skip
    told = payload(huge, LINKS)
    assert problem_of(told) == ""
    assert len(told["text"]) <= TEXT_MAX
    assert len(told["blocks"]) <= BLOCKS_MAX
    assert len(told["blocks"][0]["text"]["text"]) <= HEADER_MAX
    assert all(len(block["text"]["text"]) <= SECTION_MAX for block in told["blocks"] if "text" in block)


def test_no_more_than_three_rows_are_shown():
    rows = tuple({"instrument": f"I{i}"} for i in range(5))
    told = text(message(rows=rows), LINKS)
    assert ("I2" in told, "I3" in told) == (True, False)


def test_a_first_message_opens_a_thread_and_a_later_one_is_in_it():
    assert "thread_ts" not in payload(message(), LINKS)
    assert payload(message(CHANGED, "100.5"), LINKS)["thread_ts"] == "100.5"


def test_the_metadata_names_the_message_and_its_alert():
    assert payload(message(), LINKS)["metadata"] == {
        "event_type": "plumbline_alert",
        "event_payload": {"message": f"{CUT}:prices.held.fresh#7", "key": f"{CUT}:prices.held.fresh", "kind": "opened"},
    }


def test_a_warning_and_a_critical_alert_look_different():
    quiet = Message(1, OPENED, warning(), NOON, NOON, WAITING, 0, None, "", "", "", "")
    assert ":large_orange_circle:" in str(blocks(quiet, LINKS))
    assert ":red_circle:" in str(blocks(message(), LINKS))


def test_a_severity_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="severity: expected critical, warning, info, found 'bad'"):
        alert(severity="bad")
