"""Judging a cut in a process of its own: a suite that crashes the process or hangs fails, and the others still run.

The child writes one JSON line for every suite. When none comes within the limit the parent ends the child, fails the
suite it was at, and starts another child for the suites after it.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import orjson

from expectations.check import CheckResult, Suite, not_carried_out
from expectations.running import SUITES, suites
from streaming.cuts import SealedCut

START_S = 120
"""Seconds that a child may take to import Great Expectations and report that it is ready."""
SUITE_S = 120
"""Seconds that one suite may take, and the Data Docs of all."""
READY, DOCS = "ready", "docs"
"""What a child says beside its results: it is ready; Data Docs are written."""
_ROOT = Path(__file__).resolve().parent.parent
_SAID_MAX = 2_000


class Child:
    """A process that imports Great Expectations at once, which takes seconds, and waits for what it shall judge."""

    def __init__(self, folder: Path | str):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        home = {"HOME": str(folder), "TMPDIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
        paths = os.pathsep.join([str(_ROOT), *(path for path in sys.path if path)])
        environment = {**os.environ, **home, "PYTHONPATH": paths, "GX_ANALYTICS_ENABLED": "false"}
        self._said = (folder / "checks.stderr").open("wb+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expectations"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, cwd=folder, env=environment,
        )  # fmt: skip

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def judge(
        self, left: Sequence[Suite], request: Mapping, suite_s: float
    ) -> tuple[dict[str, list[CheckResult]], str]:
        """What it delivered, suite by suite in order, and why it delivered no more. Once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(orjson.dumps({**request, "suites": [suite.name for suite in left]}))
            self._process.stdin.close()
            delivered, failure = _read(self._process.stdout, left, suite_s, bool(request["docs"]))
        except BrokenPipeError:
            delivered, failure = {}, ""
        self._process.kill()
        code = self._process.wait()
        self._said.seek(0)
        last = self._said.read()[-_SAID_MAX:].decode(errors="replace").strip().splitlines()
        return delivered, failure or f"crashed: {last[-1] if last else f'code {code}, nothing said'}"


def run_isolated(
    cut: SealedCut,
    certificate: Mapping | None = None,
    previous: SealedCut | None = None,
    opening: SealedCut | None = None,
    *,
    folder: Path | str,
    docs: Path | None = None,
    suite_s: float = SUITE_S,
    module: str = SUITES,
    child: Child | None = None,
) -> list[CheckResult]:
    """As :func:`expectations.run`, each suite within ``suite_s`` seconds; all files of a child lie in ``folder``.

    ``child`` is one that was started before, so that nobody waits for its imports.

    Every check of the catalogue has exactly one result: what a child did not deliver is a critical failure. Data Docs
    go to ``docs``, what crashed included; where they cannot be written, nothing is there.
    """
    request: dict[str, object] = {
        "store": str(Path(cut.folder).resolve()),
        "cut": [cut.id, cut.version],
        "previous": _named(previous),
        "opening": _named(opening),
        "certificate": dict(certificate) if certificate is not None else None,
        "module": module,
        "docs": str(docs.resolve()) if docs else None,
    }
    left = list(suites(module))
    results: list[CheckResult] = []
    while True:
        request["results"] = [result.as_dict() for result in results]
        with child or Child(folder) as judging:
            delivered, failure = judging.judge(left, request, suite_s)
        child = None
        for suite in left[: len(delivered)]:
            results += _complete(suite, delivered[suite.name])
        left = left[len(delivered) :]
        if not left:
            return results
        results += [not_carried_out(left[0], check, failure) for check in left[0].all_checks]
        left = left[1:]
        if not left and docs is None:
            return results


def _named(cut: SealedCut | None) -> list | None:
    """Where the child finds a cut."""
    return [str(Path(cut.folder).resolve()), cut.id, cut.version] if cut is not None else None


def _complete(suite: Suite, found: Sequence[CheckResult]) -> list[CheckResult]:
    """One result for each check, whatever came."""
    by_name = {result.check: result for result in found}
    return [
        by_name.get(f"{suite.name}.{check.name}") or not_carried_out(suite, check, "missing: no result was delivered")
        for check in suite.all_checks
    ]


def _read(
    lines: IO[bytes], left: Sequence[Suite], suite_s: float, with_docs: bool
) -> tuple[dict[str, list[CheckResult]], str]:
    """The suites' results as they come; the failure is empty when the child ended by itself."""
    arrived: queue.Queue[bytes] = queue.Queue()

    def pump() -> None:
        for line in lines:
            arrived.put(line)
        arrived.put(b"")

    threading.Thread(target=pump, daemon=True).start()
    delivered: dict[str, list[CheckResult]] = {}
    documented = not with_docs
    limit: float = START_S
    while len(delivered) < len(left) or not documented:
        try:
            line = arrived.get(timeout=limit)
        except queue.Empty:
            return delivered, f"timed out: no result within {limit:g} s"
        if not line:
            return delivered, ""
        message = orjson.loads(line)
        limit = suite_s
        if message == DOCS:
            documented = True
        elif message != READY:
            delivered[message["suite"]] = [CheckResult.from_dict(row) for row in message["results"]]
    return delivered, ""
