"""Where Plumbline keeps its state and puts its results."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from orchestration.errors import UserError

HOME_VARIABLE = "PLUMBLINE_HOME"
DEFAULT_HOME = Path(".plumbline")
DEFAULT_OUT = Path("out")


@dataclass(frozen=True, slots=True)
class Settings:
    """Two folders: the state (log, sealed cuts, ledger) and the published reports."""

    home: Path
    out: Path

    @classmethod
    def of(cls, home: Path | None, out: Path | None, environment: Mapping[str, str]) -> "Settings":
        """What was named, else the environment's home, else the defaults."""
        named = environment.get(HOME_VARIABLE)
        return cls(home or (Path(named) if named else DEFAULT_HOME), out or DEFAULT_OUT)

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def store(self) -> Path:
        return self.home / "store"

    @property
    def ledger(self) -> Path:
        return self.home / "ledger.jsonl"

    @property
    def docs(self) -> Path:
        """Data Docs, a folder for each version of a cut."""
        return self.home / "docs"

    @property
    def scratch(self) -> Path:
        """Files that no one needs after the process that made them."""
        return self.home / "scratch"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writing process a home; UserError when another is at work. A killed process holds nothing."""
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home / "lock", "a+") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise UserError(f"home {self.home}: expected no other run, found process {holder} at work") from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
