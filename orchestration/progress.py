"""Showing how far a long stage is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Display(Protocol):
    """Shows stages."""

    def stage(self, name: str, total: int | None = None) -> "Stage":
        """Begin a stage of ``total`` steps (None = not known)."""
        ...


class Stage(Protocol):
    """One long stage."""

    def advance(self, steps: int = 1) -> None: ...

    def finish(self, note: str = "") -> None: ...


@contextmanager
def display() -> Iterator[Display]:
    """The display for standard error."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TextColumn("[dim]{task.fields[note]}"), console=Console(stderr=True)) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Bars:
    def __init__(self, bars):
        self._bars = bars

    def stage(self, name: str, total: int | None = None) -> Stage:
        return _Bar(self._bars, self._bars.add_task(name, total=total, note=""))


class _Bar:
    def __init__(self, bars, task):
        self._bars, self._task = bars, task

    def advance(self, steps: int = 1) -> None:
        self._bars.advance(self._task, steps)

    def finish(self, note: str = "") -> None:
        done = self._bars.tasks[self._task].completed
        self._bars.update(self._task, total=done or 1, completed=done or 1, note=note)


class _Lines:
    def __init__(self):
        self._begin = time.monotonic()

    def stage(self, name: str, total: int | None = None) -> Stage:
        return _Line(name, self._begin)


class _Line:
    """One line a finished stage: a log file needs no bar."""

    def __init__(self, name: str, begin: float):
        self._name, self._begin, self._steps = name, begin, 0

    def advance(self, steps: int = 1) -> None:
        self._steps += steps

    def finish(self, note: str = "") -> None:
        elapsed = time.monotonic() - self._begin
        what = note or (f"{self._steps:,}" if self._steps else "")
        print(f"{elapsed:6.1f} s  {self._name:<24} {what}".rstrip(), file=sys.stderr, flush=True)


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: int | None = None) -> "Silent":
        return self

    def advance(self, steps: int = 1) -> None: ...

    def finish(self, note: str = "") -> None: ...
