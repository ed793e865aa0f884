"""How everything stands, once a minute: for Prometheus on a port, for CloudWatch in this program's log lines.

Lag and checkpoints of each job as ``plumbline jobs list`` has them; beside them how long a cut, or an end of day's
reports, are overdue. A log line is in the embedded metric format: CloudWatch makes metrics of it.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from orchestration import calendar
from orchestration.calendar import NEW_YORK
from orchestration.jobs import flink
from orchestration.jobs.standing import Standing, as_prometheus, lags, works
from orchestration.publish import current
from orchestration.stack.resubmission import job_states
from streaming.apps import chain
from streaming.cuts import list_cuts
from streaming.engine.epochs import EpochIndex
from streaming.log import Log
from streaming.log.opening import open_log

NAMESPACE = "Plumbline"
INTERVAL_S = 60.0
LAG, AGE = "plumbline_lag_seconds", "plumbline_checkpoint_age_seconds"
CUT, PACK = "plumbline_cut_overdue_seconds", "plumbline_pack_overdue_seconds"
NEVER_S = 1e9
"""The age of a checkpoint that was never made."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; ``job`` is empty for those of the whole environment."""

    name: str
    value: float
    job: str = ""


def overdue(now: datetime, store: Path, out: Path) -> list[Figure]:
    """Seconds since the oldest due cut of the day is not sealed, and since its end of day is not published."""
    day = now.astimezone(NEW_YORK).date()
    due = due_cuts(day, now) if calendar.is_session(day) else {}
    sealed = set(list_cuts(store))
    late = [at for cut, at in due.items() if cut not in sealed]
    closed = [at for cut, at in due.items() if cut.endswith("/eod")]
    unpublished = closed if closed and current(out, day.isoformat()) is None else []
    return [Figure(CUT, _since(now, late)), Figure(PACK, _since(now, unpublished))]


def due_cuts(day: date, now: datetime) -> Mapping[str, float]:
    """The cuts of a session that should be sealed by now, with their times (seconds since 1970)."""
    times = {mark.cut: mark.time / 1e6 for mark in calendar.marks(day) if mark.cut}
    return {cut: at for cut, at in times.items() if at <= now.timestamp()}


def _since(now: datetime, times: Sequence[float]) -> float:
    return now.timestamp() - min(times) if times else 0.0


def standings(log: Log, jobs: Sequence[Any], shards: int, ids: Mapping[str, str], rest: str) -> list[Standing]:
    """Every job; ``rest`` has ``{job}`` where the job's name belongs."""
    index = EpochIndex(log)
    end = index.refresh()
    made = []
    for job in jobs:
        address = rest.format(job=job.name)
        states = job_states(address) or {}
        checkpoint = flink.newest_checkpoint(address, ids[job.name])
        state = states.get(ids[job.name], "unknown")
        made.append(Standing(job.name, state, lags(log, index, end, job, shards), checkpoint, works(log, job, shards)))
    return made


def of_jobs(found: Sequence[Standing]) -> list[Figure]:
    """The worst lag and the newest checkpoint of each job."""
    worst = [Figure(LAG, max(lag.seconds for lag in standing.lags), standing.job) for standing in found]
    ages = [
        Figure(AGE, standing.checkpoint.age_s if standing.checkpoint else NEVER_S, standing.job) for standing in found
    ]
    return worst + ages


def log_lines(figures: Sequence[Figure], environment: str, now: datetime) -> Iterator[str]:
    """One line a figure, in CloudWatch's embedded metric format."""
    for figure in figures:
        dimensions = {"environment": environment} | ({"job": figure.job} if figure.job else {})
        metric = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": figure.name, "Unit": "Seconds"}],
        }
        embedded = {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [metric]}
        yield json.dumps({"_aws": embedded, **dimensions, figure.name: figure.value})


def prometheus(found: Sequence[Standing], figures: Sequence[Figure]) -> str:
    """The standings as `plumbline jobs metrics` has them, and the figures of the environment."""
    lines = [f"# TYPE {figure.name} gauge\n{figure.name} {figure.value}\n" for figure in figures if not figure.job]
    return as_prometheus(found) + "".join(lines)


def serve(port: int) -> dict[str, str]:
    """Answer Prometheus with whatever ``text`` is put into the returned place; ``port`` says where."""
    place = {"text": ""}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  (named by the library)
            body = place["text"].encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (named by the library)
            """Scrapes are not worth a line."""

    server = ThreadingHTTPServer(("", port), Answer)
    place["port"] = str(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return place


def main(arguments: Sequence[str] | None = None) -> None:
    """Watch until stopped; a look that fails says so and is silence for the alarms, which is a breach."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("environment", "log", "deployment", "jobs", "store", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rest", default="http://{job}-rest:8081")
    asked = parser.parse_args(arguments)
    log, deployment, ids = open_log(asked.log), json.loads(asked.deployment), json.loads(asked.jobs)
    jobs, place = chain.jobs(deployment["apps"]), serve(asked.port)
    while True:
        now = datetime.now(NEW_YORK)
        try:
            found = standings(log, jobs, deployment["shards"], ids, asked.rest)
            figures = of_jobs(found) + overdue(now, Path(asked.store), Path(asked.out))
        except Exception as error:  # one look that fails must not end the watch
            place["text"] = ""
            print(f"watch: {error}", file=sys.stderr, flush=True)
        else:
            place["text"] = prometheus(found, figures)
            for line in log_lines(figures, asked.environment, now):
                print(line, flush=True)
        time.sleep(INTERVAL_S)


if __name__ == "__main__":
    main()
