"""Where the desk's state and reports lie, and taking turns at them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from orchestration.console.clock import desk_now
from orchestration.errors import UserError
from orchestration.settings import DEFAULT_HOME, DEFAULT_OUT, Settings

if TYPE_CHECKING:
    from orchestration.pipeline import Home

TURN_S = 600.0
"""Seconds that a run waits for its turn at a home."""
_POLL_S = 0.2


@dataclass(frozen=True)
class Work:
    """A turn at a home."""

    home: "Home"
    live: bool
    """Whether the in-process engine runs beside: then the jobs are its business."""


class Desk(dg.ConfigurableResource):
    """The folders of an environment, and where a browser finds their files."""

    home: str = Field(default=str(DEFAULT_HOME), description="Folder of the log, the sealed cuts and the ledger.")
    out: str = Field(default=str(DEFAULT_OUT), description="Folder of the published reports.")
    base_url: str = Field(default="", description="Where `out` and Data Docs are served; empty = paths, no links.")
    rule_date: str = Field(default="2026-11-01", description="Rules in force on that date; a setting, no run's choice.")
    stack: str = Field(default="", description="Data folder of the Kafka and Flink stack; empty = in-process engine.")

    def settings(self, day: date | None = None) -> Settings:
        """Of the environment, or of a day that was generated into a home of its own (`plumbline dev`)."""
        of_day = Path(self.home) / "days" / str(day)
        return Settings(of_day if day is not None and of_day.is_dir() else Path(self.home), Path(self.out))

    def now(self) -> datetime:
        return desk_now(self.settings())

    def link(self, path: Path) -> dg.MetadataValue:
        """A link to a published file or a page of Data Docs; its path where nothing serves it."""
        url = self.url(path)
        return dg.MetadataValue.url(url) if url else dg.MetadataValue.path(str(path))

    def url(self, path: Path) -> str:
        """Empty where nothing serves the path."""
        for name, root in served(self.settings()).items():
            if self.base_url and path.is_relative_to(root):
                return f"{self.base_url.rstrip('/')}/{name}/{path.relative_to(root)}"
        return ""

    @contextmanager
    def turn(self, day: date) -> Iterator[Work]:
        """Open the home of a day; runs of the console take turns. UserError when none comes within :data:`TURN_S`.

        A killed run holds nothing: the locks are the operating system's.
        """
        settings, deadline = self.settings(day), time.monotonic() + TURN_S
        settings.home.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            _lock(held, settings.home / "console.lock", deadline)
            live = _home_or_live(held, settings, deadline)
            yield Work(held.enter_context(opened(settings)), live)


@dataclass(frozen=True)
class _Kept:
    home: "Home"
    made: tuple[int, int]
    alone: RLock = field(default_factory=RLock)


_kept: dict[Settings, _Kept] = {}
_opening = Lock()


@contextmanager
def opened(settings: Settings) -> Iterator["Home"]:
    """A home, for one thread at a time. It stays open in this process, so that the epochs of a day, a hundred thousand,
    are read once. A home that was made anew is opened anew."""
    from orchestration.pipeline import Home

    with _opening:
        if settings not in _kept or _kept[settings].made != _made(settings):
            home = Home.open(settings)
            _kept[settings] = _Kept(home, _made(settings))
        kept = _kept[settings]
    with kept.alone:
        yield kept.home


def _made(settings: Settings) -> tuple[int, int]:
    """What tells a home's log from another's at the same place: its lock file is made with it, and never written."""
    try:
        found = (settings.log / "lock").stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_ctime_ns


def served(settings: Settings) -> dict[str, Path]:
    """What the file server shows, by the first parts of the address: reports, Data Docs, those of generated days."""
    own = sorted((settings.home / "days").glob("*"))
    return {
        "out": settings.out,
        **{f"docs/{home.name}": home / "docs" / home.name for home in own},
        "docs": settings.docs,
    }


def streams_lock(settings: Settings) -> Path:
    """Held by the process that hosts the live jobs, for as long as it lives."""
    return settings.home / "streams.lock"


def streams_alive(settings: Settings) -> bool:
    """Whether the in-process engine of a home runs."""
    path = streams_lock(settings)
    if not path.exists():
        return False
    with open(path) as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return True
        flock(lock, LOCK_UN)
    return False


def _lock(held: ExitStack, path: Path, deadline: float) -> None:
    file = held.enter_context(path.open("a+"))
    while True:
        try:
            return flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UserError(f"{path.parent}: expected a turn within {TURN_S:.0f} s, found another run") from None
            time.sleep(_POLL_S)


def _home_or_live(held: ExitStack, settings: Settings, deadline: float) -> bool:
    """Take the home's own lock, or find that the live jobs have it."""
    while True:
        try:
            held.enter_context(settings.locked())
            return False
        except UserError:
            if streams_alive(settings):
                return True
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
