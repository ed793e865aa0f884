"""Own events: every field checked, everything or nothing loaded, three formats that say the same."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet
import pytest

from orchestration.errors import UserError
from orchestration.ingest import ingest
from streaming.apps import chain
from streaming.apps.intake import Counts, Quarantine
from streaming.apps.policies import policies_of, take_policies
from streaming.apps.routing import shard_of
from streaming.engine.stretch import RawBatch
from streaming.log.files import FilesLog
from streaming.risk.margin.add_ons import parse_add_ons
from streaming.risk.margin.limits import sample_limits
from streaming.schema import results

DAY = date(2020, 3, 16)
TRADE = {
    "id": "T1",
    "version": "1",
    "action": "new",
    "account": "A1",
    "instrument": "AAPL",
    "kind": "trade",
    "side": "buy",
    "quantity": "100",
    "price": "242.21",
    "fee": "0.000001",
    "event_time": "2020-03-16T13:30:00.5Z",
    "business_date": "2020-03-16",
    "settle_date": "2020-03-18",
    "counterparty": "B1",
}


@pytest.fixture
def log(tmp_path: Path) -> FilesLog:
    made = FilesLog(tmp_path / "log")
    made.create(chain.topics())
    return made


def csv_of(path: Path, *rows: Mapping[str, str]) -> Path:
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def events(log: FilesLog, topic: str) -> list[dict]:
    return [
        orjson.loads(payload)
        for partition in range(log.topics()[topic])
        for payload in log.read(topic, partition, 0, log.end(topic, partition)).payloads
    ]


def test_a_trade_is_loaded_exactly_into_the_shard_of_its_account(tmp_path, log):
    counts = ingest(log, [("trades", csv_of(tmp_path / "t.csv", TRADE))])
    assert counts == {"trades": 1}
    (event,) = events(log, "trades")
    assert event["schema"] == 1
    assert (event["quantity"], event["price"], event["fee"]) == (100, "242.21", "0.000001")
    assert event["event_time"] == "2020-03-16T13:30:00.500000+00:00"
    span = log.read("trades", shard_of("A1", 4), 0, 1)
    assert span.times.tolist() == [1_584_365_400_500_000]


def test_csv_json_lines_and_parquet_of_the_same_rows_give_the_same_messages(tmp_path, log):
    typed = {**TRADE, "version": 1, "quantity": 100, "price": Decimal("242.21"), "fee": Decimal("0.000001")}
    csv_of(tmp_path / "t.csv", TRADE)
    (tmp_path / "t.jsonl").write_bytes(orjson.dumps(TRADE) + b"\n\n")
    pyarrow.parquet.write_table(pa.Table.from_pylist([typed]), tmp_path / "t.parquet")
    ingest(log, [("trades", tmp_path / f"t.{suffix}") for suffix in ("csv", "jsonl", "parquet")])
    first, second, third = events(log, "trades")
    assert first == second == third


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("price", "cheap", "expected a decimal number, found 'cheap'"),
        ("price", "NaN", "expected a decimal number, found 'NaN'"),
        ("price", "1.0000001", "expected at most 6 decimals, found '1.0000001'"),
        ("quantity", "1.5", "expected a whole number, found '1.5'"),
        ("quantity", "99999999999999999999", "expected a whole number"),
        ("event_time", "2020-03-16T13:30:00", "expected an instant with zone"),
        ("event_time", "soon", "expected an instant with zone"),
        ("business_date", "16.3.2020", "expected a day such as 2020-03-16"),
        ("account", "", "expected text, found none"),
    ],
)
def test_a_wrong_field_names_file_line_column_expected_and_found_and_nothing_is_loaded(
    tmp_path, log, field, value, complaint
):
    path = csv_of(tmp_path / "t.csv", TRADE, {**TRADE, "id": "T2", field: value})
    good = csv_of(tmp_path / "good.csv", TRADE)
    with pytest.raises(UserError) as raised:
        ingest(log, [("trades", good), ("trades", path)])
    assert str(raised.value).startswith(f"{path}, line 3, column {field}: ")
    assert complaint in str(raised.value)
    assert events(log, "trades") == []


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("t.csv", "id,colour\nT1,red\n", "line 2: expected columns schema, id, version"),
        ("t.csv", "id,version\nT1\n", "line 2: expected 2 cells, found 1"),
        ("t.csv", "", "line 1: expected a line of column names"),
        ("t.jsonl", "[1]\n", "line 1: expected a JSON object"),
        ("t.jsonl", "{", "line 1: expected a JSON object"),
        ("t.parquet", "no parquet", "expected a Parquet file"),
        ("t.xlsx", "", "expected a file ending in .csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, log, name, content, complaint):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as raised:
        ingest(log, [("trades", tmp_path / name)])
    assert str(tmp_path / name) in str(raised.value)
    assert complaint in str(raised.value)


def test_reference_data_without_event_time_was_known_from_the_beginning_of_the_day(tmp_path, log):
    path = tmp_path / "accounts.csv"
    path.write_text("id,client,kind,margin_type,currency,prime_broker\nA1,C1,customer,reg_t,USD,false\n")
    ingest(log, [("accounts", path)], DAY)
    (event,) = events(log, "accounts")
    assert event["event_time"] == "2020-03-16T00:00:00+00:00"
    assert event["prime_broker"] is False


def test_reference_data_without_event_time_and_day_is_refused(tmp_path, log):
    path = tmp_path / "accounts.csv"
    path.write_text("id,client,kind,margin_type,currency\nA1,C1,customer,reg_t,USD\n")
    with pytest.raises(UserError, match="column event_time: expected an instant, found none"):
        ingest(log, [("accounts", path)])


def test_lists_in_csv_are_separated_by_semicolons(tmp_path, log):
    path = tmp_path / "closes.csv"
    path.write_text("business_date,instruments,prices,source\n2020-03-13,AAPL;MSFT,277.97;158.83,exchange\n")
    ingest(log, [("closes", path)], DAY)
    (event,) = events(log, "closes")
    assert (event["instruments"], event["prices"]) == (["AAPL", "MSFT"], ["277.97", "158.83"])


def test_the_shipped_limits_and_a_file_of_add_ons_are_policies_as_they_are_written(tmp_path, log):
    shipped = resources.files("streaming.risk.margin") / "data" / "limits.toml"
    add_ons = tmp_path / "add_ons.toml"
    add_ons.write_text("""
        [[add_on]]
        client = "C-1"
        share = "0.10"
        who = "credit risk"
        since = 2020-03-02
        until = 2020-03-31
        why = "pending audit"
    """)
    with resources.as_file(shipped) as limits:
        ingest(log, [("policies", limits), ("policies", add_ons)], DAY)
    found = events(log, "policies")
    span = log.read("policies", 0, 0, log.end("policies", 0))
    n = len(span.payloads)
    batch = RawBatch("policies", 0, span.offsets, np.zeros(n, np.int64), span.times, span.payloads)
    quarantine = Quarantine()
    policies = policies_of(take_policies(results.POLICIES.empty_table(), batch, Counts(), quarantine))
    assert not quarantine.table().num_rows
    assert sorted(policies.limits, key=repr) == sorted(sample_limits(), key=repr)
    assert policies.add_ons == parse_add_ons(add_ons.read_text())
    assert found[-1]["id"] == "A client:C-1 credit risk 2020-03-02"
    ingest(log, [("policies", add_ons)], DAY)
    assert events(log, "policies")[-1] == found[-1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[limit]]\nmetric = 'm'\n", "limit 1: expected"),
        ("[[add_on]]\naccount = 'A'\n", "add-on 1: expected text in who"),
        ("[[wish]]\n", "expected [[limit]] and [[add_on]], found wish"),
        ("limit = ", "expected TOML, found"),
    ],
)
def test_a_policy_file_that_cannot_be_used_is_told_and_nothing_is_loaded(tmp_path, log, text, complaint):
    path = tmp_path / "policies.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(complaint)):
        ingest(log, [("policies", path)], DAY)
    assert log.end("policies", 0) == 0


def test_events_arrive_in_order_of_their_times_whatever_the_order_of_the_file(tmp_path, log):
    late = {**TRADE, "id": "T2", "event_time": "2020-03-16T13:29:00Z"}
    ingest(log, [("trades", csv_of(tmp_path / "t.csv", TRADE, late))])
    assert [event["id"] for event in events(log, "trades")] == ["T2", "T1"]
    span = log.read("trades", shard_of("A1", 4), 0, 2)
    assert span.times.tolist() == sorted(span.times.tolist())
