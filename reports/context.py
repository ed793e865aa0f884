"""What a report says that its cut does not hold: the certificate, the checks' results, what is generated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streaming.cuts import SealedCut


@dataclass(frozen=True)
class Context:
    """Everything a report needs beside the cut. Nothing here comes from a clock, so equal inputs give equal bytes."""

    certificate: Mapping | None = None
    """The document of the replay certificate; None = not certified."""
    checks: Sequence[Mapping] = ()
    """Check results: check, suite, severity, passed, expected, observed, unexpected_count, owner, next_step."""
    overrides: Sequence[Mapping] = ()
    """Overrides in force for the cut: check, who, role, reason."""
    generated: Sequence[str] = ()
    """What of the data is generated, one sentence each; empty = nothing."""
    earlier: Sequence[SealedCut] = field(default_factory=tuple)
    """The earlier cuts of the day, oldest first, for figures through the day."""
