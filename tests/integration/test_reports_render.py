"""The workbooks as LibreOffice prints them: every page comes out, no number is clipped, no error shows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from report_cuts import day_end, seal

import reports
from reports import Context
from reports.difference import attributed, difference_workbook

pytestmark = pytest.mark.render

_CLIPPED = re.compile(r"###")
_ERRORS = re.compile(r"#(REF|NAME|VALUE|DIV/0|N/A|NUM)[!?]?|Err:\d+")


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> dict[str, Path]:
    """Each workbook as a PDF."""
    office = shutil.which("soffice")
    if office is None or shutil.which("pdftotext") is None:
        pytest.fail("expected soffice and pdftotext on the path (libreoffice-calc, poppler-utils), found none")
    folder = tmp_path_factory.mktemp("render")
    cut = day_end(folder / "store")
    context = Context(generated=["Trades are generated from a seed."])
    written = reports.build(cut, folder / "out", context, cut)
    written["difference"] = _difference(cut, folder)
    home = {**os.environ, "HOME": str(folder)}
    command = [office, "--headless", "--convert-to", "pdf", "--outdir", str(folder), *map(str, written.values())]
    subprocess.run(command, check=True, capture_output=True, timeout=240, env=home)
    return {name: folder / f"{name}.pdf" for name in written}


def _difference(cut, folder: Path) -> Path:
    """A Difference workbook with causes."""
    tables = {name: cut.table(name) for name in cut.tables}
    amounts = [amount + 1_000_000 for amount in tables["cash"]["amount"].to_pylist()]
    at = tables["cash"].schema.get_field_index("amount")
    field = tables["cash"].schema.field(at)
    changed = {**tables, "cash": tables["cash"].set_column(at, field, pa.array(amounts, field.type))}
    second = seal(folder / "store", changed, version=2)
    parts = attributed([("", tables), ("time", tables), ("cash/0/17 (A00001)", changed)])
    path = folder / "out" / "difference.xlsx"
    difference_workbook(cut, second, path, parts)
    return path


@pytest.mark.parametrize("name", ["stress", "capital", "margin", "difference"])
def test_no_page_shows_a_clipped_number_or_an_error(printed, name):
    text = subprocess.run(
        ["pdftotext", "-layout", str(printed[name]), "-"], check=True, capture_output=True
    ).stdout.decode()
    assert "Summary" in text
    assert not _CLIPPED.search(text)
    assert not _ERRORS.search(text)
    pages = text.count("\f")
    assert f"Page 1 of {pages}" in text


@pytest.mark.parametrize("name", ["stress", "capital", "margin"])
def test_every_page_becomes_a_picture_and_none_is_blank(printed, name, tmp_path):
    subprocess.run(["pdftoppm", "-r", "72", "-gray", str(printed[name]), str(tmp_path / "page")], check=True)
    pictures = sorted(tmp_path.glob("page*.pgm"))
    assert pictures
    for picture in pictures:
        header, _, pixels = picture.read_bytes().partition(b"\n255\n")
        assert header.startswith(b"P5")
        dark = sum(pixels.count(bytes([shade])) for shade in range(128))
        assert dark > 50, f"{picture.name} is blank"
    assert _has_colour(printed[name], tmp_path), "the second page has the charts"


def _has_colour(pdf: Path, folder: Path) -> bool:
    """Whether the page with the charts has coloured bars."""
    subprocess.run(["pdftoppm", "-r", "40", "-f", "2", "-l", "2", str(pdf), str(folder / "charts")], check=True)
    (picture,) = folder.glob("charts*.ppm")
    pixels = picture.read_bytes().partition(b"\n255\n")[2]
    triples = zip(pixels[0::3], pixels[1::3], pixels[2::3], strict=True)
    return sum(max(triple) - min(triple) > 60 for triple in triples) > 500
