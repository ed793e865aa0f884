"""Processes of Plumbline's own, started with this interpreter and this code."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).absolute().parent.parent


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this project."""
    return [sys.executable, "-m", module, *arguments]


def environment(**more: str) -> Mapping[str, str]:
    """This process's environment, with the project importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def leave(code: int) -> NoReturn:
    """End this process now, everything being done and written: threads of native libraries have been seen to abort an
    interpreter that takes itself down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
