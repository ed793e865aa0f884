"""Submit a job once: ``submit.py FLINK_REST JOB_ID -- PROGRAM ...``.

Flink is asked first: a job it knows is left alone, so this may be tried again at any time. Then the program hands the
graph to the job server, and Flink is asked until it knows the job.
"""

import subprocess
import sys
import time
from collections.abc import Mapping

from orchestration.stack.resubmission import job_states

KNOWN_TIMEOUT_S = 600.0
POLL_S = 2.0
ENDED = frozenset({"FAILED", "CANCELED", "FINISHED"})


def submit(rest: str, job_id: str, program: list[str], timeout_s: float = KNOWN_TIMEOUT_S) -> int:
    """The exit code: 0 when Flink runs the job."""
    states = _states(rest, timeout_s)
    if (states or {}).get(job_id) is None:
        done = subprocess.run([sys.executable, *program], check=False)
        if done.returncode:
            return done.returncode
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        state = (_states(rest, timeout_s) or {}).get(job_id)
        if state in ENDED:
            print(
                f"job {job_id}: expected it to run, found {state}: raise its `run` to start it afresh", file=sys.stderr
            )
            return 1
        if state is not None:
            print(f"job {job_id}: {state}")
            return 0
        time.sleep(POLL_S)
    print(f"job {job_id}: not known to Flink after {timeout_s:.0f} s", file=sys.stderr)
    return 1


def _states(rest: str, timeout_s: float) -> Mapping[str, str] | None:
    """The jobs Flink knows, once it answers."""
    deadline = time.monotonic() + timeout_s
    while (found := job_states(rest)) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return found


def main(arguments: list[str]) -> int:
    """The exit code of a submission from the command line."""
    at = arguments.index("--")
    rest, job_id = arguments[:at]
    return submit(rest, job_id, arguments[at + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
