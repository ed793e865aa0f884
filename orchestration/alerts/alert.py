"""What an alert is. Plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import orjson

CRITICAL, WARNING, INFO = "critical", "warning", "info"
"""Info is what heartbeats and tests are; a failed check of that severity is recorded and not alerted."""
ROWS_MAX = 3


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong: one check of one cut, or one rule of one business date."""

    check: str
    """``prices.held.fresh``, ``limits.house_excess``, ``run.failed``: unique within ``where``."""
    where: str
    """The cut, ``2020-03-16/eod``; the date for what concerns no cut."""
    severity: str
    what: str
    """One sentence: what should be so."""
    when: str
    """As of when, ISO 8601 with zone."""
    expected: str
    found: str
    owner: str
    next_step: str
    rows: tuple[Mapping[str, Any], ...] = ()
    """The worst rows, with topic, partition and offset where they have them. Ids only, no names of clients."""
    count: int = 0
    """Rows concerned."""
    version: int = 0
    """Of the cut; 0 where there is none."""

    def __post_init__(self) -> None:
        known = (CRITICAL, WARNING, INFO)
        if self.severity not in known:
            raise ValueError(f"alert {self.check}: severity: expected {', '.join(known)}, found {self.severity!r}")

    @property
    def key(self) -> str:
        """The same for every version of a cut, so that a correction continues the thread."""
        return f"{self.where}:{self.check}"

    @property
    def is_critical(self) -> bool:
        return self.severity == CRITICAL

    @property
    def fingerprint(self) -> str:
        """Changes when there is something new to say. The time alone is nothing new."""
        said = {name: value for name, value in self.as_dict().items() if name != "when"}
        return sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it again."""
        return asdict(self) | {"rows": [dict(row) for row in self.rows[:ROWS_MAX]]}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Alert":
        return cls(**{**fields, "rows": tuple(fields["rows"])})
