"""The processes of the stack: what each is started with, and when it counts as ready."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from orchestration.stack.plan import Plan
from orchestration.stack.ports import HOST, is_listening
from orchestration.stack.settings import PROJECT

INSTANCE = "{instance}"  # in an argument: replaced at each start by a name that no earlier start had
TIMEOUT_S = 2.0
MODULES = (
    "java.util",
    "java.lang",
    "java.net",
    "java.io",
    "java.time",
    "java.nio",
    "java.util.concurrent",
    "sun.nio.ch",
)
OPENS = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in MODULES]
EXPORTS = ["--add-exports=java.base/sun.net.util=ALL-UNNAMED"]

JOBMANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASKMANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"


@dataclass(frozen=True, slots=True)
class Service:
    """One process to keep running; ``ready`` is asked with the instance name of the newest start."""

    name: str
    argv: tuple[str, ...]
    address: str
    ready: Callable[[str], bool]


def services(plan: Plan) -> list[Service]:
    """Return the processes of the stack in the order of their start; they stop in the reverse order."""
    return [
        _kafka(plan),
        _jobmanager(plan),
        *(_taskmanager(plan, n) for n in range(1, plan.settings.taskmanagers + 1)),
        _job_server(plan),
        *(_worker_pool(plan, n) for n in range(1, plan.settings.worker_pools + 1)),
    ]


def worker_environment() -> dict[str, str]:
    """Return what Python workers and submitted programs need in their environment: the project to import from."""
    return {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}


def write_configuration(plan: Plan) -> None:
    """Write the configuration files of Kafka and Flink: the settings with addresses and directories filled in."""
    paths = plan.paths
    for folder in (paths.kafka_config.parent, paths.flink_config, paths.checkpoints, paths.savepoints, paths.artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    server = dict(plan.settings.kafka["server"]) | _kafka_addresses(plan)
    lines = [f"{name}={_property(value)}" for name, value in server.items()]
    plan.paths.kafka_config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_flink_configuration(plan.paths.flink_config, plan, {})


def write_flink_configuration(directory: Path, plan: Plan, more: Mapping[str, Any]) -> None:
    """Write Flink's ``config.yaml`` of this stack into ``directory``, with some settings added."""
    directory.mkdir(parents=True, exist_ok=True)
    config = dict(plan.settings.flink["config"]) | _flink_addresses(plan) | dict(more)
    (directory / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def format_command(plan: Plan, cluster_id: str) -> list[str]:
    """Return the command that prepares an empty data directory for the broker."""
    tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(plan.paths.kafka_config)]
    return [str(plan.java), *_logging(plan), "-cp", f"{plan.libraries.kafka}/*", *tool]


def _kafka(plan: Plan) -> Service:
    temporary = f"-Djava.io.tmpdir={_temporary(plan)}"
    options = [*plan.settings.kafka["jvm"], "-XX:+ExitOnOutOfMemoryError", temporary, *_logging(plan)]
    argv = [str(plan.java), *options, "-cp", f"{plan.libraries.kafka}/*", "kafka.Kafka", str(plan.paths.kafka_config)]
    address = plan.endpoints.bootstrap_servers
    return Service("kafka", tuple(argv), address, lambda _: is_listening(plan.ports["kafka"]) and _has_broker(address))


def _jobmanager(plan: Plan) -> Service:
    argv = [*_flink_java(plan, "jobmanager"), JOBMANAGER, "--configDir", str(plan.paths.flink_config)]
    argv += ["-D", f"io.tmp.dirs={_temporary(plan)}"]
    if plan.settings.prometheus:
        argv += ["-D", f"metrics.reporter.prom.port={plan.ports['prometheus_0']}"]
    rest = plan.endpoints.flink_rest
    return Service("jobmanager", tuple(argv), rest, lambda _: _get(f"{rest}/overview") is not None)


def _taskmanager(plan: Plan, number: int) -> Service:
    options = dict(plan.settings.flink["taskmanager"]) | {
        "taskmanager.resource-id": INSTANCE,
        "io.tmp.dirs": _temporary(plan),
    }
    if plan.settings.prometheus:
        options["metrics.reporter.prom.port"] = plan.ports[f"prometheus_{number}"]
    argv = [*_flink_java(plan, "taskmanager"), TASKMANAGER, "--configDir", str(plan.paths.flink_config)]
    for name, value in options.items():
        argv += ["-D", f"{name}={value}"]

    def registered(instance: str) -> bool:
        found = _get(f"{plan.endpoints.flink_rest}/taskmanagers") or {"taskmanagers": []}
        return instance in {entry["id"] for entry in found["taskmanagers"]}

    return Service(f"taskmanager-{number}", tuple(argv), "", registered)


