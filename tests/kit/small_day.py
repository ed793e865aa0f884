"""The small day, worked by the command line."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestration.settings import Settings

SMALL = ("--accounts", "20", "--trades", "5000", "--prices", "20000")
DATE = "2020-03-16"
BOOKS = ("stress.xlsx", "capital.xlsx", "margin.xlsx")
TIME_MAX_S = 1_200
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Desk:
    """A home and its reports, worked by the command line."""

    folder: Path

    @property
    def published(self) -> Path:
        return self.folder / "out" / DATE

    @property
    def settings(self) -> Settings:
        return Settings(self.folder / "home", self.folder / "out")

    def start(self, *arguments: str) -> subprocess.Popen:
        places = ["--home", str(self.folder / "home"), "--out", str(self.folder / "out")]
        return subprocess.Popen(
            [sys.executable, "-m", "orchestration.cli", *places, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )

    def call(self, *arguments: str) -> subprocess.CompletedProcess:
        with self.start(*arguments) as process:
            out, errors = process.communicate(timeout=TIME_MAX_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    def manifests(self) -> dict[str, bytes]:
        """What identifies each sealed cut, with the digests of its tables and states."""
        folder = self.settings.store / "cuts"
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("manifest.json"))}
