"""Sign-off: a published version is a DRAFT until its preparer, its reviewer and the FinOp have signed, three people.

Signatures stand in the ledger and go into the evidence pack. A workbook never changes: it says where they are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from orchestration.errors import UserError
from orchestration.ledger import Ledger
from orchestration.publish import PUBLICATION, verify_published

ROLES = ("preparer", "reviewer", "finop")
"""In the order in which they sign."""
DRAFT, SIGNED = "DRAFT", "SIGNED"


@dataclass(frozen=True, slots=True)
class SignOff:
    """How far one published version is."""

    date: str
    version: int
    signatures: Sequence[Mapping]
    """Role, name, time, user and number of the ledger's entry, in the order of signing."""

    @property
    def status(self) -> str:
        return SIGNED if len(self.signatures) == len(ROLES) else DRAFT

    @property
    def missing(self) -> tuple[str, ...]:
        """The roles that have not signed."""
        return ROLES[len(self.signatures) :]

    def document(self) -> dict[str, object]:
        return {
            "date": self.date,
            "version": self.version,
            "status": self.status,
            "missing": list(self.missing),
            "signatures": [dict(signature) for signature in self.signatures],
        }


def publication_digest(folder: Path) -> str:
    """What a signature binds itself to: the digest of the list of a version's files with their digests."""
    return sha256((folder / PUBLICATION).read_bytes()).hexdigest()


def sign_off(ledger: Ledger, folder: Path) -> SignOff:
    """The signatures on the version in ``out/DATE/vN``."""
    digest = publication_digest(folder)
    found = [
        {"role": entry.what["role"], "name": entry.what["name"], "time": entry.time, "user": entry.who,
         "entry": entry.number}
        for entry in ledger.entries("signature")
        if entry.what["publication"] == digest
    ]  # fmt: skip
    return SignOff(folder.parent.name, int(folder.name.removeprefix("v")), found)


def sign(ledger: Ledger, folder: Path, role: str, name: str, user: str, at: datetime) -> SignOff:
    """Sign a version in a role; UserError when it is not that role's turn, the name has signed, or a file changed."""
    if role not in ROLES:
        raise UserError(f"sign: expected a role of {', '.join(ROLES)}, found {role}")
    person = " ".join(name.split())
    if not person:
        raise UserError("sign: expected a name, found none")
    damaged = verify_published(folder)
    if damaged:
        raise UserError(f"sign: expected {folder} as published, found changed: {', '.join(damaged)}")
    found = sign_off(ledger, folder)
    if not found.missing or role != found.missing[0]:
        turn = found.missing[0] if found.missing else "nobody: all have signed"
        raise UserError(f"sign: {folder.parent.name} {folder.name}: expected {turn} to sign next, found {role}")
    for signature in found.signatures:
        if signature["name"].casefold() == person.casefold():
            raise UserError(f"sign: expected three different names, found {person} as {signature['role']} and {role}")
    what = {
        "date": found.date,
        "version": found.version,
        "publication": publication_digest(folder),
        "role": role,
        "name": person,
    }
    ledger.append("signature", user, what, at)
    return sign_off(ledger, folder)
