"""Sign-off: three people in order, bound to the published bytes, kept in the ledger."""

from datetime import UTC, datetime

import pytest

from orchestration.errors import UserError
from orchestration.ledger import Ledger
from orchestration.publish import publish
from orchestration.signing import DRAFT, ROLES, SIGNED, sign, sign_off
from tests.unit.published_cuts import sealed_cut

AT = datetime(2020, 3, 16, 22, 0, tzinfo=UTC)
NAMES = ("Prepares", "Reviews", "Answers")


def build(folder):
    (folder / "margin.xlsx").write_bytes(b"workbook")
    return {"margin": folder / "margin.xlsx"}


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.fixture
def version(tmp_path, ledger):
    return publish(sealed_cut(tmp_path / "store"), tmp_path / "out", ledger, build, "tester", AT).folder


def signed_by(ledger, version, names=NAMES):
    for role, name in zip(ROLES, names, strict=False):
        sign(ledger, version, role, name, "tester", AT)
    return sign_off(ledger, version)


def test_a_version_is_a_draft_until_three_people_have_signed(ledger, version):
    assert sign_off(ledger, version).status == DRAFT
    assert signed_by(ledger, version, NAMES[:2]).status == DRAFT
    assert sign_off(ledger, version).missing == ("finop",)
    assert sign(ledger, version, "finop", NAMES[2], "tester", AT).status == SIGNED


def test_signing_changes_no_published_byte(ledger, version):
    before = {path: path.read_bytes() for path in version.rglob("*") if path.is_file()}
    signed_by(ledger, version)
    assert {path: path.read_bytes() for path in version.rglob("*") if path.is_file()} == before


def test_the_ledger_says_who_signed_what_and_when(ledger, version):
    signed_by(ledger, version)
    entries = ledger.entries("signature")
    assert [(entry.what["role"], entry.what["name"], entry.time) for entry in entries] == [
        (role, name, AT.isoformat()) for role, name in zip(ROLES, NAMES, strict=True)
    ]
    assert ledger.verify().entries == 4


@pytest.mark.parametrize("name", ["Prepares", " prepares ", "PREPARES"])
def test_one_person_does_not_sign_twice(ledger, version, name):
    sign(ledger, version, "preparer", "Prepares", "tester", AT)
    with pytest.raises(UserError, match="expected three different names, found .* as preparer and reviewer"):
        sign(ledger, version, "reviewer", name, "tester", AT)


@pytest.mark.parametrize(
    ("role", "said"), [("reviewer", "expected preparer to sign next"), ("owner", "expected a role")]
)
def test_roles_sign_in_their_order(ledger, version, role, said):
    with pytest.raises(UserError, match=said):
        sign(ledger, version, role, "Somebody", "tester", AT)


def test_nobody_signs_after_the_last(ledger, version):
    signed_by(ledger, version)
    with pytest.raises(UserError, match="all have signed"):
        sign(ledger, version, "finop", "Another", "tester", AT)


def test_a_name_is_asked_for(ledger, version):
    with pytest.raises(UserError, match="expected a name"):
        sign(ledger, version, "preparer", "  ", "tester", AT)


def test_a_changed_file_is_not_signed(ledger, version):
    (version / "margin.xlsx").write_bytes(b"workbooK")
    with pytest.raises(UserError, match=r"found changed: margin\.xlsx"):
        sign(ledger, version, "preparer", "Prepares", "tester", AT)


def test_the_next_version_begins_as_a_draft(tmp_path, ledger, version):
    signed_by(ledger, version)
    second = publish(sealed_cut(tmp_path / "store", version=2), tmp_path / "out", ledger, build, "tester", AT).folder
    assert sign_off(ledger, version).status == SIGNED
    assert sign_off(ledger, second).status == DRAFT
