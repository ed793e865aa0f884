"""The child of ``run_isolated``: a request as JSON on standard input, one JSON line for every suite on standard output.

``{"store", "cut": [id, version], "previous" and "opening": [store, id, version] | null, "certificate", "module",
"suites": [names], "results": [results that are there already], "docs": folder | null}``. Data Docs show results given
and made; they are the last line.
"""

import os
import sys

import orjson

from expectations.check import CheckResult
from expectations.isolated import DOCS, READY
from expectations.running import context, judge, suites
from expectations.site import docs
from expectations.view import View
from streaming.cuts import open_cut


def main() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the results
    context()
    _send(out, READY)
    request = orjson.loads(sys.stdin.buffer.read())
    cut = open_cut(request["store"], *request["cut"])
    previous, opening = (open_cut(*named) if (named := request[name]) else None for name in ("previous", "opening"))
    view = View(cut, request["certificate"], previous, opening)
    by_name = {suite.name: suite for suite in suites(request["module"])}
    results = [CheckResult.from_dict(row) for row in request["results"]]
    for name in request["suites"]:
        found = judge(by_name[name], view)
        results += found
        _send(out, {"suite": name, "results": [result.as_dict() for result in found]})
    if request["docs"]:
        docs(cut, results, request["docs"], request["module"])
        _send(out, DOCS)


def _send(out, message: object) -> None:
    out.write(orjson.dumps(message) + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
