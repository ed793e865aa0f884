"""Tables beside the workbooks: Parquet is exactly what was sealed, CSV is safe to open, headline figures are exact."""

import csv
import errno
import os
import re
from decimal import Decimal

import orjson
import pyarrow.parquet
import pytest

from orchestration import publish
from reports.cells import FORMULA_START
from streaming.cuts import SealedCut
from tests.unit.report_cuts import NASTY, day_end


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> SealedCut:
    return day_end(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def tables(cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "tables"
    publish.write_tables(folder, cut)
    return folder


def rows_of(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_table_is_there_in_both_formats(cut, tables):
    expected = {f"{name}.{end}" for name in cut.tables for end in ("csv", "parquet")}
    assert {path.name for path in tables.iterdir()} == expected


def test_parquet_holds_the_sealed_rows_exactly(cut, tables):
    for name in cut.tables:
        assert pyarrow.parquet.read_table(tables / f"{name}.parquet").equals(cut.table(name))


def test_no_text_of_a_csv_begins_like_a_formula(cut, tables):
    guarded = 0
    for name in cut.tables:
        texts = {column.name for column in cut.table(name).schema if str(column.type) == "string"}
        for row in rows_of(tables / f"{name}.csv"):
            for column in texts:
                assert not re.match(FORMULA_START, row[column]), (name, column, row[column])
                guarded += row[column].startswith("'")
    assert guarded >= sum(bool(re.match(FORMULA_START, text)) for text in NASTY)


def test_a_csv_differs_from_the_sealed_text_by_the_apostrophe_alone(cut, tables):
    for name in ("quarantine", "margin_lines", "accounts"):
        sealed, shown = cut.table(name).to_pylist(), rows_of(tables / f"{name}.csv")
        for left, right in zip(sealed, shown, strict=True):
            for column, value in left.items():
                if isinstance(value, str):
                    assert right[column] in (value, f"'{value}")


def test_amounts_of_a_csv_are_exact_and_never_nan(cut, tables):
    sealed, shown = cut.table("margin").to_pylist(), rows_of(tables / "margin.csv")
    assert [Decimal(row["equity"]) for row in shown] == [row["equity"] for row in sealed]
    assert all("nan" not in path.read_text().lower().split(",") for path in tables.glob("*.csv"))


def test_headline_figures_are_exact_text_with_unit_and_label(cut):
    found = orjson.loads(publish.headlines_bytes(cut))
    rows = {row["name"]: row for row in cut.table("headlines").to_pylist()}
    assert {name: Decimal(entry["value"]) for name, entry in found["figures"].items()} == {
        name: row["value"] for name, row in rows.items()
    }
    assert (found["cut"], found["version"]) == (cut.id, cut.version)
    assert publish.headlines_bytes(cut) == publish.headlines_bytes(cut)


def test_a_full_disk_while_tables_are_written_is_said(cut, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        publish.write_tables(tmp_path / "tables", cut)
