"""Processes of Plumbline's own, started with this interpreter and this code."""

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import orjson

ROOT = Path(__file__).absolute().parent.parent


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this project."""
    return [sys.executable, "-m", module, *arguments]


def environment(**more: str) -> Mapping[str, str]:
    """This process's environment, with the project importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def say(message: Mapping) -> None:
    """Tell the caller of this process: one JSON object a line."""
    print(orjson.dumps(message).decode(), flush=True)


def end_with_caller() -> None:
    """From now on this process ends when its caller, who holds its standard input open, has ended."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


def leave(code: int) -> NoReturn:
    """End this process now, everything being done and written: threads of native libraries have been seen to abort an
    interpreter that takes itself down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
