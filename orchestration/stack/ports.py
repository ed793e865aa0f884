"""Ports on loopback: chosen once per data directory, kept, and checked before every start."""

import random
import socket
from collections.abc import Mapping
from pathlib import Path

from orchestration.stack.errors import StackError
from orchestration.stack.files import read_json, write_json
from orchestration.stack.paths import Paths

HOST = "127.0.0.1"
LOWEST = 12_000
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_DEFAULT = 32_768


def assign_ports(wanted: Mapping[str, int], paths: Paths, afresh: bool = False) -> dict[str, int]:
    """Return a port per name: the configured one, else the one recorded in the data directory, else a free one.

    Jobs and clients hold on to these addresses, so they stay the same from one start to the next unless ``afresh``.

    Raises:
        StackError: a port is taken, or two names share one.
    """
    recorded = {} if afresh else read_json(paths.ports) or {}
    ports: dict[str, int] = {}
    for name, configured in wanted.items():
        port = configured or recorded.get(name) or _free_port(set(ports.values()) | set(recorded.values()))
        if port in ports.values():
            raise StackError(f"port {port} is configured twice, the second time for {name}")
        if not is_free(port):
            hint = "set another in [ports]" if configured else "or start with --new-ports"
            raise StackError(f"port {port} for {name} is taken by another process: free it, {hint}")
        ports[name] = port
    write_json(paths.ports, ports)
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback address now."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: past connections do not count
        try:
            server.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(port: int, timeout_s: float = 0.5) -> bool:
    """Whether something accepts connections on the port of the loopback address."""
    try:
        with socket.create_connection((HOST, port), timeout_s):
            return True
    except OSError:
        return False


def _free_port(used: set[int]) -> int:
    """A client's outgoing connection may take any ephemeral port while a server restarts, so stay below them."""
    try:
        highest = int(RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError):
        highest = EPHEMERAL_DEFAULT
    candidates = list(range(LOWEST, max(highest, LOWEST + 1)))
    random.SystemRandom().shuffle(candidates)  # two stacks that start together should not choose alike
    for port in candidates:
        if port not in used and is_free(port):
            return port
    raise StackError(f"no free port between {LOWEST} and {highest}: set them in [ports]")
