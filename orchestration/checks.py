"""Running the expectations over a sealed cut, in a process of their own, and keeping their results beside the cut.

What crashes, hangs or finds nothing to check has failed: the results say so, and the gate reads only them.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import orjson

from orchestration.process import environment, module_command
from streaming.cuts import SealedCut

RESULTS = "checks.json"
TIME_MAX_S = 300
"""Most seconds for all suites of one cut."""
_MARK = b"results:"


def manifest_digest(cut: SealedCut) -> str:
    """SHA-256 of the manifest: names one sealed cut for ever."""
    return sha256(_folder(cut).joinpath("manifest.json").read_bytes()).hexdigest()


def run_checks(cut: SealedCut, time_max_s: float = TIME_MAX_S) -> Mapping:
    """Run every suite and store the results, with ``error`` empty when all ran."""
    from streaming.engine.sealing import write_atomically

    command = module_command(__name__, str(cut.folder), cut.id, str(cut.version))
    error, results = "", []
    try:
        done = subprocess.run(command, capture_output=True, timeout=time_max_s, env=environment(), check=False)
        line = next((line for line in reversed(done.stdout.splitlines()) if line.startswith(_MARK)), None)
        if done.returncode or line is None:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            error = f"the checks crashed with code {done.returncode}: {said[-1] if said else 'nothing said'}"
        else:
            results = orjson.loads(line.removeprefix(_MARK))
    except subprocess.TimeoutExpired:
        error = f"the checks did not end within {time_max_s:g} s"
    found = {
        "cut": cut.id,
        "version": cut.version,
        "manifest": manifest_digest(cut),
        "error": error,
        "results": results,
    }
    write_atomically(_folder(cut) / RESULTS, orjson.dumps(found, option=orjson.OPT_INDENT_2))
    return found


def read_checks(cut: SealedCut) -> Mapping | None:
    """The stored results; None when the checks never ran."""
    path = _folder(cut) / RESULTS
    return orjson.loads(path.read_bytes()) if path.exists() else None


def failed(results: Sequence[Mapping], severity: str = "") -> list[Mapping]:
    """The results that did not pass, of one severity or of all."""
    return [row for row in results if not row["passed"] and severity in ("", row["severity"])]


def _folder(cut: SealedCut) -> Path:
    return cut.folder / "cuts" / cut.id / f"v{cut.version}"


def main(store: str, cut: str, version: str) -> None:
    import expectations
    from streaming.cuts import open_cut

    rows = [dict(row) for row in expectations.run(open_cut(store, cut, int(version)))]
    sys.stdout.buffer.write(b"\n" + _MARK + orjson.dumps(rows, default=str) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
