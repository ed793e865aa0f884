"""The settings of a stack: the TOML files of ``infra/local`` with the user's own file laid over them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from orchestration.stack.errors import StackError

FILES = ("stack.toml", "kafka.toml", "flink.toml")
PROJECT = Path(__file__).resolve().parents[2]
INFRA = PROJECT / "infra" / "local"


@dataclass(frozen=True, slots=True)
class Supervision:
    """How processes are kept running: seconds, deaths in a row, megabytes per log file."""

    ready_timeout_s: float
    stop_grace_s: float
    backoff_first_s: float
    backoff_limit_s: float
    stable_s: float
    deaths_limit: int
    submit_timeout_s: float
    log_limit_mb: int

    def backoff_s(self, deaths: int) -> float:
        """Seconds to wait before the restart that follows the given number of deaths in a row (1 or more)."""
        return float(min(self.backoff_first_s * 2 ** (deaths - 1), self.backoff_limit_s))


@dataclass(frozen=True, slots=True)
class Settings:
    """All tables of the settings; ``tables`` is what was read, for handing on to the supervisor."""

    tables: Mapping[str, Any]

    @property
    def taskmanagers(self) -> int:
        return int(self.tables["stack"]["taskmanagers"])

    @property
    def worker_pools(self) -> int:
        return int(self.tables["stack"]["worker_pools"])

    @property
    def ports(self) -> Mapping[str, int]:
        return self.tables["ports"]

    @property
    def kafka(self) -> Mapping[str, Any]:
        return self.tables["kafka"]

    @property
    def flink(self) -> Mapping[str, Any]:
        return self.tables["flink"]

    @property
    def prometheus(self) -> bool:
        return bool(self.flink["prometheus"]["enabled"])

    @property
    def retained_checkpoints(self) -> int:
        return int(self.flink["config"]["state.checkpoints.num-retained"])

    @property
    def supervision(self) -> Supervision:
        return Supervision(**self.tables["supervision"])

    def pipeline_options(self) -> list[str]:
        """Return the ``[pipeline]`` table as command-line options; true is a flag, false is left out."""
        options = []
        for name, value in self.tables["pipeline"].items():
            if value is True:
                options.append(f"--{name}")
            elif value is not False:
                options.append(f"--{name}={value}")
        return options


def load_settings(overrides: Path | None = None, infra: Path = INFRA) -> Settings:
    """Read the settings; ``overrides`` is a TOML file with any of the same tables.

    Raises:
        StackError: a file is missing or not TOML, a key of the stack's own tables is unknown, a count is not positive.
    """
    tables: dict[str, Any] = {}
    for name in FILES:
        tables = _laid_over(tables, _read(infra / name))
    if overrides is not None:
        given = _read(overrides)
        _refuse_unknown(tables, given, overrides)
        tables = _laid_over(tables, given)
    expected = {field.name for field in fields(Supervision)}
    if set(tables["supervision"]) != expected:
        raise StackError(f"[supervision]: expected {sorted(expected)}, found {sorted(tables['supervision'])}")
    for name in ("taskmanagers", "worker_pools"):
        if not isinstance(tables["stack"][name], int) or tables["stack"][name] < 1:
            raise StackError(f"[stack] {name}: expected a whole number from 1, found {tables['stack'][name]!r}")
    return Settings(tables)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackError(f"{path}: no such settings file; run from a checkout that has infra/local") from None
    except tomllib.TOMLDecodeError as error:
        raise StackError(f"{path}: not TOML: {error}") from None


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _laid_over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


def _refuse_unknown(tables: Mapping[str, Any], given: Mapping[str, Any], path: Path) -> None:
    """Keys of Kafka, Flink and the pipeline are theirs to know; a mistyped key of our own tables is refused."""
    for table, entries in given.items():
        if table not in tables:
            raise StackError(f"{path}: unknown table [{table}], expected one of {sorted(tables)}")
        if table in ("stack", "ports", "supervision") and (unknown := set(entries) - set(tables[table])):
            raise StackError(f"{path}: unknown in [{table}]: {sorted(unknown)}, expected {sorted(tables[table])}")
