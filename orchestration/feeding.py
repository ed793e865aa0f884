"""A home's generated day, appended by another process: the live jobs work on it while it grows.

As a program it prints one JSON object a line, and ends with its caller.
"""

import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

import orjson

from orchestration.errors import UserError
from orchestration.process import end_with_caller, environment, leave, module_command, say
from orchestration.progress import Stage
from orchestration.settings import Settings


class Feeding:
    """The process that generates the day a home is prepared for, and closes its epochs; it is ended with the block.

    The block begins when the first events are there; UserError for a day that cannot be generated.
    """

    def __init__(self, settings: Settings, stage: Stage):
        self._stage = stage
        self._errors = TemporaryFile("w+")  # noqa: SIM115  closed with the block
        self._process = subprocess.Popen(
            module_command(__name__, str(settings.home), str(settings.out)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
        )
        self._said: queue.Queue[Mapping | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._ended = False

    def __enter__(self) -> "Feeding":
        try:
            self._take(self._said.get())
        except UserError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            pipe.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def goes_on(self) -> bool:
        """Whether the day is not complete yet; shows what was appended since."""
        while not self._ended and not self._said.empty():
            self._take(self._said.get())
        return not self._ended

    def _take(self, message: Mapping | None) -> None:
        if message is None:
            self._end()
        elif "refused" in message:
            raise UserError(message["refused"])
        else:
            self._stage.advance(message["appended"])

    def _end(self) -> None:
        self._ended = True
        if self._process.wait() != 0:
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines()
            raise UserError(f"generate: the process ended with code {self._process.wait()}: {''.join(lines[-1:])}")
        self._stage.finish()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(orjson.loads(line))
        self._said.put(None)


def main(home: str, out: str) -> None:
    """Generate what the home's marker says, from where an earlier run stopped."""
    end_with_caller()

    from orchestration.generated import feed_generated, spec_of

    settings = Settings(Path(home), Path(out))
    try:
        feed_generated(settings, spec_of(settings), lambda events: say({"appended": events}))
    except UserError as error:
        say({"refused": str(error)})


if __name__ == "__main__":
    main(*sys.argv[1:])
    leave(0)
