"""The child of ``run_isolated``: a request as JSON on standard input, one JSON line for every suite on standard output.

``{"store", "cut": [id, version], "previous": [store, id, version] | null, "certificate", "module", "suites": [names]}``
"""

import os
import sys

import orjson

from expectations.isolated import READY
from expectations.running import context, judge, suites
from expectations.view import View
from streaming.cuts import open_cut


def main() -> None:
    request = orjson.loads(sys.stdin.buffer.read())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the results
    context()
    _send(out, READY)
    cut = open_cut(request["store"], *request["cut"])
    previous = open_cut(*request["previous"]) if request["previous"] else None
    view = View(cut, request["certificate"], previous)
    by_name = {suite.name: suite for suite in suites(request["module"])}
    for name in request["suites"]:
        results = [result.as_dict() for result in judge(by_name[name], view)]
        _send(out, {"suite": name, "results": results})


def _send(out, message: object) -> None:
    out.write(orjson.dumps(message) + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
