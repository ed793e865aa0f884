"""The jobs a stack is asked to keep running, as files; a job whose JobManager was lost goes on from its checkpoint.

``jobs/NAME/spec.json`` in the data directory is the whole contract: while it is there, the job is wanted. The
supervisor is the only one who submits, so a job never runs twice; Flink's id of the job is fixed in the spec, so
Flink itself refuses a second one, and all checkpoints of the job lie in one folder named after that id.
"""

import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from orchestration.stack.errors import StackError
from orchestration.stack.files import read_json, write_json
from orchestration.stack.paths import Paths

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
JOB_ID = re.compile(r"[0-9a-f]{32}")
CHECKPOINT = re.compile(r"chk-(\d+)")
METADATA = "_metadata"  # written last: a checkpoint without it is not complete
ACTIVE_STATES = frozenset({"INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "CANCELLING", "RECONCILING"})
FINAL_STATES = frozenset({"FINISHED", "CANCELED", "FAILED"})


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job that shall run.

    ``argv`` is the program that builds the pipeline and submits it, with all options that are its own: the supervisor
    adds where the stack is, the name, the id, and the checkpoint to go on from. ``savepoint`` is where the very first
    run starts, while the job has no checkpoint of its own. ``worker_pool`` counts the stack's pools from 0.
    """

    name: str
    argv: tuple[str, ...]
    job_id: str
    savepoint: str | None = None
    worker_pool: int = 0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise StackError(f"job name: expected lower-case letters, digits, - and _, found {self.name!r}")
        if not JOB_ID.fullmatch(self.job_id):
            raise StackError(f"job {self.name}: expected an id of 32 hexadecimal digits, found {self.job_id!r}")
        if not self.argv:
            raise StackError(f"job {self.name}: expected a program to submit it with, found none")

    @classmethod
    def read(cls, path: Path) -> Self:
        found: Any = read_json(path)
        try:
            required = found["name"], tuple(found["argv"]), found["job_id"]
            return cls(*required, savepoint=found.get("savepoint"), worker_pool=found.get("worker_pool", 0))
        except (KeyError, TypeError) as error:
            raise StackError(f"{path}: expected name, argv and job_id, found {found!r}") from error


def new_job_id() -> str:
    """Return a job id that was never used; each spec that is not a mere restart gets its own."""
    return uuid.uuid4().hex


def request(paths: Paths, spec: JobSpec) -> None:
    """Ask for a job to be kept running; the supervisor submits it.

    Raises:
        StackError: a job of that name is wanted already.
    """
    folder = paths.jobs / spec.name
    if (folder / "spec.json").exists():
        raise StackError(f"job {spec.name} is running or to be run already: stop it first")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "final.json").unlink(missing_ok=True)
    write_json(folder / "spec.json", asdict(spec))


def withdraw(paths: Paths, name: str) -> None:
    """No longer keep the job running; say so before stopping it, and it will not come back."""
    (paths.jobs / name / "spec.json").unlink(missing_ok=True)
    (paths.jobs / name / "final.json").unlink(missing_ok=True)


def wanted(paths: Paths) -> Iterator[JobSpec]:
    """Yield the jobs that shall run, by name."""
    for path in sorted(paths.jobs.glob("*/spec.json")):
        yield JobSpec.read(path)


def final_state(paths: Paths, name: str) -> str | None:
    """Return the state in which the job ended by itself (FINISHED, CANCELED, FAILED), or None."""
    found = read_json(paths.jobs / name / "final.json")
    return found["state"] if found else None


def record_final_state(paths: Paths, name: str, state: str) -> None:
    """Remember that the job ended by itself: it is not resubmitted."""
    write_json(paths.jobs / name / "final.json", {"state": state})


def newest_checkpoint(checkpoints: Path, job_id: str) -> Path | None:
    """Return the newest complete retained checkpoint of the job, or None.

    Flink numbers the checkpoints of one job id on from the one it was restored from, so the highest number is newest.
    """
    complete = [path for path in _by_number(checkpoints / job_id) if (path / METADATA).is_file()]
    return complete[-1] if complete else None


def prune_checkpoints(checkpoints: Path, job_id: str, keep: int) -> list[Path]:
    """Remove what Flink forgot when a JobManager died, and return it: complete checkpoints older than the ``keep``
    newest, and incomplete ones older than the newest complete. Only for checkpoints that share no files."""
    found = _by_number(checkpoints / job_id)
    complete = [path for path in found if (path / METADATA).is_file()]
    if not complete:
        return []
    newest, kept = complete[-1], set(complete[-keep:])
    gone = [path for path in found[: found.index(newest)] if path not in kept]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)  # Flink may be removing it at the same time
    return gone


def _by_number(folder: Path) -> list[Path]:
    numbered = [(int(match[1]), path) for path in folder.glob("chk-*") if (match := CHECKPOINT.fullmatch(path.name))]
    return [path for _, path in sorted(numbered)]
