"""The certificate: live and replayed are equal, table by table and state by state."""

import pandas as pd

from expectations.check import CRITICAL, PLATFORM, Check, Suite
from expectations.view import View


def _digests(view: View) -> pd.DataFrame:
    """One row per table of the cut and per state: the digests of both sides, empty where there is none."""
    assert view.certificate is not None
    rows = []
    for kind in ("tables", "states"):
        found = view.certificate.get(kind) or {}
        names = sorted({*found, *view.manifest[kind]})
        for name in names:
            pair = found.get(name) or {}
            sealed = view.manifest[kind].get(name, "")
            sealed = sealed["digest"] if isinstance(sealed, dict) else sealed
            rows.append((kind, name, sealed, pair.get("live", ""), pair.get("replayed", "")))
    frame = pd.DataFrame(rows, columns=["kind", "name", "sealed", "live", "replayed"])
    frame["of_this_cut"] = view.certificate.get("cut") == view.cut.id
    return frame


_STOP = "Publish nothing; read the certificate's first differences and replay from the cut before."

CERTIFICATE = Suite(
    "certificate.digests",
    "certificate",
    "digests of tables and states",
    PLATFORM,
    _digests,
    (
        Check("of_this_cut", "The certificate is of this cut.", CRITICAL, PLATFORM, "Replay this cut.",
              "ExpectNoRowsWhere", {"condition": "not of_this_cut"}),
        Check("complete", "Every table and state of the cut was replayed.", CRITICAL, PLATFORM, _STOP,
              "ExpectNoRowsWhere", {"condition": "live == '' or replayed == ''"}),
        Check("equal", "Live and replayed digests are equal.", CRITICAL, PLATFORM, _STOP, "ExpectNoRowsWhere",
              {"condition": "live != replayed"}),
        Check("sealed", "The certificate compares what was sealed.", CRITICAL, PLATFORM, _STOP, "ExpectNoRowsWhere",
              {"condition": "live != '' and live != sealed"}),
    ),
    applies=lambda view: view.certificate is not None,
    key=("kind", "name", "live", "replayed"),
)  # fmt: skip

SUITES = (CERTIFICATE,)