def _job_server(plan: Plan) -> Service:
    options = {
        "--flink-master": f"{HOST}:{plan.ports['flink_rest']}",
        "--flink-conf-dir": str(plan.paths.flink_config),
        "--job-host": HOST,
        "--job-port": str(plan.ports["job_server"]),
        "--artifact-port": str(plan.ports["artifacts"]),
        "--expansion-port": "-1",  # none: no transform of another language is used
        "--artifacts-dir": str(plan.paths.artifacts),
        # The job server may lose sight of a job that lives on and whose workers still need its files.
        "--clean-artifacts-per-job": "false",
    }
    argv = [*_flink_java(plan, "job_server"), JOB_SERVER, *(word for pair in options.items() for word in pair)]
    port = plan.ports["job_server"]
    return Service("job-server", tuple(argv), plan.endpoints.job_endpoint, lambda _: is_listening(port))


def _worker_pool(plan: Plan, number: int) -> Service:
    port = plan.ports[f"worker_pool_{number}"]
    argv = [str(plan.python), "-m", "orchestration.stack.worker_pool", "--port", str(port)]
    return Service(f"worker-pool-{number}", tuple(argv), f"{HOST}:{port}", lambda _: is_listening(port))


def _flink_java(plan: Plan, role: str) -> list[str]:
    own = [*plan.settings.flink["jvm"][role], f"-Djava.io.tmpdir={_temporary(plan)}"]
    options = [*own, "-XX:+ExitOnOutOfMemoryError", *OPENS, *EXPORTS, *_logging(plan)]
    # Only jars on the class path: the job server stages every entry of its own, and a directory fails the job.
    return [str(plan.java), *options, "-cp", f"{plan.libraries.flink}/*"]


def _logging(plan: Plan) -> list[str]:
    configuration = plan.infra / "log4j2.properties"
    return [f"-Dlog4j2.configurationFile={configuration}"]


def _temporary(plan: Plan) -> str:
    return str(plan.paths.temporary / INSTANCE)


def _kafka_addresses(plan: Plan) -> dict[str, str]:
    broker, controller = (f"{HOST}:{plan.ports[name]}" for name in ("kafka", "kafka_controller"))
    return {
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        # A fixed quorum of one, not a recorded one: the controller's port may change between two starts.
        "controller.quorum.voters": f"{plan.settings.kafka['server']['node.id']}@{controller}",
        "log.dirs": str(plan.paths.kafka_data),
    }


def _flink_addresses(plan: Plan) -> dict[str, Any]:
    addresses: dict[str, Any] = {
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": plan.ports["flink_rpc"],
        "jobmanager.bind-host": HOST,
        "rest.address": HOST,
        "rest.bind-address": HOST,
        "rest.port": plan.ports["flink_rest"],
        "rest.bind-port": str(plan.ports["flink_rest"]),
        "taskmanager.host": HOST,
        "taskmanager.bind-host": HOST,
        "state.checkpoints.dir": plan.paths.checkpoints.as_uri(),
        "state.savepoints.dir": plan.paths.savepoints.as_uri(),
    }
    if plan.settings.prometheus:
        factory = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
        addresses["metrics.reporter.prom.factory.class"] = factory
    return addresses


def _property(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _get(url: str) -> Any | None:
    """Return the JSON behind the address, or None while the server does not answer with it."""
    try:
        answer = requests.get(url, timeout=TIMEOUT_S)
        return answer.json() if answer.ok else None
    except (requests.RequestException, ValueError):
        return None


def _has_broker(bootstrap_servers: str) -> bool:
    """Whether the broker is registered with its controller, which is when it can create topics."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    quiet = logging.getLogger("orchestration.stack.kafka")
    quiet.setLevel(logging.CRITICAL)
    client = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=quiet)
    try:
        return bool(client.list_topics(timeout=TIMEOUT_S).brokers)
    except KafkaException:
        return False
