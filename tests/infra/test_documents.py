"""What the documents say of sizes, cost and commands is true."""

import re
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from manifests import REPOSITORY

from orchestration.cli import COMMANDS

SIZES = REPOSITORY / "docs/decisions/0007-sizes-and-cost.md"
TERRAFORM = REPOSITORY / "infra/terraform"
PROFILES = {"1 million": "staging", "10 million": "production"}
"""Profile -> the environment that is ordered for it."""
DAYS = 252 * 6


def number(text):
    return Decimal(text.strip(" *").replace(",", ""))


def profiles():
    """Profile -> rows of its table: (item, count, unit price, units, US$)."""
    found = {}
    for title, body in re.findall(r"^## (\d+ million) trades a day\n(.*?)(?=^## |\Z)", SIZES.read_text(), re.M | re.S):
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in body.splitlines() if line.startswith("|")]
        found[title] = rows[2:]
    return found


@pytest.mark.parametrize("profile", ["1 million", "10 million", "100 million"])
def test_every_product_and_every_sum_of_the_cost_is_right(profile):
    *items, total = profiles()[profile]
    assert len(items) == 12
    for _, count, _, price, units, cost in items:
        product = number(count) * number(price) * number(units)
        assert product.quantize(Decimal(1), ROUND_HALF_EVEN) == number(cost)
    assert sum(number(row[5]) for row in items) == number(total[5])


@pytest.mark.parametrize(("profile", "environment"), PROFILES.items())
def test_the_environments_are_what_the_cost_is_of(profile, environment):
    text = (TERRAFORM / "environments" / environment / "main.tf").read_text()
    rows = {row[0]: row for row in profiles()[profile]}
    nodes = dict(re.findall(r'(stream|console) += \{ instance_type = "([^"]+)", min = 3', text))
    broker = re.search(r'"(kafka\.[^"]+)"', text)[1]
    database = re.search(r'"(db\.[^"]+)"', text)[1]
    volume = re.search(r"volume_gib += (\d+)", text)[1]
    assert number(rows[f"stream nodes {nodes['stream']}"][1]) == 3
    assert number(rows[f"console nodes {nodes['console']}"][1]) == 3
    assert number(rows[f"brokers {broker}"][1]) == 3
    assert f"Postgres {database}, two zones" in rows
    assert number(rows["broker disks"][1]) == 3 * int(volume)


def test_the_endpoints_that_are_paid_for_are_those_there_are():
    text = (TERRAFORM / "modules/network/main.tf").read_text()
    services = re.findall(r'"([a-z0-9.]+)"', re.search(r"interface_services = \[(.*?)\]", text, re.DOTALL)[1])
    for rows in profiles().values():
        (row,) = [row for row in rows if row[0].startswith("interface endpoints")]
        assert row[0] == f"interface endpoints, {len(services)} in 3 zones"
        assert number(row[1]) == 3 * len(services)


def test_years_of_records_are_as_many_as_the_days_say():
    raw = {"1 million": Decimal("0.75"), "10 million": Decimal("7.2"), "100 million": Decimal(72)}
    for profile, rows in profiles().items():
        (row,) = [row for row in rows if row[0].startswith("tiered raw topics")]
        assert number(row[1]) == (raw[profile] * DAYS).quantize(Decimal(1), ROUND_HALF_EVEN)


@pytest.mark.parametrize("name", ["deploy.md", "runbook.md"])
def test_every_command_of_the_product_exists(name):
    text = (REPOSITORY / "docs" / name).read_text()
    called = {match for match in re.findall(r"plumbline ([a-z][a-z-]*)\b", text) if match not in WORDS}
    assert called
    assert called <= set(COMMANDS)


WORDS = frozenset({"create", "get", "wait"})  # after `kubectl -n plumbline`


def test_every_file_that_the_documents_name_exists():
    for name in ("deploy.md", "runbook.md"):
        text = (REPOSITORY / "docs" / name).read_text()
        for path in re.findall(r"(?:infra|orchestration|docs|tests)/[\w./-]*[\w/]", text):
            assert (REPOSITORY / path).exists(), f"{name}: {path}"
