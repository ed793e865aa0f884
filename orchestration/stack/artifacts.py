"""Java, Maven and the jars: found or resolved, or refused with what to install."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestration.stack.errors import StackError
from orchestration.stack.settings import INFRA

JAVA_LOWEST = 17  # Kafka 4 brokers need it
POMS = ("pom.xml", "kafka/pom.xml", "flink/pom.xml")
LIBRARIES = ("kafka", "flink")
LIB = Path("lib", "gradle", "wrapper")
"""Beam's job server hands Flink every jar of its own class path with each job: 200 MB that Flink's servers have, and
that a TaskManager would fetch again at each start. It passes over paths with ``gradle/wrapper`` in them."""


@dataclass(frozen=True, slots=True)
class Libraries:
    """The folders of jars, one per class path."""

    kafka: Path
    flink: Path


def missing_tools(infra: Path = INFRA) -> str | None:
    """Return in one line what of Java and Maven this machine lacks to run the stack, or None."""
    try:
        find_java()
        if not _is_resolved(infra):
            find_maven()
    except StackError as error:
        return str(error)
    return None


def find_java() -> Path:
    """Return the ``java`` to run, from JAVA_HOME or the path.

    Raises:
        StackError: there is none, or it is older than the servers need.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None:
        raise StackError(f"Java is missing: install a JDK or JRE {JAVA_LOWEST} or later, or set JAVA_HOME")
    try:
        said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60).stderr
    except OSError as error:
        raise StackError(f"Java does not run: {found}: {error.strerror}; check JAVA_HOME") from None
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_LOWEST:
        first = said.splitlines()[0] if said else "no version"
        raise StackError(f"Java {JAVA_LOWEST} or later is needed, {found} says: {first}")
    return Path(found)


def find_maven() -> Path:
    """Return the ``mvn`` to run.

    Raises:
        StackError: there is none.
    """
    found = shutil.which("mvn")
    if found is None:
        raise StackError("Maven is missing: install it (mvn), it resolves the servers named in infra/local/pom.xml")
    return Path(found)


def resolve(infra: Path = INFRA, say: Callable[[str], None] = lambda _: None) -> Libraries:
    """Return the jars of the poms, resolving them with Maven when the poms have changed since the last time.

    Raises:
        StackError: Maven is missing, or could not resolve; the message holds its first error.
    """
    lib = infra / LIB
    lib.mkdir(parents=True, exist_ok=True)
    with (lib / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two stacks that start together resolve once
        if not _is_resolved(infra):
            maven = find_maven()
            say("resolving the servers with Maven (about 250 MB the first time)")
            _copy_dependencies(maven, infra, lib)
    return Libraries(*(lib / name for name in LIBRARIES))


def _copy_dependencies(maven: Path, infra: Path, lib: Path) -> None:
    incoming = lib / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    options = ["-B", "-ntp", "-f", str(infra / "pom.xml"), f"-Dlib.directory={incoming}"]
    command = [str(maven), *options, "dependency:copy-dependencies"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise StackError(f"Maven could not resolve {infra / 'pom.xml'}: {(errors or ['no reason given'])[0]}")
    for name in LIBRARIES:
        shutil.rmtree(lib / name, ignore_errors=True)
        (incoming / name).rename(lib / name)
    shutil.rmtree(incoming)
    (lib / "resolved").write_text(_poms_digest(infra), encoding="utf-8")


def _is_resolved(infra: Path) -> bool:
    stamp = infra / LIB / "resolved"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _poms_digest(infra)


def _poms_digest(infra: Path) -> str:
    digest = hashlib.sha256()
    for name in POMS:
        digest.update((infra / name).read_bytes())
    return digest.hexdigest()
